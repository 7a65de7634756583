//! Root-mean-square normalisation (Zhang & Sennrich 2019, "Root Mean Square Layer Normalization").

use super::rows_a_task;
use crate::Level;
use crate::primitives::RmsNormBackward;
use crate::team;

/// `y = x / sqrt(mean(x²) + eps) * weight` for each row of `x[m, h]`, h = `weight.len()`.
///
/// # Panics
/// When `x` is not whole rows or `y` is not as long as `x`.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], level: Level) {
    let h = weight.len();
    check_rows(x, h);
    assert_eq!(x.len(), y.len(), "y has the shape of x");
    let row = level
        .primitives()
        .map_or(forward_row as fn(&_, &_, _, &mut _), |with| with.rms_norm);
    let chunk = rows_a_task(h) * h;
    team::for_each_piece(y, chunk, |start, y| {
        for (y, x) in y.chunks_exact_mut(h).zip(x[start..].chunks_exact(h)) {
            row(x, weight, eps, y);
        }
    });
}

/// Gradient of [`rms_norm`] with respect to `x`, from `dy[m, h]`: with r = 1 / sqrt(mean(x²) + eps),
/// `dx = r * weight * dy - x * r³ / h * sum(dy * weight * x)`. The weight is frozen and gets none.
///
/// # Panics
/// When the three slices differ in length or are not whole rows.
pub fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    eps: f32,
    dy: &[f32],
    dx: &mut [f32],
    level: Level,
) {
    let h = weight.len();
    check_rows(x, h);
    assert_eq!(x.len(), dy.len(), "dy has the shape of x");
    assert_eq!(x.len(), dx.len(), "dx has the shape of x");
    let row = level
        .primitives()
        .map_or(backward_row as RmsNormBackward, |with| {
            with.rms_norm_backward
        });
    let chunk = rows_a_task(h) * h;
    team::for_each_piece(dx, chunk, |start, dx| {
        let rows = dx.chunks_exact_mut(h);
        let inputs = x[start..].chunks_exact(h).zip(dy[start..].chunks_exact(h));
        for (dx, (x, dy)) in rows.zip(inputs) {
            row(x, weight, eps, dy, dx);
        }
    });
}

fn check_rows(x: &[f32], h: usize) {
    assert!(h > 0 && x.len().is_multiple_of(h), "x is whole rows of {h}");
}

fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    let squares: f64 = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    (1.0 / (squares / x.len() as f64 + f64::from(eps)).sqrt()) as f32
}

fn forward_row(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let r = inverse_rms(x, eps);
    for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
        *y = x * r * w;
    }
}

fn backward_row(x: &[f32], weight: &[f32], eps: f32, dy: &[f32], dx: &mut [f32]) {
    let r = inverse_rms(x, eps);
    let dot: f64 = x
        .iter()
        .zip(weight)
        .zip(dy)
        .map(|((x, w), dy)| f64::from(*x) * f64::from(w * dy))
        .sum();
    let slope = r * r * r * (dot / x.len() as f64) as f32;
    for (((dx, x), w), dy) in dx.iter_mut().zip(x).zip(weight).zip(dy) {
        *dx = r * w * dy - slope * x;
    }
}
