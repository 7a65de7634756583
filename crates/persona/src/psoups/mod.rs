//! The P-Soups preference rows: counted Bayes, its controls, and the model's chosen-minus-rejected contrast.
//!
//! A row's target is predicted from its own history alone. Every personal method here is odd in the history: exchange
//! its labels and the prediction turns.

use idiolect_llm::{Cancel, Message, Role, ScoreRequest, TextModel, Token};
use idiolect_text::{
    catalog::{Unit, catalog},
    measure,
};
use serde::Deserialize;

use crate::{Result, likelihood, taste::TasteModel};

mod constants;

pub use constants::{Constants, ConstantsFile, Contrast, Margins, folds, wrong_users};

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
    /// Whose preference it is.
    pub persona: String,
    /// The pair to predict.
    #[serde(flatten)]
    pub target: Pair,
    /// 2-4 earlier pairs of the same user.
    pub history: Vec<Pair>,
}

/// Counted features beside length, long words and sentences. Figures go in as they are; what is counted goes in as the
/// square root of its count: in an answer of twenty words a rate per 1,000 is mostly chance.
const FEATURES: [&str; 32] = [
    "length.mean",
    "readability.grade",
    "readability.syllables",
    "readability.flesch",
    "sentence.mean",
    "sentence.short",
    "sentence.long",
    "sentence.question",
    "punct.exclamation",
    "punct.question",
    "punct.comma",
    "punct.colon",
    "punct.dash",
    "punct.parenthesis",
    "punct.double_quote",
    "punct.ellipsis",
    "contraction.any",
    "lex.informal",
    "lex.hedge",
    "lex.booster",
    "lex.first_singular",
    "lex.second_person",
    "lex.polite",
    "lex.positive",
    "lex.negative",
    "lex.connective_formal",
    "lex.negation",
    "suffix.tion",
    "suffix.adjective",
    "digits.any",
    "line.list",
    "vocabulary.mattr50",
];

/// Their sum is the share of words over six letters.
const LONG_WORDS: [&str; 4] = ["length.7", "length.8", "length.9", "length.10"];

/// Numbers a text is counted by.
pub const COUNTED: usize = FEATURES.len() + 3;

/// Scaled differences beyond this are cut: one odd answer must not decide.
const CLIP: f64 = 3.0;

/// Answers of like length differ by less than this in log words.
const LIKE_LENGTH: f64 = 0.2;

/// The counted features of a text, [`COUNTED`] numbers.
pub fn phi(text: &str) -> Vec<f64> {
    let vector = measure(text);
    let long: f64 = LONG_WORDS.iter().filter_map(|id| vector.get(id)).sum();
    let mut out = vec![
        log_words(text),
        long.sqrt(),
        (vector.sentences as f64 + 1.0).ln(),
    ];
    out.extend(FEATURES.iter().map(|id| {
        catalog().position(id).map_or(0.0, |i| {
            let rate = vector.values[i];
            let value = match catalog().features()[i].unit {
                Unit::PerThousandWords => (rate * vector.base(Unit::PerThousandWords)).sqrt(),
                _ => rate,
            };
            if value.is_finite() { value } else { 0.0 }
        })
    }));
    out
}

fn log_words(text: &str) -> f64 {
    (idiolect_text::segment::word_count(text) as f64 + 1.0).ln()
}

/// Root mean square of every feature difference over pairs; 1 where a feature never differs.
pub fn scales<'a>(differences: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let (mut squares, mut n) = (vec![0.0; COUNTED], 0.0);
    for difference in differences {
        n += 1.0;
        squares
            .iter_mut()
            .zip(difference)
            .for_each(|(s, d)| *s += d * d);
    }
    squares
        .into_iter()
        .map(|s| {
            let rms = (s / f64::max(n, 1.0)).sqrt();
            if rms > 1e-12 { rms } else { 1.0 }
        })
        .collect()
}

/// Differences over their scales, cut at ±3. No centring: the sign matters.
pub fn scaled(difference: &[f64], scales: &[f64]) -> Vec<f64> {
    difference
        .iter()
        .zip(scales)
        .map(|(d, s)| (d / s).clamp(-CLIP, CLIP))
        .collect()
}

/// φ(chosen) − φ(rejected).
pub fn difference(pair: &Pair) -> Vec<f64> {
    let (a, b) = (phi(&pair.chosen), phi(&pair.rejected));
    a.iter().zip(&b).map(|(x, y)| x - y).collect()
}

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

    /// The taste behind every row's history: zero-mean Bayes over its scaled differences.
    ///
    /// # Errors
    /// A text whose features are not finite.
    pub fn tastes(&self, scales: &[f64], prior_variance: f64) -> Result<Vec<TasteModel>> {
        self.histories
            .iter()
            .map(|history| {
                let votes: Vec<Vec<f64>> = history.iter().map(|d| scaled(d, scales)).collect();
                TasteModel::fit(&votes, COUNTED, prior_variance)
            })
            .collect()
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

/// The model's personal signal: for each target the summed log-prob margin of chosen over rejected after chat turns with
/// the preferred answers of `history`, minus the same after turns with the rejected ones. Odd in the history. What the
/// targets' prompts share, the history, is computed once.
///
/// # Errors
/// The model's.
pub fn contrasts(
    model: &dyn TextModel,
    history: &[Pair],
    targets: &[&Pair],
    cancel: &Cancel,
) -> Result<Vec<f64>> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let turns = |answer: fn(&Pair) -> &str, prompt: &str| -> Result<Vec<Token>> {
        let mut messages = Vec::new();
        for pair in history {
            messages.push(Message::new(Role::User, pair.prompt.as_str()));
            messages.push(Message::new(Role::Assistant, answer(pair)));
        }
        messages.push(Message::new(Role::User, prompt));
        Ok(model.encode_prompt(&model.render(&messages)?)?)
    };
    let mut margins = vec![0.0; targets.len()];
    let answers: [(f64, fn(&Pair) -> &str); 2] = [(1.0, |p| &p.chosen), (-1.0, |p| &p.rejected)];
    for (sign, answer) in answers {
        let prompts: Vec<Vec<Token>> = targets
            .iter()
            .map(|target| turns(answer, &target.prompt))
            .collect::<Result<_>>()?;
        let shared = shared_prefix(&prompts);
        let mut request = ScoreRequest {
            prefix: prompts.first().map_or(&[][..], |p| &p[..shared]).to_vec(),
            ..ScoreRequest::default()
        };
        for (prompt, target) in prompts.iter().zip(targets) {
            for text in [&target.chosen, &target.rejected] {
                let mut tokens = prompt[shared..].to_vec();
                tokens.extend(model.encode(text)?);
                request.continuations.push(tokens);
            }
        }
        let rows = model.score(&[request], cancel)?;
        for ((margin, prompt), pair) in margins.iter_mut().zip(&prompts).zip(rows[0].chunks(2)) {
            let answer = |row: &[f32]| likelihood::total(&row[prompt.len() - shared..]);
            *margin += sign * (answer(&pair[0]) - answer(&pair[1]));
        }
    }
    Ok(margins)
}

/// Tokens that all of them begin with.
fn shared_prefix(prompts: &[Vec<Token>]) -> usize {
    let Some((first, others)) = prompts.split_first() else {
        return 0;
    };
    others.iter().fold(first.len(), |shared, other| {
        first[..shared]
            .iter()
            .zip(other)
            .take_while(|(a, b)| a == b)
            .count()
    })
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

/// Of the rows predicted right, the share that turns when the history is reversed.
pub fn flip_share(forward: &[f64], reversed: &[f64]) -> f64 {
    let right: Vec<&f64> = forward
        .iter()
        .zip(reversed)
        .filter(|(f, _)| **f > 0.0)
        .map(|(_, r)| r)
        .collect();
    right.iter().filter(|r| ***r < 0.0).count() as f64 / right.len().max(1) as f64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use idiolect_llm::testing::FakeModel;

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
                persona: "lively".into(),
                target: pair("Say more.", lively[0], learned[0]),
                history: history(lively, learned),
            },
            Row {
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
    fn the_contrast_is_odd_in_the_history_and_the_same_in_company() {
        let model = FakeModel::new();
        let cancel = Cancel::new();
        let row = rows().remove(0);
        let other = pair(
            "Tell me a story.",
            "There was a king!",
            "Once a considerable king.",
        );
        let alone = |history: &[Pair], target: &Pair| {
            contrasts(&model, history, &[target], &cancel).unwrap()[0]
        };
        let forward = alone(&row.history, &row.target);
        let mut turned = row.clone();
        for p in &mut turned.history {
            std::mem::swap(&mut p.chosen, &mut p.rejected);
        }
        let back = alone(&turned.history, &row.target);
        assert!(forward != 0.0, "the history has an effect");
        assert!(
            (forward + back).abs() < 1e-3 * forward.abs(),
            "{forward} {back}"
        );
        let both = contrasts(&model, &row.history, &[&row.target, &other], &cancel).unwrap();
        let apart = [forward, alone(&row.history, &other)];
        for (a, b) in both.iter().zip(apart) {
            assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{a} {b}");
        }
        assert_eq!(
            contrasts(&model, &row.history, &[], &cancel).unwrap(),
            [0.0; 0]
        );
    }

    #[test]
    fn shares_are_counted_by_hand() {
        assert_eq!(accuracy(&[1.0, -1.0, 0.0, 2.0]), 0.625);
        assert_eq!(flip_share(&[1.0, 1.0, -1.0], &[-1.0, 1.0, 1.0]), 0.5);
    }

    #[test]
    fn every_counted_feature_is_in_the_catalog() {
        for id in FEATURES.iter().chain(&LONG_WORDS) {
            assert!(catalog().position(id).is_some(), "{id}");
        }
        assert_eq!(phi("").len(), COUNTED);
        assert!(
            phi("").iter().all(|v| v.is_finite()),
            "an empty answer is counted too"
        );
    }
}
