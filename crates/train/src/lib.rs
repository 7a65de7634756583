//! Training LoRA adapters: objectives, packing, an optimizer, one loop, checkpoints.
//!
//! The forward pass, its gradients and the adapter files are the engine's (one decoder for inference and training);
//! what a run learns from, when it stops and what it keeps is decided here. What does not live here: generation,
//! storage, settings a person sees.
#![forbid(unsafe_code)]

pub mod checkpoint;
mod data;
mod ditto;
mod error;
mod loss;
mod objective;
mod observer;
mod optimizer;
mod passes;
mod run;
mod settings;
pub mod stop;

pub use data::{Batch, Example, Packing, Row};
pub use ditto::{Ditto, Drafts, RoundDrafts, ditto};
pub use error::TrainError;
pub use loss::{evaluate, loss_and_gradients, objective_and_gradients};
pub use objective::{Objective, Scored, Sequence, Term, thumb_weights, zero_point};
pub use observer::{Control, Ending, Observer, Preference, Resumed, Trained, Update};
pub use optimizer::{AdamW, AdamWConfig, Decay, Schedule};
pub use run::{Checkpoints, Lessons, Resume, Rounds, Task, run, steps_of};
pub use settings::Settings;
