//! Another author's voice, trained alike on the same model: what a voice of one's own has to beat. Texts of the two
//! invented authors that ship are its teachers, so it holds nothing of the person and is kept for the next test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use idiolect_core::{UserError, sample::Sample, training::TrainSettings};
use idiolect_engine::WEIGHTS_FILE;
use idiolect_llm::{LlmError, TextModel};
use idiolect_persona::{
    briefs::Briefs,
    demo::{DemoAuthor, authors},
    prompts,
};
use idiolect_text::chunk;
use idiolect_train::{Control as Answer, Example, Lessons, Row, Task, Update};
use sha2::{Digest, Sha256};

use super::train_settings;
use crate::{
    context::{Ctx, Pace, cancelled},
    errors::Told,
    models::Writer,
};

/// Voices kept below the home, newest first: some megabytes each.
const KEPT: usize = 4;

/// The voice of somebody else.
pub(super) struct Control {
    pub(super) dir: PathBuf,
    pub(super) author: &'static DemoAuthor,
    /// Tokens it learned from in each pass over its texts.
    pub(super) tokens: u64,
}

/// An invented author none of whose texts are among these.
pub(super) fn somebody_else(samples: &[Sample]) -> Option<&'static DemoAuthor> {
    authors().iter().find(|author| {
        let theirs = |text: &str| {
            author
                .texts
                .iter()
                .any(|own| own.text.trim() == text.trim())
        };
        !samples.iter().any(|sample| theirs(&sample.text))
    })
}

/// Trains it with these settings on about `tokens` tokens a pass, or finds the one that was trained so before.
pub(super) fn control(
    ctx: &mut Ctx,
    writer: &Writer,
    author: &'static DemoAuthor,
    settings: &TrainSettings,
    tokens: u64,
) -> Result<Control, UserError> {
    let settings = TrainSettings {
        // Nothing is held out: the passes are the same number for everybody.
        early_stop: false,
        ..settings.clone()
    };
    let rows = rows(writer, author, &settings, tokens)?;
    let learned = rows.iter().map(|row| row.tokens.len() as u64).sum();
    let folder = ctx.studio.home.join("controls");
    let key = key(writer, author, &settings, rows.len());
    let dir = folder.join(&key);
    if !dir.join(WEIGHTS_FILE).exists() {
        let unfinished = folder.join(format!(".new-{key}-{}", std::process::id()));
        let trained = train(ctx, writer, &settings, &rows)?;
        trained
            .save(&unfinished, writer.model.config(), &writer.file.id)
            .told()?;
        // Another process may have been faster: its voice is the same.
        if fs::rename(&unfinished, &dir).is_err() {
            let _ = fs::remove_dir_all(&unfinished);
        }
        if !dir.join(WEIGHTS_FILE).exists() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(LlmError::from(missing)).told();
        }
        keep_newest(&folder, KEPT);
    }
    Ok(Control {
        dir,
        author,
        tokens: learned,
    })
}

/// Its texts under their bare briefs until there are `tokens` tokens of them, or no more texts.
fn rows(
    writer: &Writer,
    author: &DemoAuthor,
    settings: &TrainSettings,
    tokens: u64,
) -> Result<Vec<Row>, UserError> {
    let model = &writer.model;
    let texts: Vec<&str> = author.texts.iter().map(|t| t.text.as_str()).collect();
    let briefs = Briefs::new(&texts);
    let (mut rows, mut so_far) = (Vec::new(), 0);
    for text in &texts {
        for span in chunk::chunks(text, settings.chunk_words as usize) {
            if so_far >= tokens {
                return Ok(rows);
            }
            let text = span.quote(text).trim();
            let prompt = model
                .render(&prompts::bare(&briefs.of(text, None), None))
                .told()?;
            let prompt = model.encode_prompt(&prompt).told()?;
            let answer = model.encode(text).told()?;
            let longest = settings.max_length as usize;
            let fitted = Row::fitted(&prompt, &answer, model.end_of_turn(), longest);
            if let Some((row, _)) = fitted {
                so_far += row.tokens.len() as u64;
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

fn train(
    ctx: &mut Ctx,
    writer: &Writer,
    settings: &TrainSettings,
    rows: &[Row],
) -> Result<idiolect_engine::LoraWeights, UserError> {
    let lessons = Example::texts(rows);
    let settings = train_settings(settings, &lessons)?;
    let task = Task {
        model: &writer.model,
        lessons: Lessons::Fixed(&lessons),
        held_out: &[],
        settings: &settings,
        from: None,
        checkpoints: None,
    };
    let cancel = ctx.cancel().clone();
    let mut pace = None;
    let mut observer = |update: Update| {
        let pace = pace.get_or_insert_with(|| Pace::new(u64::from(update.steps), "steps"));
        ctx.emit(pace.at(
            u64::from(update.point.step),
            "Training another author's voice to compare with",
        ));
        if cancel.is_cancelled() {
            Answer::Cancel
        } else {
            Answer::Continue
        }
    };
    let trained = idiolect_train::run(task, &mut observer).told()?;
    trained.weights.ok_or_else(cancelled)
}

/// Same model, author, settings and texts: same voice.
fn key(writer: &Writer, author: &DemoAuthor, settings: &TrainSettings, rows: usize) -> String {
    let mut hash = Sha256::new();
    hash.update(&writer.file.sha256);
    hash.update(&author.name);
    hash.update(format!("{settings:?} {rows} {}", env!("CARGO_PKG_VERSION")));
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex[..24].to_owned()
}

/// Removes all but the newest. What stays behind holds no text and does no harm.
fn keep_newest(folder: &Path, kept: usize) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut dirs: Vec<_> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    dirs.sort_by(|a, b| b.cmp(a));
    for (_, old) in dirs.into_iter().skip(kept) {
        let _ = fs::remove_dir_all(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn nobody_is_compared_with_themselves() {
        let sample = |text: &str| Sample {
            text: format!("{text}\n"),
            ..fixtures::sample()
        };
        let [first, second] = authors() else {
            panic!("two authors ship");
        };
        let all = |picked: &[&DemoAuthor]| {
            let texts = picked.iter().flat_map(|author| &author.texts);
            texts.map(|t| sample(&t.text)).collect::<Vec<_>>()
        };
        let name = |samples: &[Sample]| somebody_else(samples).map(|a| a.name.as_str());
        assert_eq!(name(&[sample("Mine.")]), Some(first.name.as_str()));
        assert_eq!(name(&all(&[first])), Some(second.name.as_str()));
        assert_eq!(name(&all(&[first, second])), None);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for age in 0..6u64 {
            let dir = folder.path().join(format!("v{age}"));
            fs::create_dir(&dir).unwrap();
            let then = std::time::SystemTime::now() - std::time::Duration::from_secs(60 * age);
            fs::File::open(&dir).unwrap().set_modified(then).unwrap();
        }
        keep_newest(folder.path(), 2);
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["v0", "v1"]);
    }
}
