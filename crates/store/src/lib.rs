//! Everything a person's home remembers, in one SQLite database; one file a table.
//!
//! Here: rows, lineage, migrations, snapshots, sharing a home between processes. Not here: what the
//! rows mean (`core`), how they come about (`persona`, `train`, `studio`), and the weights of
//! adapters, which are files beside the database.
//!
//! Every confirmed write is one `IMMEDIATE` transaction with `synchronous=FULL`: when a method has
//! returned, a kill or a power cut cannot take it back; when it failed, nothing of it is there.
#![forbid(unsafe_code)]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

mod adapters;
mod briefs;
mod cache;
mod drafts;
mod error;
mod eval_rows;
mod hypotheses;
mod ids;
mod jobs;
mod lineage;
mod linked;
mod migrations;
mod models;
mod open;
mod overrides;
mod pairs_votes;
mod presence;
mod profiles;
mod readings;
mod runs;
mod samples;
mod search;
mod settings;
mod snapshots;
mod value;

#[cfg(test)]
mod tests;

pub use briefs::StoredBrief;
pub use cache::CacheKey;
pub use error::{Result, StoreError, Thing};
pub use eval_rows::EvalKey;
pub use jobs::{CutShort, Lease, LeaseInfo, LeaseWords};
pub use lineage::Derived;
pub use models::{FileStamp, ImportedModel, LoadMark, Quarantine};
pub use open::{DATABASE, Opened, Setup};
pub use pairs_votes::{Pair, VotedPair};
pub use profiles::ProfileEdit;
pub use readings::ReadingSet;
pub use samples::Added;
pub use snapshots::SNAPSHOTS_KEPT;

/// An open home. Cloning it is cheap and gives the same connection; usable from any thread.
#[derive(Clone)]
pub struct Store(Arc<StoreInner>);

struct StoreInner {
    db: Mutex<Connection>,
    home: PathBuf,
    // After `db`, so that the database is closed before the note of this opening goes.
    presence: presence::Presence,
    setup: Setup,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// The home folder, absolute.
    pub fn home(&self) -> &Path {
        &self.0.home
    }

    /// A number that grows whenever anything is stored, by whichever process. The cache and lease
    /// heartbeats do not count: nothing on a screen depends on them.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn revision(&self) -> Result<u64> {
        self.read(|tx| {
            Ok(tx
                .query_row("SELECT revision FROM meta", [], |row| row.get::<_, i64>(0))?
                .cast_unsigned())
        })
    }

    /// Whether another opening of this home is alive right now.
    ///
    /// # Errors
    /// `Io`.
    pub fn shared(&self) -> Result<bool> {
        match presence::Guard::take(&self.0.home, std::time::Duration::ZERO) {
            Ok(guard) => {
                let own = Some(self.0.presence.token());
                Ok(presence::others(&self.0.home, own, &guard)?.live > 0)
            }
            // Somebody is opening it this moment.
            Err(StoreError::Busy { .. }) => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Now, RFC 3339 in UTC with milliseconds, so that texts sort as times.
    fn timestamp(&self) -> String {
        format!("{:.3}", (self.0.setup.clock)())
    }

    /// `given`, or now where it is empty.
    fn timestamp_or(&self, given: &str) -> String {
        if given.is_empty() {
            self.timestamp()
        } else {
            given.to_owned()
        }
    }

    fn random(&self) -> Result<u64> {
        (self.0.setup.random)()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere rolled its transaction back; the connection is as good as before.
        self.0.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locate(&self, error: StoreError) -> StoreError {
        open::at_home(error, &self.0.home)
    }

    /// Reads a consistent state.
    fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut db = self.connection();
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Deferred)
            .map_err(|e| self.locate(e.into()))?;
        work(&tx).map_err(|e| self.locate(e))
    }

    /// Stores something a screen may show: all of it or nothing, and the revision moves on.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.write_unseen(|tx| {
            let out = work(tx)?;
            tx.execute("UPDATE meta SET revision = revision + 1", [])?;
            Ok(out)
        })
    }

    /// Stores something no screen shows, leaving the revision.
    fn write_unseen<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut db = self.connection();
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| self.locate(e.into()))?;
        // Dropping the transaction on the way out rolls it back.
        let out = work(&tx).map_err(|e| self.locate(e))?;
        tx.commit().map_err(|e| self.locate(e.into()))?;
        Ok(out)
    }
}
