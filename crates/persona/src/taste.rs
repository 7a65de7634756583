//! The taste model: Bayesian logistic regression on feature differences (chosen minus rejected), prior mean zero.
//!
//! θ* = argmin −Σ log σ(θᵀΔ) + ½ θᵀθ/τ², by Newton with line search (an undamped step overflows on separable data);
//! posterior covariance A⁻¹, A = I/τ² + Σ p(1−p) ΔΔᵀ. Odd in the votes: exchanging every label negates θ*.

use crate::{PersonaError, Result};

/// What a preference looks like after some votes.
#[derive(Debug, Clone, PartialEq)]
pub struct TasteModel {
    /// Posterior mean of the weights.
    pub mean: Vec<f64>,
    /// Posterior covariance (Laplace), row by row.
    pub covariance: Vec<Vec<f64>>,
}

/// Newton steps at most; the objective is convex and smooth, a handful suffice.
const STEPS: usize = 50;
/// A gradient this short is zero.
const GRADIENT_TOLERANCE: f64 = 1e-9;

impl TasteModel {
    /// Prior variance of a weight (standard deviation .3), as it carried on P-Soups with features over their RMS.
    pub const PRIOR_VARIANCE: f64 = 0.09;

    /// Fits on differences of `n` features each; none give the prior.
    ///
    /// # Errors
    /// A difference of another length or with a value that is not finite.
    pub fn fit(differences: &[Vec<f64>], n: usize, prior_variance: f64) -> Result<Self> {
        if differences
            .iter()
            .any(|d| d.len() != n || d.iter().any(|v| !v.is_finite()))
        {
            return Err(PersonaError::Data(format!(
                "the taste model needs {n} finite numbers a vote"
            )));
        }
        let objective = Objective {
            differences,
            prior_variance,
        };
        let mut theta = vec![0.0; n];
        for _ in 0..STEPS {
            let gradient = objective.gradient(&theta);
            if gradient.iter().map(|g| g * g).sum::<f64>().sqrt() < GRADIENT_TOLERANCE {
                break;
            }
            let step = solve(&cholesky(&objective.hessian(&theta))?, &gradient);
            let here = objective.value(&theta);
            let slope: f64 = gradient.iter().zip(&step).map(|(g, s)| g * s).sum();
            let mut length = 1.0;
            loop {
                let next: Vec<f64> = theta
                    .iter()
                    .zip(&step)
                    .map(|(t, s)| t - length * s)
                    .collect();
                // Armijo: a ten-thousandth of what the slope promises is enough.
                if objective.value(&next) <= here - 1e-4 * length * slope || length < 1e-10 {
                    theta = next;
                    break;
                }
                length /= 2.0;
            }
        }
        let factor = cholesky(&objective.hessian(&theta))?;
        let covariance = (0..n)
            .map(|i| {
                let mut unit = vec![0.0; n];
                unit[i] = 1.0;
                solve(&factor, &unit)
            })
            .collect();
        Ok(Self {
            mean: theta,
            covariance,
        })
    }

    /// Log-odds that the first of a pair is preferred.
    pub fn margin(&self, difference: &[f64]) -> f64 {
        self.mean.iter().zip(difference).map(|(w, d)| w * d).sum()
    }

    /// 95 % half-width of every weight.
    pub fn half_widths(&self) -> Vec<f64> {
        (0..self.mean.len())
            .map(|i| 1.959_963_984_540_054 * self.covariance[i][i].max(0.0).sqrt())
            .collect()
    }
}

struct Objective<'a> {
    differences: &'a [Vec<f64>],
    prior_variance: f64,
}

impl Objective<'_> {
    fn value(&self, theta: &[f64]) -> f64 {
        let prior: f64 = theta.iter().map(|t| t * t).sum::<f64>() / (2.0 * self.prior_variance);
        let loss: f64 = self
            .differences
            .iter()
            .map(|d| softplus(-dot(theta, d)))
            .sum();
        prior + loss
    }

    fn gradient(&self, theta: &[f64]) -> Vec<f64> {
        let mut out: Vec<f64> = theta.iter().map(|t| t / self.prior_variance).collect();
        for d in self.differences {
            let wrong = sigmoid(-dot(theta, d));
            for (o, v) in out.iter_mut().zip(d) {
                *o -= wrong * v;
            }
        }
        out
    }

    fn hessian(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let n = theta.len();
        let mut out = vec![vec![0.0; n]; n];
        for (i, row) in out.iter_mut().enumerate() {
            row[i] = 1.0 / self.prior_variance;
        }
        for d in self.differences {
            let p = sigmoid(dot(theta, d));
            let weight = p * (1.0 - p);
            for i in 0..n {
                for j in 0..n {
                    out[i][j] += weight * d[i] * d[j];
                }
            }
        }
        out
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// log(1 + eˣ) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Lower Cholesky factor of a positive definite matrix.
fn cholesky(a: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let n = a.len();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let sum = a[i][j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            if i == j {
                if sum <= 0.0 {
                    return Err(PersonaError::Data(
                        "the votes' covariance is not positive definite".to_owned(),
                    ));
                }
                l[i][i] = sum.sqrt();
            } else {
                l[i][j] = sum / l[j][j];
            }
        }
    }
    Ok(l)
}

/// x of L Lᵀ x = b.
fn solve(l: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut y = vec![0.0; n];
    for i in 0..n {
        let known: f64 = (0..i).map(|k| l[i][k] * y[k]).sum();
        y[i] = (b[i] - known) / l[i][i];
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| l[k][i] * x[k]).sum();
        x[i] = (y[i] - known) / l[i][i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes() -> Vec<Vec<f64>> {
        vec![
            vec![1.0, -0.5, 0.2],
            vec![0.3, 0.8, -1.0],
            vec![2.0, -1.5, 0.0],
            vec![-0.2, 0.1, 0.9],
        ]
    }

    #[test]
    fn the_gradient_matches_finite_differences() {
        let votes = votes();
        let objective = Objective {
            differences: &votes,
            prior_variance: 0.09,
        };
        let theta = [0.3, -0.2, 0.7];
        let gradient = objective.gradient(&theta);
        let hessian = objective.hessian(&theta);
        let h = 1e-5;
        for i in 0..3 {
            let moved = |by: f64| {
                let mut t = theta;
                t[i] += by;
                t
            };
            let numeric = (objective.value(&moved(h)) - objective.value(&moved(-h))) / (2.0 * h);
            assert!(
                (numeric - gradient[i]).abs() < 1e-7,
                "d/dθ{i}: {numeric} {}",
                gradient[i]
            );
            for (j, second) in hessian[i].iter().enumerate() {
                let numeric = (objective.gradient(&moved(h))[j]
                    - objective.gradient(&moved(-h))[j])
                    / (2.0 * h);
                assert!((numeric - second).abs() < 1e-6, "d²/dθ{i}dθ{j}");
            }
        }
    }

    #[test]
    fn reversed_votes_negate_the_taste() {
        let fit = TasteModel::fit(&votes(), 3, TasteModel::PRIOR_VARIANCE).unwrap();
        let reversed: Vec<Vec<f64>> = votes()
            .iter()
            .map(|d| d.iter().map(|v| -v).collect())
            .collect();
        let back = TasteModel::fit(&reversed, 3, TasteModel::PRIOR_VARIANCE).unwrap();
        for (a, b) in fit.mean.iter().zip(&back.mean) {
            assert!((a + b).abs() < 1e-8, "{a} and {b}");
        }
        assert!(
            fit.margin(&[1.0, -1.0, 0.0]) > 0.0,
            "what was chosen is liked"
        );
    }

    #[test]
    fn the_optimum_has_no_gradient_and_separable_votes_do_not_overflow() {
        let many: Vec<Vec<f64>> = (0..200).map(|_| vec![40.0, 0.0]).collect();
        let fit = TasteModel::fit(&many, 2, 100.0).unwrap();
        assert!(
            fit.mean[0].is_finite() && fit.mean[0] > 0.0,
            "{:?}",
            fit.mean
        );
        let objective = Objective {
            differences: &many,
            prior_variance: 100.0,
        };
        let g = objective.gradient(&fit.mean);
        assert!(g.iter().all(|v| v.abs() < 1e-6), "{g:?}");
        assert_eq!(
            fit.mean[1], 0.0,
            "nothing was said about the second feature"
        );
        assert!(
            (fit.covariance[1][1] - 100.0).abs() < 1e-9,
            "so its prior stands"
        );
    }

    #[test]
    fn no_votes_give_the_prior_and_bad_votes_an_error() {
        let prior = TasteModel::fit(&[], 2, 0.09).unwrap();
        assert_eq!(prior.mean, [0.0, 0.0]);
        assert!((prior.covariance[0][0] - 0.09).abs() < 1e-12);
        assert!((prior.half_widths()[0] - 1.96 * 0.3).abs() < 1e-3);
        assert!(TasteModel::fit(&[vec![1.0]], 2, 0.09).is_err());
        assert!(TasteModel::fit(&[vec![f64::NAN, 0.0]], 2, 0.09).is_err());
    }
}
