//! Tested claims about the writer, put into words.
//!
//! The counting and the statistics are `text`'s ([`idiolect_text::claims`]); here claims are tested on texts that they
//! were not drawn from, worded, and kept together with what the person decided. No model is asked: on models as small as
//! the default one, free-text hypotheses are wrong more often than not.

use idiolect_core::{
    Interval,
    fingerprint::Span,
    hypothesis::{Hypothesis, HypothesisStatus, Support},
    ids::{HypothesisId, SampleId},
};
use idiolect_text::{
    FeatureVector, ReferenceStyle,
    catalog::catalog,
    claims::{Claim, HeldOut, Standing, claims, held_out},
    fingerprint, language, measure, segment,
    stats::auc_interval,
};

use crate::Passage;

mod templates;
mod wording;

pub use wording::{Words, number, quantity, statement, words};

/// From this many texts on, claims are tested on texts that they were not drawn from.
pub const TESTED_FROM: usize = 6;

/// Folds of that test at most.
const FOLDS: usize = 5;
/// Texts a claim must have been tested on to count as tested.
const LEAST_TESTED: usize = 3;
/// Quotes on a card.
const QUOTES: usize = 3;
/// A draft shorter than this follows or breaks nothing.
const LEAST_WORDS: usize = 40;

/// Tests the counted habits of these texts and words those that stand out, best first. English texts only; none when
/// there is too little text.
pub fn test(samples: &[Passage<'_>], next_id: &mut dyn FnMut() -> HypothesisId) -> Vec<Hypothesis> {
    let reference = ReferenceStyle::shipped();
    let english: Vec<&Passage<'_>> = samples
        .iter()
        .filter(|p| language::counts_as_english(&language::guess(p.text)))
        .collect();
    let vectors: Vec<FeatureVector> = english
        .iter()
        .map(|p| measure(p.text))
        .filter(|v| v.words >= fingerprint::MIN_WORDS)
        .collect();
    let drawn = one_of_a_family(claims(&vectors, reference));
    let unseen = on_unseen_texts(&vectors, reference);
    let texts: Vec<(SampleId, &str)> = english.iter().map(|p| (p.id.clone(), p.text)).collect();
    let counted = fingerprint::fingerprint(&texts, reference);
    let mut out: Vec<Hypothesis> = drawn
        .iter()
        .map(|claim| {
            let tested = unseen
                .iter()
                .find(|t| t.feature == claim.feature && t.direction == claim.direction)
                .map(|t| t.pooled(reference));
            let status = status(claim, tested);
            let words = wording::words(&claim.feature, claim.direction);
            let evidence = if claim.direction > 0 {
                counted
                    .features
                    .iter()
                    .find(|f| f.id == claim.feature)
                    .map(|f| f.evidence.iter().take(QUOTES).cloned().collect::<Vec<_>>())
                    .filter(|e| !e.is_empty())
            } else {
                None
            };
            Hypothesis {
                id: next_id(),
                category: claim.category,
                statement: wording::statement(&words.lead, claim.own, claim.others, &claim.unit),
                instruction: instruction(claim, words.instruction),
                evidence: evidence.unwrap_or_else(|| typical_sentences(claim, &texts)),
                status,
                support: Some(claim.support(tested)),
            }
        })
        .collect();
    // Stable: claims come surest first, and what was tested goes before what was not.
    out.sort_by_key(|h| match h.status {
        HypothesisStatus::Supported => 0,
        HypothesisStatus::Refuted => 2,
        _ => 1,
    });
    out
}

/// Claims that a reader would take for the same one; the surest stays.
fn one_of_a_family(claims: Vec<Claim>) -> Vec<Claim> {
    let mut seen = Vec::new();
    claims
        .into_iter()
        .filter(|c| {
            let family = match c.feature.as_str() {
                "punct.em_dash" | "punct.double_hyphen" => "punct.dash",
                "punct.exclamation" => "sentence.exclamation",
                "punct.question" => "sentence.question",
                "word.is" | "word.are" | "word.was" | "word.were" | "word.be" => "lex.be",
                "length.7" | "length.8" | "length.9" | "length.10" => "length.mean",
                f if f.starts_with("length.") && f != "length.mean" => "length.short",
                f => f,
            }
            .to_owned();
            let new = !seen.contains(&family);
            seen.push(family);
            new
        })
        .collect()
}

/// Lengths are worth a number in an instruction.
fn instruction(claim: &Claim, plain: String) -> String {
    match claim.feature.as_str() {
        "sentence.mean" | "sentence.median" => {
            format!("{} About {} words each.", plain, number(claim.own.round()))
        }
        _ => plain,
    }
}

fn status(claim: &Claim, tested: Option<HeldOut>) -> HypothesisStatus {
    match tested {
        Some(t) if t.refutes() => HypothesisStatus::Refuted,
        Some(t) if t.confirms() => HypothesisStatus::Supported,
        // An interval on ten texts cannot clear one half for a true AUC of .6: the same direction on unseen texts
        // together with a sure posterior counts.
        Some(t) if t.auc > 0.5 && claim.standing == Standing::Supported => {
            HypothesisStatus::Supported
        }
        _ => HypothesisStatus::Proposed,
    }
}

/// A claim's showing on texts that it was not drawn from.
struct Unseen {
    feature: String,
    direction: i8,
    /// Sum over texts of the share of reference texts that each outdoes.
    above: f64,
    texts: usize,
}

impl Unseen {
    fn pooled(&self, reference: &ReferenceStyle) -> HeldOut {
        let auc = self.above / self.texts as f64;
        HeldOut {
            auc,
            interval: auc_interval(auc, self.texts, reference.group().texts),
            texts: self.texts,
        }
    }
}

/// K-fold: claims are drawn afresh without each fold and tested on it, so that choosing a claim never saw the texts it is
/// tested on.
fn on_unseen_texts(vectors: &[FeatureVector], reference: &ReferenceStyle) -> Vec<Unseen> {
    let mut out: Vec<Unseen> = Vec::new();
    if vectors.len() < TESTED_FROM {
        return out;
    }
    for fold in 0..FOLDS {
        let part = |inside: bool| -> Vec<FeatureVector> {
            vectors
                .iter()
                .enumerate()
                .filter(|(i, _)| (i % FOLDS == fold) == inside)
                .map(|(_, v)| v.clone())
                .collect()
        };
        let unseen = part(true);
        for claim in claims(&part(false), reference) {
            let Some(tested) = held_out(&claim, &unseen, reference) else {
                continue;
            };
            let above = tested.auc * tested.texts as f64;
            match out
                .iter_mut()
                .find(|t| t.feature == claim.feature && t.direction == claim.direction)
            {
                Some(known) => {
                    known.above += above;
                    known.texts += tested.texts;
                }
                None => out.push(Unseen {
                    feature: claim.feature,
                    direction: claim.direction,
                    above,
                    texts: tested.texts,
                }),
            }
        }
    }
    out.retain(|t| t.texts >= LEAST_TESTED);
    out
}

/// For claims about sentences with nothing to count inside: sentences whose length is nearest to the writer's mean.
fn typical_sentences(claim: &Claim, texts: &[(SampleId, &str)]) -> Vec<Span> {
    if !matches!(
        claim.feature.as_str(),
        "sentence.mean"
            | "sentence.median"
            | "sentence.long"
            | "sentence.no_comma"
            | "sentence.many_commas"
    ) {
        return Vec::new();
    }
    let lengths: Vec<(usize, f64)> = texts
        .iter()
        .enumerate()
        .map(|(i, (_, text))| (i, measure(text).get("sentence.mean").unwrap_or(0.0)))
        .collect();
    let target = lengths.iter().map(|(_, l)| l).sum::<f64>() / lengths.len().max(1) as f64;
    let mut found: Vec<(f64, Span)> = Vec::new();
    for (id, text) in texts {
        for span in segment::sentences(text) {
            let quote = span.quote(text).trim();
            let start = span.start + span.quote(text).find(quote).unwrap_or(0);
            let off = (segment::word_count(quote) as f64 - target).abs();
            found.push((
                off,
                Span {
                    sample: id.clone(),
                    start,
                    end: start + quote.len(),
                    text: quote.to_owned(),
                },
            ));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().take(QUOTES).map(|(_, s)| s).collect()
}

/// Fresh hypotheses beside stored ones. What the person decided or added stays as they left it, its test renewed where
/// the habit was claimed again; an undecided claim of the same feature and direction keeps its id; undecided claims that
/// no longer stand out go.
pub fn merge(stored: &[Hypothesis], fresh: Vec<Hypothesis>) -> Vec<Hypothesis> {
    let predicate = |h: &Hypothesis| h.support.as_ref().map(|s| (s.feature.clone(), s.direction));
    let mut fresh: Vec<Option<Hypothesis>> = fresh.into_iter().map(Some).collect();
    let mut out = Vec::new();
    for old in stored {
        let again = predicate(old).and_then(|p| {
            fresh
                .iter_mut()
                .find(|f| f.as_ref().and_then(predicate) == Some(p.clone()))
                .and_then(Option::take)
        });
        let own = old.support.is_none();
        match again {
            Some(new) if old.status.decided() => out.push(Hypothesis {
                support: new.support,
                evidence: new.evidence,
                ..old.clone()
            }),
            Some(new) => out.push(Hypothesis {
                id: old.id.clone(),
                ..new
            }),
            None if old.status.decided() || own => out.push(old.clone()),
            None => {}
        }
    }
    out.extend(fresh.into_iter().flatten());
    out
}

/// What the test alone says of a claim, for taking a decision back.
pub fn untested_status(support: Option<&Support>) -> HypothesisStatus {
    match support {
        Some(s) if s.held_out && s.auc_interval.high < 0.5 => HypothesisStatus::Refuted,
        Some(s) if s.held_out && s.auc > 0.5 => HypothesisStatus::Supported,
        _ => HypothesisStatus::Proposed,
    }
}

/// A claim of the person's own, with nothing counted behind it.
pub fn own(id: HypothesisId, statement: &str) -> Hypothesis {
    Hypothesis {
        id,
        category: idiolect_core::hypothesis::Category::Style,
        statement: statement.trim().to_owned(),
        instruction: statement.trim().to_owned(),
        evidence: Vec::new(),
        status: HypothesisStatus::Accepted,
        support: None,
    }
}

/// How many of the usable counted claims a text follows, of those it can be checked against. A claim is followed when
/// the text lies on the person's side of the middle between them and others.
pub fn follows(hypotheses: &[Hypothesis], text: &str) -> (u32, u32) {
    let vector = measure(text);
    if vector.words < LEAST_WORDS {
        return (0, 0);
    }
    let (mut met, mut checked) = (0, 0);
    for support in hypotheses
        .iter()
        .filter(|h| h.status.usable())
        .filter_map(|h| h.support.as_ref())
    {
        let Some(value) = catalog()
            .position(&support.feature)
            .map(|i| vector.values[i])
        else {
            continue;
        };
        let middle = f64::midpoint(support.value, support.others);
        checked += 1;
        if (value - middle) * f64::from(support.direction) > 0.0 {
            met += 1;
        }
    }
    (met, checked)
}

/// The interval of a support in words: "holds in 71-88 % of comparisons with others' texts".
pub fn support_words(support: &Support) -> String {
    let Interval { low, high } = support.auc_interval;
    let how = if support.held_out {
        "on texts it had not seen"
    } else {
        "expected; not yet tested on unseen texts"
    };
    format!(
        "sets apart {:.0} % of comparisons with others' texts [{:.0}-{:.0}], {how}",
        support.auc * 100.0,
        low * 100.0,
        high * 100.0
    )
}

#[cfg(test)]
mod tests;
