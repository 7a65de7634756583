//! The trainer's settings from a person's.

use idiolect_core::{
    UserError,
    training::{self, TrainPrecision, TrainSettings},
};
use idiolect_engine::{LoraConfig, Precision, Target};
use idiolect_train::{
    AdamWConfig, Decay, Example, Objective, Packing, Schedule, Settings, thumb_weights,
};

use super::demonstrations;
use crate::errors::usage;

/// The trainer's settings from the person's; `train` is what is learned from, as thumbs weigh by how many there are.
pub(crate) fn train_settings(
    settings: &TrainSettings,
    train: &[Example],
) -> Result<Settings, UserError> {
    check(settings)?;
    let rank = f64::from(settings.rank);
    Ok(Settings {
        objective: objective(settings, train)?,
        lora: LoraConfig {
            rank: settings.rank as usize,
            // The product is scaled by alpha / rank; times √rank it is rank-stabilized.
            alpha: if settings.rank_stabilized {
                settings.alpha * rank.sqrt()
            } else {
                settings.alpha
            },
            targets: targets(&settings.targets)?,
        },
        dropout: settings.dropout as f32,
        schedule: Schedule {
            peak: settings.learning_rate,
            warm_up: settings.warm_up,
            decay: match settings.schedule {
                training::Schedule::Linear => Decay::Linear,
                training::Schedule::Cosine => Decay::Cosine,
                training::Schedule::Constant => Decay::Constant,
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
        stop_below: (settings.objective == training::Objective::Ditto)
            .then_some(demonstrations::LEARNED),
        precision: match settings.precision {
            TrainPrecision::F32 => Precision::F32,
            TrainPrecision::Bf16 => Precision::Bf16,
        },
        recompute: settings.recompute,
    })
}

fn objective(settings: &TrainSettings, train: &[Example]) -> Result<Objective, UserError> {
    let beta = settings.beta;
    Ok(match settings.objective {
        // Of demonstrations, the first part.
        training::Objective::Sft | training::Objective::Ditto => Objective::Sft,
        training::Objective::Dpo => Objective::Dpo {
            beta,
            smoothing: settings.label_smoothing,
            length_normalised: settings.length_normalised,
        },
        training::Objective::Orpo => Objective::Orpo { beta },
        training::Objective::Kto => {
            let count = |wanted: bool| {
                let thumbs = train
                    .iter()
                    .filter(|e| matches!(e, Example::Thumb { good, .. } if *good == wanted));
                thumbs.count()
            };
            let (good_weight, bad_weight) = thumb_weights(count(true), count(false));
            Objective::Kto {
                beta,
                good_weight,
                bad_weight,
            }
        }
    })
}

fn check(settings: &TrainSettings) -> Result<(), UserError> {
    let refused = [
        (
            !(32..=4096).contains(&settings.max_length),
            "The longest row lies between 32 and 4,096 tokens.",
            "256 suits most texts.",
        ),
        (
            !(30..=2000).contains(&settings.chunk_words),
            "A chunk has between 30 and 2,000 words.",
            "120 suits most texts.",
        ),
        (
            !(1..=100).contains(&settings.epochs)
                || !(1..=64).contains(&settings.batch)
                || !(1..=256).contains(&settings.accumulate),
            "Training passes over the texts 1 to 100 times, with 1 to 64 rows a pass and 1 to 256 passes a step.",
            "Three passes with four rows suit most texts.",
        ),
        (
            !(1..=256).contains(&settings.rank) || !settings.alpha.is_finite(),
            "The rank lies between 1 and 256, and alpha is a number.",
            "8 and 16 suit most texts.",
        ),
        (
            !(0.0..=0.9).contains(&settings.dropout),
            "Dropout lies between 0 and 0.9.",
            "0 suits most texts; 0.05 is common.",
        ),
        (
            !(settings.beta > 0.0
                && settings.beta <= 10.0
                && (0.0..0.5).contains(&settings.label_smoothing)),
            "Beta lies above 0 and up to 10, label smoothing between 0 and below 0.5.",
            "0.1 and 0 suit most votes.",
        ),
        (
            !(settings.clip > 0.0 && (0.0..=1.0).contains(&settings.weight_decay)),
            "The longest gradient is above 0, and weight decay lies between 0 and 1.",
            "1 and 0 suit most texts.",
        ),
    ];
    match refused.into_iter().find(|(refuse, ..)| *refuse) {
        Some((_, message, hint)) => Err(usage(message, hint)),
        None => Ok(()),
    }
}

fn targets(names: &[String]) -> Result<Vec<Target>, UserError> {
    let mut targets = Vec::new();
    for name in names {
        let target = target_named(name)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets.sort();
    Ok(targets)
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

#[cfg(test)]
mod tests {
    use idiolect_train::Row;

    use super::*;

    #[test]
    fn every_setting_reaches_the_trainer() {
        let settings = TrainSettings {
            objective: training::Objective::Dpo,
            rank: 4,
            alpha: 8.0,
            rank_stabilized: true,
            dropout: 0.1,
            schedule: training::Schedule::Cosine,
            warm_up: 7,
            clip: 0.5,
            weight_decay: 0.01,
            accumulate: 3,
            beta: 0.2,
            label_smoothing: 0.1,
            length_normalised: true,
            precision: TrainPrecision::F32,
            recompute: true,
            targets: vec!["v".into(), "q".into(), "q".into()],
            ..TrainSettings::default()
        };
        let got = train_settings(&settings, &[]).unwrap();
        let dpo = Objective::Dpo {
            beta: 0.2,
            smoothing: 0.1,
            length_normalised: true,
        };
        assert_eq!(got.objective, dpo);
        assert_eq!((got.lora.alpha, got.lora.targets.len()), (16.0, 2));
        assert_eq!(
            (got.schedule.decay, got.schedule.warm_up),
            (Decay::Cosine, 7)
        );
        assert_eq!(
            (got.optimizer.clip, got.optimizer.weight_decay),
            (0.5, 0.01)
        );
        assert_eq!((got.packing.batch, got.packing.accumulate), (2, 3));
        assert_eq!((got.precision, got.recompute), (Precision::F32, true));
        assert!((got.dropout - 0.1).abs() < 1e-7);
    }

    #[test]
    fn the_rarer_thumb_weighs_more_and_nonsense_is_refused() {
        let thumb = |good| Example::Thumb {
            row: Row {
                tokens: vec![1, 2],
                prompt: 1,
            },
            good,
        };
        let kto = TrainSettings {
            objective: training::Objective::Kto,
            ..TrainSettings::default()
        };
        let train = [thumb(true), thumb(true), thumb(false)];
        let got = train_settings(&kto, &train).unwrap().objective;
        assert!(
            matches!(got, Objective::Kto { good_weight, bad_weight, .. } if bad_weight == 2.0 * good_weight)
        );
        let refused = [
            TrainSettings {
                label_smoothing: 0.5,
                ..TrainSettings::default()
            },
            TrainSettings {
                accumulate: 0,
                ..TrainSettings::default()
            },
            TrainSettings {
                targets: vec!["x".into()],
                ..TrainSettings::default()
            },
        ];
        for settings in refused {
            assert!(train_settings(&settings, &[]).is_err(), "{settings:?}");
        }
    }
}
