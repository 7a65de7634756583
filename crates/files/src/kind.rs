//! The kinds of file that can be read.

use std::fmt;

use idiolect_core::sample::SampleKind;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Text that was pasted, not read from a file.
    Pasted,
    PlainText,
    Markdown,
    Html,
    Docx,
    /// One mail message.
    Eml,
    /// Many mail messages, one after another.
    Mbox,
    /// A chat export that is one JSON document.
    ChatJson,
    /// A chat export with one JSON value a line.
    ChatJsonLines,
    /// A chat export in plain text, one dated line a message (WhatsApp).
    ChatLog,
}

impl FileKind {
    /// A short stable name, for storage and for a program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pasted => "pasted",
            Self::PlainText => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Docx => "docx",
            Self::Eml => "eml",
            Self::Mbox => "mbox",
            Self::ChatJson => "chat_json",
            Self::ChatJsonLines => "chat_json_lines",
            Self::ChatLog => "chat_log",
        }
    }

    /// What samples from such a file are stored as.
    pub fn sample_kind(self) -> SampleKind {
        match self {
            Self::Pasted => SampleKind::Pasted,
            Self::PlainText | Self::Markdown | Self::Html | Self::Docx => SampleKind::Document,
            Self::Eml | Self::Mbox => SampleKind::Email,
            Self::ChatJson | Self::ChatJsonLines | Self::ChatLog => SampleKind::Chat,
        }
    }

    /// Whether it is a chat, whose messages answer each other in order.
    pub(crate) fn is_chat(self) -> bool {
        self.sample_kind() == SampleKind::Chat
    }

    /// Whether files of this kind hold the words of several people, so that one has to choose whose to take.
    pub fn has_participants(self) -> bool {
        matches!(
            self,
            Self::Eml | Self::Mbox | Self::ChatJson | Self::ChatJsonLines | Self::ChatLog
        )
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pasted => "pasted text",
            Self::PlainText => "text file",
            Self::Markdown => "Markdown file",
            Self::Html => "HTML file",
            Self::Docx => "Word document",
            Self::Eml => "mail message",
            Self::Mbox => "mailbox",
            Self::ChatJson | Self::ChatJsonLines | Self::ChatLog => "chat export",
        })
    }
}
