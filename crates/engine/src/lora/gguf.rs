//! Adapters as GGUF files, as llama.cpp reads and writes them (its src/llama-adapter.cpp and convert_lora_to_gguf.py): a pair
//! `NAME.lora_a`, `NAME.lora_b` for each tensor NAME of the model, rows in the order of the model's file, and one alpha, whose
//! factor is `alpha / r` with the r of each pair, or 1 where alpha is 0 or absent.

use std::{collections::BTreeMap, path::Path};

use candle_core::{Device, Tensor};
use idiolect_kernels::QuantType;
use idiolect_llm::{LlmError, Result};

use super::{
    LoraWeights, MAX_RANK, MAX_WEIGHT_BYTES, Target,
    fused::{JOINED, put_together, take_apart},
    stack::{Loose, Pairs},
};
use crate::{
    config::Config,
    gguf::{Content, Gguf, Metadata, NewTensor, shown, write},
    values::failed,
};

const TYPE: &str = "general.type";
const ARCHITECTURE: &str = "general.architecture";
const KIND: &str = "adapter.type";
const ALPHA: &str = "adapter.lora.alpha";
/// Tokens after which alone an adapter is to be on (aLoRA).
const INVOCATION: &str = "adapter.alora.invocation_tokens";

/// The tensor that holds a target's rows.
fn tensor_name(layer: usize, target: Target, model: &Config) -> String {
    let name = match model.architecture.fused {
        true => target.fused().0,
        false => target.gguf_name(),
    };
    format!("blk.{layer}.{name}.weight")
}

impl LoraWeights {
    /// Writes them as a GGUF file in f32, whole or not at all. `name` is what the file calls itself.
    ///
    /// # Errors
    /// When writing fails.
    pub(crate) fn write_gguf(&self, path: &Path, model: &Config, name: &str) -> Result<()> {
        let (alpha, rank) = (self.config.alpha, self.config.rank);
        let mut named: BTreeMap<(usize, String), Loose> = BTreeMap::new();
        let mut pairs = self.loose()?;
        if model.architecture.fused {
            for layer in 0..model.layers {
                for first in JOINED {
                    let Some(mut joined) = put_together(layer, first, &pairs, model)? else {
                        continue;
                    };
                    // The file's one alpha is divided by the larger rank.
                    let lost = joined.rank() as f64 / rank as f64;
                    joined.b = (joined.b * lost).map_err(failed)?;
                    named.insert((layer, tensor_name(layer, first, model)), joined);
                    for part in first.fused().1 {
                        pairs.remove(&(layer, part));
                    }
                }
            }
        }
        for ((layer, target), pair) in pairs {
            named.insert((layer, tensor_name(layer, target, model)), pair);
        }
        let mut tensors = Vec::with_capacity(2 * named.len());
        for ((_, name), pair) in &named {
            for (end, factor) in [("a", &pair.a), ("b", &pair.b)] {
                let (rows, columns) = factor.dims2().map_err(failed)?;
                let factor = factor.clone();
                tensors.push(NewTensor {
                    name: format!("{name}.lora_{end}"),
                    dimensions: vec![columns, rows],
                    ty: QuantType::F32,
                    content: Content::Made(Box::new(move |out| {
                        let values = factor.flatten_all().and_then(|f| f.to_vec1::<f32>());
                        for value in values.map_err(failed)? {
                            out.write_all(&value.to_le_bytes())?;
                        }
                        Ok(())
                    })),
                });
            }
        }
        let metadata = Metadata::new()
            .text(ARCHITECTURE, model.architecture.name)
            .text(TYPE, "adapter")
            .text("general.name", name)
            .text(KIND, "lora")
            .float(ALPHA, alpha as f32);
        write(path, &metadata, &tensors)
    }

    /// Reads a GGUF adapter for a model of this shape; every tensor in it must fit.
    ///
    /// # Errors
    /// [`LlmError::Adapter`] saying what does not fit; [`LlmError::Corrupt`], [`LlmError::Unsupported`], [`LlmError::Io`].
    pub fn load_gguf(path: &Path, model: &Config, device: &Device) -> Result<Self> {
        let refuse = |why: String| Err(LlmError::Adapter(why));
        let gguf = Gguf::open(path)?;
        if gguf.file_bytes() as u64 > MAX_WEIGHT_BYTES {
            return refuse(format!("its file has {} bytes", gguf.file_bytes()));
        }
        if gguf.text(TYPE)? != Some("adapter") {
            return refuse("it is a model and not an adapter; import it as a model".into());
        }
        if gguf.text(KIND)? != Some("lora") {
            return refuse("it is not a LoRA".into());
        }
        let architecture = gguf.text(ARCHITECTURE)?.unwrap_or_default();
        if architecture != model.architecture.name {
            return refuse(format!(
                "it is for a model of the architecture “{}”, and this one is {}",
                shown(architecture),
                model.architecture.name
            ));
        }
        if gguf.numbers(INVOCATION)?.is_some() {
            return refuse("it is to be on after certain tokens only".into());
        }
        let alpha = gguf.number(ALPHA)?.unwrap_or(0.0);
        let mut unread: Vec<&String> = gguf.tensors().keys().collect();
        let mut pairs = Pairs::new();
        for layer in 0..model.layers {
            let fused = model.architecture.fused;
            for target in Target::ALL {
                if fused && target.fused().1[0] != target {
                    continue;
                }
                let name = tensor_name(layer, target, model);
                let Some((a, b)) = factors(&gguf, &name)? else {
                    continue;
                };
                unread
                    .retain(|n| **n != format!("{name}.lora_a") && **n != format!("{name}.lora_b"));
                let rank = a.dims()[0];
                let alpha = if alpha == 0.0 { rank as f64 } else { alpha };
                let key = (layer, target);
                if fused && JOINED.contains(&target) {
                    pairs.extend(take_apart(layer, target, (&a, &b, alpha), model)?);
                } else {
                    pairs.insert(key, Loose::new(key, &a, &b, alpha, model)?);
                }
            }
        }
        match unread.first() {
            Some(name) => refuse(format!(
                "it changes “{}”, which is no linear of this model's layers",
                shown(name)
            )),
            None => Self::from_loose(pairs, device),
        }
    }
}

/// A tensor's pair, if the file has it.
fn factors(gguf: &Gguf, name: &str) -> Result<Option<(Tensor, Tensor)>> {
    let names = ["a", "b"].map(|end| format!("{name}.lora_{end}"));
    let [a, b] = match names.each_ref().map(|n| gguf.tensors().get(n)) {
        [None, None] => return Ok(None),
        [Some(a), Some(b)] => [a, b],
        _ => {
            return Err(LlmError::Adapter(format!(
                "it has one factor of {name} and not the other"
            )));
        }
    };
    let (&[inputs, rank], &[of_b, outputs]) = (&a.dimensions[..], &b.dimensions[..]) else {
        return Err(LlmError::Adapter(format!(
            "the factors of {name} are no matrices"
        )));
    };
    // Before anything is allocated; the model's sizes are compared by the caller.
    if rank != of_b || rank > MAX_RANK {
        return Err(LlmError::Adapter(format!(
            "the factors of {name} are of ranks {rank} and {of_b}"
        )));
    }
    let matrix = |name: &str, rows: usize, columns: usize| -> Result<Tensor> {
        let values = gguf.matrix(name, rows, columns)?.dequantize();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).map_err(failed)
    };
    Ok(Some((
        matrix(&names[0], rank, inputs)?,
        matrix(&names[1], outputs, rank)?,
    )))
}
