//! Whole copies of the database, taken before it changes shape and before something is deleted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use crate::{
    Store,
    error::{Result, StoreError},
    migrations::{self, Migration},
    presence::{make_private_folder, private_file},
};

const FOLDER: &str = "snapshots";
const DOING: &str = "taking a snapshot";

/// How many snapshots are kept; the newest one taken before an upgrade is kept beyond that.
pub const SNAPSHOTS_KEPT: usize = 10;

/// Why the snapshot before an upgrade was taken, as its file name says it.
pub(crate) const BEFORE_UPGRADE: &str = "upgrade";

impl Store {
    /// Copies the database to `snapshots/<time>-<why>.db` in the home and keeps the last
    /// [`SNAPSHOTS_KEPT`]. Deleting a profile, sample or adapter does this by itself.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub fn snapshot(&self, why: &str) -> Result<PathBuf> {
        let now = self.timestamp();
        take(&self.connection(), self.home(), &now, why).map_err(|e| self.locate(e))
    }

    /// The snapshots there are, oldest first.
    ///
    /// # Errors
    /// `Io`.
    pub fn snapshots(&self) -> Result<Vec<PathBuf>> {
        list(self.home())
    }

    /// Deletes every snapshot, what a kill left of one, and old pages in the write-ahead log: a text deleted since
    /// then is still in them. Says how many snapshots there were.
    ///
    /// # Errors
    /// `Io`.
    pub fn forget_snapshots(&self) -> Result<usize> {
        let fail = |e| StoreError::io("forgetting the snapshots", self.home(), e);
        let known = list(self.home())?.len();
        let folder = self.home().join(FOLDER);
        if folder.is_dir() {
            for entry in fs::read_dir(folder).map_err(fail)? {
                fs::remove_file(entry.map_err(fail)?.path()).map_err(fail)?;
            }
        }
        empty_log(&self.connection()).map_err(|e| self.locate(e))?;
        Ok(known)
    }
}

/// Copies what `db` holds; the copy is complete on disk before it gets its name.
pub(crate) fn take(db: &Connection, home: &Path, now: &str, why: &str) -> Result<PathBuf> {
    let fail = |e| StoreError::io(DOING, home, e);
    let folder = home.join(FOLDER);
    make_private_folder(&folder).map_err(fail)?;
    let stem = format!("{}-{}", now.replace([':', '-'], ""), slug(why));
    let unfinished = folder.join(format!("{stem}-{}.unfinished", std::process::id()));
    // The empty file comes first, so that only this user can ever read the copy.
    let written = private_file(&unfinished)
        .and_then(|file| file.set_len(0).map(|()| file))
        .map_err(fail)
        .and_then(|file| {
            copy(db, &unfinished)?;
            file.sync_all().map_err(fail)
        });
    if let Err(e) = written {
        // Half a copy helps nobody, least of all on a full disk.
        let _ = fs::remove_file(&unfinished);
        return Err(e);
    }
    let mut path = folder.join(format!("{stem}.db"));
    for n in 2.. {
        if !path.exists() {
            break;
        }
        path = folder.join(format!("{stem}-{n}.db"));
    }
    fs::rename(&unfinished, &path).map_err(fail)?;
    prune(home)?;
    Ok(path)
}

/// All pages in one step, so that no writer can come in between.
fn copy(db: &Connection, to: &Path) -> Result<()> {
    let mut copy = Connection::open(to)?;
    match Backup::new(db, &mut copy)?.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(StoreError::Busy {
            what: "it is being written to".to_owned(),
        }),
    }
}

/// Runs those of `steps` that take something away on every snapshot that is older than they are. A file that is no
/// database (any more) is left alone: there is nothing to be read from it.
pub(crate) fn clean(home: &Path, steps: &[Migration]) -> Result<()> {
    for path in list(home)? {
        match clean_one(&path, steps) {
            Err(StoreError::DatabaseCorrupt { .. }) => {}
            done => done?,
        }
    }
    Ok(())
}

fn clean_one(path: &Path, steps: &[Migration]) -> Result<()> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.pragma_update(None, "secure_delete", true)?;
    let version = migrations::version(&db)? as usize;
    for step in steps.iter().skip(version).filter(|step| step.in_snapshots) {
        db.execute_batch(&format!("BEGIN; {} COMMIT;", step.sql))?;
    }
    empty_log(&db)
}

/// Moves the write-ahead log into the database and empties it: old pages in it still hold what was deleted.
pub(crate) fn empty_log(db: &Connection) -> Result<()> {
    // The first column says whether somebody kept it from being emptied; they will empty it when they close.
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// The newest snapshot of a home, where there is one.
pub(crate) fn newest(home: &Path) -> Option<PathBuf> {
    list(home).ok()?.pop()
}

fn list(home: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e| StoreError::io("listing the snapshots", home, e);
    let folder = home.join(FOLDER);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|e| e == "db") {
            all.push(path);
        }
    }
    // Names begin with the time.
    all.sort();
    Ok(all)
}

fn prune(home: &Path) -> Result<()> {
    let all = list(home)?;
    let Some(surplus) = all.len().checked_sub(SNAPSHOTS_KEPT) else {
        return Ok(());
    };
    let is_upgrade = |path: &&PathBuf| {
        path.file_stem()
            .is_some_and(|stem| stem.to_string_lossy().contains(BEFORE_UPGRADE))
    };
    let spared = all.iter().rev().find(is_upgrade);
    for path in all[..surplus].iter().filter(|path| Some(*path) != spared) {
        fs::remove_file(path).map_err(|e| StoreError::io(DOING, home, e))?;
    }
    Ok(())
}

/// `delete profile` → `delete-profile`: letters and digits of any input, short.
fn slug(why: &str) -> String {
    let mut slug = String::new();
    for c in why.chars().take(40) {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}
