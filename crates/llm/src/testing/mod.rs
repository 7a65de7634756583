//! For tests of other crates: a toy model that is no neural network, and a writer of tiny random GGUF files.

mod counting;
mod fake;
mod gguf;

pub use counting::CountingModel;
pub use fake::FakeModel;
pub use gguf::{GgufFile, Meta, Storage, TensorSpec, TinyGguf, hostile_ggufs, tiny_gguf};
