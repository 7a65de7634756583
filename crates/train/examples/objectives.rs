//! A few steps of every objective on a model file, with a checkpoint after each:
//! `cargo run --release -p idiolect-train --example objectives -- MODEL TEXT [sft|dpo|orpo|kto]`.

use std::{path::PathBuf, time::Duration};

use idiolect_engine::{Engine, LoraConfig, Precision, Target};
use idiolect_llm::{DeviceWish, TextModel};
use idiolect_train::{
    AdamWConfig, Checkpoints, Control, Decay, Example, Lessons, Objective, Packing, Resume, Row,
    Schedule, Settings, Task, Update, run,
};

const LENGTH: usize = 256;
const PROMPT: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("a model file")?);
    let text = std::fs::read_to_string(arguments.next().ok_or("a text file")?)?;
    let wanted = arguments.next();
    let model = Engine::load(&path, "model", DeviceWish::Cpu)?;
    let tokens = model.encode(&text)?;
    let rows: Vec<Row> = tokens
        .chunks_exact(LENGTH)
        .map(|chunk| Row {
            tokens: chunk.to_vec(),
            prompt: PROMPT,
        })
        .collect();
    // Each passage as it goes on, over how another one does.
    let pair = |(i, chosen): (usize, &Row)| {
        let mut rejected = rows[(i + 1) % rows.len()].clone();
        rejected.tokens[..PROMPT].copy_from_slice(&chosen.tokens[..PROMPT]);
        Example::Pair {
            chosen: chosen.clone(),
            rejected,
        }
    };
    let pairs: Vec<Example> = rows.iter().enumerate().map(pair).collect();
    let thumbs: Vec<Example> = rows
        .iter()
        .enumerate()
        .map(|(i, row)| Example::Thumb {
            row: row.clone(),
            good: i % 2 == 0,
        })
        .collect();
    let dpo = Objective::Dpo {
        beta: 0.1,
        smoothing: 0.0,
        length_normalised: false,
    };
    let kto = Objective::Kto {
        beta: 0.1,
        good_weight: 1.0,
        bad_weight: 1.0,
    };
    let cases = [
        (Objective::Sft, Example::texts(&rows), 4),
        (dpo, pairs.clone(), 2),
        (Objective::Orpo { beta: 0.1 }, pairs, 2),
        (kto, thumbs, 4),
    ];
    let folder = std::env::temp_dir().join(format!("idiolect-objectives-{}", std::process::id()));
    for (objective, examples, batch) in cases {
        if wanted.as_deref().is_some_and(|w| w != objective.name()) {
            continue;
        }
        let settings = settings(objective, batch);
        let task = Task {
            model: &model,
            lessons: Lessons::Fixed(&examples),
            held_out: &[],
            settings: &settings,
            from: None,
            checkpoints: Some(Checkpoints {
                folder: folder.clone(),
                model: String::new(),
                every: Duration::ZERO,
                resume: Resume::No,
            }),
        };
        println!(
            "{} · {} examples, {batch} a step",
            objective.name(),
            examples.len()
        );
        run(task, &mut |u: Update| {
            if let Some(loss) = u.point.loss {
                let margin = u.preference.map_or(0.0, |p| p.margin);
                println!(
                    "  step {:>2}  loss {loss:.4}  margin {margin:+.3}  norm {:.3}  {:.0} tokens/s",
                    u.point.step,
                    u.norm,
                    u.tokens as f64 / u.seconds
                );
            }
            Control::Continue
        })?;
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

fn settings(objective: Objective, batch: usize) -> Settings {
    Settings {
        objective,
        lora: LoraConfig {
            rank: 8,
            alpha: 16.0,
            targets: Target::ALL.to_vec(),
        },
        dropout: 0.0,
        schedule: Schedule {
            peak: 5e-4,
            warm_up: 2,
            decay: Decay::Cosine,
            floor: 0.1,
        },
        optimizer: AdamWConfig::default(),
        epochs: 3,
        packing: Packing {
            batch,
            tokens: None,
            accumulate: 1,
        },
        measure_every: 0,
        seed: 1,
        early_stop: false,
        stop_below: None,
        precision: Precision::F32,
        recompute: false,
    }
}
