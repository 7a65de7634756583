//! How an f32 product is cut up: panels of dequantized weights that stay in the cache, tiles that stay in registers,
//! tasks that share no output. The tile itself belongs to the instruction level.

use crate::QMatrix;
use crate::matmul::backward_rectangle;
use crate::packed::{GROUP_ROWS, Packed, UNIT};
use crate::primitives::{Primitives, TILE_COLS, TILE_ROWS, TileBuffer};
use crate::slices::{SharedOutput, Strided, with_scratch};
use crate::team;

/// Bytes of dequantized weights that a task works on at a time: well within a second-level cache.
const PANEL_BYTES: usize = 192 * 1024;
/// Products that a tile adds up before the next tile takes its turn: so much of x stays in a first-level cache.
const DEPTH: usize = 256;
/// Rows are this many floats longer in scratch memory than they need be, because rows a power of two apart fall on the
/// same cache lines and push one another out.
const STRIDE_PADDING: usize = 16;
/// Rows of so many floats, or a multiple, do that.
const POWERS: usize = 256;
/// Rows of W that the backward product decodes at a time.
const BACKWARD_DEPTH: usize = 128;
const _: () = assert!(BACKWARD_DEPTH.is_multiple_of(GROUP_ROWS));

/// `y[m, rows] = x[m, cols] · Wᵀ`. Every sum runs over the columns in order, whatever m, the panel or the thread.
pub(crate) fn forward(with: &Primitives, w: &QMatrix, x: &[f32], m: usize, y: &mut [f32]) {
    let (rows, cols) = (w.rows(), w.cols());
    if m == 0 || rows == 0 {
        return;
    }
    if let Some(packed) = w.packed() {
        return forward_packed(with, w, packed, (x, m), y);
    }
    // x as [m / 16, cols, 16]: a tile's columns are rows of x, and all panels share the packing.
    let mut packed = vec![0.0_f32; m.div_ceil(TILE_COLS) * cols * TILE_COLS];
    if cols > 0 {
        team::for_each_piece(&mut packed, cols * TILE_COLS, |start, to| {
            let first = start / cols;
            let from = Strided::new(&x[first * cols..], cols);
            (with.transpose)((m - first).min(TILE_COLS), cols, from, to);
        });
    }
    let stride = cols + STRIDE_PADDING;
    let fits = PANEL_BYTES / (4 * stride) / TILE_ROWS * TILE_ROWS;
    let shared_out = rows
        .div_ceil(team::threads() * 4)
        .next_multiple_of(TILE_ROWS);
    let panel = shared_out.clamp(TILE_ROWS, fits.max(TILE_ROWS));
    let output = SharedOutput::new(y, rows);
    team::for_each(rows.div_ceil(panel), |task| {
        let first = task * panel;
        let count = panel.min(rows - first);
        let mut tiles = vec![TileBuffer::default(); count.div_ceil(TILE_ROWS)];
        with_scratch(count * stride, |weights| {
            for (i, to) in weights.chunks_exact_mut(stride).enumerate() {
                (with.dequantize)(w.quant_type(), w.row(first + i), &mut to[..cols]);
            }
            let weights = Strided::new(weights, stride);
            for block in 0..m.div_ceil(TILE_COLS) {
                tiles.fill(TileBuffer::default());
                for left in (0..cols).step_by(DEPTH) {
                    let depth = DEPTH.min(cols - left);
                    let x = Strided::new(
                        &packed[(block * cols + left) * TILE_COLS..][..depth * TILE_COLS],
                        TILE_COLS,
                    );
                    for (row, tile) in (0..count).step_by(TILE_ROWS).zip(&mut tiles) {
                        let tall = TILE_ROWS.min(count - row);
                        (with.tile)(tall, depth, weights.from(row * stride + left), x, tile);
                    }
                }
                for i in 0..TILE_COLS.min(m - block * TILE_COLS) {
                    // SAFETY: this task alone writes columns `first..first + count` of y.
                    let y = unsafe { output.part(block * TILE_COLS + i, first, count) };
                    for (y, sums) in y.iter_mut().zip(tiles.as_flattened()) {
                        *y = sums[i];
                    }
                }
            }
        });
    });
}

/// The same to the same bits over weights that lie sixteen rows side by side, which are the columns of a tile: neither x nor y
/// has to be transposed.
fn forward_packed(
    with: &Primitives,
    w: &QMatrix,
    packed: &Packed,
    (x, m): (&[f32], usize),
    y: &mut [f32],
) {
    const _: () = assert!(GROUP_ROWS == TILE_COLS);
    let (rows, cols) = (w.rows(), w.cols());
    let padded;
    let x = if cols.is_multiple_of(POWERS) && m > 1 {
        let stride = cols + STRIDE_PADDING;
        let mut to = vec![0.0; m * stride];
        for (x, to) in x.chunks_exact(cols).zip(to.chunks_exact_mut(stride)) {
            to[..cols].copy_from_slice(x);
        }
        padded = to;
        Strided::new(&padded, stride)
    } else {
        Strided::new(x, cols)
    };
    let output = SharedOutput::new(y, rows);
    let groups = rows.div_ceil(GROUP_ROWS);
    let blocks = m.div_ceil(TILE_ROWS);
    team::for_each(groups.div_ceil(2), |task| {
        let of_task = [2 * task, (2 * task + 1).min(groups - 1)];
        // A last group alone is taken for both; its sums are then the same twice over.
        let sums = blocks * 2 * TILE_ROWS * TILE_COLS;
        with_scratch(2 * DEPTH * GROUP_ROWS + sums, |scratch| {
            let (weights, sums) = scratch.split_at_mut(2 * DEPTH * GROUP_ROWS);
            sums.fill(0.0);
            let tiles = sums.as_chunks_mut::<TILE_COLS>().0;
            let tiles = tiles.as_chunks_mut::<TILE_ROWS>().0;
            let pairs = tiles.as_chunks_mut::<2>().0;
            for left in (0..cols).step_by(DEPTH) {
                let depth = DEPTH.min(cols - left);
                let halves = weights.split_at_mut(DEPTH * GROUP_ROWS);
                let unpack = |half: usize, to: &mut [f32]| {
                    let to = &mut to[..depth * GROUP_ROWS];
                    let group = packed.group(of_task[half], rows);
                    (with.unpack)(w.quant_type(), group, cols / UNIT, left / UNIT, to);
                };
                unpack(0, halves.0);
                unpack(1, halves.1);
                let weights = [&*halves.0, &*halves.1].map(|w| Strided::new(w, GROUP_ROWS));
                for (top, pair) in (0..m).step_by(TILE_ROWS).zip(&mut *pairs) {
                    let x = x.from(top * x.stride + left);
                    let tall = TILE_ROWS.min(m - top);
                    if let Some(both) = with.pair_tile {
                        both(tall, depth, x, weights, pair);
                    } else {
                        for (tile, weights) in pair.iter_mut().zip(weights) {
                            (with.tile)(tall, depth, x, weights, tile);
                        }
                    }
                }
            }
            for (top, pair) in (0..m).step_by(TILE_ROWS).zip(&*pairs) {
                for (tile, group) in pair.iter().zip(2 * task..groups) {
                    let first = group * GROUP_ROWS;
                    let count = GROUP_ROWS.min(rows - first);
                    for (i, sums) in tile.iter().take(m - top).enumerate() {
                        // SAFETY: this task alone writes the columns of its groups.
                        unsafe { output.part(top + i, first, count) }
                            .copy_from_slice(&sums[..count]);
                    }
                }
            }
        });
    });
}

/// `dx[m, cols] = dy[m, rows] · W`. Tasks own some columns and some rows of `dx`; every sum runs over the rows of W in
/// order, whatever m or the thread.
pub(crate) fn backward_input(
    with: &Primitives,
    w: &QMatrix,
    (dy, m): (&[f32], usize),
    dx: &mut [f32],
    add: bool,
) {
    let (rows, cols) = (w.rows(), w.cols());
    if !add {
        dx.fill(0.0);
    }
    if m == 0 || rows == 0 || cols == 0 {
        return;
    }
    let (wide, tall) = backward_rectangle(w, m, (TILE_ROWS, TILE_COLS));
    let across = cols.div_ceil(wide);
    let output = SharedOutput::new(dx, cols);
    team::for_each(across * m.div_ceil(tall), |task| {
        let (left, top) = (task % across * wide, task / across * tall);
        let (width, height) = (wide.min(cols - left), tall.min(m - top));
        let stride = width.next_multiple_of(TILE_COLS) + STRIDE_PADDING;
        let slope_stride = BACKWARD_DEPTH + STRIDE_PADDING;
        let unpacked = w.packed().map_or(0, |_| width * GROUP_ROWS);
        let floats = BACKWARD_DEPTH * stride + height * slope_stride + unpacked;
        with_scratch(floats, |scratch| {
            let (weights, rest) = scratch.split_at_mut(BACKWARD_DEPTH * stride);
            let (slopes, unpacked) = rest.split_at_mut(height * slope_stride);
            // The columns between `width` and the next whole tile are computed and dropped: any finite value will do.
            weights.fill(0.0);
            for first in (0..rows).step_by(BACKWARD_DEPTH) {
                let count = BACKWARD_DEPTH.min(rows - first);
                if let Some(packed) = w.packed() {
                    let groups = weights.chunks_exact_mut(GROUP_ROWS * stride);
                    for (i, to) in groups.take(count.div_ceil(GROUP_ROWS)).enumerate() {
                        let group = packed.group(first / GROUP_ROWS + i, rows);
                        let units = (cols / UNIT, left / UNIT);
                        (with.unpack)(w.quant_type(), group, units.0, units.1, unpacked);
                        by_rows(with, unpacked, to, stride);
                    }
                } else {
                    for (i, to) in weights.chunks_exact_mut(stride).take(count).enumerate() {
                        (with.dequantize)(
                            w.quant_type(),
                            part_of_row(w, first + i, left, width),
                            &mut to[..width],
                        );
                    }
                }
                // Rows of dy lie too far apart to be read in place again and again.
                for (i, to) in slopes.chunks_exact_mut(slope_stride).enumerate() {
                    to[..count].copy_from_slice(&dy[(top + i) * rows + first..][..count]);
                }
                let (weights, slopes) = (
                    Strided::new(weights, stride),
                    Strided::new(slopes, slope_stride),
                );
                for col in (0..width).step_by(TILE_COLS) {
                    let kept = TILE_COLS.min(width - col);
                    for row in (0..height).step_by(TILE_ROWS) {
                        let high = TILE_ROWS.min(height - row);
                        let mut tile = TileBuffer::default();
                        let dx = |i: usize| {
                            // SAFETY: this task alone writes rows `top..` and columns `left..` of its rectangle.
                            unsafe { output.part(top + row + i, left + col, kept) }
                        };
                        for (i, sums) in tile.iter_mut().take(high).enumerate() {
                            sums[..kept].copy_from_slice(dx(i));
                        }
                        (with.tile)(
                            high,
                            count,
                            slopes.from(row * slope_stride),
                            weights.from(col),
                            &mut tile,
                        );
                        for (i, sums) in tile.iter().take(high).enumerate() {
                            dx(i).copy_from_slice(&sums[..kept]);
                        }
                    }
                }
            }
        });
    });
}

/// `[columns, 16]` of a group of packed rows as sixteen rows that lie `stride` apart.
fn by_rows(with: &Primitives, columns: &[f32], to: &mut [f32], stride: usize) {
    let mut turned = [0.0; TILE_COLS * GROUP_ROWS];
    for (block, columns) in columns.chunks_exact(TILE_COLS * GROUP_ROWS).enumerate() {
        let columns = Strided::new(columns, GROUP_ROWS);
        (with.transpose)(TILE_COLS, GROUP_ROWS, columns, &mut turned);
        for (row, turned) in turned.chunks_exact(TILE_COLS).enumerate() {
            to[row * stride + block * TILE_COLS..][..TILE_COLS].copy_from_slice(turned);
        }
    }
}

/// The blocks of `width` values of a row, from value `left` on; both are whole blocks.
pub(crate) fn part_of_row(w: &QMatrix, row: usize, left: usize, width: usize) -> &[u8] {
    let ty = w.quant_type();
    &w.row(row)[left / ty.block_size() * ty.block_bytes()..]
        [..width / ty.block_size() * ty.block_bytes()]
}
