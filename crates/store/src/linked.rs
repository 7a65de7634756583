//! Lineage lists: what a run or an adapter learned from, in order. The names outlive what they name.

use rusqlite::{Transaction, params};

use crate::error::Result;

/// One table `(owner, position, item)`.
pub(crate) struct Linked {
    table: &'static str,
    owner: &'static str,
    item: &'static str,
}

const fn linked(table: &'static str, owner: &'static str, item: &'static str) -> Linked {
    Linked { table, owner, item }
}

pub(crate) const RUN_SAMPLES: Linked = linked("run_samples", "run", "sample");
pub(crate) const RUN_VOTES: Linked = linked("run_votes", "run", "pair");
pub(crate) const RUN_DRAFTS: Linked = linked("run_drafts", "run", "draft");
pub(crate) const ADAPTER_SAMPLES: Linked = linked("adapter_samples", "adapter", "sample");
pub(crate) const ADAPTER_VOTES: Linked = linked("adapter_votes", "adapter", "pair");
pub(crate) const ADAPTER_DRAFTS: Linked = linked("adapter_drafts", "adapter", "draft");
pub(crate) const ADAPTER_PARENTS: Linked = linked("adapter_parents", "adapter", "parent");

impl Linked {
    /// The list of `owner`.
    pub(crate) fn of<T: From<String>>(&self, tx: &Transaction<'_>, owner: &str) -> Result<Vec<T>> {
        let Self {
            table,
            owner: key,
            item,
        } = self;
        let mut statement = tx.prepare_cached(&format!(
            "SELECT {item} FROM {table} WHERE {key} = ?1 ORDER BY position"
        ))?;
        let rows = statement.query_map([owner], |row| Ok(T::from(row.get::<_, String>(0)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Stores the list of an `owner` that has none yet.
    pub(crate) fn put<T: std::fmt::Display>(
        &self,
        tx: &Transaction<'_>,
        owner: &str,
        items: &[T],
    ) -> Result<()> {
        let Self {
            table,
            owner: key,
            item,
        } = self;
        let mut statement = tx.prepare_cached(&format!(
            "INSERT INTO {table} ({key}, position, {item}) VALUES (?1, ?2, ?3)"
        ))?;
        for (position, item) in (0u32..).zip(items) {
            statement.execute(params![owner, position, item.to_string()])?;
        }
        Ok(())
    }
}
