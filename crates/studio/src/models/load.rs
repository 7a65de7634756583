//! Loaded models: one writer and one embedder at a time, shared by every job.

use std::{path::Path, sync::Arc};

use idiolect_core::{ErrorCode, UserError};
use idiolect_engine::{Engine, Estimate, LoadOptions, LoadedModel, MiniLm, Opened};
use idiolect_llm::Embedder;

use super::{
    catalog::{self, CatalogModel, Role},
    registry::{ReadyModel, Registry, stamp},
};
use crate::{context::Ctx, errors::Told, lock, memory::Fit};

/// What is in memory.
#[derive(Default)]
pub(crate) struct Loaded {
    writer: Option<Writer>,
    /// With the hash of its file.
    embedder: Option<(Arc<MiniLm>, String)>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("writer", &self.writer.as_ref().map(|w| &w.file.id))
            .finish_non_exhaustive()
    }
}

/// A loaded language model and the file it came from.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) file: ReadyModel,
    pub(crate) model: Arc<LoadedModel>,
    options: LoadOptions,
}

impl Registry {
    /// The model a request means (`None`: the one in use), loaded. A model that is already in memory is
    /// shared; another one replaces it.
    ///
    /// # Errors
    /// Missing, damaged, unsupported, out of memory.
    pub(crate) fn writer(&self, ctx: &Ctx, named: Option<&str>) -> Result<Writer, UserError> {
        let file = self.ready_named(ctx, named)?;
        let options = crate::status::load_options(ctx.studio)?;
        let mut loaded = lock(&self.loaded);
        if let Some(writer) = &loaded.writer
            && writer.file == file
            && writer.options == options
        {
            return Ok(writer.clone());
        }
        // The old one goes first: two large models need not fit side by side.
        loaded.writer = None;
        let opened = self.opened(&file)?;
        let model = marked(ctx, &file.path, || opened.load(&file.id, &options))?.told()?;
        let writer = Writer {
            file,
            model: Arc::new(model),
            options,
        };
        loaded.writer = Some(writer.clone());
        Ok(writer)
    }

    /// Reads a file's header, and refuses one that free memory looks too short for, unless the person insists.
    pub(crate) fn opened(&self, file: &ReadyModel) -> Result<Opened, UserError> {
        let opened = Engine::open(&file.path).told()?;
        // What cannot be estimated cannot be loaded either, and loading says why.
        if !self.insists(&file.id)
            && let Ok(estimate) = opened.estimate()
        {
            self.fit_of(&estimate).check(&file.id)?;
        }
        Ok(opened)
    }

    /// What loading the file takes of the memory that is free now.
    pub(crate) fn fit(&self, path: &Path) -> Option<Fit> {
        Some(self.fit_of(&Engine::estimate(path).ok()?))
    }

    /// The same where the estimate is there already.
    pub(crate) fn fit_of(&self, estimate: &Estimate) -> Fit {
        Fit::of(estimate, (self.free_memory)())
    }

    /// Until the studio is closed, this model (or every one) is loaded whatever the memory.
    pub(crate) fn insist(&self, model: Option<String>) {
        lock(&self.insisted).insert(model.unwrap_or_default());
    }

    pub(super) fn insists_on_all(&self) -> bool {
        self.insists("")
    }

    fn insists(&self, id: &str) -> bool {
        let insisted = lock(&self.insisted);
        insisted.contains("") || insisted.contains(id)
    }

    /// The file a request means: by id or path, else the one in use.
    pub(crate) fn ready_named(
        &self,
        ctx: &Ctx,
        named: Option<&str>,
    ) -> Result<ReadyModel, UserError> {
        let named = match named {
            Some(named) => named.to_owned(),
            None => in_use(&crate::status::settings(ctx.studio)?.model),
        };
        self.ready(&ctx.studio.store, &named, ctx.cancel())
    }

    /// The sentence embedder, or `None` where it cannot be had: the studio works without it, and says so.
    pub(crate) fn embedder(&self, ctx: &mut Ctx) -> Option<Arc<dyn Embedder>> {
        self.embedder_file(ctx).map(|(embedder, _)| embedder)
    }

    /// The same with the hash of its file.
    pub(crate) fn embedder_file(&self, ctx: &mut Ctx) -> Option<(Arc<dyn Embedder>, String)> {
        let model = catalog::default_of(Role::Embedder);
        match self.load_embedder(ctx, model) {
            Ok(loaded) => Some(loaded),
            Err(error) => {
                if error.code != ErrorCode::Cancelled {
                    ctx.stage(
                        "embedder",
                        format!(
                            "The sentence embedder is left out: {} {}",
                            error.message, error.hint
                        ),
                    );
                }
                None
            }
        }
    }

    pub(super) fn load_embedder(
        &self,
        ctx: &Ctx,
        model: &CatalogModel,
    ) -> Result<(Arc<dyn Embedder>, String), UserError> {
        let mut loaded = lock(&self.loaded);
        if let Some((embedder, sha256)) = &loaded.embedder {
            return Ok((Arc::clone(embedder) as Arc<dyn Embedder>, sha256.clone()));
        }
        let file = self.ready_model(&ctx.studio.store, model, ctx.cancel())?;
        let folder = file.path.parent().unwrap_or(self.folder());
        let embedder = Arc::new(MiniLm::load(folder).told()?);
        loaded.embedder = Some((Arc::clone(&embedder), file.sha256.clone()));
        Ok((embedder, file.sha256))
    }

    /// The loaded writer's device in words, without loading anything.
    pub(crate) fn loaded_device(&self) -> Option<(String, String)> {
        let loaded = lock(&self.loaded);
        let device = loaded.writer.as_ref()?.model.computes_on();
        Some((device.label.clone(), device.why.clone()))
    }
}

/// Runs something that loads the file. Until it comes back, well or badly, that is remembered, so that a file that crashes
/// or hangs the program is not tried at every start.
pub(crate) fn marked<R>(ctx: &Ctx, path: &Path, load: impl FnOnce() -> R) -> Result<R, UserError> {
    let store = &ctx.studio.store;
    let mark = stamp(path)
        .map(|stamp| store.begin_load(&stamp))
        .transpose()
        .told()?;
    let loaded = load();
    if let Some(mark) = mark {
        store.finish_load(mark).told()?;
    }
    Ok(loaded)
}

/// The id in the settings, or the default's.
pub(crate) fn in_use(setting: &str) -> String {
    if setting.is_empty() {
        catalog::default_of(Role::Writer).id.clone()
    } else {
        setting.to_owned()
    }
}
