//! Claims in plain words: for every counted feature and both directions a lead for the person and an instruction for a
//! writer. Deterministic templates; a feature nobody worded falls back on its name in the catalog.

use idiolect_text::catalog::catalog;

use super::templates::{SENTENCES, THINGS};

/// A claim in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// For the person, without numbers: "Uses dashes where most use commas".
    pub lead: String,
    /// For a writer: "Use dashes where others would use commas."
    pub instruction: String,
}

/// Words for a feature in a direction (> 0 = more than others).
pub fn words(feature: &str, direction: i8) -> Words {
    let more = direction > 0;
    if let Some(row) = SENTENCES.iter().find(|r| r.0 == feature) {
        let (lead, instruction) = if more { (row.1, row.2) } else { (row.3, row.4) };
        return Words {
            lead: lead.to_owned(),
            instruction: instruction.to_owned(),
        };
    }
    if let Some((_, thing)) = THINGS.iter().find(|r| r.0 == feature) {
        return thing_words(thing, more);
    }
    if let Some(word) = feature.strip_prefix("word.") {
        let word = if word == "i" { "I" } else { word };
        return thing_words(&format!("the word “{word}”"), more);
    }
    if let Some(word) = feature.strip_prefix("opener.") {
        let mut chars = word.chars();
        let word: String = chars
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .chain(chars)
            .collect();
        return if more {
            Words {
                lead: format!("Often begins sentences with “{word}”"),
                instruction: format!("Begin some sentences with “{word}”."),
            }
        } else {
            Words {
                lead: format!("Seldom begins sentences with “{word}”"),
                instruction: format!("Do not begin sentences with “{word}”."),
            }
        };
    }
    if let Some(letters) = feature.strip_prefix("length.") {
        return thing_words(&letters_words(letters), more);
    }
    let name = catalog().position(feature).map_or_else(
        || feature.to_owned(),
        |i| catalog().features()[i].name.clone(),
    );
    if more {
        Words {
            lead: format!("{name}: more than most"),
            instruction: format!("More than usual of this: {name}."),
        }
    } else {
        Words {
            lead: format!("{name}: less than most"),
            instruction: format!("Less than usual of this: {name}."),
        }
    }
}

fn thing_words(thing: &str, more: bool) -> Words {
    if more {
        Words {
            lead: format!("Uses {thing} more than most"),
            instruction: format!("Use {thing} often."),
        }
    } else {
        Words {
            lead: format!("Uses {thing} less than most"),
            instruction: format!("Seldom use {thing}."),
        }
    }
}

fn letters_words(letters: &str) -> String {
    match letters {
        "1" => "one-letter words".to_owned(),
        "10" => "words of ten letters or more".to_owned(),
        n => format!("words of {n} letters"),
    }
}

/// A value with its unit: "14 per 1,000 words", "31 % of sentences", "9.2 words".
pub fn quantity(value: f64, unit: &str) -> String {
    match unit.strip_prefix("share of ") {
        Some(of) => format!("{} % of {of}", number(value * 100.0)),
        None if unit == "score" => number(value),
        None => format!("{} {unit}", number(value)),
    }
}

/// Two figures that mean something: whole from 10 up, one decimal below, two below 1.
pub fn number(value: f64) -> String {
    let text = if value.abs() >= 10.0 {
        return format!("{value:.0}");
    } else if value.abs() >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short.is_empty() || short == "-" {
        "0".to_owned()
    } else {
        short.to_owned()
    }
}

/// The whole statement: lead, own number, others' number.
pub fn statement(lead: &str, value: f64, others: f64, unit: &str) -> String {
    let other = match unit.strip_prefix("share of ") {
        Some(_) => format!("{} %", number(others * 100.0)),
        None => number(others),
    };
    format!("{lead}: {}, others {other}.", quantity(value, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_worded_in_both_directions() {
        for feature in catalog().features() {
            let (more, less) = (words(&feature.id, 1), words(&feature.id, -1));
            assert_ne!(more.lead, less.lead, "{}", feature.id);
            assert_ne!(more.instruction, less.instruction, "{}", feature.id);
            assert!(more.instruction.ends_with('.'), "{}", feature.id);
            assert!(
                !more.lead.contains(": more than most"),
                "{} fell back on its catalog name; word it",
                feature.id
            );
        }
    }

    #[test]
    fn no_wording_is_left_over_from_a_feature_that_is_gone() {
        for id in THINGS
            .iter()
            .map(|r| r.0)
            .chain(SENTENCES.iter().map(|r| r.0))
        {
            assert!(catalog().position(id).is_some(), "{id} is in no catalog");
        }
    }

    #[test]
    fn statements_read_as_on_the_card() {
        let dash = words("punct.dash", 1);
        assert_eq!(
            statement(&dash.lead, 14.2, 2.04, "per 1,000 words"),
            "Uses a dash where most use a comma: 14 per 1,000 words, others 2."
        );
        assert_eq!(
            statement(
                &words("sentence.question", -1).lead,
                0.012,
                0.085,
                "share of sentences"
            ),
            "Seldom asks a question: 1.2 % of sentences, others 8.5 %."
        );
        assert_eq!(
            statement(&words("word.which", 1).lead, 9.0, 0.5, "per 1,000 words"),
            "Uses the word “which” more than most: 9 per 1,000 words, others 0.5."
        );
        assert_eq!(
            words("opener.so", -1).instruction,
            "Do not begin sentences with “So”."
        );
        assert_eq!(
            words("made.up", 1).lead,
            "made.up: more than most",
            "unknown features still read"
        );
        assert_eq!(number(0.0), "0");
    }
}
