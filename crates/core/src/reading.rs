//! Readings: where a person stands on a dimension, how sure that is, and what the person set.

use serde::{Deserialize, Serialize};

use crate::{Interval, fingerprint::Span, space::Subject};

/// What can be said about a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ReadingStatus {
    /// The evidence says something (which may be "no leaning").
    Known,
    /// The normal state.
    NotEnoughEvidence,
    /// Sensitive and not turned on.
    Off,
    /// The person has to say of what (7, 8, 20-22).
    NeedsObject,
}

/// A span that moved a reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Evidence {
    /// Where it stands.
    pub span: Span,
    /// Signed share of the movement: + pulled towards the high pole.
    pub weight: f64,
}

/// Where the person stands on one dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Reading {
    /// Dimension id.
    pub id: String,
    /// Dimension index, 0-89.
    pub index: u8,
    /// Whose attribute it is.
    pub subject: Subject,
    /// What can be said.
    pub status: ReadingStatus,
    /// Inferred score, −1 (low pole) … +1 (high pole); 0 where nothing is known.
    pub score: f64,
    /// 95 %, within −1…1.
    pub interval: Interval,
    /// How many independent texts' worth of evidence bear on it.
    pub effective_evidence: f64,
    /// −1, 0 or +1: 0 unless the interval clears zero and the status is known; the override's sign where set.
    pub direction: i8,
    /// What the person set, kept apart from inference.
    #[serde(rename = "override")]
    pub override_score: Option<f64>,
    /// The object the person filled in, where the dimension needs one.
    pub object: Option<String>,
    /// Spans that moved it, strongest first.
    pub evidence: Vec<Evidence>,
    /// Why the status is what it is, in plain words.
    pub note: String,
}

impl Reading {
    /// The score in force: the person's own setting before inference, 0 while nothing is known.
    pub fn effective_score(&self) -> f64 {
        match (self.override_score, self.status) {
            (Some(score), _) => score,
            (None, ReadingStatus::Known) => self.score,
            (None, _) => 0.0,
        }
    }
}
