//! The recipe for few texts (DITTO, arXiv 2406.00888): the person's texts are learned until their loss is low, then preferred
//! to what the model itself drafts for the same prompts, now and in earlier rounds.

use idiolect_engine::{LoadedModel, LoraWeights};
use rand::{Rng as _, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    TrainError, checkpoint,
    data::{Example, Row, fingerprint},
    observer::{Control, Ending, Observer, Resumed, Trained, Update},
    run::{Checkpoints, Lessons, Resume, Rounds, Task, run},
    settings::Settings,
    stop::Reading,
};

/// Share of pairs that put a text of the person's above a draft of an earlier round, once there is one.
const REPLAYED: f64 = 0.2;
/// Share that puts a later round's draft above an earlier one's. All others put the person's text above a draft of now.
const BETWEEN_DRAFTS: f64 = 0.1;

/// A round's drafts: for every text, in the texts' order, some drafts for its prompt.
pub type RoundDrafts = Vec<Vec<Row>>;

/// Who drafts, and remembers what was drafted.
pub trait Drafts {
    /// Drafts for every text's prompt under `weights`, at least one each, with the prompt in front. Without weights a resumed
    /// run asks for those that the round had: they have to be kept until the run ends, as its checkpoints hold no text.
    ///
    /// # Errors
    /// [`TrainError::Drafts`], in the caller's words; it ends the run.
    fn draft(
        &mut self,
        round: u32,
        weights: Option<&LoraWeights>,
    ) -> Result<RoundDrafts, TrainError>;
}

/// A run of both parts.
pub struct Ditto<'a> {
    /// The base model.
    pub model: &'a LoadedModel,
    /// The person's texts, each with a prompt.
    pub texts: &'a [Row],
    /// Texts that only measure.
    pub held_out: &'a [Row],
    /// Settings of the first part, whose `stop_below` is the bound.
    pub first: &'a Settings,
    /// Settings of the second, with the same adapter and [`crate::Objective::Dpo`].
    pub second: &'a Settings,
    /// How often drafts are written.
    pub rounds: u32,
    /// Pairs that are learned from each time.
    pub pairs_a_round: usize,
    /// Where both parts set themselves down, each in a folder of its own.
    pub checkpoints: Option<Checkpoints>,
}

/// Trains by the recipe. Both parts are one curve to the observer; the second one's losses are those of pairs.
///
/// # Errors
/// As [`run`]; a text without a draft.
pub fn ditto(
    task: &Ditto<'_>,
    drafts: &mut dyn Drafts,
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    let part = |name: &str| {
        task.checkpoints.clone().map(|c| Checkpoints {
            folder: c.folder.join(name),
            ..c
        })
    };
    if let Some(second) = part("pairs").filter(|c| c.resume == Resume::No) {
        // Before the first part begins: whoever resumes must not find another run's second one.
        checkpoint::forget_after(&second.folder, None)?;
    }
    let examples = |rows: &[Row]| -> Vec<Example> {
        let usable = rows.iter().filter(|row| row.answer_tokens() > 0);
        usable.cloned().map(Example::Text).collect()
    };
    let (texts, held_out) = (examples(task.texts), examples(task.held_out));
    let mut rounds = DittoRounds::new(task, drafts);
    let later = rounds.steps(task.second);
    let first = Task {
        model: task.model,
        lessons: Lessons::Fixed(&texts),
        held_out: &held_out,
        settings: task.first,
        from: None,
        checkpoints: part("texts"),
    };
    let learned = run(first, &mut Part::first(observer, later))?;
    let left_out = task.texts.len() - texts.len();
    let (Ending::Done, Some(from)) = (learned.ending, &learned.weights) else {
        return Ok(Trained {
            left_out,
            ..learned
        });
    };
    let second = Task {
        model: task.model,
        lessons: Lessons::Rounds(&mut rounds),
        held_out: &held_out,
        settings: task.second,
        from: Some(from),
        checkpoints: part("pairs"),
    };
    let trained = run(second, &mut Part::second(observer, learned.steps))?;
    Ok(Trained {
        base_held_out: learned.base_held_out,
        steps: learned.steps + trained.steps,
        left_out,
        ..trained
    })
}

/// The pairs of every round.
struct DittoRounds<'a> {
    texts: Vec<Row>,
    drafts: &'a mut dyn Drafts,
    rounds: u32,
    pairs: usize,
    seed: u64,
    past: Vec<RoundDrafts>,
}

impl<'a> DittoRounds<'a> {
    fn new(task: &Ditto<'_>, drafts: &'a mut dyn Drafts) -> Self {
        Self {
            texts: task.texts.to_vec(),
            drafts,
            rounds: task.rounds,
            pairs: task.pairs_a_round,
            seed: task.second.seed,
            past: Vec::new(),
        }
    }

    fn steps(&self, settings: &Settings) -> u32 {
        let a_step = settings.packing.batch * settings.packing.accumulate;
        self.pairs.div_ceil(a_step.max(1)) as u32 * self.rounds
    }
}

impl Rounds for DittoRounds<'_> {
    fn count(&self) -> u32 {
        self.rounds
    }

    fn examples(&self) -> usize {
        self.pairs
    }

    fn fingerprint(&self) -> String {
        let texts: Vec<Example> = self.texts.iter().cloned().map(Example::Text).collect();
        format!("{} {} {}", fingerprint(&texts), self.rounds, self.pairs)
    }

    fn round(
        &mut self,
        round: u32,
        weights: Option<&LoraWeights>,
    ) -> Result<Vec<Example>, TrainError> {
        for k in self.past.len() as u32..=round {
            let mut drafts = self
                .drafts
                .draft(k, if k == round { weights } else { None })?;
            for of_text in &mut drafts {
                of_text.retain(|row| row.answer_tokens() > 0);
            }
            if drafts.len() != self.texts.len() || drafts.iter().any(Vec::is_empty) {
                return Err(TrainError::Drafts(format!(
                    "round {} has no draft for some of the texts",
                    k + 1
                )));
            }
            self.past.push(drafts);
        }
        let past = &self.past[..=round as usize];
        Ok(pairs(&self.texts, past, self.pairs, self.seed))
    }
}

/// A round's pairs: `past` are the drafts of all rounds up to it. A function of its arguments alone.
fn pairs(texts: &[Row], past: &[RoundDrafts], count: usize, seed: u64) -> Vec<Example> {
    let now = past.len() - 1;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Streams below this are the loop's own shuffles.
    random.set_stream((1 << 32) + now as u64);
    let share = |of: f64| {
        if now == 0 {
            0
        } else {
            (of * count as f64).round() as usize
        }
    };
    let (replayed, between) = (share(REPLAYED), share(BETWEEN_DRAFTS));
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.shuffle(&mut random);
    let draft = |round: usize, text: usize, random: &mut ChaCha8Rng| {
        let drafts = &past[round][text];
        drafts[random.random_range(0..drafts.len())].clone()
    };
    // Every text comes up as often as the others, once more at most.
    let turns = order.iter().copied().cycle().take(count).enumerate();
    turns
        .map(|(i, text)| {
            let (chosen, rejected) = if i < between {
                let later = random.random_range(1..=now);
                let earlier = random.random_range(0..later);
                let chosen = draft(later, text, &mut random);
                (chosen, draft(earlier, text, &mut random))
            } else if i < between + replayed {
                let earlier = random.random_range(0..now);
                (texts[text].clone(), draft(earlier, text, &mut random))
            } else {
                (texts[text].clone(), draft(now, text, &mut random))
            };
            Example::Pair { chosen, rejected }
        })
        .collect()
}

/// One part's steps on the curve of both.
struct Part<'a> {
    observer: &'a mut dyn Observer,
    before: u32,
    after: u32,
    second: bool,
}

impl<'a> Part<'a> {
    fn first(observer: &'a mut dyn Observer, after: u32) -> Self {
        Self {
            observer,
            before: 0,
            after,
            second: false,
        }
    }

    fn second(observer: &'a mut dyn Observer, before: u32) -> Self {
        Self {
            observer,
            before,
            after: 0,
            second: true,
        }
    }
}

impl Observer for Part<'_> {
    fn update(&mut self, mut update: Update) -> Control {
        if self.second && update.point.step == 0 {
            // The first part's last step has said it.
            return Control::Continue;
        }
        update.point.step += self.before;
        update.steps += self.before + self.after;
        self.observer.update(update)
    }

    fn sample(&mut self, step: u32, weights: &LoraWeights) -> Result<Option<Reading>, TrainError> {
        self.observer.sample(step + self.before, weights)
    }

    fn wait(&mut self) -> Control {
        self.observer.wait()
    }

    fn resumed(&mut self, from: &Resumed) {
        self.observer.resumed(&Resumed {
            step: from.step + self.before,
            ..from.clone()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Token 1 begins every text, 100 + round every draft.
    fn row(first: u32, text: u32) -> Row {
        Row {
            tokens: vec![first, text, 7],
            prompt: 1,
        }
    }

    fn past(rounds: u32) -> Vec<RoundDrafts> {
        let round = |r| {
            (0..5)
                .map(|t| vec![row(100 + r, t), row(100 + r, t)])
                .collect()
        };
        (0..rounds).map(round).collect()
    }

    fn counted(rounds: u32) -> [usize; 3] {
        let texts: Vec<Row> = (0..5).map(|t| row(1, t)).collect();
        let now = 100 + rounds - 1;
        let mut counts = [0; 3];
        for example in pairs(&texts, &past(rounds), 40, 3) {
            let Example::Pair { chosen, rejected } = example else {
                panic!("not a pair");
            };
            assert_eq!(chosen.tokens[1], rejected.tokens[1], "of one text");
            match (chosen.tokens[0], rejected.tokens[0]) {
                (1, draft) if draft == now => counts[0] += 1,
                (1, draft) if draft < now => counts[1] += 1,
                (later, earlier) if later > earlier && earlier >= 100 => counts[2] += 1,
                other => panic!("{other:?}"),
            }
        }
        counts
    }

    #[test]
    fn shares_are_the_published_ones_once_there_are_earlier_drafts() {
        assert_eq!(counted(1), [40, 0, 0]);
        assert_eq!(counted(2), [28, 8, 4]);
        assert_eq!(counted(4), [28, 8, 4]);
    }

    #[test]
    fn a_round_repeats_and_differs_from_the_next() {
        let texts: Vec<Row> = (0..5).map(|t| row(1, t)).collect();
        let of = |rounds, seed| pairs(&texts, &past(rounds), 40, seed);
        assert_eq!(of(3, 1), of(3, 1));
        assert_ne!(of(3, 1), of(3, 2));
    }
}
