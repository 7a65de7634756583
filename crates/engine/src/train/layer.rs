//! A layer forward and backward over plain slices.

use candle_core::Result;
use idiolect_kernels::{
    self as kernels, AttentionTrace, Lora, Precision, RopeTable, attention_backward,
    attention_train, backward_together, forward_together, lora_backward, lora_forward,
};

use super::{Dropout, Gradients};
use crate::{
    decoder::{Decoder, quantized},
    lora::{LoraWeights, Target},
    ops::Norm,
    values::values,
};

/// What a pass computes with.
pub(super) struct Passing<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) lora: Option<&'a LoraWeights>,
    pub(super) lengths: &'a [usize],
    pub(super) rows: usize,
    pub(super) tables: &'a [RopeTable],
    pub(super) precision: Precision,
    pub(super) dropout: Option<Dropout>,
}

/// What a layer's backward pass reads, `[rows, width]` each. The norms of its input and of its middle, and the product of gate and
/// up, are cheaper to make again than to keep.
#[derive(Debug, Default)]
pub(super) struct LayerTrace {
    /// Before the norms of their heads, where there are such.
    plain_q: Vec<f32>,
    plain_k: Vec<f32>,
    /// Rotated.
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    log_sum_exp: Vec<f32>,
    /// What attention gave, where it is normed before it is added.
    given: Vec<f32>,
    /// The residual stream after attention.
    middle: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// What the feed-forward gave, where it is normed before it is added.
    fed: Vec<f32>,
    /// By [`Target`]: the input of B.
    factors: [Vec<f32>; 7],
}

/// Values that no later pass reads.
#[derive(Debug, Default)]
pub(super) struct Work {
    normed: Vec<f32>,
    inner: Vec<f32>,
    added: Vec<f32>,
    spare: Vec<f32>,
    slope: Vec<f32>,
    dinner: Vec<f32>,
    dgate: Vec<f32>,
    dup: Vec<f32>,
    dattended: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    spare_q: Vec<f32>,
    spare_k: Vec<f32>,
}

/// `n` values of any content.
pub(super) fn room(values: &mut Vec<f32>, n: usize) -> &mut [f32] {
    values.resize(n, 0.0);
    values
}

impl Passing<'_> {
    fn trained(&self, layer: usize, target: Target) -> bool {
        self.lora
            .is_some_and(|lora| lora.trainable(layer, target).is_some())
    }

    /// Calls `run` with a linear's factors, where it has some.
    fn with_factors(
        &self,
        layer: usize,
        target: Target,
        run: impl FnOnce(&Lora<'_>),
    ) -> Result<()> {
        let Some(pair) = self.lora.and_then(|lora| lora.trainable(layer, target)) else {
            return Ok(());
        };
        let (a, b) = (values(pair.a)?, values(pair.b)?);
        run(&Lora {
            a: &a,
            b: &b,
            rank: pair.a.dim(0)?,
            scale: pair.scale,
            dropout: self.dropout.map(|dropout| dropout.mask(layer, target)),
        });
        Ok(())
    }

    /// Products of one input with some of a layer's linears: `y = x Wᵀ + b + scale (x ∘ mask) Aᵀ Bᵀ`.
    fn products<const N: usize>(
        &self,
        layer: usize,
        x: &[f32],
        outputs: [(Target, &mut [f32], &mut Vec<f32>); N],
    ) -> Result<()> {
        let (linears, level) = (&self.decoder.layers()[layer].linears, self.decoder.level());
        let mut products = Vec::with_capacity(N);
        let mut factors = Vec::with_capacity(N);
        for (target, y, inner) in outputs {
            let Some(w) = quantized(linears[target as usize].weight()) else {
                candle_core::bail!("the weights lie on another device");
            };
            products.push((w, y));
            factors.push((target, inner));
        }
        forward_together(&mut products, x, self.rows, self.precision, level);
        for ((_, y), (target, inner)) in products.into_iter().zip(factors) {
            self.with_factors(layer, target, |lora| {
                let inner = room(inner, self.rows * lora.rank);
                lora_forward(lora, x, self.rows, inner, y, level);
            })?;
            linears[target as usize].add_bias(y);
        }
        Ok(())
    }

    /// Gradients of [`Passing::products`]: those of the factors are added to `into`; `dx` becomes the input's, where it is wanted.
    /// `x` may be of any content where none of the linears is trained.
    fn products_backward<const N: usize>(
        &self,
        layer: usize,
        x: &[f32],
        slopes: [(Target, &[f32], &[f32]); N],
        mut dx: Option<&mut [f32]>,
        into: &mut Gradients,
    ) -> Result<()> {
        let (linears, level) = (&self.decoder.layers()[layer].linears, self.decoder.level());
        if let Some(dx) = dx.as_deref_mut() {
            let mut products = Vec::with_capacity(N);
            for (target, dy, _) in slopes {
                let Some(w) = quantized(linears[target as usize].weight()) else {
                    candle_core::bail!("the weights lie on another device");
                };
                products.push((w, dy));
            }
            backward_together(&products, self.rows, dx, self.precision, level);
        }
        for (target, dy, inner) in slopes {
            let dx = dx.as_deref_mut();
            self.with_factors(layer, target, |lora| {
                let (da, db) = into.pair_mut(layer, target);
                lora_backward(lora, x, self.rows, inner, dy, da, db, dx, level);
            })?;
        }
        Ok(())
    }

    /// The residual stream after layer `i` from the one before it.
    pub(super) fn forward(
        &self,
        i: usize,
        x: &[f32],
        trace: &mut LayerTrace,
        work: &mut Work,
        out: &mut [f32],
    ) -> Result<()> {
        let (config, level, m) = (self.decoder.config(), self.decoder.level(), self.rows);
        let layer = &self.decoder.layers()[i];
        let (t, w) = (trace, work);
        let normed = room(&mut w.normed, m * config.hidden);
        layer.attention_norm.apply(x, normed);
        let [f_query, f_key, f_value, f_output, f_gate, f_up, f_down] = &mut t.factors;
        let outputs = [
            (Target::Query, room(&mut t.q, m * config.q_width()), f_query),
            (Target::Key, room(&mut t.k, m * config.kv_width()), f_key),
            (
                Target::Value,
                room(&mut t.v, m * config.kv_width()),
                f_value,
            ),
        ];
        self.products(i, normed, outputs)?;
        let table = config.kinds[i].rope.map(|rope| &self.tables[rope]);
        for (x, plain, norm, heads) in [
            (&mut t.q, &mut t.plain_q, &layer.query_norm, config.heads),
            (&mut t.k, &mut t.plain_k, &layer.key_norm, config.kv_heads),
        ] {
            if let Some(norm) = norm {
                room(plain, x.len());
                std::mem::swap(x, plain);
                norm.apply(plain, x);
            }
            if let Some(table) = table {
                kernels::rope(x, heads, config.head_dim, table, config.architecture.rope);
            }
        }
        let attended = room(&mut t.attended, m * config.q_width());
        let shape = self.decoder.attention_shape(i);
        t.log_sum_exp = attention_train(&shape, self.lengths, &t.q, &t.k, &t.v, attended, level);
        let added = room(&mut w.added, m * config.hidden);
        self.products(i, attended, [(Target::Output, &mut *added, f_output)])?;
        let middle = room(&mut t.middle, m * config.hidden);
        let spare = room(&mut w.spare, m * config.hidden);
        add_normed(
            &layer.attention_post_norm,
            x,
            added,
            &mut t.given,
            spare,
            middle,
        );
        layer.feed_forward_norm.apply(middle, normed);
        let outputs = [
            (
                Target::Gate,
                room(&mut t.gate, m * config.feed_forward),
                f_gate,
            ),
            (Target::Up, room(&mut t.up, m * config.feed_forward), f_up),
        ];
        self.products(i, normed, outputs)?;
        let inner = room(&mut w.inner, m * config.feed_forward);
        let activation = config.architecture.activation;
        kernels::gated(&t.gate, &t.up, inner, activation, level);
        self.products(i, inner, [(Target::Down, &mut *added, f_down)])?;
        add_normed(
            &layer.feed_forward_post_norm,
            middle,
            added,
            &mut t.fed,
            spare,
            out,
        );
        Ok(())
    }

    /// Turns the gradient `d` of what layer `i` gave into that of its input `x`, where that is wanted, and adds those of its
    /// factors to `into`.
    #[allow(clippy::too_many_arguments)] // what a layer read, wrote and is to give
    pub(super) fn backward(
        &self,
        i: usize,
        x: &[f32],
        t: &LayerTrace,
        w: &mut Work,
        d: &mut Vec<f32>,
        wanted: bool,
        into: &mut Gradients,
    ) -> Result<()> {
        let (config, level, m) = (self.decoder.config(), self.decoder.level(), self.rows);
        let layer = &self.decoder.layers()[i];
        let [f_query, f_key, f_value, f_output, f_gate, f_up, f_down] = &t.factors;
        let activation = config.architecture.activation;
        let trained = |targets: &[Target]| targets.iter().any(|&t| self.trained(i, t));

        let spare = room(&mut w.spare, m * config.hidden);
        let dfed = slope_before(&layer.feed_forward_post_norm, &t.fed, d, spare);
        let inner = room(&mut w.inner, m * config.feed_forward);
        if trained(&[Target::Down]) {
            kernels::gated(&t.gate, &t.up, inner, activation, level);
        }
        let dinner = room(&mut w.dinner, m * config.feed_forward);
        let slopes = [(Target::Down, dfed, &f_down[..])];
        self.products_backward(i, inner, slopes, Some(&mut *dinner), into)?;
        let dgate = room(&mut w.dgate, m * config.feed_forward);
        let dup = room(&mut w.dup, m * config.feed_forward);
        kernels::gated_backward(&t.gate, &t.up, dinner, dgate, dup, activation, level);
        let normed = room(&mut w.normed, m * config.hidden);
        if trained(&[Target::Gate, Target::Up]) {
            layer.feed_forward_norm.apply(&t.middle, normed);
        }
        let slope = room(&mut w.slope, m * config.hidden);
        let slopes = [
            (Target::Gate, &*dgate, &f_gate[..]),
            (Target::Up, &*dup, &f_up[..]),
        ];
        self.products_backward(i, normed, slopes, Some(&mut *slope), into)?;
        layer.feed_forward_norm.backward(&t.middle, slope, spare);
        kernels::add(d, spare, slope);
        std::mem::swap(d, &mut w.slope);

        let spare = room(&mut w.spare, m * config.hidden);
        let dgiven = slope_before(&layer.attention_post_norm, &t.given, d, spare);
        let dattended = room(&mut w.dattended, m * config.q_width());
        let slopes = [(Target::Output, dgiven, &f_output[..])];
        self.products_backward(i, &t.attended, slopes, Some(&mut *dattended), into)?;
        let (dq, dk, dv) = (
            room(&mut w.dq, m * config.q_width()),
            room(&mut w.dk, m * config.kv_width()),
            room(&mut w.dv, m * config.kv_width()),
        );
        let trace = AttentionTrace {
            q: &t.q,
            k: &t.k,
            v: &t.v,
            out: &t.attended,
            log_sum_exp: &t.log_sum_exp,
        };
        let shape = self.decoder.attention_shape(i);
        attention_backward(&shape, self.lengths, &trace, dattended, dq, dk, dv, level);
        let table = config.kinds[i].rope.map(|rope| &self.tables[rope]);
        let mut heads = [
            (
                &mut w.dq,
                &mut w.spare_q,
                &t.plain_q,
                &layer.query_norm,
                config.heads,
            ),
            (
                &mut w.dk,
                &mut w.spare_k,
                &t.plain_k,
                &layer.key_norm,
                config.kv_heads,
            ),
        ];
        for (dx, spare, plain, norm, heads) in &mut heads {
            if let Some(table) = table {
                kernels::rope_backward(
                    dx,
                    *heads,
                    config.head_dim,
                    table,
                    config.architecture.rope,
                );
            }
            if let Some(norm) = norm {
                norm.backward(plain, dx, room(spare, dx.len()));
                std::mem::swap(*dx, *spare);
            }
        }
        let normed = room(&mut w.normed, m * config.hidden);
        if trained(&[Target::Query, Target::Key, Target::Value]) {
            layer.attention_norm.apply(x, normed);
        }
        let slope = room(&mut w.slope, m * config.hidden);
        let slopes = [
            (Target::Query, &w.dq[..], &f_query[..]),
            (Target::Key, &w.dk[..], &f_key[..]),
            (Target::Value, &w.dv[..], &f_value[..]),
        ];
        let dx = wanted.then_some(&mut *slope);
        self.products_backward(i, normed, slopes, dx, into)?;
        if wanted {
            layer.attention_norm.backward(x, slope, &mut w.spare);
            kernels::add(d, &w.spare, slope);
            std::mem::swap(d, &mut w.slope);
        }
        Ok(())
    }
}

/// `out = x + norm(added)`; what is normed is kept for the backward pass.
fn add_normed(
    norm: &Option<Norm>,
    x: &[f32],
    added: &[f32],
    kept: &mut Vec<f32>,
    spare: &mut [f32],
    out: &mut [f32],
) {
    let added = match norm {
        Some(norm) => {
            room(kept, added.len()).copy_from_slice(added);
            norm.apply(added, spare);
            spare
        }
        None => added,
    };
    kernels::add(x, added, out);
}

/// The gradient of what a norm was given, `kept`, or the same where there is no norm.
fn slope_before<'a>(
    norm: &Option<Norm>,
    kept: &[f32],
    d: &'a [f32],
    spare: &'a mut [f32],
) -> &'a [f32] {
    match norm {
        Some(norm) => {
            norm.backward(kept, d, spare);
            spare
        }
        None => d,
    }
}
