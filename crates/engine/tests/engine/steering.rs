//! Hidden states read and moved: directions after a layer, and texts steered away from a second stream.

use std::sync::Arc;

use idiolect_core::draft::Sampling;
use idiolect_engine::{Gguf, LoadedModel, PrefixRequest};
use idiolect_llm::{
    Against, Cancel, GenerateRequest, LlmError, ScoreRequest, Steering, TextModel, Token,
    testing::{TinyGguf, tiny_gguf},
};

use crate::tiny;

/// A log-probability worked out here in f64, against the engine's f32.
const TOLERANCE: f64 = 1e-4;
const HIDDEN: usize = 64;

fn tokens(n: usize, seed: u32) -> Vec<Token> {
    (0..n as u32)
        .map(|i| 3 + (i * 41 + seed * 53 + i * i * 3) % 263)
        .collect()
}

fn direction(layer: usize, scale: f32) -> Steering {
    let vector: Arc<[f32]> = (0..HIDDEN)
        .map(|i| ((i * 29) % 17) as f32 / 17.0 - 0.5)
        .collect();
    Steering {
        layer,
        vector,
        scale,
    }
}

fn states(model: &LoadedModel, text: &[Token], steer: &[Steering]) -> Vec<Vec<f32>> {
    let text = PrefixRequest {
        tokens: text,
        steer,
        ..PrefixRequest::default()
    };
    model
        .hidden_states_of(&text, &[0, 1], &Cancel::new())
        .unwrap()
}

fn scores(model: &LoadedModel, prefix: &[Token], text: &[Token], steer: &[Steering]) -> Vec<f32> {
    let request = ScoreRequest {
        prefix: prefix.to_vec(),
        continuations: vec![text.to_vec()],
        steer: steer.to_vec(),
        ..ScoreRequest::default()
    };
    model
        .score(&[request], &Cancel::new())
        .unwrap()
        .remove(0)
        .remove(0)
}

#[test]
fn adding_nothing_changes_nothing_to_the_bit() {
    let model = tiny(&TinyGguf::default());
    let (prefix, text) = (tokens(9, 1), tokens(30, 2));
    let plain = scores(&model, &prefix, &text, &[]);
    let zero = Steering {
        vector: vec![0.0; HIDDEN].into(),
        ..direction(0, 1.0)
    };
    for nothing in [direction(1, 0.0), zero] {
        let steer = [nothing];
        assert_eq!(scores(&model, &prefix, &text, &steer), plain);
        assert_eq!(states(&model, &text, &steer), states(&model, &text, &[]));
    }
}

#[test]
fn a_direction_is_added_where_it_says_and_nowhere_before() {
    let model = tiny(&TinyGguf::default());
    let text = tokens(600, 3)[..200].to_vec();
    let plain = states(&model, &text, &[]);
    assert_eq!(plain[0].len(), 200 * HIDDEN, "[tokens, hidden]");
    let through_the_trait = model.hidden_states(&text, &[1, 0], &Cancel::new()).unwrap();
    assert_eq!(through_the_trait, [plain[1].clone(), plain[0].clone()]);
    let steer = direction(1, 1.5);
    let moved = states(&model, &text, std::slice::from_ref(&steer));
    assert_eq!(moved[0], plain[0], "the layer before is as it was");
    let by_hand: Vec<f32> = plain[1]
        .iter()
        .enumerate()
        .map(|(i, x)| x + 1.5 * steer.vector[i % HIDDEN])
        .collect();
    assert_eq!(moved[1], by_hand, "at every position");
    let early = states(&model, &text, &[direction(0, 1.5)]);
    assert_ne!(early[1], plain[1], "later layers see it");
}

/// The last layer's states moved by hand, then norm and head by hand.
#[test]
fn scores_under_a_direction_are_those_of_the_moved_states() {
    let config = TinyGguf::default();
    let model = tiny(&config);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, tiny_gguf(&config)).unwrap();
    let gguf = Gguf::open(&path).unwrap();
    let norm = gguf.vector("output_norm.weight", HIDDEN).unwrap();
    let rows = model.info().vocabulary;
    let head = gguf
        .matrix("token_embd.weight", rows, HIDDEN)
        .unwrap()
        .dequantize();
    let text = tokens(25, 4);
    let steer = direction(1, -2.0);
    let expected: Vec<f64> = states(&model, &text, &[])[1]
        .chunks(HIDDEN)
        .zip(&text[1..])
        .map(|(state, &next)| {
            let moved: Vec<f64> = state
                .iter()
                .zip(steer.vector.iter())
                .map(|(x, v)| f64::from(*x) - 2.0 * f64::from(*v))
                .collect();
            let mean = moved.iter().map(|x| x * x).sum::<f64>() / HIDDEN as f64;
            let logits: Vec<f64> = head
                .chunks(HIDDEN)
                .map(|row| {
                    let terms = row.iter().zip(&moved).zip(&norm);
                    terms
                        .map(|((w, x), n)| f64::from(*w) * x / (mean + 1e-5).sqrt() * f64::from(*n))
                        .sum()
                })
                .collect();
            let sum: f64 = logits.iter().map(|l| l.exp()).sum();
            logits[next as usize] - sum.ln()
        })
        .collect();
    let ours = scores(&model, &[], &text, std::slice::from_ref(&steer));
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(expected) {
        assert!(
            (f64::from(*ours) - expected).abs() < TOLERANCE,
            "{ours} and {expected}"
        );
    }
}

#[test]
fn directions_that_do_not_fit_are_errors() {
    let model = tiny(&TinyGguf::default());
    let short = Steering {
        vector: vec![1.0; 3].into(),
        ..direction(0, 1.0)
    };
    let broken = Steering {
        vector: vec![f32::NAN; HIDDEN].into(),
        ..direction(0, 1.0)
    };
    for steer in [
        direction(2, 1.0),
        short,
        broken,
        direction(0, f32::INFINITY),
    ] {
        let request = ScoreRequest {
            prefix: tokens(3, 1),
            continuations: vec![tokens(3, 2)],
            steer: vec![steer],
            ..ScoreRequest::default()
        };
        let refused = model.score(&[request], &Cancel::new());
        assert!(matches!(refused, Err(LlmError::Failed(_))), "{refused:?}");
    }
    assert!(
        model
            .hidden_states(&tokens(3, 1), &[2], &Cancel::new())
            .is_err(),
        "no such layer"
    );
}

fn greedy(prompt: Vec<Token>, against: Option<Against>) -> GenerateRequest {
    GenerateRequest {
        prompt,
        sampling: Sampling {
            temperature: 0.0,
            repetition_penalty: 1.0,
            max_tokens: 30,
            ..Sampling::default()
        },
        against,
        ..GenerateRequest::default()
    }
}

#[test]
fn two_streams_are_mixed_token_by_token() {
    let model = tiny(&TinyGguf::default());
    let (one, other) = (tokens(40, 1), tokens(33, 2));
    let write = |request: GenerateRequest| {
        model
            .generate(&[request], &Cancel::new(), &mut |_, _| {})
            .unwrap()
            .remove(0)
    };
    let away = |strength: f32| {
        write(greedy(
            one.clone(),
            Some(Against {
                prompt: other.clone(),
                strength,
                ..Against::default()
            }),
        ))
    };
    let plain = write(greedy(one.clone(), None));
    let still = away(0.0);
    assert_eq!(still.tokens, plain.tokens, "no strength");
    assert_eq!(still.log_probs, plain.log_probs, "to the bit");
    let over = away(-1.0);
    assert_eq!(
        over.tokens,
        write(greedy(other.clone(), None)).tokens,
        "all the way over to the second stream"
    );
    let steered = away(2.0);
    assert_ne!(steered.tokens, plain.tokens, "away from it");
    // Every token is the best of the mixture that scoring both streams gives, up to the rounding of drawn tokens.
    let after = |prompt: &[Token], written: &[Token], n: usize| -> Vec<f32> {
        let request = ScoreRequest {
            prefix: [prompt, &written[..n]].concat(),
            continuations: (0..model.info().vocabulary as Token)
                .map(|t| vec![t])
                .collect(),
            ..ScoreRequest::default()
        };
        let rows = model.score(&[request], &Cancel::new()).unwrap();
        rows[0].iter().map(|row| row[0]).collect()
    };
    for n in [0, 1, 7] {
        let (own, second) = (
            after(&one, &steered.tokens, n),
            after(&other, &steered.tokens, n),
        );
        let mixed = |t: usize| own[t] + 2.0 * (own[t] - second[t]);
        let best = (0..own.len()).map(mixed).fold(f32::NEG_INFINITY, f32::max);
        let chosen = mixed(steered.tokens[n] as usize);
        assert!(best - chosen < 0.6, "token {n}: {chosen} of {best}");
    }
}
