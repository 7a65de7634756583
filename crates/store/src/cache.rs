//! Results of inference by item, so that a text is never read twice by the same model with the same prompt.

use rusqlite::{OptionalExtension, params};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Store, error::Result};

/// What a cached result is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey {
    /// What was computed: `poles`, `embedding`, …
    pub kind: String,
    /// Model id or hash.
    pub model: String,
    /// Version of the prompt or code that computed it.
    pub version: String,
    /// Hash of the text it is about; never the text.
    pub item: String,
}

impl Store {
    /// The cached bytes; `None` where there are none.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a read.
    pub fn cached(&self, key: &CacheKey) -> Result<Option<Vec<u8>>> {
        self.read(|tx| {
            Ok(tx
                .prepare_cached(
                    "SELECT value FROM cache WHERE kind = ?1 AND model = ?2 AND version = ?3 AND item = ?4",
                )?
                .query_row(params![key.kind, key.model, key.version, key.item], |row| row.get(0))
                .optional()?)
        })
    }

    /// Stores one result, replacing what was there.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn cache(&self, key: &CacheKey, value: &[u8]) -> Result<()> {
        self.cache_all([(key, value)])
    }

    /// Stores many results in one transaction, which costs one wait for the disk.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn cache_all<'a>(
        &self,
        entries: impl IntoIterator<Item = (&'a CacheKey, &'a [u8])>,
    ) -> Result<()> {
        self.write_unseen(|tx| {
            let now = self.timestamp();
            let mut insert = tx.prepare_cached(
                "INSERT INTO cache (kind, model, version, item, value, made_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET value = excluded.value, made_at = excluded.made_at",
            )?;
            for (key, value) in entries {
                insert.execute(params![key.kind, key.model, key.version, key.item, value, now])?;
            }
            Ok(())
        })
    }

    /// The cached value; `None` where there is none or it has another shape (then it is computed anew).
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a read.
    pub fn cached_json<T: DeserializeOwned>(&self, key: &CacheKey) -> Result<Option<T>> {
        Ok(self
            .cached(key)?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Stores one value as JSON. A value with a number that is not finite reads back as `None`.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn cache_json<T: Serialize>(&self, key: &CacheKey, value: &T) -> Result<()> {
        let bytes = serde_json::to_vec(value).map_err(|e| crate::StoreError::Internal {
            detail: format!("a result cannot be written as JSON ({:?})", e.classify()),
        })?;
        self.cache(key, &bytes)
    }

    /// Forgets results of one kind, or all; says how many there were.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn clear_cache(&self, kind: Option<&str>) -> Result<usize> {
        self.write_unseen(|tx| {
            Ok(tx.execute("DELETE FROM cache WHERE ?1 IS NULL OR kind = ?1", [kind])?)
        })
    }

    /// Forgets the oldest results until the rest holds at most `bytes` of values; says how many went.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn shrink_cache(&self, bytes: u64) -> Result<usize> {
        self.write_unseen(|tx| {
            Ok(tx.execute(
                "DELETE FROM cache WHERE rowid IN (SELECT rowid FROM (SELECT rowid,
                 sum(length(value)) OVER (ORDER BY made_at DESC, rowid DESC) AS kept FROM cache) WHERE kept > ?1)",
                [i64::try_from(bytes).unwrap_or(i64::MAX)],
            )?)
        })
    }
}
