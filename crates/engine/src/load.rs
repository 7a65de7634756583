//! The weights of a decoder out of a file: which tensors an architecture has and what they are called.

use candle_core::Device;
use idiolect_kernels::Level;
use idiolect_llm::{LlmError, Result};

use crate::{
    config::{Config, ROPE_FACTORS, ROPE_FACTORS_LONG, ROPE_FACTORS_SHORT},
    gguf::{Gguf, corrupt},
    linear::{Bias, Linear, Weight},
    lora::Target,
    ops::Norm,
    values::failed,
};

/// Everything a decoder computes with.
pub(crate) struct Weights {
    pub(crate) embedding: Weight,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Norm,
    pub(crate) head: Weight,
}

/// A layer's weights; what an architecture has not is absent.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Norm,
    /// Of every head of q.
    pub(crate) query_norm: Option<Norm>,
    /// Of every head of k.
    pub(crate) key_norm: Option<Norm>,
    /// Of what attention gives.
    pub(crate) attention_post_norm: Option<Norm>,
    pub(crate) feed_forward_norm: Norm,
    /// Of what the feed-forward gives.
    pub(crate) feed_forward_post_norm: Option<Norm>,
    /// By [`Target`].
    pub(crate) linears: Vec<Linear>,
}

impl Weights {
    /// Takes the weights from a file; on the processor they stay mapped.
    ///
    /// # Errors
    /// [`LlmError::Corrupt`] when tensors are missing or misshapen, [`LlmError::Unsupported`] when there are tensors that
    /// the decoder would leave out of the computation.
    pub(crate) fn from_gguf(
        gguf: &Gguf,
        config: &Config,
        device: &Device,
        level: Level,
    ) -> Result<Self> {
        // Checked before the layers are built: a lie about their number must not cost memory.
        if config.layers > gguf.tensors().len() {
            return Err(corrupt(format!(
                "{} layers with {} tensors",
                config.layers,
                gguf.tensors().len()
            )));
        }
        let mut file = Reader {
            gguf,
            config,
            device,
            level,
            used: [ROPE_FACTORS, ROPE_FACTORS_SHORT, ROPE_FACTORS_LONG]
                .map(str::to_owned)
                .to_vec(),
        };
        let embedding = file.table("token_embd.weight")?;
        let head = if gguf.tensors().contains_key("output.weight") {
            file.table("output.weight")?
        } else {
            embedding.clone()
        };
        let weights = Self {
            embedding,
            layers: (0..config.layers)
                .map(|layer| file.layer(layer))
                .collect::<Result<_>>()?,
            norm: file.norm("output_norm", config.hidden)?,
            head,
        };
        match gguf.tensors().keys().find(|name| !file.used.contains(name)) {
            None => Ok(weights),
            Some(unknown) => Err(LlmError::Unsupported(format!(
                "it has a tensor “{}” that this version would leave out",
                unknown.chars().take(60).collect::<String>()
            ))),
        }
    }
}

/// Takes tensors and remembers which.
struct Reader<'a> {
    gguf: &'a Gguf,
    config: &'a Config,
    device: &'a Device,
    level: Level,
    used: Vec<String>,
}

impl Reader<'_> {
    /// A matrix with a row for every token.
    fn table(&mut self, name: &str) -> Result<Weight> {
        let (rows, cols) = (self.config.vocabulary, self.config.hidden);
        let matrix = self.gguf.matrix(name, rows, cols)?;
        self.used.push(name.to_owned());
        Weight::new(matrix, self.device).map_err(failed)
    }

    fn norm(&mut self, name: &str, length: usize) -> Result<Norm> {
        let name = format!("{name}.weight");
        let weight = self.gguf.vector(&name, length)?;
        self.used.push(name);
        Norm::new(weight, self.config.rms_eps, self.level, self.device).map_err(failed)
    }

    fn layer(&mut self, layer: usize) -> Result<Layer> {
        let (hidden, head_dim) = (self.config.hidden, self.config.head_dim);
        let architecture = self.config.architecture;
        let mut norm_if = |has: bool, name: &str, length: usize| {
            has.then(|| self.norm(&format!("blk.{layer}.{name}"), length))
                .transpose()
        };
        let query_norm = norm_if(architecture.head_norms, "attn_q_norm", head_dim)?;
        let key_norm = norm_if(architecture.head_norms, "attn_k_norm", head_dim)?;
        let attention_post_norm = norm_if(architecture.post_norms, "post_attention_norm", hidden)?;
        let feed_forward_post_norm = norm_if(architecture.post_norms, "post_ffw_norm", hidden)?;
        Ok(Layer {
            attention_norm: self.norm(&format!("blk.{layer}.attn_norm"), hidden)?,
            query_norm,
            key_norm,
            attention_post_norm,
            feed_forward_norm: self.norm(&format!("blk.{layer}.ffn_norm"), hidden)?,
            feed_forward_post_norm,
            linears: Target::ALL
                .into_iter()
                .map(|target| self.linear(layer, target))
                .collect::<Result<_>>()?,
        })
    }

    /// A linear: a tensor of its own, or some rows of one that several share. Rows of a quantized matrix are whole blocks, so
    /// they are a matrix themselves.
    fn linear(&mut self, layer: usize, target: Target) -> Result<Linear> {
        let (outputs, inputs) = target.shape(self.config);
        let (name, parts) = if self.config.architecture.fused {
            target.fused()
        } else {
            (target.gguf_name(), vec![target])
        };
        let rows_of =
            |parts: &[Target]| -> usize { parts.iter().map(|t| t.shape(self.config).0).sum() };
        let whole = rows_of(&parts);
        let before = parts.iter().take_while(|&&part| part != target).count();
        let first = rows_of(&parts[..before]);
        let rows = first..first + outputs;
        let weight = format!("blk.{layer}.{name}.weight");
        let matrix = self.gguf.matrix(&weight, whole, inputs)?;
        let matrix = match rows.len() == whole {
            true => matrix,
            false => matrix.part(rows.clone()),
        };
        self.used.push(weight);
        let name = format!("blk.{layer}.{name}.bias");
        let needed = self.config.architecture.biases
            && matches!(target, Target::Query | Target::Key | Target::Value);
        let bias = if needed || self.gguf.tensors().contains_key(&name) {
            let values = self.gguf.vector(&name, whole)?[rows].to_vec();
            self.used.push(name);
            Some(Bias::new(values, self.device).map_err(failed)?)
        } else {
            None
        };
        let weight = Weight::new(matrix, self.device).map_err(failed)?;
        Ok(Linear::new(weight, bias, self.level))
    }
}
