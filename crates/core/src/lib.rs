//! Domain types of the studio: people's profiles, samples, readings, drafts, votes and adapters.
//!
//! Pure data with serde; no IO, no clock, no randomness, no inference. Everything that crosses a
//! front (window, command line) is made of these types and of `studio`'s requests.
#![forbid(unsafe_code)]

pub mod adapter;
pub mod draft;
pub mod error;
pub mod eval;
pub mod fingerprint;
pub mod hypothesis;
pub mod ids;
pub mod interval;
pub mod profile;
pub mod reading;
pub mod sample;
pub mod space;
pub mod training;
pub mod vote;

pub use error::{ErrorCode, UserError};
pub use interval::Interval;
