//! Does a reading say something stable about a writer? Whether an author's unseen texts are closer to their own profile
//! than to other authors', and the split-half reliability of every dimension.

use idiolect_core::{
    Interval, UserError,
    eval::{EvalReport, EvalResult},
    space::space,
};
use idiolect_persona::{
    Instruments, MemoryCache,
    calibration::{Calibration, CalibrationFile},
    dimensions::{self, Scope, TextScores},
    reliability::{self, ProfileMargin},
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::{
    Fit, Subject,
    cohort::{Cohort, Split},
    data::Folder,
    rows::RowCache,
    statistics::{bootstrap, interval_of_mean, mean},
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace},
    errors::{Told, usage},
    models::{default_model_ids, hex},
};

/// Texts an author at most, where the request names no number.
const TEXTS: u32 = 8;
/// Times that texts are dealt to authors at random, for the control.
const DEALS: u64 = 20;

/// `[author][text][dimension]`, NaN = not scored.
type Standings = Vec<Vec<Vec<f64>>>;
/// `[split][author]`: mean standings of the profile's texts and of the unseen ones.
type Halves = Vec<Vec<(Vec<f64>, Vec<f64>)>>;

/// The texts of a run.
pub(super) struct Plan {
    corpus: String,
    cohort: Cohort,
    sha256: String,
}

pub(super) fn plan(folder: &Folder, request: &EvalRequest) -> Result<Plan, UserError> {
    let most = request.texts.unwrap_or(TEXTS);
    if most < 2 {
        return Err(usage(
            "--texts must be at least 2: one text for a profile and one that is unseen.",
            format!("Leave it away for {TEXTS} texts an author."),
        ));
    }
    let corpus = request.corpus.clone().unwrap_or("cmcc21".to_owned());
    let (authors, sha256) = folder.corpus(&corpus)?;
    let cohort = Cohort::of(&corpus, authors, request.limit, most as usize, request.seed)?;
    Ok(Plan {
        corpus,
        cohort,
        sha256,
    })
}

pub(super) fn run(
    ctx: &mut Ctx,
    plan: &Plan,
    subject: Subject<'_>,
    request: &EvalRequest,
) -> Result<EvalReport, UserError> {
    let shipped = CalibrationFile::shipped();
    let measured_here = shipped.holds_for(subject.model.info());
    let fit = if measured_here {
        Fit::of(&shipped.fitted_on, &plan.sha256)
    } else {
        Fit::Shipped
    };
    let (scores, frozen) = score(ctx, plan, subject, fit, request)?;
    let judged = Judged {
        cohort: &plan.cohort,
        scores,
        frozen,
        seed: request.seed,
    };
    let mut notes = vec![
        match fit {
            Fit::Nested => "This is the file that the shipped means and spreads were fitted on: they were measured anew for each split, on the texts of its profile side.".to_owned(),
            Fit::Shipped if measured_here => "Means and spreads are the shipped ones.".to_owned(),
            Fit::Shipped => "Means and spreads were measured on our own passages, as for any model but the default one.".to_owned(),
        },
        plan.cohort.words(),
        format!(
            "{} authors, {} texts of {}. Intervals: bootstrap over authors. wrong_author: every other author in turn, averaged. authors_shuffled: the same texts dealt to authors at random within their cells, mean of {DEALS} deals.",
            plan.cohort.texts.len(),
            plan.cohort.texts.iter().map(Vec::len).sum::<usize>(),
            plan.corpus
        ),
    ];
    let mut results = judged.margins();
    results.extend(judged.reliabilities(shipped.least_reliability(), &mut notes));
    Ok(EvalReport {
        eval: "reliability".to_owned(),
        model: subject.id.to_owned(),
        n: plan.cohort.texts.len() as u32,
        fit: fit.name(),
        results,
        notes,
    })
}

/// Raw scores of every text, and the standards that hold whatever the split, if the fit is not nested.
fn score(
    ctx: &mut Ctx,
    plan: &Plan,
    subject: Subject<'_>,
    fit: Fit,
    request: &EvalRequest,
) -> Result<(Vec<Vec<TextScores>>, Option<Calibration>), UserError> {
    // The embedder serves the noisy channel alone, and only where the standards in force know that source.
    let hears = CalibrationFile::shipped().standards().hears_channel();
    let (embedder, embedder_sha256) = if hears {
        let id = default_model_ids()[1];
        ctx.studio.models.pull(ctx, id, true)?;
        let file = ctx
            .studio
            .models
            .ready(&ctx.studio.store, id, ctx.cancel())?;
        (ctx.studio.models.embedder(ctx), Some(file.sha256))
    } else {
        (None, None)
    };
    let rows = RowCache::open(
        ctx,
        subject.sha256,
        embedder_sha256.as_deref(),
        &plan.sha256,
        request,
    )?;
    let total: usize = plan.cohort.texts.iter().map(Vec::len).sum();
    ctx.stage(
        "reliability",
        format!(
            "{} authors, {total} texts of {}",
            plan.cohort.texts.len(),
            plan.corpus
        ),
    );
    // For what the texts share (texts that say nothing): finished rows are `rows`' business.
    let cache = MemoryCache::default();
    let cancel = ctx.cancel().clone();
    let with = Instruments {
        model: subject.model,
        embedder: embedder.as_deref(),
        cache: &cache,
        cancel: &cancel,
    };
    let frozen = match fit {
        Fit::Nested => None,
        Fit::Shipped => {
            Some(dimensions::calibration(&with, Scope::Everything, &mut |_| {}).told()?)
        }
    };
    let pace = Pace::new(total as u64, "texts");
    let mut done = 0;
    let mut scores = Vec::new();
    for texts in &plan.cohort.texts {
        let mut own = Vec::new();
        for text in texts {
            ctx.check()?;
            let mut hasher = Sha256::new();
            hasher.update(text.text.as_bytes());
            let key = hex(hasher);
            own.push(match rows.get::<TextScores>(&key) {
                Some(known) => known,
                None => {
                    let scored =
                        dimensions::score_text(&with, &text.text, Scope::Everything).told()?;
                    rows.put(ctx, &key, &scored);
                    scored
                }
            });
            done += 1;
            ctx.emit(pace.at(done, "Reading dimensions"));
        }
        scores.push(own);
    }
    Ok((scores, frozen))
}

struct Judged<'a> {
    cohort: &'a Cohort,
    scores: Vec<Vec<TextScores>>,
    /// The standards in force; `None` = measured anew on each split's profile side.
    frozen: Option<Calibration>,
    seed: u64,
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
                    .map(|t| {
                        calibration
                            .standings(t)
                            .into_iter()
                            .map(|z| z.unwrap_or(f64::NAN))
                            .collect()
                    })
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

    fn margins(&self) -> Vec<EvalResult> {
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

    fn reliabilities(&self, least: f64, notes: &mut Vec<String>) -> Vec<EvalResult> {
        let halvings = self.cohort.halvings(self.seed);
        let halves = self.halves(&halvings, None);
        let dealt: Vec<Halves> = (1..=DEALS)
            .map(|deal| self.halves(&halvings, Some(deal)))
            .collect();
        let n = self.cohort.texts.len();
        let everyone: Vec<usize> = (0..n).collect();
        let mut results = Vec::new();
        for (d, dimension) in space().iter().enumerate() {
            let Some(value) = of_dimension(&halves, d, &everyone) else {
                continue;
            };
            let interval = bootstrap(n, self.seed, |drawn| of_dimension(&halves, d, drawn));
            let controls: Vec<f64> = dealt
                .iter()
                .filter_map(|deal| of_dimension(deal, d, &everyone))
                .collect();
            results.push(EvalResult {
                name: format!("split_half/{}", dimension.id),
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
            "{} of {} dimensions reach {least:.2}, which the studio asks of a dimension; the others default to “not enough evidence”. The luckiest of so many dimensions of pure noise reaches {luck:.2} in 5 of 100 cohorts of this size; {} reach that.",
            reach(least),
            results.len(),
            reach(luck)
        ));
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
