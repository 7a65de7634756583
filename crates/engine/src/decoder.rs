//! The decoder, once for inference and training: norm, attention, norm, gated feed-forward, layer after layer.
//!
//! What differs between the two — where keys and values lie, whether gradients are kept — is behind [`Pass`].

use std::{ops::Range, sync::Arc};

use candle_core::{Device, Result, Tensor};
use idiolect_kernels::{AttentionShape, Level, Precision, QMatrix, attention_over_cache, pack};
use idiolect_llm::{LlmError, Steering, Token};

use crate::{
    config::Config,
    gguf::{Gguf, corrupt},
    kv::KvCache,
    linear::{Linear, Patch, Weight},
    lora::{Adapter, LoraWeights, Target},
    ops::{Norm, Rotation, add, attend_composed, attention, swiglu},
    values::{failed, tensor, values},
};

/// A model's weights and how to run them.
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    device: Device,
    level: Level,
    embedding: Weight,
    layers: Vec<Layer>,
    norm: Norm,
    head: Linear,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Norm,
    feed_forward_norm: Norm,
    /// By [`Target`].
    linears: Vec<Linear>,
}

/// Rows of a sequence whose hidden states are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Only the cache is to be filled.
    Nothing,
    /// The last row.
    Last,
    /// Every row.
    All,
}

/// What a call does with one sequence.
pub struct Sequence<'a> {
    /// Its tokens so far.
    pub cache: &'a mut KvCache,
    /// The tokens to run.
    pub tokens: &'a [Token],
    /// With branches given, `tokens` are theirs one after another, and the cache is left as it was. Without, the tokens
    /// continue the cache.
    pub branches: Option<&'a [Branch]>,
    /// An adapter and how strongly it is on.
    pub adapter: Option<(&'a Adapter, f32)>,
    /// Directions added to the hidden states of all its rows.
    pub steer: &'a [Steering],
    /// Which rows are wanted.
    pub wanted: Wanted,
}

impl<'a> Sequence<'a> {
    /// The plain case: tokens that continue the cache, every row wanted.
    pub fn new(cache: &'a mut KvCache, tokens: &'a [Token]) -> Self {
        Self {
            cache,
            tokens,
            branches: None,
            adapter: None,
            steer: &[],
            wanted: Wanted::All,
        }
    }
}

/// Some tokens of a tree that grows from the end of a cache. Branches come in the order of a walk that finishes a branch's
/// offspring before its next sibling; then the newest tokens at the positions before a branch are those it continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// How many tokens behind the cache's it starts; it sees the newest ones at those positions. 0: directly after the cache.
    pub after: usize,
    /// Its tokens, each seeing those before it.
    pub length: usize,
}

/// Called with a layer's number and the hidden states after it, `[rows, hidden]`.
pub type Hook<'a> = &'a mut dyn FnMut(usize, &Tensor);

impl Decoder {
    /// Takes the weights from a file; on the processor they stay mapped.
    ///
    /// # Errors
    /// [`LlmError::Corrupt`] when tensors are missing or misshapen, [`LlmError::Unsupported`] when there are tensors that
    /// this decoder would leave out of the computation.
    pub fn from_gguf(gguf: &Gguf, device: &Device, level: Level) -> idiolect_llm::Result<Self> {
        let config = Config::from_gguf(gguf)?;
        // Checked before the layers are built: a lie about their number must not cost memory.
        if config.layers > gguf.tensors().len() {
            return Err(corrupt(format!(
                "{} layers with {} tensors",
                config.layers,
                gguf.tensors().len()
            )));
        }
        let mut used = vec!["rope_freqs.weight".to_owned()];
        let mut matrix = |name: String, rows: usize, cols: usize| {
            let matrix = gguf.matrix(&name, rows, cols)?;
            used.push(name);
            Weight::new(matrix, device).map_err(failed)
        };
        let embedding = matrix("token_embd.weight".into(), config.vocabulary, config.hidden)?;
        let head = if gguf.tensors().contains_key("output.weight") {
            matrix("output.weight".into(), config.vocabulary, config.hidden)?
        } else {
            embedding.clone()
        };
        let mut linears = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            let mut row = Vec::with_capacity(Target::ALL.len());
            for target in Target::ALL {
                let (outputs, inputs) = target.shape(&config);
                let name = format!("blk.{layer}.{}.weight", target.gguf_name());
                row.push(Linear::new(matrix(name, outputs, inputs)?, level));
            }
            linears.push(row);
        }
        let mut norm = |name: String| {
            let weight = gguf.vector(&name, config.hidden)?;
            used.push(name);
            Norm::new(weight, config.rms_eps, level, device).map_err(failed)
        };
        let output_norm = norm("output_norm.weight".into())?;
        let mut layers = Vec::with_capacity(config.layers);
        for (layer, linears) in linears.into_iter().enumerate() {
            layers.push(Layer {
                attention_norm: norm(format!("blk.{layer}.attn_norm.weight"))?,
                feed_forward_norm: norm(format!("blk.{layer}.ffn_norm.weight"))?,
                linears,
            });
        }
        if let Some(unknown) = gguf.tensors().keys().find(|name| !used.contains(name)) {
            return Err(LlmError::Unsupported(format!(
                "it has a tensor “{}” that this version would leave out",
                unknown.chars().take(60).collect::<String>()
            )));
        }
        let mut head = Linear::new(head, level);
        let mut matrices: Vec<&mut QMatrix> = layers
            .iter_mut()
            .flat_map(|layer| &mut layer.linears)
            .chain([&mut head])
            .filter_map(Linear::quantized_mut)
            .collect();
        pack(&mut matrices, level)
            .map_err(|e| LlmError::OutOfMemory(format!("the weights do not fit: {e}")))?;
        Ok(Self {
            config,
            device: device.clone(),
            level,
            embedding,
            layers,
            norm: output_norm,
            head,
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Instructions in use on the processor.
    pub fn level(&self) -> Level {
        self.level
    }

    /// An empty cache with room for `tokens`.
    ///
    /// # Errors
    /// When the device has no memory.
    pub fn cache(&self, tokens: usize) -> Result<KvCache> {
        KvCache::new(&self.config, &self.device, tokens)
    }

    /// Runs the tokens of several sequences in one packed batch and gives the normed hidden states of the wanted rows,
    /// `[rows, hidden]`, in order. A row's result does not depend on the other sequences.
    ///
    /// # Errors
    /// A token beyond the vocabulary, a device failure.
    pub fn forward(
        &self,
        sequences: &mut [Sequence<'_>],
        precision: Precision,
        hook: Option<Hook<'_>>,
    ) -> Result<Tensor> {
        let tokens: Vec<Token> = sequences.iter().flat_map(|s| s.tokens).copied().collect();
        if tokens.is_empty() {
            return Tensor::zeros(
                (0, self.config.hidden),
                candle_core::DType::F32,
                &self.device,
            );
        }
        let mut positions = Vec::with_capacity(tokens.len());
        let mut wanted = Vec::new();
        let mut pieces = Vec::new();
        for (index, s) in sequences.iter_mut().enumerate() {
            let (first, at) = (positions.len(), s.cache.len());
            let whole = [Branch {
                after: 0,
                length: s.tokens.len(),
            }];
            let branches = s.branches.unwrap_or(&whole);
            s.cache.reserve(at + reach(branches, s.tokens.len())?)?;
            for branch in branches.iter().filter(|b| b.length > 0) {
                let at = at + branch.after;
                pieces.push(Piece {
                    sequence: index,
                    rows: positions.len()..positions.len() + branch.length,
                    at,
                });
                positions.extend(at..at + branch.length);
            }
            match s.wanted {
                Wanted::Nothing => {}
                Wanted::Last => {
                    wanted.extend(positions.len().checked_sub(1).filter(|&last| last >= first))
                }
                Wanted::All => wanted.extend(first..positions.len()),
            }
        }
        let patches = self.patched_rows(sequences);
        let steered = self.steered_rows(sequences)?;
        let mut pass = Inference {
            decoder: self,
            sequences,
            pieces,
            patches,
            steered,
            precision,
        };
        let mut x = self.run(&tokens, &positions, &mut pass, hook)?;
        for s in pass.sequences.iter_mut().filter(|s| s.branches.is_none()) {
            s.cache.advance(s.tokens.len());
        }
        if wanted.len() < tokens.len() {
            let rows: Vec<u32> = wanted.iter().map(|&r| r as u32).collect();
            let rows = Tensor::from_vec(rows, wanted.len(), &self.device)?;
            x = x.index_select(&rows, 0)?;
        }
        self.norm.forward(&x)
    }

    /// The logits of normed hidden states `[rows, hidden]`: `[rows, vocabulary]`.
    ///
    /// # Errors
    /// A device failure.
    pub fn logits(&self, hidden: &Tensor, precision: Precision) -> Result<Tensor> {
        self.head.infer(hidden, Vec::new(), precision)
    }

    /// The quantized head where there is one, for losses that go through the vocabulary piece by piece.
    pub(crate) fn head(&self) -> &Linear {
        &self.head
    }

    /// Whole texts for training, packed one after another with no padding: `lengths` sum to `tokens.len()`. Gives the normed
    /// hidden states `[tokens, hidden]`, differentiable with respect to the tensors of `lora`. Activations are f32.
    ///
    /// # Errors
    /// Lengths that do not add up, a token beyond the vocabulary, a device failure.
    pub fn forward_train(
        &self,
        tokens: &[Token],
        lengths: &[usize],
        lora: Option<&LoraWeights>,
    ) -> Result<Tensor> {
        if lengths.iter().sum::<usize>() != tokens.len() {
            candle_core::bail!("the lengths do not add up to the tokens");
        }
        let positions: Vec<usize> = lengths.iter().flat_map(|&n| 0..n).collect();
        let mut pass = Training {
            decoder: self,
            lengths: lengths.into(),
            lora,
        };
        let x = self.run(tokens, &positions, &mut pass, None)?;
        self.norm.forward(&x)
    }

    fn run(
        &self,
        tokens: &[Token],
        positions: &[usize],
        pass: &mut dyn Pass,
        mut hook: Option<Hook<'_>>,
    ) -> Result<Tensor> {
        let config = &self.config;
        let rotation = Rotation::new(
            &config.inverse_frequencies,
            positions,
            config.architecture.rope,
            &self.device,
        )?;
        let mut x = self.embed(tokens)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let h = layer.attention_norm.forward(&x)?;
            let linear = |target: Target, x: &Tensor, pass: &dyn Pass| {
                pass.linear(i, target, &layer.linears[target as usize], x)
            };
            let q = rotation.forward(&linear(Target::Query, &h, pass)?, config.heads)?;
            let k = rotation.forward(&linear(Target::Key, &h, pass)?, config.kv_heads)?;
            let v = linear(Target::Value, &h, pass)?;
            let attended = pass.attention(i, &q, &k, &v)?;
            x = add(&x, &linear(Target::Output, &attended, pass)?)?;
            let h = layer.feed_forward_norm.forward(&x)?;
            let (gate, up) = (
                linear(Target::Gate, &h, pass)?,
                linear(Target::Up, &h, pass)?,
            );
            let gated = swiglu(&gate, &up, self.level)?;
            x = add(&x, &linear(Target::Down, &gated, pass)?)?;
            if let Some(moved) = pass.steered(i, &x)? {
                x = moved;
            }
            if let Some(hook) = &mut hook {
                hook(i, &x);
            }
        }
        Ok(x)
    }

    /// Rows of the embedding table; the table itself is never dequantized on the processor.
    fn embed(&self, tokens: &[Token]) -> Result<Tensor> {
        let hidden = self.config.hidden;
        if let Some(token) = tokens
            .iter()
            .find(|&&t| t as usize >= self.config.vocabulary)
        {
            candle_core::bail!(
                "token {token} is beyond the vocabulary of {}",
                self.config.vocabulary
            );
        }
        match &self.embedding {
            Weight::Quantized(table) => {
                let mut rows = vec![0.0; tokens.len() * hidden];
                for (row, &token) in rows.chunks_exact_mut(hidden).zip(tokens) {
                    table.dequantize_row(token as usize, row);
                }
                tensor(rows, (tokens.len(), hidden))
            }
            Weight::Dense(table) => {
                table.index_select(&Tensor::from_slice(tokens, tokens.len(), &self.device)?, 0)
            }
        }
    }

    fn attention_shape(&self) -> AttentionShape {
        AttentionShape {
            heads: self.config.heads,
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
            scale: 1.0 / (self.config.head_dim as f32).sqrt(),
            window: None,
        }
    }

    /// Rows that directions are added to, those that are off left out.
    fn steered_rows<'s>(
        &self,
        sequences: &[Sequence<'s>],
    ) -> Result<Vec<(Range<usize>, &'s Steering)>> {
        let mut steered = Vec::new();
        let mut at = 0;
        for s in sequences {
            let rows = at..at + s.tokens.len();
            at = rows.end;
            for steering in s.steer {
                steering_fits(steering, &self.config)?;
                if steering.scale != 0.0 && !rows.is_empty() {
                    steered.push((rows.clone(), steering));
                }
            }
        }
        Ok(steered)
    }

    /// Rows under an adapter; neighbours under the same one at the same scale are one stretch.
    fn patched_rows(&self, sequences: &[Sequence<'_>]) -> Vec<(Range<usize>, Adapter, f32)> {
        let mut stretches: Vec<(Range<usize>, Adapter, f32)> = Vec::new();
        let mut at = 0;
        for s in sequences {
            let rows = at..at + s.tokens.len();
            at = rows.end;
            let Some((adapter, scale)) = s.adapter.filter(|(_, scale)| *scale != 0.0) else {
                continue;
            };
            match stretches.last_mut() {
                Some((last, same, strength))
                    if last.end == rows.start && same.is_same(adapter) && *strength == scale =>
                {
                    last.end = rows.end;
                }
                _ => stretches.push((rows, adapter.clone(), scale)),
            }
        }
        stretches
    }
}

/// What inference and training do differently.
trait Pass {
    fn linear(&self, layer: usize, target: Target, linear: &Linear, x: &Tensor) -> Result<Tensor>;
    fn attention(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor>;
    /// The hidden states after a layer with what is added to them there, where something is.
    fn steered(&self, _layer: usize, _x: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// How far branches reach behind the cache's tokens.
fn reach(branches: &[Branch], tokens: usize) -> Result<usize> {
    let (mut sum, mut written, mut farthest) = (0, 0, 0);
    for branch in branches.iter().filter(|b| b.length > 0) {
        if branch.after > written {
            candle_core::bail!("a branch starts where no branch before it has ended");
        }
        sum += branch.length;
        written = branch.after + branch.length;
        farthest = farthest.max(written);
    }
    if sum != tokens {
        candle_core::bail!("the branches do not add up to the sequence's tokens");
    }
    Ok(farthest)
}

fn steering_fits(steering: &Steering, config: &Config) -> Result<()> {
    let (layer, width) = (steering.layer, steering.vector.len());
    if layer >= config.layers {
        candle_core::bail!(
            "a direction is to be added after layer {layer}, and the model has {} (counted from 0)",
            config.layers
        );
    }
    if width != config.hidden {
        candle_core::bail!(
            "a direction has {width} components, and hidden states have {}",
            config.hidden
        );
    }
    if !steering.scale.is_finite() || steering.vector.iter().any(|v| !v.is_finite()) {
        candle_core::bail!("a direction or its scale is not a finite number");
    }
    Ok(())
}

/// Rows that follow position `at` of a sequence's cache.
struct Piece {
    sequence: usize,
    rows: Range<usize>,
    at: usize,
}

struct Inference<'a, 'b, 's> {
    decoder: &'a Decoder,
    sequences: &'b mut [Sequence<'s>],
    pieces: Vec<Piece>,
    patches: Vec<(Range<usize>, Adapter, f32)>,
    steered: Vec<(Range<usize>, &'s Steering)>,
    precision: Precision,
}

impl Pass for Inference<'_, '_, '_> {
    fn linear(&self, layer: usize, target: Target, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        let patches = self
            .patches
            .iter()
            .filter_map(|(rows, adapter, scale)| {
                let pair = adapter.pair(layer, target)?.clone();
                Some(Patch {
                    rows: rows.clone(),
                    pair,
                    scale: scale * adapter.scale(),
                })
            })
            .collect();
        linear.infer(x, patches, self.precision)
    }

    fn steered(&self, layer: usize, x: &Tensor) -> Result<Option<Tensor>> {
        let here: Vec<_> = self
            .steered
            .iter()
            .filter(|(_, s)| s.layer == layer)
            .collect();
        if here.is_empty() {
            return Ok(None);
        }
        let width = x.dim(1)?;
        let mut sums: Vec<f32> = x.flatten_all()?.to_vec1()?;
        for (rows, steering) in here {
            for row in sums[rows.start * width..rows.end * width].chunks_exact_mut(width) {
                for (to, from) in row.iter_mut().zip(steering.vector.iter()) {
                    *to += steering.scale * from;
                }
            }
        }
        Ok(Some(Tensor::from_vec(sums, x.shape(), x.device())?))
    }

    /// Piece by piece: its keys and values are written behind the cache's tokens, then its rows look at both. The pieces of
    /// branched sequences overwrite each other there, which is how a prefix is shared without copying it.
    fn attention(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let shape = self.decoder.attention_shape();
        let (rows, width) = q.dims2()?;
        if !q.device().is_cpu() {
            let mut parts = Vec::with_capacity(self.pieces.len());
            for piece in &self.pieces {
                let part = |x: &Tensor| x.narrow(0, piece.rows.start, piece.rows.len());
                let cache = &self.sequences[piece.sequence].cache;
                let [keys, vals] = cache.write(layer, piece.at, &part(k)?, &part(v)?)?;
                let seen = piece.at + piece.rows.len();
                let q = part(q)?
                    .reshape((piece.rows.len(), shape.heads, shape.head_dim))?
                    .transpose(0, 1)?;
                parts.push(attend_composed(
                    &q,
                    &keys.narrow(1, 0, seen)?,
                    &vals.narrow(1, 0, seen)?,
                    &shape,
                    piece.at,
                )?);
            }
            return Tensor::cat(&parts, 0);
        }
        let mut out = vec![0.0; rows * width];
        let (q, k, v) = (values(q)?, values(k)?, values(v)?);
        let kv_width = shape.kv_heads * shape.head_dim;
        for piece in &self.pieces {
            let new = piece.rows.start * kv_width..piece.rows.end * kv_width;
            let cache = &mut *self.sequences[piece.sequence].cache;
            let capacity = cache.capacity();
            let (keys, vals) = cache.store(&shape, layer, piece.at, &k[new.clone()], &v[new])?;
            let visible: Vec<usize> = (1..=piece.rows.len()).map(|i| piece.at + i).collect();
            let here = piece.rows.start * width..piece.rows.end * width;
            attention_over_cache(
                &shape,
                &q[here.clone()],
                keys,
                vals,
                capacity,
                &visible,
                &mut out[here],
                self.decoder.level,
            );
        }
        tensor(out, (rows, width))
    }
}

struct Training<'a> {
    decoder: &'a Decoder,
    lengths: Arc<[usize]>,
    lora: Option<&'a LoraWeights>,
}

impl Pass for Training<'_> {
    fn linear(&self, layer: usize, target: Target, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        linear.train(x, self.lora.and_then(|l| l.trainable(layer, target)))
    }

    fn attention(&mut self, _: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        attention(
            q,
            k,
            v,
            &self.decoder.attention_shape(),
            &self.lengths,
            self.decoder.level,
        )
    }
}

/// The matrix behind a weight on the processor.
pub(crate) fn quantized(weight: &Weight) -> Option<&QMatrix> {
    match weight {
        Weight::Quantized(matrix) => Some(matrix),
        Weight::Dense(_) => None,
    }
}
