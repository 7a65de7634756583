//! Attention in plain Rust, a query at a time. What the tiled form is tested against.

use rayon::prelude::*;

use super::{AttentionShape, AttentionTrace, CachedRows, KEY_BLOCK, PAGE};

pub(super) fn over_caches(
    shape: &AttentionShape,
    q: &[f32],
    pieces: &[CachedRows<'_>],
    out: &mut [f32],
) {
    let (d, width) = (shape.head_dim, shape.heads * shape.head_dim);
    for piece in pieces {
        let here = piece.rows.start * width..piece.rows.end * width;
        let (q, out) = (&q[here.clone()], &mut out[here]);
        out.par_chunks_mut(d).enumerate().for_each(|(i, out)| {
            let (row, head) = (i / shape.heads, i % shape.heads);
            let kv_head = head / shape.group();
            let positions = shape.seen(piece.before + row + 1);
            let cached = piece.cached(shape.kv_heads * d);
            let own = |p: usize| ((p - cached) * shape.kv_heads + kv_head) * d;
            let key = |p: usize| -> Vec<f32> {
                match piece.own {
                    Some((keys, _)) if p >= cached => keys[own(p)..][..d].to_vec(),
                    _ => {
                        let page = &piece.pages[p / PAGE];
                        let first = shape.key_at(page.capacity, kv_head, p % PAGE);
                        (0..d).map(|c| page.keys[first + c * KEY_BLOCK]).collect()
                    }
                }
            };
            let value = |p: usize| match piece.own {
                Some((_, values)) if p >= cached => &values[own(p)..][..d],
                _ => {
                    let page = &piece.pages[p / PAGE];
                    &page.values[(kv_head * page.capacity + p % PAGE) * d..][..d]
                }
            };
            let q = &q[i * d..][..d];
            let mut scores: Vec<f32> = positions
                .clone()
                .map(|p| dot(q, &key(p)) * shape.scale)
                .collect();
            softmax(&mut scores);
            out.fill(0.0);
            for (p, score) in positions.zip(scores) {
                add_scaled(out, score, value(p));
            }
        });
    }
}

pub(super) fn train(
    shape: &AttentionShape,
    starts: &[usize],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &mut [f32],
) -> Vec<f32> {
    let (d, heads) = (shape.head_dim, shape.heads);
    let mut lse = vec![0.0; starts.len() * heads];
    out.par_chunks_mut(d)
        .zip(&mut lse)
        .enumerate()
        .for_each(|(i, (out, lse))| {
            let (row, head) = (i / heads, i % heads);
            let positions = shape.seen(row + 1 - starts[row]).start + starts[row]..row + 1;
            let at = |p: usize| (p * shape.kv_heads + head / shape.group()) * d;
            let q = &q[i * d..][..d];
            let mut scores: Vec<f32> = positions
                .clone()
                .map(|p| dot(q, &k[at(p)..][..d]) * shape.scale)
                .collect();
            *lse = softmax(&mut scores);
            out.fill(0.0);
            for (p, score) in positions.zip(scores) {
                add_scaled(out, score, &v[at(p)..][..d]);
            }
        });
    lse
}

pub(super) fn backward(
    shape: &AttentionShape,
    starts: &[usize],
    trace: &AttentionTrace<'_>,
    dout: &[f32],
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
) {
    let AttentionTrace {
        q,
        k,
        v,
        out,
        log_sum_exp,
    } = *trace;
    let d = shape.head_dim;
    dq.fill(0.0);
    dk.fill(0.0);
    dv.fill(0.0);
    for (row, &start) in starts.iter().enumerate() {
        for head in 0..shape.heads {
            let i = row * shape.heads + head;
            let here = i * d..(i + 1) * d;
            let delta = dot(&dout[here.clone()], &out[here.clone()]);
            for p in start + shape.seen(row + 1 - start).start..row + 1 {
                let there = (p * shape.kv_heads + head / shape.group()) * d;
                let there = there..there + d;
                let score = dot(&q[here.clone()], &k[there.clone()]) * shape.scale;
                let probability = (score - log_sum_exp[i]).exp();
                add_scaled(&mut dv[there.clone()], probability, &dout[here.clone()]);
                let dscore = probability
                    * (dot(&dout[here.clone()], &v[there.clone()]) - delta)
                    * shape.scale;
                add_scaled(&mut dq[here.clone()], dscore, &k[there.clone()]);
                add_scaled(&mut dk[there], dscore, &q[here.clone()]);
            }
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(to: &mut [f32], factor: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}

/// Softmax in place; returns the log-sum-exp.
fn softmax(scores: &mut [f32]) -> f32 {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for s in scores.iter_mut() {
        *s = (*s - max).exp();
        sum += *s;
    }
    scores.iter_mut().for_each(|s| *s /= sum);
    max + sum.ln()
}
