//! Adapters: trained voices. Their weights are files beside the database, which the caller owns.

use idiolect_core::{
    adapter::{Adapter, AdapterReport},
    ids::{AdapterId, ProfileId, RunId},
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::{
    Store,
    error::{Result, StoreError, Thing},
    ids::{require, touched},
    lineage::Derived,
    linked, pairs_votes,
    value::{Json, Word},
};

const SELECT: &str = "SELECT a.*, (SELECT count(*) FROM adapter_samples l WHERE l.adapter = a.id
    AND l.sample NOT IN (SELECT id FROM samples)) AS samples_gone,
    (SELECT count(*) FROM adapter_votes l WHERE l.adapter = a.id AND l.pair NOT IN (SELECT pair FROM votes)) AS votes_gone,
    (SELECT count(*) FROM adapter_drafts l WHERE l.adapter = a.id AND l.draft NOT IN (SELECT id FROM drafts)) AS drafts_gone
    FROM adapters a";

/// Everything but the samples, which are rows of their own.
fn from_row(row: &Row<'_>) -> rusqlite::Result<Adapter> {
    Ok(Adapter {
        id: AdapterId(row.get("id")?),
        profile: ProfileId(row.get("profile")?),
        name: row.get("name")?,
        model: row.get("model")?,
        model_sha256: row.get("model_sha256")?,
        run: row.get::<_, Option<String>>("run")?.map(RunId),
        objective: row
            .get::<_, Option<Word<_>>>("objective")?
            .map(|word| word.0),
        method: row.get::<_, Word<_>>("method")?.0,
        samples: Vec::new(),
        samples_gone: row.get("samples_gone")?,
        votes: Vec::new(),
        votes_gone: row.get("votes_gone")?,
        drafts: Vec::new(),
        drafts_gone: row.get("drafts_gone")?,
        parents: Vec::new(),
        imported: row.get("imported")?,
        retired_at: row.get("retired_at")?,
        report: row
            .get::<_, Option<Json<AdapterReport>>>("report")?
            .map(|json| json.0),
        rank: row.get("rank")?,
        alpha: row.get("alpha")?,
        base_held_out: row.get("base_held_out")?,
        own_held_out: row.get("own_held_out")?,
        bytes: row.get::<_, i64>("bytes")?.cast_unsigned(),
        created_at: row.get("created_at")?,
    })
}

fn complete(tx: &Transaction<'_>, mut adapter: Adapter) -> Result<Adapter> {
    let id = adapter.id.as_str();
    adapter.samples = linked::ADAPTER_SAMPLES.of(tx, id)?;
    adapter.votes = linked::ADAPTER_VOTES.of(tx, id)?;
    adapter.drafts = linked::ADAPTER_DRAFTS.of(tx, id)?;
    adapter.parents = linked::ADAPTER_PARENTS.of(tx, id)?;
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
    /// in; what is gone of its lineage is counted, not stored.
    ///
    /// # Errors
    /// `NotFound` for the profile or run; `Duplicate` where the run already made one.
    pub fn insert_adapter(&self, adapter: &Adapter) -> Result<Adapter> {
        self.write(|tx| {
            require(tx, &adapter.profile)?;
            if let Some(run) = &adapter.run {
                require(tx, run)?;
            }
            let id = self.id_or_fresh(tx, &adapter.id)?;
            tx.prepare_cached(
                "INSERT INTO adapters (id, profile, run, name, model, model_sha256, rank, alpha, base_held_out, own_held_out,
                 bytes, created_at, objective, method, imported, retired_at, report)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            )?
            .execute(params![
                id.as_str(),
                adapter.profile.as_str(),
                adapter.run.as_ref().map(RunId::as_str),
                adapter.name,
                adapter.model,
                adapter.model_sha256,
                adapter.rank,
                adapter.alpha,
                adapter.base_held_out,
                adapter.own_held_out,
                adapter.bytes.cast_signed(),
                self.timestamp_or(&adapter.created_at),
                adapter.objective.as_ref().map(Word),
                Word(&adapter.method),
                adapter.imported,
                adapter.retired_at,
                adapter.report.as_ref().map(Json),
            ])
            .map_err(|e| StoreError::from(e).duplicate_of(Thing::Adapter))?;
            linked::ADAPTER_SAMPLES.put(tx, id.as_str(), &adapter.samples)?;
            linked::ADAPTER_VOTES.put(tx, id.as_str(), &adapter.votes)?;
            linked::ADAPTER_DRAFTS.put(tx, id.as_str(), &adapter.drafts)?;
            linked::ADAPTER_PARENTS.put(tx, id.as_str(), &adapter.parents)?;
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

    /// Puts it away, or takes it back: a retired one is kept and not proposed any more.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn retire_adapter(&self, id: &AdapterId, retired: bool) -> Result<Adapter> {
        self.write(|tx| {
            let at = retired.then(|| self.timestamp());
            let rows = tx.execute(
                "UPDATE adapters SET retired_at = CASE WHEN ?2 IS NULL THEN NULL ELSE coalesce(retired_at, ?2) END
                 WHERE id = ?1",
                params![id.as_str(), at],
            )?;
            touched(rows, id)?;
            get(tx, id)
        })
    }

    /// Stores how it did on held-out texts, in the place of an earlier report. An empty `measured_at` is filled in.
    ///
    /// # Errors
    /// `NotFound`; a number that is not finite.
    pub fn set_adapter_report(&self, id: &AdapterId, report: &AdapterReport) -> Result<Adapter> {
        let report = &AdapterReport {
            measured_at: self.timestamp_or(&report.measured_at),
            ..report.clone()
        };
        self.write(|tx| {
            let rows = tx.execute(
                "UPDATE adapters SET report = ?2 WHERE id = ?1",
                params![id.as_str(), Json(report)],
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
