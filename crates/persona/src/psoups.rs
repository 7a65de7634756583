//! The P-Soups preference rows: counted Bayes, its controls, and the model's chosen-minus-rejected contrast.
//!
//! A row's target is predicted from its own history alone. Every personal method here is odd in the history: exchange
//! its labels and the prediction turns.

use idiolect_llm::{Cancel, Message, Role, ScoreRequest, TextModel};
use idiolect_text::{
    catalog::{Unit, catalog},
    measure,
};
use serde::Deserialize;

use crate::{Result, likelihood, taste::TasteModel};

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
    /// The axis the persona lies on.
    pub axis: String,
    /// The pair to predict.
    #[serde(flatten)]
    pub target: Pair,
    /// 2-4 earlier pairs of the same user.
    pub history: Vec<Pair>,
}

/// What the counted methods say of each row: margins, > 0 = the chosen answer is predicted, 0 = no idea.
#[derive(Debug, Clone, PartialEq)]
pub struct CountedMargins {
    /// Zero-mean Bayes over counted features of the row's own history.
    pub bayes: Vec<f64>,
    /// The same with the history's labels exchanged.
    pub reversed: Vec<f64>,
    /// Share right with the histories of users of other personas, one number a row (not a margin).
    pub wrong_user: Vec<f64>,
    /// The control that copies the history's length direction.
    pub copied_length: Vec<f64>,
    /// The longer answer.
    pub longer: Vec<f64>,
    /// Whether the row's answers are of like length (|ln ratio| < .2).
    pub length_matched: Vec<bool>,
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
pub fn scales(differences: &[Vec<f64>]) -> Vec<f64> {
    (0..COUNTED)
        .map(|f| {
            let squares: f64 = differences.iter().map(|d| d[f] * d[f]).sum();
            let rms = (squares / differences.len().max(1) as f64).sqrt();
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

/// Scores all rows by counting; no model. Scales come from all pairs of all rows, whose labels they do not see.
///
/// # Errors
/// A text whose features are not finite.
pub fn counted(rows: &[Row]) -> Result<CountedMargins> {
    let targets: Vec<Vec<f64>> = rows.iter().map(|r| difference(&r.target)).collect();
    let histories: Vec<Vec<Vec<f64>>> = rows
        .iter()
        .map(|r| r.history.iter().map(difference).collect())
        .collect();
    let all: Vec<Vec<f64>> = targets
        .iter()
        .chain(histories.iter().flatten())
        .cloned()
        .collect();
    let scales = scales(&all);
    let targets: Vec<Vec<f64>> = targets.iter().map(|d| scaled(d, &scales)).collect();
    let fit = |sign: f64| -> Result<Vec<TasteModel>> {
        histories
            .iter()
            .map(|h| {
                let votes: Vec<Vec<f64>> = h
                    .iter()
                    .map(|d| scaled(d, &scales).iter().map(|v| sign * v).collect())
                    .collect();
                TasteModel::fit(&votes, COUNTED, TasteModel::PRIOR_VARIANCE)
            })
            .collect()
    };
    let tastes = fit(1.0)?;
    let reversed = fit(-1.0)?;
    let own = |models: &[TasteModel]| {
        models
            .iter()
            .zip(&targets)
            .map(|(m, d)| m.margin(d))
            .collect()
    };
    let wrong_user = rows
        .iter()
        .zip(&targets)
        .map(|(row, target)| {
            let margins: Vec<f64> = rows
                .iter()
                .zip(&tastes)
                .filter(|(other, _)| other.persona != row.persona)
                .map(|(_, m)| m.margin(target))
                .collect();
            accuracy(&margins)
        })
        .collect();
    let longer: Vec<f64> = rows
        .iter()
        .map(|r| log_words(&r.target.chosen) - log_words(&r.target.rejected))
        .collect();
    let copied_length = rows
        .iter()
        .zip(&longer)
        .map(|(row, target)| {
            let direction: f64 = row
                .history
                .iter()
                .map(|p| log_words(&p.chosen) - log_words(&p.rejected))
                .sum();
            if direction == 0.0 {
                0.0
            } else {
                direction.signum() * target
            }
        })
        .collect();
    Ok(CountedMargins {
        bayes: own(&tastes),
        reversed: own(&reversed),
        wrong_user,
        copied_length,
        length_matched: longer.iter().map(|d| d.abs() < LIKE_LENGTH).collect(),
        longer,
    })
}

/// The model's personal signal on one row: the summed log-prob margin of chosen over rejected after chat turns with
/// the preferred answers, minus the same after turns with the rejected ones. Odd in the history.
///
/// # Errors
/// The model's.
pub fn contrast(model: &dyn TextModel, row: &Row, cancel: &Cancel) -> Result<f64> {
    let turns = |answer: fn(&Pair) -> &str| {
        let mut messages = Vec::new();
        for pair in &row.history {
            messages.push(Message::new(Role::User, pair.prompt.as_str()));
            messages.push(Message::new(Role::Assistant, answer(pair)));
        }
        messages.push(Message::new(Role::User, row.target.prompt.as_str()));
        messages
    };
    let continuations = vec![
        model.encode(&row.target.chosen)?,
        model.encode(&row.target.rejected)?,
    ];
    let requests = [turns(|p| &p.chosen), turns(|p| &p.rejected)]
        .into_iter()
        .map(|messages| {
            Ok(ScoreRequest {
                prefix: model.encode_prompt(&model.render(&messages)?)?,
                continuations: continuations.clone(),
                adapter: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let rows = model.score(&requests, cancel)?;
    let margin = |r: &[Vec<f32>]| likelihood::total(&r[0]) - likelihood::total(&r[1]);
    Ok(margin(&rows[0]) - margin(&rows[1]))
}

/// Two margins joined, each over its own root mean square, the second at `weight` (.3 carried, without a fit).
pub fn fused(first: &[f64], second: &[f64], weight: f64) -> Vec<f64> {
    let rms = |v: &[f64]| {
        let r = (v.iter().map(|x| x * x).sum::<f64>() / v.len().max(1) as f64).sqrt();
        if r > 1e-12 { r } else { 1.0 }
    };
    let (a, b) = (rms(first), rms(second));
    first
        .iter()
        .zip(second)
        .map(|(x, y)| x / a + weight * y / b)
        .collect()
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
mod tests {
    use super::*;
    use idiolect_llm::testing::FakeModel;

    fn pair(prompt: &str, chosen: &str, rejected: &str) -> Pair {
        Pair {
            prompt: prompt.into(),
            chosen: chosen.into(),
            rejected: rejected.into(),
        }
    }

    /// One user likes exclamations, one likes long words; answers are equally long.
    fn rows() -> Vec<Row> {
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
                axis: "tone".into(),
                target: pair("Say more.", lively[0], learned[0]),
                history: history(lively, learned),
            },
            Row {
                persona: "learned".into(),
                axis: "tone".into(),
                target: pair("Say more.", learned[0], lively[0]),
                history: history(learned, lively),
            },
        ]
    }

    #[test]
    fn a_history_predicts_its_own_user_and_not_the_other() {
        let m = counted(&rows()).unwrap();
        assert_eq!(accuracy(&m.bayes), 1.0, "{:?}", m.bayes);
        assert_eq!(
            accuracy(&m.wrong_user.iter().map(|s| s - 0.5).collect::<Vec<_>>()),
            0.0,
            "{:?}",
            m.wrong_user
        );
        assert_eq!(flip_share(&m.bayes, &m.reversed), 1.0);
        for (a, b) in m.bayes.iter().zip(&m.reversed) {
            assert!((a + b).abs() < 1e-8, "odd in the history: {a} {b}");
        }
        assert_eq!(m.length_matched.len(), 2);
    }

    #[test]
    fn controls_know_nothing_but_length() {
        let mut r = rows();
        r.truncate(1);
        r[0].target = pair("?", "one two three four", "one two");
        r[0].history = vec![pair("?", "one", "one two three")];
        let m = counted(&r).unwrap();
        assert!(m.longer[0] > 0.0 && m.copied_length[0] < 0.0, "{m:?}");
        assert!(!m.length_matched[0]);
        r[0].history = vec![pair("?", "one", "two")];
        assert_eq!(
            counted(&r).unwrap().copied_length[0],
            0.0,
            "no direction to copy"
        );
    }

    #[test]
    fn the_contrast_is_odd_in_the_history() {
        let model = FakeModel::new();
        let cancel = Cancel::new();
        let row = rows().remove(0);
        let forward = contrast(&model, &row, &cancel).unwrap();
        let mut turned = row.clone();
        for p in &mut turned.history {
            std::mem::swap(&mut p.chosen, &mut p.rejected);
        }
        let back = contrast(&model, &turned, &cancel).unwrap();
        assert!(forward != 0.0, "the history has an effect");
        assert!(
            (forward + back).abs() < 1e-3 * forward.abs(),
            "{forward} {back}"
        );
    }

    #[test]
    fn shares_are_counted_by_hand() {
        assert_eq!(accuracy(&[1.0, -1.0, 0.0, 2.0]), 0.625);
        assert_eq!(flip_share(&[1.0, 1.0, -1.0], &[-1.0, 1.0, 1.0]), 0.5);
        let f = fused(&[2.0, -2.0], &[-1.0, 1.0], 0.3);
        assert!(
            (f[0] - 0.7).abs() < 1e-12 && (f[1] + 0.7).abs() < 1e-12,
            "{f:?}"
        );
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
