//! Stated preferences: one sentence or a few in which somebody says what they want and what they do not, as wanted and
//! unwanted clauses; and which words of an offer are there only to be denied ("nut-free", "no loud music").
//!
//! Rules and short lists for English, written by hand. `cues` the lists · `parser` the rules · `polarity` the words of
//! clauses and offers with their signs · `knowledge` what a wish says without saying it.

mod cues;
mod knowledge;
mod parser;
mod polarity;

pub use polarity::{SignedWord, clause_words, offer_words};

use crate::{
    lexicons::is_stop_word,
    segment::{Span, TokenKind, normal_word, sentences, tokens},
};

/// Clauses of one statement, lower case, in the order they were said. A list of things is there as a whole, then thing by
/// thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What is wanted.
    pub wanted: Vec<String>,
    /// What is not.
    pub unwanted: Vec<String>,
}

impl Wishes {
    /// Reads a statement. Where nothing says otherwise, what is named is wanted.
    #[must_use]
    pub fn read(statement: &str) -> Self {
        parser::read(statement, false)
    }

    /// The wishes in a text about somebody, sentence by sentence; what no word speaks for is left out ("I work at night"),
    /// lists are whole, and sentences without a wish are not there.
    #[must_use]
    pub fn said_in(text: &str) -> Vec<(Span, Self)> {
        let read = |sentence: Span| (sentence, parser::read(sentence.quote(text), true));
        let all = sentences(text).into_iter().map(read);
        all.filter(|(_, wishes)| !wishes.is_empty()).collect()
    }

    /// True where nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.unwanted.is_empty()
    }

    fn add(&mut self, wanted: bool, clause: String) {
        let clauses = if wanted {
            &mut self.wanted
        } else {
            &mut self.unwanted
        };
        if !clauses.contains(&clause) {
            clauses.push(clause);
        }
    }
}

/// A word as it is read here: hyphens, slashes, dots and ampersands inside belong to it (`sugar-free`, `24/7`, `R&B`).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    /// In normal form; a single character for a mark.
    text: String,
    span: Span,
    is_mark: bool,
}

fn units(text: &str) -> Vec<Unit> {
    let tokens = tokens(text);
    let mut out: Vec<Unit> = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let is_mark = tokens[i].kind == TokenKind::Mark;
        let mut span = tokens[i].span;
        while !is_mark && i + 2 < tokens.len() {
            let (mark, next) = (tokens[i + 1], tokens[i + 2]);
            let joined = matches!(mark.span.quote(text), "-" | "/" | "." | "&")
                && mark.span.start == span.end
                && next.span.start == mark.span.end
                && next.kind != TokenKind::Mark;
            if !joined {
                break;
            }
            span.end = next.span.end;
            i += 2;
        }
        out.push(Unit {
            text: normal_word(span.quote(text)),
            span,
            is_mark,
        });
        i += 1;
    }
    out
}

/// Whether a word names something.
fn has_content(word: &str) -> bool {
    !is_stop_word(word) && !cues::EMPTY.contains(&word)
}

/// Words of the longest phrase of `list` that begins at `at`; 0 where none does.
fn longest(list: &[&str], units: &[Unit], at: usize) -> usize {
    list.iter()
        .filter_map(|phrase| {
            let mut n = 0;
            for word in phrase.split(' ') {
                if units.get(at + n)?.text != word {
                    return None;
                }
                n += 1;
            }
            Some(n)
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
