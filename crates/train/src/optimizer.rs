//! AdamW (Loshchilov & Hutter 2019) with global-norm clipping, and the learning-rate schedule.

use candle_core::{Result, Tensor, Var, backprop::GradStore};

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

    /// One update; returns the gradient's norm before clipping. A tensor without a gradient is an error: something cut
    /// the graph.
    ///
    /// # Errors
    /// A missing gradient, the device's.
    pub fn update(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<f64> {
        let c = self.config;
        let mut found = Vec::with_capacity(self.moments.len());
        let mut squares = 0.0;
        for moments in &self.moments {
            let Some(gradient) = gradients.get(moments.var.as_tensor()) else {
                candle_core::bail!(
                    "a trainable tensor of shape {:?} got no gradient",
                    moments.var.dims()
                );
            };
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
            found.push(gradient);
        }
        let norm = squares.sqrt();
        let shrink = if norm > c.clip { c.clip / norm } else { 1.0 };
        self.step += 1;
        let correct1 = 1.0 - c.beta1.powi(self.step);
        let correct2 = 1.0 - c.beta2.powi(self.step);
        for (moments, gradient) in self.moments.iter_mut().zip(found) {
            let gradient = (gradient * shrink)?.detach();
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
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_first_update_moves_each_number_by_the_learning_rate() {
        let var = Var::new(&[0.0f32, 0.0, 0.0, 0.0], &Device::Cpu).unwrap();
        let slope = Tensor::new(&[0.3f32, -0.2, 0.0, 0.1], &Device::Cpu).unwrap();
        let loss = (var.as_tensor() * &slope).unwrap().sum_all().unwrap();
        let mut optimizer = AdamW::new([var.clone()], AdamWConfig::default()).unwrap();
        let norm = optimizer.update(&loss.backward().unwrap(), 0.01).unwrap();
        assert!((norm - 0.14f64.sqrt()).abs() < 1e-6);
        // Bias-corrected, the first step is lr · sign(g), whatever the size of g.
        let moved = var.to_vec1::<f32>().unwrap();
        for (p, want) in moved.iter().zip([-0.01, 0.01, 0.0, -0.01]) {
            assert!((p - want).abs() < 1e-6, "{p} is not {want}");
        }
    }

    #[test]
    fn a_tensor_without_a_gradient_is_refused() {
        let (a, b) = (
            Var::new(&[1f32], &Device::Cpu).unwrap(),
            Var::new(&[1f32], &Device::Cpu).unwrap(),
        );
        let loss = a.as_tensor().sum_all().unwrap();
        let mut optimizer = AdamW::new([a, b], AdamWConfig::default()).unwrap();
        assert!(optimizer.update(&loss.backward().unwrap(), 0.1).is_err());
    }

    #[test]
    fn the_schedule_warms_up_and_ends_at_a_tenth() {
        assert_eq!(learning_rate_at(1, 24, 4, 1.0), 0.25);
        assert_eq!(learning_rate_at(4, 24, 4, 1.0), 1.0);
        assert!((learning_rate_at(24, 24, 4, 1.0) - 0.1).abs() < 1e-9);
    }
}
