//! How fast a model is on this machine: prompts and steps with nothing drawn, so that no token ends a text early.

use std::time::Instant;

use idiolect_llm::{Cancel, LlmError, Result, Token};

use crate::{
    decoder::{Sequence, Wanted},
    generate::PROMPT_ROWS,
    kv::KvCache,
    model::{GENERATE_PRECISION, LoadedModel, PROMPT_PRECISION},
    values::failed,
};

/// Seconds that prompts and steps took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// All prompts together, the logits after each included.
    pub prompt_seconds: f64,
    /// All steps; a step writes one token of every text.
    pub step_seconds: f64,
}

impl LoadedModel {
    /// Runs `prompts` one after another and then `steps` steps of all of them together, as drafts are written. Each step's
    /// token is the likeliest one, end of turn or not.
    ///
    /// # Errors
    /// Cancelled, context full, device.
    pub fn time(&self, prompts: &[Vec<Token>], steps: usize, cancel: &Cancel) -> Result<Timing> {
        for prompt in prompts {
            self.context_full(prompt.len() + steps)?;
            self.known_tokens(prompt)?;
            if prompt.is_empty() {
                return Err(LlmError::Failed("an empty prompt".into()));
            }
        }
        self.with_team(|| {
            let started = Instant::now();
            let mut caches: Vec<KvCache> = Vec::with_capacity(prompts.len());
            let mut next: Vec<Token> = Vec::with_capacity(prompts.len());
            for prompt in prompts {
                cancel.check()?;
                let mut cache = self.decoder().cache(prompt.len() + steps).map_err(failed)?;
                next.push(self.run_prompt(&mut cache, prompt)?);
                caches.push(cache);
            }
            let prompt_seconds = started.elapsed().as_secs_f64();
            let started = Instant::now();
            for _ in 0..steps {
                cancel.check()?;
                let mut sequences: Vec<Sequence<'_>> = caches
                    .iter_mut()
                    .zip(&next)
                    .map(|(cache, token)| sequence(cache, std::slice::from_ref(token)))
                    .collect();
                let logits = self.step(&mut sequences, GENERATE_PRECISION)?;
                next = likeliest(&logits.to_vec2().map_err(failed)?);
            }
            Ok(Timing {
                prompt_seconds,
                step_seconds: started.elapsed().as_secs_f64(),
            })
        })
    }

    fn run_prompt(&self, cache: &mut KvCache, prompt: &[Token]) -> Result<Token> {
        let mut next = 0;
        for tokens in prompt.chunks(PROMPT_ROWS) {
            let logits = self.step(&mut [sequence(cache, tokens)], PROMPT_PRECISION)?;
            next = likeliest(&logits.to_vec2().map_err(failed)?)[0];
        }
        Ok(next)
    }
}

fn sequence<'a>(cache: &'a mut KvCache, tokens: &'a [Token]) -> Sequence<'a> {
    Sequence {
        wanted: Wanted::Last,
        ..Sequence::new(cache, tokens)
    }
}

fn likeliest(logits: &[Vec<f32>]) -> Vec<Token> {
    let best = |row: &Vec<f32>| {
        row.iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(token, _)| token as Token)
    };
    logits.iter().map(best).collect()
}
