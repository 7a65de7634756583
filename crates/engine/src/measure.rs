//! How fast a model is on this machine: prompts and steps with nothing drawn, so that no token ends a text early.

use std::time::Instant;

use candle_core::Tensor;
use idiolect_llm::{Cancel, LlmError, Result, Token};

use crate::{
    decoder::{Sequence, Wanted},
    kv::KvCache,
    model::{GENERATE_PRECISION, LoadedModel},
    values::{failed, read},
};

/// Seconds that a prompt and steps took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// The prompt, the logits after it included.
    pub prompt_seconds: f64,
    /// All steps; a step runs one token of every draft and gives the logits after it.
    pub step_seconds: f64,
}

impl LoadedModel {
    /// Runs `prompt`, which may be empty, and then steps of drafts that share it, as drafts are written: `steps[i][j]` is
    /// the token that draft j runs at step i. Tokens are given, so that another engine can be timed with the same ones and
    /// no end of turn ends a draft.
    ///
    /// # Errors
    /// Steps of unequal width, a token beyond the vocabulary; cancelled, context full, device.
    pub fn time(&self, prompt: &[Token], steps: &[Vec<Token>], cancel: &Cancel) -> Result<Timing> {
        let drafts = steps.first().map_or(1, Vec::len);
        if drafts == 0 || steps.iter().any(|step| step.len() != drafts) {
            return Err(LlmError::Failed(
                "every step needs one token of every draft".into(),
            ));
        }
        self.context_full(prompt.len() + steps.len())?;
        self.known_tokens(prompt)?;
        steps.iter().try_for_each(|step| self.known_tokens(step))?;
        self.with_team(|| {
            let started = Instant::now();
            let mut first = self
                .decoder()
                .cache(prompt.len() + steps.len())
                .map_err(failed)?;
            if let Some(logits) = self.run_prompt(&mut first, prompt, (&[], &[]), cancel)? {
                look(&logits)?;
            }
            cancel.check()?;
            let prompt_seconds = started.elapsed().as_secs_f64();
            let mut caches: Vec<KvCache> = (1..drafts)
                .map(|_| first.fork(prompt.len()).map_err(failed))
                .collect::<Result<_>>()?;
            caches.push(first);
            let started = Instant::now();
            for step in steps {
                cancel.check()?;
                let mut sequences: Vec<Sequence<'_>> = caches
                    .iter_mut()
                    .zip(step.chunks(1))
                    .map(|(cache, token)| Sequence {
                        wanted: Wanted::Last,
                        ..Sequence::new(cache, token)
                    })
                    .collect();
                look(&self.step(&mut sequences, GENERATE_PRECISION)?)?;
            }
            Ok(Timing {
                prompt_seconds,
                step_seconds: started.elapsed().as_secs_f64(),
            })
        })
    }
}

/// Looks at logits where a sampler would read them.
fn look(logits: &Tensor) -> Result<()> {
    read(logits, |logits| {
        std::hint::black_box(logits);
    })
    .map_err(failed)
}
