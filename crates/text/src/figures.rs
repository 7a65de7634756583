//! Figures of a whole text that have no spans to quote: lengths, diversity, readability. A text with nothing to
//! measure gives 0. The formulas themselves live in `lexical` and `readability`.

use crate::analysis::Analysis;
use crate::lexical;
use crate::readability::Counts;
use crate::stats::{mean, quantile, variance};

pub(crate) fn sentence_mean(a: &Analysis<'_>) -> f64 {
    mean(&a.sentence_lengths())
}

pub(crate) fn sentence_sd(a: &Analysis<'_>) -> f64 {
    variance(&a.sentence_lengths()).sqrt()
}

pub(crate) fn sentence_median(a: &Analysis<'_>) -> f64 {
    let mut lengths = a.sentence_lengths();
    lengths.sort_by(f64::total_cmp);
    quantile(&lengths, 0.5)
}

fn per(count: usize, of: usize) -> f64 {
    if of == 0 {
        0.0
    } else {
        count as f64 / of as f64
    }
}

pub(crate) fn paragraph_words(a: &Analysis<'_>) -> f64 {
    per(a.words.len(), a.paragraphs.len())
}

pub(crate) fn paragraph_sentences(a: &Analysis<'_>) -> f64 {
    per(a.sentences.len(), a.paragraphs.len())
}

pub(crate) fn word_length(a: &Analysis<'_>) -> f64 {
    per(a.words.iter().map(|w| w.letters).sum(), a.words.len())
}

pub(crate) fn mattr50(a: &Analysis<'_>) -> f64 {
    lexical::mattr(&a.normal_words(), 50)
}

pub(crate) fn mtld(a: &Analysis<'_>) -> f64 {
    lexical::mtld(&a.normal_words())
}

pub(crate) fn yule_k(a: &Analysis<'_>) -> f64 {
    lexical::yule_k(&a.normal_words())
}

/// The share of words used once falls with length, so it is taken over stretches of one length.
const HAPAX_WINDOW: usize = 100;

pub(crate) fn hapax(a: &Analysis<'_>) -> f64 {
    let words = a.normal_words();
    let windows: Vec<f64> = words
        .chunks_exact(HAPAX_WINDOW)
        .map(lexical::hapax_share)
        .collect();
    if windows.is_empty() {
        lexical::hapax_share(&words)
    } else {
        mean(&windows)
    }
}

pub(crate) fn flesch(a: &Analysis<'_>) -> f64 {
    if a.words.is_empty() {
        0.0
    } else {
        Counts::of(a).flesch_reading_ease()
    }
}

pub(crate) fn grade(a: &Analysis<'_>) -> f64 {
    if a.words.is_empty() {
        0.0
    } else {
        Counts::of(a).flesch_kincaid_grade()
    }
}

pub(crate) fn syllables_per_word(a: &Analysis<'_>) -> f64 {
    per(a.words.iter().map(|w| w.syllables).sum(), a.words.len())
}
