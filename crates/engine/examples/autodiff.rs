//! The steps of `idiolect bench train --record FOLDER` (SFT) by candle's automatic differentiation as it comes: weights dequantized
//! to f32, plain tensor operations, LoRA factors as variables. What the engine's own passes are measured against:
//! `cargo run -p idiolect-engine --example autodiff -- MODEL.gguf FOLDER`. It knows Llama's shape only.
//!
//! The losses are printed beside the record's: a baseline that computes something else proves nothing.

use std::{
    collections::HashMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use candle_core::{
    Device, IndexOp, Tensor, Var,
    quantized::gguf_file::{Content, Value},
};
use candle_nn::{
    AdamW, Optimizer, ParamsAdamW, loss::cross_entropy, ops, ops::rms_norm_slow,
    rotary_emb::rope_i_slow,
};
use serde_json::Value as Json;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A weight's name in the GGUF file and in the adapter.
const LINEARS: [(&str, &str); 7] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let (Some(model), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("name a GGUF file and the folder of a record".into());
    };
    let run: Json = serde_json::from_slice(&fs::read(folder.join("run.json"))?)?;
    let mut model = Model::read(&model)?;
    let vars = model.adapt(&folder.join("initial"))?;
    let rows: Vec<Vec<u32>> = list(&run["examples"])
        .iter()
        .flat_map(|example| list(&example["rows"]))
        .map(|row| serde_json::from_value(row.clone()))
        .collect::<Result<_, _>>()?;
    let length = rows[0].len() - 1;
    let take = |from: usize| -> Outcome<Tensor> {
        let flat: Vec<u32> = rows
            .iter()
            .flat_map(|row| row[from..from + length].to_vec())
            .collect();
        Ok(Tensor::from_vec(flat, (rows.len(), length), &Device::Cpu)?)
    };
    let (inputs, targets) = (take(0)?, take(1)?.flatten_all()?);
    let of = |name: &str| run["optimizer"][name].as_f64().unwrap_or_default();
    let mut optimizer = AdamW::new(
        vars.clone(),
        ParamsAdamW {
            lr: 0.0,
            beta1: of("beta1"),
            beta2: of("beta2"),
            eps: of("eps"),
            weight_decay: of("weight_decay"),
        },
    )?;
    let mut seconds = Vec::new();
    let steps = list(&run["learning_rates"])
        .iter()
        .zip(list(&run["losses"]));
    for (rate, theirs) in steps {
        let started = Instant::now();
        optimizer.set_learning_rate(rate.as_f64().unwrap_or_default());
        let loss = cross_entropy(&model.logits(&inputs)?, &targets)?;
        let mut gradients = loss.backward()?;
        let mut squares = 0.0;
        for var in &vars {
            if let Some(gradient) = gradients.get(var.as_tensor()) {
                squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        let shorter = (of("clip") / squares.sqrt()).min(1.0);
        for var in &vars {
            if let Some(gradient) = gradients.remove(var.as_tensor()) {
                gradients.insert(var.as_tensor(), (gradient * shorter)?);
            }
        }
        optimizer.step(&gradients)?;
        seconds.push(started.elapsed().as_secs_f64());
        println!(
            "loss {:.6}, the record's {theirs}, {:.2} s",
            loss.to_scalar::<f32>()?,
            seconds[seconds.len() - 1]
        );
    }
    // The first step warms up, as in the record.
    let mut timed = seconds[1..].to_vec();
    timed.sort_by(f64::total_cmp);
    println!(
        "{:.0} tokens/s, {}",
        inputs.elem_count() as f64 / timed[timed.len() / 2],
        most_memory()
    );
    Ok(())
}

fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The largest resident set so far, as Linux says it.
fn most_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    peak.unwrap_or("peak memory unknown").to_owned()
}

/// A frozen weight, transposed, and its LoRA factors, transposed, with their scale.
struct Linear {
    weight: Tensor,
    lora: Option<(Var, Var, f64)>,
}

impl Linear {
    /// `[rows, inputs]` to `[rows, outputs]`.
    fn forward(&self, rows: &Tensor) -> Outcome<Tensor> {
        let product = rows.matmul(&self.weight)?;
        Ok(match &self.lora {
            Some((a, b, scale)) => {
                let low = rows.matmul(&a.as_tensor().t()?)?;
                (product + (low.matmul(&b.as_tensor().t()?)? * *scale)?)?
            }
            None => product,
        })
    }
}

/// A Llama whose rows of q and k are as the converter leaves them, for rotations of neighbours.
struct Model {
    embedding: Tensor,
    norms: HashMap<String, Tensor>,
    linears: HashMap<String, Linear>,
    blocks: usize,
    heads: usize,
    kv_heads: usize,
    epsilon: f32,
    base: f32,
}

impl Model {
    fn read(path: &Path) -> Outcome<Self> {
        let mut file = fs::File::open(path)?;
        let content = Content::read(&mut file)?;
        let key = |name: &str| -> Outcome<&Value> {
            let name = format!("llama.{name}");
            content
                .metadata
                .get(&name)
                .ok_or_else(|| format!("the file has no {name}").into())
        };
        let (mut norms, mut linears, mut embedding) = (HashMap::new(), HashMap::new(), None);
        for name in content.tensor_infos.keys() {
            let tensor = content.tensor(&mut file, name, &Device::Cpu)?;
            let tensor = tensor.dequantize(&Device::Cpu)?;
            if name == "token_embd.weight" {
                embedding = Some(tensor);
            } else if name.contains("norm") {
                norms.insert(name.clone(), tensor);
            } else {
                let weight = tensor.t()?.contiguous()?;
                linears.insert(name.clone(), Linear { weight, lora: None });
            }
        }
        Ok(Self {
            embedding: embedding.ok_or("the file has no embeddings")?,
            norms,
            linears,
            blocks: key("block_count")?.to_u32()? as usize,
            heads: key("attention.head_count")?.to_u32()? as usize,
            kv_heads: key("attention.head_count_kv")?.to_u32()? as usize,
            epsilon: key("attention.layer_norm_rms_epsilon")?.to_f32()?,
            base: key("rope.freq_base")?.to_f32()?,
        })
    }

    /// Puts the first LoRA factors of a PEFT folder beside the weights.
    fn adapt(&mut self, folder: &Path) -> Outcome<Vec<Var>> {
        let config: Json = serde_json::from_slice(&fs::read(folder.join("adapter_config.json"))?)?;
        let number = |name: &str| config[name].as_f64().unwrap_or_default();
        let scale = number("lora_alpha") / number("r");
        let file = folder.join("adapter_model.safetensors");
        let tensors = candle_core::safetensors::load(file, &Device::Cpu)?;
        let mut vars = Vec::new();
        for block in 0..self.blocks {
            for (gguf, peft) in LINEARS {
                let factor = |letter: &str| {
                    let end = format!("layers.{block}.{peft}.lora_{letter}.weight");
                    let found = tensors.iter().find(|(name, _)| name.ends_with(&end));
                    found.map(|(_, tensor)| Var::from_tensor(tensor))
                };
                let linear = self.linears.get_mut(&format!("blk.{block}.{gguf}.weight"));
                if let (Some(a), Some(b), Some(linear)) = (factor("A"), factor("B"), linear) {
                    // B is zero before the first step, so that the order of its rows does not matter.
                    let (a, b) = (a?, b?);
                    vars.extend([a.clone(), b.clone()]);
                    linear.lora = Some((a, b, scale));
                }
            }
        }
        Ok(vars)
    }

    fn linear(&self, block: usize, name: &str, rows: &Tensor) -> Outcome<Tensor> {
        self.linears[&format!("blk.{block}.{name}.weight")].forward(rows)
    }

    fn norm(&self, name: &str, rows: &Tensor) -> Outcome<Tensor> {
        let weight = &self.norms[&format!("{name}.weight")];
        Ok(rms_norm_slow(rows, weight, self.epsilon)?)
    }

    /// `[texts, length]` token ids to `[texts · length, vocabulary]`.
    fn logits(&self, tokens: &Tensor) -> Outcome<Tensor> {
        let (texts, length) = tokens.dims2()?;
        let head = self.embedding.dim(1)? / self.heads;
        let angles: Vec<f32> = (0..length)
            .flat_map(|position| {
                (0..head / 2)
                    .map(move |i| position as f32 / self.base.powf(2.0 * i as f32 / head as f32))
            })
            .collect();
        let angles = Tensor::from_vec(angles, (length, head / 2), &Device::Cpu)?;
        let (cos, sin) = (angles.cos()?, angles.sin()?);
        let hidden: Vec<f32> = (0..length * length)
            .map(|i| {
                if i % length > i / length {
                    f32::NEG_INFINITY
                } else {
                    0.0
                }
            })
            .collect();
        let hidden = Tensor::from_vec(hidden, (length, length), &Device::Cpu)?;
        let shaped = |rows: Tensor, heads: usize| -> Outcome<Tensor> {
            let split = rows.reshape((texts, length, heads, head))?;
            Ok(split.transpose(1, 2)?.contiguous()?)
        };
        let mut x = self.embedding.index_select(&tokens.flatten_all()?, 0)?;
        for block in 0..self.blocks {
            let rows = self.norm(&format!("blk.{block}.attn_norm"), &x)?;
            let q = shaped(self.linear(block, "attn_q", &rows)?, self.heads)?;
            let k = shaped(self.linear(block, "attn_k", &rows)?, self.kv_heads)?;
            let v = shaped(self.linear(block, "attn_v", &rows)?, self.kv_heads)?;
            let (q, k) = (rope_i_slow(&q, &cos, &sin)?, rope_i_slow(&k, &cos, &sin)?);
            let (k, v) = (self.repeated(&k)?, self.repeated(&v)?);
            let scores = (q.matmul(&k.t()?)? * (head as f64).powf(-0.5))?;
            let shares = ops::softmax(&scores.broadcast_add(&hidden)?, 3)?;
            let read = shares.matmul(&v)?.transpose(1, 2)?.contiguous()?;
            let read = read.reshape((texts * length, self.heads * head))?;
            x = (x + self.linear(block, "attn_output", &read)?)?;
            let rows = self.norm(&format!("blk.{block}.ffn_norm"), &x)?;
            let gate = self.linear(block, "ffn_gate", &rows)?.silu()?;
            let product = (gate * self.linear(block, "ffn_up", &rows)?)?;
            x = (x + self.linear(block, "ffn_down", &product)?)?;
        }
        Ok(self.norm("output_norm", &x)?.matmul(&self.embedding.t()?)?)
    }

    /// Keys or values of each group's head once for every query head.
    fn repeated(&self, heads: &Tensor) -> Outcome<Tensor> {
        let times = self.heads / self.kv_heads;
        let each: Vec<Tensor> = (0..self.heads)
            .map(|h| heads.i((.., h / times..=h / times)))
            .collect::<Result<_, _>>()?;
        Ok(Tensor::cat(&each, 1)?)
    }
}
