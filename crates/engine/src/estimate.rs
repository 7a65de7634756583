//! How much memory a model will take, before it is taken.
//!
//! Too little would end in a killed program, so the sum is an upper one: for SmolLM2 135M and a prompt of 1,024 tokens 1.15 times
//! the measured peak of a whole process, 1.21 times by the reference (the engine's tests hold it to that order).

use idiolect_kernels::{Level, packed_bytes};

use crate::{config::Config, gguf::Gguf, lora::LoraConfig, score};

/// What a model needs, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    config: Config,
    /// The weights: those that are laid out anew, and of the others what the file holds (the system may drop that and read
    /// it again).
    pub weights: u64,
    /// Each token of context, of each text generated at the same time.
    pub cache_per_token: u64,
}

/// What a model needs for a number of tokens, part by part, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// The weights.
    pub weights: u64,
    /// Keys and values of the tokens.
    pub cache: u64,
    /// Buffers of a pass, logits, the tokenizer.
    pub working: u64,
}

impl Parts {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.working
    }
}

/// What is trained on in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingShape {
    /// Tokens in a batch.
    pub tokens: usize,
    /// The adapter.
    pub lora: LoraConfig,
    /// Whether only what enters each layer is kept, and the rest computed again.
    pub recompute: bool,
}

impl Estimate {
    pub(crate) fn new(config: &Config, gguf: &Gguf) -> Self {
        let level = Level::detect().unwrap_or(Level::Reference);
        Self::at_level(config, gguf, level)
    }

    pub(crate) fn at_level(config: &Config, gguf: &Gguf, level: Level) -> Self {
        let tensors = gguf.tensors();
        // Rows of the embedding are looked up as they are stored; as the head it is multiplied with.
        let tied = !tensors.contains_key("output.weight");
        let (mut packed, mut stored) = (0, 0);
        for (name, tensor) in tensors {
            let [cols, rows] = tensor.dimensions[..] else {
                continue;
            };
            if (tied || name != "token_embd.weight")
                && let Some(bytes) = packed_bytes(tensor.ty, rows, cols, level)
            {
                packed += bytes;
                stored += tensor.bytes;
            }
        }
        Self {
            weights: (gguf.file_bytes() - stored + packed) as u64,
            cache_per_token: config.cache_bytes_per_token() as u64,
            config: config.clone(),
        }
    }

    /// Tokens that the model was trained to see at once.
    pub fn context(&self) -> usize {
        self.config.context
    }

    /// Generating with `tokens` of context in all, part by part.
    pub fn parts(&self, tokens: usize) -> Parts {
        Parts {
            weights: self.weights,
            cache: self.cache_per_token * tokens as u64,
            working: self.working(score::ROWS.min(tokens)),
        }
    }

    /// Generating with `tokens` of context in all.
    pub fn generation(&self, tokens: usize) -> u64 {
        self.parts(tokens).total()
    }

    /// Training an adapter. Of every layer the backward pass reads the residual stream before it and in its middle, the rotated q and
    /// k, v, attention, gate, up, and what the adapter's first factors gave; where heads or outputs are normed, also what was normed.
    pub fn training(&self, shape: &TrainingShape) -> u64 {
        let c = &self.config;
        let (heads, outputs) = (c.architecture.head_norms, c.architecture.post_norms);
        let kept = (2 + 2 * usize::from(outputs)) * c.hidden
            + 2 * c.q_width()
            + 2 * c.kv_width()
            + usize::from(heads) * (c.q_width() + c.kv_width())
            + 2 * c.feed_forward
            + c.heads
            + shape.lora.targets.len() * shape.lora.rank;
        // Of the layer at hand: its values again, and their gradients.
        let at_hand = 6 * c.hidden + 3 * c.q_width() + 3 * c.kv_width() + 4 * c.feed_forward;
        let row = if shape.recompute {
            c.layers * c.hidden + kept + at_hand
        } else {
            c.layers * kept + at_hand
        };
        let activations = shape.tokens * row * size_of::<f32>();
        // Weights, gradients, Adam's two moments, and the best weights so far.
        let adapter = 5 * shape.lora.parameters(c) * size_of::<f32>();
        self.weights + (activations + adapter) as u64 + self.working(shape.tokens)
    }

    /// Buffers of a pass over `rows` rows and a block of logits.
    fn working(&self, rows: usize) -> u64 {
        let c = &self.config;
        let row = 4 * c.hidden + 2 * c.q_width() + 3 * c.feed_forward;
        let logits = crate::loss::rows_at_a_time(c.vocabulary) * c.vocabulary;
        ((rows * row + logits) * size_of::<f32>() + c.vocabulary * TOKEN) as u64
    }
}

/// Bytes that the tokenizer holds of a token: its spelling several times, merges, maps (measured).
const TOKEN: usize = 400;
