//! Row operations in plain Rust that the compiler vectorises: sums run in sixteen lanes, exponentials are polynomials.

use crate::Activation;

/// Lanes of a sum: two registers, so that additions need not wait for one another.
const LANES: usize = 16;

/// `exp(x)` to about two units in the last place, without a branch: x = n ln 2 + r with |r| <= ln 2 / 2, Taylor series
/// of exp(r) to the seventh power, n added to the exponent. Below -87.3 it is 0 and above 88.3 it stays at 2e38, which no
/// softmax or sigmoid can tell from the truth. NaN stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.3;
    /// Adding it leaves the nearest integer in the low bits of the sum.
    const ROUNDER: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few enough bits that n times it is exact (Cody & Waite 1980).
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let bounded = if x > HIGHEST { HIGHEST } else { x };
    let bounded = if bounded < LOWEST { LOWEST } else { bounded };
    let shifted = bounded.mul_add(std::f32::consts::LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, bounded));
    let mut series = 1.0 / 5040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = r.mul_add(series, coefficient);
    }
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let value = series * power;
    if x < LOWEST { 0.0 } else { value }
}

/// Sum of `term(i)` over `0..n`, in lanes and then pairwise: the order depends on n alone.
#[inline(always)]
fn lane_sum(n: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    for (sum, i) in lanes.iter_mut().zip(whole..n) {
        *sum += term(i);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    lane_sum(x.len(), |i| x[i])
}

#[inline(always)]
fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = if v > *lane { v } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    (lane_sum(x.len(), |i| x[i] * x[i]) / x.len() as f32 + eps)
        .sqrt()
        .recip()
}

#[inline(always)]
fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let r = inverse_rms(x, eps);
    for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
        *y = x * r * w;
    }
}

#[inline(always)]
fn rms_norm_backward(x: &[f32], weight: &[f32], eps: f32, dy: &[f32], dx: &mut [f32]) {
    let n = x.len();
    let (weight, dy) = (&weight[..n], &dy[..n]);
    let r = inverse_rms(x, eps);
    let dot = lane_sum(n, |i| x[i] * weight[i] * dy[i]);
    let slope = r * r * r * dot / n as f32;
    for (((dx, x), w), dy) in dx.iter_mut().zip(x).zip(weight).zip(dy) {
        *dx = (r * w).mul_add(*dy, -slope * x);
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn gated(activation: Activation, gate: &[f32], up: &[f32], y: &mut [f32]) {
    let (c, d) = activation.coefficients();
    for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) {
        *y = g * sigmoid(c * g * (d * g).mul_add(g, 1.0)) * u;
    }
}

#[inline(always)]
fn gated_backward(
    activation: Activation,
    gate: &[f32],
    up: &[f32],
    dy: &[f32],
    dgate: &mut [f32],
    dup: &mut [f32],
) {
    let (c, d) = activation.coefficients();
    for ((((&g, &u), &dy), dgate), dup) in gate.iter().zip(up).zip(dy).zip(dgate).zip(dup) {
        let squared = d * g * g;
        let s = sigmoid(c * g * (1.0 + squared));
        *dup = dy * g * s;
        *dgate = dy * u * s * (g * (1.0 - s)).mul_add(c * 3.0_f32.mul_add(squared, 1.0), 1.0);
    }
}

#[inline(always)]
fn log_sum_exp(x: &[f32]) -> f32 {
    let max = max(x);
    max + lane_sum(x.len(), |i| exp(x[i] - max)).ln()
}

#[inline(always)]
fn scaled_exp(x: &mut [f32], shift: f32, scale: f32) {
    for x in x {
        *x = exp(*x - shift) * scale;
    }
}

#[inline(always)]
fn exp_each(x: &mut [f32], shifts: &[f32]) {
    for (x, shift) in x.iter_mut().zip(shifts) {
        *x = exp(*x - shift);
    }
}

/// The operations with the registers of a level. Lanes are the same, and so are the bits.
macro_rules! with_registers {
    ($level:ident, $features:literal: $(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)*) => {
        pub(super) mod $level {
            use crate::Activation;
            $(
                #[allow(clippy::too_many_arguments)] // one for each input and gradient
                #[target_feature(enable = $features)]
                pub(in crate::x86) fn $name($($arg: $ty),*) $(-> $result)? {
                    super::$name($($arg),*)
                }
            )*
        }
    };
}

/// Each level has all of them.
macro_rules! levels {
    ($($level:ident $features:literal),*) => {
        $(with_registers! { $level, $features:
            fn sum(x: &[f32]) -> f32;
            fn max(x: &[f32]) -> f32;
            fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]);
            fn rms_norm_backward(x: &[f32], weight: &[f32], eps: f32, dy: &[f32], dx: &mut [f32]);
            fn gated(activation: Activation, gate: &[f32], up: &[f32], y: &mut [f32]);
            fn gated_backward(activation: Activation, gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32]);
            fn log_sum_exp(x: &[f32]) -> f32;
            fn scaled_exp(x: &mut [f32], shift: f32, scale: f32);
            fn exp_each(x: &mut [f32], shifts: &[f32]);
        })*
    };
}

levels!(avx2 "avx2,fma,f16c", avx512 "avx512f,avx512bw,avx512vl,avx2,fma,f16c");

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative error of the vectorised exponential.
    const EXP_TOLERANCE: f64 = 3e-7;

    #[test]
    fn exp_is_accurate_over_its_range_and_sane_beyond() {
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (got - want).abs() <= EXP_TOLERANCE * want,
                "exp({x}) is {got}, not {want}"
            );
        }
        assert_eq!(
            (exp(0.0), exp(-200.0), exp(f32::NEG_INFINITY)),
            (1.0, 0.0, 0.0),
            "one, and nothing far below"
        );
        assert!(
            exp(f32::INFINITY) > 1e38 && exp(f32::NAN).is_nan(),
            "huge stays huge, NaN stays NaN"
        );
    }
}
