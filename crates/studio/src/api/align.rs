//! Shapes of training: what it would do, and what it could do instead.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use idiolect_core::{ids::SampleId, training::TrainSettings};

/// What a training would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Preflight {
    /// Samples it learns from.
    pub samples: u32,
    /// Words in what it learns from.
    pub words: u32,
    /// Chunks (or preferences) to train on.
    pub train_chunks: u32,
    /// Chunks (or preferences) held out.
    pub held_out_chunks: u32,
    /// Samples held out whole: they only measure.
    pub held_out_samples: Vec<SampleId>,
    /// Tokens an epoch.
    pub tokens: u64,
    /// Near-duplicates left out.
    pub duplicates: u32,
    /// Picks of the person's between two drafts, whatever is trained on.
    pub votes: u32,
    /// Picks of the person's in blind tests of trained voices, where those are learned from.
    pub retests: u32,
    /// Drafts that the person corrected.
    pub edits: u32,
    /// Thumbs up.
    pub thumbs_up: u32,
    /// Thumbs down.
    pub thumbs_down: u32,
    /// Pairs of one text over another that all of these make.
    pub preferences: u32,
    /// Texts that answer a brief which the model wrote.
    pub briefs_written: u32,
    /// Texts whose brief the model writes first.
    pub briefs_missing: u32,
    /// Memory needed beside the model, which is loaded, bytes.
    pub needed_bytes: u64,
    /// Memory free now, bytes.
    pub free_bytes: u64,
    /// Expected wall time, seconds; from steps done on this machine where `measured`.
    pub seconds: f64,
    /// Whether `seconds` was measured here.
    pub measured: bool,
    /// Whether it can start.
    pub ready: bool,
    /// Why the person has to insist, where there is too little to learn from; empty otherwise.
    pub too_little: String,
    /// In words: what is missing, what to change.
    pub advice: Vec<String>,
    /// The settings in plain words, one a line.
    pub settings_in_words: Vec<String>,
    /// These settings, then ones that need less and less memory.
    pub ladder: Vec<Rung>,
}

/// Settings, what they take and what they cost against the rung above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Rung {
    /// The settings whole.
    pub settings: TrainSettings,
    /// What is different from the rung above, and what that costs.
    pub words: String,
    /// Memory needed beside the model, bytes.
    pub needed_bytes: u64,
    /// Expected wall time, seconds.
    pub seconds: f64,
    /// Whether that much is free now.
    pub fits: bool,
}

/// For which programs a voice is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ExportForm {
    /// A folder for PEFT.
    Peft,
    /// A LoRA adapter in GGUF, beside the model, for llama.cpp.
    Gguf,
    /// The model with the voice in its weights, in GGUF.
    Merged,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ExportReport {
    /// The folder.
    pub written: String,
    /// For whom.
    pub form: ExportForm,
    /// Mean difference of a token's log-probability after reading it again, nats.
    pub difference: f64,
    /// Tokens compared.
    pub tokens: u64,
    /// How tensors that the voice changes are stored; empty where the model is not part of it.
    pub storage: String,
    /// Bytes of the folder.
    pub bytes: u64,
}
