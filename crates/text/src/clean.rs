//! Whose words are these? Takes quoted replies, forwarded mail, signatures, disclaimers and what is no prose out of a
//! text, each cut recorded so that it can be put back. Greetings and sign-offs are the writer's own: they are found
//! here but stay. Reading file formats is the `files` crate's work.

use idiolect_core::sample::{Removal, RemovalKind};

use crate::lexicons as lex;
use crate::segment::{self, Span, lines, normal_word, trimmed, word_count};

/// A text without what is not the writer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// Exactly the given text less the removed ranges; not trimmed, so that offsets stay true.
    pub text: String,
    /// What was cut, in order; offsets are of the text as given.
    pub removed: Vec<Removal>,
}

impl Cleaned {
    /// How many passages of a kind were cut.
    #[must_use]
    pub fn count(&self, kind: RemovalKind) -> usize {
        self.removed.iter().filter(|r| r.kind == kind).count()
    }
}

/// Cuts everything that is not the writer's own prose.
#[must_use]
pub fn own_words(text: &str) -> Cleaned {
    let lines = lines(text);
    let mut labels: Vec<Option<RemovalKind>> = vec![None; lines.len()];
    let page = Page {
        text,
        lines: &lines,
    };
    label_not_prose(&page, &mut labels);
    label_quotes(&page, &mut labels);
    label_signatures(&page, &mut labels);
    label_boilerplate(&page, &mut labels);
    absorb_blank_lines(&page, &mut labels);
    cut(&page, &labels)
}

/// The text with everything put back whose words are still there.
#[must_use]
pub fn put_back(cleaned: &Cleaned) -> String {
    let mut whole = String::with_capacity(cleaned.text.len());
    let (mut taken, mut cut) = (0, 0);
    for removal in &cleaned.removed {
        let at = removal.start.saturating_sub(cut);
        if let Some(before) = cleaned.text.get(taken..at) {
            whole.push_str(before);
            taken = at;
        }
        whole.push_str(&removal.text);
        cut += removal.end - removal.start;
    }
    whole.push_str(&cleaned.text[taken..]);
    whole
}

struct Page<'a> {
    text: &'a str,
    lines: &'a [Span],
}

impl<'a> Page<'a> {
    fn line(&self, i: usize) -> &'a str {
        self.lines.get(i).map_or("", |l| l.quote(self.text)).trim()
    }

    fn len(&self) -> usize {
        self.lines.len()
    }

    /// The first line at or after `i` that is not blank.
    fn next_filled(&self, i: usize) -> Option<usize> {
        (i..self.len()).find(|&j| !self.line(j).is_empty())
    }
}

fn label(labels: &mut [Option<RemovalKind>], range: std::ops::Range<usize>, kind: RemovalKind) {
    for slot in &mut labels[range] {
        slot.get_or_insert(kind);
    }
}

/// Front matter, fenced code, mail headers at the top, tables and encoded blocks.
fn label_not_prose(page: &Page<'_>, labels: &mut [Option<RemovalKind>]) {
    let kind = RemovalKind::NotProse;
    if page.line(0) == "---"
        && let Some(close) = (1..page.len().min(60)).find(|&i| page.line(i) == "---")
        && (1..close).any(|i| page.line(i).contains(':'))
    {
        label(labels, 0..close + 1, kind);
    }
    if let Some(first) = page.next_filled(0)
        && let Some(end) = header_block(page, first)
    {
        label(labels, first..end, kind);
    }
    let mut i = 0;
    while i < page.len() {
        let line = page.line(i);
        let fence = ["```", "~~~"].into_iter().find(|f| line.starts_with(f));
        if let Some(fence) = fence
            && let Some(close) = (i + 1..page.len()).find(|&j| page.line(j).starts_with(fence))
        {
            label(labels, i..close + 1, kind);
            i = close;
        } else if line.matches('|').count() >= 3
            || (line.len() > 60 && !line.contains(' ') && !line.contains("://"))
        {
            label(labels, i..i + 1, kind);
        }
        i += 1;
    }
}

/// The end of a block of mail headers that starts at line `i`: `From:` with two more of the usual fields.
fn header_block(page: &Page<'_>, i: usize) -> Option<usize> {
    const FIELDS: [&str; 12] = [
        "from:",
        "sent:",
        "date:",
        "to:",
        "cc:",
        "bcc:",
        "subject:",
        "reply-to:",
        "von:",
        "gesendet:",
        "an:",
        "betreff:",
    ];
    let field = |j: usize| {
        let line = page
            .line(j)
            .trim_start_matches(['*', '>', ' '])
            .to_lowercase();
        FIELDS.iter().find(|f| line.starts_with(**f)).copied()
    };
    let mut seen = Vec::new();
    let mut j = i;
    while j < page.len() && !page.line(j).is_empty() {
        match field(j) {
            Some(name) => seen.push(name),
            None if seen.is_empty() => return None,
            None => {} // a folded address list
        }
        if j > i + 12 {
            return None;
        }
        j += 1;
    }
    (seen.len() >= 3 && seen.iter().any(|f| matches!(*f, "from:" | "von:"))).then_some(j)
}

/// `>` lines, "On … wrote:", original-message and forward markers, header blocks inside a text.
fn label_quotes(page: &Page<'_>, labels: &mut [Option<RemovalKind>]) {
    let mut i = 0;
    while i < page.len() {
        if labels[i].is_some() {
            i += 1;
            continue;
        }
        let line = page.line(i);
        if let Some(kind) = divider(line) {
            label(labels, i..page.len(), kind);
            return;
        }
        if let Some(after) = attribution(page, i) {
            let next = page.next_filled(after);
            let marked = next.is_some_and(|n| is_quoted(page.line(n)));
            let end = if marked { after } else { page.len() };
            label(labels, i..end, RemovalKind::QuotedReply);
            i = end;
            continue;
        }
        if i > 0 && header_block(page, i).is_some() {
            let ruled = (0..i).rev().take(2).find(|&j| {
                page.line(j).len() >= 5 && page.line(j).chars().all(|c| matches!(c, '_' | '-'))
            });
            label(
                labels,
                ruled.unwrap_or(i)..page.len(),
                RemovalKind::QuotedReply,
            );
            return;
        }
        if is_quoted(line) {
            label(labels, i..i + 1, RemovalKind::QuotedReply);
        }
        i += 1;
    }
}

fn is_quoted(line: &str) -> bool {
    // `>:(` and `>5 kg` are no quotes.
    line.strip_prefix('>').is_some_and(|rest| {
        rest.is_empty()
            || rest.starts_with([' ', '>', '\t'])
            || rest.starts_with(char::is_alphabetic)
    })
}

fn divider(line: &str) -> Option<RemovalKind> {
    let bare = line
        .trim_matches(|c: char| matches!(c, '-' | '_' | '=' | '*' | ' ' | ':'))
        .to_lowercase();
    let ruled = line.starts_with("--") || line.starts_with("__");
    match bare.as_str() {
        "original message" | "ursprüngliche nachricht" | "message d'origine" if ruled => {
            Some(RemovalKind::QuotedReply)
        }
        "forwarded message" | "weitergeleitete nachricht" if ruled => Some(RemovalKind::Forwarded),
        "begin forwarded message" => Some(RemovalKind::Forwarded),
        _ if ruled && bare.starts_with("forwarded by ") => Some(RemovalKind::Forwarded),
        _ => None,
    }
}

/// The line after an attribution ("On Monday Ann wrote:", over at most three lines) that starts at line `i`.
fn attribution(page: &Page<'_>, i: usize) -> Option<usize> {
    const FORMS: [(&str, &[&str]); 3] = [
        ("on ", &["wrote:", "writes:", "said:"]),
        ("am ", &["schrieb:"]),
        ("le ", &["a écrit :", "a écrit:"]),
    ];
    let first = page.line(i).to_lowercase();
    let (_, endings) = FORMS.iter().find(|(start, _)| first.starts_with(start))?;
    let mut all = String::new();
    for j in i..(i + 3).min(page.len()) {
        if page.line(j).is_empty() {
            break;
        }
        all.push_str(&page.line(j).to_lowercase());
        if endings.iter().any(|e| all.ends_with(e)) {
            // A date or an address tells it from "On reflection I wrote:".
            return (all.contains('@') || all.chars().any(|c| c.is_ascii_digit())).then_some(j + 1);
        }
        all.push(' ');
    }
    None
}

fn label_signatures(page: &Page<'_>, labels: &mut [Option<RemovalKind>]) {
    let kind = RemovalKind::Signature;
    // The writer's part ends where the first quote to the end begins.
    let end = (0..page.len())
        .rfind(|&i| labels[i].is_none() && !page.line(i).is_empty())
        .map_or(0, |i| i + 1);
    let raw = |i: usize| page.lines[i].quote(page.text);
    if let Some(i) = (1..end)
        .rev()
        .take(15)
        .find(|&i| matches!(raw(i), "-- " | "--" | "—"))
    {
        label(labels, i..end, kind);
        return;
    }
    for i in (0..end).rev().take(6) {
        let line = page.line(i).to_lowercase();
        if [
            "sent from my ",
            "sent from outlook",
            "get outlook for ",
            "sent via ",
            "sent from mail for ",
        ]
        .iter()
        .any(|s| line.starts_with(s))
            && word_count(&line) <= 10
        {
            label(labels, i..i + 1, kind);
        }
    }
    // A block of contact lines after the closing: at least two of them, at most ten lines.
    let body_end = (0..end)
        .rfind(|&i| labels[i].is_none() && !page.line(i).is_empty())
        .map_or(0, |i| i + 1);
    let contact = |i: usize| is_contact(page.line(i));
    let mut start = body_end;
    while start > 0
        && body_end - start < 10
        && labels[start - 1].is_none()
        && is_card_line(page.line(start - 1))
    {
        start -= 1;
    }
    let Some(first) = (start..body_end).find(|&i| contact(i)) else {
        return;
    };
    if (first..body_end).filter(|&i| contact(i)).count() < 2 {
        return;
    }
    // Title and company lines between the closing (with the name after it) and the first contact line go too.
    let closing = (start..first).find(|&i| is_sign_off(page.line(i)));
    let from = closing.map_or(first, |c| (c + 2).min(first));
    if from > 0 {
        label(labels, from..body_end, kind);
    }
}

/// A line short enough for a business card.
fn is_card_line(line: &str) -> bool {
    word_count(line) <= 9 && !line.ends_with(['?', '!'])
}

fn is_contact(line: &str) -> bool {
    let lower = line.to_lowercase();
    let digits = line.chars().filter(char::is_ascii_digit).count();
    let phone = digits >= 7
        && line
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_alphabetic() || " +-().:/|,x".contains(c))
        && word_count(line) <= 4;
    let named = [
        "tel", "phone", "fax", "mobile", "cell", "office:", "ph:", "t:", "m:", "email:", "e-mail:",
        "web:",
    ]
    .iter()
    .any(|p| lower.starts_with(p));
    let address = line.contains('@') || lower.contains("www.") || lower.contains("http");
    phone || (named && digits >= 5) || (address && word_count(line) <= 8)
}

fn label_boilerplate(page: &Page<'_>, labels: &mut [Option<RemovalKind>]) {
    const PHRASES: [&str; 14] = [
        "confidential",
        "intended recipient",
        "intended only for",
        "privileged",
        "notify the sender",
        "delete this",
        "delete the message",
        "unauthorized",
        "unauthorised",
        "disclosure",
        "unsubscribe",
        "virus",
        "please consider the environment",
        "do not print this",
    ];
    let mut i = 0;
    while i < page.len() {
        if page.line(i).is_empty() || labels[i].is_some() {
            i += 1;
            continue;
        }
        let end = (i..page.len())
            .find(|&j| page.line(j).is_empty() || labels[j].is_some())
            .unwrap_or(page.len());
        let paragraph = (i..end)
            .map(|j| page.line(j).to_lowercase())
            .collect::<Vec<_>>()
            .join(" ");
        let hits = PHRASES.iter().filter(|p| paragraph.contains(**p)).count();
        let sure = paragraph.contains("please consider the environment")
            || paragraph.contains("to unsubscribe");
        if hits >= 3 || (sure && word_count(&paragraph) < 40) {
            label(labels, i..end, RemovalKind::Boilerplate);
        }
        i = end;
    }
}

/// Blank lines next to a cut go with it, but one stays between two kept paragraphs.
fn absorb_blank_lines(page: &Page<'_>, labels: &mut [Option<RemovalKind>]) {
    let mut i = 0;
    while i < page.len() {
        if !page.line(i).is_empty() || labels[i].is_some() {
            i += 1;
            continue;
        }
        let end = page.next_filled(i).unwrap_or(page.len());
        let before = i.checked_sub(1).and_then(|b| labels[b]);
        let after = labels.get(end).copied().flatten();
        let at_edge = i == 0 || end == page.len();
        match (before, after) {
            (Some(kind), Some(_)) => label(labels, i..end, kind),
            // The blank lines behind a cut go; those before it keep the paragraphs apart, unless nothing follows.
            (Some(kind), None) => label(labels, i..end, kind),
            (None, Some(kind)) => {
                let last =
                    (end..page.len()).all(|j| labels[j].is_some() || page.line(j).is_empty());
                if last || at_edge {
                    label(labels, i..end, kind);
                }
            }
            (None, None) => {}
        }
        i = end;
    }
}

fn cut(page: &Page<'_>, labels: &[Option<RemovalKind>]) -> Cleaned {
    let mut cleaned = Cleaned {
        text: String::with_capacity(page.text.len()),
        removed: Vec::new(),
    };
    let mut i = 0;
    while i < page.len() {
        let start = page.lines[i].start;
        let same = (i..page.len())
            .find(|&j| labels[j] != labels[i])
            .unwrap_or(page.len());
        let end = page.lines.get(same).map_or(page.text.len(), |l| l.start);
        let piece = &page.text[start..end];
        match labels[i] {
            None => cleaned.text.push_str(piece),
            Some(kind) => cleaned.removed.push(Removal {
                kind,
                start,
                end,
                text: piece.to_owned(),
            }),
        }
        i = same;
    }
    cleaned
}

/// A message in its three parts; the body is what lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub greeting: Option<Span>,
    pub body: Span,
    pub sign_off: Option<Span>,
}

#[must_use]
pub fn parts(text: &str) -> Parts {
    let greeting = greeting(text);
    let sign_off = sign_off(text).filter(|s| greeting.is_none_or(|g| g.end <= s.start));
    let body = Span::new(
        greeting.map_or(0, |g| g.end),
        sign_off.map_or(text.len(), |s| s.start),
    );
    Parts {
        greeting,
        body: trimmed(text, body),
        sign_off,
    }
}

/// The words of `list` that begin `line`, as a count of words; the longest entry wins.
fn leading_phrase(line: &str, list: &[&str]) -> Option<usize> {
    let words: Vec<String> = segment::words(line)
        .iter()
        .take(6)
        .map(|w| normal_word(w.quote(line)))
        .collect();
    list.iter()
        .filter(|entry| {
            let parts: Vec<&str> = entry.split(' ').collect();
            words.len() >= parts.len() && parts.iter().zip(&words).all(|(p, w)| p == w)
        })
        .map(|entry| entry.split(' ').count())
        .max()
}

/// "Hi Ann," at the start of a text: up to its comma, or the whole short line.
#[must_use]
pub fn greeting(text: &str) -> Option<Span> {
    let line = lines(text)
        .into_iter()
        .map(|l| trimmed(text, l))
        .find(|l| l.start < l.end)?;
    let quote = line.quote(text);
    leading_phrase(quote, lex::GREETINGS)?;
    let close = quote
        .find([',', '!', ':', '—', '.'])
        .map(|at| at + quote[at..].chars().next().map_or(0, char::len_utf8));
    match close {
        Some(at) if word_count(&quote[..at]) <= 5 => Some(Span::new(line.start, line.start + at)),
        _ => (word_count(quote) <= 4 && !quote.ends_with('?')).then_some(line),
    }
}

fn is_sign_off(line: &str) -> bool {
    let Some(phrase) = leading_phrase(line, lex::SIGN_OFFS) else {
        return false;
    };
    line.starts_with(char::is_alphabetic) && word_count(line) <= phrase + 2 && !line.ends_with('?')
}

/// "Best, Ann" at the end of a text: from the closing line to the end, if little more than a name follows it.
#[must_use]
pub fn sign_off(text: &str) -> Option<Span> {
    let filled: Vec<Span> = lines(text)
        .into_iter()
        .map(|l| trimmed(text, l))
        .filter(|l| l.start < l.end)
        .collect();
    let last = filled.last()?;
    let at = (1..filled.len())
        .rev()
        .take(5)
        .find(|&i| is_sign_off(filled[i].quote(text)))?;
    let span = Span::new(filled[at].start, last.end);
    (word_count(&text[filled[at].end..]) <= 8).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kept: &str, kinds: &[RemovalKind]) {
        let cleaned = own_words(text);
        assert_eq!(cleaned.text.trim_end(), kept, "what stays of {text:?}");
        assert_eq!(
            cleaned.removed.iter().map(|r| r.kind).collect::<Vec<_>>(),
            kinds,
            "what goes of {text:?}"
        );
        for r in &cleaned.removed {
            assert_eq!(
                &text[r.start..r.end],
                r.text,
                "a removal quotes the text as given"
            );
        }
        assert_eq!(
            put_back(&cleaned),
            text,
            "putting everything back restores the text"
        );
    }

    use RemovalKind::{Boilerplate, Forwarded, NotProse, QuotedReply, Signature};

    #[test]
    fn replies_are_cut_and_what_stands_between_them_stays() {
        check(
            "Yes, Tuesday is fine.\n\nOn 3 May 2024, Ann Lee <ann@a.example> wrote:\n> Is Tuesday fine?\n> Ann\n",
            "Yes, Tuesday is fine.",
            &[QuotedReply],
        );
        check(
            "> Can you come?\nI can.\n> And Bob?\nBob too.",
            "I can.\nBob too.",
            &[QuotedReply, QuotedReply],
        );
        check(
            "Fine by me.\n\nOn Mon, 3 May 2024 at 10:12,\nAnn Lee wrote:\n\nIs it fine?\nAnn",
            "Fine by me.",
            &[QuotedReply],
        );
        check(
            "On reflection I wrote:\na new version.",
            "On reflection I wrote:\na new version.",
            &[],
        );
        check(
            "I lost >5 kg and >:( is a face",
            "I lost >5 kg and >:( is a face",
            &[],
        );
    }

    #[test]
    fn outlook_headers_and_forwards_cut_to_the_end() {
        check(
            "Agreed.\n\n________________________________\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Plan\n\nShall we?",
            "Agreed.",
            &[QuotedReply],
        );
        check(
            "See below.\n\n-----Original Message-----\nFrom: Ann\nold text",
            "See below.",
            &[QuotedReply],
        );
        check(
            "For you.\n\n---------- Forwarded message ---------\nFrom: Ann\n\nnews",
            "For you.",
            &[Forwarded],
        );
        check(
            "From: me\nTo: you\nSubject: Plan\n\nShall we go?",
            "Shall we go?",
            &[NotProse],
        );
    }

    #[test]
    fn signatures_go_but_the_closing_and_the_name_stay() {
        check(
            "See you there.\n-- \nBob Ray\nTester",
            "See you there.",
            &[Signature],
        );
        check(
            "On my way.\n\nSent from my phone",
            "On my way.",
            &[Signature],
        );
        check(
            "The parts came in.\n\nBest regards,\nBob Ray\nSenior Tester\nTel: +1 555 010 0199\nbob@b.example",
            "The parts came in.\n\nBest regards,\nBob Ray",
            &[Signature],
        );
        check(
            "Call 555 010 0199 or write to bob@b.example and ask.",
            "Call 555 010 0199 or write to bob@b.example and ask.",
            &[],
        );
    }

    #[test]
    fn boilerplate_code_and_front_matter_go() {
        check(
            "Here it is.\n\nThis email is confidential and privileged. If you are not the intended recipient, delete this message.",
            "Here it is.",
            &[Boilerplate],
        );
        check(
            "---\ntitle: x\n---\nProse.\n\n```\nlet a = 1;\n```\nMore.",
            "Prose.\n\nMore.",
            &[NotProse, NotProse],
        );
        check(
            "It is confidential, she said.",
            "It is confidential, she said.",
            &[],
        );
    }

    #[test]
    fn greeting_and_sign_off_are_parts_of_their_own() {
        let text = "Hi Ann,\n\nthe plan is ready.\n\nBest wishes,\nBob\n";
        let parts = parts(text);
        assert_eq!(parts.greeting.map(|s| s.quote(text)), Some("Hi Ann,"));
        assert_eq!(parts.body.quote(text), "the plan is ready.");
        assert_eq!(
            parts.sign_off.map(|s| s.quote(text)),
            Some("Best wishes,\nBob")
        );
        let inline = "Hey Bob, where are you?";
        assert_eq!(greeting(inline).map(|s| s.quote(inline)), Some("Hey Bob,"));
        assert_eq!(
            greeting("Dear friends of mine came to stay with us"),
            None,
            "a sentence is no greeting"
        );
        assert_eq!(
            sign_off("It was late.\nLove is a strange thing to talk about."),
            None,
            "a sentence is no sign-off"
        );
        assert_eq!(
            sign_off("Thanks"),
            None,
            "a text of one line has no closing"
        );
    }
}
