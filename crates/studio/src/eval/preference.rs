//! What votes are worth: a simulated person's votes train an adapter by DPO, and the adapter is asked about pairs on other
//! prompts that it never saw. The people are simulated; every figure says so.
//!
//! The adapter prefers the answer whose log-probability rose more (the implicit reward of arXiv 2305.18290); the model
//! before training prefers the one that is likelier per token. The control trains on the same pairs with the choices dealt
//! out anew, so that only what the votes say is gone.

use std::collections::BTreeMap;

use idiolect_core::{
    UserError,
    eval::{EvalReport, EvalResult},
};
use idiolect_engine::{LoadedModel, LoraConfig, LoraWeights, Precision, Target};
use idiolect_llm::TextModel;
use idiolect_persona::prompts;
use idiolect_text::segment;
use idiolect_train::{
    AdamWConfig, Batch, Control, Decay, Example, Lessons, Objective, Packing, Row, Schedule,
    Settings, Task, TrainError, Update, evaluate,
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    Subject,
    data::{Folder, stratified},
    rows::RowCache,
    statistics::{interval_of_mean, mean},
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace, cancelled},
    errors::{Told, not_enough, usage},
};

/// Votes a person casts.
const VOTES: usize = 40;
/// Of a population member's votes so many are kept back instead, as there are no others.
const KEPT_BACK: usize = 10;
/// Pairs a new person is tested on, where the request names no number.
const TESTS: u32 = 40;
/// People, where the request names no number.
const PEOPLE: u32 = 8;
/// Longest row; longer answers are cut, both of a pair alike.
const MAX_LENGTH: usize = 256;
/// Answers whose lengths differ by less than this share of each other count as matched.
const MATCHED: f64 = 0.2;
/// How dearly leaving the reference is paid.
const BETA: f64 = 0.1;
/// Peak learning rate.
const RATE: f64 = 2e-4;
/// Passes over the votes.
const EPOCHS: u32 = 3;

/// A row of the people.
#[derive(Debug, Clone, Deserialize)]
struct Person {
    role: String,
    alpha: f64,
    user: String,
    votes: Vec<Vote>,
    #[serde(default)]
    test: Vec<Vote>,
}

/// Prompt, left answer, right answer, and which was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Vote(u32, usize, usize, u8);

/// A row of the answers.
#[derive(Debug, Clone, Deserialize)]
struct Answers {
    prompt: u32,
    instruction: String,
    answers: Vec<String>,
}

/// The people and their answers.
pub(super) struct Plan {
    people: Vec<Person>,
    answers: BTreeMap<u32, Answers>,
    role: String,
    tests: usize,
    sha256: String,
}

pub(super) fn plan(folder: &Folder, request: &EvalRequest) -> Result<Plan, UserError> {
    let role = request.corpus.clone().unwrap_or("new".to_owned());
    if role != "new" && role != "population" {
        return Err(usage(
            "--corpus names which simulated people vote: new, or population, on whom settings are chosen.",
            "Leave it away for new ones.",
        ));
    }
    let tests = request.texts.unwrap_or(TESTS);
    if tests < 2 {
        return Err(usage(
            "--texts must be at least 2: it counts the pairs a simulated person is tested on.",
            format!("Leave it away for {TESTS}."),
        ));
    }
    let people = folder.eval::<Person>("taste_users")?;
    let answers = folder.eval::<Answers>("taste_answers")?;
    let of_role: Vec<Person> = people.rows.into_iter().filter(|p| p.role == role).collect();
    let limit = request.limit.unwrap_or(PEOPLE);
    let people_chosen = stratified(of_role, Some(limit), request.seed, |p| p.alpha.to_string());
    if people_chosen.len() < 2 {
        return Err(not_enough(
            format!(
                "There are {} simulated people of that kind; two are needed.",
                people_chosen.len()
            ),
            "Raise --limit or use the data's own file of people.",
        ));
    }
    let known: BTreeMap<u32, Answers> = answers.rows.into_iter().map(|a| (a.prompt, a)).collect();
    Ok(Plan {
        people: people_chosen,
        answers: known,
        role,
        tests: tests as usize,
        sha256: format!("{} {}", people.sha256, answers.sha256),
    })
}

/// A pair as the model sees it, the preferred answer first.
struct Pair {
    chosen: Row,
    rejected: Row,
    /// ln(words of the chosen / words of the rejected).
    longer: f64,
}

/// What is measured of a test pair: positive margins are on the right side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Judged {
    /// Base, log-probability per token.
    before: f64,
    /// Base, log-probability.
    before_summed: f64,
    /// Implicit reward after the person's votes.
    after: f64,
    /// And after shuffled ones.
    shuffled: f64,
    /// ln of the chosen's length over the other's.
    longer: f64,
}

pub(super) fn run(
    ctx: &mut Ctx,
    plan: &Plan,
    model: &LoadedModel,
    subject: Subject<'_>,
    request: &EvalRequest,
) -> Result<EvalReport, UserError> {
    let rows = RowCache::open(ctx, subject.sha256, None, &plan.sha256, request)?;
    ctx.stage(
        "preference",
        format!(
            "{} simulated people ({}), two trainings each",
            plan.people.len(),
            plan.role
        ),
    );
    let pace = Pace::new(2 * plan.people.len() as u64, "trainings");
    let mut all = Vec::new();
    for (number, person) in plan.people.iter().enumerate() {
        let judged = match rows.get::<Vec<Judged>>(&person.user) {
            Some(known) => known,
            None => {
                let judged = judge(
                    ctx,
                    plan,
                    person,
                    model,
                    &pace,
                    2 * number as u64,
                    request.seed,
                )?;
                rows.put(ctx, &person.user, &judged);
                judged
            }
        };
        ctx.emit(pace.at(
            2 * (number as u64 + 1),
            format!("Simulated person {}", person.user),
        ));
        all.push(judged);
    }
    Ok(report(plan, &all, subject, request.seed))
}

fn judge(
    ctx: &mut Ctx,
    plan: &Plan,
    person: &Person,
    model: &LoadedModel,
    pace: &Pace,
    done: u64,
    seed: u64,
) -> Result<Vec<Judged>, UserError> {
    let (votes, tests) = if plan.role == "new" {
        (
            &person.votes[..VOTES.min(person.votes.len())],
            &person.test[..],
        )
    } else {
        person
            .votes
            .split_at(person.votes.len().saturating_sub(KEPT_BACK))
    };
    let tests = &tests[..tests.len().min(plan.tests)];
    let tests = pairs(plan, model, tests)?;
    let train = pairs(plan, model, votes)?;
    let shuffled = pairs(plan, model, &dealt_anew(votes, seed))?;
    if train.is_empty() || tests.is_empty() {
        return Err(not_enough(
            "A simulated person has no vote or no test on answers of the data.",
            "Check that both files of the data folder belong together.",
        ));
    }
    let base = log_probs(ctx, model, None, &tests)?;
    let mut rewards = Vec::new();
    for (number, votes) in [train, shuffled].iter().enumerate() {
        let weights = dpo(ctx, model, votes, pace, done + number as u64, seed)?;
        let now = log_probs(ctx, model, Some(&weights), &tests)?;
        let gained = now
            .iter()
            .zip(&base)
            .map(|(n, b)| BETA * ((n.0 - b.0) - (n.1 - b.1)));
        rewards.push(gained.collect::<Vec<f64>>());
    }
    let per_token = |row: &Row, lp: f64| lp / row.answer_tokens().max(1) as f64;
    Ok(tests
        .iter()
        .zip(&base)
        .enumerate()
        .map(|(i, (pair, (chosen, rejected)))| Judged {
            before: per_token(&pair.chosen, *chosen) - per_token(&pair.rejected, *rejected),
            before_summed: chosen - rejected,
            after: rewards[0][i],
            shuffled: rewards[1][i],
            longer: pair.longer,
        })
        .collect())
}

/// The same pairs with the same number of left and right choices, in a seeded order.
fn dealt_anew(votes: &[Vote], seed: u64) -> Vec<Vote> {
    let mut choices: Vec<u8> = votes.iter().map(|v| v.3).collect();
    choices.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let dealt = votes.iter().zip(choices);
    dealt
        .map(|(v, choice)| Vote(v.0, v.1, v.2, choice))
        .collect()
}

fn pairs(plan: &Plan, model: &LoadedModel, votes: &[Vote]) -> Result<Vec<Pair>, UserError> {
    let mut pairs = Vec::new();
    for Vote(prompt, left, right, choice) in votes {
        let Some(of) = plan.answers.get(prompt) else {
            continue;
        };
        let (Some(left), Some(right)) = (of.answers.get(*left), of.answers.get(*right)) else {
            continue;
        };
        let (chosen, rejected) = if *choice == 0 {
            (left, right)
        } else {
            (right, left)
        };
        let messages = prompts::bare(&of.instruction, None);
        let asked = model
            .encode_prompt(&model.render(&messages).told()?)
            .told()?;
        let row = |answer: &str| -> Result<Option<Row>, UserError> {
            let answer = model.encode(answer).told()?;
            let fitted = Row::fitted(&asked, &answer, model.end_of_turn(), MAX_LENGTH);
            Ok(fitted.map(|(row, _)| row))
        };
        if let (Some(c), Some(r)) = (row(chosen)?, row(rejected)?) {
            let words = |text: &str| segment::word_count(text).max(1) as f64;
            pairs.push(Pair {
                chosen: c,
                rejected: r,
                longer: (words(chosen) / words(rejected)).ln(),
            });
        }
    }
    Ok(pairs)
}

/// Log-probabilities of both answers of each pair.
fn log_probs(
    ctx: &Ctx,
    model: &LoadedModel,
    weights: Option<&LoraWeights>,
    pairs: &[Pair],
) -> Result<Vec<(f64, f64)>, UserError> {
    pairs
        .iter()
        .map(|pair| {
            ctx.check()?;
            model
                .with_team(|| -> Result<(f64, f64), TrainError> {
                    let of = |row: &Row| evaluate(model.decoder(), weights, &Batch::pack([row]));
                    Ok((-of(&pair.chosen)?, -of(&pair.rejected)?))
                })
                .told()
        })
        .collect()
}

fn settings(seed: u64) -> Settings {
    Settings {
        objective: Objective::Dpo {
            beta: BETA,
            smoothing: 0.0,
            length_normalised: false,
        },
        lora: LoraConfig {
            rank: 8,
            alpha: 16.0,
            targets: Target::ALL.to_vec(),
        },
        dropout: 0.0,
        schedule: Schedule {
            peak: RATE,
            warm_up: 4,
            decay: Decay::Linear,
            floor: 0.1,
        },
        optimizer: AdamWConfig::default(),
        epochs: EPOCHS,
        packing: Packing {
            batch: 4,
            tokens: None,
            accumulate: 1,
        },
        measure_every: 0,
        seed,
        early_stop: false,
        stop_below: None,
        precision: Precision::Bf16,
        recompute: false,
    }
}

fn dpo(
    ctx: &mut Ctx,
    model: &LoadedModel,
    votes: &[Pair],
    pace: &Pace,
    done: u64,
    seed: u64,
) -> Result<LoraWeights, UserError> {
    let examples: Vec<Example> = votes
        .iter()
        .map(|pair| Example::Pair {
            chosen: pair.chosen.clone(),
            rejected: pair.rejected.clone(),
        })
        .collect();
    let cancel = ctx.cancel().clone();
    let mut follow = |update: Update| {
        let message = format!("Step {} of {}", update.point.step, update.steps);
        ctx.emit(pace.at(done, message));
        if cancel.is_cancelled() {
            Control::Cancel
        } else {
            Control::Continue
        }
    };
    let settings = settings(seed);
    let task = Task {
        model,
        lessons: Lessons::Fixed(&examples),
        held_out: &[],
        settings: &settings,
        from: None,
        checkpoints: None,
    };
    let trained = idiolect_train::run(task, &mut follow).told()?;
    trained.weights.ok_or_else(cancelled)
}

/// 1 on the right side, a half on the line.
fn right(margin: f64) -> f64 {
    if margin == 0.0 {
        0.5
    } else {
        f64::from(u8::from(margin > 0.0))
    }
}

fn report(plan: &Plan, all: &[Vec<Judged>], subject: Subject<'_>, seed: u64) -> EvalReport {
    // Values with the person each belongs to.
    let column = |of: &dyn Fn(&Judged) -> Option<f64>| -> (Vec<f64>, Vec<usize>) {
        let each = all.iter().enumerate();
        each.flat_map(|(person, judged)| judged.iter().filter_map(of).map(move |v| (v, person)))
            .unzip()
    };
    let result =
        |name: &str, unit: &str, of: &dyn Fn(&Judged) -> Option<f64>, controls: &[(&str, f64)]| {
            let (values, people) = column(of);
            EvalResult {
                name: name.to_owned(),
                value: mean(&values),
                interval: interval_of_mean(&values, &people, seed),
                unit: unit.to_owned(),
                controls: controls
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), *v))
                    .collect(),
            }
        };
    let average = |of: &dyn Fn(&Judged) -> Option<f64>| mean(&column(of).0);
    let share = "share of simulated people's held-out pairs";
    let longer = average(&|j| Some(right(j.longer)));
    let shuffled = average(&|j| Some(right(j.shuffled)));
    let matched = |j: &Judged| j.longer.abs() < MATCHED;
    let only = |value: f64, j: &Judged| matched(j).then_some(right(value));
    let results = vec![
        result(
            "pair_accuracy_before",
            share,
            &|j| Some(right(j.before)),
            &[
                ("always_longer", longer),
                ("summed", average(&|j| Some(right(j.before_summed)))),
            ],
        ),
        result(
            "pair_accuracy_after",
            share,
            &|j| Some(right(j.after)),
            &[("always_longer", longer), ("shuffled_votes", shuffled)],
        ),
        result(
            "after_minus_before",
            share,
            &|j| Some(right(j.after) - right(j.before)),
            &[],
        ),
        result(
            "after_minus_shuffled_votes",
            share,
            &|j| Some(right(j.after) - right(j.shuffled)),
            &[],
        ),
        result(
            "pair_accuracy_after_length_matched",
            share,
            &|j| only(j.after, j),
            &[
                ("always_longer", average(&|j| only(j.longer, j))),
                ("before", average(&|j| only(j.before, j))),
                ("pairs", column(&|j| only(j.after, j)).0.len() as f64),
                ("shuffled_votes", average(&|j| only(j.shuffled, j))),
            ],
        ),
        result(
            "margin",
            "implicit reward",
            &|j| Some(j.after),
            &[("shuffled_votes", average(&|j| Some(j.shuffled)))],
        ),
    ];
    let tests: usize = all.iter().map(Vec::len).sum();
    let votes = if plan.role == "new" {
        format!("{VOTES} votes each, tested on noiseless choices on other prompts")
    } else {
        format!("all votes but {KEPT_BACK} each, tested on those")
    };
    EvalReport {
        eval: "preference".to_owned(),
        model: subject.id.to_owned(),
        n: all.len() as u32,
        fit: "trained".to_owned(),
        results,
        notes: vec![
            format!(
                "Simulated people ({}), not real ones: {} of them, {votes}, {tests} pairs. Chance is .5; intervals: bootstrap over simulated people.",
                plan.role,
                all.len()
            ),
            format!(
                "DPO: beta {BETA}, learning rate {RATE}, {EPOCHS} epochs, 4 pairs a step, rank 8 on all linears; answers are cut to rows of {MAX_LENGTH} tokens."
            ),
            format!(
                "always_longer picks the longer answer; length-matched: lengths within a factor of e^{MATCHED}. shuffled_votes: the same training with the choices dealt out anew."
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_dealt_anew_keep_pairs_and_counts() {
        let votes: Vec<Vote> = (0..40)
            .map(|i| Vote(i, 0, 1, u8::from(i % 4 == 0)))
            .collect();
        let dealt = dealt_anew(&votes, 3);
        assert_ne!(dealt, votes);
        assert_eq!(dealt, dealt_anew(&votes, 3));
        let rights = |v: &[Vote]| v.iter().filter(|v| v.3 == 1).count();
        assert_eq!(rights(&dealt), rights(&votes));
        assert!(
            dealt
                .iter()
                .zip(&votes)
                .all(|(a, b)| (a.0, a.1, a.2) == (b.0, b.1, b.2))
        );
    }

    #[test]
    fn a_tie_is_half_right() {
        assert_eq!([right(0.1), right(0.0), right(-2.0)], [1.0, 0.5, 0.0]);
    }
}
