//! What models are here and whether each may run: catalog files, imported files, quarantine.
//!
//! Catalog files lie in the models folder, each with a record of its check beside it; imported files lie
//! where the person has them and are remembered in the home, with those that crashed the loader.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use idiolect_core::{ErrorCode, UserError};
use idiolect_engine::{ARCHITECTURES, Engine};
use idiolect_llm::Cancel;
use idiolect_store::{FileStamp, ImportedModel, Store};
use serde_json::json;

use super::{
    catalog::{self, CatalogModel, Role, Source, catalog},
    lock::ModelLock,
    part::partial_path,
    pull::Sources,
    verify::{Verified, record_path, sha256_of},
};
use crate::{
    api::{ModelEntry, ModelState},
    context::{Ctx, Pace},
    errors::{Told, from_io},
};

/// A model that may be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadyModel {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
}

/// The models folder and what of it is in memory.
#[derive(Debug)]
pub(crate) struct Registry {
    folder: PathBuf,
    pub(super) sources: Sources,
    pub(super) loaded: Mutex<super::load::Loaded>,
    /// Bytes of memory that are free now.
    pub(super) free_memory: fn() -> Option<u64>,
    /// Models that the person wants loaded whatever the memory; the empty name means all.
    pub(super) insisted: Mutex<HashSet<String>>,
}

impl Registry {
    /// Creates nothing: the folder appears with the first model.
    pub(crate) fn open(folder: PathBuf) -> Self {
        Self::with(folder, Sources::default())
    }

    pub(super) fn with(folder: PathBuf, sources: Sources) -> Self {
        Self {
            folder,
            sources,
            loaded: Mutex::default(),
            free_memory: crate::memory::free_bytes,
            insisted: Mutex::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every model, in the order shown: catalog first, then imports.
    pub(crate) fn list(&self, store: &Store, in_use: &str) -> Result<Vec<ModelEntry>, UserError> {
        let mut entries = Vec::new();
        for model in catalog() {
            entries.push(self.catalog_entry(store, model, in_use)?);
        }
        for model in store.imported_models().told()? {
            entries.push(imported_entry(store, model, in_use)?);
        }
        Ok(entries)
    }

    pub(crate) fn entry(
        &self,
        store: &Store,
        id: &str,
        in_use: &str,
    ) -> Result<ModelEntry, UserError> {
        self.list(store, in_use)?
            .into_iter()
            .find(|entry| entry.id == id)
            .ok_or_else(|| unknown(id))
    }

    /// The file of a model that may run: verified, not quarantined. `named` is an id or a path.
    ///
    /// # Errors
    /// `model_missing`, `model_corrupt`, `not_found`.
    pub(crate) fn ready(
        &self,
        store: &Store,
        named: &str,
        cancel: &Cancel,
    ) -> Result<ReadyModel, UserError> {
        if let Some(model) = catalog::find(named) {
            return self.ready_model(store, model, cancel);
        }
        may_run(store, find_import(store, named, cancel)?)
    }

    /// The same for a model of the catalog: all of its files are there and verified.
    pub(super) fn ready_model(
        &self,
        store: &Store,
        model: &CatalogModel,
        cancel: &Cancel,
    ) -> Result<ReadyModel, UserError> {
        let files = self.files(model);
        let there = files.iter().filter(|file| file.path.exists()).count();
        if there < files.len() {
            let message = if there == 0 {
                format!("The model {} has not been fetched yet.", model.name)
            } else {
                format!(
                    "Of the {} files of {}, {} are missing.",
                    files.len(),
                    model.name,
                    files.len() - there
                )
            };
            return Err(UserError::new(
                ErrorCode::ModelMissing,
                message,
                format!(
                    "Fetch it in Models, or with `idiolect models pull {}`.",
                    model.id
                ),
            ));
        }
        let mut main = None;
        for file in files {
            let sha256 = match file.verified() {
                Some(record) => record.sha256,
                // Put there by hand, or touched: nothing unverified runs, so look at it once.
                None => check_again(model, &file, cancel)?,
            };
            main.get_or_insert((file.path, sha256));
        }
        let (path, sha256) = main.ok_or_else(|| unknown(&model.id))?;
        may_run(
            store,
            ReadyModel {
                id: model.id.clone(),
                path,
                sha256,
            },
        )
    }

    /// Where a model's main file lies, whether or not it may run.
    pub(crate) fn path_of(&self, store: &Store, id: &str) -> Result<PathBuf, UserError> {
        match catalog::find(id) {
            Some(model) => Ok(self.main_file(model)),
            None => Ok(PathBuf::from(store.imported_model(id).told()?.file.path)),
        }
    }

    /// Lets a file that was set aside be tried again.
    pub(crate) fn release(&self, store: &Store, id: &str) -> Result<(), UserError> {
        release(store, &self.path_of(store, id)?)
    }

    /// Imports a GGUF in place, after reading its header whole.
    pub(crate) fn import(&self, ctx: &mut Ctx, path: &Path) -> Result<String, UserError> {
        ctx.start_job("Checking the model file", false);
        let path = std::path::absolute(path).map_err(|e| from_io("Finding the file", &e))?;
        if path.is_dir() {
            return Err(UserError::new(
                ErrorCode::Usage,
                "That is a folder, not a model file.",
                "Choose a file whose name ends in .gguf.",
            ));
        }
        let facts = Engine::inspect(&path).told()?;
        let total = std::fs::metadata(&path)
            .map_err(|e| from_io("Reading the file", &e))?
            .len();
        let pace = Pace::new(total, "bytes");
        let cancel = ctx.cancel().clone();
        let mut shown = 0;
        let sha256 = sha256_of(&path, &cancel, |done| {
            if done - shown > total / 50 {
                shown = done;
                ctx.emit(pace.at(done, "Checking"));
            }
        })?;
        let stamp = stamp(&path)
            .ok_or_else(|| from_io("Reading the file", &std::io::ErrorKind::NotFound.into()))?;
        let store = &ctx.studio.store;
        let stem = path.file_stem().map_or_else(
            || "model".to_owned(),
            |s| s.to_string_lossy().to_lowercase(),
        );
        let taken = |id: &str| {
            catalog::find(id).is_some()
                || store
                    .imported_model(id)
                    .is_ok_and(|other| other.file.path != stamp.path)
        };
        let mut id = stem.clone();
        let mut suffix = 2;
        while taken(&id) {
            id = format!("{stem}-{suffix}");
            suffix += 1;
        }
        let details = json!({"architecture": facts.architecture, "parameters": facts.parameters, "quantization": facts.quantization});
        release(store, &path)?;
        let model = ImportedModel {
            id: id.clone(),
            name: facts.name,
            file: stamp,
            sha256,
            details,
            added_at: String::new(),
        };
        store.import_model(&model).told()?;
        Ok(id)
    }

    /// Deletes a fetched model's files; an imported file is only forgotten.
    pub(crate) fn remove(&self, store: &Store, id: &str) -> Result<String, UserError> {
        let Some(model) = catalog::find(id) else {
            store.forget_model(id).told()?;
            return Ok("The model is forgotten; its file stays where it is.".to_owned());
        };
        let target = self.folder.join(&model.file);
        // Not under the hands of whoever fetches it.
        let _only_one = self
            .folder
            .exists()
            .then(|| ModelLock::take(&self.folder, id))
            .transpose()?;
        let removed = if target.is_dir() {
            std::fs::remove_dir_all(&target)
        } else {
            for beside in [record_path(&target), partial_path(&target)] {
                // Not there is as good as removed.
                let _ = std::fs::remove_file(beside);
            }
            std::fs::remove_file(&target)
        };
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(from_io("Removing the model", &e))
            }
            _ => Ok(format!("The file of {} is removed.", model.name)),
        }
    }

    /// The file that is loaded: the GGUF, or the embedder's weights.
    pub(super) fn main_file(&self, model: &CatalogModel) -> PathBuf {
        match &model.source {
            Source::PythonPackage { members, .. } => self.folder.join(&members[0].file),
            Source::Hub { .. } => self.folder.join(&model.file),
        }
    }

    /// All files of a model, the main one first.
    pub(super) fn files(&self, model: &CatalogModel) -> Vec<ModelFile> {
        match &model.source {
            Source::PythonPackage { members, .. } => members
                .iter()
                .map(|member| ModelFile {
                    path: self.folder.join(&member.file),
                    pinned: Some(member.sha256.clone()),
                })
                .collect(),
            Source::Hub { .. } => vec![ModelFile {
                path: self.main_file(model),
                pinned: model.sha256.clone(),
            }],
        }
    }

    fn catalog_entry(
        &self,
        store: &Store,
        model: &CatalogModel,
        in_use: &str,
    ) -> Result<ModelEntry, UserError> {
        let path = self.main_file(model);
        let runs = model.role == Role::Embedder || supports(&model.architecture);
        let record = Verified::of(&path);
        let files = self.files(model);
        let there = files.iter().filter(|file| file.path.exists()).count();
        let (state, note) = if is_quarantined(store, &path)? {
            (ModelState::Broken, CRASHED.to_owned())
        } else if there == files.len() {
            let checked = files.iter().all(|file| file.verified().is_some());
            let note = if checked {
                ""
            } else {
                "Will be checked before it is used."
            };
            (ModelState::Ready, note.to_owned())
        } else if there > 0 || partial_path(&path).exists() {
            (
                ModelState::Partial,
                "Fetched in part; fetching resumes.".to_owned(),
            )
        } else if !runs {
            (
                ModelState::Available,
                format!(
                    "This version cannot run the {} family yet.",
                    model.architecture
                ),
            )
        } else {
            let along = catalog::companion(model).map_or_else(String::new, |companion| {
                let size = companion.size().unwrap_or(0) as f64 / 1e6;
                format!("Brings {} along, {size:.0} MB.", companion.name)
            });
            (ModelState::Available, along)
        };
        Ok(ModelEntry {
            id: model.id.clone(),
            name: model.name.clone(),
            role: model.role.as_str().to_owned(),
            about: model.about.clone(),
            bytes: model.bytes.or(record.as_ref().map(|r| r.bytes)),
            parameters: model.parameters.clone(),
            licence: model.licence.clone(),
            licence_url: model.licence_url.clone(),
            licence_gate: model.licence_gate,
            source: match &model.source {
                Source::PythonPackage {
                    package, version, ..
                } => format!("the Python package {package} {version}"),
                Source::Hub { repository, .. } => {
                    format!("{}/{repository}", super::hub::endpoint())
                }
            },
            supported: runs,
            state,
            in_use: model.id == in_use,
            sha256: model.sha256.clone().or(record.map(|r| r.sha256)),
            details: format!("architecture {}", model.architecture),
            set_aside: note == CRASHED,
            note,
            memory: String::new(),
            device: String::new(),
        })
    }
}

pub(super) const CRASHED: &str =
    "The studio crashed or hung twice while loading this file, so it is set aside and not loaded.";

/// One file of a catalog model.
pub(super) struct ModelFile {
    pub(super) path: PathBuf,
    pinned: Option<String>,
}

impl ModelFile {
    /// The record of its check, if it holds and is of the file the catalog pins.
    fn verified(&self) -> Option<Verified> {
        Verified::of(&self.path)
            .filter(|record| self.pinned.as_ref().is_none_or(|p| *p == record.sha256))
    }
}

/// Reads the whole file again; its SHA-256 if it is the promised one.
pub(super) fn check_again(
    model: &CatalogModel,
    file: &ModelFile,
    cancel: &Cancel,
) -> Result<String, UserError> {
    let path = &file.path;
    let promised = file
        .pinned
        .clone()
        .or_else(|| Verified::stored(path).map(|record| record.sha256));
    let found = sha256_of(path, cancel, |_| {})?;
    if promised.as_ref() != Some(&found) {
        return Err(UserError::new(
            ErrorCode::ModelCorrupt,
            format!("A file of {} is not the one that was promised.", model.name),
            format!(
                "Fetch it again: `idiolect models remove {0}`, then `idiolect models pull {0}`.",
                model.id
            ),
        ));
    }
    // A read-only models folder only means checking again next time.
    if let Ok(record) = Verified::now(path, found.clone()) {
        let _ = record.store(path);
    }
    Ok(found)
}

/// Refuses a file that was set aside because it crashed.
fn may_run(store: &Store, ready: ReadyModel) -> Result<ReadyModel, UserError> {
    if is_quarantined(store, &ready.path)? {
        return Err(UserError::new(
            ErrorCode::ModelCorrupt,
            CRASHED,
            "Use another model, or let this one be tried once more: `idiolect models release ID`, or Try again under Models. `idiolect models doctor` looks at the file without loading it.",
        ));
    }
    Ok(ready)
}

/// An imported model by its id, or any file by its path.
fn find_import(store: &Store, named: &str, cancel: &Cancel) -> Result<ReadyModel, UserError> {
    if let Ok(model) = store.imported_model(named) {
        let path = PathBuf::from(&model.file.path);
        match stamp(&path) {
            Some(now) if now == model.file => {}
            Some(_) => {
                return Err(UserError::new(
                    ErrorCode::ModelCorrupt,
                    format!(
                        "The file of {} changed since it was imported, so it is not used: {}",
                        model.id,
                        path.display()
                    ),
                    "If it should have changed, import it again: `idiolect models import FILE`.",
                ));
            }
            None => {
                return Err(UserError::new(
                    ErrorCode::ModelMissing,
                    format!(
                        "The file of {} is no longer where it was imported from: {}",
                        model.id,
                        path.display()
                    ),
                    "Move it back, or import it from where it is now: `idiolect models import FILE`.",
                ));
            }
        }
        return Ok(ReadyModel {
            id: model.id,
            path,
            sha256: model.sha256,
        });
    }
    let path = Path::new(named);
    if path.is_file() {
        let sha256 = sha256_of(path, cancel, |_| {})?;
        let id = path
            .file_stem()
            .map_or_else(|| named.to_owned(), |s| s.to_string_lossy().into_owned());
        return Ok(ReadyModel {
            id,
            path: path.to_owned(),
            sha256,
        });
    }
    Err(unknown(named))
}

fn imported_entry(
    store: &Store,
    model: ImportedModel,
    in_use: &str,
) -> Result<ModelEntry, UserError> {
    let path = PathBuf::from(&model.file.path);
    let (state, note) = if is_quarantined(store, &path)? {
        (ModelState::Broken, CRASHED)
    } else if !path.exists() {
        (
            ModelState::Broken,
            "The file is no longer where it was imported from. Move it back, or import it from where it is now.",
        )
    } else if stamp(&path).as_ref() != Some(&model.file) {
        (
            ModelState::Broken,
            "The file changed since it was imported. Import it again.",
        )
    } else {
        (ModelState::Imported, "")
    };
    let word = |name: &str| model.details[name].as_str().unwrap_or("unknown").to_owned();
    Ok(ModelEntry {
        in_use: model.id == in_use,
        name: model.name.clone(),
        role: Role::Writer.as_str().to_owned(),
        about: "A file of your own.".to_owned(),
        bytes: Some(model.file.bytes),
        parameters: in_words(model.details["parameters"].as_u64().unwrap_or(0)),
        licence: "as its author says".to_owned(),
        licence_url: String::new(),
        licence_gate: false,
        source: "your disk".to_owned(),
        // A family that cannot run is refused when it is imported.
        supported: true,
        state,
        sha256: Some(model.sha256.clone()),
        details: format!(
            "architecture {}, {}",
            word("architecture"),
            word("quantization")
        ),
        set_aside: note == CRASHED,
        note: note.to_owned(),
        memory: String::new(),
        device: String::new(),
        id: model.id,
    })
}

/// A file as it is now; `None` where it is not there.
pub(super) fn stamp(path: &Path) -> Option<FileStamp> {
    let meta = std::fs::metadata(path).ok()?;
    let modified = meta
        .modified()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    Some(FileStamp {
        path: path.display().to_string(),
        bytes: meta.len(),
        modified: modified.to_string(),
    })
}

pub(super) fn is_quarantined(store: &Store, path: &Path) -> Result<bool, UserError> {
    match stamp(path) {
        Some(stamp) => Ok(store.quarantined(&stamp).told()?.is_some()),
        None => Ok(false),
    }
}

/// Lets a file that was set aside be tried again.
pub(super) fn release(store: &Store, path: &Path) -> Result<(), UserError> {
    store.lift_quarantine(&path.display().to_string()).told()?;
    Ok(())
}

pub(super) fn unknown(id: &str) -> UserError {
    UserError::new(
        ErrorCode::NotFound,
        format!("No model is called “{id}”, and no file lies there."),
        "`idiolect models list` shows what there is; `idiolect models import FILE` adds a file.",
    )
}

/// "135 million", "1.2 billion".
pub(crate) fn in_words(parameters: u64) -> String {
    if parameters >= 1_000_000_000 {
        format!("{:.1} billion", parameters as f64 / 1e9)
    } else {
        format!("{} million", (parameters as f64 / 1e6).round())
    }
}

/// Whether this version's engine runs models of this architecture.
pub(super) fn supports(architecture: &str) -> bool {
    ARCHITECTURES.iter().any(|known| known.name == architecture)
}
