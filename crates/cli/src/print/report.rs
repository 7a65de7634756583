//! How a trained voice did on texts that it did not learn from.

use idiolect_core::{
    Interval,
    adapter::{Adapter, AdapterReport},
};

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
