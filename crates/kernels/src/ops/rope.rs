//! Rotary position embedding (Su et al. 2021, "RoFormer").

use super::rows_a_task;
use crate::team;

/// Which two components of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RopeStyle {
    /// Neighbours (2i, 2i + 1): `llama` GGUF files, whose q and k rows are permuted for it ("NORM").
    Interleaved,
    /// (i, i + half): checkpoints as published, and qwen, gemma and most other GGUF files ("NEOX").
    HalfSplit,
}

/// Cosine and sine of every angle of some rows, computed once and used by every layer.
#[derive(Debug, Clone)]
pub struct RopeTable {
    pairs: usize,
    /// `[rows, pairs]` of (cos, sin).
    angles: Vec<(f32, f32)>,
}

impl RopeTable {
    /// Angles `position * inverse_frequency` for each of `positions` (one a row). `2 * inverse_frequencies.len()` is
    /// the number of rotated components of a head; those beyond pass unchanged. Scaled variants (Llama 3, LongRoPE)
    /// scale `inverse_frequencies`.
    pub fn new(inverse_frequencies: &[f32], positions: &[usize]) -> Self {
        let rows = positions.iter().map(|&p| (inverse_frequencies, p));
        Self::of_rows(rows, 1.0)
    }

    /// As [`RopeTable::new`], with frequencies of its own for every row, and cosine and sine multiplied by `magnitude`.
    ///
    /// # Panics
    /// When rows differ in the number of frequencies.
    pub fn of_rows<'a>(rows: impl IntoIterator<Item = (&'a [f32], usize)>, magnitude: f32) -> Self {
        let (mut angles, mut pairs) = (Vec::new(), None);
        for (frequencies, position) in rows {
            assert_eq!(
                *pairs.get_or_insert(frequencies.len()),
                frequencies.len(),
                "every row rotates as many pairs"
            );
            angles.extend(frequencies.iter().map(|&frequency| {
                // f64: at long positions an f32 product loses the digits that decide the angle.
                let (sin, cos) = (position as f64 * f64::from(frequency)).sin_cos();
                (cos as f32 * magnitude, sin as f32 * magnitude)
            }));
        }
        Self {
            pairs: pairs.unwrap_or(0),
            angles,
        }
    }

    /// Cosine and sine of every pair, row after row.
    pub fn angles(&self) -> &[(f32, f32)] {
        &self.angles
    }

    /// Pairs that are rotated in a head.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Rows that the table covers.
    pub fn rows(&self) -> usize {
        self.angles.len().checked_div(self.pairs).unwrap_or(0)
    }
}

/// Rotates `x[m, heads, head_dim]` in place by the angles of its rows.
///
/// # Panics
/// When `x` does not have that shape with m = `table.rows()`, or the table rotates more than `head_dim` components.
pub fn rope(x: &mut [f32], heads: usize, head_dim: usize, table: &RopeTable, style: RopeStyle) {
    rotate(x, heads, head_dim, table, style, 1.0);
}

/// Gradient of [`rope`]: rotates `dx[m, heads, head_dim]` back in place, since the inverse of a rotation is its transpose (and a
/// magnitude stays what it is).
///
/// # Panics
/// As [`rope`].
pub fn rope_backward(
    dx: &mut [f32],
    heads: usize,
    head_dim: usize,
    table: &RopeTable,
    style: RopeStyle,
) {
    rotate(dx, heads, head_dim, table, style, -1.0);
}

fn rotate(
    x: &mut [f32],
    heads: usize,
    head_dim: usize,
    table: &RopeTable,
    style: RopeStyle,
    sign: f32,
) {
    let (width, pairs) = (heads * head_dim, table.pairs);
    assert!(
        2 * pairs <= head_dim,
        "{pairs} pairs do not fit in a head of {head_dim}"
    );
    assert_eq!(
        x.len(),
        table.rows() * width,
        "x is [rows of the table, heads, head_dim]"
    );
    if x.is_empty() || pairs == 0 {
        return;
    }
    let rows = rows_a_task(width);
    team::for_each_piece(x, rows * width, |start, x| {
        let angles = &table.angles[start / width * pairs..];
        for (row, angles) in x.chunks_exact_mut(width).zip(angles.chunks_exact(pairs)) {
            for head in row.chunks_exact_mut(head_dim) {
                match style {
                    RopeStyle::Interleaved => {
                        for (pair, &(cos, sin)) in head.chunks_exact_mut(2).zip(angles) {
                            let (a, b, sin) = (pair[0], pair[1], sin * sign);
                            pair[0] = a * cos - b * sin;
                            pair[1] = a * sin + b * cos;
                        }
                    }
                    RopeStyle::HalfSplit => {
                        let (low, high) = head[..2 * pairs].split_at_mut(pairs);
                        for ((low, high), &(cos, sin)) in low.iter_mut().zip(high).zip(angles) {
                            let (a, b, sin) = (*low, *high, sin * sign);
                            *low = a * cos - b * sin;
                            *high = a * sin + b * cos;
                        }
                    }
                }
            }
        }
    });
}
