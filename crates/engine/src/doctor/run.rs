//! A short computation: a sentence is scored and a few tokens are drawn.

use std::path::Path;

use idiolect_core::draft::Sampling;
use idiolect_llm::{Cancel, GenerateRequest, LlmError, Result, ScoreRequest, TextModel, Token};

use super::{Check, FETCH_AGAIN, REFUSED, sentence};
use crate::model::{Engine, LoadOptions, LoadedModel};

const NAME: &str = "forward pass";
const SENTENCE: &str = "The weather was fine, so we walked to the sea and back.";
/// Tokens drawn.
const DRAWN: u32 = 4;
/// Nats a token beyond those of drawing tokens by lot: a whole model is far below, a random one about there.
const WORSE_THAN_CHANCE: f64 = 3.0;

/// Loads the file and computes with it. Also the device's words, where it could be loaded.
///
/// # Errors
/// [`LlmError::Cancelled`], [`LlmError::OutOfMemory`], [`LlmError::Io`]: nothing was found out about the file.
pub fn try_out(
    path: &Path,
    options: &LoadOptions,
    cancel: &Cancel,
) -> Result<(Check, Option<idiolect_llm::DeviceChoice>)> {
    let model = match Engine::load_with(path, "doctor", options) {
        Ok(model) => model,
        Err(error @ (LlmError::Cancelled | LlmError::OutOfMemory(_) | LlmError::Io(_))) => {
            return Err(error);
        }
        Err(error) => {
            return Ok((
                Check::broken(NAME, sentence(&error), REFUSED, FETCH_AGAIN),
                None,
            ));
        }
    };
    let device = Some(model.info().device.clone());
    let found = match compute(&model, cancel) {
        Err(error @ (LlmError::Cancelled | LlmError::OutOfMemory(_))) => return Err(error),
        Err(error) => Err(sentence(&error)),
        Ok(found) => Ok(found),
    };
    Ok((judged(found, model.info().vocabulary), device))
}

/// Mean negative log-probability of the sentence, and of the drawn tokens.
fn compute(model: &LoadedModel, cancel: &Cancel) -> Result<[f64; 2]> {
    let tokens: Vec<Token> = model
        .bos()
        .into_iter()
        .chain(model.encode(SENTENCE)?)
        .take(model.info().context)
        .collect();
    let request = ScoreRequest {
        prefix: Vec::new(),
        continuations: vec![tokens.clone()],
        adapters: Vec::new(),
        steer: Vec::new(),
    };
    let scored = model.score(&[request], cancel)?;
    let request = GenerateRequest {
        prompt: tokens[..tokens
            .len()
            .min(model.info().context.saturating_sub(DRAWN as usize + 1))
            .max(1)]
            .to_vec(),
        sampling: Sampling {
            temperature: 0.0,
            max_tokens: DRAWN,
            ..Sampling::default()
        },
        adapters: Vec::new(),
        steer: Vec::new(),
        against: None,
        constraint: None,
    };
    let drawn = model.generate(&[request], cancel, &mut |_, _| {})?;
    let mean = |values: &[f32]| {
        -values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len().max(1) as f64
    };
    let scored: Vec<f32> = scored.into_iter().flatten().flatten().collect();
    Ok([mean(&scored), mean(&drawn[0].log_probs)])
}

fn judged(found: std::result::Result<[f64; 2], String>, vocabulary: usize) -> Check {
    const NONSENSE: &str = "Whatever it computes is nonsense.";
    let [scored, drawn] = match found {
        Err(why) => return Check::broken(NAME, why, NONSENSE, FETCH_AGAIN),
        Ok(found) => found,
    };
    if !scored.is_finite() || !drawn.is_finite() {
        let found = "It computes values that are no numbers.";
        return Check::broken(NAME, found, NONSENSE, FETCH_AGAIN);
    }
    if scored > (vocabulary as f64).ln() + WORSE_THAN_CHANCE {
        return Check::warning(
            NAME,
            format!(
                "It predicts a plain English sentence worse than chance ({scored:.1} nats a token)."
            ),
            "Its weights are damaged, wrongly converted, or it was never trained on English.",
            FETCH_AGAIN,
        );
    }
    Check::ok(
        NAME,
        format!("A sentence takes {scored:.2} nats a token, and {DRAWN} more tokens were drawn."),
    )
}
