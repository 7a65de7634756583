//! What the studio asks of a model, timed: `cargo run --release -p idiolect-engine --example workload -- MODEL [SENTENCES] [ROUNDS]`.
//!
//! Sentences under cached prefixes against one prompt with all logits; continuations of a long prefix against as many
//! calls; four texts written together against one. All scores are f32. Rounds are interleaved, and medians are printed.

use std::{path::PathBuf, time::Instant};

use idiolect_engine::{Engine, LoadedModel, Prefix, PrefixRequest, SCORE_PRECISION};
use idiolect_llm::{Cancel, DeviceWish, ScoreRequest, TextModel, Token};

/// Prefixes that the sentences are scored under, and their tokens: as long as a description of a pole.
const PREFIXES: usize = 2;
const PREFIX_TOKENS: usize = 35;
/// The long prefix with its continuations.
const LONG: usize = 1500;
const CONTINUATIONS: usize = 90;
/// Separate calls that are timed; their mean stands for all.
const CALLS: usize = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("name a model file")?);
    let sentences: usize = arguments.next().map_or(Ok(2000), |n| n.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(3), |n| n.parse())?;
    let model = Engine::load(&path, "bench", DeviceWish::Cpu)?;
    println!("{}", model.info().device.label);

    let sentences: Vec<Vec<Token>> = (0..sentences)
        .map(|i| tokens(12 + i * 7 % 17, i + 1))
        .collect();
    let prompt = tokens(513, 0);
    let (mut packed, mut whole) = (Vec::new(), Vec::new());
    let (mut together, mut separate) = (Vec::new(), Vec::new());
    let (mut one, mut four) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        packed.push(sentences_under_prefixes(&model, &sentences)?);
        whole.push(all_logits(&model, &prompt)?);
        let (shared, alone) = continuations(&model)?;
        together.push(shared);
        separate.push(alone);
        one.push(written(&model, 1)?);
        four.push(written(&model, 4)?);
    }
    let (packed, whole) = (median(packed), median(whole));
    println!(
        "{} sentences under {PREFIXES} prefixes: {packed:.0} tokens/s; 512 tokens with all logits: {whole:.0}; ratio {:.2}",
        sentences.len(),
        packed / whole
    );
    let (together, separate) = (median(together), median(separate));
    println!(
        "{CONTINUATIONS} continuations of {LONG} tokens: {together:.2} s; {CONTINUATIONS} calls: {separate:.1} s (from {CALLS}); {:.0} times faster",
        separate / together
    );
    let (one, four) = (median(one), median(four));
    println!(
        "writing after 512 tokens: {one:.1} tokens/s; four texts together {four:.1}; ratio {:.2}",
        four / one
    );
    Ok(())
}

fn tokens(n: usize, seed: usize) -> Vec<Token> {
    (0..n)
        .map(|i| (100 + (i * 7919 + seed * 104_729 + i * seed) % 40_000) as Token)
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Tokens a second of every sentence under every prefix, the prefixes' own time left out.
fn sentences_under_prefixes(
    model: &LoadedModel,
    sentences: &[Vec<Token>],
) -> idiolect_llm::Result<f64> {
    let beginnings: Vec<Vec<Token>> = (0..PREFIXES)
        .map(|p| tokens(PREFIX_TOKENS, 5000 + p))
        .collect();
    let requests: Vec<PrefixRequest<'_>> = beginnings
        .iter()
        .map(|tokens| PrefixRequest {
            tokens,
            ..PrefixRequest::default()
        })
        .collect();
    let prefixes = model.prefixes(&requests, SCORE_PRECISION, &Cancel::new())?;
    let rows: Vec<(&Prefix, &[Token])> = prefixes
        .iter()
        .flat_map(|prefix| sentences.iter().map(move |s| (prefix, s.as_slice())))
        .collect();
    let started = Instant::now();
    let scores = model.score_under(&rows, &Cancel::new())?;
    let scored: usize = scores.iter().map(Vec::len).sum();
    Ok(scored as f64 / started.elapsed().as_secs_f64())
}

/// Tokens a second of one text, every position scored.
fn all_logits(model: &LoadedModel, prompt: &[Token]) -> idiolect_llm::Result<f64> {
    let request = ScoreRequest {
        continuations: vec![prompt.to_vec()],
        ..ScoreRequest::default()
    };
    let started = Instant::now();
    let scored = model.score(&[request], &Cancel::new())?[0][0].len();
    Ok(scored as f64 / started.elapsed().as_secs_f64())
}

/// Seconds of all continuations in one request, and of as many requests.
fn continuations(model: &LoadedModel) -> idiolect_llm::Result<(f64, f64)> {
    let request = ScoreRequest {
        prefix: tokens(LONG, 9000),
        continuations: (0..CONTINUATIONS)
            .map(|i| tokens(3 + i % 5, 9001 + i))
            .collect(),
        ..ScoreRequest::default()
    };
    let started = Instant::now();
    model.score(std::slice::from_ref(&request), &Cancel::new())?;
    let together = started.elapsed().as_secs_f64();
    let started = Instant::now();
    for continuation in &request.continuations[..CALLS] {
        let alone = ScoreRequest {
            continuations: vec![continuation.clone()],
            ..request.clone()
        };
        model.score(&[alone], &Cancel::new())?;
    }
    let each = started.elapsed().as_secs_f64() / CALLS as f64;
    Ok((together, each * CONTINUATIONS as f64))
}

/// Tokens a second of `n` texts written together.
fn written(model: &LoadedModel, n: usize) -> idiolect_llm::Result<f64> {
    const STEPS: usize = 48;
    let steps: Vec<Vec<Token>> = (0..STEPS).map(|i| tokens(n, 100 + i)).collect();
    let timing = model.time(&tokens(512, 100), &steps, &Cancel::new())?;
    Ok((n * STEPS) as f64 / timing.step_seconds)
}
