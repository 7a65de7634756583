//! AdamW (Loshchilov & Hutter 2019) with global-norm clipping, and the learning-rate schedule.

use candle_core::{Result, Tensor, Var};
use idiolect_engine::Gradients;

/// Constants of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients longer than this (global L2 norm) are scaled down to it.
    pub clip: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            clip: 1.0,
        }
    }
}

/// Moments of every trainable tensor.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    moments: Vec<Moments>,
    step: i32,
}

#[derive(Debug)]
struct Moments {
    var: Var,
    first: Tensor,
    second: Tensor,
}

impl AdamW {
    /// Zero moments for these tensors.
    ///
    /// # Errors
    /// The device's.
    pub fn new(vars: impl IntoIterator<Item = Var>, config: AdamWConfig) -> Result<Self> {
        let moments = vars
            .into_iter()
            .map(|var| {
                Ok(Moments {
                    first: var.zeros_like()?,
                    second: var.zeros_like()?,
                    var,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            config,
            moments,
            step: 0,
        })
    }

    /// One update; returns the gradient's norm before clipping.
    ///
    /// # Errors
    /// Gradients of another adapter's shape, the device's.
    pub fn update(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<f64> {
        let c = self.config;
        if gradients.tensors().count() != self.moments.len() {
            candle_core::bail!("the gradients are another adapter's");
        }
        let squares: f64 = gradients
            .values()
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum();
        let norm = squares.sqrt();
        let shrink = if norm > c.clip { c.clip / norm } else { 1.0 };
        self.step += 1;
        let correct1 = 1.0 - c.beta1.powi(self.step);
        let correct2 = 1.0 - c.beta2.powi(self.step);
        for (moments, gradient) in self.moments.iter_mut().zip(gradients.tensors()) {
            let gradient =
                (Tensor::from_slice(gradient, moments.var.shape(), moments.var.device())?
                    * shrink)?;
            moments.first = ((&moments.first * c.beta1)? + (&gradient * (1.0 - c.beta1))?)?;
            moments.second = ((&moments.second * c.beta2)? + (gradient.sqr()? * (1.0 - c.beta2))?)?;
            let denominator = ((&moments.second / correct2)?.sqrt()? + c.eps)?;
            let step = ((&moments.first / correct1)? / denominator)?;
            let decayed = (moments.var.as_tensor() * (1.0 - learning_rate * c.weight_decay))?;
            moments
                .var
                .set(&(decayed - (step * learning_rate)?)?.detach())?;
        }
        Ok(norm)
    }
}

/// Linear warm-up over `warm_up` steps, then linear decay to a tenth of the peak at `steps`; `step` counts from 1.
pub fn learning_rate_at(step: u32, steps: u32, warm_up: u32, peak: f64) -> f64 {
    if step <= warm_up {
        return peak * f64::from(step) / f64::from(warm_up.max(1));
    }
    let done = f64::from(step - warm_up) / f64::from(steps.saturating_sub(warm_up).max(1));
    peak * (1.0 - 0.9 * done.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_warms_up_and_ends_at_a_tenth() {
        assert_eq!(learning_rate_at(1, 24, 4, 1.0), 0.25);
        assert_eq!(learning_rate_at(4, 24, 4, 1.0), 1.0);
        assert!((learning_rate_at(24, 24, 4, 1.0) - 0.1).abs() < 1e-9);
    }
}
