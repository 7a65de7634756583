//! Pairs of several ranks and strengths as one adapter, and several adapters as one.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use idiolect_llm::{LlmError, Result};

use super::{Factors, LoraConfig, LoraWeights, MAX_RANK, MAX_WEIGHT_BYTES, Target};
use crate::{config::Config, values::failed};

/// A pair on its way between files: A `[r, inputs]`, B `[outputs, r]` in the model file's row order.
#[derive(Clone)]
pub(super) struct Loose {
    pub(super) a: Tensor,
    pub(super) b: Tensor,
    /// The product is scaled by `alpha / r`.
    pub(super) alpha: f64,
}

impl Loose {
    /// f32 on the processor, checked against the model's shape.
    ///
    /// # Errors
    /// [`LlmError::Adapter`] saying what does not fit.
    pub(super) fn new(
        (layer, target): (usize, Target),
        a: &Tensor,
        b: &Tensor,
        alpha: f64,
        model: &Config,
    ) -> Result<Self> {
        let (outputs, inputs) = target.shape(model);
        let rank = a.dims().first().copied().unwrap_or(0);
        let fits = a.dims() == [rank, inputs] && b.dims() == [outputs, rank];
        if !fits || rank == 0 || rank > MAX_RANK {
            return Err(LlmError::Adapter(format!(
                "{} of layer {layer} is {:?} · {:?}; this model needs [{outputs}, r] · [r, {inputs}] with r from 1 to {MAX_RANK}",
                target.name(),
                b.dims(),
                a.dims(),
            )));
        }
        let number = |t: &Tensor| -> Result<Tensor> {
            let t = t.detach().to_device(&Device::Cpu).map_err(failed)?;
            let t = t.to_dtype(DType::F32).map_err(failed)?;
            let values = t
                .flatten_all()
                .and_then(|t| t.to_vec1::<f32>())
                .map_err(failed)?;
            if values.iter().all(|v| v.is_finite()) {
                return Ok(t);
            }
            Err(LlmError::Adapter(format!(
                "{} of layer {layer} has values that are no numbers",
                target.name()
            )))
        };
        Ok(Self {
            a: number(a)?,
            b: number(b)?,
            alpha,
        })
    }

    pub(super) fn rank(&self) -> usize {
        self.a.dims()[0]
    }

    pub(super) fn scale(&self) -> f64 {
        self.alpha / self.rank() as f64
    }
}

pub(super) type Pairs = BTreeMap<(usize, Target), Loose>;

impl LoraWeights {
    /// Its pairs, on the processor.
    pub(super) fn loose(&self) -> Result<Pairs> {
        let cpu = |t: &Tensor| t.detach().to_device(&Device::Cpu).map_err(failed);
        self.factors()
            .map(|(key, f)| {
                let loose = Loose {
                    a: cpu(f.a.as_tensor())?,
                    b: cpu(f.b.as_tensor())?,
                    alpha: self.config.alpha,
                };
                Ok((key, loose))
            })
            .collect()
    }

    /// One rank and one strength for all: where they differ, pairs of lower rank are filled up with zeros, and B takes the
    /// difference in strength.
    ///
    /// # Errors
    /// No pairs; more values than an adapter may have.
    pub(super) fn from_loose(pairs: Pairs, device: &Device) -> Result<Self> {
        let Some(first) = pairs.values().next().cloned() else {
            return Err(LlmError::Adapter("it has no weights".into()));
        };
        let rank = pairs.values().map(Loose::rank).max().unwrap_or(1);
        let bytes: u64 = pairs
            .values()
            .map(|p| (rank * (p.a.dims()[1] + p.b.dims()[0]) * size_of::<f32>()) as u64)
            .sum();
        if bytes > MAX_WEIGHT_BYTES {
            return Err(LlmError::Adapter(format!(
                "at rank {rank} its weights have {bytes} bytes"
            )));
        }
        let alike = pairs
            .values()
            .all(|p| p.rank() == rank && p.alpha == first.alpha);
        let alpha = match alike {
            true => first.alpha,
            false => {
                let strongest = pairs.values().map(|p| p.scale().abs()).fold(0.0, f64::max);
                rank as f64 * if strongest > 0.0 { strongest } else { 1.0 }
            }
        };
        let mut targets: Vec<Target> = pairs.keys().map(|(_, target)| *target).collect();
        targets.sort_unstable();
        targets.dedup();
        let filled = |p: &Loose| -> candle_core::Result<(Tensor, Tensor)> {
            if alike {
                return Ok((p.a.clone(), p.b.clone()));
            }
            let missing = rank - p.rank();
            let b = (&p.b * (p.scale() * rank as f64 / alpha))?;
            let zeros = |shape: (usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu);
            let (inputs, outputs) = (p.a.dims()[1], p.b.dims()[0]);
            match missing {
                0 => Ok((p.a.clone(), b)),
                n => Ok((
                    Tensor::cat(&[&p.a, &zeros((n, inputs))?], 0)?,
                    Tensor::cat(&[&b, &zeros((outputs, n))?], 1)?,
                )),
            }
        };
        let mut factors = BTreeMap::new();
        for (key, pair) in pairs {
            let (a, b) = filled(&pair).map_err(failed)?;
            let (a, b) = (a.to_device(device), b.to_device(device));
            factors.insert(key, Factors::new(&a.map_err(failed)?, &b.map_err(failed)?)?);
        }
        Ok(Self {
            config: LoraConfig {
                rank,
                alpha,
                targets,
            },
            factors,
        })
    }
}

/// Several adapters, each with its strength, as one that does the same: ranks are joined, never factors mixed, so that the
/// product is the sum of the products. One alone stays as it is, but for its alpha.
///
/// # Errors
/// No adapters, a strength that is no number, a rank beyond what adapters may have.
pub(crate) fn bake(stack: &[(LoraWeights, f64)], device: &Device) -> Result<LoraWeights> {
    if let Some((_, strength)) = stack.iter().find(|(_, strength)| !strength.is_finite()) {
        return Err(LlmError::Adapter(format!("its scale is {strength}")));
    }
    if let [(only, strength)] = stack {
        let mut pairs = only.loose()?;
        pairs.values_mut().for_each(|pair| pair.alpha *= strength);
        return LoraWeights::from_loose(pairs, device);
    }
    let mut parts: BTreeMap<(usize, Target), Vec<Loose>> = BTreeMap::new();
    for (lora, strength) in stack {
        for (key, mut pair) in lora.loose()? {
            // The joined product has the factor 1, so each B takes its own.
            pair.b = (&pair.b * (pair.scale() * strength)).map_err(failed)?;
            parts.entry(key).or_default().push(pair);
        }
    }
    let joined = parts.into_iter().map(|(key, parts)| {
        let a: Vec<&Tensor> = parts.iter().map(|p| &p.a).collect();
        let b: Vec<&Tensor> = parts.iter().map(|p| &p.b).collect();
        let rank: usize = parts.iter().map(Loose::rank).sum();
        if rank > MAX_RANK {
            return Err(LlmError::Adapter(format!(
                "together they have rank {rank}, and {MAX_RANK} is the most; leave one out"
            )));
        }
        let pair = Loose {
            a: Tensor::cat(&a, 0).map_err(failed)?,
            b: Tensor::cat(&b, 1).map_err(failed)?,
            alpha: rank as f64,
        };
        Ok((key, pair))
    });
    LoraWeights::from_loose(joined.collect::<Result<_>>()?, device)
}
