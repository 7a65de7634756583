//! One fetch of a model at a time, whoever fetches: another request, another window, a command.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use idiolect_core::{ErrorCode, UserError};

use crate::errors::from_io;

/// The right to change a model's files. Dropping it, or the end of the program, gives it back. The lock
/// file stays: taking it away would let two hold two files of one name.
#[derive(Debug)]
pub(crate) struct ModelLock(#[allow(dead_code, reason = "held for its lock")] File);

impl ModelLock {
    /// # Errors
    /// `busy` where somebody else holds it; a folder that cannot be written to.
    pub(crate) fn take(folder: &Path, id: &str) -> Result<Self, UserError> {
        let fail = |e: &std::io::Error| from_io("Preparing the models folder", e);
        std::fs::create_dir_all(folder).map_err(|e| fail(&e))?;
        let file = open(&path(folder, id), true).map_err(|e| fail(&e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(UserError::new(
                ErrorCode::Busy,
                format!("{id} is already being fetched, by another window or command."),
                "Wait until it is done there, or stop it there and try again.",
            )),
            Err(TryLockError::Error(e)) => Err(fail(&e)),
        }
    }

    /// Whether somebody holds it.
    pub(crate) fn is_held(folder: &Path, id: &str) -> bool {
        open(&path(folder, id), false)
            .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!(".{id}.lock"))
}

fn open(path: &Path, create: bool) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)
}
