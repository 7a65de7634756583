//! Tiny GGUF files, sound and hostile, built byte by byte. Nothing here reads one.

use half::f16;
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

/// A metadata value.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // GGUF's own type names
pub enum Meta {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

/// How a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // GGUF's own type names
pub enum Storage {
    F32,
    Q4_1,
    Q8_0,
}

impl Storage {
    /// The number in a tensor table.
    fn ggml(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Q4_1 => 3,
            Self::Q8_0 => 8,
        }
    }

    fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::Q8_0 => values
                .chunks(32)
                .flat_map(|block| {
                    let scale = block.iter().fold(0.0_f32, |m, v| m.max(v.abs())) / 127.0;
                    let scale = f16::from_f32(scale);
                    let divisor = scale.to_f32().max(f32::MIN_POSITIVE);
                    let mut bytes = scale.to_le_bytes().to_vec();
                    bytes.extend(
                        block
                            .iter()
                            .map(|v| (v / divisor).round().clamp(-127.0, 127.0) as i8 as u8),
                    );
                    bytes
                })
                .collect(),
            Self::Q4_1 => values
                .chunks(32)
                .flat_map(|block| {
                    let (low, high) = block
                        .iter()
                        .fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
                    let (scale, low) = (f16::from_f32((high - low) / 15.0), f16::from_f32(low));
                    let divisor = scale.to_f32().max(f32::MIN_POSITIVE);
                    let nibble =
                        |v: f32| ((v - low.to_f32()) / divisor).round().clamp(0.0, 15.0) as u8;
                    let mut bytes = scale.to_le_bytes().to_vec();
                    bytes.extend(low.to_le_bytes());
                    // Value i in the low half of byte i, value i + 16 in its high half.
                    bytes.extend((0..16).map(|i| nibble(block[i]) | nibble(block[i + 16]) << 4));
                    bytes
                })
                .collect(),
        }
    }
}

/// A row of the tensor table with its bytes.
#[derive(Debug, Clone)]
pub struct TensorSpec {
    /// Name.
    pub name: String,
    /// Dimensions as GGUF writes them, the contiguous one first.
    pub dimensions: Vec<u64>,
    /// Type number in the table.
    pub ggml_type: u32,
    /// Its bytes.
    pub data: Vec<u8>,
    /// An offset to claim instead of the true one.
    pub claimed_offset: Option<u64>,
}

/// A GGUF file before it is bytes; every part can be bent.
#[derive(Debug, Clone)]
pub struct GgufFile {
    /// `GGUF`, unless bent.
    pub magic: [u8; 4],
    /// Format version.
    pub version: u32,
    /// Tensor count to claim instead of the true one.
    pub claimed_tensors: Option<u64>,
    /// Metadata count to claim instead of the true one.
    pub claimed_metadata: Option<u64>,
    /// Metadata in order.
    pub metadata: Vec<(String, Meta)>,
    /// Tensors in order.
    pub tensors: Vec<TensorSpec>,
}

const ALIGNMENT: usize = 32;

impl GgufFile {
    /// Sets or adds a metadata value.
    pub fn set(&mut self, key: &str, value: Meta) -> &mut Self {
        match self.metadata.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key.to_owned(), value)),
        }
        self
    }

    /// Takes a metadata value out.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        self.metadata.retain(|(k, _)| k != key);
        self
    }

    /// The tensor of that name.
    ///
    /// # Panics
    /// When there is none.
    pub fn tensor(&mut self, name: &str) -> &mut TensorSpec {
        self.tensors
            .iter_mut()
            .find(|t| t.name == name)
            .unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(
            self.claimed_tensors
                .unwrap_or(self.tensors.len() as u64)
                .to_le_bytes(),
        );
        out.extend(
            self.claimed_metadata
                .unwrap_or(self.metadata.len() as u64)
                .to_le_bytes(),
        );
        for (key, value) in &self.metadata {
            put_text(&mut out, key);
            put_value(&mut out, value);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            put_text(&mut out, &tensor.name);
            out.extend((tensor.dimensions.len() as u32).to_le_bytes());
            tensor
                .dimensions
                .iter()
                .for_each(|d| out.extend(d.to_le_bytes()));
            out.extend(tensor.ggml_type.to_le_bytes());
            out.extend(tensor.claimed_offset.unwrap_or(offset as u64).to_le_bytes());
            offset = (offset + tensor.data.len()).next_multiple_of(ALIGNMENT);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend(&tensor.data);
        }
        out
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Meta) {
    let array = |out: &mut Vec<u8>, ty: u32, n: usize| {
        out.extend(9_u32.to_le_bytes());
        out.extend(ty.to_le_bytes());
        out.extend((n as u64).to_le_bytes());
    };
    match value {
        Meta::U32(v) => {
            out.extend(4_u32.to_le_bytes());
            out.extend(v.to_le_bytes());
        }
        Meta::F32(v) => {
            out.extend(6_u32.to_le_bytes());
            out.extend(v.to_le_bytes());
        }
        Meta::Bool(v) => {
            out.extend(7_u32.to_le_bytes());
            out.push(u8::from(*v));
        }
        Meta::Text(v) => {
            out.extend(8_u32.to_le_bytes());
            put_text(out, v);
        }
        Meta::Texts(v) => {
            array(out, 8, v.len());
            v.iter().for_each(|t| put_text(out, t));
        }
        Meta::I32s(v) => {
            array(out, 5, v.len());
            v.iter().for_each(|x| out.extend(x.to_le_bytes()));
        }
        Meta::F32s(v) => {
            array(out, 6, v.len());
            v.iter().for_each(|x| out.extend(x.to_le_bytes()));
        }
    }
}

/// The shape of a tiny llama: everything but the counts of heads divides by 32, the block of its quantized types.
#[derive(Debug, Clone)]
pub struct TinyGguf {
    /// Layers.
    pub layers: usize,
    /// Hidden size.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Feed-forward size.
    pub feed_forward: usize,
    /// Context length.
    pub context: usize,
    /// How the layers' matrices are stored.
    pub storage: Storage,
    /// Whether the head is the embedding table.
    pub tied: bool,
    /// A chat template.
    pub template: Option<String>,
    /// Seed of the random weights.
    pub seed: u64,
}

impl Default for TinyGguf {
    fn default() -> Self {
        Self {
            layers: 2,
            hidden: 64,
            heads: 4,
            kv_heads: 2,
            feed_forward: 96,
            context: 256,
            storage: Storage::Q4_1,
            tied: true,
            template: Some(
                "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}\
                 {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
                    .into(),
            ),
            seed: 1,
        }
    }
}

impl TinyGguf {
    /// The file, still bendable.
    pub fn file(&self) -> GgufFile {
        let (tokens, merges) = vocabulary();
        let mut metadata = vec![
            (
                "general.architecture".to_owned(),
                Meta::Text("llama".into()),
            ),
            (
                "general.name".to_owned(),
                Meta::Text("Tiny random llama".into()),
            ),
        ];
        let mut put = |key: &str, value: Meta| metadata.push((key.to_owned(), value));
        put("llama.block_count", Meta::U32(self.layers as u32));
        put("llama.context_length", Meta::U32(self.context as u32));
        put("llama.embedding_length", Meta::U32(self.hidden as u32));
        put(
            "llama.feed_forward_length",
            Meta::U32(self.feed_forward as u32),
        );
        put("llama.attention.head_count", Meta::U32(self.heads as u32));
        put(
            "llama.attention.head_count_kv",
            Meta::U32(self.kv_heads as u32),
        );
        put("llama.attention.layer_norm_rms_epsilon", Meta::F32(1e-5));
        put("llama.rope.freq_base", Meta::F32(10_000.0));
        put(
            "llama.rope.dimension_count",
            Meta::U32((self.hidden / self.heads) as u32),
        );
        put("tokenizer.ggml.model", Meta::Text("gpt2".into()));
        put("tokenizer.ggml.pre", Meta::Text("smollm".into()));
        put(
            "tokenizer.ggml.token_type",
            Meta::I32s(
                (0..tokens.len())
                    .map(|i| if i < SPECIAL.len() { 3 } else { 1 })
                    .collect(),
            ),
        );
        put("tokenizer.ggml.tokens", Meta::Texts(tokens.clone()));
        put("tokenizer.ggml.merges", Meta::Texts(merges));
        put("tokenizer.ggml.bos_token_id", Meta::U32(1));
        put("tokenizer.ggml.eos_token_id", Meta::U32(2));
        put("tokenizer.ggml.add_bos_token", Meta::Bool(false));
        if let Some(template) = &self.template {
            put("tokenizer.chat_template", Meta::Text(template.clone()));
        }

        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut tensors = Vec::new();
        let mut matrix = |name: String, rows: usize, cols: usize, storage: Storage, gain: f32| {
            // Uniform with the variance 1 / cols, so that values keep their size through the layers.
            let bound = gain * (3.0 / cols as f32).sqrt();
            let values: Vec<f32> = (0..rows * cols)
                .map(|_| random.random_range(-bound..bound))
                .collect();
            tensors.push(TensorSpec {
                name,
                dimensions: vec![cols as u64, rows as u64],
                ggml_type: storage.ggml(),
                data: storage.encode(&values),
                claimed_offset: None,
            });
        };
        let (hidden, ffn) = (self.hidden, self.feed_forward);
        let kv = hidden / self.heads * self.kv_heads;
        matrix(
            "token_embd.weight".into(),
            tokens.len(),
            hidden,
            Storage::Q8_0,
            1.0,
        );
        if !self.tied {
            matrix(
                "output.weight".into(),
                tokens.len(),
                hidden,
                Storage::Q8_0,
                2.0,
            );
        }
        for layer in 0..self.layers {
            for (name, rows, cols) in [
                ("attn_q", hidden, hidden),
                ("attn_k", kv, hidden),
                ("attn_v", kv, hidden),
                ("attn_output", hidden, hidden),
                ("ffn_gate", ffn, hidden),
                ("ffn_up", ffn, hidden),
                ("ffn_down", hidden, ffn),
            ] {
                matrix(
                    format!("blk.{layer}.{name}.weight"),
                    rows,
                    cols,
                    self.storage,
                    1.0,
                );
            }
        }
        let mut names = vec!["output_norm.weight".to_owned()];
        for layer in 0..self.layers {
            names.push(format!("blk.{layer}.attn_norm.weight"));
            names.push(format!("blk.{layer}.ffn_norm.weight"));
        }
        for name in names {
            let values: Vec<f32> = (0..hidden).map(|_| random.random_range(0.8..1.2)).collect();
            tensors.push(TensorSpec {
                name,
                dimensions: vec![hidden as u64],
                ggml_type: Storage::F32.ggml(),
                data: Storage::F32.encode(&values),
                claimed_offset: None,
            });
        }
        GgufFile {
            magic: *b"GGUF",
            version: 3,
            claimed_tensors: None,
            claimed_metadata: None,
            metadata,
            tensors,
        }
    }
}

/// A tiny random llama as a whole GGUF file.
pub fn tiny_gguf(config: &TinyGguf) -> Vec<u8> {
    config.file().to_bytes()
}

const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// Three control tokens, the 256 bytes as GPT-2 spells them, and a few merges.
fn vocabulary() -> (Vec<String>, Vec<String>) {
    let mut tokens: Vec<String> = SPECIAL.iter().map(|&s| s.to_owned()).collect();
    // GPT-2 spells printable Latin-1 bytes as themselves and moves the rest to 256 and up.
    let mut moved = 0;
    for byte in 0..=255_u8 {
        let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable {
            u32::from(byte)
        } else {
            moved += 1;
            255 + moved
        };
        tokens.push(char::from_u32(code).unwrap_or('?').to_string());
    }
    let mut merges = Vec::new();
    for (left, right) in [
        ("Ġ", "t"),
        ("h", "e"),
        ("Ġt", "he"),
        ("i", "n"),
        ("o", "n"),
        ("e", "r"),
        ("Ġ", "a"),
    ] {
        tokens.push(format!("{left}{right}"));
        merges.push(format!("{left} {right}"));
    }
    (tokens, merges)
}

/// Files that must be refused with an error and nothing worse, each with what is wrong with it.
pub fn hostile_ggufs() -> Vec<(String, Vec<u8>)> {
    let sound = TinyGguf::default();
    let bytes = tiny_gguf(&sound);
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("empty".into(), Vec::new()),
        ("only the magic".into(), b"GGUF".to_vec()),
        (
            "text".into(),
            b"not a model at all, just some words in a file".repeat(9),
        ),
    ];
    for length in (1..40)
        .chain((40..bytes.len()).step_by(bytes.len() / 97))
        .chain([bytes.len() - 1])
    {
        files.push((
            format!("cut to {length} of {} bytes", bytes.len()),
            bytes[..length].to_vec(),
        ));
    }
    let mut bent = |what: &str, bend: &dyn Fn(&mut GgufFile)| {
        let mut file = sound.file();
        bend(&mut file);
        files.push((what.to_owned(), file.to_bytes()));
    };
    bent("wrong magic", &|f| f.magic = *b"GGML");
    bent("version 1", &|f| f.version = 1);
    bent("version 99", &|f| f.version = 99);
    for n in [u64::MAX, 1 << 60, 1 << 32] {
        bent(&format!("{n} tensors"), &|f| f.claimed_tensors = Some(n));
        bent(&format!("{n} metadata values"), &|f| {
            f.claimed_metadata = Some(n)
        });
    }
    bent("one tensor too many", &|f| {
        f.claimed_tensors = Some(f.tensors.len() as u64 + 1)
    });
    bent("unknown architecture", &|f| {
        f.set("general.architecture", Meta::Text("mystery".into()));
    });
    for key in [
        "general.architecture",
        "llama.block_count",
        "llama.embedding_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.model",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
    ] {
        bent(&format!("no {key}"), &|f| {
            f.remove(key);
        });
    }
    for (key, value) in [
        ("llama.block_count", Meta::U32(u32::MAX)),
        ("llama.block_count", Meta::U32(0)),
        ("llama.block_count", Meta::Text("two".into())),
        ("llama.embedding_length", Meta::U32(0)),
        ("llama.embedding_length", Meta::U32(96)),
        ("llama.context_length", Meta::U32(0)),
        ("llama.attention.head_count", Meta::U32(0)),
        ("llama.attention.head_count", Meta::U32(3)),
        ("llama.attention.head_count_kv", Meta::U32(0)),
        ("llama.attention.head_count_kv", Meta::U32(3)),
        (
            "llama.attention.layer_norm_rms_epsilon",
            Meta::F32(f32::NAN),
        ),
        ("llama.rope.freq_base", Meta::F32(-1.0)),
        ("llama.rope.dimension_count", Meta::U32(1000)),
        ("llama.rope.dimension_count", Meta::U32(7)),
        ("llama.rope.scaling.type", Meta::Text("mystery".into())),
        ("llama.expert_count", Meta::U32(8)),
        ("tokenizer.ggml.model", Meta::Text("mystery".into())),
        ("tokenizer.ggml.pre", Meta::Text("mystery".into())),
        ("tokenizer.ggml.tokens", Meta::Texts(vec!["a".into()])),
        (
            "tokenizer.ggml.tokens",
            Meta::Texts(vec![String::new(); 600]),
        ),
        ("tokenizer.ggml.merges", Meta::Texts(vec!["nothing".into()])),
        ("tokenizer.ggml.merges", Meta::Texts(vec!["no such".into()])),
        ("tokenizer.ggml.token_type", Meta::I32s(vec![1])),
        ("tokenizer.ggml.eos_token_id", Meta::U32(1 << 30)),
        ("tokenizer.ggml.bos_token_id", Meta::U32(1 << 30)),
        ("general.alignment", Meta::U32(0)),
        ("general.alignment", Meta::U32(33)),
        ("general.alignment", Meta::U32(1 << 31)),
    ] {
        bent(
            &format!("{key} = {value:?}")
                .chars()
                .take(80)
                .collect::<String>(),
            &|f| {
                f.set(key, value.clone());
            },
        );
    }
    bent("the same key twice", &|f| {
        f.metadata.push(f.metadata[2].clone())
    });
    bent("the same tensor twice", &|f| {
        f.tensors.push(f.tensors[2].clone())
    });
    for name in [
        "token_embd.weight",
        "output_norm.weight",
        "blk.1.ffn_down.weight",
        "blk.0.attn_norm.weight",
    ] {
        bent(&format!("no {name}"), &|f| {
            f.tensors.retain(|t| t.name != name)
        });
    }
    bent("a tensor the architecture does not know", &|f| {
        let mut extra = f.tensors[1].clone();
        extra.name = "blk.0.attn_q.mystery".into();
        f.tensors.push(extra);
    });
    let name = "blk.1.attn_q.weight";
    for ty in [4, 9, 15, 16, 99, u32::MAX] {
        bent(&format!("tensor type {ty}"), &|f| {
            f.tensor(name).ggml_type = ty
        });
    }
    for offset in [1, 32, 1 << 20, 1 << 40, u64::MAX, u64::MAX - 31] {
        bent(&format!("a tensor claimed at {offset}"), &|f| {
            f.tensor(name).claimed_offset = Some(offset)
        });
    }
    for dimensions in [
        vec![],
        vec![64],
        vec![64, 64, 64],
        vec![64; 9],
        vec![0, 64],
        vec![64, 128],
        vec![63, 64],
        vec![1 << 33, 1 << 33],
        vec![u64::MAX, u64::MAX],
    ] {
        bent(&format!("dimensions {dimensions:?}"), &|f| {
            f.tensor(name).dimensions = dimensions.clone()
        });
    }
    bent("a norm of the wrong length", &|f| {
        f.tensor("blk.0.attn_norm.weight").dimensions = vec![32]
    });

    // Lengths inside the metadata that no file could have.
    let key = bytes
        .windows(20)
        .position(|w| w == b"general.architecture")
        .expect("the first key is there");
    for length in [u64::MAX, 1 << 40, bytes.len() as u64] {
        let mut cut = bytes.clone();
        cut[key - 8..key].copy_from_slice(&length.to_le_bytes());
        files.push((format!("a key of {length} bytes"), cut));
    }
    let list = bytes
        .windows(21)
        .position(|w| w == b"tokenizer.ggml.tokens")
        .expect("the list is there")
        + 21;
    for length in [u64::MAX, 1 << 61, 1 << 40, 1 << 28] {
        let mut cut = bytes.clone();
        cut[list + 8..list + 16].copy_from_slice(&length.to_le_bytes());
        files.push((format!("a list of {length} texts"), cut));
    }
    for ty in [9_u32, 13, 77] {
        let mut cut = bytes.clone();
        cut[list + 4..list + 8].copy_from_slice(&ty.to_le_bytes());
        files.push((format!("a list of type {ty}"), cut));
    }
    files
}
