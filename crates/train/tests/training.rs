//! Gradients against finite differences, and what a run of training must do, on a tiny random model.

use idiolect_engine::{Engine, LoadedModel, LoraConfig, LoraWeights, Target};
use idiolect_llm::{DeviceWish, testing};
use idiolect_train::{
    AdamWConfig, Batch, Control, Row, Settings, Trained, Update, evaluate, loss_and_gradients, sft,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn tiny() -> (tempfile::TempDir, LoadedModel) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    std::fs::write(&path, testing::tiny_gguf(&testing::TinyGguf::default())).unwrap();
    let model = Engine::load(&path, "tiny", DeviceWish::Cpu).unwrap();
    (dir, model)
}

fn rows() -> Vec<Row> {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    [(9, 3), (14, 0), (5, 1)]
        .map(|(n, prompt)| Row {
            tokens: (0..n).map(|_| random.random_range(0..200)).collect(),
            prompt,
        })
        .to_vec()
}

fn all_linears() -> LoraConfig {
    LoraConfig {
        rank: 4,
        alpha: 8.0,
        targets: Target::ALL.to_vec(),
    }
}

/// Non-zero B, so that every path carries a gradient.
fn lora(model: &LoadedModel) -> LoraWeights {
    let weights =
        LoraWeights::new(&all_linears(), model.config(), model.decoder().device(), 2).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for (_, var) in weights.vars() {
        let values: Vec<f32> = (0..var.elem_count())
            .map(|_| random.random_range(-0.1..0.1))
            .collect();
        var.set(&candle_core::Tensor::from_vec(values, var.shape(), var.device()).unwrap())
            .unwrap();
    }
    weights
}

/// Central differences over f32 activations: their noise of about 1e-6 is divided by twice the step.
const TOLERANCE: f64 = 5e-3;

#[test]
fn gradients_match_finite_differences_and_every_tensor_has_one() {
    let (_dir, model) = tiny();
    let decoder = model.decoder();
    let weights = lora(&model);
    let batch = Batch::pack(&rows());
    let mean = || evaluate(decoder, Some(&weights), &batch).unwrap() / batch.answer_tokens() as f64;
    let (loss, gradients) = loss_and_gradients(decoder, &weights, &batch).unwrap();
    assert!((loss - mean()).abs() < 1e-5, "both report the same loss");
    let mut random = ChaCha8Rng::seed_from_u64(9);
    for ((name, var), gradient) in weights.vars().into_iter().zip(gradients.tensors()) {
        assert!(
            gradient.iter().any(|g| *g != 0.0),
            "the gradient of {name} is zero everywhere"
        );
        // Along a random direction the whole tensor is tested at once.
        let direction: Vec<f32> = gradient
            .iter()
            .map(|_| if random.random::<bool>() { 1.0 } else { -1.0 })
            .collect();
        let expected: f64 = gradient
            .iter()
            .zip(&direction)
            .map(|(g, d)| f64::from(g * d))
            .sum();
        let step = 1e-2 / (gradient.len() as f32).sqrt();
        let before = var.as_tensor().copy().unwrap();
        let old: Vec<f32> = before.flatten_all().unwrap().to_vec1().unwrap();
        let at = |sign: f32| {
            let moved: Vec<f32> = old
                .iter()
                .zip(&direction)
                .map(|(v, d)| v + sign * step * d)
                .collect();
            var.set(&candle_core::Tensor::from_vec(moved, var.shape(), var.device()).unwrap())
                .unwrap();
            mean()
        };
        let measured = (at(1.0) - at(-1.0)) / f64::from(2.0 * step);
        var.set(&before).unwrap();
        let scale = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!(
            (measured - expected).abs() <= TOLERANCE * (1.0 + scale),
            "{name}: {measured} measured, {expected} computed"
        );
    }
}

#[test]
fn packing_rows_changes_nothing_about_them() {
    let (_dir, model) = tiny();
    let weights = lora(&model);
    let loss =
        |rows: &[Row]| evaluate(model.decoder(), Some(&weights), &Batch::pack(rows)).unwrap();
    let together = loss(&rows());
    let alone: f64 = rows()
        .iter()
        .map(|row| loss(std::slice::from_ref(row)))
        .sum();
    assert!(
        (together - alone).abs() < 1e-3,
        "{together} packed, {alone} one by one: rows leak into each other"
    );
}

fn settings() -> Settings {
    Settings {
        lora: all_linears(),
        learning_rate: 2e-2,
        warm_up: 2,
        epochs: 6,
        batch: 2,
        seed: 1,
        early_stop: false,
        optimizer: AdamWConfig::default(),
    }
}

fn train(model: &LoadedModel, on_update: &mut dyn FnMut(Update) -> Control) -> Trained {
    sft(model, &rows(), &rows()[..1], &settings(), on_update).unwrap()
}

fn values(trained: &Trained) -> Vec<Vec<f32>> {
    let weights = trained.weights.as_ref().unwrap();
    weights
        .vars()
        .iter()
        .map(|(_, var)| var.flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

#[test]
fn training_learns_its_texts_and_repeats_bit_for_bit() {
    let (_dir, model) = tiny();
    let mut losses = Vec::new();
    let trained = train(&model, &mut |update| {
        losses.extend(update.point.loss);
        Control::Continue
    });
    assert_eq!(losses.len(), 12, "two steps an epoch, six epochs");
    assert!(
        losses[10] + losses[11] < 0.8 * (losses[0] + losses[1]),
        "the loss did not fall: {losses:?}"
    );
    assert!(
        trained.own_held_out < trained.base_held_out,
        "a row that was trained on is predicted better"
    );
    let again = train(&model, &mut |_| Control::Continue);
    assert_eq!(values(&trained), values(&again), "same seed, same run");
}

#[test]
fn stopping_keeps_the_best_and_cancelling_keeps_nothing() {
    let (_dir, model) = tiny();
    let stop = |with: Control| {
        train(&model, &mut |u| {
            if u.point.step >= 4 {
                with
            } else {
                Control::Continue
            }
        })
    };
    assert!(stop(Control::Cancel).weights.is_none());
    let kept = stop(Control::KeepBest);
    assert!(kept.weights.is_some() && !kept.ended_early.is_empty());
}

#[test]
fn what_was_trained_comes_back_from_its_files() {
    let (dir, model) = tiny();
    let trained = train(&model, &mut |_| Control::Continue);
    let weights = trained.weights.as_ref().unwrap();
    let folder = dir.path().join("adapter");
    weights.save(&folder, model.config(), "tiny").unwrap();
    let loaded = LoraWeights::load(&folder, model.config(), model.decoder().device()).unwrap();
    let batch = Batch::pack(&rows());
    let (a, b) = (
        evaluate(model.decoder(), Some(weights), &batch).unwrap(),
        evaluate(model.decoder(), Some(&loaded), &batch).unwrap(),
    );
    assert_eq!(a, b, "the files hold the very same adapter");
}
