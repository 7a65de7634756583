//! Every objective through a model: its gradient is the slope that finite differences measure, with and without dropout.

mod common;

use common::{KTO, lora, objectives, thumbs};
use idiolect_engine::{Dropout, LoraWeights, TrainOptions};
use idiolect_train::objective_and_gradients;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Central differences over f32 activations, divided by twice the step; losses here are up to about 6.
const TOLERANCE: f64 = 5e-3;

/// Weights near others: a reference that is neither the model itself nor far off.
fn moved(model: &idiolect_engine::LoadedModel, from: &LoraWeights, seed: u64) -> LoraWeights {
    let other = lora(model);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = from
        .parameters()
        .unwrap()
        .iter()
        .map(|v| v + random.random_range(-0.01..0.01))
        .collect();
    other.set_parameters(&values).unwrap();
    other
}

#[test]
fn gradients_of_every_objective_match_finite_differences() {
    let (_dir, model) = common::tiny();
    let weights = lora(&model);
    let reference = moved(&model, &weights, 4);
    let old = weights.parameters().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut cases = objectives();
    cases.push((KTO, thumbs()));
    for (n, (objective, examples)) in cases.into_iter().enumerate() {
        for probability in [0.0, 0.2] {
            let options = TrainOptions {
                dropout: (probability > 0.0).then_some(Dropout {
                    probability,
                    seed: 3,
                    pass: 8,
                }),
                ..TrainOptions::default()
            };
            // KTO twice: with the zero point at zero and above it.
            let shift = if n == 5 { 0.6 } else { 0.0 };
            let of = || {
                let loras = (&weights, Some(&reference));
                objective_and_gradients(&model, &objective, &examples, loras, shift, &options)
                    .unwrap()
            };
            let (_, gradients) = of();
            let gradient = gradients.values();
            for _ in 0..3 {
                let direction: Vec<f32> = gradient
                    .iter()
                    .map(|_| if random.random::<bool>() { 1.0 } else { -1.0 })
                    .collect();
                let both = gradient.iter().zip(&direction);
                let expected: f64 = both.map(|(g, d)| f64::from(g * d)).sum();
                // The matrix unit keeps 16 bits of a number: a smaller step would drown in that.
                let step = 8e-2 / (gradient.len() as f32).sqrt();
                let at = |sign: f32| {
                    let there: Vec<f32> = old
                        .iter()
                        .zip(&direction)
                        .map(|(v, d)| v + sign * step * d)
                        .collect();
                    weights.set_parameters(&there).unwrap();
                    of().0
                };
                let measured = (at(1.0) - at(-1.0)) / f64::from(2.0 * step);
                weights.set_parameters(&old).unwrap();
                let squares = gradient.iter().map(|g| f64::from(*g).powi(2));
                let scale = squares.sum::<f64>().sqrt();
                assert!(scale > 0.0);
                assert!(
                    (measured - expected).abs() <= TOLERANCE * (1.0 + scale),
                    "{} with dropout {probability}: {measured} measured, {expected} computed",
                    objective.name()
                );
            }
        }
    }
}
