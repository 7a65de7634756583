//! Adapters written for other programs. What was written is read again by the reader that imports use and must give the
//! log-probabilities of the adapter in memory, or nothing is left of it.

use std::{fs, path::Path};

use candle_core::Device;
use idiolect_kernels::QuantType;
use idiolect_llm::{AdapterSource, Cancel, LlmError, Result, ScoreRequest, Token};

use crate::{
    adapters,
    config::Config,
    gguf::{Gguf, Staged},
    lora::{LoraWeights, bake, merge},
    model::{LoadedModel, SCORE_PRECISION},
};

/// Largest mean difference in nats between what is exported and what was read back.
pub const EXPORT_TOLERANCE: f64 = 1e-3;

/// How tensors that an adapter changes are stored in a merged file: the first that passes. Half floats round a 4-bit weight
/// too, which with all linears of a small model can be the whole tolerance; single ones are left for that.
const STORAGES: [QuantType; 3] = [QuantType::Q8_0, QuantType::F16, QuantType::F32];

/// What an export was compared by.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// Mean difference of a token's log-probability from the adapter in memory, nats.
    pub difference: f64,
    /// Tokens compared.
    pub tokens: usize,
    /// How the changed tensors of a merged file are stored.
    pub storage: Option<&'static str>,
}

/// What is exported, and the texts that the export is checked with.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// One adapter, or several that are summed.
    pub adapters: &'a [AdapterSource],
    /// Texts in tokens; some hundred tokens of what the adapter was trained for say most.
    pub texts: &'a [Vec<Token>],
}

impl LoadedModel {
    /// Several adapters of this model as one with the sum of their ranks, which does what they do together. One adapter stays
    /// as it is, and a strength becomes part of its alpha.
    ///
    /// # Errors
    /// Adapters that cannot be read, no adapter that is on, more rank than an adapter may have.
    pub fn stacked(&self, sources: &[AdapterSource]) -> Result<LoraWeights> {
        let on: Vec<&AdapterSource> = sources.iter().filter(|s| s.scale != 0.0).collect();
        if on.is_empty() {
            return Err(LlmError::Adapter("none of them is on".into()));
        }
        let read = |s: &&AdapterSource| -> Result<(LoraWeights, f64)> {
            let lora = adapters::read(&s.dir, self.config(), &Device::Cpu)?;
            Ok((lora, f64::from(s.scale)))
        };
        let stack = on.iter().map(read).collect::<Result<Vec<_>>>()?;
        bake(&stack, &Device::Cpu)
    }

    /// Writes a folder for PEFT at `to`, which must not be there yet. `base` is the model's name in its configuration: where
    /// PEFT is to find the checkpoint.
    ///
    /// # Errors
    /// A difference above [`EXPORT_TOLERANCE`]; adapters that cannot be read; writing; cancelled.
    pub fn export_peft(
        &self,
        what: &Export<'_>,
        base: &str,
        to: &Path,
        cancel: &Cancel,
    ) -> Result<Exported> {
        if to.exists() {
            return Err(LlmError::Failed(
                "there is something at that place already; choose another name".into(),
            ));
        }
        self.written(what, to, cancel, |lora, place| {
            lora.export(place, self.config(), base)
        })
    }

    /// Writes a GGUF adapter for llama.cpp at `to`. `name` is what the file calls itself.
    ///
    /// # Errors
    /// As [`LoadedModel::export_peft`].
    pub fn export_gguf(
        &self,
        what: &Export<'_>,
        name: &str,
        to: &Path,
        cancel: &Cancel,
    ) -> Result<Exported> {
        self.written(what, to, cancel, |lora, place| {
            lora.write_gguf(place, self.config(), name)
        })
    }

    /// Writes the adapters as one, compares what was written with them, and only then gives it its name.
    fn written(
        &self,
        what: &Export<'_>,
        to: &Path,
        cancel: &Cancel,
        write: impl FnOnce(&LoraWeights, &Path) -> Result<()>,
    ) -> Result<Exported> {
        let live = self.scores(what.adapters, what.texts, cancel)?;
        let staged = Staged::new(to)?;
        write(&self.stacked(what.adapters)?, staged.temporary())?;
        let exported = self.compared(&live, &staged, what.texts, cancel)?;
        staged.keep()?;
        Ok(exported)
    }

    /// Writes this model with the adapters in its weights at `to`; `base` is the model's own file. Tensors that they change
    /// become Q8_0, or F16 or F32 where that would change too much; everything else, metadata included, is copied byte for byte. The
    /// check holds the written model in memory beside this one.
    ///
    /// # Errors
    /// As [`LoadedModel::export_peft`]; a `base` that is another model's; `to` being `base`.
    pub fn export_merged(
        &self,
        what: &Export<'_>,
        base: &Path,
        to: &Path,
        cancel: &Cancel,
    ) -> Result<Exported> {
        if to.exists() && fs::canonicalize(to)? == fs::canonicalize(base)? {
            return Err(LlmError::Failed(
                "that is the model's own file; choose another name".into(),
            ));
        }
        let file = Gguf::open(base)?;
        if Config::from_gguf(&file)? != *self.config() {
            return Err(LlmError::Failed(
                "the file is another model's than the one that is loaded".into(),
            ));
        }
        let live = self.scores(what.adapters, what.texts, cancel)?;
        let lora = self.stacked(what.adapters)?;
        let mut differences = Vec::new();
        for storage in STORAGES {
            cancel.check()?;
            let staged = Staged::new(to)?;
            merge(&file, &lora, storage, staged.temporary())?;
            let written = self.beside(staged.temporary())?;
            let scores = written.scores(&[], what.texts, cancel)?;
            drop(written);
            let (difference, tokens) = difference(&live, &scores);
            if difference <= EXPORT_TOLERANCE {
                staged.keep()?;
                return Ok(Exported {
                    difference,
                    tokens,
                    storage: Some(storage.name()),
                });
            }
            differences.push(format!("{difference:.2e} nats as {}", storage.name()));
        }
        Err(too_different(&differences.join(", ")))
    }

    /// Reads an adapter of another program, a PEFT folder or a GGUF file, and writes it as adapters are kept here. `base` is
    /// recorded as the model it belongs to.
    ///
    /// # Errors
    /// [`LlmError::Adapter`] and others saying what of it does not fit; writing.
    pub fn import_adapter(&self, from: &Path, base: &str, to: &Path) -> Result<LoraWeights> {
        let lora = adapters::read(from, self.config(), &Device::Cpu)?;
        lora.save(to, self.config(), base)?;
        Ok(lora)
    }

    /// Log-probabilities of the texts' tokens, text after text.
    fn scores(
        &self,
        adapters: &[AdapterSource],
        texts: &[Vec<Token>],
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        if texts.iter().all(|t| t.len() < 2) {
            return Err(LlmError::Failed("there is no text to check with".into()));
        }
        let request = ScoreRequest {
            continuations: texts.to_vec(),
            adapters: adapters.to_vec(),
            ..ScoreRequest::default()
        };
        let scores = self.score_at(&[request], SCORE_PRECISION, cancel)?;
        Ok(scores.into_iter().flatten().flatten().collect())
    }

    /// How far an adapter that was just written is from the one in memory.
    fn compared(
        &self,
        live: &[f32],
        staged: &Staged,
        texts: &[Vec<Token>],
        cancel: &Cancel,
    ) -> Result<Exported> {
        let source = AdapterSource {
            dir: staged.temporary().to_owned(),
            scale: 1.0,
        };
        let scores = self.scores(&[source], texts, cancel);
        self.forget_adapter(staged.temporary());
        let (difference, tokens) = difference(live, &scores?);
        if difference <= EXPORT_TOLERANCE {
            return Ok(Exported {
                difference,
                tokens,
                storage: None,
            });
        }
        Err(too_different(&format!("{difference:.2e} nats")))
    }
}

/// Mean of the absolute differences, and how many there are. No number is the largest difference of all.
fn difference(a: &[f32], b: &[f32]) -> (f64, usize) {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum();
    let mean = sum / a.len() as f64;
    let comparable = a.len() == b.len() && mean.is_finite();
    (if comparable { mean } else { f64::INFINITY }, a.len())
}

fn too_different(how: &str) -> LlmError {
    LlmError::Adapter(format!(
        "what was written differs from the adapter by {how} a token, and {EXPORT_TOLERANCE:.0e} is the most; nothing was kept"
    ))
}
