//! Products with a [`QMatrix`]: the choice of kernel by level and precision. No shapes are checked here.

pub(crate) mod int8;
pub(crate) mod planes;
mod reference;
mod tiled;

use crate::primitives::Primitives;
use crate::{Level, Precision, QMatrix};

pub(crate) fn forward(
    w: &QMatrix,
    x: &[f32],
    m: usize,
    y: &mut [f32],
    precision: Precision,
    level: Level,
) {
    let by_integers = precision == Precision::Int8 && int8::applies_to(w.quant_type());
    match level.primitives() {
        Some(with) if by_integers => int8::forward(with, w, &(with.round)(x, w.cols()), m, y),
        Some(with) => by_floats(with, w, x, m, y, precision),
        None if by_integers => {
            reference::forward(w, &int8::Activations::round(x, w.cols()).values(), m, y)
        }
        None => reference::forward(w, x, m, y),
    }
}

fn by_floats(
    with: &Primitives,
    w: &QMatrix,
    x: &[f32],
    m: usize,
    y: &mut [f32],
    precision: Precision,
) {
    let parts = match precision {
        Precision::Bf16 => planes::Parts::First,
        Precision::F32 | Precision::Int8 => planes::Parts::Both,
    };
    match with.matrix {
        Some(unit) => planes::forward((unit, with), w, x, m, y, parts),
        None => tiled::forward(with, w, x, m, y),
    }
}

pub(crate) fn backward_input(w: &QMatrix, dy: &[f32], m: usize, dx: &mut [f32], level: Level) {
    match level.primitives() {
        Some(with) => match with.matrix {
            Some(unit) => planes::backward_input((unit, with), w, dy, m, dx, planes::Parts::Both),
            None => tiled::backward_input(with, w, dy, m, dx),
        },
        None => reference::backward_input(w, dy, m, dx),
    }
}
