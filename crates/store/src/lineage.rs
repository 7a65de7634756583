//! Lineage: what was derived from a sample, a draft, an adapter or a whole profile.

use idiolect_core::{
    fingerprint::Span,
    ids::{AdapterId, DraftId, HypothesisId, ProfileId, RunId, SampleId},
    reading::Evidence,
};
use rusqlite::{Transaction, params};

use crate::{Store, error::Result, ids::require, value::Json};

/// What depends on something, before it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derived {
    /// Samples (of a profile).
    pub samples: Vec<SampleId>,
    /// Drafts: whose prompt quoted the sample, or that the adapter spoke in.
    pub drafts: Vec<DraftId>,
    /// Runs that learned from it.
    pub runs: Vec<RunId>,
    /// Adapters that learned from it, or from an adapter or a draft that did.
    pub adapters: Vec<AdapterId>,
    /// Ids of dimensions whose evidence quotes it.
    pub readings: Vec<String>,
    /// Hypotheses whose evidence quotes it.
    pub hypotheses: Vec<HypothesisId>,
    /// Blind pairs.
    pub pairs: u32,
    /// Votes.
    pub votes: u32,
}

fn ids<T: From<String>>(tx: &Transaction<'_>, sql: &str, key: &str) -> Result<Vec<T>> {
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([key], |row| Ok(T::from(row.get::<_, String>(0)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn count(tx: &Transaction<'_>, sql: &str, key: &str) -> Result<u32> {
    Ok(tx.prepare_cached(sql)?.query_row([key], |row| row.get(0))?)
}

/// Adapters that `from` selects, and all that were made from those.
fn descendants(from: &str) -> String {
    format!(
        "WITH RECURSIVE touched (adapter) AS ({from} UNION
         SELECT p.adapter FROM adapter_parents p JOIN touched t ON p.parent = t.adapter)
         SELECT adapter FROM touched ORDER BY adapter"
    )
}

impl Derived {
    /// Whether nothing depends on it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn of_sample(tx: &Transaction<'_>, id: &SampleId) -> Result<Self> {
        let key = id.as_str();
        Ok(Self {
            drafts: ids(
                tx,
                "SELECT draft FROM draft_samples WHERE sample = ?1 ORDER BY draft",
                key,
            )?,
            runs: ids(
                tx,
                "SELECT DISTINCT run FROM run_samples WHERE sample = ?1 ORDER BY run",
                key,
            )?,
            adapters: ids(
                tx,
                &descendants(
                    "SELECT adapter FROM adapter_samples WHERE sample = ?1 UNION
                     SELECT l.adapter FROM adapter_drafts l JOIN draft_samples d ON d.draft = l.draft WHERE d.sample = ?1",
                ),
                key,
            )?,
            readings: ids(
                tx,
                "SELECT r.dimension FROM readings r JOIN samples s ON s.profile = r.profile WHERE s.id = ?1 AND EXISTS
                 (SELECT 1 FROM json_each(r.evidence) e WHERE e.value ->> '$.span.sample' = ?1) ORDER BY r.position",
                key,
            )?,
            hypotheses: ids(
                tx,
                "SELECT h.id FROM hypotheses h JOIN samples s ON s.profile = h.profile WHERE s.id = ?1 AND EXISTS
                 (SELECT 1 FROM json_each(h.evidence) e WHERE e.value ->> '$.sample' = ?1) ORDER BY h.position",
                key,
            )?,
            ..Self::default()
        })
    }

    pub(crate) fn of_draft(tx: &Transaction<'_>, id: &DraftId) -> Result<Self> {
        let key = id.as_str();
        Ok(Self {
            runs: ids(
                tx,
                "SELECT DISTINCT run FROM run_drafts WHERE draft = ?1 ORDER BY run",
                key,
            )?,
            adapters: ids(
                tx,
                &descendants("SELECT adapter FROM adapter_drafts WHERE draft = ?1"),
                key,
            )?,
            pairs: count(
                tx,
                "SELECT count(*) FROM pairs WHERE ?1 IN (left_draft, right_draft)",
                key,
            )?,
            votes: count(
                tx,
                "SELECT count(*) FROM votes v JOIN pairs p ON p.id = v.pair WHERE ?1 IN (left_draft, right_draft)",
                key,
            )?,
            ..Self::default()
        })
    }

    pub(crate) fn of_adapter(tx: &Transaction<'_>, id: &AdapterId) -> Result<Self> {
        let key = id.as_str();
        Ok(Self {
            drafts: ids(
                tx,
                "SELECT id FROM drafts WHERE adapter = ?1 OR EXISTS
                 (SELECT 1 FROM json_each(other_adapters) e WHERE e.value ->> '$.id' = ?1) ORDER BY row",
                key,
            )?,
            adapters: ids(
                tx,
                &descendants("SELECT adapter FROM adapter_parents WHERE parent = ?1"),
                key,
            )?,
            pairs: count(tx, "SELECT count(*) FROM pairs WHERE ?1 IN (adapter, against)", key)?,
            votes: count(
                tx,
                "SELECT count(*) FROM votes v JOIN pairs p ON p.id = v.pair WHERE ?1 IN (p.adapter, p.against)",
                key,
            )?,
            ..Self::default()
        })
    }

    pub(crate) fn of_profile(tx: &Transaction<'_>, id: &ProfileId) -> Result<Self> {
        let key = id.as_str();
        Ok(Self {
            samples: ids(
                tx,
                "SELECT id FROM samples WHERE profile = ?1 ORDER BY row",
                key,
            )?,
            drafts: ids(
                tx,
                "SELECT id FROM drafts WHERE profile = ?1 ORDER BY row",
                key,
            )?,
            runs: ids(
                tx,
                "SELECT id FROM runs WHERE profile = ?1 ORDER BY row",
                key,
            )?,
            adapters: ids(
                tx,
                "SELECT id FROM adapters WHERE profile = ?1 ORDER BY row",
                key,
            )?,
            readings: ids(
                tx,
                "SELECT dimension FROM readings WHERE profile = ?1 ORDER BY position",
                key,
            )?,
            hypotheses: ids(
                tx,
                "SELECT id FROM hypotheses WHERE profile = ?1 ORDER BY position",
                key,
            )?,
            pairs: count(tx, "SELECT count(*) FROM pairs WHERE profile = ?1", key)?,
            votes: count(
                tx,
                "SELECT count(*) FROM votes v JOIN pairs p ON p.id = v.pair WHERE p.profile = ?1",
                key,
            )?,
        })
    }
}

/// Takes a sample's words out of the evidence that quotes them.
pub(crate) fn drop_spans_of(
    tx: &Transaction<'_>,
    profile: &ProfileId,
    sample: &SampleId,
) -> Result<()> {
    let derived = Derived::of_sample(tx, sample)?;
    for dimension in &derived.readings {
        let key = params![profile.as_str(), dimension];
        let Json(mut evidence) = tx.query_row(
            "SELECT evidence FROM readings WHERE profile = ?1 AND dimension = ?2",
            key,
            |row| row.get::<_, Json<Vec<Evidence>>>(0),
        )?;
        evidence.retain(|e| e.span.sample != *sample);
        tx.execute(
            "UPDATE readings SET evidence = ?3 WHERE profile = ?1 AND dimension = ?2",
            params![profile.as_str(), dimension, Json(&evidence)],
        )?;
    }
    for id in &derived.hypotheses {
        let Json(mut evidence) = tx.query_row(
            "SELECT evidence FROM hypotheses WHERE id = ?1",
            [id.as_str()],
            |row| row.get::<_, Json<Vec<Span>>>(0),
        )?;
        evidence.retain(|span| span.sample != *sample);
        tx.execute(
            "UPDATE hypotheses SET evidence = ?2 WHERE id = ?1",
            params![id.as_str(), Json(&evidence)],
        )?;
    }
    Ok(())
}

impl Store {
    /// What was derived from a sample, without deleting anything.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn derived_from_sample(&self, id: &SampleId) -> Result<Derived> {
        self.read(|tx| {
            require(tx, id)?;
            Derived::of_sample(tx, id)
        })
    }

    /// What was made with an adapter, without deleting anything.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn derived_from_adapter(&self, id: &AdapterId) -> Result<Derived> {
        self.read(|tx| {
            require(tx, id)?;
            Derived::of_adapter(tx, id)
        })
    }

    /// Everything a profile holds, without deleting anything.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn derived_from_profile(&self, id: &ProfileId) -> Result<Derived> {
        self.read(|tx| {
            require(tx, id)?;
            Derived::of_profile(tx, id)
        })
    }
}
