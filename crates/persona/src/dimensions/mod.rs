//! The first reading of all 90 dimensions: log-probabilities with calibration, never free text.
//!
//! Every text gets raw scores from two sources ([`forward`], [`channel`]), calibration turns them into standings,
//! [`aggregate`] joins the standings of all texts into a reading, [`evidence`] finds the sentences that moved it.
//! What the person set is kept apart and applied last ([`settings`]).

use idiolect_core::{
    reading::Reading,
    space::{DIMENSIONS, Dimension, Subject, space},
};
use serde::{Deserialize, Serialize};

use crate::{
    Instruments, Passage, Progress, Result,
    calibration::{Calibration, CalibrationFile},
    demo,
};

mod aggregate;
mod channel;
mod evidence;
mod forward;
mod settings;
mod window;

use aggregate::Trust;
pub use aggregate::{Estimate, Standing, estimate};
pub use settings::{Person, Setting, present, unread};

/// Below this reliability a dimension says "not enough evidence" whatever its interval. Where few authors were measured
/// more is needed, see [`crate::calibration::CalibrationFile::least_reliability`].
pub const LEAST_RELIABILITY: f64 = 0.5;

/// What a self-description weighs against one text: a person's word on themselves is worth several texts.
pub const SELF_DESCRIPTION_WEIGHT: f64 = 3.0;

/// What a text weighs on a dimension of the wanted reply: a terse writer need not want terse answers.
pub const WRITING_FOR_REPLY_WEIGHT: f64 = 0.25;

/// More texts than this are thinned out evenly, newest order kept: each costs seconds.
pub const MOST_TEXTS: usize = 40;

/// Changes when a prompt, a phrase or the arithmetic of a forward score does; calibrations and caches hold for one version.
pub fn prompt_version() -> String {
    format!("2-{}", crate::anchors::phrases_version())
}

/// The same for the noisy channel: which sentences it asks about hangs on the anchor sentences as well.
pub fn channel_version() -> String {
    format!("{}-{}", prompt_version(), crate::anchors::version())
}

/// Raw scores of one text, 90 each; `None` where a source has nothing to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextScores {
    /// log P(high phrases | text) − log P(low phrases | text), each against content-free texts; interests centred.
    pub forward: Vec<Option<f64>>,
    /// log P(sentence | high pole) − log P(sentence | low pole), mean over the sentences picked.
    pub channel: Vec<Option<f64>>,
}

impl TextScores {
    /// Nothing scored.
    pub fn empty() -> Self {
        Self {
            forward: vec![None; DIMENSIONS],
            channel: vec![None; DIMENSIONS],
        }
    }
}

/// Which dimensions a reading may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All but the sensitive ones.
    WithoutSensitive,
    /// All.
    Everything,
}

impl Scope {
    /// Whether the model is asked about `dimension`. Those that need an object are not: a text cannot be read for them
    /// before the object is known, and no calibration could be shipped.
    pub fn covers(self, dimension: &Dimension) -> bool {
        !dimension.needs_object && (self == Self::Everything || !dimension.sensitive)
    }

    fn tag(self) -> &'static str {
        match self {
            Self::WithoutSensitive => "plain",
            Self::Everything => "all",
        }
    }
}

/// The raw scores of one text (its first 200 tokens or so), from the cache where they are known.
///
/// # Errors
/// The model's or embedder's.
pub fn score_text(with: &Instruments<'_>, text: &str, scope: Scope) -> Result<TextScores> {
    let window = window::first_sentences(with.model, text)?;
    Ok(TextScores {
        forward: forward::contrasts(with, window, scope)?,
        channel: channel::contrasts(with, window, scope)?,
    })
}

/// The standards in force for this model: the shipped ones, or ones measured now on our own passages.
///
/// # Errors
/// The model's or embedder's.
pub fn calibration(
    with: &Instruments<'_>,
    scope: Scope,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Calibration> {
    let shipped = CalibrationFile::shipped();
    if shipped.holds_for(with.model.info()) {
        return Ok(shipped.standards());
    }
    let passages: Vec<&str> = demo::authors()
        .iter()
        .flat_map(|a| a.texts.iter().take(4))
        .map(|t| t.text.as_str())
        .collect();
    // So few passages give the noisy channel no standard: it is not asked.
    let forward_only = Instruments {
        embedder: None,
        ..*with
    };
    let mut scores = Vec::new();
    for (done, text) in passages.iter().enumerate() {
        on_progress(Progress {
            done,
            total: passages.len(),
            unit: "passages",
            message: "Getting to know this model on our own passages",
        });
        scores.push(score_text(&forward_only, text, scope)?);
    }
    Ok(Calibration {
        widening: Calibration::HANDFUL,
        least_reliability: shipped.least_reliability(),
        ..Calibration::measured(scores.iter())
    })
}

/// Reads all 90 dimensions, in order, settings applied.
///
/// # Errors
/// The model's or embedder's; what was scored before a cancel is in the cache.
pub fn read(
    with: &Instruments<'_>,
    samples: &[Passage<'_>],
    person: &Person<'_>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Reading>> {
    let scope = if person.sensitive {
        Scope::Everything
    } else {
        Scope::WithoutSensitive
    };
    let calibration = calibration(with, scope, on_progress)?;
    let chosen = thinned(samples);
    // Where no standard for the channel is known its scores would be thrown away; the embedder still picks evidence.
    let scoring = Instruments {
        embedder: with.embedder.filter(|_| calibration.hears_channel()),
        ..*with
    };
    let mut texts: Vec<(Vec<Option<f64>>, Source)> = Vec::new();
    for (done, passage) in chosen.iter().enumerate() {
        with.cancel.check()?;
        on_progress(Progress {
            done,
            total: chosen.len(),
            unit: "samples",
            message: "Reading the samples",
        });
        let scores = score_text(&scoring, passage.text, scope)?;
        let fullness = window::fullness(with.model, passage.text)?;
        texts.push((calibration.standings(&scores), Source::Writing(fullness)));
    }
    if !person.self_description.trim().is_empty() {
        let scores = score_text(&scoring, person.self_description, scope)?;
        texts.push((calibration.standings(&scores), Source::SelfDescription));
    }

    let mut readings: Vec<Reading> = space()
        .iter()
        .map(|dimension| {
            let d = usize::from(dimension.index);
            let standings: Vec<Standing> = texts
                .iter()
                .filter_map(|(z, source)| {
                    Some(Standing {
                        z: z[d]?,
                        weight: source.weight(dimension.subject),
                    })
                })
                .collect();
            let reliability = calibration.dimensions[d].and_then(|s| s.reliability);
            aggregate::reading(
                dimension,
                &standings,
                Trust {
                    reliability,
                    least: calibration.least_reliability,
                },
                calibration.widening,
            )
        })
        .collect();
    evidence::find(with, &chosen, &calibration, &mut readings, on_progress)?;
    Ok(present(&readings, person))
}

enum Source {
    /// How full the text's window is, 0-1: a line says less than a page.
    Writing(f64),
    SelfDescription,
}

impl Source {
    fn weight(&self, subject: Subject) -> f64 {
        match (self, subject) {
            (Self::Writing(fullness), Subject::Person) => *fullness,
            (Self::Writing(fullness), Subject::Reply) => fullness * WRITING_FOR_REPLY_WEIGHT,
            (Self::SelfDescription, _) => SELF_DESCRIPTION_WEIGHT,
        }
    }
}

fn thinned<'a>(samples: &[Passage<'a>]) -> Vec<Passage<'a>> {
    let n = samples.len();
    (0..n.min(MOST_TEXTS))
        .map(|i| samples[i * n / n.min(MOST_TEXTS)])
        .filter(|p| !p.text.trim().is_empty())
        .collect()
}

#[cfg(test)]
mod tests;
