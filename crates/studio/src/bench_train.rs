//! Speed of training, for every objective, on random tokens; and, on request, all that another program needs to take the
//! very same steps: the rows, the first weights, the learning rates and the losses they led to.

use std::path::Path;

use idiolect_core::UserError;
use idiolect_engine::{LoraConfig, LoraWeights, Precision, Target};
use idiolect_train::{
    AdamWConfig, Control, Decay, Example, Lessons, Objective, Packing, Row, Schedule, Settings,
    Task, Update,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::{
    align::target_named,
    api::{BenchTrainReport, BenchTrainRequest, Response},
    context::{Ctx, cancelled},
    errors::{Told, from_io, usage},
    models::Writer,
    process,
};

/// Steps of a run whose request names no number; the first is not timed.
const STEPS: u32 = 4;
/// Tokens of a pair's shared prompt, where rows are long enough.
const PROMPT: usize = 32;
/// Of everything random.
const SEED: u64 = 1;
/// The file beside the first weights in the folder of a record.
const RECORD: &str = "run.json";
/// The folder of the first weights.
const INITIAL: &str = "initial";

/// A step as it went.
struct Step {
    loss: f64,
    learning_rate: f64,
    seconds: f64,
}

pub(crate) fn bench_train(
    ctx: &mut Ctx,
    request: &BenchTrainRequest,
) -> Result<Response, UserError> {
    let batch = request.batch.unwrap_or(4);
    let length = request.length.unwrap_or(256);
    let rank = request.rank.unwrap_or(8);
    let steps = request.steps.unwrap_or(STEPS);
    let objective = objective_named(request.objective.as_deref().unwrap_or("sft"))?;
    if rank == 0 || batch == 0 || length < 2 || u64::from(batch) * u64::from(length) > 65_536 {
        return Err(usage(
            "Rank and rows must be at least 1, rows at least 2 tokens, and a step at most 65,536 tokens.",
            "The defaults are 8, 4 and 256.",
        ));
    }
    if !(2..=1000).contains(&steps) {
        return Err(usage(
            "Between 2 and 1,000 steps can be measured: the first one only warms up.",
            format!("Leave --steps away for {STEPS}."),
        ));
    }
    let record = request
        .record
        .as_ref()
        .map(|ticket| ctx.studio.path_of(ticket))
        .transpose()?;
    ctx.start_job("Measuring training", false);
    let writer = ctx.studio.models.writer(ctx, request.model.as_deref())?;
    let mut names = request.targets.clone();
    if names.is_empty() {
        names = ["q", "k", "v", "o", "gate", "up", "down"]
            .map(str::to_owned)
            .to_vec();
    }
    let mut targets: Vec<Target> = names
        .iter()
        .map(|name| target_named(name))
        .collect::<Result<_, _>>()?;
    targets.sort();
    targets.dedup();
    let vocabulary = writer.model.decoder().config().vocabulary as u32;
    let examples = examples(&objective, batch, length as usize, vocabulary);
    let settings = Settings {
        objective,
        lora: LoraConfig {
            rank: rank as usize,
            alpha: 2.0 * f64::from(rank),
            targets,
        },
        dropout: 0.0,
        schedule: Schedule {
            peak: 5e-4,
            warm_up: 4,
            decay: Decay::Linear,
            floor: 0.1,
        },
        optimizer: AdamWConfig::default(),
        // All examples in each step, so that their order has no part in it.
        epochs: steps,
        packing: Packing {
            batch: batch as usize,
            tokens: None,
            accumulate: 1,
        },
        measure_every: 0,
        seed: SEED,
        early_stop: false,
        stop_below: None,
        precision: if request.bf16 {
            Precision::Bf16
        } else {
            Precision::F32
        },
        recompute: request.recompute,
    };
    let taken = train(ctx, &writer, &examples, &settings)?;
    let tokens: usize = examples.iter().map(Example::tokens).sum();
    if let Some(folder) = record {
        put_down(&folder, &writer, &examples, &settings, &taken)?;
    }
    // The first one warms up.
    let mut seconds: Vec<f64> = taken.iter().skip(1).map(|step| step.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    Ok(Response::BenchTrain {
        report: BenchTrainReport {
            objective: objective.name().to_owned(),
            targets: names,
            batch,
            length,
            rank,
            precision: if request.bf16 { "bf16" } else { "f32" }.to_owned(),
            recompute: request.recompute,
            tokens_per_second: tokens as f64 / median,
            peak_bytes: process::peak_bytes(),
            seconds_per_step: median,
            losses: taken.iter().map(|step| step.loss).collect(),
        },
    })
}

fn objective_named(name: &str) -> Result<Objective, UserError> {
    Ok(match name {
        "sft" => Objective::Sft,
        "dpo" => Objective::Dpo {
            beta: 0.1,
            smoothing: 0.0,
            length_normalised: false,
        },
        "orpo" => Objective::Orpo { beta: 0.1 },
        "kto" => Objective::Kto {
            beta: 0.1,
            good_weight: 1.0,
            bad_weight: 1.0,
        },
        _ => {
            return Err(usage(
                format!("No objective is called “{name}”."),
                "There are: sft, dpo, orpo, kto.",
            ));
        }
    })
}

/// `batch` texts, pairs or thumbs with `length` tokens that go through the model in each row. The two rows of a pair share
/// their prompt; texts have none.
fn examples(objective: &Objective, batch: u32, length: usize, vocabulary: u32) -> Vec<Example> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut some =
        |n: usize| -> Vec<u32> { (0..n).map(|_| random.random_range(0..vocabulary)).collect() };
    let prompt = PROMPT.min(length / 4);
    (0..batch)
        .map(|number| match objective {
            Objective::Sft => Example::Text(Row {
                tokens: some(length + 1),
                prompt: 0,
            }),
            Objective::Dpo { .. } | Objective::Orpo { .. } => {
                let shared = some(prompt);
                let mut row = || Row {
                    tokens: [shared.clone(), some(length + 1 - prompt)].concat(),
                    prompt,
                };
                Example::Pair {
                    chosen: row(),
                    rejected: row(),
                }
            }
            Objective::Kto { .. } => Example::Thumb {
                row: Row {
                    tokens: some(length + 1),
                    prompt,
                },
                good: number % 2 == 0,
            },
        })
        .collect()
}

fn train(
    ctx: &Ctx,
    writer: &Writer,
    examples: &[Example],
    settings: &Settings,
) -> Result<Vec<Step>, UserError> {
    let cancel = ctx.cancel().clone();
    let mut steps: Vec<Step> = Vec::new();
    let mut before = 0.0;
    let mut observer = |update: Update| {
        if let Some(loss) = update.point.loss {
            steps.push(Step {
                loss,
                learning_rate: update.learning_rate,
                seconds: update.seconds - before,
            });
            before = update.seconds;
        }
        if cancel.is_cancelled() {
            Control::Cancel
        } else {
            Control::Continue
        }
    };
    let task = Task {
        model: &writer.model,
        lessons: Lessons::Fixed(examples),
        held_out: &[],
        settings,
        from: None,
        checkpoints: None,
    };
    let trained = idiolect_train::run(task, &mut observer).told()?;
    if trained.weights.is_none() {
        return Err(cancelled());
    }
    Ok(steps)
}

/// Writes what another program needs to take the same steps.
fn put_down(
    folder: &Path,
    writer: &Writer,
    examples: &[Example],
    settings: &Settings,
    steps: &[Step],
) -> Result<(), UserError> {
    let decoder = writer.model.decoder();
    // As the run itself begins: the seed decides.
    LoraWeights::new(
        &settings.lora,
        decoder.config(),
        decoder.device(),
        settings.seed,
    )
    .and_then(|weights| weights.save(&folder.join(INITIAL), decoder.config(), &writer.file.id))
    .told()?;
    let examples: Vec<serde_json::Value> = examples
        .iter()
        .map(|example| {
            let rows: Vec<&Vec<u32>> = example.rows().map(|row| &row.tokens).collect();
            let prompt = example.rows().next().map_or(0, |row| row.prompt);
            let good = matches!(example, Example::Thumb { good: true, .. });
            json!({"rows": rows, "prompt": prompt, "good": good})
        })
        .collect();
    let column = |of: fn(&Step) -> f64| steps.iter().map(of).collect::<Vec<_>>();
    let record = json!({
        "objective": settings.objective,
        "optimizer": settings.optimizer,
        "examples": examples,
        "learning_rates": column(|step| step.learning_rate),
        "losses": column(|step| step.loss),
    });
    let written = serde_json::to_vec(&record)
        .map_err(std::io::Error::other)
        .and_then(|bytes| std::fs::write(folder.join(RECORD), bytes));
    written.map_err(|e| from_io("Writing the record", &e))
}

#[cfg(test)]
mod tests {
    use idiolect_core::ErrorCode;

    use super::*;

    #[test]
    fn rows_are_as_long_as_asked_and_pairs_share_their_prompt() {
        for name in ["sft", "dpo", "orpo", "kto"] {
            let objective = objective_named(name).unwrap();
            let made = examples(&objective, 3, 64, 100);
            assert_eq!(made, examples(&objective, 3, 64, 100), "seeded");
            let rows: Vec<&Row> = made.iter().flat_map(Example::rows).collect();
            assert_eq!(
                rows.len(),
                if matches!(name, "dpo" | "orpo") { 6 } else { 3 }
            );
            let tokens: usize = made.iter().map(Example::tokens).sum();
            assert_eq!(tokens, 64 * rows.len(), "{name}");
            if let Example::Pair { chosen, rejected } = &made[0] {
                assert_eq!(chosen.tokens[..16], rejected.tokens[..16]);
                assert_ne!(chosen.tokens, rejected.tokens);
            }
        }
        assert_eq!(objective_named("sgd").unwrap_err().code, ErrorCode::Usage);
    }
}
