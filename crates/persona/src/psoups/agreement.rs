//! Agreement: how far a pair goes the way a history went, number by number, and how much each number's agreement counts.
//!
//! What everybody agrees on says nothing about anybody, so nothing here knows which answers are good: only whether this
//! history and this pair point the same way. Weights are never negative; one below zero would say that who liked something
//! before likes it less now.

use super::scaled;

/// The direction of a history in every number, −1 … 1: the scaled differences' sum over the root of their count, which stays
/// of one size however long a history of chance is, squashed.
pub fn direction(history: &[Vec<f64>], scales: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; scales.len()];
    for difference in history {
        let votes = scaled(difference, scales);
        sum.iter_mut().zip(votes).for_each(|(s, v)| *s += v);
    }
    let root = (history.len().max(1) as f64).sqrt();
    sum.into_iter().map(|s| (s / root).tanh()).collect()
}

/// A history's direction times a scaled difference, number by number.
pub fn agreement(direction: &[f64], target: &[f64]) -> Vec<f64> {
    direction.iter().zip(target).map(|(d, t)| d * t).collect()
}

/// Sweeps at most; each lowers the objective, and a few dozen settle it.
const SWEEPS: usize = 500;
/// A sweep that moves no weight further than this was the last.
const SETTLED: f64 = 1e-7;

/// Weights w ≥ 0 that minimise Σ ln(1 + e^(−wᵀx)) + ½ ridge Σ (rₖ wₖ)², where every row x should have wᵀx > 0 and rₖ is the
/// root mean square of xₖ: coordinates in turn, each by a step that the curvature's upper bound makes safe.
pub fn weights(rows: &[Vec<f64>], n: usize, ridge: f64) -> Vec<f64> {
    let count = rows.len().max(1) as f64;
    let squares: Vec<f64> = (0..n)
        .map(|k| rows.iter().map(|x| x[k] * x[k]).sum())
        .collect();
    let mut weights = vec![0.0; n];
    let mut margins = vec![0.0; rows.len()];
    for _ in 0..SWEEPS {
        let mut furthest: f64 = 0.0;
        for k in 0..n {
            if squares[k] < 1e-24 {
                continue;
            }
            let held = ridge * squares[k] / count;
            let slope: f64 = rows
                .iter()
                .zip(&margins)
                .map(|(x, m)| -x[k] / (1.0 + f64::exp(*m)))
                .sum::<f64>()
                + held * weights[k];
            // A logistic loss curves by a quarter at most.
            let next = f64::max(0.0, weights[k] - slope / (squares[k] / 4.0 + held));
            let moved = next - weights[k];
            if moved != 0.0 {
                weights[k] = next;
                margins
                    .iter_mut()
                    .zip(rows)
                    .for_each(|(m, x)| *m += moved * x[k]);
                furthest = furthest.max(moved.abs() * (squares[k] / count).sqrt());
            }
        }
        if furthest < SETTLED {
            break;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_odd_and_keeps_its_size() {
        let history = vec![vec![2.0, -1.0], vec![1.0, 1.0]];
        let scales = [1.0, 2.0];
        let forward = direction(&history, &scales);
        let turned: Vec<Vec<f64>> = history
            .iter()
            .map(|d| d.iter().map(|v| -v).collect())
            .collect();
        let back = direction(&turned, &scales);
        assert!(
            forward
                .iter()
                .zip(&back)
                .all(|(a, b)| (a + b).abs() < 1e-12)
        );
        assert!((forward[0] - (3.0 / 2f64.sqrt()).tanh()).abs() < 1e-12);
        assert_eq!(forward[1], 0.0);
        assert_eq!(
            direction(&[], &scales),
            [0.0, 0.0],
            "no history, no direction"
        );
    }

    /// The objective in as many words as its documentation.
    fn objective(rows: &[Vec<f64>], w: &[f64], ridge: f64) -> f64 {
        let rms = |k: usize| rows.iter().map(|x| x[k] * x[k]).sum::<f64>() / rows.len() as f64;
        let loss: f64 = rows
            .iter()
            .map(|x| {
                let margin: f64 = x.iter().zip(w).map(|(a, b)| a * b).sum();
                (-margin).exp().ln_1p()
            })
            .sum();
        loss + ridge / 2.0 * (0..w.len()).map(|k| rms(k) * w[k] * w[k]).sum::<f64>()
    }

    #[test]
    fn no_small_step_lowers_the_objective() {
        // The first number agrees with what was chosen, the second with its opposite, the third hardly.
        let rows: Vec<Vec<f64>> = (0..40)
            .map(|i| {
                let noise = f64::from(i % 5) - 2.0;
                vec![1.0 + 0.5 * noise, -1.0 + 0.4 * noise, 0.2 * noise + 0.05]
            })
            .collect();
        let ridge = 3.0;
        let found = weights(&rows, 3, ridge);
        assert!(found[0] > 0.1, "{found:?}");
        assert_eq!(found[1], 0.0, "never below zero");
        let here = objective(&rows, &found, ridge);
        for k in 0..3 {
            for step in [-1e-3, 1e-3] {
                let mut near = found.clone();
                near[k] = f64::max(0.0, near[k] + step);
                assert!(objective(&rows, &near, ridge) >= here - 1e-9, "{k} {step}");
            }
        }
    }
}
