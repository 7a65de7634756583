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
mod psoups;
mod reliability;
mod rows;
mod statistics;
pub(crate) use statistics::bootstrap;
#[cfg(test)]
mod tests;

use idiolect_core::UserError;
use idiolect_llm::TextModel;

use crate::{
    api::{EvalRequest, Response},
    context::Ctx,
    errors::usage,
};

/// Names `eval` takes.
pub(crate) const NAMES: [&str; 4] = ["psoups", "reliability", "adapter", "preference"];

/// What was checked and read before any model is touched.
enum Plan {
    Adapter(adapter::Plan),
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
            "psoups" => Self::Psoups(psoups::plan(&folder, request)?),
            "adapter" => Self::Adapter(adapter::plan(&folder, request)?),
            "preference" => Self::Preference(preference::plan(&folder, request)?),
            _ => Self::Reliability(reliability::plan(&folder, request)?),
        })
    }
}

/// Runs one.
pub(crate) fn run(ctx: &mut Ctx, request: &EvalRequest) -> Result<Response, UserError> {
    ctx.start_job(&format!("Evaluation “{}”", request.name), false);
    let plan = Plan::of(ctx, request)?;
    if request.model.is_none() {
        ctx.studio.models.ensure_defaults(ctx)?;
    }
    let writer = ctx.studio.models.writer(ctx, request.model.as_deref())?;
    let subject = Subject {
        model: &*writer.model,
        id: &writer.file.id,
        sha256: &writer.file.sha256,
    };
    let report = match plan {
        Plan::Adapter(plan) => adapter::run(ctx, &plan, &writer.model, subject, request)?,
        Plan::Preference(plan) => preference::run(ctx, &plan, &writer.model, subject, request)?,
        Plan::Psoups(plan) => psoups::run(ctx, &plan, subject, request)?,
        Plan::Reliability(plan) => reliability::run(ctx, &plan, subject, request)?,
    };
    Ok(Response::Eval { report })
}

/// The model that is measured.
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
