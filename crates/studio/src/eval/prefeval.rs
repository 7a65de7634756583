//! PrefEval: somebody says in a sentence what they want or do not; of four answers to a question one respects it. Nothing
//! here asks a language model: the sentence is read by rules, and its clauses are held against the answers.
//!
//! Beside it stand what does as well without the sentence (the answer unlike the others, the longest, artefacts fitted on
//! other topics) and other people's sentences on the same topic.

use std::collections::BTreeMap;

use idiolect_core::{
    UserError,
    eval::{EvalReport, EvalResult},
};
use idiolect_llm::Embedder;
use idiolect_persona::stated::{self, Choice, Reader, Respect, Spelling, right_share};
use idiolect_text::wishes::{Wishes, offer_words};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Fit,
    data::{Folder, stratified},
    rows::RowCache,
    statistics::{interval_of_mean, mean},
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace},
    errors::{Told, not_enough, usage},
    models::{default_model_ids, hex},
};

/// Other people whose sentence is held against a row's answers.
const OTHERS: usize = 4;

/// A row of the data.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    topic: String,
    preference: String,
    question: String,
    options: Vec<String>,
    follows: usize,
    #[serde(default)]
    implicit: Option<Again>,
}

/// Other answers to a like question, for the same sentence.
#[derive(Debug, Clone, Deserialize)]
struct Again {
    options: Vec<String>,
    aligned_op: String,
}

impl Row {
    /// The other answers and the place of the one that respects the sentence.
    fn again(&self) -> Option<(&[String], usize)> {
        let Again {
            options,
            aligned_op,
        } = self.implicit.as_ref()?;
        let right = options.iter().position(|o| o == aligned_op)?;
        Some((options, right))
    }
}

/// The rows of a run.
pub(super) struct Plan {
    rows: Vec<Row>,
    /// For every row rows of the same topic with another sentence.
    others: Vec<Vec<usize>>,
    sha256: String,
}

pub(super) fn plan(folder: &Folder, request: &EvalRequest) -> Result<Plan, UserError> {
    if request.corpus.is_some() || request.texts.is_some() || request.model.is_some() {
        return Err(usage(
            "`eval prefeval` reads no corpus and asks no language model.",
            "Leave --corpus, --texts and --model away; --limit says how many rows.",
        ));
    }
    let read = folder.eval::<Row>("prefeval")?;
    let rows = stratified(read.rows, request.limit, request.seed, |row| {
        row.topic.clone()
    });
    if rows.iter().any(|row| row.follows >= row.options.len()) {
        return Err(not_enough(
            "A row names an answer that it does not have.",
            "Use a file whose `follows` counts the options from 0.",
        ));
    }
    let topics: std::collections::BTreeSet<&str> = rows.iter().map(|r| r.topic.as_str()).collect();
    let mut random = ChaCha8Rng::seed_from_u64(request.seed);
    let others: Vec<Vec<usize>> = rows
        .iter()
        .map(|row| {
            let is_other = |o: &Row| o.topic == row.topic && o.preference != row.preference;
            let mut others: Vec<usize> = (0..rows.len()).filter(|&i| is_other(&rows[i])).collect();
            others.shuffle(&mut random);
            others.truncate(OTHERS);
            others
        })
        .collect();
    if topics.len() < 2 || others.iter().any(Vec::is_empty) {
        return Err(not_enough(
            "These rows have fewer than two topics, or a topic on which one person alone speaks, so there is nobody to compare with.",
            "Raise --limit, or use a file with several topics.",
        ));
    }
    Ok(Plan {
        rows,
        others,
        sha256: read.sha256,
    })
}

/// How answers stand to the row's own sentence and to other people's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ways {
    own: Vec<Respect>,
    others: Vec<Vec<Respect>>,
}

/// What is kept of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Measured {
    spelling: Ways,
    /// To a person who said nothing.
    nothing: Vec<Respect>,
    /// What the embedder adds.
    meaning: Option<Meaning>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meaning {
    ways: Ways,
    /// How unlike the others each answer is: less its mean cosine to them.
    odd: Vec<f64>,
    /// Cosine of each answer to the question.
    near: Vec<f64>,
    /// The same of the other answers.
    again: Option<(Ways, Vec<f64>)>,
}

pub(super) fn run(
    ctx: &mut Ctx,
    plan: &Plan,
    embedder: Option<(&dyn Embedder, &str)>,
    request: &EvalRequest,
) -> Result<EvalReport, UserError> {
    let sha256 = embedder.map(|(_, sha256)| sha256);
    let cache = RowCache::open(ctx, "none", sha256, &plan.sha256, request)?;
    let measured = measure(ctx, plan, embedder.map(|(model, _)| model), &cache)?;
    let mut notes = vec![
        format!(
            "Intervals: bootstrap over the topics. wrong_person: the sentences of up to {OTHERS} other people on the same topic, averaged. Ties of m answers count 1/m."
        ),
        "accuracy and accuracy_stated rest on no fitted number; the words that the rules know were chosen by people who had seen rows of this kind. accuracy_fitted and artefacts are fitted without the topic they judge.".to_owned(),
    ];
    if embedder.is_none() {
        notes.push("Without the sentence embedder there is accuracy_no_embedder alone.".to_owned());
    }
    Ok(EvalReport {
        eval: "prefeval".to_owned(),
        model: embedder
            .map_or("none", |_| default_model_ids()[1])
            .to_owned(),
        n: plan.rows.len() as u32,
        fit: Fit::Nested.name(),
        results: Figures::of(plan, &measured, request.seed).all()?,
        notes,
    })
}

fn measure(
    ctx: &mut Ctx,
    plan: &Plan,
    embedder: Option<&dyn Embedder>,
    cache: &RowCache,
) -> Result<Vec<Measured>, UserError> {
    let pace = Pace::new(plan.rows.len() as u64, "rows");
    let cancel = ctx.cancel().clone();
    // By topic, whose rows share clauses: a reader keeps what it embedded.
    let mut by_topic: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, row) in plan.rows.iter().enumerate() {
        by_topic.entry(&row.topic).or_default().push(i);
    }
    let mut out: BTreeMap<usize, Measured> = BTreeMap::new();
    for rows in by_topic.into_values() {
        let mut spelling = Reader::new(&Spelling, &cancel);
        let mut meaning = embedder.map(|e| (e, Reader::new(e, &cancel)));
        for i in rows {
            ctx.check()?;
            let row = &plan.rows[i];
            let others: Vec<&Row> = plan.others[i].iter().map(|&o| &plan.rows[o]).collect();
            let key = row_key(row, &others);
            let found = if let Some(known) = cache.get(&key) {
                known
            } else {
                let found = Measured {
                    spelling: ways(&mut spelling, row, &others, &row.options)?,
                    nothing: respect(&mut spelling, &Wishes::default(), &row.options)?,
                    meaning: match &mut meaning {
                        Some((embedder, reader)) => {
                            Some(meaning_of(*embedder, reader, row, &others, ctx)?)
                        }
                        None => None,
                    },
                };
                cache.put(ctx, &key, &found);
                found
            };
            out.insert(i, found);
            ctx.emit(pace.at(out.len() as u64, "Reading stated preferences"));
        }
    }
    Ok(out.into_values().collect())
}

fn respect(
    reader: &mut Reader<'_>,
    wishes: &Wishes,
    options: &[String],
) -> Result<Vec<Respect>, UserError> {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    reader.respect(wishes, &options).told()
}

fn ways(
    reader: &mut Reader<'_>,
    row: &Row,
    others: &[&Row],
    options: &[String],
) -> Result<Ways, UserError> {
    let mut of = |row: &Row| respect(reader, &Wishes::read(&row.preference), options);
    Ok(Ways {
        own: of(row)?,
        others: others
            .iter()
            .map(|other| of(other))
            .collect::<Result<_, _>>()?,
    })
}

fn meaning_of(
    embedder: &dyn Embedder,
    reader: &mut Reader<'_>,
    row: &Row,
    others: &[&Row],
    ctx: &Ctx,
) -> Result<Meaning, UserError> {
    let vectors = |texts: &[String]| -> Result<Vec<Vec<f32>>, UserError> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        embedder.embed(&texts, ctx.cancel()).told()
    };
    let options = vectors(&row.options)?;
    let question = &vectors(std::slice::from_ref(&row.question))?[0];
    let again = match row.again() {
        Some((options, _)) => Some((
            ways(reader, row, others, options)?,
            oddness(&vectors(options)?),
        )),
        None => None,
    };
    Ok(Meaning {
        ways: ways(reader, row, others, &row.options)?,
        odd: oddness(&options),
        near: options.iter().map(|o| dot(o, question)).collect(),
        again,
    })
}

fn oddness(options: &[Vec<f32>]) -> Vec<f64> {
    let to_all = |option: &Vec<f32>| options.iter().map(|o| dot(o, option)).collect::<Vec<_>>();
    options.iter().map(|o| -mean(&to_all(o))).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum()
}

/// Rows with what was measured of them, and everything that is said of both.
struct Figures<'a> {
    rows: &'a [Row],
    measured: &'a [Measured],
    seed: u64,
}

/// A figure's share right a row, and the same for other people's sentences.
struct Shares {
    own: Vec<f64>,
    wrong: Vec<f64>,
}

impl<'a> Figures<'a> {
    fn of(plan: &'a Plan, measured: &'a [Measured], seed: u64) -> Self {
        Self {
            rows: &plan.rows,
            measured,
            seed,
        }
    }

    fn all(&self) -> Result<Vec<EvalResult>, UserError> {
        let every: Vec<usize> = (0..self.rows.len()).collect();
        let rights: Vec<usize> = self.rows.iter().map(|row| row.follows).collect();
        let longest = self.share(&rights, |i| lengths(&self.rows[i].options));
        let nothing = self.share(&rights, |i| {
            self.measured[i]
                .nothing
                .iter()
                .map(Respect::score)
                .collect()
        });
        let spelling: Vec<&Ways> = self.measured.iter().map(|m| &m.spelling).collect();
        let spelled = shares(&spelling, &rights, Respect::score);
        let bare = [
            (
                "chance",
                self.share(&rights, |i| vec![0.0; self.rows[i].options.len()]),
            ),
            ("no_preference", nothing),
            ("longest_option", longest),
        ];
        let mut results = Vec::new();
        let meanings: Option<Vec<&Meaning>> =
            self.measured.iter().map(|m| m.meaning.as_ref()).collect();
        if let Some(meanings) = meanings {
            let ways: Vec<&Ways> = meanings.iter().map(|m| &m.ways).collect();
            let odd = self.share(&rights, |i| meanings[i].odd.clone());
            let artefacts = self.artefacts(&meanings)?;
            let whole = shares(&ways, &rights, Respect::score);
            let failing: Vec<usize> = every.iter().copied().filter(|&i| odd[i] < 1.0).collect();
            let controls = [
                bare.as_slice(),
                &[("odd_one_out", odd), ("artefacts_fitted", artefacts)],
            ]
            .concat();
            results.push(self.result("accuracy", &whole, &controls, &every));
            let stated = shares(&ways, &rights, |r| r.stated);
            results.push(self.result("accuracy_stated", &stated, &controls, &every));
            results.push(self.result("accuracy_fitted", &self.fitted(&ways)?, &controls, &every));
            if !failing.is_empty() {
                results.push(self.result(
                    "accuracy_where_odd_one_out_fails",
                    &whole,
                    &controls,
                    &failing,
                ));
            }
            results.extend(self.again(&meanings));
        }
        results.push(self.result("accuracy_no_embedder", &spelled, &bare, &every));
        Ok(results)
    }

    /// The same sentences held against the other answers.
    fn again(&self, meanings: &[&Meaning]) -> Option<EvalResult> {
        let known: Vec<usize> = (0..self.rows.len())
            .filter(|&i| meanings[i].again.is_some() && self.rows[i].again().is_some())
            .collect();
        if known.is_empty() {
            return None;
        }
        let found = known.iter().filter_map(|&i| meanings[i].again.as_ref());
        let (ways, odd): (Vec<&Ways>, Vec<&Vec<f64>>) = found.map(|(w, o)| (w, o)).unzip();
        let sets: Vec<(&[String], usize)> =
            known.iter().filter_map(|&i| self.rows[i].again()).collect();
        let rights: Vec<usize> = sets.iter().map(|set| set.1).collect();
        let of = |score: &dyn Fn(usize) -> Vec<f64>| -> Vec<f64> {
            (0..sets.len())
                .map(|k| right_share(&score(k), rights[k]))
                .collect()
        };
        let controls = [
            ("chance", of(&|k| vec![0.0; sets[k].0.len()])),
            ("longest_option", of(&|k| lengths(sets[k].0))),
            ("odd_one_out", of(&|k| odd[k].clone())),
        ];
        let these = Figures {
            rows: &known
                .iter()
                .map(|&i| self.rows[i].clone())
                .collect::<Vec<_>>(),
            measured: &[],
            seed: self.seed,
        };
        let every: Vec<usize> = (0..known.len()).collect();
        let judged = shares(&ways, &rights, Respect::score);
        Some(these.result("accuracy_other_answers", &judged, &controls, &every))
    }

    fn share(&self, rights: &[usize], score: impl Fn(usize) -> Vec<f64>) -> Vec<f64> {
        (0..self.rows.len())
            .map(|i| right_share(&score(i), rights[i]))
            .collect()
    }

    /// The three readings weighed as they are best weighed on the other topics.
    fn fitted(&self, ways: &[&Ways]) -> Result<Shares, UserError> {
        let choice = |i: usize, found: &[Respect]| Choice {
            options: found.iter().map(|r| r.readings().to_vec()).collect(),
            right: self.rows[i].follows,
        };
        let own: Vec<Choice> = ways
            .iter()
            .enumerate()
            .map(|(i, w)| choice(i, &w.own))
            .collect();
        let weights = self.held_out(&own)?;
        let judged =
            |i: usize, choice: &Choice| choice.right_by(&weights[self.rows[i].topic.as_str()]);
        let wrong = |i: usize| {
            let others = ways[i].others.iter();
            mean(
                &others
                    .map(|found| judged(i, &choice(i, found)))
                    .collect::<Vec<_>>(),
            )
        };
        Ok(Shares {
            own: own.iter().enumerate().map(|(i, c)| judged(i, c)).collect(),
            wrong: (0..own.len()).map(wrong).collect(),
        })
    }

    /// What can be known of the right answer without the sentence, weighed as it is best weighed on the other topics.
    fn artefacts(&self, meanings: &[&Meaning]) -> Result<Vec<f64>, UserError> {
        let choices: Vec<Choice> = self
            .rows
            .iter()
            .zip(meanings)
            .map(|(row, meaning)| {
                let lengths = lengths(&row.options);
                let option = |k: usize| {
                    let denied = offer_words(&row.options[k])
                        .iter()
                        .any(|word| word.sign < 0);
                    vec![
                        meaning.odd[k],
                        meaning.near[k],
                        lengths[k],
                        f64::from(u8::from(denied)),
                    ]
                };
                Choice {
                    options: (0..row.options.len()).map(option).collect(),
                    right: row.follows,
                }
            })
            .collect();
        let weights = self.held_out(&choices)?;
        let judged = choices.iter().zip(self.rows);
        Ok(judged
            .map(|(choice, row)| choice.right_by(&weights[row.topic.as_str()]))
            .collect())
    }

    /// For every topic the weights that the choices on all others give.
    fn held_out(&self, choices: &[Choice]) -> Result<BTreeMap<&str, Vec<f64>>, UserError> {
        let mut out = BTreeMap::new();
        for row in self.rows {
            if !out.contains_key(row.topic.as_str()) {
                let elsewhere = choices
                    .iter()
                    .zip(self.rows)
                    .filter(|(_, r)| r.topic != row.topic);
                let others: Vec<&Choice> = elsewhere.map(|(choice, _)| choice).collect();
                out.insert(row.topic.as_str(), stated::fit(&others).told()?);
            }
        }
        Ok(out)
    }

    fn result(
        &self,
        name: &str,
        shares: &Shares,
        controls: &[(&str, Vec<f64>)],
        kept: &[usize],
    ) -> EvalResult {
        let of = |values: &[f64]| -> Vec<f64> { kept.iter().map(|&i| values[i]).collect() };
        let topics: Vec<&str> = kept.iter().map(|&i| self.rows[i].topic.as_str()).collect();
        let own = of(&shares.own);
        let controls = controls.iter().map(|(name, values)| (*name, values));
        EvalResult {
            name: name.to_owned(),
            value: mean(&own),
            interval: interval_of_mean(&own, &topics, self.seed),
            unit: "share of rows right".to_owned(),
            controls: controls
                .chain([("wrong_person", &shares.wrong)])
                .map(|(name, values)| (name.to_owned(), mean(&of(values))))
                .collect(),
        }
    }
}

fn shares(ways: &[&Ways], rights: &[usize], score: impl Fn(&Respect) -> f64) -> Shares {
    let share = |found: &[Respect], right: usize| {
        right_share(&found.iter().map(&score).collect::<Vec<_>>(), right)
    };
    let judged = ways.iter().zip(rights);
    Shares {
        own: judged
            .clone()
            .map(|(w, &right)| share(&w.own, right))
            .collect(),
        wrong: judged
            .map(|(w, &right)| mean(&w.others.iter().map(|o| share(o, right)).collect::<Vec<_>>()))
            .collect(),
    }
}

fn lengths(options: &[String]) -> Vec<f64> {
    options.iter().map(|o| o.chars().count() as f64).collect()
}

/// A hash, so that no text of the data is kept.
fn row_key(row: &Row, others: &[&Row]) -> String {
    let mut hasher = Sha256::new();
    let again = row.again().map_or(&[][..], |(options, _)| options);
    let texts = [&row.preference, &row.question].into_iter();
    let texts = texts
        .chain(&row.options)
        .chain(again)
        .chain(others.iter().map(|o| &o.preference));
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    hex(hasher)
}
