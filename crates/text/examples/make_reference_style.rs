//! Makes `assets/reference_style.json` from corpora of real writers: numbers only, no text, no names.
//!
//! `cargo run --release -p idiolect-text --example make_reference_style -- --data ../shared > assets/reference_style.json`

mod common;

use common::{Row, read_corpus};
use idiolect_text::reference::{Measured, ReferenceStyle, Register};
use idiolect_text::{chunk, clean};
use idiolect_text::{measure, segment::word_count};

/// Texts shorter than this are joined with the writer's next ones.
const BUNDLE_WORDS: usize = 150;
/// Texts of twice this length are cut into pieces of about this length.
const LONG_WORDS: usize = 400;
const TEXTS_A_WRITER: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = common::data_dir()?;
    let mut texts: Vec<(String, Register, String)> = Vec::new();
    for (corpus, register_of) in [
        ("cmcc21", cmcc_register as fn(&Row) -> Option<Register>),
        ("emails7", |_| Some(Register::Email)),
        ("techblogs", |_| Some(Register::Blog)),
        ("ccat50", |_| Some(Register::News)),
    ] {
        let rows = read_corpus(&data, corpus)?;
        let mut writers: Vec<(String, Register)> = Vec::new();
        for row in &rows {
            if let Some(register) = register_of(row) {
                let key = (row.author.clone(), register);
                if !writers.contains(&key) {
                    writers.push(key);
                }
            }
        }
        for (author, register) in writers {
            let own = rows
                .iter()
                .filter(|r| r.author == author && register_of(r) == Some(register));
            let cleaned: Vec<String> = own.map(|r| clean::own_words(&r.text).text).collect();
            let bundled = cut_long(bundle(&cleaned));
            // Evenly over what there is, so that no one time or topic rules.
            let step = bundled.len().div_ceil(TEXTS_A_WRITER).max(1);
            texts.extend(
                bundled
                    .into_iter()
                    .step_by(step)
                    .map(|t| (format!("{corpus} {author}"), register, t)),
            );
        }
    }
    let measured: Vec<Measured<'_>> = texts
        .iter()
        .map(|(writer, register, text)| Measured {
            writer,
            register: *register,
            vector: measure(text),
        })
        .collect();
    let mut style = ReferenceStyle::from_measured(&measured);
    for group in &mut style.groups {
        eprintln!(
            "{:?}: {} writers, {} texts",
            group.register, group.writers, group.texts
        );
        for f in &mut group.features {
            for v in [
                &mut f.mean,
                &mut f.sd,
                &mut f.low,
                &mut f.high,
                &mut f.centre,
                &mut f.within,
                &mut f.between,
            ] {
                *v = rounded(*v);
            }
            f.quantiles.iter_mut().for_each(|v| *v = rounded(*v));
        }
    }
    println!("{}", serde_json::to_string(&style)?);
    Ok(())
}

fn cmcc_register(row: &Row) -> Option<Register> {
    match row.genre.as_deref() {
        Some("essays") => Some(Register::Essay),
        Some("emails") => Some(Register::Email),
        Some("blogs") => Some(Register::Blog),
        Some("chat") => Some(Register::Chat),
        _ => None, // spoken, written down by others
    }
}

/// Cuts long texts at sentence ends, so that all are of about one size.
fn cut_long(texts: Vec<String>) -> Vec<String> {
    let mut out = Vec::new();
    for text in texts {
        if word_count(&text) < 2 * LONG_WORDS {
            out.push(text);
        } else {
            out.extend(
                chunk::chunks(&text, LONG_WORDS)
                    .into_iter()
                    .map(|c| c.quote(&text).to_owned()),
            );
        }
    }
    out
}

/// Joins short texts until each has enough words; a short rest joins the last.
fn bundle(texts: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut open = String::new();
    for text in texts {
        if !open.is_empty() {
            open.push_str("\n\n");
        }
        open.push_str(text.trim());
        if word_count(&open) >= BUNDLE_WORDS {
            out.push(std::mem::take(&mut open));
        }
    }
    if !open.is_empty()
        && let Some(last) = out.last_mut()
    {
        last.push_str("\n\n");
        last.push_str(&open);
    }
    out
}

/// Four significant digits: more would be noise.
fn rounded(v: f64) -> f64 {
    if v == 0.0 {
        return 0.0;
    }
    let scale = 10f64.powf(3.0 - v.abs().log10().floor());
    (v * scale).round() / scale
}
