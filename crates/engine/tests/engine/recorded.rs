//! Tiny random models of every architecture, and what transformers computes with them: `tests/fixtures/architectures.json`, made
//! by `tests/references/tiny.py`. Weights are not stored: they come from a generator that the script has too.

use idiolect_llm::{
    Token,
    testing::{GgufFile, Meta, TensorSpec, TinyGguf},
};
use serde_json::Value;

use crate::fixture;

/// A recorded model.
pub struct Recorded {
    pub name: String,
    /// Its file, still bendable.
    pub file: GgufFile,
    pub texts: Vec<Text>,
    /// Metadata values without which it must compute something else.
    pub bent: Vec<String>,
}

/// A text and its log-probabilities in float32.
pub struct Text {
    pub tokens: Vec<Token>,
    /// Of every token after the first.
    pub log_probs: Vec<f64>,
    /// Of every token of the vocabulary after the last one.
    pub last_log_probs: Vec<f64>,
}

/// All of them.
pub fn recorded() -> Vec<Recorded> {
    let cases: Value = serde_json::from_str(&fixture("architectures.json")).expect("it parses");
    list(&cases).iter().map(Recorded::new).collect()
}

/// The one of that name.
pub fn recorded_as(name: &str) -> Recorded {
    let mut all = recorded().into_iter();
    all.find(|r| r.name == name).expect("it is recorded")
}

impl Recorded {
    fn new(case: &Value) -> Self {
        let mut file = TinyGguf::default().file();
        file.metadata
            .retain(|(key, _)| key.starts_with("tokenizer."));
        for (key, value) in case["metadata"].as_object().expect("metadata") {
            let value = match value {
                Value::String(text) => Meta::Text(text.clone()),
                Value::Number(n) if n.is_u64() => Meta::U32(n.as_u64().expect("whole") as u32),
                other => Meta::F32(other.as_f64().expect("a number") as f32),
            };
            file.metadata.push((key.clone(), value));
        }
        file.tensors.clear();
        for row in list(&case["tensors"]) {
            let name = row[0].as_str().expect("a name");
            let shape: Vec<usize> = numbers(&row[1]).iter().map(|&n| n as usize).collect();
            file.tensors
                .push(tensor(name, &shape, &generated(name, &shape)));
        }
        for (name, values) in case["written"]
            .as_object()
            .expect("tensors with their values")
        {
            let values: Vec<f32> = numbers(values).iter().map(|&v| v as f32).collect();
            file.tensors.push(tensor(name, &[values.len()], &values));
        }
        let texts = list(&case["texts"]).iter().map(|text| Text {
            tokens: numbers(&text["tokens"])
                .iter()
                .map(|&t| t as Token)
                .collect(),
            log_probs: numbers(&text["log_probs"]),
            last_log_probs: numbers(&text["last_log_probs"]),
        });
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            name: text(&case["name"]),
            file,
            texts: texts.collect(),
            bent: list(&case["bent"]).iter().map(text).collect(),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn numbers(value: &Value) -> Vec<f64> {
    let number = |x: &Value| x.as_f64().expect("a number");
    list(value).iter().map(number).collect()
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        // GGUF writes the contiguous dimension first.
        dimensions: shape.iter().rev().map(|&n| n as u64).collect(),
        ggml_type: 0,
        data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        claimed_offset: None,
    }
}

/// As `generated` in tests/references/tiny.py: matrices by their inputs, norms about 1, biases about 0.
fn generated(name: &str, shape: &[usize]) -> Vec<f32> {
    let units = integers(name).map(|n| (n >> 40) as f32 / (1 << 23) as f32 - 1.0);
    let value = |unit: f32| match shape {
        [_, inputs] => unit * (6.0 / *inputs as f32).sqrt(),
        _ if name.ends_with(".bias") => unit,
        _ => 1.0 + unit * 0.25,
    };
    units.take(shape.iter().product()).map(value).collect()
}

/// SplitMix64 (Steele et al. 2014) over a counter that starts at the name's FNV-1a hash.
fn integers(name: &str) -> impl Iterator<Item = u64> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (1_u64..).map(move |i| {
        let z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
