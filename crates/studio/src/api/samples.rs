//! Importing: opaque file tickets, whose words, counts of what was dropped.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// An opaque name for a file the person picked. Only [`crate::Studio::ticket`] makes one, in Rust,
/// from a path; a page can hand it back but never make one up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(transparent)]
#[ts(type = "string")]
pub struct FileTicket(pub String);

/// Somebody whose words are in a mail or chat file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Participant {
    /// What to hand back in `mine`.
    pub key: String,
    /// As shown.
    pub display: String,
    /// Messages of theirs.
    pub messages: u32,
    /// Words of theirs.
    pub words: u32,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ImportScan {
    /// Name without folders.
    pub file_name: String,
    /// "Mailbox", "Word document", …
    pub kind: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Passages found.
    pub passages: u32,
    /// People; empty for documents, where nobody has to be picked.
    pub participants: Vec<Participant>,
}

/// What an import kept and dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ImportCounts {
    /// Samples added.
    pub kept: u32,
    /// Words in them.
    pub words: u32,
    /// Texts so long that each became several samples.
    pub split: u32,
    /// Messages by other people.
    pub other_people: u32,
    /// Quoted replies cut.
    pub quoted_replies: u32,
    /// Signatures cut.
    pub signatures: u32,
    /// Boilerplate passages cut.
    pub boilerplate: u32,
    /// Texts that were already there.
    pub duplicates: u32,
    /// Texts too short to keep.
    pub too_short: u32,
    /// Texts in another language: kept and labelled.
    pub other_language: u32,
    /// Attachments ignored.
    pub attachments: u32,
    /// Mails without plain text, taken from their HTML.
    pub html_only: u32,
    /// Whether the file holds more texts than are taken from one file; those after the limit were not read.
    pub stopped_at_limit: bool,
}
