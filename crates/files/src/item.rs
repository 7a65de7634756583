//! What the readers of mail and chats hand on: one message after another, nothing chosen or cut yet.

use crate::ImportError;

/// A step through a mailbox or a chat export.
#[derive(Debug)]
pub(crate) enum Item {
    /// A new conversation begins, with its title.
    Conversation(Option<String>),
    Message(Message),
}

/// One message as its writer sent it, quotations and signature included.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// See [`Participant::key`](crate::Participant); empty where the file does not say who wrote it.
    pub key: String,
    pub display: String,
    pub title: Option<String>,
    pub date: Option<String>,
    pub text: String,
    /// Taken from HTML because there was no plain text.
    pub from_html: bool,
    pub attachments: usize,
}

/// What takes the items; an error ends the reading.
pub(crate) type Each<'a> = &'a mut dyn FnMut(Item) -> Result<(), ImportError>;
