//! The gated feed-forward activation (Shazeer 2020, "GLU Variants Improve Transformer").

use rayon::prelude::*;

use super::VALUES_A_TASK;
use crate::Level;
use crate::primitives::SwigluBackward;
use crate::team;

/// `y = silu(gate) * up` with `silu(g) = g / (1 + exp(-g))`, value by value.
///
/// # Panics
/// When the slices differ in length.
pub fn swiglu(gate: &[f32], up: &[f32], y: &mut [f32], level: Level) {
    assert_eq!(gate.len(), up.len(), "gate and up have one shape");
    assert_eq!(gate.len(), y.len(), "y has the shape of gate");
    let part = level
        .primitives()
        .map_or(forward as fn(&_, &_, &mut _), |with| with.swiglu);
    let n = VALUES_A_TASK;
    team::for_each_piece(y, n, |start, y| {
        let here = start..start + y.len();
        part(&gate[here.clone()], &up[here], y);
    });
}

/// Gradients of [`swiglu`]: with s = sigmoid(gate), `dup = dy * gate * s` and `dgate = dy * up * s * (1 + gate * (1 - s))`.
///
/// # Panics
/// When the slices differ in length.
pub fn swiglu_backward(
    gate: &[f32],
    up: &[f32],
    dy: &[f32],
    dgate: &mut [f32],
    dup: &mut [f32],
    level: Level,
) {
    for other in [up.len(), dy.len(), dgate.len(), dup.len()] {
        assert_eq!(gate.len(), other, "all slices have one shape");
    }
    let part = level
        .primitives()
        .map_or(backward as SwigluBackward, |with| with.swiglu_backward);
    let n = VALUES_A_TASK;
    let inputs = gate
        .par_chunks(n)
        .zip(up.par_chunks(n))
        .zip(dy.par_chunks(n));
    dgate
        .par_chunks_mut(n)
        .zip(dup.par_chunks_mut(n))
        .zip(inputs)
        .for_each(|((dgate, dup), ((gate, up), dy))| {
            part(gate, up, dy, dgate, dup);
        });
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn forward(gate: &[f32], up: &[f32], y: &mut [f32]) {
    for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) {
        *y = g * sigmoid(g) * u;
    }
}

fn backward(gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    for i in 0..gate.len() {
        let (g, s) = (gate[i], sigmoid(gate[i]));
        dup[i] = dy[i] * g * s;
        dgate[i] = dy[i] * up[i] * s * (1.0 + g * (1.0 - s));
    }
}
