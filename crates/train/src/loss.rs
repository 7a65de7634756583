//! Loss of a packed batch and its gradients, through the engine's decoder.

use candle_core::backprop::GradStore;
use idiolect_engine::{Decoder, LoraWeights};

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
    // Cut from the graph, so that the head works out no gradient that nobody asks for.
    let hidden = decoder
        .forward_train(&batch.tokens, &batch.lengths, lora)?
        .detach();
    let nll = decoder.token_nll(&hidden, &batch.targets)?;
    Ok(f64::from(nll.sum_all()?.to_scalar::<f32>()?))
}

/// Mean negative log-likelihood over the batch's answer tokens (nats per token), and its gradients.
///
/// # Errors
/// The device's; a batch without answer tokens.
pub fn loss_and_gradients(
    decoder: &Decoder,
    lora: &LoraWeights,
    batch: &Batch,
) -> Result<(f64, GradStore), TrainError> {
    let n = batch.answer_tokens();
    if n == 0 {
        return Err(TrainError::NoData);
    }
    let hidden = decoder.forward_train(&batch.tokens, &batch.lengths, Some(lora))?;
    let loss = (decoder.token_nll(&hidden, &batch.targets)?.sum_all()? / n as f64)?;
    let gradients = loss.backward()?;
    Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
}
