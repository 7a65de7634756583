//! Numbers for scripts: score, bench, demo.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use idiolect_core::vote::Tally;

/// Log-probabilities of a text in one unbroken context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ScoreReport {
    /// Model id.
    pub model: String,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// `log_probs[i]`, natural log, is of token i+1 given 0..i.
    pub log_probs: Vec<f32>,
    /// Mean negative log-probability, nats per token.
    pub nll_per_token: f64,
    /// exp of that.
    pub perplexity: f64,
}

/// Prompt speed at one length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct PrefillRate {
    /// Prompt tokens.
    pub tokens: u32,
    /// Per second.
    pub tokens_per_second: f64,
}

/// Decoding speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct DecodeRate {
    /// Tokens decoded after the longest prompt.
    pub tokens: u32,
    /// Per second.
    pub tokens_per_second: f64,
}

/// Speed of a model on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct BenchReport {
    /// Model id.
    pub model: String,
    /// Threads used.
    pub threads: u32,
    /// Device and instruction level in words.
    pub device: String,
    /// Why this device, and why not a better one.
    pub device_why: String,
    /// One a prompt length.
    pub prefill: Vec<PrefillRate>,
    /// Decoding after the longest prompt.
    pub decode: DecodeRate,
    /// Seconds to load.
    pub load_seconds: f64,
    /// Peak resident set of the process, bytes.
    pub peak_bytes: u64,
}

/// Speed of training on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct BenchTrainReport {
    /// `sft`.
    pub objective: String,
    /// Linears trained.
    pub targets: Vec<String>,
    /// Rows a step.
    pub batch: u32,
    /// Tokens a row.
    pub length: u32,
    /// LoRA rank.
    pub rank: u32,
    /// Training tokens per second.
    pub tokens_per_second: f64,
    /// Peak resident set of the process, bytes.
    pub peak_bytes: u64,
    /// Wall seconds a step.
    pub seconds_per_step: f64,
}

/// Held-out bits per token of one author under four conditions; lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct DemoBits {
    /// The bare model.
    pub base: f64,
    /// With own excerpts in the context.
    pub excerpts: f64,
    /// With the author's own adapter.
    pub own: f64,
    /// With the other author's adapter: the control.
    pub other: f64,
}

/// One author of the demo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct DemoAuthor {
    /// Fictional name.
    pub name: String,
    /// Held-out bits per token.
    pub bits_per_token: DemoBits,
}

/// The whole journey, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct DemoReport {
    /// Wall time, transfers not counted.
    pub seconds: f64,
    /// Both authors.
    pub authors: Vec<DemoAuthor>,
    /// The blind re-test by a simulated voter.
    pub retest: DemoRetest,
}

/// The demo's blind re-test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct DemoRetest {
    /// Wins of the adapter, ties one half.
    pub wins: f64,
    /// Votes.
    pub n: u32,
    /// 95 % of the share won.
    pub interval: idiolect_core::Interval,
    /// The simulated voter's rule, named as such.
    pub rule: String,
    /// In full.
    pub tally: Tally,
}
