//! Products with a [`QMatrix`]: the choice of kernel by level and precision. No shapes are checked here.

pub(crate) mod int8;
pub(crate) mod planes;
mod reference;
mod tiled;

use crate::packed::UNIT;
use crate::primitives::Primitives;
use crate::{Level, Precision, QMatrix, team};

/// Several matrices over one input.
pub(crate) fn forward(
    products: &mut [(&QMatrix, &mut [f32])],
    x: &[f32],
    m: usize,
    precision: Precision,
    level: Level,
) {
    let with = level.primitives();
    let (mut rounded, mut floats): (Vec<_>, Vec<_>) = products
        .iter_mut()
        .map(|(w, y)| (*w, &mut **y))
        .partition(|(w, _)| precision == Precision::Int8 && int8::applies_to(w.quant_type()));
    if !floats.is_empty() {
        by_floats(with, &mut floats, x, m, precision);
    }
    let Some((first, _)) = rounded.first() else {
        return;
    };
    let x = int8::Activations::round(with, x, first.cols());
    match with {
        Some(with) => int8::forward(with, &mut rounded, &x, m),
        None => {
            let x = x.values();
            for (w, y) in rounded {
                reference::forward(w, &x, m, y);
            }
        }
    }
}

fn by_floats(
    with: Option<&Primitives>,
    products: &mut [(&QMatrix, &mut [f32])],
    x: &[f32],
    m: usize,
    precision: Precision,
) {
    let parts = match precision {
        Precision::Bf16 => planes::Parts::First,
        Precision::F32 | Precision::Int8 => planes::Parts::Both,
    };
    // Not for few rows, where cutting the weights for the unit would be most of the work.
    if let Some((with, unit)) = with.and_then(|with| Some((with, with.matrix?)))
        && precision != Precision::Int8
    {
        return planes::forward((unit, with), products, x, m, parts);
    }
    for (w, y) in products {
        match with {
            Some(with) => tiled::forward(with, w, x, m, y),
            None => reference::forward(w, x, m, y),
        }
    }
}

/// `dx` is overwritten with the sum over the products.
pub(crate) fn backward_input(
    products: &[(&QMatrix, &[f32])],
    m: usize,
    dx: &mut [f32],
    precision: Precision,
    level: Level,
) {
    let parts = match precision {
        Precision::Bf16 => planes::Parts::First,
        Precision::F32 | Precision::Int8 => planes::Parts::Both,
    };
    let mut written = false;
    for (w, dy) in products {
        if w.rows() == 0 || dx.is_empty() {
            continue;
        }
        // The first product overwrites, so that nothing has to be zeroed.
        match level.primitives() {
            Some(with) => match with.matrix {
                Some(unit) => {
                    planes::backward_input((unit, with), w, (dy, m), dx, written, parts);
                }
                None => tiled::backward_input(with, w, (dy, m), dx, written),
            },
            None => reference::backward_input(w, dy, m, dx, written),
        }
        written = true;
    }
    if !written {
        dx.fill(0.0);
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
        .next_multiple_of(w.quant_type().block_size().max(wide).max(UNIT));
    let down = (2 * threads)
        .div_ceil(w.cols().div_ceil(columns))
        .min(m.div_ceil(MIN_BACKWARD_ROWS))
        .max(1);
    (columns, m.div_ceil(down).next_multiple_of(tall))
}
