//! What a person writes must not be able to speak for the model's own markup.
//!
//! A chat template yields one text, in which special tokens like `<|im_end|>` are found by their spelling. Where a
//! message spells one, a mark that no text has is put after its first letter before rendering, so that the spelling is
//! not found; encoding drops the mark, and the model reads the letters as they were written.

use std::borrow::Cow;

/// The mark: a Unicode noncharacter, never to be interchanged between programs.
pub const GUARD: char = '\u{FDD0}';

/// `content` with [`GUARD`] inside every special spelling; `find` yields where the first one in a text begins, in bytes.
///
/// Spellings of one letter cannot be broken up this way; a tokenizer must not honour such ones in prompts.
pub fn guarded(content: &str, find: &dyn Fn(&str) -> Option<usize>) -> String {
    let content = shown(content);
    let mut rest: &str = &content;
    let mut out = String::with_capacity(rest.len());
    // One letter on, not one spelling on: spellings may overlap.
    while let Some(at) = find(rest) {
        let first = rest[at..].chars().next().map_or(1, char::len_utf8);
        out.push_str(&rest[..at + first]);
        out.push(GUARD);
        rest = &rest[at + first..];
    }
    out.push_str(rest);
    out
}

/// A rendered prompt as a person reads it and as the model does: without the marks.
pub fn shown(prompt: &str) -> Cow<'_, str> {
    match prompt.contains(GUARD) {
        true => Cow::Owned(prompt.replace(GUARD, "")),
        false => Cow::Borrowed(prompt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_broken_up_overlapping_ones_too() {
        let find = |text: &str| ["<a>", "a><b>"].iter().filter_map(|s| text.find(s)).min();
        let text = "é<a><b> \u{FDD0}<\u{FDD0}a>";
        let safe = guarded(text, &find);
        assert_eq!(find(&safe), None, "{safe:?}");
        assert_eq!(shown(&safe), "é<a><b> <a>");
        assert_eq!(guarded("plain", &find), "plain");
    }
}
