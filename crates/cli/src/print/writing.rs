//! Drafts, pairs, votes.

use idiolect_core::{
    adapter::{Adapter, Run, RunStatus, TrialDraft},
    draft::{Draft, Thumb},
    vote::{BlindPair, Retest, Tally},
};
use idiolect_studio::api::{DiffPart, Preflight, Voted};

use super::{first_line, size};
use crate::progress::duration;

/// A draft whole: its text between what it is and its figures.
pub fn draft(draft: &Draft) -> String {
    let own = draft
        .edited
        .as_ref()
        .map_or_else(String::new, |own| format!("\n── as you put it ──\n{own}"));
    format!(
        "── {} ──\n{}\n── {}{own}",
        heading(draft),
        draft.text.trim(),
        figures(draft)
    )
}

/// What stands below a draft whose text was shown while it was written.
pub fn below_streamed(draft: &Draft) -> String {
    format!("\n── {} · {}", heading(draft), figures(draft))
}

/// The drafts' exact prompts, each under its method where there are several.
pub fn prompts(methods: &[String], prompts: &[String]) -> String {
    if let [only] = prompts {
        return only.clone();
    }
    let titled = methods.iter().zip(prompts);
    titled
        .map(|(method, prompt)| format!("── {method} ──\n{prompt}"))
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn heading(draft: &Draft) -> String {
    let voice = draft.adapter.as_ref().map_or(String::new(), |a| {
        format!(" + trained voice at {}", a.scale)
    });
    format!(
        "{} ({}{voice}, seed {})",
        draft.id, draft.method, draft.sampling.seed
    )
}

fn figures(draft: &Draft) -> String {
    let style = draft.meters.style_match.map_or(String::new(), |m| {
        format!(" · style match {:.0} %", m * 100.0)
    });
    let copied = match draft.meters.longest_copied_words {
        0 => String::new(),
        n => format!(" · longest run copied from you {n} words"),
    };
    let met = match draft.meters.hypotheses_checked {
        0 => String::new(),
        n => format!(" · hypotheses met {}/{n}", draft.meters.hypotheses_met),
    };
    format!(
        "{} words · {} tokens in {:.1} s ({:.0} tokens/s){style}{copied}{met}",
        draft.text.split_whitespace().count(),
        draft.tokens,
        draft.seconds,
        draft.tokens_per_second
    )
}

pub fn drafts(drafts: &[Draft]) -> String {
    if drafts.is_empty() {
        return "No drafts yet.".to_owned();
    }
    let lines = drafts.iter().map(|d| {
        let kept = if d.kept { "kept  " } else { "      " };
        let edited = if d.edited.is_some() {
            "edited  "
        } else {
            "        "
        };
        let thumb = match d.thumb {
            Some(Thumb::Up) => "up    ",
            Some(Thumb::Down) => "down  ",
            None => "      ",
        };
        format!(
            "{}  {kept}{edited}{thumb}{:<24} {}",
            d.id,
            d.method.to_string(),
            first_line(&d.text, 60)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn diff(parts: &[DiffPart]) -> String {
    let marked = parts.iter().map(|p| match p.side.as_str() {
        "left" => format!("[-{}-]", p.text),
        "right" => format!("{{+{}+}}", p.text),
        _ => p.text.clone(),
    });
    marked.collect()
}

pub fn pair(pair: &BlindPair) -> String {
    format!(
        "Pair {} of {} ({})\nBrief: {}\n\n── 1, left ──\n{}\n\n── 2, right ──\n{}\n",
        pair.number,
        pair.of,
        pair.id,
        pair.brief,
        pair.left.trim(),
        pair.right.trim()
    )
}

pub fn voted(voted: &Voted) -> String {
    let side = |d: &Draft| match &d.adapter {
        Some(a) => format!("{} with a trained voice at {}", d.method, a.scale),
        None => d.method.to_string(),
    };
    format!(
        "Left was {}; right was {}.\n{}",
        side(&voted.left),
        side(&voted.right),
        tally(&voted.tally)
    )
}

pub fn tally(tally: &Tally) -> String {
    format!(
        "{} against {}: {}",
        tally.challenger, tally.against, tally.words
    )
}

pub fn tallies(tallies: &[Tally]) -> String {
    if tallies.is_empty() {
        return "No votes yet.".to_owned();
    }
    tallies.iter().map(tally).collect::<Vec<_>>().join("\n")
}

pub fn preflight(p: &Preflight) -> String {
    let of_preferences = p
        .ladder
        .first()
        .is_some_and(|rung| rung.settings.objective.uses_preferences());
    let mut text = if of_preferences {
        format!(
            "Learns from {} preferences, {} held out, {} tokens a pass.",
            p.train_chunks, p.held_out_chunks, p.tokens
        )
    } else {
        format!(
            "Learns from {} samples, {} words: {} passages to train on, {} held out, {} tokens a pass.",
            p.samples, p.words, p.train_chunks, p.held_out_chunks, p.tokens
        )
    };
    if p.votes + p.retests + p.edits + p.thumbs_up + p.thumbs_down > 0 {
        text.push_str(&format!(
            "\nFound: {} votes, {} of blind tests, {} corrected drafts, {} thumbs up and {} down; {} pairs of them.",
            p.votes, p.retests, p.edits, p.thumbs_up, p.thumbs_down, p.preferences
        ));
    }
    if !p.held_out_samples.is_empty() {
        let ids: Vec<&str> = p.held_out_samples.iter().map(|id| id.as_str()).collect();
        text.push_str(&format!("\nHeld out whole: {}.", ids.join(", ")));
    }
    if !p.too_little.is_empty() {
        text.push_str(&format!("\n{} --anyway trains all the same.", p.too_little));
    }
    if p.duplicates > 0 {
        text.push_str(&format!("\n{} near-duplicates are left out.", p.duplicates));
    }
    text.push_str(&format!(
        "\nMemory: about {} needed, {} free. Time: about {}{}.",
        size(p.needed_bytes),
        size(p.free_bytes),
        duration(p.seconds),
        if p.measured {
            ", measured here"
        } else {
            ", estimated"
        }
    ));
    for line in p.settings_in_words.iter().chain(&p.advice) {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if p.ladder.first().is_some_and(|rung| !rung.fits) {
        text.push_str("\nSettings that need less, each beside those above it:");
        for rung in p.ladder.iter().skip(1) {
            text.push_str(&format!(
                "\n  {}  about {}, {}: {}",
                if rung.fits { "fits   " } else { "too big" },
                size(rung.needed_bytes),
                duration(rung.seconds),
                rung.words
            ));
        }
    }
    text
}

pub fn run(run: &Run, made: Option<&Adapter>) -> String {
    let status = match run.status {
        RunStatus::Running => "running",
        RunStatus::Paused => "paused",
        RunStatus::Finished => "finished",
        RunStatus::Stopped => "stopped, the best was kept",
        RunStatus::Cancelled => "cancelled",
        RunStatus::CutShort => "cut short",
        RunStatus::Failed => "failed",
    };
    let last = run.curve.iter().rev().find_map(|p| p.held_out);
    let first = run.curve.iter().find_map(|p| p.held_out);
    let unit = if run.objective.uses_preferences() {
        "of preferences, lower is better"
    } else {
        "nats per token, lower is better"
    };
    let losses = match (first, last) {
        (Some(a), Some(b)) => {
            format!(" · held-out loss {a:.3} → {b:.3} ({unit})")
        }
        _ => String::new(),
    };
    let mut text = format!(
        "{}  {status}{losses} · {} · {:.0} tokens/s · peak memory {}",
        run.id,
        duration(run.seconds),
        run.tokens_per_second,
        size(run.peak_bytes)
    );
    if !run.message.is_empty() {
        text.push_str(&format!("\n  {}", run.message));
    }
    if let Some(made) = made {
        text.push_str(&format!("\n{}", adapter(made)));
    }
    text
}

/// A draft that a training wrote on its way.
pub fn trial(draft: &TrialDraft) -> String {
    format!(
        "After step {} (longest run copied: {} words), “{}”:\n  {}",
        draft.step,
        draft.copied_words,
        draft.brief,
        draft.text.trim().replace('\n', "\n  ")
    )
}

pub fn adapter(a: &Adapter) -> String {
    let loss = match (a.base_held_out, a.own_held_out) {
        (Some(base), Some(own)) => {
            format!(
                "held-out loss {base:.3} without, {own:.3} with it (nats per token, lower is better)"
            )
        }
        _ => "no held-out texts".to_owned(),
    };
    let gone = match a.samples_gone {
        0 => String::new(),
        n => format!("; {n} of them were deleted since"),
    };
    let gone_drafts = match a.drafts_gone {
        0 => String::new(),
        n => format!("; {n} of them were deleted since"),
    };
    let mut learned = Vec::new();
    if !a.samples.is_empty() {
        learned.push(format!("{} samples{gone}", a.samples.len()));
    }
    if !a.drafts.is_empty() {
        learned.push(format!(
            "what you made of {} drafts, {} votes among it{gone_drafts}",
            a.drafts.len(),
            a.votes.len()
        ));
    }
    let learned = learned.join(" and ");
    let form = match a.method.to_string().as_str() {
        "base" => String::new(),
        method => format!(" · with {method} in its prompts"),
    };
    format!(
        "{}  {}{}  on {} · {loss} · rank {} · {}{form} · learned from {learned}",
        a.id,
        a.name,
        if a.retired_at.is_some() {
            " (retired)"
        } else {
            ""
        },
        a.model,
        a.rank,
        size(a.bytes)
    )
}

pub fn retest(r: &Retest) -> String {
    let waiting = match r.waiting.len() {
        0 => String::new(),
        n => format!("\n{n} pairs wait for a vote."),
    };
    format!("{}{waiting}", tally(&r.tally))
}
