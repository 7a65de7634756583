//! The keys and values of tokens already seen, one pair of buffers a layer.

use candle_core::{DType, Device, Result, Tensor};

use crate::config::Config;

/// Positions that a cache has room for at first.
const FIRST_CAPACITY: usize = 64;

/// A sequence's cache, `[kv_heads, capacity, head_dim]` a layer, f32. It grows by doubling.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<[Tensor; 2]>,
    shape: (usize, usize),
    length: usize,
    capacity: usize,
    device: Device,
}

impl KvCache {
    /// An empty cache with room for `tokens`.
    ///
    /// # Errors
    /// When the device has no memory.
    pub fn new(config: &Config, device: &Device, tokens: usize) -> Result<Self> {
        let capacity = tokens.max(FIRST_CAPACITY);
        let shape = (config.kv_heads, config.head_dim);
        let empty = || Tensor::zeros((shape.0, capacity, shape.1), DType::F32, device);
        let layers = (0..config.layers)
            .map(|_| Ok([empty()?, empty()?]))
            .collect::<Result<_>>()?;
        Ok(Self {
            layers,
            shape,
            length: 0,
            capacity,
            device: device.clone(),
        })
    }

    /// Tokens that are kept.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Positions there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets everything from position `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    pub(crate) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
    }

    /// A cache of its own with the first `length` positions of this one: nothing is computed again.
    ///
    /// # Errors
    /// When the device has no memory.
    pub fn fork(&self, length: usize) -> Result<Self> {
        let length = length.min(self.length);
        let capacity = (length + FIRST_CAPACITY).next_multiple_of(FIRST_CAPACITY);
        let mut fork = Self {
            layers: Vec::with_capacity(self.layers.len()),
            shape: self.shape,
            length,
            capacity,
            device: self.device.clone(),
        };
        for [k, v] in &self.layers {
            fork.layers.push([fork.copy(k)?, fork.copy(v)?]);
        }
        Ok(fork)
    }

    /// Makes room for `tokens` positions in all.
    pub(crate) fn reserve(&mut self, tokens: usize) -> Result<()> {
        if tokens <= self.capacity {
            return Ok(());
        }
        self.capacity = tokens.max(self.capacity * 2);
        let layers = std::mem::take(&mut self.layers);
        for [k, v] in layers {
            self.layers.push([self.copy(&k)?, self.copy(&v)?]);
        }
        Ok(())
    }

    /// The first `self.length` positions of `old` in a buffer of `self.capacity`.
    fn copy(&self, old: &Tensor) -> Result<Tensor> {
        let new = Tensor::zeros(
            (self.shape.0, self.capacity, self.shape.1),
            DType::F32,
            &self.device,
        )?;
        if self.length > 0 {
            new.slice_set(&old.narrow(1, 0, self.length)?.contiguous()?, 1, 0)?;
        }
        Ok(new)
    }

    /// Writes keys and values `[t, kv_heads * head_dim]` at positions `at..` of a layer and gives its buffers.
    pub(crate) fn write(
        &self,
        layer: usize,
        at: usize,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<&[Tensor; 2]> {
        let buffers = &self.layers[layer];
        for (buffer, new) in buffers.iter().zip([k, v]) {
            let t = new.dim(0)?;
            let heads = new
                .reshape((t, self.shape.0, self.shape.1))?
                .transpose(0, 1)?
                .contiguous()?;
            buffer.slice_set(&heads, 1, at)?;
        }
        Ok(buffers)
    }
}
