//! How fast a model reads, writes and scores on this machine.
//!
//! All tokens are given and come from [`token_ids`]: `tests/bench/llama_cpp.py` draws the same ones, so that two engines do
//! the same work. What a workload is made of is described in docs/benchmarks.md; it changes in both places or in none.

use std::time::Instant;

use idiolect_core::UserError;
use idiolect_engine::{LoadOptions, LoadedModel};
use idiolect_llm::{Cancel, ScoreRequest, TextModel, Token};

use crate::{
    api::{
        BenchReport, ContinuationTimes, DecodeAfter, DecodeRate, DraftRates, PrefillRate, Response,
        SentenceRates, Workload,
    },
    context::Ctx,
    errors::{Told, usage},
    process,
};

/// What is to be measured; absent: the defaults.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Threads of the processor.
    pub threads: Option<u32>,
    /// Prompt lengths in tokens.
    pub prompts: Vec<u32>,
    /// Tokens written.
    pub decode: Option<u32>,
    /// Beside prompts and writing after the longest.
    pub workloads: Vec<Workload>,
    /// Sentences of [`Workload::Sentences`].
    pub sentences: Option<u32>,
}

/// Contexts that [`Workload::Decode`] writes after, in tokens; the prompts' longest is always measured.
const CONTEXTS: [usize; 2] = [0, 2_000];
/// Drafts side by side.
const DRAFTS: usize = 4;
/// Tokens of the prompt that drafts share, and of the one whose logits are all wanted.
const PROMPT: usize = 512;
/// Texts scored behind one prefix: one a dimension.
const CONTINUATIONS: usize = 90;
/// Tokens of that prefix.
const LONG_PREFIX: usize = 1_500;
/// Calls of one continuation that are measured; all of them would take minutes.
const SEPARATE_CALLS: usize = 2;
/// Tokens of a sentence's prefix.
const SHORT_PREFIX: usize = 40;
/// Sentences behind one prefix, about.
const SENTENCES_A_PREFIX: usize = 22;

pub(crate) fn bench(
    ctx: &mut Ctx,
    model: Option<&str>,
    wanted: &Wanted,
) -> Result<Response, UserError> {
    let prompts = if wanted.prompts.is_empty() {
        vec![128, 512]
    } else {
        wanted.prompts.clone()
    };
    let decode = wanted.decode.unwrap_or(64);
    let sentences = wanted.sentences.unwrap_or(2_000);
    let longest = prompts.iter().copied().max().unwrap_or(0);
    if prompts.contains(&0)
        || decode == 0
        || longest.saturating_add(decode) > 100_000
        || !(1..=100_000).contains(&sentences)
    {
        return Err(usage(
            "Prompts, tokens to write and sentences must be at least 1, and not beyond 100,000.",
            "The defaults are 128,512, 64 and 2000.",
        ));
    }
    ctx.start_job("Measuring speed", false);
    let file = ctx.studio.models.ready_named(ctx, model)?;
    let options = LoadOptions {
        threads: wanted.threads.map(|n| n as usize),
        ..crate::status::load_options(ctx.studio)?
    };
    let threads = options
        .threads
        .unwrap_or_else(idiolect_engine::default_threads);
    // Loaded afresh, so that loading is measured and the threads are those asked for.
    let loading = Instant::now();
    let opened = ctx.studio.models.opened(&file)?;
    let loaded =
        crate::models::marked(ctx, &file.path, || opened.load(&file.id, &options))?.told()?;
    let load_seconds = loading.elapsed().as_secs_f64();
    let run = Run {
        vocabulary: loaded.info().vocabulary,
        model: &loaded,
        cancel: ctx.cancel().clone(),
    };
    // Warms up with what is measured: pages of the file, buffers, the processor's clock.
    run.decode_rate(longest as usize, 1, decode.min(16) as usize)?;
    let mut prefill = Vec::new();
    for &n in &prompts {
        prefill.push(PrefillRate {
            tokens: n,
            tokens_per_second: run.prompt_rate(n as usize)?,
        });
    }
    let mut report = BenchReport {
        device: loaded.info().device.label.clone(),
        device_why: loaded.info().device.why.clone(),
        model: file.id,
        threads: threads as u32,
        prefill,
        decode: DecodeRate {
            tokens: decode,
            tokens_per_second: run.decode_rate(longest as usize, 1, decode as usize)?,
        },
        load_seconds,
        peak_bytes: process::peak_bytes(),
        decodes: Vec::new(),
        drafts: None,
        continuations: None,
        sentences: None,
    };
    for workload in [
        Workload::Decode,
        Workload::Drafts,
        Workload::Continuations,
        Workload::Sentences,
    ] {
        if !wanted.workloads.contains(&workload) {
            continue;
        }
        match workload {
            Workload::Decode => {
                for after in CONTEXTS {
                    report.decodes.push(DecodeAfter {
                        after: after as u32,
                        tokens: decode,
                        tokens_per_second: run.decode_rate(after, 1, decode as usize)?,
                    });
                }
            }
            Workload::Drafts => report.drafts = Some(run.drafts(decode)?),
            Workload::Continuations => report.continuations = Some(run.continuations()?),
            Workload::Sentences => report.sentences = Some(run.sentences(sentences as usize)?),
        }
    }
    Ok(Response::Bench { report })
}

/// Ids that look drawn and are the same everywhere: a linear congruence, its upper bits.
fn token_ids(seed: usize, count: usize, vocabulary: usize) -> Vec<Token> {
    let mut state = seed as u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary as u64) as Token
    };
    (0..count).map(|_| next()).collect()
}

/// A loaded model that is being measured.
struct Run<'a> {
    model: &'a LoadedModel,
    vocabulary: usize,
    cancel: Cancel,
}

impl Run<'_> {
    fn ids(&self, seed: usize, count: usize) -> Vec<Token> {
        token_ids(seed, count, self.vocabulary)
    }

    /// Tokens a second of a prompt, the logits after it included.
    fn prompt_rate(&self, tokens: usize) -> Result<f64, UserError> {
        let timing = self
            .model
            .time(&self.ids(tokens, tokens), &[], &self.cancel)
            .told()?;
        Ok(tokens as f64 / timing.prompt_seconds.max(1e-9))
    }

    /// Tokens a second of all drafts together, after a prompt they share.
    fn decode_rate(&self, after: usize, drafts: usize, tokens: usize) -> Result<f64, UserError> {
        let steps: Vec<Vec<Token>> = (0..tokens).map(|i| self.ids(1_000 + i, drafts)).collect();
        let timing = self
            .model
            .time(&self.ids(after, after), &steps, &self.cancel)
            .told()?;
        Ok((tokens * drafts) as f64 / timing.step_seconds.max(1e-9))
    }

    fn drafts(&self, tokens: u32) -> Result<DraftRates, UserError> {
        Ok(DraftRates {
            drafts: DRAFTS as u32,
            after: PROMPT as u32,
            tokens,
            alone_tokens_per_second: self.decode_rate(PROMPT, 1, tokens as usize)?,
            tokens_per_second: self.decode_rate(PROMPT, DRAFTS, tokens as usize)?,
        })
    }

    fn score_seconds(&self, requests: &[ScoreRequest]) -> Result<f64, UserError> {
        let started = Instant::now();
        let scored = self.model.score(requests, &self.cancel).told()?;
        std::hint::black_box(scored);
        Ok(started.elapsed().as_secs_f64())
    }

    fn continuations(&self) -> Result<ContinuationTimes, UserError> {
        let request = ScoreRequest {
            prefix: self.ids(LONG_PREFIX, LONG_PREFIX),
            continuations: (0..CONTINUATIONS)
                .map(|i| self.ids(2_000 + i, 6 + i % 5))
                .collect(),
            adapters: Vec::new(),
            steer: Vec::new(),
        };
        let packed_seconds = self.score_seconds(std::slice::from_ref(&request))?;
        let mut separate = 0.0;
        for one in &request.continuations[..SEPARATE_CALLS] {
            separate += self.score_seconds(&[ScoreRequest {
                continuations: vec![one.clone()],
                ..request.clone()
            }])?;
        }
        Ok(ContinuationTimes {
            continuations: CONTINUATIONS as u32,
            after: LONG_PREFIX as u32,
            packed_seconds,
            separate_seconds: separate / SEPARATE_CALLS as f64 * CONTINUATIONS as f64,
            separate_measured: SEPARATE_CALLS as u32,
        })
    }

    fn sentences(&self, count: usize) -> Result<SentenceRates, UserError> {
        let requests = self.sentence_requests(count);
        // Warms up.
        self.score_seconds(&requests[..1])?;
        let seconds = self.score_seconds(&requests)?;
        let all_logits = ScoreRequest {
            // The last token of a text is not run: nothing follows it.
            continuations: vec![self.ids(PROMPT, PROMPT + 1)],
            ..ScoreRequest::default()
        };
        let prompt_seconds = self.score_seconds(&[all_logits])?;
        Ok(SentenceRates {
            sentences: count as u32,
            tokens_per_second: rows(&requests) as f64 / seconds.max(1e-9),
            prompt_tokens_per_second: PROMPT as f64 / prompt_seconds.max(1e-9),
        })
    }

    /// Every sentence stands under the two prefixes of its pair, beside the pair's other sentences.
    fn sentence_requests(&self, count: usize) -> Vec<ScoreRequest> {
        let pairs = (count / SENTENCES_A_PREFIX).max(1);
        let sentences: Vec<Vec<Token>> = (0..count)
            .map(|i| self.ids(5_000 + i, 12 + i % 17))
            .collect();
        (0..2 * pairs)
            .map(|i| ScoreRequest {
                prefix: self.ids(3_000 + i, SHORT_PREFIX),
                continuations: sentences
                    .iter()
                    .skip(i / 2)
                    .step_by(pairs)
                    .cloned()
                    .collect(),
                adapters: Vec::new(),
                steer: Vec::new(),
            })
            .collect()
    }
}

/// Tokens that scoring runs through the model: the last of a text is only looked up.
fn rows(requests: &[ScoreRequest]) -> usize {
    requests
        .iter()
        .map(|r| r.prefix.len() + r.continuations.iter().map(|c| c.len() - 1).sum::<usize>())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_ones_the_peer_draws() {
        assert_eq!(token_ids(1, 4, 49_152), PEER_IDS);
    }

    /// `token_ids(1, 4, 49152)` of tests/bench/llama_cpp.py.
    const PEER_IDS: [Token; 4] = [14294, 17241, 12492, 27366];

    #[test]
    fn every_token_that_is_run_is_counted() {
        let request = ScoreRequest {
            prefix: vec![1; 40],
            continuations: vec![vec![2; 12], vec![3; 20]],
            adapters: Vec::new(),
            steer: Vec::new(),
        };
        assert_eq!(rows(&[request.clone(), request]), 2 * (40 + 11 + 19));
    }
}
