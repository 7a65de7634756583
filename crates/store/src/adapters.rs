//! Adapters: trained voices. Their weights are files beside the database, which the caller owns.

use idiolect_core::{
    adapter::Adapter,
    ids::{AdapterId, ProfileId, RunId, SampleId},
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::{
    Store,
    error::{Result, StoreError, Thing},
    ids::{require, touched},
    lineage::Derived,
    pairs_votes,
};

const SELECT: &str = "SELECT a.*, (SELECT count(*) FROM adapter_samples l WHERE l.adapter = a.id
    AND l.sample NOT IN (SELECT id FROM samples)) AS samples_gone FROM adapters a";

/// Everything but the samples, which are rows of their own.
fn from_row(row: &Row<'_>) -> rusqlite::Result<Adapter> {
    Ok(Adapter {
        id: AdapterId(row.get("id")?),
        profile: ProfileId(row.get("profile")?),
        name: row.get("name")?,
        model: row.get("model")?,
        model_sha256: row.get("model_sha256")?,
        run: RunId(row.get("run")?),
        samples: Vec::new(),
        samples_gone: row.get("samples_gone")?,
        rank: row.get("rank")?,
        alpha: row.get("alpha")?,
        base_held_out: row.get("base_held_out")?,
        own_held_out: row.get("own_held_out")?,
        bytes: row.get::<_, i64>("bytes")?.cast_unsigned(),
        created_at: row.get("created_at")?,
    })
}

fn complete(tx: &Transaction<'_>, mut adapter: Adapter) -> Result<Adapter> {
    let mut statement = tx.prepare_cached(
        "SELECT sample FROM adapter_samples WHERE adapter = ?1 ORDER BY position",
    )?;
    adapter.samples = statement
        .query_map([adapter.id.as_str()], |row| Ok(SampleId(row.get(0)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(adapter)
}

fn get(tx: &Transaction<'_>, id: &AdapterId) -> Result<Adapter> {
    let adapter = tx
        .prepare_cached(&format!("{SELECT} WHERE a.id = ?1"))?
        .query_row([id.as_str()], from_row)
        .optional()?
        .ok_or_else(|| StoreError::not_found(Thing::Adapter, id.as_str()))?;
    complete(tx, adapter)
}

impl Store {
    /// Stores an adapter whose files are complete on disk. An empty `id` or `created_at` is filled
    /// in; `samples_gone` is counted, not stored.
    ///
    /// # Errors
    /// `NotFound` for the profile or run; `Duplicate` where the run already made one.
    pub fn insert_adapter(&self, adapter: &Adapter) -> Result<Adapter> {
        self.write(|tx| {
            require(tx, &adapter.profile)?;
            require(tx, &adapter.run)?;
            let id = self.id_or_fresh(tx, &adapter.id)?;
            tx.prepare_cached(
                "INSERT INTO adapters (id, profile, run, name, model, model_sha256, rank, alpha, base_held_out, own_held_out,
                 bytes, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                id.as_str(),
                adapter.profile.as_str(),
                adapter.run.as_str(),
                adapter.name,
                adapter.model,
                adapter.model_sha256,
                adapter.rank,
                adapter.alpha,
                adapter.base_held_out,
                adapter.own_held_out,
                adapter.bytes.cast_signed(),
                self.timestamp_or(&adapter.created_at),
            ])
            .map_err(|e| StoreError::from(e).duplicate_of(Thing::Adapter))?;
            let mut link = tx.prepare_cached(
                "INSERT INTO adapter_samples (adapter, position, sample) VALUES (?1, ?2, ?3)",
            )?;
            for (position, sample) in (0u32..).zip(&adapter.samples) {
                link.execute(params![id.as_str(), position, sample.as_str()])?;
            }
            get(tx, &id)
        })
    }

    /// A profile's adapters, newest first.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn adapters(&self, profile: &ProfileId) -> Result<Vec<Adapter>> {
        self.read(|tx| {
            require(tx, profile)?;
            let mut statement = tx.prepare_cached(&format!(
                "{SELECT} WHERE a.profile = ?1 ORDER BY a.created_at DESC, a.row DESC"
            ))?;
            let adapters: Vec<Adapter> = statement
                .query_map([profile.as_str()], from_row)?
                .collect::<rusqlite::Result<_>>()?;
            adapters.into_iter().map(|a| complete(tx, a)).collect()
        })
    }

    /// One adapter.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn adapter(&self, id: &AdapterId) -> Result<Adapter> {
        self.read(|tx| get(tx, id))
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn rename_adapter(&self, id: &AdapterId, name: &str) -> Result<Adapter> {
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE adapters SET name = ?2 WHERE id = ?1",
                params![id.as_str(), name],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Deletes an adapter's row, after a snapshot, and its re-test pairs that nobody voted on.
    /// Drafts and votes made with it stay and are named in the answer. Its files are the caller's to remove.
    ///
    /// # Errors
    /// `NotFound`; `DiskFull` where the snapshot does not fit (nothing is deleted then).
    pub fn delete_adapter(&self, id: &AdapterId) -> Result<Derived> {
        self.read(|tx| require(tx, id))?;
        self.snapshot("delete adapter")?;
        self.write(|tx| {
            let derived = Derived::of_adapter(tx, id)?;
            pairs_votes::drop_waiting(tx, id)?;
            touched(
                tx.execute("DELETE FROM adapters WHERE id = ?1", [id.as_str()])?,
                id,
            )?;
            Ok(derived)
        })
    }
}
