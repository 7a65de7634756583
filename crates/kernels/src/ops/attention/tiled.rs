//! Attention in blocks of queries and keys, with the tile of the instruction level for every product
//! (Dao et al. 2022, "FlashAttention": running maximum and sum, probabilities computed again for the gradient).

use std::ops::Range;

use super::{AttentionShape, AttentionTrace, KEY_BLOCK};
use crate::primitives::{Primitives, TILE_COLS, TILE_ROWS, TileBuffer, WIDE_COLS, WIDE_ROWS};
use crate::slices::{SharedOutput, Strided, with_scratch};
use crate::team;

/// Keys of a block. Blocks start at multiples of it, so that a query's sums do not depend on the queries beside it.
const KEYS: usize = KEY_BLOCK;

/// Where keys are read from.
#[derive(Clone, Copy)]
enum Keys<'a> {
    /// Rows of components.
    Rows(Strided<'a>),
    /// Blocks `[head_dim, KEYS]` one after another.
    Blocks(&'a [f32]),
}
/// Queries of a block, over all heads that share a key head: a multiple of 16.
const QUERIES: usize = 48;
/// Multiplications below which threads are not worth waking.
const MIN_PARALLEL_WORK: usize = 1 << 17;

/// Whether the tiled form can run: heads of whole tiles.
pub(super) fn fits(shape: &AttentionShape) -> bool {
    shape.head_dim.is_multiple_of(TILE_COLS)
}

#[allow(clippy::too_many_arguments)] // as the public function
pub(super) fn over_cache(
    with: &Primitives,
    shape: &AttentionShape,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    capacity: usize,
    visible: &[usize],
    out: &mut [f32],
) {
    let d = shape.head_dim;
    let output = SharedOutput::new(out, shape.heads * d);
    let block_rows = (QUERIES / shape.group()).max(1);
    let blocks = visible.len().div_ceil(block_rows);
    let tasks = blocks * shape.kv_heads;
    let work = visible.iter().sum::<usize>() * shape.heads * d;
    let attend_task = |task: usize| {
        let (head, first) = (task % shape.kv_heads, task / shape.kv_heads * block_rows);
        let rows = first..visible.len().min(first + block_rows);
        let of_head = head * capacity * d..(head + 1) * capacity * d;
        let (k, v) = (
            Keys::Blocks(&k[of_head.clone()]),
            Strided::new(&v[of_head], d),
        );
        let seen: Vec<_> = rows.clone().map(|row| shape.seen(visible[row])).collect();
        attend(with, shape, head, q, rows, &seen, k, v, &output);
    };
    if work < MIN_PARALLEL_WORK {
        (0..tasks).for_each(attend_task);
    } else {
        team::for_each(tasks, attend_task);
    }
}

pub(super) fn train(
    with: &Primitives,
    shape: &AttentionShape,
    lengths: &[usize],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &mut [f32],
) -> Vec<f32> {
    let d = shape.head_dim;
    let (width, kv_width) = (shape.heads * d, shape.kv_heads * d);
    let block_rows = (QUERIES / shape.group()).max(1);
    let mut log_sums = vec![0.0; out.len() / d];
    let output = SharedOutput::new(out, width);
    let log_output = SharedOutput::new(&mut log_sums, shape.heads);
    let tasks: Vec<_> = sequences(lengths)
        .flat_map(|sequence| (0..shape.kv_heads).map(move |head| (sequence.clone(), head)))
        .flat_map(|(sequence, head)| {
            let starts = sequence.clone().step_by(block_rows);
            starts.map(move |first| (sequence.clone(), head, first))
        })
        .collect();
    team::for_each(tasks.len(), |task| {
        let (sequence, head, first) = tasks[task].clone();
        let rows = first..sequence.end.min(first + block_rows);
        let of_head = sequence.start * kv_width + head * d..;
        let (k, v) = (
            Keys::Rows(Strided::new(&k[of_head.clone()], kv_width)),
            Strided::new(&v[of_head], kv_width),
        );
        let seen: Vec<_> = rows
            .clone()
            .map(|row| shape.seen(row + 1 - sequence.start))
            .collect();
        let logs = attend(with, shape, head, q, rows.clone(), &seen, k, v, &output);
        for (row, logs) in rows.zip(logs.chunks_exact(shape.group())) {
            // SAFETY: this task alone writes these rows of the heads that share `head`.
            unsafe { log_output.part(row, head * shape.group(), shape.group()) }
                .copy_from_slice(logs);
        }
    });
    log_sums
}

fn sequences(lengths: &[usize]) -> impl Iterator<Item = Range<usize>> + '_ {
    lengths.iter().scan(0, |end, &length| {
        let start = *end;
        *end += length;
        Some(start..*end)
    })
}

/// Attention of some rows of queries, for the heads that share key head `head`. `seen` gives each row's range of rows of
/// `k` and `v`. Writes those heads' part of `output` and returns the log-sum-exps, `[rows, heads of the group]`.
#[allow(clippy::too_many_arguments)] // a block's inputs, outputs and masks
fn attend(
    with: &Primitives,
    shape: &AttentionShape,
    head: usize,
    q: &[f32],
    rows: Range<usize>,
    seen: &[Range<usize>],
    k: Keys<'_>,
    v: Strided<'_>,
    output: &SharedOutput<'_>,
) -> Vec<f32> {
    let (d, group) = (shape.head_dim, shape.group());
    let n = rows.len() * group;
    let (begin, end) = seen
        .iter()
        .fold((usize::MAX, 0), |(a, b), r| (a.min(r.start), b.max(r.end)));
    let mut log_sums = vec![0.0; n];
    with_scratch(2 * n * d + n * KEYS + d * KEYS, |scratch| {
        let (queries, scratch) = scratch.split_at_mut(n * d);
        let (sums, scratch) = scratch.split_at_mut(n * d);
        let (scores, keys) = scratch.split_at_mut(n * KEYS);
        gather(shape, head, q, rows.clone(), shape.scale, queries);
        sums.fill(0.0);
        let (mut maxima, mut totals) = (vec![f32::NEG_INFINITY; n], vec![0.0_f32; n]);
        for block in (begin / KEYS * KEYS..end).step_by(KEYS) {
            let count = KEYS.min(end - block);
            // A block's keys as `[head_dim, 16]` columns, so far apart.
            let (columns, apart): (&[f32], usize) = match k {
                Keys::Blocks(blocks) => (&blocks[block * d..][..KEYS * d], KEYS),
                Keys::Rows(rows) => {
                    for (part, keys) in keys.chunks_exact_mut(d * TILE_COLS).enumerate() {
                        let first = part * TILE_COLS;
                        if first < count {
                            (with.transpose)(
                                TILE_COLS.min(count - first),
                                d,
                                rows.from((block + first) * rows.stride),
                                keys,
                            );
                        }
                    }
                    (keys, TILE_COLS)
                }
            };
            // A drawn token's few queries: all keys of the block at once.
            let wide = with
                .wide_tile
                .filter(|_| n <= WIDE_ROWS && matches!(k, Keys::Blocks(_)));
            if let Some(wide) = wide {
                let mut tile = [[0.0; WIDE_COLS]; WIDE_ROWS];
                let b = Strided::new(columns, apart);
                wide(n, d, Strided::new(queries, d), b, &mut tile);
                scores.copy_from_slice(&tile.as_flattened()[..n * KEYS]);
            } else {
                for query in (0..n).step_by(TILE_ROWS) {
                    let height = TILE_ROWS.min(n - query);
                    for part in 0..count.div_ceil(TILE_COLS) {
                        let first = match k {
                            Keys::Blocks(_) => part * TILE_COLS,
                            Keys::Rows(_) => part * TILE_COLS * d,
                        };
                        let a = Strided::new(&queries[query * d..], d);
                        let b = Strided::new(&columns[first..], apart);
                        let mut tile = TileBuffer::default();
                        (with.tile)(height, d, a, b, &mut tile);
                        for (row, tile) in tile.iter().take(height).enumerate() {
                            scores[(query + row) * KEYS + part * TILE_COLS..][..TILE_COLS]
                                .copy_from_slice(tile);
                        }
                    }
                }
            }
            for query in 0..n {
                let scores = &mut scores[query * KEYS..][..KEYS];
                let seen = &seen[query / group];
                let here = seen.start.clamp(block, block + count) - block
                    ..seen.end.clamp(block, block + count) - block;
                scores[..here.start].fill(0.0);
                scores[here.end..].fill(0.0);
                if here.is_empty() {
                    continue;
                }
                let scores = &mut scores[here];
                let max = (with.max)(scores).max(maxima[query]);
                (with.scaled_exp)(scores, max, 1.0);
                let shrink = (maxima[query] - max).exp();
                totals[query] = totals[query] * shrink + (with.sum)(scores);
                maxima[query] = max;
                if shrink != 1.0 {
                    sums[query * d..][..d].iter_mut().for_each(|v| *v *= shrink);
                }
            }
            let values = v.from(block * v.stride);
            if let Some(wide) = wide.filter(|_| d.is_multiple_of(WIDE_COLS)) {
                for col in (0..d).step_by(WIDE_COLS) {
                    let mut tile = [[0.0; WIDE_COLS]; WIDE_ROWS];
                    wide(
                        n,
                        count,
                        Strided::new(scores, KEYS),
                        values.from(col),
                        &mut tile,
                    );
                    for (row, tile) in tile.iter().take(n).enumerate() {
                        let to = &mut sums[row * d + col..][..WIDE_COLS];
                        to.iter_mut().zip(tile).for_each(|(to, from)| *to += from);
                    }
                }
                continue;
            }
            add_product(
                with,
                n,
                count,
                d,
                Strided::new(scores, KEYS),
                values,
                |row, col, tile| {
                    add(&mut sums[row * d + col..][..TILE_COLS], tile);
                },
            );
        }
        for (query, (sums, total)) in sums.chunks_exact(d).zip(&totals).enumerate() {
            let column = (head * group + query % group) * d;
            // SAFETY: the caller's tasks have different rows or different key heads.
            let out = unsafe { output.part(rows.start + query / group, column, d) };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum / total;
            }
            log_sums[query] = maxima[query] + total.ln();
        }
    });
    log_sums
}

/// Copies the queries of some rows and one group of heads to `[rows * group, head_dim]`, times `factor`.
fn gather(
    shape: &AttentionShape,
    head: usize,
    from: &[f32],
    rows: Range<usize>,
    factor: f32,
    to: &mut [f32],
) {
    let width = shape.group() * shape.head_dim;
    for (row, to) in rows.zip(to.chunks_exact_mut(width)) {
        let from = &from[row * shape.heads * shape.head_dim + head * width..][..width];
        for (to, from) in to.iter_mut().zip(from) {
            *to = from * factor;
        }
    }
}

/// Computes `a[m, depth] · b[depth, n]` tile by tile and hands each row of a tile to `take` with its place.
fn add_product(
    with: &Primitives,
    m: usize,
    depth: usize,
    n: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    mut take: impl FnMut(usize, usize, &[f32; TILE_COLS]),
) {
    for row in (0..m).step_by(TILE_ROWS) {
        let height = TILE_ROWS.min(m - row);
        for col in (0..n).step_by(TILE_COLS) {
            let mut tile = TileBuffer::default();
            (with.tile)(
                height,
                depth,
                a.from(row * a.stride),
                b.from(col),
                &mut tile,
            );
            for (i, tile) in tile.iter().take(height).enumerate() {
                take(row + i, col, tile);
            }
        }
    }
}

fn add(to: &mut [f32], from: &[f32; TILE_COLS]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

#[allow(clippy::too_many_arguments)] // as the public function
pub(super) fn backward(
    with: &Primitives,
    shape: &AttentionShape,
    lengths: &[usize],
    trace: &AttentionTrace<'_>,
    dout: &[f32],
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
) {
    dq.fill(0.0);
    dk.fill(0.0);
    dv.fill(0.0);
    let (width, kv_width) = (
        shape.heads * shape.head_dim,
        shape.kv_heads * shape.head_dim,
    );
    let gradients = [
        SharedOutput::new(dq, width),
        SharedOutput::new(dk, kv_width),
        SharedOutput::new(dv, kv_width),
    ];
    let tasks: Vec<_> = sequences(lengths)
        .flat_map(|s| (0..shape.kv_heads).map(move |head| (s.clone(), head)))
        .collect();
    team::for_each(tasks.len(), |task| {
        let (sequence, head) = tasks[task].clone();
        let block_rows = (QUERIES / shape.group()).max(1);
        for first in sequence.clone().step_by(block_rows) {
            let rows = first..sequence.end.min(first + block_rows);
            backward_block(
                with,
                shape,
                trace,
                dout,
                sequence.start,
                head,
                rows,
                &gradients,
            );
        }
    });
}

/// The gradients that a block of queries contributes. Products with keys as rows and queries as columns, so that what
/// belongs to a query (log-sum-exp, D) lies along the vectors.
#[allow(clippy::too_many_arguments)] // a block's inputs, outputs and place
fn backward_block(
    with: &Primitives,
    shape: &AttentionShape,
    trace: &AttentionTrace<'_>,
    dout: &[f32],
    start: usize,
    head: usize,
    rows: Range<usize>,
    [dq, dk, dv]: &[SharedOutput<'_>; 3],
) {
    let (d, group) = (shape.head_dim, shape.group());
    let kv_width = shape.kv_heads * d;
    let n = rows.len() * group;
    let padded = n.next_multiple_of(TILE_COLS);
    let of_head = start * kv_width + head * d..;
    let (k, v) = (
        Strided::new(&trace.k[of_head.clone()], kv_width),
        Strided::new(&trace.v[of_head], kv_width),
    );
    with_scratch(
        4 * padded * d + 2 * KEYS * padded + padded * TILE_COLS,
        |scratch| {
            let (queries, scratch) = scratch.split_at_mut(padded * d);
            let (outward, scratch) = scratch.split_at_mut(padded * d);
            let (queries_across, scratch) = scratch.split_at_mut(padded * d);
            let (outward_across, scratch) = scratch.split_at_mut(padded * d);
            let (probabilities, scratch) = scratch.split_at_mut(KEYS * padded);
            let (dscores, turned) = scratch.split_at_mut(KEYS * padded);
            queries[n * d..].fill(0.0);
            outward[n * d..].fill(0.0);
            gather(shape, head, trace.q, rows.clone(), shape.scale, queries);
            gather(shape, head, dout, rows.clone(), 1.0, outward);
            for (from, to) in [
                (&*queries, &mut *queries_across),
                (&*outward, &mut *outward_across),
            ] {
                for (from, to) in from
                    .chunks_exact(TILE_COLS * d)
                    .zip(to.chunks_exact_mut(TILE_COLS * d))
                {
                    (with.transpose)(TILE_COLS, d, Strided::new(from, d), to);
                }
            }
            let mut log_sums = vec![0.0; padded];
            let mut deltas = vec![0.0; padded];
            for query in 0..n {
                let at = (rows.start + query / group) * shape.heads + head * group + query % group;
                log_sums[query] = trace.log_sum_exp[at];
                let terms = trace.out[at * d..][..d]
                    .iter()
                    .zip(&outward[query * d..][..d]);
                deltas[query] = terms.map(|(out, dout)| out * dout).sum();
            }
            let first = rows.start - start;
            let end = rows.end - start;
            for block in (shape.seen(first + 1).start / KEYS * KEYS..end).step_by(KEYS) {
                let count = KEYS.min(end - block);
                for (rows_of, across, to) in [
                    (k, &*queries_across, &mut *probabilities),
                    (v, &*outward_across, &mut *dscores),
                ] {
                    for (part, across) in across.chunks_exact(TILE_COLS * d).enumerate() {
                        let of_block = rows_of.from(block * rows_of.stride);
                        add_product(
                            with,
                            count,
                            d,
                            TILE_COLS,
                            of_block,
                            Strided::new(across, TILE_COLS),
                            |row, _, tile| {
                                to[row * padded + part * TILE_COLS..][..TILE_COLS]
                                    .copy_from_slice(tile);
                            },
                        );
                    }
                }
                let each_key = probabilities
                    .chunks_exact_mut(padded)
                    .zip(dscores.chunks_exact_mut(padded));
                for (key, (probabilities, dscores)) in (block..block + count).zip(each_key) {
                    // The queries that see this key: from its own position to the end of the window.
                    let last = shape
                        .window
                        .map_or(end, |window| end.min(key + window))
                        .max(first);
                    let seeing = (key.max(first) - first) * group..(last - first) * group;
                    for values in [&mut *probabilities, &mut *dscores] {
                        values[..seeing.start.min(padded)].fill(0.0);
                        values[seeing.end..].fill(0.0);
                    }
                    if seeing.is_empty() {
                        continue;
                    }
                    (with.exp_each)(
                        &mut probabilities[seeing.clone()],
                        &log_sums[seeing.clone()],
                    );
                    for query in seeing {
                        dscores[query] = probabilities[query] * (dscores[query] - deltas[query]);
                    }
                }
                for (gradient, weights, from) in
                    [(dv, &*probabilities, &*outward), (dk, &*dscores, &*queries)]
                {
                    let from = Strided::new(from, d);
                    add_product(
                        with,
                        count,
                        n,
                        d,
                        Strided::new(weights, padded),
                        from,
                        |row, col, tile| {
                            // SAFETY: this task alone writes this head of this sequence.
                            add(
                                unsafe {
                                    gradient.part(start + block + row, head * d + col, TILE_COLS)
                                },
                                tile,
                            );
                        },
                    );
                }
                for part in (0..count).step_by(TILE_COLS) {
                    let keys = TILE_COLS.min(count - part);
                    (with.transpose)(
                        keys,
                        padded,
                        Strided::new(&dscores[part * padded..], padded),
                        turned,
                    );
                    let of_part = k.from((block + part) * k.stride);
                    add_product(
                        with,
                        n,
                        keys,
                        d,
                        Strided::new(turned, TILE_COLS),
                        of_part,
                        |row, col, tile| {
                            let column = (head * group + row % group) * d + col;
                            // SAFETY: this task alone writes the heads that share this key head, of this sequence.
                            let to =
                                unsafe { dq.part(rows.start + row / group, column, TILE_COLS) };
                            for (to, from) in to.iter_mut().zip(tile) {
                                *to += from * shape.scale;
                            }
                        },
                    );
                }
            }
        },
    );
}
