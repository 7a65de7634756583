//! What scores of texts whose authors are known say: own profile against wrong authors', and every dimension's split-half
//! reliability, each beside the same texts dealt to authors at random.

use idiolect_core::{Interval, eval::EvalResult, space::space};
use idiolect_persona::{
    calibration::Calibration,
    dimensions::TextScores,
    reliability::{self, ProfileMargin},
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    cohort::{Cohort, Split},
    statistics::{bootstrap, interval_of_mean, mean, median},
};

/// Times that texts are dealt to authors at random, for the control.
pub(super) const DEALS: u64 = 20;

/// `[author][text][dimension]`, NaN = not scored.
type Standings = Vec<Vec<Vec<f64>>>;
/// `[split][author]`: mean standings of the profile's texts and of the unseen ones.
type Halves = Vec<Vec<(Vec<f64>, Vec<f64>)>>;

/// The texts' scores and what they are standardised by.
pub(super) struct Judged<'a> {
    pub(super) cohort: &'a Cohort,
    pub(super) scores: Vec<Vec<TextScores>>,
    /// The standards in force; `None` = measured anew on each split's profile side.
    pub(super) frozen: Option<Calibration>,
    pub(super) seed: u64,
}

impl Judged<'_> {
    fn standings(&self, split: &Split) -> Standings {
        let measured;
        let calibration = match &self.frozen {
            Some(frozen) => frozen,
            None => {
                measured = Calibration::measured(
                    split
                        .iter()
                        .zip(&self.scores)
                        .flat_map(|((profile, _), texts)| profile.iter().map(|&t| &texts[t])),
                );
                &measured
            }
        };
        self.scores
            .iter()
            .map(|texts| {
                texts
                    .iter()
                    .map(|t| calibration.standings_or_nan(t))
                    .collect()
            })
            .collect()
    }

    /// Both sides' means in every split; with `deal`, after the texts of each stratum changed hands at random.
    fn halves(&self, splits: &[Split], deal: Option<u64>) -> Halves {
        let strata = self.cohort.strata();
        splits
            .iter()
            .map(|split| {
                let mut standings = self.standings(split);
                if let Some(deal) = deal {
                    // One deal for all splits: the shuffled authors are the same throughout.
                    let mut random = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(deal));
                    for places in &strata {
                        let mut dealt: Vec<Vec<f64>> = places
                            .iter()
                            .map(|&(a, t)| standings[a][t].clone())
                            .collect();
                        dealt.shuffle(&mut random);
                        for (&(a, t), text) in places.iter().zip(dealt) {
                            standings[a][t] = text;
                        }
                    }
                }
                split
                    .iter()
                    .zip(&standings)
                    .map(|((profile, unseen), texts)| {
                        (
                            reliability::mean_vector(texts, profile),
                            reliability::mean_vector(texts, unseen),
                        )
                    })
                    .collect()
            })
            .collect()
    }

    /// Own profile against wrong authors' on unseen texts.
    pub(super) fn margins(&self) -> Vec<EvalResult> {
        let splits = self.cohort.splits(self.seed);
        let Some(found) = reliability::margin(&self.halves(&splits, None)) else {
            return Vec::new();
        };
        let dealt: Vec<ProfileMargin> = (1..=DEALS)
            .filter_map(|deal| reliability::margin(&self.halves(&splits, Some(deal))))
            .collect();
        let shuffled =
            |of: fn(&ProfileMargin) -> f64| mean(&dealt.iter().map(of).collect::<Vec<_>>());
        let margins = found.margins();
        let authors: Vec<usize> = (0..margins.len()).collect();
        vec![
            EvalResult {
                name: "own_minus_wrong_author_margin".to_owned(),
                value: mean(&margins),
                interval: interval_of_mean(&margins, &authors, self.seed),
                unit: "squared standard deviations a dimension; above 0 = something personal"
                    .to_owned(),
                controls: [
                    ("own".to_owned(), mean(&found.own)),
                    ("wrong_author".to_owned(), mean(&found.wrong)),
                    (
                        "authors_shuffled".to_owned(),
                        shuffled(|m| mean(&m.margins())),
                    ),
                ]
                .into(),
            },
            EvalResult {
                name: "own_profile_closest".to_owned(),
                value: found.top1(),
                interval: interval_of_mean(&found.closest, &authors, self.seed),
                unit: "share of authors and splits".to_owned(),
                controls: [
                    ("chance".to_owned(), found.chance),
                    ("authors_shuffled".to_owned(), shuffled(ProfileMargin::top1)),
                ]
                .into(),
            },
        ]
    }

    /// Split-half reliability of every dimension; how many reach what is asked goes into `notes`.
    pub(super) fn reliabilities(&self, least: f64, notes: &mut Vec<String>) -> Vec<EvalResult> {
        let halvings = self.cohort.halvings(self.seed);
        let halves = self.halves(&halvings, None);
        let dealt: Vec<Halves> = (1..=DEALS)
            .map(|deal| self.halves(&halvings, Some(deal)))
            .collect();
        let n = self.cohort.texts.len();
        let everyone: Vec<usize> = (0..n).collect();
        let of_all = |halves: &Halves, who: &[usize]| -> Vec<Option<f64>> {
            let dimensions = 0..space().len();
            dimensions.map(|d| of_dimension(halves, d, who)).collect()
        };
        let middle = |found: Vec<Option<f64>>| median(found.into_iter().flatten().collect());
        let own = of_all(&halves, &everyone);
        let shuffled: Vec<Vec<Option<f64>>> =
            dealt.iter().map(|deal| of_all(deal, &everyone)).collect();
        let mut results = Vec::new();
        for (d, dimension) in space().iter().enumerate() {
            let Some(value) = own[d] else {
                continue;
            };
            let interval = bootstrap(n, self.seed, |drawn| of_dimension(&halves, d, drawn));
            let controls: Vec<f64> = shuffled.iter().filter_map(|deal| deal[d]).collect();
            results.push(EvalResult {
                name: format!("split_half_{}", dimension.id),
                value,
                interval: interval.unwrap_or(Interval::new(-1.0, 1.0)),
                unit: "Spearman-Brown correlation".to_owned(),
                controls: [
                    ("authors_shuffled".to_owned(), mean(&controls)),
                    ("threshold".to_owned(), least),
                ]
                .into(),
            });
        }
        let luck = self.luck(&halvings, results.len());
        let reach = |bound: f64| results.iter().filter(|r| r.value >= bound).count();
        notes.push(format!(
            "{} of {} dimensions reach {least:.2}, the threshold; the luckiest of so many dimensions of pure noise reaches {luck:.2} in 5 of 100 cohorts of this size, and {} reach that. Which dimensions the studio believes is decided by the reliabilities it ships, with the same threshold; the others default to “not enough evidence”.",
            reach(least),
            results.len(),
            reach(luck)
        ));
        if let Some(value) = middle(own) {
            let interval = bootstrap(n, self.seed, |drawn| middle(of_all(&halves, drawn)));
            let shuffled: Vec<f64> = shuffled.into_iter().filter_map(middle).collect();
            results.push(EvalResult {
                name: "split_half_median".to_owned(),
                value,
                interval: interval.unwrap_or(Interval::new(-1.0, 1.0)),
                unit: "Spearman-Brown correlation, median over dimensions".to_owned(),
                controls: [("authors_shuffled".to_owned(), mean(&shuffled))].into(),
            });
        }
        results
    }

    /// What the luckiest of `dimensions` reaches on these very splits when scores are noise.
    fn luck(&self, halvings: &[Split], dimensions: usize) -> f64 {
        reliability::luckiest(dimensions, self.seed, |random| {
            let noise: Vec<Vec<f64>> = self
                .scores
                .iter()
                .map(|texts| texts.iter().map(|_| reliability::noise(random)).collect())
                .collect();
            let side = |a: usize, which: &[usize]| {
                which.iter().map(|&t| noise[a][t]).sum::<f64>() / which.len() as f64
            };
            let halves: Vec<Vec<(f64, f64)>> = halvings
                .iter()
                .map(|split| {
                    split
                        .iter()
                        .enumerate()
                        .map(|(a, (x, y))| (side(a, x), side(a, y)))
                        .collect()
                })
                .collect();
            reliability::stepped_up(&halves)
        })
    }
}

/// Split-half reliability of one dimension over the authors `drawn`.
fn of_dimension(halves: &Halves, d: usize, drawn: &[usize]) -> Option<f64> {
    let column: Vec<Vec<(f64, f64)>> = halves
        .iter()
        .map(|authors| {
            drawn
                .iter()
                .map(|&a| (authors[a].0[d], authors[a].1[d]))
                .collect()
        })
        .collect();
    reliability::stepped_up(&column)
}
