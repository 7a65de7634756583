//! Numeric kernels on the processor: quantized matrix products forward and backward, the row operations of a
//! transformer with their gradients, and the mapping of weight files.
//!
//! Instructions are chosen when the program runs ([`Level`]); each fast path has a plain reference beside it and a
//! named tolerance between them. This is the only crate with `unsafe` code. What does not live here: tensors, models,
//! files other than their mapping, devices other than the processor.
//!
//! Work is spread over the thread's [`Team`] where one is installed, else over the current rayon pool; results do not depend on the number of threads.

mod accumulate;
mod error;
mod level;
mod mapped;
mod matmul;
mod matrix;
mod ops;
mod packed;
mod primitives;
mod quant;
mod slices;
mod team;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use error::KernelError;
pub use level::Level;
pub use mapped::MappedFile;
pub use matrix::{Precision, QMatrix, backward_together, forward_together};
pub use ops::add::add;
pub use ops::attention::{
    AttentionShape, AttentionTrace, CachedRows, KEY_BLOCK, PAGE, Page, attention_backward,
    attention_over_caches, attention_train, store_in_page,
};
pub use ops::dropout::DropoutMask;
pub use ops::gated::{Activation, gated, gated_backward};
pub use ops::lora::{Lora, lora_backward, lora_forward};
pub use ops::loss::{
    log_normalisers, log_softmax, softmax_cross_entropy, softmax_cross_entropy_with_gradient,
};
pub use ops::norm::{rms_norm, rms_norm_backward};
pub use ops::rope::{RopeStyle, RopeTable, rope, rope_backward};
pub use packed::{Sources, pack, packed_bytes};
pub use quant::QuantType;
pub use team::Team;
