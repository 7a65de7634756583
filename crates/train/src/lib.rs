//! Training LoRA adapters: rows and packing, an optimizer, the loop.
//!
//! The forward pass, its gradients and the adapter files are the engine's (one decoder for inference and training);
//! what a run learns from, when it stops and what it keeps is decided here. What does not live here: generation,
//! storage, settings a person sees.
#![forbid(unsafe_code)]

mod data;
mod error;
mod loss;
mod optimizer;
mod sft;

pub use data::{Batch, Row};
pub use error::TrainError;
pub use loss::{evaluate, loss_and_gradients};
pub use optimizer::{AdamW, AdamWConfig, learning_rate_at};
pub use sft::{Control, Settings, Trained, Update, sft, steps_of};
