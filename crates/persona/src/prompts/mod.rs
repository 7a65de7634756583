//! The messages of every method: which of the person's material goes into a prompt, in which words, and what gives way
//! when the context is short.
//!
//! Text that is the same for everyone lives in `assets/prompts/`. Templates of models are theirs
//! ([`TextModel::render`]); what a prompt did is measured elsewhere.

use idiolect_core::{
    draft::{Ingredient, Method},
    hypothesis::{Hypothesis, HypothesisStatus},
    ids::SampleId,
    profile::Intent,
    reading::Reading,
    space::Subject,
};
use idiolect_llm::{Message, Role, TextModel};
use idiolect_text::wishes::Wishes;

use crate::{
    Passage, PersonaError, Result,
    summary::{self, Leaning},
};

mod excerpts;
mod export;

pub use export::{style_guide, system_prompt};

/// Hypotheses in a prompt at most.
pub const MOST_HYPOTHESES: usize = 8;
/// Dimensions in a prompt at most.
pub const MOST_DIMENSIONS: usize = 12;
/// Excerpts in a prompt at most.
pub const MOST_EXCERPTS: usize = 3;

/// What a draft is asked to be.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// As me or for me.
    pub intent: Intent,
    /// What goes into the prompt.
    pub method: &'a Method,
    /// The brief in the person's words.
    pub brief: &'a str,
    /// About how many words; none = the brief says, or the model's own.
    pub words: Option<u32>,
}

/// What is known of the person.
#[derive(Debug, Clone, Copy, Default)]
pub struct Material<'a> {
    /// All 90 readings, settings applied.
    pub readings: &'a [Reading],
    /// All hypotheses; those refuted or rejected are left out here.
    pub hypotheses: &'a [Hypothesis],
    /// The summary the person sees and edits; empty = none.
    pub summary: &'a str,
    /// The person's description of themselves, for what it says they want; empty = none.
    pub self_description: &'a str,
    /// Their texts, for excerpts.
    pub samples: &'a [Passage<'a>],
}

/// A prompt with its lineage.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// For the model's own template.
    pub messages: Vec<Message>,
    /// Samples whose words are in it.
    pub samples: Vec<SampleId>,
    /// What was left out and why, in words.
    pub notes: Vec<String>,
}

/// Builds the prompt. Excerpts give way first when the context is short, then hypotheses and dimensions from the
/// weakest; the brief never does. `answer_tokens` are kept free for the answer.
///
/// # Errors
/// [`PersonaError::BriefTooLong`]; template and tokenizer failures.
pub fn build(
    task: &Task<'_>,
    material: &Material<'_>,
    model: &dyn TextModel,
    answer_tokens: usize,
) -> Result<Prompt> {
    let available = model.info().context.saturating_sub(answer_tokens);
    let count = |messages: &[Message]| -> Result<usize> {
        Ok(model.encode_prompt(&model.render(messages)?)?.len())
    };
    let mut parts = Parts::of(task, material);
    let mut left_out = [0usize; 3];
    loop {
        let messages = parts.messages(task);
        let needed = count(&messages)?;
        if needed <= available {
            return Ok(Prompt {
                messages,
                samples: parts.excerpts.iter().map(|e| e.sample.clone()).collect(),
                notes: parts.notes(&left_out),
            });
        }
        if parts.excerpts.pop().is_some() {
            left_out[0] += 1;
        } else if parts.hypotheses.pop().is_some() {
            left_out[1] += 1;
        } else if parts.dimensions.pop().is_some() {
            left_out[2] += 1;
        } else if !parts.summary.is_empty() {
            parts.summary.clear();
            left_out[2] += 1;
        } else if parts.stated.pop().is_some() {
            left_out[2] += 1;
        } else {
            return Err(PersonaError::BriefTooLong { needed, available });
        }
    }
}

/// The bare prompt of a brief in the person's own voice, as [`Method::base`] sends it: also what an adapter is trained
/// under.
pub fn bare(brief: &str, words: Option<u32>) -> Vec<Message> {
    let method = Method::base();
    let task = Task {
        intent: Intent::AsMe,
        method: &method,
        brief,
        words,
    };
    Parts::default().messages(&task)
}

/// How many words a brief asks for ("about 120 words", "in 80 words"), if it does.
pub fn asked_words(brief: &str) -> Option<u32> {
    let words: Vec<&str> = brief.split_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let unit = pair[1].trim_end_matches(|c: char| !c.is_alphanumeric());
        (unit.eq_ignore_ascii_case("words") || unit.eq_ignore_ascii_case("word"))
            .then(|| {
                pair[0]
                    .trim_matches(|c: char| !c.is_ascii_digit())
                    .parse()
                    .ok()
            })
            .flatten()
    })
}

#[derive(Default)]
struct Parts {
    hypotheses: Vec<String>,
    dimensions: Vec<String>,
    summary: String,
    /// What they said they want and do not.
    stated: Vec<String>,
    excerpts: Vec<excerpts::Excerpt>,
    empty: Vec<&'static str>,
}

impl Parts {
    fn of(task: &Task<'_>, material: &Material<'_>) -> Self {
        let mut parts = Self::default();
        if task.method.has(Ingredient::Hypotheses) {
            parts.hypotheses = instructions(material.hypotheses);
            if parts.hypotheses.is_empty() {
                parts.empty.push("There are no hypotheses to use yet.");
            }
        }
        if task.method.has(Ingredient::Dimensions) {
            parts.dimensions = summary::leanings(material.readings)
                .iter()
                .take(MOST_DIMENSIONS)
                .map(dimension_line)
                .collect();
            // A summary that only repeats the list would cost tokens and say nothing.
            if material.summary.trim() != summary::summarise(material.readings) {
                parts.summary = material.summary.trim().to_owned();
            }
            // Wishes are about what is answered, not about how the person writes.
            if task.intent == Intent::ForMe {
                parts.stated = stated_lines(material.self_description);
            }
            if parts.of_the_person().is_empty() {
                parts.empty.push("No dimension leans either way yet.");
            }
        }
        if task.method.has(Ingredient::Excerpts) {
            parts.excerpts = excerpts::find(task.brief, material.samples);
            if parts.excerpts.is_empty() {
                parts
                    .empty
                    .push("There are no samples to take excerpts from.");
            }
        }
        parts
    }

    /// What is told of the person: what they said they want, where they lean, the summary.
    fn of_the_person(&self) -> Vec<String> {
        let mut lines = [self.stated.as_slice(), &self.dimensions].concat();
        if !self.summary.is_empty() {
            lines.push(self.summary.clone());
        }
        lines
    }

    fn messages(&self, task: &Task<'_>) -> Vec<Message> {
        let opening = match task.intent {
            Intent::AsMe => include_str!("../../../../assets/prompts/write_system.txt"),
            Intent::ForMe => include_str!("../../../../assets/prompts/answer_system.txt"),
        };
        let mut system = vec![opening.trim().to_owned()];
        let lines = self.of_the_person();
        if !lines.is_empty() {
            system.push(filled(
                include_str!("../../../../assets/prompts/dimensions.txt"),
                &lines.join("\n"),
            ));
        }
        if !self.hypotheses.is_empty() {
            system.push(filled(
                include_str!("../../../../assets/prompts/hypotheses.txt"),
                &listed(&self.hypotheses),
            ));
        }
        if !self.excerpts.is_empty() {
            let quoted: Vec<String> = self
                .excerpts
                .iter()
                .map(|e| format!("“{}”", e.text))
                .collect();
            system.push(filled(
                include_str!("../../../../assets/prompts/excerpts.txt"),
                &quoted.join("\n\n"),
            ));
        }
        vec![
            Message::new(Role::System, system.join("\n\n")),
            Message::new(Role::User, asked(task)),
        ]
    }

    fn notes(&self, left_out: &[usize; 3]) -> Vec<String> {
        let mut notes: Vec<String> = self.empty.iter().map(|s| (*s).to_owned()).collect();
        for (n, what) in left_out
            .iter()
            .zip(["excerpts", "hypotheses", "dimensions"])
        {
            if *n > 0 {
                notes.push(format!(
                    "Left out for lack of room in the model's context: {n} {what}."
                ));
            }
        }
        notes
    }
}

fn asked(task: &Task<'_>) -> String {
    let mut out = task.brief.trim().to_owned();
    if let Some(words) = task.words
        && asked_words(&out).is_none()
    {
        if !out.ends_with(['.', '?', '!']) {
            out.push('.');
        }
        out += &format!(" Write about {words} words.");
    }
    if task.intent == Intent::AsMe {
        if !out.ends_with(['.', '?', '!']) {
            out.push('.');
        }
        out.push(' ');
        out += include_str!("../../../../assets/prompts/write_only.txt").trim();
    }
    out
}

/// Usable instructions: what the person decided first, then what was tested, then what was proposed.
fn instructions(hypotheses: &[Hypothesis]) -> Vec<String> {
    let rank = |h: &Hypothesis| match h.status {
        HypothesisStatus::Accepted | HypothesisStatus::Edited => Some(0),
        HypothesisStatus::Supported => Some(1),
        HypothesisStatus::Proposed => Some(2),
        HypothesisStatus::Refuted | HypothesisStatus::Rejected => None,
    };
    let mut ranked: Vec<(u8, &Hypothesis)> = hypotheses
        .iter()
        .filter_map(|h| Some((rank(h)?, h)))
        .collect();
    ranked.sort_by_key(|(r, _)| *r);
    let mut out: Vec<String> = Vec::new();
    for (_, h) in ranked {
        // An edited claim is the person's own wording, whatever instruction it once came with.
        let text = if h.status == HypothesisStatus::Edited {
            &h.statement
        } else {
            &h.instruction
        };
        if !text.trim().is_empty() && !out.contains(text) {
            out.push(text.clone());
        }
    }
    out.truncate(MOST_HYPOTHESES);
    out
}

fn dimension_line(leaning: &Leaning) -> String {
    match leaning.subject {
        Subject::Person => format!("- The person {}.", leaning.phrase),
        Subject::Reply => format!("- They want an answer that {}.", leaning.phrase),
    }
}

/// What somebody says of themselves that they want, and what not: a line each, where there is any.
fn stated_lines(description: &str) -> Vec<String> {
    let said = Wishes::said_in(description);
    let things = |of: fn(&Wishes) -> &Vec<String>| -> Vec<&str> {
        said.iter()
            .flat_map(|(_, w)| of(w))
            .map(String::as_str)
            .collect()
    };
    [
        ("They like", things(|w| &w.wanted)),
        ("They avoid", things(|w| &w.unwanted)),
    ]
    .into_iter()
    .filter(|(_, things)| !things.is_empty())
    .map(|(verb, things)| format!("- {verb}: {}.", things.join("; ")))
    .collect()
}

fn listed(lines: &[String]) -> String {
    lines
        .iter()
        .map(|l| format!("- {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn filled(template: &str, list: &str) -> String {
    template.trim().replace("{list}", list)
}

#[cfg(test)]
mod tests;
