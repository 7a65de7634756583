//! Readings: what inference said of each dimension, with the person's settings laid over it on the way out.

use idiolect_core::{
    Interval,
    ids::ProfileId,
    reading::{Reading, ReadingStatus},
};
use rusqlite::{OptionalExtension, Row, params};

use crate::{
    Store,
    error::Result,
    ids::require,
    value::{Json, Word},
};

/// One inference of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingSet {
    /// Model id it was made with.
    pub model: String,
    /// RFC 3339, UTC.
    pub made_at: String,
    /// Whether samples changed since.
    pub stale: bool,
    /// By dimension index, with the person's overrides and objects filled in.
    pub readings: Vec<Reading>,
}

/// −1, 0 or +1 as inferred: 0 unless known and the interval clears zero.
fn direction(status: ReadingStatus, interval: Interval) -> i8 {
    match status {
        ReadingStatus::Known if interval.low > 0.0 => 1,
        ReadingStatus::Known if interval.high < 0.0 => -1,
        _ => 0,
    }
}

fn sign(score: f64) -> i8 {
    if score > 0.0 {
        1
    } else if score < 0.0 {
        -1
    } else {
        0
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Reading> {
    let status = row.get::<_, Word<_>>("status")?.0;
    let interval = Interval::new(row.get("low")?, row.get("high")?);
    let override_score: Option<f64> = row.get("override_score")?;
    Ok(Reading {
        id: row.get("dimension")?,
        index: row.get("position")?,
        subject: row.get::<_, Word<_>>("subject")?.0,
        status,
        score: row.get("score")?,
        interval,
        effective_evidence: row.get("effective_evidence")?,
        direction: override_score.map_or_else(|| direction(status, interval), sign),
        override_score,
        object: row.get("object")?,
        evidence: row.get::<_, Json<_>>("evidence")?.0,
        note: row.get("note")?,
    })
}

impl Store {
    /// Replaces everything inferred about the dimensions. `override_score`, `object` and `direction`
    /// of what is handed in are not stored: the first two are the person's, the third follows.
    ///
    /// # Errors
    /// `NotFound`; `Duplicate` where a dimension comes twice.
    pub fn replace_readings(
        &self,
        profile: &ProfileId,
        model: &str,
        samples_revision: u64,
        readings: &[Reading],
    ) -> Result<()> {
        self.write(|tx| {
            require(tx, profile)?;
            tx.execute("DELETE FROM reading_sets WHERE profile = ?1", [profile.as_str()])?;
            tx.execute(
                "INSERT INTO reading_sets (profile, model, made_at, samples_revision) VALUES (?1, ?2, ?3, ?4)",
                params![profile.as_str(), model, self.timestamp(), samples_revision.cast_signed()],
            )?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO readings (profile, dimension, position, subject, status, score, low, high, effective_evidence, evidence, note)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            for reading in readings {
                insert.execute(params![
                    profile.as_str(),
                    reading.id,
                    reading.index,
                    Word(&reading.subject),
                    Word(&reading.status),
                    reading.score,
                    reading.interval.low,
                    reading.interval.high,
                    reading.effective_evidence,
                    Json(&reading.evidence),
                    reading.note,
                ])?;
            }
            Ok(())
        })
    }

    /// The last inference; `None` before the first one.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn readings(&self, profile: &ProfileId) -> Result<Option<ReadingSet>> {
        self.read(|tx| {
            require(tx, profile)?;
            let set = tx
                .query_row(
                    "SELECT s.model, s.made_at, s.samples_revision <> p.samples_revision AS stale
                     FROM reading_sets s JOIN profiles p ON p.id = s.profile WHERE s.profile = ?1",
                    [profile.as_str()],
                    |row| {
                        Ok(ReadingSet {
                            model: row.get("model")?,
                            made_at: row.get("made_at")?,
                            stale: row.get("stale")?,
                            readings: Vec::new(),
                        })
                    },
                )
                .optional()?;
            let Some(mut set) = set else {
                return Ok(None);
            };
            let mut statement = tx.prepare_cached(
                "SELECT r.*, o.score AS override_score, b.object FROM readings r
                 LEFT JOIN overrides o ON o.profile = r.profile AND o.dimension = r.dimension
                 LEFT JOIN objects b ON b.profile = r.profile AND b.dimension = r.dimension
                 WHERE r.profile = ?1 ORDER BY r.position",
            )?;
            for reading in statement.query_map([profile.as_str()], from_row)? {
                set.readings.push(reading?);
            }
            Ok(Some(set))
        })
    }

    /// Forgets everything inferred about the dimensions, leaving what the person set.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn clear_readings(&self, profile: &ProfileId) -> Result<()> {
        self.write(|tx| {
            require(tx, profile)?;
            tx.execute(
                "DELETE FROM reading_sets WHERE profile = ?1",
                [profile.as_str()],
            )?;
            Ok(())
        })
    }
}
