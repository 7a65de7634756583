//! The P-Soups preference rows: counted agreement, its controls, and the model's chosen-minus-rejected contrast.
//!
//! A row's target is predicted from its own history alone. Every personal method here is odd in the history: exchange
//! its labels and the prediction turns.
//!
//! `features` what an answer is counted by · `agreement` how a history speaks for an answer · `contrast` the model's signal · `constants` the few fitted numbers.

use serde::Deserialize;

mod agreement;
mod constants;
mod contrast;
mod features;

pub use constants::{Constants, ConstantsFile, Contrast, Margins, folds, wrong_users};
pub use contrast::contrasts;
use features::log_words;
pub use features::{COUNTED, difference, phi, scaled, scales};

/// A prompt with the answer a user preferred and the one they did not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pair {
    /// What was asked.
    pub prompt: String,
    /// Preferred.
    pub chosen: String,
    /// Not preferred.
    pub rejected: String,
}

/// One row: a user's history and a pair to predict.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// What the persona leans on, one way or the other; personas of one axis are opposites. Empty where the data names none.
    #[serde(default)]
    pub axis: String,
    /// Whose preference it is.
    pub persona: String,
    /// The pair to predict.
    #[serde(flatten)]
    pub target: Pair,
    /// 2-4 earlier pairs of the same user.
    pub history: Vec<Pair>,
}

/// Answers of like length differ by less than this in log words.
const LIKE_LENGTH: f64 = 0.2;

/// Rows counted once: what every method but the model starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Feature differences of each row's target.
    pub targets: Vec<Vec<f64>>,
    /// Feature differences of each row's history.
    pub histories: Vec<Vec<Vec<f64>>>,
    /// Log words of the chosen answer over the rejected one's: > 0 where the longer is right.
    pub longer: Vec<f64>,
    /// The control that copies the history's length direction: > 0 where it is right.
    pub copied_length: Vec<f64>,
    /// Whether the row's answers are of like length (|ln ratio| < .2).
    pub length_matched: Vec<bool>,
}

impl Row {
    /// The same with only the first `pairs` of its history.
    pub fn shortened(&self, pairs: usize) -> Self {
        let mut row = self.clone();
        row.history.truncate(pairs);
        row
    }
}

impl Counted {
    /// Counts all rows; no label but each history's own is looked at.
    pub fn of(rows: &[Row]) -> Self {
        let length = |p: &Pair| log_words(&p.chosen) - log_words(&p.rejected);
        let longer: Vec<f64> = rows.iter().map(|r| length(&r.target)).collect();
        let copied_length = rows
            .iter()
            .zip(&longer)
            .map(|(row, target)| {
                let direction: f64 = row.history.iter().map(length).sum();
                if direction == 0.0 {
                    0.0
                } else {
                    direction.signum() * target
                }
            })
            .collect();
        Self {
            targets: rows.iter().map(|r| difference(&r.target)).collect(),
            histories: rows
                .iter()
                .map(|r| r.history.iter().map(difference).collect())
                .collect(),
            copied_length,
            length_matched: longer.iter().map(|d| d.abs() < LIKE_LENGTH).collect(),
            longer,
        }
    }

    /// The same rows with every history's labels exchanged.
    pub fn reversed(&self) -> Self {
        let mut turned = self.clone();
        for value in turned.histories.iter_mut().flatten().flatten() {
            *value = -*value;
        }
        turned
    }
}

/// Share right of margins; exact zeros count one half. 0 for none.
pub fn accuracy(margins: &[f64]) -> f64 {
    let right: f64 = margins
        .iter()
        .map(|m| {
            if *m > 0.0 {
                1.0
            } else if *m == 0.0 {
                0.5
            } else {
                0.0
            }
        })
        .sum();
    right / margins.len().max(1) as f64
}

/// The rows predicted right, each with 1 where the prediction turns when the history is reversed, else 0.
pub fn flips(forward: &[f64], reversed: &[f64]) -> Vec<(usize, f64)> {
    let rows = forward.iter().zip(reversed).enumerate();
    rows.filter(|(_, (f, _))| **f > 0.0)
        .map(|(row, (_, r))| (row, f64::from(u8::from(*r < 0.0))))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn pair(prompt: &str, chosen: &str, rejected: &str) -> Pair {
        Pair {
            prompt: prompt.into(),
            chosen: chosen.into(),
            rejected: rejected.into(),
        }
    }

    /// One user likes exclamations, one likes long words; answers are equally long.
    pub(crate) fn rows() -> Vec<Row> {
        let lively = [
            "What a day it is! Go out now!",
            "Yes! You can do this, my friend!",
            "Oh wow! Just look at that bird!",
        ];
        let learned = [
            "Considerable deliberation precedes institutional modification generally.",
            "Theoretical considerations necessitate comprehensive examination nevertheless.",
            "Methodological uncertainty complicates subsequent interpretation considerably.",
        ];
        let history = |a: [&str; 3], b: [&str; 3]| {
            (1..3).map(|i| pair("Say something.", a[i], b[i])).collect()
        };
        vec![
            Row {
                axis: "tone".into(),
                persona: "lively".into(),
                target: pair("Say more.", lively[0], learned[0]),
                history: history(lively, learned),
            },
            Row {
                axis: "tone".into(),
                persona: "learned".into(),
                target: pair("Say more.", learned[0], lively[0]),
                history: history(learned, lively),
            },
        ]
    }

    #[test]
    fn controls_know_nothing_but_length() {
        let mut r = rows();
        r.truncate(1);
        r[0].target = pair("?", "one two three four", "one two");
        r[0].history = vec![pair("?", "one", "one two three")];
        let m = Counted::of(&r);
        assert!(m.longer[0] > 0.0 && m.copied_length[0] < 0.0, "{m:?}");
        assert!(!m.length_matched[0]);
        r[0].history = vec![pair("?", "one", "two")];
        assert_eq!(
            Counted::of(&r).copied_length[0],
            0.0,
            "no direction to copy"
        );
    }

    #[test]
    fn shares_are_counted_by_hand() {
        assert_eq!(accuracy(&[1.0, -1.0, 0.0, 2.0]), 0.625);
        assert_eq!(
            flips(&[1.0, 1.0, -1.0], &[-1.0, 1.0, 1.0]),
            [(0, 1.0), (1, 0.0)]
        );
    }
}
