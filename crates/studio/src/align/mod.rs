//! Training a voice: what it would learn from, whether this machine can, the run, what it made.

mod adapters;
mod card;
mod control;
mod demonstrations;
mod exports;
mod follow;
mod ladder;
mod lessons;
mod playback;
mod preferences;
mod preflight;
mod report;
mod run;
mod settings;
mod trials;

pub(crate) use adapters::{adapters, delete, remove_files, rename, retire, show, sweep};
pub(crate) use exports::{export, import, stack};
use lessons::lessons;
pub(crate) use preflight::{measure, preflight};
pub(crate) use report::measure as measure_voice;
pub(crate) use run::{discard, remove_checkpoints, resume, retrain, runs, sft, sweep_checkpoints};
pub(crate) use settings::{target_named, train_settings};

/// Fewer words teach nothing that would last.
const FEWEST_WORDS: u32 = 300;
/// Fewer preferences are as likely chance as taste.
const FEWEST_PREFERENCES: usize = 8;
