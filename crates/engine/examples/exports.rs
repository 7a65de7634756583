//! A model with an adapter of random weights in every form that other programs read, and what this engine computes with it:
//! `cargo run -p idiolect-engine --example exports -- MODEL FOLDER qk|all`. What `tests/bench/exports.py` compares.

use std::{fs, path::PathBuf};

use candle_core::{Device, Tensor};
use idiolect_engine::{Engine, Export, LoadedModel, LoraConfig, LoraWeights, Target};
use idiolect_llm::{AdapterSource, Cancel, DeviceWish, ScoreRequest, TextModel, Token};

/// Tokens compared.
const TOKENS: usize = 512;
/// Largest value of B, for q and k alone and for all linears: with A as training begins with it, log-probabilities move by
/// some tenths of a nat, so that rows in a wrong order would show.
const LARGEST: [f32; 2] = [0.2, 0.02];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("name {what}"));
    let base = PathBuf::from(next("a model file")?);
    let folder = PathBuf::from(next("a folder to write to")?);
    let (targets, largest) = match next("qk or all")?.as_str() {
        "qk" => (vec![Target::Query, Target::Key], LARGEST[0]),
        "all" => (Target::ALL.to_vec(), LARGEST[1]),
        other => return Err(format!("there are no targets {other}, but qk and all").into()),
    };
    let model = Engine::load(&base, "exported", DeviceWish::Cpu)?;
    let own = folder.join("own");
    random(&model, targets, largest)?.save(&own, model.config(), "exported")?;
    let text = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/perplexity_text.txt"
    );
    let mut tokens = model.encode(&fs::read_to_string(text)?)?;
    tokens.truncate(TOKENS);
    let adapters = [AdapterSource {
        dir: own,
        scale: 1.0,
    }];
    let texts = [tokens.clone()];
    let what = Export {
        adapters: &adapters,
        texts: &texts,
    };
    let cancel = Cancel::new();
    let peft = model.export_peft(&what, "exported", &folder.join("peft"), &cancel)?;
    let gguf = model.export_gguf(&what, "exported", &folder.join("lora.gguf"), &cancel)?;
    let merged = model.export_merged(&what, &base, &folder.join("merged.gguf"), &cancel)?;
    let said = serde_json::json!({
        "tokens": tokens,
        "base": scores(&model, &tokens, &[])?,
        "adapted": scores(&model, &tokens, &adapters)?,
        "checked": { "peft": peft.difference, "gguf": gguf.difference, "merged": merged.difference },
        "storage": merged.storage,
    });
    fs::write(folder.join("own.json"), said.to_string())?;
    println!("{peft:?}\n{gguf:?}\n{merged:?}");
    Ok(())
}

/// Fresh weights whose B is not zero.
fn random(
    model: &LoadedModel,
    targets: Vec<Target>,
    largest: f32,
) -> Result<LoraWeights, Box<dyn std::error::Error>> {
    let config = LoraConfig {
        rank: 8,
        alpha: 16.0,
        targets,
    };
    let lora = LoraWeights::new(&config, model.config(), &Device::Cpu, 1)?;
    let mut state = 1_u64;
    for (_, factors) in lora.factors() {
        let values: Vec<f32> = (0..factors.b.elem_count())
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * largest
            })
            .collect();
        let values = Tensor::from_vec(values, factors.b.shape(), &Device::Cpu)?;
        factors.b.set(&values)?;
    }
    Ok(lora)
}

fn scores(
    model: &LoadedModel,
    tokens: &[Token],
    adapters: &[AdapterSource],
) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let request = ScoreRequest {
        continuations: vec![tokens.to_vec()],
        adapters: adapters.to_vec(),
        ..ScoreRequest::default()
    };
    Ok(model.score(&[request], &Cancel::new())?.concat().concat())
}
