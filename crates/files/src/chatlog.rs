//! Chats exported as plain text, one dated line a message: `12/03/24, 10:15 - Ana: hello` or
//! `[12.03.24, 10:15:33] Ana: hello`, as WhatsApp writes them. Lines without a date go on with the message above.

use crate::ImportError;
use crate::item::{Each, Item, Message};

/// Whether the beginning of a text is such an export: at least three messages, and most lines dated.
pub(crate) fn looks_like_one(head: &str) -> bool {
    let lines: Vec<&str> = head
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(60)
        .collect();
    let dated = lines
        .iter()
        .filter(|line| after_date(line).is_some())
        .count();
    dated >= 3
        && dated * 2 >= lines.len()
        && lines.first().is_some_and(|line| after_date(line).is_some())
}

/// Hands on the messages of an export.
///
/// # Errors
/// Those of `each`.
pub(crate) fn read(text: &str, each: Each<'_>) -> Result<(), ImportError> {
    each(Item::Conversation(None))?;
    let mut open: Option<Message> = None;
    for line in text.lines() {
        match after_date(line) {
            None => {
                if let Some(message) = &mut open {
                    message.text.push('\n');
                    message.text.push_str(line);
                }
            }
            Some(rest) => {
                if let Some(message) = open.take() {
                    each(Item::Message(message))?;
                }
                // A dated line without a sender is a notice of the program ("messages are encrypted").
                open = rest.split_once(": ").map(|(name, text)| {
                    let name = bare(name).to_owned();
                    Message {
                        key: name.clone(),
                        display: name,
                        text: if is_placeholder(text) { "" } else { bare(text) }.to_owned(),
                        // Day and month come in the order of the phone's language, which the file does not say: no date.
                        ..Message::default()
                    }
                });
            }
        }
    }
    open.map_or(Ok(()), |message| each(Item::Message(message)))
}

/// What follows `date, time -` or `[date, time]`; `None` where the line begins with no date.
fn after_date(line: &str) -> Option<&str> {
    let line = bare(line);
    let (stamp, rest) = match line.strip_prefix('[') {
        Some(line) => line.split_once("] ")?,
        None => line.split_once(" - ")?,
    };
    let separators = |set: &[char]| stamp.chars().filter(|c| set.contains(c)).count();
    let is_stamp = (8..=28).contains(&stamp.len())
        && stamp.starts_with(|c: char| c.is_ascii_digit())
        && stamp.chars().filter(char::is_ascii_digit).count() >= 6
        && separators(&['/', '.', '-']) >= 2
        && separators(&[':']) >= 1
        && stamp.chars().filter(|c| c.is_alphabetic()).count() <= 4;
    is_stamp.then_some(rest)
}

/// Without the direction marks that phones write around names.
fn bare(text: &str) -> &str {
    text.trim_matches(['\u{200e}', '\u{200f}', '\u{202a}', '\u{202c}', '\u{feff}'])
}

fn is_placeholder(text: &str) -> bool {
    let text = bare(text.trim());
    (text.starts_with('<') && text.ends_with('>'))
        || [
            "image omitted",
            "video omitted",
            "audio omitted",
            "sticker omitted",
            "This message was deleted",
            "You deleted this message",
        ]
        .iter()
        .any(|notice| text.trim_end_matches('.') == *notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        read(text, &mut |item| {
            if let Item::Message(message) = item {
                found.push((message.key, message.text));
            }
            Ok(())
        })
        .expect("nothing here fails");
        found
    }

    #[test]
    fn both_styles_of_phone_are_read() {
        let android = "12/03/24, 10:15 - Messages are encrypted\n12/03/24, 10:15 - Ana: hello\nsecond line\n12/03/24, 10:16 - Tom: <Media omitted>\n";
        let apple = "[12.03.24, 10:15:33] Ana: hello\n[12.03.24, 10:15:40] Tom: see: this\n\u{200e}[12.03.24, 10:16:00] Ana: bye\n";
        assert!(
            looks_like_one(android) && looks_like_one(apple),
            "both are chats"
        );
        assert_eq!(
            read_all(android),
            [
                ("Ana".into(), "hello\nsecond line".into()),
                ("Tom".into(), String::new())
            ],
            "notices have no sender, placeholders no text"
        );
        assert_eq!(
            read_all(apple)[1],
            ("Tom".to_owned(), "see: this".to_owned()),
            "only the first colon parts the name"
        );
    }

    #[test]
    fn a_diary_is_no_chat() {
        assert!(
            !looks_like_one("12 March - I slept badly.\nThe rain went on.\nAnd on.\nAnd on."),
            "no times of day"
        );
    }
}
