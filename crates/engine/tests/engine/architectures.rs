//! Every architecture against transformers in float32, at every instruction level, in training and in inference.

use candle_core::{Device, Tensor};
use idiolect_engine::{ARCHITECTURES, Decoder, Gguf, Level, LoadedModel, Precision, Sequence};
use idiolect_llm::{Cancel, ScoreRequest, TextModel, testing::GgufFile};

use crate::{
    devices, load,
    recorded::{Recorded, Text, recorded, recorded_as},
};

/// Largest difference of a log-probability from transformers' float32, nats: sums in another order, over values of size ten.
const TOLERANCE: f64 = 1e-4;
/// On a matrix unit numbers keep 16 bits (docs/decisions/0008).
const MATRIX_UNIT_TOLERANCE: f64 = 1e-3;
/// What leaving a part of the model out changes at least.
const DIFFERENCE: f64 = 1e-2;

fn tolerance(level: Level) -> f64 {
    match level {
        Level::Amx => MATRIX_UNIT_TOLERANCE,
        _ => TOLERANCE,
    }
}

pub(crate) fn decoder(file: &GgufFile, level: Level) -> Decoder {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, file.to_bytes()).unwrap();
    Decoder::from_gguf(&Gguf::open(&path).unwrap(), &Device::Cpu, level).unwrap()
}

/// Log-probabilities of every row.
fn log_probs(decoder: &Decoder, hidden: &Tensor) -> Vec<Vec<f64>> {
    let logits = decoder.logits(hidden, Precision::F32).unwrap();
    let rows: Vec<Vec<f32>> = logits.to_vec2().unwrap();
    rows.iter()
        .map(|row| {
            let largest = row.iter().fold(f64::MIN, |m, &x| m.max(f64::from(x)));
            let sum: f64 = row.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
            row.iter()
                .map(|&x| f64::from(x) - largest - sum.ln())
                .collect()
        })
        .collect()
}

/// Largest difference from the recorded figures.
fn difference(text: &Text, rows: &[Vec<f64>]) -> f64 {
    assert_eq!(rows.len(), text.tokens.len(), "a row for each token");
    let following = text.tokens[1..].iter().zip(rows);
    let ours = following.map(|(&token, row)| row[token as usize]);
    let pairs = ours.zip(&text.log_probs);
    let last = rows[rows.len() - 1].iter().copied();
    pairs
        .chain(last.zip(&text.last_log_probs))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

/// Through the cache, in pieces of unequal length.
fn inferred(decoder: &Decoder, text: &Text) -> Vec<Vec<f64>> {
    let mut cache = decoder.cache(text.tokens.len()).unwrap();
    let (first, rest) = text.tokens.split_at(5);
    let (second, third) = rest.split_at(1);
    let mut rows = Vec::new();
    for tokens in [first, second, third] {
        let sequence = Sequence::new(&mut cache, tokens);
        let hidden = decoder
            .forward(&mut [sequence], Precision::F32, None)
            .unwrap();
        rows.extend(log_probs(decoder, &hidden));
    }
    rows
}

fn trained(decoder: &Decoder, text: &Text) -> Vec<Vec<f64>> {
    let n = text.tokens.len();
    let hidden = decoder.forward_train(&text.tokens, &[n], None).unwrap();
    log_probs(decoder, &hidden)
}

#[test]
fn every_architecture_is_recorded() {
    let recorded = recorded();
    for architecture in ARCHITECTURES {
        let prefix = format!("{}.", architecture.name);
        assert!(
            recorded.iter().any(|r| r
                .file
                .metadata
                .iter()
                .any(|(key, _)| key.starts_with(&prefix))),
            "{} has no figures to be compared with",
            architecture.name
        );
    }
}

#[test]
fn log_probs_are_those_of_transformers_at_every_level() {
    for Recorded {
        name, file, texts, ..
    } in recorded()
    {
        for level in Level::available() {
            let decoder = decoder(&file, level);
            for text in &texts {
                for (way, rows) in [
                    ("inference", inferred(&decoder, text)),
                    ("training", trained(&decoder, text)),
                ] {
                    let difference = difference(text, &rows);
                    println!("{name}, {}, {way}: {difference:.6}", level.name());
                    assert!(
                        difference <= tolerance(level),
                        "{name}, {}, {way}: differs by {difference}",
                        level.name()
                    );
                }
            }
        }
    }
}

/// The figures would not notice a part that changes nothing.
#[test]
fn what_the_metadata_say_matters() {
    for Recorded {
        name,
        mut file,
        texts,
        bent,
    } in recorded()
    {
        let whole = file.metadata.clone();
        for key in bent {
            file.metadata = whole.clone();
            if key.ends_with("freq_base") {
                file.set(&key, idiolect_llm::testing::Meta::F32(500.0));
            } else if key.ends_with("scaling.type") {
                file.set(&key, idiolect_llm::testing::Meta::Text("none".into()));
            } else {
                file.remove(&key);
            }
            let decoder = decoder(&file, Level::Reference);
            let last = texts.last().expect("a text");
            let difference = difference(last, &trained(&decoder, last));
            assert!(
                difference > DIFFERENCE,
                "{name} without {key} differs by {difference}"
            );
        }
    }
}

#[test]
fn scores_are_those_of_transformers_on_every_device() {
    for Recorded {
        name, file, texts, ..
    } in recorded()
    {
        for wish in devices() {
            let model: LoadedModel = load(&file.to_bytes(), wish).unwrap();
            for text in &texts {
                // Under a shared beginning, as dimensions are read.
                let (prefix, rest) = text.tokens.split_at(9);
                let request = ScoreRequest {
                    prefix: prefix.to_vec(),
                    continuations: vec![rest.to_vec()],
                    ..ScoreRequest::default()
                };
                let scores = model.score(&[request], &Cancel::new()).unwrap();
                let expected = &text.log_probs[8..];
                for continuation in &scores[0] {
                    for (ours, theirs) in continuation.iter().zip(expected) {
                        let difference = (f64::from(*ours) - theirs).abs();
                        assert!(
                            difference <= MATRIX_UNIT_TOLERANCE,
                            "{name} on {wish:?} differs by {difference}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn what_an_architecture_needs_is_asked_for() {
    for (name, without) in [
        ("qwen2", "blk.1.attn_k.bias"),
        ("qwen3", "blk.0.attn_q_norm.weight"),
        ("gemma3", "blk.3.post_ffw_norm.weight"),
        ("phi3", "blk.0.attn_qkv.weight"),
        ("phi3-longrope", "rope_factors_long.weight"),
    ] {
        let mut file = recorded_as(name).file;
        file.tensors.retain(|t| t.name != without);
        let error = load(&file.to_bytes(), idiolect_llm::DeviceWish::Cpu).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(without) || text.contains("do not belong together"),
            "{name} without {without}: {text}"
        );
    }
}
