//! Adapters and the training runs that made them.

use serde::{Deserialize, Serialize};

use crate::{
    Interval,
    draft::Method,
    ids::{AdapterId, DraftId, PairId, ProfileId, RunId, SampleId},
    training::{Objective, TrainSettings},
};

/// One point of a loss curve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(default)]
pub struct LossPoint {
    /// Optimizer step, from 1 (0 = before training).
    pub step: u32,
    /// Training loss of the step, nats per token; absent at step 0.
    pub loss: Option<f64>,
    /// Held-out loss, nats per token, where it was measured at this step.
    pub held_out: Option<f64>,
    /// How close drafts written at this step are to held-out texts in style, 0-1.
    pub style: Option<f64>,
    /// Share of the 8-word runs of those drafts that stand in a text it learns from, 0-1.
    pub copied: Option<f64>,
    /// Mean difference of the rewards of picked and unpicked, where preferences are learned.
    pub margin: Option<f64>,
    /// Share of held-out preferences it agrees with, 0-1; of the step's where none are held out.
    pub accuracy: Option<f64>,
}

/// A draft that a run wrote on its way, to show what it has learned by then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TrialDraft {
    /// After this optimizer step; 0: before training.
    pub step: u32,
    /// What it was asked for.
    pub brief: String,
    /// What it wrote.
    pub text: String,
    /// Longest run of words that stands in a text it learns from.
    pub copied_words: u32,
    /// Share of its 8-word runs that stand in a text it learns from, 0-1.
    pub copied: f64,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Training now.
    #[default]
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
    /// What it learns.
    pub objective: Objective,
    /// Settings.
    pub settings: TrainSettings,
    /// Samples it learned from.
    pub samples: Vec<SampleId>,
    /// Votes it learned from, by their pairs.
    #[serde(default)]
    pub votes: Vec<PairId>,
    /// Drafts it learned from: voted on, corrected or judged.
    #[serde(default)]
    pub drafts: Vec<DraftId>,
    /// The trained voice it goes on from, where it does not begin at the base model.
    #[serde(default)]
    pub parent: Option<AdapterId>,
    /// How it stands.
    pub status: RunStatus,
    /// In words, where something is to be said.
    pub message: String,
    /// Loss curve.
    pub curve: Vec<LossPoint>,
    /// Drafts it wrote on its way, by step.
    #[serde(default)]
    pub trials: Vec<TrialDraft>,
    /// Training tokens per second.
    pub tokens_per_second: f64,
    /// Peak resident memory of the process, bytes.
    pub peak_bytes: u64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// What it made.
    pub adapter: Option<AdapterId>,
    /// Whether it ended before its time and can be taken up from a checkpoint.
    #[serde(default)]
    pub resumable: bool,
    /// RFC 3339, UTC.
    pub started_at: String,
}

/// How a trained voice did on texts it has never seen, beside what it must beat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(default)]
pub struct AdapterReport {
    /// Texts it was measured on.
    pub texts: u32,
    /// Tokens in them.
    pub tokens: u64,
    /// Bits per token of the base model.
    pub bits_base: f64,
    /// Bits per token of the base model with the person's excerpts in the prompt.
    pub bits_excerpts: Option<f64>,
    /// Bits per token with this voice.
    pub bits_own: f64,
    /// Bits per token with another author's voice.
    pub bits_wrong_author: Option<f64>,
    /// Whose voice that is, in words.
    pub wrong_author: String,
    /// Own minus base, 95 %, over texts.
    pub own_minus_base: Option<Interval>,
    /// How close drafts of the base model are to held-out texts in style, 0-1.
    pub style_base: Option<f64>,
    /// How close drafts of this voice are.
    pub style_own: Option<f64>,
    /// Share of fresh briefs where a judge that knows the person's counted habits takes this voice's draft for theirs
    /// rather than the base model's, 0-1.
    pub win_rate: Option<f64>,
    /// Wilson 95 %.
    pub win_rate_interval: Option<Interval>,
    /// Briefs it was judged on.
    pub win_rate_n: u32,
    /// What a reader must know, in words.
    pub notes: Vec<String>,
    /// RFC 3339, UTC.
    pub measured_at: String,
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
    /// The run that made it; absent where it was imported or stacked.
    pub run: Option<RunId>,
    /// What it learned; absent where that is not known.
    #[serde(default)]
    pub objective: Option<Objective>,
    /// What stood in the prompts it was trained on; writing with it uses the same form.
    #[serde(default = "Method::base")]
    pub method: Method,
    /// Samples it learned from (lineage).
    pub samples: Vec<SampleId>,
    /// Samples of those that were deleted since.
    pub samples_gone: u32,
    /// Votes it learned from, by their pairs (lineage).
    #[serde(default)]
    pub votes: Vec<PairId>,
    /// Votes of those that were deleted since.
    #[serde(default)]
    pub votes_gone: u32,
    /// Drafts it learned from: voted on, corrected or judged (lineage).
    #[serde(default)]
    pub drafts: Vec<DraftId>,
    /// Drafts of those that were deleted since.
    #[serde(default)]
    pub drafts_gone: u32,
    /// Trained voices it was made from: gone on from, or stacked (lineage).
    #[serde(default)]
    pub parents: Vec<AdapterId>,
    /// Where it came from, in words, if not from a training here.
    #[serde(default)]
    pub imported: Option<String>,
    /// Since when the person does not use it any more, RFC 3339, UTC; it is kept and is not proposed.
    #[serde(default)]
    pub retired_at: Option<String>,
    /// How it did on held-out texts, once measured.
    #[serde(default)]
    pub report: Option<AdapterReport>,
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
