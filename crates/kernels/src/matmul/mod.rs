//! Products with a [`QMatrix`]: the choice of kernel by level and precision. No shapes are checked here.

pub(crate) mod int8;
pub(crate) mod planes;
mod reference;
mod tiled;

use crate::primitives::Primitives;
use crate::{Level, Precision, QMatrix, team};

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
        Some(with) if by_integers => {
            let x = int8::Activations::round(Some(with), x, w.cols());
            int8::forward(with, w, &x, m, y);
        }
        // Few rows, for which cutting the weights for a matrix unit would be most of the work.
        Some(with) if precision == Precision::Int8 => tiled::forward(with, w, x, m, y),
        Some(with) => by_floats(with, w, x, m, y, precision),
        None if by_integers => {
            let x = int8::Activations::round(None, x, w.cols());
            reference::forward(w, &x.values(), m, y);
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

/// Rows of dy below which splitting them over threads costs more in repeated decoding than it gains.
const MIN_BACKWARD_ROWS: usize = 192;

/// Columns and rows of the rectangle of dx that a task of a backward product owns, multiples of a tile's rows and columns.
fn backward_rectangle(w: &QMatrix, m: usize, (tall, wide): (usize, usize)) -> (usize, usize) {
    let threads = team::threads();
    let columns = w
        .cols()
        .div_ceil(threads)
        .clamp(64, 512)
        .next_multiple_of(w.quant_type().block_size().max(wide));
    let down = (2 * threads)
        .div_ceil(w.cols().div_ceil(columns))
        .min(m.div_ceil(MIN_BACKWARD_ROWS))
        .max(1);
    (columns, m.div_ceil(down).next_multiple_of(tall))
}
