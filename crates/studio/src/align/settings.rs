//! The trainer's settings from a person's.

use idiolect_core::{UserError, training::TrainSettings};
use idiolect_engine::{LoraConfig, Target};
use idiolect_train::{AdamWConfig, Settings};

use crate::errors::usage;

/// The trainer's settings from the person's.
pub(crate) fn train_settings(settings: &TrainSettings) -> Result<Settings, UserError> {
    let mut targets = Vec::new();
    for name in &settings.targets {
        let target = target_named(name)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets.sort();
    if settings.max_length < 32 || settings.max_length > 4096 {
        return Err(usage(
            "The longest row lies between 32 and 4,096 tokens.",
            "256 suits most texts.",
        ));
    }
    if settings.chunk_words < 30 || settings.chunk_words > 2000 {
        return Err(usage(
            "A chunk has between 30 and 2,000 words.",
            "120 suits most texts.",
        ));
    }
    if !(1..=100).contains(&settings.epochs) || !(1..=64).contains(&settings.batch) {
        return Err(usage(
            "Training passes over the texts 1 to 100 times, with 1 to 64 rows a step.",
            "Three passes with four rows suit most texts.",
        ));
    }
    if !(1..=256).contains(&settings.rank) || !settings.alpha.is_finite() {
        return Err(usage(
            "The rank lies between 1 and 256, and alpha is a number.",
            "8 and 16 suit most texts.",
        ));
    }
    if *settings
        != (TrainSettings {
            rank: settings.rank,
            alpha: settings.alpha,
            targets: settings.targets.clone(),
            learning_rate: settings.learning_rate,
            epochs: settings.epochs,
            batch: settings.batch,
            max_length: settings.max_length,
            chunk_words: settings.chunk_words,
            held_out: settings.held_out,
            seed: settings.seed,
            early_stop: settings.early_stop,
            ..TrainSettings::default()
        })
    {
        return Err(usage(
            "This version cannot train like that.",
            "It trains on texts with the usual optimizer: leave the other settings at their defaults.",
        ));
    }
    Ok(Settings {
        lora: LoraConfig {
            rank: settings.rank as usize,
            alpha: settings.alpha,
            targets,
        },
        learning_rate: settings.learning_rate,
        warm_up: 4,
        epochs: settings.epochs,
        batch: settings.batch as usize,
        seed: settings.seed,
        early_stop: settings.early_stop,
        optimizer: AdamWConfig::default(),
    })
}

/// q, k, v, o, gate, up, down.
pub(crate) fn target_named(name: &str) -> Result<Target, UserError> {
    let targets = ["q", "k", "v", "o", "gate", "up", "down"];
    targets
        .iter()
        .position(|n| *n == name)
        .map(|i| Target::ALL[i])
        .ok_or_else(|| {
            usage(
                format!("No linear is called “{name}”."),
                format!("Use any of {}.", targets.join(", ")),
            )
        })
}
