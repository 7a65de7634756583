//! What a use case works with: the studio's parts, its job's controls, and a way to say how far it is.

use std::{sync::Arc, time::Instant};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;

use crate::{
    Inner,
    api::Event,
    jobs::{JobControl, Jobs, Running},
};

/// One request being served.
pub(crate) struct Ctx<'a> {
    pub(crate) studio: &'a Inner,
    emit: &'a mut (dyn FnMut(Event) + Send),
    job: Option<Running<'a>>,
    /// Of requests that never became a job: never raised.
    idle: Cancel,
}

impl<'a> Ctx<'a> {
    pub(crate) fn new(studio: &'a Inner, emit: &'a mut (dyn FnMut(Event) + Send)) -> Self {
        Self {
            studio,
            emit,
            job: None,
            idle: Cancel::new(),
        }
    }

    /// Turns the request into a job that the person can see and stop. Nested calls keep the first.
    pub(crate) fn start_job(&mut self, label: &str, can_pause: bool) {
        if self.job.is_some() {
            return;
        }
        let jobs: &'a Jobs = &self.studio.jobs;
        let running = jobs.start(label, can_pause);
        self.emit(Event::Started {
            job: running.control.number,
            label: label.to_owned(),
            can_pause,
        });
        self.job = Some(running);
    }

    pub(crate) fn control(&self) -> Option<&Arc<JobControl>> {
        self.job.as_ref().map(|running| &running.control)
    }

    pub(crate) fn cancel(&self) -> &Cancel {
        self.job
            .as_ref()
            .map_or(&self.idle, |running| &running.control.cancel)
    }

    /// # Errors
    /// `cancelled` once the person asked to stop.
    pub(crate) fn check(&self) -> Result<(), UserError> {
        if self.cancel().is_cancelled() {
            Err(cancelled())
        } else {
            Ok(())
        }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        (self.emit)(event);
    }

    /// A line of a demo or an evaluation, as it happens.
    pub(crate) fn stage(&mut self, name: &str, text: impl Into<String>) {
        self.emit(Event::Stage {
            name: name.to_owned(),
            text: text.into(),
        });
    }
}

/// The person stopped it.
pub(crate) fn cancelled() -> UserError {
    UserError::new(
        ErrorCode::Cancelled,
        "Stopped.",
        "What was finished before is kept.",
    )
}

/// Counts units and says how long is left, once a few are done.
pub(crate) struct Pace {
    started: Instant,
    total: u64,
    unit: &'static str,
}

impl Pace {
    pub(crate) fn new(total: u64, unit: &'static str) -> Self {
        Self {
            started: Instant::now(),
            total,
            unit,
        }
    }

    /// The progress event after `done` units.
    pub(crate) fn at(&self, done: u64, message: impl Into<String>) -> Event {
        let elapsed = self.started.elapsed().as_secs_f64();
        let seconds_left = (done > 0 && self.total >= done && elapsed > 0.5)
            .then(|| elapsed / done as f64 * (self.total - done) as f64);
        Event::Progress {
            done,
            total: self.total,
            unit: self.unit.to_owned(),
            message: message.into(),
            seconds_left,
        }
    }
}
