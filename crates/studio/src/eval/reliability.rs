//! Does a reading say something stable about a writer? Split-half reliability of every dimension, and
//! whether an author's unseen texts are closer to their own profile than to other authors'.

use idiolect_core::{
    Interval, UserError,
    eval::{EvalReport, EvalResult},
    space::space,
};
use idiolect_persona::{
    Instruments,
    dimensions::{self, Scope},
    reliability,
};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    data::Folder,
    statistics::{bootstrap, mean},
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace},
    errors::{Told, not_enough},
    inference::StoreCache,
};

/// Texts an author at most, where the request names no number.
const TEXTS: u32 = 8;
/// Random halvings averaged over.
const SPLITS: u32 = 40;
/// At least this much split-half reliability, or a dimension says "not enough evidence".
const RELIABLE: f64 = 0.5;

pub(super) fn run(
    ctx: &mut Ctx,
    folder: &Folder,
    request: &EvalRequest,
) -> Result<EvalReport, UserError> {
    let corpus = request.corpus.as_deref().unwrap_or("cmcc21");
    let (authors, _) = folder.corpus(corpus)?;
    let mut random = ChaCha8Rng::seed_from_u64(request.seed);
    let mut names: Vec<_> = authors
        .into_iter()
        .filter(|(_, texts)| texts.len() >= 2)
        .collect();
    if let Some(limit) = request.limit {
        names.shuffle(&mut random);
        names.truncate(limit as usize);
        names.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let most = request.texts.unwrap_or(TEXTS) as usize;
    for (_, texts) in &mut names {
        texts.shuffle(&mut random);
        texts.truncate(most);
        texts.sort_by(|a, b| a.id.cmp(&b.id));
    }
    if names.len() < 3 {
        return Err(not_enough(
            "Fewer than three authors have two texts each.",
            "Choose a larger corpus or a higher --limit.",
        ));
    }
    let total: usize = names.iter().map(|(_, texts)| texts.len()).sum();
    ctx.stage(
        "reliability",
        format!("{} authors, {total} texts of {corpus}", names.len()),
    );

    // Scored texts are in the home's cache by model, prompt version and text: a run that was cut short goes on.
    let writer = ctx.studio.models.writer(ctx, request.model.as_deref())?;
    let embedder = ctx.studio.models.embedder(ctx);
    let cache = StoreCache {
        store: &ctx.studio.store,
        model: &writer.file.sha256,
    };
    let cancel = ctx.cancel().clone();
    let with = Instruments {
        model: &*writer.model,
        embedder: embedder.as_deref(),
        cache: &cache,
        cancel: &cancel,
    };
    let calibration = dimensions::calibration(&with, Scope::Everything, &mut |_| {}).told()?;
    let pace = Pace::new(total as u64, "texts");
    let mut scored: Vec<Vec<Vec<f64>>> = Vec::new();
    let mut done = 0;
    for (_, texts) in &names {
        let mut rows = Vec::new();
        for text in texts {
            ctx.check()?;
            let scores = dimensions::score_text(&with, &text.text, Scope::Everything).told()?;
            rows.push(
                calibration
                    .standings(&scores)
                    .into_iter()
                    .map(|s| s.unwrap_or(f64::NAN))
                    .collect(),
            );
            done += 1;
            ctx.emit(pace.at(done, "Reading dimensions"));
        }
        scored.push(rows);
    }
    Ok(report(&scored, corpus, writer.file.id, request.seed))
}

fn report(scored: &[Vec<Vec<f64>>], corpus: &str, model: String, seed: u64) -> EvalReport {
    let mut results = Vec::new();
    if let Some(margin) = reliability::profile_margin(scored, SPLITS, seed) {
        let margins = margin.margins();
        results.push(EvalResult {
            name: "own_minus_wrong_author_margin".to_owned(),
            value: mean(&margins),
            interval: bootstrap(&margins, seed),
            unit: "squared standard deviations a dimension, over authors; above 0 = something personal".to_owned(),
            controls: [("own".to_owned(), mean(&margin.own)), ("wrong_author".to_owned(), mean(&margin.wrong))].into(),
        });
        let n = margins.len() as f64;
        results.push(EvalResult {
            name: "own_profile_closest".to_owned(),
            value: margin.top1,
            interval: Interval::wilson(margin.top1 * n, n),
            unit: "share of authors".to_owned(),
            controls: [("chance".to_owned(), margin.chance)].into(),
        });
    }
    let shuffled = shuffle_labels(scored, seed);
    let mut reliable = 0;
    let mut measured = 0;
    for (index, dimension) in space().iter().enumerate() {
        let column = |authors: &[Vec<Vec<f64>>]| -> Vec<Vec<f64>> {
            authors
                .iter()
                .map(|texts| {
                    texts
                        .iter()
                        .map(|t| t[index])
                        .filter(|v| v.is_finite())
                        .collect()
                })
                .collect()
        };
        let Some(value) = reliability::split_half(&column(scored), SPLITS, seed) else {
            continue;
        };
        let control = reliability::split_half(&column(&shuffled), SPLITS, seed).unwrap_or(0.0);
        measured += 1;
        reliable += u32::from(value >= RELIABLE);
        results.push(EvalResult {
            name: format!("split_half/{}", dimension.id),
            value,
            interval: author_bootstrap(&column(scored), seed),
            unit: "Spearman-Brown correlation".to_owned(),
            controls: [
                ("authors_shuffled".to_owned(), control),
                ("threshold".to_owned(), RELIABLE),
            ]
            .into(),
        });
    }
    EvalReport {
        eval: "reliability".to_owned(),
        model,
        n: scored.len() as u32,
        fit: "shipped".to_owned(),
        results,
        notes: vec![
            format!(
                "{reliable} of {measured} dimensions reach {RELIABLE} on {corpus}; the others default to “not enough evidence”."
            ),
            "authors_shuffled: the same texts dealt to authors at random.".to_owned(),
        ],
    }
}

/// The same texts dealt to authors at random: what reliability looks like where there is none.
fn shuffle_labels(scored: &[Vec<Vec<f64>>], seed: u64) -> Vec<Vec<Vec<f64>>> {
    let mut texts: Vec<Vec<f64>> = scored.iter().flatten().cloned().collect();
    texts.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut texts = texts.into_iter();
    scored
        .iter()
        .map(|author| texts.by_ref().take(author.len()).collect())
        .collect()
}

/// Percentile bootstrap over authors of the split-half reliability.
fn author_bootstrap(column: &[Vec<f64>], seed: u64) -> Interval {
    use rand::Rng;
    const DRAWS: usize = 200;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut values: Vec<f64> = (0..DRAWS)
        .filter_map(|draw| {
            let authors: Vec<Vec<f64>> = (0..column.len())
                .map(|_| column[random.random_range(0..column.len())].clone())
                .collect();
            reliability::split_half(&authors, 4, seed + draw as u64)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => Interval::new(-1.0, 1.0),
        n => Interval::new(values[n / 40], values[n - 1 - n / 40]),
    }
}
