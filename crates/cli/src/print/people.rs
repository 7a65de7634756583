//! Profiles, samples, readings, hypotheses.

use idiolect_core::{
    fingerprint::{Enough, Fingerprint},
    hypothesis::{Category, Hypothesis, HypothesisStatus},
    profile::Profile,
    reading::{Reading, ReadingStatus},
    sample::Sample,
    space::{Dimension, Subject, space},
};
use idiolect_studio::api::{Gone, ImportCounts, ImportScan, ProfileView, StatedWish};

use super::{first_line, size};

pub fn profiles(profiles: &[Profile]) -> String {
    if profiles.is_empty() {
        return "No profile yet. Begin one: idiolect profile new NAME".to_owned();
    }
    let lines = profiles.iter().map(|p| {
        format!(
            "{}  {}  {} samples, {} words",
            p.id, p.name, p.samples, p.words
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn wishes(wishes: &[StatedWish]) -> String {
    if wishes.is_empty() {
        return "No wish was found in the description. Say what you like and what you avoid: idiolect profile describe TEXT"
            .to_owned();
    }
    let lines = wishes.iter().map(|wish| {
        let verb = if wish.wanted { "likes" } else { "avoids" };
        format!("{verb:6}  {}  (“{}”)", wish.thing, wish.sentence)
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn samples(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "No samples yet. Add one: idiolect sample add FILE".to_owned();
    }
    let lines = samples.iter().map(|s| {
        let note = if s.note.is_empty() {
            String::new()
        } else {
            format!("  ({})", s.note)
        };
        format!(
            "{}  {:>5} words  {:<3} {}{note}",
            s.id,
            s.words,
            s.language,
            first_line(&s.title, 60)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn sample(sample: &Sample) -> String {
    let mut text = format!(
        "{}  {} words, language {}\n\n{}",
        sample.id, sample.words, sample.language, sample.text
    );
    if !sample.removed.is_empty() {
        text.push_str(&format!(
            "\n\n{} passages were cleaned away",
            sample.removed.len()
        ));
        text.push_str(&match sample.removed.iter().all(|r| r.text.is_empty()) {
            true => " and not kept.".to_owned(),
            false => format!("; `idiolect sample restore {}` puts them back.", sample.id),
        });
    }
    text
}

pub fn imported(samples: &[Sample], counts: &[ImportCounts]) -> String {
    let sum = |pick: fn(&ImportCounts) -> u32| counts.iter().map(pick).sum::<u32>();
    let (kept, words) = (sum(|c| c.kept), sum(|c| c.words));
    let mut text = format!("Added {kept} samples, {words} words.");
    for (n, what) in [
        (
            sum(|c| c.split),
            "long texts, each cut between paragraphs into several samples",
        ),
        (
            sum(|c| c.html_only),
            "mails had no plain text: taken from their HTML",
        ),
        (sum(|c| c.other_people), "messages by other people left out"),
        (sum(|c| c.quoted_replies), "quoted replies cut"),
        (sum(|c| c.signatures), "signatures cut"),
        (sum(|c| c.boilerplate), "boilerplate passages cut"),
        (sum(|c| c.duplicates), "texts that were already there"),
        (sum(|c| c.too_short), "texts too short to keep"),
        (
            sum(|c| c.other_language),
            "texts in another language (kept, not counted)",
        ),
        (sum(|c| c.attachments), "attachments ignored"),
    ] {
        if n > 0 {
            text.push_str(&format!("\n  {n} {what}"));
        }
    }
    if counts.iter().any(|c| c.stopped_at_limit) {
        text.push_str(
            "\n  Stopped at the limit of texts from one file: split the file to add the rest.",
        );
    }
    for sample in samples.iter().filter(|s| !s.note.is_empty()) {
        text.push_str(&format!("\n  {}: {}", sample.id, sample.note));
    }
    text
}

pub fn scan(scan: &ImportScan) -> String {
    let mut text = format!(
        "{}: {}, {}, {} passages",
        scan.file_name,
        scan.kind,
        size(scan.bytes),
        scan.passages
    );
    if scan.participants.is_empty() {
        text.push_str("\nAll of it counts as yours: idiolect sample add FILE");
        return text;
    }
    text.push_str("\nWhose words are in it; add yours with --mine:");
    for p in &scan.participants {
        let shown = if p.display == p.key {
            String::new()
        } else {
            format!("  ({})", p.display)
        };
        text.push_str(&format!(
            "\n  {:<36} {:>6} messages {:>8} words{shown}",
            p.key, p.messages, p.words
        ));
    }
    text
}

pub fn gone(gone: &Gone) -> String {
    let mut text = gone.what.clone();
    for line in &gone.derived {
        text.push_str("\n  ");
        text.push_str(line);
    }
    if !gone.voices.is_empty() {
        let ids: Vec<&str> = gone.voices.iter().map(|id| id.as_str()).collect();
        text.push_str(&format!(
            "\nStill in what these trained voices learned: {}. `idiolect adapter retire ID` puts one away, `adapter retrain ID` trains it anew without it.",
            ids.join(", ")
        ));
    }
    if gone.copies > 0 {
        let copies = match gone.copies {
            1 => "the safety copy".to_owned(),
            n => format!("some of the {n} safety copies"),
        };
        text.push_str(&format!(
            "\nIt is still in {copies} of this home; `idiolect sample forget-copies` erases every copy."
        ));
    }
    text
}

pub fn fingerprint(f: &Fingerprint) -> String {
    let mut text = match f.enough {
        Enough::TooLittle { need_words } => {
            return format!(
                "Too little text for a fingerprint: about {need_words} more words are needed."
            );
        }
        Enough::Wide => format!(
            "{} words in {} samples: enough for a first look, intervals are wide.",
            f.words, f.samples
        ),
        Enough::Good => format!("{} words in {} samples.", f.words, f.samples),
    };
    if f.other_language > 0 {
        text.push_str(&format!(
            " {} samples in another language are not counted.",
            f.other_language
        ));
    }
    for feature in f.features.iter().take(25) {
        let others = feature.reference.map_or(String::new(), |r| {
            format!("  others {}-{}", number(r.low), number(r.high))
        });
        text.push_str(&format!(
            "\n  {:<34} {} [{}-{}] {}{others}",
            feature.name,
            number(feature.value),
            number(feature.interval.low),
            number(feature.interval.high),
            feature.unit
        ));
    }
    text
}

fn number(x: f64) -> String {
    if x.abs() >= 10.0 {
        format!("{x:.0}")
    } else if x.abs() >= 1.0 {
        format!("{x:.1}")
    } else {
        format!("{x:.2}")
    }
}

pub fn view(view: &ProfileView) -> String {
    let mut text = format!(
        "{}: {} samples, {} words",
        view.profile.name, view.profile.samples, view.profile.words
    );
    if view.stale {
        text.push_str("\nThe samples changed since; `idiolect infer` reads them again.");
    }
    text.push_str("\n\nHow you write\n");
    text.push_str(&hypotheses(&view.hypotheses, !view.model.is_empty()));
    text.push_str("\n\nWhere you stand\n");
    let mut known: Vec<&Reading> = view
        .dimensions
        .iter()
        .filter(|d| d.override_score.is_some() || d.status == ReadingStatus::Known)
        .collect();
    known.sort_by(|a, b| {
        b.effective_score()
            .abs()
            .total_cmp(&a.effective_score().abs())
    });
    if view.model.is_empty() && known.is_empty() {
        text.push_str("  Not read yet: idiolect infer\n");
    }
    for reading in &known {
        text.push_str(&self::reading(reading));
        text.push('\n');
    }
    let quiet = view
        .dimensions
        .iter()
        .filter(|d| d.status == ReadingStatus::NotEnoughEvidence)
        .count();
    if !view.model.is_empty() {
        text.push_str(&format!("  {quiet} of 90 dimensions: not enough evidence."));
    }
    text.trim_end().to_owned()
}

pub fn reading(reading: &Reading) -> String {
    let dimension = &space()[usize::from(reading.index)];
    let whose = match reading.subject {
        Subject::Person => "about you",
        Subject::Reply => "about the reply you want",
    };
    let pole = match reading.effective_score() {
        s if s > 0.05 => dimension.high.as_str(),
        s if s < -0.05 => dimension.low.as_str(),
        _ => "no leaning",
    };
    let measured = match reading.status {
        ReadingStatus::Known => format!(
            "{:+.2} [{:+.2} to {:+.2}]",
            reading.score, reading.interval.low, reading.interval.high
        ),
        ReadingStatus::NotEnoughEvidence => "not enough evidence".to_owned(),
        ReadingStatus::Off => "off (sensitive)".to_owned(),
        ReadingStatus::NeedsObject => "needs an object: idiolect dimension object".to_owned(),
    };
    let set = reading.override_score.map_or(String::new(), |s| {
        format!("  you set {s:+.2}; inferred was")
    });
    format!("  {:<26} {pole} ({whose}){set}  {measured}", dimension.name)
}

pub fn dimensions(dimensions: &[Dimension]) -> String {
    let lines = dimensions.iter().map(|d| {
        format!(
            "{:>2}  {:<34} +1 {}  |  −1 {}",
            d.index, d.id, d.high, d.low
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn hypotheses(hypotheses: &[Hypothesis], inferred: bool) -> String {
    if hypotheses.is_empty() && !inferred {
        return "  Nothing was inferred yet: `idiolect infer` counts your texts against others' and tests what stands out.".to_owned();
    }
    if hypotheses.is_empty() {
        return "  Nothing stands out: not enough text, or nothing unusual.".to_owned();
    }
    let lines = hypotheses.iter().map(|h| {
        let status = match h.status {
            HypothesisStatus::Proposed => "proposed",
            HypothesisStatus::Supported => "holds on texts it had not seen",
            HypothesisStatus::Refuted => "refuted",
            HypothesisStatus::Accepted => "you said: that's me",
            HypothesisStatus::Rejected => "you said: not me",
            HypothesisStatus::Edited => "in your own words",
        };
        let category = match h.category {
            Category::Communication => "communication",
            Category::Personality => "personality",
            Category::Style => "style",
        };
        let quote = h.evidence.first().map_or(String::new(), |e| {
            format!("\n      “{}”", first_line(&e.text, 90))
        });
        format!("  {}  {} [{category}; {status}]{quote}", h.id, h.statement)
    });
    lines.collect::<Vec<_>>().join("\n")
}
