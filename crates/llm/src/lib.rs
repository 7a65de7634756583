//! What the studio asks of a language model and of a sentence embedder, whoever provides them.
//!
//! Traits, requests and results; sampling; chat templates; a cancel flag. No tensors, no files, no
//! model code: `engine` implements these, and so does a fake model behind the feature `testing`.
#![forbid(unsafe_code)]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub mod guard;
pub mod sampling;
pub mod template;
#[cfg(feature = "testing")]
pub mod testing;

/// A token id of the model's own vocabulary.
pub type Token = u32;

/// Why a model could not do what was asked. `studio` turns these into a person's words.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// Cancelled through the request's [`Cancel`].
    #[error("stopped")]
    Cancelled,
    /// Prompt and answer do not fit.
    #[error("{needed} tokens do not fit the model's context of {context}")]
    ContextFull {
        /// Tokens that were needed.
        needed: usize,
        /// What the model has.
        context: usize,
    },
    /// No chat template in the model file.
    #[error("the model file carries no chat template")]
    NoTemplate,
    /// The template is there but does not run.
    #[error("the model's chat template failed: {0}")]
    Template(String),
    /// The file is not a whole, sane GGUF.
    #[error("the model file is damaged: {0}")]
    Corrupt(String),
    /// The file is sane but not supported.
    #[error("the model is not supported: {0}")]
    Unsupported(String),
    /// An adapter does not fit the model.
    #[error("the trained voice cannot be used with this model: {0}")]
    Adapter(String),
    /// A form that a text cannot be held to: a broken schema, or one that asks for something unknown.
    #[error("the form asked for cannot be used: {0}")]
    Constraint(String),
    /// Not enough memory.
    #[error("not enough memory: {0}")]
    OutOfMemory(String),
    /// Reading a file failed.
    #[error("reading failed: {0}")]
    Io(#[from] std::io::Error),
    /// Anything else: a bug or a device failure.
    #[error("the model failed: {0}")]
    Failed(String),
}

/// Result of a model call.
pub type Result<T> = std::result::Result<T, LlmError>;

/// A flag checked at every token, training step and file block.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A fresh flag.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether stop was asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `Err(Cancelled)` once stop was asked.
    ///
    /// # Errors
    /// [`LlmError::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(LlmError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Where a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An Apple GPU.
    Metal,
}

/// What the person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeviceWish {
    /// The best that works.
    #[default]
    Auto,
    /// The processor, whatever else there is.
    Cpu,
    /// CUDA or an error.
    Cuda,
    /// Metal or an error.
    Metal,
}

/// The device in use and why, in plain words for the window's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceChoice {
    /// Which.
    pub kind: DeviceKind,
    /// "CPU (2 threads, AVX2)".
    pub label: String,
    /// "This build has no CUDA support." and the like.
    pub why: String,
}

/// Facts about a loaded model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Catalog id, or the file's name.
    pub id: String,
    /// Name from the metadata.
    pub name: String,
    /// GGUF architecture, `llama`.
    pub architecture: String,
    /// Parameters.
    pub parameters: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Context length in tokens.
    pub context: usize,
    /// Vocabulary size.
    pub vocabulary: usize,
    /// Layers.
    pub layers: usize,
    /// Hidden size.
    pub hidden: usize,
    /// Quantization types in the file by bytes, "Q4_1 66.4 MB, Q8_0 30.1 MB".
    pub quantization: String,
    /// Whether the file carries a chat template.
    pub has_template: bool,
    /// Whether the metadata asks for BOS before every text.
    pub adds_bos: bool,
    /// Where it computes.
    pub device: DeviceChoice,
}

/// A LoRA folder (`adapter_model.safetensors`, `adapter_config.json`) or GGUF file at a scale. Loaded once and cached by the
/// model; turning it on, off or scaling it reloads nothing. Where a request has several, what they add is summed, so that a
/// mix of two voices is two scales.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterSource {
    /// The folder, or the file.
    pub dir: PathBuf,
    /// 0 = off, 1 = as trained.
    pub scale: f32,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Standing instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// As chat templates name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One chat message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

/// A direction added to the hidden states after a layer, at every position of a text and of its prompt
/// (Turner et al. 2023, "Activation addition"; Rimsky et al. 2024, "Contrastive activation addition").
#[derive(Debug, Clone, PartialEq)]
pub struct Steering {
    /// The layer, counted from 0, after which it is added.
    pub layer: usize,
    /// One component for each of the model's hidden size ([`ModelInfo::hidden`]).
    pub vector: Arc<[f32]>,
    /// What the vector is multiplied by; 0 = off, to the bit.
    pub scale: f32,
}

/// Continuations to score after one shared prefix, which is computed once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScoreRequest {
    /// Context; may be empty.
    pub prefix: Vec<Token>,
    /// What follows it, each on its own.
    pub continuations: Vec<Vec<Token>>,
    /// Trained voices.
    pub adapters: Vec<AdapterSource>,
    /// Directions added to the hidden states of prefix and continuations.
    pub steer: Vec<Steering>,
}

/// A second stream that a text is steered away from: the same answer after another prompt, stepped beside the first. Each
/// token is drawn from `l + strength (l − l')`, l being the logits of the text's own stream and l' those of this one
/// (Sanchez et al. 2023, "Stay on topic with classifier-free guidance"; Shi et al. 2023, "Context-aware decoding").
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Against {
    /// Its prompt as tokens.
    pub prompt: Vec<Token>,
    /// Its trained voices.
    pub adapters: Vec<AdapterSource>,
    /// Directions added to its hidden states.
    pub steer: Vec<Steering>,
    /// How far to go: 0 leaves the text's own stream as it is, −1 draws from this one.
    pub strength: f32,
    /// Share of the likeliest token's probability in the text's own stream that a token must have there to be drawn at all,
    /// 0 = off. Without it, differences among tokens that neither stream would write decide at high strengths
    /// (Li et al. 2023, "Contrastive decoding", who take 0.1).
    pub plausible: f32,
}

/// A form that a generated text is held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// JSON without free white space, valid against this JSON schema (its text; `$ref` within the schema only). It ends where
    /// the value ends, and is whole unless `max_tokens` come first: a schema that bounds its lengths makes sure of that.
    JsonSchema(String),
}

/// A text to generate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerateRequest {
    /// The prompt as tokens ([`TextModel::encode_prompt`]).
    pub prompt: Vec<Token>,
    /// How tokens are drawn.
    pub sampling: idiolect_core::draft::Sampling,
    /// Trained voices.
    pub adapters: Vec<AdapterSource>,
    /// Directions added to the hidden states of prompt and answer.
    pub steer: Vec<Steering>,
    /// A second stream to steer away from.
    pub against: Option<Against>,
    /// A form the text is held to.
    pub constraint: Option<Constraint>,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// End-of-turn token or a stop text.
    Stop,
    /// `max_tokens` or the context's end.
    Length,
    /// Cancelled; the text so far is kept.
    Cancelled,
}

impl Ended {
    /// `stop`, `length`, `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A finished generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The text, stop text removed.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// Natural-log probability of each token under the model's own distribution (before temperature and cuts).
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub ended: Ended,
    /// Seconds spent on the prompt.
    pub prompt_seconds: f64,
    /// Seconds spent on the answer.
    pub seconds: f64,
}

/// A causal language model. Implementations are shared between threads; each call has its own caches.
///
/// Invariant: a row's result does not depend on what else is in the call.
pub trait TextModel: Send + Sync {
    /// Facts about it.
    fn info(&self) -> &ModelInfo;

    /// Plain text to tokens: nothing added, special-token spellings in the text are *not* honoured
    /// (a person's text must not be able to end a turn).
    ///
    /// # Errors
    /// A tokenizer failure.
    fn encode(&self, text: &str) -> Result<Vec<Token>>;

    /// A rendered template to tokens: special tokens honoured, BOS added where the metadata says so
    /// and the text does not already begin with it, [`guard::GUARD`] dropped.
    ///
    /// # Errors
    /// A tokenizer failure.
    fn encode_prompt(&self, prompt: &str) -> Result<Vec<Token>>;

    /// Tokens to text, special tokens left out.
    fn decode(&self, tokens: &[Token]) -> String;

    /// The model's beginning-of-sequence token, if it wants one before every text.
    fn bos(&self) -> Option<Token>;

    /// The token that ends an assistant's turn.
    fn end_of_turn(&self) -> Token;

    /// Renders the model's own chat template, ending with the assistant's turn opened. Special tokens that a message
    /// spells are [guarded](guard): [`guard::shown`] is the text for a person.
    ///
    /// # Errors
    /// [`LlmError::NoTemplate`], [`LlmError::Template`].
    fn render(&self, messages: &[Message]) -> Result<String>;

    /// Natural-log probabilities of every continuation token given the prefix and the tokens before
    /// it: `out[request][continuation][position]`. With an empty prefix, a continuation's first
    /// token has nothing before it and is left out (its row is one shorter).
    ///
    /// # Errors
    /// Cancelled, context full, adapter, device.
    fn score(&self, requests: &[ScoreRequest], cancel: &Cancel) -> Result<Vec<Vec<Vec<f32>>>>;

    /// What the residual stream of a text carries after some layers (counted from 0), before any norm: for each of `layers`
    /// the states of all tokens one after another, `[tokens, hidden]`. Differences of such states are what
    /// [`Steering`] adds.
    ///
    /// # Errors
    /// No such layer, cancelled, context full, device; models without layers to look into.
    fn hidden_states(
        &self,
        tokens: &[Token],
        layers: &[usize],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        let _ = (tokens, layers, cancel);
        Err(LlmError::Unsupported("it shows no hidden states".into()))
    }

    /// Generates several texts side by side, streaming: `on_text(request, new_text)` is called as
    /// text appears (whole UTF-8 only). Cancelling ends every row with what it has.
    ///
    /// # Errors
    /// Context full, adapter, device.
    fn generate(
        &self,
        requests: &[GenerateRequest],
        cancel: &Cancel,
        on_text: &mut dyn FnMut(usize, &str),
    ) -> Result<Vec<Generation>>;
}

/// A sentence embedder: texts to unit vectors.
pub trait Embedder: Send + Sync {
    /// Length of a vector.
    fn dimensions(&self) -> usize;

    /// One L2-normalised vector a text, in order; long texts are cut at the model's limit.
    ///
    /// # Errors
    /// Cancelled, tokenizer or device failure.
    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>>;

    /// The tokens of every text in their context, in order; long texts are cut at the model's limit.
    ///
    /// # Errors
    /// Cancelled, tokenizer or device failure; embedders that have no vector a token.
    fn embed_tokens(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<EmbeddedToken>>> {
        let _ = (texts, cancel);
        Err(LlmError::Unsupported("it has no vector a token".into()))
    }
}

/// A token of a text as an [`Embedder`] sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddedToken {
    /// Bytes of the text.
    pub bytes: std::ops::Range<usize>,
    /// L2-normalised, of the embedder's dimensions.
    pub vector: Vec<f32>,
}
