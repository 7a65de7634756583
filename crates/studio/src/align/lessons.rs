//! What a run learns from: texts as brief and answer, some of them held out.

use idiolect_core::{UserError, sample::Sample, training::TrainSettings};
use idiolect_llm::TextModel;
use idiolect_persona::{briefs::Briefs, prompts};
use idiolect_text::{chunk, segment};
use idiolect_train::Row;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{errors::Told, models::Writer};

/// A chunk shorter than this says too little to learn from.
const FEWEST_CHUNK_WORDS: usize = 20;

/// What a run learns from.
pub(crate) struct Lessons {
    pub(crate) train: Vec<Row>,
    pub(crate) held_out: Vec<Row>,
    pub(crate) words: u32,
    pub(super) duplicates: u32,
    /// Chunks that lost their end to the longest row.
    pub(super) cut: u32,
    /// Chunks whose brief alone fills the longest row.
    pub(super) without_room: u32,
    pub(crate) samples: Vec<Sample>,
}

/// Splits samples into chunks, each with a neutral brief written from its own words ("data playback"),
/// and holds whole samples out where there are enough of them.
pub(crate) fn lessons(
    writer: &Writer,
    samples: Vec<Sample>,
    settings: &TrainSettings,
) -> Result<Lessons, UserError> {
    let english: Vec<Sample> = samples.into_iter().filter(|s| s.language == "en").collect();
    let texts: Vec<&str> = english.iter().map(|s| s.text.as_str()).collect();
    let twins = chunk::near_duplicates(&texts);
    let briefs = Briefs::new(&texts);
    let mut duplicates = 0;
    let (mut cut, mut without_room) = (0, 0);
    let mut kept: Vec<Sample> = Vec::new();
    let mut rows: Vec<Vec<Row>> = Vec::new();
    let mut words = 0;
    for (sample, twin) in english.iter().zip(twins) {
        if twin.is_some() {
            duplicates += 1;
            continue;
        }
        let mut chunks = Vec::new();
        for chunk in chunks_of(&sample.text, settings) {
            match row(writer, &briefs.of(chunk, None), chunk, settings.max_length)? {
                Some((row, lost)) => {
                    cut += u32::from(lost > 0);
                    chunks.push(row);
                }
                None => without_room += 1,
            }
        }
        if !chunks.is_empty() {
            words += sample.words;
            kept.push(sample.clone());
            rows.push(chunks);
        }
    }
    let total: usize = rows.iter().map(Vec::len).sum();
    let wanted = (total as f64 * settings.held_out.clamp(0.0, 0.5)).round() as usize;
    let (train, held_out) = split(
        rows,
        if total < 4 { 0 } else { wanted.max(1) },
        settings.seed,
    );
    Ok(Lessons {
        train,
        held_out,
        words,
        duplicates,
        cut,
        without_room,
        samples: kept,
    })
}

fn chunks_of<'t>(text: &'t str, settings: &TrainSettings) -> impl Iterator<Item = &'t str> {
    let spans = chunk::chunks(text, settings.chunk_words as usize).into_iter();
    spans
        .map(|span| span.quote(text).trim())
        .filter(|chunk| segment::word_count(chunk) >= FEWEST_CHUNK_WORDS)
}

/// Brief → text under the model's own template, the loss on the text and the end of the turn; how many tokens of the text were
/// cut off. `None` where the brief leaves no room for a text.
fn row(
    writer: &Writer,
    brief: &str,
    text: &str,
    longest: u32,
) -> Result<Option<(Row, u32)>, UserError> {
    let model = &writer.model;
    let prompt = model.render(&prompts::bare(brief, None)).told()?;
    let prompt = model.encode_prompt(&prompt).told()?;
    let answer = model.encode(text).told()?;
    let end = model.end_of_turn();
    Ok(Row::fitted(&prompt, &answer, end, longest as usize))
}

/// Holds out about `wanted` rows: whole samples, while at least two others stay to train on.
fn split(rows: Vec<Vec<Row>>, wanted: usize, seed: u64) -> (Vec<Row>, Vec<Row>) {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut held = Vec::new();
    if rows.len() >= 3 {
        let mut so_far = 0;
        for index in order {
            if so_far >= wanted || held.len() + 2 >= rows.len() {
                break;
            }
            held.push(index);
            so_far += rows[index].len();
        }
    }
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    let few = held.is_empty() && wanted > 0;
    for (index, sample) in rows.into_iter().enumerate() {
        if held.contains(&index) {
            held_out.extend(sample)
        } else {
            train.extend(sample)
        }
    }
    if few {
        // One or two long samples: hold out the last chunks instead.
        held_out = train.split_off(train.len().saturating_sub(wanted).max(1));
    }
    (train, held_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u32) -> Row {
        Row {
            tokens: vec![n, n, n],
            prompt: 1,
        }
    }

    #[test]
    fn whole_samples_are_held_out_and_two_always_stay() {
        let samples: Vec<Vec<Row>> = (0..6).map(|s| vec![row(s), row(s)]).collect();
        let (train, held_out) = split(samples.clone(), 2, 1);
        assert_eq!((train.len(), held_out.len()), (10, 2));
        assert!(
            train.iter().all(|r| !held_out.contains(r)),
            "a sample is on one side only"
        );
        let (train, held_out) = split(samples[..3].to_vec(), 6, 1);
        assert_eq!(
            (train.len(), held_out.len()),
            (4, 2),
            "two samples stay to train on"
        );
        let (train, held_out) = split(vec![(0..5).map(row).collect()], 1, 1);
        assert_eq!(
            (train.len(), held_out.len()),
            (4, 1),
            "one long sample gives its last chunk"
        );
        assert_eq!(split(samples, 0, 1).1.len(), 0);
    }
}
