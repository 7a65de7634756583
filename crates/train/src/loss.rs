//! Loss of a packed batch and its gradients, through the engine's decoder.

use idiolect_engine::{Decoder, Gradients, LoraWeights, Precision, Texts, Trace, TrainOptions};

use crate::{TrainError, data::Batch};

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

fn texts(batch: &Batch) -> Texts<'_> {
    Texts {
        tokens: &batch.tokens,
        lengths: &batch.lengths,
        targets: &batch.targets,
    }
}
