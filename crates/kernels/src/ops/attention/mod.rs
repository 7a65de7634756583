//! Causal attention with grouped key/value heads: over a cache when generating, and with gradients when training.

mod blocks;
mod inference;
mod reference;
mod training;

use std::ops::Range;

use crate::Level;

/// What an attention layer looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Query heads, a multiple of `kv_heads`; query head i reads key/value head `i / (heads / kv_heads)`.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Components of a head.
    pub head_dim: usize,
    /// Factor on the scores, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// How many of the newest visible positions a query attends to, itself included; `None` is all.
    pub window: Option<usize>,
}

impl AttentionShape {
    fn check(&self) {
        assert!(
            self.kv_heads > 0 && self.head_dim > 0,
            "a head has components"
        );
        assert!(
            self.heads.is_multiple_of(self.kv_heads),
            "query heads share key/value heads evenly"
        );
        assert!(
            self.window != Some(0),
            "a window holds at least the query itself"
        );
    }

    /// Where the first component of a key lies; the others follow [`KEY_BLOCK`] apart.
    fn key_at(&self, capacity: usize, head: usize, position: usize) -> usize {
        let block = head * (capacity / KEY_BLOCK) + position / KEY_BLOCK;
        block * self.head_dim * KEY_BLOCK + position % KEY_BLOCK
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The positions that a query sees, of `visible` there are.
    fn seen(&self, visible: usize) -> Range<usize> {
        self.window
            .map_or(0, |window| visible.saturating_sub(window))..visible
    }
}

/// Positions whose keys lie together in a page.
pub const KEY_BLOCK: usize = 64;
/// Positions of a page of a cache.
pub const PAGE: usize = 4 * KEY_BLOCK;

/// Keys and values of up to [`PAGE`] positions.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Keys in blocks of 64 positions, `[kv_heads, capacity / 64, head_dim, 64]`, so that a product with many keys reads
    /// them in order ([`store_in_page`]).
    pub keys: &'a [f32],
    /// Values, `[kv_heads, capacity, head_dim]`.
    pub values: &'a [f32],
    /// Positions there is room for: whole blocks.
    pub capacity: usize,
}

impl<'a> Page<'a> {
    fn check(&self, shape: &AttentionShape) {
        assert!(self.capacity <= PAGE, "a page has at most {PAGE} positions");
        check_page(shape, self.capacity, self.keys, self.values);
    }

    /// Keys and values of one head.
    fn head(&self, head: usize, head_dim: usize) -> (&'a [f32], &'a [f32]) {
        let of_head = head * self.capacity * head_dim..(head + 1) * self.capacity * head_dim;
        (&self.keys[of_head.clone()], &self.values[of_head])
    }

    /// Whether it is the same memory.
    fn is(&self, other: &Page<'_>) -> bool {
        std::ptr::eq(self.keys, other.keys) && std::ptr::eq(self.values, other.values)
    }
}

/// Writes keys and values `[t, kv_heads, head_dim]` at positions `at..` of a page as [`attention_over_caches`] reads it.
///
/// # Panics
/// When the shapes disagree, or the positions reach past `capacity`.
pub fn store_in_page(
    shape: &AttentionShape,
    (new_keys, new_values): (&[f32], &[f32]),
    at: usize,
    capacity: usize,
    keys: &mut [f32],
    values: &mut [f32],
) {
    shape.check();
    let (d, width) = (shape.head_dim, shape.kv_heads * shape.head_dim);
    assert_eq!(new_keys.len(), new_values.len(), "a key and a value each");
    assert!(new_keys.len().is_multiple_of(width), "whole rows");
    check_page(shape, capacity, keys, values);
    assert!(at + new_keys.len() / width <= capacity, "there is room");
    let rows = new_keys
        .chunks_exact(width)
        .zip(new_values.chunks_exact(width));
    for (position, (key, value)) in (at..).zip(rows) {
        let heads = key.chunks_exact(d).zip(value.chunks_exact(d));
        for (head, (key, value)) in heads.enumerate() {
            values[(head * capacity + position) * d..][..d].copy_from_slice(value);
            let first = shape.key_at(capacity, head, position);
            for (component, &value) in key.iter().enumerate() {
                keys[first + component * KEY_BLOCK] = value;
            }
        }
    }
}

fn check_page(shape: &AttentionShape, capacity: usize, k: &[f32], v: &[f32]) {
    assert!(
        capacity.is_multiple_of(KEY_BLOCK),
        "a page has whole blocks of {KEY_BLOCK} positions"
    );
    assert_eq!(
        k.len(),
        shape.kv_heads * capacity * shape.head_dim,
        "k has room for `capacity` keys"
    );
    assert_eq!(v.len(), k.len(), "v is as long as k");
}

/// Rows of one sequence, and the cache of what came before them.
#[derive(Debug, Clone)]
pub struct CachedRows<'a> {
    /// Which rows of q and of the output.
    pub rows: Range<usize>,
    /// The cache: positions 0 to [`PAGE`], the next as many, and so on. Pages that pieces have in common, at the same place
    /// and in the same memory, are read once for all of them.
    pub pages: &'a [Page<'a>],
    /// Positions before the first row.
    pub before: usize,
    /// Keys and values of the rows themselves, and of some positions before them, `[n, kv_heads, head_dim]` each, where they
    /// are not in the cache. The rows' own come last.
    pub own: Option<(&'a [f32], &'a [f32])>,
}

impl CachedRows<'_> {
    /// Positions that are in the cache; the others are in `own`.
    fn cached(&self, kv_width: usize) -> usize {
        let own = self.own.map_or(0, |(keys, _)| keys.len() / kv_width);
        self.before + self.rows.len() - own
    }
}

/// `out[m, heads, head_dim]`: attention of `q[m, heads, head_dim]`, piece by piece: row i of a piece sees the positions before
/// the piece and the piece's first i + 1 rows (less those outside the window). Rows of no piece are left alone. A row's result does not depend on the
/// other pieces, nor on how a sequence is cut into pieces, nor on where the keys of its own rows lie.
///
/// # Panics
/// When the shapes disagree, the pieces are out of order or overlap, or a row sees more than there is.
pub fn attention_over_caches(
    shape: &AttentionShape,
    q: &[f32],
    pieces: &[CachedRows<'_>],
    out: &mut [f32],
    level: Level,
) {
    shape.check();
    let d = shape.head_dim;
    let (width, kv_width) = (shape.heads * d, shape.kv_heads * d);
    assert_eq!(out.len(), q.len(), "out has the shape of q");
    let mut end = 0;
    for piece in pieces {
        assert!(piece.rows.start >= end, "pieces follow one another");
        assert!(!piece.rows.is_empty(), "a piece has rows");
        end = piece.rows.end;
        piece.pages.iter().for_each(|page| page.check(shape));
        let cached = match piece.own {
            None => piece.before + piece.rows.len(),
            Some((keys, values)) => {
                assert!(keys.len().is_multiple_of(kv_width), "whole keys");
                assert_eq!(values.len(), keys.len(), "a value a key");
                let (own, rows) = (keys.len() / kv_width, piece.rows.len());
                let seen = piece.before + rows;
                assert!((rows..=seen).contains(&own), "a key a row");
                seen - own
            }
        };
        let pages = piece.pages;
        let held = |(i, first): (usize, usize)| {
            pages
                .get(i)
                .is_some_and(|page| cached - first <= page.capacity || page.capacity == PAGE)
        };
        assert!(
            (0..cached).step_by(PAGE).enumerate().all(held),
            "the cache holds what is seen"
        );
    }
    assert!(q.len().is_multiple_of(width), "q is [m, heads, head_dim]");
    assert!(q.len() >= end * width, "every row of a piece has a query");
    match level.primitives() {
        Some(with) if blocks::fits(shape) => inference::over_caches(with, shape, q, pieces, out),
        _ => reference::over_caches(shape, q, pieces, out),
    }
}

/// Attention over whole sequences, for training: `q[t, heads, head_dim]`, `k` and `v` `[t, kv_heads, head_dim]`, where
/// t is the sum of `lengths` and sequences follow one another. Each position sees itself and earlier ones of its own
/// sequence. Writes `out` (shape of q) and returns the log-sum-exp of each row's scores, `[t, heads]`, which is all that
/// [`attention_backward`] needs besides the inputs: no t × t matrix is kept.
///
/// # Panics
/// When the shapes disagree.
pub fn attention_train(
    shape: &AttentionShape,
    lengths: &[usize],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &mut [f32],
    level: Level,
) -> Vec<f32> {
    let starts = check_sequences(shape, lengths, q, k, v);
    assert_eq!(out.len(), q.len(), "out has the shape of q");
    match level.primitives() {
        Some(with) if blocks::fits(shape) => training::train(with, shape, lengths, q, k, v, out),
        _ => reference::train(shape, &starts, q, k, v, out),
    }
}

/// The inputs and outputs of [`attention_train`] that its gradient reads.
#[derive(Debug, Clone, Copy)]
pub struct AttentionTrace<'a> {
    /// Queries, `[t, heads, head_dim]`.
    pub q: &'a [f32],
    /// Keys, `[t, kv_heads, head_dim]`.
    pub k: &'a [f32],
    /// Values, `[t, kv_heads, head_dim]`.
    pub v: &'a [f32],
    /// What the forward pass wrote, `[t, heads, head_dim]`.
    pub out: &'a [f32],
    /// What the forward pass returned, `[t, heads]`.
    pub log_sum_exp: &'a [f32],
}

/// Gradients of [`attention_train`] from `dout` (shape of q). Probabilities are computed again from q, k and the
/// log-sum-exp (Dao et al. 2022, "FlashAttention", section 3.1): with `P = exp(scale * q·k - lse)` and
/// `D = sum(dout * out)`, `dv = Pᵀ dout`, `dS = P * (dout·v - D) * scale`, `dq = dS k`, `dk = dSᵀ q`.
///
/// # Panics
/// When the shapes disagree.
#[allow(clippy::too_many_arguments)] // one gradient for each input
pub fn attention_backward(
    shape: &AttentionShape,
    lengths: &[usize],
    trace: &AttentionTrace<'_>,
    dout: &[f32],
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
    level: Level,
) {
    let AttentionTrace {
        q,
        k,
        v,
        out,
        log_sum_exp,
    } = *trace;
    let starts = check_sequences(shape, lengths, q, k, v);
    assert!(
        [out.len(), dout.len(), dq.len()]
            .iter()
            .all(|&n| n == q.len()),
        "out, dout and dq have the shape of q"
    );
    assert!(
        dk.len() == k.len() && dv.len() == k.len(),
        "dk and dv have the shape of k"
    );
    assert_eq!(
        log_sum_exp.len(),
        starts.len() * shape.heads,
        "log_sum_exp is [t, heads]"
    );
    match level.primitives() {
        Some(with) if blocks::fits(shape) => {
            training::backward(with, shape, lengths, trace, dout, dq, dk, dv)
        }
        _ => reference::backward(shape, &starts, trace, dout, dq, dk, dv),
    }
}

/// Checks the shapes and gives, for each position, where its sequence starts.
fn check_sequences(
    shape: &AttentionShape,
    lengths: &[usize],
    q: &[f32],
    k: &[f32],
    v: &[f32],
) -> Vec<usize> {
    shape.check();
    let mut starts = Vec::with_capacity(lengths.iter().sum());
    for &length in lengths {
        starts.extend(std::iter::repeat_n(starts.len(), length));
    }
    assert_eq!(
        q.len(),
        starts.len() * shape.heads * shape.head_dim,
        "q is [t, heads, head_dim]"
    );
    assert_eq!(
        k.len(),
        starts.len() * shape.kv_heads * shape.head_dim,
        "k is [t, kv_heads, head_dim]"
    );
    assert_eq!(v.len(), k.len(), "v has the shape of k");
    starts
}
