//! A model file with an adapter in its weights: tensors that the adapter changes are written anew, everything else is copied
//! byte for byte, metadata included.

use std::{collections::BTreeMap, path::Path};

use idiolect_kernels::{QMatrix, QuantType};
use idiolect_llm::{LlmError, Result};
use rayon::prelude::*;

use super::{LoraWeights, Target};
use crate::{
    config::Config,
    gguf::{Content, Gguf, Metadata, NewTensor, write},
    values::failed,
};

/// Rows made at a time, on all threads.
const ROWS: usize = 256;

/// Some rows of a tensor that change by `scale B A`.
struct Change {
    first: usize,
    rows: usize,
    rank: usize,
    scale: f32,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Change {
    /// Adds the change to a row of the tensor, if it is one of its own.
    fn add_to(&self, row: usize, values: &mut [f32]) {
        let Some(own) = row.checked_sub(self.first).filter(|r| *r < self.rows) else {
            return;
        };
        let factors = &self.b[own * self.rank..(own + 1) * self.rank];
        for (factor, a) in factors.iter().zip(self.a.chunks_exact(values.len())) {
            let factor = self.scale * factor;
            for (value, a) in values.iter_mut().zip(a) {
                *value += factor * a;
            }
        }
    }
}

/// Writes the model of `base` with `lora` merged in. Tensors that it changes are stored as `storage`, or as F16 where their
/// rows are not whole blocks of it.
///
/// # Errors
/// When the adapter does not belong to the model, or writing fails.
pub(crate) fn merge(
    base: &Gguf,
    lora: &LoraWeights,
    storage: QuantType,
    path: &Path,
) -> Result<()> {
    let model = Config::from_gguf(base)?;
    let mut changes = changes(lora, &model)?;
    let mut in_order: Vec<_> = base.tensors().iter().collect();
    in_order.sort_by_key(|(_, info)| info.offset);
    let mut tensors = Vec::with_capacity(in_order.len());
    for (name, info) in in_order {
        let (ty, content) = match changes.remove(name) {
            None => (info.ty, Content::Bytes(base.bytes_of(info)?)),
            Some(changes) => {
                let &[columns, rows] = &info.dimensions[..] else {
                    return Err(LlmError::Adapter(format!("{name} is no matrix")));
                };
                let matrix = base.matrix(name, rows, columns)?;
                let ty = match columns.is_multiple_of(storage.block_size()) {
                    true => storage,
                    false => QuantType::F16,
                };
                let make = move |out: &mut dyn std::io::Write| changed(&matrix, &changes, ty, out);
                (ty, Content::Made(Box::new(make)))
            }
        };
        tensors.push(NewTensor {
            name: name.clone(),
            dimensions: info.dimensions.clone(),
            ty,
            content,
        });
    }
    if let Some(name) = changes.keys().next() {
        return Err(LlmError::Adapter(format!(
            "it changes {name}, which this model does not have"
        )));
    }
    write(path, &Metadata::of(base)?, &tensors)
}

/// What changes, by the tensor's name.
fn changes(lora: &LoraWeights, model: &Config) -> Result<BTreeMap<String, Vec<Change>>> {
    let mut changes: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for ((layer, target), f) in lora.factors() {
        let (name, first) = match model.architecture.fused {
            false => (target.gguf_name(), 0),
            true => {
                let (name, parts) = target.fused();
                let before = parts.iter().take_while(|&&part| part != target);
                (name, before.map(|t: &Target| t.shape(model).0).sum())
            }
        };
        let (outputs, inputs) = target.shape(model);
        let rank = lora.config().rank;
        if f.a.dims() != [rank, inputs] || f.b.dims() != [outputs, rank] {
            return Err(LlmError::Adapter(format!(
                "{} of layer {layer} is of another shape than the model's",
                target.name()
            )));
        }
        let values = |t: &candle_core::Tensor| {
            let flat = t.flatten_all().and_then(|t| t.to_vec1::<f32>());
            flat.map_err(failed)
        };
        changes
            .entry(format!("blk.{layer}.{name}.weight"))
            .or_default()
            .push(Change {
                first,
                rows: outputs,
                rank,
                scale: lora.config().scale(),
                a: values(&f.a)?,
                b: values(&f.b)?,
            });
    }
    Ok(changes)
}

/// Writes a tensor's rows with their changes.
fn changed(
    matrix: &QMatrix,
    changes: &[Change],
    ty: QuantType,
    out: &mut dyn std::io::Write,
) -> Result<()> {
    let columns = matrix.cols();
    for start in (0..matrix.rows()).step_by(ROWS) {
        let rows = ROWS.min(matrix.rows() - start);
        let mut values = vec![0.0; rows * columns];
        values
            .par_chunks_exact_mut(columns)
            .enumerate()
            .for_each(|(i, values)| {
                matrix.dequantize_row(start + i, values);
                changes.iter().for_each(|c| c.add_to(start + i, values));
            });
        let encoded = QMatrix::from_f32_quantized(ty, rows, columns, &values)
            .map_err(|e| LlmError::Failed(e.to_string()))?;
        out.write_all(encoded.bytes())?;
    }
    Ok(())
}
