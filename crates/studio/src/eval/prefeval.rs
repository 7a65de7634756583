//! PrefEval: somebody says in a sentence what they want or do not; of four answers to a question one respects it. Nothing
//! here asks a language model: the sentence is read by rules, and its clauses are held against the answers.
//!
//! Beside it stand what does as well without the sentence (the answer unlike the others, the longest, artefacts fitted on
//! other topics) and other people's sentences on the same topic. `prefeval_figures` makes figures of what is measured here.

use std::collections::BTreeMap;

use idiolect_core::{UserError, eval::EvalReport};
use idiolect_llm::Embedder;
use idiolect_persona::stated::{Reader, Respect, Spelling, cosine};
use idiolect_text::wishes::Wishes;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    Fit,
    data::{Folder, stratified},
    prefeval_figures::Figures,
    rows::{RowCache, key_of},
    statistics::mean,
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace},
    errors::{Told, not_enough, usage},
    models::default_model_ids,
};

/// Other people whose sentence is held against a row's answers.
const OTHERS: usize = 4;

/// A row of the data.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Row {
    pub(super) topic: String,
    preference: String,
    question: String,
    pub(super) options: Vec<String>,
    pub(super) follows: usize,
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
    pub(super) fn again(&self) -> Option<(&[String], usize)> {
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
pub(super) struct Ways {
    pub(super) own: Vec<Respect>,
    pub(super) others: Vec<Vec<Respect>>,
}

/// What is kept of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) spelling: Ways,
    /// To a person who said nothing.
    pub(super) nothing: Vec<Respect>,
    /// What the embedder adds.
    pub(super) meaning: Option<Meaning>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Meaning {
    pub(super) ways: Ways,
    /// How unlike the others each answer is: less its mean cosine to them.
    pub(super) odd: Vec<f64>,
    /// Cosine of each answer to the question.
    pub(super) near: Vec<f64>,
    /// The same of the other answers.
    pub(super) again: Option<(Ways, Vec<f64>)>,
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
        results: Figures {
            rows: &plan.rows,
            measured: &measured,
            seed: request.seed,
        }
        .all()?,
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
        near: options.iter().map(|o| cosine(o, question)).collect(),
        again,
    })
}

fn oddness(options: &[Vec<f32>]) -> Vec<f64> {
    let to_all = |option: &Vec<f32>| {
        options
            .iter()
            .map(|o| cosine(o, option))
            .collect::<Vec<_>>()
    };
    options.iter().map(|o| -mean(&to_all(o))).collect()
}

fn row_key(row: &Row, others: &[&Row]) -> String {
    let again = row.again().map_or(&[][..], |(options, _)| options);
    let texts = [&row.preference, &row.question].into_iter();
    let others = others.iter().map(|o| &o.preference);
    key_of(texts.chain(&row.options).chain(again).chain(others))
}
