//! Loss of a packed batch and its gradients, through the engine's decoder.

use idiolect_engine::{
    Decoder, Gradients, LoadedModel, LoraWeights, Precision, Trace, TrainOptions,
};

use crate::{
    TrainError,
    data::{Batch, Example, usable},
    objective::Objective,
    passes::{Passes, Whole, texts},
};

/// Summed negative log-likelihood (nats) of a batch's answer tokens under base + LoRA; no gradients.
///
/// # Errors
/// The device's.
pub fn evaluate(
    decoder: &Decoder,
    lora: Option<&LoraWeights>,
    batch: &Batch,
) -> Result<f64, TrainError> {
    if batch.answer_tokens() == 0 {
        return Ok(0.0);
    }
    let texts = texts(batch);
    let nll = decoder.train_score(&texts, lora, Precision::F32, &mut Trace::new())?;
    Ok(nll.iter().map(|&nll| f64::from(nll)).sum())
}

/// Mean negative log-likelihood over the batch's answer tokens (nats per token), and its gradients.
///
/// # Errors
/// The device's; a batch without answer tokens.
pub fn loss_and_gradients(
    decoder: &Decoder,
    lora: &LoraWeights,
    batch: &Batch,
) -> Result<(f64, Gradients), TrainError> {
    let n = batch.answer_tokens();
    if n == 0 {
        return Err(TrainError::NoData);
    }
    let mut trace = Trace::new();
    let options = TrainOptions::default();
    let nll = decoder.train_forward(&texts(batch), lora, &options, &mut trace)?;
    let mut gradients = Gradients::zeros(lora);
    let weights = vec![1.0 / n as f32; nll.len()];
    decoder.train_backward(&mut trace, &weights, lora, &mut gradients)?;
    let sum: f64 = nll.iter().map(|&nll| f64::from(nll)).sum();
    Ok((sum / n as f64, gradients))
}

/// An objective's mean over examples and its gradients, as a step of [`crate::run`] computes them in one pass. `reference` is
/// what pairs and thumbs are compared with, the bare model where absent; `shift` is KTO's zero point.
///
/// # Errors
/// Examples of another kind, or without an answer; the device's.
pub fn objective_and_gradients(
    model: &LoadedModel,
    objective: &Objective,
    examples: &[Example],
    (lora, reference): (&LoraWeights, Option<&LoraWeights>),
    shift: f64,
    options: &TrainOptions,
) -> Result<(f64, Gradients), TrainError> {
    let (examples, _) = usable(examples)?;
    let mut passes = Passes::new(model, *options);
    let references = if objective.needs_reference() {
        passes.scores(&examples, reference)?
    } else {
        vec![[0.0; 2]; examples.len()]
    };
    let mut gradients = Gradients::zeros(lora);
    let whole = Whole {
        weight: examples.iter().map(|e| e.weight()).sum(),
        shift,
    };
    let batch = (&examples[..], &references[..]);
    let sum = passes.learn(
        objective,
        batch,
        whole,
        options.dropout,
        lora,
        &mut gradients,
    )?;
    Ok((sum.mean(), gradients))
}
