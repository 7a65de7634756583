//! What a GGUF file says about its model, for the architectures that the decoder knows.
//!
//! A further architecture is a row of [`ARCHITECTURES`], as long as its layers are those of the decoder.

use idiolect_kernels::RopeStyle;
use idiolect_llm::{LlmError, Result};

use crate::gguf::{Gguf, corrupt};

/// What the metadata do not say because the architecture's name does.
#[derive(Debug, PartialEq)]
pub struct Architecture {
    /// `general.architecture`, which is also the prefix of its metadata keys.
    pub name: &'static str,
    /// Which components of a head are rotated together. The converter that writes `llama` files permutes the rows of
    /// q and k for the interleaved style.
    pub rope: RopeStyle,
}

/// The architectures that can be run.
pub const ARCHITECTURES: &[Architecture] = &[
    // SmolLM2, Llama 2 and 3, Mistral: llama.cpp, src/llama-model.cpp, LLAMA_ROPE_TYPE_NORM.
    Architecture {
        name: "llama",
        rope: RopeStyle::Interleaved,
    },
];

/// More than any published model has; what is beyond is damage.
const MAX_LAYERS: usize = 1024;
const MAX_SIZE: usize = 1 << 20;
const MAX_CONTEXT: usize = 1 << 28;

/// A model's shape and constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which architecture.
    pub architecture: &'static Architecture,
    /// Layers.
    pub layers: usize,
    /// Hidden size.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Components of a head.
    pub head_dim: usize,
    /// Feed-forward size.
    pub feed_forward: usize,
    /// Tokens it was trained to see at once.
    pub context: usize,
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Epsilon of the RMS norms.
    pub rms_eps: f32,
    /// Angle a position, for each rotated pair of a head; scaling is already applied.
    pub inverse_frequencies: Vec<f32>,
}

impl Config {
    /// Reads the configuration and checks that its parts fit each other.
    ///
    /// # Errors
    /// [`LlmError::Unsupported`] for an unknown architecture or variant, [`LlmError::Corrupt`] for nonsense.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let name = gguf
            .text("general.architecture")?
            .ok_or_else(|| corrupt("it does not name its architecture"))?;
        let architecture = ARCHITECTURES
            .iter()
            .find(|a| a.name == name)
            .ok_or_else(|| {
                let known: Vec<_> = ARCHITECTURES.iter().map(|a| a.name).collect();
                LlmError::Unsupported(format!(
                    "its architecture is “{}”; this version runs {}",
                    name.chars().take(40).collect::<String>(),
                    known.join(", ")
                ))
            })?;
        let keys = Keys { gguf, prefix: name };
        if keys.optional("expert_count", 0, MAX_SIZE)? > 1 {
            return Err(LlmError::Unsupported("it is a mixture of experts".into()));
        }
        let layers = keys.required("block_count", MAX_LAYERS)?;
        let hidden = keys.required("embedding_length", MAX_SIZE)?;
        let heads = keys.required("attention.head_count", MAX_SIZE)?;
        let kv_heads = keys.positive("attention.head_count_kv", heads, MAX_SIZE)?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(corrupt(format!(
                "{heads} query heads cannot share {kv_heads} key heads"
            )));
        }
        let head_dim = match keys.optional("attention.key_length", 0, MAX_SIZE)? {
            0 if hidden.is_multiple_of(heads) => hidden / heads,
            0 => {
                return Err(corrupt(format!(
                    "{heads} heads do not divide the hidden size {hidden}"
                )));
            }
            given => given,
        };
        if keys.optional("attention.value_length", head_dim, MAX_SIZE)? != head_dim {
            return Err(LlmError::Unsupported(
                "its keys and values differ in length".into(),
            ));
        }
        if keys.optional("attention.sliding_window", 0, MAX_CONTEXT)? != 0 {
            return Err(LlmError::Unsupported(
                "it attends in a sliding window".into(),
            ));
        }
        let rotated = keys.optional("rope.dimension_count", head_dim, head_dim)?;
        if rotated == 0 || !rotated.is_multiple_of(2) {
            return Err(corrupt(format!(
                "{rotated} rotated components are not pairs"
            )));
        }
        let vocabulary = match gguf
            .tensors()
            .get("token_embd.weight")
            .map(|t| &t.dimensions[..])
        {
            Some(&[cols, rows]) if cols == hidden && rows <= MAX_SIZE * 4 => rows,
            Some(other) => {
                return Err(corrupt(format!(
                    "the embedding table is {other:?} for a hidden size of {hidden}"
                )));
            }
            None => return Err(corrupt("the embedding table is missing")),
        };
        let rms_eps = keys
            .number("attention.layer_norm_rms_epsilon")?
            .filter(|e| *e > 0.0 && *e < 1.0)
            .ok_or_else(|| corrupt("the epsilon of its norms is missing or out of range"))?;
        Ok(Self {
            architecture,
            layers,
            hidden,
            heads,
            kv_heads,
            head_dim,
            feed_forward: keys.required("feed_forward_length", MAX_SIZE)?,
            context: keys.required("context_length", MAX_CONTEXT)?,
            vocabulary,
            rms_eps: rms_eps as f32,
            inverse_frequencies: inverse_frequencies(&keys, rotated)?,
        })
    }

    /// Values in a key or value row: `kv_heads * head_dim`.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Values in a query row: `heads * head_dim`.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Bytes that a token takes in the cache.
    pub fn cache_bytes_per_token(&self) -> usize {
        self.layers * 2 * self.kv_width() * size_of::<f32>()
    }
}

/// `base^(-2i / n)` (Su et al. 2021), divided by the linear scale or by Llama 3's factor for that pair.
fn inverse_frequencies(keys: &Keys<'_>, rotated: usize) -> Result<Vec<f32>> {
    let base = keys.number("rope.freq_base")?.unwrap_or(10_000.0);
    if base <= 1.0 {
        return Err(corrupt(format!("its rotation base is {base}")));
    }
    let scale = match keys.text("rope.scaling.type")? {
        None | Some("none") => 1.0,
        Some("linear") => keys.number("rope.scaling.factor")?.unwrap_or(1.0),
        Some(other) => {
            return Err(LlmError::Unsupported(format!(
                "its positions are scaled by “{}”",
                other.chars().take(40).collect::<String>()
            )));
        }
    };
    let pairs = rotated / 2;
    let factors = if keys.gguf.tensors().contains_key("rope_freqs.weight") {
        keys.gguf.vector("rope_freqs.weight", pairs)?
    } else {
        vec![1.0; pairs]
    };
    if !(scale > 0.0 && factors.iter().all(|f| f.is_finite() && *f > 0.0)) {
        return Err(corrupt("its position scaling is not positive"));
    }
    Ok(factors
        .iter()
        .enumerate()
        .map(|(i, factor)| {
            (base.powf(-2.0 * i as f64 / rotated as f64) / scale / f64::from(*factor)) as f32
        })
        .collect())
}

/// Metadata under the architecture's prefix.
struct Keys<'a> {
    gguf: &'a Gguf,
    prefix: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn optional(&self, name: &str, default: usize, most: usize) -> Result<usize> {
        let key = self.key(name);
        match self.gguf.count(&key)? {
            None => Ok(default),
            Some(n) if n <= most => Ok(n),
            Some(n) => Err(corrupt(format!("{key} is {n}"))),
        }
    }

    fn positive(&self, name: &str, default: usize, most: usize) -> Result<usize> {
        match self.optional(name, default, most)? {
            0 => Err(corrupt(format!("{} is 0", self.key(name)))),
            n => Ok(n),
        }
    }

    fn required(&self, name: &str, most: usize) -> Result<usize> {
        if self.gguf.count(&self.key(name))?.is_none() {
            return Err(corrupt(format!("{} is missing", self.key(name))));
        }
        self.positive(name, 0, most)
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.gguf.number(&self.key(name))
    }

    fn text(&self, name: &str) -> Result<Option<&str>> {
        self.gguf.text(&self.key(name))
    }
}
