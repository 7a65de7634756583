//! Other crates' errors in a person's words. Each is handled once, here.

use idiolect_core::{ErrorCode, UserError};
use idiolect_files::ImportError;
use idiolect_llm::LlmError;
use idiolect_persona::PersonaError;
use idiolect_store::StoreError;
use idiolect_train::TrainError;

/// Another crate's failure, told to the person.
pub(crate) trait Told<T> {
    fn told(self) -> Result<T, UserError>;
}

impl<T> Told<T> for Result<T, StoreError> {
    fn told(self) -> Result<T, UserError> {
        self.map_err(|e| e.to_user())
    }
}

impl<T> Told<T> for Result<T, LlmError> {
    fn told(self) -> Result<T, UserError> {
        self.map_err(from_llm)
    }
}

impl<T> Told<T> for Result<T, PersonaError> {
    fn told(self) -> Result<T, UserError> {
        self.map_err(from_persona)
    }
}

impl<T> Told<T> for Result<T, TrainError> {
    fn told(self) -> Result<T, UserError> {
        self.map_err(from_train)
    }
}

impl<T> Told<T> for Result<T, ImportError> {
    fn told(self) -> Result<T, UserError> {
        self.map_err(from_import)
    }
}

fn from_persona(error: PersonaError) -> UserError {
    match error {
        PersonaError::Model(error) => from_llm(error),
        PersonaError::BriefTooLong { needed, available } => UserError::new(
            ErrorCode::ContextFull,
            format!("The brief takes {needed} tokens and only {available} fit beside the answer."),
            "Shorten the brief or ask for fewer words.",
        ),
        PersonaError::Data(why) => not_enough(format!("{why}."), "Add more texts and try again."),
    }
}

fn from_train(error: TrainError) -> UserError {
    let (code, hint) = match error {
        TrainError::Model(error) => return from_llm(error),
        TrainError::Files(error) => return from_io("Keeping the training's state", &error),
        TrainError::NoData => (ErrorCode::NotEnough, "Add more samples."),
        TrainError::Settings(_) => (ErrorCode::Usage, "Change the setting and start again."),
        TrainError::Diverged(_) => (
            ErrorCode::Internal,
            "Start again with a smaller learning rate.",
        ),
        TrainError::Checkpoint(_) => (
            ErrorCode::Corrupt,
            "Start the training anew; what was trained before stays as it is.",
        ),
        TrainError::Drafts(_) => (ErrorCode::Internal, "Try again."),
        TrainError::Device(_) => (
            ErrorCode::Internal,
            "Try again; if it comes back, choose the CPU in Settings.",
        ),
    };
    let mut message = error.to_string();
    capitalize(&mut message);
    message.push('.');
    UserError::new(code, message, hint)
}

fn from_llm(error: LlmError) -> UserError {
    use ErrorCode as C;
    let (code, hint) = match &error {
        LlmError::Cancelled => return crate::context::cancelled(),
        LlmError::ContextFull { .. } => (
            C::ContextFull,
            "Shorten the brief or ask for fewer words, or use a model with a longer context.",
        ),
        LlmError::NoTemplate => (
            C::NoTemplate,
            "This is probably a base model. Use an instruct model for writing; scoring and reading work without a template.",
        ),
        LlmError::Template(_) => (
            C::NoTemplate,
            "Use another model; this one's template cannot be run.",
        ),
        LlmError::Corrupt(_) => (
            C::ModelCorrupt,
            "Fetch or copy the file again; it may have been cut short.",
        ),
        LlmError::Unsupported(_) => (
            C::ModelUnsupported,
            "`idiolect models doctor FILE` says what of the file is not supported; `idiolect models list` shows models that run.",
        ),
        // A voice of another model is refused before its files are read; what fails here is the files.
        LlmError::Adapter(_) => (
            C::Corrupt,
            "Its files are damaged or gone: delete this trained voice and train it again.",
        ),
        LlmError::Constraint(_) => (
            C::Usage,
            "Correct the schema: it is JSON Schema, with `$ref` pointing into itself only.",
        ),
        LlmError::OutOfMemory(_) => (
            C::OutOfMemory,
            "Close other programs or use a smaller model.",
        ),
        LlmError::Io(_) => (C::Io, "Check that the file can be read, then try again."),
        LlmError::Failed(_) => (
            C::Internal,
            "Try again; if it comes back, choose the CPU in Settings.",
        ),
    };
    let mut message = error.to_string();
    capitalize(&mut message);
    message.push('.');
    UserError::new(code, message, hint)
}

fn from_import(error: ImportError) -> UserError {
    let hint = error.hint();
    let mut message = error.to_string();
    capitalize(&mut message);
    UserError::new(error.code(), message, hint)
}

/// A failure to read or write: names a full disk and a read-only folder as such.
pub(crate) fn from_io(what: &str, error: &std::io::Error) -> UserError {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => UserError::new(
            ErrorCode::DiskFull,
            format!("{what} failed: the disk is full."),
            "Free some space and try again; what was there before is untouched.",
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => UserError::new(
            ErrorCode::ReadOnlyHome,
            format!("{what} failed: the folder cannot be written to."),
            "Choose another folder with --home or --models, or change its permissions.",
        ),
        ErrorKind::NotFound => UserError::new(
            ErrorCode::NotFound,
            format!("{what} failed: the file is not there."),
            "Check the name and try again.",
        ),
        _ => UserError::new(
            ErrorCode::Io,
            format!("{what} failed: {error}."),
            "Check the disk, then try again.",
        ),
    }
}

pub(crate) fn not_enough(message: impl Into<String>, hint: impl Into<String>) -> UserError {
    UserError::new(ErrorCode::NotEnough, message, hint)
}

pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> UserError {
    UserError::new(ErrorCode::Usage, message, hint)
}

fn capitalize(text: &mut String) {
    if let Some(first) = text.chars().next() {
        let upper: String = first.to_uppercase().collect();
        text.replace_range(..first.len_utf8(), &upper);
    }
}
