//! A portable voice: a system prompt for any assistant and a style guide for a person to read.

use idiolect_core::{
    hypothesis::{Category, Hypothesis},
    space::Subject,
};

use super::{Material, instructions, listed};
use crate::summary;

/// A system prompt for any assistant: write as this person, answer as they like it. No samples are in it.
pub fn system_prompt(name: &str, material: &Material<'_>) -> String {
    let mut out = vec![format!(
        "You assist {name}. When you write in their name, write the way they do; when you answer them, answer the way they like."
    )];
    let writing = instructions(material.hypotheses);
    if !writing.is_empty() {
        out.push(format!("How they write:\n{}", listed(&writing)));
    }
    let summary = summary_of(material);
    if !summary.is_empty() {
        out.push(format!("What is known of them: {summary}"));
    }
    out.join("\n\n")
}

/// A style guide in Markdown.
pub fn style_guide(name: &str, material: &Material<'_>) -> String {
    let mut out = format!("# How {name} writes\n");
    for (category, heading) in [
        (Category::Communication, "Getting things across"),
        (Category::Personality, "What shows of the person"),
        (Category::Style, "Sentences, marks and words"),
    ] {
        let usable: Vec<&Hypothesis> = material
            .hypotheses
            .iter()
            .filter(|h| h.category == category && h.status.usable())
            .collect();
        if usable.is_empty() {
            continue;
        }
        out += &format!("\n## {heading}\n\n");
        for h in usable {
            out += &format!("- {}", h.statement);
            if !h.instruction.is_empty() && h.instruction != h.statement {
                out += &format!(" *{}*", h.instruction);
            }
            out.push('\n');
        }
    }
    let leanings = summary::leanings(material.readings);
    if !leanings.is_empty() {
        out += "\n## Leanings\n\n";
        for l in &leanings {
            let who = match l.subject {
                Subject::Person => "The person",
                Subject::Reply => "A reply to them",
            };
            let by = if l.set { "set by them" } else { "inferred" };
            out += &format!("- {who} {} ({:+.2}, {by}).\n", l.phrase, l.score);
        }
    }
    let summary = summary_of(material);
    if !summary.is_empty() {
        out += &format!("\n## In short\n\n{summary}\n");
    }
    out
}

fn summary_of(material: &Material<'_>) -> String {
    if material.summary.trim().is_empty() {
        summary::summarise(material.readings)
    } else {
        material.summary.trim().to_owned()
    }
}
