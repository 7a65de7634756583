//! A model file looked at as a whole: is it complete, can this version run it, does it say what it must? Each check ends in
//! plain words — what was found, what that means for reading and writing with it, what to do next.
//!
//! `container` the file and its tensors · `text` tokenizer, beginning and end of texts · `chat` the template ·
//! `run` a short computation. Nothing here is skipped in silence: a check that cannot be made is left out only where an
//! earlier one says why.

mod chat;
mod container;
mod run;
mod text;

use std::path::Path;

use idiolect_llm::{LlmError, Result};

use crate::{config::Config, estimate::Estimate, gguf::Gguf, tokenizer::Tokenizer};

pub use run::try_out;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not everything will, or not as well.
    Warning,
    /// The model cannot be used as it is.
    Broken,
}

/// One check in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at: "header", "tokenizer", …
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found, a sentence.
    pub found: String,
    /// What that means for what the studio does with the model, a sentence; empty when all is well.
    pub means: String,
    /// What to do next; empty when there is nothing to do.
    pub next: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            found: found.into(),
            means: String::new(),
            next: String::new(),
        }
    }

    fn warning(name: &'static str, found: impl Into<String>, means: &str, next: &str) -> Self {
        Self {
            verdict: Verdict::Warning,
            means: means.to_owned(),
            next: next.to_owned(),
            ..Self::ok(name, found)
        }
    }

    fn broken(name: &'static str, found: impl Into<String>, means: &str, next: &str) -> Self {
        Self {
            verdict: Verdict::Broken,
            ..Self::warning(name, found, means, next)
        }
    }
}

/// What looking at a file found.
#[derive(Debug, Clone)]
pub struct Examination {
    /// The checks, in the order they were made.
    pub checks: Vec<Check>,
    /// What loading it would take; none where that cannot be said.
    pub estimate: Option<Estimate>,
}

impl Examination {
    /// Whether a short computation is worth trying: nothing is broken that loading would trip over.
    pub fn may_be_run(&self) -> bool {
        self.estimate.is_some()
            && self
                .checks
                .iter()
                .all(|c| c.verdict != Verdict::Broken || c.name == chat::NAME)
    }
}

const FETCH_AGAIN: &str = "Fetch or copy the file again and compare its size with the source's.";
const REFUSED: &str = "The file is refused when it is loaded; nothing is computed with it.";

/// Looks at the file at `path` without computing anything with it.
///
/// # Errors
/// [`LlmError::Io`] when it cannot be read at all. What is wrong with the file is in the checks.
pub fn examine(path: &Path) -> Result<Examination> {
    let mut checks = Vec::new();
    let survey = match Gguf::survey(path) {
        Ok(survey) => survey,
        Err(LlmError::Io(error)) => return Err(LlmError::Io(error)),
        Err(error) => {
            checks.push(container::no_header(&error));
            return Ok(Examination {
                checks,
                estimate: None,
            });
        }
    };
    checks.extend(container::checks(&survey));
    let config = Config::from_gguf(&survey.gguf);
    checks.push(container::architecture(&survey.gguf, &config));
    if let Ok(config) = &config {
        checks.push(container::context(&survey.gguf, config));
    }
    let rows = config.as_ref().map_or(usize::MAX, |c| c.vocabulary);
    let tokenizer = Tokenizer::from_gguf(&survey.gguf, rows);
    checks.push(text::round_trip(&tokenizer));
    checks.push(text::end(&survey.gguf, tokenizer.as_ref().ok()));
    let template = chat::Examined::new(&survey.gguf, tokenizer.as_ref().ok());
    if let Ok(tokenizer) = &tokenizer {
        checks.push(text::beginning(&survey.gguf, tokenizer, &template));
    }
    checks.push(template.check(tokenizer.as_ref().ok(), config.as_ref().ok()));
    let estimate = config
        .ok()
        .filter(|_| survey.damage.is_empty() && survey.unknown_types.is_empty())
        .map(|config| Estimate::new(&config, &survey.gguf));
    Ok(Examination { checks, estimate })
}

/// The words of an error without its kind, as a sentence.
fn sentence(error: &LlmError) -> String {
    let text = match error {
        LlmError::Corrupt(why) | LlmError::Unsupported(why) | LlmError::Template(why) => {
            why.clone()
        }
        other => other.to_string(),
    };
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().collect());
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

fn megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
