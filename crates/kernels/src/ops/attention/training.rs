//! Attention over whole sequences for training, and its gradient, in blocks of queries and keys.

use std::ops::Range;

use super::blocks::{
    KEYS, QUERIES, Queries, Running, Source, add_product, attend_all, gather, scratch_floats, spans,
};
use super::{AttentionShape, AttentionTrace};
use crate::accumulate;
use crate::primitives::{Primitives, TILE_COLS};
use crate::slices::{SharedOutput, Strided, with_scratch};
use crate::team;

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
        let (keys, values) = (&k[of_head.clone()], &v[of_head]);
        let source = Source {
            pages: &[],
            head,
            before: 0,
            rows: Some((Strided::new(keys, kv_width), Strided::new(values, kv_width))),
        };
        let seen: Vec<_> = rows
            .clone()
            .map(|row| shape.seen(row + 1 - sequence.start))
            .collect();
        let n = rows.len() * shape.group();
        let floats = Running::floats(n, d);
        with_scratch(n * d + 2 * floats + scratch_floats(n, d), |scratch| {
            let (queries, scratch) = scratch.split_at_mut(n * d);
            let (all, scratch) = scratch.split_at_mut(floats);
            let mut all = Running::of(all, n);
            gather(shape, head, q, rows.clone(), shape.scale, queries);
            let queries = Queries {
                scaled: queries,
                seen: &seen,
            };
            let spans = spans(&seen);
            attend_all(with, shape, &queries, &source, spans, &mut all, scratch);
            for (query, sums) in all.sums.chunks_exact(d).enumerate() {
                let (row, head) = (
                    rows.start + query / shape.group(),
                    head * shape.group() + query % shape.group(),
                );
                let total = all.totals[query];
                // SAFETY: this task alone writes these rows of the heads that share its key head.
                let (out, log) =
                    unsafe { (output.part(row, head * d, d), log_output.part(row, head, 1)) };
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = sum / total;
                }
                log[0] = all.maxima[query] + total.ln();
            }
        });
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
        4 * padded * d + 2 * KEYS * padded + padded * TILE_COLS + n * d,
        |scratch| {
            let (queries, scratch) = scratch.split_at_mut(padded * d);
            let (outward, scratch) = scratch.split_at_mut(padded * d);
            let (queries_across, scratch) = scratch.split_at_mut(padded * d);
            let (outward_across, scratch) = scratch.split_at_mut(padded * d);
            let (probabilities, scratch) = scratch.split_at_mut(KEYS * padded);
            let (dscores, scratch) = scratch.split_at_mut(KEYS * padded);
            let (turned, own) = scratch.split_at_mut(padded * TILE_COLS);
            own.fill(0.0);
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
                    let (weights, from) = (Strided::new(weights, padded), Strided::new(from, d));
                    let to = gradient.rectangle(start + block, count, head * d, d);
                    // SAFETY: this task alone writes this head of this sequence.
                    unsafe { accumulate::add_product(with, (count, n, d), weights, from, to) };
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
                    let (turned, to) = (Strided::new(turned, TILE_COLS), own.as_mut_ptr());
                    // SAFETY: the scratch memory is this task's.
                    unsafe {
                        accumulate::add_product(with, (n, keys, d), turned, of_part, (to, d));
                    }
                }
            }
            for (query, own) in own.chunks_exact(d).enumerate() {
                let column = (head * group + query % group) * d;
                // SAFETY: this task alone writes the heads that share this key head, of this sequence.
                let to = unsafe { dq.part(rows.start + query / group, column, d) };
                for (to, from) in to.iter_mut().zip(own) {
                    *to = from * shape.scale;
                }
            }
        },
    );
}
