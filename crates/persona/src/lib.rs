//! What is inferred about a person, and what is said to a model because of it.
//!
//! Readings of the 90 dimensions from log-probabilities, hypotheses from counted habits, the summary, the prompts
//! of every method, the taste model behind votes, and the pure parts of the evaluations. Everything works over the
//! traits [`TextModel`] and [`Embedder`]: no files, no clock, no network, no model code, and no randomness but
//! what a seed decides. Storing results is the caller's business, through [`Cache`].
#![forbid(unsafe_code)]

pub mod anchors;
pub mod briefs;
pub mod cache;
pub mod calibration;
pub mod demo;
pub mod dimensions;
pub mod error;
pub mod hypotheses;
pub mod likelihood;
pub mod playback;
pub mod prompts;
pub mod psoups;
pub mod reliability;
pub mod simulated;
pub mod stated;
pub mod summary;
pub mod taste;

pub use cache::{Cache, MemoryCache, NoCache};
pub use error::{PersonaError, Result};

use idiolect_core::{ids::SampleId, sample::Sample};
use idiolect_llm::{Cancel, Embedder, TextModel};

/// A text of the person's, as inference sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage<'a> {
    /// The sample it is.
    pub id: &'a SampleId,
    /// Its words.
    pub text: &'a str,
}

impl<'a> From<&'a Sample> for Passage<'a> {
    fn from(sample: &'a Sample) -> Self {
        Self {
            id: &sample.id,
            text: &sample.text,
        }
    }
}

/// What a reading is made with.
#[derive(Clone, Copy)]
pub struct Instruments<'a> {
    /// The language model.
    pub model: &'a dyn TextModel,
    /// The sentence embedder; without it sentences are picked by shared words.
    pub embedder: Option<&'a dyn Embedder>,
    /// Where finished scores are kept.
    pub cache: &'a dyn Cache,
    /// Asks the work to stop.
    pub cancel: &'a Cancel,
}

/// How far a piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: usize,
    /// Units in all.
    pub total: usize,
    /// What a unit is: `samples`, `spans`.
    pub unit: &'static str,
    /// What is happening, for a person.
    pub message: &'static str,
}
