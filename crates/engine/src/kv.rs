//! The keys and values of tokens already seen, layer by layer.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use idiolect_kernels::{AttentionShape, KEY_BLOCK, PAGE, Page, store_in_page};

use crate::config::Config;

/// A layer's keys and values.
#[derive(Debug)]
enum Buffers {
    /// On the processor, as `attention_over_caches` reads them. Caches that were forked have pages in common until one of them
    /// writes to one.
    Host(Vec<Arc<HostPage>>),
    /// Elsewhere: keys and values, `[kv_heads, capacity, head_dim]`.
    Device([Tensor; 2]),
}

/// Keys and values of up to [`PAGE`] positions.
#[derive(Debug, Clone)]
struct HostPage {
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Whole blocks of positions.
    capacity: usize,
}

impl HostPage {
    fn new((heads, head_dim): (usize, usize), capacity: usize) -> Self {
        let zeros = || vec![0.0; heads * capacity * head_dim];
        Self {
            keys: zeros(),
            values: zeros(),
            capacity,
        }
    }

    /// The same positions with room for more.
    fn grown(&self, (heads, head_dim): (usize, usize), capacity: usize) -> Self {
        let mut new = Self::new((heads, head_dim), capacity);
        // Keys lie in whole blocks of positions, so both begin with what is to be kept.
        for (from, to) in [(&self.keys, &mut new.keys), (&self.values, &mut new.values)] {
            let heads = from.chunks_exact(self.capacity * head_dim);
            for (from, to) in heads.zip(to.chunks_exact_mut(capacity * head_dim)) {
                to[..from.len()].copy_from_slice(from);
            }
        }
        new
    }

    fn view(&self) -> Page<'_> {
        Page {
            keys: &self.keys,
            values: &self.values,
            capacity: self.capacity,
        }
    }
}

/// A sequence's cache, f32: pages on the processor, buffers that double elsewhere.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<Buffers>,
    /// Key/value heads, components of a head.
    shape: (usize, usize),
    length: usize,
    /// Positions there is room for: whole blocks of keys.
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
            let layer = if device.is_cpu() {
                let mut pages = Vec::new();
                make_room(&mut pages, cache.shape, cache.capacity);
                Buffers::Host(pages)
            } else {
                Buffers::Device(cache.empty(cache.capacity)?)
            };
            cache.layers.push(layer);
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

    /// Bytes of its keys and values, with those that other caches share.
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

    /// A cache of its own with the first `length` positions of this one: nothing is computed again, and on the processor
    /// nothing is copied before one of the two writes.
    ///
    /// # Errors
    /// When the device has no memory.
    pub fn fork(&self, length: usize) -> Result<Self> {
        let length = length.min(self.length);
        let capacity = room_for(length + KEY_BLOCK);
        Ok(Self {
            layers: self.with_room(length, capacity)?,
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
        if tokens <= self.capacity {
            return Ok(());
        }
        let capacity = room_for(tokens.max(self.capacity * 2));
        self.layers = self.with_room(self.length, capacity)?;
        self.capacity = capacity;
        Ok(())
    }

    /// The first `length` positions of every layer, with room for `capacity`.
    fn with_room(&self, length: usize, capacity: usize) -> Result<Vec<Buffers>> {
        let layers = self.layers.iter().map(|layer| match layer {
            Buffers::Host(pages) => {
                let mut pages = pages[..length.div_ceil(PAGE)].to_vec();
                make_room(&mut pages, self.shape, capacity);
                Ok(Buffers::Host(pages))
            }
            Buffers::Device(old) => self.copy(old, length, capacity).map(Buffers::Device),
        });
        layers.collect()
    }

    fn empty(&self, capacity: usize) -> Result<[Tensor; 2]> {
        let (heads, head_dim) = self.shape;
        let zeros = || Tensor::zeros((heads, capacity, head_dim), DType::F32, &self.device);
        Ok([zeros()?, zeros()?])
    }

    /// The first `length` positions in buffers of another capacity.
    fn copy(&self, old: &[Tensor; 2], length: usize, capacity: usize) -> Result<[Tensor; 2]> {
        let new = self.empty(capacity)?;
        if length > 0 {
            for (old, new) in old.iter().zip(&new) {
                new.slice_set(&old.narrow(1, 0, length)?.contiguous()?, 1, 0)?;
            }
        }
        Ok(new)
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
        let Buffers::Host(pages) = &mut self.layers[layer] else {
            candle_core::bail!("the cache lies on another device");
        };
        let width = shape.kv_heads * shape.head_dim;
        let (end, mut from) = (at + k.len() / width, at);
        while from < end {
            let to = (from / PAGE * PAGE + PAGE).min(end);
            let page = Arc::make_mut(&mut pages[from / PAGE]);
            let new = (from - at) * width..(to - at) * width;
            let HostPage {
                keys,
                values,
                capacity,
            } = page;
            let new = (&k[new.clone()], &v[new]);
            store_in_page(shape, new, from % PAGE, *capacity, keys, values);
            from = to;
        }
        Ok(())
    }

    /// On the processor: a layer's keys and values.
    pub(crate) fn host(&self, layer: usize) -> Result<Vec<Page<'_>>> {
        match &self.layers[layer] {
            Buffers::Host(pages) => Ok(pages.iter().map(|page| page.view()).collect()),
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

/// Adds pages until there is room for so many positions. One that is there and too small grows to a whole page.
fn make_room(pages: &mut Vec<Arc<HostPage>>, shape: (usize, usize), positions: usize) {
    for first in (0..positions).step_by(PAGE) {
        let wanted = PAGE.min(positions - first);
        match pages.get_mut(first / PAGE) {
            None => pages.push(Arc::new(HostPage::new(shape, wanted))),
            Some(page) if page.capacity < wanted => *page = Arc::new(page.grown(shape, PAGE)),
            Some(_) => {}
        }
    }
}
