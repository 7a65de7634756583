//! P-Soups: does a few earlier choices of a user predict the next one? Counted habits and the model's
//! own signal, next to the rule that only copies the history's length direction.

use std::collections::BTreeMap;

use idiolect_core::{
    UserError,
    eval::{EvalReport, EvalResult},
};
use idiolect_persona::psoups::{self, Row};
use sha2::{Digest, Sha256};

use super::{
    data::{Folder, stratified},
    rows::RowCache,
    statistics::{bootstrap, mean},
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace},
    errors::Told,
    models::hex,
};

/// Per-row figures the model is asked for, kept between runs.
const VERSION: &str = "psoups-1";

pub(super) fn run(
    ctx: &mut Ctx,
    folder: &Folder,
    request: &EvalRequest,
) -> Result<EvalReport, UserError> {
    let read = folder.eval::<Row>("psoups")?;
    let rows = stratified(read.rows, request.limit, request.seed, |row| {
        row.persona.clone()
    });
    ctx.stage(
        "counted",
        format!("{} rows, counted habits first", rows.len()),
    );
    let counted = psoups::counted(&rows).told()?;

    let writer = ctx.studio.models.writer(ctx, request.model.as_deref())?;
    let cache = RowCache::open(ctx, VERSION, &writer.file.sha256, &read.sha256, request)?;
    let pace = Pace::new(rows.len() as u64, "rows");
    let mut contrast = Vec::with_capacity(rows.len());
    for (done, row) in rows.iter().enumerate() {
        ctx.check()?;
        let key = row_key(row);
        let margin = match cache.get::<f64>(&key) {
            Some(margin) => margin,
            None => {
                let margin = psoups::contrast(&*writer.model, row, ctx.cancel()).told()?;
                cache.put(ctx, &key, &margin);
                margin
            }
        };
        contrast.push(margin);
        ctx.emit(pace.at(done as u64 + 1, "Reading preferences with the model"));
    }

    let seed = request.seed;
    let right = |margins: &[f64]| -> Vec<f64> {
        margins
            .iter()
            .map(|m| {
                if *m > 0.0 {
                    1.0
                } else if *m < 0.0 {
                    0.0
                } else {
                    0.5
                }
            })
            .collect()
    };
    let matched = |values: &[f64]| -> Vec<f64> {
        values
            .iter()
            .zip(&counted.length_matched)
            .filter(|(_, keep)| **keep)
            .map(|(v, _)| *v)
            .collect()
    };
    let (longer, copied) = (right(&counted.longer), right(&counted.copied_length));
    let result = |name: &str, values: Vec<f64>, controls: &[(&str, f64)]| EvalResult {
        name: name.to_owned(),
        value: mean(&values),
        interval: bootstrap(&values, seed),
        unit: "share of rows right".to_owned(),
        controls: controls
            .iter()
            .map(|(k, v)| ((*k).to_owned(), *v))
            .collect::<BTreeMap<_, _>>(),
    };
    let controls = [
        ("chance", 0.5),
        ("copied_length_direction", mean(&copied)),
        ("always_longer", mean(&longer)),
    ];
    let controls_matched = [
        ("chance", 0.5),
        ("copied_length_direction", mean(&matched(&copied))),
        ("always_longer", mean(&matched(&longer))),
    ];
    let with = |extra: &[(&'static str, f64)], base: &[(&'static str, f64)]| [base, extra].concat();
    let bayes = right(&counted.bayes);
    let model = right(&contrast);
    // The weight that carried on these personas before; no fit here.
    let fused = right(&psoups::fused(&counted.bayes, &contrast, 0.3));
    let results = vec![
        result(
            "counted_accuracy",
            bayes.clone(),
            &with(
                &[
                    ("wrong_user", mean(&counted.wrong_user)),
                    (
                        "turned_by_reversed_history",
                        psoups::flip_share(&counted.bayes, &counted.reversed),
                    ),
                ],
                &controls,
            ),
        ),
        result(
            "counted_accuracy_length_matched",
            matched(&bayes),
            &controls_matched,
        ),
        result("model_accuracy", model.clone(), &controls),
        result(
            "model_accuracy_length_matched",
            matched(&model),
            &controls_matched,
        ),
        result("fused_accuracy", fused.clone(), &controls),
        result(
            "fused_accuracy_length_matched",
            matched(&fused),
            &controls_matched,
        ),
    ];
    Ok(EvalReport {
        eval: "psoups".to_owned(),
        model: writer.file.id,
        n: rows.len() as u32,
        fit: "shipped".to_owned(),
        results,
        notes: vec![
            "Nothing was fitted on these rows but the scale of each feature (its root mean square over the rows).".to_owned(),
            "model: summed log-probabilities after chat turns with the preferred answers, minus after turns with the rejected ones; turned by a reversed history by construction.".to_owned(),
            format!("length-matched: |ln of the answers' length ratio| < 0.2, n = {}.", counted.length_matched.iter().filter(|m| **m).count()),
        ],
    })
}

/// A hash, so that no text of the data is kept.
fn row_key(row: &Row) -> String {
    let mut hasher = Sha256::new();
    for pair in row.history.iter().chain([&row.target]) {
        for part in [&pair.prompt, &pair.chosen, &pair.rejected] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
    }
    hex(hasher)
}
