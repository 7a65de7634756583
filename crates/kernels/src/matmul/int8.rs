//! Activations rounded to signed bytes, and how the product over them is spread over threads.

use crate::packed::GROUP_ROWS;
use crate::primitives::{PackedDot, Primitives};
use crate::slices::{SharedOutput, with_scratch};
use crate::team;
use crate::{QMatrix, QuantType};

/// Values that share one activation scale.
pub(crate) const ACTIVATION_BLOCK: usize = 32;
/// Rows of x multiplied at a time with a decoded block of weights.
pub(crate) const GROUP: usize = 4;
/// Bytes of weights below which a task is not worth a thread.
const MIN_TASK_BYTES: usize = 24 * 1024;
/// Bytes of weights that a task keeps in the cache while it goes through the rows of x.
const MAX_TASK_BYTES: usize = 128 * 1024;

/// Whether [`crate::Precision::Int8`] rounds the activations for this type.
pub(crate) fn applies_to(ty: QuantType) -> bool {
    matches!(
        ty,
        QuantType::Q4_0 | QuantType::Q4_1 | QuantType::Q5_0 | QuantType::Q5_1 | QuantType::Q8_0
    )
}

/// Rows of activations as signed bytes: block b of a row stands for `scale * q`, |q| <= 127.
pub(crate) struct Activations {
    /// `[m, cols]`.
    pub q: Vec<i8>,
    /// `[m, cols / 32]` of (scale, scale * sum of the block's q): what the minimum of a weight block multiplies.
    pub scales: Vec<[f32; 2]>,
    /// `[m, cols / 32]` sums of the block's q.
    pub sums: Vec<i32>,
    /// Blocks of a row.
    pub blocks_a_row: usize,
}

impl Activations {
    /// Rounds whole blocks to nearest (ties to even), with the largest magnitude of a block at 127.
    #[inline(always)]
    pub(crate) fn round(x: &[f32], cols: usize) -> Self {
        let mut q = vec![0_i8; x.len()];
        let mut scales = Vec::with_capacity(x.len() / ACTIVATION_BLOCK);
        let mut sums = Vec::with_capacity(scales.capacity());
        let (from, to) = (
            x.as_chunks::<ACTIVATION_BLOCK>().0,
            q.as_chunks_mut::<ACTIVATION_BLOCK>().0,
        );
        for (x, q) in from.iter().zip(to) {
            let mut largest = [0.0_f32; 8];
            for (i, v) in x.iter().enumerate() {
                largest[i % 8] = largest[i % 8].max(v.abs());
            }
            let scale = largest.into_iter().fold(0.0_f32, f32::max) / 127.0;
            let inverse = if scale == 0.0 { 0.0 } else { scale.recip() };
            let mut sum = 0_i32;
            for (q, v) in q.iter_mut().zip(x) {
                let rounded = (v * inverse).round_ties_even() as i32;
                *q = rounded as i8;
                sum += rounded;
            }
            scales.push([scale, scale * sum as f32]);
            sums.push(sum);
        }
        Self {
            q,
            scales,
            sums,
            blocks_a_row: cols / ACTIVATION_BLOCK,
        }
    }

    /// The activations as f32 again, for the reference.
    pub(crate) fn values(&self) -> Vec<f32> {
        self.q
            .iter()
            .enumerate()
            .map(|(i, &q)| f32::from(q) * self.scales[i / ACTIVATION_BLOCK][0])
            .collect()
    }
}

/// `y[m, rows] = x[m, cols] · Wᵀ` by integer dot products of blocks.
pub(crate) fn forward(with: &Primitives, w: &QMatrix, x: &Activations, m: usize, y: &mut [f32]) {
    let rows = w.rows();
    if m == 0 || rows == 0 {
        return;
    }
    if let Some((dot, packed)) = with.packed.zip(w.packed()) {
        return forward_packed(dot, w, packed.bytes(), x, m, y);
    }
    let row_bytes = w.row_bytes().max(1);
    let shared_out = rows.div_ceil(team::threads() * 4);
    let chunk = shared_out
        .clamp(
            MIN_TASK_BYTES.div_ceil(row_bytes),
            MAX_TASK_BYTES.div_ceil(row_bytes),
        )
        .min(rows);
    let output = SharedOutput::new(y, rows);
    team::for_each(rows.div_ceil(chunk), |task| {
        let start = task * chunk;
        let count = chunk.min(rows - start);
        let blocks = &w.bytes()[start * w.row_bytes()..][..count * w.row_bytes()];
        with_scratch(GROUP * count, |results| {
            for first in (0..m).step_by(GROUP) {
                let results = &mut results[..GROUP.min(m - first) * count];
                (with.dot)(w.quant_type(), count, blocks, x, first, results);
                for (i, result) in results.chunks_exact(count).enumerate() {
                    // SAFETY: this task alone writes the columns of its rows of W.
                    unsafe { output.part(first + i, start, count) }.copy_from_slice(result);
                }
            }
        });
    });
}

/// The same over weights that lie sixteen rows side by side.
fn forward_packed(
    dot: PackedDot,
    w: &QMatrix,
    packed: &[u8],
    x: &Activations,
    m: usize,
    y: &mut [f32],
) {
    let rows = w.rows();
    let groups = rows.div_ceil(GROUP_ROWS);
    let group_bytes = packed.len() / groups;
    let chunk = groups
        .div_ceil(team::threads() * 4)
        .clamp(
            MIN_TASK_BYTES.div_ceil(group_bytes),
            MAX_TASK_BYTES.div_ceil(group_bytes),
        )
        .min(groups);
    let output = SharedOutput::new(y, rows);
    team::for_each(groups.div_ceil(chunk), |task| {
        let start = task * chunk;
        let count = chunk.min(groups - start);
        let groups = &packed[start * group_bytes..][..count * group_bytes];
        let (first_row, whole) = (start * GROUP_ROWS, count * GROUP_ROWS);
        // The last group may have rows that are not there.
        let real = whole.min(rows - first_row);
        with_scratch(GROUP * whole, |results| {
            for first in (0..m).step_by(GROUP) {
                let results = &mut results[..GROUP.min(m - first) * whole];
                dot(w.quant_type(), groups, x, first, results);
                for (i, result) in results.chunks_exact(whole).enumerate() {
                    // SAFETY: this task alone writes the columns of its rows of W.
                    unsafe { output.part(first + i, first_row, real) }
                        .copy_from_slice(&result[..real]);
                }
            }
        });
    });
}
