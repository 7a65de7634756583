//! Shapes of training: what it would do.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a training would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Preflight {
    /// Samples it learns from.
    pub samples: u32,
    /// Words in them.
    pub words: u32,
    /// Chunks to train on.
    pub train_chunks: u32,
    /// Chunks held out.
    pub held_out_chunks: u32,
    /// Tokens an epoch.
    pub tokens: u64,
    /// Near-duplicates left out.
    pub duplicates: u32,
    /// Memory needed, bytes.
    pub needed_bytes: u64,
    /// Memory free now, bytes.
    pub free_bytes: u64,
    /// Expected wall time, seconds; from an earlier training on this machine where `measured`.
    pub seconds: f64,
    /// Whether `seconds` was measured here.
    pub measured: bool,
    /// Whether it can start.
    pub ready: bool,
    /// In words: what is missing, what to change.
    pub advice: Vec<String>,
    /// The settings in plain words, one a line.
    pub settings_in_words: Vec<String>,
}
