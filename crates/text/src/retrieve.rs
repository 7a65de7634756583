//! Finding things by their words: BM25 over a person's own samples, and a text's keywords for a neutral brief.

use std::collections::{BTreeMap, HashMap};

use crate::lexicons::is_stop_word;
use crate::segment::{self, normal_word};

/// Content words of a text in normal form, in order.
fn content_words(text: &str) -> Vec<String> {
    segment::words(text)
        .iter()
        .map(|w| normal_word(w.quote(text)))
        .filter(|w| w.chars().count() > 2 && !is_stop_word(w) && !w.contains("n't"))
        .collect()
}

/// An index of documents for ranking by words they share with a query (Robertson & Zaragoza 2009; k1 1.2, b .75).
pub struct Bm25 {
    counts: Vec<HashMap<String, u32>>,
    lengths: Vec<f64>,
    document_frequency: HashMap<String, u32>,
}

impl Bm25 {
    #[must_use]
    pub fn new(documents: &[&str]) -> Self {
        let mut index = Self {
            counts: Vec::new(),
            lengths: Vec::new(),
            document_frequency: HashMap::new(),
        };
        for document in documents {
            let words = content_words(document);
            index.lengths.push(words.len() as f64);
            let mut counts: HashMap<String, u32> = HashMap::new();
            for word in words {
                *counts.entry(word).or_insert(0) += 1;
            }
            for word in counts.keys() {
                *index.document_frequency.entry(word.clone()).or_insert(0) += 1;
            }
            index.counts.push(counts);
        }
        index
    }

    /// The `limit` best documents with their scores, best first; those that share no word are left out.
    #[must_use]
    pub fn search(&self, query: &str, limit: usize) -> Vec<(usize, f64)> {
        const K1: f64 = 1.2;
        const B: f64 = 0.75;
        let n = self.counts.len() as f64;
        let average = self.lengths.iter().sum::<f64>() / n.max(1.0);
        let mut words = content_words(query);
        words.sort();
        words.dedup();
        let mut hits: Vec<(usize, f64)> = (0..self.counts.len())
            .map(|d| {
                let score = words
                    .iter()
                    .filter_map(|word| {
                        let tf = f64::from(*self.counts[d].get(word)?);
                        let df = f64::from(self.document_frequency[word]);
                        let idf = ((n - df + 0.5) / (df + 0.5) + 1.0).ln();
                        Some(
                            idf * tf * (K1 + 1.0)
                                / (tf + K1 * (1.0 - B + B * self.lengths[d] / average.max(1.0))),
                        )
                    })
                    .sum();
                (d, score)
            })
            .filter(|(_, score)| *score > 0.0)
            .collect();
        hits.sort_by(|a, b| b.1.total_cmp(&a.1));
        hits.truncate(limit);
        hits
    }
}

/// How rare words are in a body of texts.
#[derive(Clone, Debug, Default)]
pub struct Background {
    documents: u32,
    frequency: HashMap<String, u32>,
}

impl Background {
    #[must_use]
    pub fn of(texts: &[&str]) -> Self {
        let mut out = Self {
            documents: u32::try_from(texts.len()).unwrap_or(u32::MAX),
            frequency: HashMap::new(),
        };
        for text in texts {
            let mut words = content_words(text);
            words.sort();
            words.dedup();
            for word in words {
                *out.frequency.entry(word).or_insert(0) += 1;
            }
        }
        out
    }

    fn idf(&self, word: &str) -> f64 {
        let df = self.frequency.get(word).copied().unwrap_or(0);
        ((1.0 + f64::from(self.documents)) / (1.0 + f64::from(df))).ln() + 1.0
    }
}

/// The `limit` content words that say most about a text (tf-idf), in the order they come in.
#[must_use]
pub fn keywords(text: &str, background: &Background, limit: usize) -> Vec<String> {
    let mut seen: BTreeMap<String, (usize, u32)> = BTreeMap::new();
    for (place, word) in content_words(text).into_iter().enumerate() {
        seen.entry(word).or_insert((place, 0)).1 += 1;
    }
    let mut ranked: Vec<(f64, usize, String)> = seen
        .into_iter()
        .map(|(word, (place, tf))| {
            (
                (1.0 + f64::from(tf).ln()) * background.idf(&word),
                place,
                word,
            )
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    ranked.truncate(limit);
    ranked.sort_by_key(|(_, place, _)| *place);
    ranked.into_iter().map(|(_, _, word)| word).collect()
}

/// A neutral brief for a text that exists: its length and its keywords, nothing of its style.
#[must_use]
pub fn neutral_brief(text: &str, background: &Background) -> String {
    let words = (segment::word_count(text).max(10) + 5) / 10 * 10;
    let keywords = keywords(text, background, 8).join(", ");
    format!(
        "Write a short text of about {words} words. Use these words: {keywords}. Write only the text itself."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_share_rare_words_come_first() {
        let index = Bm25::new(&[
            "The boat and the river.",
            "The garden in spring.",
            "A river runs through the garden by the river.",
        ]);
        let hits: Vec<usize> = index
            .search("Rivers and a river", 5)
            .into_iter()
            .map(|(d, _)| d)
            .collect();
        assert_eq!(hits.len(), 2, "only two speak of the river: {hits:?}");
        assert_eq!(
            index.search("spring garden", 1)[0].0,
            1,
            "the rarer word decides"
        );
        assert!(
            index.search("the and of", 5).is_empty(),
            "function words find nothing"
        );
        assert!(Bm25::new(&[]).search("boat", 5).is_empty());
    }

    #[test]
    fn keywords_are_rare_content_words_in_text_order() {
        let background = Background::of(&[
            "The house was cold.",
            "A cold house again.",
            "Cold tea in the house.",
        ]);
        let text = "The house was cold, but the lantern in the harbour burned; the lantern burned all night.";
        assert_eq!(
            keywords(text, &background, 3),
            ["lantern", "harbour", "burned"],
            "house and cold are common here"
        );
        let brief = neutral_brief(text, &background);
        assert!(
            brief.starts_with("Write a short text of about 20 words. Use these words: "),
            "{brief}"
        );
    }
}
