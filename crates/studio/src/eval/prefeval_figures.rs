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
