//! The few statistics the crate needs: moments, quantiles, the normal and t distributions, AUC with its interval.

use idiolect_core::Interval;

/// Arithmetic mean; 0 for no values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        values.iter().sum::<f64>() / values.len() as f64
    }
}

/// Sample variance (n − 1); 0 for fewer than two values.
#[must_use]
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let m = mean(values);
    values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// The `p` quantile by linear interpolation between order statistics; `sorted` ascending. 0 for no values.
#[must_use]
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let at = p.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

/// The `p` quantile of weighted values: the value at which the weight below reaches `p`, interpolated between the
/// midpoints of neighbouring weights. `sorted` ascending by value.
#[must_use]
pub fn weighted_quantile(sorted: &[(f64, f64)], p: f64) -> f64 {
    let total: f64 = sorted.iter().map(|(_, w)| w).sum();
    let target = p.clamp(0.0, 1.0) * total;
    let mut below = 0.0;
    let mut previous: Option<(f64, f64)> = None;
    for &(value, weight) in sorted {
        let middle = below + weight / 2.0;
        if middle >= target {
            return previous.map_or(value, |(v, m)| {
                v + (value - v) * (target - m) / (middle - m)
            });
        }
        previous = Some((value, middle));
        below += weight;
    }
    previous.map_or(0.0, |(v, _)| v)
}

/// Φ(x), through the complementary error function (W. J. Cody's form by Numerical Recipes' `erfcc`; error below 1.2e-7).
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let poly = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ]
    .iter()
    .fold(0.0, |sum, c| sum * t + c);
    let tail = t * (-z * z + poly).exp() / 2.0;
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// Φ⁻¹(p) for 0 < p < 1 by P. J. Acklam's rational approximation (relative error below 1.2e-9); ±8 outside.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
        1.0,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        0.007_784_695_709_041_462,
        0.322_467_129_070_039_8,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    const TAIL: f64 = 0.024_25;
    let polynomial = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    if p <= 0.0 || p >= 1.0 {
        return if p <= 0.0 { -8.0 } else { 8.0 };
    }
    if (TAIL..=1.0 - TAIL).contains(&p) {
        let q = p - 0.5;
        return q * polynomial(&A, q * q) / polynomial(&B, q * q);
    }
    let q = (-2.0 * p.min(1.0 - p).ln()).sqrt();
    let z = polynomial(&C, q) / polynomial(&D, q);
    if p < 0.5 { z } else { -z }
}

/// The 97.5 % point of Student's t: exact for 1 and 2 degrees of freedom, else Cornish-Fisher's expansion about the
/// normal (Abramowitz & Stegun 26.7.5; error below .01 from 3 on).
#[must_use]
pub fn t_975(degrees: usize) -> f64 {
    match degrees {
        0 => f64::INFINITY,
        1 => 12.706,
        2 => 4.303,
        n => {
            let (z, n) = (1.959_964_f64, n as f64);
            let g1 = (z.powi(3) + z) / 4.0;
            let g2 = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
            let g3 = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
            let g4 = (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5)
                - 1920.0 * z.powi(3)
                - 945.0 * z)
                / 92_160.0;
            z + g1 / n + g2 / n.powi(2) + g3 / n.powi(3) + g4 / n.powi(4)
        }
    }
}

/// 95 % interval of the mean of a Poisson count, by Wilson and Hilferty's cube-root approximation to the exact limits.
#[must_use]
pub fn poisson_interval(count: f64) -> Interval {
    let limit = |c: f64, z: f64| c * (1.0 - 1.0 / (9.0 * c) + z / (3.0 * c.sqrt())).powi(3);
    let low = if count > 0.0 {
        limit(count, -1.96).max(0.0)
    } else {
        0.0
    };
    Interval::new(low, limit(count + 1.0, 1.96))
}

/// P(a > b) + P(a = b)/2 for values drawn from `own` and `others`; .5 when either is empty.
#[must_use]
pub fn auc(own: &[f64], others: &[f64]) -> f64 {
    if own.is_empty() || others.is_empty() {
        return 0.5;
    }
    let mut sorted = others.to_vec();
    sorted.sort_by(f64::total_cmp);
    let sum: f64 = own
        .iter()
        .map(|v| {
            let below = sorted.partition_point(|o| o < v);
            let through = sorted.partition_point(|o| o <= v);
            (below + through) as f64 / 2.0
        })
        .sum();
    sum / (own.len() * others.len()) as f64
}

/// 95 % interval of an AUC from `n` own and `m` other texts (Hanley & McNeil 1982).
#[must_use]
pub fn auc_interval(auc: f64, n: usize, m: usize) -> Interval {
    if n == 0 || m == 0 {
        return Interval::new(0.0, 1.0);
    }
    let (q1, q2) = (auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc));
    let (n, m) = (n as f64, m as f64);
    let square = auc * auc;
    let var = (auc * (1.0 - auc) + (n - 1.0) * (q1 - square) + (m - 1.0) * (q2 - square)) / (n * m);
    // At 0 and 1 the formula says "no error", which a handful of texts cannot support; a text's worth stays open.
    let half = (1.96 * var.max(0.0).sqrt()).max(if auc <= 0.0 || auc >= 1.0 {
        1.0 / n.max(1.0) / 2.0
    } else {
        0.0
    });
    Interval::new((auc - half).max(0.0), (auc + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() < tolerance, "got {got}, want {want}");
    }

    #[test]
    fn distributions_agree_with_tables() {
        near(normal_cdf(0.0), 0.5, 1e-7);
        near(normal_cdf(1.959_964), 0.975, 1e-6);
        near(normal_cdf(-3.0), 0.001_349_898, 1e-8);
        for p in [0.001, 0.02, 0.1, 0.5, 0.9, 0.99] {
            near(normal_cdf(normal_quantile(p)), p, 1e-6);
        }
        near(normal_quantile(0.9), 1.281_552, 1e-5);
        for (degrees, want) in [(3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042)] {
            near(t_975(degrees), want, 0.01);
        }
        let none = poisson_interval(0.0);
        near(none.high, 3.689, 0.1);
        let four = poisson_interval(4.0);
        near(four.low, 1.090, 0.05);
        near(four.high, 10.242, 0.05);
    }

    #[test]
    fn quantiles_interpolate() {
        near(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0, 1e-12);
        near(
            weighted_quantile(&[(1.0, 1.0), (2.0, 1.0), (3.0, 2.0)], 0.5),
            2.333_333_333,
            1e-6,
        );
        near(weighted_quantile(&[(5.0, 2.0)], 0.1), 5.0, 1e-12);
    }

    #[test]
    fn auc_counts_pairs_and_halves_ties() {
        near(
            auc(&[2.0, 3.0], &[1.0, 2.0]),
            (1.0 + 0.5 + 1.0 + 1.0) / 4.0,
            1e-12,
        );
        // Hanley & McNeil's standard error for A = .8 and 50 + 50 cases is .0448.
        let interval = auc_interval(0.8, 50, 50);
        near((interval.high - interval.low) / 2.0 / 1.96, 0.0448, 5e-4);
    }
}
