//! Pairs of modules that a checkpoint joins (phi3: q, k and v; gate and up), taken apart and put together.

use candle_core::{DType, Device, Tensor};
use idiolect_llm::{LlmError, Result};

use super::{
    Target,
    stack::{Loose, Pairs},
};
use crate::{config::Config, values::failed};

/// The first parts of what may be joined.
pub(super) const JOINED: [Target; 2] = [Target::Query, Target::Gate];

/// PEFT's name of the module that begins with `first`.
pub(super) fn module(first: Target) -> &'static str {
    match first {
        Target::Query => "qkv_proj",
        _ => "gate_up_proj",
    }
}

/// A pair for each part of a joined module: A, and the part's rows of B. Components that a part does not use are left out,
/// so that parts that were put together come back as they were.
///
/// # Errors
/// [`LlmError::Adapter`] when the rows are not the parts'.
pub(super) fn take_apart(
    layer: usize,
    first: Target,
    (a, b, alpha): (&Tensor, &Tensor, f64),
    model: &Config,
) -> Result<Vec<((usize, Target), Loose)>> {
    let parts = first.fused().1;
    let needed: usize = parts.iter().map(|t| t.shape(model).0).sum();
    let rows = b.dims().first().copied().unwrap_or(0);
    if rows != needed {
        return Err(LlmError::Adapter(format!(
            "{} of layer {layer} has {rows} rows; this model needs {needed}",
            module(first)
        )));
    }
    let mut at = 0;
    let mut pairs = Vec::with_capacity(parts.len());
    for part in parts {
        let outputs = part.shape(model).0;
        let own = b.narrow(0, at, outputs).map_err(failed)?;
        at += outputs;
        let key = (layer, part);
        let pair = Loose::new(key, a, &own, alpha, model)?;
        pairs.push((key, used_components(pair).map_err(failed)?));
    }
    Ok(pairs)
}

fn used_components(pair: Loose) -> candle_core::Result<Loose> {
    let rank = pair.rank();
    let columns = pair.b.t()?.to_vec2::<f32>()?;
    let used: Vec<u32> = (0..rank as u32)
        .filter(|&c| columns[c as usize].iter().any(|&v| v != 0.0))
        .collect();
    if used.is_empty() || used.len() == rank {
        return Ok(pair);
    }
    let n = used.len();
    let index = Tensor::from_vec(used, n, &Device::Cpu)?;
    Ok(Loose {
        a: pair.a.index_select(&index, 0)?,
        b: pair.b.contiguous()?.index_select(&index, 1)?,
        alpha: pair.alpha * n as f64 / rank as f64,
    })
}

/// The pairs of a layer's joined module as one, of the sum of the parts' ranks, each of which keeps the factor that the parts
/// share; none where no part has a pair. The rank is `each` times the parts' number, whatever parts there are.
///
/// # Errors
/// A device failure.
pub(super) fn put_together(
    layer: usize,
    first: Target,
    pairs: &Pairs,
    model: &Config,
) -> Result<Option<Loose>> {
    let parts = first.fused().1;
    let Some(any) = parts.iter().find_map(|&part| pairs.get(&(layer, part))) else {
        return Ok(None);
    };
    let (each, inputs, alpha) = (any.rank(), any.a.dims()[1], any.alpha);
    let rank = each * parts.len();
    let join = || -> candle_core::Result<Loose> {
        let zeros = |rows, columns| Tensor::zeros((rows, columns), DType::F32, &Device::Cpu);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (i, &part) in parts.iter().enumerate() {
            let outputs = part.shape(model).0;
            match pairs.get(&(layer, part)) {
                Some(pair) => {
                    a.push(pair.a.clone());
                    let before = zeros(outputs, i * each)?;
                    let after = zeros(outputs, rank - (i + 1) * each)?;
                    let row: Vec<&Tensor> = [&before, &pair.b, &after]
                        .into_iter()
                        .filter(|t| t.elem_count() > 0)
                        .collect();
                    b.push(Tensor::cat(&row, 1)?);
                }
                None => {
                    a.push(zeros(each, inputs)?);
                    b.push(zeros(outputs, rank)?);
                }
            }
        }
        Ok(Loose {
            a: Tensor::cat(&a, 0)?,
            b: Tensor::cat(&b, 0)?,
            alpha: alpha * parts.len() as f64,
        })
    };
    join().map(Some).map_err(failed)
}
