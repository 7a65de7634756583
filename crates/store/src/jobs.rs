//! Leases on long jobs, so that two processes never do the same one, and what a crash cut short.

use idiolect_core::{adapter::RunStatus, profile::Profile};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::{
    Store,
    error::{Result, StoreError},
    models,
    presence::{self, Guard},
    value::Word,
};

/// What a lease is for, and the words the person reads if it is cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWords {
    /// "Training of “My letters”".
    pub what: String,
    /// What is safe and what is lost if the program ends now.
    pub lost: String,
}

/// The right to do a job alone. Dropping it gives it back; a process that ends leaves it behind,
/// and the next opening of the home lists it as cut short.
#[derive(Debug)]
#[must_use = "dropping a lease gives it back"]
pub struct Lease {
    store: Store,
    id: i64,
}

/// A lease as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseInfo {
    /// What kind of job: `train`, `infer`.
    pub kind: String,
    /// On what: a profile's id.
    pub subject: String,
    /// In words.
    pub what: String,
    /// Process that does it.
    pub pid: u32,
    /// Whether this opening does it.
    pub own: bool,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Last sign of life, RFC 3339, UTC.
    pub heartbeat_at: String,
}

/// Something that a crash or a kill interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutShort {
    /// "Training of “My letters”".
    pub what: String,
    /// What is safe and what was lost, in words.
    pub lost: String,
    /// When it was found, RFC 3339, UTC.
    pub found_at: String,
}

impl Lease {
    /// Says that the job is still going on, and what would be lost from now on.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a write.
    pub fn heartbeat(&self, lost: &str) -> Result<()> {
        self.store.write_unseen(|tx| {
            tx.execute(
                "UPDATE jobs SET heartbeat_at = ?2, lost = ?3 WHERE id = ?1",
                params![self.id, self.store.timestamp(), lost],
            )?;
            Ok(())
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Should this fail, the next opening reports the job; a false alarm beats a lost one.
        let _ = self.store.write(|tx| {
            tx.execute("DELETE FROM jobs WHERE id = ?1", [self.id])?;
            Ok(())
        });
    }
}

fn note(tx: &Transaction<'_>, what: &str, lost: &str, now: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO cut_short (what, lost, found_at) VALUES (?1, ?2, ?3)",
        params![what, lost, now],
    )?;
    Ok(())
}

impl Store {
    /// Takes the right to do `kind` on `subject` alone.
    ///
    /// # Errors
    /// `Busy` where a live process (this one included) is doing it.
    pub fn lease(&self, kind: &str, subject: &str, words: &LeaseWords) -> Result<Lease> {
        let guard = Guard::take(self.home(), self.0.setup.patience)?;
        let id = self.write(|tx| {
            let held = tx
                .query_row(
                    "SELECT id, what, lost, holder, pid FROM jobs WHERE kind = ?1 AND subject = ?2",
                    [kind, subject],
                    |row| {
                        Ok((
                            row.get::<_, i64>(0)?,
                            row.get::<_, String>(1)?,
                            row.get::<_, String>(2)?,
                            row.get::<_, String>(3)?,
                            row.get::<_, u32>(4)?,
                        ))
                    },
                )
                .optional()?;
            let now = self.timestamp();
            if let Some((id, what, lost, holder, pid)) = held {
                if self.holds(&holder, &guard)? {
                    return Err(StoreError::Busy {
                        what: format!("process {pid}: {what}"),
                    });
                }
                note(tx, &what, &lost, &now)?;
                tx.execute("DELETE FROM jobs WHERE id = ?1", [id])?;
            }
            tx.execute(
                "INSERT INTO jobs (kind, subject, what, lost, pid, holder, started_at, heartbeat_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                params![
                    kind,
                    subject,
                    words.what,
                    words.lost,
                    std::process::id(),
                    self.0.presence.token(),
                    now
                ],
            )?;
            Ok(tx.last_insert_rowid())
        })?;
        Ok(Lease {
            store: self.clone(),
            id,
        })
    }

    /// Whether the opening named `holder` is alive.
    fn holds(&self, holder: &str, guard: &Guard) -> Result<bool> {
        Ok(holder == self.0.presence.token() || presence::is_live(self.home(), holder, guard)?)
    }

    /// The leases taken now, oldest first.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn leases(&self) -> Result<Vec<LeaseInfo>> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT * FROM jobs ORDER BY id")?;
            let rows = statement.query_map([], |row| {
                Ok(LeaseInfo {
                    kind: row.get("kind")?,
                    subject: row.get("subject")?,
                    what: row.get("what")?,
                    pid: row.get("pid")?,
                    own: row.get::<_, String>("holder")? == self.0.presence.token(),
                    started_at: row.get("started_at")?,
                    heartbeat_at: row.get("heartbeat_at")?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What was cut short and not yet acknowledged, oldest first. Looks for more of it first: a process that was
    /// killed may still have been ending when this home was opened.
    ///
    /// # Errors
    /// `Busy` while the home is being opened elsewhere for longer than the patience; any of [`StoreError`]'s
    /// for a write.
    pub fn cut_short(&self) -> Result<Vec<CutShort>> {
        cut_short(self, &Guard::take(self.home(), self.0.setup.patience)?)
    }

    /// The person has seen what was cut short; says how many entries that were.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a write.
    pub fn acknowledge_cut_short(&self) -> Result<usize> {
        self.write(|tx| Ok(tx.execute("DELETE FROM cut_short", [])?))
    }
}

/// What was cut short and not yet acknowledged, with what dead processes left behind until now.
pub(crate) fn cut_short(store: &Store, guard: &Guard) -> Result<Vec<CutShort>> {
    recover(store, guard)?;
    store.read(|tx| {
        let mut statement =
            tx.prepare_cached("SELECT what, lost, found_at FROM cut_short ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            Ok(CutShort {
                what: row.get(0)?,
                lost: row.get(1)?,
                found_at: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    })
}

/// Turns what dead processes left behind into entries for the person. Stores nothing where there is nothing.
fn recover(store: &Store, guard: &Guard) -> Result<()> {
    let is_live = |holder: &str| store.holds(holder, guard);
    let left_behind = store.read(|tx| {
        let mut statement = tx.prepare_cached(
            "SELECT holder FROM jobs UNION SELECT holder FROM model_loads WHERE holder IS NOT NULL
             UNION SELECT holder FROM runs WHERE status IN (?1, ?2)",
        )?;
        let holders: Vec<String> = statement
            .query_map(
                params![Word(&RunStatus::Running), Word(&RunStatus::Paused)],
                |row| row.get(0),
            )?
            .collect::<rusqlite::Result<_>>()?;
        for holder in holders {
            if !is_live(&holder)? {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    if !left_behind {
        return Ok(());
    }
    store.write(|tx| {
        let now = store.timestamp();
        let leases: Vec<(i64, String, String, String, String)> = tx
            .prepare_cached("SELECT id, holder, subject, what, lost FROM jobs ORDER BY id")?
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        // (holder, subject) of leases that already speak for a run.
        let mut spoken_for = Vec::new();
        for (id, holder, subject, what, lost) in leases {
            if is_live(&holder)? {
                continue;
            }
            note(tx, &what, &lost, &now)?;
            tx.execute("DELETE FROM jobs WHERE id = ?1", [id])?;
            spoken_for.push((holder, subject));
        }
        let runs: Vec<(String, String, String)> = tx
            .prepare_cached("SELECT id, holder, profile FROM runs WHERE status IN (?1, ?2) ORDER BY row")?
            .query_map(params![Word(&RunStatus::Running), Word(&RunStatus::Paused)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (id, holder, profile) in runs {
            if is_live(&holder)? {
                continue;
            }
            tx.execute(
                "UPDATE runs SET status = ?2, message = CASE WHEN checkpoints IS NULL THEN ?3 ELSE ?4 END WHERE id = ?1",
                params![
                    id,
                    Word(&RunStatus::CutShort),
                    "The program ended during this training. Its loss curve up to then is kept; no adapter was made.",
                    "The program ended during this training. It can be taken up from its last checkpoint."
                ],
            )?;
            let told = spoken_for
                .iter()
                .any(|(h, subject)| *h == holder && (*subject == profile || *subject == id));
            if !told {
                let Profile { name, .. } = crate::profiles::get(tx, &profile.into())?;
                note(
                    tx,
                    &format!("Training of “{name}”"),
                    "The samples and everything stored before are safe; the adapter in training was not finished.",
                    &now,
                )?;
            }
        }
        for (what, lost) in models::count_crashes(tx, &now, is_live)? {
            note(tx, &what, &lost, &now)?;
        }
        Ok(())
    })
}
