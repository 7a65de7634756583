//! Gradients against finite differences, and what a run of training must do, on a tiny random model.

mod common;

use common::{DPO, lora, objectives, pairs, rows, settings, task, texts, train, values};
use idiolect_engine::LoraWeights;
use idiolect_train::{
    Batch, Control, Ending, Example, Objective, Packing, Row, TrainError, Trained, evaluate,
    loss_and_gradients, steps_of,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Central differences over f32 activations: their noise of about 1e-6 is divided by twice the step.
const TOLERANCE: f64 = 5e-3;

fn plain() -> Vec<Row> {
    rows(5, &[(9, 3), (14, 0), (5, 1)])
}

#[test]
fn gradients_match_finite_differences_and_every_tensor_has_one() {
    let (_dir, model) = common::tiny();
    let decoder = model.decoder();
    let weights = lora(&model);
    let batch = Batch::pack(&plain());
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
    let (_dir, model) = common::tiny();
    let weights = lora(&model);
    let loss =
        |rows: &[Row]| evaluate(model.decoder(), Some(&weights), &Batch::pack(rows)).unwrap();
    let together = loss(&plain());
    let alone: f64 = plain()
        .iter()
        .map(|row| loss(std::slice::from_ref(row)))
        .sum();
    assert!(
        (together - alone).abs() < 1e-3,
        "{together} packed, {alone} one by one: rows leak into each other"
    );
}

#[test]
fn training_learns_its_texts_and_repeats_bit_for_bit() {
    let (_dir, model) = common::tiny();
    let settings = settings(Objective::Sft);
    let (trained, updates) = train(&model, &texts(), &settings).unwrap();
    let losses: Vec<f64> = updates.iter().filter_map(|u| u.point.loss).collect();
    assert_eq!(losses.len(), 12, "three steps an epoch, four epochs");
    assert_eq!(steps_of(&texts(), &settings), 12);
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    assert!(
        mean(&losses[9..]) < 0.9 * mean(&losses[..3]),
        "the loss did not fall: {losses:?}"
    );
    assert!(
        trained.own_held_out < trained.base_held_out,
        "a row that was trained on is predicted better"
    );
    assert_eq!((trained.ending, trained.steps), (Ending::Done, 12));
    let (again, _) = train(&model, &texts(), &settings).unwrap();
    assert_eq!(values(&trained), values(&again), "same seed, same run");
}

#[test]
fn every_objective_gets_its_examples_on_the_right_side() {
    let (_dir, model) = common::tiny();
    for (objective, examples) in objectives() {
        let name = objective.name();
        let mut settings = settings(objective);
        settings.epochs = 8;
        let (trained, updates) = train(&model, &examples, &settings).unwrap();
        assert!(
            trained.own_held_out < trained.base_held_out,
            "{name}: {trained:?}"
        );
        let last = updates.last().unwrap();
        if objective == Objective::Sft {
            assert_eq!(last.preference, None);
            continue;
        }
        let preference = last.preference.unwrap();
        assert!(preference.margin > 0.0, "{name}: {preference:?}");
        assert_eq!(preference.accuracy, 1.0, "{name}");
        assert_eq!(last.held_out_preference.unwrap().accuracy, 1.0, "{name}");
        let start = updates[0];
        if let Objective::Dpo { .. } = objective {
            // The reference is the model itself: nothing is preferred yet.
            let margin = start.held_out_preference.unwrap().margin;
            assert!(margin.abs() < 1e-4, "{name}: {margin}");
            let loss = start.point.held_out.unwrap();
            assert!((loss - 2f64.ln()).abs() < 1e-4, "{name}: {loss}");
        }
    }
}

#[test]
fn the_held_out_loss_is_there_from_the_first_step_on_and_as_often_as_asked() {
    let (_dir, model) = common::tiny();
    let mut settings = settings(Objective::Sft);
    let measured = |settings: &idiolect_train::Settings| {
        let (_, updates) = train(&model, &texts(), settings).unwrap();
        let points = updates.iter().map(|u| u.point);
        points
            .filter(|p| p.held_out.is_some())
            .map(|p| p.step)
            .collect::<Vec<_>>()
    };
    assert_eq!(measured(&settings), [0, 1, 2, 3, 5, 6, 8, 9, 11, 12]);
    settings.measure_every = 5;
    assert_eq!(measured(&settings), [0, 1, 5, 10, 12]);
}

/// Gradients of passes are added in f32, in another order than one pass adds them.
const ACCUMULATED: f32 = 2e-5;

#[test]
fn accumulated_passes_make_the_step_that_one_large_pass_makes() {
    let (_dir, model) = common::tiny();
    for (objective, examples) in objectives() {
        let mut settings = settings(objective);
        settings.epochs = 1;
        let mut trained = |batch, accumulate| {
            settings.packing = Packing {
                batch,
                tokens: None,
                accumulate,
            };
            values(&train(&model, &examples[..4], &settings).unwrap().0)
        };
        let (large, small) = (trained(4, 1), trained(1, 4));
        for (a, b) in large.iter().zip(&small) {
            // The first step of Adam is the sign of the gradient: compare where that is certain.
            let sure = a.abs() > 1e-6 || b.abs() > 1e-6;
            assert!(
                !sure || (a - b).abs() < ACCUMULATED.max(1e-2 * a.abs()),
                "{}: {a} in one pass, {b} in four",
                objective.name()
            );
        }
    }
}

#[test]
fn dropout_changes_the_run_and_repeats() {
    let (_dir, model) = common::tiny();
    let mut settings = settings(Objective::Sft);
    let whole = values(&train(&model, &texts(), &settings).unwrap().0);
    settings.dropout = 0.3;
    let dropped = values(&train(&model, &texts(), &settings).unwrap().0);
    let again = values(&train(&model, &texts(), &settings).unwrap().0);
    assert_ne!(whole, dropped);
    assert_eq!(dropped, again);
}

fn stopped(model: &idiolect_engine::LoadedModel, with: Control) -> Trained {
    let (examples, settings) = (texts(), settings(Objective::Sft));
    idiolect_train::run(
        task(model, &examples, &settings),
        &mut |u: idiolect_train::Update| {
            if u.point.step >= 4 {
                with
            } else {
                Control::Continue
            }
        },
    )
    .unwrap()
}

#[test]
fn stopping_keeps_the_best_and_cancelling_keeps_nothing() {
    let (_dir, model) = common::tiny();
    let cancelled = stopped(&model, Control::Cancel);
    assert!(cancelled.weights.is_none());
    assert_eq!(cancelled.ending, Ending::Cancelled);
    let kept = stopped(&model, Control::KeepBest);
    assert!(kept.weights.is_some() && !kept.ended_early.is_empty());
    assert_eq!((kept.ending, kept.steps), (Ending::Stopped, 4));
    let left = stopped(&model, Control::Leave);
    assert!(left.weights.is_none() && left.ending == Ending::Left);
}

#[test]
fn the_loss_bound_ends_a_run_after_an_epoch() {
    let (_dir, model) = common::tiny();
    let mut settings = settings(Objective::Sft);
    settings.stop_below = Some(100.0);
    let (trained, _) = train(&model, &texts(), &settings).unwrap();
    assert_eq!(trained.steps, 3);
    assert!(!trained.ended_early.is_empty());
}

#[test]
fn a_run_that_starts_from_an_adapter_refers_to_it() {
    let (_dir, model) = common::tiny();
    let first = train(&model, &texts(), &settings(Objective::Sft))
        .unwrap()
        .0;
    let (examples, settings) = (pairs(), settings(DPO));
    let mut updates = Vec::new();
    let next = idiolect_train::run(
        idiolect_train::Task {
            from: first.weights.as_ref(),
            ..task(&model, &examples, &settings)
        },
        &mut |update| {
            updates.push(update);
            Control::Continue
        },
    )
    .unwrap();
    let start: idiolect_train::Update = updates[0];
    assert!(start.held_out_preference.unwrap().margin.abs() < 1e-4);
    assert_ne!(values(&first), values(&next));
    let mut other = settings.clone();
    other.lora.rank = 2;
    let refused = idiolect_train::run(
        idiolect_train::Task {
            from: first.weights.as_ref(),
            ..task(&model, &examples, &other)
        },
        &mut |_| Control::Continue,
    );
    assert!(matches!(refused, Err(TrainError::Settings(_))));
}

#[test]
fn what_cannot_be_learned_is_counted_or_refused() {
    let (_dir, model) = common::tiny();
    let mut examples = texts();
    // A prompt that fills its row.
    examples.push(Example::Text(Row {
        tokens: vec![1, 2, 3],
        prompt: 3,
    }));
    let (trained, _) = train(&model, &examples, &settings(Objective::Sft)).unwrap();
    assert_eq!(trained.left_out, 1);
    let nothing = train(&model, &examples[5..], &settings(Objective::Sft));
    assert!(matches!(nothing, Err(TrainError::NoData)));
    let wrong = train(&model, &texts(), &settings(DPO));
    assert!(matches!(wrong, Err(TrainError::Settings(_))));
    let mut senseless = settings(DPO);
    senseless.objective = Objective::Dpo {
        beta: 0.1,
        smoothing: 0.5,
        length_normalised: false,
    };
    let refused = train(&model, &pairs(), &senseless);
    assert!(matches!(refused, Err(TrainError::Settings(_))));
}

#[test]
fn what_was_trained_comes_back_from_its_files() {
    let (dir, model) = common::tiny();
    let (trained, _) = train(&model, &texts(), &settings(Objective::Sft)).unwrap();
    let weights = trained.weights.as_ref().unwrap();
    let folder = dir.path().join("adapter");
    weights.save(&folder, model.config(), "tiny").unwrap();
    let loaded = LoraWeights::load(&folder, model.config(), model.decoder().device()).unwrap();
    let batch = Batch::pack(&plain());
    let (a, b) = (
        evaluate(model.decoder(), Some(weights), &batch).unwrap(),
        evaluate(model.decoder(), Some(&loaded), &batch).unwrap(),
    );
    assert_eq!(a, b, "the files hold the very same adapter");
}

/// Reads more copying at every measurement.
struct Copier {
    stops_at: Vec<u32>,
}

impl idiolect_train::Observer for Copier {
    fn update(&mut self, update: idiolect_train::Update) -> Control {
        self.stops_at.push(update.point.step);
        Control::Continue
    }

    fn sample(
        &mut self,
        step: u32,
        _: &LoraWeights,
    ) -> Result<Option<idiolect_train::stop::Reading>, TrainError> {
        Ok(Some(idiolect_train::stop::Reading {
            style: f64::from(step) / 100.0,
            copied: f64::from(step) / 100.0,
        }))
    }
}

#[test]
fn a_run_stops_by_itself_over_copying_and_over_rising_losses() {
    let (_dir, model) = common::tiny();
    let examples = texts();
    let mut settings = settings(Objective::Sft);
    settings.early_stop = true;
    let mut copier = Copier {
        stops_at: Vec::new(),
    };
    let trained = idiolect_train::run(task(&model, &examples, &settings), &mut copier).unwrap();
    // Readings at 0, 1, 2, 3, 5: only those of 3 and 5 are beyond chance.
    assert_eq!(copier.stops_at.last(), Some(&5));
    assert!(trained.ended_early.contains("copy"));
    settings.early_stop = false;
    let on = idiolect_train::run(task(&model, &examples, &settings), &mut copier).unwrap();
    assert_eq!(on.steps, 12);

    // Another text than those that are learned by heart.
    settings.early_stop = true;
    settings.epochs = 30;
    let held_out = rows(99, &[(20, 2)]).into_iter().map(Example::Text);
    let held_out: Vec<Example> = held_out.collect();
    let trained = idiolect_train::run(
        idiolect_train::Task {
            held_out: &held_out,
            ..task(&model, &examples, &settings)
        },
        &mut |_| Control::Continue,
    )
    .unwrap();
    assert!(trained.ended_early.contains("rose") && trained.steps < 90);
}
