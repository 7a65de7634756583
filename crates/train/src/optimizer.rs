//! AdamW (Loshchilov & Hutter 2019) with global-norm clipping, and the learning-rate schedule.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Constants of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

/// Moments of every trainable number.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    config: AdamWConfig,
    first: Vec<f32>,
    second: Vec<f32>,
    step: u32,
}

impl AdamW {
    /// Zero moments for so many numbers.
    pub fn new(numbers: usize, config: AdamWConfig) -> Self {
        Self {
            config,
            first: vec![0.0; numbers],
            second: vec![0.0; numbers],
            step: 0,
        }
    }

    /// As it stood after `step` updates.
    ///
    /// # Errors
    /// Moments that are not one pair a number.
    pub fn restored(
        config: AdamWConfig,
        first: Vec<f32>,
        second: Vec<f32>,
        step: u32,
    ) -> Result<Self, TrainError> {
        if first.len() != second.len() {
            return Err(TrainError::Settings(format!(
                "{} first moments and {} second ones",
                first.len(),
                second.len()
            )));
        }
        Ok(Self {
            config,
            first,
            second,
            step,
        })
    }

    /// First and second moments, in the order of the numbers.
    pub fn moments(&self) -> (&[f32], &[f32]) {
        (&self.first, &self.second)
    }

    /// Updates so far.
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// One update; returns the gradient's norm before clipping. Sums are float64, what is kept is float32. A norm that is
    /// not a number changes nothing.
    ///
    /// # Errors
    /// Not one gradient and one parameter a number.
    pub fn update(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        learning_rate: f64,
    ) -> Result<f64, TrainError> {
        if parameters.len() != self.first.len() || gradient.len() != self.first.len() {
            return Err(TrainError::Settings(format!(
                "{} parameters, {} gradients and {} moments",
                parameters.len(),
                gradient.len(),
                self.first.len()
            )));
        }
        let c = self.config;
        let squares: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Ok(norm);
        }
        let shrink = if norm > c.clip { c.clip / norm } else { 1.0 };
        self.step += 1;
        let power = i32::try_from(self.step).unwrap_or(i32::MAX);
        let correct1 = 1.0 - c.beta1.powi(power);
        let correct2 = 1.0 - c.beta2.powi(power);
        let keep = 1.0 - learning_rate * c.weight_decay;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((p, g), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
            let g = f64::from(*g) * shrink;
            let m = c.beta1 * f64::from(*first) + (1.0 - c.beta1) * g;
            let v = c.beta2 * f64::from(*second) + (1.0 - c.beta2) * g * g;
            (*first, *second) = (m as f32, v as f32);
            let step = (m / correct1) / ((v / correct2).sqrt() + c.eps);
            *p = (f64::from(*p) * keep - learning_rate * step) as f32;
        }
        Ok(norm)
    }
}

/// How the learning rate goes after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Stays at the peak.
    Constant,
    /// Straight down.
    Linear,
    /// Down along half a cosine.
    Cosine,
}

/// The learning rate of every step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest one.
    pub peak: f64,
    /// Steps in which it rises to that.
    pub warm_up: u32,
    /// What follows.
    pub decay: Decay,
    /// Where a decay ends, as a share of the peak.
    pub floor: f64,
}

impl Schedule {
    /// The rate of `step`, which counts from 1 to `steps`.
    pub fn at(&self, step: u32, steps: u32) -> f64 {
        if step <= self.warm_up {
            return self.peak * f64::from(step) / f64::from(self.warm_up.max(1));
        }
        let left = steps.saturating_sub(self.warm_up).max(1);
        let done = (f64::from(step - self.warm_up) / f64::from(left)).min(1.0);
        let remaining = match self.decay {
            Decay::Constant => return self.peak,
            Decay::Linear => 1.0 - done,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        };
        self.peak * (self.floor + (1.0 - self.floor) * remaining)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn floats(value: &Value) -> Vec<f32> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap() as f32)
            .collect()
    }

    /// Torch's figures are float64; ours are rounded to float32 at every step, eight times here.
    const TOLERANCE: f32 = 1e-6;

    fn close(what: &str, ours: &[f32], theirs: &Value) {
        for (a, b) in ours.iter().zip(floats(theirs)) {
            assert!(
                (a - b).abs() <= TOLERANCE * (1.0 + b.abs()),
                "{what}: {a} {b}"
            );
        }
    }

    #[test]
    fn several_steps_are_those_of_torch() {
        let figures: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/training.json")).unwrap();
        for run in figures["adamw"].as_array().unwrap() {
            let config = AdamWConfig {
                weight_decay: run["weight_decay"].as_f64().unwrap(),
                clip: run["clip"].as_f64().unwrap(),
                ..AdamWConfig::default()
            };
            let mut parameters = floats(&run["start"]);
            let mut optimizer = AdamW::new(parameters.len(), config);
            for step in run["steps"].as_array().unwrap() {
                let rate = step["rate"].as_f64().unwrap();
                let norm = optimizer
                    .update(&mut parameters, &floats(&step["gradient"]), rate)
                    .unwrap();
                assert!((norm - step["norm"].as_f64().unwrap()).abs() < 1e-5);
                close("parameters", &parameters, &step["parameters"]);
                close("first moments", optimizer.moments().0, &step["first"]);
                close("second moments", optimizer.moments().1, &step["second"]);
            }
        }
    }

    #[test]
    fn the_first_update_moves_each_number_by_the_learning_rate() {
        let mut p = [0f32; 4];
        let mut optimizer = AdamW::new(4, AdamWConfig::default());
        let norm = optimizer
            .update(&mut p, &[0.3, -0.2, 0.0, 0.1], 0.01)
            .unwrap();
        assert!((norm - 0.14f64.sqrt()).abs() < 1e-6);
        // Bias-corrected, the first step is lr · sign(g), whatever the size of g.
        for (p, want) in p.iter().zip([-0.01, 0.01, 0.0, -0.01]) {
            assert!((p - want).abs() < 1e-6, "{p} is not {want}");
        }
    }

    #[test]
    fn restored_moments_go_on_as_if_never_set_down() {
        let gradient = |t: u32| [0.3 * t as f32, -0.1, 0.02];
        let mut p = [1f32, 2.0, 3.0];
        let mut whole = AdamW::new(3, AdamWConfig::default());
        let mut q = p;
        for t in 1..=5 {
            whole.update(&mut p, &gradient(t), 0.1).unwrap();
        }
        let mut part = AdamW::new(3, AdamWConfig::default());
        for t in 1..=5 {
            part.update(&mut q, &gradient(t), 0.1).unwrap();
            let (first, second) = part.moments();
            let (first, second) = (first.to_vec(), second.to_vec());
            part = AdamW::restored(AdamWConfig::default(), first, second, part.steps()).unwrap();
        }
        assert_eq!((p, whole), (q, part));
    }

    #[test]
    fn a_gradient_that_is_not_a_number_changes_nothing() {
        let mut p = [1f32, 2.0];
        let mut optimizer = AdamW::new(2, AdamWConfig::default());
        let norm = optimizer.update(&mut p, &[f32::NAN, 1.0], 0.1).unwrap();
        assert!(norm.is_nan());
        assert_eq!((p, optimizer.steps()), ([1.0, 2.0], 0));
        assert!(optimizer.update(&mut p, &[1.0], 0.1).is_err());
    }

    #[test]
    fn schedules_warm_up_and_end_at_their_floor() {
        let schedule = |decay| Schedule {
            peak: 1.0,
            warm_up: 4,
            decay,
            floor: 0.1,
        };
        for decay in [Decay::Constant, Decay::Linear, Decay::Cosine] {
            assert_eq!(schedule(decay).at(1, 24), 0.25);
            assert_eq!(schedule(decay).at(4, 24), 1.0);
        }
        assert!((schedule(Decay::Linear).at(14, 24) - 0.55).abs() < 1e-12);
        assert!((schedule(Decay::Cosine).at(14, 24) - 0.55).abs() < 1e-12);
        assert!(schedule(Decay::Cosine).at(9, 24) > schedule(Decay::Linear).at(9, 24));
        for decay in [Decay::Linear, Decay::Cosine] {
            assert!((schedule(decay).at(24, 24) - 0.1).abs() < 1e-9);
        }
        assert_eq!(schedule(Decay::Constant).at(24, 24), 1.0);
    }
}
