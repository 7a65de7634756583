//! A training, from its first row to the voice it made.

use idiolect_core::{
    ErrorCode, UserError,
    adapter::{Adapter, Run, RunStatus},
    ids::{AdapterId, ProfileId, RunId},
    profile::Profile,
    training::{Objective, TrainSettings},
};
use idiolect_engine::WEIGHTS_FILE;
use idiolect_llm::LlmError;
use idiolect_store::{Lease, LeaseWords, Store, StoreError};
use idiolect_train::{Checkpoints, Example, Lessons as Learned, Resume, Task, Trained, steps_of};

use super::{
    demonstrations,
    follow::Follower,
    lessons,
    lessons::{Lessons, lessons_of_run},
    preflight::{keep_speed, nothing, too_little},
    train_settings,
    trials::Trials,
};
use crate::{
    Inner,
    api::{Event, Response},
    context::{Ctx, cancelled},
    errors::{Told, not_enough, usage},
    models::Writer,
};

/// A kill costs at most about this much work; a checkpoint takes a fraction of a second.
const BETWEEN_CHECKPOINTS: std::time::Duration = std::time::Duration::from_secs(30);

pub(crate) fn sft(
    ctx: &mut Ctx,
    profile: &ProfileId,
    settings: TrainSettings,
    model: Option<&str>,
    name: Option<String>,
    anyway: bool,
) -> Result<Response, UserError> {
    let found = ctx.studio.store.profile(profile).told()?;
    let _lease = lease(ctx, &found)?;
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
    let ended = train(ctx, &writer, &lessons, run.clone(), Resume::No)
        .and_then(|trained| finish(ctx, &writer, &lessons, trained, name));
    answer(ctx, run, ended)
}

/// Takes up a run that ended before its time: the same texts and preferences, from its last checkpoint.
pub(crate) fn resume(
    ctx: &mut Ctx,
    run: &RunId,
    name: Option<String>,
    anyway: bool,
) -> Result<Response, UserError> {
    let store = &ctx.studio.store;
    let run = store.run(run).told()?;
    let found = store.profile(&run.profile).told()?;
    let _lease = lease(ctx, &found)?;
    if !run.resumable {
        return Err(usage(
            "This training cannot be taken up.",
            "Only one that was cut short or failed can; `align runs` shows them. Start a new one instead.",
        ));
    }
    ctx.start_job(&format!("Training “{}”", found.name), true);
    let writer = ctx.studio.models.writer(ctx, Some(&run.model))?;
    let lessons = lessons_of_run(ctx, &writer, &run)?;
    if lessons.train.is_empty() {
        return Err(nothing(&run.settings));
    }
    let taken = ctx.studio.store.take_up_run(&run.id).told()?;
    let steps = steps(&run.settings, &lessons.train)?;
    ctx.emit(Event::RunStarted {
        run: taken.clone(),
        steps,
    });
    let how = if anyway {
        Resume::Anyway
    } else {
        Resume::Exact
    };
    let ended = train(ctx, &writer, &lessons, taken.clone(), how)
        .and_then(|trained| finish(ctx, &writer, &lessons, trained, name));
    answer(ctx, taken, ended)
}

/// Trains a voice anew with the settings of the run that made it, on what is there now: what was deleted since is left out.
pub(crate) fn retrain(
    ctx: &mut Ctx,
    adapter: &AdapterId,
    name: Option<String>,
    anyway: bool,
) -> Result<Response, UserError> {
    let found = ctx.studio.store.adapter(adapter).told()?;
    let Some(run) = &found.run else {
        return Err(usage(
            format!("“{}” was not trained here.", found.name),
            "Only a voice that was trained here can be trained anew; retire it, or train another one.",
        ));
    };
    let settings = ctx.studio.store.run(run).told()?.settings;
    let name = name.unwrap_or_else(|| format!("{} (anew)", found.name));
    sft(
        ctx,
        &found.profile,
        settings,
        Some(&found.model),
        Some(name),
        anyway,
    )
}

/// Gives up a run that could be taken up: its checkpoints go, its curve stays.
pub(crate) fn discard(ctx: &mut Ctx, run: &RunId) -> Result<Response, UserError> {
    let run = ctx.studio.store.run(run).told()?;
    if !run.resumable {
        return Err(usage(
            "There is nothing of this training to discard.",
            "Only one that was cut short or failed leaves something behind.",
        ));
    }
    forget_checkpoints(ctx.studio, &run.id);
    let run = ctx
        .studio
        .store
        .update_run(&Run {
            status: RunStatus::Cancelled,
            ..run
        })
        .told()?;
    Ok(Response::Run { run, adapter: None })
}

fn lease(ctx: &Ctx, profile: &Profile) -> Result<Lease, UserError> {
    let words = LeaseWords {
        what: format!("Training of “{}”", profile.name),
        lost: "Nothing: it can be taken up from its last checkpoint, in Align or with `idiolect align resume`."
            .to_owned(),
    };
    ctx.studio
        .store
        .lease("train", profile.id.as_str(), &words)
        .told()
}

fn answer(
    ctx: &Ctx,
    run: Run,
    ended: Result<(Run, Option<Adapter>), UserError>,
) -> Result<Response, UserError> {
    match ended {
        Ok((run, adapter)) => {
            forget_checkpoints(ctx.studio, &run.id);
            let run = ctx.studio.store.run(&run.id).told()?;
            Ok(Response::Run { run, adapter })
        }
        Err(error) => {
            let (status, message) = if error.code != ErrorCode::Cancelled {
                (RunStatus::Failed, error.message.clone())
            } else if ctx.studio.jobs.is_closing() {
                // Nobody gave it up.
                (RunStatus::CutShort, String::new())
            } else {
                forget_checkpoints(ctx.studio, &run.id);
                (RunStatus::Cancelled, String::new())
            };
            // What ended it is what the person must hear, even if it cannot be noted.
            let _ = ctx.studio.store.run(&run.id).and_then(|run| {
                ctx.studio.store.update_run(&Run {
                    status,
                    message,
                    ..run
                })
            });
            Err(error)
        }
    }
}

/// Where a run's checkpoints are, below the home. They hold numbers and no text, but for the model's own drafts where those
/// are learned from.
fn checkpoints_of(run: &RunId) -> String {
    format!("runs/{}", run.as_str())
}

/// A run that made its voice, or was given up, needs none. A folder that stays behind is swept another time.
fn forget_checkpoints(studio: &Inner, run: &RunId) {
    let _ = studio.store.set_checkpoints(run, None);
    remove_checkpoints(studio, run);
}

/// Removes folders of checkpoints that no run has any more: of a process that was killed in between.
pub(crate) fn sweep_checkpoints(home: &std::path::Path, store: &Store) {
    let entries = std::fs::read_dir(home.join("runs"));
    for entry in entries.into_iter().flatten().flatten() {
        let run = RunId(entry.file_name().to_string_lossy().into_owned());
        let orphan = match store.checkpoints(&run) {
            Ok(folder) => folder.is_none(),
            Err(error) => matches!(error, StoreError::NotFound { .. }),
        };
        if orphan {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes a run's checkpoints after its row is gone.
pub(crate) fn remove_checkpoints(studio: &Inner, run: &RunId) {
    let _ = std::fs::remove_dir_all(studio.home.join(checkpoints_of(run)));
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
        trials: Vec::new(),
        tokens_per_second: 0.0,
        peak_bytes: 0,
        seconds: 0.0,
        adapter: None,
        resumable: false,
        started_at: String::new(),
    };
    let store = &ctx.studio.store;
    let run = store.insert_run(&run).told()?;
    store
        .set_checkpoints(&run.id, Some(&checkpoints_of(&run.id)))
        .told()?;
    let steps = steps(settings, &lessons.train)?;
    ctx.emit(Event::RunStarted {
        run: run.clone(),
        steps,
    });
    Ok(run)
}

/// Steps that a training takes, if nothing ends it earlier.
pub(super) fn steps(settings: &TrainSettings, train: &[Example]) -> Result<u32, UserError> {
    let trainer = train_settings(settings, train)?;
    Ok(match settings.objective {
        Objective::Ditto => demonstrations::steps(train, &trainer),
        _ => steps_of(train, &trainer),
    })
}

/// Trains; the run carries how fast and with how much memory.
fn train(
    ctx: &mut Ctx,
    writer: &Writer,
    lessons: &Lessons,
    run: Run,
    resume: Resume,
) -> Result<(Run, Trained), UserError> {
    let settings = train_settings(&run.settings, &lessons.train)?;
    let checkpoints = Checkpoints {
        folder: ctx.studio.home.join(checkpoints_of(&run.id)),
        model: writer.file.sha256.clone(),
        every: BETWEEN_CHECKPOINTS,
        resume,
    };
    let trials = Trials::of(ctx, writer, &run, lessons)?;
    let studio = ctx.studio;
    let mut follower = Follower::new(ctx, trials, run);
    let outcome = if follower.run.objective == Objective::Ditto {
        demonstrations::train(
            studio,
            writer,
            lessons,
            &settings,
            checkpoints,
            &mut follower,
        )
    } else {
        let task = Task {
            model: &writer.model,
            lessons: Learned::Fixed(&lessons.train),
            held_out: &lessons.held_out,
            settings: &settings,
            from: None,
            checkpoints: Some(checkpoints),
        };
        idiolect_train::run(task, &mut follower)
    };
    let (mut run, failed_write) = (follower.run, follower.failed_write);
    run.seconds += follower.started.elapsed().as_secs_f64();
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
    let preferring = run.objective.uses_preferences();
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
        // Of preferences the loss is in units of its own, and no figure of how well texts are expected.
        base_held_out: trained.base_held_out.filter(|_| !preferring),
        own_held_out: trained.own_held_out.filter(|_| !preferring),
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
