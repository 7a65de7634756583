//! The gated feed-forward activation (Shazeer 2020, "GLU Variants Improve Transformer").

use super::VALUES_A_TASK;
use crate::Level;
use crate::primitives::GatedBackward;
use crate::slices::SharedSlice;
use crate::team;

/// What the gate goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `g * sigmoid(g)`.
    Silu,
    /// The Gaussian error linear unit by its approximation with tanh (Hendrycks & Gimpel 2016, section 2):
    /// `g / 2 * (1 + tanh(z))`, which is `g * sigmoid(2 z)`, with `z = sqrt(2 / pi) * (g + 0.044715 g³)`.
    GeluTanh,
}

impl Activation {
    /// c and d such that the activation is `g * sigmoid(c * (g + d * g³))`.
    pub(crate) fn coefficients(self) -> (f32, f32) {
        match self {
            Self::Silu => (1.0, 0.0),
            // 2 sqrt(2 / pi)
            Self::GeluTanh => (1.595_769, 0.044_715),
        }
    }
}

/// `y = activation(gate) * up`, value by value.
///
/// # Panics
/// When the slices differ in length.
pub fn gated(gate: &[f32], up: &[f32], y: &mut [f32], activation: Activation, level: Level) {
    assert_eq!(gate.len(), up.len(), "gate and up have one shape");
    assert_eq!(gate.len(), y.len(), "y has the shape of gate");
    let part = level
        .primitives()
        .map_or(forward as fn(_, &_, &_, &mut _), |with| with.gated);
    let n = VALUES_A_TASK;
    team::for_each_piece(y, n, |start, y| {
        let here = start..start + y.len();
        part(activation, &gate[here.clone()], &up[here], y);
    });
}

/// Gradients of [`gated`]: with z = c (g + d g³) and s = sigmoid(z), `dup = dy * g * s` and
/// `dgate = dy * up * s * (1 + g * (1 - s) * c * (1 + 3 d g²))`.
///
/// # Panics
/// When the slices differ in length.
pub fn gated_backward(
    gate: &[f32],
    up: &[f32],
    dy: &[f32],
    dgate: &mut [f32],
    dup: &mut [f32],
    activation: Activation,
    level: Level,
) {
    for other in [up.len(), dy.len(), dgate.len(), dup.len()] {
        assert_eq!(gate.len(), other, "all slices have one shape");
    }
    let part = level
        .primitives()
        .map_or(backward as GatedBackward, |with| with.gated_backward);
    let n = VALUES_A_TASK;
    let (dgate, dup) = (SharedSlice::new(dgate), SharedSlice::new(dup));
    team::for_each(gate.len().div_ceil(n), |task| {
        let here = task * n..gate.len().min((task + 1) * n);
        // SAFETY: pieces do not overlap.
        let (dgate, dup) = unsafe {
            (
                dgate.part(here.start, here.len()),
                dup.part(here.start, here.len()),
            )
        };
        let (gate, up, dy) = (&gate[here.clone()], &up[here.clone()], &dy[here]);
        part(activation, gate, up, dy, dgate, dup);
    });
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn forward(activation: Activation, gate: &[f32], up: &[f32], y: &mut [f32]) {
    let (c, d) = activation.coefficients();
    for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) {
        *y = g * sigmoid(c * (g + d * g * g * g)) * u;
    }
}

fn backward(
    activation: Activation,
    gate: &[f32],
    up: &[f32],
    dy: &[f32],
    dgate: &mut [f32],
    dup: &mut [f32],
) {
    let (c, d) = activation.coefficients();
    for i in 0..gate.len() {
        let g = gate[i];
        let s = sigmoid(c * (g + d * g * g * g));
        dup[i] = dy[i] * g * s;
        dgate[i] = dy[i] * up[i] * s * (1.0 + g * (1.0 - s) * c * (1.0 + 3.0 * d * g * g));
    }
}
