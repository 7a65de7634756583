//! Gradients and parameters of an adapter as plain numbers.

use std::ops::Range;

use candle_core::{Result, Tensor};

use crate::{
    lora::{LoraWeights, Target},
    values::read,
};

/// A number for every trainable one, tensor after tensor in the order of [`LoraWeights::vars`].
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients {
    values: Vec<f32>,
    tensors: Vec<Range<usize>>,
    /// Whose factors they are, A's tensor before B's.
    linears: Vec<(usize, Target)>,
}

impl Gradients {
    /// Zeros.
    pub fn zeros(lora: &LoraWeights) -> Self {
        let mut end = 0;
        let tensors: Vec<_> = lora
            .vars()
            .iter()
            .map(|(_, var)| {
                let start = end;
                end += var.elem_count();
                start..end
            })
            .collect();
        Self {
            values: vec![0.0; end],
            tensors,
            linears: lora.factors().map(|(linear, _)| linear).collect(),
        }
    }

    /// Zeros again.
    pub fn clear(&mut self) {
        self.values.fill(0.0);
    }

    /// All of them.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All of them, to be scaled or clipped.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Tensor by tensor.
    pub fn tensors(&self) -> impl Iterator<Item = &[f32]> {
        self.tensors.iter().map(|range| &self.values[range.clone()])
    }

    /// Whether they have the shape of this adapter's tensors.
    pub(super) fn is_of(&self, lora: &LoraWeights) -> bool {
        let lengths = lora.vars().into_iter().map(|(_, var)| var.elem_count());
        let linears = lora.factors().map(|(linear, _)| linear);
        lengths.eq(self.tensors.iter().map(Range::len)) && linears.eq(self.linears.iter().copied())
    }

    /// Those of a linear's A and B; empty where it is not trained.
    pub(super) fn pair_mut(&mut self, layer: usize, target: Target) -> (&mut [f32], &mut [f32]) {
        let Ok(i) = self.linears.binary_search(&(layer, target)) else {
            return (&mut [], &mut []);
        };
        let (a, b) = (self.tensors[2 * i].clone(), self.tensors[2 * i + 1].clone());
        let (to_b, from_b) = self.values.split_at_mut(b.start);
        (&mut to_b[a], &mut from_b[..b.len()])
    }

    /// Adds to a tensor's.
    pub(super) fn add(&mut self, tensor: usize, gradient: &[f32]) {
        let to = &mut self.values[self.tensors[tensor].clone()];
        for (to, from) in to.iter_mut().zip(gradient) {
            *to += from;
        }
    }
}

impl LoraWeights {
    /// Every trainable number, tensor after tensor in the order of [`LoraWeights::vars`].
    ///
    /// # Errors
    /// A device failure.
    pub fn parameters(&self) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for (_, var) in self.vars() {
            read(var.as_tensor(), |values| all.extend_from_slice(values))?;
        }
        Ok(all)
    }

    /// Puts other numbers in their place.
    ///
    /// # Errors
    /// Another number of them, a device failure.
    pub fn set_parameters(&self, values: &[f32]) -> Result<()> {
        let vars = self.vars();
        let wanted: usize = vars.iter().map(|(_, var)| var.elem_count()).sum();
        if wanted != values.len() {
            candle_core::bail!("{} numbers for an adapter of {wanted}", values.len());
        }
        let mut rest = values;
        for (_, var) in vars {
            let (these, others) = rest.split_at(var.elem_count());
            var.set(&Tensor::from_slice(these, var.shape(), var.device())?)?;
            rest = others;
        }
        Ok(())
    }
}
