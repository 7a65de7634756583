//! Splitting a text into chunks of about a given length, and telling whether two texts are one and the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::segment::{self, Span, normal_word};

/// Cuts a text at sentence ends into chunks of about `words` words. A rest shorter than half of that joins the last
/// chunk; a sentence is never cut. Chunks cover all sentences in order.
#[must_use]
pub fn chunks(text: &str, words: usize) -> Vec<Span> {
    let target = words.max(1);
    let mut out: Vec<Span> = Vec::new();
    let mut open: Option<(Span, usize)> = None;
    for sentence in segment::sentences(text) {
        let length = segment::word_count(sentence.quote(text));
        if let Some((span, count)) = open
            && 2 * count + length > 2 * target
        {
            out.push(span);
            open = None;
        }
        open = Some(match open {
            Some((span, count)) => (Span::new(span.start, sentence.end), count + length),
            None => (sentence, length),
        });
    }
    if let Some((span, count)) = open {
        match out.last_mut() {
            Some(last) if count < target / 2 => last.end = span.end,
            _ => out.push(span),
        }
    }
    out
}

/// The text's words in normal form, joined by blanks: equal for texts that differ in case, marks and white space only.
fn normal_words(text: &str) -> Vec<String> {
    segment::words(text)
        .iter()
        .map(|w| normal_word(w.quote(text)))
        .collect()
}

/// A hash of the normal words. Equal for copies that differ in case, punctuation or line breaks; stable within one
/// build only, so do not store it.
#[must_use]
pub fn fingerprint_hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    normal_words(text).hash(&mut hasher);
    hasher.finish()
}

/// Words in a run that two copies must share.
const RUN: usize = 5;

/// Hashes of the text's five-word runs; of the whole text where it is shorter.
fn runs(text: &str) -> HashSet<u64> {
    let words = normal_words(text);
    let hash = |run: &[String]| {
        let mut hasher = DefaultHasher::new();
        run.hash(&mut hasher);
        hasher.finish()
    };
    match words.len() {
        0 => HashSet::new(),
        1..RUN => HashSet::from([hash(&words)]),
        _ => words.windows(RUN).map(hash).collect(),
    }
}

/// Share of five-word runs two texts have in common (Jaccard), 0-1; for shorter texts, 1 if their words are equal.
#[must_use]
pub fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (runs(a), runs(b));
    jaccard(a.intersection(&b).count(), a.len(), b.len())
}

fn jaccard(both: usize, a: usize, b: usize) -> f64 {
    if a + b == both {
        0.0
    } else {
        both as f64 / (a + b - both) as f64
    }
}

/// From this similarity on, two samples count as one text.
pub const NEAR_DUPLICATE: f64 = 0.8;

/// For each text, the first earlier text it is a copy of, if any. Only texts that share a run are compared.
#[must_use]
pub fn near_duplicates(texts: &[&str]) -> Vec<Option<usize>> {
    let mut holders: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut sizes: Vec<usize> = Vec::with_capacity(texts.len());
    let mut out = Vec::with_capacity(texts.len());
    for (i, text) in texts.iter().enumerate() {
        let runs = runs(text);
        let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
        for run in &runs {
            let earlier = holders.entry(*run).or_default();
            earlier
                .iter()
                .for_each(|j| *shared.entry(*j).or_insert(0) += 1);
            earlier.push(i);
        }
        let copy = shared
            .iter()
            .find(|&(&j, &both)| jaccard(both, runs.len(), sizes[j]) >= NEAR_DUPLICATE);
        out.push(copy.map(|(j, _)| *j));
        sizes.push(runs.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "One two three. Four five six. Seven eight nine ten. Eleven.";

    fn cut(words: usize) -> Vec<&'static str> {
        chunks(TEXT, words)
            .into_iter()
            .map(|c| c.quote(TEXT))
            .collect()
    }

    #[test]
    fn chunks_end_at_sentences_and_cover_all() {
        assert_eq!(
            cut(6),
            [
                "One two three. Four five six.",
                "Seven eight nine ten. Eleven."
            ]
        );
        assert_eq!(cut(1000), [TEXT]);
        assert_eq!(
            cut(1),
            [
                "One two three.",
                "Four five six.",
                "Seven eight nine ten.",
                "Eleven."
            ]
        );
        assert_eq!(
            cut(4),
            [
                "One two three.",
                "Four five six.",
                "Seven eight nine ten. Eleven."
            ],
            "a short rest joins the last"
        );
        assert!(chunks("", 5).is_empty());
    }

    #[test]
    fn copies_are_found_whatever_their_marks_and_breaks() {
        let long =
            "We went down to the river early, and the boats were still tied up along the wall.";
        let copy =
            "we went down to the river early and the boats\nwere still tied up along the wall";
        let other = "We went up to the hills late, and the sheep had all been brought inside for the night.";
        assert_eq!(
            near_duplicates(&[long, other, copy, ""]),
            [None, None, Some(0), None]
        );
        assert!(
            similarity(long, other) < 0.2,
            "different texts share few runs"
        );
    }
}
