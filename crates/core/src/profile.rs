//! A profile: one user's voice, its settings and what the person overrode.

use serde::{Deserialize, Serialize};

use crate::ids::ProfileId;

/// One user's voice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Profile {
    /// Its id.
    pub id: ProfileId,
    /// The name the person gave it; unique in a home.
    pub name: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// Sensitive dimensions are inferred and shown only when this is on.
    pub sensitive: bool,
    /// A self-description the person wrote (AlignX's DEMO), empty when none.
    pub self_description: String,
    /// The summary paragraph a model is given; empty until generated or written.
    pub summary: String,
    /// Whether the person edited the summary, so that regenerating never overwrites it silently.
    pub summary_edited: bool,
    /// How many samples it has.
    pub samples: u32,
    /// Words in them.
    pub words: u32,
}

/// What a draft is for. Kept apart everywhere: a terse writer need not want terse answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, PartialOrd, Ord)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// The text should pass for the person's own.
    AsMe,
    /// The reply the person would prefer.
    ForMe,
}
