//! Means with bootstrap intervals over the units that are independent of each other: prompts, authors, topics.

use std::collections::BTreeMap;

use idiolect_core::Interval;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws of a percentile bootstrap.
const DRAWS: usize = 1000;

/// Mean of the values; 0 where there are none.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        values.iter().sum::<f64>() / values.len() as f64
    }
}

/// The middle value, the mean of both where there are two; `None` for none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| f64::midpoint(values[(n - 1) / 2], values[n / 2]))
}

/// Percentile bootstrap 95 % (Efron 1979), seeded: `statistic` of `units` units drawn with replacement. `None` where no
/// draw has one.
pub(crate) fn bootstrap(
    units: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    if units == 0 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = vec![0; units];
    let mut values: Vec<f64> = (0..DRAWS)
        .filter_map(|_| {
            drawn.fill_with(|| random.random_range(0..units));
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| Interval::new(values[n / 40], values[n - 1 - n / 40]))
}

/// Interval of the mean of `values`, whose units are given: rows of one unit are drawn together.
pub(super) fn interval_of_mean<U: Ord>(values: &[f64], units: &[U], seed: u64) -> Interval {
    let mut sums: BTreeMap<&U, (f64, f64)> = BTreeMap::new();
    for (value, unit) in values.iter().zip(units) {
        let sum = sums.entry(unit).or_default();
        *sum = (sum.0 + value, sum.1 + 1.0);
    }
    let sums: Vec<(f64, f64)> = sums.into_values().collect();
    bootstrap(sums.len(), seed, |drawn| {
        let (sum, n) = drawn.iter().fold((0.0, 0.0), |total, &unit| {
            (total.0 + sums[unit].0, total.1 + sums[unit].1)
        });
        Some(sum / n)
    })
    .unwrap_or(Interval::new(0.0, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn the_interval_has_about_the_normal_width() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let alone: Vec<usize> = (0..400).collect();
        let i = interval_of_mean(&values, &alone, 1);
        // 1.96 · .5 / √400 = .049 on either side.
        assert!(
            (i.low - 0.451).abs() < 0.012 && (i.high - 0.549).abs() < 0.012,
            "{i:?}"
        );
        assert_eq!(
            i,
            interval_of_mean(&values, &alone, 1),
            "same seed, same interval"
        );
    }

    #[test]
    fn rows_of_one_unit_count_as_one_observation() {
        // Four equal rows a unit: as wide as 100 observations, not 400: 1.96 · .5 / √100 = .098.
        let values: Vec<f64> = (0..400).map(|i| f64::from(i / 4 % 2)).collect();
        let units: Vec<usize> = (0..400).map(|i| i / 4).collect();
        let i = interval_of_mean(&values, &units, 1);
        assert!(
            (i.low - 0.402).abs() < 0.02 && (i.high - 0.598).abs() < 0.02,
            "{i:?}"
        );
    }
}
