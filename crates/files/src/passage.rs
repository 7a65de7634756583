//! What an import hands over.

use idiolect_core::sample::Removal;

use crate::FileKind;

/// Someone who wrote in a mailbox or a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// What [`Choice::mine`] names the person by: the mail address in lower case, else the name or role in the file.
    pub key: String,
    /// What to show: the name where the file has one, else the key.
    pub display: String,
    /// Messages with text of their own.
    pub messages: usize,
    /// Words of their own, quoted replies and signatures not counted.
    pub words: usize,
}

/// What a first look at a file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    pub kind: FileKind,
    /// Who wrote in it, most messages first. Empty for documents, which are taken to be the person's own.
    pub participants: Vec<Participant>,
    /// Texts in the file, before anything is chosen: 1 for a document, else the messages.
    pub passages: usize,
    /// Size of the file.
    pub bytes: u64,
}

/// Whose words to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Keys of the participants who are the person, compared without regard to case. Needed for mail and chats.
    pub mine: Vec<String>,
}

/// One text of the person, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    pub text: String,
    /// The subject of a mail, the first heading of a document, the title of a conversation.
    pub title: Option<String>,
    /// The person's name as the file has it.
    pub author: Option<String>,
    /// When it was written, as RFC 3339; the offset is `-00:00` where the file does not say it.
    pub date: Option<String>,
    /// The message by someone else that it answers, where known; cut at [`Limits::max_prompt_chars`](crate::Limits).
    pub prompt: Option<String>,
    /// What was cut, in order: `text` with these put back is the text as it was, see
    /// [`put_back`](idiolect_text::clean::put_back). Some of it is other people's.
    pub removed: Vec<Removal>,
    pub kind: FileKind,
}

/// What became of everything in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passages handed over.
    pub kept: usize,
    /// Messages left out because someone else wrote them.
    pub other_people: usize,
    /// Quoted replies and forwarded messages cut from the person's texts.
    pub quoted_replies: usize,
    /// Signatures cut.
    pub signatures: usize,
    /// Disclaimers, front matter, code and other passages cut because they are not prose of the person.
    pub boilerplate: usize,
    /// Texts left out because the same text had been handed over before.
    pub duplicates: usize,
    /// Texts left out for being shorter than [`Limits::min_words`](crate::Limits).
    pub too_short: usize,
    /// Messages of the person with no text of their own.
    pub empty: usize,
    /// Mails of the person that had no plain text and were taken from their HTML.
    pub html_only: usize,
    /// Attachments left out, of mails by the person.
    pub attachments: usize,
    /// Whether reading ended early because [`Limits::max_passages`](crate::Limits) was reached.
    pub stopped_at_limit: bool,
}
