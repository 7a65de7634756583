//! Blind votes between two drafts.

use serde::{Deserialize, Serialize};

use crate::{
    Interval,
    ids::{AdapterId, DraftId, PairId, ProfileId},
    profile::Intent,
};

/// What the person picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The text shown first.
    Left,
    /// The text shown second.
    Right,
    /// Both alike: half a win each.
    Tie,
    /// Not counted.
    Skip,
}

/// Who cast a vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Voter {
    /// The person.
    Person,
    /// A counted rule, named, as in the demo; never mixed with the person's votes.
    Simulated {
        /// Which rule.
        rule: String,
    },
}

/// A pair as the person sees it before voting: no heads, no identities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct BlindPair {
    /// Its id.
    pub id: PairId,
    /// What both were asked to be.
    pub brief: String,
    /// Shown first.
    pub left: String,
    /// Shown second.
    pub right: String,
    /// Position in the round, from 1.
    pub number: u32,
    /// Pairs in the round.
    pub of: u32,
}

/// A stored vote with both drafts and the order they were shown in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Vote {
    /// The pair it was cast on.
    pub pair: PairId,
    /// Whose profile.
    pub profile: ProfileId,
    /// Draft shown left.
    pub left: DraftId,
    /// Draft shown right.
    pub right: DraftId,
    /// What was picked.
    pub choice: Choice,
    /// By whom.
    pub voter: Voter,
    /// RFC 3339, UTC.
    pub cast_at: String,
}

/// A running result between two kinds of draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Tally {
    /// What `wins` counts, in words: "hypotheses", "adapter a-… at 1.0".
    pub challenger: String,
    /// Against what.
    pub against: String,
    /// The model that wrote both sides; empty where two models did, which the sides then name.
    #[serde(default)]
    pub model: String,
    /// What both sides were written for; absent where that differs, which the sides then name.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// Wins of the challenger; a tie counts one half.
    pub wins: f64,
    /// Votes counted (skips are not).
    pub n: u32,
    /// Share won, 0-1; absent without votes.
    pub share: Option<f64>,
    /// Wilson 95 %.
    pub interval: Interval,
    /// Whether that says anything: the interval clears one half.
    pub conclusive: bool,
    /// "68 % [55-79], n = 41" or "not enough votes yet".
    pub words: String,
}

/// A blind re-test of an adapter against the base model, or against another adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Retest {
    /// The adapter under test.
    pub adapter: AdapterId,
    /// The adapter it is held against, where that is not the base model.
    #[serde(default)]
    pub against: Option<AdapterId>,
    /// Pairs waiting for a vote.
    pub waiting: Vec<BlindPair>,
    /// The result so far.
    pub tally: Tally,
}
