//! Training a voice: what it would learn from, whether this machine can, the run, what it made.

mod adapters;
mod lessons;
mod preflight;
mod run;
mod settings;

pub(crate) use adapters::{adapters, delete, remove_files, rename, show, sweep};
pub(crate) use lessons::lessons;
pub(crate) use preflight::preflight;
pub(crate) use run::{runs, sft};
pub(crate) use settings::{target_named, train_settings};

/// Fewer words teach nothing that would last.
const FEWEST_WORDS: u32 = 300;
