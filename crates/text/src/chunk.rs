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

/// Cuts a long text between paragraphs into sections of at most `most` words, all of about one length, that join up to
/// the whole text. Only a paragraph that is itself too long is cut: between sentences, or failing that between words.
#[must_use]
pub fn sections(text: &str, most: usize) -> Vec<Span> {
    let most = most.max(1);
    let total = segment::word_count(text);
    let sections = total.div_ceil(most).max(1);
    let mut blocks = Vec::new();
    for paragraph in segment::paragraphs(text) {
        add_blocks(text, paragraph, total.div_ceil(sections), &mut blocks);
    }
    let mut out: Vec<Span> = Vec::new();
    let (mut start, mut count, mut done) = (0, 0, 0);
    for (block, words) in blocks {
        // Each section ends where it comes nearest to its equal share.
        let share = (out.len() + 1) * total / sections;
        if count > 0 && (count + words > most || 2 * done + words > 2 * share) {
            out.push(Span::new(start, block.start));
            (start, count) = (block.start, 0);
        }
        (count, done) = (count + words, done + words);
    }
    out.push(Span::new(start, text.len()));
    out
}

/// A paragraph whole, or in its sentences, or in runs of words, whichever first has no more than `most` words.
fn add_blocks(text: &str, paragraph: Span, most: usize, blocks: &mut Vec<(Span, usize)>) {
    let inside =
        |within: Span, part: Span| Span::new(within.start + part.start, within.start + part.end);
    let words = segment::word_count(paragraph.quote(text));
    if words <= most {
        blocks.push((paragraph, words));
        return;
    }
    for sentence in segment::sentences(paragraph.quote(text)) {
        let sentence = inside(paragraph, sentence);
        let words = segment::words(sentence.quote(text));
        if words.len() <= most {
            blocks.push((sentence, words.len()));
            continue;
        }
        for run in words.chunks(most) {
            let run_of_words = Span::new(run[0].start, run[run.len() - 1].end);
            blocks.push((inside(sentence, run_of_words), run.len()));
        }
    }
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
    fn sections_end_at_paragraphs_and_join_up_to_the_whole() {
        let book = format!("{}the end.\n\n", "word ".repeat(8)).repeat(25);
        let cut = sections(&book, 100);
        assert_eq!(cut.len(), 3, "250 words, at most 100 each");
        let texts: Vec<_> = cut.iter().map(|s| s.quote(&book)).collect();
        assert_eq!(texts.concat(), book);
        for text in &texts {
            let words = segment::word_count(text);
            assert!((75..=100).contains(&words), "of about one length: {words}");
            assert!(text.trim_end().ends_with('.') && text.starts_with("word"));
        }
        let short = "One.\n\nTwo.\n";
        assert_eq!(
            sections(short, 100),
            [Span::new(0, short.len())],
            "a short text stays whole"
        );
        assert_eq!(sections("", 100), [Span::new(0, 0)]);
    }

    #[test]
    fn a_paragraph_without_end_is_cut_between_sentences_and_then_between_words() {
        let sentences = "One two three four, five. ".repeat(100);
        let endless = "été ".repeat(500);
        for (what, text) in [("sentences", &sentences), ("words", &endless)] {
            let cut = sections(text, 100);
            let texts: Vec<_> = cut.iter().map(|s| s.quote(text)).collect();
            assert_eq!(&texts.concat(), text, "{what}");
            for text in &texts {
                let words = segment::word_count(text);
                assert!((50..=100).contains(&words), "{what}: {words}");
            }
            assert!(
                what == "words" || texts.iter().all(|t| t.trim_end().ends_with('.')),
                "no sentence is cut"
            );
        }
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
