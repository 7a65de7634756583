//! The state of the studio, its settings, and requests about models.

use idiolect_core::{ErrorCode, UserError, space::space};
use idiolect_llm::DeviceWish;

use crate::{
    Inner,
    api::{CutShort, DoctorReport, FileTicket, Gone, ModelState, Response, Settings, Status},
    context::Ctx,
    errors::{Told, usage},
    models,
};

const SETTINGS: &str = "settings";

pub(crate) fn status(ctx: &mut Ctx) -> Result<Response, UserError> {
    let studio = ctx.studio;
    let settings = settings(studio)?;
    let model_id = models::in_use(&settings.model);
    let entry = studio
        .models
        .entry(&studio.store, &model_id, &model_id)
        .ok();
    let (device, device_why) = device(studio)?;
    Ok(Response::Status {
        status: Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home: studio.home.display().to_string(),
            models: studio.models.folder().display().to_string(),
            model: entry
                .as_ref()
                .map_or_else(|| model_id.clone(), |e| e.name.clone()),
            model_id,
            model_ready: entry
                .is_some_and(|e| matches!(e.state, ModelState::Ready | ModelState::Imported)),
            device,
            device_why,
            jobs: studio.jobs.list(),
            cut_short: studio
                .store
                .cut_short()
                .told()?
                .into_iter()
                .map(|c| CutShort {
                    what: c.what,
                    lost: c.lost,
                })
                .collect(),
            shared_home: studio.store.shared().told()?,
            revision: studio.store.revision().told()?,
            dimensions: space().to_vec(),
        },
    })
}

/// The person has read what was cut short.
pub(crate) fn acknowledge(ctx: &mut Ctx) -> Result<Response, UserError> {
    ctx.studio.store.acknowledge_cut_short().told()?;
    Ok(Response::Ok)
}

pub(crate) fn show(ctx: &mut Ctx) -> Result<Response, UserError> {
    Ok(Response::Settings {
        settings: settings(ctx.studio)?,
    })
}

pub(crate) fn set(ctx: &mut Ctx, new: Settings) -> Result<Response, UserError> {
    device_wish(&new)?;
    if new.threads > 1024 {
        return Err(usage(
            "No machine has that many threads.",
            "0 means all physical cores.",
        ));
    }
    if !new.model.is_empty() {
        ctx.studio.models.entry(&ctx.studio.store, &new.model, "")?;
    }
    ctx.studio.store.set_setting(SETTINGS, &new).told()?;
    show(ctx)
}

/// What the person set, or the defaults.
pub(crate) fn settings(studio: &Inner) -> Result<Settings, UserError> {
    Ok(studio.store.setting(SETTINGS).told()?.unwrap_or_default())
}

pub(crate) fn device_wish(settings: &Settings) -> Result<DeviceWish, UserError> {
    match settings.device.as_str() {
        "" | "auto" => Ok(DeviceWish::Auto),
        "cpu" => Ok(DeviceWish::Cpu),
        "cuda" => Ok(DeviceWish::Cuda),
        "metal" => Ok(DeviceWish::Metal),
        other => Err(usage(
            format!("No device is called “{other}”."),
            "Use auto, cpu, cuda or metal.",
        )),
    }
}

fn in_use(ctx: &Ctx) -> Result<String, UserError> {
    Ok(models::in_use(&settings(ctx.studio)?.model))
}

pub(crate) fn model_list(ctx: &mut Ctx) -> Result<Response, UserError> {
    Ok(Response::Models {
        models: ctx.studio.models.list(&ctx.studio.store, &in_use(ctx)?)?,
    })
}

/// One model; only here is its file looked into, for what a load would take.
pub(crate) fn model_show(ctx: &mut Ctx, id: &str) -> Result<Response, UserError> {
    let studio = ctx.studio;
    let mut model = studio.models.entry(&studio.store, id, &in_use(ctx)?)?;
    if model.role == "writer" && matches!(model.state, ModelState::Ready | ModelState::Imported) {
        let path = studio.models.path_of(&studio.store, id)?;
        if let Some(fit) = studio.models.fit(&path) {
            model.memory = fit.words;
        }
        let (label, why) = device(studio)?;
        model.device = format!("{label}: {why}");
    }
    Ok(Response::Model { model })
}

pub(crate) fn model_release(ctx: &mut Ctx, id: &str) -> Result<Response, UserError> {
    ctx.studio.models.release(&ctx.studio.store, id)?;
    model_show(ctx, id)
}

pub(crate) fn model_anyway(ctx: &mut Ctx, model: Option<String>) -> Result<Response, UserError> {
    ctx.studio.models.insist(model);
    Ok(Response::Ok)
}

/// Where models run, and why: of the one in memory, else of one that would be loaded now.
fn device(studio: &Inner) -> Result<(String, String), UserError> {
    if let Some(words) = studio.models.loaded_device() {
        return Ok(words);
    }
    Ok(
        match idiolect_engine::choose_device(device_wish(&settings(studio)?)?) {
            Ok(choice) => (choice.label, choice.why),
            Err(why) => ("none".to_owned(), why.to_string()),
        },
    )
}

pub(crate) fn model_pull(
    ctx: &mut Ctx,
    id: &str,
    accept_licence: bool,
) -> Result<Response, UserError> {
    ctx.studio.models.pull(ctx, id, accept_licence)?;
    model_show(ctx, id)
}

pub(crate) fn model_import(ctx: &mut Ctx, file: &FileTicket) -> Result<Response, UserError> {
    let path = ctx.studio.path_of(file)?;
    let id = ctx.studio.models.import(ctx, &path)?;
    model_show(ctx, &id)
}

pub(crate) fn model_doctor(ctx: &mut Ctx, named: &str) -> Result<Response, UserError> {
    ctx.start_job("Checking the model", false);
    let report: DoctorReport = ctx.studio.models.doctor(ctx, named)?;
    Ok(Response::Doctor { report })
}

pub(crate) fn model_remove(ctx: &mut Ctx, id: &str) -> Result<Response, UserError> {
    let what = ctx.studio.models.remove(&ctx.studio.store, id)?;
    Ok(Response::Gone {
        gone: Gone {
            what,
            ..Gone::default()
        },
    })
}

pub(crate) fn model_use(ctx: &mut Ctx, id: &str) -> Result<Response, UserError> {
    let entry = ctx.studio.models.entry(&ctx.studio.store, id, "")?;
    if entry.role != "writer" {
        return Err(usage("That model does not write.", "Choose a writer."));
    }
    if !matches!(entry.state, ModelState::Ready | ModelState::Imported) {
        return Err(UserError::new(
            ErrorCode::ModelMissing,
            format!("{} is not here yet.", entry.name),
            format!("Fetch it first: `idiolect models pull {id}`."),
        ));
    }
    let mut settings = settings(ctx.studio)?;
    settings.model = id.to_owned();
    ctx.studio.store.set_setting(SETTINGS, &settings).told()?;
    model_show(ctx, id)
}
