//! Before a training: what it would learn from, whether this machine can do it, and what it could do instead.

use idiolect_core::{
    UserError,
    ids::ProfileId,
    training::{BriefSource, Objective, TrainSettings},
};
use idiolect_engine::{Engine, Estimate, Level, TrainingShape};
use idiolect_llm::TextModel;
use idiolect_train::{Control, Lessons as Learned, Task, Update};

use super::{
    FEWEST_PREFERENCES, FEWEST_WORDS, demonstrations, ladder::ladder, lessons, lessons::Lessons,
    playback, run, train_settings,
};
use crate::{
    api::{Preflight, Response},
    context::{Ctx, Pace},
    errors::{Told, not_enough},
    models::Writer,
    process,
};

/// Steps of a measurement.
const STEPS: u32 = 3;
/// Measurements of the held-out loss and writing take about this much beside the steps.
const BESIDE: f64 = 1.15;
/// Recomputation does the forward pass again: of about three parts, a fourth.
const RECOMPUTED: f64 = 4.0 / 3.0;

pub(crate) fn preflight(
    ctx: &mut Ctx,
    profile: &ProfileId,
    settings: &TrainSettings,
    model: Option<&str>,
) -> Result<Response, UserError> {
    let writer = ctx.studio.models.writer(ctx, model)?;
    let lessons = lessons(ctx, &writer, profile, settings, false)?;
    let preflight = said(ctx, &writer, profile, settings, &lessons)?;
    Ok(Response::Preflight { preflight })
}

/// The same after three real steps on a voice that is thrown away, which say how long the whole will take.
pub(crate) fn measure(
    ctx: &mut Ctx,
    profile: &ProfileId,
    settings: &TrainSettings,
    model: Option<&str>,
) -> Result<Response, UserError> {
    ctx.start_job("Measuring three steps", false);
    let writer = ctx.studio.models.writer(ctx, model)?;
    let lessons = lessons(ctx, &writer, profile, settings, false)?;
    if lessons.train.is_empty() {
        return Err(nothing(settings));
    }
    let train = train_settings(settings, &lessons.train)?;
    let pace = Pace::new(u64::from(STEPS), "steps");
    let mut speed = 0.0;
    let control = ctx.control().cloned();
    let studio = ctx.studio;
    let mut follow = |update: Update| {
        ctx.emit(pace.at(
            u64::from(update.point.step.min(STEPS)),
            "Measuring three steps",
        ));
        if update.seconds > 0.0 {
            speed = update.tokens as f64 / update.seconds;
        }
        let stop = control.as_ref().is_some_and(|c| c.cancel.is_cancelled());
        if stop || update.point.step >= STEPS {
            Control::Cancel
        } else {
            Control::Continue
        }
    };
    let task = Task {
        model: &writer.model,
        lessons: Learned::Fixed(&lessons.train),
        held_out: &[],
        settings: &train,
        from: None,
        checkpoints: None,
    };
    {
        let _turn = crate::lock(&studio.jobs.model_turn);
        idiolect_train::run(task, &mut follow).told()?;
    }
    ctx.check()?;
    keep_speed(ctx, &writer, settings, speed);
    let preflight = said(ctx, &writer, profile, settings, &lessons)?;
    Ok(Response::Preflight { preflight })
}

fn said(
    ctx: &Ctx,
    writer: &Writer,
    profile: &ProfileId,
    settings: &TrainSettings,
    lessons: &Lessons,
) -> Result<Preflight, UserError> {
    let store = &ctx.studio.store;
    let train = train_settings(settings, &lessons.train)?;
    let speed = measured_speed(ctx, writer, settings)?;
    // 6 × parameters floating-point operations a token, a third of them spared, at about 100 GFLOP/s, until a run has
    // measured it here.
    let guess = 100e9 / (4.0 * writer.model.info().parameters.max(1) as f64);
    let mut tokens = lessons.tokens() as f64 * f64::from(settings.epochs);
    if settings.objective == Objective::Ditto {
        tokens += demonstrations::tokens_beside(&lessons.train, &train) as f64;
    }
    let seconds = tokens / speed.unwrap_or(guess) * BESIDE;
    let seconds_of = |rung: &TrainSettings| {
        if rung.recompute && !settings.recompute {
            seconds * RECOMPUTED
        } else {
            seconds
        }
    };
    let estimate = Engine::estimate(&writer.file.path).told()?;
    let bytes_of = |rung: &TrainSettings| needed_bytes(&estimate, rung, settings, lessons);
    let free = process::free_bytes();
    let ladder = ladder(settings, free, bytes_of, seconds_of);
    let found = &lessons.found;
    let too_little = too_little(settings, lessons).unwrap_or_default();
    let all_samples = store.samples(profile).told()?.len();
    let mut advice = advice(settings, lessons, all_samples);
    if settings.briefs == BriefSource::Model && !playback::can_write(&*writer.model) {
        advice.push(
            "This model is too small to write briefs that say more than counted ones: those are used.".to_owned(),
        );
    }
    if !ladder[0].fits {
        advice.push(match ladder.iter().find(|rung| rung.fits) {
            Some(_) => "This needs more memory than is free. The settings below that fit are ready to be taken; closing other programs helps, too.".to_owned(),
            None => "This needs more memory than is free, and so do smaller settings: close other programs, or choose a smaller model.".to_owned(),
        });
    }
    Ok(Preflight {
        samples: lessons.samples.len() as u32,
        words: lessons.words,
        train_chunks: lessons.train.len() as u32,
        held_out_chunks: lessons.held_out.len() as u32,
        held_out_samples: lessons.held_out_samples.clone(),
        tokens: lessons.tokens(),
        duplicates: lessons.duplicates,
        votes: found.votes,
        retests: found.retests,
        edits: found.edits,
        thumbs_up: found.thumbs.0,
        thumbs_down: found.thumbs.1,
        preferences: found.preferences.len() as u32,
        briefs_written: lessons.briefs_written,
        briefs_missing: lessons.briefs_missing,
        needed_bytes: ladder[0].needed_bytes,
        free_bytes: free,
        seconds,
        measured: speed.is_some(),
        ready: too_little.is_empty() && !lessons.train.is_empty(),
        too_little,
        advice,
        settings_in_words: in_words(settings, lessons)?,
        ladder,
    })
}

/// Why the person has to insist, where there is something to learn from but little.
pub(super) fn too_little(settings: &TrainSettings, lessons: &Lessons) -> Option<String> {
    if lessons.train.is_empty() {
        return None;
    }
    let preferences = lessons.train.len() + lessons.held_out.len();
    if settings.objective.uses_preferences() {
        (preferences < FEWEST_PREFERENCES).then(|| {
            format!(
                "{preferences} preferences say little: with fewer than {FEWEST_PREFERENCES}, expect chance to be learned."
            )
        })
    } else {
        (lessons.words < FEWEST_WORDS).then(|| {
            format!(
                "{} words say little: with fewer than {FEWEST_WORDS}, expect a few phrases to be learned, not a voice.",
                lessons.words
            )
        })
    }
}

/// The refusal of a training with nothing to learn from.
pub(super) fn nothing(settings: &TrainSettings) -> UserError {
    if settings.objective.uses_preferences() {
        not_enough(
            "There is nothing to learn a preference from yet.",
            "Vote between drafts, correct some, or give them thumbs in Compare.",
        )
    } else {
        not_enough(
            "There is no text in English of at least 20 words to learn from.",
            "Add samples.",
        )
    }
}

fn advice(settings: &TrainSettings, lessons: &Lessons, all_samples: usize) -> Vec<String> {
    let mut advice = Vec::new();
    if lessons.train.is_empty() {
        let error = nothing(settings);
        advice.push(format!("{} {}", error.message, error.hint));
    }
    if settings.objective.uses_preferences() {
        if lessons.found.thumbs.0 + lessons.found.thumbs.1 > 2 * lessons.found.thumb_pairs
            && settings.objective != Objective::Kto
        {
            advice.push(
                "Thumbs count here only where one draft of a brief has one up and another one down; training on single thumbs takes them all.".to_owned(),
            );
        }
    } else {
        if lessons.words < FEWEST_WORDS && !lessons.train.is_empty() {
            advice.push(format!(
                "Little to learn from: about {} more words would be good.",
                FEWEST_WORDS - lessons.words
            ));
        } else if lessons.words < 1500 && !lessons.train.is_empty() {
            advice.push(
                "With under 1,500 words, expect habits of punctuation and length, not a whole voice."
                    .to_owned(),
            );
        }
        if lessons.samples.len() < all_samples {
            advice.push(format!(
                "{} of {all_samples} samples are left out: too short, twice there, or not in English.",
                all_samples - lessons.samples.len()
            ));
        }
    }
    if lessons.without_room > 0 {
        advice.push(format!(
            "{} texts are left out, as their prompt alone fills the longest row: allow longer rows.",
            lessons.without_room
        ));
    }
    if lessons.cut > 0 {
        advice.push(format!(
            "{} texts lose their last words to the longest row: allow longer rows or fewer words a passage.",
            lessons.cut
        ));
    }
    if lessons.held_out.is_empty() && !lessons.train.is_empty() {
        advice.push(
            "Nothing can be held out, so training cannot tell when to stop by itself.".to_owned(),
        );
    }
    if lessons.briefs_missing > 0 {
        advice.push(format!(
            "The model first writes a brief for {} texts, which takes a while once.",
            lessons.briefs_missing
        ));
    }
    advice
}

fn in_words(settings: &TrainSettings, lessons: &Lessons) -> Result<Vec<String>, UserError> {
    let steps = run::steps(settings, &lessons.train)?;
    let what = match settings.objective {
        Objective::Sft => "Learns to write your texts.",
        Objective::Ditto => {
            "Learns to write your texts, then to prefer them to its own drafts of the same."
        }
        Objective::Dpo => "Learns to prefer what you preferred, held to the model it starts from.",
        Objective::Orpo => "Learns what you preferred and to prefer it, in one.",
        Objective::Kto => "Learns from single texts that you liked or did not.",
    };
    let rows = settings.batch * settings.accumulate;
    let mut words = vec![
        what.to_owned(),
        format!(
            "{} passes, {rows} at a time: {steps} steps.",
            settings.epochs
        ),
        format!(
            "A small addition (rank {}) to {} kinds of weights in every layer; the model itself stays as it is.",
            settings.rank,
            settings.targets.len()
        ),
        if settings.early_stop {
            "Stops by itself when what it does not learn from gets worse, and keeps the best."
                .to_owned()
        } else {
            "Runs to the end, and keeps the best.".to_owned()
        },
    ];
    if settings.method != idiolect_core::draft::Method::base() {
        words.push(format!(
            "Prompts in training hold what “{}” puts into them; writing with this voice does the same.",
            settings.method
        ));
    }
    Ok(words)
}

/// Beside the model, which is loaded: the engine's estimate for the longest pass, without the weights.
fn needed_bytes(
    estimate: &Estimate,
    rung: &TrainSettings,
    asked: &TrainSettings,
    lessons: &Lessons,
) -> u64 {
    let Ok(settings) = train_settings(rung, &lessons.train) else {
        return 0;
    };
    // Shorter rows are made anew; until then they are taken to shrink alike.
    let longest = lessons.longest(rung.batch as usize);
    let tokens =
        longest * rung.max_length.min(asked.max_length) as usize / asked.max_length.max(1) as usize;
    let shape = TrainingShape {
        tokens,
        lora: settings.lora,
        recompute: rung.recompute,
    };
    estimate.training(&shape).saturating_sub(estimate.weights)
}

/// What a speed was measured of: the model, what a step does, and what the processor can.
fn speed_key(writer: &Writer, settings: &TrainSettings) -> String {
    let level = Level::detect().map_or_else(|_| "unknown".to_owned(), |l| format!("{l:?}"));
    format!(
        "train_speed:{}:{}:r{}:{}:b{}:l{}:{:?}:{}:{level}",
        writer.file.sha256,
        settings.objective.as_str(),
        settings.rank,
        settings.targets.join(","),
        settings.batch,
        settings.max_length,
        settings.precision,
        if settings.recompute { "twice" } else { "once" },
    )
}

/// Only an estimate for next time: nothing is lost where it cannot be kept.
pub(super) fn keep_speed(ctx: &Ctx, writer: &Writer, settings: &TrainSettings, speed: f64) {
    for key in [speed_key(writer, settings), any_speed_key(writer)] {
        let _ = ctx.studio.store.set_setting(&key, &speed);
    }
}

/// The last speed of any training on the model: better than a guess.
fn any_speed_key(writer: &Writer) -> String {
    format!("train_tokens_per_second:{}", writer.file.sha256)
}

fn measured_speed(
    ctx: &Ctx,
    writer: &Writer,
    settings: &TrainSettings,
) -> Result<Option<f64>, UserError> {
    for key in [speed_key(writer, settings), any_speed_key(writer)] {
        let speed: Option<f64> = ctx.studio.store.setting(&key).told()?;
        if let Some(speed) = speed.filter(|s| *s > 0.0) {
            return Ok(Some(speed));
        }
    }
    Ok(None)
}
