//! LoRA weights: trainable and ready for inference; `peft`, `gguf` and `merge` are the files they come in and go to.
//!
//! Rows of B are in the model file's order. `llama` GGUF files hold the rows of q and k in the interleaved order, checkpoints
//! do not: PEFT's files are permuted on the way in and out, GGUF files are not.

mod fused;
mod gguf;
mod merge;
mod peft;
mod stack;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use candle_core::{DType, Device, Tensor, Var};
use idiolect_kernels::RopeStyle;
use idiolect_llm::{LlmError, Result};

use crate::{
    config::Config,
    linear::{Pair, TrainablePair, Weight},
    values::failed,
};

pub(crate) use merge::merge;
pub use peft::{CONFIG_FILE, WEIGHTS_FILE};
pub(crate) use stack::bake;

/// Largest weights file read; all linears of an 8B model at rank 256 have 2.7 GB.
const MAX_WEIGHT_BYTES: u64 = 4 << 30;
const MAX_RANK: usize = 1024;

/// A linear of a layer that an adapter can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
#[allow(missing_docs)] // the layer's parts by their names
pub enum Target {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

impl Target {
    /// Every linear of a layer.
    pub const ALL: [Self; 7] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// PEFT's name of the module, as in `target_modules`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Output => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The linear that PEFT calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    pub(crate) fn gguf_name(self) -> &'static str {
        match self {
            Self::Query => "attn_q",
            Self::Key => "attn_k",
            Self::Value => "attn_v",
            Self::Output => "attn_output",
            Self::Gate => "ffn_gate",
            Self::Up => "ffn_up",
            Self::Down => "ffn_down",
        }
    }

    /// The tensor that holds this linear's rows where several share one, and whose rows follow each other there (llama.cpp:
    /// src/models/phi3.cpp; transformers: models/phi3/modeling_phi3.py).
    pub(crate) fn fused(self) -> (&'static str, Vec<Self>) {
        match self {
            Self::Query | Self::Key | Self::Value => {
                ("attn_qkv", vec![Self::Query, Self::Key, Self::Value])
            }
            Self::Gate | Self::Up => ("ffn_up", vec![Self::Gate, Self::Up]),
            Self::Output | Self::Down => (self.gguf_name(), vec![self]),
        }
    }

    /// Outputs and inputs.
    pub fn shape(self, config: &Config) -> (usize, usize) {
        match self {
            Self::Query => (config.q_width(), config.hidden),
            Self::Key | Self::Value => (config.kv_width(), config.hidden),
            Self::Output => (config.hidden, config.q_width()),
            Self::Gate | Self::Up => (config.feed_forward, config.hidden),
            Self::Down => (config.hidden, config.feed_forward),
        }
    }

    fn block(self) -> &'static str {
        match self {
            Self::Query | Self::Key | Self::Value | Self::Output => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        }
    }

    /// Heads whose rows are permuted in this file, 0 for none.
    fn permuted_heads(self, config: &Config) -> usize {
        match (config.architecture.rope, self) {
            (RopeStyle::Interleaved, Self::Query) => config.heads,
            (RopeStyle::Interleaved, Self::Key) => config.kv_heads,
            _ => 0,
        }
    }
}

/// Rank, strength and targets of an adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Rank r of the factors.
    pub rank: usize,
    /// The product is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Which linears.
    pub targets: Vec<Target>,
}

impl LoraConfig {
    /// Rank-stabilised LoRA (Kalajdzievski 2023): the factor is `alpha / √rank`, which alpha is changed to give, so that files
    /// and exports know one kind of factor only.
    pub fn rank_stabilised(rank: usize, alpha: f64, targets: Vec<Target>) -> Self {
        Self {
            rank,
            alpha: alpha * (rank as f64).sqrt(),
            targets,
        }
    }

    /// The factor on B A.
    pub fn scale(&self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }

    /// Trainable values.
    pub fn parameters(&self, config: &Config) -> usize {
        let a_layer = |t: &Target| {
            let (outputs, inputs) = t.shape(config);
            self.rank * (outputs + inputs)
        };
        config.layers * self.targets.iter().map(a_layer).sum::<usize>()
    }
}

/// One linear's factors: A `[r, inputs]`, B `[outputs, r]`, in the model file's row order.
#[derive(Debug, Clone)]
pub struct Factors {
    /// A.
    pub a: Var,
    /// B.
    pub b: Var,
}

/// Trainable LoRA weights of a whole model.
#[derive(Debug, Clone)]
pub struct LoraWeights {
    config: LoraConfig,
    factors: BTreeMap<(usize, Target), Factors>,
}

impl LoraWeights {
    /// Fresh weights: A uniform in ±1/sqrt(inputs) (PEFT's Kaiming initialisation with a = √5), B zero, so that
    /// training starts at the base model.
    ///
    /// # Errors
    /// An empty target list or an impossible rank; a device failure.
    pub fn new(lora: &LoraConfig, model: &Config, device: &Device, seed: u64) -> Result<Self> {
        use rand::Rng as _;
        use rand_chacha::rand_core::SeedableRng as _;
        if lora.targets.is_empty() || lora.rank == 0 || lora.rank > MAX_RANK {
            return Err(LlmError::Adapter(format!(
                "rank {} on {} kinds of linears",
                lora.rank,
                lora.targets.len()
            )));
        }
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut factors = BTreeMap::new();
        for layer in 0..model.layers {
            for &target in &lora.targets {
                let (outputs, inputs) = target.shape(model);
                let bound = 1.0 / (inputs as f32).sqrt();
                let a: Vec<f32> = (0..lora.rank * inputs)
                    .map(|_| random.random_range(-bound..bound))
                    .collect();
                let a = Tensor::from_vec(a, (lora.rank, inputs), device).map_err(failed)?;
                let b = Tensor::zeros((outputs, lora.rank), DType::F32, device).map_err(failed)?;
                factors.insert((layer, target), Factors::new(&a, &b)?);
            }
        }
        Ok(Self {
            config: lora.clone(),
            factors,
        })
    }

    /// Rank, strength and targets.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// Every linear's factors, by layer and target.
    pub fn factors(&self) -> impl Iterator<Item = ((usize, Target), &Factors)> {
        self.factors.iter().map(|(&key, factors)| (key, factors))
    }

    /// Every trainable tensor with the name it has in a PEFT file, in that order.
    pub fn vars(&self) -> Vec<(String, Var)> {
        self.factors()
            .flat_map(|((layer, target), f)| {
                [
                    (
                        peft::module_name(layer, target.block(), target.name(), 'A'),
                        f.a.clone(),
                    ),
                    (
                        peft::module_name(layer, target.block(), target.name(), 'B'),
                        f.b.clone(),
                    ),
                ]
            })
            .collect()
    }

    pub(crate) fn trainable(&self, layer: usize, target: Target) -> Option<TrainablePair<'_>> {
        let factors = self.factors.get(&(layer, target))?;
        Some(TrainablePair {
            a: factors.a.as_tensor(),
            b: factors.b.as_tensor(),
            scale: self.config.scale(),
        })
    }
}

impl Factors {
    fn new(a: &Tensor, b: &Tensor) -> Result<Self> {
        Ok(Self {
            a: Var::from_tensor(a).map_err(failed)?,
            b: Var::from_tensor(b).map_err(failed)?,
        })
    }
}

/// LoRA weights ready for inference. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Adapter {
    pairs: Arc<HashMap<(usize, Target), Arc<Pair>>>,
    scale: f32,
}

impl Adapter {
    /// Prepares trained weights; later training does not change them.
    ///
    /// # Errors
    /// A device failure.
    pub fn new(lora: &LoraWeights, device: &Device) -> Result<Self> {
        let weight = |var: &Var| -> candle_core::Result<Weight> {
            let (rows, cols) = var.dims2()?;
            let values = var.flatten_all()?.to_vec1::<f32>()?;
            Weight::from_f32(rows, cols, &values, device)
        };
        let mut pairs = HashMap::new();
        for (key, f) in lora.factors() {
            let pair = Pair {
                a: weight(&f.a).map_err(failed)?,
                b: weight(&f.b).map_err(failed)?,
            };
            pairs.insert(key, Arc::new(pair));
        }
        Ok(Self {
            pairs: Arc::new(pairs),
            scale: lora.config().scale(),
        })
    }

    pub(crate) fn pair(&self, layer: usize, target: Target) -> Option<&Arc<Pair>> {
        self.pairs.get(&(layer, target))
    }

    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pairs, &other.pairs)
    }
}
