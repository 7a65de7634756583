//! What a run learns from: texts as brief and answer, or what the person prefers; some of it held out.

use idiolect_core::{
    UserError,
    adapter::Run,
    ids::{DraftId, PairId, ProfileId, SampleId},
    profile::Intent,
    sample::{Sample, SampleKind},
    training::{BriefSource, Objective, TrainSettings},
};
use idiolect_llm::TextModel;
use idiolect_persona::{
    Passage, PersonaError,
    briefs::Briefs,
    prompts::{self, Task},
};
use idiolect_text::{chunk, segment};
use idiolect_train::{Example, Row};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    playback::{Chunk, Playback},
    preferences::{self, Asked, Found},
};
use crate::{
    context::Ctx,
    errors::Told,
    models::Writer,
    writing::{Subject, material},
};

/// A chunk shorter than this says too little to learn from.
const FEWEST_CHUNK_WORDS: usize = 20;

/// What a run learns from.
#[derive(Default)]
pub(crate) struct Lessons {
    pub(crate) train: Vec<Example>,
    pub(crate) held_out: Vec<Example>,
    /// Words of the texts; of preferred and other texts where preferences are learned.
    pub(crate) words: u32,
    pub(super) duplicates: u32,
    /// Texts that lost their end to the longest row.
    pub(super) cut: u32,
    /// Texts whose prompt alone fills the longest row.
    pub(super) without_room: u32,
    pub(crate) samples: Vec<Sample>,
    /// Samples that only measure, whole.
    pub(super) held_out_samples: Vec<SampleId>,
    /// Votes and drafts that are learned from.
    pub(super) votes: Vec<PairId>,
    pub(super) drafts: Vec<DraftId>,
    /// What was found to prefer, whatever is learned.
    pub(super) found: Found,
    /// Texts whose brief the model has yet to write.
    pub(super) briefs_missing: u32,
    /// Texts that answer a brief which the model wrote.
    pub(super) briefs_written: u32,
}

impl Lessons {
    /// Tokens of an epoch.
    pub(super) fn tokens(&self) -> u64 {
        self.train.iter().map(|e| e.tokens() as u64).sum()
    }

    /// The longest rows come together: tokens of the longest pass of `batch` examples.
    pub(super) fn longest(&self, batch: usize) -> usize {
        let mut tokens: Vec<usize> = self.train.iter().map(Example::tokens).collect();
        tokens.sort_unstable_by(|a, b| b.cmp(a));
        tokens.iter().take(batch).sum()
    }
}

/// Collects what the objective learns from. Briefs that the model has not written yet are written only where `write` says
/// so, which takes a while; until then counted ones stand in for them.
pub(crate) fn lessons(
    ctx: &mut Ctx,
    writer: &Writer,
    profile: &ProfileId,
    settings: &TrainSettings,
    write: bool,
) -> Result<Lessons, UserError> {
    collect(ctx, writer, profile, settings, write, None)
}

/// What a run learned from when it began, as far as it is still there: nothing that came later.
pub(super) fn lessons_of_run(
    ctx: &mut Ctx,
    writer: &Writer,
    run: &Run,
) -> Result<Lessons, UserError> {
    collect(ctx, writer, &run.profile, &run.settings, false, Some(run))
}

fn collect(
    ctx: &mut Ctx,
    writer: &Writer,
    profile: &ProfileId,
    settings: &TrainSettings,
    write: bool,
    only: Option<&Run>,
) -> Result<Lessons, UserError> {
    let mut subject = Subject::of(ctx, profile)?;
    let store = &ctx.studio.store;
    let mut drafts = store.drafts(profile).told()?;
    let mut votes = store.votes(profile).told()?;
    if let Some(run) = only {
        if !settings.objective.uses_preferences() {
            subject.samples.retain(|s| run.samples.contains(&s.id));
        }
        drafts.retain(|d| run.drafts.contains(&d.id));
        votes.retain(|v| run.votes.contains(&v.vote.pair));
    }
    let found = preferences::find(&votes, &drafts, &settings.preferences);
    let rows = Rows {
        writer,
        subject: &subject,
        settings,
    };
    let mut lessons = if settings.objective.uses_preferences() {
        rows.of_preferences(&found, &drafts)?
    } else {
        let chunks = Chunks::of(&subject.samples, settings);
        let playback = match settings.briefs {
            BriefSource::Counted => Playback::default(),
            BriefSource::Model => Playback::of(ctx, writer, &chunks.all, write)?,
        };
        rows.of_texts(chunks, &playback)?
    };
    lessons.found = found;
    Ok(lessons)
}

/// Samples in English without near-duplicates, cut into chunks.
pub(super) struct Chunks<'a> {
    samples: Vec<&'a Sample>,
    pub(super) all: Vec<Chunk<'a>>,
    duplicates: u32,
}

impl<'a> Chunks<'a> {
    pub(super) fn of(samples: &'a [Sample], settings: &TrainSettings) -> Self {
        let english: Vec<&Sample> = samples.iter().filter(|s| s.language == "en").collect();
        let texts: Vec<&str> = english.iter().map(|s| s.text.as_str()).collect();
        let twins = chunk::near_duplicates(&texts);
        let (mut kept, mut all, mut duplicates) = (Vec::new(), Vec::new(), 0);
        for (sample, twin) in english.into_iter().zip(twins) {
            if twin.is_some() {
                duplicates += 1;
                continue;
            }
            let before = all.len();
            for span in chunk::chunks(&sample.text, settings.chunk_words as usize) {
                let text = span.quote(&sample.text).trim();
                if segment::word_count(text) >= FEWEST_CHUNK_WORDS {
                    all.push(Chunk { sample, span, text });
                }
            }
            // A sample with nothing to learn from has no say in what the others' briefs are, either.
            if all.len() > before {
                kept.push(sample);
            }
        }
        Self {
            samples: kept,
            all,
            duplicates,
        }
    }
}

/// Makes rows under the model's own template and the form that the settings ask for.
struct Rows<'a> {
    writer: &'a Writer,
    subject: &'a Subject,
    settings: &'a TrainSettings,
}

impl Rows<'_> {
    /// Each chunk answers a brief ("data playback"); whole samples are held out where there are enough of them.
    fn of_texts(&self, chunks: Chunks, playback: &Playback) -> Result<Lessons, UserError> {
        let texts: Vec<&str> = chunks.samples.iter().map(|s| s.text.as_str()).collect();
        let counted = Briefs::new(&texts);
        let mut lessons = Lessons {
            duplicates: chunks.duplicates,
            briefs_missing: playback.missing,
            ..Lessons::default()
        };
        let mut rows: Vec<Vec<Row>> = Vec::new();
        for sample in chunks.samples {
            let mut of_sample = Vec::new();
            for chunk in chunks.all.iter().filter(|c| c.sample.id == sample.id) {
                let written = playback.brief(chunk);
                lessons.briefs_written += u32::from(written.is_some());
                let brief = match written {
                    Some(brief) => brief.to_owned(),
                    None => counted.of_kind(kind_of(sample), chunk.text, subject_of(sample)),
                };
                match self.row(Some((Intent::AsMe, &brief)), chunk.text, Some(&sample.id))? {
                    Some((row, lost)) => {
                        lessons.cut += u32::from(lost > 0);
                        of_sample.push(row);
                    }
                    None => lessons.without_room += 1,
                }
            }
            lessons.words += sample.words;
            lessons.samples.push(sample.clone());
            rows.push(of_sample);
        }
        let total: usize = rows.iter().map(Vec::len).sum();
        let wanted = (total as f64 * self.settings.held_out.clamp(0.0, 0.5)).round() as usize;
        let wanted = if total < 4 { 0 } else { wanted.max(1) };
        let split = split(rows, wanted, self.settings.seed);
        lessons.held_out_samples = split
            .whole
            .iter()
            .map(|index| lessons.samples[*index].id.clone())
            .collect();
        lessons.train = Example::texts(&split.train);
        lessons.held_out = Example::texts(&split.held_out);
        Ok(lessons)
    }

    /// Pairs, or single texts for an objective that takes those; all of a brief are on one side.
    fn of_preferences(
        &self,
        found: &Found,
        drafts: &[idiolect_core::draft::Draft],
    ) -> Result<Lessons, UserError> {
        let mut lessons = Lessons::default();
        let mut examples: Vec<(Example, Option<Asked>)> = Vec::new();
        if self.settings.objective == Objective::Kto {
            for opinion in preferences::opinions(found, drafts, &self.settings.preferences) {
                let Some(row) = self.answer(opinion.asked.as_ref(), &opinion.text, &mut lessons)?
                else {
                    continue;
                };
                lessons.note(opinion.pair, opinion.drafts);
                let good = opinion.good;
                examples.push((Example::Thumb { row, good }, opinion.asked));
            }
        } else {
            for preference in &found.preferences {
                let asked = preference.asked.as_ref();
                let chosen = self.answer(asked, &preference.chosen, &mut lessons)?;
                let rejected = self.answer(asked, &preference.rejected, &mut lessons)?;
                if let (Some(chosen), Some(rejected)) = (chosen, rejected) {
                    lessons.note(preference.pair.clone(), preference.drafts.clone());
                    let pair = Example::Pair { chosen, rejected };
                    examples.push((pair, preference.asked.clone()));
                }
            }
        }
        let (train, held_out) = preferences::split(
            examples,
            |(_, asked)| asked.as_ref(),
            self.settings.held_out,
            self.settings.seed,
        );
        lessons.train = train.into_iter().map(|(example, _)| example).collect();
        lessons.held_out = held_out.into_iter().map(|(example, _)| example).collect();
        Ok(lessons)
    }

    fn answer(
        &self,
        asked: Option<&Asked>,
        text: &str,
        lessons: &mut Lessons,
    ) -> Result<Option<Row>, UserError> {
        let asked = asked.map(|asked| (asked.intent(), asked.brief.as_str()));
        lessons.words += segment::word_count(text) as u32;
        let Some((row, lost)) = self.row(asked, text, None)? else {
            lessons.without_room += 1;
            return Ok(None);
        };
        lessons.cut += u32::from(lost > 0);
        Ok(Some(row))
    }

    /// The loss is on the text and the end of the turn; how many tokens of the text were cut off. `None` where the prompt
    /// leaves no room for a text. Excerpts come from other samples than the text's own.
    fn row(
        &self,
        asked: Option<(Intent, &str)>,
        text: &str,
        of: Option<&SampleId>,
    ) -> Result<Option<(Row, u32)>, UserError> {
        let model = &self.writer.model;
        let longest = self.settings.max_length as usize;
        let answer = model.encode(text).told()?;
        let prompt = match asked {
            Some((intent, brief)) => match self.prompt(intent, brief, of, answer.len())? {
                Some(prompt) => prompt,
                None => return Ok(None),
            },
            // No brief: what the file begins every text with, if anything.
            None => model.encode_prompt("").told()?,
        };
        let end = model.end_of_turn();
        Ok(Row::fitted(&prompt, &answer, end, longest))
    }

    fn prompt(
        &self,
        intent: Intent,
        brief: &str,
        of: Option<&SampleId>,
        answer: usize,
    ) -> Result<Option<Vec<u32>>, UserError> {
        let model = &*self.writer.model;
        let longest = self.settings.max_length as usize;
        let passages: Vec<Passage> = self
            .subject
            .samples
            .iter()
            .filter(|s| Some(&s.id) != of)
            .map(Passage::from)
            .collect();
        let material = material(&self.subject.view, &passages);
        let task = Task {
            intent,
            method: &self.settings.method,
            brief,
            words: None,
        };
        // First with room for the whole text, or half the row where that is longer; then with room for any text.
        for room in [(answer + 1).min(longest / 2), 2] {
            let prompt_tokens = longest.saturating_sub(room);
            let kept_free = model.info().context.saturating_sub(prompt_tokens);
            match prompts::build(&task, &material, model, kept_free) {
                Ok(prompt) => {
                    let text = model.render(&prompt.messages).told()?;
                    return Ok(Some(model.encode_prompt(&text).told()?));
                }
                Err(PersonaError::BriefTooLong { .. }) => {}
                Err(error) => return Err(error).told(),
            }
        }
        Ok(None)
    }
}

impl Lessons {
    fn note(&mut self, pair: Option<PairId>, drafts: Vec<DraftId>) {
        if let Some(pair) = pair
            && !self.votes.contains(&pair)
        {
            self.votes.push(pair);
        }
        for draft in drafts {
            if !self.drafts.contains(&draft) {
                self.drafts.push(draft);
            }
        }
    }
}

/// The kind of a text as a brief names it.
pub(super) fn kind_of(sample: &Sample) -> &'static str {
    match sample.kind {
        SampleKind::Email => "an email",
        SampleKind::Chat => "a message",
        SampleKind::Pasted | SampleKind::Document | SampleKind::Edited => "a text",
    }
}

/// What a text is about as its title says: the subject of a mail, the heading of a document. A title that is a file's name
/// or the text's own beginning says nothing.
pub(super) fn subject_of(sample: &Sample) -> Option<&str> {
    let mut title = sample.title.trim();
    while let Some((prefix, rest)) = title.split_once(':')
        && ["re", "fw", "fwd", "aw", "wg"].contains(&prefix.trim().to_lowercase().as_str())
    {
        title = rest.trim();
    }
    let is_a_file = title.rsplit_once('.').is_some_and(|(name, ending)| {
        !name.is_empty()
            && (1..=5).contains(&ending.len())
            && ending.chars().all(char::is_alphanumeric)
    });
    let start: String = title
        .trim_end_matches(['…', '.'])
        .chars()
        .take(12)
        .collect();
    let begins_the_text = sample
        .text
        .trim_start()
        .to_lowercase()
        .starts_with(&start.to_lowercase());
    let words = segment::word_count(title);
    ((1..=12).contains(&words) && !is_a_file && !begins_the_text).then_some(title)
}

/// Rows on either side, and which of the given lists were held out whole.
struct Split {
    train: Vec<Row>,
    held_out: Vec<Row>,
    whole: Vec<usize>,
}

/// Holds out about `wanted` rows: whole samples, while at least two others stay to train on.
fn split(rows: Vec<Vec<Row>>, wanted: usize, seed: u64) -> Split {
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
    held.sort_unstable();
    Split {
        train,
        held_out,
        whole: held,
    }
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
        let Split {
            train,
            held_out,
            whole,
        } = split(samples.clone(), 2, 1);
        assert_eq!(whole.len(), 1);
        assert_eq!((train.len(), held_out.len()), (10, 2));
        assert!(
            train.iter().all(|r| !held_out.contains(r)),
            "a sample is on one side only"
        );
        let Split {
            train, held_out, ..
        } = split(samples[..3].to_vec(), 6, 1);
        assert_eq!(
            (train.len(), held_out.len()),
            (4, 2),
            "two samples stay to train on"
        );
        let Split {
            train,
            held_out,
            whole,
        } = split(vec![(0..5).map(row).collect()], 1, 1);
        assert_eq!(whole, [] as [usize; 0], "part of it is no whole sample");
        assert_eq!(
            (train.len(), held_out.len()),
            (4, 1),
            "one long sample gives its last chunk"
        );
        assert_eq!(split(samples, 0, 1).held_out.len(), 0);
    }

    #[test]
    fn a_title_that_says_what_a_text_is_about_goes_into_its_brief() {
        let sample = |title: &str, text: &str| Sample {
            title: title.into(),
            text: text.into(),
            ..crate::fixtures::sample()
        };
        let text = "Thanks for the figures, I will look at them tonight.";
        for (title, subject) in [
            ("Re: FW: Gas storage in March", Some("Gas storage in March")),
            ("notes.txt", None),
            ("Thanks for the figures, I…", None),
            ("", None),
            ("Re:", None),
        ] {
            assert_eq!(subject_of(&sample(title, text)), subject, "{title}");
        }
        assert_eq!(kind_of(&sample("", text)), "an email");
    }
}
