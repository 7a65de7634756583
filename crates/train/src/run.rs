//! The loop, one for every objective: epochs of steps, held-out loss, early stop, checkpoints, the best kept.

use std::time::Instant;

use idiolect_core::adapter::LossPoint;
use idiolect_engine::{Dropout, Gradients, LoraWeights};

use crate::{
    TrainError,
    checkpoint::{self, Checkpoint, Identity, Numbers, Progress},
    data::{Example, Row, Step, fingerprint, mismatched, steps},
    observer::{Control, Ending, Observer, Resumed, Trained, Update},
    optimizer::AdamW,
    passes::{Passes, Sum, Whole},
    settings::Settings,
    stop::Watch,
    task::{Lessons, Resume, Task, beginning, device_of, survey, wrong_kind},
};

/// Trains with the model's own threads. Same data, settings, device and instruction level: the same weights, bit for bit,
/// whether the run was interrupted and resumed or not.
///
/// # Errors
/// No data, unusable settings, a checkpoint of another run, a loss that is not a number, the device's, the observer's.
pub fn run(mut task: Task<'_>, observer: &mut dyn Observer) -> Result<Trained, TrainError> {
    task.settings.check()?;
    let mut run = Run::new(&mut task)?;
    let ending = match run.start(observer)? {
        Some(ending) => ending,
        None => run.train(observer)?,
    };
    run.end(ending)
}

/// Examples with what the reference says of them.
#[derive(Default)]
struct Scored {
    examples: Vec<Example>,
    references: Vec<[f64; 2]>,
    /// For KTO's zero point, one an example or none.
    mismatched: Vec<Row>,
    mismatched_references: Vec<f64>,
}

struct Run<'r, 'a> {
    task: &'r mut Task<'a>,
    settings: &'a Settings,
    passes: Passes<'a>,
    lora: LoraWeights,
    parameters: Vec<f32>,
    gradients: Gradients,
    optimizer: AdamW,
    progress: Progress,
    best: Option<Vec<f32>>,
    lessons: Scored,
    held_out: Scored,
    left_out: usize,
    identity: Identity,
    device: String,
    saved: Instant,
    resumed: Option<Resumed>,
}

impl<'r, 'a> Run<'r, 'a> {
    fn new(task: &'r mut Task<'a>) -> Result<Self, TrainError> {
        let (model, settings) = (task.model, task.settings);
        let (rows, left_out, steps) = survey(&task.lessons, settings)?;
        let (lora, from) = beginning(model, settings, task.from)?;
        let parameters = lora.parameters()?;
        let held_out: Vec<Example> = task
            .held_out
            .iter()
            .filter(|e| e.is_usable())
            .cloned()
            .collect();
        let checkpoints = task.checkpoints.as_ref();
        let identity = Identity {
            model: checkpoints.map_or_else(String::new, |c| c.model.clone()),
            settings: settings.to_json(),
            rows: format!("{rows} {}", fingerprint(&held_out)),
            from,
        };
        let mut run = Self {
            settings,
            passes: Passes::new(model, settings.options()),
            gradients: Gradients::zeros(&lora),
            optimizer: AdamW::new(parameters.len(), settings.optimizer),
            lora,
            parameters,
            progress: Progress {
                steps,
                ..Progress::default()
            },
            best: None,
            lessons: Scored::default(),
            held_out: Scored::default(),
            left_out,
            identity,
            device: device_of(model),
            saved: Instant::now(),
            resumed: None,
            task,
        };
        run.take_up()?;
        run.held_out = run.scored(held_out)?;
        if let Lessons::Fixed(examples) = &run.task.lessons {
            let examples = examples.iter().filter(|e| e.is_usable()).cloned().collect();
            run.lessons = run.scored(examples)?;
        }
        Ok(run)
    }

    /// Puts the newest checkpoint's numbers in place, if there is one to go on from.
    fn take_up(&mut self) -> Result<(), TrainError> {
        let Some(checkpoints) = &self.task.checkpoints else {
            return Ok(());
        };
        let folder = &checkpoints.folder;
        if checkpoints.resume == Resume::No {
            return checkpoint::forget_after(folder, None);
        }
        let found = checkpoint::find(folder)?;
        let Some(Checkpoint { manifest, state }) = found.checkpoint else {
            return match found.damaged.first() {
                None => Ok(()),
                Some((step, why)) => Err(TrainError::Checkpoint(format!(
                    "that of step {step}: {why}; none before it is left, so the training has to start anew"
                ))),
            };
        };
        if let Some(what) = manifest.identity.differs_from(&self.identity) {
            return Err(TrainError::Checkpoint(what.to_owned()));
        }
        if state.weights.len() != self.parameters.len() {
            return Err(TrainError::Checkpoint(
                "it holds another number of weights".to_owned(),
            ));
        }
        let exact = manifest.device == self.device && manifest.version == checkpoint::VERSION;
        if !exact && checkpoints.resume == Resume::Exact {
            return Err(TrainError::Checkpoint(format!(
                "it was made on {} by version {}, and this is {} and version {}, which would go on with slightly other numbers",
                manifest.device,
                manifest.version,
                self.device,
                checkpoint::VERSION
            )));
        }
        checkpoint::forget_after(folder, Some(manifest.progress.step))?;
        self.progress = manifest.progress;
        self.optimizer = AdamW::restored(
            self.settings.optimizer,
            state.first,
            state.second,
            self.progress.updates,
        )?;
        self.lora.set_parameters(&state.weights)?;
        self.parameters = state.weights;
        self.best = state.best;
        self.resumed = Some(Resumed {
            step: self.progress.step,
            damaged: found.damaged,
            exact,
        });
        Ok(())
    }

    /// What the reference says of examples, once.
    fn scored(&mut self, examples: Vec<Example>) -> Result<Scored, TrainError> {
        let mut scored = Scored {
            references: vec![[0.0; 2]; examples.len()],
            examples,
            ..Scored::default()
        };
        if self.settings.objective.needs_reference() {
            let all: Vec<&Example> = scored.examples.iter().collect();
            scored.references = self.passes.scores(&all, self.task.from)?;
            scored.mismatched = mismatched(&all);
            let rows: Vec<&Row> = scored.mismatched.iter().collect();
            scored.mismatched_references = self.passes.log_probs(&rows, self.task.from)?;
        }
        Ok(scored)
    }

    /// Says where the run stands before its next step.
    fn start(&mut self, observer: &mut dyn Observer) -> Result<Option<Ending>, TrainError> {
        if let Some(resumed) = &self.resumed {
            observer.resumed(resumed);
            return Ok(None);
        }
        let start = self.measure()?;
        let held_out = start.map(|sum| sum.mean());
        let reading = observer.sample(0, &self.lora)?;
        self.progress.start_held_out = held_out;
        self.progress.watch = Watch {
            lowest: held_out,
            readings: reading.into_iter().collect(),
            ..Watch::default()
        };
        let mut update = self.update(None, 0.0);
        update.point.held_out = held_out;
        update.held_out_preference = start.and_then(|sum| sum.preference());
        update.reading = reading;
        let control = observer.update(update.drawn(self.holds_out_no_preference()));
        self.obey(control, observer)
    }

    fn train(&mut self, observer: &mut dyn Observer) -> Result<Ending, TrainError> {
        while self.progress.ended.is_none() {
            let steps = self.epoch()?;
            let first = self.progress.done_in_epoch as usize;
            for step in &steps[first.min(steps.len())..] {
                let update = self.step(step)?;
                if let Some(ending) = self.after_step(update, steps.len() as u32, observer)? {
                    return Ok(ending);
                }
                if self.progress.ended.is_some() {
                    break;
                }
            }
        }
        Ok(self.done())
    }

    fn holds_out_no_preference(&self) -> bool {
        let held_out = &self.held_out.examples;
        held_out.iter().all(|e| matches!(e, Example::Text(_)))
    }

    fn done(&self) -> Ending {
        if self.progress.stopped {
            Ending::Stopped
        } else {
            Ending::Done
        }
    }

    /// The steps of the epoch that the run stands in, with a round's examples in place.
    fn epoch(&mut self) -> Result<Vec<Step>, TrainError> {
        let epoch = self.progress.epoch;
        if let Lessons::Rounds(rounds) = &mut self.task.lessons {
            let begun = self.progress.done_in_epoch > 0;
            let examples = rounds.round(epoch, (!begun).then_some(&self.lora))?;
            let learns = |e: &Example| e.is_usable() && self.settings.objective.learns_from(e);
            if examples.len() != rounds.examples() || !examples.iter().all(learns) {
                return Err(wrong_kind(self.settings));
            }
            let round = fingerprint(&examples);
            if begun && round != self.progress.round {
                return Err(TrainError::Checkpoint(
                    "the drafts it was learning from have changed since".to_owned(),
                ));
            }
            self.progress.round = round;
            self.lessons = self.scored(examples)?;
        }
        let lengths: Vec<usize> = self.lessons.examples.iter().map(Example::tokens).collect();
        let (packing, seed) = (self.settings.packing, self.settings.seed);
        Ok(steps(&lengths, packing, seed, epoch))
    }

    fn step(&mut self, step: &Step) -> Result<Update, TrainError> {
        let started = Instant::now();
        let (settings, lessons) = (self.settings, &self.lessons);
        let number = self.progress.step + 1;
        let all = || step.iter().flatten().copied();
        // Of the whole step, so that several passes give the gradient that one would.
        let whole = Whole {
            weight: all().map(|i| lessons.examples[i].weight()).sum(),
            shift: if lessons.mismatched.is_empty() {
                0.0
            } else {
                let rows: Vec<&Row> = all().map(|i| &lessons.mismatched[i]).collect();
                let references: Vec<f64> =
                    all().map(|i| lessons.mismatched_references[i]).collect();
                self.passes
                    .zero_point(&rows, &references, Some(&self.lora))?
            },
        };
        self.gradients.clear();
        let mut sum = Sum::default();
        for (n, pass) in step.iter().enumerate() {
            let dropout = (settings.dropout > 0.0).then_some(Dropout {
                probability: settings.dropout,
                seed: settings.seed,
                pass: u64::from(number) << 32 | n as u64,
            });
            let examples: Vec<&Example> = pass.iter().map(|&i| &lessons.examples[i]).collect();
            let references: Vec<[f64; 2]> = pass.iter().map(|&i| lessons.references[i]).collect();
            let batch = (&examples[..], &references[..]);
            let part = self.passes.learn(
                &settings.objective,
                batch,
                whole,
                dropout,
                &self.lora,
                &mut self.gradients,
            )?;
            sum += part;
            self.progress.tokens += examples.iter().map(|e| e.tokens() as u64).sum::<u64>();
        }
        let rate = settings.schedule.at(number, self.progress.steps);
        let gradient = self.gradients.values();
        let norm = self
            .optimizer
            .update(&mut self.parameters, gradient, rate)?;
        let loss = sum.mean();
        if !loss.is_finite() || !norm.is_finite() {
            return Err(TrainError::Diverged(number));
        }
        self.lora.set_parameters(&self.parameters)?;
        self.progress.step = number;
        self.progress.updates = self.optimizer.steps();
        self.progress.epoch_loss += loss;
        self.progress.seconds += started.elapsed().as_secs_f64();
        let mut update = self.update(Some(loss), norm);
        update.learning_rate = rate;
        update.preference = sum.preference();
        Ok(update)
    }

    /// Measures where it is time to, decides whether to go on, tells the observer and writes a checkpoint. The observer
    /// hears of a step before a checkpoint holds it, so that none is missing from a curve that is taken up there.
    fn after_step(
        &mut self,
        mut update: Update,
        of_epoch: u32,
        observer: &mut dyn Observer,
    ) -> Result<Option<Ending>, TrainError> {
        let step = self.progress.step;
        let last = step == self.progress.steps;
        self.progress.done_in_epoch += 1;
        let done = self.progress.done_in_epoch;
        let on_grid = match self.settings.measure_every {
            // Often enough to stop in time, seldom enough to cost little.
            0 => done == of_epoch.div_ceil(2) || done == of_epoch,
            every => step.is_multiple_of(every) || last,
        };
        if on_grid || step == 1 {
            let now = self.measure()?;
            update.point.held_out = now.map(|sum| sum.mean());
            update.held_out_preference = now.and_then(|sum| sum.preference());
            update.reading = observer.sample(step, &self.lora)?;
            let (held_out, reading) = (update.point.held_out, update.reading);
            if self.progress.watch.sees(held_out, reading, on_grid) {
                self.best = Some(self.parameters.clone());
            }
            let verdict = self.progress.watch.verdict();
            if let Some(reason) = verdict.filter(|_| self.settings.early_stop && !last) {
                self.progress.ended = Some(reason.words().to_owned());
            }
        }
        if done == of_epoch {
            let mean = self.progress.epoch_loss / f64::from(of_epoch);
            if self.settings.stop_below.is_some_and(|bound| mean < bound) && !last {
                self.progress.ended =
                    Some("The loss fell below its bound, so training stopped.".to_owned());
            }
            self.progress.epoch += 1;
            self.progress.done_in_epoch = 0;
            self.progress.epoch_loss = 0.0;
        }
        if last {
            self.progress.ended = Some(String::new());
        }
        let control = observer.update(update.drawn(self.holds_out_no_preference()));
        let due = self.task.checkpoints.as_ref().is_some_and(|c| {
            on_grid || self.progress.ended.is_some() || self.saved.elapsed() >= c.every
        });
        if due && control != Control::Cancel {
            self.save()?;
        }
        self.obey(control, observer)
    }

    fn obey(
        &mut self,
        mut control: Control,
        observer: &mut dyn Observer,
    ) -> Result<Option<Ending>, TrainError> {
        if control == Control::Pause {
            self.save()?;
        }
        while control == Control::Pause {
            control = observer.wait();
        }
        Ok(match control {
            Control::Continue | Control::Pause => None,
            Control::Leave => {
                self.save()?;
                Some(Ending::Left)
            }
            // Nothing was learned yet that could be kept.
            Control::KeepBest if self.progress.step == 0 => Some(Ending::Cancelled),
            Control::KeepBest => {
                if self.progress.ended.is_none() {
                    let words = "Stopped by you; the best so far was kept.";
                    self.progress.ended = Some(words.to_owned());
                    self.progress.stopped = true;
                    self.save()?;
                }
                Some(self.done())
            }
            Control::Cancel => Some(Ending::Cancelled),
        })
    }

    fn save(&mut self) -> Result<(), TrainError> {
        if let Some(checkpoints) = &self.task.checkpoints {
            let (first, second) = self.optimizer.moments();
            let numbers = Numbers {
                weights: &self.parameters,
                first,
                second,
                best: self.best.as_deref(),
            };
            let (identity, device) = (&self.identity, &self.device);
            let folder = &checkpoints.folder;
            checkpoint::write(folder, identity, device, &self.progress, numbers)?;
            self.saved = Instant::now();
        }
        Ok(())
    }

    /// The held-out sums under the weights as they are.
    fn measure(&mut self) -> Result<Option<Sum>, TrainError> {
        let held_out = &self.held_out;
        if held_out.examples.is_empty() {
            return Ok(None);
        }
        let rows: Vec<&Row> = held_out.mismatched.iter().collect();
        let references = &held_out.mismatched_references;
        let lora = Some(&self.lora);
        let shift = self.passes.zero_point(&rows, references, lora)?;
        let examples: Vec<&Example> = held_out.examples.iter().collect();
        let objective = &self.settings.objective;
        let batch = (&examples[..], &held_out.references[..]);
        let sum = self.passes.evaluate(objective, batch, shift, lora)?;
        Ok(Some(sum))
    }

    fn update(&self, loss: Option<f64>, norm: f64) -> Update {
        Update {
            point: LossPoint {
                step: self.progress.step,
                loss,
                ..LossPoint::default()
            },
            steps: self.progress.steps,
            tokens: self.progress.tokens,
            seconds: self.progress.seconds,
            learning_rate: 0.0,
            norm,
            preference: None,
            held_out_preference: None,
            reading: None,
        }
    }

    fn end(mut self, ending: Ending) -> Result<Trained, TrainError> {
        let kept = matches!(ending, Ending::Done | Ending::Stopped);
        let mut own_held_out = None;
        if kept {
            own_held_out = match self.best.take() {
                Some(best) => {
                    self.lora.set_parameters(&best)?;
                    self.progress.watch.lowest
                }
                // Never better than at the start: the last weights, and the figures say so.
                None => self.measure()?.map(|sum| sum.mean()),
            };
        }
        Ok(Trained {
            ending,
            weights: kept.then_some(self.lora),
            base_held_out: self.progress.start_held_out,
            own_held_out,
            ended_early: self.progress.ended.unwrap_or_default(),
            steps: self.progress.step,
            left_out: self.left_out,
        })
    }
}
