//! PEFT's folders: `adapter_model.safetensors` and `adapter_config.json`, in Hugging Face's names and row order.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
};

use candle_core::{Device, Tensor};
use idiolect_llm::{LlmError, Result};
use serde::{Deserialize, Serialize};

use super::{
    LoraWeights, MAX_RANK, MAX_WEIGHT_BYTES, Target,
    fused::{JOINED, module, put_together, take_apart},
    stack::{Loose, Pairs},
};
use crate::{config::Config, values::failed};

/// Name of the weights file in an adapter's folder.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// Name of the configuration file in an adapter's folder.
pub const CONFIG_FILE: &str = "adapter_config.json";
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// What modules outside of the layers are called.
const OUTSIDE: [&str; 3] = ["embed_tokens", "lm_head", "embedding"];

impl LoraWeights {
    /// Writes `adapter_model.safetensors` and `adapter_config.json` into `dir` (created if need be), each under a
    /// temporary name first. `base` is recorded as the model it was trained on. Where a checkpoint joins modules the parts
    /// are named, which is how adapters are kept here; other programs want [`LoraWeights::export`].
    ///
    /// # Errors
    /// When writing fails.
    pub fn save(&self, dir: &Path, model: &Config, base: &str) -> Result<()> {
        self.write_peft(dir, model, base, false)
    }

    /// As [`LoraWeights::save`], with the modules that a checkpoint of the model has, for PEFT itself. Where these join q, k and
    /// v, or gate and up, their pairs have the sum of the parts' ranks.
    ///
    /// # Errors
    /// When writing fails.
    pub(crate) fn export(&self, dir: &Path, model: &Config, base: &str) -> Result<()> {
        self.write_peft(dir, model, base, model.architecture.fused)
    }

    fn write_peft(&self, dir: &Path, model: &Config, base: &str, joined: bool) -> Result<()> {
        fs::create_dir_all(dir)?;
        let mut tensors = HashMap::new();
        let mut modules = BTreeSet::new();
        let mut ranks = BTreeMap::new();
        let mut alphas = BTreeMap::new();
        let mut pairs = self.loose()?;
        let mut put = |layer: usize, block: &str, module: &str, pair: &Loose| {
            modules.insert(module.to_owned());
            for (letter, factor) in [('A', &pair.a), ('B', &pair.b)] {
                tensors.insert(module_name(layer, block, module, letter), factor.clone());
            }
        };
        for layer in (0..model.layers).filter(|_| joined) {
            for first in JOINED {
                let Some(pair) = put_together(layer, first, &pairs, model)? else {
                    continue;
                };
                put(layer, first.block(), module(first), &pair);
                ranks.insert(module(first).to_owned(), pair.rank().into());
                alphas.insert(module(first).to_owned(), pair.alpha.into());
                first.fused().1.iter().for_each(|&part| {
                    pairs.remove(&(layer, part));
                });
            }
        }
        for ((layer, target), mut pair) in pairs {
            let heads = target.permuted_heads(model);
            pair.b = reorder(&pair.b, heads, model.head_dim, Order::ToFile).map_err(failed)?;
            put(layer, target.block(), target.name(), &pair);
        }
        let config = PeftConfig {
            peft_type: "LORA".into(),
            task_type: Some("CAUSAL_LM".into()),
            base_model_name_or_path: Some(base.to_owned()),
            r: self.config.rank,
            lora_alpha: self.config.alpha,
            lora_dropout: 0.0,
            target_modules: Modules::Several(modules.into_iter().collect()),
            bias: "none".into(),
            inference_mode: true,
            rank_pattern: ranks,
            alpha_pattern: alphas,
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
        let mut pairs = Pairs::new();
        for layer in 0..model.layers {
            if model.architecture.fused {
                for first in JOINED {
                    let module = module(first);
                    let read = config.pair(&mut tensors, layer, first.block(), module)?;
                    if let Some((a, b, alpha)) = read {
                        pairs.extend(take_apart(layer, first, (&a, &b, alpha), model)?);
                    }
                }
            }
            for target in Target::ALL {
                let read = config.pair(&mut tensors, layer, target.block(), target.name())?;
                let Some((a, b, alpha)) = read else {
                    continue;
                };
                let key = (layer, target);
                let mut pair = Loose::new(key, &a, &b, alpha, model)?;
                let heads = target.permuted_heads(model);
                pair.b =
                    reorder(&pair.b, heads, model.head_dim, Order::FromFile).map_err(failed)?;
                if pairs.insert(key, pair).is_some() {
                    return Err(LlmError::Adapter(format!(
                        "it has {} of layer {layer} twice",
                        target.name()
                    )));
                }
            }
        }
        if let Some(name) = tensors.keys().min() {
            let name: String = name.chars().take(80).collect();
            return Err(LlmError::Adapter(
                if OUTSIDE.iter().any(|o| name.contains(o)) {
                    format!("it changes “{name}”; only adapters of the layers' linears are read")
                } else {
                    format!("it changes “{name}”, which this model does not have")
                },
            ));
        }
        Self::from_loose(pairs, device)
    }
}

pub(super) fn module_name(layer: usize, block: &str, module: &str, factor: char) -> String {
    format!("base_model.model.model.layers.{layer}.{block}.{module}.lora_{factor}.weight")
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
    #[serde(default, skip_serializing)]
    init_lora_weights: serde_json::Value,
    #[serde(default, skip_serializing)]
    alora_invocation_tokens: serde_json::Value,
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
                config.ranks_and_alphas().any(|(key, _)| !is_name(key)),
                "its ranks differ between modules by a pattern, and only names of modules are read",
            ),
            (
                config
                    .ranks_and_alphas()
                    .any(|(_, value)| !value.as_f64().is_some_and(f64::is_finite)),
                "a rank or an alpha of a module is not a number",
            ),
            (
                config.init_lora_weights.as_str().is_some_and(moves_base),
                "it was begun by taking weights out of the model, which has to be undone first: save it in PEFT with \
                 path_initial_model_for_weight_conversion",
            ),
            (
                !config.alora_invocation_tokens.is_null(),
                "it is to be on after certain tokens only",
            ),
        ];
        match refused.iter().find(|(is, _)| *is) {
            Some((_, why)) => Err(LlmError::Adapter((*why).into())),
            None => Ok(config),
        }
    }

    fn ranks_and_alphas(&self) -> impl Iterator<Item = (&String, &serde_json::Value)> {
        self.rank_pattern.iter().chain(&self.alpha_pattern)
    }

    /// Takes a module's factors out of a file, with the alpha whose factor is `alpha / r`; rank-stabilised LoRA
    /// (arXiv 2312.03732) divides by √r. None where the file has no such module.
    fn pair(
        &self,
        tensors: &mut HashMap<String, Tensor>,
        layer: usize,
        block: &str,
        module: &str,
    ) -> Result<Option<(Tensor, Tensor, f64)>> {
        let mut take = |factor| tensors.remove(&module_name(layer, block, module, factor));
        let (a, b) = match (take('A'), take('B')) {
            (Some(a), Some(b)) => (a, b),
            (None, None) => return Ok(None),
            _ => {
                return Err(LlmError::Adapter(format!(
                    "it has one factor of {module} of layer {layer} and not the other"
                )));
            }
        };
        let name = format!("model.layers.{layer}.{block}.{module}");
        let rank = match of_module(&self.rank_pattern, &name) {
            Some(rank) => rank as usize,
            None => self.r,
        };
        let alpha = of_module(&self.alpha_pattern, &name).unwrap_or(self.lora_alpha);
        if a.dims().first() != Some(&rank) {
            return Err(LlmError::Adapter(format!(
                "{module} of layer {layer} is {:?} · {:?}; this model needs [outputs, {rank}] · [{rank}, inputs]",
                b.dims(),
                a.dims()
            )));
        }
        let root = match self.use_rslora {
            true => (rank as f64).sqrt(),
            false => 1.0,
        };
        Ok(Some((a, b, alpha * root)))
    }
}

/// A module's own value: PEFT matches the keys with the ends of names.
fn of_module(values: &BTreeMap<String, serde_json::Value>, name: &str) -> Option<f64> {
    let matches = |key: &str| {
        let key = key.trim_start_matches('^');
        let before = name.strip_suffix(key);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let (_, value) = values
        .iter()
        .filter(|(key, _)| matches(key))
        .max_by_key(|(key, _)| key.len())?;
    value.as_f64()
}

fn is_name(key: &str) -> bool {
    let key = key.trim_start_matches('^');
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    !key.is_empty() && key.chars().all(plain)
}

/// Ways to begin that change the model's own weights (PEFT, `init_lora_weights`).
fn moves_base(way: &str) -> bool {
    ["pissa", "olora", "corda", "loftq"]
        .iter()
        .any(|moving| way.to_ascii_lowercase().starts_with(moving))
}
