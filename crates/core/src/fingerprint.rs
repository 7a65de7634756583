//! The stylometric fingerprint: counted habits with intervals, references and evidence.

use serde::{Deserialize, Serialize};

use crate::{Interval, hypothesis::Category, ids::SampleId};

/// A verbatim span of a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Span {
    /// The sample it stands in.
    pub sample: SampleId,
    /// Byte offset of its start in the sample's text.
    pub start: usize,
    /// Byte offset of its end, exclusive.
    pub end: usize,
    /// The words themselves.
    pub text: String,
}

/// How other writers do on a feature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Reference {
    /// Mean of the writers' means.
    pub mean: f64,
    /// Standard deviation between writers.
    pub sd: f64,
    /// 10th percentile of writers.
    pub low: f64,
    /// 90th percentile of writers.
    pub high: f64,
}

/// One counted habit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct FingerprintFeature {
    /// Stable id, `punct.dash`.
    pub id: String,
    /// In plain words, "Dashes".
    pub name: String,
    /// Which side of a person it speaks of.
    pub category: Category,
    /// "per 1,000 words", "words", "share of sentences", …
    pub unit: String,
    /// The estimate.
    pub value: f64,
    /// 95 %.
    pub interval: Interval,
    /// Reference writers, where known.
    pub reference: Option<Reference>,
    /// Standard deviations from the reference mean, where known.
    pub standing: Option<f64>,
    /// A few verbatim examples.
    pub evidence: Vec<Span>,
}

/// Whether there is enough text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "level", rename_all = "snake_case")]
pub enum Enough {
    /// Below the minimum: no scores.
    TooLittle {
        /// About how many more words are needed.
        need_words: u32,
    },
    /// Scores with wide intervals.
    Wide,
    /// Enough for settled figures.
    Good,
}

/// A person's counted habits over their samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Fingerprint {
    /// Words counted (English samples only).
    pub words: u32,
    /// Sentences counted.
    pub sentences: u32,
    /// Samples counted.
    pub samples: u32,
    /// Samples in another language, kept but not counted.
    pub other_language: u32,
    /// Whether that is enough.
    pub enough: Enough,
    /// All features, most unusual first.
    pub features: Vec<FingerprintFeature>,
}
