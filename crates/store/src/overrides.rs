//! What the person set about a dimension: a score of their own, the object it speaks of.

use std::collections::BTreeMap;

use idiolect_core::ids::ProfileId;
use rusqlite::{ToSql, params, types::FromSql};

use crate::{
    Store,
    error::{Result, StoreError},
    ids::require,
};

impl Store {
    /// Sets a dimension, −1 … +1, before whatever is inferred.
    ///
    /// # Errors
    /// `NotFound`; `Internal` where the score is out of range (the caller checks what was typed).
    pub fn set_override(&self, profile: &ProfileId, dimension: &str, score: f64) -> Result<()> {
        if !(-1.0..=1.0).contains(&score) {
            return Err(StoreError::Internal {
                detail: "a dimension was set outside −1 … +1".to_owned(),
            });
        }
        self.write(|tx| {
            require(tx, profile)?;
            tx.execute(
                "INSERT INTO overrides (profile, dimension, score, set_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET score = excluded.score, set_at = excluded.set_at",
                params![profile.as_str(), dimension, score, self.timestamp()],
            )?;
            Ok(())
        })
    }

    /// Forgets the person's score; says whether there was one.
    ///
    /// # Errors
    /// `NotFound` for the profile.
    pub fn clear_override(&self, profile: &ProfileId, dimension: &str) -> Result<bool> {
        self.forget(profile, dimension, "overrides")
    }

    /// The person's scores by dimension id.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn overrides(&self, profile: &ProfileId) -> Result<BTreeMap<String, f64>> {
        self.by_dimension(
            profile,
            "SELECT dimension, score FROM overrides WHERE profile = ?1",
        )
    }

    /// Says what a dimension is about ("spicy food").
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_object(&self, profile: &ProfileId, dimension: &str, object: &str) -> Result<()> {
        self.write(|tx| {
            require(tx, profile)?;
            tx.execute(
                "INSERT INTO objects (profile, dimension, object) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET object = excluded.object",
                params![profile.as_str(), dimension, object],
            )?;
            Ok(())
        })
    }

    /// Forgets what a dimension is about; says whether it was set.
    ///
    /// # Errors
    /// `NotFound` for the profile.
    pub fn clear_object(&self, profile: &ProfileId, dimension: &str) -> Result<bool> {
        self.forget(profile, dimension, "objects")
    }

    /// What dimensions are about, by dimension id.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn objects(&self, profile: &ProfileId) -> Result<BTreeMap<String, String>> {
        self.by_dimension(
            profile,
            "SELECT dimension, object FROM objects WHERE profile = ?1",
        )
    }

    fn forget(&self, profile: &ProfileId, dimension: &str, table: &'static str) -> Result<bool> {
        self.write(|tx| {
            require(tx, profile)?;
            let sql = format!("DELETE FROM {table} WHERE profile = ?1 AND dimension = ?2");
            Ok(tx.execute(&sql, params![profile.as_str(), dimension])? > 0)
        })
    }

    fn by_dimension<T: FromSql + ToSql>(
        &self,
        profile: &ProfileId,
        sql: &'static str,
    ) -> Result<BTreeMap<String, T>> {
        self.read(|tx| {
            require(tx, profile)?;
            let mut statement = tx.prepare_cached(sql)?;
            let rows =
                statement.query_map([profile.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}
