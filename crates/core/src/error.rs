//! What a person is told when something fails: a code to branch on, what and why, what to do next.

use serde::{Deserialize, Serialize};

/// Stable codes the window and scripts branch on. Additive: a code is never reused for another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// An argument is unusable (the command line exits with 2).
    Usage,
    /// A named thing does not exist.
    NotFound,
    /// A beginning of an id names more than one thing.
    Ambiguous,
    /// The text is empty.
    Empty,
    /// The text is too short for what was asked.
    TooShort,
    /// The file or text is larger than the limit.
    TooLarge,
    /// The same text is already there.
    Duplicate,
    /// The file is not text the studio can read.
    NotText,
    /// The document is protected by a password.
    PasswordProtected,
    /// The file is damaged or hostile (zip bomb, impossible sizes).
    Corrupt,
    /// The file kind is not supported.
    UnsupportedFile,
    /// The person has to say which of the people in a mail or chat file they are.
    ChooseAuthor,
    /// No model is installed, or not the one asked for.
    ModelMissing,
    /// The model file is damaged or cut short.
    ModelCorrupt,
    /// The model's architecture or quantization is not supported.
    ModelUnsupported,
    /// The model carries no chat template and the request needs one.
    NoTemplate,
    /// The prompt does not fit the model's context.
    ContextFull,
    /// A source on the network cannot be reached.
    SourceUnreachable,
    /// What was fetched is not what was promised.
    ChecksumMismatch,
    /// The licence has to be accepted first.
    LicenceRequired,
    /// `--offline` forbids the transfer this needs.
    Offline,
    /// The disk is full.
    DiskFull,
    /// The home folder cannot be written.
    ReadOnlyHome,
    /// The database was written by a newer version.
    NewerDatabase,
    /// The database is damaged.
    DatabaseCorrupt,
    /// Another window or command is doing this to the same home right now.
    Busy,
    /// There is not enough memory.
    OutOfMemory,
    /// A model is expected not to fit into the free memory and was not loaded; the person may insist.
    MemoryShort,
    /// There is too little evidence or too little data for what was asked.
    NotEnough,
    /// The person stopped it.
    Cancelled,
    /// The data folder of an evaluation lacks what it needs.
    DataMissing,
    /// Reading or writing failed for another reason.
    Io,
    /// A bug of ours.
    Internal,
}

/// An error as a front shows it. Private text (a path, an id typed in) comes last in `message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[error("{message}")]
pub struct UserError {
    /// For the front to branch on.
    pub code: ErrorCode,
    /// What failed and why, for a person.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl UserError {
    /// An error with all three parts.
    pub fn new(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }
}
