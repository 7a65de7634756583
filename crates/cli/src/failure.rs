//! What a person or a script hears when something fails: two lines on standard error, whatever failed.

use std::process::ExitCode;

use clap::error::ErrorKind;
use idiolect_core::{ErrorCode, UserError};
use serde_json::json;

use crate::progress;

/// Says what failed and what to do next; with `--json`, once more as the last line, with the code to branch on.
pub fn report(error: &UserError, json: bool) -> ExitCode {
    progress::clear();
    eprintln!("error: {}", error.message);
    if !error.hint.is_empty() {
        eprintln!("hint: {}", error.hint);
    }
    if json {
        eprintln!("{}", json!({"error": error}));
    }
    ExitCode::from(if error.code == ErrorCode::Usage { 2 } else { 1 })
}

/// Ends with help or the version where they were asked for, else with what was typed wrongly.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader that went away is no error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let said = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            eprintln!();
            missing("Add one of the commands above; --help behind it says more.")
        }
        // Options alone were typed; clap's own words list the commands without saying what they do.
        ErrorKind::MissingSubcommand => missing("Add one; --help lists them."),
        _ => explain(&error.render().to_string()),
    };
    // Nothing was parsed, so the flag is looked for by hand.
    report(&said, std::env::args_os().any(|a| a == "--json"))
}

fn missing(hint: &str) -> UserError {
    UserError::new(ErrorCode::Usage, "A command is missing.", hint)
}

/// Our two lines from clap's several: its paragraphs are the message, tips, the usage and a pointer to --help.
fn explain(rendered: &str) -> UserError {
    let (mut message, mut hints, mut usage) = (Vec::new(), Vec::new(), None);
    for line in rendered.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hints.push(sentence(tip));
        } else if let Some(typed) = line.strip_prefix("Usage: ") {
            usage = Some(typed);
        } else if !line.starts_with("For more information") {
            message.push(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    hints.push(match usage {
        Some(usage) => format!("Type it like this: `{usage}`; add --help to see everything."),
        None => "Add --help to see what can be typed.".to_owned(),
    });
    UserError::new(
        ErrorCode::Usage,
        sentence(&message.join(" ")),
        hints.join(" "),
    )
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().collect());
    let end = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{first}{}{end}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    fn said(arguments: &[&str]) -> UserError {
        let typed = ["idiolect"].iter().chain(arguments);
        explain(&Cli::try_parse_from(typed).unwrap_err().render().to_string())
    }

    #[test]
    fn what_was_typed_wrongly_is_said_in_two_lines() {
        let error = said(&["models", "lst"]);
        assert_eq!(error.message, "Unrecognized subcommand 'lst'.");
        assert!(error.hint.contains("'list'"), "{}", error.hint);
        assert!(error.hint.contains("idiolect models"), "{}", error.hint);
        let error = said(&["write"]);
        assert!(error.message.contains("--brief"), "{}", error.message);
        let error = said(&["profile", "sensitive", "perhaps"]);
        assert!(error.message.contains("on, off"), "{}", error.message);
        assert!(!error.hint.is_empty() && !error.message.contains('\n'));
    }
}
