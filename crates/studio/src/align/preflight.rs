//! Before a training: what it would learn from, and whether this machine can do it.

use idiolect_core::{UserError, ids::ProfileId, training::TrainSettings};
use idiolect_engine::{Engine, TrainingShape};
use idiolect_llm::TextModel;
use idiolect_train::{Example, Settings, steps_of};

use super::{FEWEST_WORDS, lessons, lessons::Lessons, train_settings};
use crate::{
    api::{Preflight, Response},
    context::Ctx,
    errors::Told,
    models::Writer,
    process,
};

pub(crate) fn preflight(
    ctx: &mut Ctx,
    profile: &ProfileId,
    settings: &TrainSettings,
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

pub(super) fn speed_key(writer: &Writer) -> String {
    format!("train_tokens_per_second:{}", writer.file.sha256)
}

fn measured_speed(ctx: &Ctx, writer: &Writer) -> Result<Option<f64>, UserError> {
    let speed: Option<f64> = ctx.studio.store.setting(&speed_key(writer)).told()?;
    Ok(speed.filter(|s| *s > 0.0))
}
