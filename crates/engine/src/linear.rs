//! Linear layers over frozen weights, with LoRA terms at inference and in training.
//!
//! On the processor the weight stays quantized and is multiplied by `idiolect-kernels`; on a GPU it is dequantized to f32
//! when the model is loaded. candle's own quantized product is not used: it drops gradients without a word.

use std::{ops::Range, sync::Arc};

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Device, Layout, Result, Shape, Tensor};
use idiolect_kernels::{DropoutMask, Level, Precision, QMatrix, QuantType};

use crate::values::{result, slice, tensor, values};

/// A frozen `[outputs, inputs]` weight.
#[derive(Debug, Clone)]
pub(crate) enum Weight {
    /// On the processor.
    Quantized(QMatrix),
    /// On a GPU, in f32.
    Dense(Tensor),
}

impl Weight {
    pub(crate) fn new(matrix: QMatrix, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self::Quantized(matrix));
        }
        let shape = (matrix.rows(), matrix.cols());
        Ok(Self::Dense(Tensor::from_vec(
            matrix.dequantize(),
            shape,
            device,
        )?))
    }

    /// A small f32 matrix, as a LoRA factor is.
    pub(crate) fn from_f32(
        rows: usize,
        cols: usize,
        values: &[f32],
        device: &Device,
    ) -> Result<Self> {
        if !device.is_cpu() {
            return Ok(Self::Dense(Tensor::from_slice(
                values,
                (rows, cols),
                device,
            )?));
        }
        QMatrix::from_f32_quantized(QuantType::F32, rows, cols, values)
            .map(Self::Quantized)
            .map_err(|e| candle_core::Error::Msg(e.to_string()))
    }
}

/// A LoRA pair ready for inference: A `[r, inputs]`, B `[outputs, r]`.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) a: Weight,
    pub(crate) b: Weight,
}

/// A LoRA pair applied to some rows of a packed batch.
#[derive(Debug, Clone)]
pub(crate) struct Patch {
    pub(crate) rows: Range<usize>,
    pub(crate) pair: Arc<Pair>,
    /// What `B A x` is multiplied by.
    pub(crate) scale: f32,
}

impl Patch {
    /// Adds the patch to its rows of `y[m, outputs]`, from its rows of `x[m, inputs]`, on the processor.
    ///
    /// # Errors
    /// When the adapter lies on another device.
    pub(crate) fn add_to(
        &self,
        x: &[f32],
        inputs: usize,
        y: &mut [f32],
        outputs: usize,
        level: Level,
    ) -> Result<()> {
        let (Weight::Quantized(a), Weight::Quantized(b)) = (&self.pair.a, &self.pair.b) else {
            candle_core::bail!("the adapter lies on another device than the model");
        };
        let n = self.rows.len();
        let (mut inner, mut delta) = (vec![0.0; n * a.rows()], vec![0.0; n * outputs]);
        let x = &x[self.rows.start * inputs..self.rows.end * inputs];
        a.forward(x, n, &mut inner, Precision::F32, level);
        b.forward(&inner, n, &mut delta, Precision::F32, level);
        let y = &mut y[self.rows.start * outputs..self.rows.end * outputs];
        add_scaled(y, self.scale, &delta);
        Ok(())
    }

    /// The same on other devices: `y` is changed in place.
    ///
    /// # Errors
    /// When the adapter lies on another device.
    pub(crate) fn add_elsewhere(&self, x: &Tensor, y: &Tensor) -> Result<()> {
        let (Weight::Dense(a), Weight::Dense(b)) = (&self.pair.a, &self.pair.b) else {
            candle_core::bail!("the adapter lies on another device than the model");
        };
        let (first, n) = (self.rows.start, self.rows.len());
        let delta = x.narrow(0, first, n)?.matmul(&a.t()?)?.matmul(&b.t()?)?;
        let sum = (y.narrow(0, first, n)? + (delta * f64::from(self.scale))?)?;
        y.slice_set(&sum, 0, first)
    }
}

/// A trainable pair: A `[r, inputs]`, B `[outputs, r]`, and the factor on their product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrainablePair<'a> {
    pub(crate) a: &'a Tensor,
    pub(crate) b: &'a Tensor,
    pub(crate) scale: f32,
}

/// A linear layer.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Bias>,
    level: Level,
}

/// What is added to every row; frozen like the weight.
#[derive(Debug, Clone)]
pub(crate) struct Bias {
    values: Arc<[f32]>,
    /// The same where the kernels cannot compute.
    tensor: Option<Tensor>,
}

impl Bias {
    pub(crate) fn new(values: Vec<f32>, device: &Device) -> Result<Self> {
        let tensor = match device.is_cpu() {
            true => None,
            false => Some(Tensor::from_slice(&values, values.len(), device)?),
        };
        Ok(Self {
            values: values.into(),
            tensor,
        })
    }

    fn add_to_rows(&self, y: &mut [f32]) {
        for row in y.chunks_exact_mut(self.values.len()) {
            add_scaled(row, 1.0, &self.values);
        }
    }

    fn add_to(&self, y: Tensor) -> Result<Tensor> {
        match &self.tensor {
            Some(bias) => y.broadcast_add(bias),
            None => y.apply_op1(self.clone()),
        }
    }
}

impl CustomOp1 for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = slice(storage, layout)?.to_vec();
        self.add_to_rows(&mut y);
        Ok(result(y, layout.shape()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(dy.clone()))
    }
}

impl Linear {
    pub(crate) fn new(weight: Weight, bias: Option<Bias>, level: Level) -> Self {
        Self {
            weight,
            bias,
            level,
        }
    }

    /// The quantized weight, where it is one.
    pub(crate) fn quantized_mut(&mut self) -> Option<&mut QMatrix> {
        match &mut self.weight {
            Weight::Quantized(matrix) => Some(matrix),
            Weight::Dense(_) => None,
        }
    }

    /// The frozen weight.
    pub(crate) fn weight(&self) -> &Weight {
        &self.weight
    }

    /// Adds the bias, where there is one, to every row of `y` on the processor.
    pub(crate) fn add_bias(&self, y: &mut [f32]) {
        if let Some(bias) = &self.bias {
            bias.add_to_rows(y);
        }
    }

    /// `x Wᵀ`, no gradients. A row's result depends on that row alone.
    pub(crate) fn product(&self, x: &Tensor, precision: Precision) -> Result<Tensor> {
        match &self.weight {
            Weight::Quantized(w) => x.apply_op1_no_bwd(&Product {
                w: w.clone(),
                precision,
                level: self.level,
            }),
            Weight::Dense(w) => x.matmul(&w.t()?),
        }
    }

    /// A product with the bias, where there is one.
    pub(crate) fn with_bias(&self, y: Tensor) -> Result<Tensor> {
        match &self.bias {
            Some(bias) => bias.add_to(y),
            None => Ok(y),
        }
    }

    /// `x Wᵀ + b + scale (x Aᵀ) Bᵀ` with gradients for x, A and B; weight and bias are frozen and get none.
    pub(crate) fn train(&self, x: &Tensor, pair: Option<TrainablePair<'_>>) -> Result<Tensor> {
        self.with_bias(self.trained_product(x, pair)?)
    }

    /// `x Wᵀ + b + scale (x ∘ mask) Aᵀ Bᵀ`, put together from candle's own operations.
    pub(crate) fn train_dropped(
        &self,
        x: &Tensor,
        TrainablePair { a, b, scale }: TrainablePair<'_>,
        mask: &DropoutMask,
    ) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let mut factors = vec![1.0; rows * width];
        for (row, factors) in factors.chunks_exact_mut(width).enumerate() {
            mask.apply(row, factors);
        }
        let dropped = (x * Tensor::from_vec(factors, (rows, width), x.device())?)?;
        let delta = dropped.matmul(&a.t()?)?.matmul(&b.t()?)?;
        self.with_bias((self.trained_product(x, None)? + (delta * f64::from(scale))?)?)
    }

    fn trained_product(&self, x: &Tensor, pair: Option<TrainablePair<'_>>) -> Result<Tensor> {
        match (&self.weight, pair) {
            (Weight::Quantized(w), None) => x.apply_op1(Product {
                w: w.clone(),
                precision: Precision::F32,
                level: self.level,
            }),
            (Weight::Quantized(w), Some(TrainablePair { a, b, scale })) => x.apply_op3(
                a,
                b,
                LoraProduct {
                    w: w.clone(),
                    scale,
                    level: self.level,
                },
            ),
            (Weight::Dense(w), pair) => {
                let y = x.matmul(&w.t()?)?;
                match pair {
                    None => Ok(y),
                    Some(TrainablePair { a, b, scale }) => {
                        y + (x.matmul(&a.t()?)?.matmul(&b.t()?)? * f64::from(scale))?
                    }
                }
            }
        }
    }
}

/// `x Wᵀ` over a quantized weight.
struct Product {
    w: QMatrix,
    precision: Precision,
    level: Level,
}

impl CustomOp1 for Product {
    fn name(&self) -> &'static str {
        "quantized-product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(storage, layout)?;
        let (m, rows) = (layout.shape().dims2()?.0, self.w.rows());
        let mut y = vec![0.0; m * rows];
        self.w.forward(x, m, &mut y, self.precision, self.level);
        Ok(result(y, (m, rows)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let mut dx = vec![0.0; x.elem_count()];
        self.w.backward_input(
            &values(&dy)?,
            x.dims2()?.0,
            &mut dx,
            Precision::F32,
            self.level,
        );
        Ok(Some(tensor(dx, x.shape())?))
    }
}

/// A product with its LoRA term as one operation, so that neither the term nor its scaled copy is kept for the backward pass.
struct LoraProduct {
    w: QMatrix,
    scale: f32,
    level: Level,
}

impl LoraProduct {
    fn factor(values: &[f32], rows: usize) -> Result<QMatrix> {
        QMatrix::from_f32_quantized(QuantType::F32, rows, values.len() / rows.max(1), values)
            .map_err(|e| candle_core::Error::Msg(e.to_string()))
    }
}

impl CustomOp3 for LoraProduct {
    fn name(&self) -> &'static str {
        "lora-product"
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
        let (x, m) = (slice(s1, l1)?, l1.shape().dims2()?.0);
        let a = Self::factor(slice(s2, l2)?, l2.shape().dims2()?.0)?;
        let b = Self::factor(slice(s3, l3)?, l3.shape().dims2()?.0)?;
        let rows = self.w.rows();
        let (mut y, mut inner, mut delta) = (
            vec![0.0; m * rows],
            vec![0.0; m * a.rows()],
            vec![0.0; m * rows],
        );
        self.w.forward(x, m, &mut y, Precision::F32, self.level);
        a.forward(x, m, &mut inner, Precision::F32, self.level);
        b.forward(&inner, m, &mut delta, Precision::F32, self.level);
        add_scaled(&mut y, self.scale, &delta);
        Ok(result(y, (m, rows)))
    }

    /// With u = x Aᵀ and s the scale: `dB = s dyᵀ u`, `dA = s (dy B)ᵀ x`, `dx = dy W + s (dy B) A`.
    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        // Detached, or the products below would record a graph of their own.
        let (x, a, b, dy) = (
            x.detach(),
            a.detach(),
            b.detach(),
            dy.detach().contiguous()?,
        );
        let scale = f64::from(self.scale);
        let inner = x.matmul(&a.t()?)?;
        let back = (dy.matmul(&b)? * scale)?;
        let da = back.t()?.matmul(&x)?;
        let db = (dy.t()?.matmul(&inner)? * scale)?;
        let mut dx = vec![0.0; x.elem_count()];
        self.w.backward_input(
            &values(&dy)?,
            x.dims2()?.0,
            &mut dx,
            Precision::F32,
            self.level,
        );
        add_scaled(&mut dx, 1.0, &values(&back.matmul(&a)?)?);
        Ok((Some(tensor(dx, x.shape())?), Some(da), Some(db)))
    }
}

fn add_scaled(to: &mut [f32], factor: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}
