//! Fresh ids, and the ids a person began to type.

use idiolect_core::ids::{AdapterId, DraftId, HypothesisId, PairId, ProfileId, RunId, SampleId};
use rusqlite::Transaction;

use crate::{
    Store,
    error::{Result, StoreError, Thing},
};

/// An id newtype with the table it is the key of.
pub(crate) trait Key: From<String> {
    const TABLE: &'static str;
    const PREFIX: &'static str;
    const THING: Thing;
    fn from_random(bits: u64) -> Self;
    fn text(&self) -> &str;
}

macro_rules! key {
    ($($id:ident, $table:literal, $thing:ident;)*) => {$(
        impl Key for $id {
            const TABLE: &'static str = $table;
            const PREFIX: &'static str = $id::PREFIX;
            const THING: Thing = Thing::$thing;
            fn from_random(bits: u64) -> Self {
                $id::from_random(bits)
            }
            fn text(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}

key! {
    ProfileId, "profiles", Profile;
    SampleId, "samples", Sample;
    HypothesisId, "hypotheses", Hypothesis;
    DraftId, "drafts", Draft;
    PairId, "pairs", Pair;
    AdapterId, "adapters", Adapter;
    RunId, "runs", Run;
}

/// How many matches an ambiguity lists.
const LISTED: usize = 5;

pub(crate) fn exists<I: Key>(tx: &Transaction<'_>, id: &I) -> Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE id = ?1)", I::TABLE);
    Ok(tx
        .prepare_cached(&sql)?
        .query_row([id.text()], |row| row.get(0))?)
}

/// `NotFound` unless the row is there.
pub(crate) fn require<I: Key>(tx: &Transaction<'_>, id: &I) -> Result<()> {
    if exists(tx, id)? {
        Ok(())
    } else {
        Err(StoreError::not_found(I::THING, id.text()))
    }
}

/// `NotFound` where a statement touched no row.
pub(crate) fn touched<I: Key>(rows: usize, id: &I) -> Result<()> {
    if rows > 0 {
        Ok(())
    } else {
        Err(StoreError::not_found(I::THING, id.text()))
    }
}

impl Store {
    /// `given`, or an id no row has yet where it is empty. Inside a write nobody else can take it.
    pub(crate) fn id_or_fresh<I: Key + Clone>(&self, tx: &Transaction<'_>, given: &I) -> Result<I> {
        if !given.text().is_empty() {
            return Ok(given.clone());
        }
        loop {
            let id = I::from_random(self.random()?);
            if !exists(tx, &id)? {
                return Ok(id);
            }
        }
    }

    /// An adapter id that is free now, for naming its files before its row is stored.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn fresh_adapter_id(&self) -> Result<AdapterId> {
        self.read(|tx| self.id_or_fresh(tx, &AdapterId::from("")))
    }

    /// The profile whose id begins like this.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`.
    pub fn resolve_profile(&self, beginning: &str) -> Result<ProfileId> {
        self.resolve(beginning)
    }

    /// The sample whose id begins like this.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`.
    pub fn resolve_sample(&self, beginning: &str) -> Result<SampleId> {
        self.resolve(beginning)
    }

    /// The hypothesis whose id begins like this.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`.
    pub fn resolve_hypothesis(&self, beginning: &str) -> Result<HypothesisId> {
        self.resolve(beginning)
    }

    /// The draft whose id begins like this.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`.
    pub fn resolve_draft(&self, beginning: &str) -> Result<DraftId> {
        self.resolve(beginning)
    }

    /// The pair whose id begins like this.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`.
    pub fn resolve_pair(&self, beginning: &str) -> Result<PairId> {
        self.resolve(beginning)
    }

    /// The adapter whose id begins like this.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`.
    pub fn resolve_adapter(&self, beginning: &str) -> Result<AdapterId> {
        self.resolve(beginning)
    }

    /// The run whose id begins like this.
    ///
    /// # Errors
    /// `NotFound`, `Ambiguous`.
    pub fn resolve_run(&self, beginning: &str) -> Result<RunId> {
        self.resolve(beginning)
    }

    /// Takes the beginning of an id with or without its prefix: `s-3f9`, `3f9`.
    fn resolve<I: Key>(&self, beginning: &str) -> Result<I> {
        let typed = beginning.trim();
        let digits = typed.strip_prefix(I::PREFIX).unwrap_or(typed);
        if digits.is_empty() {
            return Err(StoreError::not_found(I::THING, beginning));
        }
        let full = format!("{}{}", I::PREFIX, digits.to_ascii_lowercase());
        let sql = format!(
            "SELECT id FROM {} WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id",
            I::TABLE
        );
        let mut matches: Vec<String> = self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map([&full], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        match matches.len() {
            0 => Err(StoreError::not_found(I::THING, beginning)),
            1 => Ok(matches.remove(0).into()),
            count => {
                matches.truncate(LISTED);
                Err(StoreError::Ambiguous {
                    thing: I::THING,
                    count,
                    prefix: beginning.to_owned(),
                    matches,
                })
            }
        }
    }
}
