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
use sha2::{Digest, Sha256};

use super::{
    Fit, Subject,
    data::{Folder, stratified},
    rows::RowCache,
    statistics::{interval_of_mean, mean},
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace},
    errors::{Told, not_enough, usage},
    models::hex,
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
}

pub(super) fn plan(folder: &Folder, request: &EvalRequest) -> Result<Plan, UserError> {
    if request.corpus.is_some() || request.texts.is_some() {
        return Err(usage(
            "`eval psoups` reads no corpus.",
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
    })
}

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
    let counted = Counted::of(rows);
    let cache = RowCache::open(ctx, subject.sha256, None, &plan.sha256, request)?;
    let contrast = contrasts(ctx, plan, subject.model, &cache)?;
    let margins = match fit {
        Fit::Shipped => {
            let all: Vec<usize> = (0..rows.len()).collect();
            let constants = &ConstantsFile::shipped().constants;
            constants.predict(rows, &counted, &contrast, &all).told()?
        }
        Fit::Nested => nested(rows, &counted, &contrast, request.seed)?,
    };
    Ok(EvalReport {
        eval: "psoups".to_owned(),
        model: subject.id.to_owned(),
        n: rows.len() as u32,
        fit: fit.name(),
        results: results(rows, &counted, &contrast, &margins, request.seed),
        notes: notes(rows, &counted, *fit),
    })
}

/// Every row's contrast after its own history and after wrong users'. A history is computed once for all its targets.
fn contrasts(
    ctx: &mut Ctx,
    plan: &Plan,
    model: &dyn TextModel,
    cache: &RowCache,
) -> Result<Vec<Contrast>, UserError> {
    let rows = &plan.rows;
    let mut targets: Vec<Vec<usize>> = (0..rows.len()).map(|i| vec![i]).collect();
    for (i, wrong) in plan.wrong.iter().enumerate() {
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
    Ok(plan
        .wrong
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

/// Each fold's rows are judged with numbers fitted on the other folds' prompts.
fn nested(
    rows: &[Row],
    counted: &Counted,
    contrast: &[Contrast],
    seed: u64,
) -> Result<Vec<Margins>, UserError> {
    let mut out = vec![Margins::default(); rows.len()];
    for fold in psoups::folds(rows, FOLDS, seed) {
        let training: Vec<usize> = (0..rows.len()).filter(|i| !fold.contains(i)).collect();
        let constants = Constants::fit(rows, counted, contrast, &training).told()?;
        let judged = constants.predict(rows, counted, contrast, &fold).told()?;
        for (i, margins) in fold.into_iter().zip(judged) {
            out[i] = margins;
        }
    }
    Ok(out)
}

/// 1 right, 0 wrong, one half where a method has no idea.
fn right(margins: impl Iterator<Item = f64>) -> Vec<f64> {
    margins.map(|m| accuracy(&[m])).collect()
}

fn results(
    rows: &[Row],
    counted: &Counted,
    contrast: &[Contrast],
    margins: &[Margins],
    seed: u64,
) -> Vec<EvalResult> {
    let each = |f: &dyn Fn(&Margins) -> f64| -> Vec<f64> { margins.iter().map(f).collect() };
    let longer = right(counted.longer.iter().copied());
    let copied = right(counted.copied_length.iter().copied());
    let model_wrong: Vec<f64> = contrast
        .iter()
        .map(|c| accuracy(&c.wrong.iter().map(|(_, m)| *m).collect::<Vec<_>>()))
        .collect();
    let methods = [
        (
            "counted",
            right(margins.iter().map(|m| m.counted)),
            each(&|m| accuracy(&m.counted_wrong)),
        ),
        ("model", right(contrast.iter().map(|c| c.own)), model_wrong),
        (
            "fused",
            right(margins.iter().map(|m| m.fused)),
            each(&|m| accuracy(&m.fused_wrong)),
        ),
    ];
    let turned = psoups::flip_share(&each(&|m| m.counted), &each(&|m| m.reversed));
    let all: Vec<usize> = (0..rows.len()).collect();
    let matched: Vec<usize> = all
        .iter()
        .copied()
        .filter(|&i| counted.length_matched[i])
        .collect();
    let mut results = Vec::new();
    for (method, values, wrong_user) in methods {
        for (suffix, kept) in [("", &all), ("_length_matched", &matched)] {
            if kept.is_empty() {
                continue;
            }
            let of = |values: &[f64]| -> Vec<f64> { kept.iter().map(|&i| values[i]).collect() };
            let prompts: Vec<&str> = kept
                .iter()
                .map(|&i| rows[i].target.prompt.as_str())
                .collect();
            let mut controls: BTreeMap<String, f64> = [
                ("chance", 0.5),
                ("copied_length_direction", mean(&of(&copied))),
                ("always_longer", mean(&of(&longer))),
                ("wrong_user", mean(&of(&wrong_user))),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
            if method == "counted" && suffix.is_empty() {
                controls.insert("turned_by_reversed_history".to_owned(), turned);
            }
            results.push(EvalResult {
                name: format!("{method}_accuracy{suffix}"),
                value: mean(&of(&values)),
                interval: interval_of_mean(&of(&values), &prompts, seed),
                unit: "share of rows right".to_owned(),
                controls,
            });
        }
    }
    results
}

fn notes(rows: &[Row], counted: &Counted, fit: Fit) -> Vec<String> {
    let prompts: std::collections::BTreeSet<&str> =
        rows.iter().map(|r| r.target.prompt.as_str()).collect();
    let fitted = match fit {
        Fit::Nested => format!(
            "This is the file that the shipped numbers were fitted on: feature scales, the two spreads, prior variance and weight were fitted anew for each of {FOLDS} folds, on rows of other prompts. The list of counted features itself was chosen while looking at these rows."
        ),
        Fit::Shipped => format!(
            "Feature scales, the two spreads, prior variance and weight are the shipped ones, measured with {}; nothing was fitted on these rows.",
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
        "wrong_user: counted, the history of every row of another persona in turn, averaged; model and fused, one row of each other persona in turn, averaged.".to_owned(),
        format!(
            "length-matched: |ln of the answers' length ratio| < 0.2, n = {}.",
            counted.length_matched.iter().filter(|m| **m).count()
        ),
    ]
}

/// A hash, so that no text of the data is kept.
fn row_key(history: &[Pair], target: &Pair) -> String {
    let mut hasher = Sha256::new();
    for pair in history.iter().chain([target]) {
        for part in [&pair.prompt, &pair.chosen, &pair.rejected] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
    }
    hex(hasher)
}
