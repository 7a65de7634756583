//! Evaluations on a data folder: measuring only, nothing of the data is kept but figures.
//!
//! Each eval is a file here; `data` reads the folder, `statistics` holds the bootstrap.

mod data;
mod psoups;
mod reliability;
mod rows;
mod statistics;

use idiolect_core::UserError;

use crate::{
    api::{EvalRequest, Response},
    context::Ctx,
    errors::usage,
};

/// Names `eval` takes.
pub(crate) const NAMES: [&str; 2] = ["psoups", "reliability"];

/// Runs one.
pub(crate) fn run(ctx: &mut Ctx, request: &EvalRequest) -> Result<Response, UserError> {
    ctx.start_job(&format!("Evaluation “{}”", request.name), false);
    if request.model.is_none() {
        ctx.studio.models.ensure_defaults(ctx)?;
    }
    let folder = data::Folder::open(&ctx.studio.path_of(&request.data)?)?;
    let report = match request.name.as_str() {
        "psoups" => psoups::run(ctx, &folder, request)?,
        "reliability" => reliability::run(ctx, &folder, request)?,
        other => {
            return Err(usage(
                format!("No evaluation is called “{other}”."),
                format!("There are: {}.", NAMES.join(", ")),
            ));
        }
    };
    Ok(Response::Eval { report })
}
