//! Samples: texts the person wrote, and what was cleaned away from them.

use serde::{Deserialize, Serialize};

use crate::ids::{ProfileId, SampleId};

/// Where a sample came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum SampleKind {
    /// Pasted or typed.
    Pasted,
    /// A text, Markdown, HTML or Word document.
    Document,
    /// Mail.
    Email,
    /// A chat export.
    Chat,
    /// A draft the person edited into their own words.
    Edited,
}

/// What kind of text was dropped before storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RemovalKind {
    /// Text of somebody else that was quoted in a reply.
    QuotedReply,
    /// A signature block.
    Signature,
    /// A forwarded message.
    Forwarded,
    /// A disclaimer or other boilerplate.
    Boilerplate,
    /// Code, front matter, tables: not prose.
    NotProse,
}

/// One passage that was cut out of a sample; where its words are still there, it can be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Removal {
    /// Why it was cut.
    pub kind: RemovalKind,
    /// Byte offset in the text as it was given.
    pub start: usize,
    /// Byte offset of its end, exclusive.
    pub end: usize,
    /// The text that was cut; empty for mail and chats, of which nothing that was cut is kept.
    pub text: String,
}

/// A text of the person's, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Sample {
    /// Its id.
    pub id: SampleId,
    /// The profile it belongs to.
    pub profile: ProfileId,
    /// Where it came from.
    pub kind: SampleKind,
    /// Subject, heading or file name; the first line where there is none.
    pub title: String,
    /// The person's words, cleaned.
    pub text: String,
    /// The message it answers, when known.
    pub prompt: Option<String>,
    /// Words in `text`.
    pub words: u32,
    /// ISO 639-1 code, or `und` where the text is too short to tell.
    pub language: String,
    /// When it was written, RFC 3339, if the source says.
    pub written_at: Option<String>,
    /// When it was added, RFC 3339, UTC.
    pub added_at: String,
    /// What was cut, in order.
    pub removed: Vec<Removal>,
    /// A caution in words ("too short to say much"), empty when all is well.
    pub note: String,
}
