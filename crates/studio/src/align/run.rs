//! A training, from its first row to the voice it made.

use idiolect_core::{
    ErrorCode, UserError,
    adapter::{Adapter, Run, RunStatus},
    ids::{ProfileId, RunId},
    training::TrainSettings,
};
use idiolect_engine::WEIGHTS_FILE;
use idiolect_llm::LlmError;
use idiolect_store::LeaseWords;
use idiolect_train::{Control, Lessons as Learned, Task, Trained, steps_of};

use super::{
    lessons,
    lessons::Lessons,
    preflight::{keep_speed, nothing, too_little},
    train_settings,
};
use crate::{
    api::{Event, Response},
    context::{Ctx, cancelled},
    errors::{Told, not_enough},
    models::Writer,
    process,
};

pub(crate) fn sft(
    ctx: &mut Ctx,
    profile: &ProfileId,
    settings: TrainSettings,
    model: Option<&str>,
    name: Option<String>,
    anyway: bool,
) -> Result<Response, UserError> {
    let found = ctx.studio.store.profile(profile).told()?;
    let _lease = ctx
        .studio
        .store
        .lease(
            "train",
            profile.as_str(),
            &LeaseWords {
                what: format!("Training of “{}”", found.name),
                lost:
                    "Samples and votes are safe; the unfinished training has to be started again."
                        .to_owned(),
            },
        )
        .told()?;
    ctx.start_job(&format!("Training “{}”", found.name), true);
    let writer = ctx.studio.models.writer(ctx, model)?;
    let lessons = lessons(ctx, &writer, profile, &settings, true)?;
    if lessons.train.is_empty() {
        return Err(nothing(&settings));
    }
    if let Some(why) = too_little(&settings, &lessons)
        && !anyway
    {
        return Err(not_enough(
            why,
            "Add more, or insist: “Train anyway” in the window, --anyway on the command line.",
        ));
    }
    let run = new_run(ctx, profile, &writer, &settings, &lessons)?;
    let ended = train(ctx, &writer, &lessons, &settings, run.clone())
        .and_then(|trained| finish(ctx, &writer, &lessons, trained, name));
    match ended {
        Ok((run, adapter)) => Ok(Response::Run { run, adapter }),
        Err(error) => {
            if error.code != ErrorCode::Cancelled {
                // The failure itself is what the person must hear, even if it cannot be noted.
                let _ = ctx.studio.store.update_run(&Run {
                    status: RunStatus::Failed,
                    message: error.message.clone(),
                    ..run
                });
            }
            Err(error)
        }
    }
}

fn new_run(
    ctx: &mut Ctx,
    profile: &ProfileId,
    writer: &Writer,
    settings: &TrainSettings,
    lessons: &Lessons,
) -> Result<Run, UserError> {
    let run = Run {
        id: RunId(String::new()),
        profile: profile.clone(),
        model: writer.file.id.clone(),
        objective: settings.objective,
        settings: settings.clone(),
        samples: lessons.samples.iter().map(|s| s.id.clone()).collect(),
        votes: lessons.votes.clone(),
        drafts: lessons.drafts.clone(),
        parent: None,
        status: RunStatus::Running,
        message: String::new(),
        curve: Vec::new(),
        tokens_per_second: 0.0,
        peak_bytes: 0,
        seconds: 0.0,
        adapter: None,
        resumable: false,
        started_at: String::new(),
    };
    let run = ctx.studio.store.insert_run(&run).told()?;
    let steps = steps_of(&lessons.train, &train_settings(settings, &lessons.train)?);
    ctx.emit(Event::RunStarted {
        run: run.clone(),
        steps,
    });
    Ok(run)
}

/// Trains; the run carries how fast and with how much memory.
fn train(
    ctx: &mut Ctx,
    writer: &Writer,
    lessons: &Lessons,
    settings: &TrainSettings,
    mut run: Run,
) -> Result<(Run, Trained), UserError> {
    let started = std::time::Instant::now();
    let store = &ctx.studio.store;
    let control = ctx.control().cloned();
    let mut failed_write = None;
    let settings = train_settings(settings, &lessons.train)?;
    let mut on_update = |update: idiolect_train::Update| {
        let mut point = update.point;
        if let Some(of) = update.held_out_preference.or(update.preference) {
            point.margin = Some(of.margin);
            point.accuracy = Some(of.accuracy);
        }
        if let Err(e) = store.append_loss(&run.id, &point) {
            failed_write = Some(e);
            return Control::Cancel;
        }
        run.tokens_per_second = if update.seconds > 0.0 {
            update.tokens as f64 / update.seconds
        } else {
            0.0
        };
        run.peak_bytes = process::peak_bytes();
        let done = update.point.step.max(1);
        let a_step = started.elapsed().as_secs_f64() / f64::from(done);
        ctx.emit(Event::Loss {
            run: run.id.clone(),
            point,
            steps: update.steps,
            tokens_per_second: run.tokens_per_second,
            peak_bytes: run.peak_bytes,
            seconds_left: a_step * f64::from(update.steps - update.point.step),
        });
        let Some(control) = &control else {
            return Control::Continue;
        };
        if control.is_paused() {
            // Best effort: the run goes on from memory either way.
            let _ = store.update_run(&Run {
                status: RunStatus::Paused,
                ..run.clone()
            });
            control.wait_while_paused();
            let _ = store.update_run(&Run {
                status: RunStatus::Running,
                ..run.clone()
            });
        }
        if control.cancel.is_cancelled() {
            Control::Cancel
        } else if control.keep_best() && update.point.step == 0 {
            // Nothing was learned yet that could be kept.
            Control::Cancel
        } else if control.keep_best() {
            Control::KeepBest
        } else {
            Control::Continue
        }
    };
    let model = &writer.model;
    let task = Task {
        model,
        lessons: Learned::Fixed(&lessons.train),
        held_out: &lessons.held_out,
        settings: &settings,
        from: None,
        checkpoints: None,
    };
    let outcome = idiolect_train::run(task, &mut on_update);
    run.seconds = started.elapsed().as_secs_f64();
    if let Some(error) = failed_write {
        return Err(error.to_user());
    }
    Ok((run, outcome.told()?))
}

fn finish(
    ctx: &mut Ctx,
    writer: &Writer,
    lessons: &Lessons,
    (mut run, trained): (Run, Trained),
    name: Option<String>,
) -> Result<(Run, Option<Adapter>), UserError> {
    let store = &ctx.studio.store;
    let Some(weights) = &trained.weights else {
        run.status = RunStatus::Cancelled;
        store.update_run(&run).told()?;
        return Err(cancelled());
    };
    let id = store.fresh_adapter_id().told()?;
    let dir = ctx.studio.adapter_dir(&id);
    let unfinished = ctx.studio.unfinished_dir(&id);
    weights
        .save(&unfinished, writer.model.config(), &writer.file.id)
        .told()?;
    std::fs::rename(&unfinished, &dir)
        .map_err(LlmError::from)
        .told()?;
    let name = name.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| {
        if run.objective.uses_preferences() {
            format!("Voice of {} preferences", lessons.train.len())
        } else {
            format!("Voice of {} words", lessons.words)
        }
    });
    let adapter = Adapter {
        id: id.clone(),
        profile: run.profile.clone(),
        name,
        model: writer.file.id.clone(),
        model_sha256: writer.file.sha256.clone(),
        run: Some(run.id.clone()),
        objective: Some(run.objective),
        method: run.settings.method.clone(),
        samples: run.samples.clone(),
        samples_gone: 0,
        votes: run.votes.clone(),
        votes_gone: 0,
        drafts: run.drafts.clone(),
        drafts_gone: 0,
        parents: run.parent.iter().cloned().collect(),
        imported: None,
        retired_at: None,
        report: None,
        rank: run.settings.rank,
        alpha: train_settings(&run.settings, &lessons.train)?.lora.alpha,
        base_held_out: trained.base_held_out,
        own_held_out: trained.own_held_out,
        bytes: std::fs::metadata(dir.join(WEIGHTS_FILE)).map_or(0, |m| m.len()),
        created_at: String::new(),
    };
    let adapter = store.insert_adapter(&adapter).told()?;
    run.adapter = Some(id);
    run.status = if ctx.control().is_some_and(|c| c.keep_best()) {
        RunStatus::Stopped
    } else {
        RunStatus::Finished
    };
    run.message = trained.ended_early.clone();
    let run = store.update_run(&run).told()?;
    keep_speed(ctx, writer, &run.settings, run.tokens_per_second);
    Ok((run, Some(adapter)))
}

pub(crate) fn runs(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    Ok(Response::Runs {
        runs: ctx.studio.store.runs(profile).told()?,
    })
}
