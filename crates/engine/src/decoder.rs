//! The decoder, once for inference and training: norm, attention, norm, gated feed-forward, layer after layer. What differs
//! between architectures is in the [`Config`] and in which weights a layer has.
//!
//! What differs between the two — where keys and values lie, whether gradients are kept — is behind [`Pass`].

use std::{ops::Range, sync::Arc};

use candle_core::{Device, Result, Tensor};
use idiolect_kernels::{AttentionShape, Level, Precision, QMatrix, RopeTable, Sources, pack};
use idiolect_llm::{LlmError, Steering, Token};

use crate::{
    config::Config,
    gguf::Gguf,
    kv::KvCache,
    linear::{Linear, Patch, Weight},
    load::{Layer, Weights},
    lora::{Adapter, LoraWeights, Target},
    ops::{Norm, Rotation, add, attend_composed, attention, gated},
    train::Dropout,
    values::tensor,
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
    /// Adapters and how strongly each is on; what they add is summed in this order.
    pub adapters: &'a [(Adapter, f32)],
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
            adapters: &[],
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
        let Weights {
            embedding,
            mut layers,
            norm,
            head,
        } = Weights::from_gguf(gguf, &config, device, level)?;
        let mut head = Linear::new(head, None, level);
        let mut matrices: Vec<&mut QMatrix> = layers
            .iter_mut()
            .flat_map(|layer| &mut layer.linears)
            .chain([&mut head])
            .filter_map(Linear::quantized_mut)
            .collect();
        pack(&mut matrices, level, Sources::Release)
            .map_err(|e| LlmError::OutOfMemory(format!("the weights do not fit: {e}")))?;
        Ok(Self {
            config,
            device: device.clone(),
            level,
            embedding,
            layers,
            norm,
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

    /// An empty cache with room for `tokens`: as many as the text is planned to have, by which some models choose how to
    /// rotate it.
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
        let mut places: Vec<Place> = Vec::with_capacity(tokens.len());
        let mut wanted = Vec::new();
        let mut pieces = Vec::new();
        for (index, s) in sequences.iter_mut().enumerate() {
            let (first, at) = (places.len(), s.cache.len());
            let one = [Branch {
                after: 0,
                length: s.tokens.len(),
            }];
            let branches = s.branches.unwrap_or(&one);
            let whole = at + reach(branches, s.tokens.len())?;
            // On the processor branches stay beside the cache.
            if s.branches.is_none() || !self.device.is_cpu() {
                s.cache.reserve(whole)?;
            }
            let of = s.cache.plan(whole);
            // Rows from the tree's root to the newest branch's end.
            let mut path = Vec::new();
            for branch in branches.iter().filter(|b| b.length > 0) {
                let (at, rows) = (
                    at + branch.after,
                    places.len()..places.len() + branch.length,
                );
                path.truncate(branch.after);
                pieces.push(Piece {
                    sequence: index,
                    rows: rows.clone(),
                    at,
                    ancestors: s.branches.map(|_| path.clone()),
                });
                path.extend(rows);
                let positions = at..at + branch.length;
                places.extend(positions.map(|position| Place { position, of }));
            }
            match s.wanted {
                Wanted::Nothing => {}
                Wanted::Last => {
                    wanted.extend(places.len().checked_sub(1).filter(|&last| last >= first))
                }
                Wanted::All => wanted.extend(first..places.len()),
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
        let mut x = if self.device.is_cpu() {
            self.run_on_host(&tokens, &places, &mut pass, hook)?
        } else {
            self.run(&tokens, &places, &mut pass, hook)?
        };
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
        self.head.product(hidden, precision)
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The norm before the head.
    pub(crate) fn last_norm(&self) -> &Norm {
        &self.norm
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
        self.forward_train_with(tokens, lengths, lora, None)
    }

    /// The same with dropout on what the LoRA terms read.
    pub(crate) fn forward_train_with(
        &self,
        tokens: &[Token],
        lengths: &[usize],
        lora: Option<&LoraWeights>,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        if lengths.iter().sum::<usize>() != tokens.len() {
            candle_core::bail!("the lengths do not add up to the tokens");
        }
        let mut pass = Training {
            decoder: self,
            lengths: lengths.into(),
            lora,
            dropout,
        };
        let x = self.run(tokens, &places_of(lengths), &mut pass, None)?;
        self.norm.forward(&x)
    }

    fn run(
        &self,
        tokens: &[Token],
        places: &[Place],
        pass: &mut dyn Pass,
        mut hook: Option<Hook<'_>>,
    ) -> Result<Tensor> {
        let config = &self.config;
        let rotations = self.rotations(places)?;
        let mut x = self.embed(tokens)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let h = layer.attention_norm.forward(&x)?;
            let linear = |target: Target, x: &Tensor, pass: &dyn Pass| {
                pass.linear(i, target, &layer.linears[target as usize], x)
            };
            let rotation = config.kinds[i].rope.map(|rope| &rotations[rope]);
            let placed = |x: Tensor, norm: &Option<Norm>, heads: usize| -> Result<Tensor> {
                let x = normed(norm, x)?;
                rotation.map_or(Ok(x.clone()), |rotation| rotation.forward(&x, heads))
            };
            let q = placed(
                linear(Target::Query, &h, pass)?,
                &layer.query_norm,
                config.heads,
            )?;
            let k = placed(
                linear(Target::Key, &h, pass)?,
                &layer.key_norm,
                config.kv_heads,
            )?;
            let v = linear(Target::Value, &h, pass)?;
            let attended = pass.attention(i, &q, &k, &v)?;
            let attended = linear(Target::Output, &attended, pass)?;
            x = add(&x, &normed(&layer.attention_post_norm, attended)?)?;
            let h = layer.feed_forward_norm.forward(&x)?;
            let (gate, up) = (
                linear(Target::Gate, &h, pass)?,
                linear(Target::Up, &h, pass)?,
            );
            let inner = gated(&gate, &up, config.architecture.activation, self.level)?;
            let fed = linear(Target::Down, &inner, pass)?;
            x = add(&x, &normed(&layer.feed_forward_post_norm, fed)?)?;
            if let Some(moved) = pass.steered(i, &x)? {
                x = moved;
            }
            if let Some(hook) = &mut hook {
                hook(i, &x);
            }
        }
        Ok(x)
    }

    /// The rotations of the rows, one for each of the configuration's ways.
    fn rotations(&self, places: &[Place]) -> Result<Vec<Rotation>> {
        let style = self.config.architecture.rope;
        let tables = self.rope_tables(places).into_iter();
        tables
            .map(|table| Rotation::new(table, style, &self.device))
            .collect()
    }

    /// Their angles.
    pub(crate) fn rope_tables(&self, places: &[Place]) -> Vec<RopeTable> {
        let ropes = self.config.ropes.iter();
        ropes
            .map(|rope| {
                let rows = places.iter().map(|p| (rope.frequencies(p.of), p.position));
                RopeTable::of_rows(rows, rope.magnitude)
            })
            .collect()
    }

    /// Rows of the embedding table; the table itself is never dequantized on the processor.
    pub(crate) fn embed(&self, tokens: &[Token]) -> Result<Tensor> {
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
        let factor = match self.config.architecture.scaled_embedding {
            true => (hidden as f32).sqrt(),
            false => 1.0,
        };
        match &self.embedding {
            Weight::Quantized(table) => {
                let mut rows = vec![0.0; tokens.len() * hidden];
                for (row, &token) in rows.chunks_exact_mut(hidden).zip(tokens) {
                    table.dequantize_row(token as usize, row);
                    row.iter_mut().for_each(|x| *x *= factor);
                }
                tensor(rows, (tokens.len(), hidden))
            }
            Weight::Dense(table) => {
                let ids = Tensor::from_slice(tokens, tokens.len(), &self.device)?;
                table.index_select(&ids, 0)? * f64::from(factor)
            }
        }
    }

    pub(crate) fn attention_shape(&self, layer: usize) -> AttentionShape {
        AttentionShape {
            heads: self.config.heads,
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
            scale: self.config.attention_scale,
            window: self.config.kinds[layer].window,
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

    /// Rows under adapters, in the order in which a row's are added; neighbours under the same ones at the same scales are one
    /// stretch of each.
    fn patched_rows(&self, sequences: &[Sequence<'_>]) -> Vec<(Range<usize>, Adapter, f32)> {
        /// Adapters of a sequence, each with its scale.
        type Scaled = [(Adapter, f32)];
        let alike = |a: &Scaled, b: &Scaled| {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.0.is_same(&b.0) && a.1 == b.1)
        };
        let mut stretches: Vec<(Range<usize>, &Scaled)> = Vec::new();
        let mut at = 0;
        for s in sequences {
            let rows = at..at + s.tokens.len();
            at = rows.end;
            match stretches.last_mut() {
                Some((last, same)) if alike(same, s.adapters) => last.end = rows.end,
                _ => stretches.push((rows, s.adapters)),
            }
        }
        let each = stretches.into_iter().flat_map(|(rows, adapters)| {
            let on = adapters.iter().filter(|(_, scale)| *scale != 0.0);
            on.map(move |(adapter, scale)| (rows.clone(), adapter.clone(), *scale))
        });
        each.collect()
    }
}

/// Where a row stands in its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    position: usize,
    /// Tokens that the text is planned to have: some models rotate long texts otherwise.
    of: usize,
}

/// The places of whole texts that follow one another.
pub(crate) fn places_of(lengths: &[usize]) -> Vec<Place> {
    lengths
        .iter()
        .flat_map(|&of| (0..of).map(move |position| Place { position, of }))
        .collect()
}

fn normed(norm: &Option<Norm>, x: Tensor) -> Result<Tensor> {
    norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x))
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
pub(crate) struct Piece {
    pub(crate) sequence: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) at: usize,
    /// For a branch: the rows between the cache's end and its own.
    pub(crate) ancestors: Option<Vec<usize>>,
}

/// A batch of sequences.
pub(crate) struct Inference<'a, 'b, 's> {
    pub(crate) decoder: &'a Decoder,
    pub(crate) sequences: &'b mut [Sequence<'s>],
    pub(crate) pieces: Vec<Piece>,
    patches: Vec<(Range<usize>, Adapter, f32)>,
    steered: Vec<(Range<usize>, &'s Steering)>,
    pub(crate) precision: Precision,
}

impl Inference<'_, '_, '_> {
    /// Whether directions are added after a layer.
    pub(crate) fn steers(&self, layer: usize) -> bool {
        self.steered.iter().any(|(_, s)| s.layer == layer)
    }

    /// Adds them to the hidden states `[rows, hidden]`.
    pub(crate) fn steer(&self, layer: usize, x: &mut [f32]) {
        let width = self.decoder.config.hidden;
        for (rows, steering) in self.steered.iter().filter(|(_, s)| s.layer == layer) {
            for row in x[rows.start * width..rows.end * width].chunks_exact_mut(width) {
                for (to, from) in row.iter_mut().zip(steering.vector.iter()) {
                    *to += steering.scale * from;
                }
            }
        }
    }

    /// What adapters add to a layer's product.
    pub(crate) fn patches_of(&self, layer: usize, target: Target) -> impl Iterator<Item = Patch> {
        self.patches
            .iter()
            .filter_map(move |(rows, adapter, scale)| {
                Some(Patch {
                    rows: rows.clone(),
                    pair: adapter.pair(layer, target)?.clone(),
                    scale: scale * adapter.scale(),
                })
            })
    }
}

/// On devices other than the processor, where `host` does it.
impl Pass for Inference<'_, '_, '_> {
    fn linear(&self, layer: usize, target: Target, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        let y = linear.product(x, self.precision)?;
        for patch in self.patches_of(layer, target) {
            patch.add_elsewhere(x, &y)?;
        }
        linear.with_bias(y)
    }

    fn steered(&self, layer: usize, x: &Tensor) -> Result<Option<Tensor>> {
        if !self.steers(layer) {
            return Ok(None);
        }
        let mut moved: Vec<f32> = x.flatten_all()?.to_vec1()?;
        self.steer(layer, &mut moved);
        Ok(Some(Tensor::from_vec(moved, x.shape(), x.device())?))
    }

    /// Piece by piece: its keys and values are written behind the cache's tokens, then its rows look at both. The pieces of
    /// branched sequences overwrite each other there, which is how a prefix is shared without copying it.
    fn attention(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let shape = self.decoder.attention_shape(layer);
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
        Tensor::cat(&parts, 0)
    }
}

struct Training<'a> {
    decoder: &'a Decoder,
    lengths: Arc<[usize]>,
    lora: Option<&'a LoraWeights>,
    dropout: Option<Dropout>,
}

impl Pass for Training<'_> {
    fn linear(&self, layer: usize, target: Target, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        let pair = self.lora.and_then(|l| l.trainable(layer, target));
        match (pair, &self.dropout) {
            (Some(pair), Some(dropout)) => {
                linear.train_dropped(x, pair, &dropout.mask(layer, target))
            }
            (pair, _) => linear.train(x, pair),
        }
    }

    fn attention(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        attention(
            q,
            k,
            v,
            &self.decoder.attention_shape(layer),
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
