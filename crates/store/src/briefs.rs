//! Briefs that the model wrote for stretches of samples. Each says in other words what the text says, so it goes with
//! the sample, and when the sample's text changes.

use idiolect_core::ids::SampleId;
use rusqlite::params;

use crate::{Store, error::Result, ids::require};

/// A brief for the bytes `start..end` of a sample's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBrief {
    /// Of which sample.
    pub sample: SampleId,
    /// First byte of the stretch.
    pub start: u32,
    /// One past its last byte.
    pub end: u32,
    /// The brief.
    pub brief: String,
}

impl Store {
    /// Stores briefs that the model with this SHA-256 wrote by this version of the instruction, in the place of earlier
    /// ones for the same stretches, all or nothing.
    ///
    /// # Errors
    /// `NotFound` where a sample is gone.
    pub fn put_briefs(&self, model: &str, version: &str, briefs: &[StoredBrief]) -> Result<()> {
        self.write(|tx| {
            for brief in briefs {
                require(tx, &brief.sample)?;
                tx.prepare_cached(
                    "INSERT INTO sample_briefs (sample, start, \"end\", model, version, brief, made_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT DO UPDATE SET brief = excluded.brief, made_at = excluded.made_at",
                )?
                .execute(params![
                    brief.sample.as_str(),
                    brief.start,
                    brief.end,
                    model,
                    version,
                    brief.brief,
                    self.timestamp(),
                ])?;
            }
            Ok(())
        })
    }

    /// The briefs of one sample that this model wrote by this version of the instruction, in the order of the text.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a read.
    pub fn briefs(
        &self,
        sample: &SampleId,
        model: &str,
        version: &str,
    ) -> Result<Vec<StoredBrief>> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT start, \"end\", brief FROM sample_briefs
                 WHERE sample = ?1 AND model = ?2 AND version = ?3 ORDER BY start, \"end\"",
            )?;
            let rows = statement.query_map(params![sample.as_str(), model, version], |row| {
                Ok(StoredBrief {
                    sample: sample.clone(),
                    start: row.get(0)?,
                    end: row.get(1)?,
                    brief: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}
