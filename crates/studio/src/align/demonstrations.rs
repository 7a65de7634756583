//! The recipe for few texts (DITTO, arXiv 2406.00888): they are learned until the loss is low, then preferred to what the
//! model itself drafts for the same briefs, round after round.

use std::{fs, path::PathBuf};

use idiolect_core::{draft::Sampling, training::TrainSettings};
use idiolect_engine::LoraWeights;
use idiolect_llm::{Cancel, GenerateRequest, TextModel};
use idiolect_train::{
    Ditto, Drafts, Example, Objective, RoundDrafts, Row, Schedule, Settings, TrainError, Trained,
    ditto, steps_of,
};

use super::{follow::Follower, lessons::Lessons};
use crate::{Inner, models::Writer};

/// Mean loss of an epoch, nats a token, below which the texts are learned; the recipe's.
pub(super) const LEARNED: f64 = 1.0;
/// Rounds of drafts; with the steps of each, the recipe's forty steps.
const ROUNDS: u32 = 4;
const STEPS_A_ROUND: usize = 10;
/// The recipe's learning rates, 3e-5 for texts and 1e-6 for pairs, are this far apart.
const GENTLER: f64 = 30.0;
/// Prompts that are drafted for together.
const TOGETHER: usize = 8;

/// Settings of the second part from those of the first and the person's.
fn second(first: &Settings, settings: &TrainSettings) -> Settings {
    Settings {
        objective: Objective::Dpo {
            beta: settings.beta,
            smoothing: settings.label_smoothing,
            length_normalised: settings.length_normalised,
        },
        schedule: Schedule {
            peak: first.schedule.peak / GENTLER,
            ..first.schedule
        },
        stop_below: None,
        ..first.clone()
    }
}

fn pairs_a_round(settings: &Settings) -> usize {
    STEPS_A_ROUND * settings.packing.batch * settings.packing.accumulate
}

/// Steps of both parts, if the texts take all of theirs.
pub(super) fn steps(train: &[Example], first: &Settings) -> u32 {
    steps_of(train, first) + ROUNDS * STEPS_A_ROUND as u32
}

/// Tokens that go through the model beside the epochs of texts: pairs of a text and a draft as long, each drafted before.
pub(super) fn tokens_beside(train: &[Example], first: &Settings) -> u64 {
    let all: usize = train.iter().map(Example::tokens).sum();
    let mean = all / train.len().max(1);
    (ROUNDS as usize * (2 * mean * pairs_a_round(first) + all)) as u64
}

/// Trains by the recipe.
pub(super) fn train(
    studio: &Inner,
    writer: &Writer,
    lessons: &Lessons,
    first: &Settings,
    checkpoints: idiolect_train::Checkpoints,
    follower: &mut Follower<'_, '_>,
) -> Result<Trained, TrainError> {
    let rows = |examples: &[Example]| -> Vec<Row> {
        let texts = examples.iter().filter_map(|example| match example {
            Example::Text(row) => Some(row.clone()),
            _ => None,
        });
        texts.collect()
    };
    let (texts, held_out) = (rows(&lessons.train), rows(&lessons.held_out));
    let second = second(first, &follower.run.settings);
    let mut drafts = OwnDrafts {
        studio,
        writer,
        texts: &texts,
        longest: follower.run.settings.max_length as usize,
        seed: first.seed,
        folder: checkpoints.folder.join("drafts"),
        cancel: follower.cancel(),
    };
    let task = Ditto {
        model: &writer.model,
        texts: &texts,
        held_out: &held_out,
        first,
        second: &second,
        rounds: ROUNDS,
        pairs_a_round: pairs_a_round(first),
        checkpoints: Some(checkpoints),
    };
    ditto(&task, &mut drafts, follower)
}

/// The model's own answers to the briefs of the texts, kept beside the run's checkpoints until it ends.
struct OwnDrafts<'a> {
    studio: &'a Inner,
    writer: &'a Writer,
    texts: &'a [Row],
    longest: usize,
    seed: u64,
    folder: PathBuf,
    cancel: Cancel,
}

impl Drafts for OwnDrafts<'_> {
    fn draft(
        &mut self,
        round: u32,
        weights: Option<&LoraWeights>,
    ) -> Result<RoundDrafts, TrainError> {
        let file = self.folder.join(format!("{round}.json"));
        let Some(weights) = weights else {
            return Ok(a_draft_each(
                serde_json::from_slice(&fs::read(&file)?).map_err(std::io::Error::from)?,
            ));
        };
        let drafts = self.write(round, weights)?;
        // Before a checkpoint can name this round.
        fs::create_dir_all(&self.folder)?;
        let part = file.with_extension("part");
        fs::write(
            &part,
            serde_json::to_vec(&drafts).map_err(std::io::Error::from)?,
        )?;
        fs::rename(&part, &file)?;
        Ok(a_draft_each(drafts))
    }
}

impl OwnDrafts<'_> {
    fn write(&self, round: u32, weights: &LoraWeights) -> Result<Vec<Row>, TrainError> {
        let model = &self.writer.model;
        let lent = model.lend(weights)?;
        let mut drafts = Vec::new();
        for (batch, texts) in self.texts.chunks(TOGETHER).enumerate() {
            let requests: Vec<GenerateRequest> = texts
                .iter()
                .enumerate()
                .map(|(number, text)| GenerateRequest {
                    prompt: text.tokens[..text.prompt].to_vec(),
                    sampling: Sampling {
                        // As long as the text: whichever is longer would be preferred for that.
                        max_tokens: text.answer_tokens() as u32,
                        seed: self.seed
                            + u64::from(round) * self.texts.len() as u64
                            + (batch * TOGETHER + number) as u64,
                        ..Sampling::default()
                    },
                    adapters: vec![lent.source()],
                    ..GenerateRequest::default()
                })
                .collect();
            let _turn = crate::lock(&self.studio.jobs.model_turn);
            let generations = model.generate(&requests, &self.cancel, &mut |_, _| {})?;
            for (text, generation) in texts.iter().zip(generations) {
                let prompt = &text.tokens[..text.prompt];
                let answer = model.encode(&generation.text)?;
                let fitted = Row::fitted(prompt, &answer, model.end_of_turn(), self.longest);
                // Nothing at all was written: the end of the turn is the draft.
                drafts.push(fitted.map_or_else(
                    || Row {
                        tokens: [prompt, &[model.end_of_turn()]].concat(),
                        prompt: prompt.len(),
                    },
                    |(row, _)| row,
                ));
            }
        }
        Ok(drafts)
    }
}

fn a_draft_each(drafts: Vec<Row>) -> RoundDrafts {
    drafts.into_iter().map(|row| vec![row]).collect()
}
