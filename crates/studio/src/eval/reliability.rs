//! Does a reading say something stable about a writer? Whether an author's unseen texts are closer to their own profile
//! than to other authors', and the split-half reliability of every dimension.

use idiolect_core::{UserError, eval::EvalReport};
use idiolect_llm::Embedder;
use idiolect_persona::{
    Instruments, MemoryCache,
    calibration::{Calibration, CalibrationFile},
    dimensions::{self, Scope, TextScores},
};
use sha2::{Digest, Sha256};

use super::{
    Fit, Subject,
    cohort::Cohort,
    data::Folder,
    judged::{DEALS, Judged},
    rows::RowCache,
};
use crate::{
    api::EvalRequest,
    context::{Ctx, Pace},
    errors::{Told, usage},
    models::hex,
};

/// Texts an author at most, where the request names no number.
const TEXTS: u32 = 8;

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
    embedder: Option<(&dyn Embedder, &str)>,
    request: &EvalRequest,
) -> Result<EvalReport, UserError> {
    let shipped = CalibrationFile::shipped();
    let measured_here = shipped.holds_for(subject.model.info());
    let fit = if measured_here {
        Fit::of(&shipped.fitted_on, &plan.sha256)
    } else {
        Fit::Shipped
    };
    let (scores, frozen) = score(ctx, plan, subject, embedder, fit, request)?;
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
    embedder: Option<(&dyn Embedder, &str)>,
    fit: Fit,
    request: &EvalRequest,
) -> Result<(Vec<Vec<TextScores>>, Option<Calibration>), UserError> {
    let rows = RowCache::open(
        ctx,
        subject.sha256,
        embedder.map(|(_, sha256)| sha256),
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
        embedder: embedder.map(|(model, _)| model),
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
