//! The row operations of the decoder as differentiable tensor operations: norm, rotation, gated activation, attention.
//!
//! On the processor each is one custom operation over `idiolect-kernels`, with a backward pass. Elsewhere it is put together
//! from candle's own operations; those compositions also run on the processor, as the reference in the tests.
//! candle's fused norm, softmax and rotation are not used: they have no backward pass.

use std::sync::{Arc, OnceLock};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, D, DType, Device, Layout, Result, Shape, Tensor,
};
use idiolect_kernels::{
    self as kernels, Activation, AttentionShape, AttentionTrace, Level, RopeStyle, RopeTable,
    attention_backward, attention_train,
};

use crate::values::{result, slice, tensor, values};

/// A root-mean-square norm with its weight, over stretches of a row that are as long as the weight: whole rows, or heads.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    values: Arc<[f32]>,
    tensor: Tensor,
    eps: f32,
    level: Level,
}

impl Norm {
    pub(crate) fn new(weight: Vec<f32>, eps: f32, level: Level, device: &Device) -> Result<Self> {
        let tensor = Tensor::from_slice(&weight, weight.len(), device)?;
        Ok(Self {
            values: weight.into(),
            tensor,
            eps,
            level,
        })
    }

    /// `x / sqrt(mean(x²) + eps) * weight` for every stretch.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            x.apply_op1(self.clone())
        } else {
            self.composed(x)
        }
    }

    /// The same over plain slices of one length.
    pub(crate) fn apply(&self, x: &[f32], y: &mut [f32]) {
        kernels::rms_norm(x, &self.values, self.eps, y, self.level);
    }

    /// The gradient with respect to `x`, from that of the result.
    pub(crate) fn backward(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        kernels::rms_norm_backward(x, &self.values, self.eps, dy, dx, self.level);
    }

    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let stretches = x.reshape(((), self.values.len()))?;
        let mean = stretches.sqr()?.mean_keepdim(D::Minus1)?;
        let root = (mean + f64::from(self.eps))?.sqrt()?;
        stretches
            .broadcast_div(&root)?
            .broadcast_mul(&self.tensor)?
            .reshape(x.shape())
    }
}

impl CustomOp1 for Norm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(storage, layout)?;
        let mut y = vec![0.0; x.len()];
        kernels::rms_norm(x, &self.values, self.eps, &mut y, self.level);
        Ok(result(y, layout.shape()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let mut dx = vec![0.0; x.elem_count()];
        kernels::rms_norm_backward(
            &values(x)?,
            &self.values,
            self.eps,
            &values(&dy)?,
            &mut dx,
            self.level,
        );
        Ok(Some(tensor(dx, x.shape())?))
    }
}

/// The rotation of some rows, computed once and used by every layer.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    table: Arc<RopeTable>,
    style: RopeStyle,
    /// cos and sin, `[rows, 1, pairs]`, where the kernels cannot compute.
    elsewhere: Option<(Tensor, Tensor)>,
}

impl Rotation {
    /// The rotation of rows whose angles are `table`'s.
    pub(crate) fn new(table: RopeTable, style: RopeStyle, device: &Device) -> Result<Self> {
        let elsewhere = if device.is_cpu() {
            None
        } else {
            Some(angles(&table, device)?)
        };
        Ok(Self {
            table: Arc::new(table),
            style,
            elsewhere,
        })
    }

    /// Rotates the heads of `x[rows, heads * head_dim]`.
    pub(crate) fn forward(&self, x: &Tensor, heads: usize) -> Result<Tensor> {
        match &self.elsewhere {
            None => x.apply_op1(Rotate {
                table: self.table.clone(),
                style: self.style,
                heads,
            }),
            Some((cos, sin)) => rotate_composed(x, heads, cos, sin, self.style),
        }
    }
}

/// cos and sin of every row, `[rows, 1, pairs]`.
fn angles(table: &RopeTable, device: &Device) -> Result<(Tensor, Tensor)> {
    let (cos, sin): (Vec<f32>, Vec<f32>) = table.angles().iter().copied().unzip();
    let shape = (table.rows(), 1, table.pairs());
    Ok((
        Tensor::from_vec(cos, shape, device)?,
        Tensor::from_vec(sin, shape, device)?,
    ))
}

fn rotate_composed(
    x: &Tensor,
    heads: usize,
    cos: &Tensor,
    sin: &Tensor,
    style: RopeStyle,
) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    let (head_dim, pairs) = (width / heads, cos.dim(2)?);
    let x = x.reshape((rows, heads, head_dim))?;
    let rotated = x.narrow(2, 0, 2 * pairs)?;
    let (a, b, axis) = match style {
        RopeStyle::Interleaved => {
            let split = rotated.reshape((rows, heads, pairs, 2))?;
            (
                split.narrow(3, 0, 1)?.squeeze(3)?,
                split.narrow(3, 1, 1)?.squeeze(3)?,
                3,
            )
        }
        RopeStyle::HalfSplit => (
            rotated.narrow(2, 0, pairs)?,
            rotated.narrow(2, pairs, pairs)?,
            2,
        ),
    };
    let first = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
    let second = (a.broadcast_mul(sin)? + b.broadcast_mul(cos)?)?;
    let turned = match axis {
        3 => Tensor::stack(&[first, second], 3)?.reshape((rows, heads, 2 * pairs))?,
        _ => Tensor::cat(&[first, second], 2)?,
    };
    let whole = if 2 * pairs < head_dim {
        Tensor::cat(&[turned, x.narrow(2, 2 * pairs, head_dim - 2 * pairs)?], 2)?
    } else {
        turned
    };
    whole.reshape((rows, width))
}

struct Rotate {
    table: Arc<RopeTable>,
    style: RopeStyle,
    heads: usize,
}

impl CustomOp1 for Rotate {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = slice(storage, layout)?.to_vec();
        let head_dim = layout.shape().dims2()?.1 / self.heads;
        kernels::rope(&mut y, self.heads, head_dim, &self.table, self.style);
        Ok(result(y, layout.shape()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let mut dx = values(&dy.contiguous()?)?.to_vec();
        let head_dim = x.dims2()?.1 / self.heads;
        kernels::rope_backward(&mut dx, self.heads, head_dim, &self.table, self.style);
        Ok(Some(tensor(dx, x.shape())?))
    }
}

/// `x + y`: candle's own sum starts threads of its own, which get in the way of ours.
pub(crate) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        x.apply_op2(y, Add)
    } else {
        x + y
    }
}

struct Add;

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (slice(s1, l1)?, slice(s2, l2)?);
        let mut sum = vec![0.0; x.len()];
        kernels::add(x, y, &mut sum);
        Ok(result(sum, l1.shape()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(dy.clone()), Some(dy.clone())))
    }
}

/// `activation(gate) * up`.
pub(crate) fn gated(
    gate: &Tensor,
    up: &Tensor,
    activation: Activation,
    level: Level,
) -> Result<Tensor> {
    if gate.device().is_cpu() {
        gate.apply_op2(up, Gated(activation, level))
    } else {
        gated_composed(gate, up, activation)
    }
}

fn gated_composed(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Silu => gate.silu()? * up,
        // candle's `gelu` is the approximation with tanh.
        Activation::GeluTanh => gate.gelu()? * up,
    }
}

struct Gated(Activation, Level);

impl CustomOp2 for Gated {
    fn name(&self) -> &'static str {
        "gated-activation"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (slice(s1, l1)?, slice(s2, l2)?);
        let mut y = vec![0.0; gate.len()];
        kernels::gated(gate, up, &mut y, self.0, self.1);
        Ok(result(y, l1.shape()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (mut dgate, mut dup) = (vec![0.0; gate.elem_count()], vec![0.0; up.elem_count()]);
        kernels::gated_backward(
            &values(gate)?,
            &values(up)?,
            &values(&dy)?,
            &mut dgate,
            &mut dup,
            self.0,
            self.1,
        );
        Ok((
            Some(tensor(dgate, gate.shape())?),
            Some(tensor(dup, up.shape())?),
        ))
    }
}

/// Causal attention over whole sequences packed one after another: `q[t, heads * head_dim]`, `k` and `v`
/// `[t, kv_heads * head_dim]`, t the sum of `lengths`.
pub(crate) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: &AttentionShape,
    lengths: &Arc<[usize]>,
    level: Level,
) -> Result<Tensor> {
    if q.device().is_cpu() {
        let op = Attention {
            shape: *shape,
            lengths: lengths.clone(),
            level,
            log_sum_exp: OnceLock::new(),
        };
        return q.apply_op3(k, v, op);
    }
    attention_composed(q, k, v, shape, lengths)
}

fn attention_composed(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: &AttentionShape,
    lengths: &[usize],
) -> Result<Tensor> {
    let mut parts = Vec::with_capacity(lengths.len());
    let mut start = 0;
    for &t in lengths {
        let heads = |x: &Tensor, n: usize| {
            x.narrow(0, start, t)?
                .reshape((t, n, shape.head_dim))?
                .transpose(0, 1)
        };
        let (k, v) = (heads(k, shape.kv_heads)?, heads(v, shape.kv_heads)?);
        parts.push(attend_composed(&heads(q, shape.heads)?, &k, &v, shape, 0)?);
        start += t;
    }
    Tensor::cat(&parts, 0)
}

/// Attention of `q[heads, t, head_dim]` over `k`, `v` `[kv_heads, n, head_dim]`, query i seeing the first
/// `before + i + 1` positions, of which a window leaves the newest. Gives `[t, heads * head_dim]`.
pub(crate) fn attend_composed(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    shape: &AttentionShape,
    before: usize,
) -> Result<Tensor> {
    let (heads, t, head_dim) = q.dims3()?;
    let n = k.dim(1)?;
    let shared = |x: &Tensor| -> Result<Tensor> {
        x.unsqueeze(1)?
            .expand((shape.kv_heads, heads / shape.kv_heads, n, head_dim))?
            .reshape((heads, n, head_dim))
    };
    let scores = (q.contiguous()?.matmul(&shared(k)?.transpose(1, 2)?)? * f64::from(shape.scale))?;
    let mask: Vec<f32> = (0..t)
        .flat_map(|i| {
            (0..n).map(move |p| {
                let newest = before + i;
                if p <= newest && shape.window.is_none_or(|window| newest - p < window) {
                    0.0
                } else {
                    f32::NEG_INFINITY
                }
            })
        })
        .collect();
    let mask = Tensor::from_vec(mask, (1, t, n), q.device())?.to_dtype(DType::F32)?;
    let weights = candle_nn::ops::softmax(&scores.broadcast_add(&mask)?, D::Minus1)?;
    weights
        .matmul(&shared(v)?)?
        .transpose(0, 1)?
        .reshape((t, heads * head_dim))
}

struct Attention {
    shape: AttentionShape,
    lengths: Arc<[usize]>,
    level: Level,
    /// Written by the one forward pass of this operation, read by its backward pass.
    log_sum_exp: OnceLock<Vec<f32>>,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "causal-attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
        let mut out = vec![0.0; q.len()];
        let log_sum_exp =
            attention_train(&self.shape, &self.lengths, q, k, v, &mut out, self.level);
        // A second forward pass of the same operation would compute the same.
        let _ = self.log_sum_exp.set(log_sum_exp);
        Ok(result(out, l1.shape()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(log_sum_exp) = self.log_sum_exp.get() else {
            candle_core::bail!("the backward pass of attention came before its forward pass");
        };
        let dout = dout.contiguous()?;
        let (mut dq, mut dk, mut dv) = (
            vec![0.0; q.elem_count()],
            vec![0.0; k.elem_count()],
            vec![0.0; v.elem_count()],
        );
        let trace = AttentionTrace {
            q: &values(q)?,
            k: &values(k)?,
            v: &values(v)?,
            out: &values(out)?,
            log_sum_exp,
        };
        attention_backward(
            &self.shape,
            &self.lengths,
            &trace,
            &values(&dout)?,
            &mut dq,
            &mut dk,
            &mut dv,
            self.level,
        );
        Ok((
            Some(tensor(dq, q.shape())?),
            Some(tensor(dk, k.shape())?),
            Some(tensor(dv, v.shape())?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    /// Values of the custom operations against the compositions: f32 sums in another order.
    const TOLERANCE: f32 = 2e-5;

    fn random(shape: impl Into<Shape>, seed: u64) -> Var {
        use rand::Rng as _;
        use rand_chacha::rand_core::SeedableRng as _;
        let shape = shape.into();
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let values = (0..shape.elem_count())
            .map(|_| random.random_range(-1.5..1.5_f32))
            .collect();
        Var::from_tensor(&tensor(values, shape).unwrap()).unwrap()
    }

    fn close(a: &Tensor, b: &Tensor, what: &str) {
        let difference = (a - b)
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap()
            .max(0)
            .unwrap();
        let difference = difference.to_scalar::<f32>().unwrap();
        assert!(difference < TOLERANCE, "{what} differs by {difference}");
    }

    /// Both must agree in value and in every gradient.
    fn agree(inputs: &[Var], custom: Tensor, composed: Tensor, what: &str) {
        close(&custom, &composed, what);
        let weights = random(custom.shape(), 99);
        let gradients = |y: &Tensor| {
            (y * weights.as_tensor())
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap()
        };
        let (one, other) = (gradients(&custom), gradients(&composed));
        for (i, input) in inputs.iter().enumerate() {
            close(
                one.get(input).unwrap(),
                other.get(input).unwrap(),
                &format!("{what}: gradient {i}"),
            );
        }
    }

    #[test]
    fn norm_agrees_with_its_composition() {
        let (x, heads) = (random((5, 64), 1), random((3, 128), 10));
        for level in Level::available() {
            let norm = Norm::new(
                (0..64).map(|i| 0.5 + i as f32 / 64.0).collect(),
                1e-5,
                level,
                &Device::Cpu,
            )
            .unwrap();
            // Whole rows, and rows of two heads.
            for x in [&x, &heads] {
                agree(
                    std::slice::from_ref(x),
                    norm.forward(x).unwrap(),
                    norm.composed(x).unwrap(),
                    "norm",
                );
            }
        }
    }

    #[test]
    fn rotation_agrees_with_its_composition_in_both_styles() {
        let x = random((3, 2 * 16), 2);
        let frequencies = [1.0, 0.3, 0.1, 0.02, 0.005, 0.001];
        for style in [RopeStyle::Interleaved, RopeStyle::HalfSplit] {
            let rows = [0, 7, 1500].map(|p| (&frequencies[..], p));
            let table = RopeTable::of_rows(rows, 1.25);
            let (cos, sin) = angles(&table, &Device::Cpu).unwrap();
            let rotation = Rotation::new(table, style, &Device::Cpu).unwrap();
            let composed = rotate_composed(&x, 2, &cos, &sin, style).unwrap();
            agree(
                std::slice::from_ref(&x),
                rotation.forward(&x, 2).unwrap(),
                composed,
                "rotation",
            );
        }
    }

    #[test]
    fn residual_agrees_with_its_composition() {
        let (x, y) = (random((4, 32), 8), random((4, 32), 9));
        let composed = (x.as_tensor() + y.as_tensor()).unwrap();
        let custom = add(&x, &y).unwrap();
        agree(&[x, y], custom, composed, "residual");
    }

    #[test]
    fn gated_activations_agree_with_their_compositions() {
        let (gate, up) = (random((4, 32), 3), random((4, 32), 4));
        for level in Level::available() {
            for activation in [Activation::Silu, Activation::GeluTanh] {
                agree(
                    &[gate.clone(), up.clone()],
                    gated(&gate, &up, activation, level).unwrap(),
                    gated_composed(&gate, &up, activation).unwrap(),
                    "gated activation",
                );
            }
        }
    }

    #[test]
    fn attention_agrees_with_its_composition() {
        for window in [None, Some(3)] {
            // 8 is computed by the reference, 16 by the tiles.
            for head_dim in [8, 16] {
                attention_agrees(AttentionShape {
                    heads: 4,
                    kv_heads: 2,
                    head_dim,
                    scale: 0.35,
                    window,
                });
            }
        }
    }

    fn attention_agrees(shape: AttentionShape) {
        let lengths: Arc<[usize]> = [5, 1, 9].into();
        let (q, k, v) = (
            random((15, 4 * shape.head_dim), 5),
            random((15, 2 * shape.head_dim), 6),
            random((15, 2 * shape.head_dim), 7),
        );
        for level in Level::available() {
            let composed = attention_composed(&q, &k, &v, &shape, &lengths).unwrap();
            let custom = attention(&q, &k, &v, &shape, &lengths, level).unwrap();
            agree(
                &[q.clone(), k.clone(), v.clone()],
                custom,
                composed,
                "attention",
            );
        }
    }

    #[test]
    fn later_rows_see_earlier_ones_through_the_window() {
        for window in [None, Some(4)] {
            let shape = AttentionShape {
                heads: 2,
                kv_heads: 1,
                head_dim: 8,
                scale: 0.35,
                window,
            };
            let part = |x: Tensor| x.narrow(1, 6, 4).unwrap();
            let (q, k, v) = (
                random((2, 10, 8), 11),
                random((1, 10, 8), 12),
                random((1, 10, 8), 13),
            );
            let whole = attend_composed(&q, &k, &v, &shape, 0).unwrap();
            let last = attend_composed(&part(q.as_tensor().clone()), &k, &v, &shape, 6).unwrap();
            close(&last, &whole.narrow(0, 6, 4).unwrap(), "rows 6 to 9");
        }
    }
}
