//! From what both sides printed to medians, ratios and a section of docs/benchmarks.md.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    More,
    Less,
}

/// A figure that both sides print.
pub struct Metric {
    /// As the table says it.
    pub name: &'static str,
    pub better: Better,
    digits: usize,
    read: fn(&Value) -> Option<f64>,
}

/// In the table's order.
pub const METRICS: &[Metric] = &[
    of("prompt of 128, tokens/s", 0, |v| {
        entry(v, "prefill", "tokens", 128)
    }),
    of("prompt of 512, tokens/s", 0, |v| {
        entry(v, "prefill", "tokens", 512)
    }),
    of("writing from an empty context, tokens/s", 1, |v| {
        entry(v, "decodes", "after", 0)
    }),
    of("writing after 512, tokens/s", 1, |v| rate(&v["decode"])),
    of("writing after 2,000, tokens/s", 1, |v| {
        entry(v, "decodes", "after", 2_000)
    }),
    of("four drafts after 512, tokens/s of all", 1, |v| {
        rate(&v["drafts"])
    }),
    of("… times one alone", 2, |v| {
        over(&v["drafts"], "tokens_per_second", "alone_tokens_per_second")
    }),
    of("sentences under two prefixes, tokens/s", 0, |v| {
        rate(&v["sentences"])
    }),
    of("512 with all logits, tokens/s", 0, |v| {
        v["sentences"]["prompt_tokens_per_second"].as_f64()
    }),
    of("… sentences over that", 2, |v| {
        over(
            &v["sentences"],
            "tokens_per_second",
            "prompt_tokens_per_second",
        )
    }),
    less("90 continuations of 1,500 in one call, s", 2, |v| {
        v["continuations"]["packed_seconds"].as_f64()
    }),
    of("… times faster than 90 calls", 1, |v| {
        over(&v["continuations"], "separate_seconds", "packed_seconds")
    }),
    less("loading, s", 2, |v| v["load_seconds"].as_f64()),
    less("peak memory, MB", 0, |v| {
        Some(v["peak_bytes"].as_f64()? / 1e6)
    }),
];

const fn of(name: &'static str, digits: usize, read: fn(&Value) -> Option<f64>) -> Metric {
    Metric {
        name,
        better: Better::More,
        digits,
        read,
    }
}

const fn less(name: &'static str, digits: usize, read: fn(&Value) -> Option<f64>) -> Metric {
    Metric {
        name,
        better: Better::Less,
        digits,
        read,
    }
}

fn rate(value: &Value) -> Option<f64> {
    value["tokens_per_second"].as_f64()
}

fn over(value: &Value, above: &str, below: &str) -> Option<f64> {
    Some(value[above].as_f64()? / value[below].as_f64()?)
}

/// The rate of the entry of a list whose `key` is `wanted`.
fn entry(value: &Value, list: &str, key: &str, wanted: u64) -> Option<f64> {
    let mut entries = value[list].as_array()?.iter();
    rate(entries.find(|entry| entry[key] == wanted)?)
}

/// What was measured, a number a round, for every metric.
#[derive(Debug, Default)]
pub struct Side {
    rounds: Vec<Vec<f64>>,
}

impl Side {
    pub fn new() -> Self {
        Self {
            rounds: vec![Vec::new(); METRICS.len()],
        }
    }

    /// Takes in a round's printed figures; several outputs may share the work of one round, the first that has a figure gives it.
    pub fn add(&mut self, outputs: &[Value]) {
        for (metric, numbers) in METRICS.iter().zip(&mut self.rounds) {
            numbers.extend(outputs.iter().find_map(metric.read));
        }
    }
}

/// Middle of the numbers, or the mean of the two in the middle; `None` of none.
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

/// Ours over theirs, round by round, against the one of `peers` whose median is better.
pub fn ratios(ours: &[f64], peers: &[&[f64]], better: Better) -> Vec<f64> {
    let measured = peers
        .iter()
        .filter_map(|numbers| Some((median(numbers)?, *numbers)));
    let best = measured.reduce(|a, b| {
        let first = match better {
            Better::More => a.0 >= b.0,
            Better::Less => a.0 <= b.0,
        };
        if first { a } else { b }
    });
    let theirs = best.map_or(&[][..], |(_, numbers)| numbers);
    ours.iter().zip(theirs).map(|(a, b)| a / b).collect()
}

/// A median with its smallest and largest number, or a dash.
fn cell(numbers: &[f64], digits: usize) -> String {
    let Some(middle) = median(numbers) else {
        return "–".to_owned();
    };
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if numbers.len() == 1 {
        return format!("{middle:.digits$}");
    }
    format!("{middle:.digits$} [{low:.digits$}-{high:.digits$}]")
}

/// A Markdown table; metrics that nobody measured are left out.
pub fn table(ours: &Side, peers: [&Side; 2]) -> String {
    let mut text = String::from(
        "| what | Idiolect | llama.cpp | llama.cpp, flash attention off | ratio to the better |\n|---|---|---|---|---|\n",
    );
    for (i, metric) in METRICS.iter().enumerate() {
        let [auto, off] = peers.map(|peer| peer.rounds[i].as_slice());
        let own = ours.rounds[i].as_slice();
        if own.is_empty() && auto.is_empty() && off.is_empty() {
            continue;
        }
        let ratio = cell(&ratios(own, &[auto, off], metric.better), 2);
        let note = match metric.better {
            Better::Less if ratio != "–" => " (less is better)",
            _ => "",
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {ratio}{note} |\n",
            metric.name,
            cell(own, metric.digits),
            cell(auto, metric.digits),
            cell(off, metric.digits),
        ));
    }
    text
}

/// Where sections stand in the document.
pub const BEGIN: &str =
    "<!-- measured by `cargo xtask bench`: what stands between these lines is replaced -->";
pub const END: &str = "<!-- end of what `cargo xtask bench` measured -->";

/// The document with `section` under its heading between [`BEGIN`] and [`END`]: in the place of the section of that heading, else behind
/// the others. All else stays as it is.
pub fn replaced(document: &str, heading: &str, section: &str) -> Result<String> {
    let begin = document
        .find(BEGIN)
        .with_context(|| format!("there is no line `{BEGIN}`"))?
        + BEGIN.len();
    let end = document
        .find(END)
        .with_context(|| format!("there is no line `{END}`"))?;
    if end < begin {
        bail!("`{END}` stands before `{BEGIN}`");
    }
    let mut sections: Vec<(&str, String)> = document[begin..end]
        .split("\n### ")
        .skip(1)
        .map(|part| {
            let (heading, body) = part.split_once('\n').unwrap_or((part, ""));
            (heading, body.trim().to_owned())
        })
        .collect();
    let section = section.trim().to_owned();
    match sections.iter_mut().find(|(known, _)| *known == heading) {
        Some((_, body)) => *body = section,
        None => sections.push((heading, section)),
    }
    let mut text = document[..begin].to_owned();
    text.push('\n');
    for (heading, body) in sections {
        text.push_str(&format!("\n### {heading}\n\n{body}\n"));
    }
    text.push('\n');
    text.push_str(&document[end..]);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 50.0]), Some(3.0));
        assert_eq!(
            median(&[4.0, 1.0, 2.0, 50.0]),
            Some(3.0),
            "of two, their mean"
        );
    }

    #[test]
    fn ratios_are_of_the_same_round_and_the_better_peer() {
        let (auto, off) = (&[10.0, 20.0, 10.0][..], &[11.0, 5.0, 5.0][..]);
        let ours = [20.0, 20.0, 30.0];
        assert_eq!(ratios(&ours, &[auto, off], Better::More), [2.0, 1.0, 3.0]);
        assert_eq!(
            ratios(&ours, &[off, auto], Better::Less)[1],
            4.0,
            "less is better"
        );
        assert!(
            ratios(&ours, &[&[], &[]], Better::More).is_empty(),
            "no peer"
        );
    }

    #[test]
    fn figures_are_found_in_what_is_printed() {
        let said = json!({
            "prefill": [{"tokens": 128, "tokens_per_second": 3.0}, {"tokens": 512, "tokens_per_second": 4.0}],
            "decode": {"tokens": 64, "tokens_per_second": 5.0},
            "decodes": [], "drafts": null, "peak_bytes": 7_000_000,
        });
        let mut side = Side::new();
        side.add(&[
            said,
            json!({"drafts": {"tokens_per_second": 9.0, "alone_tokens_per_second": 4.5}}),
        ]);
        let text = table(&side, [&Side::new(), &Side::new()]);
        assert!(
            text.contains("| prompt of 512, tokens/s | 4 | – | – | – |"),
            "{text}"
        );
        assert!(text.contains("| … times one alone | 2.00 |"), "{text}");
        assert!(text.contains("| peak memory, MB | 7 |"), "{text}");
        assert!(
            !text.contains("2,000"),
            "what nobody measured is left out: {text}"
        );
    }

    #[test]
    fn a_section_replaces_its_own_and_leaves_the_rest() {
        let document = format!("# Title\n\n{BEGIN}\n\n{END}\n\nAfter.\n");
        let one = replaced(&document, "model, amx", "| a |\n").expect("one");
        let two = replaced(&one, "model, avx2", "| b |").expect("two");
        let again = replaced(&two, "model, amx", "| c |").expect("again");
        assert_eq!(
            again,
            format!(
                "# Title\n\n{BEGIN}\n\n### model, amx\n\n| c |\n\n### model, avx2\n\n| b |\n\n{END}\n\nAfter.\n"
            )
        );
        assert!(
            replaced("# Title\n", "model", "x").is_err(),
            "no place for it"
        );
    }
}
