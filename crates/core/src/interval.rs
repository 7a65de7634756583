//! A closed interval around an estimate, 95 % unless a field says otherwise.

use serde::{Deserialize, Serialize};

/// `[low, high]`, serialized as a two-element array.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "[number, number]"))]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// The interval from `low` to `high`.
    pub fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// Whether `x` lies in it, ends included.
    pub fn contains(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }

    /// Wilson score interval of a share of `successes` in `n`, 95 %
    /// (Wilson 1927; half-successes from ties are allowed). `[0, 1]` when `n` is 0.
    pub fn wilson(successes: f64, n: f64) -> Self {
        if n <= 0.0 {
            return Self::new(0.0, 1.0);
        }
        let z = 1.959_963_984_540_054;
        let p = successes / n;
        let centre = p + z * z / (2.0 * n);
        let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        Self::new(
            ((centre - spread) / scale).max(0.0),
            ((centre + spread) / scale).min(1.0),
        )
    }
}

impl From<[f64; 2]> for Interval {
    fn from([low, high]: [f64; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(i: Interval) -> Self {
        [i.low, i.high]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_matches_published_values() {
        // 8 of 10: 0.4902-0.9433 (Newcombe 1998, method 3, uncorrected).
        let i = Interval::wilson(8.0, 10.0);
        assert!((i.low - 0.4902).abs() < 5e-4, "low was {}", i.low);
        assert!((i.high - 0.9433).abs() < 5e-4, "high was {}", i.high);
        assert_eq!(Interval::wilson(0.0, 0.0), Interval::new(0.0, 1.0));
    }
}
