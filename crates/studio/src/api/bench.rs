//! Numbers for scripts: score, bench, demo.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use idiolect_core::vote::Tally;

use super::FileTicket;

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

/// What can be measured beside prompts and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Writing from an empty context and after 2,000 tokens.
    Decode,
    /// Four drafts side by side.
    Drafts,
    /// 90 short texts behind one long prefix.
    Continuations,
    /// Many sentences under two prefixes each.
    Sentences,
}

/// Decoding speed after a context of some length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct DecodeAfter {
    /// Tokens of the context.
    pub after: u32,
    /// Tokens decoded.
    pub tokens: u32,
    /// Per second.
    pub tokens_per_second: f64,
}

/// Drafts that share a prompt, written side by side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct DraftRates {
    /// How many.
    pub drafts: u32,
    /// Tokens of the prompt.
    pub after: u32,
    /// Tokens of each.
    pub tokens: u32,
    /// Tokens of one draft per second when it is written alone.
    pub alone_tokens_per_second: f64,
    /// Tokens of all drafts together per second.
    pub tokens_per_second: f64,
}

/// Short texts scored behind one prefix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct ContinuationTimes {
    /// How many, of 6 to 10 tokens.
    pub continuations: u32,
    /// Tokens of the prefix.
    pub after: u32,
    /// All of them in one call, the prefix included.
    pub packed_seconds: f64,
    /// A call each: the mean of those measured, times all.
    pub separate_seconds: f64,
    /// Calls that were measured for that.
    pub separate_measured: u32,
}

/// Sentences scored under two prefixes each, the log-probability of every token wanted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, TS)]
pub struct SentenceRates {
    /// How many, of 12 to 28 tokens.
    pub sentences: u32,
    /// Tokens run per second, those of the prefixes included.
    pub tokens_per_second: f64,
    /// The same for one text of 512 tokens, all of its logits wanted.
    pub prompt_tokens_per_second: f64,
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
    /// Peak resident set of the process, bytes, before any further workload.
    pub peak_bytes: u64,
    /// [`Workload::Decode`]; empty where not asked for.
    #[serde(default)]
    pub decodes: Vec<DecodeAfter>,
    /// [`Workload::Drafts`].
    #[serde(default)]
    pub drafts: Option<DraftRates>,
    /// [`Workload::Continuations`].
    #[serde(default)]
    pub continuations: Option<ContinuationTimes>,
    /// [`Workload::Sentences`].
    #[serde(default)]
    pub sentences: Option<SentenceRates>,
}

/// What to measure of training; what is left away has the default of `bench train`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct BenchTrainRequest {
    /// Model id.
    pub model: Option<String>,
    /// `sft`, `dpo`, `orpo` or `kto`.
    pub objective: Option<String>,
    /// LoRA rank.
    pub rank: Option<u32>,
    /// Texts, pairs or thumbs a step.
    pub batch: Option<u32>,
    /// Tokens a row.
    pub length: Option<u32>,
    /// Linears trained.
    pub targets: Vec<String>,
    /// Steps, the first of which is not timed.
    pub steps: Option<u32>,
    /// 16-bit products with frozen weights, where the processor has a matrix unit for them.
    pub bf16: bool,
    /// Less memory for more time.
    pub recompute: bool,
    /// Folder to write what another program needs to take the same steps.
    pub record: Option<FileTicket>,
}

/// Speed of training on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct BenchTrainReport {
    /// `sft`, `dpo`, `orpo` or `kto`.
    pub objective: String,
    /// Linears trained.
    pub targets: Vec<String>,
    /// Rows a step.
    pub batch: u32,
    /// Tokens a row.
    pub length: u32,
    /// LoRA rank.
    pub rank: u32,
    /// `f32` or `bf16`.
    pub precision: String,
    /// Whether activations were computed twice to save memory.
    pub recompute: bool,
    /// Training tokens per second; of pairs those of both texts.
    pub tokens_per_second: f64,
    /// Peak resident set of the process, bytes.
    pub peak_bytes: u64,
    /// Wall seconds a step.
    pub seconds_per_step: f64,
    /// The loss of each step.
    pub losses: Vec<f64>,
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
