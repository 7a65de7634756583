//! What training on a person's texts is worth: bits per token of texts that chose nothing, under the bare model, with own
//! excerpts in the prompt, with the adapter trained on the person's other texts, and with another person's.
//!
//! A person gets what the studio gives by default (its settings, early stop within the training side, the best kept). All
//! four conditions see the same counted briefs.

use std::collections::BTreeMap;

use idiolect_core::{
    UserError, eval::EvalReport, ids::SampleId, profile::Intent, training::TrainSettings,
};
use idiolect_engine::LoadedModel;
use idiolect_llm::{AdapterSource, Message, TextModel};
use idiolect_persona::{
    Passage,
    briefs::Briefs,
    likelihood::of_answer,
    prompts::{self, Material, Task},
};
use idiolect_train::{Control, Ending, Example, Lessons, Row, Update};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    Subject,
    adapter_texts::{self, Text},
    data::Folder,
    rows::RowCache,
    statistics::{interval_of_mean, mean},
};
use crate::{
    align::train_settings,
    api::EvalRequest,
    context::{Ctx, Pace, cancelled},
    errors::{Told, from_io, usage},
};

/// Held-out passages an author at most, where the request names no number.
const PASSAGES: u32 = 12;
/// Longest row: passages of 120 words with much code in them too.
const MAX_LENGTH: u32 = 384;
/// Share of the training side that only says when to stop.
const EARLY_STOP: f64 = 0.15;
/// Tokens that a prompt with excerpts leaves for the answer.
const ANSWER_TOKENS: usize = 384;

/// The conditions in the order of a row's sums.
const CONDITIONS: [&str; 4] = ["base", "excerpts", "own", "wrong_author"];
const OWN: usize = 2;
const WRONG: usize = 3;

/// The texts of a run.
pub(super) struct Plan {
    corpus: String,
    texts: adapter_texts::Texts,
    sha256: String,
}

pub(super) fn plan(folder: &Folder, request: &EvalRequest) -> Result<Plan, UserError> {
    let passages = request.texts.unwrap_or(PASSAGES);
    if passages < 2 {
        return Err(usage(
            "--texts must be at least 2: it counts the held-out passages of an author.",
            format!("Leave it away for {PASSAGES}."),
        ));
    }
    let corpus = request.corpus.clone().unwrap_or("cmcc21".to_owned());
    let (authors, sha256) = folder.corpus(&corpus)?;
    let texts = adapter_texts::of(
        &corpus,
        authors,
        request.limit,
        passages as usize,
        request.seed,
    )?;
    Ok(Plan {
        corpus,
        texts,
        sha256,
    })
}

/// An author's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Measured {
    /// For each held-out text: bits under each condition, and tokens.
    texts: Vec<([f64; 4], usize)>,
    /// Steps that were trained, and the step whose weights were kept is among them.
    steps: u32,
}

impl Measured {
    fn bits_per_token(&self, condition: usize) -> f64 {
        let tokens: usize = self.texts.iter().map(|(_, n)| n).sum();
        self.texts
            .iter()
            .map(|(bits, _)| bits[condition])
            .sum::<f64>()
            / tokens.max(1) as f64
    }
}

pub(super) fn run(
    ctx: &mut Ctx,
    plan: &Plan,
    model: &LoadedModel,
    subject: Subject<'_>,
    request: &EvalRequest,
) -> Result<EvalReport, UserError> {
    let rows = RowCache::open(ctx, subject.sha256, None, &plan.sha256, request)?;
    let folder =
        tempfile::tempdir().map_err(|e| from_io("Making a folder for the trained voices", &e))?;
    let authors = &plan.texts.authors;
    ctx.stage(
        "adapter",
        format!(
            "{} authors of {}, a training of about {} words for each",
            authors.len(),
            plan.corpus,
            adapter_texts::WORDS
        ),
    );
    let mut bench = Bench {
        plan,
        model,
        subject,
        folder: folder.path(),
        seed: request.seed,
        voices: BTreeMap::new(),
        pace: Pace::new(2 * authors.len() as u64, "trainings and measurements"),
        done: 0,
    };
    let wrong = wrong_authors(authors.len(), request.seed);
    let mut measured: Vec<Option<Measured>> = vec![None; authors.len()];
    // Along the cycle, so that of what was cut short little has to be trained again.
    let mut next = 0;
    for _ in 0..authors.len() {
        let author = next;
        next = wrong[author];
        measured[author] = Some(match rows.get::<Measured>(&authors[author].name) {
            Some(known) => {
                bench.step(ctx, 2, "Known from a run before");
                known
            }
            None => {
                let found = bench.measure(ctx, author, wrong[author])?;
                rows.put(ctx, &authors[author].name, &found);
                found
            }
        });
    }
    let measured: Vec<Measured> = measured.into_iter().flatten().collect();
    Ok(report(plan, &measured, &wrong, subject, request.seed))
}

/// Who stands in for whom: one seeded cycle over all authors, so nobody stands in for themselves. Their adapters are of a
/// size, as every author trains on about as many words.
fn wrong_authors(authors: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..authors).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed ^ 0x77_72_6f_6e_67));
    let mut wrong = vec![0; authors];
    for (i, author) in order.iter().enumerate() {
        wrong[*author] = order[(i + 1) % authors];
    }
    wrong
}

/// A run at work.
struct Bench<'a> {
    plan: &'a Plan,
    model: &'a LoadedModel,
    subject: Subject<'a>,
    folder: &'a std::path::Path,
    seed: u64,
    /// Trained so far, with their steps.
    voices: BTreeMap<usize, (AdapterSource, u32)>,
    pace: Pace,
    done: u64,
}

impl Bench<'_> {
    fn step(&mut self, ctx: &mut Ctx, units: u64, message: &str) {
        self.done += units;
        ctx.emit(self.pace.at(self.done, message));
    }

    fn measure(
        &mut self,
        ctx: &mut Ctx,
        author: usize,
        wrong: usize,
    ) -> Result<Measured, UserError> {
        let (own, steps) = self.voice(ctx, author)?;
        let (other, _) = self.voice(ctx, wrong)?;
        let plan = self.plan;
        let who = &plan.texts.authors[author];
        let quotes = passages(&who.train);
        let samples: Vec<Passage> = quotes
            .iter()
            .map(|(id, text)| Passage { id, text })
            .collect();
        let material = Material {
            samples: &samples,
            ..Material::default()
        };
        let held_out: Vec<&str> = who
            .held_out
            .iter()
            .flat_map(|t| t.passages.iter().map(String::as_str))
            .collect();
        let briefs = Briefs::new(&held_out);
        let mut texts = Vec::new();
        for text in &who.held_out {
            let (mut bits, mut tokens) = ([0.0; 4], 0);
            for passage in &text.passages {
                ctx.check()?;
                let brief = briefs.of(passage, text.subject.as_deref());
                let bare = prompts::bare(&brief, None);
                let quoted = self.quoted(&brief, &material)?;
                let conditions = [
                    (&bare, None),
                    (&quoted, None),
                    (&bare, Some(&own)),
                    (&bare, Some(&other)),
                ];
                for (sum, (prompt, adapter)) in bits.iter_mut().zip(conditions) {
                    let (nats, n) =
                        of_answer(self.subject.model, prompt, passage, adapter, ctx.cancel())
                            .told()?;
                    *sum -= nats / std::f64::consts::LN_2;
                    tokens += n;
                }
            }
            texts.push((bits, tokens / CONDITIONS.len()));
        }
        self.step(ctx, 1, &format!("Measured {}", who.name));
        let found = Measured { texts, steps };
        ctx.stage("author", line(&who.name, &found));
        Ok(found)
    }

    fn quoted(&self, brief: &str, material: &Material<'_>) -> Result<Vec<Message>, UserError> {
        let method = "excerpts"
            .parse()
            .map_err(|_| usage("There is no method “excerpts”.", "Please report this."))?;
        let task = Task {
            intent: Intent::AsMe,
            method: &method,
            brief,
            words: None,
        };
        let prompt = prompts::build(&task, material, self.subject.model, ANSWER_TOKENS);
        Ok(prompt.told()?.messages)
    }

    /// An author's adapter, trained when it is first asked for.
    fn voice(&mut self, ctx: &mut Ctx, author: usize) -> Result<(AdapterSource, u32), UserError> {
        if let Some(known) = self.voices.get(&author) {
            return Ok(known.clone());
        }
        let plan = self.plan;
        let who = &plan.texts.authors[author];
        let (train, stop) = lessons(self.model, &who.train)?;
        let (train, stop) = (Example::texts(&train), Example::texts(&stop));
        let settings = TrainSettings {
            max_length: MAX_LENGTH,
            seed: self.seed,
            ..TrainSettings::default()
        };
        let settings = train_settings(&settings, &train)?;
        let cancel = ctx.cancel().clone();
        let mut follow = |update: Update| {
            let message = format!(
                "{}: step {} of {}",
                who.name, update.point.step, update.steps
            );
            ctx.emit(self.pace.at(self.done, message));
            if cancel.is_cancelled() {
                Control::Cancel
            } else {
                Control::Continue
            }
        };
        let task = idiolect_train::Task {
            model: self.model,
            lessons: Lessons::Fixed(&train),
            held_out: &stop,
            settings: &settings,
            from: None,
            checkpoints: None,
        };
        let trained = idiolect_train::run(task, &mut follow).told()?;
        let weights = match trained.weights {
            Some(weights) if trained.ending == Ending::Done => weights,
            _ => return Err(cancelled()),
        };
        let dir = self.folder.join(author.to_string());
        weights
            .save(&dir, self.model.config(), self.subject.id)
            .told()?;
        let voice = (AdapterSource { dir, scale: 1.0 }, trained.steps);
        self.voices.insert(author, voice.clone());
        self.step(ctx, 1, &format!("Trained {}", who.name));
        Ok(voice)
    }
}

/// Rows to train on and rows that say when to stop: whole texts, while two others stay.
fn lessons(model: &LoadedModel, texts: &[Text]) -> Result<(Vec<Row>, Vec<Row>), UserError> {
    let all: Vec<&str> = texts
        .iter()
        .flat_map(|t| t.passages.iter().map(String::as_str))
        .collect();
    let briefs = Briefs::new(&all);
    let wanted = (all.len() as f64 * EARLY_STOP).round().max(1.0) as usize;
    let (mut train, mut stop) = (Vec::new(), Vec::new());
    for (number, text) in texts.iter().enumerate() {
        let mut rows = Vec::new();
        for passage in &text.passages {
            let brief = briefs.of(passage, text.subject.as_deref());
            let prompt = model.render(&prompts::bare(&brief, None)).told()?;
            let prompt = model.encode_prompt(&prompt).told()?;
            let answer = model.encode(passage).told()?;
            rows.extend(Row::fitted(
                &prompt,
                &answer,
                model.end_of_turn(),
                MAX_LENGTH as usize,
            ));
        }
        // Texts come in seeded order, so the first ones are any.
        if stop.len() < wanted && number + 2 < texts.len() {
            stop.extend(rows.into_iter().map(|(row, _)| row));
        } else {
            train.extend(rows.into_iter().map(|(row, _)| row));
        }
    }
    Ok((train, stop))
}

/// The training side as samples that a prompt can quote.
fn passages(texts: &[Text]) -> Vec<(SampleId, String)> {
    let whole = texts.iter().map(|text| text.passages.join("\n\n"));
    whole
        .enumerate()
        .map(|(i, text)| (SampleId(format!("s-{i}")), text))
        .collect()
}

fn line(name: &str, found: &Measured) -> String {
    let figures: Vec<String> = CONDITIONS
        .iter()
        .enumerate()
        .map(|(i, condition)| format!("{condition} {:.3}", found.bits_per_token(i)))
        .collect();
    format!("{name}: {} ({} steps)", figures.join(", "), found.steps)
}

fn report(
    plan: &Plan,
    measured: &[Measured],
    wrong: &[usize],
    subject: Subject<'_>,
    seed: u64,
) -> EvalReport {
    let authors = &plan.texts.authors;
    let alone: Vec<usize> = (0..measured.len()).collect();
    let of = |condition: usize| -> Vec<f64> {
        measured
            .iter()
            .map(|m| m.bits_per_token(condition))
            .collect()
    };
    let [base, excerpts, own, other] = [of(0), of(1), of(OWN), of(WRONG)];
    let result =
        |name: &str, values: &[f64], units: &[usize], unit: &str| idiolect_core::eval::EvalResult {
            name: name.to_owned(),
            value: mean(values),
            interval: interval_of_mean(values, units, seed),
            unit: unit.to_owned(),
            controls: BTreeMap::new(),
        };
    let minus =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
    let below = |a: &[f64], b: &[f64]| -> Vec<f64> {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(u8::from(a < b)))
            .collect()
    };
    let mut results = Vec::new();
    for (name, values) in CONDITIONS.iter().zip([&base, &excerpts, &own, &other]) {
        let name = format!("bits_per_token_{name}");
        results.push(result(&name, values, &alone, "bits per token"));
    }
    let mut gain = result(
        "own_minus_base",
        &minus(&own, &base),
        &alone,
        "bits per token",
    );
    let share = |x: &[f64]| mean(&minus(&base, x)) / mean(&base).max(f64::MIN_POSITIVE);
    gain.controls
        .insert("wrong_author".to_owned(), mean(&minus(&other, &base)));
    gain.controls
        .insert("excerpts".to_owned(), mean(&minus(&excerpts, &base)));
    gain.controls
        .insert("share_of_base".to_owned(), share(&own));
    gain.controls
        .insert("wrong_author_share_of_base".to_owned(), share(&other));
    results.push(gain);
    results.push(result(
        "own_minus_wrong_author",
        &minus(&own, &other),
        &alone,
        "bits per token",
    ));
    let mut beaten = Vec::new();
    let mut whose = Vec::new();
    for (author, found) in measured.iter().enumerate() {
        for (bits, _) in &found.texts {
            beaten.push(f64::from(u8::from(bits[OWN] < bits[WRONG])));
            whose.push(author);
        }
    }
    results.push(result(
        "own_beats_wrong_author",
        &beaten,
        &whose,
        "share of held-out texts",
    ));
    results.push(result(
        "authors_own_beats_wrong_author",
        &below(&own, &other),
        &alone,
        "share of authors",
    ));
    results.push(result(
        "authors_own_beats_base",
        &below(&own, &base),
        &alone,
        "share of authors",
    ));
    let mut notes = vec![
        plan.texts.words(),
        "Each author: the studio's own settings (rank 8 on all linears, learning rate 0.0005, at most 3 epochs, 2 rows a step, stopped by 15 % of the training side). Lower bits are better; intervals: bootstrap over authors. The texts that were measured chose nothing.".to_owned(),
        "wrong_author: another author's adapter of the same corpus, by one seeded cycle over all of them.".to_owned(),
    ];
    for (author, found) in authors.iter().zip(measured) {
        notes.push(line(&author.name, found));
    }
    let pairs: Vec<String> = wrong
        .iter()
        .enumerate()
        .map(|(author, other)| format!("{} by {}", authors[author].name, authors[*other].name))
        .collect();
    notes.push(format!("Stood in for: {}.", pairs.join(", ")));
    EvalReport {
        eval: "adapter".to_owned(),
        model: subject.id.to_owned(),
        n: measured.len() as u32,
        fit: "trained".to_owned(),
        results,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_stands_in_for_themselves_and_everybody_does_once() {
        for n in 2..12 {
            for seed in 0..5 {
                let wrong = wrong_authors(n, seed);
                assert!(wrong.iter().enumerate().all(|(a, w)| a != *w));
                let mut all = wrong.clone();
                all.sort_unstable();
                assert_eq!(all, (0..n).collect::<Vec<_>>());
                assert_eq!(wrong, wrong_authors(n, seed));
            }
        }
    }

    #[test]
    fn bits_weigh_by_tokens() {
        let found = Measured {
            texts: vec![([10.0, 0.0, 5.0, 6.0], 2), ([20.0, 0.0, 10.0, 8.0], 8)],
            steps: 3,
        };
        assert_eq!(found.bits_per_token(0), 3.0);
        assert_eq!(found.bits_per_token(OWN), 1.5);
    }
}
