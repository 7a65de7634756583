//! AlignX's preference space: 90 dimensions, names and order of arXiv 2503.15463, Table 7.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Whose attribute a dimension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Something about the person themselves.
    Person,
    /// Something about the reply they want.
    Reply,
}

/// One dimension of the space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Dimension {
    /// Position, 0-89.
    pub index: u8,
    /// Stable id, `extraversion`.
    pub id: String,
    /// Name on screen.
    pub name: String,
    /// One of the paper's five branches.
    pub group: String,
    /// What it means.
    pub definition: String,
    /// The + pole in words.
    pub high: String,
    /// The − pole in words.
    pub low: String,
    /// What no leaning means.
    pub neutral: String,
    /// Off until the person turns sensitive dimensions on.
    pub sensitive: bool,
    /// Names "a certain X": useless until the person fills the object in (7, 8, 20-22).
    #[serde(default)]
    pub needs_object: bool,
    /// Whose attribute it is.
    #[serde(default = "person")]
    pub subject: Subject,
}

fn person() -> Subject {
    Subject::Person
}

#[derive(Deserialize)]
struct SpaceFile {
    dimensions: Vec<Dimension>,
}

/// How many dimensions the space has.
pub const DIMENSIONS: usize = 90;

/// The 90 dimensions in order, from `assets/preference_space.json`.
pub fn space() -> &'static [Dimension] {
    static SPACE: OnceLock<Vec<Dimension>> = OnceLock::new();
    SPACE.get_or_init(|| {
        let file: SpaceFile =
            serde_json::from_str(include_str!("../../../assets/preference_space.json"))
                .expect("the shipped preference space parses (tested)");
        let mut dimensions = file.dimensions;
        for d in &mut dimensions {
            d.needs_object = matches!(d.index, 7 | 8 | 20..=22);
            // How the reply should be: length and depth of talk, directness, the response-quality
            // branch. Everything else says something about the person (interests included).
            d.subject = match d.index {
                14..=16 | 40..=46 => Subject::Reply,
                _ => Subject::Person,
            };
        }
        dimensions
    })
}

/// The dimension with this id, or this index as text.
pub fn find(id_or_index: &str) -> Option<&'static Dimension> {
    space().iter().find(|d| d.id == id_or_index).or_else(|| {
        id_or_index
            .parse::<usize>()
            .ok()
            .and_then(|i| space().get(i))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_complete_and_in_order() {
        assert_eq!(space().len(), DIMENSIONS);
        for (i, d) in space().iter().enumerate() {
            assert_eq!(d.index as usize, i, "{} stands out of order", d.id);
            assert!(
                !d.high.is_empty() && !d.low.is_empty(),
                "{} lacks a pole",
                d.id
            );
        }
        assert_eq!(find("communication_style").map(|d| d.index), Some(16));
        assert_eq!(find("16").map(|d| d.subject), Some(Subject::Reply));
        assert_eq!(find("no_such_dimension"), None);
        assert_eq!(space().iter().filter(|d| d.needs_object).count(), 5);
    }
}
