//! Products on a matrix unit that multiplies bfloat16 and adds up in f32.
//!
//! A number is cut into a bfloat16 and the bfloat16 of what that leaves, together 16 bits of it. One pass multiplies the first
//! parts (8 bits, for prompts); three passes — first by first, first by second, second by first — give all 16, for scores and
//! training. Weights are decoded and cut a panel at a time, activations once a product.

use std::cell::Cell;

use crate::QMatrix;
use crate::matmul::{backward_rectangle, tiled::part_of_row};
use crate::packed::{GROUP_ROWS, Packed, UNIT};
use crate::primitives::{MatrixUnit, Primitives};
use crate::slices::{SharedOutput, Strided, with_scratch};
use crate::team;

/// Rows of a tile of A, columns of a tile of B.
pub(crate) const SIDE: usize = 16;
/// Columns of a tile of A, rows of a tile of B.
pub(crate) const DEPTH: usize = 32;

/// A tile of bfloat16: of A as 16 rows of 32, of B as 16 rows of pairs, row p holding rows 2 p and 2 p + 1 interleaved.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Tile(pub [u16; SIDE * DEPTH]);

const EMPTY: Tile = Tile([0; SIDE * DEPTH]);

/// Which parts of the numbers are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// The first parts only.
    First,
    /// Both.
    Both,
}

impl Parts {
    fn planes(self) -> usize {
        match self {
            Parts::First => 1,
            Parts::Both => 2,
        }
    }
}

/// Up to 32 × 32 sums: `c` (+)= A · B, a pair of tiles after another.
pub(crate) struct Product {
    pub parts: Parts,
    /// By plane and block of 16 rows: runs of `depth` tiles. With one block, the second repeats it; with [`Parts::First`],
    /// the second plane repeats the first.
    pub a: [[*const Tile; 2]; 2],
    /// By plane and block of 16 columns.
    pub b: [[*const Tile; 2]; 2],
    /// At least 1.
    pub depth: usize,
    /// Blocks of rows, 1 or 2.
    pub a_blocks: usize,
    /// Blocks of columns, 1 or 2.
    pub b_blocks: usize,
    /// `[16 a_blocks, 16 b_blocks]` floats, rows `c_stride` apart.
    pub c: *mut f32,
    pub c_stride: usize,
    /// Whether what is in `c` already counts.
    pub add: bool,
}

/// Cut numbers, plane after plane: `[planes, blocks, depth]` tiles.
struct Cut<'a> {
    tiles: &'a [Tile],
    planes: usize,
    depth: usize,
}

impl<'a> Cut<'a> {
    fn new(tiles: &'a [Tile], planes: usize, depth: usize) -> Self {
        Self {
            tiles,
            planes,
            depth,
        }
    }

    /// `count` tiles of a block, from tile `from` on.
    fn at(&self, plane: usize, block: usize, from: usize, count: usize) -> *const Tile {
        let blocks = self.tiles.len() / (self.planes * self.depth);
        assert!(
            block < blocks && from + count <= self.depth,
            "the tiles exist"
        );
        self.tiles[(plane * blocks + block) * self.depth + from..][..count].as_ptr()
    }
}

/// Where sums go: rows and columns from a first one on, and how many of them.
struct Target<'a> {
    output: &'a SharedOutput<'a>,
    rows: (usize, usize),
    cols: (usize, usize),
    /// Whether what is there already counts.
    add: bool,
}

/// Multiplies `depth` tiles of blocks `a_block..` by as many of blocks `b_block..`, as many blocks of each, up to two, as the
/// target asks for. They begin at the given tiles of a and b.
///
/// # Safety
/// The unit is configured, and nobody else writes to the target's rows and columns.
unsafe fn multiply(
    unit: &MatrixUnit,
    (a, a_block, a_from): (&Cut<'_>, usize, usize),
    (b, b_block, b_from): (&Cut<'_>, usize, usize),
    depth: usize,
    target: &Target<'_>,
) {
    let (rows, cols) = (target.rows.1.min(2 * SIDE), target.cols.1.min(2 * SIDE));
    let (a_blocks, b_blocks) = (rows.div_ceil(SIDE), cols.div_ceil(SIDE));
    let planes = [0, a.planes - 1];
    let mut product = Product {
        parts: if a.planes == 1 {
            Parts::First
        } else {
            Parts::Both
        },
        a: planes.map(|p| [0, a_blocks - 1].map(|i| a.at(p, a_block + i, a_from, depth))),
        b: planes.map(|p| [0, b_blocks - 1].map(|i| b.at(p, b_block + i, b_from, depth))),
        depth,
        a_blocks,
        b_blocks,
        c: std::ptr::null_mut(),
        c_stride: 0,
        add: target.add,
    };
    if rows == a_blocks * SIDE && cols == b_blocks * SIDE {
        (product.c, product.c_stride) =
            target
                .output
                .rectangle(target.rows.0, rows, target.cols.0, cols);
        // SAFETY: the runs of tiles were checked by `at`, the place by `rectangle`; nobody else writes there.
        unsafe { (unit.multiply)(&product) };
        return;
    }
    let mut buffer = [0.0_f32; 4 * SIDE * SIDE];
    // SAFETY: the caller's promise.
    let place = |i: usize| unsafe { target.output.part(target.rows.0 + i, target.cols.0, cols) };
    if target.add {
        for (i, row) in buffer.chunks_exact_mut(2 * SIDE).take(rows).enumerate() {
            row[..cols].copy_from_slice(place(i));
        }
    }
    (product.c, product.c_stride) = (buffer.as_mut_ptr(), 2 * SIDE);
    // SAFETY: as above; the buffer holds 32 rows of 32 sums.
    unsafe { (unit.multiply)(&product) };
    for (i, row) in buffer.chunks_exact(2 * SIDE).take(rows).enumerate() {
        place(i).copy_from_slice(&row[..cols]);
    }
}

/// Where tiles begin that several threads write, each its own.
struct SharedTiles(*mut Tile);

// SAFETY: using the pointer is `unsafe` where it is done.
unsafe impl Sync for SharedTiles {}

impl SharedTiles {
    fn at(&self, tile: usize) -> *mut Tile {
        self.0.wrapping_add(tile)
    }
}

/// Cuts `m` rows of `cols` numbers, the activations, in parallel.
///
/// The rows that the last tiles have room for beyond `m` are of any content, and so are the sums they take part in.
fn cut_rows<R>(
    unit: &MatrixUnit,
    x: Strided<'_>,
    (m, cols): (usize, usize),
    planes: usize,
    work: impl FnOnce(&Cut<'_>) -> R,
) -> R {
    thread_local! {
        static CUT: Cell<Vec<Tile>> = const { Cell::new(Vec::new()) };
    }
    let (blocks, depth) = (m.div_ceil(SIDE), cols.div_ceil(DEPTH));
    with_kept(&CUT, planes * blocks * depth, |tiles| {
        cut_into(unit, x, (m, cols), planes, tiles);
        work(&Cut::new(tiles, planes, depth))
    })
}

fn cut_into(
    unit: &MatrixUnit,
    x: Strided<'_>,
    (m, cols): (usize, usize),
    planes: usize,
    tiles: &mut [Tile],
) {
    let (blocks, depth) = (m.div_ceil(SIDE), cols.div_ceil(DEPTH));
    let runs = SharedTiles(tiles.as_mut_ptr());
    team::for_each(blocks, |block| {
        let rows = SIDE.min(m - block * SIDE);
        // SAFETY: each run of `depth` tiles, of either plane, belongs to one block, and there are `planes * blocks` of them.
        let run = |plane: usize| unsafe {
            std::slice::from_raw_parts_mut(runs.at((plane * blocks + block) * depth), depth)
        };
        let rest = if planes > 1 { run(1) } else { &mut [] };
        (unit.pack_rows)(x.from(block * SIDE * x.stride), rows, cols, run(0), rest);
    });
}

/// Tiles that are multiplied before the next blocks take their turn: so many of two blocks of A stay in a first-level cache.
const RUN: usize = 48;
/// Bytes of cut weights that a task works on at a time: within a second-level cache, beside the activations.
const PANEL_BYTES: usize = 384 * 1024;

/// `y[m, rows] = x[m, cols] · Wᵀ` for each weight and output; the activations are cut once. A sum runs over the columns in
/// order, pass after pass, whatever m or the thread.
pub(crate) fn forward(
    (unit, with): (&MatrixUnit, &Primitives),
    products: &mut [(&QMatrix, &mut [f32])],
    x: &[f32],
    m: usize,
    parts: Parts,
) {
    let cols = products.first().map_or(0, |(w, _)| w.cols());
    if m == 0 || cols == 0 {
        products.iter_mut().for_each(|(_, y)| y.fill(0.0));
        return;
    }
    let (planes, depth) = (parts.planes(), cols.div_ceil(DEPTH));
    let fits = PANEL_BYTES / (planes * depth * size_of::<Tile>());
    let all: usize = products.iter().map(|(w, _)| w.rows()).sum();
    let shared_out = all.div_ceil(team::threads() * 4 * SIDE);
    // Whole pairs of blocks, at least one.
    let panel = shared_out.min(fits).next_multiple_of(2).max(2) * SIDE;
    let mut panels = Vec::new();
    for (w, y) in products.iter_mut() {
        let first_task = panels.last().map_or(0, Panels::end);
        panels.push(Panels {
            w,
            first_task,
            rows: panel,
            output: SharedOutput::new(y, w.rows()),
        });
    }
    let tasks = panels.last().map_or(0, Panels::end);
    cut_rows(unit, Strided::new(x, cols), (m, cols), planes, |a| {
        team::for_each(tasks, |task| {
            let later = panels.partition_point(|part| part.first_task <= task);
            // Of several that begin with this task all but the last are empty.
            panels[later - 1].run((unit, with), task, (a, m), planes);
        });
    });
}

/// A weight among those that are multiplied together, cut into panels of rows.
struct Panels<'a> {
    w: &'a QMatrix,
    first_task: usize,
    /// Rows of a panel.
    rows: usize,
    output: SharedOutput<'a>,
}

impl Panels<'_> {
    fn end(&self) -> usize {
        self.first_task + self.w.rows().div_ceil(self.rows)
    }

    fn run(
        &self,
        (unit, with): (&MatrixUnit, &Primitives),
        task: usize,
        (a, m): (&Cut<'_>, usize),
        planes: usize,
    ) {
        let (w, depth) = (self.w, self.w.cols().div_ceil(DEPTH));
        let first = (task - self.first_task) * self.rows;
        let count = self.rows.min(w.rows() - first);
        let blocks = count.div_ceil(SIDE);
        with_tile_scratch(planes * blocks * depth, |tiles| {
            let (to, rest) = tiles.split_at_mut(blocks * depth);
            if let Some(packed) = w.packed() {
                for block in 0..blocks {
                    let here = block * depth..(block + 1) * depth;
                    let rest = rest.get_mut(here.clone()).unwrap_or_default();
                    let group = packed.group(first / SIDE + block, w.rows());
                    (unit.pack_group)(w.quant_type(), group, &mut to[here], rest);
                }
            } else {
                cut_stored((unit, with), w, (first, blocks), to, rest);
            }
            let b = Cut::new(tiles, planes, depth);
            (unit.with_tiles)(&mut || {
                for from in (0..depth).step_by(RUN) {
                    let run = RUN.min(depth - from);
                    for row in (0..m).step_by(2 * SIDE) {
                        for col in (0..count).step_by(2 * SIDE) {
                            let target = Target {
                                output: &self.output,
                                rows: (row, m - row),
                                cols: (first + col, count - col),
                                add: from > 0,
                            };
                            let (a, b) = ((a, row / SIDE, from), (&b, col / SIDE, from));
                            // SAFETY: configured just now; this task alone writes the columns of its rows of W.
                            unsafe { multiply(unit, a, b, run, &target) };
                        }
                    }
                }
            });
        });
    }
}

/// Blocks of sixteen rows of W from `first` on, as tiles of B: `[blocks, depth]`.
fn cut_stored(
    (unit, with): (&MatrixUnit, &Primitives),
    w: &QMatrix,
    (first, blocks): (usize, usize),
    to: &mut [Tile],
    rest: &mut [Tile],
) {
    let (rows, cols, depth) = (w.rows(), w.cols(), w.cols().div_ceil(DEPTH));
    let stride = depth * DEPTH;
    with_scratch(SIDE * stride, |decoded| {
        for block in 0..blocks {
            for (i, decoded) in decoded.chunks_exact_mut(stride).enumerate() {
                let row = first + block * SIDE + i;
                let known = if row < rows { cols } else { 0 };
                decoded[known..].fill(0.0);
                if row < rows {
                    (with.dequantize)(w.quant_type(), w.row(row), &mut decoded[..cols]);
                }
            }
            let here = block * depth..(block + 1) * depth;
            let rest = rest.get_mut(here.clone()).unwrap_or_default();
            (unit.pack_transposed)(decoded, stride, &mut to[here], rest);
        }
    });
}

/// Rows of W that the backward product decodes at a time.
const BACKWARD_ROWS: usize = 16 * DEPTH;
/// Columns of dy that are cut at a time: the gradient of a vocabulary is wide.
const BACKWARD_CUT: usize = 16 * BACKWARD_ROWS;

/// `dx[m, cols] = dy[m, rows] · W`. Tasks own some columns and some rows of `dx`; a sum runs over the rows of W in order,
/// pass after pass in pieces of a fixed size, whatever m or the thread.
pub(crate) fn backward_input(
    (unit, with): (&MatrixUnit, &Primitives),
    w: &QMatrix,
    (dy, m): (&[f32], usize),
    dx: &mut [f32],
    add: bool,
    parts: Parts,
) {
    let (rows, cols, planes) = (w.rows(), w.cols(), parts.planes());
    let (wide, tall) = backward_rectangle(w, m, (2 * SIDE, 2 * SIDE));
    let across = cols.div_ceil(wide);
    let output = SharedOutput::new(dx, cols);
    for cut_from in (0..rows).step_by(BACKWARD_CUT) {
        let cut_rows_of_w = BACKWARD_CUT.min(rows - cut_from);
        let slopes = Strided::new(&dy[cut_from..], rows);
        cut_rows(unit, slopes, (m, cut_rows_of_w), planes, |a| {
            let task = |task: usize| {
                let (left, top) = (task % across * wide, task / across * tall);
                let (width, height) = (wide.min(cols - left), tall.min(m - top));
                let blocks = width.div_ceil(SIDE);
                for piece in (0..cut_rows_of_w).step_by(BACKWARD_ROWS) {
                    let count = BACKWARD_ROWS.min(cut_rows_of_w - piece);
                    let depth = count.div_ceil(DEPTH);
                    with_tile_scratch(planes * blocks * depth, |tiles| {
                        let rows = (w, cut_from + piece, count);
                        match w.packed() {
                            Some(packed) => {
                                let (to, rest) = tiles.split_at_mut(blocks * depth);
                                cut_packed((unit, with), rows, packed, (left, width), to, rest);
                            }
                            None => {
                                decode_interleaved((unit, with), rows, (left, width), planes, tiles)
                            }
                        }
                        let b = Cut::new(tiles, planes, depth);
                        (unit.with_tiles)(&mut || {
                            for from in (0..depth).step_by(RUN) {
                                let run = RUN.min(depth - from);
                                for row in (0..height).step_by(2 * SIDE) {
                                    for col in (0..width).step_by(2 * SIDE) {
                                        let target = Target {
                                            output: &output,
                                            rows: (top + row, height - row),
                                            cols: (left + col, width - col),
                                            add: add || cut_from + piece + from > 0,
                                        };
                                        let a = (a, (top + row) / SIDE, piece / DEPTH + from);
                                        let b = (&b, col / SIDE, from);
                                        // SAFETY: configured just now; this task alone writes rows `top..` and columns
                                        // `left..` of its rectangle.
                                        unsafe { multiply(unit, a, b, run, &target) };
                                    }
                                }
                            }
                        });
                    });
                }
            };
            team::for_each(across * m.div_ceil(tall), task);
        });
    }
}

/// Columns whose packed weights are decoded at a time.
const UNPACKED: usize = 4 * UNIT;

/// As [`decode_interleaved`] does, of packed weights.
fn cut_packed(
    (unit, with): (&MatrixUnit, &Primitives),
    (w, first, count): (&QMatrix, usize, usize),
    packed: &Packed,
    (left, width): (usize, usize),
    to: &mut [Tile],
    rest: &mut [Tile],
) {
    const _: () = assert!(DEPTH == 2 * GROUP_ROWS && UNIT.is_multiple_of(SIDE));
    let depth = count.div_ceil(DEPTH);
    let block = SIDE * GROUP_ROWS;
    with_scratch(2 * UNPACKED * GROUP_ROWS, |scratch| {
        for k in 0..depth {
            for from in (0..width).step_by(UNPACKED) {
                let columns = UNPACKED.min(width - from);
                let (halves, _) = scratch.split_at_mut(2 * columns * GROUP_ROWS);
                let halves_of = halves.chunks_exact_mut(columns * GROUP_ROWS);
                for (half, to) in halves_of.enumerate() {
                    let row = first + k * DEPTH + half * GROUP_ROWS;
                    if row < w.rows() {
                        let group = packed.group(row / GROUP_ROWS, w.rows());
                        let units = (w.cols() / UNIT, (left + from) / UNIT);
                        (with.unpack)(w.quant_type(), group, units.0, units.1, to);
                    } else {
                        to.fill(0.0);
                    }
                }
                let (low, high) = halves.split_at(columns * GROUP_ROWS);
                for (i, (low, high)) in low
                    .chunks_exact(block)
                    .zip(high.chunks_exact(block))
                    .enumerate()
                {
                    let tile = (from / SIDE + i) * depth + k;
                    (unit.pack_columns)(low, high, &mut to[tile], rest.get_mut(tile));
                }
            }
        }
    });
}

/// Rows `first..` of W, columns `left..`, as tiles of B: `[planes, blocks of columns, depth]`.
fn decode_interleaved(
    (unit, with): (&MatrixUnit, &Primitives),
    (w, first, count): (&QMatrix, usize, usize),
    (left, width): (usize, usize),
    planes: usize,
    tiles: &mut [Tile],
) {
    let (blocks, depth) = (width.div_ceil(SIDE), count.div_ceil(DEPTH));
    let (to, rest) = tiles.split_at_mut(blocks * depth);
    let stride = blocks * SIDE;
    with_scratch(DEPTH * stride, |decoded| {
        for k in 0..depth {
            for (i, decoded) in decoded.chunks_exact_mut(stride).enumerate() {
                let row = k * DEPTH + i;
                let known = if row < count { width } else { 0 };
                decoded[known..].fill(0.0);
                if row < count {
                    let stored = part_of_row(w, first + row, left, width);
                    (with.dequantize)(w.quant_type(), stored, &mut decoded[..width]);
                }
            }
            for block in 0..blocks {
                let rest = (planes > 1).then(|| &mut rest[block * depth + k]);
                (unit.pack_interleaved)(
                    &decoded[block * SIDE..],
                    stride,
                    &mut to[block * depth + k],
                    rest,
                );
            }
        }
    });
}

/// Calls `work` with `len` tiles of any content, kept by the thread for the next call.
fn with_tile_scratch<R>(len: usize, work: impl FnOnce(&mut [Tile]) -> R) -> R {
    thread_local! {
        static TILES: Cell<Vec<Tile>> = const { Cell::new(Vec::new()) };
    }
    with_kept(&TILES, len, work)
}

fn with_kept<R>(
    kept: &'static std::thread::LocalKey<Cell<Vec<Tile>>>,
    len: usize,
    work: impl FnOnce(&mut [Tile]) -> R,
) -> R {
    // Taken out rather than borrowed, as in `with_scratch`.
    let mut tiles = kept.take();
    if tiles.len() < len {
        tiles.resize(len, EMPTY);
    }
    let result = work(&mut tiles[..len]);
    kept.set(tiles);
    result
}
