//! Prompt, decode and training speed of a model file, best of several runs:
//! `cargo run --release -p idiolect-engine --example bench -- MODEL [RUNS] [prompt|decode|train|train-F32|train-Bf16]`.
//!
//! On a busy machine the processor's milliseconds a token (all threads together) say more than the wall clock.

use std::{path::PathBuf, time::Instant};

use candle_core::Device;
use idiolect_engine::{
    Engine, GENERATE_PRECISION, Gradients, LoadOptions, LoadedModel, LoraConfig, LoraWeights,
    PROMPT_PRECISION, Precision, Sequence, Target, Texts, Trace, TrainOptions, Wanted,
};
use idiolect_llm::{DeviceWish, Token};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("name a model file")?);
    let runs: usize = arguments.next().map_or(Ok(3), |n| n.parse())?;
    let started = Instant::now();
    let model = Engine::load_with(
        &path,
        "bench",
        &LoadOptions {
            device: DeviceWish::Cpu,
            threads: None,
        },
    )?;
    println!(
        "loaded in {:.2} s on {}",
        started.elapsed().as_secs_f64(),
        idiolect_llm::TextModel::info(&model).device.label
    );
    let only = arguments.next();
    let wants = |what: &str| only.as_deref().is_none_or(|o| o == what);
    if wants("prompt") {
        for n in [128, 512] {
            report(&format!("prompt {n}"), n, runs, || prompt(&model, n));
        }
    }
    if wants("decode") {
        report("decode 64 after 512", 64, runs, || decode(&model, 512, 64));
    }
    for precision in [Precision::F32, Precision::Bf16] {
        if wants("train") || wants(&format!("train-{precision:?}")) {
            for recompute in [true, false] {
                let options = TrainOptions {
                    precision,
                    recompute,
                    dropout: None,
                };
                let mut trace = Trace::new();
                let again = if recompute { ", computed again" } else { "" };
                let what = format!("train 4 x 256, all linears, r 8, {precision:?}{again}");
                report(&what, 1024, runs, || train(&model, &options, &mut trace));
                println!("  most memory so far: {}", most_memory());
            }
        }
    }
    Ok(())
}

/// As Linux says it; nothing elsewhere.
fn most_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("unknown").trim().to_owned()
}

/// Seconds on the clock and on the processor since it was made.
struct Watch(Instant, f64);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), processor_seconds())
    }

    fn read(&self) -> (f64, f64) {
        (self.0.elapsed().as_secs_f64(), processor_seconds() - self.1)
    }
}

/// Seconds of processor time of all threads so far, as Linux counts them; 0 elsewhere.
fn processor_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .sum::<f64>()
        / 1e9
}

fn report(what: &str, tokens: usize, runs: usize, mut run: impl FnMut() -> (f64, f64)) {
    let (mut wall, mut processor) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..runs.max(1) {
        let (w, p) = run();
        (wall, processor) = (wall.min(w), processor.min(p));
    }
    let n = tokens as f64;
    println!(
        "{what}: {:.1} tokens/s, {:.2} ms of processor a token",
        n / wall,
        processor / n * 1e3
    );
}

fn tokens(n: usize) -> Vec<Token> {
    (0..n as Token).map(|i| 100 + (i * 7919) % 40_000).collect()
}

fn prompt(model: &LoadedModel, n: usize) -> (f64, f64) {
    let tokens = tokens(n);
    model.with_team(|| {
        let watch = Watch::start();
        let mut cache = model.decoder().cache(n).expect("memory");
        step(model, &mut cache, &tokens, PROMPT_PRECISION);
        watch.read()
    })
}

fn decode(model: &LoadedModel, before: usize, n: usize) -> (f64, f64) {
    let tokens = tokens(before + n);
    model.with_team(|| {
        let mut cache = model.decoder().cache(before + n).expect("memory");
        step(model, &mut cache, &tokens[..before], PROMPT_PRECISION);
        let watch = Watch::start();
        for token in &tokens[before..] {
            step(
                model,
                &mut cache,
                std::slice::from_ref(token),
                GENERATE_PRECISION,
            );
        }
        watch.read()
    })
}

fn step(
    model: &LoadedModel,
    cache: &mut idiolect_engine::KvCache,
    tokens: &[Token],
    precision: Precision,
) {
    let sequence = Sequence {
        wanted: Wanted::Last,
        ..Sequence::new(cache, tokens)
    };
    let hidden = model
        .decoder()
        .forward(&mut [sequence], precision, None)
        .expect("it runs");
    let logits = model.decoder().logits(&hidden, precision).expect("it runs");
    assert_eq!(logits.dims()[0], 1, "one row of logits");
}

fn train(model: &LoadedModel, options: &TrainOptions, trace: &mut Trace) -> (f64, f64) {
    let lora = LoraConfig {
        rank: 8,
        alpha: 16.0,
        targets: Target::ALL.to_vec(),
    };
    let lora = LoraWeights::new(&lora, model.config(), &Device::Cpu, 1).expect("memory");
    let tokens = tokens(1024);
    let targets: Vec<_> = (0..1024)
        .map(|i| (i % 256 != 255).then(|| tokens[i + 1]))
        .collect();
    let texts = Texts {
        tokens: &tokens,
        lengths: &[256; 4],
        targets: &targets,
    };
    let (decoder, mut gradients) = (model.decoder(), Gradients::zeros(&lora));
    model.with_team(|| {
        let watch = Watch::start();
        let nll = decoder.train_forward(&texts, &lora, options, trace);
        let weights = vec![1.0 / 1020.0; nll.expect("it runs").len()];
        let forward = watch.read();
        decoder
            .train_backward(trace, &weights, &lora, &mut gradients)
            .expect("it runs");
        let whole = watch.read();
        println!(
            "  forward {:.2} s ({:.2} s of processor), backward {:.2} s ({:.2} s)",
            forward.0,
            forward.1,
            whole.0 - forward.0,
            whole.1 - forward.1
        );
        whole
    })
}
