//! Attention when reading and writing: rows of several sequences at once, each over a cache of its own.

use std::ops::Range;

use super::blocks::{QUERIES, Queries, Running, Source, attend, gather, scratch_floats, spans};
use super::{AttentionShape, CachedRows, PAGE};
use crate::primitives::Primitives;
use crate::slices::{SharedOutput, Strided, with_scratch};
use crate::team;

/// Multiplications below which threads are not worth waking.
const MIN_PARALLEL_WORK: usize = 1 << 15;

/// Rows of a piece that one task goes through, for the heads that share one key head.
struct Member {
    piece: usize,
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
    let mut work = 0;
    for piece in pieces {
        let count = piece.rows.len();
        work += count * (piece.before + count) * shape.heads * d;
    }
    let mut blocks = Vec::new();
    for members in members(shape, pieces) {
        blocks.extend((0..shape.kv_heads).map(|head| Block::new(shape, pieces, &members, head)));
    }
    let output = SharedOutput::new(out, shape.heads * d);
    let whole = |block: usize| {
        let block = &blocks[block];
        let n = block.n;
        let floats = Running::floats(n, d);
        with_scratch(n * d + 2 * floats + scratch_floats(n, d), |scratch| {
            let (queries, scratch) = scratch.split_at_mut(n * d);
            let (all, scratch) = scratch.split_at_mut(floats);
            let (memory, scratch) = scratch.split_at_mut(floats);
            let mut all = Running::of(all, n);
            all.clear();
            block.gather(shape, q, 0..block.rows.len(), queries);
            for part in &block.parts {
                let here = block.queries_of(part, shape);
                let mut running =
                    Running::of(&mut memory[..Running::floats(here.len(), d)], here.len());
                let queries = &queries[here.start * d..here.end * d];
                let scratch = &mut scratch[..scratch_floats(here.len(), d)];
                block.attend(with, shape, part, queries, &mut running, scratch);
                all.part(here).join(&running);
            }
            block.write(shape, &all, &output);
        });
    };
    if work < MIN_PARALLEL_WORK {
        (0..blocks.len()).for_each(whole);
    } else if blocks.len() >= 4 * team::threads() {
        team::for_each(blocks.len(), whole);
    } else {
        by_parts(with, shape, q, &blocks, &output);
    }
}

/// The rows of each task: as many of one piece as a block of queries holds, and beside them rows of pieces that share pages
/// with it, so that those are read once for all.
fn members(shape: &AttentionShape, pieces: &[CachedRows<'_>]) -> Vec<Vec<Member>> {
    let most = (QUERIES / shape.group()).max(1);
    let mut all: Vec<Vec<Member>> = Vec::new();
    for (piece, rows) in pieces.iter().enumerate() {
        let count = rows.rows.len();
        if let Some(beside) = all.last_mut() {
            let first = &pieces[beside[0].piece];
            let held: usize = beside.iter().map(|m| m.rows.len()).sum();
            if held + count <= most && shared_pages(shape, [first, rows]) > 0 {
                let rows = 0..count;
                beside.push(Member { piece, rows });
                continue;
            }
        }
        for first in (0..count).step_by(most) {
            let rows = first..count.min(first + most);
            all.push(vec![Member { piece, rows }]);
        }
    }
    all
}

/// Pages from the first on that two pieces have in common and see whole.
fn shared_pages(shape: &AttentionShape, pieces: [&CachedRows<'_>; 2]) -> usize {
    let kv_width = shape.kv_heads * shape.head_dim;
    let [a, b] = pieces.map(|piece| {
        // Pages that were full before the piece: nobody writes to them.
        let seen = piece.before.min(piece.cached(kv_width));
        &piece.pages[..seen / PAGE]
    });
    a.iter().zip(b).take_while(|(a, b)| a.is(b)).count()
}

/// Few rows over many keys: threads share the spans of keys, which are joined in the end in the order they would have been.
fn by_parts(
    with: &Primitives,
    shape: &AttentionShape,
    q: &[f32],
    blocks: &[Block<'_>],
    output: &SharedOutput<'_>,
) {
    let d = shape.head_dim;
    let mut parts = Vec::new();
    let mut end = 0;
    for block in blocks {
        for part in &block.parts {
            parts.push((block, part, end));
            end += Running::floats(block.queries_of(part, shape).len(), d);
        }
    }
    // Behind the parts lies what is joined.
    let most = blocks.iter().map(|b| b.n).max().unwrap_or(0);
    let mut memory = vec![0.0; end + Running::floats(most, d)];
    let (memory, joined) = memory.split_at_mut(end);
    let shared = SharedOutput::new(memory, end);
    team::for_each(parts.len(), |i| {
        let (block, part, at) = parts[i];
        let n = block.queries_of(part, shape).len();
        // SAFETY: parts do not overlap.
        let memory = unsafe { shared.part(0, at, Running::floats(n, d)) };
        with_scratch(n * d + scratch_floats(n, d), |scratch| {
            let (queries, scratch) = scratch.split_at_mut(n * d);
            block.gather(shape, q, block.rows_of(part), queries);
            let mut running = Running::of(memory, n);
            block.attend(with, shape, part, queries, &mut running, scratch);
        });
    });
    let mut parts = parts.iter();
    for block in blocks {
        let mut all = Running::of(&mut joined[..Running::floats(block.n, d)], block.n);
        all.clear();
        for (_, part, at) in parts.by_ref().take(block.parts.len()) {
            let here = block.queries_of(part, shape);
            let memory = &mut memory[*at..][..Running::floats(here.len(), d)];
            let n = here.len();
            all.part(here).join(&Running::of(memory, n));
        }
        block.write(shape, &all, output);
    }
}

/// Some members' rows of one key head, with everything they read.
struct Block<'a> {
    head: usize,
    /// Queries: rows times heads of the group.
    n: usize,
    /// Of q and out, member by member.
    rows: Vec<usize>,
    /// Positions that each row sees.
    seen: Vec<Range<usize>>,
    /// Each member's part of `rows`, and what it reads.
    members: Vec<(Range<usize>, Source<'a>)>,
    /// For every member in the order of its keys.
    parts: Vec<Part>,
}

/// A span of keys for the members that read it from the same memory.
struct Part {
    members: Range<usize>,
    span: Range<usize>,
}

impl<'a> Block<'a> {
    fn new(
        shape: &AttentionShape,
        pieces: &[CachedRows<'a>],
        members: &[Member],
        head: usize,
    ) -> Self {
        let (d, stride) = (shape.head_dim, shape.kv_heads * shape.head_dim);
        let first = &pieces[members[0].piece];
        let shared = members[1..]
            .iter()
            .map(|member| shared_pages(shape, [first, &pieces[member.piece]]) * PAGE)
            .min()
            .unwrap_or(0);
        let mut block = Self {
            head,
            n: 0,
            rows: Vec::new(),
            seen: Vec::new(),
            members: Vec::new(),
            parts: Vec::new(),
        };
        let mut own = Vec::new();
        for (place, member) in members.iter().enumerate() {
            let piece = &pieces[member.piece];
            let start = block.rows.len();
            for row in member.rows.clone() {
                block.rows.push(piece.rows.start + row);
                block.seen.push(shape.seen(piece.before + row + 1));
            }
            let rows = start..block.rows.len();
            let spans = spans(&block.seen[rows.clone()]).filter(|span| span.start >= shared);
            own.extend(spans.map(|span| Part {
                members: place..place + 1,
                span,
            }));
            let source = Source {
                pages: piece.pages,
                head,
                before: piece.own.map_or(usize::MAX, |_| piece.cached(stride)),
                rows: piece.own.map(|(keys, values)| {
                    let of_head = |x: &'a [f32]| Strided::new(&x[head * d..], stride);
                    (of_head(keys), of_head(values))
                }),
            };
            block.members.push((rows, source));
        }
        let together = spans(&block.seen).filter(|span| span.start < shared);
        block.parts.extend(together.map(|span| Part {
            members: 0..members.len(),
            span,
        }));
        block.parts.append(&mut own);
        block.n = block.rows.len() * shape.group();
        block
    }

    fn rows_of(&self, part: &Part) -> Range<usize> {
        self.members[part.members.start].0.start..self.members[part.members.end - 1].0.end
    }

    fn queries_of(&self, part: &Part, shape: &AttentionShape) -> Range<usize> {
        let rows = self.rows_of(part);
        rows.start * shape.group()..rows.end * shape.group()
    }

    fn gather(&self, shape: &AttentionShape, q: &[f32], rows: Range<usize>, queries: &mut [f32]) {
        let rows = self.rows[rows].iter().copied();
        gather(shape, self.head, q, rows, shape.scale, queries);
    }

    /// Sums up a part's keys for its queries.
    fn attend(
        &self,
        with: &Primitives,
        shape: &AttentionShape,
        part: &Part,
        scaled: &[f32],
        running: &mut Running<'_>,
        scratch: &mut [f32],
    ) {
        let seen = &self.seen[self.rows_of(part)];
        let source = &self.members[part.members.start].1;
        let (queries, span) = (Queries { scaled, seen }, part.span.clone());
        attend(with, shape, &queries, source, span, running, scratch);
    }

    fn write(&self, shape: &AttentionShape, all: &Running<'_>, output: &SharedOutput<'_>) {
        let (d, group) = (shape.head_dim, shape.group());
        for (query, sums) in all.sums.chunks_exact(d).enumerate() {
            let column = (self.head * group + query % group) * d;
            // SAFETY: blocks have different rows or different key heads.
            let out = unsafe { output.part(self.rows[query / group], column, d) };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum / all.totals[query];
            }
        }
    }
}
