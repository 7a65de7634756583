//! P-Soups: do a few earlier choices of a user predict the next one? Counted habits and the model's own signal, next to
//! the rule that only copies the history's length direction and to other users' histories.

use std::collections::BTreeMap;

use idiolect_core::{
    UserError,
    eval::{EvalReport, EvalResult},
};
use idiolect_llm::TextModel;
use idiolect_persona::psoups::{
    self, Constants, ConstantsFile, Contrast, Counted, Margins, Pair, Row, accuracy,
};

use super::{
    Fit, Subject,
    data::{Folder, stratified},
    rows::{RowCache, key_of},
    statistics::{interval_of_mean, mean},
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace},
    errors::{Told, not_enough, usage},
};

/// Folds of the nested cross-validation, by prompt.
const FOLDS: usize = 5;

/// The rows of a run.
pub(super) struct Plan {
    rows: Vec<Row>,
    /// For every row one row of each other persona.
    wrong: Vec<Vec<usize>>,
    sha256: String,
    pub(super) fit: Fit,
    /// Ask how well a part of each history does, not how well all of it does.
    lengths: bool,
}

pub(super) fn plan(folder: &Folder, request: &EvalRequest) -> Result<Plan, UserError> {
    if request.corpus.is_some() || request.texts.is_some() {
        return Err(usage(
            format!("`eval {}` reads no corpus.", request.name),
            "Leave --corpus and --texts away; --limit says how many rows.",
        ));
    }
    let read = folder.eval::<Row>("psoups")?;
    let rows = stratified(read.rows, request.limit, request.seed, |row| {
        row.persona.clone()
    });
    let wrong = psoups::wrong_users(&rows, request.seed);
    if wrong.iter().any(Vec::is_empty) || rows.is_empty() {
        return Err(not_enough(
            "Fewer than two personas are among these rows, so there is no wrong user to compare with.",
            "Raise --limit, or use a file with several personas.",
        ));
    }
    if psoups::folds(&rows, 2, request.seed).len() < 2 {
        return Err(not_enough(
            "All of these rows ask one prompt, so nothing can be said about others.",
            "Raise --limit, or use a file with several prompts.",
        ));
    }
    let fit = Fit::of(&ConstantsFile::shipped().fitted_on, &read.sha256);
    Ok(Plan {
        rows,
        wrong,
        sha256: read.sha256,
        fit,
        lengths: request.name == "history",
    })
}

/// Pairs of a history that `history` gives the methods.
const LENGTHS: [usize; 3] = [1, 2, 4];

pub(super) fn run(
    ctx: &mut Ctx,
    plan: &Plan,
    subject: Subject<'_>,
    request: &EvalRequest,
) -> Result<EvalReport, UserError> {
    let Plan { rows, fit, .. } = plan;
    ctx.stage(
        "counted",
        format!("{} rows, counted habits first", rows.len()),
    );
    let cache = RowCache::open(ctx, subject.sha256, None, &plan.sha256, request)?;
    let whole = Read::of(ctx, rows, &plan.wrong, subject.model, &cache)?;
    let results = if plan.lengths {
        by_length(ctx, plan, &whole, subject.model, &cache, request.seed)?
    } else {
        let margins = whole.margins(&whole, *fit, request.seed);
        results(&whole, &margins, request.seed)
    };
    Ok(EvalReport {
        eval: request.name.clone(),
        model: subject.id.to_owned(),
        n: rows.len() as u32,
        fit: fit.name(),
        results,
        notes: notes(rows, &whole.counted, *fit),
    })
}

/// How well pairs are predicted from the first few of a history, with numbers fitted on whole ones.
fn by_length(
    ctx: &mut Ctx,
    plan: &Plan,
    whole: &Read,
    model: &dyn TextModel,
    cache: &RowCache,
    seed: u64,
) -> Result<Vec<EvalResult>, UserError> {
    let mut results = Vec::new();
    for pairs in LENGTHS {
        let rows: Vec<Row> = plan.rows.iter().map(|row| row.shortened(pairs)).collect();
        let long_enough: Vec<usize> = (0..rows.len())
            .filter(|&i| plan.rows[i].history.len() >= pairs)
            .collect();
        if long_enough.is_empty() {
            continue;
        }
        ctx.stage("history", format!("{pairs} of a history's pairs"));
        let read = Read::of(ctx, &rows, &plan.wrong, model, cache)?;
        let margins = read.margins(whole, plan.fit, seed);
        let fused: Vec<f64> = margins.iter().map(|m| m.fused).collect();
        let counted: Vec<f64> = margins.iter().map(|m| m.counted).collect();
        let model: Vec<f64> = read.contrast.iter().map(|c| c.own).collect();
        let mut result = read.result(
            format!("pair_accuracy_h{pairs}"),
            &right(&fused),
            &margins
                .iter()
                .map(|m| m.fused_wrong.clone())
                .collect::<Vec<_>>(),
            &long_enough,
            seed,
        );
        let share = |margins: &[f64]| {
            let right = right(margins);
            mean(&long_enough.iter().map(|&i| right[i]).collect::<Vec<_>>())
        };
        result
            .controls
            .insert("counted".to_owned(), share(&counted));
        result.controls.insert("model".to_owned(), share(&model));
        result
            .controls
            .insert("rows".to_owned(), long_enough.len() as f64);
        results.push(result);
    }
    Ok(results)
}

/// Rows, and what was counted and read of them.
struct Read<'a> {
    rows: &'a [Row],
    counted: Counted,
    contrast: Vec<Contrast>,
}

impl<'a> Read<'a> {
    fn of(
        ctx: &mut Ctx,
        rows: &'a [Row],
        wrong: &[Vec<usize>],
        model: &dyn TextModel,
        cache: &RowCache,
    ) -> Result<Self, UserError> {
        Ok(Self {
            rows,
            counted: Counted::of(rows),
            contrast: contrasts(ctx, rows, wrong, model, cache)?,
        })
    }

    /// What every method says of these rows, with the shipped numbers or with ones fitted on `whole` rows of other prompts.
    fn margins(&self, whole: &Read, fit: Fit, seed: u64) -> Vec<Margins> {
        let predict = |constants: &Constants, test: &[usize]| {
            constants.predict(self.rows, &self.counted, &self.contrast, test)
        };
        if fit == Fit::Shipped {
            let all: Vec<usize> = (0..self.rows.len()).collect();
            return predict(&ConstantsFile::shipped().constants, &all);
        }
        let mut out = vec![Margins::default(); self.rows.len()];
        for fold in psoups::folds(self.rows, FOLDS, seed) {
            let training: Vec<usize> = (0..self.rows.len()).filter(|i| !fold.contains(i)).collect();
            let constants = Constants::fit(whole.rows, &whole.counted, &whole.contrast, &training);
            let judged = predict(&constants, &fold);
            for (i, margins) in fold.into_iter().zip(judged) {
                out[i] = margins;
            }
        }
        out
    }

    /// One figure over the rows `kept`, with the controls that every method stands beside. `wrong` are each row's margins after
    /// other users' histories.
    fn result(
        &self,
        name: String,
        right: &[f64],
        wrong: &[Vec<(usize, f64)>],
        kept: &[usize],
        seed: u64,
    ) -> EvalResult {
        let of = |values: &[f64]| -> Vec<f64> { kept.iter().map(|&i| values[i]).collect() };
        let share = |margins: &[f64]| mean(&of(&self::right(margins)));
        let after = |opposite: bool| -> Option<f64> {
            let rows: Vec<f64> = kept
                .iter()
                .filter_map(|&i| {
                    let (own, others) = (&self.rows[i], &wrong[i]);
                    let margins: Vec<f64> = others
                        .iter()
                        .filter(|(other, _)| {
                            !opposite
                                || (!own.axis.is_empty() && self.rows[*other].axis == own.axis)
                        })
                        .map(|(_, margin)| *margin)
                        .collect();
                    (!margins.is_empty()).then(|| accuracy(&margins))
                })
                .collect();
            (!rows.is_empty()).then(|| mean(&rows))
        };
        let controls = [
            ("chance", Some(0.5)),
            ("length_rule", Some(share(&self.counted.copied_length))),
            ("always_longer", Some(share(&self.counted.longer))),
            ("wrong_user", after(false)),
            ("opposite_persona", after(true)),
        ];
        let prompts: Vec<&str> = kept
            .iter()
            .map(|&i| self.rows[i].target.prompt.as_str())
            .collect();
        EvalResult {
            name,
            value: mean(&of(right)),
            interval: interval_of_mean(&of(right), &prompts, seed),
            unit: "share of rows right".to_owned(),
            controls: controls
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
        }
    }
}

/// Every row's contrast after its own history and after wrong users'. A history is computed once for all its targets.
fn contrasts(
    ctx: &mut Ctx,
    rows: &[Row],
    wrong: &[Vec<usize>],
    model: &dyn TextModel,
    cache: &RowCache,
) -> Result<Vec<Contrast>, UserError> {
    let mut targets: Vec<Vec<usize>> = (0..rows.len()).map(|i| vec![i]).collect();
    for (i, wrong) in wrong.iter().enumerate() {
        wrong.iter().for_each(|&other| targets[other].push(i));
    }
    let pace = Pace::new(rows.len() as u64, "rows");
    let mut found: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for (history, targets) in targets.iter().enumerate() {
        ctx.check()?;
        let keys: Vec<String> = targets
            .iter()
            .map(|&t| row_key(&rows[history].history, &rows[t].target))
            .collect();
        let mut missing = Vec::new();
        for (&target, key) in targets.iter().zip(&keys) {
            match cache.get::<f64>(key) {
                Some(known) => {
                    found.insert((history, target), known);
                }
                None => missing.push((target, key)),
            }
        }
        let pairs: Vec<&Pair> = missing.iter().map(|(t, _)| &rows[*t].target).collect();
        let scored =
            psoups::contrasts(model, &rows[history].history, &pairs, ctx.cancel()).told()?;
        for ((target, key), value) in missing.into_iter().zip(scored) {
            cache.put(ctx, key, &value);
            found.insert((history, target), value);
        }
        ctx.emit(pace.at(history as u64 + 1, "Reading preferences with the model"));
    }
    Ok(wrong
        .iter()
        .enumerate()
        .map(|(i, wrong)| Contrast {
            own: found[&(i, i)],
            wrong: wrong
                .iter()
                .map(|&other| (other, found[&(other, i)]))
                .collect(),
        })
        .collect())
}

/// 1 right, 0 wrong, one half where a method has no idea.
fn right(margins: &[f64]) -> Vec<f64> {
    margins.iter().map(|m| accuracy(&[*m])).collect()
}

fn results(read: &Read, margins: &[Margins], seed: u64) -> Vec<EvalResult> {
    let each = |f: &dyn Fn(&Margins) -> f64| -> Vec<f64> { margins.iter().map(f).collect() };
    let (fused, reversed) = (each(&|m| m.fused), each(&|m| m.reversed));
    let model: Vec<f64> = read.contrast.iter().map(|c| c.own).collect();
    let wrong = |f: &dyn Fn(&Margins) -> Vec<(usize, f64)>| -> Vec<Vec<(usize, f64)>> {
        margins.iter().map(f).collect()
    };
    let methods = [
        ("", &fused, wrong(&|m| m.fused_wrong.clone())),
        (
            "counted_",
            &each(&|m| m.counted),
            wrong(&|m| m.counted_wrong.clone()),
        ),
        (
            "model_",
            &model,
            read.contrast.iter().map(|c| c.wrong.clone()).collect(),
        ),
    ];
    let all: Vec<usize> = (0..read.rows.len()).collect();
    let matched: Vec<usize> = all
        .iter()
        .copied()
        .filter(|&i| read.counted.length_matched[i])
        .collect();
    let mut results = Vec::new();
    for (method, values, wrong) in methods {
        for (name, kept) in [("pair", &all), ("length_matched", &matched)] {
            if kept.is_empty() {
                continue;
            }
            let name = format!("{method}{name}_accuracy");
            results.push(read.result(name, &right(values), &wrong, kept, seed));
        }
    }
    let (values, prompts): (Vec<f64>, Vec<&str>) = psoups::flips(&fused, &reversed)
        .into_iter()
        .map(|(row, turned)| (turned, read.rows[row].target.prompt.as_str()))
        .unzip();
    results.push(EvalResult {
        name: "flip_rate".to_owned(),
        value: mean(&values),
        interval: interval_of_mean(&values, &prompts, seed),
        unit: "share of rows predicted right that turn when the history is reversed".to_owned(),
        // A rule that looks at no history cannot turn.
        controls: BTreeMap::from([("always_longer".to_owned(), 0.0)]),
    });
    results
}

fn notes(rows: &[Row], counted: &Counted, fit: Fit) -> Vec<String> {
    let prompts: std::collections::BTreeSet<&str> =
        rows.iter().map(|r| r.target.prompt.as_str()).collect();
    let fitted = match fit {
        Fit::Nested => format!(
            "This is the file that the shipped numbers were fitted on: feature scales and weights were fitted anew for each of {FOLDS} folds, on rows of other prompts. The list of counted features, and how much weights are held back, were chosen while looking at these rows."
        ),
        Fit::Shipped => format!(
            "Feature scales and weights are the shipped ones, measured with {}; nothing was fitted on these rows.",
            ConstantsFile::shipped().model
        ),
    };
    vec![
        fitted,
        format!(
            "Intervals: bootstrap over the {} prompts of the {} rows.",
            prompts.len(),
            rows.len()
        ),
        "model: summed log-probabilities after chat turns with the preferred answers, minus after turns with the rejected ones; turned by a reversed history by construction.".to_owned(),
        "Without a prefix: counted habits and the model's signal together. wrong_user: with counted habits alone, the history of every row of another persona in turn, averaged; otherwise one row of each other persona in turn. opposite_persona: of these, the persona at the other end of the same axis. length_rule: whatever the history liked, longer or shorter.".to_owned(),
        format!(
            "length-matched: |ln of the answers' length ratio| < 0.2, n = {}.",
            counted.length_matched.iter().filter(|m| **m).count()
        ),
    ]
}

fn row_key(history: &[Pair], target: &Pair) -> String {
    let pairs = history.iter().chain([target]);
    key_of(pairs.flat_map(|pair| [&pair.prompt, &pair.chosen, &pair.rejected]))
}
