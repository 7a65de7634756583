//! Attention when reading and writing: rows of several sequences at once, each over a cache of its own.

use std::ops::Range;

use super::blocks::{QUERIES, Queries, Running, Source, attend, gather, scratch_floats, spans};
use super::{AttentionShape, CachedRows};
use crate::primitives::Primitives;
use crate::slices::{SharedOutput, Strided, with_scratch};
use crate::team;

/// Multiplications below which threads are not worth waking.
const MIN_PARALLEL_WORK: usize = 1 << 15;

/// Some rows of a piece, for the heads that share one key head.
struct Task {
    piece: usize,
    head: usize,
    /// Within the piece.
    rows: Range<usize>,
}

pub(super) fn over_caches(
    with: &Primitives,
    shape: &AttentionShape,
    q: &[f32],
    pieces: &[CachedRows<'_>],
    out: &mut [f32],
) {
    let d = shape.head_dim;
    let block_rows = (QUERIES / shape.group()).max(1);
    let mut tasks = Vec::new();
    let mut work = 0;
    for (piece, rows) in pieces.iter().enumerate() {
        let count = rows.rows.len();
        work += count * (rows.before + count) * shape.heads * d;
        for first in (0..count).step_by(block_rows) {
            for head in 0..shape.kv_heads {
                let rows = first..count.min(first + block_rows);
                tasks.push(Task { piece, head, rows });
            }
        }
    }
    let output = SharedOutput::new(out, shape.heads * d);
    let whole = |task: usize| {
        let block = Block::new(shape, pieces, &tasks[task]);
        let n = block.n;
        let floats = Running::floats(n, d);
        with_scratch(n * d + 2 * floats + scratch_floats(n, d), |scratch| {
            let (queries, scratch) = scratch.split_at_mut(n * d);
            let (all, scratch) = scratch.split_at_mut(floats);
            let (span, scratch) = scratch.split_at_mut(floats);
            let (mut all, mut running) = (Running::of(all, n), Running::of(span, n));
            block.gather(shape, q, queries);
            all.clear();
            for place in 0..block.spans.len() {
                block.attend(with, shape, queries, place, &mut running, scratch);
                all.join(&running);
            }
            block.write(shape, &all, &output);
        });
    };
    if work < MIN_PARALLEL_WORK {
        (0..tasks.len()).for_each(whole);
    } else if tasks.len() >= 4 * team::threads() {
        team::for_each(tasks.len(), whole);
    } else {
        by_spans(with, shape, q, pieces, &tasks, &output);
    }
}

/// Few rows over many keys: threads share the spans of a row, which are joined in the end in the order they would have been.
fn by_spans(
    with: &Primitives,
    shape: &AttentionShape,
    q: &[f32],
    pieces: &[CachedRows<'_>],
    tasks: &[Task],
    output: &SharedOutput<'_>,
) {
    let d = shape.head_dim;
    let blocks: Vec<_> = tasks
        .iter()
        .map(|task| Block::new(shape, pieces, task))
        .collect();
    let mut parts = Vec::new();
    let mut end = 0;
    for (i, block) in blocks.iter().enumerate() {
        for place in 0..block.spans.len() {
            parts.push((i, place, end));
            end += Running::floats(block.n, d);
        }
    }
    // One part more holds what is joined.
    let most = blocks.iter().map(|b| b.n).max().unwrap_or(0);
    let mut memory = vec![0.0; end + Running::floats(most, d)];
    let (memory, joined) = memory.split_at_mut(end);
    let shared = SharedOutput::new(memory, end);
    team::for_each(parts.len(), |part| {
        let (i, place, at) = parts[part];
        let block = &blocks[i];
        let n = block.n;
        // SAFETY: parts do not overlap.
        let memory = unsafe { shared.part(0, at, Running::floats(n, d)) };
        with_scratch(n * d + scratch_floats(n, d), |scratch| {
            let (queries, scratch) = scratch.split_at_mut(n * d);
            block.gather(shape, q, queries);
            let mut running = Running::of(memory, n);
            block.attend(with, shape, queries, place, &mut running, scratch);
        });
    });
    let mut parts = parts.iter();
    for block in &blocks {
        let floats = Running::floats(block.n, d);
        let mut all = Running::of(&mut joined[..floats], block.n);
        all.clear();
        for (_, _, at) in parts.by_ref().take(block.spans.len()) {
            all.join(&Running::of(&mut memory[*at..][..floats], block.n));
        }
        block.write(shape, &all, output);
    }
}

/// A task with everything it reads.
struct Block<'a> {
    head: usize,
    /// Of q and out.
    rows: Range<usize>,
    /// Queries: rows times heads of the group.
    n: usize,
    /// Positions that each row sees.
    seen: Vec<Range<usize>>,
    source: Source<'a>,
    spans: Vec<Range<usize>>,
}

impl<'a> Block<'a> {
    fn new(shape: &AttentionShape, pieces: &[CachedRows<'a>], task: &Task) -> Self {
        let (piece, head, d) = (&pieces[task.piece], task.head, shape.head_dim);
        let of_head = head * piece.capacity * d..(head + 1) * piece.capacity * d;
        let stride = shape.kv_heads * d;
        let source = Source {
            cached_keys: &piece.keys[of_head.clone()],
            cached_values: &piece.values[of_head],
            before: piece.own.map_or(usize::MAX, |_| piece.before),
            rows: piece.own.map(|(keys, values)| {
                let of_head = |x: &'a [f32]| Strided::new(&x[head * d..], stride);
                (of_head(keys), of_head(values))
            }),
        };
        let seen: Vec<_> = task
            .rows
            .clone()
            .map(|row| shape.seen(piece.before + row + 1))
            .collect();
        let first = piece.rows.start;
        Self {
            head,
            rows: first + task.rows.start..first + task.rows.end,
            n: task.rows.len() * shape.group(),
            source,
            spans: spans(&seen).collect(),
            seen,
        }
    }

    fn gather(&self, shape: &AttentionShape, q: &[f32], queries: &mut [f32]) {
        gather(shape, self.head, q, self.rows.clone(), shape.scale, queries);
    }

    /// The sums over one of its spans alone.
    fn attend(
        &self,
        with: &Primitives,
        shape: &AttentionShape,
        scaled: &[f32],
        place: usize,
        running: &mut Running<'_>,
        scratch: &mut [f32],
    ) {
        let span = self.spans[place].clone();
        let queries = Queries {
            scaled,
            seen: &self.seen,
        };
        running.clear();
        attend(with, shape, &queries, &self.source, span, running, scratch);
    }

    fn write(&self, shape: &AttentionShape, all: &Running<'_>, output: &SharedOutput<'_>) {
        let (d, group) = (shape.head_dim, shape.group());
        for (query, sums) in all.sums.chunks_exact(d).enumerate() {
            let column = (self.head * group + query % group) * d;
            // SAFETY: tasks have different rows or different key heads.
            let out = unsafe { output.part(self.rows.start + query / group, column, d) };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum / all.totals[query];
            }
        }
    }
}
