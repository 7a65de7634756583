//! Settings of a run, and which of them make sense.

use idiolect_engine::{LoraConfig, Precision, TrainOptions};
use serde_json::json;

use crate::{
    TrainError,
    data::{Example, Packing},
    objective::Objective,
    optimizer::{AdamWConfig, Schedule},
};

/// Settings of a run. Those of the drafts, the texts and the person are the caller's.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What is minimised.
    pub objective: Objective,
    /// Which linears, rank, alpha.
    pub lora: LoraConfig,
    /// Share of what the LoRA terms read that is left out at random, 0 for none.
    pub dropout: f32,
    /// Learning rates.
    pub schedule: Schedule,
    /// Constants of the optimizer.
    pub optimizer: AdamWConfig,
    /// Passes over the examples. Rounds of drafts count for themselves.
    pub epochs: u32,
    /// How examples become steps.
    pub packing: Packing,
    /// Steps between measurements of the held-out loss, 0 for twice an epoch. The first and the last step always have one.
    pub measure_every: u32,
    /// Seed of initialisation, shuffling and dropout.
    pub seed: u64,
    /// Stop by itself: see [`crate::stop`].
    pub early_stop: bool,
    /// Stop after the first epoch whose mean training loss is below this.
    pub stop_below: Option<f64>,
    /// How activations enter the products with frozen weights.
    pub precision: Precision,
    /// Less memory for more time; the same bits.
    pub recompute: bool,
}

impl Settings {
    pub(crate) fn options(&self) -> TrainOptions {
        TrainOptions {
            precision: self.precision,
            recompute: self.recompute,
            dropout: None,
        }
    }

    /// What two runs must share to have the same curve. Recomputation is left out: it changes no bit.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let targets: Vec<&str> = self.lora.targets.iter().map(|t| t.name()).collect();
        json!({
            "objective": self.objective,
            "rank": self.lora.rank,
            "alpha": self.lora.alpha,
            "targets": targets,
            "dropout": self.dropout,
            "schedule": self.schedule,
            "optimizer": self.optimizer,
            "epochs": self.epochs,
            "batch": self.packing.batch,
            "batch_tokens": self.packing.tokens,
            "accumulate": self.packing.accumulate,
            "measure_every": self.measure_every,
            "seed": self.seed,
            "early_stop": self.early_stop,
            "stop_below": self.stop_below,
            "precision": format!("{:?}", self.precision),
        })
    }

    /// Refuses what cannot be run.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let refused = [
            (
                !(1..=256).contains(&self.lora.rank),
                "the rank must lie between 1 and 256",
            ),
            (
                self.lora.targets.is_empty(),
                "at least one linear must be trained",
            ),
            (!self.lora.alpha.is_finite(), "alpha must be a number"),
            (
                !(0.0..1.0).contains(&self.dropout),
                "dropout must lie between 0 and below 1",
            ),
            (
                !(self.schedule.peak > 0.0 && self.schedule.peak < 1.0),
                "the learning rate must lie between 0 and 1",
            ),
            (
                !(0.0..=1.0).contains(&self.schedule.floor),
                "the learning rate's floor is a share of its peak",
            ),
            (
                self.epochs == 0 || self.packing.batch == 0 || self.packing.accumulate == 0,
                "epochs, rows a pass and passes a step must be at least 1",
            ),
            (
                self.packing.tokens == Some(0),
                "a pass must have room for tokens",
            ),
            (
                !(self.optimizer.clip > 0.0 && self.optimizer.weight_decay >= 0.0),
                "the clipping norm must be above 0 and weight decay at least 0",
            ),
            (
                !self.objective.is_usable(),
                "beta and the weights must be above 0, and label smoothing between 0 and below a half",
            ),
        ];
        match refused.iter().find(|(is, _)| *is) {
            Some((_, why)) => Err(TrainError::Settings((*why).to_owned())),
            None => Ok(()),
        }
    }
}

impl Objective {
    fn is_usable(&self) -> bool {
        let above = |x: f64| x > 0.0 && x.is_finite();
        match *self {
            Self::Sft => true,
            Self::Dpo {
                beta, smoothing, ..
            } => above(beta) && (0.0..0.5).contains(&smoothing),
            Self::Orpo { beta } => above(beta),
            Self::Kto {
                beta,
                good_weight,
                bad_weight,
            } => above(beta) && above(good_weight) && above(bad_weight),
        }
    }

    /// Whether it can be trained on an example of this kind.
    pub(crate) fn learns_from(&self, example: &Example) -> bool {
        matches!(
            (self, example),
            (Self::Sft, Example::Text(_))
                | (Self::Dpo { .. } | Self::Orpo { .. }, Example::Pair { .. })
                | (Self::Kto { .. }, Example::Thumb { .. })
        )
    }
}
