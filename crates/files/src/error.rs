//! Why a file could not be read, in words for a person. No message holds any of the file's own text.

use idiolect_core::{ErrorCode, UserError};

use crate::FileKind;

/// Why an import stopped. [`code`](Self::code) is for a program to branch on, the message says what failed, and
/// [`hint`](Self::hint) what to do next.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the file holds no text")]
    Empty,
    #[error("the file is {} and at most {} of this kind are read", mega(*bytes), mega(*limit))]
    TooLarge { bytes: u64, limit: u64 },
    #[error("this is a binary file, not text")]
    Binary,
    #[error("the document is protected by a password")]
    PasswordProtected,
    #[error("the document unpacks to far more than a document should hold (more than {})", mega(*limit))]
    ZipBomb { limit: u64 },
    #[error("the {kind} is damaged: {why}")]
    Corrupt { kind: FileKind, why: &'static str },
    #[error("{found} cannot be read")]
    UnsupportedKind { found: &'static str },
    #[error("the file holds the words of several people and none of them was chosen")]
    NobodyChosen,
    #[error("the import was cancelled")]
    Cancelled,
    #[error("the file could not be read: {0}")]
    Io(std::io::Error),
}

impl ImportError {
    /// The code that fronts branch on.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Empty => ErrorCode::Empty,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Binary => ErrorCode::NotText,
            Self::PasswordProtected => ErrorCode::PasswordProtected,
            Self::ZipBomb { .. } | Self::Corrupt { .. } => ErrorCode::Corrupt,
            Self::UnsupportedKind { .. } => ErrorCode::UnsupportedFile,
            Self::NobodyChosen => ErrorCode::ChooseAuthor,
            Self::Cancelled => ErrorCode::Cancelled,
            Self::Io(_) => ErrorCode::Io,
        }
    }

    /// What the person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => "Choose a file that holds some of your writing.".into(),
            Self::TooLarge { limit, .. } => format!(
                "Split it into files of less than {}, or take out the parts you did not write.",
                mega(*limit)
            ),
            Self::Binary => format!("Choose {READABLE}."),
            Self::PasswordProtected => {
                "Open it where you know the password, save a copy without one, and import the copy.".into()
            }
            Self::ZipBomb { .. } => {
                "If you trust the document, open it in a word processor and save its text as .txt.".into()
            }
            Self::Corrupt { .. } => {
                "Export or save the file again and import the new copy. Nothing was changed in your profile.".into()
            }
            Self::UnsupportedKind { .. } => format!("Save it as .docx or .txt first, or choose {READABLE}."),
            Self::NobodyChosen => "Choose which of the addresses or names in it are yours.".into(),
            Self::Cancelled => "Passages already taken over can be removed from the list of samples.".into(),
            Self::Io(_) => "Check that the file still exists and that you may read it.".into(),
        }
    }
}

impl From<ImportError> for UserError {
    fn from(error: ImportError) -> Self {
        UserError::new(error.code(), error.to_string(), error.hint())
    }
}

const READABLE: &str =
    "a text, Markdown, HTML or Word (.docx) file, mail (.eml, .mbox) or a chat export (.json)";

/// A size in megabytes of 10^6 bytes, as file managers show it.
fn mega(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
