//! Figures of the stated preferences: shares of rows right, beside controls that never read the sentence or read another's.

use std::collections::BTreeMap;

use idiolect_core::{UserError, eval::EvalResult};
use idiolect_persona::stated::{self, Choice, Respect, right_share};
use idiolect_text::wishes::offer_words;

use super::{
    prefeval::{Meaning, Measured, Row, Ways},
    statistics::{interval_of_mean, mean},
};
use crate::errors::Told;

/// Rows with what was measured of them, and everything that is said of both.
pub(super) struct Figures<'a> {
    pub(super) rows: &'a [Row],
    pub(super) measured: &'a [Measured],
    pub(super) seed: u64,
}

/// A figure's share right a row, and the same for other people's sentences.
struct Shares {
    own: Vec<f64>,
    wrong: Vec<f64>,
}

impl Figures<'_> {
    /// Every figure that what was measured allows.
    pub(super) fn all(&self) -> Result<Vec<EvalResult>, UserError> {
        let topics: Vec<&str> = self.rows.iter().map(|row| row.topic.as_str()).collect();
        let rights: Vec<usize> = self.rows.iter().map(|row| row.follows).collect();
        let longest = share(&rights, |i| lengths(&self.rows[i].options));
        let nothing = share(&rights, |i| {
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
                share(&rights, |i| vec![0.0; self.rows[i].options.len()]),
            ),
            ("no_preference", nothing),
            ("longest_option", longest),
        ];
        let mut results = Vec::new();
        let meanings: Option<Vec<&Meaning>> =
            self.measured.iter().map(|m| m.meaning.as_ref()).collect();
        if let Some(meanings) = meanings {
            let ways: Vec<&Ways> = meanings.iter().map(|m| &m.ways).collect();
            let odd = share(&rights, |i| meanings[i].odd.clone());
            let artefacts = self.artefacts(&meanings)?;
            let whole = shares(&ways, &rights, Respect::score);
            let controls = [
                bare.as_slice(),
                &[
                    ("odd_one_out", odd.clone()),
                    ("artefacts_fitted", artefacts),
                ],
            ]
            .concat();
            results.push(self.result("accuracy", &whole, &controls, &topics));
            let stated = shares(&ways, &rights, |r| r.stated);
            results.push(self.result("accuracy_stated", &stated, &controls, &topics));
            results.push(self.result("accuracy_fitted", &self.fitted(&ways)?, &controls, &topics));
            let failing: Vec<usize> = (0..odd.len()).filter(|&i| odd[i] < 1.0).collect();
            if !failing.is_empty() {
                let of = |values: &Vec<f64>| -> Vec<f64> { picked(values, &failing) };
                results.push(
                    self.result(
                        "accuracy_where_odd_one_out_fails",
                        &Shares {
                            own: of(&whole.own),
                            wrong: of(&whole.wrong),
                        },
                        &controls
                            .iter()
                            .map(|(name, values)| (*name, of(values)))
                            .collect::<Vec<_>>(),
                        &picked(&topics, &failing),
                    ),
                );
            }
            results.extend(self.again(&meanings));
        }
        results.push(self.result("accuracy_no_embedder", &spelled, &bare, &topics));
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
        let controls = [
            ("chance", share(&rights, |k| vec![0.0; sets[k].0.len()])),
            ("longest_option", share(&rights, |k| lengths(sets[k].0))),
            ("odd_one_out", share(&rights, |k| odd[k].clone())),
        ];
        let topics: Vec<&str> = known.iter().map(|&i| self.rows[i].topic.as_str()).collect();
        let judged = shares(&ways, &rights, Respect::score);
        Some(self.result("accuracy_other_answers", &judged, &controls, &topics))
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

    /// A figure over rows of these topics.
    fn result(
        &self,
        name: &str,
        shares: &Shares,
        controls: &[(&str, Vec<f64>)],
        topics: &[&str],
    ) -> EvalResult {
        let controls = controls.iter().map(|(name, values)| (*name, values));
        EvalResult {
            name: name.to_owned(),
            value: mean(&shares.own),
            interval: interval_of_mean(&shares.own, topics, self.seed),
            unit: "share of rows right".to_owned(),
            controls: controls
                .chain([("wrong_person", &shares.wrong)])
                .map(|(name, values)| (name.to_owned(), mean(values)))
                .collect(),
        }
    }
}

/// Shares right of sets of options that are scored one by one.
fn share(rights: &[usize], score: impl Fn(usize) -> Vec<f64>) -> Vec<f64> {
    let rights = rights.iter().enumerate();
    rights
        .map(|(i, &right)| right_share(&score(i), right))
        .collect()
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

fn picked<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&i| values[i]).collect()
}

fn lengths(options: &[String]) -> Vec<f64> {
    options.iter().map(|o| o.chars().count() as f64).collect()
}
