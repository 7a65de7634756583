//! What attention over a cache and attention for training share: a group of queries goes through the keys block by block,
//! with the tile of the instruction level for every product (Dao et al. 2022, "FlashAttention": running maximum and sum).

use std::ops::Range;

use super::{AttentionShape, KEY_BLOCK, PAGE, Page};
use crate::primitives::{Primitives, TILE_COLS, TILE_ROWS, TileBuffer, WIDE_COLS, WIDE_ROWS};
use crate::slices::Strided;

/// Keys of a block. Blocks start at multiples of it, so that a query's sums do not depend on the queries beside it.
pub(super) const KEYS: usize = KEY_BLOCK;
/// Keys that are summed up by themselves before they join what came before: the same whether one thread goes through all of
/// them or several share them. Those of a page, so that a span lies in one.
pub(super) const SPAN: usize = PAGE;
/// Queries of a block, over all heads that share a key head: a multiple of 16.
pub(super) const QUERIES: usize = 48;

/// Whether the tiled form can run: heads of whole tiles.
pub(super) fn fits(shape: &AttentionShape) -> bool {
    shape.head_dim.is_multiple_of(TILE_COLS)
}

/// Where the keys and values of one head lie: those before position `before` in pages, the others in rows.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) pages: &'a [Page<'a>],
    /// Which of the pages' heads.
    pub(super) head: usize,
    pub(super) before: usize,
    /// Keys and values from position `before` on.
    pub(super) rows: Option<(Strided<'a>, Strided<'a>)>,
}

/// Queries of one group of heads, `[rows * group, head_dim]`, already scaled, and the positions that each row sees.
pub(super) struct Queries<'a> {
    pub(super) scaled: &'a [f32],
    pub(super) seen: &'a [Range<usize>],
}

/// Softmax sums under way: for each query the largest score, the sum of the exponentials, and the values weighted by them.
pub(super) struct Running<'a> {
    pub(super) maxima: &'a mut [f32],
    pub(super) totals: &'a mut [f32],
    /// `[queries, head_dim]`.
    pub(super) sums: &'a mut [f32],
}

impl<'a> Running<'a> {
    /// Floats that `n` queries need.
    pub(super) fn floats(n: usize, head_dim: usize) -> usize {
        n * (head_dim + 2)
    }

    /// Views memory of [`Running::floats`].
    pub(super) fn of(memory: &'a mut [f32], n: usize) -> Self {
        let (maxima, rest) = memory.split_at_mut(n);
        let (totals, sums) = rest.split_at_mut(n);
        Self {
            maxima,
            totals,
            sums,
        }
    }

    /// The sums of some of the queries.
    pub(super) fn part(&mut self, queries: Range<usize>) -> Running<'_> {
        let d = self.sums.len() / self.maxima.len().max(1);
        Running {
            maxima: &mut self.maxima[queries.clone()],
            totals: &mut self.totals[queries.clone()],
            sums: &mut self.sums[queries.start * d..queries.end * d],
        }
    }

    pub(super) fn clear(&mut self) {
        self.maxima.fill(f32::NEG_INFINITY);
        self.totals.fill(0.0);
        self.sums.fill(0.0);
    }

    /// Adds the sums over further keys.
    pub(super) fn join(&mut self, later: &Running<'_>) {
        let d = self.sums.len() / self.maxima.len().max(1);
        let sums = self.sums.chunks_exact_mut(d);
        for (query, (sums, more)) in sums.zip(later.sums.chunks_exact(d)).enumerate() {
            // It saw none of those keys.
            if later.totals[query] == 0.0 {
                continue;
            }
            let max = self.maxima[query].max(later.maxima[query]);
            let (old, new) = (
                (self.maxima[query] - max).exp(),
                (later.maxima[query] - max).exp(),
            );
            self.totals[query] = self.totals[query] * old + later.totals[query] * new;
            self.maxima[query] = max;
            for (sum, more) in sums.iter_mut().zip(more) {
                *sum = *sum * old + more * new;
            }
        }
    }
}

/// Scratch floats that [`attend`] needs for `n` queries.
pub(super) fn scratch_floats(n: usize, head_dim: usize) -> usize {
    n * KEYS + head_dim * TILE_COLS
}

/// The spans that the positions of `seen` fall into.
pub(super) fn spans(seen: &[Range<usize>]) -> impl Iterator<Item = Range<usize>> + use<> {
    let begin = seen.iter().map(|r| r.start).min().unwrap_or(0);
    let end = seen.iter().map(|r| r.end).max().unwrap_or(0);
    (begin / SPAN * SPAN..end)
        .step_by(SPAN)
        .map(move |start| start..end.min(start + SPAN))
}

/// Goes through the keys of several spans, each summed up by itself, and joins them in their order in `all`. `scratch` holds
/// [`Running::floats`] and [`scratch_floats`].
pub(super) fn attend_all(
    with: &Primitives,
    shape: &AttentionShape,
    queries: &Queries<'_>,
    source: &Source<'_>,
    spans: impl IntoIterator<Item = Range<usize>>,
    all: &mut Running<'_>,
    scratch: &mut [f32],
) {
    let n = all.maxima.len();
    let (span_memory, scratch) = scratch.split_at_mut(Running::floats(n, shape.head_dim));
    let mut running = Running::of(span_memory, n);
    all.clear();
    for span in spans {
        attend(with, shape, queries, source, span, &mut running, scratch);
        all.join(&running);
    }
}

/// Sums up the keys of one span of positions by themselves, into `running`. `scratch` holds [`scratch_floats`].
pub(super) fn attend(
    with: &Primitives,
    shape: &AttentionShape,
    queries: &Queries<'_>,
    source: &Source<'_>,
    span: Range<usize>,
    running: &mut Running<'_>,
    scratch: &mut [f32],
) {
    let (d, group) = (shape.head_dim, shape.group());
    let n = running.maxima.len();
    running.clear();
    let (scores, turned) = scratch.split_at_mut(n * KEYS);
    let first = span.start / SPAN * SPAN;
    let page = source.pages.get(first / SPAN);
    let (page_keys, page_values) = page.map_or((&[][..], &[][..]), |p| p.head(source.head, d));
    for block in span.clone().step_by(KEYS) {
        let count = KEYS.min(span.end - block);
        // How many of the block's positions lie in the cache.
        let cached = source.before.clamp(block, block + count) - block;
        // All keys of the block at once, where they lie together.
        let whole = cached == count;
        // Floats to the next block, of keys as of values: it is brought near while the processor computes.
        let ahead = if block + KEYS < span.end { KEYS * d } else { 0 };
        let scaled = Strided::new(queries.scaled, d);
        if cached > 0 {
            let keys = Strided::new(&page_keys[(block - first) * d..][..KEYS * d], KEYS);
            if whole {
                for row in (0..n).step_by(WIDE_ROWS) {
                    let mut tile = [[0.0; WIDE_COLS]; WIDE_ROWS];
                    let rows = WIDE_ROWS.min(n - row);
                    (with.wide_tile)(rows, d, scaled.from(row * d), keys, ahead, &mut tile);
                    let to = &mut scores[row * KEYS..][..rows * KEYS];
                    to.copy_from_slice(&tile.as_flattened()[..rows * KEYS]);
                }
            } else {
                for first in (0..cached).step_by(TILE_COLS) {
                    let columns = first..first + TILE_COLS;
                    score(with, n, scaled, keys.from(first), scores, columns);
                }
            }
        }
        let beside = source.rows.filter(|_| cached < count);
        // Where the first of them lies among the rows.
        let place = (block + cached).saturating_sub(source.before);
        if let Some((keys, _)) = beside {
            for first in (cached..count).step_by(TILE_COLS) {
                let few = TILE_COLS.min(count - first);
                let rows = keys.from((place + first - cached) * keys.stride);
                (with.transpose)(few, d, rows, turned);
                let columns = Strided::new(turned, TILE_COLS);
                score(with, n, scaled, columns, scores, first..first + few);
            }
        }
        for query in 0..n {
            let scores = &mut scores[query * KEYS..][..KEYS];
            let seen = &queries.seen[query / group];
            let here = seen.start.clamp(block, block + count) - block
                ..seen.end.clamp(block, block + count) - block;
            scores[..here.start].fill(0.0);
            scores[here.end..].fill(0.0);
            if here.is_empty() {
                continue;
            }
            let scores = &mut scores[here];
            let max = (with.max)(scores).max(running.maxima[query]);
            (with.scaled_exp)(scores, max, 1.0);
            let shrink = (running.maxima[query] - max).exp();
            running.totals[query] = running.totals[query] * shrink + (with.sum)(scores);
            running.maxima[query] = max;
            if shrink != 1.0 {
                let sums = &mut running.sums[query * d..][..d];
                sums.iter_mut().for_each(|v| *v *= shrink);
            }
        }
        let scores = Strided::new(scores, KEYS);
        let values = Strided::new(page_values, d);
        if whole && d.is_multiple_of(WIDE_COLS) {
            for row in (0..n).step_by(WIDE_ROWS) {
                let rows = WIDE_ROWS.min(n - row);
                for col in (0..d).step_by(WIDE_COLS) {
                    let mut tile = [[0.0; WIDE_COLS]; WIDE_ROWS];
                    let (scores, values) = (
                        scores.from(row * KEYS),
                        values.from((block - first) * d + col),
                    );
                    (with.wide_tile)(rows, count, scores, values, ahead, &mut tile);
                    for (row, tile) in (row..).zip(&tile[..rows]) {
                        let to = &mut running.sums[row * d + col..][..WIDE_COLS];
                        to.iter_mut().zip(tile).for_each(|(to, from)| *to += from);
                    }
                }
            }
            continue;
        }
        for row in (0..n).step_by(TILE_ROWS) {
            let height = TILE_ROWS.min(n - row);
            for col in (0..d).step_by(TILE_COLS) {
                // One after the other into the same tile: the sums of a block that lies in one piece, to the bit.
                let mut tile = TileBuffer::default();
                let weights = scores.from(row * KEYS);
                if cached > 0 {
                    let values = values.from((block - first) * d + col);
                    (with.tile)(height, cached, weights, values, &mut tile);
                }
                if let Some((_, values)) = beside {
                    let values = values.from(place * values.stride + col);
                    (with.tile)(
                        height,
                        count - cached,
                        weights.from(cached),
                        values,
                        &mut tile,
                    );
                }
                for (row, tile) in (row..).zip(tile.iter().take(height)) {
                    add(&mut running.sums[row * d + col..][..TILE_COLS], tile);
                }
            }
        }
    }
}

/// Scores of `n` queries for up to sixteen keys, `[head_dim, 16]`, into those columns of `scores[n, KEYS]`.
fn score(
    with: &Primitives,
    n: usize,
    queries: Strided<'_>,
    keys: Strided<'_>,
    scores: &mut [f32],
    columns: Range<usize>,
) {
    let d = queries.stride;
    for query in (0..n).step_by(TILE_ROWS) {
        let height = TILE_ROWS.min(n - query);
        let mut tile = TileBuffer::default();
        (with.tile)(height, d, queries.from(query * d), keys, &mut tile);
        for (row, tile) in (query..).zip(tile.iter().take(height)) {
            scores[row * KEYS..][columns.clone()].copy_from_slice(&tile[..columns.len()]);
        }
    }
}

/// Copies the queries of some rows and one group of heads to `[rows * group, head_dim]`, times `factor`.
pub(super) fn gather(
    shape: &AttentionShape,
    head: usize,
    from: &[f32],
    rows: impl Iterator<Item = usize>,
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
pub(super) fn add_product(
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

pub(super) fn add(to: &mut [f32], from: &[f32; TILE_COLS]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
