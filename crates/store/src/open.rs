//! Opening a home: looking before touching, upgrading, and finding what was cut short.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::{
    Store, StoreInner,
    error::{Result, StoreError},
    jobs::{self, CutShort},
    migrations::{self, APPLICATION_ID, MIGRATIONS, Migration},
    presence::{self, Guard, Presence, make_private_folder, private_file},
    snapshots,
};

/// The database's file name in a home.
pub const DATABASE: &str = "idiolect.db";

/// Where time and randomness come from, and how long a write waits for another process.
pub struct Setup {
    /// The time.
    pub clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// 64 random bits, for ids.
    pub random: Box<dyn Fn() -> Result<u64> + Send + Sync>,
    /// How long a write waits for another process's.
    pub patience: Duration,
    /// The shape to bring the database to.
    pub(crate) migrations: &'static [Migration],
}

impl Default for Setup {
    /// The system's clock and randomness; ten seconds of patience.
    fn default() -> Self {
        Self {
            clock: Box::new(Timestamp::now),
            random: Box::new(|| {
                getrandom::u64().map_err(|e| StoreError::Io {
                    doing: "asking the system for randomness",
                    source: std::io::Error::other(e.to_string()),
                })
            }),
            patience: Duration::from_secs(10),
            migrations: MIGRATIONS,
        }
    }
}

/// An opened home.
#[derive(Debug)]
pub struct Opened {
    /// The door to everything stored.
    pub store: Store,
    /// Another live process (or another opening in this one) has the home open too.
    pub shared: bool,
    /// What was interrupted before this opening and not yet acknowledged.
    pub cut_short: Vec<CutShort>,
    /// The snapshot taken before an upgrade, where there was one.
    pub upgraded_from: Option<PathBuf>,
}

impl Store {
    /// Opens the home, creating it (readable by this user only) where it is not there.
    ///
    /// Refuses, without changing a byte of the database, a newer version and a file that is not
    /// ours. Takes a snapshot before an upgrade; checks the whole file after an unclean end.
    ///
    /// # Errors
    /// `NewerDatabase`, `DatabaseCorrupt`, `ReadOnlyHome`, `DiskFull`, `Busy`, `Io`.
    pub fn open(home: &Path) -> Result<Opened> {
        Self::open_with(home, Setup::default())
    }

    /// [`Store::open`] with another clock, randomness or patience.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(home: &Path, setup: Setup) -> Result<Opened> {
        // Absolute, so that a change of the working folder cannot move the home.
        let home = std::path::absolute(home)
            .map_err(|e| StoreError::io("finding the home folder", home, e))?;
        open(&home, setup).map_err(|e| at_home(e, &home))
    }
}

/// Fills in the paths that an SQLite error does not know.
pub(crate) fn at_home(error: StoreError, home: &Path) -> StoreError {
    match error {
        StoreError::DatabaseCorrupt { detail, .. } => StoreError::DatabaseCorrupt {
            detail,
            path: home.join(DATABASE),
            snapshot: snapshots::newest(home),
        },
        StoreError::ReadOnlyHome { .. } => StoreError::ReadOnlyHome {
            path: home.to_owned(),
        },
        other => other,
    }
}

fn open(home: &Path, setup: Setup) -> Result<Opened> {
    let fail = |e| StoreError::io("creating the home folder", home, e);
    make_private_folder(home).map_err(fail)?;
    let guard = Guard::take(home, setup.patience)?;
    let path = home.join(DATABASE);
    inspect(&path, setup.migrations.len() as u32)?;

    let others = presence::others(home, None, &guard)?;
    // A write-ahead log without an owner is what a kill leaves behind.
    let orphaned_log = others.live == 0 && fs::metadata(wal_of(&path)).is_ok_and(|m| m.len() > 0);
    let presence = Presence::register(home, (setup.random)()?, &guard)?;

    // SQLite gives its side files the permissions of the main one.
    private_file(&path).map_err(fail)?;
    let mut db = Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    configure(&db, setup.patience)?;
    if others.any_unclean() || orphaned_log {
        check(&db)?;
    }
    let found = migrations::version(&db)?;
    let mut upgraded_from = None;
    if found > 0 && (found as usize) < setup.migrations.len() {
        let next = setup.migrations[found as usize].name;
        let why = format!("{} {next}", snapshots::BEFORE_UPGRADE);
        let now = format!("{:.3}", (setup.clock)());
        upgraded_from = Some(snapshots::take(&db, home, &now, &why)?);
        // Before the database itself: cut short here, the next opening does it all again.
        snapshots::clean(home, setup.migrations)?;
    }
    migrations::migrate(&mut db, setup.migrations)?;
    if upgraded_from.is_some() {
        snapshots::empty_log(&db)?;
    }

    let store = Store(Arc::new(StoreInner {
        db: Mutex::new(db),
        home: home.to_owned(),
        presence,
        setup,
    }));
    let cut_short = jobs::cut_short(&store, &guard)?;
    others.bury(home, &guard)?;
    drop(guard);
    Ok(Opened {
        store,
        shared: others.live > 0,
        cut_short,
        upgraded_from,
    })
}

/// Reads what stands there through a read-only connection, so that nothing is changed by looking.
fn inspect(path: &Path, known: u32) -> Result<()> {
    let not_ours = |detail: &str| StoreError::DatabaseCorrupt {
        detail: detail.to_owned(),
        path: path.to_owned(),
        snapshot: None,
    };
    match fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StoreError::io("looking for the database", path, e)),
        Ok(m) if !m.is_file() => return Err(not_ours("it is not a file")),
        // Created, then killed before the first write: as good as absent.
        Ok(m) if m.len() == 0 => return Ok(()),
        Ok(_) => {}
    }
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(Duration::from_secs(10))?;
    let found = migrations::version(&db)?;
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (found > 0 || tables > 0) {
        return Err(not_ours("it belongs to another program"));
    }
    if found > known {
        return Err(StoreError::NewerDatabase { found, known });
    }
    Ok(())
}

fn configure(db: &Connection, patience: Duration) -> Result<()> {
    db.busy_timeout(patience)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Internal {
            detail: format!("the write-ahead log is not available here (got {mode})"),
        });
    }
    // What was confirmed survives a power cut, too.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    // Deleted text is overwritten, not just unlinked.
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn check(db: &Connection) -> Result<()> {
    let verdict: String = db.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::DatabaseCorrupt {
        // The first line names a page or an index, never a value.
        detail: verdict.lines().next().unwrap_or_default().to_owned(),
        path: PathBuf::new(),
        snapshot: None,
    })
}

fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
