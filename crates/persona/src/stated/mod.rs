//! How well offers, such as answers to choose from, respect what somebody said they want.
//!
//! The statement is read as wanted and unwanted clauses (`idiolect_text::wishes`). Each clause is held against each offer by
//! late interaction (Khattab and Zaharia 2020): every word of the clause looks for its like among the offer's words, and
//! what it finds counts against the clause where the offer denies it ("nut-free"). Nothing here is fitted.
//!
//! `choice` what fitting would add, and what controls are fitted with · `spelling` what stands in for a sentence embedder.

use std::collections::HashMap;

use idiolect_llm::{Cancel, EmbeddedToken, Embedder};
use idiolect_text::{
    stats::mean,
    wishes::{SignedWord, Wishes, clause_words, offer_words},
};
use serde::{Deserialize, Serialize};

use crate::{PersonaError, Result};

mod choice;
mod spelling;

pub use choice::{Choice, fit, right_share};
pub use spelling::Spelling;

/// What a word that names nothing counts beside one that does.
const EMPTY_WORD: f64 = 0.1;

/// How an offer stands to a statement: > 0 speaks for it. Each value is a cosine of wanted less unwanted clauses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Respect {
    /// By the clauses as they were said.
    pub stated: f64,
    /// By their opposites.
    pub opposite: f64,
    /// By what their words bring with them.
    pub implied: f64,
}

impl Respect {
    /// All three together.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.stated + self.opposite + self.implied
    }

    /// Each alone, to be weighed.
    #[must_use]
    pub fn readings(&self) -> [f64; 3] {
        [self.stated, self.opposite, self.implied]
    }
}

/// Reads clauses and offers; a text is embedded once.
pub struct Reader<'a> {
    embedder: &'a dyn Embedder,
    cancel: &'a Cancel,
    known: HashMap<String, Vec<EmbeddedToken>>,
}

impl<'a> Reader<'a> {
    /// Without a sentence embedder, [`Spelling`] will do.
    pub fn new(embedder: &'a dyn Embedder, cancel: &'a Cancel) -> Self {
        Self {
            embedder,
            cancel,
            known: HashMap::new(),
        }
    }

    /// How every offer stands to a statement.
    ///
    /// # Errors
    /// The embedder's, among them that it has no vector a token; cancelled.
    pub fn respect(&mut self, wishes: &Wishes, offers: &[&str]) -> Result<Vec<Respect>> {
        let sides = [wishes.clone(), wishes.opposites(), wishes.implied()];
        let clauses = sides
            .iter()
            .flat_map(|w| w.wanted.iter().chain(&w.unwanted));
        self.learn(clauses.map(String::as_str).chain(offers.iter().copied()))?;
        let [stated, opposite, implied] = sides;
        let of_offer = |offer: &&str| {
            let offer = self.words(offer, offer_words);
            Respect {
                stated: self.balance(&stated, &offer, mean),
                opposite: self.balance(&opposite, &offer, mean),
                // One forbidden thing is enough; the others' absence says nothing.
                implied: self.balance(&implied, &offer, most),
            }
        };
        Ok(offers.iter().map(of_offer).collect())
    }

    fn learn<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> Result<()> {
        let mut missing: Vec<&str> = texts.filter(|t| !self.known.contains_key(*t)).collect();
        missing.sort_unstable();
        missing.dedup();
        let found = self
            .embedder
            .embed_tokens(&missing, self.cancel)
            .map_err(PersonaError::Model)?;
        let texts = missing.into_iter().map(str::to_owned);
        self.known.extend(texts.zip(found));
        Ok(())
    }

    /// The text's tokens with what their words say; tokens outside of words are left out.
    fn words(&self, text: &str, signed: fn(&str) -> Vec<SignedWord>) -> Vec<Word<'_>> {
        let signed = signed(text);
        let tokens = self.known.get(text).into_iter().flatten();
        tokens
            .filter_map(|token| {
                let word = signed
                    .iter()
                    .find(|w| (w.span.start..w.span.end).contains(&token.bytes.start))?;
                Some(Word {
                    vector: &token.vector,
                    sign: f64::from(word.sign),
                    weight: if word.content { 1.0 } else { EMPTY_WORD },
                })
            })
            .collect()
    }

    /// What the offer has of the wanted clauses, less what it has of the unwanted ones; 0 for a side without clauses.
    fn balance(&self, wishes: &Wishes, offer: &[Word<'_>], over: fn(&[f64]) -> f64) -> f64 {
        let side = |clauses: &[String]| {
            let found: Vec<f64> = clauses
                .iter()
                .filter_map(|clause| likeness(&self.words(clause, clause_words), offer))
                .collect();
            over(&found)
        };
        side(&wishes.wanted) - side(&wishes.unwanted)
    }
}

struct Word<'a> {
    vector: &'a [f32],
    /// `-1` where the text denies it.
    sign: f64,
    weight: f64,
}

/// Weighted mean over the clause's words of the cosine to their likes among the offer's words, −1 to 1. `None` where either
/// has no words.
fn likeness(clause: &[Word<'_>], offer: &[Word<'_>]) -> Option<f64> {
    let total: f64 = clause.iter().map(|word| word.weight).sum();
    if total == 0.0 || offer.is_empty() {
        return None;
    }
    let sum: f64 = clause
        .iter()
        .map(|word| word.weight * word.sign * match_in(offer, word.vector))
        .sum();
    Some(sum / total)
}

/// The cosine to the offer's word that is most like it, turned where the offer denies that word.
fn match_in(offer: &[Word<'_>], vector: &[f32]) -> f64 {
    let cosines = offer
        .iter()
        .map(|word| (cosine(vector, word.vector), word.sign));
    let best = cosines.max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or(0.0, |(cosine, sign)| cosine * sign)
}

/// Cosine of two vectors of an embedder, which are of length 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>())
}

/// The highest; 0 for none.
fn most(values: &[f64]) -> f64 {
    values.iter().copied().reduce(f64::max).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offer that is respected most.
    fn chosen<'t>(statement: &str, offers: &[&'t str]) -> &'t str {
        let cancel = Cancel::new();
        let mut reader = Reader::new(&Spelling, &cancel);
        let found = reader.respect(&Wishes::read(statement), offers).unwrap();
        let best = (0..offers.len())
            .max_by(|&a, &b| found[a].score().total_cmp(&found[b].score()))
            .unwrap();
        offers[best]
    }

    #[test]
    fn what_is_wanted_is_chosen_and_what_is_not_is_left() {
        let offers = ["A day at the harbour", "A day of karaoke"];
        assert_eq!(chosen("I dislike karaoke.", &offers), offers[0]);
        assert_eq!(chosen("I love karaoke.", &offers), offers[1]);
        assert_eq!(
            chosen("I prefer karaoke over the harbour.", &offers),
            offers[1]
        );
    }

    #[test]
    fn what_an_offer_denies_does_not_count_as_there() {
        let offers = ["A cake with walnuts", "A cake without walnuts"];
        assert_eq!(chosen("I have a walnut allergy.", &offers), offers[1]);
        assert_eq!(chosen("I love walnuts.", &offers), offers[0]);
        let offers = ["Sugar-free jam", "Sugar-coated jam"];
        assert_eq!(chosen("I like sugar-free jam.", &offers), offers[0]);
        assert_eq!(chosen("I avoid sugar.", &offers), offers[0]);
    }

    #[test]
    fn what_goes_without_saying_counts() {
        let offers = ["Toast with cheese", "Toast with tomatoes"];
        assert_eq!(chosen("I follow a vegan diet.", &offers), offers[1]);
        let offers = ["A noisy inn", "A quiet inn"];
        assert_eq!(chosen("I dislike loud places.", &offers), offers[1]);
    }

    #[test]
    fn a_likeness_is_what_the_sums_say() {
        let word = |vector, sign, weight| Word {
            vector,
            sign,
            weight,
        };
        let (x, y): (&[f32], &[f32]) = (&[1.0, 0.0], &[0.0, 1.0]);
        let clause = [word(x, 1.0, 1.0), word(y, 1.0, 0.1)];
        assert!(likeness(&clause, &[]).is_none() && likeness(&[], &clause).is_none());
        // x finds itself (cosine 1), y finds nothing (0): 1 · 1 / 1.1.
        let found = likeness(&clause, &[word(x, 1.0, 1.0)]).unwrap();
        assert!((found - 1.0 / 1.1).abs() < 1e-12, "{found}");
        let denied = likeness(&clause, &[word(x, -1.0, 1.0)]).unwrap();
        assert_eq!(denied, -found);
        // The nearest word alone counts, and with its own sign.
        let both = [word(x, 1.0, 1.0), word(y, -1.0, 1.0)];
        assert_eq!(likeness(&clause[..1], &both), Some(1.0));
    }

    #[test]
    fn nothing_said_or_offered_is_no_reason_to_choose() {
        let cancel = Cancel::new();
        let mut reader = Reader::new(&Spelling, &cancel);
        let silent = reader.respect(&Wishes::default(), &["A cake", ""]).unwrap();
        assert_eq!(silent, [Respect::default(); 2]);
        let empty = reader
            .respect(&Wishes::read("I love cake."), &[""])
            .unwrap();
        assert_eq!(empty, [Respect::default()]);
    }
}
