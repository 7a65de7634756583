//! Means with bootstrap intervals.

use idiolect_core::Interval;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws of a percentile bootstrap.
const DRAWS: usize = 2000;

/// Mean of the units' values; 0 where there are none.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        values.iter().sum::<f64>() / values.len() as f64
    }
}

/// Percentile bootstrap 95 % of the mean over units (Efron 1979), seeded.
pub(super) fn bootstrap(values: &[f64], seed: u64) -> Interval {
    if values.is_empty() {
        return Interval::new(0.0, 0.0);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            (0..values.len())
                .map(|_| values[random.random_range(0..values.len())])
                .sum::<f64>()
                / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Interval::new(means[DRAWS / 40], means[DRAWS - 1 - DRAWS / 40])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_has_about_the_normal_width() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let i = bootstrap(&values, 1);
        // 1.96 · .5 / √400 = .049 on either side.
        assert!(
            (i.low - 0.451).abs() < 0.012 && (i.high - 0.549).abs() < 0.012,
            "{i:?}"
        );
        assert_eq!(i, bootstrap(&values, 1), "same seed, same interval");
    }
}
