//! The architectures that the decoder runs: what their names say and their files do not.
//!
//! A further architecture is a row of [`ARCHITECTURES`], as long as its layers are made of the decoder's parts. Each row names
//! where its facts stand: llama.cpp wrote the files, transformers defines what they should compute.

use idiolect_kernels::{Activation, RopeStyle};

/// What the metadata do not say because the architecture's name does.
#[derive(Debug, PartialEq)]
pub struct Architecture {
    /// `general.architecture`, which is also the prefix of its metadata keys.
    pub name: &'static str,
    /// Which components of a head are rotated together. The converter that writes files for the interleaved style
    /// permutes the rows of q and k for it.
    pub rope: RopeStyle,
    /// Whether q, k and v must have biases. Where any linear has one it is added, whatever the architecture.
    pub biases: bool,
    /// Whether every head of q and k is normed before it is rotated.
    pub head_norms: bool,
    /// Whether what attention and feed-forward give is normed before it is added to the residual.
    pub post_norms: bool,
    /// Of the feed-forward's gate.
    pub activation: Activation,
    /// Whether embeddings are multiplied by the root of the hidden size.
    pub scaled_embedding: bool,
    /// Which layers look back through a window.
    pub windows: Windows,
    /// The last layer of so many does not rotate q and k.
    pub unrotated: Option<usize>,
    /// Whether q, k and v are one matrix in the file, and gate and up another.
    pub fused: bool,
}

/// Which layers attend to the newest positions only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Windows {
    /// None; a file that gives a window is refused, for it does not say of which layers.
    None,
    /// All, where the file gives a window.
    All,
    /// All but the last of every so many, which see everything. Those with a window rotate by a base of their own.
    Local {
        /// Layers of a period, unless the file says otherwise.
        period: usize,
        /// Base of the rotation in layers with a window, unless the file says otherwise.
        base: f64,
    },
}

/// SmolLM2, Llama 2 and 3, Mistral. llama.cpp: src/llama-model.cpp, `llama_model_rope_type`; conversion/llama.py, `permute`.
const LLAMA: Architecture = Architecture {
    name: "llama",
    rope: RopeStyle::Interleaved,
    biases: false,
    head_norms: false,
    post_norms: false,
    activation: Activation::Silu,
    scaled_embedding: false,
    windows: Windows::None,
    unrotated: None,
    fused: false,
};

/// The architectures that can be run.
pub const ARCHITECTURES: &[Architecture] = &[
    LLAMA,
    // llama.cpp: src/models/qwen2.cpp; transformers: models/qwen2/modeling_qwen2.py.
    Architecture {
        name: "qwen2",
        rope: RopeStyle::HalfSplit,
        biases: true,
        ..LLAMA
    },
    // llama.cpp: src/models/qwen3.cpp; transformers: models/qwen3/modeling_qwen3.py.
    Architecture {
        name: "qwen3",
        rope: RopeStyle::HalfSplit,
        head_norms: true,
        ..LLAMA
    },
    // llama.cpp: src/models/gemma3.cpp (period 6) and src/llama-hparams.h (base 10,000); the converter has added 1 to every
    // norm's weight (conversion/gemma.py). transformers: models/gemma3/modeling_gemma3.py.
    Architecture {
        name: "gemma3",
        rope: RopeStyle::HalfSplit,
        head_norms: true,
        post_norms: true,
        activation: Activation::GeluTanh,
        scaled_embedding: true,
        windows: Windows::Local {
            period: 6,
            base: 10_000.0,
        },
        ..LLAMA
    },
    // transformers: models/phi3/modeling_phi3.py, whose window llama.cpp (src/models/phi3.cpp) leaves out.
    Architecture {
        name: "phi3",
        rope: RopeStyle::HalfSplit,
        windows: Windows::All,
        fused: true,
        ..LLAMA
    },
    // llama.cpp: src/models/smollm3.cpp, `n_no_rope_layer_step`; transformers: models/smollm3, `no_rope_layer_interval`.
    Architecture {
        name: "smollm3",
        unrotated: Some(4),
        ..LLAMA
    },
];

/// Gemma 3 27B is the one size whose scores are scaled by its hidden size per head and not by the length of a head
/// (llama.cpp: src/models/gemma3.cpp; gemma_pytorch: gemma/config.py).
pub(crate) const GEMMA3_27B_LAYERS: usize = 62;
