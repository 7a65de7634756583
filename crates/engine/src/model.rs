//! A loaded model: decoder, tokenizer, template and threads, behind the model trait.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use idiolect_kernels::{Level, Precision, Team};
use idiolect_llm::{
    AdapterSource, Cancel, Constraint, DeviceChoice, DeviceKind, DeviceWish, GenerateRequest,
    Generation, LlmError, Message, ModelInfo, Result, ScoreRequest, TextModel, Token,
    template::{Template, Turn},
};

use crate::{
    adapters::Adapters,
    config::Config,
    decoder::Decoder,
    device::{self, Chosen},
    estimate::Estimate,
    gguf::Gguf,
    grammar::{Form, Grammars},
    lora::Adapter,
    prefixes::PrefixRequest,
    tokenizer::Tokenizer,
    values::failed,
};

/// Scores must agree with other engines and be comparable with each other: activations stay f32.
pub const SCORE_PRECISION: Precision = Precision::F32;

/// Prompts are multiplied many rows at a time: in bfloat16 where a matrix unit does that, elsewhere in f32 tiles, which are
/// then the fastest kernels there are (twice the rounded ones with AVX-512, about as fast with AVX2).
pub const PROMPT_PRECISION: Precision = Precision::Bf16;

/// A drawn token is run alone, where reading the weights is what takes time: activations are rounded to bytes block by
/// block, which moves log-probabilities by some hundredths of a nat. That a text is drafted beside others never changes
/// it, since which of the two applies depends on whether a token was given or drawn and on nothing else.
pub const GENERATE_PRECISION: Precision = Precision::Int8;

/// How to load a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Where to compute.
    pub device: DeviceWish,
    /// Threads of the processor; all physical cores when absent.
    pub threads: Option<usize>,
}

/// What a model file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// GGUF architecture.
    pub architecture: String,
    /// Parameters.
    pub parameters: u64,
    /// Quantization types by bytes, in words.
    pub quantization: String,
}

/// Opens models.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Loads the GGUF file at `path`; `id` is its name in the catalog.
    ///
    /// # Errors
    /// [`LlmError::Io`], [`LlmError::Corrupt`] or [`LlmError::Unsupported`], each saying what and why.
    pub fn load(path: &Path, id: &str, device: DeviceWish) -> Result<LoadedModel> {
        Self::load_with(
            path,
            id,
            &LoadOptions {
                device,
                threads: None,
            },
        )
    }

    /// As [`Engine::load`], with every option.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_with(path: &Path, id: &str, options: &LoadOptions) -> Result<LoadedModel> {
        Self::open(path)?.load(id, options)
    }

    /// Opens the file at `path` and reads its header, once for all that is asked of it.
    ///
    /// # Errors
    /// As [`Engine::load`], for what the header says.
    pub fn open(path: &Path) -> Result<Opened> {
        Ok(Opened {
            gguf: Gguf::open(path)?,
            path: path.to_owned(),
        })
    }

    /// Loads a model for the processor with instructions of one level, whatever `IDIOLECT_CPU` says: what comparisons of
    /// levels and tests of each use.
    ///
    /// # Errors
    /// As [`Engine::load`]; [`LlmError::Unsupported`] where the processor lacks the level.
    pub fn load_at_level(path: &Path, id: &str, level: Level) -> Result<LoadedModel> {
        if !level.is_available() {
            return Err(LlmError::Unsupported(format!(
                "this processor has no {}",
                level.name()
            )));
        }
        let gguf = Gguf::open(path)?;
        let mut chosen = device::choose(&device::Machine, DeviceWish::Cpu, None, None)?;
        chosen.level = level;
        chosen.choice.label = format!("CPU ({})", level.name().to_uppercase());
        LoadedModel::new(&gguf, id, chosen)
    }

    /// Facts of the model at `path` from its header alone, for an import: nothing is computed.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn inspect(path: &Path) -> Result<Facts> {
        let gguf = Gguf::open(path)?;
        let config = Config::from_gguf(&gguf)?;
        Ok(Facts {
            name: gguf
                .text("general.name")?
                .map(str::to_owned)
                .or_else(|| path.file_stem().map(|s| s.to_string_lossy().into_owned()))
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect(),
            architecture: config.architecture.name.to_owned(),
            parameters: gguf.tensors().values().map(|t| t.values() as u64).sum(),
            quantization: quantization(&gguf),
        })
    }

    /// What the model at `path` will need, from its header alone.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn estimate(path: &Path) -> Result<Estimate> {
        Self::open(path)?.estimate()
    }
}

/// A file whose header was read and whose weights were not.
#[derive(Debug)]
pub struct Opened {
    gguf: Gguf,
    path: PathBuf,
}

impl Opened {
    /// What the model will need.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn estimate(&self) -> Result<Estimate> {
        Ok(Estimate::new(&Config::from_gguf(&self.gguf)?, &self.gguf))
    }

    /// Loads the model; `id` is its name in the catalog.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load(self, id: &str, options: &LoadOptions) -> Result<LoadedModel> {
        // The same sum as before a load into main memory, for a prompt of ordinary length.
        let needed = self
            .estimate()
            .map(|estimate| estimate.generation(estimate.context().min(4096)))
            .ok();
        let chosen = device::choose(&device::Machine, options.device, options.threads, needed)?;
        let on = chosen.choice.clone();
        let mut model = device::or_on_the_processor(
            &on,
            || LoadedModel::new(&self.gguf, id, chosen),
            |why| LoadedModel::new(&self.gguf, id, device::cpu(options.threads, why)?),
        )?;
        if model.info.device.kind != DeviceKind::Cpu {
            model.spare = Some(Spare {
                path: self.path,
                threads: options.threads,
                model: OnceLock::new(),
            });
        }
        Ok(model)
    }
}

/// A model in memory. Shared between threads; each call has caches of its own.
#[derive(Debug)]
pub struct LoadedModel {
    info: ModelInfo,
    decoder: Decoder,
    tokenizer: Tokenizer,
    template: Option<Result<Template>>,
    pub(crate) adapters: Adapters,
    grammars: Grammars,
    threads: rayon::ThreadPool,
    team: Team,
    /// None on the processor.
    spare: Option<Spare>,
}

/// The same model on the processor, loaded once a graphics processor runs out of memory in the middle of its work.
#[derive(Debug)]
struct Spare {
    path: PathBuf,
    threads: Option<usize>,
    model: OnceLock<Box<LoadedModel>>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({:?})", self.names())
    }
}

impl LoadedModel {
    fn new(gguf: &Gguf, id: &str, chosen: Chosen) -> Result<Self> {
        let rows = Config::from_gguf(gguf)?.vocabulary;
        // A large vocabulary takes as long as laying the weights out anew, and one thread.
        let (decoder, tokenizer) = std::thread::scope(|scope| {
            let tokenizer = std::thread::Builder::new()
                .name("tokenizer".to_owned())
                .spawn_scoped(scope, || Tokenizer::from_gguf(gguf, rows))
                .map_err(|e| LlmError::Failed(format!("threads could not be started: {e}")))?;
            let decoder = Decoder::from_gguf(gguf, &chosen.device, chosen.level);
            let tokenizer = tokenizer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, LlmError>((decoder?, tokenizer?))
        })?;
        let config = decoder.config();
        let names = tokenizer.names();
        let template = gguf
            .text("tokenizer.chat_template")?
            .map(|source| Template::new(source, &names.bos, &names.eos));
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(chosen.threads)
            .thread_name(|i| format!("model-{i}"))
            .build()
            .map_err(|e| LlmError::Failed(format!("threads could not be started: {e}")))?;
        let team = Team::new(chosen.threads)
            .map_err(|e| LlmError::Failed(format!("threads could not be started: {e}")))?;
        let info = ModelInfo {
            id: id.to_owned(),
            name: gguf
                .text("general.name")?
                .unwrap_or(id)
                .chars()
                .take(200)
                .collect(),
            architecture: config.architecture.name.to_owned(),
            parameters: gguf.tensors().values().map(|t| t.values() as u64).sum(),
            file_bytes: gguf.file_bytes() as u64,
            context: config.context,
            vocabulary: config.vocabulary,
            layers: config.layers,
            hidden: config.hidden,
            quantization: quantization(gguf),
            has_template: template.is_some(),
            adds_bos: tokenizer.bos().is_some(),
            device: chosen.choice,
        };
        Ok(Self {
            info,
            decoder,
            tokenizer,
            template,
            adapters: Adapters::default(),
            grammars: Grammars::default(),
            threads,
            team,
            spare: None,
        })
    }

    /// Where it computes now: on the processor, with the reason, once a graphics processor ran out of memory.
    pub fn computes_on(&self) -> &DeviceChoice {
        self.on_the_processor()
            .map_or(&self.info.device, |spare| &spare.info.device)
    }

    fn on_the_processor(&self) -> Option<&LoadedModel> {
        Some(self.spare.as_ref()?.model.get()?)
    }

    /// Goes over to the processor, for the reason given, and stays there.
    fn leave_gpu(&self, why: String) -> Result<&LoadedModel> {
        let Some(spare) = &self.spare else {
            return Err(LlmError::OutOfMemory(why));
        };
        let gguf = Gguf::open(&spare.path)?;
        let model = LoadedModel::new(&gguf, &self.info.id, device::cpu(spare.threads, why)?)?;
        Ok(spare.model.get_or_init(|| Box::new(model)))
    }

    /// The decoder, for training and for hidden states.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        self.decoder.config()
    }

    /// Runs `work`, a training step, on the model's own threads: everything that calls the decoder directly should, since
    /// starting on another thread pool costs a hand-over at every operation.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.threads.install(work)
    }

    /// Runs `work`, which reads or writes texts, with the model's threads awake: operations of some microseconds are shared
    /// among them, which [`LoadedModel::install`]'s threads are too slow to wake for.
    pub fn with_team<R>(&self, work: impl FnOnce() -> R) -> R {
        self.team.install(work)
    }

    /// The adapters of a request, from memory where they were used before; those at scale 0 are left out.
    ///
    /// # Errors
    /// [`LlmError::Adapter`], [`LlmError::Io`].
    pub fn adapters(&self, sources: &[AdapterSource]) -> Result<Vec<(Adapter, f32)>> {
        if let Some(s) = sources.iter().find(|s| !s.scale.is_finite()) {
            return Err(LlmError::Adapter(format!("its scale is {}", s.scale)));
        }
        let on = sources.iter().filter(|s| s.scale != 0.0);
        on.map(|s| {
            let device = self.decoder.device();
            Ok((self.adapters.get(&s.dir, self.config(), device)?, s.scale))
        })
        .collect()
    }

    /// Forgets an adapter that is not to stay where it was read.
    pub(crate) fn forget_adapter(&self, path: &Path) {
        self.adapters.forget(path);
    }

    /// The same model from another file, on the processor, with the same instructions where this one is there too.
    pub(crate) fn beside(&self, path: &Path) -> Result<LoadedModel> {
        let mut chosen = device::cpu(
            Some(self.threads.current_num_threads()),
            "To look at a file that was just written.".into(),
        )?;
        if self.decoder.device().is_cpu() {
            chosen.level = self.decoder.level();
        }
        LoadedModel::new(&Gguf::open(path)?, &self.info.id, chosen)
    }

    /// A form that a text is held to, at its beginning.
    pub(crate) fn form(&self, wanted: &Constraint) -> Result<Form> {
        self.grammars.form(&self.tokenizer, wanted)
    }

    pub(crate) fn context_full(&self, needed: usize) -> Result<()> {
        let context = self.info.context;
        if needed > context {
            Err(LlmError::ContextFull { needed, context })
        } else {
            Ok(())
        }
    }

    pub(crate) fn known_tokens(&self, tokens: &[Token]) -> Result<()> {
        match tokens.iter().find(|&&t| t as usize >= self.info.vocabulary) {
            Some(t) => Err(LlmError::Failed(format!(
                "token {t} is beyond the vocabulary"
            ))),
            None => Ok(()),
        }
    }
}

impl TextModel for LoadedModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn encode(&self, text: &str) -> Result<Vec<Token>> {
        self.tokenizer.encode(text)
    }

    fn encode_prompt(&self, prompt: &str) -> Result<Vec<Token>> {
        self.tokenizer.encode_prompt(prompt)
    }

    fn decode(&self, tokens: &[Token]) -> String {
        self.tokenizer.decode(tokens)
    }

    fn bos(&self) -> Option<Token> {
        self.tokenizer.bos()
    }

    fn end_of_turn(&self) -> Token {
        self.tokenizer.end_of_turn()
    }

    fn render(&self, messages: &[Message]) -> Result<String> {
        match &self.template {
            None => Err(LlmError::NoTemplate),
            Some(Ok(template)) => {
                let messages: Vec<Message> = messages
                    .iter()
                    .map(|m| Message::new(m.role, self.tokenizer.guarded(&m.content)))
                    .collect();
                template.render(&messages, Turn::Assistant)
            }
            Some(Err(error)) => Err(LlmError::Template(match error {
                LlmError::Template(why) => why.clone(),
                other => other.to_string(),
            })),
        }
    }

    fn score(&self, requests: &[ScoreRequest], cancel: &Cancel) -> Result<Vec<Vec<Vec<f32>>>> {
        if let Some(spare) = self.on_the_processor() {
            return spare.score(requests, cancel);
        }
        device::or_on_the_processor(
            &self.info.device,
            || self.with_team(|| self.score_at(requests, SCORE_PRECISION, cancel)),
            |why| self.leave_gpu(why)?.score(requests, cancel),
        )
    }

    fn hidden_states(
        &self,
        tokens: &[Token],
        layers: &[usize],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        let prefix = PrefixRequest {
            tokens,
            ..PrefixRequest::default()
        };
        self.hidden_states_of(&prefix, layers, cancel)
    }

    fn generate(
        &self,
        requests: &[GenerateRequest],
        cancel: &Cancel,
        on_text: &mut dyn FnMut(usize, &str),
    ) -> Result<Vec<Generation>> {
        if let Some(spare) = self.on_the_processor() {
            return spare.generate(requests, cancel, on_text);
        }
        let mut told = false;
        let done = self.generate_all(requests, cancel, &mut |row, text| {
            told = true;
            on_text(row, text);
        });
        device::or_on_the_processor(
            &self.info.device,
            || done,
            |why| {
                let spare = self.leave_gpu(why.clone())?;
                if told {
                    // What was shown cannot be taken back, and would not go on the same way.
                    let hint = "the next try computes on the processor";
                    return Err(LlmError::OutOfMemory(format!("{why} {hint}")));
                }
                spare.generate(requests, cancel, on_text)
            },
        )
    }
}

impl LoadedModel {
    /// As `generate`'s step, without gradients: packed forward and logits of the last rows.
    pub(crate) fn step(
        &self,
        sequences: &mut [crate::decoder::Sequence<'_>],
        precision: Precision,
    ) -> Result<candle_core::Tensor> {
        let hidden = self
            .decoder
            .forward(sequences, precision, None)
            .map_err(failed)?;
        // One row a text, whether its token was given or drawn.
        self.decoder
            .logits(&hidden, GENERATE_PRECISION)
            .map_err(failed)
    }
}

/// Storage types by bytes, largest first: "Q4_1 66.4 MB, Q8_0 30.1 MB".
pub(crate) fn quantization(gguf: &Gguf) -> String {
    let mut bytes: BTreeMap<&str, usize> = BTreeMap::new();
    for tensor in gguf.tensors().values() {
        *bytes.entry(tensor.ty.name()).or_default() += tensor.bytes;
    }
    let mut bytes: Vec<_> = bytes.into_iter().collect();
    bytes.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    let parts: Vec<_> = bytes
        .iter()
        .map(|(name, n)| format!("{name} {:.1} MB", *n as f64 / 1e6))
        .collect();
    parts.join(", ")
}
