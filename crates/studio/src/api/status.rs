//! The state of the studio itself.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use idiolect_core::space::Dimension;

/// How the window looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
    /// High contrast.
    Contrast,
}

/// What the person can set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Settings {
    /// How the window looks.
    pub theme: Theme,
    /// Fewer moving things than the system asks for already.
    pub reduce_motion: bool,
    /// `auto`, `cpu`, `cuda`, `metal`.
    pub device: String,
    /// Threads; 0 = all physical cores.
    pub threads: u32,
    /// Model id used where none is named; empty = the default.
    pub model: String,
}

/// A job that runs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct JobSummary {
    /// Its number.
    pub job: u64,
    /// What it does.
    pub label: String,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether pause and resume work.
    pub can_pause: bool,
}

/// Something that a crash or a kill interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CutShort {
    /// "Training of “My letters”".
    pub what: String,
    /// What is safe and what was lost, in words.
    pub lost: String,
}

/// The state of the studio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Status {
    /// Version of the studio.
    pub version: String,
    /// Where the person's data lies (for Settings; never sent anywhere).
    pub home: String,
    /// Where models lie.
    pub models: String,
    /// Model in use, in words: "SmolLM2 135M".
    pub model: String,
    /// Id of the model in use.
    pub model_id: String,
    /// Whether its file is there.
    pub model_ready: bool,
    /// "CPU (2 threads, AVX2)".
    pub device: String,
    /// Why this device.
    pub device_why: String,
    /// Jobs running in this process.
    pub jobs: Vec<JobSummary>,
    /// What was cut short before this start.
    pub cut_short: Vec<CutShort>,
    /// Another window or command has this home open; changes show up on refresh.
    pub shared_home: bool,
    /// A number that changes whenever anything is stored, by whichever process.
    pub revision: u64,
    /// The 90 dimensions.
    pub dimensions: Vec<Dimension>,
}
