//! Briefs that a model writes for texts that exist ("data playback": the text answers the brief). What it answers is
//! checked, as a small model may answer with the text itself, with chatter, or with nothing.

use idiolect_llm::{Message, Role};
use idiolect_text::{leakage, segment};

use crate::briefs::rounded_words;

/// Changes with the instruction or the check, so that briefs stored under another one are not taken for these.
pub const VERSION: &str = "1";

/// Tokens that a brief may have.
pub const BRIEF_TOKENS: u32 = 80;

/// Models with fewer parameters write briefs that say less than counted ones.
pub const SMALLEST_MODEL: u64 = 900_000_000;

/// Words of a brief: fewer say nothing, more retell the text.
const WORDS: std::ops::RangeInclusive<usize> = 5..=60;

/// A run of words this long is the text's own wording, from which its style would leak into the brief.
const COPIED: usize = 8;

/// What some models put before it.
const LABEL: &str = "request:";

/// Openings that show the model talking about its task instead of doing it.
const CHATTER: [&str; 6] = ["sure", "here", "certainly", "of course", "i ", "the text"];

/// What the model is asked for one text.
pub fn ask(text: &str) -> Vec<Message> {
    vec![
        Message::new(
            Role::System,
            include_str!("../../../assets/prompts/playback.txt").trim(),
        ),
        Message::new(Role::User, text.trim()),
    ]
}

/// The brief in a model's answer, with the text's length as every brief names it; `None` where the answer is not one.
pub fn brief_of(answer: &str, text: &str) -> Option<String> {
    let line = answer
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    let line = line
        .trim_start_matches(|c: char| c == '-' || c == '*' || c.is_whitespace())
        .trim_matches(|c| matches!(c, '"' | '“' | '”' | '*'))
        .trim();
    let line = match line.get(..LABEL.len()) {
        Some(start) if start.eq_ignore_ascii_case(LABEL) => &line[LABEL.len()..],
        _ => line,
    };
    let line = whole_sentences(line.trim())?;
    let lower = line.to_lowercase();
    let usable = WORDS.contains(&segment::word_count(line))
        && !CHATTER.iter().any(|c| lower.starts_with(c))
        && leakage::longest_common_run(line, &[text]).is_none_or(|run| run.words < COPIED);
    usable.then(|| {
        let end = if line.ends_with(['.', '?', '!']) {
            ""
        } else {
            "."
        };
        format!("{line}{end} Write about {} words.", rounded_words(text))
    })
}

/// Without the sentence that the end of the answer cut off, where there is another.
fn whole_sentences(line: &str) -> Option<&str> {
    if line.ends_with(['.', '?', '!']) {
        return Some(line);
    }
    let end = line.rfind(['.', '?', '!']).map_or(line.len(), |at| at + 1);
    (!line[..end].is_empty()).then(|| &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The ferry was late again, and the people on the quay had stopped asking. A woman beside me was \
        reading a letter, slowly, as if it had been written in a language that she was still learning.";

    #[test]
    fn a_usable_answer_becomes_a_brief_with_the_texts_length() {
        let brief = |answer: &str| brief_of(answer, TEXT);
        assert_eq!(
            brief("Write a scene about people who wait for a late ferry.").as_deref(),
            Some("Write a scene about people who wait for a late ferry. Write about 40 words.")
        );
        assert_eq!(
            brief("\n- \"Describe a quay where a ferry is late\"\nIt should be calm.").as_deref(),
            Some("Describe a quay where a ferry is late. Write about 40 words."),
            "the first line, without marks around it"
        );
        assert_eq!(
            brief("Request: Describe a quay where a ferry is late. Mention a woman who").as_deref(),
            Some("Describe a quay where a ferry is late. Write about 40 words."),
            "a sentence that was cut off is left out"
        );
        assert_eq!(
            crate::prompts::asked_words(&brief("Describe a quay where a ferry is late.").unwrap()),
            Some(40)
        );
    }

    #[test]
    fn chatter_copies_and_emptiness_are_no_briefs() {
        for answer in [
            "",
            "   \n ",
            "A ferry.",
            "Sure! Describe a quay where a ferry is late.",
            "Here is the request you asked for today:",
            "The ferry was late again, and the people on the quay had stopped asking.",
            &"word ".repeat(80),
        ] {
            assert_eq!(brief_of(answer, TEXT), None, "{answer}");
        }
    }

    #[test]
    fn the_model_sees_the_text_as_a_message_of_its_own() {
        let asked = ask(TEXT);
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1].content, TEXT);
        assert!(!asked[0].content.contains("ferry"));
    }
}
