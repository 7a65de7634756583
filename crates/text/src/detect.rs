//! Finders that look at more than one word of a list: punctuation, case, grammar proxies, lines, greetings. Each takes
//! a token, sentence or block and says whether (and where) the thing is there; `catalog` gives them names.

use crate::analysis::{Analysis, Sentence};
use crate::clean;
use crate::lexicons as lex;
use crate::segment::{self, Span, TokenKind};

fn word_if(a: &Analysis<'_>, i: usize, test: impl Fn(&str) -> bool) -> Option<Span> {
    a.word_at(i).filter(|w| test(&w.normal)).map(|w| w.span)
}

pub(crate) fn mark(a: &Analysis<'_>, i: usize, marks: &[char]) -> Option<Span> {
    a.mark(i)
        .filter(|c| marks.contains(c))
        .map(|_| a.tokens[i].span)
}

pub(crate) fn contraction(a: &Analysis<'_>, i: usize) -> Option<Span> {
    const ENDINGS: [&str; 6] = ["n't", "'m", "'re", "'ve", "'ll", "'d"];
    const WITH_S: [&str; 12] = [
        "it's",
        "that's",
        "there's",
        "what's",
        "he's",
        "she's",
        "let's",
        "here's",
        "who's",
        "how's",
        "where's",
        "everyone's",
    ];
    word_if(a, i, |w| {
        ENDINGS.iter().any(|e| w.ends_with(e)) || WITH_S.contains(&w)
    })
}

pub(crate) fn negative_contraction(a: &Analysis<'_>, i: usize) -> Option<Span> {
    word_if(a, i, |w| w.ends_with("n't"))
}

pub(crate) fn missing_apostrophe(a: &Analysis<'_>, i: usize) -> Option<Span> {
    const BARE: [&str; 16] = [
        "dont", "doesnt", "didnt", "isnt", "arent", "wasnt", "werent", "cant", "couldnt", "wont",
        "wouldnt", "shouldnt", "im", "ive", "thats", "havent",
    ];
    word_if(a, i, |w| BARE.contains(&w))
}

/// A full stop that is no part of an ellipsis, a decimal number or an address.
pub(crate) fn full_stop(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let (span, length) = a.mark_run(i, &['.'])?;
    let inside = a.touches_next(i)
        && a.tokens
            .get(i + 1)
            .is_some_and(|t| t.kind != TokenKind::Mark);
    (length == 1 && !inside).then_some(span)
}

pub(crate) fn colon(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let inside = a.touches_next(i)
        && a.tokens
            .get(i + 1)
            .is_some_and(|t| t.kind == TokenKind::Number);
    let link = a.touches_next(i) && a.mark(i + 1) == Some('/');
    mark(a, i, &[':']).filter(|_| !inside && !link && emoticon(a, i).is_none())
}

pub(crate) fn ellipsis(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let (span, length) = a.mark_run(i, &['.', '…'])?;
    (length >= 2 || a.mark(i) == Some('…')).then_some(span)
}

pub(crate) fn repeated_marks(a: &Analysis<'_>, i: usize) -> Option<Span> {
    a.mark_run(i, &['!', '?'])
        .filter(|(_, length)| *length >= 2)
        .map(|(span, _)| span)
}

pub(crate) fn double_hyphen(a: &Analysis<'_>, i: usize) -> Option<Span> {
    a.mark_run(i, &['-'])
        .filter(|(_, length)| matches!(length, 2 | 3))
        .map(|(span, _)| span)
}

/// Long and short dashes, `--`, and a hyphen with blanks around it inside a line.
pub(crate) fn dash(a: &Analysis<'_>, i: usize) -> Option<Span> {
    if let Some(span) = double_hyphen(a, i) {
        return Some(span);
    }
    let spaced = |c: char| {
        let span = a.tokens[i].span;
        let after_blank = a.text[..span.start].ends_with([' ', '\u{a0}']) && !a.touches_previous(i);
        let same_line = i > 0 && !a.text[a.tokens[i - 1].span.end..span.start].contains('\n');
        c == '-' && after_blank && same_line && a.text[span.end..].starts_with([' ', '\n'])
    };
    let number_range = |c: char| {
        let number = |j: usize| a.tokens.get(j).is_some_and(|t| t.kind == TokenKind::Number);
        c == '–' && i > 0 && number(i - 1) && number(i + 1) && a.touches_next(i)
    };
    let c = a.mark(i)?;
    ((matches!(c, '—' | '–') && !number_range(c)) || spaced(c)).then_some(a.tokens[i].span)
}

/// A hyphen between two words; the span holds both.
pub(crate) fn hyphen(a: &Analysis<'_>, i: usize) -> Option<Span> {
    if !matches!(a.mark(i)?, '-' | '\u{2010}' | '\u{2011}')
        || !a.touches_previous(i)
        || !a.touches_next(i)
    {
        return None;
    }
    let word = |j: usize| a.tokens[j].kind != TokenKind::Mark;
    (word(i - 1) && word(i + 1))
        .then(|| Span::new(a.tokens[i - 1].span.start, a.tokens[i + 1].span.end))
}

pub(crate) fn other_mark(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let c = a.mark(i)?;
    (c.is_ascii_punctuation()
        && matches!(
            c,
            '#' | '+' | '<' | '=' | '>' | '@' | '\\' | '^' | '`' | '{' | '|' | '}' | '~'
        ))
    .then_some(a.tokens[i].span)
}

/// `a, b, and c`: a comma right before `and`/`or` with another comma at most five tokens earlier.
pub(crate) fn serial_comma(a: &Analysis<'_>, i: usize) -> Option<Span> {
    mark(a, i, &[','])?;
    let and = a
        .word_at(i + 1)
        .filter(|w| matches!(w.normal.as_str(), "and" | "or"))?;
    let before = (i.saturating_sub(5)..i.saturating_sub(1)).rfind(|&j| a.mark(j) == Some(','))?;
    if (before..i).any(|j| matches!(a.mark(j), Some('.' | '!' | '?' | ';'))) {
        return None;
    }
    Some(Span::new(
        a.tokens[before.saturating_sub(1)].span.start,
        a.tokens.get(i + 2).map_or(and.span.end, |t| t.span.end),
    ))
}

pub(crate) fn comma_conjunction(a: &Analysis<'_>, i: usize) -> Option<Span> {
    mark(a, i, &[','])?;
    a.word_at(i + 1)
        .filter(|w| matches!(w.normal.as_str(), "and" | "but"))
        .map(|w| Span::new(a.tokens[i].span.start, w.span.end))
}

pub(crate) fn double_space(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let span = mark(a, i, &['.', '!', '?'])?;
    let rest = &a.text[span.end..];
    (rest.starts_with("  ")
        && rest
            .trim_start_matches(' ')
            .starts_with(char::is_alphanumeric))
    .then(|| Span::new(span.start, span.end + 2))
}

pub(crate) fn space_before_mark(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let span = mark(a, i, &[',', '!', '?', ';'])?;
    let before = a.text[..span.start]
        .chars()
        .rev()
        .take(2)
        .collect::<Vec<_>>();
    matches!(before[..], [' ', c] if c.is_alphanumeric())
        .then(|| Span::new(span.start - 1, span.end))
}

pub(crate) fn emoji(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let c = a.mark(i)?;
    let is = matches!(u32::from(c), 0x1F300..=0x1FAFF | 0x2600..=0x27BF | 0x2B50 | 0x1F1E6..=0x1F1FF)
        && !matches!(u32::from(c), 0x1F3FB..=0x1F3FF);
    is.then_some(a.tokens[i].span)
}

/// `:)`, `;-)`, `:D`, `:(`, `<3`.
pub(crate) fn emoticon(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let start = a.tokens[i].span.start;
    let rest = &a.text[start..];
    if !matches!(a.mark(i)?, ':' | ';' | '=' | '<')
        || a.text[..start].ends_with(char::is_alphanumeric)
    {
        return None;
    }
    const FACES: [&str; 16] = [
        ":-)", ":-(", ";-)", ":-D", ":-P", ":-/", ":)", ":(", ";)", ":D", ":P", ":p", ":/", "=)",
        "<3", ":'(",
    ];
    let face = FACES.iter().find(|f| rest.starts_with(**f))?;
    let after = rest[face.len()..].chars().next();
    (!after.is_some_and(char::is_alphanumeric) && (*face != ":/" || after != Some('/')))
        .then(|| Span::new(start, start + face.len()))
}

pub(crate) fn all_caps(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let word = a.word_at(i)?;
    (word.letters >= 2 && a.quote(word.span).chars().all(|c| !c.is_lowercase()))
        .then_some(word.span)
}

pub(crate) fn mid_capital(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let word = a.word_at(i)?;
    let quote = a.quote(word.span);
    let starts_upper = quote.chars().next().is_some_and(char::is_uppercase)
        && quote.chars().any(char::is_lowercase);
    if !starts_upper || word.normal.starts_with("i'") {
        return None;
    }
    let s = a
        .sentences
        .partition_point(|s| s.span.end <= word.span.start);
    let first = a.sentences.get(s).map(|s| a.words[s.first_word].span);
    (first != Some(word.span)).then_some(word.span)
}

pub(crate) fn lower_i(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let word = a.word_at(i)?;
    // `i.e.` is no pronoun.
    let quote = a.quote(word.span);
    let pronoun = quote == "i" || quote.starts_with("i'") || quote.starts_with("i\u{2019}");
    (pronoun && !(a.mark(i + 1) == Some('.') && a.touches_next(i) && a.touches_next(i + 1)))
        .then_some(word.span)
}

pub(crate) fn lower_start(a: &Analysis<'_>, s: &Sentence) -> bool {
    a.quote(s.span)
        .chars()
        .find(|c| c.is_alphanumeric())
        .is_some_and(char::is_lowercase)
}

pub(crate) fn number(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let token = a.tokens.get(i).filter(|t| t.kind == TokenKind::Number)?;
    // 1,250.50 is one number.
    let inner = i >= 2
        && a.touches_previous(i)
        && a.touches_previous(i - 1)
        && a.tokens[i - 2].kind == TokenKind::Number
        && matches!(a.mark(i - 1), Some('.' | ',' | ':'));
    (!inner).then_some(token.span)
}

pub(crate) fn year(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let token = a.tokens.get(i).filter(|t| t.kind == TokenKind::Number)?;
    let quote = a.quote(token.span);
    (quote.len() == 4 && (quote.starts_with("19") || quote.starts_with("20"))).then_some(token.span)
}

pub(crate) fn link(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let start = a.tokens[i].span.start;
    let begins = start == 0
        || a.text[..start]
            .ends_with(|c: char| c.is_whitespace() || matches!(c, '(' | '<' | '[' | '"'));
    if !begins || a.tokens[i].kind != TokenKind::Word {
        return None;
    }
    let rest = &a.text[start..];
    let piece = rest
        .split(|c: char| c.is_whitespace() || matches!(c, ')' | '>' | ']' | '"'))
        .next()
        .unwrap_or("");
    let address = piece
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    (piece.starts_with("http://")
        || piece.starts_with("https://")
        || piece.starts_with("www.")
        || address)
        .then(|| Span::new(start, start + piece.len()))
}

pub(crate) fn suffix(a: &Analysis<'_>, i: usize, endings: &[&str], letters: usize) -> Option<Span> {
    let word = a.word_at(i).filter(|w| w.letters >= letters)?;
    endings
        .iter()
        .any(|e| word.normal.ends_with(e))
        .then_some(word.span)
}

fn is_participle(word: &str) -> bool {
    (word.len() > 3 && word.ends_with("ed")) || lex::IRREGULAR_PARTICIPLES.contains(&word)
}

/// `first`, at most one -ly word or `not`, then a word that passes `second`.
fn verb_group(
    a: &Analysis<'_>,
    i: usize,
    first: impl Fn(&str) -> bool,
    second: impl Fn(&str) -> bool,
) -> Option<Span> {
    let start = a.word_at(i).filter(|w| first(&w.normal))?.span.start;
    let mut next = a.word_at(i + 1)?;
    if next.normal.ends_with("ly") || next.normal == "not" {
        next = a.word_at(i + 2)?;
    }
    second(&next.normal).then(|| Span::new(start, next.span.end))
}

pub(crate) fn passive(a: &Analysis<'_>, i: usize) -> Option<Span> {
    verb_group(a, i, |w| lex::BE_FORMS.contains(&w), is_participle)
}

pub(crate) fn progressive(a: &Analysis<'_>, i: usize) -> Option<Span> {
    verb_group(
        a,
        i,
        |w| lex::BE_FORMS.contains(&w),
        |w| w.len() > 4 && w.ends_with("ing"),
    )
}

pub(crate) fn perfect(a: &Analysis<'_>, i: usize) -> Option<Span> {
    verb_group(
        a,
        i,
        |w| {
            matches!(
                w,
                "have" | "has" | "had" | "i've" | "we've" | "they've" | "you've"
            )
        },
        |w| is_participle(w) || w == "been",
    )
}

pub(crate) fn there_is(a: &Analysis<'_>, i: usize) -> Option<Span> {
    if let Some(span) = word_if(a, i, |w| w == "there's") {
        return Some(span);
    }
    verb_group(a, i, |w| w == "there", |w| lex::BE_FORMS.contains(&w))
}

pub(crate) fn to_word(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let to = a.word_at(i).filter(|w| w.normal == "to")?;
    let next = a.word_at(i + 1)?;
    let verb_like = a.quote(next.span).chars().all(char::is_lowercase)
        && !lex::FUNCTION_WORDS.contains(&next.normal.as_str());
    verb_like.then(|| Span::new(to.span.start, next.span.end))
}

pub(crate) fn repeated_word(a: &Analysis<'_>, i: usize) -> Option<Span> {
    let word = a.word_at(i)?;
    let next = a.word_at(i + 1).filter(|n| n.normal == word.normal)?;
    Some(Span::new(word.span.start, next.span.end))
}

pub(crate) fn ends_with(a: &Analysis<'_>, s: &Sentence, mark: char) -> bool {
    a.quote(s.span)
        .chars()
        .rev()
        .take_while(|c| !c.is_alphanumeric())
        .any(|c| c == mark)
}

pub(crate) fn unmarked_end(a: &Analysis<'_>, s: &Sentence) -> bool {
    a.quote(s.span).ends_with(char::is_alphanumeric)
}

fn starts(a: &Analysis<'_>, s: &Sentence, test: impl Fn(&str) -> bool) -> bool {
    a.words_of(s).first().is_some_and(|w| test(&w.normal))
}

pub(crate) fn conjunction_start(a: &Analysis<'_>, s: &Sentence) -> bool {
    starts(a, s, |w| matches!(w, "and" | "but" | "so" | "or" | "yet"))
}

pub(crate) fn wh_start(a: &Analysis<'_>, s: &Sentence) -> bool {
    starts(a, s, |w| lex::WH_WORDS.contains(&w))
}

pub(crate) fn ing_start(a: &Analysis<'_>, s: &Sentence) -> bool {
    starts(a, s, |w| w.len() > 5 && w.ends_with("ing"))
}

pub(crate) fn ly_start(a: &Analysis<'_>, s: &Sentence) -> bool {
    starts(a, s, |w| w.len() > 4 && w.ends_with("ly"))
}

pub(crate) fn request_start(a: &Analysis<'_>, s: &Sentence) -> bool {
    let words = a.words_of(s);
    let second = words.get(1).map_or("", |w| &w.normal);
    starts(a, s, |w| {
        matches!(w, "please" | "let's" | "remember" | "consider" | "imagine")
            || (w == "let" && second == "me")
            || (matches!(w, "can" | "could" | "would") && second == "you")
    })
}

pub(crate) fn first_person(a: &Analysis<'_>, s: &Sentence) -> bool {
    a.words_of(s)
        .iter()
        .any(|w| w.normal == "i" || w.normal.starts_with("i'"))
}

fn commas(a: &Analysis<'_>, s: &Sentence) -> usize {
    a.quote(s.span).matches(',').count()
}

pub(crate) fn no_comma(a: &Analysis<'_>, s: &Sentence) -> bool {
    commas(a, s) == 0
}

pub(crate) fn many_commas(a: &Analysis<'_>, s: &Sentence) -> bool {
    commas(a, s) >= 3
}

pub(crate) fn short_block(a: &Analysis<'_>, block: Span) -> bool {
    segment::word_count(a.quote(block)) < 25
}

pub(crate) fn list_line(a: &Analysis<'_>, line: Span) -> bool {
    segment::list_marker(a.quote(line)).is_some()
}

/// `# Title`, or a short line alone in its paragraph with no closing mark.
pub(crate) fn heading_line(a: &Analysis<'_>, line: Span) -> bool {
    let quote = a.quote(line);
    if quote.starts_with('#') {
        return quote.trim_start_matches('#').starts_with(' ');
    }
    quote.len() < 60
        && quote.starts_with(char::is_uppercase)
        && quote.ends_with(char::is_alphabetic)
        && quote.contains(' ')
        && a.paragraphs.len() > 1
        && a.paragraphs.binary_search(&line).is_ok()
}

pub(crate) fn letters(a: &Analysis<'_>, i: usize, from: usize, to: usize) -> Option<Span> {
    a.word_at(i)
        .filter(|w| (from..=to).contains(&w.letters))
        .map(|w| w.span)
}

pub(crate) fn greeting(a: &Analysis<'_>) -> Option<Span> {
    clean::greeting(a.text)
}

pub(crate) fn sign_off(a: &Analysis<'_>) -> Option<Span> {
    clean::sign_off(a.text)
}

pub(crate) fn question_end(a: &Analysis<'_>) -> Option<Span> {
    a.sentences
        .last()
        .filter(|s| ends_with(a, s, '?'))
        .map(|s| s.span)
}
