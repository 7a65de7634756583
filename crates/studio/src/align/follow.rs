//! Follows a run: its curve is stored, the person sees it, and what they ask of it is passed on.

use std::{sync::Arc, time::Instant};

use idiolect_core::adapter::{Run, RunStatus};
use idiolect_engine::LoraWeights;
use idiolect_llm::Cancel;
use idiolect_store::{Store, StoreError};
use idiolect_train::{Control, Observer, Resumed, TrainError, Update, stop::Reading};

use super::trials::Trials;
use crate::{api::Event, context::Ctx, jobs::JobControl, process};

/// What a run tells, and what it is told.
pub(super) struct Follower<'a, 'c> {
    ctx: &'a mut Ctx<'c>,
    /// What it writes on its way, where it does.
    trials: Option<Trials<'a>>,
    store: Store,
    control: Option<Arc<JobControl>>,
    pub(super) run: Run,
    pub(super) started: Instant,
    pub(super) failed_write: Option<StoreError>,
    /// The step it began with in this process.
    from: u32,
}

impl<'a, 'c> Follower<'a, 'c> {
    pub(super) fn new(ctx: &'a mut Ctx<'c>, trials: Option<Trials<'a>>, run: Run) -> Self {
        Self {
            store: ctx.studio.store.clone(),
            control: ctx.control().cloned(),
            ctx,
            trials,
            run,
            started: Instant::now(),
            failed_write: None,
            from: 0,
        }
    }

    /// Raised when the person stops the run and keeps nothing.
    pub(super) fn cancel(&self) -> Cancel {
        self.ctx.cancel().clone()
    }

    /// Best effort: the run goes on from memory either way.
    fn note(&self, status: RunStatus) {
        let _ = self.store.update_run(&Run {
            status,
            ..self.run.clone()
        });
    }

    fn asked(&self, step: u32) -> Control {
        let Some(control) = &self.control else {
            return Control::Continue;
        };
        if control.cancel.is_cancelled() {
            Control::Cancel
        } else if control.keep_best() && step == 0 {
            // Nothing was learned yet that could be kept.
            Control::Cancel
        } else if control.keep_best() {
            Control::KeepBest
        } else if control.is_paused() {
            // A checkpoint first: what waits may never be woken.
            Control::Pause
        } else {
            Control::Continue
        }
    }
}

impl Observer for Follower<'_, '_> {
    fn update(&mut self, update: Update) -> Control {
        let point = update.point;
        if let Err(e) = self.store.append_loss(&self.run.id, &point) {
            self.failed_write = Some(e);
            return Control::Cancel;
        }
        self.run.tokens_per_second = if update.seconds > 0.0 {
            update.tokens as f64 / update.seconds
        } else {
            0.0
        };
        self.run.peak_bytes = process::peak_bytes();
        let done = point.step.saturating_sub(self.from).max(1);
        let a_step = self.started.elapsed().as_secs_f64() / f64::from(done);
        self.ctx.emit(Event::Loss {
            run: self.run.id.clone(),
            point,
            steps: update.steps,
            tokens_per_second: self.run.tokens_per_second,
            peak_bytes: self.run.peak_bytes,
            seconds_left: a_step * f64::from(update.steps.saturating_sub(point.step)),
        });
        self.asked(point.step)
    }

    fn sample(&mut self, step: u32, weights: &LoraWeights) -> Result<Option<Reading>, TrainError> {
        let Some(trials) = &self.trials else {
            return Ok(None);
        };
        if self.ctx.cancel().is_cancelled() {
            // The update that follows says so.
            return Ok(None);
        }
        let (drafts, reading) = trials.write(step, weights)?;
        if let Err(e) = self.store.append_trials(&self.run.id, &drafts) {
            self.failed_write = Some(e);
        }
        self.ctx.emit(Event::Trials {
            run: self.run.id.clone(),
            drafts,
        });
        Ok(reading)
    }

    fn wait(&mut self) -> Control {
        self.note(RunStatus::Paused);
        if let Some(control) = &self.control {
            control.wait_while_paused();
        }
        self.note(RunStatus::Running);
        // Some steps were done, or there would be nothing to pause.
        self.asked(1)
    }

    fn resumed(&mut self, from: &Resumed) {
        self.from = from.step;
        if let Err(e) = self.store.rewind_curve(&self.run.id, from.step) {
            self.failed_write = Some(e);
        }
    }
}
