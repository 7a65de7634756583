//! Samples: the person's texts. The same text is never stored twice in a profile.

use idiolect_core::{
    ids::{ProfileId, SampleId},
    sample::Sample,
};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use sha2::{Digest, Sha256};

use crate::{
    Store,
    error::{Result, StoreError, Thing},
    ids::{require, touched},
    lineage::{self, Derived},
    search,
    value::{Json, Word},
};

/// What an import stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Added {
    /// As stored, with ids.
    pub samples: Vec<Sample>,
    /// Texts that were already there, word for word.
    pub duplicates: u32,
}

const COLUMNS: &str = "s.id, s.profile, s.kind, s.title, s.text, s.prompt, s.words, s.language, s.written_at, s.added_at, s.removed, s.note";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Sample> {
    Ok(Sample {
        id: SampleId(row.get("id")?),
        profile: ProfileId(row.get("profile")?),
        kind: row.get::<_, Word<_>>("kind")?.0,
        title: row.get("title")?,
        text: row.get("text")?,
        prompt: row.get("prompt")?,
        words: row.get("words")?,
        language: row.get("language")?,
        written_at: row.get("written_at")?,
        added_at: row.get("added_at")?,
        removed: row.get::<_, Json<_>>("removed")?.0,
        note: row.get("note")?,
    })
}

fn get(tx: &Transaction<'_>, id: &SampleId) -> Result<Sample> {
    tx.prepare_cached(&format!("SELECT {COLUMNS} FROM samples s WHERE s.id = ?1"))?
        .query_row([id.as_str()], from_row)
        .optional()?
        .ok_or_else(|| StoreError::not_found(Thing::Sample, id.as_str()))
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Readings made before this are stale from now on.
fn samples_changed(tx: &Transaction<'_>, profile: &ProfileId) -> Result<()> {
    tx.execute(
        "UPDATE profiles SET samples_revision = samples_revision + 1 WHERE id = ?1",
        [profile.as_str()],
    )?;
    Ok(())
}

impl Store {
    /// Stores a text. An empty `id` or `added_at` is filled in.
    ///
    /// # Errors
    /// `Duplicate` where the profile has this very text; `NotFound` for the profile.
    pub fn insert_sample(&self, sample: &Sample) -> Result<Sample> {
        self.write(|tx| {
            require(tx, &sample.profile)?;
            let stored = self.insert_one(tx, sample)?;
            samples_changed(tx, &sample.profile)?;
            Ok(stored)
        })
    }

    /// Stores what an import brought, all or nothing, skipping texts that are already there.
    ///
    /// # Errors
    /// `NotFound` for a profile.
    pub fn insert_samples(&self, samples: &[Sample]) -> Result<Added> {
        self.write(|tx| {
            let mut added = Added::default();
            for sample in samples {
                require(tx, &sample.profile)?;
                match self.insert_one(tx, sample) {
                    Ok(stored) => {
                        samples_changed(tx, &sample.profile)?;
                        added.samples.push(stored);
                    }
                    Err(StoreError::Duplicate { .. }) => added.duplicates += 1,
                    Err(e) => return Err(e),
                }
            }
            Ok(added)
        })
    }

    /// Stores what comes one text after another, all or nothing, skipping texts that are already there; holds no more
    /// than one of them. `stored` sees each as it is stored, with its id. Says how many were already there.
    ///
    /// # Errors
    /// `NotFound` for the profile, and the first error that comes instead of a text; nothing is stored then.
    pub fn insert_stream<E: From<StoreError>>(
        &self,
        profile: &ProfileId,
        texts: impl Iterator<Item = Result<Sample, E>>,
        mut stored: impl FnMut(Sample),
    ) -> Result<u32, E> {
        let mut duplicates = 0;
        // What came instead of a text, on its way out of the transaction.
        let mut broken = None;
        let done = self.write(|tx| {
            require(tx, profile)?;
            for text in texts {
                match text.map(|sample| self.insert_one(tx, &sample)) {
                    Ok(Ok(sample)) => stored(sample),
                    Ok(Err(StoreError::Duplicate { .. })) => duplicates += 1,
                    Ok(Err(e)) => return Err(e),
                    Err(e) => {
                        broken = Some(e);
                        return Err(StoreError::Internal {
                            detail: "the import was broken off".to_owned(),
                        });
                    }
                }
            }
            samples_changed(tx, profile)
        });
        match (broken, done) {
            (Some(e), _) => Err(e),
            (None, done) => Ok(done.map(|()| duplicates)?),
        }
    }

    fn insert_one(&self, tx: &Transaction<'_>, sample: &Sample) -> Result<Sample> {
        let stored = Sample {
            id: self.id_or_fresh(tx, &sample.id)?,
            added_at: self.timestamp_or(&sample.added_at),
            ..sample.clone()
        };
        tx.prepare_cached(
            "INSERT INTO samples (id, profile, kind, title, text, text_sha256, prompt, words, language, written_at, added_at, removed, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            stored.id.as_str(),
            stored.profile.as_str(),
            Word(&stored.kind),
            stored.title,
            stored.text,
            hash(&stored.text),
            stored.prompt,
            stored.words,
            stored.language,
            stored.written_at,
            stored.added_at,
            Json(&stored.removed),
            stored.note,
        ])
        .map_err(|e| StoreError::from(e).duplicate_of(Thing::Sample))?;
        Ok(stored)
    }

    /// A profile's samples in the order they were added.
    ///
    /// # Errors
    /// `NotFound` for the profile.
    pub fn samples(&self, profile: &ProfileId) -> Result<Vec<Sample>> {
        self.read(|tx| {
            require(tx, profile)?;
            let mut statement = tx.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM samples s WHERE s.profile = ?1 ORDER BY s.row"
            ))?;
            let rows = statement.query_map([profile.as_str()], from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// One sample.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn sample(&self, id: &SampleId) -> Result<Sample> {
        self.read(|tx| get(tx, id))
    }

    /// Samples of a profile with all of these words, best match first; none where nothing is typed.
    ///
    /// # Errors
    /// Any of [`StoreError`]'s for a read.
    pub fn search_samples(
        &self,
        profile: &ProfileId,
        typed: &str,
        limit: u32,
    ) -> Result<Vec<Sample>> {
        let Some(query) = search::query(typed) else {
            return Ok(Vec::new());
        };
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM samples_search JOIN samples s ON s.row = samples_search.rowid
                 WHERE samples_search MATCH ?2 AND s.profile = ?1 ORDER BY samples_search.rank, s.row LIMIT ?3"
            ))?;
            let rows = statement.query_map(params![profile.as_str(), query, limit], from_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Replaces a sample's content (its profile and `added_at` stay).
    ///
    /// # Errors
    /// `NotFound`; `Duplicate` where another sample of the profile has this text.
    pub fn update_sample(&self, sample: &Sample) -> Result<Sample> {
        self.write(|tx| {
            let rows = tx
                .execute(
                    "UPDATE samples SET kind = ?2, title = ?3, text = ?4, text_sha256 = ?5, prompt = ?6, words = ?7,
                     language = ?8, written_at = ?9, removed = ?10, note = ?11 WHERE id = ?1",
                    params![
                        sample.id.as_str(),
                        Word(&sample.kind),
                        sample.title,
                        sample.text,
                        hash(&sample.text),
                        sample.prompt,
                        sample.words,
                        sample.language,
                        sample.written_at,
                        Json(&sample.removed),
                        sample.note,
                    ],
                )
                .map_err(|e| StoreError::from(e).duplicate_of(Thing::Sample))?;
            touched(rows, &sample.id)?;
            let stored = get(tx, &sample.id)?;
            samples_changed(tx, &stored.profile)?;
            Ok(stored)
        })
    }

    /// Deletes a sample, after a snapshot. Its spans leave the evidence of readings and hypotheses;
    /// drafts, runs and adapters that learned from it stay and are named in the answer.
    ///
    /// # Errors
    /// `NotFound`; `DiskFull` where the snapshot does not fit (nothing is deleted then).
    pub fn delete_sample(&self, id: &SampleId) -> Result<Derived> {
        self.sample(id)?;
        self.snapshot("delete sample")?;
        self.write(|tx| {
            let profile = get(tx, id)?.profile;
            let derived = Derived::of_sample(tx, id)?;
            lineage::drop_spans_of(tx, &profile, id)?;
            tx.execute("DELETE FROM samples WHERE id = ?1", [id.as_str()])?;
            samples_changed(tx, &profile)?;
            Ok(derived)
        })
    }

    /// Counts every change of the profile's samples. Take it before inferring and hand it to
    /// [`Store::replace_readings`], so that a text added meanwhile makes the result stale.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn samples_revision(&self, profile: &ProfileId) -> Result<u64> {
        self.read(|tx| {
            require(tx, profile)?;
            Ok(tx
                .query_row(
                    "SELECT samples_revision FROM profiles WHERE id = ?1",
                    [profile.as_str()],
                    |row| row.get::<_, i64>(0),
                )?
                .cast_unsigned())
        })
    }
}
