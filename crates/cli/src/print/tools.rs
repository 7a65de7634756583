//! Models, speed, evaluations, the demo.

use idiolect_core::eval::EvalReport;
use idiolect_studio::api::{
    BenchReport, BenchTrainReport, DemoReport, DoctorReport, FindingVerdict, ModelEntry,
    ModelState, Settings, Status,
};
use serde_json::Value;

use super::size;

/// The settings' names, as `settings set` takes them.
pub fn setting_names(settings: &Settings) -> Vec<String> {
    named(settings).into_iter().map(|(name, _)| name).collect()
}

pub fn settings(settings: &Settings) -> String {
    let lines = named(settings).into_iter().map(|(name, value)| {
        let words = match value {
            Value::Bool(on) => if on { "on" } else { "off" }.to_owned(),
            Value::String(text) if text.is_empty() => "(the default)".to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        format!("{name:<14} {words}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every setting there is, so that a new one needs no word here.
fn named(settings: &Settings) -> Vec<(String, Value)> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(all)) => all
            .into_iter()
            .map(|(name, value)| (name.replace('_', "-"), value))
            .collect(),
        _ => Vec::new(),
    }
}

pub fn status(s: &Status) -> String {
    let mut text = format!(
        "Idiolect {}\nhome    {}\nmodels  {}\nmodel   {}{}\ndevice  {} — {}",
        s.version,
        s.home,
        s.models,
        s.model,
        if s.model_ready {
            ""
        } else {
            " (not fetched: idiolect models pull)"
        },
        s.device,
        s.device_why
    );
    if s.shared_home {
        text.push_str("\nAnother window or command has this home open.");
    }
    for cut in &s.cut_short {
        text.push_str(&format!("\nCut short: {}. {}", cut.what, cut.lost));
    }
    if !s.cut_short.is_empty() {
        text.push_str("\n(`idiolect status --seen` notes that you have read this.)");
    }
    text
}

pub fn model(m: &ModelEntry) -> String {
    let state = match m.state {
        ModelState::Available => "not fetched",
        ModelState::Partial => "fetched in part",
        ModelState::Ready => "ready",
        ModelState::Imported => "imported",
        ModelState::Broken => "cannot be used",
    };
    let size = m.bytes.map_or("size known when fetched".to_owned(), size);
    let in_use = if m.in_use { " · in use" } else { "" };
    let note = if m.note.is_empty() {
        String::new()
    } else {
        format!("\n    {}", m.note)
    };
    format!(
        "{:<24} {state}{in_use} · {size} · {} parameters · {}\n    {}{note}",
        m.id, m.parameters, m.licence, m.about
    )
}

/// One model, with where its licence can be read before it is fetched.
pub fn model_in_full(m: &ModelEntry) -> String {
    let mut text = model(m);
    if !m.licence_url.is_empty() {
        text.push_str(&format!("\n    licence: {}, {}", m.licence, m.licence_url));
        if m.licence_gate {
            text.push_str("\n    to fetch it, accept the licence: --accept-licence");
        }
    }
    for (what, words) in [("memory", &m.memory), ("device", &m.device)] {
        if !words.is_empty() {
            text.push_str(&format!("\n    {what}: {words}"));
        }
    }
    text
}

pub fn doctor(r: &DoctorReport) -> String {
    let mut text = r.verdict.clone();
    for finding in &r.findings {
        let verdict = match finding.verdict {
            FindingVerdict::Ok => "ok",
            FindingVerdict::Warning => "warning",
            FindingVerdict::Broken => "broken",
        };
        text.push_str(&format!(
            "\n  {verdict:<8} {}: {}",
            finding.name, finding.found
        ));
        for more in [&finding.means, &finding.next] {
            if !more.is_empty() {
                text.push_str(&format!("\n           {more}"));
            }
        }
    }
    text
}

pub fn bench(b: &BenchReport) -> String {
    let mut text = format!(
        "{} on {}, {} threads\n  {}\n",
        b.model, b.device, b.threads, b.device_why
    );
    for p in &b.prefill {
        text.push_str(&format!(
            "  prompt of {} tokens: {:.0} tokens/s\n",
            p.tokens, p.tokens_per_second
        ));
    }
    text.push_str(&format!(
        "  writing {} tokens after it: {:.1} tokens/s\n  loading: {:.2} s · peak memory {}",
        b.decode.tokens,
        b.decode.tokens_per_second,
        b.load_seconds,
        size(b.peak_bytes)
    ));
    for d in &b.decodes {
        text.push_str(&format!(
            "\n  writing {} tokens after {}: {:.1} tokens/s",
            d.tokens, d.after, d.tokens_per_second
        ));
    }
    if let Some(d) = &b.drafts {
        text.push_str(&format!(
            "\n  {} drafts after {} tokens: {:.1} tokens/s together, {:.2} times one alone ({:.1})",
            d.drafts,
            d.after,
            d.tokens_per_second,
            d.tokens_per_second / d.alone_tokens_per_second,
            d.alone_tokens_per_second
        ));
    }
    if let Some(c) = &b.continuations {
        text.push_str(&format!(
            "\n  {} continuations of {} tokens: {:.2} s in one call, {:.0} s in a call each ({} measured): {:.0} times",
            c.continuations,
            c.after,
            c.packed_seconds,
            c.separate_seconds,
            c.separate_measured,
            c.separate_seconds / c.packed_seconds
        ));
    }
    if let Some(s) = &b.sentences {
        text.push_str(&format!(
            "\n  {} sentences under two prefixes each: {:.0} tokens/s, {:.2} times a prompt of 512 with all logits ({:.0})",
            s.sentences,
            s.tokens_per_second,
            s.tokens_per_second / s.prompt_tokens_per_second,
            s.prompt_tokens_per_second
        ));
    }
    text
}

pub fn bench_train(b: &BenchTrainReport) -> String {
    format!(
        "{} on {}, rank {}, {} × {} tokens: {:.0} tokens/s · {:.2} s a step · peak memory {}",
        b.objective,
        b.targets.join(","),
        b.rank,
        b.batch,
        b.length,
        b.tokens_per_second,
        b.seconds_per_step,
        size(b.peak_bytes)
    )
}

pub fn eval(report: &EvalReport) -> String {
    let mut text = format!(
        "{} · {} · n = {} · coefficients: {}",
        report.eval, report.model, report.n, report.fit
    );
    for r in &report.results {
        text.push_str(&format!(
            "\n  {:<36} {:.3} [{:.3}, {:.3}] {}",
            r.name, r.value, r.interval.low, r.interval.high, r.unit
        ));
        for (name, value) in &r.controls {
            text.push_str(&format!("\n      control {name}: {value:.3}"));
        }
    }
    for note in &report.notes {
        text.push_str(&format!("\n  {note}"));
    }
    text
}

pub fn demo(d: &DemoReport) -> String {
    let mut text = format!(
        "The whole journey took {:.0} s.\n\nHeld-out bits per token (lower is better)",
        d.seconds
    );
    text.push_str(&format!(
        "\n  {:<12} {:>8} {:>10} {:>12} {:>16}",
        "author", "base", "excerpts", "own voice", "other's voice"
    ));
    for a in &d.authors {
        let b = a.bits_per_token;
        text.push_str(&format!(
            "\n  {:<12} {:>8.3} {:>10.3} {:>12.3} {:>16.3}",
            a.name, b.base, b.excerpts, b.own, b.other
        ));
    }
    text.push_str(&format!(
        "\n\nBlind re-test, trained voice against base: {}\n(a simulated voter, the counted rule “{}”)",
        d.retest.tally.words, d.retest.rule
    ));
    text
}
