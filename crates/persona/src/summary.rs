//! The summary paragraph a model is given, from the dimensions that lean. Templates only; the person edits the result.

use idiolect_core::{
    reading::Reading,
    space::{Dimension, Subject, space},
};

use crate::anchors::anchors;

/// Scores closer to zero than this are left out of every prompt and summary.
pub const LEAST_SCORE: f64 = 0.15;

/// From here on a leaning is called clear.
const CLEAR: f64 = 0.6;

/// Dimensions in a summary; more would bury those that matter.
const MOST: usize = 12;

/// A leaning in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaning {
    /// Dimension index.
    pub index: u8,
    /// Whose attribute it is.
    pub subject: Subject,
    /// The score in force.
    pub score: f64,
    /// Whether the person set it.
    pub set: bool,
    /// Follows "someone who" or "a reply that".
    pub phrase: String,
}

/// The leanings in force, what the person set first, then the strongest; neutral ones are left out.
pub fn leanings(readings: &[Reading]) -> Vec<Leaning> {
    let mut out: Vec<Leaning> = readings
        .iter()
        .filter(|r| r.effective_score().abs() >= LEAST_SCORE)
        .filter_map(|r| {
            let dimension = space().get(usize::from(r.index))?;
            Some(Leaning {
                index: r.index,
                subject: r.subject,
                score: r.effective_score(),
                set: r.override_score.is_some(),
                phrase: phrase(dimension, r.effective_score(), r.object.as_deref())?,
            })
        })
        .collect();
    out.sort_by(|a, b| {
        (b.set, b.score.abs())
            .partial_cmp(&(a.set, a.score.abs()))
            .unwrap_or(std::cmp::Ordering::Equal)
            .then(a.index.cmp(&b.index))
    });
    out
}

/// A paragraph in the third person: first about the person, then about the reply they want; what the person set comes
/// first. Empty when nothing leans.
pub fn summarise(readings: &[Reading]) -> String {
    let mut leanings = leanings(readings);
    leanings.truncate(MOST);
    let phrases = |subject: Subject| -> Vec<String> {
        leanings
            .iter()
            .filter(|l| l.subject == subject)
            .map(|l| {
                if l.score.abs() >= CLEAR && subject == Subject::Person {
                    format!("clearly {}", l.phrase)
                } else {
                    l.phrase.clone()
                }
            })
            .collect()
    };
    let person = phrases(Subject::Person);
    let reply = phrases(Subject::Reply);
    let mut out = String::new();
    if !person.is_empty() {
        out = format!("This person {}.", joined(&person));
    }
    if !reply.is_empty() {
        if !out.is_empty() {
            out.push(' ');
        }
        out += &format!("They want a reply that {}.", joined(&reply));
    }
    out
}

fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The pole in words; `None` where the object is missing.
fn phrase(dimension: &Dimension, score: f64, object: Option<&str>) -> Option<String> {
    if let Some((_, high, low)) = REPLIES.iter().find(|r| r.0 == dimension.index) {
        return Some(if score > 0.0 { *high } else { *low }.to_owned());
    }
    let anchors = &anchors()[usize::from(dimension.index)];
    let phrases = if score > 0.0 {
        &anchors.high_phrases
    } else {
        &anchors.low_phrases
    };
    let phrase = phrases.first()?;
    if dimension.needs_object {
        return Some(phrase.replace("{object}", object?.trim()));
    }
    Some(phrase.clone())
}

/// Dimensions of the wanted reply: index, what a reply at the high pole does, at the low pole.
const REPLIES: [(u8, &str, &str); 10] = [
    (14, "stays light and easy", "goes below the surface"),
    (
        15,
        "says things directly",
        "is tactful and meets people halfway",
    ),
    (
        16,
        "is short and to the point",
        "is detailed and spelled out in full",
    ),
    (
        40,
        "avoids anything harmful and names risks",
        "leaves out warnings",
    ),
    (
        41,
        "follows the instructions exactly",
        "treats the request freely",
    ),
    (42, "is candid about what is not certain", "sounds sure"),
    (43, "gets the facts right", "is loose with details"),
    (
        44,
        "is practical and useful",
        "need not be of practical use",
    ),
    (45, "has a clear line of thought", "may wander"),
    (
        46,
        "has depth and complexity",
        "uses plain and simple words",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dimensions::{Person, Setting, unread};

    fn set(pairs: &[(&str, f64)]) -> Vec<Reading> {
        let settings: Vec<Setting> = pairs
            .iter()
            .map(|(id, score)| Setting {
                dimension: (*id).to_owned(),
                score: Some(*score),
                object: (*id == "food_preference").then(|| "rye bread".to_owned()),
            })
            .collect();
        unread(&Person {
            settings: &settings,
            ..Person::default()
        })
    }

    #[test]
    fn a_summary_speaks_of_the_person_and_of_the_reply() {
        let readings = set(&[
            ("communication_style", 0.9),
            ("extraversion", -0.5),
            ("interest_music", 0.3),
            ("food_preference", 0.2),
            ("order", 0.05),
        ]);
        assert_eq!(
            summarise(&readings),
            "This person is quiet, likes music and loves rye bread. They want a reply that is short and to the point."
        );
        assert_eq!(summarise(&set(&[])), "", "nothing leans");
    }

    #[test]
    fn every_pole_of_every_reply_dimension_is_worded() {
        for d in space().iter().filter(|d| d.subject == Subject::Reply) {
            assert!(REPLIES.iter().any(|r| r.0 == d.index), "{}", d.id);
        }
        assert!(
            REPLIES
                .iter()
                .all(|r| space()[usize::from(r.0)].subject == Subject::Reply)
        );
    }

    #[test]
    fn what_the_person_set_comes_before_what_was_inferred() {
        let mut readings = set(&[("order", 0.2)]);
        readings[3].status = idiolect_core::reading::ReadingStatus::Known;
        readings[3].score = 0.95;
        let l = leanings(&readings);
        assert_eq!((l[0].index, l[0].set), (23, true), "{l:?}");
        assert_eq!((l[1].index, l[1].set), (3, false));
    }
}
