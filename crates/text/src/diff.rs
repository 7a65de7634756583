//! Word-level difference of two texts, for showing what an edit changed.

use serde::Serialize;

use crate::segment::{Span, tokens};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Kept,
    Added,
    Removed,
}

/// A piece of the old text (kept, removed) or of the new one (added), with the white space before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    pub change: Change,
    pub text: String,
}

/// Pieces that read, without the added ones, as `old`, and without the removed ones as `new` (up to white space in
/// kept pieces). Longest common subsequence of word and punctuation tokens; removals stand before additions.
#[must_use]
pub fn diff(old: &str, new: &str) -> Vec<Piece> {
    let (a, b) = (pieces(old), pieces(new));
    let same = |i: usize, j: usize| old[a[i].1.start..a[i].1.end] == new[b[j].1.start..b[j].1.end];
    let (mut head, mut tail) = (0, 0);
    while head < a.len().min(b.len()) && same(head, head) {
        head += 1;
    }
    while tail < a.len().min(b.len()) - head && same(a.len() - 1 - tail, b.len() - 1 - tail) {
        tail += 1;
    }
    let (n, m) = (a.len() - head - tail, b.len() - head - tail);
    let mut out = Vec::new();
    (0..head).for_each(|i| push(&mut out, Change::Kept, old, a[i].0));
    if n.saturating_mul(m) > MAX_TABLE {
        // Two long texts with nothing in common at either end: say so rather than spend gigabytes.
        (head..head + n).for_each(|i| push(&mut out, Change::Removed, old, a[i].0));
        (head..head + m).for_each(|j| push(&mut out, Change::Added, new, b[j].0));
    } else {
        // longest[i][j] = longest common subsequence of what follows i and j.
        let mut longest = vec![0u32; (n + 1) * (m + 1)];
        for i in (0..n).rev() {
            for j in (0..m).rev() {
                longest[i * (m + 1) + j] = if same(head + i, head + j) {
                    longest[(i + 1) * (m + 1) + j + 1] + 1
                } else {
                    longest[(i + 1) * (m + 1) + j].max(longest[i * (m + 1) + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < n || j < m {
            if i < n && j < m && same(head + i, head + j) {
                push(&mut out, Change::Kept, old, a[head + i].0);
                (i, j) = (i + 1, j + 1);
            } else if i < n
                && (j == m || longest[(i + 1) * (m + 1) + j] >= longest[i * (m + 1) + j + 1])
            {
                push(&mut out, Change::Removed, old, a[head + i].0);
                i += 1;
            } else {
                push(&mut out, Change::Added, new, b[head + j].0);
                j += 1;
            }
        }
    }
    (a.len() - tail..a.len()).for_each(|i| push(&mut out, Change::Kept, old, a[i].0));
    out
}

/// 64 MB of table.
const MAX_TABLE: usize = 16_000_000;

/// Each token with the white space before it, and the bare token.
fn pieces(text: &str) -> Vec<(Span, Span)> {
    let mut from = 0;
    tokens(text)
        .into_iter()
        .map(|t| {
            let piece = Span::new(from, t.span.end);
            from = t.span.end;
            (piece, t.span)
        })
        .collect()
}

fn push(out: &mut Vec<Piece>, change: Change, text: &str, span: Span) {
    match out.last_mut() {
        Some(last) if last.change == change => last.text.push_str(span.quote(text)),
        _ => out.push(Piece {
            change,
            text: span.quote(text).to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(old: &str, new: &str) -> String {
        diff(old, new)
            .into_iter()
            .map(|p| match p.change {
                Change::Kept => p.text,
                Change::Added => format!("{{+{}}}", p.text),
                Change::Removed => format!("{{-{}}}", p.text),
            })
            .collect()
    }

    #[test]
    fn changes_are_shown_where_they_are() {
        assert_eq!(
            show("I do not know.", "I don't know!"),
            "I{- do not}{+ don't} know{-.}{+!}"
        );
        assert_eq!(show("same text", "same text"), "same text");
        assert_eq!(show("", "new"), "{+new}");
        assert_eq!(show("old", ""), "{-old}");
        assert_eq!(show("a b c d", "a x c d e"), "a{- b}{+ x} c d{+ e}");
    }

    #[test]
    fn each_side_can_be_read_back() {
        let (old, new) = (
            "The cat sat, then it ran off.",
            "The dog sat; then it slept.",
        );
        let side = |leave: Change| {
            diff(old, new)
                .into_iter()
                .filter(|p| p.change != leave)
                .map(|p| p.text)
                .collect::<String>()
        };
        assert_eq!(side(Change::Added), old);
        assert_eq!(side(Change::Removed), new);
    }
}
