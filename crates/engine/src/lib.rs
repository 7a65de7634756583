//! The inference engine: a GGUF file becomes a decoder that scores, generates and trains adapters, on the processor or a GPU.
//!
//! One decoder serves inference and training. The numeric kernels are `idiolect-kernels`, the tensors candle's. What does not
//! live here: losses over preferences and the training loop (`train`), prompts (`persona`), downloads (`studio`).
#![forbid(unsafe_code)]

mod adapters;
mod architecture;
mod config;
mod decoder;
mod device;
mod doctor;
mod embed;
mod estimate;
mod exports;
mod generate;
mod gguf;
mod grammar;
mod hidden;
mod host;
mod kv;
mod linear;
mod load;
mod lora;
mod loss;
mod measure;
mod model;
mod ops;
mod prefixes;
mod score;
mod stream;
mod tokenizer;
mod train;
mod values;

pub use adapters::Lent;
pub use architecture::{ARCHITECTURES, Architecture, Windows};
pub use config::{Config, LayerKind, Rope};
pub use decoder::{Branch, Decoder, Hook, Sequence, Wanted};
pub use device::{choose_device, default_threads};
pub use doctor::{Check, Examination, Verdict, examine, try_out};
pub use embed::MiniLm;
pub use estimate::{Estimate, Parts, TrainingShape};
pub use exports::{EXPORT_TOLERANCE, Export, Exported};
pub use gguf::{Gguf, TensorInfo};
pub use idiolect_kernels::{Level, Precision};
pub use kv::KvCache;
pub use lora::{Adapter, CONFIG_FILE, Factors, LoraConfig, LoraWeights, Target, WEIGHTS_FILE};
pub use measure::Timing;
pub use model::{
    Engine, Facts, GENERATE_PRECISION, LoadOptions, LoadedModel, Opened, PROMPT_PRECISION,
    SCORE_PRECISION,
};
pub use prefixes::{Prefix, PrefixRequest};
pub use tokenizer::Tokenizer;
pub use train::{Dropout, Gradients, Texts, Trace, TrainOptions};
