//! Finished rows of evaluations, reused only for the same build, model, data, seed and flags.

use std::collections::BTreeMap;

use rusqlite::{ToSql, params};
use serde_json::Value;

use crate::{Store, error::Result, value::Json};

/// What a row is valid for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EvalKey {
    /// Name of the evaluation.
    pub eval: String,
    /// Hash or version of the program.
    pub build: String,
    /// Model id or hash.
    pub model: String,
    /// Hash of the data read.
    pub data_sha256: String,
    /// Seed.
    pub seed: u64,
    /// Everything else that changes a row, in a fixed spelling.
    pub flags: String,
}

const MATCHES: &str =
    "eval = ?1 AND build = ?2 AND model = ?3 AND data_sha256 = ?4 AND seed = ?5 AND flags = ?6";

impl EvalKey {
    fn params(&self) -> [Box<dyn ToSql + '_>; 6] {
        [
            Box::new(&self.eval),
            Box::new(&self.build),
            Box::new(&self.model),
            Box::new(&self.data_sha256),
            Box::new(self.seed.cast_signed()),
            Box::new(&self.flags),
        ]
    }
}

impl Store {
    /// The finished rows under a key, by item.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a read.
    pub fn eval_rows(&self, key: &EvalKey) -> Result<BTreeMap<String, Value>> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&format!(
                "SELECT item, value FROM eval_rows WHERE {MATCHES}"
            ))?;
            let rows = statement.query_map(rusqlite::params_from_iter(key.params()), |row| {
                Ok((row.get(0)?, row.get::<_, Json<Value>>(1)?.0))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Stores a finished row, replacing one of the same item.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn put_eval_row(&self, key: &EvalKey, item: &str, value: &Value) -> Result<()> {
        self.write_unseen(|tx| {
            tx.prepare_cached(
                "INSERT INTO eval_rows (eval, build, model, data_sha256, seed, flags, item, value, finished_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT DO UPDATE SET value = excluded.value, finished_at = excluded.finished_at",
            )?
            .execute(params![
                key.eval,
                key.build,
                key.model,
                key.data_sha256,
                key.seed.cast_signed(),
                key.flags,
                item,
                Json(value),
                self.timestamp(),
            ])?;
            Ok(())
        })
    }

    /// Forgets the rows under a key; says how many there were.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn clear_eval_rows(&self, key: &EvalKey) -> Result<usize> {
        self.write_unseen(|tx| {
            Ok(tx.execute(
                &format!("DELETE FROM eval_rows WHERE {MATCHES}"),
                rusqlite::params_from_iter(key.params()),
            )?)
        })
    }
}
