//! `idiolect`: everything the window can do, for scripts and researchers.
//!
//! Arguments in (`args`), requests to the studio (`commands`), words or JSON out (`print`). Exit code
//! 0 = done, 1 = failed, 2 = wrong usage; errors (`failure`) go to standard error with a `hint:` line.

#![forbid(unsafe_code)]

mod args;
#[cfg(feature = "ui-bridge")]
mod bridge;
mod commands;
mod failure;
mod json;
mod print;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use idiolect_studio::{Interrupted, Options, Studio};

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    let json = cli.json;
    let options = Options {
        home: cli.home.clone(),
        models: cli.models.clone(),
        offline: cli.offline,
    };
    let done = Studio::open(options).and_then(|studio| {
        let interrupt = studio.interrupter();
        // Without a handler Ctrl+C ends the process at once, which loses nothing that was confirmed.
        let _ = ctrlc::set_handler(move || match interrupt() {
            Interrupted::Keeping => {
                progress::note(
                    "Stopping, and keeping the best so far. Ctrl+C again keeps nothing.",
                );
            }
            Interrupted::Stopping => progress::note("Stopping."),
            Interrupted::Nothing => std::process::exit(130),
        });
        commands::run(&studio, cli)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, json),
    }
}
