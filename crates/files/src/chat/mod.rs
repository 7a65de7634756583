//! Chat exports in JSON, of whatever service: ChatGPT (`mapping`), Claude (`chat_messages`), Telegram, Slack, Discord
//! and Messenger exports, plain lists of `{role|author|from|sender, text|content, time?}`, and one value a line.
//!
//! The file is walked as a stream: one message, or one ChatGPT conversation, is held at a time, and of it only the
//! fields in [`fields`]. Everything else is skipped without being stored.

mod fields;
mod tree;

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::item::{Each, Item};
use crate::source::{PIECE_BYTES, Source};
use crate::{FileKind, ImportError, Limits};
use fields::Fields;

/// Hands on the messages of an export.
///
/// # Errors
/// [`ImportError::Corrupt`] for what is not JSON, nests too deep, or holds a message beyond the limit; cancellation;
/// those of `each`.
pub(crate) fn read(
    source: &mut Source<'_>,
    kind: FileKind,
    limits: &Limits,
    each: Each<'_>,
) -> Result<(), ImportError> {
    let utf16 = crate::encoding::is_utf16(&source.head(4096)?);
    match utf16 {
        // Rare, and not worth a streaming decoder: read whole, within the limit for documents.
        true => {
            let text = crate::encoding::decode(&source.whole(limits.max_file_bytes)?)?;
            walk(text.as_bytes(), kind, limits, each)
        }
        false => {
            let mut reader = BufReader::with_capacity(PIECE_BYTES, source);
            if io::BufRead::fill_buf(&mut reader)?.starts_with(b"\xef\xbb\xbf") {
                io::BufRead::consume(&mut reader, 3);
            }
            walk(reader, kind, limits, each)
        }
    }
}

/// Walks every JSON value in a stream: one for a document, many for one value a line.
pub(crate) fn walk(
    reader: impl Read,
    kind: FileKind,
    limits: &Limits,
    each: Each<'_>,
) -> Result<(), ImportError> {
    let budget = Rc::new(Cell::new(limits.max_message_bytes));
    let metered = Metered {
        inner: reader,
        left: Rc::clone(&budget),
    };
    let mut walk = Walk {
        each,
        failed: None,
        budget,
        refill: limits.max_message_bytes,
        max_depth: limits.max_depth,
        in_conversation: false,
    };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(metered));
    loop {
        walk.budget.set(walk.refill);
        let more = match json.end() {
            Ok(()) => return Ok(()),
            // `end` answers "trailing characters" when another value follows.
            Err(error) if error.is_syntax() => Node {
                walk: &mut walk,
                depth: 0,
            }
            .deserialize(&mut json),
            Err(error) => Err(error),
        };
        if let Some(error) = walk.failed.take() {
            return Err(error);
        }
        more.map_err(|error| failure(error, kind))?;
    }
}

fn failure(error: serde_json::Error, kind: FileKind) -> ImportError {
    let why = match error.classify() {
        serde_json::error::Category::Io => {
            let error = io::Error::from(error);
            if !error
                .get_ref()
                .is_some_and(|inner| inner.is::<LengthMark>())
            {
                return error.into();
            }
            "one conversation or message in it is too long"
        }
        serde_json::error::Category::Eof => "it ends in the middle",
        _ => "it is not valid JSON",
    };
    ImportError::Corrupt { kind, why }
}

/// Counts the bytes read since the last message began.
struct Metered<R> {
    inner: R,
    left: Rc<Cell<usize>>,
}

#[derive(Debug, thiserror::Error)]
#[error("too long")]
struct LengthMark;

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        match self.left.get().checked_sub(n) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other(LengthMark)),
        }
        Ok(n)
    }
}

struct Walk<'a> {
    each: Each<'a>,
    /// What `each` answered, kept here because the JSON parser has no place for it.
    failed: Option<ImportError>,
    budget: Rc<Cell<usize>>,
    refill: usize,
    max_depth: usize,
    in_conversation: bool,
}

impl Walk<'_> {
    fn hand_on<E: serde::de::Error>(&mut self, item: Item) -> Result<(), E> {
        (self.each)(item).map_err(|error| {
            self.failed = Some(error);
            E::custom("stopped")
        })
    }

    fn message<E: serde::de::Error>(&mut self, fields: Fields) -> Result<(), E> {
        let Some(message) = fields.message() else {
            return Ok(());
        };
        if !self.in_conversation {
            // A bare list, or one message a line, is a conversation of its own.
            self.in_conversation = true;
            self.hand_on(Item::Conversation(None))?;
        }
        self.hand_on(Item::Message(message))
    }
}

/// A value that may be a message, a conversation, or hold some.
struct Node<'w, 'a> {
    walk: &'w mut Walk<'a>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > self.walk.max_depth {
            return Err(serde::de::Error::custom("nested too deep"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a chat export")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        loop {
            self.walk.budget.set(self.walk.refill);
            let node = Node {
                walk: self.walk,
                depth: self.depth + 1,
            };
            if items.next_element_seed(node)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = Fields::default();
        let mut mapping = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "messages" | "chat_messages" => {
                    self.walk.in_conversation = true;
                    self.walk.hand_on(Item::Conversation(fields.title()))?;
                    map.next_value_seed(Node {
                        walk: self.walk,
                        depth: self.depth + 1,
                    })?;
                    self.walk.in_conversation = false;
                }
                "conversations" | "chats" | "list" => {
                    self.walk.in_conversation = false;
                    map.next_value_seed(Node {
                        walk: self.walk,
                        depth: self.depth + 1,
                    })?;
                }
                "mapping" => mapping = Some(map.next_value::<tree::Mapping>()?),
                _ if !fields.take(&key, &mut map)? => {
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {}
            }
        }
        let Some(mapping) = mapping else {
            return self.walk.message(fields);
        };
        self.walk.hand_on(Item::Conversation(fields.title()))?;
        self.walk.in_conversation = true;
        for message in mapping.thread(fields.current_node.as_deref()) {
            self.walk.message(message)?;
        }
        self.walk.in_conversation = false;
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
