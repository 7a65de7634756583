//! What a run tells its caller, what the caller answers, and how a run ends.

use idiolect_core::adapter::LossPoint;
use idiolect_engine::LoraWeights;

use crate::{TrainError, stop::Reading};

/// What the caller hears after every step (and once before the first).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// The point of the curve. Losses are in nats per token for texts, in the objective's own units for pairs and thumbs.
    pub point: LossPoint,
    /// Steps in all.
    pub steps: u32,
    /// Training tokens so far, prompts included.
    pub tokens: u64,
    /// Seconds spent on training steps, evaluation not counted.
    pub seconds: f64,
    /// The step's learning rate.
    pub learning_rate: f64,
    /// Length of the step's gradient before clipping.
    pub norm: f64,
    /// Of the step's pairs or thumbs.
    pub preference: Option<Preference>,
    /// Of those held out, where they were measured.
    pub held_out_preference: Option<Preference>,
    /// What drafts were like, where some were written.
    pub reading: Option<Reading>,
}

impl Update {
    /// With what a curve shows of preferences and drafts in its point: of those held out, and of the step's where no
    /// preferences are.
    pub(crate) fn drawn(mut self, none_held_out: bool) -> Self {
        let of_step = self.preference.filter(|_| none_held_out);
        let preference = self.held_out_preference.or(of_step);
        self.point.margin = preference.map(|p| p.margin);
        self.point.accuracy = preference.map(|p| p.accuracy);
        self.point.style = self.reading.map(|r| r.style);
        self.point.copied = self.reading.map(|r| r.copied);
        self
    }
}

/// On which side pairs or thumbs are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preference {
    /// Mean margin, in the objective's own units.
    pub margin: f64,
    /// Share on the right side; those on the line count half.
    pub accuracy: f64,
}

/// What the caller answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Write a checkpoint and ask [`Observer::wait`] what next.
    Pause,
    /// Write a checkpoint and end, to be resumed another time.
    Leave,
    /// Stop and keep the best so far.
    KeepBest,
    /// Stop and keep nothing.
    Cancel,
}

/// Who follows a run. A closure over updates will do.
pub trait Observer {
    /// Called after every step and before the first, on the caller's thread: while it waits, the model's threads are free.
    fn update(&mut self, update: Update) -> Control;

    /// Called where the held-out loss is measured: drafts may be written with these weights, and what they are like is the
    /// answer. Must depend on the weights and the step alone, or a resumed run may stop elsewhere.
    ///
    /// # Errors
    /// The caller's; they end the run.
    fn sample(
        &mut self,
        _step: u32,
        _weights: &LoraWeights,
    ) -> Result<Option<Reading>, TrainError> {
        Ok(None)
    }

    /// Waits until the person goes on or stops.
    fn wait(&mut self) -> Control {
        Control::Continue
    }

    /// The run goes on from a checkpoint.
    fn resumed(&mut self, _from: &Resumed) {}
}

impl<F: FnMut(Update) -> Control> Observer for F {
    fn update(&mut self, update: Update) -> Control {
        self(update)
    }
}

/// Where a run took up again.
#[derive(Debug, Clone, PartialEq)]
pub struct Resumed {
    /// After this step.
    pub step: u32,
    /// Newer checkpoints that could not be used, and why.
    pub damaged: Vec<(u32, String)>,
    /// Whether the curve will be the one it would have had: false on another device, instruction level or version.
    pub exact: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is done, after its last step or because it stopped by itself.
    Done,
    /// It was told to stop and keep the best.
    Stopped,
    /// Cancelled: nothing is kept.
    Cancelled,
    /// Left, to be resumed from its checkpoint.
    Left,
}

/// The end of a run.
#[derive(Debug)]
pub struct Trained {
    /// How it ended.
    pub ending: Ending,
    /// The weights of the lowest held-out loss (the last ones where nothing is held out); `None` when cancelled or left.
    pub weights: Option<LoraWeights>,
    /// Held-out loss before the first step, in the units of the curve.
    pub base_held_out: Option<f64>,
    /// Held-out loss of `weights`: the lowest of several measurements, so a little better than on texts that chose nothing.
    pub own_held_out: Option<f64>,
    /// Why it ended before its last step, in words; empty when it did not.
    pub ended_early: String,
    /// Steps that were done.
    pub steps: u32,
    /// Examples that had nothing to predict and were left out.
    pub left_out: usize,
}
