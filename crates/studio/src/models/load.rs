//! Loaded models: one writer and one embedder at a time, shared by every job.

use std::sync::Arc;

use idiolect_core::{ErrorCode, UserError};
use idiolect_engine::{Engine, LoadOptions, LoadedModel, MiniLm};
use idiolect_llm::{Embedder, TextModel};

use super::{
    catalog::{self, CatalogModel, Role},
    registry::{ReadyModel, Registry, stamp},
};
use crate::{context::Ctx, errors::Told, lock};

/// What is in memory.
#[derive(Default)]
pub(crate) struct Loaded {
    writer: Option<Writer>,
    embedder: Option<Arc<MiniLm>>,
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
        let settings = crate::status::settings(ctx.studio)?;
        let file = self.ready_named(ctx, named)?;
        let options = LoadOptions {
            device: crate::status::device_wish(&settings)?,
            threads: (settings.threads > 0).then_some(settings.threads as usize),
        };
        let mut loaded = lock(&self.loaded);
        if let Some(writer) = &loaded.writer
            && writer.file == file
            && writer.options == options
        {
            return Ok(writer.clone());
        }
        // The old one goes first: two large models need not fit side by side.
        loaded.writer = None;
        // Remembered until it came back, well or badly, so that a file that takes the program down is
        // not tried at every start.
        let store = &ctx.studio.store;
        let mark = stamp(&file.path)
            .map(|stamp| store.begin_load(&stamp))
            .transpose()
            .told()?;
        let loaded_model = Engine::load_with(&file.path, &file.id, &options);
        if let Some(mark) = mark {
            store.finish_load(mark).told()?;
        }
        let model = loaded_model.told()?;
        let writer = Writer {
            file,
            model: Arc::new(model),
            options,
        };
        loaded.writer = Some(writer.clone());
        Ok(writer)
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
        let model = catalog::default_of(Role::Embedder);
        match self.load_embedder(ctx, model) {
            Ok(embedder) => Some(embedder),
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
    ) -> Result<Arc<dyn Embedder>, UserError> {
        let mut loaded = lock(&self.loaded);
        if let Some(embedder) = &loaded.embedder {
            return Ok(Arc::clone(embedder) as Arc<dyn Embedder>);
        }
        let file = self.ready_model(&ctx.studio.store, model, ctx.cancel())?;
        let folder = file.path.parent().unwrap_or(self.folder());
        let embedder = Arc::new(MiniLm::load(folder).told()?);
        loaded.embedder = Some(Arc::clone(&embedder));
        Ok(embedder)
    }

    /// The loaded writer's device in words, without loading anything.
    pub(crate) fn loaded_device(&self) -> Option<(String, String)> {
        let loaded = lock(&self.loaded);
        let device = &loaded.writer.as_ref()?.model.info().device;
        Some((device.label.clone(), device.why.clone()))
    }
}

/// The id in the settings, or the default's.
pub(crate) fn in_use(setting: &str) -> String {
    if setting.is_empty() {
        catalog::default_of(Role::Writer).id.clone()
    } else {
        setting.to_owned()
    }
}
