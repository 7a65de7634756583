//! Numbers for scripts: log-probabilities of a text, speed of training.

use std::time::Instant;

use idiolect_core::{ErrorCode, UserError, draft::AdapterUse};
use idiolect_engine::{LoraConfig, LoraWeights, Target};
use idiolect_llm::{ScoreRequest, TextModel, Token};
use idiolect_train::{AdamW, AdamWConfig, Batch, Row, TrainError, loss_and_gradients};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    align::target_named,
    api::{BenchTrainReport, Response, ScoreReport},
    context::Ctx,
    errors::{Told, usage},
    process,
    writing::adapter_source,
};

pub(crate) fn score(
    ctx: &mut Ctx,
    model: Option<&str>,
    text: &str,
    adapter: Option<AdapterUse>,
) -> Result<Response, UserError> {
    if text.is_empty() {
        return Err(UserError::new(
            ErrorCode::Empty,
            "The text is empty.",
            "Give a text of at least two words.",
        ));
    }
    ctx.start_job("Scoring a text", false);
    let writer = ctx.studio.models.writer(ctx, model)?;
    let mut tokens: Vec<Token> = writer.model.bos().into_iter().collect();
    tokens.extend(writer.model.encode(text).told()?);
    if tokens.len() < 2 {
        return Err(UserError::new(
            ErrorCode::TooShort,
            "The text is one token long: nothing can be predicted.",
            "Give a text of at least two words.",
        ));
    }
    let context = writer.model.info().context;
    if tokens.len() > context {
        return Err(UserError::new(
            ErrorCode::ContextFull,
            format!(
                "The text is {} tokens long, and the model's context holds {context}.",
                tokens.len()
            ),
            "Score a part of it, or use a model with a longer context; a score is of one unbroken context.",
        ));
    }
    let adapters = adapter
        .iter()
        .map(|a| adapter_source(ctx, &writer, a))
        .collect::<Result<_, _>>()?;
    let request = ScoreRequest {
        prefix: Vec::new(),
        continuations: vec![tokens.clone()],
        adapters,
        ..ScoreRequest::default()
    };
    let studio = ctx.studio;
    let scored = {
        let _turn = crate::lock(&studio.jobs.model_turn);
        writer
            .model
            .score(std::slice::from_ref(&request), ctx.cancel())
            .told()?
    };
    let log_probs = scored.into_iter().flatten().next().unwrap_or_default();
    let nll =
        -log_probs.iter().map(|lp| f64::from(*lp)).sum::<f64>() / log_probs.len().max(1) as f64;
    Ok(Response::Score {
        report: ScoreReport {
            model: writer.file.id,
            tokens,
            log_probs,
            nll_per_token: nll,
            perplexity: nll.exp(),
        },
    })
}

pub(crate) fn bench_train(
    ctx: &mut Ctx,
    model: Option<&str>,
    rank: Option<u32>,
    batch: Option<u32>,
    length: Option<u32>,
    targets: Vec<String>,
) -> Result<Response, UserError> {
    let (rank, batch, length) = (rank.unwrap_or(8), batch.unwrap_or(4), length.unwrap_or(256));
    if rank == 0 || batch == 0 || length < 2 || u64::from(batch) * u64::from(length) > 65_536 {
        return Err(usage(
            "Rank and rows must be at least 1, rows at least 2 tokens, and a step at most 65,536 tokens.",
            "The defaults are 8, 4 and 256.",
        ));
    }
    ctx.start_job("Measuring training", false);
    let writer = ctx.studio.models.writer(ctx, model)?;
    let decoder = writer.model.decoder();
    let names = if targets.is_empty() {
        ["q", "k", "v", "o", "gate", "up", "down"]
            .map(str::to_owned)
            .to_vec()
    } else {
        targets
    };
    let chosen: Vec<Target> = names
        .iter()
        .map(|name| target_named(name))
        .collect::<Result<_, _>>()?;
    let config = LoraConfig {
        rank: rank as usize,
        alpha: 2.0 * f64::from(rank),
        targets: chosen,
    };
    let weights = LoraWeights::new(&config, decoder.config(), decoder.device(), 1).told()?;
    let mut parameters = weights.parameters().map_err(TrainError::from).told()?;
    let mut optimizer = AdamW::new(parameters.len(), AdamWConfig::default());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let vocabulary = decoder.config().vocabulary as u32;
    let rows: Vec<Row> = (0..batch)
        .map(|_| Row {
            tokens: (0..=length)
                .map(|_| random.random_range(0..vocabulary))
                .collect(),
            prompt: 0,
        })
        .collect();
    let packed = Batch::pack(&rows);
    let mut seconds = Vec::new();
    for step in 1..=4 {
        ctx.check()?;
        let started = Instant::now();
        writer
            .model
            .with_team(|| -> Result<(), TrainError> {
                let (_, gradients) = loss_and_gradients(decoder, &weights, &packed)?;
                optimizer.update(&mut parameters, gradients.values(), 1e-4)?;
                weights.set_parameters(&parameters)?;
                Ok(())
            })
            .told()?;
        if step > 1 {
            // The first one warms up.
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    Ok(Response::BenchTrain {
        report: BenchTrainReport {
            objective: "sft".to_owned(),
            targets: names,
            batch,
            length,
            rank,
            tokens_per_second: packed.tokens.len() as f64 / median,
            peak_bytes: process::peak_bytes(),
            seconds_per_step: median,
        },
    })
}
