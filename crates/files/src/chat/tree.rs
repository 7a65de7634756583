//! The tree of messages in a ChatGPT conversation, and the thread in it that the person saw last.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::fields::Fields;

/// `mapping`: nodes by id, each with its parent and perhaps a message.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Mapping(HashMap<String, Node>);

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    message: Option<TreeMessage>,
}

struct TreeMessage(Fields);

impl Mapping {
    /// The messages from the root to `leaf`; without a usable leaf, all messages by their time. Answers the person
    /// regenerated and questions they edited away lie on other branches and are left out.
    pub(super) fn thread(mut self, leaf: Option<&str>) -> Vec<Fields> {
        let mut thread = Vec::new();
        let mut next = leaf.map(str::to_owned);
        // Taking each node out as it is visited ends a walk round a circle.
        while let Some(node) = next.take().and_then(|id| self.0.remove(&id)) {
            thread.extend(node.message);
            next = node.parent;
        }
        thread.reverse();
        if thread.is_empty() {
            thread.extend(self.0.into_values().filter_map(|node| node.message));
            thread.sort_by(|a, b| a.0.time().total_cmp(&b.0.time()));
        }
        thread.into_iter().map(|message| message.0).collect()
    }
}

impl<'de> Deserialize<'de> for TreeMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = TreeMessage;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TreeMessage, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<String>()? {
                    if !fields.take(&key, &mut map)? {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(TreeMessage(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
