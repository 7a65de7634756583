//! Training passes: a forward pass that gives every token's negative log-likelihood, and a backward pass that takes a weight
//! for every token and adds the gradient of the weighted sum.
//!
//! Supervised fine-tuning and preference objectives are functions of such sums, so a trainer needs no more than these two
//! calls; the weights may depend on what the forward pass gave. [`Decoder::forward_train`] is the reference in tensors.

mod composed;
mod gradients;
mod host;
mod layer;

use candle_core::{Result, Tensor};
use idiolect_kernels::{DropoutMask, Precision};
use idiolect_llm::Token;

use crate::{
    decoder::Decoder,
    lora::{LoraWeights, Target},
};

pub use gradients::Gradients;

/// Whole texts, packed one after another with no padding.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// Their tokens.
    pub tokens: &'a [Token],
    /// How many tokens each has; together all there are.
    pub lengths: &'a [usize],
    /// What each token should be followed by, where that is asked; one entry a token.
    pub targets: &'a [Option<Token>],
}

/// Dropout on what LoRA terms read (Hu et al. 2021 as in PEFT: each linear draws its own).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of the values that are left out, below 1.
    pub probability: f32,
    /// The run's.
    pub seed: u64,
    /// A number that no other pass of the run has. The same number draws the same masks.
    pub pass: u64,
}

impl Dropout {
    pub(crate) fn mask(&self, layer: usize, target: Target) -> DropoutMask {
        let place = [self.seed, self.pass, layer as u64, target as u64];
        DropoutMask::new(self.probability, &place)
    }
}

/// How a pass is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainOptions {
    /// How activations and slopes enter the products with frozen weights. `Int8` is taken as `F32`.
    pub precision: Precision,
    /// Keep each layer's input only and compute the rest again in the backward pass: the same bits, less memory, more time.
    pub recompute: bool,
    /// None: off.
    pub dropout: Option<Dropout>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            precision: Precision::F32,
            recompute: false,
            dropout: None,
        }
    }
}

/// What a forward pass leaves for the backward pass, and memory that the next pass uses again.
#[derive(Debug, Default)]
pub struct Trace {
    kept: Kept,
    host: Box<host::HostTrace>,
}

#[derive(Debug, Default)]
enum Kept {
    /// No forward pass, or its backward pass was done.
    #[default]
    Nothing,
    /// Tensors that know where they came from.
    Graph(Tensor),
    /// What `host` holds.
    Slices,
}

impl Trace {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Decoder {
    /// `-ln p` of each token's target under base + LoRA, 0 where there is none. `trace` is good for one
    /// [`Decoder::train_backward`] with the same `lora`, unchanged since.
    ///
    /// # Errors
    /// Lengths or targets that do not add up, a token beyond the vocabulary, a device failure.
    pub fn train_forward(
        &self,
        texts: &Texts<'_>,
        lora: &LoraWeights,
        options: &TrainOptions,
        trace: &mut Trace,
    ) -> Result<Vec<f32>> {
        self.check_texts(texts)?;
        match self.device().is_cpu() {
            true => self.forward_on_host(texts, lora, options, trace),
            false => self.forward_composed(texts, lora, options, trace),
        }
    }

    /// Adds the gradient of `Σ weights[i] · nll[i]` over the tokens of the last forward pass to `into`.
    ///
    /// # Errors
    /// No forward pass before, another number of weights than it had tokens, gradients of another adapter's shape, a device
    /// failure.
    pub fn train_backward(
        &self,
        trace: &mut Trace,
        weights: &[f32],
        lora: &LoraWeights,
        into: &mut Gradients,
    ) -> Result<()> {
        if !into.is_of(lora) {
            candle_core::bail!("the gradients are another adapter's");
        }
        match std::mem::take(&mut trace.kept) {
            Kept::Nothing => {
                candle_core::bail!("a backward pass needs a forward pass of its own before it")
            }
            Kept::Graph(nll) => composed::backward(&nll, weights, lora, into),
            Kept::Slices => self.backward_on_host(trace, weights, lora, into),
        }
    }

    /// What [`Decoder::train_forward`] gives without dropout, where no gradient is wanted. `trace` lends its memory and holds
    /// nothing afterwards.
    ///
    /// # Errors
    /// As [`Decoder::train_forward`].
    pub fn train_score(
        &self,
        texts: &Texts<'_>,
        lora: Option<&LoraWeights>,
        precision: Precision,
        trace: &mut Trace,
    ) -> Result<Vec<f32>> {
        self.check_texts(texts)?;
        match self.device().is_cpu() {
            true => self.score_on_host(texts, lora, precision, trace),
            false => self.score_composed(texts, lora),
        }
    }

    fn check_texts(&self, texts: &Texts<'_>) -> Result<()> {
        let (tokens, vocabulary) = (texts.tokens.len(), self.config().vocabulary);
        if texts.lengths.iter().sum::<usize>() != tokens {
            candle_core::bail!("the lengths do not add up to the tokens");
        }
        if texts.targets.len() != tokens {
            candle_core::bail!("{} targets for {tokens} tokens", texts.targets.len());
        }
        let targets = texts.targets.iter().flatten();
        if let Some(token) = texts
            .tokens
            .iter()
            .chain(targets)
            .find(|&&t| t as usize >= vocabulary)
        {
            candle_core::bail!("token {token} is beyond the vocabulary of {vocabulary}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use idiolect_kernels::Level;
    use idiolect_llm::testing::TinyGguf;

    use super::*;
    use crate::{gguf::Gguf, lora::LoraConfig};

    /// f32 sums in another order, over two layers.
    const TOLERANCE: f32 = 1e-4;

    /// The reference in tensors draws the same masks.
    #[test]
    fn dropout_agrees_with_the_reference() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        std::fs::write(&path, TinyGguf::default().file().to_bytes()).unwrap();
        let level = Level::detect().unwrap();
        let gguf = Gguf::open(&path).unwrap();
        let decoder = Decoder::from_gguf(&gguf, &Device::Cpu, level).unwrap();
        let config = LoraConfig {
            rank: 4,
            alpha: 8.0,
            targets: Target::ALL.to_vec(),
        };
        let lora = LoraWeights::new(&config, decoder.config(), &Device::Cpu, 1).unwrap();
        for (_, factors) in lora.factors() {
            let b = Tensor::full(0.05_f32, factors.b.shape(), &Device::Cpu).unwrap();
            factors.b.set(&b).unwrap();
        }
        let tokens: Vec<Token> = (0..20).map(|i| i * 11 % 200).collect();
        let texts = Texts {
            tokens: &tokens,
            lengths: &[13, 7],
            targets: &[Some(5); 20],
        };
        let options = TrainOptions {
            dropout: Some(Dropout {
                probability: 0.3,
                seed: 1,
                pass: 9,
            }),
            ..TrainOptions::default()
        };
        let (mut trace, mut own, mut expected) = (
            Trace::new(),
            Gradients::zeros(&lora),
            Gradients::zeros(&lora),
        );
        let nll = decoder.train_forward(&texts, &lora, &options, &mut trace);
        decoder
            .train_backward(&mut trace, &[0.5; 20], &lora, &mut own)
            .unwrap();
        let reference = decoder.forward_composed(&texts, &lora, &options, &mut trace);
        decoder
            .train_backward(&mut trace, &[0.5; 20], &lora, &mut expected)
            .unwrap();
        for (a, b) in nll.unwrap().iter().zip(reference.unwrap()) {
            assert!((a - b).abs() < TOLERANCE, "{a}, {b}");
        }
        for (a, b) in own.tensors().zip(expected.tensors()) {
            let largest = b.iter().fold(1e-3_f32, |most, g| most.max(g.abs()));
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() < TOLERANCE * largest.max(1.0), "{a}, {b}");
            }
        }
    }
}
