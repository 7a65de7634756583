//! The few numbers the methods need beyond a row's own history, and how they are fitted: on rows of other prompts only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{COUNTED, Counted, Row, accuracy, scaled, scales};
use crate::{Result, taste::TasteModel};

/// Prior variances to choose from; the first wins a tie.
const PRIORS: [f64; 3] = [TasteModel::PRIOR_VARIANCE, 0.01, 1.0];
/// Weights of the model's contrast to choose from; the first wins a tie.
const WEIGHTS: [f64; 3] = [0.3, 0.1, 1.0];

/// What is standardised by, and how much each source counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constants {
    /// Root mean square of every counted feature's difference.
    pub scales: Vec<f64>,
    /// Prior variance of a taste weight.
    pub prior_variance: f64,
    /// Root mean square of the counted margin.
    pub counted_rms: f64,
    /// Root mean square of the model's contrast.
    pub contrast_rms: f64,
    /// What the contrast counts beside the counted margin, each over its root mean square.
    pub weight: f64,
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
    /// Zero-mean Bayes over counted features of the row's own history.
    pub counted: f64,
    /// The same with the history's labels exchanged.
    pub reversed: f64,
    /// Counted and the model's contrast together.
    pub fused: f64,
    /// The counted method with the history of every row of another persona.
    pub counted_wrong: Vec<f64>,
    /// Both together with the wrong users' histories that the model was given.
    pub fused_wrong: Vec<f64>,
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
    ///
    /// # Errors
    /// A text whose features are not finite.
    pub fn fit(
        rows: &[Row],
        counted: &Counted,
        contrast: &[Contrast],
        training: &[usize],
    ) -> Result<Self> {
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
        let mut best: Option<(f64, f64, Vec<f64>)> = None;
        for prior in PRIORS {
            let tastes = counted.tastes(&scales, prior)?;
            let margins: Vec<f64> = training
                .iter()
                .map(|&i| tastes[i].margin(&scaled(&counted.targets[i], &scales)))
                .collect();
            let right = accuracy(&margins);
            if best.as_ref().is_none_or(|(most, ..)| right > *most) {
                best = Some((right, prior, margins));
            }
        }
        let (_, prior_variance, margins) = best.unwrap_or((0.0, PRIORS[0], Vec::new()));
        let contrast: Vec<f64> = training.iter().map(|&i| contrast[i].own).collect();
        let mut constants = Self {
            scales,
            prior_variance,
            counted_rms: root_mean_square(&margins),
            contrast_rms: root_mean_square(&contrast),
            weight: WEIGHTS[0],
        };
        let mut most = f64::NEG_INFINITY;
        for weight in WEIGHTS {
            let tried = Self {
                weight,
                ..constants.clone()
            };
            let fused: Vec<f64> = margins
                .iter()
                .zip(&contrast)
                .map(|(a, b)| tried.fused(*a, *b))
                .collect();
            let right = accuracy(&fused);
            if right > most {
                most = right;
                constants.weight = weight;
            }
        }
        Ok(constants)
    }

    /// A counted margin and a contrast as one.
    pub fn fused(&self, counted: f64, contrast: f64) -> f64 {
        counted / self.counted_rms + self.weight * contrast / self.contrast_rms
    }

    /// What every method says of the rows `test`, in their order.
    ///
    /// # Errors
    /// A text whose features are not finite.
    pub fn predict(
        &self,
        rows: &[Row],
        counted: &Counted,
        contrast: &[Contrast],
        test: &[usize],
    ) -> Result<Vec<Margins>> {
        let tastes = counted.tastes(&self.scales, self.prior_variance)?;
        let turned = counted
            .reversed()
            .tastes(&self.scales, self.prior_variance)?;
        Ok(test
            .iter()
            .map(|&i| {
                let target = scaled(&counted.targets[i], &self.scales);
                let own = tastes[i].margin(&target);
                Margins {
                    counted: own,
                    reversed: turned[i].margin(&target),
                    fused: self.fused(own, contrast[i].own),
                    counted_wrong: (0..rows.len())
                        .filter(|&other| rows[other].persona != rows[i].persona)
                        .map(|other| tastes[other].margin(&target))
                        .collect(),
                    fused_wrong: contrast[i]
                        .wrong
                        .iter()
                        .map(|&(other, c)| self.fused(tastes[other].margin(&target), c))
                        .collect(),
                }
            })
            .collect())
    }

    /// Whether there is a scale for every feature.
    pub fn complete(&self) -> bool {
        self.scales.len() == COUNTED
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

fn root_mean_square(values: &[f64]) -> f64 {
    let squares: f64 = values.iter().map(|v| v * v).sum();
    let rms = (squares / values.len().max(1) as f64).sqrt();
    if rms > 1e-12 { rms } else { 1.0 }
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
        let constants = Constants::fit(&rows, &counted, &contrast, &all).unwrap();
        for m in constants.predict(&rows, &counted, &contrast, &all).unwrap() {
            assert!(m.counted > 0.0, "{m:?}");
            assert!(m.counted_wrong.iter().all(|w| *w < 0.0), "{m:?}");
            assert!(m.fused_wrong.iter().all(|w| *w < 0.0), "{m:?}");
            assert!(
                (m.counted + m.reversed).abs() < 1e-8,
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
        let fit =
            |rows: &[Row]| Constants::fit(rows, &Counted::of(rows), &contrast, &[1, 2]).unwrap();
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
        for value in file.constants.scales.iter().chain([
            &file.constants.prior_variance,
            &file.constants.counted_rms,
            &file.constants.contrast_rms,
            &file.constants.weight,
        ]) {
            assert!(*value > 0.0 && value.is_finite(), "{value}");
        }
    }
}
