//! The trainer's settings from a person's.

use idiolect_core::{
    UserError,
    training::{Objective, Schedule, TrainPrecision, TrainSettings},
};
use idiolect_engine::{LoraConfig, Precision, Target};
use idiolect_train::{AdamWConfig, Decay, Packing, Settings};

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
            warm_up: settings.warm_up,
            schedule: settings.schedule,
            clip: settings.clip,
            weight_decay: settings.weight_decay,
            rank_stabilized: settings.rank_stabilized,
            dropout: settings.dropout,
            accumulate: settings.accumulate,
            precision: settings.precision,
            recompute: settings.recompute,
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
            "It trains on texts with briefs of their own words: leave the objective, the method and the briefs at their defaults.",
        ));
    }
    let rank = settings.rank as usize;
    Ok(Settings {
        objective: objective(settings),
        lora: if settings.rank_stabilized {
            LoraConfig::rank_stabilised(rank, settings.alpha, targets)
        } else {
            LoraConfig {
                rank,
                alpha: settings.alpha,
                targets,
            }
        },
        dropout: settings.dropout as f32,
        schedule: idiolect_train::Schedule {
            peak: settings.learning_rate,
            warm_up: settings.warm_up,
            decay: match settings.schedule {
                Schedule::Linear => Decay::Linear,
                Schedule::Cosine => Decay::Cosine,
                Schedule::Constant => Decay::Constant,
            },
            floor: 0.1,
        },
        optimizer: AdamWConfig {
            clip: settings.clip,
            weight_decay: settings.weight_decay,
            ..AdamWConfig::default()
        },
        epochs: settings.epochs,
        packing: Packing {
            batch: settings.batch as usize,
            tokens: None,
            accumulate: settings.accumulate as usize,
        },
        measure_every: 0,
        seed: settings.seed,
        early_stop: settings.early_stop,
        stop_below: None,
        precision: match settings.precision {
            TrainPrecision::F32 => Precision::F32,
            TrainPrecision::Bf16 => Precision::Bf16,
        },
        recompute: settings.recompute,
    })
}

/// What the loop minimises. The recipe for few texts begins with the texts themselves.
fn objective(settings: &TrainSettings) -> idiolect_train::Objective {
    use idiolect_train::Objective as Minimised;
    let beta = settings.beta;
    match settings.objective {
        Objective::Sft | Objective::Ditto => Minimised::Sft,
        Objective::Dpo => Minimised::Dpo {
            beta,
            smoothing: settings.label_smoothing,
            length_normalised: settings.length_normalised,
        },
        Objective::Orpo => Minimised::Orpo { beta },
        Objective::Kto => Minimised::Kto {
            beta,
            good_weight: 1.0,
            bad_weight: 1.0,
        },
    }
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
