//! How much of a draft is copied from the person's own samples: the longest common run of words, and the share of
//! n-word runs found in them. Words are compared in normal form; marks and line breaks do not count.

use std::collections::{HashMap, HashSet};

use crate::segment::{self, Span, normal_word};

/// A stretch of a draft that stands word for word in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonRun {
    /// Its length in words; 0 when nothing is shared.
    pub words: usize,
    /// Where it stands in the draft.
    pub span: Span,
    /// The index of the sample it was found in.
    pub sample: usize,
}

/// The longest run of words that `draft` shares with one of `samples`, first one if several.
#[must_use]
pub fn longest_common_run(draft: &str, samples: &[&str]) -> Option<CommonRun> {
    let mut ids: HashMap<String, u32> = HashMap::new();
    let spans = segment::words(draft);
    let draft_words: Vec<u32> = spans
        .iter()
        .map(|s| {
            let next = ids.len() as u32;
            *ids.entry(normal_word(s.quote(draft))).or_insert(next)
        })
        .collect();
    let mut best: Option<CommonRun> = None;
    // run[j] = length of the common run that ends at the current sample word and draft word j.
    let mut run = vec![0usize; draft_words.len() + 1];
    for (sample, text) in samples.iter().enumerate() {
        run.fill(0);
        for word in segment::words(text) {
            let id = ids.get(&normal_word(word.quote(text))).copied();
            for j in (1..=draft_words.len()).rev() {
                run[j] = if id == Some(draft_words[j - 1]) {
                    run[j - 1] + 1
                } else {
                    0
                };
                if run[j] > best.map_or(0, |b| b.words) {
                    let span = Span::new(spans[j - run[j]].start, spans[j - 1].end);
                    best = Some(CommonRun {
                        words: run[j],
                        span,
                        sample,
                    });
                }
            }
        }
    }
    best
}

/// Share of the draft's runs of `n` words that also stand in a sample, 0-1; 0 for a draft shorter than `n`.
#[must_use]
pub fn ngram_overlap(draft: &str, samples: &[&str], n: usize) -> f64 {
    let words = |text: &str| {
        segment::words(text)
            .iter()
            .map(|w| normal_word(w.quote(text)))
            .collect::<Vec<_>>()
    };
    let draft = words(draft);
    if n == 0 || draft.len() < n {
        return 0.0;
    }
    let wanted: HashSet<&[String]> = draft.windows(n).collect();
    let mut found: HashSet<&[String]> = HashSet::new();
    for sample in samples {
        for run in words(sample).windows(n) {
            if let Some(hit) = wanted.get(run) {
                found.insert(hit);
            }
        }
    }
    draft.windows(n).filter(|run| found.contains(run)).count() as f64 / (draft.len() - n + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_is_quoted_from_the_draft() {
        let draft = "So we sat — by the OLD wall, and ate.";
        let samples = [
            "They sat by a wall.",
            "Once we sat by the old wall and slept.",
        ];
        let run = longest_common_run(draft, &samples).expect("words are shared");
        assert_eq!(
            (run.words, run.sample),
            (7, 1),
            "we sat by the old wall and"
        );
        assert_eq!(run.span.quote(draft), "we sat — by the OLD wall, and");
        assert_eq!(longest_common_run("xyz", &samples), None);
    }

    #[test]
    fn overlap_is_the_share_of_copied_runs() {
        let sample = ["one two three four five"];
        assert_eq!(ngram_overlap("one two three nine", &sample, 3), 0.5);
        assert_eq!(
            ngram_overlap("one two", &sample, 3),
            0.0,
            "too short to tell"
        );
    }
}
