//! Commands: each becomes one request, rarely two, and its answer words or JSON.

mod profiles;
mod tools;
mod training;
mod writing;

use std::{io::Read, path::Path};

use idiolect_core::{
    ErrorCode, UserError,
    ids::{AdapterId, ProfileId},
};
use idiolect_studio::{
    Studio,
    api::{Event, Request, Response},
};
use serde::Serialize;

use crate::{
    args::{Cli, Command},
    print, progress,
};

/// What every command works with.
pub struct Session<'a> {
    pub studio: &'a Studio,
    pub json: bool,
    profile: Option<String>,
    pub model: Option<String>,
    anyway: bool,
}

/// Runs the command.
///
/// # Errors
/// The studio's, or wrong usage.
pub fn run(studio: &Studio, cli: Cli) -> Result<(), UserError> {
    let session = Session {
        studio,
        json: cli.json,
        profile: cli.profile,
        model: cli.model,
        anyway: cli.anyway,
    };
    let s = &session;
    if cli.anyway {
        s.ask(Request::ModelAnyway { model: None })?;
    }
    match cli.command {
        Command::Status { seen } => tools::status(s, seen),
        Command::Settings(command) => tools::settings(s, command),
        Command::Models(command) => tools::models(s, command),
        Command::Profile(command) => profiles::profile(s, command),
        Command::Sample(command) => profiles::sample(s, command),
        Command::Fingerprint => profiles::fingerprint(s),
        Command::Infer => profiles::infer(s),
        Command::Dimension(command) => profiles::dimension(s, command),
        Command::Hypotheses(command) => profiles::hypotheses(s, command),
        Command::Summary(command) => profiles::summary(s, command),
        Command::Write(args) => writing::write(s, args),
        Command::Compare(args) => writing::compare(s, args),
        Command::Drafts(command) => writing::drafts(s, command),
        Command::Vote(args) => writing::vote(s, args),
        Command::Align(command) => training::align(s, command),
        Command::Retest(args) => training::retest(s, args),
        Command::Adapter(command) => training::adapter(s, command),
        Command::Plot(command) => tools::plot(s, command),
        Command::Score(args) => tools::score(s, args),
        Command::Bench(args) => tools::bench(s, args),
        Command::Eval(args) => tools::eval(s, args),
        Command::Demo { seed } => tools::demo(s, seed),
        #[cfg(feature = "ui-bridge")]
        Command::Serve { ui, port, .. } => crate::bridge::serve(studio, &ui, port),
    }
}

impl Session<'_> {
    /// Runs a request, showing how far it is.
    pub fn ask(&self, request: Request) -> Result<Response, UserError> {
        let answer = self.watch(request, &mut |event| progress::show(&event));
        progress::clear();
        answer
    }

    /// Runs a request; `show` sees every event.
    pub fn watch(
        &self,
        request: Request,
        show: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Response, UserError> {
        self.studio.run(request, show)
    }

    /// The profile that was named, or the only one there is.
    pub fn profile(&self) -> Result<ProfileId, UserError> {
        let Response::Profiles { profiles } = self.ask(Request::ProfileList)? else {
            return Err(unexpected());
        };
        match &self.profile {
            Some(named) => {
                if let Some(found) = profiles
                    .iter()
                    .find(|p| p.name == *named || p.id.as_str() == named)
                {
                    return Ok(found.id.clone());
                }
                let starting: Vec<_> = profiles
                    .iter()
                    .filter(|p| p.id.as_str().starts_with(named.as_str()))
                    .collect();
                match starting.as_slice() {
                    [one] => Ok(one.id.clone()),
                    [] => Err(UserError::new(
                        ErrorCode::NotFound,
                        format!("No profile is called “{named}”."),
                        "`idiolect profile list` shows them; `idiolect profile new NAME` begins one.",
                    )),
                    _ => Err(UserError::new(
                        ErrorCode::Ambiguous,
                        format!("“{named}” is the beginning of more than one profile id."),
                        "Type more of it.",
                    )),
                }
            }
            None => match profiles.as_slice() {
                [one] => Ok(one.id.clone()),
                [] => Err(UserError::new(
                    ErrorCode::NotFound,
                    "There is no profile yet.",
                    "Begin one: `idiolect profile new NAME`.",
                )),
                _ => Err(UserError::new(
                    ErrorCode::Usage,
                    "There is more than one profile.",
                    "Say which: --profile NAME.",
                )),
            },
        }
    }

    /// The adapter that was named, or the profile's only one.
    pub fn adapter(&self, named: Option<&str>) -> Result<AdapterId, UserError> {
        if let Some(named) = named {
            return self.studio.adapter_id(named);
        }
        let profile = self.profile()?;
        let Response::Adapters { adapters } = self.ask(Request::AdapterList { profile })? else {
            return Err(unexpected());
        };
        let used: Vec<_> = adapters.iter().filter(|a| a.retired_at.is_none()).collect();
        match used.as_slice() {
            [one] => Ok(one.id.clone()),
            [] => Err(UserError::new(
                ErrorCode::NotFound,
                "This profile has no trained voice yet.",
                "Train one: `idiolect align sft`.",
            )),
            _ => Err(UserError::new(
                ErrorCode::Usage,
                "This profile has more than one trained voice.",
                "Say which: --adapter ID (`idiolect adapter list`).",
            )),
        }
    }

    /// Prints a value: JSON where asked, else in words.
    pub fn show<T: Serialize>(&self, value: &T, words: impl FnOnce() -> String) {
        if self.json {
            print::json(value);
        } else {
            print::words(&words());
        }
    }
}

/// The text of an argument, or standard input for "-".
pub fn text_argument(argument: &str) -> Result<String, UserError> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .take(50_000_001)
        .read_to_string(&mut text)
        .map_err(|_| {
            UserError::new(
                ErrorCode::NotText,
                "Standard input is not UTF-8 text.",
                "Import the text as a file instead.",
            )
        })?;
    Ok(text)
}

/// Writes a file whole.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), UserError> {
    std::fs::write(path, bytes).map_err(|e| {
        UserError::new(
            ErrorCode::Io,
            format!("The file could not be written: {e}."),
            "Choose another place for --out.",
        )
    })
}

/// An answer of another kind than the request's: a bug.
pub fn unexpected() -> UserError {
    UserError::new(
        ErrorCode::Internal,
        "The studio answered with something else than was asked.",
        "Please report this.",
    )
}
