//! Neutral briefs: from a text by counting, and a shelf of our own for tests. No model is asked.

use std::sync::OnceLock;

use idiolect_text::{
    retrieve::{Background, keywords},
    segment,
};
use serde::Deserialize;

/// Words of its own that a brief carries over from a text.
const KEYWORDS: usize = 8;

/// Neutral briefs for one person's texts: what all of them share says little about any one.
pub struct Briefs {
    background: Background,
}

impl Briefs {
    /// With these texts as the background.
    pub fn new(texts: &[&str]) -> Self {
        Self {
            background: Background::of(texts),
        }
    }

    /// "Write a text of about N words about {subject}. Use these words: …": length and content words, no style.
    /// Without a subject the words alone say what it is about.
    pub fn of(&self, text: &str, subject: Option<&str>) -> String {
        self.of_kind("a text", text, subject)
    }

    /// The same with the kind of text in words: "an email".
    pub fn of_kind(&self, kind: &str, text: &str, subject: Option<&str>) -> String {
        let words = rounded_words(text);
        let about = subject
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .map_or_else(String::new, |s| format!(" about {}", lower_first(s)));
        let list = keywords(text, &self.background, KEYWORDS).join(", ");
        let use_words = if list.is_empty() {
            String::new()
        } else {
            format!(" Use these words: {list}.")
        };
        format!("Write {kind} of about {words} words{about}.{use_words}")
    }
}

/// Its length as briefs name it, to the next ten.
pub(crate) fn rounded_words(text: &str) -> usize {
    (segment::word_count(text).max(10) + 5) / 10 * 10
}

/// A neutral brief for this text with no other text to compare with.
pub fn from_text(text: &str, subject: Option<&str>) -> String {
    Briefs::new(&[text]).of(text, subject)
}

fn lower_first(s: &str) -> String {
    let mut chars = s.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string());
    // An acronym or a name in capitals stays.
    if chars.clone().next().is_some_and(char::is_uppercase) {
        return s.to_owned();
    }
    first.unwrap_or_default() + chars.as_str()
}

#[derive(Deserialize)]
struct BriefFile {
    briefs: Vec<String>,
}

/// Fresh briefs of our own, for re-tests.
pub fn fresh() -> &'static [String] {
    static FRESH: OnceLock<Vec<String>> = OnceLock::new();
    FRESH.get_or_init(|| {
        let file: BriefFile = serde_json::from_str(include_str!("../../../assets/briefs.json"))
            .expect("the shipped briefs parse (tested)");
        file.briefs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_names_length_and_content_and_nothing_of_the_style() {
        let text = "Well! The lantern in the harbour went out (again), and I just couldn't find the matches; \
                    so we sat in the dark, the captain and I, and listened to the harbour.";
        let brief = from_text(text, Some("The lantern"));
        assert!(
            brief
                .starts_with("Write a text of about 30 words about the lantern. Use these words: "),
            "{brief}"
        );
        assert!(
            brief.contains("harbour") && brief.contains("captain"),
            "{brief}"
        );
        assert!(!brief.contains(['!', '(', ';']), "style leaked: {brief}");
        let email = Briefs::new(&[text]).of_kind("an email", text, None);
        assert!(
            email.starts_with("Write an email of about 30 words. Use"),
            "{email}"
        );
        assert!(
            !from_text("Oh.", None).contains("Use these words"),
            "nothing to use"
        );
    }

    #[test]
    fn the_shelf_holds_different_neutral_briefs() {
        let unique: std::collections::HashSet<_> = fresh().iter().collect();
        assert_eq!(unique.len(), fresh().len(), "a brief stands there twice");
        assert!(fresh().len() >= 24);
        for b in fresh() {
            assert_eq!(crate::prompts::asked_words(b), Some(100), "{b}");
        }
    }
}
