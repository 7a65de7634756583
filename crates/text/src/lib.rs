//! Pure `&str` → data: cleaning, segmentation, counted style, fingerprints, attribution and tested claims.
//! No IO, no clock, no randomness, no model; what a model infers lives in `persona`.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod attribution;
pub mod catalog;
pub mod chunk;
pub mod claims;
pub mod clean;
pub mod delta;
mod detect;
pub mod diff;
pub mod features;
mod figures;
pub mod fingerprint;
pub mod language;
pub mod leakage;

pub mod lexical;
pub mod lexicons;
pub mod meters;
pub mod readability;
pub mod reference;
pub mod retrieve;
pub mod segment;
mod sparse;
pub mod stats;
pub mod wishes;

pub use features::{FeatureVector, measure};
pub use fingerprint::{fingerprint, style_distance};
pub use reference::ReferenceStyle;
pub use segment::Span;

#[cfg(test)]
#[path = "../examples/common/mod.rs"]
mod corpora;
#[cfg(test)]
mod data_tests;
