//! The passes over tensors with candle's automatic differentiation: where the kernels cannot compute, and the reference in tests.

use candle_core::{Result, Tensor};

use super::{Gradients, Kept, Texts, Trace, TrainOptions};
use crate::{decoder::Decoder, lora::LoraWeights, values::read};

impl Decoder {
    pub(super) fn forward_composed(
        &self,
        texts: &Texts<'_>,
        lora: &LoraWeights,
        options: &TrainOptions,
        trace: &mut Trace,
    ) -> Result<Vec<f32>> {
        // Whatever an earlier pass left goes before this one needs memory.
        trace.kept = Kept::Nothing;
        if texts.tokens.is_empty() {
            return Ok(Vec::new());
        }
        let hidden =
            self.forward_train_with(texts.tokens, texts.lengths, Some(lora), options.dropout)?;
        let nll = self.token_nll(&hidden, texts.targets)?;
        let values = read(&nll.detach(), <[f32]>::to_vec)?;
        trace.kept = Kept::Graph(nll);
        Ok(values)
    }

    pub(super) fn score_composed(
        &self,
        texts: &Texts<'_>,
        lora: Option<&LoraWeights>,
    ) -> Result<Vec<f32>> {
        if texts.tokens.is_empty() {
            return Ok(Vec::new());
        }
        // Cut from the graph, so that the head works out no gradient that nobody asks for.
        let hidden = self
            .forward_train(texts.tokens, texts.lengths, lora)?
            .detach();
        read(&self.token_nll(&hidden, texts.targets)?, <[f32]>::to_vec)
    }
}

pub(super) fn backward(
    nll: &Tensor,
    weights: &[f32],
    lora: &LoraWeights,
    into: &mut Gradients,
) -> Result<()> {
    if nll.elem_count() != weights.len() {
        candle_core::bail!("{} weights for {} tokens", weights.len(), nll.elem_count());
    }
    let weights = Tensor::from_slice(weights, weights.len(), nll.device())?;
    let found = (nll * weights)?.sum_all()?.backward()?;
    for (i, (name, var)) in lora.vars().into_iter().enumerate() {
        let Some(gradient) = found.get(&var) else {
            candle_core::bail!("{name} got no gradient");
        };
        read(&gradient.contiguous()?, |gradient| into.add(i, gradient))?;
    }
    Ok(())
}
