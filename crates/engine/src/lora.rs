//! LoRA weights: trainable, on disk, and ready for inference.
//!
//! Files have PEFT's layout and Hugging Face's row order. `llama` GGUF files hold the rows of q and k in the interleaved
//! order, so the B factors of these two are permuted on the way in and out; nothing else is. Where a checkpoint has q, k and v, or
//! gate and up, in one module (phi3), an adapter of that module is taken apart when it is read. Adapters trained here name the
//! parts, which other programs do not know of such a model.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::Arc,
};

use candle_core::{DType, Device, Tensor, Var};
use idiolect_kernels::RopeStyle;
use idiolect_llm::{LlmError, Result};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    linear::{Pair, TrainablePair, Weight},
    values::failed,
};

/// Name of the weights file in an adapter's folder.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// Name of the configuration file in an adapter's folder.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Largest weights file read; all linears of an 8B model at rank 256 have 2.7 GB.
const MAX_WEIGHT_BYTES: u64 = 4 << 30;
const MAX_CONFIG_BYTES: u64 = 1 << 20;
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
                    (tensor_name(layer, target, 'A'), f.a.clone()),
                    (tensor_name(layer, target, 'B'), f.b.clone()),
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

    /// Writes `adapter_model.safetensors` and `adapter_config.json` into `dir` (created if need be), each under a
    /// temporary name first. `base` is recorded as the model it was trained on.
    ///
    /// # Errors
    /// When writing fails.
    pub fn save(&self, dir: &Path, model: &Config, base: &str) -> Result<()> {
        fs::create_dir_all(dir)?;
        let mut tensors = HashMap::new();
        for ((layer, target), f) in self.factors() {
            let heads = target.permuted_heads(model);
            let b =
                reorder(f.b.as_tensor(), heads, model.head_dim, Order::ToFile).map_err(failed)?;
            let cpu = |t: &Tensor| t.detach().to_device(&Device::Cpu).map_err(failed);
            tensors.insert(tensor_name(layer, target, 'A'), cpu(f.a.as_tensor())?);
            tensors.insert(tensor_name(layer, target, 'B'), cpu(&b)?);
        }
        let mut targets: Vec<_> = self
            .config
            .targets
            .iter()
            .map(|t| t.name().to_owned())
            .collect();
        targets.sort();
        let config = PeftConfig {
            peft_type: "LORA".into(),
            task_type: Some("CAUSAL_LM".into()),
            base_model_name_or_path: Some(base.to_owned()),
            r: self.config.rank,
            lora_alpha: self.config.alpha,
            lora_dropout: 0.0,
            target_modules: Modules::Several(targets),
            bias: "none".into(),
            inference_mode: true,
            ..PeftConfig::default()
        };
        let json =
            serde_json::to_vec_pretty(&config).map_err(|e| LlmError::Failed(e.to_string()))?;
        write_whole(&dir.join(WEIGHTS_FILE), |path| {
            candle_core::safetensors::save(&tensors, path).map_err(failed)
        })?;
        write_whole(&dir.join(CONFIG_FILE), |path| Ok(fs::write(path, &json)?))
    }

    /// Reads a PEFT folder for a model of this shape. Every module that the file names must fit.
    ///
    /// # Errors
    /// [`LlmError::Adapter`] saying what does not fit; [`LlmError::Io`].
    pub fn load(dir: &Path, model: &Config, device: &Device) -> Result<Self> {
        let config = PeftConfig::read(&dir.join(CONFIG_FILE))?;
        let path = dir.join(WEIGHTS_FILE);
        let bytes = fs::metadata(&path)?.len();
        if bytes > MAX_WEIGHT_BYTES {
            return Err(LlmError::Adapter(format!("its weights have {bytes} bytes")));
        }
        let mut tensors = candle_core::safetensors::load_buffer(&fs::read(&path)?, &Device::Cpu)
            .map_err(|e| LlmError::Adapter(format!("its weights cannot be read: {}", failed(e))))?;
        let mut factors = BTreeMap::new();
        let mut targets = Vec::new();
        for layer in 0..model.layers {
            if model.architecture.fused {
                unfuse(&mut tensors, layer, model)?;
            }
            for target in Target::ALL {
                let (Some(a), Some(b)) = (
                    tensors.remove(&tensor_name(layer, target, 'A')),
                    tensors.remove(&tensor_name(layer, target, 'B')),
                ) else {
                    continue;
                };
                let (outputs, inputs) = target.shape(model);
                if a.dims() != [config.r, inputs] || b.dims() != [outputs, config.r] {
                    return Err(LlmError::Adapter(format!(
                        "{} of layer {layer} is {:?} · {:?}; this model needs [{outputs}, {r}] · [{r}, {inputs}]",
                        target.name(),
                        b.dims(),
                        a.dims(),
                        r = config.r
                    )));
                }
                let fit = |t: Tensor| t.to_dtype(DType::F32)?.to_device(device);
                let heads = target.permuted_heads(model);
                let b = reorder(
                    &fit(b).map_err(failed)?,
                    heads,
                    model.head_dim,
                    Order::FromFile,
                )
                .map_err(failed)?;
                factors.insert((layer, target), Factors::new(&fit(a).map_err(failed)?, &b)?);
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        if let Some(name) = tensors.keys().min() {
            return Err(LlmError::Adapter(format!(
                "it changes “{}”, which this model does not have",
                name.chars().take(80).collect::<String>()
            )));
        }
        if factors.is_empty() {
            return Err(LlmError::Adapter("it has no weights".into()));
        }
        Ok(Self {
            config: LoraConfig {
                rank: config.r,
                alpha: config.effective_alpha(),
                targets,
            },
            factors,
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

fn tensor_name(layer: usize, target: Target, factor: char) -> String {
    module_name(layer, target.block(), target.name(), factor)
}

fn module_name(layer: usize, block: &str, module: &str, factor: char) -> String {
    format!("base_model.model.model.layers.{layer}.{block}.{module}.lora_{factor}.weight")
}

/// Gives each part of a fused module a pair of its own: the same A, and its rows of B.
fn unfuse(tensors: &mut HashMap<String, Tensor>, layer: usize, model: &Config) -> Result<()> {
    for first in [Target::Query, Target::Gate] {
        let module = match first {
            Target::Query => "qkv_proj",
            _ => "gate_up_proj",
        };
        let name = |factor| module_name(layer, first.block(), module, factor);
        let (Some(a), Some(b)) = (tensors.remove(&name('A')), tensors.remove(&name('B'))) else {
            continue;
        };
        let mut at = 0;
        for part in first.fused().1 {
            let rows = part.shape(model).0;
            let own = b.narrow(0, at, rows).map_err(|_| {
                LlmError::Adapter(format!(
                    "{module} of layer {layer} has {} rows, too few for this model",
                    b.dims()[0]
                ))
            })?;
            tensors.insert(tensor_name(layer, part, 'A'), a.clone());
            tensors.insert(tensor_name(layer, part, 'B'), own);
            at += rows;
        }
        if at != b.dims()[0] {
            return Err(LlmError::Adapter(format!(
                "{module} of layer {layer} has {} rows; this model needs {at}",
                b.dims()[0]
            )));
        }
    }
    Ok(())
}

/// Which way rows are reordered.
#[derive(Clone, Copy)]
enum Order {
    /// From the model file's order to PEFT's.
    ToFile,
    /// From PEFT's order to the model file's.
    FromFile,
}

/// Rows of each head between (pair, half) order, as `llama` GGUF files have them, and (half, pair) order, as checkpoints
/// have them. `heads` 0 leaves them as they are.
fn reorder(b: &Tensor, heads: usize, head_dim: usize, order: Order) -> candle_core::Result<Tensor> {
    if heads == 0 {
        return Ok(b.clone());
    }
    let rank = b.dim(1)?;
    let split = match order {
        Order::FromFile => (heads, 2, head_dim / 2, rank),
        Order::ToFile => (heads, head_dim / 2, 2, rank),
    };
    b.detach()
        .reshape(split)?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((heads * head_dim, rank))
}

/// Writes to a temporary name, syncs, renames.
fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = path.with_extension("part");
    let written = write(&temporary)
        .and_then(|()| Ok(fs::File::open(&temporary)?.sync_all()?))
        .and_then(|()| Ok(fs::rename(&temporary, path)?));
    if written.is_err() {
        // Whatever is left of it is of no use; the first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// `adapter_config.json` as PEFT writes it, as far as it matters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct PeftConfig {
    peft_type: String,
    #[serde(default)]
    task_type: Option<String>,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Modules,
    #[serde(default = "none")]
    bias: String,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    inference_mode: bool,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    rank_pattern: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, serde_json::Value>,
}

fn none() -> String {
    "none".into()
}

/// PEFT allows a list or a pattern; which modules there are is read from the weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Modules {
    Several(Vec<String>),
    Pattern(String),
}

impl Default for Modules {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl PeftConfig {
    fn read(path: &Path) -> Result<Self> {
        if fs::metadata(path)?.len() > MAX_CONFIG_BYTES {
            return Err(LlmError::Adapter("its configuration is too long".into()));
        }
        let config: Self = serde_json::from_slice(&fs::read(path)?)
            .map_err(|e| LlmError::Adapter(format!("its configuration cannot be read: {e}")))?;
        let refused = [
            (config.peft_type != "LORA", "it is not a LoRA"),
            (
                config.r == 0 || config.r > MAX_RANK,
                "its rank is out of range",
            ),
            (!config.lora_alpha.is_finite(), "its alpha is not a number"),
            (config.use_dora, "it is a DoRA"),
            (config.bias != "none", "it trains biases"),
            (config.fan_in_fan_out, "its weights are transposed"),
            (
                config
                    .modules_to_save
                    .as_ref()
                    .is_some_and(|m| !m.is_empty()),
                "it replaces whole modules",
            ),
            (
                !config.rank_pattern.is_empty() || !config.alpha_pattern.is_empty(),
                "its ranks differ between modules",
            ),
        ];
        match refused.iter().find(|(is, _)| *is) {
            Some((_, why)) => Err(LlmError::Adapter((*why).into())),
            None => Ok(config),
        }
    }

    /// Alpha such that the factor is `alpha / r`; rank-stabilised LoRA (arXiv 2312.03732) divides by √r.
    fn effective_alpha(&self) -> f64 {
        if self.use_rslora {
            self.lora_alpha * (self.r as f64).sqrt()
        } else {
            self.lora_alpha
        }
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
