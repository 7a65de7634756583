//! The sentence embedder all-MiniLM-L6-v2 on candle-transformers' BERT.

use std::{fs, path::Path};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use idiolect_llm::{Cancel, EmbeddedToken, Embedder, LlmError, Result};
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use crate::{device::default_threads, values::failed};

/// Tokens of a text that are read; the model was trained on no longer ones.
const MAX_TOKENS: usize = 256;
/// Texts run at once.
const BATCH: usize = 16;
/// Larger files are not this model.
const MAX_WEIGHT_BYTES: u64 = 1 << 30;
const MAX_JSON_BYTES: u64 = 16 << 20;

/// A sentence embedder: mean of the last layer's states, scaled to length 1.
pub struct MiniLm {
    model: BertModel,
    tokenizer: Tokenizer,
    dimensions: usize,
    threads: rayon::ThreadPool,
}

impl std::fmt::Debug for MiniLm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MiniLm({} dimensions)", self.dimensions)
    }
}

impl MiniLm {
    /// Loads `model.safetensors`, `tokenizer.json` and `config.json` from `dir`. It runs on the processor.
    ///
    /// # Errors
    /// [`LlmError::Io`], [`LlmError::Corrupt`].
    pub fn load(dir: &Path) -> Result<Self> {
        let config: Config =
            serde_json::from_slice(&read(&dir.join("config.json"), MAX_JSON_BYTES)?)
                .map_err(|e| LlmError::Corrupt(format!("config.json: {e}")))?;
        let mut tokenizer =
            Tokenizer::from_bytes(read(&dir.join("tokenizer.json"), MAX_JSON_BYTES)?)
                .map_err(|e| LlmError::Corrupt(format!("tokenizer.json: {e}")))?;
        let truncation = TruncationParams {
            max_length: MAX_TOKENS,
            ..TruncationParams::default()
        };
        tokenizer
            .with_padding(None)
            .with_truncation(Some(truncation))
            .map_err(|e| LlmError::Corrupt(format!("tokenizer.json: {e}")))?;
        let weights = read(&dir.join("model.safetensors"), MAX_WEIGHT_BYTES)?;
        let damaged = |e| LlmError::Corrupt(format!("model.safetensors: {}", failed(e)));
        let vars = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)
            .map_err(damaged)?;
        let model = BertModel::load(vars, &config).map_err(damaged)?;
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(default_threads())
            .thread_name(|i| format!("embedder-{i}"))
            .build()
            .map_err(|e| LlmError::Failed(format!("threads could not be started: {e}")))?;
        Ok(Self {
            model,
            tokenizer,
            dimensions: config.hidden_size,
            threads,
        })
    }

    /// The last layer's states of texts given as token ids, texts × longest × dimensions, and which of them are no padding,
    /// texts × longest.
    fn states(&self, texts: &[&[u32]]) -> candle_core::Result<(Tensor, Tensor)> {
        let length = texts.iter().map(|t| t.len()).max().unwrap_or(0).max(1);
        let padded = |f: &dyn Fn(&[u32], usize) -> u32| -> candle_core::Result<Tensor> {
            let all: Vec<u32> = texts
                .iter()
                .flat_map(|t| (0..length).map(move |i| f(t, i)))
                .collect();
            Tensor::from_vec(all, (texts.len(), length), &Device::Cpu)
        };
        let ids = padded(&|t, i| t.get(i).copied().unwrap_or(0))?;
        let mask = padded(&|t, i| u32::from(i < t.len()))?;
        let states = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        Ok((states, mask))
    }

    /// Vectors of texts given as token ids, in order.
    fn batch(&self, texts: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let (states, mask) = self.states(texts)?;
        let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let sums = states.broadcast_mul(&mask)?.sum(1)?;
        let means = sums.broadcast_div(&mask.sum(1)?)?;
        normalised(&means)?.to_vec2()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<Encoding>> {
        let failed = |e| LlmError::Failed(format!("the text could not be cut into tokens: {e}"));
        let encode = |text: &&str| self.tokenizer.encode(*text, true).map_err(failed);
        texts.iter().map(encode).collect()
    }

    /// Runs `of` on batches of texts of like length, so that little is spent on padding; results in the texts' order.
    fn in_batches<T: Send + Default + Clone>(
        &self,
        encodings: &[Encoding],
        cancel: &Cancel,
        of: impl Fn(&[&[u32]]) -> candle_core::Result<Vec<T>> + Sync,
    ) -> Result<Vec<T>> {
        let mut order: Vec<usize> = (0..encodings.len()).collect();
        order.sort_by_key(|&i| encodings[i].len());
        let mut out = vec![T::default(); encodings.len()];
        for chunk in order.chunks(BATCH) {
            cancel.check()?;
            let batch: Vec<&[u32]> = chunk.iter().map(|&i| encodings[i].get_ids()).collect();
            let found = self.threads.install(|| of(&batch)).map_err(failed)?;
            for (&i, value) in chunk.iter().zip(found) {
                out[i] = value;
            }
        }
        Ok(out)
    }
}

impl Embedder for MiniLm {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        let encodings = self.encode(texts)?;
        self.in_batches(&encodings, cancel, |batch| self.batch(batch))
    }

    fn embed_tokens(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<EmbeddedToken>>> {
        let encodings = self.encode(texts)?;
        let states = self.in_batches(&encodings, cancel, |batch| {
            normalised(&self.states(batch)?.0)?.to_vec3::<f32>()
        })?;
        let of_text = |(encoding, states): (&Encoding, Vec<Vec<f32>>)| {
            let special = encoding.get_special_tokens_mask();
            let tokens = encoding.get_offsets().iter().zip(special).zip(states);
            tokens
                .filter(|((_, special), _)| **special == 0)
                .map(|((&(start, end), _), vector)| EmbeddedToken {
                    bytes: start..end,
                    vector,
                })
                .collect()
        };
        Ok(encodings.iter().zip(states).map(of_text).collect())
    }
}

/// Scaled to length 1 along the last dimension.
fn normalised(vectors: &Tensor) -> candle_core::Result<Tensor> {
    let norms = vectors
        .sqr()?
        .sum_keepdim(candle_core::D::Minus1)?
        .sqrt()?
        .clamp(1e-12, f32::MAX)?;
    vectors.broadcast_div(&norms)
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let bytes = fs::metadata(path)?.len();
    if bytes > most {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Err(LlmError::Corrupt(format!("{name} has {bytes} bytes")));
    }
    Ok(fs::read(path)?)
}
