//! Supervised fine-tuning on a person's texts: epochs, held-out loss, early stop, the best kept.

use std::time::Instant;

use idiolect_core::adapter::LossPoint;

use candle_core::{Tensor, Var};
use idiolect_engine::{LoadedModel, LoraConfig, LoraWeights};

use crate::{
    TrainError,
    data::{Batch, Row, steps},
    loss::{evaluate, loss_and_gradients},
    optimizer::{AdamW, AdamWConfig, learning_rate_at},
};

/// Settings of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which linears, rank, alpha.
    pub lora: LoraConfig,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps of warm-up.
    pub warm_up: u32,
    /// Passes over the rows.
    pub epochs: u32,
    /// Rows a step.
    pub batch: usize,
    /// Seed of initialisation and shuffling.
    pub seed: u64,
    /// Stop once the held-out loss has risen at two measurements running.
    pub early_stop: bool,
    /// Constants of the optimizer.
    pub optimizer: AdamWConfig,
}

/// What the caller hears after every step (and once before the first).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// The point of the curve.
    pub point: LossPoint,
    /// Steps in all.
    pub steps: u32,
    /// Training tokens so far, prompts included.
    pub tokens: u64,
    /// Seconds spent on training steps, evaluation not counted.
    pub seconds: f64,
}

/// What the caller answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Stop and keep the best so far.
    KeepBest,
    /// Stop and keep nothing.
    Cancel,
}

/// The end of a run.
#[derive(Debug)]
pub struct Trained {
    /// The weights of the lowest held-out loss (the last ones where nothing is held out); `None` when cancelled.
    pub weights: Option<LoraWeights>,
    /// Held-out loss of the base model, nats per token.
    pub base_held_out: Option<f64>,
    /// Held-out loss of `weights`: the lowest of two measurements an epoch, so a little better than on texts that chose nothing.
    pub own_held_out: Option<f64>,
    /// Why it ended before its last step, in words; empty when it did not.
    pub ended_early: String,
}

/// How many steps a run of `rows` takes.
pub fn steps_of(rows: usize, settings: &Settings) -> u32 {
    rows.div_ceil(settings.batch.max(1)) as u32 * settings.epochs
}

/// Trains on the model's own threads. `on_update` is called after every step and before the first, on the caller's thread:
/// while it waits (pause), the model's threads are free for drafts.
/// Same data, settings, device and instruction level: the same weights, bit for bit.
///
/// # Errors
/// No data, unusable settings, a loss that is not a number, the device's.
pub fn sft(
    model: &LoadedModel,
    train: &[Row],
    held_out: &[Row],
    settings: &Settings,
    on_update: &mut dyn FnMut(Update) -> Control,
) -> Result<Trained, TrainError> {
    check(settings)?;
    let decoder = model.decoder();
    let train: Vec<&Row> = train.iter().filter(|row| row.answer_tokens() > 0).collect();
    if train.is_empty() {
        return Err(TrainError::NoData);
    }
    let weights = LoraWeights::new(
        &settings.lora,
        decoder.config(),
        decoder.device(),
        settings.seed,
    )?;
    let vars: Vec<Var> = weights.vars().into_iter().map(|(_, var)| var).collect();
    let mut optimizer = AdamW::new(vars.clone(), settings.optimizer)?;
    let total = steps_of(train.len(), settings);

    let base = held_out_loss(model, None, held_out)?;
    let mut run = Run {
        steps: total,
        tokens: 0,
        seconds: 0.0,
    };
    let mut best = Best {
        loss: base,
        kept: None,
        rises: 0,
    };
    let mut control = on_update(run.update(LossPoint {
        step: 0,
        loss: None,
        held_out: base,
    }));
    let mut step = 0;
    let mut ended_early = String::new();

    'run: for epoch in 0..settings.epochs {
        let epoch_steps = steps(train.len(), settings.batch, settings.seed, epoch);
        let halfway = epoch_steps.len().div_ceil(2);
        for (n, rows) in epoch_steps.iter().enumerate() {
            if control != Control::Continue {
                break 'run;
            }
            step += 1;
            let started = Instant::now();
            let batch = Batch::pack(rows.iter().map(|&row| train[row]));
            let rate = learning_rate_at(step, total, settings.warm_up, settings.learning_rate);
            let (loss, norm) = model.install(|| -> Result<_, TrainError> {
                let (loss, gradients) = loss_and_gradients(decoder, &weights, &batch)?;
                Ok((loss, optimizer.update(&gradients, rate)?))
            })?;
            if !loss.is_finite() || !norm.is_finite() {
                return Err(TrainError::Diverged(step));
            }
            run.seconds += started.elapsed().as_secs_f64();
            run.tokens += batch.tokens.len() as u64;

            // Twice an epoch: often enough to stop in time, seldom enough to cost little.
            let measure = n + 1 == halfway || n + 1 == epoch_steps.len();
            let now = if measure {
                held_out_loss(model, Some(&weights), held_out)?
            } else {
                None
            };
            best.see(now, &vars)?;
            control = on_update(run.update(LossPoint {
                step,
                loss: Some(loss),
                held_out: now,
            }));
            if settings.early_stop
                && best.rises >= 2
                && step < total
                && control == Control::Continue
            {
                ended_early =
                    "The held-out loss rose twice, so training stopped and the best was kept."
                        .to_owned();
                break 'run;
            }
        }
    }
    match control {
        Control::Cancel => {
            return Ok(Trained {
                weights: None,
                base_held_out: base,
                own_held_out: None,
                ended_early,
            });
        }
        Control::KeepBest => ended_early = "Stopped by you; the best so far was kept.".to_owned(),
        Control::Continue => {}
    }
    // Never better than the base: the last weights, and the figures say so.
    let own_held_out = match best.kept {
        Some(kept) => {
            for (var, value) in vars.iter().zip(&kept) {
                var.set(value)?;
            }
            best.loss
        }
        None => held_out_loss(model, Some(&weights), held_out)?,
    };
    Ok(Trained {
        weights: Some(weights),
        base_held_out: base,
        own_held_out,
        ended_early,
    })
}

/// The lowest held-out loss so far and the weights that had it.
struct Best {
    loss: Option<f64>,
    kept: Option<Vec<Tensor>>,
    /// Measurements running that were no better.
    rises: u32,
}

impl Best {
    fn see(&mut self, now: Option<f64>, vars: &[Var]) -> candle_core::Result<()> {
        let (Some(now), Some(lowest)) = (now, self.loss) else {
            return Ok(());
        };
        if now < lowest {
            self.loss = Some(now);
            self.kept = Some(
                vars.iter()
                    .map(|var| var.as_tensor().copy())
                    .collect::<candle_core::Result<_>>()?,
            );
            self.rises = 0;
        } else {
            self.rises += 1;
        }
        Ok(())
    }
}

struct Run {
    steps: u32,
    tokens: u64,
    seconds: f64,
}

impl Run {
    fn update(&self, point: LossPoint) -> Update {
        Update {
            point,
            steps: self.steps,
            tokens: self.tokens,
            seconds: self.seconds,
        }
    }
}

fn check(settings: &Settings) -> Result<(), TrainError> {
    let bad = |what: &str| Err(TrainError::Settings(what.to_owned()));
    if !(1..=256).contains(&settings.lora.rank) {
        return bad("the rank must lie between 1 and 256");
    }
    if settings.lora.targets.is_empty() {
        return bad("at least one linear must be trained");
    }
    if !(settings.learning_rate > 0.0 && settings.learning_rate < 1.0) {
        return bad("the learning rate must lie between 0 and 1");
    }
    if settings.epochs == 0 || settings.batch == 0 {
        return bad("epochs and rows a step must be at least 1");
    }
    Ok(())
}

/// Rows evaluated in one pass.
const EVALUATION_ROWS: usize = 4;

/// Mean nats per answer token; `None` where nothing is held out.
fn held_out_loss(
    model: &LoadedModel,
    lora: Option<&LoraWeights>,
    rows: &[Row],
) -> Result<Option<f64>, TrainError> {
    let tokens: usize = rows.iter().map(Row::answer_tokens).sum();
    if tokens == 0 {
        return Ok(None);
    }
    let mut total = 0.0;
    for rows in rows.chunks(EVALUATION_ROWS) {
        total += model.install(|| evaluate(model.decoder(), lora, &Batch::pack(rows)))?;
    }
    Ok(Some(total / tokens as f64))
}
