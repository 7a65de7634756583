//! How much memory a model will take, before it is taken.

use crate::{config::Config, lora::LoraConfig, score};

/// What a model needs, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    config: Config,
    /// The weights, mapped from the file (the system may drop and read them again), and at most as much once more where
    /// the processor has them laid out anew for drawing tokens.
    pub weights: u64,
    /// Each token of context, of each text generated at the same time.
    pub cache_per_token: u64,
}

/// What is trained on in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingShape {
    /// Tokens in a batch.
    pub tokens: usize,
    /// The adapter.
    pub lora: LoraConfig,
}

impl Estimate {
    pub(crate) fn new(config: &Config, file_bytes: usize) -> Self {
        Self {
            weights: 2 * file_bytes as u64,
            cache_per_token: config.cache_bytes_per_token() as u64,
            config: config.clone(),
        }
    }

    /// Generating with `tokens` of context in all.
    pub fn generation(&self, tokens: usize) -> u64 {
        self.weights + self.cache_per_token * tokens as u64 + self.working(score::ROWS.min(tokens))
    }

    /// Training an adapter. Every layer's activations are kept for the backward pass: the residual twice, both norms, q and k
    /// before and after rotation, v, attention, its output, gate, up, their product and its output.
    pub fn training(&self, shape: &TrainingShape) -> u64 {
        let c = &self.config;
        let row = 6 * c.hidden + 3 * c.q_width() + 3 * c.kv_width() + 3 * c.feed_forward;
        let activations = shape.tokens * c.layers * row * size_of::<f32>();
        // Weights, gradients and Adam's two moments.
        let adapter = 4 * shape.lora.parameters(c) * size_of::<f32>();
        self.weights + (activations + adapter) as u64 + self.working(shape.tokens)
    }

    /// Buffers of a pass over `rows` rows and a block of logits.
    fn working(&self, rows: usize) -> u64 {
        let c = &self.config;
        let row = 4 * c.hidden + 2 * c.q_width() + 3 * c.feed_forward;
        let logits = crate::loss::rows_at_a_time(c.vocabulary) * c.vocabulary;
        ((rows * row + logits) * size_of::<f32>()) as u64
    }
}
