//! Training runs with their loss curves, a row a point.

use idiolect_core::{
    adapter::{LossPoint, Run, RunStatus, TrialDraft},
    ids::{AdapterId, ProfileId, RunId},
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::{
    Store,
    error::{Result, StoreError, Thing},
    ids::{require, touched},
    linked,
    value::{Json, Word},
};

const SELECT: &str = "SELECT r.id, r.profile, r.model, r.objective, r.settings, r.status, r.message, r.tokens_per_second,
    r.peak_bytes, r.seconds, r.started_at, r.parent, (SELECT a.id FROM adapters a WHERE a.run = r.id) AS adapter,
    r.status IN ('paused', 'cut_short', 'failed') AND r.checkpoints IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM adapters a WHERE a.run = r.id) AS resumable FROM runs r";

/// Everything but samples, curve and trial drafts, which are rows of their own.
fn from_row(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: RunId(row.get("id")?),
        profile: ProfileId(row.get("profile")?),
        model: row.get("model")?,
        objective: row.get::<_, Word<_>>("objective")?.0,
        settings: row.get::<_, Json<_>>("settings")?.0,
        samples: Vec::new(),
        votes: Vec::new(),
        drafts: Vec::new(),
        parent: row.get::<_, Option<String>>("parent")?.map(AdapterId),
        status: row.get::<_, Word<_>>("status")?.0,
        message: row.get("message")?,
        curve: Vec::new(),
        trials: Vec::new(),
        tokens_per_second: row.get("tokens_per_second")?,
        peak_bytes: row.get::<_, i64>("peak_bytes")?.cast_unsigned(),
        seconds: row.get("seconds")?,
        adapter: row.get::<_, Option<String>>("adapter")?.map(AdapterId),
        resumable: row.get("resumable")?,
        started_at: row.get("started_at")?,
    })
}

fn complete(tx: &Transaction<'_>, mut run: Run) -> Result<Run> {
    run.samples = linked::RUN_SAMPLES.of(tx, run.id.as_str())?;
    run.votes = linked::RUN_VOTES.of(tx, run.id.as_str())?;
    run.drafts = linked::RUN_DRAFTS.of(tx, run.id.as_str())?;
    let mut points = tx.prepare_cached(
        "SELECT step, loss, held_out, style, copied, margin, accuracy FROM loss_points WHERE run = ?1 ORDER BY step",
    )?;
    run.curve = points
        .query_map([run.id.as_str()], |row| {
            Ok(LossPoint {
                step: row.get(0)?,
                loss: row.get(1)?,
                held_out: row.get(2)?,
                style: row.get(3)?,
                copied: row.get(4)?,
                margin: row.get(5)?,
                accuracy: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut trials = tx.prepare_cached(
        "SELECT step, brief, text, copied_words, copied FROM run_trials WHERE run = ?1 ORDER BY step, position",
    )?;
    run.trials = trials
        .query_map([run.id.as_str()], |row| {
            Ok(TrialDraft {
                step: row.get(0)?,
                brief: row.get(1)?,
                text: row.get(2)?,
                copied_words: row.get(3)?,
                copied: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(run)
}

fn get(tx: &Transaction<'_>, id: &RunId) -> Result<Run> {
    let run = tx
        .prepare_cached(&format!("{SELECT} WHERE r.id = ?1"))?
        .query_row([id.as_str()], from_row)
        .optional()?
        .ok_or_else(|| StoreError::not_found(Thing::Run, id.as_str()))?;
    complete(tx, run)
}

fn checkpoints(tx: &Transaction<'_>, id: &RunId) -> Result<Option<String>> {
    tx.prepare_cached("SELECT checkpoints FROM runs WHERE id = ?1")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::not_found(Thing::Run, id.as_str()))
}

fn put_point(tx: &Transaction<'_>, run: &RunId, point: &LossPoint) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO loss_points (run, step, loss, held_out, style, copied, margin, accuracy)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET loss = coalesce(excluded.loss, loss), held_out = coalesce(excluded.held_out, held_out),
         style = coalesce(excluded.style, style), copied = coalesce(excluded.copied, copied),
         margin = coalesce(excluded.margin, margin), accuracy = coalesce(excluded.accuracy, accuracy)",
    )?
    .execute(params![
        run.as_str(),
        point.step,
        point.loss,
        point.held_out,
        point.style,
        point.copied,
        point.margin,
        point.accuracy
    ])?;
    Ok(())
}

/// A step's drafts stand in their order; written again, they take the place of what was there.
fn put_trials(tx: &Transaction<'_>, run: &RunId, trials: &[TrialDraft]) -> Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT OR REPLACE INTO run_trials (run, step, position, brief, text, copied_words, copied)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (index, trial) in trials.iter().enumerate() {
        let position = trials[..index]
            .iter()
            .filter(|earlier| earlier.step == trial.step)
            .count();
        statement.execute(params![
            run.as_str(),
            trial.step,
            position as i64,
            trial.brief,
            trial.text,
            trial.copied_words,
            trial.copied
        ])?;
    }
    Ok(())
}

impl Store {
    /// Stores a run that begins. An empty `id` or `started_at` is filled in; `adapter` and
    /// `resumable` are not stored here: an adapter names its run, and checkpoints make it resumable. While `status` is running or paused the
    /// run belongs to this opening: if the process ends, the next opening marks it cut short.
    ///
    /// # Errors
    /// `NotFound` for the profile; `Duplicate` where the id is taken.
    pub fn insert_run(&self, run: &Run) -> Result<Run> {
        self.write(|tx| {
            require(tx, &run.profile)?;
            let id = self.id_or_fresh(tx, &run.id)?;
            tx.prepare_cached(
                "INSERT INTO runs (id, profile, model, objective, settings, status, message, tokens_per_second, peak_bytes,
                 seconds, started_at, holder, parent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                id.as_str(),
                run.profile.as_str(),
                run.model,
                Word(&run.objective),
                Json(&run.settings),
                Word(&run.status),
                run.message,
                run.tokens_per_second,
                run.peak_bytes.cast_signed(),
                run.seconds,
                self.timestamp_or(&run.started_at),
                self.0.presence.token(),
                run.parent.as_ref().map(AdapterId::as_str),
            ])
            .map_err(|e| StoreError::from(e).duplicate_of(Thing::Run))?;
            linked::RUN_SAMPLES.put(tx, id.as_str(), &run.samples)?;
            linked::RUN_VOTES.put(tx, id.as_str(), &run.votes)?;
            linked::RUN_DRAFTS.put(tx, id.as_str(), &run.drafts)?;
            for point in &run.curve {
                put_point(tx, &id, point)?;
            }
            put_trials(tx, &id, &run.trials)?;
            get(tx, &id)
        })
    }

    /// A profile's runs, newest first, with their curves.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn runs(&self, profile: &ProfileId) -> Result<Vec<Run>> {
        self.read(|tx| {
            require(tx, profile)?;
            let mut statement = tx.prepare_cached(&format!(
                "{SELECT} WHERE r.profile = ?1 ORDER BY r.started_at DESC, r.row DESC"
            ))?;
            let runs: Vec<Run> = statement
                .query_map([profile.as_str()], from_row)?
                .collect::<rusqlite::Result<_>>()?;
            runs.into_iter().map(|run| complete(tx, run)).collect()
        })
    }

    /// One run with its curve.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn run(&self, id: &RunId) -> Result<Run> {
        self.read(|tx| get(tx, id))
    }

    /// Stores a point of the curve; a second point of the same step fills in what the first lacked.
    ///
    /// # Errors
    /// `NotFound` for the run.
    pub fn append_loss(&self, id: &RunId, point: &LossPoint) -> Result<()> {
        self.write(|tx| {
            require(tx, id)?;
            put_point(tx, id, point)
        })
    }

    /// Adds drafts that a run wrote on its way.
    ///
    /// # Errors
    /// `NotFound` for the run.
    pub fn append_trials(&self, id: &RunId, trials: &[TrialDraft]) -> Result<()> {
        self.write(|tx| {
            require(tx, id)?;
            put_trials(tx, id, trials)
        })
    }

    /// Says where a run's checkpoints are, a folder relative to the home; none: they are gone, and it cannot be taken up.
    /// The answer is the folder it had.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_checkpoints(&self, id: &RunId, folder: Option<&str>) -> Result<Option<String>> {
        self.write(|tx| {
            let before = checkpoints(tx, id)?;
            tx.execute(
                "UPDATE runs SET checkpoints = ?2 WHERE id = ?1",
                params![id.as_str(), folder],
            )?;
            Ok(before)
        })
    }

    /// Where a run's checkpoints are, a folder relative to the home.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn checkpoints(&self, id: &RunId) -> Result<Option<String>> {
        self.read(|tx| checkpoints(tx, id))
    }

    /// Takes up a run that ended before its time: it belongs to this opening from now on and is running.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn take_up_run(&self, id: &RunId) -> Result<Run> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE runs SET status = ?2, message = '', holder = ?3 WHERE id = ?1",
                params![
                    id.as_str(),
                    Word(&RunStatus::Running),
                    self.0.presence.token()
                ],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Takes the points and drafts after `step` off a run's curve: they come again.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn rewind_curve(&self, id: &RunId, step: u32) -> Result<Run> {
        self.write(|tx| {
            require(tx, id)?;
            tx.execute(
                "DELETE FROM loss_points WHERE run = ?1 AND step > ?2",
                params![id.as_str(), step],
            )?;
            tx.execute(
                "DELETE FROM run_trials WHERE run = ?1 AND step > ?2",
                params![id.as_str(), step],
            )?;
            get(tx, id)
        })
    }

    /// Stores how the run stands: status, message, speed, memory and time. Everything else of `run`
    /// (curve included) is left alone.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn update_run(&self, run: &Run) -> Result<Run> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE runs SET status = ?2, message = ?3, tokens_per_second = ?4, peak_bytes = ?5, seconds = ?6 WHERE id = ?1",
                params![
                    run.id.as_str(),
                    Word(&run.status),
                    run.message,
                    run.tokens_per_second,
                    run.peak_bytes.cast_signed(),
                    run.seconds,
                ],
            )?;
            touched(rows, &run.id)?;
            get(tx, &run.id)
        })
    }
}
