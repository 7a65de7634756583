//! A person's files turned into passages of text that say where they came from.
//!
//! Here live the importers: plain text, Markdown, HTML, Word documents, mail (one message or a whole mbox) and
//! exports of chats, each with hard limits on hostile input. What is *not* here: finding quoted replies and
//! signatures inside a text ([`idiolect_text`] does that), splitting into samples, naming the language, and storage.
//!
//! The way in has two steps. [`scan`] says what a file is and who wrote in it, so that a front can ask "whose words
//! are yours?"; [`read`] then hands over only the chosen person's words, one [`Passage`] at a time. Mailboxes and chat
//! exports are streamed and never held whole; both calls stop as soon as the progress callback says so.

#![forbid(unsafe_code)]

mod chat;
mod chatlog;
mod choose;
mod document;
mod docx;
mod encoding;
mod error;
mod html;
mod item;
mod kind;
mod limits;
mod lines;
mod mail;
mod markdown;
mod passage;
mod sniff;
mod source;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::Path;

use choose::{Selection, Tally};
use item::Each;
use source::Source;

pub use error::ImportError;
pub use kind::FileKind;
pub use limits::Limits;
pub use passage::{Choice, Counts, Participant, Passage, Scan};

/// What is told how far a file has been read, in bytes done and bytes in all; `Break` cancels.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// What receives the passages, in the file's order; `Break` cancels.
pub type Sink<'a> = &'a mut dyn FnMut(Passage) -> ControlFlow<()>;

/// Looks through a file: what it is, and who wrote in it.
///
/// # Errors
/// Any [`ImportError`] but [`ImportError::NobodyChosen`].
pub fn scan(path: &Path, limits: &Limits, progress: Progress<'_>) -> Result<Scan, ImportError> {
    let (mut source, kind) = open(path, progress)?;
    let bytes = source.total;
    if !kind.has_participants() {
        document::read(kind, &source.whole(limits.max_file_bytes)?, limits)?;
        return Ok(Scan {
            kind,
            participants: Vec::new(),
            passages: 1,
            bytes,
        });
    }
    let mut tally = Tally::new(limits);
    walk(&mut source, kind, limits, &mut |item| {
        tally.add(item);
        Ok(())
    })?;
    match tally.messages {
        0 => Err(ImportError::Empty),
        passages => Ok(Scan {
            kind,
            participants: tally.participants(),
            passages,
            bytes,
        }),
    }
}

/// Hands over the person's words from a file, passage by passage.
///
/// # Errors
/// Any [`ImportError`]; what was handed over before an error stays valid. A `Break` from `progress` or `sink` gives
/// [`ImportError::Cancelled`].
pub fn read(
    path: &Path,
    choice: &Choice,
    limits: &Limits,
    progress: Progress<'_>,
    sink: Sink<'_>,
) -> Result<Counts, ImportError> {
    let (mut source, kind) = open(path, progress)?;
    let mut selection = Selection::new(kind, choice, limits, sink)?;
    let outcome = match kind.has_participants() {
        true => walk(&mut source, kind, limits, &mut |item| selection.add(item))
            .and_then(|()| selection.finish()),
        false => {
            let bytes = source.whole(limits.max_file_bytes)?;
            document::read(kind, &bytes, limits).and_then(|passage| selection.document(passage))
        }
    };
    match outcome {
        // The limit ends the reading the way a cancellation does, but is no failure.
        Err(ImportError::Cancelled) if selection.counts.stopped_at_limit => Ok(selection.counts),
        outcome => outcome.map(|()| selection.counts),
    }
}

/// Takes a text that was pasted or typed.
///
/// # Errors
/// [`ImportError::Empty`], [`ImportError::TooLarge`], or [`ImportError::Binary`].
pub fn from_pasted(text: &str, limits: &Limits) -> Result<Passage, ImportError> {
    let bytes = text.len() as u64;
    match bytes > limits.max_file_bytes {
        true => Err(ImportError::TooLarge {
            bytes,
            limit: limits.max_file_bytes,
        }),
        false => document::read(FileKind::Pasted, text.as_bytes(), limits),
    }
}

fn open<'a>(path: &Path, progress: Progress<'a>) -> Result<(Source<'a>, FileKind), ImportError> {
    let mut source = Source::open(path, progress)?;
    let kind = sniff::kind(path, &source.head(sniff::HEAD_BYTES)?)?;
    Ok((source, kind))
}

/// Goes through the messages of a mailbox or a chat export.
fn walk(
    source: &mut Source<'_>,
    kind: FileKind,
    limits: &Limits,
    each: Each<'_>,
) -> Result<(), ImportError> {
    source.check_size(limits.max_streamed_bytes)?;
    match kind {
        FileKind::Eml => mail::read_eml(source, limits, each),
        FileKind::Mbox => mail::read_mbox(source, limits, each),
        FileKind::ChatLog => chatlog::read(
            &encoding::decode(&source.whole(limits.max_file_bytes)?)?,
            each,
        ),
        _ => chat::read(source, kind, limits, each),
    }
}
