//! Who has a home open: one locked file each under `open/`, freed by the system when a process ends.
//!
//! A file lock says "alive" without asking about process ids, which are reused. Every look at the
//! locks happens under one guard file, so that probing somebody's lock is never mistaken for a holder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::error::{Result, StoreError};

const FOLDER: &str = "open";
const GUARD: &str = "guard";
const DOING: &str = "taking note of who has the home open";

/// This opening of a home; dropping it takes the note away.
#[derive(Debug)]
pub(crate) struct Presence {
    home: PathBuf,
    token: String,
    // Holds the lock; released by the system even after a kill.
    _lock: File,
}

/// What the notes said before this one was added.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// Openings of live processes.
    pub live: usize,
    /// Notes of openings that ended without closing (a kill, a crash, a power cut).
    unclean: Vec<PathBuf>,
}

impl Others {
    /// Whether somebody ended without closing.
    pub fn any_unclean(&self) -> bool {
        !self.unclean.is_empty()
    }

    /// Takes the notes of the dead away, once what they left behind was looked at.
    pub fn bury(&self, home: &Path, _guard: &Guard) -> Result<()> {
        for note in &self.unclean {
            fs::remove_file(note).map_err(|e| StoreError::io(DOING, home, e))?;
        }
        Ok(())
    }
}

/// The right to look at the locks; dropping it lets the next one in.
pub(crate) struct Guard(#[allow(dead_code, reason = "held for its lock")] File);

impl Guard {
    /// Waits for the guard of `home` at most `patience`.
    ///
    /// # Errors
    /// `ReadOnlyHome` where the file cannot be written, `Busy` when the wait was in vain.
    pub fn take(home: &Path, patience: Duration) -> Result<Self> {
        let fail = |e| StoreError::io(DOING, home, e);
        let folder = home.join(FOLDER);
        make_private_folder(&folder).map_err(fail)?;
        let file = private_file(&folder.join(GUARD)).map_err(fail)?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Busy {
                        what: "it is being opened or upgraded there".to_owned(),
                    });
                }
                Err(TryLockError::Error(e)) => return Err(fail(e)),
            }
        }
    }
}

/// Looks at the notes of everyone but `own`.
pub(crate) fn others(home: &Path, own: Option<&str>, _guard: &Guard) -> Result<Others> {
    let fail = |e| StoreError::io(DOING, home, e);
    let mut found = Others::default();
    for entry in fs::read_dir(home.join(FOLDER)).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let token = name.to_string_lossy();
        if token == GUARD || own == Some(&*token) {
            continue;
        }
        if is_locked(&entry.path()).map_err(fail)? {
            found.live += 1;
        } else {
            found.unclean.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether the opening named `token` belongs to a process that still runs.
pub(crate) fn is_live(home: &Path, token: &str, _guard: &Guard) -> Result<bool> {
    is_locked(&home.join(FOLDER).join(token)).map_err(|e| StoreError::io(DOING, home, e))
}

fn is_locked(path: &Path) -> std::io::Result<bool> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

impl Presence {
    /// Notes this opening as `pid-nonce`.
    pub fn register(home: &Path, nonce: u64, _guard: &Guard) -> Result<Self> {
        let fail = |e| StoreError::io(DOING, home, e);
        let token = format!("{}-{nonce:016x}", std::process::id());
        let lock = private_file(&home.join(FOLDER).join(&token)).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                home: home.to_owned(),
                token,
                _lock: lock,
            }),
            // The guard is ours, so nobody else can be probing.
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy {
                what: "it is being opened there".to_owned(),
            }),
            Err(TryLockError::Error(e)) => Err(fail(e)),
        }
    }

    /// The name other openings know this one by.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A note left behind only costs the next opening a quick check.
        let _ = fs::remove_file(self.home.join(FOLDER).join(&self.token));
    }
}

/// Creates a folder that only this user can enter; an existing one keeps its permissions.
pub(crate) fn make_private_folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens a file for writing, creating it so that only this user can read it.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
