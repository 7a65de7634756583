//! Answers in words, for a person at a terminal. Every number has its unit and, where it is an
//! estimate, its uncertainty.

mod people;
mod report;
mod tools;
mod writing;

use std::io::{BufRead, IsTerminal, Write};

use idiolect_core::vote::Choice;
use serde::Serialize;

pub use people::*;
pub use report::*;
pub use tools::*;
pub use writing::*;

/// Pretty JSON on standard output.
pub fn json<T: Serialize>(value: &T) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => words(&text),
        // Our own types always serialize; were one not to, say so instead of printing half.
        Err(e) => eprintln!("error: the answer could not be written as JSON: {e}"),
    }
}

/// A line or more on standard output; a reader that went away is no error.
pub fn words(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Asks yes or no; no where nobody can answer.
pub fn confirm(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    matches!(line().as_deref(), Some("y" | "Y" | "yes"))
}

/// Asks for a pick; none where nobody can answer.
pub fn ask_choice() -> Option<Choice> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    loop {
        eprint!(
            "Which would you rather have? 1 = left, 2 = right, 0 = alike, s = skip, q = later: "
        );
        let _ = std::io::stderr().flush();
        match line()?.as_str() {
            "1" => return Some(Choice::Left),
            "2" => return Some(Choice::Right),
            "0" => return Some(Choice::Tie),
            "s" => return Some(Choice::Skip),
            "q" => return None,
            _ => {}
        }
    }
}

fn line() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().to_owned())
}

/// The first line, at most `letters` long.
fn first_line(text: &str, letters: usize) -> String {
    let line = text
        .lines()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("")
        .trim();
    if line.chars().count() <= letters {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(letters.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// "98 MB", "1.2 GB"; a small file "12 kB".
fn size(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
        1_000_000.. => format!("{} MB", (bytes as f64 / 1e6).round()),
        _ => format!("{} kB", bytes.div_ceil(1000)),
    }
}
