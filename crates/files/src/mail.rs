//! Mail: one message parsed (RFC 5322, MIME), and mailboxes of many (mbox, RFC 4155) read as a stream.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, MessageParser, MessagePart, MimeHeaders, PartType};

use crate::item::{Each, Item, Message};
use crate::lines::{LineEnd, read_line};
use crate::source::{PIECE_BYTES, Source};
use crate::{FileKind, ImportError, Limits, encoding, html};

/// Reads the one message of an `.eml` file.
///
/// # Errors
/// [`ImportError::Corrupt`] where it is no mail, and those of `each`.
pub(crate) fn read_eml(
    source: &mut Source<'_>,
    limits: &Limits,
    each: Each<'_>,
) -> Result<(), ImportError> {
    let mut raw = Vec::new();
    BufReader::with_capacity(PIECE_BYTES, source)
        .take(limits.max_message_bytes as u64)
        .read_to_end(&mut raw)?;
    // Some mail programs save a message with the separator line of the mailbox it was in.
    let from = match raw.starts_with(b"From ") {
        true => raw
            .iter()
            .position(|&b| b == b'\n')
            .map_or(raw.len(), |at| at + 1),
        false => 0,
    };
    let message = parse(&raw[from..], limits).ok_or(ImportError::Corrupt {
        kind: FileKind::Eml,
        why: "it does not begin with mail headers",
    })?;
    each(Item::Message(message))
}

/// Reads the messages of a mailbox one by one; no more than one, cut at the limit, is held at a time.
///
/// # Errors
/// [`ImportError::Corrupt`] where the file is no mailbox, cancellation, and those of `each`.
pub(crate) fn read_mbox(
    source: &mut Source<'_>,
    limits: &Limits,
    each: Each<'_>,
) -> Result<(), ImportError> {
    let mut reader = BufReader::with_capacity(PIECE_BYTES, source);
    skip_mark(&mut reader)?;
    let mut raw = Vec::new();
    let mut line = Vec::new();
    // A separator stands at the start of the file or after an empty line.
    let (mut separable, mut at_start, mut inside) = (true, true, false);
    loop {
        let end = read_line(&mut reader, &mut line, MAX_LINE_BYTES)?;
        if !line.is_empty() {
            if at_start && separable && is_separator(&line) {
                hand_on(&mut raw, limits, each)?;
                inside = true;
            } else if inside {
                let line = if at_start { unquoted(&line) } else { &line };
                let room = limits.max_message_bytes.saturating_sub(raw.len());
                raw.extend_from_slice(&line[..line.len().min(room)]);
            } else if !line.iter().all(u8::is_ascii_whitespace) {
                return Err(ImportError::Corrupt {
                    kind: FileKind::Mbox,
                    why: "it does not begin with a \"From \" line",
                });
            }
            separable = at_start && line.iter().all(|b| matches!(b, b'\r' | b'\n'));
            at_start = end == LineEnd::Newline;
        }
        if end == LineEnd::Eof {
            return hand_on(&mut raw, limits, each);
        }
    }
}

const MAX_LINE_BYTES: usize = 64 << 10;

fn skip_mark(reader: &mut impl BufRead) -> Result<(), ImportError> {
    if reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    Ok(())
}

fn hand_on(raw: &mut Vec<u8>, limits: &Limits, each: Each<'_>) -> Result<(), ImportError> {
    if let Some(message) = parse(raw, limits) {
        each(Item::Message(message))?;
    }
    raw.clear();
    Ok(())
}

/// `From sender date`: the date's time of day tells it from a sentence that begins with "From".
fn is_separator(line: &[u8]) -> bool {
    let is_time = |word: &[u8]| {
        word.len() >= 4
            && word.contains(&b':')
            && word.iter().all(|b| b.is_ascii_digit() || *b == b':')
    };
    line.strip_prefix(b"From ")
        .is_some_and(|rest| rest.split(u8::is_ascii_whitespace).skip(1).any(is_time))
}

/// Takes away the `>` that the mboxrd form sets before a body line that begins with `From `.
fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|&&b| b == b'>').count();
    match marks > 0 && line[marks..].starts_with(b"From ") {
        true => &line[1..],
        false => line,
    }
}

/// Parses a raw message; `None` where it has neither headers nor a body.
pub(crate) fn parse(raw: &[u8], limits: &Limits) -> Option<Message> {
    let raw = &raw[..nesting_ends(raw, limits.max_depth)];
    let mail = MessageParser::new().parse(raw)?;
    let from = mail.from().and_then(|from| from.first());
    let address = from
        .and_then(|from| from.address())
        .unwrap_or_default()
        .trim()
        .to_lowercase();
    let name = from.and_then(|from| from.name()).unwrap_or_default().trim();
    let (text, from_html) = body(&mail, raw, limits);
    Some(Message {
        display: if name.is_empty() { &address } else { name }.to_owned(),
        key: if address.is_empty() {
            name.to_owned()
        } else {
            address
        },
        title: mail
            .subject()
            .map(str::trim)
            .filter(|subject| !subject.is_empty())
            .map(str::to_owned),
        date: mail
            .date()
            .filter(|date| date.is_valid())
            .map(|date| date.to_rfc3339()),
        text,
        from_html,
        attachments: mail.attachment_count(),
    })
}

/// Where a message that nests messages deeper than allowed has to be cut: the parser holds each level in the one
/// above, and taking them down again would cost a stack frame each.
fn nesting_ends(raw: &[u8], max_depth: usize) -> usize {
    let holds_messages = |header: &[u8]| {
        let opens = |word: &[u8]| {
            [&b"rfc822"[..], b"global", b"digest"]
                .iter()
                .any(|kind| word.eq_ignore_ascii_case(kind))
        };
        header.windows(6).any(opens)
    };
    let (mut levels, mut at, mut in_content_type, mut counted) = (0, 0, false, false);
    for line in raw.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
        let name = line.trim_ascii_start().get(..12);
        if name.is_some_and(|name| name.eq_ignore_ascii_case(b"content-type")) {
            (in_content_type, counted) = (true, false);
        } else if !line.starts_with(b" ") && !line.starts_with(b"\t") && line != b"\n" {
            in_content_type = false;
        }
        if in_content_type && !counted && holds_messages(line) {
            counted = true;
            levels += 1;
            if levels > max_depth {
                return at;
            }
        }
        at += line.len();
    }
    raw.len()
}

/// The message's own text, and whether it had to be taken from HTML.
fn body(mail: &mail_parser::Message<'_>, raw: &[u8], limits: &Limits) -> (String, bool) {
    let mut plain = String::new();
    for part in mail.text_bodies() {
        if matches!(part.body, PartType::Text(_)) {
            join(&mut plain, &unwrapped(part, &decoded(part, raw)));
        }
    }
    if !plain.trim().is_empty() {
        return (plain, false);
    }
    let mut rendered = String::new();
    for part in mail.html_bodies() {
        if matches!(part.body, PartType::Html(_)) {
            join(
                &mut rendered,
                &html::render(&decoded(part, raw), limits.max_depth).text,
            );
        }
    }
    let from_html = !rendered.trim().is_empty();
    (rendered, from_html)
}

fn join(all: &mut String, text: &str) {
    if !all.is_empty() {
        all.push_str("\n\n");
    }
    all.push_str(text.trim());
}

/// A part's text. Where the charset that the part names (or leaves out) does not fit its bytes, the bytes decide.
fn decoded<'a>(part: &'a MessagePart<'_>, raw: &[u8]) -> Cow<'a, str> {
    let (PartType::Text(text) | PartType::Html(text)) = &part.body else {
        return Cow::Borrowed("");
    };
    if !text.contains('\u{fffd}') {
        return Cow::Borrowed(text);
    }
    let range = part.offset_body as usize..part.offset_end as usize;
    let bytes = raw.get(range).and_then(|bytes| match part.encoding {
        Encoding::None => Some(bytes.to_vec()),
        Encoding::QuotedPrintable => quoted_printable_decode(bytes),
        Encoding::Base64 => base64_decode(bytes),
    });
    bytes.map_or(Cow::Borrowed(text), |bytes| {
        Cow::Owned(encoding::decode_8bit(&bytes))
    })
}

/// Undoes the line wrapping of `format=flowed` (RFC 3676): a line that ends in a space goes on in the next one.
fn unwrapped(part: &MessagePart<'_>, text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let attribute = |name| part.content_type().and_then(|kind| kind.attribute(name));
    let says =
        |name, value: &str| attribute(name).is_some_and(|said| said.eq_ignore_ascii_case(value));
    if !says("format", "flowed") {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut going_on: Option<usize> = None;
    for line in text.lines() {
        let depth = line.bytes().take_while(|&b| b == b'>').count();
        let content = &line[depth..];
        let content = content.strip_prefix(' ').unwrap_or(content);
        let flows = content.ends_with(' ') && content != "-- ";
        if going_on == Some(depth) && content != "-- " {
            out.push_str(content);
        } else {
            if going_on.is_some() {
                out.push('\n');
            }
            out.push_str(&">".repeat(depth));
            if depth > 0 {
                out.push(' ');
            }
            out.push_str(content);
        }
        going_on = flows.then_some(depth);
        if flows && says("delsp", "yes") {
            out.pop();
        }
        if !flows {
            out.push('\n');
        }
    }
    out
}
