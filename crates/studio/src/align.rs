//! Training a voice: what it would learn from, whether this machine can, the run, what it made.

use idiolect_core::{
    ErrorCode, UserError,
    adapter::{Adapter, Run, RunStatus, SftSettings},
    ids::{AdapterId, ProfileId, RunId},
    sample::Sample,
};
use idiolect_engine::{Engine, LoraConfig, Precision, Target, TrainingShape, WEIGHTS_FILE};
use idiolect_llm::{LlmError, TextModel};
use idiolect_persona::{briefs::Briefs, prompts};
use idiolect_store::LeaseWords;
use idiolect_text::{chunk, segment};
use idiolect_train::{
    AdamWConfig, Control, Decay, Example, Lessons as Learned, Objective, Packing, Row, Schedule,
    Settings, Task, Trained, steps_of,
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    Inner,
    api::{Event, Gone, Preflight, Response},
    context::{Ctx, cancelled},
    errors::{Told, not_enough, usage},
    models::Writer,
    process,
    profiles::words,
};

/// Fewer words teach nothing that would last.
const FEWEST_WORDS: u32 = 300;
/// Begins the name of a folder that is being written.
const UNFINISHED: &str = ".new-";
/// Longer than writing a trained voice ever takes.
const STALE: std::time::Duration = std::time::Duration::from_secs(3600);
/// A chunk shorter than this says too little to learn from.
const FEWEST_CHUNK_WORDS: usize = 20;

/// What a run learns from.
pub(crate) struct Lessons {
    pub(crate) train: Vec<Row>,
    pub(crate) held_out: Vec<Row>,
    pub(crate) words: u32,
    duplicates: u32,
    /// Chunks that lost their end to the longest row.
    cut: u32,
    /// Chunks whose brief alone fills the longest row.
    without_room: u32,
    pub(crate) samples: Vec<Sample>,
}

/// Splits samples into chunks, each with a neutral brief written from its own words ("data playback"),
/// and holds whole samples out where there are enough of them.
pub(crate) fn lessons(
    writer: &Writer,
    samples: Vec<Sample>,
    settings: &SftSettings,
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

fn chunks_of<'t>(text: &'t str, settings: &SftSettings) -> impl Iterator<Item = &'t str> {
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

pub(crate) fn preflight(
    ctx: &mut Ctx,
    profile: &ProfileId,
    settings: &SftSettings,
    model: Option<&str>,
) -> Result<Response, UserError> {
    let writer = ctx.studio.models.writer(ctx, model)?;
    let samples = ctx.studio.store.samples(profile).told()?;
    let all = samples.len();
    let lessons = lessons(&writer, samples, settings)?;
    let train = train_settings(settings)?;
    let tokens: u64 = lessons.train.iter().map(|r| r.tokens.len() as u64).sum();
    let speed = measured_speed(ctx, &writer)?;
    let info = writer.model.info();
    // 6 × parameters floating-point operations a token at about 100 GFLOP/s, until a run has measured it here.
    let guess = 100e9 / (4.0 * info.parameters as f64);
    let steps = steps_of(&Example::texts(&lessons.train), &train);
    let seconds = tokens as f64 * f64::from(settings.epochs) / speed.unwrap_or(guess) * 1.15;
    let needed = needed_bytes(&writer, &train, &lessons)?;
    let free = process::free_bytes();
    let mut advice = Vec::new();
    if lessons.words < FEWEST_WORDS {
        advice.push(format!(
            "Too little to learn from: about {} more words are needed.",
            FEWEST_WORDS - lessons.words
        ));
    } else if lessons.words < 1500 {
        advice.push(
            "With under 1,500 words, expect habits of punctuation and length, not a whole voice."
                .to_owned(),
        );
    }
    if lessons.samples.len() < all {
        advice.push(format!(
            "{} of {all} samples are left out: too short, twice there, or not in English.",
            all - lessons.samples.len()
        ));
    }
    if lessons.without_room > 0 {
        advice.push(format!(
            "{} passages are left out, as their brief alone fills the longest row: allow longer rows.",
            lessons.without_room
        ));
    }
    if lessons.cut > 0 {
        advice.push(format!(
            "{} passages lose their last words to the longest row: allow longer rows or fewer words a passage.",
            lessons.cut
        ));
    }
    if free > 0 && needed > free {
        advice.push("This needs more memory than is free: set fewer rows a step or a shorter longest row, or close other programs.".to_owned());
    }
    if lessons.held_out.is_empty() {
        advice.push(
            "Nothing can be held out, so training cannot tell when to stop by itself.".to_owned(),
        );
    }
    Ok(Response::Preflight {
        preflight: Preflight {
            samples: lessons.samples.len() as u32,
            words: lessons.words,
            train_chunks: lessons.train.len() as u32,
            held_out_chunks: lessons.held_out.len() as u32,
            tokens,
            duplicates: lessons.duplicates,
            needed_bytes: needed,
            free_bytes: free,
            seconds,
            measured: speed.is_some(),
            ready: lessons.words >= FEWEST_WORDS && !lessons.train.is_empty(),
            advice,
            settings_in_words: vec![
                format!(
                    "{} passes over the texts, {} rows at a time: {steps} steps.",
                    settings.epochs, settings.batch
                ),
                format!(
                    "A small addition (rank {}) to {} kinds of weights in every layer; the model itself stays as it is.",
                    settings.rank,
                    settings.targets.len()
                ),
                if settings.early_stop {
                    "Stops by itself when texts it does not learn from get worse, and keeps the best.".to_owned()
                } else {
                    "Runs to the end, and keeps the best.".to_owned()
                },
            ],
        },
    })
}

/// As the engine estimates it for the longest step.
fn needed_bytes(writer: &Writer, settings: &Settings, lessons: &Lessons) -> Result<u64, UserError> {
    let longest = lessons
        .train
        .iter()
        .map(|r| r.tokens.len())
        .max()
        .unwrap_or(0);
    let shape = TrainingShape {
        tokens: longest * settings.packing.batch,
        lora: settings.lora.clone(),
    };
    Ok(Engine::estimate(&writer.file.path).told()?.training(&shape))
}

pub(crate) fn sft(
    ctx: &mut Ctx,
    profile: &ProfileId,
    settings: SftSettings,
    model: Option<&str>,
    name: Option<String>,
) -> Result<Response, UserError> {
    let found = ctx.studio.store.profile(profile).told()?;
    let _lease = ctx
        .studio
        .store
        .lease(
            "train",
            profile.as_str(),
            &LeaseWords {
                what: format!("Training of “{}”", found.name),
                lost:
                    "Samples and votes are safe; the unfinished training has to be started again."
                        .to_owned(),
            },
        )
        .told()?;
    ctx.start_job(&format!("Training “{}”", found.name), true);
    let writer = ctx.studio.models.writer(ctx, model)?;
    let lessons = lessons(
        &writer,
        ctx.studio.store.samples(profile).told()?,
        &settings,
    )?;
    if lessons.words < FEWEST_WORDS || lessons.train.is_empty() {
        return Err(not_enough(
            format!("{} words are too few to learn a voice from.", lessons.words),
            format!("Add samples until there are at least {FEWEST_WORDS} words in English."),
        ));
    }
    let run = new_run(ctx, profile, &writer, &settings, &lessons)?;
    let ended = train(ctx, &writer, &lessons, &settings, run.clone())
        .and_then(|trained| finish(ctx, &writer, &lessons, trained, name));
    match ended {
        Ok((run, adapter)) => Ok(Response::Run { run, adapter }),
        Err(error) => {
            if error.code != ErrorCode::Cancelled {
                // The failure itself is what the person must hear, even if it cannot be noted.
                let _ = ctx.studio.store.update_run(&Run {
                    status: RunStatus::Failed,
                    message: error.message.clone(),
                    ..run
                });
            }
            Err(error)
        }
    }
}

fn new_run(
    ctx: &mut Ctx,
    profile: &ProfileId,
    writer: &Writer,
    settings: &SftSettings,
    lessons: &Lessons,
) -> Result<Run, UserError> {
    let run = Run {
        id: RunId(String::new()),
        profile: profile.clone(),
        model: writer.file.id.clone(),
        objective: "sft".to_owned(),
        settings: settings.clone(),
        samples: lessons.samples.iter().map(|s| s.id.clone()).collect(),
        status: RunStatus::Running,
        message: String::new(),
        curve: Vec::new(),
        tokens_per_second: 0.0,
        peak_bytes: 0,
        seconds: 0.0,
        adapter: None,
        started_at: String::new(),
    };
    let run = ctx.studio.store.insert_run(&run).told()?;
    let steps = steps_of(&Example::texts(&lessons.train), &train_settings(settings)?);
    ctx.emit(Event::RunStarted {
        run: run.clone(),
        steps,
    });
    Ok(run)
}

/// Trains; the run carries how fast and with how much memory.
fn train(
    ctx: &mut Ctx,
    writer: &Writer,
    lessons: &Lessons,
    settings: &SftSettings,
    mut run: Run,
) -> Result<(Run, Trained), UserError> {
    let started = std::time::Instant::now();
    let store = &ctx.studio.store;
    let control = ctx.control().cloned();
    let mut failed_write = None;
    let settings = train_settings(settings)?;
    let mut on_update = |update: idiolect_train::Update| {
        if let Err(e) = store.append_loss(&run.id, &update.point) {
            failed_write = Some(e);
            return Control::Cancel;
        }
        run.tokens_per_second = if update.seconds > 0.0 {
            update.tokens as f64 / update.seconds
        } else {
            0.0
        };
        run.peak_bytes = process::peak_bytes();
        let done = update.point.step.max(1);
        let a_step = started.elapsed().as_secs_f64() / f64::from(done);
        ctx.emit(Event::Loss {
            run: run.id.clone(),
            point: update.point,
            steps: update.steps,
            tokens_per_second: run.tokens_per_second,
            peak_bytes: run.peak_bytes,
            seconds_left: a_step * f64::from(update.steps - update.point.step),
        });
        let Some(control) = &control else {
            return Control::Continue;
        };
        if control.is_paused() {
            // Best effort: the run goes on from memory either way.
            let _ = store.update_run(&Run {
                status: RunStatus::Paused,
                ..run.clone()
            });
            control.wait_while_paused();
            let _ = store.update_run(&Run {
                status: RunStatus::Running,
                ..run.clone()
            });
        }
        if control.cancel.is_cancelled() {
            Control::Cancel
        } else if control.keep_best() && update.point.step == 0 {
            // Nothing was learned yet that could be kept.
            Control::Cancel
        } else if control.keep_best() {
            Control::KeepBest
        } else {
            Control::Continue
        }
    };
    let model = &writer.model;
    let task = Task {
        model,
        lessons: Learned::Fixed(&Example::texts(&lessons.train)),
        held_out: &Example::texts(&lessons.held_out),
        settings: &settings,
        from: None,
        checkpoints: None,
    };
    let outcome = idiolect_train::run(task, &mut on_update);
    run.seconds = started.elapsed().as_secs_f64();
    if let Some(error) = failed_write {
        return Err(error.to_user());
    }
    Ok((run, outcome.told()?))
}

fn finish(
    ctx: &mut Ctx,
    writer: &Writer,
    lessons: &Lessons,
    (mut run, trained): (Run, Trained),
    name: Option<String>,
) -> Result<(Run, Option<Adapter>), UserError> {
    let store = &ctx.studio.store;
    let Some(weights) = &trained.weights else {
        run.status = RunStatus::Cancelled;
        store.update_run(&run).told()?;
        return Err(cancelled());
    };
    let id = store.fresh_adapter_id().told()?;
    let dir = ctx.studio.adapter_dir(&id);
    let unfinished = ctx.studio.unfinished_dir(&id);
    weights
        .save(&unfinished, writer.model.config(), &writer.file.id)
        .told()?;
    std::fs::rename(&unfinished, &dir)
        .map_err(LlmError::from)
        .told()?;
    let name = name
        .filter(|n| !n.trim().is_empty())
        .unwrap_or_else(|| format!("Voice of {} words", lessons.words));
    let adapter = Adapter {
        id: id.clone(),
        profile: run.profile.clone(),
        name,
        model: writer.file.id.clone(),
        model_sha256: writer.file.sha256.clone(),
        run: run.id.clone(),
        samples: run.samples.clone(),
        samples_gone: 0,
        rank: run.settings.rank,
        alpha: run.settings.alpha,
        base_held_out: trained.base_held_out,
        own_held_out: trained.own_held_out,
        bytes: std::fs::metadata(dir.join(WEIGHTS_FILE)).map_or(0, |m| m.len()),
        created_at: String::new(),
    };
    let adapter = store.insert_adapter(&adapter).told()?;
    run.adapter = Some(id);
    run.status = if ctx.control().is_some_and(|c| c.keep_best()) {
        RunStatus::Stopped
    } else {
        RunStatus::Finished
    };
    run.message = trained.ended_early.clone();
    let run = store.update_run(&run).told()?;
    // Only an estimate for next time; a training is not lost over it.
    let _ = store.set_setting(&speed_key(writer), &run.tokens_per_second);
    Ok((run, Some(adapter)))
}

fn speed_key(writer: &Writer) -> String {
    format!("train_tokens_per_second:{}", writer.file.sha256)
}

fn measured_speed(ctx: &Ctx, writer: &Writer) -> Result<Option<f64>, UserError> {
    let speed: Option<f64> = ctx.studio.store.setting(&speed_key(writer)).told()?;
    Ok(speed.filter(|s| *s > 0.0))
}

/// The trainer's settings from the person's.
pub(crate) fn train_settings(settings: &SftSettings) -> Result<Settings, UserError> {
    let mut targets = Vec::new();
    for name in &settings.targets {
        let target = target_named(name)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets.sort();
    if settings.max_length < 32 || settings.max_length > 4096 {
        return Err(usage(
            "The longest row lies between 32 and 4,096 tokens.",
            "256 suits most texts.",
        ));
    }
    if settings.chunk_words < 30 || settings.chunk_words > 2000 {
        return Err(usage(
            "A chunk has between 30 and 2,000 words.",
            "120 suits most texts.",
        ));
    }
    if !(1..=100).contains(&settings.epochs) || !(1..=64).contains(&settings.batch) {
        return Err(usage(
            "Training passes over the texts 1 to 100 times, with 1 to 64 rows a step.",
            "Three passes with four rows suit most texts.",
        ));
    }
    if !(1..=256).contains(&settings.rank) || !settings.alpha.is_finite() {
        return Err(usage(
            "The rank lies between 1 and 256, and alpha is a number.",
            "8 and 16 suit most texts.",
        ));
    }
    Ok(Settings {
        lora: LoraConfig {
            rank: settings.rank as usize,
            alpha: settings.alpha,
            targets,
        },
        objective: Objective::Sft,
        dropout: 0.0,
        schedule: Schedule {
            peak: settings.learning_rate,
            warm_up: 4,
            decay: Decay::Linear,
            floor: 0.1,
        },
        optimizer: AdamWConfig::default(),
        epochs: settings.epochs,
        packing: Packing {
            batch: settings.batch as usize,
            tokens: None,
            accumulate: 1,
        },
        measure_every: 0,
        seed: settings.seed,
        early_stop: settings.early_stop,
        stop_below: None,
        precision: Precision::F32,
        recompute: false,
    })
}

/// q, k, v, o, gate, up, down.
pub(crate) fn target_named(name: &str) -> Result<Target, UserError> {
    let targets = ["q", "k", "v", "o", "gate", "up", "down"];
    targets
        .iter()
        .position(|n| *n == name)
        .map(|i| Target::ALL[i])
        .ok_or_else(|| {
            usage(
                format!("No linear is called “{name}”."),
                format!("Use any of {}.", targets.join(", ")),
            )
        })
}

pub(crate) fn runs(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    Ok(Response::Runs {
        runs: ctx.studio.store.runs(profile).told()?,
    })
}

pub(crate) fn adapters(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    Ok(Response::Adapters {
        adapters: ctx.studio.store.adapters(profile).told()?,
    })
}

pub(crate) fn show(ctx: &mut Ctx, adapter: &AdapterId) -> Result<Response, UserError> {
    Ok(Response::Adapter {
        adapter: ctx.studio.store.adapter(adapter).told()?,
    })
}

pub(crate) fn rename(
    ctx: &mut Ctx,
    adapter: &AdapterId,
    name: &str,
) -> Result<Response, UserError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 80 {
        return Err(usage(
            "A name has between 1 and 80 letters.",
            "Type another one.",
        ));
    }
    Ok(Response::Adapter {
        adapter: ctx.studio.store.rename_adapter(adapter, name).told()?,
    })
}

pub(crate) fn delete(ctx: &mut Ctx, adapter: &AdapterId) -> Result<Response, UserError> {
    let found = ctx.studio.store.adapter(adapter).told()?;
    let derived = ctx.studio.store.delete_adapter(adapter).told()?;
    remove_files(ctx.studio, adapter);
    Ok(Response::Gone {
        gone: Gone {
            what: format!("The trained voice “{}” is deleted.", found.name),
            derived: words(&derived),
            ..Gone::default()
        },
    })
}

/// Removes what a process that was killed while it wrote a trained voice left behind. What lies there for less than
/// [`STALE`] may still be in the making elsewhere.
pub(crate) fn sweep(home: &std::path::Path) {
    let entries = std::fs::read_dir(home.join("adapters"));
    for entry in entries.into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        let age = entry
            .metadata()
            .and_then(|m| m.modified())
            .ok()
            .and_then(|at| at.elapsed().ok());
        if ours && age.is_some_and(|age| age > STALE) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes an adapter's folder after its row is gone. A folder that stays behind holds no text and does no harm.
pub(crate) fn remove_files(studio: &Inner, adapter: &AdapterId) {
    let _ = std::fs::remove_dir_all(studio.adapter_dir(adapter));
}

impl Inner {
    /// Where an adapter's files lie.
    pub(crate) fn adapter_dir(&self, id: &AdapterId) -> std::path::PathBuf {
        self.home.join("adapters").join(id.as_str())
    }

    /// Where they lie while they are being written.
    fn unfinished_dir(&self, id: &AdapterId) -> std::path::PathBuf {
        self.home
            .join("adapters")
            .join(format!("{UNFINISHED}{}", id.as_str()))
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
    fn only_old_unfinished_folders_are_swept() {
        let home = tempfile::tempdir().unwrap();
        let folder = |name: &str, old: bool| {
            let path = home.path().join("adapters").join(name);
            std::fs::create_dir_all(&path).unwrap();
            if old {
                let long_ago = std::time::SystemTime::now() - 2 * STALE;
                std::fs::File::open(&path)
                    .and_then(|f| f.set_modified(long_ago))
                    .unwrap();
            }
            path
        };
        let (left, new, kept) = (
            folder(".new-a-1", true),
            folder(".new-a-2", false),
            folder("a-3", true),
        );
        sweep(home.path());
        assert!(!left.exists(), "left behind by a process that was killed");
        assert!(new.exists(), "perhaps being written now");
        assert!(kept.exists(), "a trained voice");
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
