//! The low-rank term of a linear (Hu et al. 2021, "LoRA"), forward and backward, without a full-size copy of anything.
//!
//! The rank is small, so these products read and write far more than they multiply: each goes over its large operand once.

use super::dropout::DropoutMask;
use crate::Level;
use crate::accumulate::add_product;
use crate::primitives::{Primitives, TILE_COLS, TILE_ROWS, TileBuffer, WIDE_COLS};
use crate::slices::{SharedOutput, Strided, with_scratch};
use crate::team;

/// A pair of factors, and how they are applied: `y += scale * (x ∘ mask) Aᵀ Bᵀ`.
#[derive(Debug, Clone, Copy)]
pub struct Lora<'a> {
    /// `[rank, inputs]`.
    pub a: &'a [f32],
    /// `[outputs, rank]`.
    pub b: &'a [f32],
    /// At least 1.
    pub rank: usize,
    /// Factor on the product.
    pub scale: f32,
    /// What x is multiplied by.
    pub dropout: Option<DropoutMask>,
}

impl Lora<'_> {
    fn check(&self, x: &[f32], y: &[f32], inner: &[f32], m: usize) -> (usize, usize) {
        assert!(
            self.rank > 0
                && self.a.len().is_multiple_of(self.rank)
                && self.b.len().is_multiple_of(self.rank),
            "the factors have whole rows of the rank"
        );
        let (inputs, outputs) = (self.a.len() / self.rank, self.b.len() / self.rank);
        assert_eq!(x.len(), m * inputs, "x is [m, inputs]");
        assert_eq!(y.len(), m * outputs, "y is [m, outputs]");
        assert_eq!(inner.len(), m * self.rank, "inner is [m, rank]");
        (inputs, outputs)
    }
}

/// Rows that a task takes.
const ROWS: usize = 4 * TILE_ROWS;
/// Rows that are added up before the next columns take their turn: so much of a large operand stays in a second-level cache.
const DEPTH: usize = 128;
/// Columns that a task takes at most.
const STRIPE: usize = 256;

/// Adds the term to `y[m, outputs]`; `inner[m, rank]` becomes `scale * (x ∘ mask) Aᵀ`, which the gradient needs. A row depends on
/// that row alone.
///
/// # Panics
/// When the shapes disagree.
pub fn lora_forward(
    lora: &Lora<'_>,
    x: &[f32],
    m: usize,
    inner: &mut [f32],
    y: &mut [f32],
    level: Level,
) {
    let (inputs, outputs) = lora.check(x, y, inner, m);
    let Some(with) = level.primitives() else {
        return reference::forward(lora, x, (m, inputs, outputs), inner, y);
    };
    let (rank, wide) = (lora.rank, lora.rank.next_multiple_of(TILE_COLS));
    let a_across = transposed(lora.a, rank, inputs, wide);
    let b_across = transposed(lora.b, outputs, rank, outputs.next_multiple_of(TILE_COLS));
    let inner = SharedOutput::new(inner, rank);
    let y = SharedOutput::new(y, outputs);
    team::for_each(m.div_ceil(ROWS), |task| {
        let rows = task * ROWS..m.min((task + 1) * ROWS);
        // SAFETY: tasks have rows of their own, here and below.
        let factors = unsafe { inner.part(rows.start, 0, rows.len() * rank) };
        let scaled = |x: Strided<'_>, first: usize, count: usize, factors: &mut [f32]| {
            product(
                with,
                x,
                (count, inputs),
                (&a_across, wide),
                |i, col, sums| {
                    let to =
                        &mut factors[(first + i) * rank + col..][..(rank - col).min(TILE_COLS)];
                    to.iter_mut()
                        .zip(sums)
                        .for_each(|(to, sum)| *to = *sum * lora.scale);
                },
            );
        };
        match &lora.dropout {
            None => {
                let x = Strided::new(&x[rows.start * inputs..], inputs);
                scaled(x, 0, rows.len(), factors);
            }
            Some(mask) => with_scratch(TILE_ROWS * inputs, |dropped| {
                for first in rows.clone().step_by(TILE_ROWS) {
                    let count = TILE_ROWS.min(rows.end - first);
                    for (i, to) in dropped.chunks_exact_mut(inputs).take(count).enumerate() {
                        to.copy_from_slice(&x[(first + i) * inputs..][..inputs]);
                        mask.apply(first + i, to);
                    }
                    let dropped = Strided::new(dropped, inputs);
                    scaled(dropped, first - rows.start, count, factors);
                }
            }),
        }
        if outputs == 0 {
            return;
        }
        let (factors, across) = (
            Strided::new(factors, rank),
            outputs.next_multiple_of(TILE_COLS),
        );
        let to = y.rectangle(rows.start, rows.len(), 0, outputs);
        let shape = (rows.len(), rank, outputs);
        // SAFETY: as above.
        unsafe { add_product(with, shape, factors, Strided::new(&b_across, across), to) };
    });
}

/// Gradients from `dy[m, outputs]`, each added to what is there: with inner as [`lora_forward`] left it and `back = scale * dy B`,
/// `db += dyᵀ inner`, `da += backᵀ (x ∘ mask)`, `dx += mask ∘ (back A)`. `dx` where it is wanted. Sums run over the rows in order.
///
/// # Panics
/// When the shapes disagree.
#[allow(clippy::too_many_arguments)] // one gradient for each input
pub fn lora_backward(
    lora: &Lora<'_>,
    x: &[f32],
    m: usize,
    inner: &[f32],
    dy: &[f32],
    da: &mut [f32],
    db: &mut [f32],
    dx: Option<&mut [f32]>,
    level: Level,
) {
    let (inputs, outputs) = lora.check(x, dy, inner, m);
    assert_eq!(da.len(), lora.a.len(), "da has the shape of a");
    assert_eq!(db.len(), lora.b.len(), "db has the shape of b");
    assert!(
        dx.as_ref().is_none_or(|dx| dx.len() == x.len()),
        "dx has the shape of x"
    );
    let Some(with) = level.primitives() else {
        let shape = (m, inputs, outputs);
        return reference::backward(lora, x, shape, inner, dy, (da, db), dx);
    };
    let (rank, wide) = (lora.rank, lora.rank.next_multiple_of(TILE_COLS));
    let b_rows = widened(lora.b, outputs, rank, wide);
    let inner_across = transposed(inner, m, rank, m);
    let mut back = vec![0.0; m * rank];
    let mut db_across = vec![0.0; rank * outputs];
    {
        let back = SharedOutput::new(&mut back, rank);
        let db_across = SharedOutput::new(&mut db_across, outputs);
        let by_rows = m.div_ceil(ROWS);
        let stripe = stripe(outputs);
        team::for_each(by_rows + outputs.div_ceil(stripe), |task| {
            if task >= by_rows {
                let left = (task - by_rows) * stripe;
                let columns = (left, stripe.min(outputs - left));
                return sums_of_columns(
                    with,
                    (&inner_across, rank, m),
                    dy,
                    outputs,
                    columns,
                    None,
                    &db_across,
                );
            }
            let rows = task * ROWS..m.min((task + 1) * ROWS);
            let slopes = Strided::new(&dy[rows.start * outputs..], outputs);
            product(
                with,
                slopes,
                (rows.len(), outputs),
                (&b_rows, wide),
                |i, col, sums| {
                    let width = (rank - col).min(TILE_COLS);
                    // SAFETY: tasks have rows of their own.
                    let to = unsafe { back.part(rows.start + i, col, width) };
                    to.iter_mut()
                        .zip(sums)
                        .for_each(|(to, sum)| *to = *sum * lora.scale);
                },
            );
        });
    }
    for (output, db) in db.chunks_exact_mut(rank).enumerate() {
        for (j, db) in db.iter_mut().enumerate() {
            *db += db_across[j * outputs + output];
        }
    }
    let back_across = transposed(&back, m, rank, m);
    let across = inputs.next_multiple_of(TILE_COLS);
    let a_rows = widened(lora.a, rank, inputs, across);
    let da = SharedOutput::new(da, inputs);
    let stripe = stripe(inputs);
    let by_columns = inputs.div_ceil(stripe);
    let mut nothing = [];
    let wanted = dx.is_some();
    let dx = SharedOutput::new(dx.unwrap_or(&mut nothing), inputs);
    let by_rows = if wanted { m.div_ceil(ROWS) } else { 0 };
    team::for_each(by_rows + by_columns, |task| {
        if task >= by_rows {
            let left = (task - by_rows) * stripe;
            let columns = (left, stripe.min(inputs - left));
            let mask = lora.dropout.as_ref();
            return sums_of_columns(with, (&back_across, rank, m), x, inputs, columns, mask, &da);
        }
        let rows = task * ROWS..m.min((task + 1) * ROWS);
        let slopes = Strided::new(&back[rows.start * rank..], rank);
        let (a_rows, shape) = (Strided::new(&a_rows, across), (rows.len(), rank, inputs));
        let Some(mask) = &lora.dropout else {
            let to = dx.rectangle(rows.start, rows.len(), 0, inputs);
            // SAFETY: tasks have rows of their own.
            return unsafe { add_product(with, shape, slopes, a_rows, to) };
        };
        with_scratch(rows.len() * inputs, |dropped| {
            dropped.fill(0.0);
            let to = (dropped.as_mut_ptr(), inputs);
            // SAFETY: the scratch memory is this task's.
            unsafe { add_product(with, shape, slopes, a_rows, to) };
            for (i, dropped) in dropped.chunks_exact_mut(inputs).enumerate() {
                mask.apply(rows.start + i, dropped);
                // SAFETY: tasks have rows of their own.
                let to = unsafe { dx.part(rows.start + i, 0, inputs) };
                to.iter_mut().zip(dropped).for_each(|(to, sum)| *to += *sum);
            }
        });
    });
}

/// Columns that a task of a gradient of factors takes.
fn stripe(columns: usize) -> usize {
    columns
        .div_ceil(2 * team::threads())
        .next_multiple_of(WIDE_COLS)
        .min(STRIPE)
}

/// `[rows, cols]` as `[cols, stride]`, zeros behind.
fn transposed(from: &[f32], rows: usize, cols: usize, stride: usize) -> Vec<f32> {
    let mut to = vec![0.0; cols * stride];
    for (row, from) in from.chunks_exact(cols).take(rows).enumerate() {
        for (col, value) in from.iter().enumerate() {
            to[col * stride + row] = *value;
        }
    }
    to
}

/// `[rows, cols]` as `[rows, stride]`, zeros behind.
fn widened(from: &[f32], rows: usize, cols: usize, stride: usize) -> Vec<f32> {
    let mut to = vec![0.0; rows * stride];
    for (from, to) in from.chunks_exact(cols).zip(to.chunks_exact_mut(stride)) {
        to[..cols].copy_from_slice(from);
    }
    to
}

/// `a[rows, depth] · b[depth, width]`, the width a multiple of 16: `put` gets row, first column and sixteen sums.
fn product(
    with: &Primitives,
    a: Strided<'_>,
    (rows, depth): (usize, usize),
    (b, width): (&[f32], usize),
    mut put: impl FnMut(usize, usize, &mut [f32]),
) {
    let b = Strided::new(b, width);
    for row in (0..rows).step_by(TILE_ROWS) {
        let tall = TILE_ROWS.min(rows - row);
        for col in (0..width).step_by(TILE_COLS) {
            let mut tile = TileBuffer::default();
            (with.tile)(tall, depth, a.from(row * a.stride), b.from(col), &mut tile);
            for (i, sums) in tile.iter_mut().take(tall).enumerate() {
                put(row + i, col, sums);
            }
        }
    }
}

/// Adds `across[rank, m] · (values[m, cols] ∘ mask)` to some columns of `to[rank, cols]`.
fn sums_of_columns(
    with: &Primitives,
    (across, rank, m): (&[f32], usize, usize),
    values: &[f32],
    cols: usize,
    (left, width): (usize, usize),
    mask: Option<&DropoutMask>,
    to: &SharedOutput<'_>,
) {
    let wide = width.next_multiple_of(TILE_COLS);
    // What does not fill a tile, or is masked, is copied before it is read.
    let copied = mask.is_some() || wide > width;
    let across = Strided::new(across, m);
    with_scratch(rank * wide + DEPTH * wide, |scratch| {
        let (sums, copy) = scratch.split_at_mut(rank * wide);
        sums.fill(0.0);
        for first in (0..m).step_by(DEPTH) {
            let depth = DEPTH.min(m - first);
            let values = if copied {
                for (i, copy) in copy.chunks_exact_mut(wide).take(depth).enumerate() {
                    let row = first + i;
                    copy[..width].copy_from_slice(&values[row * cols + left..][..width]);
                    copy[width..].fill(0.0);
                    if let Some(mask) = mask {
                        mask.apply_from(row, left, &mut copy[..width]);
                    }
                }
                Strided::new(copy, wide)
            } else {
                Strided::new(&values[first * cols + left..], cols)
            };
            let (across, shape) = (across.from(first), (rank, depth, wide));
            // SAFETY: the scratch memory is this task's.
            unsafe { add_product(with, shape, across, values, (sums.as_mut_ptr(), wide)) };
        }
        for (row, sums) in sums.chunks_exact(wide).enumerate() {
            // SAFETY: tasks have columns of their own.
            let to = unsafe { to.part(row, left, width) };
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
        }
    });
}

/// The same in plain loops.
mod reference {
    use super::Lora;

    fn dropped(lora: &Lora<'_>, x: &[f32], inputs: usize) -> Vec<f32> {
        let mut x = x.to_vec();
        if let Some(mask) = &lora.dropout {
            for (row, x) in x.chunks_exact_mut(inputs).enumerate() {
                mask.apply(row, x);
            }
        }
        x
    }

    pub(super) fn forward(
        lora: &Lora<'_>,
        x: &[f32],
        (m, inputs, outputs): (usize, usize, usize),
        inner: &mut [f32],
        y: &mut [f32],
    ) {
        let (x, rank) = (dropped(lora, x, inputs), lora.rank);
        for row in 0..m {
            for j in 0..rank {
                let terms = x[row * inputs..][..inputs]
                    .iter()
                    .zip(&lora.a[j * inputs..]);
                inner[row * rank + j] = lora.scale * terms.map(|(x, a)| x * a).sum::<f32>();
            }
            for output in 0..outputs {
                for j in 0..rank {
                    y[row * outputs + output] += inner[row * rank + j] * lora.b[output * rank + j];
                }
            }
        }
    }

    pub(super) fn backward(
        lora: &Lora<'_>,
        x: &[f32],
        (m, inputs, outputs): (usize, usize, usize),
        inner: &[f32],
        dy: &[f32],
        (da, db): (&mut [f32], &mut [f32]),
        dx: Option<&mut [f32]>,
    ) {
        let (x, rank) = (dropped(lora, x, inputs), lora.rank);
        let mut slopes = vec![0.0; m * inputs];
        for row in 0..m {
            let dy = &dy[row * outputs..][..outputs];
            for j in 0..rank {
                let mut back = 0.0;
                for (output, dy) in dy.iter().enumerate() {
                    back += dy * lora.b[output * rank + j];
                    db[output * rank + j] += dy * inner[row * rank + j];
                }
                back *= lora.scale;
                for i in 0..inputs {
                    da[j * inputs + i] += back * x[row * inputs + i];
                    slopes[row * inputs + i] += back * lora.a[j * inputs + i];
                }
            }
        }
        if let Some(dx) = dx {
            let slopes = dropped(lora, &slopes, inputs);
            dx.iter_mut()
                .zip(slopes)
                .for_each(|(to, slope)| *to += slope);
        }
    }
}
