//! Jobs that take a while: numbers, stop, pause, and the gate that lets models take turns.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;

use crate::{api::JobSummary, lock};

/// The controls of one running job.
#[derive(Debug)]
pub(crate) struct JobControl {
    pub(crate) number: u64,
    label: String,
    can_pause: bool,
    pub(crate) cancel: Cancel,
    keep_best: AtomicBool,
    paused: Mutex<bool>,
    resumed: Condvar,
}

impl JobControl {
    /// Whether "stop and keep the best" was asked.
    pub(crate) fn keep_best(&self) -> bool {
        self.keep_best.load(Ordering::Relaxed)
    }

    /// Waits while the job is paused; returns at once when it is cancelled.
    pub(crate) fn wait_while_paused(&self) {
        let mut paused = lock(&self.paused);
        while *paused && !self.cancel.is_cancelled() && !self.keep_best() {
            paused = self
                .resumed
                .wait(paused)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        *lock(&self.paused)
    }

    fn set_paused(&self, paused: bool) {
        *lock(&self.paused) = paused;
        self.resumed.notify_all();
    }

    fn stop_with_best(&self) {
        self.keep_best.store(true, Ordering::Relaxed);
        self.resumed.notify_all();
    }

    fn stop(&self) {
        self.cancel.cancel();
        self.resumed.notify_all();
    }
}

/// What an interruption (Ctrl+C) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// A training stops and keeps its best so far.
    Keeping,
    /// Whatever runs stops.
    Stopping,
    /// Nothing runs, or everything was asked to stop before.
    Nothing,
}

/// All running jobs of this process.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, Arc<JobControl>>>,
    /// The program ends: what stops now was not stopped by the person.
    closing: AtomicBool,
    /// Held by whoever generates or scores; training does not take it (it would block for minutes).
    pub(crate) model_turn: Mutex<()>,
}

/// Takes a job off the list when it goes out of scope, however it ends.
pub(crate) struct Running<'a> {
    jobs: &'a Jobs,
    pub(crate) control: Arc<JobControl>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.jobs.running).remove(&self.control.number);
    }
}

impl Jobs {
    pub(crate) fn start(&self, label: &str, can_pause: bool) -> Running<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let control = Arc::new(JobControl {
            number,
            label: label.to_owned(),
            can_pause,
            cancel: Cancel::new(),
            keep_best: AtomicBool::new(false),
            paused: Mutex::new(false),
            resumed: Condvar::new(),
        });
        lock(&self.running).insert(number, Arc::clone(&control));
        Running {
            jobs: self,
            control,
        }
    }

    pub(crate) fn list(&self) -> Vec<JobSummary> {
        lock(&self.running)
            .values()
            .map(|job| JobSummary {
                job: job.number,
                label: job.label.clone(),
                paused: job.is_paused(),
                can_pause: job.can_pause,
            })
            .collect()
    }

    pub(crate) fn cancel(&self, number: u64) -> Result<(), UserError> {
        self.find(number)?.stop();
        Ok(())
    }

    pub(crate) fn keep_best(&self, number: u64) -> Result<(), UserError> {
        self.find(number)?.stop_with_best();
        Ok(())
    }

    pub(crate) fn pause(&self, number: u64) -> Result<(), UserError> {
        let job = self.find(number)?;
        if !job.can_pause {
            return Err(UserError::new(
                ErrorCode::Usage,
                "Only a training can be paused.",
                "Stop the job instead; it can be started again.",
            ));
        }
        job.set_paused(true);
        Ok(())
    }

    pub(crate) fn resume(&self, number: u64) -> Result<(), UserError> {
        self.find(number)?.set_paused(false);
        Ok(())
    }

    /// Stops everything because the program ends.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        for job in lock(&self.running).values() {
            job.stop();
        }
    }

    /// Whether the program ends.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// First asks trainings to stop and keep their best; then, or where there is none, everything to stop.
    pub(crate) fn interrupt(&self) -> Interrupted {
        let running = lock(&self.running);
        let going: Vec<_> = running
            .values()
            .filter(|job| !job.cancel.is_cancelled())
            .collect();
        // Only a training can pause, and only a training has a best to keep.
        let trainings: Vec<_> = going
            .iter()
            .filter(|job| job.can_pause && !job.keep_best())
            .collect();
        if !trainings.is_empty() {
            for job in trainings {
                job.stop_with_best();
            }
            Interrupted::Keeping
        } else if !going.is_empty() {
            for job in going {
                job.stop();
            }
            Interrupted::Stopping
        } else {
            Interrupted::Nothing
        }
    }

    fn find(&self, number: u64) -> Result<Arc<JobControl>, UserError> {
        lock(&self.running).get(&number).cloned().ok_or_else(|| {
            UserError::new(
                ErrorCode::NotFound,
                "That job is not running any more.",
                "Nothing needs to be done.",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_leaves_the_list_when_it_ends_and_can_be_stopped_while_paused() {
        let jobs = Jobs::default();
        let running = jobs.start("Training", true);
        let number = running.control.number;
        jobs.pause(number).unwrap();
        assert!(jobs.list()[0].paused);
        std::thread::scope(|scope| {
            let control = &running.control;
            let waiting = scope.spawn(move || control.wait_while_paused());
            jobs.cancel(number).unwrap();
            waiting.join().unwrap();
        });
        assert!(running.control.cancel.is_cancelled());
        drop(running);
        assert!(jobs.list().is_empty(), "a dropped job must not be listed");
        assert_eq!(jobs.cancel(number).unwrap_err().code, ErrorCode::NotFound);
    }

    #[test]
    fn a_first_interruption_keeps_a_training_s_best_and_a_second_keeps_nothing() {
        let jobs = Jobs::default();
        assert_eq!(jobs.interrupt(), Interrupted::Nothing);
        let training = jobs.start("Training", true);
        assert_eq!(jobs.interrupt(), Interrupted::Keeping);
        assert!(training.control.keep_best() && !training.control.cancel.is_cancelled());
        assert_eq!(jobs.interrupt(), Interrupted::Stopping);
        assert!(training.control.cancel.is_cancelled());
        assert_eq!(jobs.interrupt(), Interrupted::Nothing);
        drop(training);
        let reading = jobs.start("Reading", false);
        assert_eq!(jobs.interrupt(), Interrupted::Stopping);
        assert!(reading.control.cancel.is_cancelled());
    }

    #[test]
    fn only_jobs_that_can_pause_are_paused() {
        let jobs = Jobs::default();
        let running = jobs.start("Reading", false);
        assert_eq!(
            jobs.pause(running.control.number).unwrap_err().code,
            ErrorCode::Usage
        );
    }
}
