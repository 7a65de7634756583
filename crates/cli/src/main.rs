//! `idiolect`: everything the window can do, for scripts and researchers.
//!
//! Arguments in (`args`), requests to the studio (`commands`), words or JSON out (`print`). Exit code
//! 0 = done, 1 = failed, 2 = wrong usage; errors go to standard error with a `hint:` line.

#![forbid(unsafe_code)]

mod args;
#[cfg(feature = "ui-bridge")]
mod bridge;
mod commands;
mod json;
mod print;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use idiolect_core::{ErrorCode, UserError};
use idiolect_studio::{Options, Studio};

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let options = Options {
        home: cli.home.clone(),
        models: cli.models.clone(),
        offline: cli.offline,
    };
    let done = Studio::open(options).and_then(|studio| {
        let stop = studio.stopper();
        // A first Ctrl+C stops the work tidily; a second one ends the process.
        let _ = ctrlc::set_handler(move || {
            if progress::interrupted() {
                std::process::exit(130);
            }
            stop();
        });
        commands::run(&studio, cli)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(if error.code == ErrorCode::Usage { 2 } else { 1 })
        }
    }
}

fn report(error: &UserError) {
    progress::clear();
    eprintln!("error: {}", error.message);
    if !error.hint.is_empty() {
        eprintln!("hint: {}", error.hint);
    }
}
