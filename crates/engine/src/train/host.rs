//! The passes on the processor, over plain slices that one pass leaves to the next.
//!
//! A layer leaves what its backward pass reads, or, where memory is short, only its input: it is then computed again when the
//! backward pass comes to it, to the same bits.

use candle_core::Result;
use idiolect_kernels::Precision;

use super::{
    Gradients, Kept, Texts, Trace, TrainOptions,
    layer::{LayerTrace, Passing, Work, room},
};
use crate::{
    decoder::{Decoder, places_of, quantized},
    lora::LoraWeights,
    loss::HeadMemory,
    values::values,
};

/// What is kept between the passes.
#[derive(Debug, Default)]
pub(super) struct HostTrace {
    options: TrainOptions,
    lengths: Vec<usize>,
    /// The residual stream before each layer, and after the last.
    inputs: Vec<Vec<f32>>,
    /// Of every layer, or of the one at hand.
    layers: Vec<LayerTrace>,
    /// `[rows, hidden]`: the gradient of each row's loss with respect to its normed hidden state.
    head: Vec<f32>,
    work: Work,
    logits: HeadMemory,
    normed: Vec<f32>,
    slope: Vec<f32>,
}

/// Activations of bytes are for inference.
fn of_floats(precision: Precision) -> Precision {
    match precision {
        Precision::Int8 => Precision::F32,
        other => other,
    }
}

impl Decoder {
    pub(super) fn forward_on_host(
        &self,
        texts: &Texts<'_>,
        lora: &LoraWeights,
        options: &TrainOptions,
        trace: &mut Trace,
    ) -> Result<Vec<f32>> {
        trace.kept = Kept::Nothing;
        let t = &mut *trace.host;
        t.options = *options;
        t.lengths = texts.lengths.to_vec();
        let layers = self.layers().len();
        t.inputs.resize_with(layers + 1, Vec::new);
        let traces = if options.recompute { 1 } else { layers };
        t.layers.resize_with(traces, LayerTrace::default);
        let tables = self.rope_tables(&places_of(texts.lengths));
        let passing = Passing {
            decoder: self,
            lora: Some(lora),
            lengths: texts.lengths,
            rows: texts.tokens.len(),
            tables: &tables,
            precision: of_floats(options.precision),
            dropout: options.dropout,
        };
        let values_of = texts.tokens.len() * self.config().hidden;
        room(&mut t.inputs[0], values_of).copy_from_slice(&values(&self.embed(texts.tokens)?)?);
        for i in 0..layers {
            let (before, after) = t.inputs.split_at_mut(i + 1);
            let out = room(&mut after[0], values_of);
            let layer = &mut t.layers[i.min(traces - 1)];
            passing.forward(i, &before[i], layer, &mut t.work, out)?;
        }
        let normed = room(&mut t.normed, values_of);
        self.last_norm().apply(&t.inputs[layers], normed);
        let gradient = room(&mut t.head, values_of);
        let nll = self.nll_on_host(
            normed,
            texts,
            passing.precision,
            &mut t.logits,
            Some(gradient),
        )?;
        trace.kept = Kept::Slices;
        Ok(nll)
    }

    pub(super) fn backward_on_host(
        &self,
        trace: &mut Trace,
        weights: &[f32],
        lora: &LoraWeights,
        into: &mut Gradients,
    ) -> Result<()> {
        let t = &mut *trace.host;
        let rows: usize = t.lengths.iter().sum();
        if rows != weights.len() {
            candle_core::bail!("{} weights for {rows} tokens", weights.len());
        }
        if rows == 0 {
            return Ok(());
        }
        let tables = self.rope_tables(&places_of(&t.lengths));
        let passing = Passing {
            decoder: self,
            lora: Some(lora),
            lengths: &t.lengths,
            rows,
            tables: &tables,
            precision: of_floats(t.options.precision),
            dropout: t.options.dropout,
        };
        let (layers, hidden) = (self.layers().len(), self.config().hidden);
        for (row, weight) in t.head.chunks_exact_mut(hidden).zip(weights) {
            row.iter_mut().for_each(|slope| *slope *= weight);
        }
        let slope = room(&mut t.slope, rows * hidden);
        self.last_norm().backward(&t.inputs[layers], &t.head, slope);
        // Nothing is trained below the first layer that has factors.
        let first = lora
            .factors()
            .next()
            .map_or(layers, |((layer, _), _)| layer);
        for i in (first..layers).rev() {
            let (before, after) = t.inputs.split_at_mut(i + 1);
            let layer = if t.options.recompute {
                // What the last layer's forward pass left is still there.
                if i + 1 < layers {
                    passing.forward(i, &before[i], &mut t.layers[0], &mut t.work, &mut after[0])?;
                }
                &t.layers[0]
            } else {
                &t.layers[i]
            };
            let wanted = i > first;
            passing.backward(
                i,
                &before[i],
                layer,
                &mut t.work,
                &mut t.slope,
                wanted,
                into,
            )?;
        }
        Ok(())
    }

    pub(super) fn score_on_host(
        &self,
        texts: &Texts<'_>,
        lora: Option<&LoraWeights>,
        precision: Precision,
        trace: &mut Trace,
    ) -> Result<Vec<f32>> {
        trace.kept = Kept::Nothing;
        let t = &mut *trace.host;
        t.inputs.resize_with(t.inputs.len().max(2), Vec::new);
        t.layers
            .resize_with(t.layers.len().max(1), LayerTrace::default);
        let tables = self.rope_tables(&places_of(texts.lengths));
        let passing = Passing {
            decoder: self,
            lora,
            lengths: texts.lengths,
            rows: texts.tokens.len(),
            tables: &tables,
            precision: of_floats(precision),
            dropout: None,
        };
        let values_of = texts.tokens.len() * self.config().hidden;
        let (x, out) = t.inputs.split_at_mut(1);
        let (x, out) = (&mut x[0], &mut out[0]);
        room(x, values_of).copy_from_slice(&values(&self.embed(texts.tokens)?)?);
        room(out, values_of);
        for i in 0..self.layers().len() {
            passing.forward(i, x, &mut t.layers[0], &mut t.work, out)?;
            std::mem::swap(x, out);
        }
        let normed = room(&mut t.normed, values_of);
        self.last_norm().apply(x, normed);
        self.nll_on_host(normed, texts, passing.precision, &mut t.logits, None)
    }

    fn nll_on_host(
        &self,
        normed: &[f32],
        texts: &Texts<'_>,
        precision: Precision,
        memory: &mut HeadMemory,
        gradient: Option<&mut [f32]>,
    ) -> Result<Vec<f32>> {
        let Some(head) = quantized(self.head().weight()) else {
            candle_core::bail!("the weights lie on another device");
        };
        Ok(memory.nll(
            head,
            normed,
            texts.targets,
            gradient,
            precision,
            self.level(),
        ))
    }
}
