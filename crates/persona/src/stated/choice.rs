//! Choices whose right option is known, and weights of their options' readings that are fitted on such choices.

use crate::{Result, taste::TasteModel};

/// Prior variance of a weight, with readings over their root mean square.
const PRIOR_VARIANCE: f64 = 1.0;
/// Scores that differ by less are tied: sums of the same numbers in another order.
const SAME: f64 = 1e-9;

/// Options with as many readings each, and which one is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Readings of every option.
    pub options: Vec<Vec<f64>>,
    /// Place of the right one.
    pub right: usize,
}

impl Choice {
    /// The share right by these weights: 1 or 0, a tie of m options among which is the right one 1/m.
    pub fn right_by(&self, weights: &[f64]) -> f64 {
        let score = |option: &Vec<f64>| option.iter().zip(weights).map(|(r, w)| r * w).sum();
        let scores: Vec<f64> = self.options.iter().map(score).collect();
        right_share(&scores, self.right)
    }

    /// The right option's readings less each other one's.
    fn differences(&self) -> impl Iterator<Item = Vec<f64>> {
        let right = &self.options[self.right];
        let others = self.options.iter().enumerate();
        others
            .filter(|(place, _)| *place != self.right)
            .map(|(_, other)| right.iter().zip(other).map(|(a, b)| a - b).collect())
    }
}

/// 1 where the option at `right` has the highest score alone, 1/m where it shares it with m − 1 others, else 0.
pub fn right_share(scores: &[f64], right: usize) -> f64 {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares = |score: f64| highest - score <= SAME;
    if !shares(scores[right]) {
        return 0.0;
    }
    1.0 / scores.iter().filter(|s| shares(**s)).count() as f64
}

/// Weights of the readings by Bayesian logistic regression on the right option less each other one.
///
/// # Errors
/// Readings that are not finite, or not as many in every option.
pub fn fit(choices: &[&Choice]) -> Result<Vec<f64>> {
    let readings = choices.first().map_or(0, |c| c.options[c.right].len());
    let mut differences: Vec<Vec<f64>> = choices.iter().flat_map(|c| c.differences()).collect();
    let squares = |r: usize| differences.iter().map(|d| d[r] * d[r]).sum::<f64>();
    let n = differences.len().max(1) as f64;
    let spreads: Vec<f64> = (0..readings)
        .map(|r| (squares(r) / n).sqrt().max(f64::EPSILON))
        .collect();
    for difference in &mut differences {
        difference
            .iter_mut()
            .zip(&spreads)
            .for_each(|(d, s)| *d /= s);
    }
    let fitted = TasteModel::fit(&differences, readings, PRIOR_VARIANCE)?;
    Ok(fitted
        .mean
        .iter()
        .zip(&spreads)
        .map(|(w, s)| w / s)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_shared() {
        assert_eq!(right_share(&[2.0, 1.0, 0.0], 0), 1.0);
        assert_eq!(right_share(&[1.0, 2.0, 0.0], 0), 0.0);
        assert_eq!(right_share(&[1.0, 1.0, 1.0, 0.0], 1), 1.0 / 3.0);
    }

    #[test]
    fn the_reading_that_tells_is_weighed_and_the_one_that_does_not_is_not() {
        // The first reading is higher for the right option, the second says nothing; their scales differ.
        let choices: Vec<Choice> = (0..20)
            .map(|i| {
                let noise = f64::from(i % 3 - 1) * 100.0;
                let mut options = vec![vec![0.1, noise], vec![0.0, -noise / 2.0], vec![-0.1, 0.0]];
                let right = i as usize % 3;
                options.swap(0, right);
                Choice { options, right }
            })
            .collect();
        let found = fit(&choices.iter().collect::<Vec<_>>()).unwrap();
        assert!(found[0] > 5.0 && found[1].abs() < 0.01, "{found:?}");
        assert!(choices.iter().all(|c| c.right_by(&found) == 1.0));
        assert_eq!(choices[0].right_by(&[0.0, 0.0]), 1.0 / 3.0);
    }
}
