//! Activations rounded to signed bytes, and how the product over them is spread over threads.

use crate::packed::GROUP_ROWS;
use crate::primitives::{PackedDot, Primitives};
use crate::slices::{SharedOutput, SharedSlice, with_scratch};
use crate::team;
use crate::{QMatrix, QuantType, matmul::tiled};

/// Values that share one activation scale.
pub(crate) const ACTIVATION_BLOCK: usize = 32;
/// Rows of x multiplied together at most.
const MOST_ROWS: usize = 8;
/// Bytes of weights, times rows of x up to [`MOST_ROWS`], below which a task is not worth a thread.
const MIN_TASK_BYTES: usize = 24 * 1024;
/// Bytes of weights that a task keeps in the cache while it goes through the rows of x.
const MAX_TASK_BYTES: usize = 128 * 1024;
/// Rows of x from which on rounding is shared among threads.
const MIN_SHARED_ROWS: usize = 32;

/// Whether [`crate::Precision::Int8`] rounds the activations for this type.
pub(crate) fn applies_to(ty: QuantType) -> bool {
    ty.block_size() > 1
}

/// 32 activations of a row: value i is `scale * q[i]`, |q| <= 127.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub(crate) struct Block {
    pub q: [i8; ACTIVATION_BLOCK],
    pub scale: f32,
    /// `scale` times the sum of q: what a minimum of the weights multiplies.
    pub scaled_sum: f32,
    /// -32 times the sum of either half of q: what six-bit weights, which are centred around 32, begin at.
    pub offsets: [i32; 2],
}

impl Block {
    pub(crate) const EMPTY: Self = Self {
        q: [0; ACTIVATION_BLOCK],
        scale: 0.0,
        scaled_sum: 0.0,
        offsets: [0; 2],
    };

    /// Rounds to nearest (ties to even), with the largest magnitude at 127.
    #[inline(always)]
    pub(crate) fn round(x: &[f32; ACTIVATION_BLOCK]) -> Self {
        let mut largest = [0.0_f32; 8];
        for (i, v) in x.iter().enumerate() {
            largest[i % 8] = largest[i % 8].max(v.abs());
        }
        let scale = largest.into_iter().fold(0.0_f32, f32::max) / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { scale.recip() };
        let mut block = Self::EMPTY;
        let mut sums = [0_i32; 2];
        for (i, (q, v)) in block.q.iter_mut().zip(x).enumerate() {
            let rounded = (v * inverse).round_ties_even() as i32;
            *q = rounded as i8;
            sums[i / 16] += rounded;
        }
        block.finish(scale, sums);
        block
    }

    /// Everything but the bytes, from the scale and the sums of either half of them.
    #[inline(always)]
    pub(crate) fn finish(&mut self, scale: f32, sums: [i32; 2]) {
        self.scale = scale;
        self.scaled_sum = scale * (sums[0] + sums[1]) as f32;
        self.offsets = sums.map(|sum| -32 * sum);
    }
}

/// Rounds rows of x that are multiplied together: values, columns, blocks, how one is rounded.
#[inline(always)]
pub(crate) fn round_panel(
    x: &[f32],
    cols: usize,
    to: &mut [Block],
    round: impl Fn(&[f32; ACTIVATION_BLOCK]) -> Block,
) {
    let rows = x.len() / cols.max(1);
    for (r, x) in x.chunks_exact(cols).enumerate() {
        for (b, x) in x.as_chunks().0.iter().enumerate() {
            to[b * rows + r] = round(x);
        }
    }
}

/// Rows of activations that are multiplied together: their blocks by columns and then by rows, so that the product walks
/// through memory in order.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    pub rows: usize,
    pub blocks: &'a [Block],
}

/// How many rows of `left` are multiplied together next.
fn panel_rows(left: usize, most: usize) -> usize {
    match left {
        _ if left >= most => most,
        4.. => 4,
        _ => left,
    }
}

/// The panels of `m` rows, as first rows and numbers of rows.
fn panels(m: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let first = next;
        let rows = panel_rows(m - first, most);
        next += rows;
        (rows > 0).then_some((first, rows))
    })
}

/// Rows of activations as signed bytes.
pub(crate) struct Activations {
    blocks: Vec<Block>,
    rows: usize,
    blocks_a_row: usize,
    most: usize,
}

impl Activations {
    /// Rounds `x`, rows of `cols`, as the products of a level want them; without one, in plain Rust.
    pub(crate) fn round(with: Option<&Primitives>, x: &[f32], cols: usize) -> Self {
        let rows = x.len() / cols.max(1);
        let blocks_a_row = cols / ACTIVATION_BLOCK;
        let most = with.map_or(1, |with| with.panel_rows).min(MOST_ROWS);
        let mut blocks = vec![Block::EMPTY; rows * blocks_a_row];
        let plain: fn(&[f32], usize, &mut [Block]) =
            |x, cols, to| round_panel(x, cols, to, Block::round);
        let round = with.map_or(plain, |with| with.round);
        if rows < MIN_SHARED_ROWS {
            for (first, rows) in panels(rows, most) {
                let x = &x[first * cols..][..rows * cols];
                round(
                    x,
                    cols,
                    &mut blocks[first * blocks_a_row..][..rows * blocks_a_row],
                );
            }
        } else {
            let shared = SharedSlice::new(&mut blocks);
            let panels: Vec<_> = panels(rows, most).collect();
            team::for_each(panels.len(), |i| {
                let (first, rows) = panels[i];
                // SAFETY: panels do not overlap.
                let to = unsafe { shared.part(first * blocks_a_row, rows * blocks_a_row) };
                round(&x[first * cols..][..rows * cols], cols, to);
            });
        }
        Self {
            blocks,
            rows,
            blocks_a_row,
            most,
        }
    }

    /// The first row of each panel, and the panel.
    fn panels(&self) -> impl Iterator<Item = (usize, Panel<'_>)> {
        panels(self.rows, self.most).map(|(first, rows)| {
            let blocks = &self.blocks[first * self.blocks_a_row..][..rows * self.blocks_a_row];
            (first, Panel { rows, blocks })
        })
    }

    /// The activations as f32 again, `[m, cols]`.
    pub(crate) fn values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.blocks_a_row * ACTIVATION_BLOCK];
        for (first, panel) in self.panels() {
            for (i, block) in panel.blocks.iter().enumerate() {
                let (b, r) = (i / panel.rows, first + i % panel.rows);
                let at = (r * self.blocks_a_row + b) * ACTIVATION_BLOCK;
                for (to, &q) in values[at..][..ACTIVATION_BLOCK].iter_mut().zip(&block.q) {
                    *to = f32::from(q) * block.scale;
                }
            }
        }
        values
    }
}

/// `y[m, rows] = x[m, cols] · Wᵀ` for each weight and output, by integer dot products where the weights were laid out for them.
pub(crate) fn forward(
    with: &Primitives,
    products: &mut [(&QMatrix, &mut [f32])],
    x: &Activations,
    m: usize,
) {
    let mut all = 0;
    for (w, y) in products.iter_mut() {
        match w.packed() {
            Some(packed) => all += packed.bytes().len(),
            // Nobody waits for these: the same numbers, multiplied in f32.
            None => tiled::forward(with, w, &x.values(), m, y),
        }
    }
    let wanted = tasks_for(all, x.rows);
    let mut parts: Vec<Part<'_>> = Vec::with_capacity(products.len());
    let mut tasks = 0;
    for (w, y) in products.iter_mut() {
        let Some(packed) = w.packed().map(|packed| packed.bytes()) else {
            continue;
        };
        if packed.is_empty() || m == 0 {
            continue;
        }
        let groups = w.rows().div_ceil(GROUP_ROWS);
        let group_bytes = packed.len() / groups;
        let share = (packed.len() * wanted / all).max(1);
        let chunk = groups
            .div_ceil(share)
            .clamp(1, (MAX_TASK_BYTES / group_bytes).max(1));
        parts.push(Part {
            w,
            packed,
            groups,
            group_bytes,
            chunk,
            first_task: tasks,
            output: SharedOutput::new(y, w.rows()),
        });
        tasks += groups.div_ceil(chunk);
    }
    team::for_each(tasks, |task| {
        let later = parts.partition_point(|part| part.first_task <= task);
        parts[later - 1].run(with.packed, task, x);
    });
}

/// A weight among those that are multiplied together: sixteen of its rows lie side by side.
struct Part<'a> {
    w: &'a QMatrix,
    packed: &'a [u8],
    groups: usize,
    group_bytes: usize,
    /// Groups that a task takes.
    chunk: usize,
    first_task: usize,
    output: SharedOutput<'a>,
}

impl Part<'_> {
    fn run(&self, dot: PackedDot, task: usize, x: &Activations) {
        let start = (task - self.first_task) * self.chunk;
        let count = self.chunk.min(self.groups - start);
        let groups = &self.packed[start * self.group_bytes..][..count * self.group_bytes];
        let (first_row, whole) = (start * GROUP_ROWS, count * GROUP_ROWS);
        // The last group may have rows that are not there.
        let real = whole.min(self.w.rows() - first_row);
        with_scratch(x.most * whole, |results| {
            for (first, panel) in x.panels() {
                let results = &mut results[..panel.rows * whole];
                dot(self.w.quant_type(), groups, panel, results);
                for (i, result) in results.chunks_exact(whole).enumerate() {
                    // SAFETY: this task alone writes the columns of its rows of W.
                    unsafe { self.output.part(first + i, first_row, real) }
                        .copy_from_slice(&result[..real]);
                }
            }
        });
    }
}

/// As many tasks for each thread as are worth it, up to four, and the same number for all.
fn tasks_for(bytes: usize, m: usize) -> usize {
    let threads = team::threads();
    let work = bytes * m.clamp(1, MOST_ROWS);
    threads * (work / (MIN_TASK_BYTES * threads)).clamp(1, 4)
}
