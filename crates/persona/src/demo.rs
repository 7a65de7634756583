//! Two fictional authors of our own writing, with different habits on the same topics. The held-out topics are the
//! same for both, so that neither subject matter nor luck tells them apart there.

use std::sync::OnceLock;

use serde::Deserialize;

/// A text of a fictional author.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DemoText {
    /// What it is about; the same topics recur with both authors.
    pub title: String,
    /// The text.
    pub text: String,
    /// Kept out of the profile and the training, for measuring.
    #[serde(default)]
    pub held_out: bool,
}

/// A fictional author.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DemoAuthor {
    /// Short name, also the profile's.
    pub name: String,
    /// Who they are meant to be, in a sentence.
    pub about: String,
    /// Their texts.
    pub texts: Vec<DemoText>,
}

impl DemoAuthor {
    /// Texts a profile may see.
    pub fn seen(&self) -> impl Iterator<Item = &DemoText> {
        self.texts.iter().filter(|t| !t.held_out)
    }

    /// Texts kept for measuring.
    pub fn held_out(&self) -> impl Iterator<Item = &DemoText> {
        self.texts.iter().filter(|t| t.held_out)
    }
}

/// Both of them.
pub fn authors() -> &'static [DemoAuthor] {
    static AUTHORS: OnceLock<Vec<DemoAuthor>> = OnceLock::new();
    AUTHORS.get_or_init(|| {
        [
            include_str!("../../../assets/demo/harrow.json"),
            include_str!("../../../assets/demo/finch.json"),
        ]
        .iter()
        .map(|json| serde_json::from_str(json).expect("the shipped demo texts parse (tested)"))
        .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use idiolect_text::segment::word_count;

    #[test]
    fn two_authors_write_on_the_same_topics() {
        let [a, b] = authors() else {
            panic!("two authors, got {}", authors().len())
        };
        for author in [a, b] {
            let words: usize = author.texts.iter().map(|t| word_count(&t.text)).sum();
            assert!(
                (2000..=2700).contains(&words),
                "{}: {words} words",
                author.name
            );
            assert!(
                author
                    .texts
                    .iter()
                    .all(|t| (90..=160).contains(&word_count(&t.text))),
                "{}: a text of another length",
                author.name
            );
            assert_eq!(author.held_out().count(), 5, "{}", author.name);
            assert_eq!(author.seen().count() + 5, author.texts.len());
        }
        let topics = |x: &DemoAuthor| {
            x.texts
                .iter()
                .map(|t| (t.title.clone(), t.held_out))
                .collect::<Vec<_>>()
        };
        assert_eq!(topics(a), topics(b), "topics must not give an author away");
    }
}
