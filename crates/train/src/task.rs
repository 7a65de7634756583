//! A run before it starts: what it learns from, from where, and where it sets itself down.

use std::{path::PathBuf, time::Duration};

use idiolect_engine::{LoadedModel, LoraWeights};
use idiolect_llm::{DeviceKind, TextModel};
use sha2::{Digest, Sha256};

use crate::{
    TrainError,
    data::{Example, fingerprint, hex, steps, usable},
    settings::Settings,
};

/// What a run learns from.
pub enum Lessons<'a> {
    /// The same examples in every epoch.
    Fixed(&'a [Example]),
    /// Others in every round.
    Rounds(&'a mut dyn Rounds),
}

/// Examples that depend on how far the run has come, such as pairs with the model's own drafts.
pub trait Rounds {
    /// Rounds in all.
    fn count(&self) -> u32;

    /// Examples of every round, which must be as many as [`Rounds::round`] gives.
    fn examples(&self) -> usize;

    /// SHA-256 of what the rounds are made from.
    fn fingerprint(&self) -> String;

    /// The examples of a round, under the weights with which it begins. A resumed run has no such weights any more: it asks
    /// without, and must get the very examples that this round had.
    ///
    /// # Errors
    /// The source's; they end the run.
    fn round(
        &mut self,
        round: u32,
        weights: Option<&LoraWeights>,
    ) -> Result<Vec<Example>, TrainError>;
}

/// Where and how often a run sets itself down.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoints {
    /// A folder of the run's own.
    pub folder: PathBuf,
    /// SHA-256 of the base model's file.
    pub model: String,
    /// Time between checkpoints; measurements, pauses and the end have one of their own. Never has any effect on numbers.
    pub every: Duration,
    /// Whether to go on from what lies there.
    pub resume: Resume,
}

/// Whether a run goes on from a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Start anew and remove what lies there.
    No,
    /// Go on, or start where there is none; refuse where the curve would not be the one it would have had.
    Exact,
    /// Go on on another device, instruction level or version too.
    Anyway,
}

/// A run before it starts.
pub struct Task<'a> {
    /// The base model.
    pub model: &'a LoadedModel,
    /// What is learned.
    pub lessons: Lessons<'a>,
    /// What only measures: examples of the same kind, or texts.
    pub held_out: &'a [Example],
    /// How.
    pub settings: &'a Settings,
    /// The adapter it starts from, which is then the reference too; a fresh one and the bare model when absent.
    pub from: Option<&'a LoraWeights>,
    /// None: a killed run is lost.
    pub checkpoints: Option<Checkpoints>,
}

/// How many steps a run over fixed examples takes.
pub fn steps_of(examples: &[Example], settings: &Settings) -> u32 {
    let lengths: Vec<usize> = examples
        .iter()
        .filter(|e| e.is_usable())
        .map(Example::tokens)
        .collect();
    (0..settings.epochs)
        .map(|epoch| steps(&lengths, settings.packing, settings.seed, epoch).len() as u32)
        .sum()
}

/// A fingerprint of what is learned from, how many examples are left out, and how many steps it takes.
pub(crate) fn survey(
    lessons: &Lessons<'_>,
    settings: &Settings,
) -> Result<(String, usize, u32), TrainError> {
    match lessons {
        Lessons::Fixed(examples) => {
            let (usable, left_out) = usable(examples)?;
            if !usable.iter().all(|e| settings.objective.learns_from(e)) {
                return Err(wrong_kind(settings));
            }
            Ok((fingerprint(usable), left_out, steps_of(examples, settings)))
        }
        Lessons::Rounds(rounds) => {
            // By number alone: how long drafts will be is not known before they are written.
            if settings.packing.tokens.is_some() {
                return Err(TrainError::Settings(
                    "rounds of drafts are packed by number, not by tokens".to_owned(),
                ));
            }
            let batch = settings.packing.batch;
            let passes = rounds.examples().div_ceil(batch);
            let steps = passes.div_ceil(settings.packing.accumulate) as u32 * rounds.count();
            if steps == 0 {
                return Err(TrainError::NoData);
            }
            Ok((rounds.fingerprint(), 0, steps))
        }
    }
}

/// The weights a run begins with, and the sum of those it was given.
pub(crate) fn beginning(
    model: &LoadedModel,
    settings: &Settings,
    from: Option<&LoraWeights>,
) -> Result<(LoraWeights, String), TrainError> {
    let decoder = model.decoder();
    let (config, device) = (decoder.config(), decoder.device());
    let lora = LoraWeights::new(&settings.lora, config, device, settings.seed)?;
    let Some(from) = from else {
        return Ok((lora, String::new()));
    };
    let shape = |lora: &LoraWeights| -> Vec<(String, Vec<usize>)> {
        let vars = lora.vars().into_iter();
        vars.map(|(name, var)| (name, var.dims().to_vec()))
            .collect()
    };
    if shape(from) != shape(&lora) || from.config().scale() != settings.lora.scale() {
        return Err(TrainError::Settings(
            "the adapter to start from has another rank, alpha or other linears than these settings"
                .to_owned(),
        ));
    }
    let numbers = from.parameters()?;
    lora.set_parameters(&numbers)?;
    let mut sum = Sha256::new();
    for number in numbers {
        sum.update(number.to_le_bytes());
    }
    Ok((lora, hex(&sum.finalize())))
}

pub(crate) fn wrong_kind(settings: &Settings) -> TrainError {
    TrainError::Settings(format!(
        "{} cannot learn from examples of this kind",
        settings.objective.name()
    ))
}

/// Device and instruction level; the number of threads has no effect on any number.
pub(crate) fn device_of(model: &LoadedModel) -> String {
    let device = &model.info().device;
    match device.kind {
        DeviceKind::Cpu => format!("the processor with {}", model.decoder().level().name()),
        _ => device.label.clone(),
    }
}
