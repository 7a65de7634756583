//! Adapters already read from disk, so that turning one on, off or up reads nothing again.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use candle_core::Device;
use idiolect_llm::{LlmError, Result};

use crate::{
    config::Config,
    lora::{Adapter, LoraWeights, WEIGHTS_FILE},
};

/// Adapters kept; one of rank 8 on all linears of the default model takes 10 MB.
const MOST: usize = 16;

/// What tells whether a file was written again.
type Stamp = (Option<SystemTime>, u64);

#[derive(Debug, Default)]
pub(crate) struct Adapters(Mutex<HashMap<PathBuf, (Stamp, Adapter)>>);

impl Adapters {
    /// The adapter in the folder `dir`, or in the GGUF file of that path, read again only when its weights file changed.
    pub(crate) fn get(&self, dir: &Path, model: &Config, device: &Device) -> Result<Adapter> {
        let stamp = stamp(dir)?;
        if let Some((seen, adapter)) = self.lock().get(dir)
            && *seen == stamp
        {
            return Ok(adapter.clone());
        }
        let adapter = Adapter::new(&read(dir, model, device)?, device)?;
        let mut kept = self.lock();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(dir.to_owned(), (stamp, adapter.clone()));
        Ok(adapter)
    }

    /// Forgets what was read from `path`, which is not to stay there.
    pub(crate) fn forget(&self, path: &Path) {
        self.lock().remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, (Stamp, Adapter)>> {
        // A panic elsewhere leaves the map whole: every insertion is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
