//! What a GGUF file says about its model, for the architectures that the decoder knows.

use idiolect_llm::{LlmError, Result};

use crate::{
    architecture::{ARCHITECTURES, Architecture, GEMMA3_27B_LAYERS, Windows},
    gguf::{Gguf, corrupt},
};

/// More than any published model has; what is beyond is damage.
const MAX_LAYERS: usize = 1024;
const MAX_SIZE: usize = 1 << 20;
const MAX_CONTEXT: usize = 1 << 28;

/// A model's shape and constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which architecture.
    pub architecture: &'static Architecture,
    /// Layers.
    pub layers: usize,
    /// Hidden size.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Components of a head.
    pub head_dim: usize,
    /// Feed-forward size.
    pub feed_forward: usize,
    /// Tokens it was trained to see at once.
    pub context: usize,
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Epsilon of the RMS norms.
    pub rms_eps: f32,
    /// Factor on the scores of attention.
    pub attention_scale: f32,
    /// The ways in which layers rotate q and k.
    pub ropes: Vec<Rope>,
    /// What distinguishes the layers.
    pub kinds: Vec<LayerKind>,
}

/// What may differ from layer to layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerKind {
    /// Newest positions that are attended to, all without.
    pub window: Option<usize>,
    /// Which of [`Config::ropes`] rotates q and k, if any does.
    pub rope: Option<usize>,
}

/// A way to rotate q and k by their position.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Angle a position, for each rotated pair of a head; scaling is already applied.
    pub inverse_frequencies: Vec<f32>,
    /// The same for texts that are longer than the given number of tokens.
    pub long: Option<(usize, Vec<f32>)>,
    /// What cosine and sine are multiplied by.
    pub magnitude: f32,
}

impl Rope {
    /// The angles for a text of `tokens` in all.
    pub fn frequencies(&self, tokens: usize) -> &[f32] {
        match &self.long {
            Some((beyond, frequencies)) if tokens > *beyond => frequencies,
            _ => &self.inverse_frequencies,
        }
    }
}

impl Config {
    /// Reads the configuration and checks that its parts fit each other.
    ///
    /// # Errors
    /// [`LlmError::Unsupported`] for an unknown architecture or variant, [`LlmError::Corrupt`] for nonsense.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let name = gguf
            .text("general.architecture")?
            .ok_or_else(|| corrupt("it does not name its architecture"))?;
        let architecture = ARCHITECTURES
            .iter()
            .find(|a| a.name == name)
            .ok_or_else(|| {
                let known: Vec<_> = ARCHITECTURES.iter().map(|a| a.name).collect();
                LlmError::Unsupported(format!(
                    "its architecture is “{}”; this version runs {}",
                    name.chars().take(40).collect::<String>(),
                    known.join(", ")
                ))
            })?;
        let keys = Keys { gguf, prefix: name };
        if keys.optional("expert_count", 0, MAX_SIZE)? > 1 {
            return Err(LlmError::Unsupported("it is a mixture of experts".into()));
        }
        let layers = keys.required("block_count", MAX_LAYERS)?;
        let hidden = keys.required("embedding_length", MAX_SIZE)?;
        let heads = keys.required("attention.head_count", MAX_SIZE)?;
        let kv_heads = keys.positive("attention.head_count_kv", heads, MAX_SIZE)?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(corrupt(format!(
                "{heads} query heads cannot share {kv_heads} key heads"
            )));
        }
        let head_dim = match keys.optional("attention.key_length", 0, MAX_SIZE)? {
            0 if hidden.is_multiple_of(heads) => hidden / heads,
            0 => {
                return Err(corrupt(format!(
                    "{heads} heads do not divide the hidden size {hidden}"
                )));
            }
            given => given,
        };
        if keys.optional("attention.value_length", head_dim, MAX_SIZE)? != head_dim {
            return Err(LlmError::Unsupported(
                "its keys and values differ in length".into(),
            ));
        }
        for capping in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if keys.number(capping)?.is_some_and(|c| c != 0.0) {
                return Err(LlmError::Unsupported(format!(
                    "it caps its scores ({})",
                    keys.key(capping)
                )));
            }
        }
        let rotated = keys.optional("rope.dimension_count", head_dim, head_dim)?;
        if rotated == 0 || !rotated.is_multiple_of(2) {
            return Err(corrupt(format!(
                "{rotated} rotated components are not pairs"
            )));
        }
        let vocabulary = match gguf
            .tensors()
            .get("token_embd.weight")
            .map(|t| &t.dimensions[..])
        {
            Some(&[cols, rows]) if cols == hidden && rows <= MAX_SIZE * 4 => rows,
            Some(other) => {
                return Err(corrupt(format!(
                    "the embedding table is {other:?} for a hidden size of {hidden}"
                )));
            }
            None => return Err(corrupt("the embedding table is missing")),
        };
        let rms_eps = keys
            .number("attention.layer_norm_rms_epsilon")?
            .filter(|e| *e > 0.0 && *e < 1.0)
            .ok_or_else(|| corrupt("the epsilon of its norms is missing or out of range"))?;
        let context = keys.required("context_length", MAX_CONTEXT)?;
        let (kinds, ropes) = layer_kinds(&keys, architecture, layers, rotated, context)?;
        let scaled_length = if name == "gemma3" && layers == GEMMA3_27B_LAYERS {
            hidden as f32 / heads as f32
        } else {
            head_dim as f32
        };
        Ok(Self {
            architecture,
            layers,
            hidden,
            heads,
            kv_heads,
            head_dim,
            feed_forward: keys.required("feed_forward_length", MAX_SIZE)?,
            context,
            vocabulary,
            rms_eps: rms_eps as f32,
            attention_scale: 1.0 / scaled_length.sqrt(),
            ropes,
            kinds,
        })
    }

    /// Values in a key or value row: `kv_heads * head_dim`.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Values in a query row: `heads * head_dim`.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Whether keys of a text planned to have `a` tokens are those of one with `b`.
    pub(crate) fn rotates_alike(&self, a: usize, b: usize) -> bool {
        let same = |rope: &Rope| std::ptr::eq(rope.frequencies(a), rope.frequencies(b));
        self.ropes.iter().all(same)
    }

    /// Bytes that a token takes in the cache.
    pub fn cache_bytes_per_token(&self) -> usize {
        self.layers * 2 * self.kv_width() * size_of::<f32>()
    }
}

/// Windows and rotations, layer by layer, and the rotations they refer to.
fn layer_kinds(
    keys: &Keys<'_>,
    architecture: &Architecture,
    layers: usize,
    rotated: usize,
    context: usize,
) -> Result<(Vec<LayerKind>, Vec<Rope>)> {
    let window = match keys.optional("attention.sliding_window", 0, MAX_CONTEXT)? {
        0 => None,
        window => Some(window),
    };
    let mut ropes = vec![rope(keys, rotated, context)?];
    let windowed: Vec<bool> = match (architecture.windows, window) {
        (_, None) => vec![false; layers],
        (Windows::None, Some(_)) => {
            return Err(LlmError::Unsupported(
                "it attends in a sliding window".into(),
            ));
        }
        (Windows::All, Some(_)) => vec![true; layers],
        (Windows::Local { period, base }, Some(_)) => {
            let base = keys.number("rope.freq_base_swa")?.unwrap_or(base);
            ropes.push(Rope {
                inverse_frequencies: frequencies(base, rotated, &vec![1.0; rotated / 2])?,
                long: None,
                magnitude: 1.0,
            });
            keys.pattern("attention.sliding_window_pattern", layers, period)?
        }
    };
    let kinds = windowed.into_iter().enumerate().map(|(layer, windowed)| {
        let of_its_own = windowed && ropes.len() > 1;
        let unrotated = architecture
            .unrotated
            .is_some_and(|period| (layer + 1).is_multiple_of(period));
        LayerKind {
            window: window.filter(|_| windowed),
            rope: (!unrotated).then_some(usize::from(of_its_own)),
        }
    });
    Ok((kinds.collect(), ropes))
}

/// The rotation that the metadata give: its base, divided by the linear scale or by the factors of a tensor, which are Llama 3's
/// or those of LongRoPE (Ding et al. 2024), which has one list for texts up to the original context and one for longer ones.
fn rope(keys: &Keys<'_>, rotated: usize, context: usize) -> Result<Rope> {
    let base = keys.number("rope.freq_base")?.unwrap_or(10_000.0);
    let scale = match keys.text("rope.scaling.type")? {
        Some("none" | "longrope") => 1.0,
        None | Some("linear") => keys.number("rope.scaling.factor")?.unwrap_or(1.0) as f32,
        Some(other) => {
            return Err(LlmError::Unsupported(format!(
                "its positions are scaled by “{}”",
                other.chars().take(40).collect::<String>()
            )));
        }
    };
    if scale <= 0.0 {
        return Err(corrupt(format!("its positions are scaled by {scale}")));
    }
    let scaled = |tensor: &str| -> Result<Option<Vec<f32>>> {
        if !keys.gguf.tensors().contains_key(tensor) {
            return Ok(None);
        }
        let mut factors = keys.gguf.vector(tensor, rotated / 2)?;
        factors.iter_mut().for_each(|f| *f *= scale);
        frequencies(base, rotated, &factors).map(Some)
    };
    let (inverse_frequencies, long) = match (
        scaled(ROPE_FACTORS)?,
        scaled(ROPE_FACTORS_SHORT)?,
        scaled(ROPE_FACTORS_LONG)?,
    ) {
        (None, None, None) => (frequencies(base, rotated, &vec![scale; rotated / 2])?, None),
        (Some(all), None, None) => (all, None),
        (None, Some(short), Some(long)) => {
            let original =
                keys.positive("rope.scaling.original_context_length", context, MAX_CONTEXT)?;
            (short, Some((original, long)))
        }
        _ => return Err(corrupt("its rotation factors do not belong together")),
    };
    let magnitude = keys.number("rope.scaling.attn_factor")?.unwrap_or(1.0) as f32;
    if !(magnitude > 0.0 && magnitude < 100.0) {
        return Err(corrupt(format!(
            "its rotations are multiplied by {magnitude}"
        )));
    }
    Ok(Rope {
        inverse_frequencies,
        long,
        magnitude,
    })
}

/// Tensors that the rotation is made from.
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";
pub(crate) const ROPE_FACTORS_SHORT: &str = "rope_factors_short.weight";
pub(crate) const ROPE_FACTORS_LONG: &str = "rope_factors_long.weight";

/// `base^(-2i / n)` (Su et al. 2021), divided by a factor for each pair.
fn frequencies(base: f64, rotated: usize, factors: &[f32]) -> Result<Vec<f32>> {
    if base <= 1.0 {
        return Err(corrupt(format!("its rotation base is {base}")));
    }
    if !factors.iter().all(|f| f.is_finite() && *f > 0.0) {
        return Err(corrupt("its position scaling is not positive"));
    }
    let pairs = factors.iter().enumerate();
    Ok(pairs
        .map(|(i, factor)| {
            (base.powf(-2.0 * i as f64 / rotated as f64) / f64::from(*factor)) as f32
        })
        .collect())
}

/// Metadata under the architecture's prefix.
struct Keys<'a> {
    gguf: &'a Gguf,
    prefix: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn optional(&self, name: &str, default: usize, most: usize) -> Result<usize> {
        let key = self.key(name);
        match self.gguf.count(&key)? {
            None => Ok(default),
            Some(n) if n <= most => Ok(n),
            Some(n) => Err(corrupt(format!("{key} is {n}"))),
        }
    }

    fn positive(&self, name: &str, default: usize, most: usize) -> Result<usize> {
        match self.optional(name, default, most)? {
            0 => Err(corrupt(format!("{} is 0", self.key(name)))),
            n => Ok(n),
        }
    }

    fn required(&self, name: &str, most: usize) -> Result<usize> {
        if self.gguf.count(&self.key(name))?.is_none() {
            return Err(corrupt(format!("{} is missing", self.key(name))));
        }
        self.positive(name, 0, most)
    }

    /// A yes for each layer: given as such, or as a period whose last layer is a no.
    fn pattern(&self, name: &str, layers: usize, default: usize) -> Result<Vec<bool>> {
        let key = self.key(name);
        if let Ok(Some(list)) = self.gguf.numbers(&key) {
            if list.len() < layers {
                return Err(corrupt(format!(
                    "{key} has {} entries for {layers} layers",
                    list.len()
                )));
            }
            return Ok(list[..layers].iter().map(|&n| n != 0.0).collect());
        }
        let period = self.positive(name, default, MAX_LAYERS)?;
        Ok((1..=layers).map(|n| !n.is_multiple_of(period)).collect())
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.gguf.number(&self.key(name))
    }

    fn text(&self, name: &str) -> Result<Option<&str>> {
        self.gguf.text(&self.key(name))
    }
}
