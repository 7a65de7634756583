//! Which words of a clause or an offer are named to be denied. An offer is cut into pieces; an absence word turns its piece,
//! "-free" and "non-" turn the word they are joined to.

use super::{Unit, cues, has_content, longest, units};
use crate::segment::{Span, Token, TokenKind, normal_word, tokens};

/// A word with what its text says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedWord {
    /// Where it stands.
    pub span: Span,
    /// `1` the thing is there, `-1` it is not.
    pub sign: i8,
    /// Whether it names something.
    pub content: bool,
}

/// Words of a wish's clause: negators were read by the parser, so only "-free" and "non-" turn a word.
#[must_use]
pub fn clause_words(text: &str) -> Vec<SignedWord> {
    let units = units(text);
    units.iter().flat_map(|u| parts(text, u, 1)).collect()
}

/// Words of an offer, such as an answer to choose: absence words turn their piece as well.
#[must_use]
pub fn offer_words(text: &str) -> Vec<SignedWord> {
    let units = units(text);
    let advertised = advertising(&units);
    let mut out = Vec::new();
    let mut start = 0;
    while start < units.len() {
        let end = (start + 1..units.len())
            .find(|&i| begins_piece(text, &units, i))
            .unwrap_or(units.len());
        let denied = (start..end).any(|i| !advertised[i] && denies(&units[i].text));
        let sign = if denied { -1 } else { 1 };
        for unit in &units[start..end] {
            out.extend(parts(text, unit, sign));
        }
        start = end;
    }
    out
}

fn denies(word: &str) -> bool {
    cues::ABSENCES.contains(&word) || word.ends_with("n't")
}

/// Which units belong to a phrase that only advertises.
fn advertising(units: &[Unit]) -> Vec<bool> {
    let mut out = vec![false; units.len()];
    for at in 0..units.len() {
        let length = longest(cues::ADVERTISING, units, at);
        out[at..at + length].fill(true);
    }
    out
}

/// Whether a piece begins at unit `at`: after punctuation or a dash, before "with" and the like.
fn begins_piece(text: &str, units: &[Unit], at: usize) -> bool {
    let before = &units[at - 1];
    let dash = |u: &Unit| matches!(u.span.quote(text), "-" | "–" | "—");
    (before.is_mark
        && (dash(before) || matches!(before.text.as_str(), "," | ";" | ":" | "(" | ")" | ".")))
        || cues::OPENINGS.contains(&units[at].text.as_str())
}

/// The unit's words; `sign` is its piece's.
fn parts(text: &str, unit: &Unit, sign: i8) -> Vec<SignedWord> {
    let joined = unit.text.as_str();
    let turned = joined.ends_with("-free") || joined.starts_with("non-");
    tokens(unit.span.quote(text))
        .into_iter()
        .filter(|token| token.kind != TokenKind::Mark)
        .map(|Token { span: part, .. }| {
            let span = Span::new(unit.span.start + part.start, unit.span.start + part.end);
            let word = normal_word(span.quote(text));
            let names = turned && !matches!(word.as_str(), "free" | "non");
            SignedWord {
                span,
                sign: if names { -sign } else { sign },
                content: has_content(&word),
            }
        })
        .collect()
}
