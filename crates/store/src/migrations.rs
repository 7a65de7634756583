//! The database's shape through time: append-only steps, counted in `user_version`.
//!
//! A shipped step never changes (a test pins the hash of each); a change of shape is a new step.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::Result;

/// One step; its version is its position, from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// What it brings, for the snapshot taken before it.
    pub name: &'static str,
    /// Statements, run in one transaction.
    pub sql: &'static str,
    /// It takes away what should not be kept, so every older snapshot gets it too (and stays at its own version).
    /// Its statements may be run twice and fit every earlier shape.
    pub in_snapshots: bool,
}

/// All steps, oldest first.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "first",
        sql: include_str!("migrations/0001_first.sql"),
        in_snapshots: false,
    },
    Migration {
        name: "others' words",
        sql: include_str!("migrations/0002_others_words.sql"),
        in_snapshots: true,
    },
    Migration {
        name: "align",
        sql: include_str!("migrations/0003_align.sql"),
        in_snapshots: false,
    },
    Migration {
        name: "trials",
        sql: include_str!("migrations/0004_trials.sql"),
        in_snapshots: false,
    },
];

/// "IDLT" in `application_id`: tells our database from any other SQLite file.
pub(crate) const APPLICATION_ID: i32 = 0x4944_4c54;

/// The version a database is at; 0 for an empty one.
pub(crate) fn version(db: &Connection) -> Result<u32> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings the database from its version to the newest of `steps`, each step in a transaction of its own.
///
/// # Errors
/// Whatever SQLite says; the step that failed left nothing behind.
pub(crate) fn migrate(db: &mut Connection, steps: &[Migration]) -> Result<()> {
    let from = version(db)?;
    for (version, step) in (1u32..).zip(steps).skip(from as usize) {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step.sql)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", version)?;
        tx.commit()?;
    }
    Ok(())
}
