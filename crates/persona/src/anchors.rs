//! Own wordings of both poles of every dimension: first-person sentences and short phrases that follow "someone who".
//!
//! Plain data from `assets/anchors.json`; what is done with it lives in [`crate::dimensions`].

use std::{collections::HashMap, sync::OnceLock};

use idiolect_core::space::space;
use serde::Deserialize;

/// Both poles of one dimension in words.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Anchors {
    /// First-person sentences at the high pole.
    pub high: Vec<String>,
    /// First-person sentences at the low pole.
    pub low: Vec<String>,
    /// Verb phrases at the high pole ("stays calm").
    pub high_phrases: Vec<String>,
    /// Verb phrases at the low pole.
    pub low_phrases: Vec<String>,
}

#[derive(Deserialize)]
struct AnchorFile {
    version: String,
    phrases_version: String,
    dimensions: HashMap<String, Anchors>,
}

/// The 90 dimensions' anchors, in order. Those of dimensions that need an object hold `{object}`.
pub fn anchors() -> &'static [Anchors] {
    &loaded().1
}

/// Changes when any wording does, so that what was computed from old sentences is not used.
pub fn version() -> &'static str {
    &loaded().0.version
}

/// Changes when a phrase does: the forward source asks for phrases alone.
pub fn phrases_version() -> &'static str {
    &loaded().0.phrases_version
}

fn loaded() -> &'static (AnchorFile, Vec<Anchors>) {
    static LOADED: OnceLock<(AnchorFile, Vec<Anchors>)> = OnceLock::new();
    LOADED.get_or_init(|| {
        let mut file: AnchorFile =
            serde_json::from_str(include_str!("../../../assets/anchors.json"))
                .expect("the shipped anchors parse (tested)");
        let in_order = space()
            .iter()
            .map(|d| {
                file.dimensions
                    .remove(&d.id)
                    .expect("every dimension has anchors (tested)")
            })
            .collect();
        (file, in_order)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pole_is_worded_and_no_sentence_serves_twice() {
        assert_eq!(anchors().len(), space().len());
        let mut seen = std::collections::HashSet::new();
        for (d, a) in space().iter().zip(anchors()) {
            for (pole, sentences, phrases) in [
                ("high", &a.high, &a.high_phrases),
                ("low", &a.low, &a.low_phrases),
            ] {
                assert!(
                    sentences.len() >= 12,
                    "{} {pole}: {} sentences",
                    d.id,
                    sentences.len()
                );
                assert!(
                    phrases.len() >= 3,
                    "{} {pole}: {} phrases",
                    d.id,
                    phrases.len()
                );
                for s in sentences {
                    assert!(
                        seen.insert(s),
                        "“{s}” stands at two poles and would pull both ways"
                    );
                    assert!(
                        s.ends_with(['.', '?']),
                        "{} {pole}: “{s}” is no sentence",
                        d.id
                    );
                }
                let objects = sentences
                    .iter()
                    .chain(phrases)
                    .filter(|s| s.contains("{object}"))
                    .count();
                assert_eq!(
                    objects > 0,
                    d.needs_object,
                    "{} {pole}: the object's place",
                    d.id
                );
            }
        }
    }
}
