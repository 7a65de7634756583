//! Hypotheses: tested claims about the writer (HyPerAlign's three categories).

use serde::{Deserialize, Serialize};

use crate::{Interval, fingerprint::Span, ids::HypothesisId};

/// What a claim speaks of (arXiv 2505.00038).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// How they get something across: openers, questions, hedges, address.
    Communication,
    /// What shows of the person: warmth, certainty, energy.
    Personality,
    /// How the sentences are made: length, punctuation, words.
    Style,
}

/// Where a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum HypothesisStatus {
    /// Suggested by the texts seen; not yet confirmed on others.
    Proposed,
    /// Holds on texts it was not drawn from.
    Supported,
    /// Does not hold on texts it was not drawn from.
    Refuted,
    /// The person said "that's me".
    Accepted,
    /// The person said "not me".
    Rejected,
    /// The person put it in their own words.
    Edited,
}

impl HypothesisStatus {
    /// Whether a prompt may use the claim.
    pub fn usable(self) -> bool {
        matches!(
            self,
            Self::Supported | Self::Accepted | Self::Edited | Self::Proposed
        )
    }

    /// Whether the person decided it (inference never overwrites these).
    pub fn decided(self) -> bool {
        matches!(self, Self::Accepted | Self::Rejected | Self::Edited)
    }
}

/// The counted test behind a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Support {
    /// Feature id of the predicate.
    pub feature: String,
    /// `+1` more than others, `-1` less.
    pub direction: i8,
    /// The person's mean, in `unit`.
    pub value: f64,
    /// Reference writers' mean, in `unit`.
    pub others: f64,
    /// Unit of both.
    pub unit: String,
    /// Share of the person's texts on the claimed side of the reference median, 0-1.
    pub share: f64,
    /// Texts that share was counted on.
    pub texts: u32,
    /// Area under the ROC curve against reference writers on unseen texts; predicted where there are too few.
    pub auc: f64,
    /// 95 % of `auc`.
    pub auc_interval: Interval,
    /// Whether `auc` was measured on held-out texts (else predicted from the texts seen).
    pub held_out: bool,
}

/// A claim about the writer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Hypothesis {
    /// Its id.
    pub id: HypothesisId,
    /// One of the three categories.
    pub category: Category,
    /// One sentence in plain words, with its number against others.
    pub statement: String,
    /// The same as an instruction to a writer, for prompts ("Use dashes where others use commas.").
    pub instruction: String,
    /// Verbatim spans.
    pub evidence: Vec<Span>,
    /// Where it stands.
    pub status: HypothesisStatus,
    /// The test behind it; absent for claims the person added.
    pub support: Option<Support>,
}
