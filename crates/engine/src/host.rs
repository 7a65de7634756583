//! Inference on the processor: the layers of [`Decoder::run`] over plain slices that are allocated once a batch.
//!
//! A drawn token takes some hundred operations of a few microseconds each, so what a tensor costs to make and what a thread
//! costs to call count. Products of the same input are therefore one piece of work. `Decoder::run` is the reference that
//! this is tested against.

use candle_core::{Result, Tensor};
use idiolect_kernels::{self as kernels, CachedRows, attention_over_caches, forward_together};
use idiolect_llm::Token;

use crate::{
    decoder::{Decoder, Hook, Inference, Place, quantized},
    linear::Linear,
    lora::Target,
    ops::Norm,
    values::{tensor, values},
};

/// A batch's values between the layers, `[rows, width]` each.
struct Buffers {
    /// The residual stream.
    x: Vec<f32>,
    /// What is to become it, and elsewhere what is normed.
    spare: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    inner: Vec<f32>,
    /// What a block adds.
    added: Vec<f32>,
}

impl Decoder {
    /// The hidden states after the last layer, `[rows, hidden]`, not normed.
    pub(crate) fn run_on_host(
        &self,
        tokens: &[Token],
        places: &[Place],
        batch: &mut Inference<'_, '_, '_>,
        mut hook: Option<Hook<'_>>,
    ) -> Result<Tensor> {
        let (config, level) = (self.config(), self.level());
        let m = tokens.len();
        let tables = self.rope_tables(places);
        let zeros = |width: usize| vec![0.0; m * width];
        let mut b = Buffers {
            x: values(&self.embed(tokens)?)?.to_vec(),
            spare: zeros(config.hidden),
            normed: zeros(config.hidden),
            q: zeros(config.q_width()),
            k: zeros(config.kv_width()),
            v: zeros(config.kv_width()),
            attended: zeros(config.q_width()),
            gate: zeros(config.feed_forward),
            up: zeros(config.feed_forward),
            inner: zeros(config.feed_forward),
            added: zeros(config.hidden),
        };
        for (i, layer) in self.layers().iter().enumerate() {
            let linear = |target: Target| (target, &layer.linears[target as usize]);
            layer.attention_norm.apply(&b.x, &mut b.normed);
            let outputs = [
                (linear(Target::Query), &mut b.q[..]),
                (linear(Target::Key), &mut b.k[..]),
                (linear(Target::Value), &mut b.v[..]),
            ];
            batch.products(i, &b.normed, m, outputs)?;
            let table = config.kinds[i].rope.map(|rope| &tables[rope]);
            let heads = [
                (&mut b.q, &layer.query_norm, config.heads),
                (&mut b.k, &layer.key_norm, config.kv_heads),
            ];
            for (x, norm, heads) in heads {
                if let Some(norm) = norm {
                    let plain = x.clone();
                    norm.apply(&plain, x);
                }
                if let Some(table) = table {
                    kernels::rope(x, heads, config.head_dim, table, config.architecture.rope);
                }
            }
            batch.attend(i, [&b.q, &b.k, &b.v], &mut b.attended)?;
            let outputs = [(linear(Target::Output), &mut b.added[..])];
            batch.products(i, &b.attended, m, outputs)?;
            b.add(&layer.attention_post_norm);
            layer.feed_forward_norm.apply(&b.x, &mut b.normed);
            let outputs = [
                (linear(Target::Gate), &mut b.gate[..]),
                (linear(Target::Up), &mut b.up[..]),
            ];
            batch.products(i, &b.normed, m, outputs)?;
            let activation = config.architecture.activation;
            kernels::gated(&b.gate, &b.up, &mut b.inner, activation, level);
            let outputs = [(linear(Target::Down), &mut b.added[..])];
            batch.products(i, &b.inner, m, outputs)?;
            b.add(&layer.feed_forward_post_norm);
            batch.steer(i, &mut b.x);
            if let Some(hook) = &mut hook {
                hook(i, &tensor(b.x.clone(), (m, config.hidden))?);
            }
        }
        tensor(b.x, (m, config.hidden))
    }
}

impl Buffers {
    /// Adds what a block gave to the residual stream, normed where the architecture does that.
    fn add(&mut self, norm: &Option<Norm>) {
        if let Some(norm) = norm {
            norm.apply(&self.added, &mut self.spare);
            std::mem::swap(&mut self.added, &mut self.spare);
        }
        kernels::add(&self.x, &self.added, &mut self.spare);
        std::mem::swap(&mut self.x, &mut self.spare);
    }
}

impl Inference<'_, '_, '_> {
    /// Products of one input with several weights, with biases and adapters.
    fn products<const N: usize>(
        &self,
        layer: usize,
        x: &[f32],
        m: usize,
        outputs: [((Target, &Linear), &mut [f32]); N],
    ) -> Result<()> {
        let mut products = Vec::with_capacity(N);
        let mut further = Vec::with_capacity(N);
        for ((target, linear), y) in outputs {
            let Some(w) = quantized(linear.weight()) else {
                candle_core::bail!("the weights lie on another device");
            };
            products.push((w, y));
            further.push((target, linear));
        }
        let level = self.decoder.level();
        forward_together(&mut products, x, m, self.precision, level);
        for ((w, y), (target, linear)) in products.into_iter().zip(further) {
            for patch in self.patches_of(layer, target) {
                patch.add_to(x, w.cols(), y, w.rows(), level)?;
            }
            linear.add_bias(y);
        }
        Ok(())
    }

    /// Keys and values of what continues a cache are written behind its tokens; those of branches stay beside it, which is
    /// how a prefix is shared without copying it. A branch of a branch has those of its ancestors before its own.
    fn attend(&mut self, layer: usize, [q, k, v]: [&[f32]; 3], out: &mut [f32]) -> Result<()> {
        let shape = self.decoder.attention_shape(layer);
        let kv_width = shape.kv_heads * shape.head_dim;
        for piece in self.pieces.iter().filter(|p| p.ancestors.is_none()) {
            let new = piece.rows.start * kv_width..piece.rows.end * kv_width;
            let cache = &mut *self.sequences[piece.sequence].cache;
            cache.store(&shape, layer, piece.at, &k[new.clone()], &v[new])?;
        }
        let row = |x: &[f32], row: usize| x[row * kv_width..(row + 1) * kv_width].to_vec();
        let gathered: Vec<Option<[Vec<f32>; 2]>> = self
            .pieces
            .iter()
            .map(|piece| {
                let ancestors = piece.ancestors.as_ref().filter(|a| !a.is_empty())?;
                let rows = || ancestors.iter().copied().chain(piece.rows.clone());
                Some([k, v].map(|x| rows().flat_map(|i| row(x, i)).collect()))
            })
            .collect();
        let pages = self.sequences.iter().map(|s| s.cache.host(layer));
        let pages = pages.collect::<Result<Vec<_>>>()?;
        let pieces = self.pieces.iter().zip(&gathered).map(|(piece, gathered)| {
            let new = piece.rows.start * kv_width..piece.rows.end * kv_width;
            CachedRows {
                rows: piece.rows.clone(),
                pages: &pages[piece.sequence],
                before: piece.at,
                own: match gathered {
                    Some([keys, values]) => Some((keys.as_slice(), values.as_slice())),
                    None => piece.ancestors.as_ref().map(|_| (&k[new.clone()], &v[new])),
                },
            }
        });
        let pieces: Vec<_> = pieces.collect();
        attention_over_caches(&shape, q, &pieces, out, self.decoder.level());
        Ok(())
    }
}
