//! The keys and values of tokens already seen, one pair of buffers a layer.

use candle_core::{DType, Device, Result, Tensor};
use idiolect_kernels::{AttentionShape, KEY_BLOCK, store_in_cache};

use crate::config::Config;

/// A layer's keys and values.
#[derive(Debug, Clone)]
enum Buffers {
    /// On the processor, laid out as `attention_over_caches` reads them.
    Host { keys: Vec<f32>, values: Vec<f32> },
    /// Elsewhere: keys and values, `[kv_heads, capacity, head_dim]`.
    Device([Tensor; 2]),
}

/// A sequence's cache, f32. It grows by doubling.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<Buffers>,
    /// Key/value heads, components of a head.
    shape: (usize, usize),
    length: usize,
    /// Whole blocks of keys.
    capacity: usize,
    /// Tokens that the text is planned to have.
    planned: usize,
    device: Device,
}

impl KvCache {
    /// An empty cache with room for `tokens`.
    ///
    /// # Errors
    /// When the device has no memory.
    pub fn new(config: &Config, device: &Device, tokens: usize) -> Result<Self> {
        let mut cache = Self {
            layers: Vec::with_capacity(config.layers),
            shape: (config.kv_heads, config.head_dim),
            length: 0,
            capacity: room_for(tokens),
            planned: tokens,
            device: device.clone(),
        };
        for _ in 0..config.layers {
            cache.layers.push(cache.empty(cache.capacity)?);
        }
        Ok(cache)
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

    /// Bytes of its buffers.
    pub fn bytes(&self) -> usize {
        2 * self.layers.len() * self.shape.0 * self.shape.1 * self.capacity * size_of::<f32>()
    }

    /// Whether it is one of a model of this shape.
    pub(crate) fn fits(&self, config: &Config) -> bool {
        self.layers.len() == config.layers && self.shape == (config.kv_heads, config.head_dim)
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
        let capacity = room_for(length + KEY_BLOCK);
        Ok(Self {
            layers: self.copies(length, capacity)?,
            shape: self.shape,
            length,
            capacity,
            planned: self.planned,
            device: self.device.clone(),
        })
    }

    /// How long the whole text is planned to be. What is in the cache was computed with that plan, so only an empty cache
    /// takes a longer one: keys that are rotated differently do not go together.
    pub(crate) fn plan(&mut self, tokens: usize) -> usize {
        if self.length == 0 {
            self.planned = self.planned.max(tokens);
        }
        self.planned
    }

    pub(crate) fn planned(&self) -> usize {
        self.planned
    }

    /// Makes room for `tokens` positions in all.
    pub(crate) fn reserve(&mut self, tokens: usize) -> Result<()> {
        if tokens > self.capacity {
            let capacity = room_for(tokens.max(self.capacity * 2));
            self.layers = self.copies(self.length, capacity)?;
            self.capacity = capacity;
        }
        Ok(())
    }

    fn empty(&self, capacity: usize) -> Result<Buffers> {
        let (heads, head_dim) = self.shape;
        if self.device.is_cpu() {
            let zeros = || vec![0.0; heads * capacity * head_dim];
            return Ok(Buffers::Host {
                keys: zeros(),
                values: zeros(),
            });
        }
        let zeros = || Tensor::zeros((heads, capacity, head_dim), DType::F32, &self.device);
        Ok(Buffers::Device([zeros()?, zeros()?]))
    }

    /// The first `length` positions of every layer in buffers of another capacity.
    fn copies(&self, length: usize, capacity: usize) -> Result<Vec<Buffers>> {
        let head_dim = self.shape.1;
        let copy = |old: &Buffers| -> Result<Buffers> {
            let mut new = self.empty(capacity)?;
            match (old, &mut new) {
                (
                    Buffers::Host { keys, values },
                    Buffers::Host {
                        keys: new_keys,
                        values: new_values,
                    },
                ) => {
                    // Keys lie in whole blocks of positions, so both begin with what is to be kept.
                    let blocks = length.next_multiple_of(KEY_BLOCK);
                    for (from, to, kept) in [(keys, new_keys, blocks), (values, new_values, length)]
                    {
                        for (from, to) in from
                            .chunks_exact(self.capacity * head_dim)
                            .zip(to.chunks_exact_mut(capacity * head_dim))
                        {
                            to[..kept * head_dim].copy_from_slice(&from[..kept * head_dim]);
                        }
                    }
                }
                (Buffers::Device(old), Buffers::Device(new)) if length > 0 => {
                    for (old, new) in old.iter().zip(new) {
                        new.slice_set(&old.narrow(1, 0, length)?.contiguous()?, 1, 0)?;
                    }
                }
                _ => {}
            }
            Ok(new)
        };
        self.layers.iter().map(copy).collect()
    }

    /// On the processor: writes keys and values `[t, kv_heads * head_dim]` at positions `at..` of a layer.
    pub(crate) fn store(
        &mut self,
        shape: &AttentionShape,
        layer: usize,
        at: usize,
        k: &[f32],
        v: &[f32],
    ) -> Result<()> {
        let capacity = self.capacity;
        match &mut self.layers[layer] {
            Buffers::Host { keys, values } => {
                store_in_cache(shape, (k, v), at, capacity, keys, values);
                Ok(())
            }
            Buffers::Device(_) => candle_core::bail!("the cache lies on another device"),
        }
    }

    /// On the processor: a layer's keys and values.
    pub(crate) fn host(&self, layer: usize) -> Result<(&[f32], &[f32])> {
        match &self.layers[layer] {
            Buffers::Host { keys, values } => Ok((keys, values)),
            Buffers::Device(_) => candle_core::bail!("the cache lies on another device"),
        }
    }

    /// Elsewhere: the same for tensors, with buffers `[kv_heads, capacity, head_dim]`.
    pub(crate) fn write(
        &self,
        layer: usize,
        at: usize,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<&[Tensor; 2]> {
        let Buffers::Device(buffers) = &self.layers[layer] else {
            candle_core::bail!("the cache lies on the processor");
        };
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

/// A capacity of whole blocks, at least one.
fn room_for(tokens: usize) -> usize {
    tokens.max(1).next_multiple_of(KEY_BLOCK)
}
