//! The few numbers the methods need beyond a row's own history, and how they are fitted: on rows of other prompts only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    COUNTED, Counted, Row,
    agreement::{agreement, direction, weights},
    scaled, scales,
};

/// How much weights are held back: with a few hundred rows a weight has to be earned. Of 3, 10 and 30 the last; on these rows
/// all three are right within two rows in a hundred of each other.
const RIDGE: f64 = 30.0;

/// What is standardised by, and how much each number's agreement counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constants {
    /// Root mean square of every counted feature's difference.
    pub scales: Vec<f64>,
    /// What each counted feature's agreement counts where there is no model, ≥ 0.
    pub counted: Vec<f64>,
    /// The same beside the model's contrast.
    pub beside_model: Vec<f64>,
    /// What the model's contrast counts beside them, a nat.
    pub contrast: f64,
}

/// The file of `assets/psoups_calibration.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConstantsFile {
    /// SHA-256 of the files the numbers were fitted on.
    pub fitted_on: Vec<String>,
    /// Rows of them.
    pub rows: u32,
    /// Model of the contrast.
    pub model: String,
    /// How they were fitted.
    pub note: String,
    /// The numbers.
    pub constants: Constants,
}

impl ConstantsFile {
    /// The shipped file.
    pub fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<ConstantsFile> = OnceLock::new();
        SHIPPED.get_or_init(|| {
            serde_json::from_str(include_str!("../../../../assets/psoups_calibration.json"))
                .expect("the shipped constants parse (tested)")
        })
    }
}

/// What the methods say of one row: margins, > 0 = the chosen answer is predicted, 0 = no idea.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Margins {
    /// Agreement of counted features with the row's own history.
    pub counted: f64,
    /// Counted and the model's contrast together.
    pub fused: f64,
    /// Both with the history's labels exchanged.
    pub reversed: f64,
    /// The counted method with the history of every row of another persona (row of the history, margin).
    pub counted_wrong: Vec<(usize, f64)>,
    /// Both together with the wrong users' histories that the model was given.
    pub fused_wrong: Vec<(usize, f64)>,
}

/// The model's contrast of one row after its own history, and after wrong users' (row of the history, contrast).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contrast {
    /// Own history.
    pub own: f64,
    /// Wrong users' histories.
    pub wrong: Vec<(usize, f64)>,
}

impl Constants {
    /// Fits on the rows `training`, less those whose history answers a held-out row's prompt: a row has no part in the
    /// numbers it is judged with.
    pub fn fit(rows: &[Row], counted: &Counted, contrast: &[Contrast], training: &[usize]) -> Self {
        let training: BTreeSet<usize> = training.iter().copied().collect();
        let held_out: BTreeSet<&str> = (0..rows.len())
            .filter(|i| !training.contains(i))
            .map(|i| rows[i].target.prompt.as_str())
            .collect();
        let touched = |i: &usize| {
            let mut history = rows[*i].history.iter();
            history.any(|pair| held_out.contains(pair.prompt.as_str()))
        };
        let training: Vec<usize> = training.iter().copied().filter(|i| !touched(i)).collect();
        let histories = training.iter().flat_map(|&i| &counted.histories[i]);
        let scales = scales(
            training
                .iter()
                .map(|&i| &counted.targets[i])
                .chain(histories),
        );
        let mut rows: Vec<Vec<f64>> = training
            .iter()
            .map(|&i| {
                let target = scaled(&counted.targets[i], &scales);
                agreement(&direction(&counted.histories[i], &scales), &target)
            })
            .collect();
        let alone = weights(&rows, COUNTED, RIDGE);
        for (row, &i) in rows.iter_mut().zip(&training) {
            row.push(contrast[i].own);
        }
        let mut beside_model = weights(&rows, COUNTED + 1, RIDGE);
        let contrast = beside_model.pop().unwrap_or_default();
        Self {
            scales,
            counted: alone,
            beside_model,
            contrast,
        }
    }

    /// What every method says of the rows `test`, in their order.
    pub fn predict(
        &self,
        rows: &[Row],
        counted: &Counted,
        contrast: &[Contrast],
        test: &[usize],
    ) -> Vec<Margins> {
        let directions: Vec<Vec<f64>> = counted
            .histories
            .iter()
            .map(|history| direction(history, &self.scales))
            .collect();
        let reversed = counted.reversed();
        test.iter()
            .map(|&i| {
                let target = scaled(&counted.targets[i], &self.scales);
                let margin = |direction: &[f64], weights: &[f64]| -> f64 {
                    agreement(direction, &target)
                        .iter()
                        .zip(weights)
                        .map(|(a, w)| a * w)
                        .sum()
                };
                let fused = |direction: &[f64], nats: f64| {
                    margin(direction, &self.beside_model) + self.contrast * nats
                };
                Margins {
                    counted: margin(&directions[i], &self.counted),
                    fused: fused(&directions[i], contrast[i].own),
                    // The contrast is odd in the history by construction.
                    reversed: fused(
                        &direction(&reversed.histories[i], &self.scales),
                        -contrast[i].own,
                    ),
                    counted_wrong: (0..rows.len())
                        .filter(|&other| rows[other].persona != rows[i].persona)
                        .map(|other| (other, margin(&directions[other], &self.counted)))
                        .collect(),
                    fused_wrong: contrast[i]
                        .wrong
                        .iter()
                        .map(|&(other, nats)| (other, fused(&directions[other], nats)))
                        .collect(),
                }
            })
            .collect()
    }

    /// Whether there is a scale and a weight for every feature.
    pub fn complete(&self) -> bool {
        [&self.scales, &self.counted, &self.beside_model]
            .iter()
            .all(|numbers| numbers.len() == COUNTED)
    }
}

/// Rows in `n` seeded folds; all rows of a prompt are in one.
pub fn folds(rows: &[Row], n: usize, seed: u64) -> Vec<Vec<usize>> {
    let prompts: BTreeSet<&str> = rows.iter().map(|r| r.target.prompt.as_str()).collect();
    let mut prompts: Vec<&str> = prompts.into_iter().collect();
    prompts.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let fold: BTreeMap<&str, usize> = prompts.into_iter().zip((0..n.max(1)).cycle()).collect();
    let mut out = vec![Vec::new(); n.max(1)];
    for (i, row) in rows.iter().enumerate() {
        out[fold[row.target.prompt.as_str()]].push(i);
    }
    out.retain(|rows| !rows.is_empty());
    out
}

/// For every row one seeded row of each other persona: whose history is the wrong one.
pub fn wrong_users(rows: &[Row], seed: u64) -> Vec<Vec<usize>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut by_persona: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        by_persona.entry(&row.persona).or_default().push(i);
    }
    rows.iter()
        .map(|row| {
            by_persona
                .iter()
                .filter(|(persona, _)| **persona != row.persona)
                .map(|(_, rows)| rows[random.random_range(0..rows.len())])
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{pair, rows},
        *,
    };

    fn silent(n: usize) -> Vec<Contrast> {
        vec![Contrast::default(); n]
    }

    #[test]
    fn a_history_predicts_its_own_user_and_not_the_other() {
        let rows = rows();
        let counted = Counted::of(&rows);
        let mut contrast = silent(2);
        contrast[0].wrong = vec![(1, -4.0)];
        let all = [0, 1];
        let constants = Constants::fit(&rows, &counted, &contrast, &all);
        for m in constants.predict(&rows, &counted, &contrast, &all) {
            assert!(m.counted > 0.0, "{m:?}");
            assert!(m.counted_wrong.iter().all(|(_, w)| *w < 0.0), "{m:?}");
            assert!(m.fused_wrong.iter().all(|(_, w)| *w < 0.0), "{m:?}");
            assert!(
                (m.fused + m.reversed).abs() < 1e-8,
                "odd in the history: {m:?}"
            );
        }
    }

    #[test]
    fn a_held_out_row_has_no_part_in_its_own_numbers() {
        let mut rows = rows();
        rows.push(rows[1].clone());
        rows[1].target.prompt = "Another question.".into();
        rows[2].target.prompt = "A third question.".into();
        let held_out = rows[0].target.clone();
        rows[2].history.push(held_out);
        let contrast = silent(3);
        let fit = |rows: &[Row]| Constants::fit(rows, &Counted::of(rows), &contrast, &[1, 2]);
        let before = fit(&rows);
        let prompt = rows[0].target.prompt.clone();
        let odd = pair(&prompt, "One!", "Two? Three, four.");
        rows[0].target = odd.clone();
        *rows[2].history.last_mut().unwrap() = odd.clone();
        assert_eq!(before, fit(&rows), "neither as a row nor in a history");
        rows[1]
            .history
            .push(pair("Else?", &odd.chosen, &odd.rejected));
        assert_ne!(before, fit(&rows), "a pair of another prompt counts");
    }

    #[test]
    fn folds_keep_prompts_together_and_wrong_users_are_others() {
        let mut many = Vec::new();
        for i in 0..12 {
            for mut row in rows() {
                row.target.prompt = format!("Question {}", i / 2);
                many.push(row);
            }
        }
        let folds = folds(&many, 4, 1);
        assert_eq!(folds.iter().map(Vec::len).sum::<usize>(), many.len());
        let prompts = |fold: &Vec<usize>| -> BTreeSet<String> {
            fold.iter()
                .map(|&i| many[i].target.prompt.clone())
                .collect()
        };
        for (i, fold) in folds.iter().enumerate() {
            for other in &folds[i + 1..] {
                assert!(prompts(fold).is_disjoint(&prompts(other)));
            }
        }
        for (i, wrong) in wrong_users(&many, 1).iter().enumerate() {
            assert_eq!(wrong.len(), 1, "one of each other persona");
            assert_ne!(many[wrong[0]].persona, many[i].persona);
        }
    }

    #[test]
    fn the_shipped_constants_are_complete_and_say_what_they_were_fitted_on() {
        let file = ConstantsFile::shipped();
        assert!(file.constants.complete());
        assert!(
            file.fitted_on
                .iter()
                .all(|sha| sha.len() == 64 && sha.bytes().all(|b| b.is_ascii_hexdigit()))
        );
        assert!(!file.fitted_on.is_empty() && file.rows > 0);
        let Constants {
            scales,
            counted,
            beside_model,
            contrast,
        } = &file.constants;
        assert!(scales.iter().all(|s| *s > 0.0 && s.is_finite()));
        for weights in [counted, beside_model] {
            assert!(weights.iter().all(|w| *w >= 0.0 && w.is_finite()));
            assert!(weights.iter().any(|w| *w > 0.0));
        }
        assert!(*contrast > 0.0 && contrast.is_finite());
    }
}
