//! The numbers an answer is counted by, and how differences of them are brought to one scale.

use idiolect_text::{
    catalog::{Unit, catalog},
    measure,
};

use super::Pair;

/// Counted features beside length, long words and sentences. Figures go in as they are; what is counted goes in as the
/// square root of its count: in an answer of twenty words a rate per 1,000 is mostly chance.
const FEATURES: [&str; 32] = [
    "length.mean",
    "readability.grade",
    "readability.syllables",
    "readability.flesch",
    "sentence.mean",
    "sentence.short",
    "sentence.long",
    "sentence.question",
    "punct.exclamation",
    "punct.question",
    "punct.comma",
    "punct.colon",
    "punct.dash",
    "punct.parenthesis",
    "punct.double_quote",
    "punct.ellipsis",
    "contraction.any",
    "lex.informal",
    "lex.hedge",
    "lex.booster",
    "lex.first_singular",
    "lex.second_person",
    "lex.polite",
    "lex.positive",
    "lex.negative",
    "lex.connective_formal",
    "lex.negation",
    "suffix.tion",
    "suffix.adjective",
    "digits.any",
    "line.list",
    "vocabulary.mattr50",
];

/// Their sum is the share of words over six letters.
const LONG_WORDS: [&str; 4] = ["length.7", "length.8", "length.9", "length.10"];

/// Numbers a text is counted by.
pub const COUNTED: usize = FEATURES.len() + 3;

/// Scaled differences beyond this are cut: one odd answer must not decide.
const CLIP: f64 = 3.0;

/// The counted features of a text, [`COUNTED`] numbers.
pub fn phi(text: &str) -> Vec<f64> {
    let vector = measure(text);
    let long: f64 = LONG_WORDS.iter().filter_map(|id| vector.get(id)).sum();
    let mut out = vec![
        log_words(text),
        long.sqrt(),
        (vector.sentences as f64 + 1.0).ln(),
    ];
    out.extend(FEATURES.iter().map(|id| {
        catalog().position(id).map_or(0.0, |i| {
            let rate = vector.values[i];
            let value = match catalog().features()[i].unit {
                Unit::PerThousandWords => (rate * vector.base(Unit::PerThousandWords)).sqrt(),
                _ => rate,
            };
            if value.is_finite() { value } else { 0.0 }
        })
    }));
    out
}

/// Log of one more than the words of a text.
pub(super) fn log_words(text: &str) -> f64 {
    (idiolect_text::segment::word_count(text) as f64 + 1.0).ln()
}

/// Root mean square of every feature difference over pairs; 1 where a feature never differs.
pub fn scales<'a>(differences: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let (mut squares, mut n) = (vec![0.0; COUNTED], 0.0);
    for difference in differences {
        n += 1.0;
        squares
            .iter_mut()
            .zip(difference)
            .for_each(|(s, d)| *s += d * d);
    }
    squares
        .into_iter()
        .map(|s| {
            let rms = (s / f64::max(n, 1.0)).sqrt();
            if rms > 1e-12 { rms } else { 1.0 }
        })
        .collect()
}

/// Differences over their scales, cut at ±3. No centring: the sign matters.
pub fn scaled(difference: &[f64], scales: &[f64]) -> Vec<f64> {
    difference
        .iter()
        .zip(scales)
        .map(|(d, s)| (d / s).clamp(-CLIP, CLIP))
        .collect()
}

/// φ(chosen) − φ(rejected).
pub fn difference(pair: &Pair) -> Vec<f64> {
    let (a, b) = (phi(&pair.chosen), phi(&pair.rejected));
    a.iter().zip(&b).map(|(x, y)| x - y).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counted_feature_is_in_the_catalog() {
        for id in FEATURES.iter().chain(&LONG_WORDS) {
            assert!(catalog().position(id).is_some(), "{id}");
        }
        assert_eq!(phi("").len(), COUNTED);
        assert!(
            phi("").iter().all(|v| v.is_finite()),
            "an empty answer is counted too"
        );
    }
}
