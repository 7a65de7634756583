//! A tiny random model, texts, pairs and thumbs for it, and settings that train it in a second.
#![allow(dead_code)] // each test file uses its part

use idiolect_engine::{Engine, LoadedModel, LoraConfig, LoraWeights, Precision, Target};
use idiolect_llm::{DeviceWish, testing};
use idiolect_train::{
    AdamWConfig, Control, Decay, Example, Lessons, Objective, Packing, Row, Schedule, Settings,
    Task, TrainError, Trained, Update,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn tiny() -> (tempfile::TempDir, LoadedModel) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    std::fs::write(&path, testing::tiny_gguf(&testing::TinyGguf::default())).unwrap();
    let model = Engine::load(&path, "tiny", DeviceWish::Cpu).unwrap();
    (dir, model)
}

/// Rows of these lengths and prompts.
pub fn rows(seed: u64, shapes: &[(usize, usize)]) -> Vec<Row> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let row = |&(n, prompt): &(usize, usize)| Row {
        tokens: (0..n).map(|_| random.random_range(0..200)).collect(),
        prompt,
    };
    shapes.iter().map(row).collect()
}

pub fn texts() -> Vec<Example> {
    rows(5, &[(9, 3), (14, 0), (5, 1), (11, 4), (7, 2)])
        .into_iter()
        .map(Example::Text)
        .collect()
}

/// The second pair has no prompt.
pub fn pairs() -> Vec<Example> {
    let chosen = rows(6, &[(9, 3), (12, 0), (6, 2), (8, 3), (7, 2)]);
    let rejected = rows(7, &[(7, 3), (10, 0), (9, 2), (8, 3), (5, 2)]);
    let same_prompt = |(chosen, mut rejected): (Row, Row)| {
        rejected.tokens[..chosen.prompt].copy_from_slice(&chosen.tokens[..chosen.prompt]);
        Example::Pair { chosen, rejected }
    };
    chosen.into_iter().zip(rejected).map(same_prompt).collect()
}

pub fn thumbs() -> Vec<Example> {
    let rows = rows(8, &[(9, 3), (12, 0), (6, 2), (8, 3), (7, 2)]);
    let thumb = |(i, row)| Example::Thumb {
        row,
        good: i % 2 == 0,
    };
    rows.into_iter().enumerate().map(thumb).collect()
}

pub const DPO: Objective = Objective::Dpo {
    beta: 0.5,
    smoothing: 0.1,
    length_normalised: false,
};
pub const NORMALISED: Objective = Objective::Dpo {
    beta: 5.0,
    smoothing: 0.0,
    length_normalised: true,
};
pub const ORPO: Objective = Objective::Orpo { beta: 0.7 };
pub const KTO: Objective = Objective::Kto {
    beta: 0.5,
    good_weight: 1.2,
    bad_weight: 0.9,
};

/// Every objective with examples for it.
pub fn objectives() -> Vec<(Objective, Vec<Example>)> {
    vec![
        (Objective::Sft, texts()),
        (DPO, pairs()),
        (NORMALISED, pairs()),
        (ORPO, pairs()),
        (KTO, thumbs()),
    ]
}

pub fn all_linears() -> LoraConfig {
    LoraConfig {
        rank: 4,
        alpha: 8.0,
        targets: Target::ALL.to_vec(),
    }
}

/// Non-zero B, so that every path carries a gradient.
pub fn lora(model: &LoadedModel) -> LoraWeights {
    let weights =
        LoraWeights::new(&all_linears(), model.config(), model.decoder().device(), 2).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let values: Vec<f32> = weights
        .parameters()
        .unwrap()
        .iter()
        .map(|_| random.random_range(-0.1..0.1))
        .collect();
    weights.set_parameters(&values).unwrap();
    weights
}

pub fn settings(objective: Objective) -> Settings {
    Settings {
        objective,
        lora: all_linears(),
        dropout: 0.0,
        schedule: Schedule {
            peak: 2e-2,
            warm_up: 2,
            decay: Decay::Cosine,
            floor: 0.1,
        },
        optimizer: AdamWConfig::default(),
        epochs: 4,
        packing: Packing {
            batch: 2,
            tokens: None,
            accumulate: 1,
        },
        measure_every: 0,
        seed: 1,
        early_stop: false,
        stop_below: None,
        precision: Precision::F32,
        recompute: false,
    }
}

pub fn task<'a>(
    model: &'a LoadedModel,
    examples: &'a [Example],
    settings: &'a Settings,
) -> Task<'a> {
    Task {
        model,
        lessons: Lessons::Fixed(examples),
        held_out: &examples[..1],
        settings,
        from: None,
        checkpoints: None,
    }
}

/// A run without checkpoints, and everything it said.
pub fn train(
    model: &LoadedModel,
    examples: &[Example],
    settings: &Settings,
) -> Result<(Trained, Vec<Update>), TrainError> {
    let mut updates = Vec::new();
    let trained = idiolect_train::run(task(model, examples, settings), &mut |update| {
        updates.push(update);
        Control::Continue
    })?;
    Ok((trained, updates))
}

pub fn values(trained: &Trained) -> Vec<f32> {
    trained.weights.as_ref().unwrap().parameters().unwrap()
}
