//! Paragraphs, sentences and tokens as byte spans of the text they were found in, so that evidence can be quoted
//! verbatim. Rules only, for English prose and mail; no dictionaries beyond a short list of abbreviations. Which
//! words are whose is `clean`'s business, what they say about style `features`'.

use serde::{Deserialize, Serialize};

/// A half-open byte range `start..end` of one text, always on character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The quoted text. `text` must be the text the span was found in; a foreign text gives an empty quote.
    #[must_use]
    pub fn quote<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start..self.end).unwrap_or("")
    }

    #[must_use]
    pub const fn contains(&self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Letters, with apostrophes inside: `don't`, `O'Brien`. Parts of a hyphenated word are words of their own.
    Word,
    /// A run of digits.
    Number,
    /// Any other single visible character.
    Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

/// Word, number and punctuation tokens, in order.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::with_capacity(text.len() / 5);
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if c.is_whitespace() || c.is_control() {
            continue;
        }
        let mut end = start + c.len_utf8();
        let kind = if c.is_alphabetic() {
            while let Some(&(at, next)) = chars.peek() {
                let joins = is_apostrophe(next)
                    && text[at + next.len_utf8()..]
                        .chars()
                        .next()
                        .is_some_and(char::is_alphabetic);
                if !(next.is_alphabetic() || is_combining(next) || joins) {
                    break;
                }
                end = at + next.len_utf8();
                chars.next();
            }
            TokenKind::Word
        } else if c.is_numeric() {
            while let Some(&(at, next)) = chars.peek() {
                if !next.is_numeric() {
                    break;
                }
                end = at + next.len_utf8();
                chars.next();
            }
            TokenKind::Number
        } else {
            TokenKind::Mark
        };
        out.push(Token {
            kind,
            span: Span::new(start, end),
        });
    }
    out
}

/// The word tokens' spans.
#[must_use]
pub fn words(text: &str) -> Vec<Span> {
    tokens(text)
        .into_iter()
        .filter(|t| t.kind == TokenKind::Word)
        .map(|t| t.span)
        .collect()
}

#[must_use]
pub fn word_count(text: &str) -> usize {
    tokens(text)
        .iter()
        .filter(|t| t.kind == TokenKind::Word)
        .count()
}

#[must_use]
pub(crate) const fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02BC}')
}

const fn is_combining(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{200D}')
}

/// A word token in the form lists and counts use: lower case, straight apostrophe.
#[must_use]
pub fn normal_word(word: &str) -> String {
    word.chars()
        .flat_map(char::to_lowercase)
        .map(|c| if is_apostrophe(c) { '\'' } else { c })
        .collect()
}

/// Blocks between blank lines, without the white space around them.
#[must_use]
pub fn paragraphs(text: &str) -> Vec<Span> {
    let mut out = Vec::new();
    let mut open: Option<Span> = None;
    for line in lines(text) {
        let body = trimmed(text, line);
        if body.start == body.end {
            out.extend(open.take());
        } else {
            open = Some(Span::new(open.map_or(body.start, |p| p.start), body.end));
        }
    }
    out.extend(open);
    out
}

/// Lines without their line ends, empty ones included.
#[must_use]
pub fn lines(text: &str) -> Vec<Span> {
    let mut out = Vec::new();
    let mut start = 0;
    for piece in text.split_inclusive('\n') {
        let body = piece.trim_end_matches('\n').trim_end_matches('\r');
        out.push(Span::new(start, start + body.len()));
        start += piece.len();
    }
    out
}

pub(crate) fn trimmed(text: &str, span: Span) -> Span {
    let quote = span.quote(text);
    let start = span.start + (quote.len() - quote.trim_start().len());
    Span::new(start, start + quote.trim().len())
}

/// The length of a list marker with its following blank (`- `, `* `, `• `, `1. `, `2) `, `a) `), if the line has one.
#[must_use]
pub fn list_marker(line: &str) -> Option<usize> {
    let indent = line.len() - line.trim_start().len();
    let body = &line[indent..];
    let mut chars = body.char_indices();
    let (_, first) = chars.next()?;
    let after = if matches!(first, '-' | '*' | '+' | '•' | '–' | '‣' | '◦' | '·') {
        first.len_utf8()
    } else {
        let digits = body.chars().take_while(char::is_ascii_digit).count();
        let head = if (1..=2).contains(&digits) {
            digits
        } else {
            usize::from(first.is_ascii_lowercase())
        };
        let close = body[head..].chars().next()?;
        let closes = if digits > 0 {
            matches!(close, '.' | ')')
        } else {
            close == ')'
        };
        if head == 0 || !closes {
            return None;
        }
        head + 1
    };
    body[after..]
        .starts_with([' ', '\t'])
        .then_some(indent + after + 1)
}

/// Sentences: what ends at `.`, `!`, `?` or `…` (with the quotes and brackets that close there), at a blank line, at a
/// list item, and at a line break after a short line; a long line that is only wrapped goes on in the next one.
#[must_use]
pub fn sentences(text: &str) -> Vec<Span> {
    let mut out = Vec::new();
    let lines = lines(text);
    let mut open: Option<usize> = None;
    for (i, &line) in lines.iter().enumerate() {
        let mut body = trimmed(text, line);
        if body.start == body.end {
            continue;
        }
        if let Some(marker) = list_marker(line.quote(text)) {
            body.start = (line.start + marker).min(body.end);
        }
        let mut start = open.take().unwrap_or(body.start);
        for end in sentence_ends(text, body) {
            push_trimmed(&mut out, text, Span::new(start, end));
            start = end;
        }
        let rest = trimmed(text, Span::new(start, body.end));
        if rest.start < rest.end {
            let next = lines.get(i + 1).map_or("", |l| l.quote(text));
            if breaks_line(line.quote(text), next) {
                push_trimmed(&mut out, text, rest);
            } else {
                open = Some(rest.start);
            }
        }
    }
    if let Some(start) = open {
        push_trimmed(&mut out, text, Span::new(start, text.len()));
    }
    out
}

fn push_trimmed(out: &mut Vec<Span>, text: &str, span: Span) {
    let span = trimmed(text, span);
    if span.quote(text).chars().any(char::is_alphanumeric) {
        out.push(span);
    } else if let Some(last) = out.last_mut() {
        // A stray mark (`…`, `:-)`) belongs to what it follows.
        if text[last.end..span.start].trim().is_empty()
            && !text[last.end..span.start].contains('\n')
        {
            last.end = span.end;
        }
    }
}

/// Wrapped mail has lines of 60-78 characters; a much shorter one was ended on purpose.
const WRAPPED_LINE: usize = 45;

fn breaks_line(line: &str, next: &str) -> bool {
    next.trim().is_empty()
        || list_marker(next).is_some()
        || line.trim_end().chars().count() < WRAPPED_LINE
}

/// Byte offsets just behind each sentence end inside one line; the line's own end only if a mark ends it.
fn sentence_ends(text: &str, line: Span) -> Vec<usize> {
    let body = line.quote(text);
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(found) = body[at..].find(['.', '!', '?', '…']) {
        let mark = at + found;
        let run = body[mark..]
            .find(|c| !matches!(c, '.' | '!' | '?' | '…'))
            .map_or(body.len(), |n| mark + n);
        let close = body[run..]
            .find(|c| !is_closing(c))
            .map_or(body.len(), |n| run + n);
        at = close.max(mark + 1);
        let rest = &body[close..];
        if !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            continue;
        }
        if ends_sentence(
            &body[..mark],
            &body[mark..run],
            &body[run..close],
            rest.trim_start(),
        ) {
            ends.push(line.start + close);
        }
    }
    ends
}

const fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | ')' | ']' | '»' | '*' | '_')
}

fn ends_sentence(before: &str, marks: &str, closing: &str, rest: &str) -> bool {
    let Some(next) = rest
        .chars()
        .find(|c| !matches!(c, '"' | '\'' | '“' | '‘' | '(' | '[' | '*' | '_'))
    else {
        return true;
    };
    let lower = next.is_lowercase();
    if marks.contains(['!', '?']) {
        return !lower || closing.is_empty();
    }
    if marks.len() > 1 {
        return !lower; // an ellipsis inside a sentence
    }
    if lower && !closing.is_empty() {
        return false;
    }
    let last = before
        .rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“'))
        .next()
        .unwrap_or("");
    let word = last.to_lowercase();
    if NEVER_ENDS.contains(&word.as_str()) || (word == "no" && next.is_ascii_digit()) {
        return false;
    }
    let letters = last.chars().count();
    if letters == 1 && last != "I" && last.chars().all(char::is_uppercase) {
        return false; // an initial
    }
    if MAY_END.contains(&word.as_str()) || is_dotted(&word) {
        return !lower && !next.is_ascii_digit();
    }
    true
}

/// `u.s`, `a.m`, `ph.d`: short parts joined by dots.
fn is_dotted(word: &str) -> bool {
    word.contains('.')
        && word
            .split('.')
            .all(|part| (1..=2).contains(&part.len()) && part.chars().all(char::is_alphabetic))
}

const NEVER_ENDS: [&str; 24] = [
    "mr", "mrs", "ms", "mx", "dr", "prof", "st", "rev", "gen", "sen", "rep", "gov", "hon", "capt",
    "lt", "col", "sgt", "vs", "e.g", "i.e", "cf", "fig", "vol", "approx",
];

const MAY_END: [&str; 34] = [
    "etc", "inc", "ltd", "co", "corp", "jr", "sr", "a.m", "p.m", "jan", "feb", "mar", "apr", "jun",
    "jul", "aug", "sep", "sept", "oct", "nov", "dec", "mon", "tue", "wed", "thu", "fri", "sat",
    "sun", "dept", "est", "ave", "al", "min", "pp",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|s| s.quote(text)).collect()
    }

    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        assert_eq!(split(text), expect, "sentences of {text:?}");
    }

    #[test]
    fn marks_end_sentences_but_abbreviations_initials_and_decimals_do_not() {
        check(
            "I met Dr. Lee at 3.30 p.m. on Monday. She left.",
            &["I met Dr. Lee at 3.30 p.m. on Monday.", "She left."],
        );
        check(
            "J. R. Hartley wrote it. Who else?",
            &["J. R. Hartley wrote it.", "Who else?"],
        );
        check(
            "We ate plums, figs, etc. Then we slept.",
            &["We ate plums, figs, etc.", "Then we slept."],
        );
        check(
            "It costs 2.50 now (see No. 4 below). Fine!",
            &["It costs 2.50 now (see No. 4 below).", "Fine!"],
        );
        check(
            "The U.S. team won. The U.S. Then left.",
            &["The U.S. team won.", "The U.S.", "Then left."],
        );
    }

    #[test]
    fn ellipses_quotes_and_lower_case_writers() {
        check(
            "Well... maybe not. Hmm... Right.",
            &["Well... maybe not.", "Hmm...", "Right."],
        );
        check(
            "\"Why?\" he asked. \"No.\" She sat.",
            &["\"Why?\" he asked.", "\"No.\"", "She sat."],
        );
        check(
            "i went home. then i slept!! ok",
            &["i went home.", "then i slept!!", "ok"],
        );
    }

    #[test]
    fn line_breaks_end_short_lines_and_list_items_but_not_wrapped_ones() {
        check(
            "Hi Ann,\nthe plan is ready",
            &["Hi Ann,", "the plan is ready"],
        );
        check(
            "Bring:\n- bread\n- two cups\n1. Then rest",
            &["Bring:", "bread", "two cups", "Then rest"],
        );
        check(
            "This line is long enough to have been wrapped by a mail\nprogram and goes on here. End",
            &[
                "This line is long enough to have been wrapped by a mail\nprogram and goes on here.",
                "End",
            ],
        );
    }

    #[test]
    fn tokens_keep_apostrophes_and_split_hyphens() {
        let text = "Don\u{2019}t re-use 42 ‘old’ caf\u{e9}s!";
        let got: Vec<_> = tokens(text).iter().map(|t| t.span.quote(text)).collect();
        assert_eq!(
            got,
            [
                "Don\u{2019}t",
                "re",
                "-",
                "use",
                "42",
                "‘",
                "old",
                "’",
                "caf\u{e9}s",
                "!"
            ]
        );
        assert_eq!(
            normal_word("Don\u{2019}t"),
            "don't",
            "curly apostrophes count as straight ones"
        );
        assert_eq!(word_count(text), 5, "numbers and marks are no words");
    }

    #[test]
    fn paragraphs_are_separated_by_blank_lines() {
        let text = "One.\r\nStill one.\r\n\r\n  \nTwo.";
        let got: Vec<_> = paragraphs(text).iter().map(|p| p.quote(text)).collect();
        assert_eq!(got, ["One.\r\nStill one.", "Two."]);
    }

    #[test]
    fn hostile_input_gives_valid_spans() {
        for text in [
            "",
            "...",
            "\u{200d}\u{301}",
            "?!?! ",
            "a\u{301}.\u{2019}\u{2019} b",
            "1)\n-\n* ",
            "\n\n\r\r\n",
            "é.é. É",
        ] {
            for span in sentences(text)
                .iter()
                .chain(&paragraphs(text))
                .chain(&words(text))
            {
                assert!(
                    text.get(span.start..span.end).is_some(),
                    "{span:?} is no span of {text:?}"
                );
            }
        }
    }
}
