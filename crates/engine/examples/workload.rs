//! What the studio asks of a model, timed: `cargo run --release -p idiolect-engine --example workload -- MODEL [SENTENCES] [ROUNDS] [sentences|continuations|writing|phrases|drafts]`.
//!
//! Sentences under cached prefixes against one prompt with all logits; continuations of a long prefix against as many
//! calls; four texts written together against one. All scores are f32. Rounds are interleaved, and medians are printed.

use std::{path::PathBuf, time::Instant};

use idiolect_core::draft::Sampling;
use idiolect_engine::{Engine, LoadedModel, Prefix, PrefixRequest, SCORE_PRECISION};
use idiolect_llm::{
    Against, Cancel, Constraint, DeviceWish, GenerateRequest, ScoreRequest, TextModel, Token,
};

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
    let only = arguments.next();
    let wants = |what: &str| only.as_deref().is_none_or(|o| o == what);
    for _ in 0..rounds.max(1) {
        if wants("sentences") {
            packed.push(sentences_under_prefixes(&model, &sentences)?);
            whole.push(all_logits(&model, &prompt)?);
        }
        if wants("continuations") {
            let (shared, alone) = continuations(&model)?;
            together.push(shared);
            separate.push(alone);
        }
        if wants("writing") {
            one.push(written(&model, 1)?);
            four.push(written(&model, 4)?);
        }
    }
    if wants("phrases") {
        phrases(&model)?;
    }
    if wants("drafts") {
        drafts(&model, rounds.max(1))?;
    }
    if let (Some(packed), Some(whole)) = (median(packed), median(whole)) {
        println!(
            "{} sentences under {PREFIXES} prefixes: {packed:.0} tokens/s; 512 tokens with all logits: {whole:.0}; ratio {:.2}",
            sentences.len(),
            packed / whole
        );
    }
    if let (Some(together), Some(separate)) = (median(together), median(separate)) {
        println!(
            "{CONTINUATIONS} continuations of {LONG} tokens: {together:.2} s; {CONTINUATIONS} calls: {separate:.1} s (from {CALLS}); {:.0} times faster",
            separate / together
        );
    }
    if let (Some(one), Some(four)) = (median(one), median(four)) {
        println!(
            "writing after 512 tokens: {one:.1} tokens/s; four texts together {four:.1}; ratio {:.2}",
            four / one
        );
    }
    Ok(())
}

fn tokens(n: usize, seed: usize) -> Vec<Token> {
    (0..n)
        .map(|i| (100 + (i * 7919 + seed * 104_729 + i * seed) % 40_000) as Token)
        .collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
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

/// The shipped phrases of all poles after one sample: they begin alike, and what they share is run once.
fn phrases(model: &LoadedModel) -> Result<(), Box<dyn std::error::Error>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/anchors.json");
    let anchors: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let mut continuations = Vec::new();
    for dimension in anchors["dimensions"].as_object().into_iter().flatten() {
        for pole in ["high_phrases", "low_phrases"] {
            for phrase in dimension.1[pole].as_array().into_iter().flatten() {
                let phrase = phrase.as_str().unwrap_or_default();
                continuations.push(model.encode(&format!(" {phrase}"))?);
            }
        }
    }
    let runs = || {
        continuations
            .iter()
            .map(|c| &c[..c.len().saturating_sub(1)])
    };
    let flat: usize = runs().map(<[Token]>::len).sum();
    let tree: std::collections::HashSet<&[Token]> = runs()
        .flat_map(|run| (1..=run.len()).map(|n| &run[..n]))
        .collect();
    let prefix = PrefixRequest {
        tokens: &tokens(230, 3),
        ..PrefixRequest::default()
    };
    let started = Instant::now();
    let prefix = &model.prefixes(&[prefix], SCORE_PRECISION, &Cancel::new())?[0];
    let before = started.elapsed().as_secs_f64();
    let rows: Vec<(&Prefix, &[Token])> = continuations
        .iter()
        .map(|c| (prefix, c.as_slice()))
        .collect();
    let started = Instant::now();
    model.score_under(&rows, &Cancel::new())?;
    let together = started.elapsed().as_secs_f64();
    // Each alone behind the kept prefix: nothing is shared but the prefix.
    let started = Instant::now();
    for row in &rows[..20] {
        model.score_under(std::slice::from_ref(row), &Cancel::new())?;
    }
    let apart = started.elapsed().as_secs_f64() / 20.0 * rows.len() as f64;
    println!(
        "{} phrases after a sample: {flat} rows, {} as a tree; the sample {before:.2} s, the phrases {together:.2} s, one by one {apart:.1} s",
        rows.len(),
        tree.len()
    );
    Ok(())
}

/// Tokens a second of drafts as the studio has them written, drawing included: one, four, one moved away from a second
/// stream, one held to a schema.
fn drafts(model: &LoadedModel, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let request = |seed: usize| GenerateRequest {
        prompt: tokens(128, 200 + seed),
        sampling: Sampling {
            seed: seed as u64,
            max_tokens: 96,
            ..Sampling::default()
        },
        ..GenerateRequest::default()
    };
    let against = GenerateRequest {
        against: Some(Against {
            prompt: tokens(128, 300),
            strength: 0.5,
            plausible: 0.1,
            ..Against::default()
        }),
        ..request(1)
    };
    let schema =
        r#"{"type":"array","items":{"type":"string","minLength":1,"maxLength":40},"minItems":30}"#;
    let held = GenerateRequest {
        constraint: Some(Constraint::JsonSchema(schema.into())),
        ..request(1)
    };
    let nucleus = GenerateRequest {
        sampling: Sampling {
            top_p: 0.95,
            ..request(1).sampling
        },
        ..request(1)
    };
    let kinds = [
        ("one draft", vec![request(1)]),
        ("four drafts", (1..=4).map(request).collect()),
        ("one with top-p", vec![nucleus]),
        ("one against a second stream", vec![against]),
        ("one held to a schema", vec![held]),
    ];
    let mut speeds = vec![Vec::new(); kinds.len()];
    for _ in 0..rounds {
        for ((_, requests), speeds) in kinds.iter().zip(&mut speeds) {
            let written = model.generate(requests, &Cancel::new(), &mut |_, _| {})?;
            let tokens: usize = written.iter().map(|g| g.tokens.len()).sum();
            let seconds = written.iter().map(|g| g.seconds).fold(0.0, f64::max);
            speeds.push(tokens as f64 / seconds);
        }
    }
    for ((what, _), speeds) in kinds.iter().zip(speeds) {
        println!("{what}: {:.1} tokens/s", median(speeds).unwrap_or_default());
    }
    Ok(())
}

/// Tokens a second of `n` texts written together.
fn written(model: &LoadedModel, n: usize) -> idiolect_llm::Result<f64> {
    const STEPS: usize = 48;
    let steps: Vec<Vec<Token>> = (0..STEPS).map(|i| tokens(n, 100 + i)).collect();
    let timing = model.time(&tokens(512, 100), &steps, &Cancel::new())?;
    Ok((n * STEPS) as f64 / timing.step_seconds)
}
