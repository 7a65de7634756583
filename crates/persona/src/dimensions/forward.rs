//! The forward source: how likely short phrases of both poles are after the text.

use std::sync::OnceLock;

use idiolect_core::space::{DIMENSIONS, space};
use idiolect_llm::{ScoreRequest, TextModel, Token};

use super::{Scope, prompt_version};
use crate::{Instruments, Result, anchors::anchors, cache};

/// Texts that say nothing: what a phrase gets after them is the model's habit, not the writer's.
const CONTENT_FREE: [&str; 4] = ["N/A", "", "I am a person.", "..."];

/// The first of the 43 interests.
const FIRST_INTEREST: usize = 47;

/// The phrases asked of a dimension: all of a pole's, but one of an interest's, where it names the thing and the others
/// would double the cost of a reading.
pub fn phrases(dimension: usize) -> [&'static [String]; 2] {
    let anchors = &anchors()[dimension];
    [&anchors.high_phrases, &anchors.low_phrases].map(|list| {
        if dimension >= FIRST_INTEREST {
            &list[..list.len().min(1)]
        } else {
            list.as_slice()
        }
    })
}

fn template() -> (&'static str, &'static str) {
    static PARTS: OnceLock<(&str, &str)> = OnceLock::new();
    *PARTS.get_or_init(|| {
        include_str!("../../../../assets/prompts/forward.txt")
            .trim_end()
            .split_once("{text}")
            .expect("the shipped frame has a place for the text (tested)")
    })
}

/// Tokens of `text` in its frame, BOS first where the model wants one.
pub fn framed(model: &dyn TextModel, text: &str) -> Result<Vec<Token>> {
    let (before, after) = template();
    let mut tokens: Vec<Token> = model.bos().into_iter().collect();
    tokens.extend(model.encode(&format!("{before}{text}{after}"))?);
    Ok(tokens)
}

/// Phrases of one pole as continuations.
pub fn continuations(model: &dyn TextModel, phrases: &[String]) -> Result<Vec<Vec<Token>>> {
    let encode = |p: &String| Ok(model.encode(&format!(" {p}"))?);
    phrases.iter().map(encode).collect()
}

/// Log of the mean probability of some phrases, from each phrase's summed log-probability.
pub fn log_mean_exp(values: &[f64]) -> f64 {
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return highest;
    }
    let sum: f64 = values.iter().map(|v| (v - highest).exp()).sum();
    highest + (sum / values.len() as f64).ln()
}

/// Sums token log-probabilities a phrase and joins `per_pole` phrases a pole.
pub fn poles(rows: &[Vec<f32>], per_pole: &[usize]) -> Vec<f64> {
    let mut at = 0;
    let mut out = Vec::with_capacity(per_pole.len());
    for &n in per_pole {
        let sums: Vec<f64> = rows[at..at + n]
            .iter()
            .map(|row| row.iter().map(|&lp| f64::from(lp)).sum())
            .collect();
        out.push(log_mean_exp(&sums));
        at += n;
    }
    out
}

/// High and low pole of every covered dimension after `text`: 180 numbers, `NaN` where not asked.
fn pole_log_probs(with: &Instruments<'_>, text: &str, scope: Scope) -> Result<Vec<f32>> {
    let version = format!("{}-{}", prompt_version(), scope.tag());
    let key = cache::key("forward", &version, with.model.info(), text);
    if let Some(known) = with
        .cache
        .get(&key)
        .and_then(|b| cache::from_bytes(&b, 2 * DIMENSIONS))
    {
        return Ok(known);
    }
    let covered: Vec<usize> = space()
        .iter()
        .filter(|d| scope.covers(d))
        .map(|d| usize::from(d.index))
        .collect();
    let mut request = ScoreRequest {
        prefix: framed(with.model, text)?,
        ..ScoreRequest::default()
    };
    let mut per_pole = Vec::new();
    for &d in &covered {
        for phrases in phrases(d) {
            request
                .continuations
                .extend(continuations(with.model, phrases)?);
            per_pole.push(phrases.len());
        }
    }
    let rows = with.model.score(&[request], with.cancel)?;
    let joined = poles(&rows[0], &per_pole);
    let mut out = vec![f32::NAN; 2 * DIMENSIONS];
    for (i, &d) in covered.iter().enumerate() {
        out[2 * d] = joined[2 * i] as f32;
        out[2 * d + 1] = joined[2 * i + 1] as f32;
    }
    with.cache.put(&key, &cache::to_bytes(&out));
    Ok(out)
}

/// High minus low after content-free texts, averaged over them; `NaN` where not asked.
pub fn content_free(with: &Instruments<'_>, scope: Scope) -> Result<Vec<f64>> {
    let mut sum = vec![0.0; DIMENSIONS];
    for text in CONTENT_FREE {
        let lp = pole_log_probs(with, text, scope)?;
        for (d, s) in sum.iter_mut().enumerate() {
            *s += f64::from(lp[2 * d] - lp[2 * d + 1]) / CONTENT_FREE.len() as f64;
        }
    }
    Ok(sum)
}

/// Raw forward scores of a text already cut to its window.
pub fn contrasts(with: &Instruments<'_>, text: &str, scope: Scope) -> Result<Vec<Option<f64>>> {
    let habit = content_free(with, scope)?;
    let lp = pole_log_probs(with, text, scope)?;
    let mut out: Vec<Option<f64>> = (0..DIMENSIONS)
        .map(|d| f64::from(lp[2 * d] - lp[2 * d + 1]) - habit[d])
        .map(|v| v.is_finite().then_some(v))
        .collect();
    // A cheerful text "likes" everything. What sets one interest apart is what counts.
    let interests: Vec<f64> = out[FIRST_INTEREST..].iter().flatten().copied().collect();
    if !interests.is_empty() {
        let mean = interests.iter().sum::<f64>() / interests.len() as f64;
        for v in out[FIRST_INTEREST..].iter_mut().flatten() {
            *v -= mean;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_mean_exp_is_the_log_of_the_mean_probability() {
        let got = log_mean_exp(&[0.25f64.ln(), 0.75f64.ln()]);
        assert!(
            (got - 0.5f64.ln()).abs() < 1e-12,
            "mean of .25 and .75, got {got}"
        );
        assert!(
            (log_mean_exp(&[-1000.0, -1000.0]) + 1000.0).abs() < 1e-9,
            "far from zero nothing underflows"
        );
        assert_eq!(log_mean_exp(&[]), f64::NEG_INFINITY);
    }

    #[test]
    fn rows_are_joined_a_pole_at_a_time() {
        let rows = vec![vec![-1.0, -1.0], vec![-2.0], vec![-3.0]];
        let got = poles(&rows, &[2, 1]);
        assert!((got[0] + 2.0).abs() < 1e-6, "two phrases of −2 each");
        assert!((got[1] + 3.0).abs() < 1e-6, "one phrase of −3");
    }
}
