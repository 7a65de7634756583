//! A file that is here in part: resumable, hashed as it grows, put in place only when it is right.
//!
//! It keeps its name between attempts, with a note beside it of what was promised, so that a changed
//! promise starts over.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::verify::{Verified, hex};
use crate::{context::cancelled, errors::from_io};

/// What the source says a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promise {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// `x.gguf` → `x.gguf.part`.
pub(crate) fn partial_path(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// What is known of a partial file, kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    promise: Promise,
    etag: Option<String>,
}

/// The partial file, open.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    pub(crate) len: u64,
    hasher: Sha256,
    note: Note,
}

impl Part {
    /// Takes up a partial file of the same promise, else begins one.
    pub(crate) fn open(path: &Path, promise: &Promise, cancel: &Cancel) -> Result<Self, UserError> {
        let note = std::fs::read_to_string(note_path(path))
            .ok()
            .and_then(|text| serde_json::from_str::<Note>(&text).ok())
            .filter(|note| note.promise == *promise);
        let fresh = note.is_none();
        let note = note.unwrap_or_else(|| Note {
            promise: promise.clone(),
            etag: None,
        });
        let what = "Writing the model";
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(fresh);
        let mut file = options.open(path).map_err(|e| from_io(what, &e))?;
        let mut hasher = Sha256::new();
        let mut len = 0;
        if !fresh {
            let mut buffer = vec![0; 1 << 20];
            loop {
                if cancel.is_cancelled() {
                    return Err(cancelled());
                }
                let n = file.read(&mut buffer).map_err(|e| from_io(what, &e))?;
                if n == 0 {
                    break;
                }
                hasher.update(&buffer[..n]);
                len += n as u64;
            }
        }
        let mut part = Self {
            path: path.to_owned(),
            file,
            len,
            hasher,
            note,
        };
        if part.len > promise.bytes {
            part.restart(promise, None)?;
        }
        part.write_note()?;
        Ok(part)
    }

    pub(crate) fn restart(
        &mut self,
        promise: &Promise,
        etag: Option<String>,
    ) -> Result<(), UserError> {
        if self.len > 0 {
            self.file
                .set_len(0)
                .map_err(|e| from_io("Writing the model", &e))?;
            self.file
                .rewind()
                .map_err(|e| from_io("Writing the model", &e))?;
            self.hasher = Sha256::new();
            self.len = 0;
        }
        self.note = Note {
            promise: promise.clone(),
            etag,
        };
        self.write_note()
    }

    /// What the source called the version these bytes are of.
    pub(crate) fn etag(&self) -> Option<&str> {
        self.note.etag.as_deref()
    }

    fn write_note(&self) -> Result<(), UserError> {
        let text = serde_json::to_string(&self.note).unwrap_or_default();
        std::fs::write(note_path(&self.path), text).map_err(|e| from_io("Writing the model", &e))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), UserError> {
        self.file
            .write_all(bytes)
            .map_err(|e| from_io("Writing the model", &e))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Best effort: what is not on disk yet is fetched again.
    pub(crate) fn sync(&self) {
        let _ = self.file.sync_data();
    }

    pub(crate) fn discard(&self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(note_path(&self.path));
    }

    pub(crate) fn finish(self, promise: &Promise, target: &Path) -> Result<(), UserError> {
        let found = hex(self.hasher.clone());
        if found != promise.sha256 {
            self.discard();
            return Err(mismatch("its SHA-256 is another one"));
        }
        self.file
            .sync_all()
            .map_err(|e| from_io("Writing the model", &e))?;
        std::fs::rename(&self.path, target)
            .map_err(|e| from_io("Putting the model in place", &e))?;
        let _ = std::fs::remove_file(note_path(&self.path));
        if let Some(folder) = target.parent()
            && let Ok(folder) = File::open(folder)
        {
            // The rename itself reaches the disk.
            let _ = folder.sync_all();
        }
        Verified::now(target, found)
            .and_then(|record| record.store(target))
            .map_err(|e| from_io("Noting that the model was checked", &e))
    }
}

fn note_path(partial: &Path) -> PathBuf {
    let mut name = partial.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// Says beforehand that `needed` bytes will not fit into `folder`.
pub(crate) fn refuse_full_disk(folder: &Path, needed: u64) -> Result<(), UserError> {
    // A folder whose free space cannot be read is tried all the same.
    let Ok(free) = fs4::available_space(folder) else {
        return Ok(());
    };
    // A little is left for the database and its journal.
    let margin = 64 << 20;
    let needed = needed.saturating_add(margin);
    if free < needed {
        return Err(UserError::new(
            ErrorCode::DiskFull,
            format!(
                "The disk has {} MB free; this model needs {} MB more.",
                free / 1_000_000,
                needed / 1_000_000
            ),
            "Free some space, or keep models elsewhere with --models (or IDIOLECT_MODELS).",
        ));
    }
    Ok(())
}

/// What came is not what was promised.
pub(crate) fn mismatch(why: &str) -> UserError {
    UserError::new(
        ErrorCode::ChecksumMismatch,
        format!("What arrived is not what was promised: {why}. It was thrown away."),
        "Try again; if it comes back, the source or the connection alters files.",
    )
}
