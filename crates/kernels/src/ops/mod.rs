//! Row operations of a transformer, forward and backward, over plain slices: no tensors, no autograd.
//!
//! Every gradient function overwrites its outputs. All of them split rows over the threads, and a row's
//! result depends on that row alone.

pub(crate) mod add;
pub(crate) mod attention;
pub(crate) mod dropout;
pub(crate) mod gated;
pub(crate) mod lora;
pub(crate) mod loss;
pub(crate) mod norm;
pub(crate) mod rope;

/// Values that make a piece of work worth handing to another thread.
const VALUES_A_TASK: usize = 16 * 1024;

/// Rows of `width` values to process in one task.
fn rows_a_task(width: usize) -> usize {
    (VALUES_A_TASK / width.max(1)).max(1)
}
