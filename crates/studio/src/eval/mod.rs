//! Evaluations on a data folder: measuring only, nothing of the data is kept but figures.
//!
//! Each eval is a file here. Its `plan` checks the request and the data, which needs no model; only then are models
//! fetched and loaded. `data` reads the folder, `cohort` says which texts are whose and which are held out, `judged`
//! compares authors, `adapter_texts` cuts a corpus for trainings, `rows` keeps finished rows, `statistics` holds the bootstrap.

mod adapter;
mod adapter_texts;
mod cohort;
mod data;
mod judged;
mod preference;
mod prefeval;
mod prefeval_figures;
mod psoups;
mod reliability;
mod rows;
mod statistics;
pub(crate) use statistics::bootstrap;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::{Embedder, TextModel};
use idiolect_persona::calibration::CalibrationFile;

use crate::{
    api::{EvalRequest, Response},
    context::Ctx,
    errors::usage,
    models::Writer,
};

/// Names `eval` takes.
pub(crate) const NAMES: [&str; 6] = [
    "psoups",
    "history",
    "prefeval",
    "reliability",
    "adapter",
    "preference",
];

/// What was checked and read before any model is touched.
enum Plan {
    Adapter(adapter::Plan),
    Prefeval(prefeval::Plan),
    Preference(preference::Plan),
    Psoups(psoups::Plan),
    Reliability(reliability::Plan),
}

impl Plan {
    fn of(ctx: &Ctx, request: &EvalRequest) -> Result<Self, UserError> {
        if !NAMES.contains(&request.name.as_str()) {
            return Err(usage(
                format!("No evaluation is called “{}”.", request.name),
                format!("There are: {}.", NAMES.join(", ")),
            ));
        }
        if request.limit == Some(0) {
            return Err(usage(
                "--limit 0 leaves nothing to measure.",
                "Give a number from 2 on, or leave --limit away for all of the data.",
            ));
        }
        let folder = data::Folder::open(&ctx.studio.path_of(&request.data)?)?;
        Ok(match request.name.as_str() {
            "psoups" | "history" => Self::Psoups(psoups::plan(&folder, request)?),
            "prefeval" => Self::Prefeval(prefeval::plan(&folder, request)?),
            "adapter" => Self::Adapter(adapter::plan(&folder, request)?),
            "preference" => Self::Preference(preference::plan(&folder, request)?),
            _ => Self::Reliability(reliability::plan(&folder, request)?),
        })
    }

    /// Which models it asks. They are fetched and loaded before it runs, and no others.
    fn asks(&self) -> Asks {
        Asks {
            writer: !matches!(self, Self::Prefeval(_)),
            embedder: match self {
                // The embedder serves the noisy channel alone, and only where the standards in force know that source.
                Self::Reliability(_) => CalibrationFile::shipped().standards().hears_channel(),
                Self::Prefeval(_) => true,
                Self::Adapter(_) | Self::Preference(_) | Self::Psoups(_) => false,
            },
        }
    }
}

/// The models that an evaluation asks.
#[derive(Debug, Clone, Copy, Default)]
struct Asks {
    /// The language model, without which there is nothing to measure.
    writer: bool,
    /// The sentence embedder, where it can be had.
    embedder: bool,
}

/// What was loaded of what was asked for.
struct Models {
    writer: Option<Writer>,
    /// With the hash of its file; `None` where it was not asked for, or cannot be had.
    embedder: Option<(Arc<dyn Embedder>, String)>,
}

impl Models {
    fn load(ctx: &mut Ctx, asks: Asks, named: Option<&str>) -> Result<Self, UserError> {
        if asks.writer && named.is_none() {
            ctx.studio.models.ensure_defaults(ctx)?;
        } else if asks.embedder
            && let Err(error) = ctx.studio.models.ensure_embedder(ctx)
            && error.code == ErrorCode::Cancelled
        {
            return Err(error);
        }
        let writer = if asks.writer {
            Some(ctx.studio.models.writer(ctx, named)?)
        } else {
            None
        };
        let embedder = if asks.embedder {
            ctx.studio.models.embedder_file(ctx)
        } else {
            None
        };
        Ok(Self { writer, embedder })
    }

    /// The language model that is measured.
    ///
    /// # Panics
    /// Where the evaluation did not ask for it.
    fn writer(&self) -> &Writer {
        self.writer.as_ref().expect("the evaluation asked for it")
    }

    /// The same as what is measured.
    fn subject(&self) -> Subject<'_> {
        let writer = self.writer();
        Subject {
            model: &*writer.model,
            id: &writer.file.id,
            sha256: &writer.file.sha256,
        }
    }

    /// The embedder and the hash of its file.
    fn embedder(&self) -> Option<(&dyn Embedder, &str)> {
        let (embedder, sha256) = self.embedder.as_ref()?;
        Some((&**embedder, sha256))
    }
}

/// Runs one.
pub(crate) fn run(ctx: &mut Ctx, request: &EvalRequest) -> Result<Response, UserError> {
    ctx.start_job(&format!("Evaluation “{}”", request.name), false);
    let plan = Plan::of(ctx, request)?;
    let models = Models::load(ctx, plan.asks(), request.model.as_deref())?;
    let model = || &*models.writer().model;
    let report = match plan {
        Plan::Adapter(plan) => adapter::run(ctx, &plan, model(), models.subject(), request)?,
        Plan::Preference(plan) => preference::run(ctx, &plan, model(), models.subject(), request)?,
        Plan::Prefeval(plan) => prefeval::run(ctx, &plan, models.embedder(), request)?,
        Plan::Psoups(plan) => psoups::run(ctx, &plan, models.subject(), request)?,
        Plan::Reliability(plan) => {
            reliability::run(ctx, &plan, models.subject(), models.embedder(), request)?
        }
    };
    Ok(Response::Eval { report })
}

/// The language model that is measured.
#[derive(Clone, Copy)]
struct Subject<'a> {
    model: &'a dyn TextModel,
    id: &'a str,
    sha256: &'a str,
}

/// Which numbers a figure rests on, as the JSON says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// The shipped ones, frozen.
    Shipped,
    /// The data is the very file that the shipped ones were fitted on: fitted anew without the rows they judge.
    Nested,
}

impl Fit {
    fn of(fitted_on: &[String], data_sha256: &str) -> Self {
        if fitted_on.iter().any(|sha| sha == data_sha256) {
            Self::Nested
        } else {
            Self::Shipped
        }
    }

    fn name(self) -> String {
        match self {
            Self::Shipped => "shipped",
            Self::Nested => "nested",
        }
        .to_owned()
    }
}
