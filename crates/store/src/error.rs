//! What can go wrong in a home, and how a person is told.

use std::path::{Path, PathBuf};

use idiolect_core::{ErrorCode, UserError};
use rusqlite::ffi;

/// A result of this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What a row stands for, in a person's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thing {
    /// A profile.
    Profile,
    /// A sample.
    Sample,
    /// A hypothesis.
    Hypothesis,
    /// A draft.
    Draft,
    /// A blind pair.
    Pair,
    /// A vote.
    Vote,
    /// A training run.
    Run,
    /// An adapter.
    Adapter,
    /// An imported model.
    Model,
    /// Anything else with a unique key.
    Entry,
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Profile => "profile",
            Self::Sample => "sample",
            Self::Hypothesis => "hypothesis",
            Self::Draft => "draft",
            Self::Pair => "pair",
            Self::Vote => "vote",
            Self::Run => "training run",
            Self::Adapter => "adapter",
            Self::Model => "model",
            Self::Entry => "entry",
        })
    }
}

/// Why the home could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer version of the studio wrote this database; it was not touched.
    #[error(
        "this home was last used by a newer version (database version {found}, this one knows {known})"
    )]
    NewerDatabase {
        /// Its version.
        found: u32,
        /// The newest version this build knows.
        known: u32,
    },
    /// The file is no database of ours, or is damaged; it was not touched.
    #[error("the database cannot be read: {detail}")]
    DatabaseCorrupt {
        /// What was found, without anything private.
        detail: String,
        /// The database file.
        path: PathBuf,
        /// The newest snapshot, where there is one.
        snapshot: Option<PathBuf>,
    },
    /// No space; the write was rolled back.
    #[error("the disk is full; this change was not stored, everything before it is safe")]
    DiskFull,
    /// The home cannot be written.
    #[error("the home folder cannot be written: {}", .path.display())]
    ReadOnlyHome {
        /// The home.
        path: PathBuf,
    },
    /// Somebody else is at it.
    #[error("another window or command is busy with this home: {what}")]
    Busy {
        /// With what, in words.
        what: String,
    },
    /// No such row.
    #[error("there is no {thing} with this id or name: {id}")]
    NotFound {
        /// What was looked for.
        thing: Thing,
        /// What was typed.
        id: String,
    },
    /// Several ids begin like this.
    #[error("{count} {thing} ids begin with this: {prefix}")]
    Ambiguous {
        /// What was looked for.
        thing: Thing,
        /// How many match.
        count: usize,
        /// What was typed.
        prefix: String,
        /// The first few of them.
        matches: Vec<String>,
    },
    /// Already there.
    #[error("the same {thing} is already there")]
    Duplicate {
        /// What.
        thing: Thing,
    },
    /// The file system refused.
    #[error("{doing} failed: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A bug of ours.
    #[error("the database refused a statement of ours: {detail}")]
    Internal {
        /// For a bug report; holds no text of the person's.
        detail: String,
    },
}

impl StoreError {
    pub(crate) fn not_found(thing: Thing, id: impl Into<String>) -> Self {
        Self::NotFound {
            thing,
            id: id.into(),
        }
    }

    /// A file-system error in `home`, by kind.
    pub(crate) fn io(doing: &'static str, home: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull,
            // A plain file where the folder should be cannot be written into either.
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists => Self::ReadOnlyHome {
                path: home.to_owned(),
            },
            _ => Self::Io { doing, source },
        }
    }

    /// Names the thing where a unique key was already taken.
    pub(crate) fn duplicate_of(self, thing: Thing) -> Self {
        match self {
            Self::Duplicate { .. } => Self::Duplicate { thing },
            other => other,
        }
    }

    /// The code fronts branch on.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NewerDatabase { .. } => ErrorCode::NewerDatabase,
            Self::DatabaseCorrupt { .. } => ErrorCode::DatabaseCorrupt,
            Self::DiskFull => ErrorCode::DiskFull,
            Self::ReadOnlyHome { .. } => ErrorCode::ReadOnlyHome,
            Self::Busy { .. } => ErrorCode::Busy,
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Ambiguous { .. } => ErrorCode::Ambiguous,
            Self::Duplicate { .. } => ErrorCode::Duplicate,
            Self::Io { .. } => ErrorCode::Io,
            Self::Internal { .. } => ErrorCode::Internal,
        }
    }

    /// The error as a front shows it; private text (a path, an id typed in) stands last.
    pub fn to_user(&self) -> UserError {
        let (message, hint) = match self {
            Self::NewerDatabase { found, known } => (
                format!(
                    "This home was last used by a newer version of the studio (database version {found}; this one knows up to {known}). Nothing was changed."
                ),
                "Open it with the newer version, or start the studio with another home folder (IDIOLECT_HOME, or --home on the command line).".to_owned(),
            ),
            Self::DatabaseCorrupt {
                detail,
                path,
                snapshot,
            } => (
                format!(
                    "The database cannot be read ({detail}). It was left as it is: {}",
                    path.display()
                ),
                match snapshot {
                    Some(snapshot) => format!(
                        "Close every window of the studio, move the file away and put a copy of the newest snapshot in its place: {}",
                        snapshot.display()
                    ),
                    None => "Restore the file from a backup, or start the studio with another home folder (IDIOLECT_HOME, or --home on the command line)."
                        .to_owned(),
                },
            ),
            Self::DiskFull => (
                "The disk is full, so this change was not stored. Everything stored before is safe."
                    .to_owned(),
                "Free some space and try again.".to_owned(),
            ),
            Self::ReadOnlyHome { path } => (
                format!("The home folder cannot be written: {}", path.display()),
                "Make the folder writable for you, or start the studio with another home folder (IDIOLECT_HOME, or --home on the command line).".to_owned(),
            ),
            Self::Busy { what } => (
                format!("Another window or command is busy with this home: {what}"),
                "Wait until it is done, or stop it there, then try again.".to_owned(),
            ),
            Self::NotFound { thing, id } => (
                format!("There is no {thing} with this id or name: {id}"),
                format!("List what is there and copy the id of the {thing}."),
            ),
            Self::Ambiguous {
                thing,
                count,
                prefix,
                matches,
            } => (
                format!("{count} {thing} ids begin like this: {prefix}"),
                format!("Give more of the id, one of: {}", matches.join(", ")),
            ),
            Self::Duplicate { thing } => match thing {
                Thing::Profile => (
                    "There already is a profile with this name.".to_owned(),
                    "Choose another name.".to_owned(),
                ),
                Thing::Sample => (
                    "This text is already among the samples; nothing was added.".to_owned(),
                    "Add another text.".to_owned(),
                ),
                Thing::Vote => (
                    "This pair already has a vote; the first one counts.".to_owned(),
                    "Make a new pair to vote again.".to_owned(),
                ),
                other => (
                    format!("The same {other} is already there."),
                    "Nothing has to be done.".to_owned(),
                ),
            },
            Self::Io { doing, source } => (
                format!("{}{} failed: {source}", doing[..1].to_uppercase(), &doing[1..]),
                "Check that the disk is connected and the home lies on a local drive.".to_owned(),
            ),
            Self::Internal { detail } => (
                format!("The database refused a statement of the studio's own: {detail}"),
                "This is a bug. Nothing stored before was lost; please report it.".to_owned(),
            ),
        };
        UserError::new(self.code(), message, hint)
    }
}

impl From<&StoreError> for UserError {
    fn from(error: &StoreError) -> Self {
        error.to_user()
    }
}

impl From<StoreError> for UserError {
    fn from(error: StoreError) -> Self {
        error.to_user()
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let internal = |e: &rusqlite::Error| Self::Internal {
            detail: e.to_string(),
        };
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                Code::DiskFull => Self::DiskFull,
                Code::NotADatabase | Code::DatabaseCorrupt => Self::DatabaseCorrupt {
                    detail: failure.to_string(),
                    path: PathBuf::new(),
                    snapshot: None,
                },
                Code::ReadOnly | Code::CannotOpen | Code::PermissionDenied => Self::ReadOnlyHome {
                    path: PathBuf::new(),
                },
                Code::DatabaseBusy | Code::DatabaseLocked => Self::Busy {
                    what: "it is being written to".to_owned(),
                },
                Code::SystemIoFailure => Self::Io {
                    doing: "reading or writing the database",
                    source: std::io::Error::other(failure.to_string()),
                },
                Code::ConstraintViolation
                    if matches!(
                        failure.extended_code,
                        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                    ) =>
                {
                    Self::Duplicate {
                        thing: Thing::Entry,
                    }
                }
                _ => internal(&error),
            },
            _ => internal(&error),
        }
    }
}
