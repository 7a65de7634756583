//! How a trained voice did on texts that it did not learn from.

use idiolect_core::{
    Interval,
    adapter::{Adapter, AdapterReport},
};
use idiolect_studio::api::ExportReport;

/// Its figures in words; a hint where it was not measured yet.
pub fn measured(voice: &Adapter) -> String {
    let Some(r) = &voice.report else {
        return format!(
            "“{}” was not measured yet: idiolect adapter measure {}",
            voice.name, voice.id
        );
    };
    let mut lines = vec![format!(
        "On {} texts that it did not learn from ({} tokens), bits per token (lower is better):",
        r.texts, r.tokens
    )];
    lines.push(row("plain model", Some(r.bits_base)));
    lines.push(row("with excerpts in the prompt", r.bits_excerpts));
    lines.push(row(&format!("with “{}”", voice.name), Some(r.bits_own)));
    lines.push(row("with another author's voice", r.bits_wrong_author));
    if !r.wrong_author.is_empty() {
        lines.push(format!("  (that is {})", r.wrong_author));
    }
    if let Some(i) = r.own_minus_base {
        lines.push(format!(
            "The voice against the plain model: {:+.3} bits per token, 95 % {}",
            r.bits_own - r.bits_base,
            bits(i)
        ));
    }
    lines.extend(drafts(r));
    lines.extend(r.notes.iter().map(|note| format!("Note: {note}")));
    lines.join("\n")
}

/// What was exported, and how close it is to the voice in the studio.
pub fn exported(e: &ExportReport) -> String {
    let storage = match e.storage.as_str() {
        "" => String::new(),
        storage => format!("; tensors that the voice changes are stored as {storage}"),
    };
    format!(
        "Written: {} ({}). Read again, it differs by {:.1e} nats a token on average, over {} tokens{storage}. Its licence and a card lie beside it.",
        e.written,
        super::size(e.bytes),
        e.difference,
        e.tokens
    )
}

/// Two voices side by side, line by line.
pub fn compared(a: &Adapter, b: &Adapter) -> String {
    let figure =
        |x: Option<f64>| x.map_or_else(|| "not measured".to_owned(), |x| format!("{x:.3}"));
    let of = |v: &Adapter, what: fn(&AdapterReport) -> Option<f64>| {
        figure(v.report.as_ref().and_then(what))
    };
    let learned = |v: &Adapter| {
        v.imported.clone().unwrap_or_else(|| {
            format!(
                "{} samples, {} votes, {} drafts",
                v.samples.len(),
                v.votes.len(),
                v.drafts.len()
            )
        })
    };
    let rows: [(&str, [String; 2]); 9] = [
        ("", [a.name.clone(), b.name.clone()]),
        ("model", [a.model.clone(), b.model.clone()]),
        (
            "objective",
            [a, b].map(|v| {
                v.objective
                    .map_or_else(|| "not known".into(), |o| format!("{o:?}").to_lowercase())
            }),
        ),
        (
            "rank, alpha",
            [a, b].map(|v| format!("{}, {}", v.rank, v.alpha)),
        ),
        ("learned from", [a, b].map(learned)),
        (
            "bits per token, plain",
            [a, b].map(|v| of(v, |r| Some(r.bits_base))),
        ),
        (
            "bits per token, with it",
            [a, b].map(|v| of(v, |r| Some(r.bits_own))),
        ),
        (
            "bits per token, another's",
            [a, b].map(|v| of(v, |r| r.bits_wrong_author)),
        ),
        (
            "closeness in habits, 0-1",
            [a, b].map(|v| of(v, |r| r.style_own)),
        ),
    ];
    let width = rows
        .iter()
        .map(|(_, [left, _])| left.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(what, [left, right])| format!("{what:26} {left:width$}  {right}"))
        .collect();
    let shared = a.samples.iter().filter(|id| b.samples.contains(id)).count();
    lines.push(format!("samples that both learned from: {shared}"));
    lines.push("Each was measured on texts that it did not learn from, which may differ; only a blind test of one against the other says which you like: idiolect retest --against".into());
    lines.join("\n")
}

fn row(what: &str, bits: Option<f64>) -> String {
    bits.map_or_else(
        || format!("  {what}: not measured"),
        |bits| format!("  {what}: {bits:.3}"),
    )
}

fn bits(i: Interval) -> String {
    format!("[{:+.3}, {:+.3}]", i.low, i.high)
}

fn drafts(r: &AdapterReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(base), Some(own)) = (r.style_base, r.style_own) {
        lines.push(format!(
            "Closeness of fresh drafts to these texts in counted habits (0-1): {own:.2} with it, {base:.2} without"
        ));
    }
    if let (Some(rate), Some(i)) = (r.win_rate, r.win_rate_interval) {
        lines.push(format!(
            "A judge that counts habits takes its draft for yours on {:.0} % of {} fresh briefs [{:.0}-{:.0}]; half is chance",
            rate * 100.0,
            r.win_rate_n,
            i.low * 100.0,
            i.high * 100.0
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_named() {
        let report = AdapterReport {
            texts: 2,
            tokens: 300,
            bits_base: 5.0,
            bits_own: 4.5,
            win_rate: Some(0.75),
            win_rate_interval: Some(Interval::new(0.4, 0.93)),
            win_rate_n: 8,
            notes: vec!["Not enough evidence yet.".into()],
            ..AdapterReport::default()
        };
        let all = [row("x", None), drafts(&report).join("\n")].join("\n");
        assert_eq!(
            all,
            "  x: not measured\nA judge that counts habits takes its draft for yours on 75 % of 8 fresh briefs [40-93]; half is chance"
        );
        assert_eq!(bits(Interval::new(-0.5, 0.25)), "[-0.500, +0.250]");
    }
}
