//! The fields of a message that are looked at, under the names that the different services give them.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::item::Message;

/// What was found in one JSON object.
#[derive(Default)]
pub(super) struct Fields {
    /// Who wrote it, by how telling the field's name is: the lowest rank wins.
    who: Option<(usize, Who)>,
    words: Option<(usize, Words)>,
    stamp: Option<(usize, Stamp)>,
    profile: Option<Who>,
    from_id: Option<String>,
    title: Option<String>,
    name: Option<String>,
    pub(super) current_node: Option<String>,
    subtype: Option<String>,
    escapes: Escapes,
}

/// How a service spoils text in its export.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Escapes {
    #[default]
    None,
    /// Slack: `&lt;`, `<https://…|label>`, `<@U123>`.
    Slack,
    /// Messenger and Instagram: each byte of the UTF-8 is written as one character.
    Bytes,
}

const WHO: [&str; 8] = [
    "sender",
    "role",
    "author",
    "from",
    "sender_name",
    "user",
    "username",
    "speaker",
];
const WORDS: [&str; 5] = ["text", "content", "body", "message", "value"];
const STAMP: [&str; 9] = [
    "date_unixtime",
    "create_time",
    "created_at",
    "timestamp_ms",
    "timestamp",
    "ts",
    "date",
    "time",
    "sent_at",
];

impl Fields {
    /// Takes the value of `key` out of `map` where the key is one of ours; else the value is still to be skipped.
    pub(super) fn take<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        let rank = |names: &[&str]| names.iter().position(|name| *name == key);
        if let Some(rank) = rank(&WHO) {
            let who = map.next_value::<Who>()?;
            if key == "sender_name" {
                self.escapes = Escapes::Bytes;
            }
            if !who.key.is_empty() && self.who.as_ref().is_none_or(|(best, _)| rank < *best) {
                self.who = Some((rank, who));
            }
        } else if let Some(rank) = rank(&WORDS) {
            let words = map.next_value::<Words>()?;
            if !words.0.trim().is_empty()
                && self.words.as_ref().is_none_or(|(best, _)| rank < *best)
            {
                self.words = Some((rank, words));
            }
        } else if let Some(rank) = rank(&STAMP) {
            if key == "ts" {
                self.escapes = Escapes::Slack;
            }
            let stamp = map.next_value::<Stamp>()?;
            if stamp.rfc3339().is_some() && self.stamp.as_ref().is_none_or(|(best, _)| rank < *best)
            {
                self.stamp = Some((rank, stamp));
            }
        } else {
            match key {
                "user_profile" => self.profile = Some(map.next_value()?),
                "from_id" => self.from_id = map.next_value::<Text>()?.0,
                "title" => self.title = map.next_value::<Text>()?.0,
                "name" => self.name = map.next_value::<Text>()?.0,
                "current_node" => self.current_node = map.next_value::<Text>()?.0,
                "subtype" => self.subtype = map.next_value::<Text>()?.0,
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The title of the conversation that this object is.
    pub(super) fn title(&self) -> Option<String> {
        let title = self.title.as_ref().or(self.name.as_ref())?.trim();
        (!title.is_empty()).then(|| title.chars().take(300).collect())
    }

    /// Seconds since 1970, for putting messages in order.
    pub(super) fn time(&self) -> f64 {
        self.stamp
            .as_ref()
            .map_or(0.0, |(_, stamp)| stamp.seconds().unwrap_or(0.0))
    }

    /// The message that this object is; `None` for notices of the service, for instructions to a model, and for
    /// objects that are no message at all.
    pub(super) fn message(self) -> Option<Message> {
        let is_notice = self.subtype.is_some_and(|subtype| {
            !matches!(
                subtype.as_str(),
                "" | "thread_broadcast" | "me_message" | "file_share"
            )
        });
        let (_, words) = self.words?;
        let who = self.who.map(|(_, who)| who);
        let fallback = || {
            let key = self.from_id.or(self.name)?;
            Some(Who {
                display: key.clone(),
                key,
            })
        };
        let mut who = who.or_else(fallback)?;
        if is_notice
            || matches!(
                who.key.to_ascii_lowercase().as_str(),
                "system" | "tool" | "developer" | "function"
            )
        {
            return None;
        }
        if let Some(profile) = self.profile {
            who.display = profile.display;
        }
        let repair = |text: String| match self.escapes {
            Escapes::None => text,
            Escapes::Slack => unslacked(&text),
            Escapes::Bytes => from_byte_characters(&text).unwrap_or(text),
        };
        Some(Message {
            key: repair(who.key),
            display: repair(who.display),
            date: self.stamp.and_then(|(_, stamp)| stamp.rfc3339()),
            text: repair(words.0),
            ..Message::default()
        })
    }
}

/// A string; any other value is passed over.
struct Text(Option<String>);

/// The text in a value: a string, the parts of a list one after another, the text of an object.
pub(super) struct Words(String);

/// The writer in a value: a name or role, or an object with one.
pub(super) struct Who {
    key: String,
    display: String,
}

/// A point in time: seconds or milliseconds since 1970, or text.
#[derive(Debug, PartialEq)]
pub(super) enum Stamp {
    Number(f64),
    Text(String),
    Unknown,
}

impl Stamp {
    fn seconds(&self) -> Option<f64> {
        let number = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.trim().parse().ok()?,
            Self::Unknown => return None,
        };
        // Beyond the year 5000 it is milliseconds.
        let seconds = if number > 1e11 {
            number / 1000.0
        } else {
            number
        };
        (1.0..1e11).contains(&seconds).then_some(seconds)
    }

    fn rfc3339(&self) -> Option<String> {
        if let Some(seconds) = self.seconds() {
            return Some(mail_parser::DateTime::from_timestamp(seconds as i64).to_rfc3339());
        }
        let Self::Text(text) = self else { return None };
        let text = text.trim().replacen(' ', "T", 1);
        let bytes = text.as_bytes();
        let shape = b"0000-00-00T00:00:00";
        let fits = bytes.len() >= shape.len()
            && bytes.len() <= 40
            && shape.iter().zip(bytes).all(|(want, got)| match want {
                b'0' => got.is_ascii_digit(),
                _ => want == got,
            });
        let rest = text.get(shape.len()..)?;
        let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let zone_fits = zone.len() == 6
            && zone.starts_with(['+', '-'])
            && zone.bytes().enumerate().skip(1).all(|(at, b)| {
                if at == 3 {
                    b == b':'
                } else {
                    b.is_ascii_digit()
                }
            });
        match zone {
            _ if !fits => None,
            // RFC 3339's way to say that the offset is not known.
            "" => Some(format!("{text}-00:00")),
            "Z" => Some(text),
            _ if zone_fits => Some(text),
            _ => None,
        }
    }
}

/// Writes the visitor methods that pass over the kinds of value that are not looked into.
macro_rules! pass_over {
    ($empty:expr; $($method:ident($kind:ty)),*) => {
        $(fn $method<E>(self, _: $kind) -> Result<Self::Value, E> { Ok($empty) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($empty) }
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("any value") }
    };
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut items: A) -> Result<(), A::Error> {
    while items.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Text;
            pass_over!(Text(None); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Text, A::Error> {
                skip_seq(items).map(|()| Text(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                skip_map(map).map(|()| Text(None))
            }
        }
        deserializer.deserialize_any(Take)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Words;
            pass_over!(Words(String::new()); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
            fn visit_str<E>(self, text: &str) -> Result<Words, E> {
                Ok(Words(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Words, A::Error> {
                let mut all = String::new();
                while let Some(part) = items.next_element::<Words>()? {
                    all.push_str(&part.0);
                }
                Ok(Words(all))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
                let mut all = String::new();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "text" | "content" | "parts" => all.push_str(&map.next_value::<Words>()?.0),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Words(all))
            }
        }
        deserializer.deserialize_any(Take)
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        let named = |name: &str| {
            let name = name.trim().to_owned();
            Who {
                key: name.clone(),
                display: name,
            }
        };
        impl<'de> Visitor<'de> for Take {
            type Value = Who;
            pass_over!(Who { key: String::new(), display: String::new() };
                visit_bool(bool), visit_f64(f64));
            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<Who, E> {
                self.visit_str(&id.to_string())
            }
            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<Who, E> {
                self.visit_str(&id.to_string())
            }
            fn visit_str<E>(self, name: &str) -> Result<Who, E> {
                Ok(Who {
                    key: name.to_owned(),
                    display: name.to_owned(),
                })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Who, A::Error> {
                skip_seq(items).map(|()| Who {
                    key: String::new(),
                    display: String::new(),
                })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Who, A::Error> {
                const NAMES: [&str; 7] = [
                    "role",
                    "real_name",
                    "nickname",
                    "display_name",
                    "name",
                    "username",
                    "id",
                ];
                let mut best: Option<(usize, String)> = None;
                while let Some(key) = map.next_key::<String>()? {
                    match NAMES.iter().position(|name| *name == key) {
                        Some(rank) => {
                            let found = map
                                .next_value::<Text>()?
                                .0
                                .filter(|name| !name.trim().is_empty());
                            if let Some(name) = found
                                && best.as_ref().is_none_or(|(best, _)| rank < *best)
                            {
                                best = Some((rank, name));
                            }
                        }
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                let name = best.map(|(_, name)| name).unwrap_or_default();
                Ok(Who {
                    key: name.clone(),
                    display: name,
                })
            }
        }
        deserializer
            .deserialize_any(Take)
            .map(|who| named(&who.key))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Stamp;
            pass_over!(Stamp::Unknown; visit_bool(bool));
            fn visit_i64<E>(self, number: i64) -> Result<Stamp, E> {
                Ok(Stamp::Number(number as f64))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Stamp, E> {
                Ok(Stamp::Number(number as f64))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Stamp, E> {
                Ok(Stamp::Number(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Stamp, E> {
                Ok(Stamp::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Stamp, A::Error> {
                skip_seq(items).map(|()| Stamp::Unknown)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Stamp, A::Error> {
                skip_map(map).map(|()| Stamp::Unknown)
            }
        }
        deserializer.deserialize_any(Take)
    }
}

/// Slack's own markup as the reader saw it: labels instead of links, no ids, `&` and angle brackets restored.
fn unslacked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('>') else {
            rest = &rest[start..];
            break;
        };
        let inner = &rest[start + 1..start + end];
        match inner.split_once('|') {
            Some((_, label)) => out.push_str(label),
            None if inner.starts_with(['@', '#', '!']) => {}
            None => out.push_str(inner),
        }
        rest = &rest[start + end + 1..];
    }
    out.push_str(rest);
    out.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// The text whose UTF-8 bytes were written as one character each; `None` where that is not what happened.
fn from_byte_characters(text: &str) -> Option<String> {
    let bytes: Option<Vec<u8>> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_rfc_3339() {
        let rfc = |text: &str| Stamp::Text(text.into()).rfc3339();
        assert_eq!(
            Stamp::Number(1_700_000_000.5).rfc3339().as_deref(),
            Some("2023-11-14T22:13:20Z")
        );
        assert_eq!(
            Stamp::Number(1_700_000_000_000.0),
            Stamp::Number(1.7e12),
            "the next line reads milliseconds"
        );
        assert_eq!(
            Stamp::Number(1.7e12).rfc3339().as_deref(),
            Some("2023-11-14T22:13:20Z")
        );
        assert_eq!(
            rfc("1700000000.000100").as_deref(),
            Some("2023-11-14T22:13:20Z"),
            "Slack writes them as text"
        );
        assert_eq!(
            rfc("2024-02-03T04:05:06").as_deref(),
            Some("2024-02-03T04:05:06-00:00"),
            "offset unknown"
        );
        assert_eq!(
            rfc("2024-02-03 04:05:06.25+01:00").as_deref(),
            Some("2024-02-03T04:05:06.25+01:00")
        );
        assert_eq!(rfc("yesterday"), None, "no guess");
    }

    #[test]
    fn spoiled_text_is_repaired() {
        assert_eq!(
            unslacked("see <https://a.example|the page> &amp; ask <@U1> 1 &lt; 2"),
            "see the page & ask  1 < 2"
        );
        assert_eq!(
            from_byte_characters("caf\u{c3}\u{a9}").as_deref(),
            Some("café"),
            "bytes as characters"
        );
        assert_eq!(
            from_byte_characters("café"),
            None,
            "right text is left alone"
        );
    }
}
