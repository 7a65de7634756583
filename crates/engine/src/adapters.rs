//! Adapters already read from disk, so that turning one on, off or up reads nothing again.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use candle_core::Device;
use idiolect_llm::{AdapterSource, LlmError, Result};

use crate::{
    config::Config,
    lora::{Adapter, LoraWeights, WEIGHTS_FILE},
    model::LoadedModel,
};

/// Adapters kept; one of rank 8 on all linears of the default model takes 10 MB.
const MOST: usize = 16;

/// What tells whether a file was written again.
type Stamp = (Option<SystemTime>, u64);

#[derive(Debug, Default)]
pub(crate) struct Adapters {
    read: Mutex<HashMap<PathBuf, (Stamp, Adapter)>>,
    /// Of weights that lie in no folder.
    lent: Mutex<HashMap<PathBuf, Adapter>>,
    lendings: AtomicU64,
}

/// Weights in memory under a name that a request can use like a folder, until this is dropped.
#[derive(Debug)]
pub struct Lent<'m> {
    model: &'m LoadedModel,
    name: PathBuf,
}

impl Lent<'_> {
    /// Them, at a strength of 1.
    pub fn source(&self) -> AdapterSource {
        AdapterSource {
            dir: self.name.clone(),
            scale: 1.0,
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        locked(&self.model.adapters.lent).remove(&self.name);
    }
}

impl LoadedModel {
    /// Lends the model weights that are being trained, as they are now: drafts can be written with them before there is a
    /// folder of them.
    ///
    /// # Errors
    /// A device failure.
    pub fn lend(&self, weights: &LoraWeights) -> Result<Lent<'_>> {
        let adapters = &self.adapters;
        let number = adapters.lendings.fetch_add(1, Ordering::Relaxed);
        // No folder of an adapter is called so: names of theirs begin with a home.
        let name = PathBuf::from(format!("in memory, number {number}"));
        let adapter = Adapter::new(weights, self.decoder().device())?;
        locked(&adapters.lent).insert(name.clone(), adapter);
        Ok(Lent { model: self, name })
    }
}

impl Adapters {
    /// The adapter in the folder `dir`, or in the GGUF file of that path, read again only when its weights file changed.
    pub(crate) fn get(&self, dir: &Path, model: &Config, device: &Device) -> Result<Adapter> {
        if let Some(lent) = locked(&self.lent).get(dir) {
            return Ok(lent.clone());
        }
        let stamp = stamp(dir)?;
        if let Some((seen, adapter)) = locked(&self.read).get(dir)
            && *seen == stamp
        {
            return Ok(adapter.clone());
        }
        let adapter = Adapter::new(&read(dir, model, device)?, device)?;
        let mut kept = locked(&self.read);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(dir.to_owned(), (stamp, adapter.clone()));
        Ok(adapter)
    }

    /// Forgets what was read from `path`, which is not to stay there.
    pub(crate) fn forget(&self, path: &Path) {
        locked(&self.read).remove(path);
    }
}

fn locked<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves the maps whole: every insertion is one call.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A PEFT folder, or a GGUF file.
pub(crate) fn read(path: &Path, model: &Config, device: &Device) -> Result<LoraWeights> {
    match path.is_file() {
        true => LoraWeights::load_gguf(path, model, device),
        false => LoraWeights::load(path, model, device),
    }
}

fn stamp(dir: &Path) -> Result<Stamp> {
    let file = match dir.is_file() {
        true => dir.to_owned(),
        false => dir.join(WEIGHTS_FILE),
    };
    let meta = fs::metadata(file).map_err(|e| {
        LlmError::Adapter(format!("its folder has no {WEIGHTS_FILE} ({})", e.kind()))
    })?;
    Ok((meta.modified().ok(), meta.len()))
}
