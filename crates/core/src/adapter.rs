//! Adapters and the training runs that made them.

use serde::{Deserialize, Serialize};

use crate::ids::{AdapterId, ProfileId, RunId, SampleId};

/// Settings of an SFT run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(default)]
pub struct SftSettings {
    /// LoRA rank.
    pub rank: u32,
    /// LoRA alpha; the delta is scaled by alpha / rank.
    pub alpha: f64,
    /// Which linears: any of q, k, v, o, gate, up, down.
    pub targets: Vec<String>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Passes over the training chunks.
    pub epochs: u32,
    /// Rows a step.
    pub batch: u32,
    /// Longest row in tokens.
    pub max_length: u32,
    /// Words a chunk.
    pub chunk_words: u32,
    /// Share of chunks held out, 0-0.5.
    pub held_out: f64,
    /// Seed of everything random in the run.
    pub seed: u64,
    /// Stop when the held-out loss has risen twice and keep the best.
    pub early_stop: bool,
}

impl Default for SftSettings {
    fn default() -> Self {
        // As they carried on the default model with about 2,000 words of a person.
        Self {
            rank: 8,
            alpha: 16.0,
            targets: ["q", "k", "v", "o", "gate", "up", "down"]
                .map(str::to_owned)
                .to_vec(),
            learning_rate: 5e-4,
            epochs: 3,
            batch: 2,
            max_length: 256,
            chunk_words: 120,
            held_out: 0.15,
            seed: 1,
            early_stop: true,
        }
    }
}

/// One point of a loss curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LossPoint {
    /// Optimizer step, from 1 (0 = before training).
    pub step: u32,
    /// Training loss of the step, nats per token; absent at step 0.
    pub loss: Option<f64>,
    /// Held-out loss, nats per token, where it was measured at this step.
    pub held_out: Option<f64>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Training now.
    Running,
    /// Waiting for the person.
    Paused,
    /// Done; the adapter is there.
    Finished,
    /// The person stopped it; the best so far was kept.
    Stopped,
    /// The person discarded it.
    Cancelled,
    /// The program ended in the middle.
    CutShort,
    /// It failed; see `message`.
    Failed,
}

/// One training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Whose profile.
    pub profile: ProfileId,
    /// Base model id.
    pub model: String,
    /// `sft` for now.
    pub objective: String,
    /// Settings.
    pub settings: SftSettings,
    /// Samples it learned from.
    pub samples: Vec<SampleId>,
    /// How it stands.
    pub status: RunStatus,
    /// In words, where something is to be said.
    pub message: String,
    /// Loss curve.
    pub curve: Vec<LossPoint>,
    /// Training tokens per second.
    pub tokens_per_second: f64,
    /// Peak resident memory of the process, bytes.
    pub peak_bytes: u64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// What it made.
    pub adapter: Option<AdapterId>,
    /// RFC 3339, UTC.
    pub started_at: String,
}

/// A trained voice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Adapter {
    /// Its id.
    pub id: AdapterId,
    /// Whose profile.
    pub profile: ProfileId,
    /// A name the person can change.
    pub name: String,
    /// Base model id.
    pub model: String,
    /// SHA-256 of the base model file.
    pub model_sha256: String,
    /// The run that made it.
    pub run: RunId,
    /// Samples it learned from (lineage).
    pub samples: Vec<SampleId>,
    /// Samples of those that were deleted since.
    pub samples_gone: u32,
    /// LoRA rank.
    pub rank: u32,
    /// LoRA alpha.
    pub alpha: f64,
    /// Held-out loss of the base model, nats per token.
    pub base_held_out: Option<f64>,
    /// Held-out loss with the adapter, nats per token.
    pub own_held_out: Option<f64>,
    /// Size on disk, bytes.
    pub bytes: u64,
    /// RFC 3339, UTC.
    pub created_at: String,
}
