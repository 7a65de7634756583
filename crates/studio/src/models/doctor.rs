//! A model file in words: what it is, what was checked, whether it can be used.

use std::path::Path;

use idiolect_core::{ErrorCode, UserError};
use idiolect_engine::{Engine, MiniLm};
use idiolect_llm::{Cancel, DeviceWish, Embedder, LlmError, Message, Role, TextModel};

use super::{catalog, registry::Registry};
use crate::{api::DoctorReport, context::Ctx};

impl Registry {
    /// Checks a model by id or path. What is wrong with the file is in the report; an error means that
    /// it could not even be looked at.
    pub(crate) fn doctor(&self, ctx: &Ctx, named: &str) -> Result<DoctorReport, UserError> {
        let mut checks = Vec::new();
        let path = match self.ready(&ctx.studio.store, named, ctx.cancel()) {
            Ok(ready) => {
                checks.push(check("file", true, "there, and its SHA-256 is known"));
                ready.path
            }
            // Nothing of that name: there is no file to say anything about.
            Err(error) if error.code == ErrorCode::NotFound => return Err(error),
            Err(error) => {
                checks.push(check("file", false, &error.message));
                return Ok(report(checks));
            }
        };
        if catalog::find(named).is_some_and(|model| model.role == catalog::Role::Embedder) {
            let folder = path.parent().unwrap_or(&path);
            checks.push(embeds(folder, ctx.cancel()));
        } else {
            self.look_inside(&path, &mut checks);
        }
        Ok(report(checks))
    }

    fn look_inside(&self, path: &Path, checks: &mut Vec<(String, bool, String)>) {
        match Engine::inspect(path) {
            Ok(facts) => checks.push(check(
                "header",
                true,
                &format!(
                    "{}, architecture {}, {}",
                    facts.name, facts.architecture, facts.quantization
                ),
            )),
            Err(error) => {
                checks.push(check("header", false, &error.to_string()));
                return;
            }
        }
        let model = match Engine::load(path, "doctor", DeviceWish::Cpu) {
            Ok(model) => {
                checks.push(check(
                    "tensors",
                    true,
                    "all there, sizes agree with the file",
                ));
                model
            }
            Err(error) => {
                checks.push(check("tensors", false, &error.to_string()));
                return;
            }
        };
        let probe = "A naïve test: 3 words — and “quotes”.";
        let round_trip = model.encode(probe).map(|tokens| model.decode(&tokens));
        checks.push(match round_trip {
            Ok(text) if text.trim() == probe => {
                check("tokenizer", true, "text comes back as it went in")
            }
            Ok(_) => check("tokenizer", false, "text does not come back as it went in"),
            Err(error) => check("tokenizer", false, &error.to_string()),
        });
        let talk = [
            Message::new(Role::System, "Be brief."),
            Message::new(Role::User, "Hello"),
        ];
        checks.push(match model.render(&talk) {
            Ok(prompt) => {
                let doubled = model
                    .bos()
                    .zip(model.encode_prompt(&prompt).ok())
                    .is_some_and(|(bos, tokens)| tokens.iter().filter(|t| **t == bos).count() > 1);
                if doubled && model.info().adds_bos {
                    check(
                        "chat template",
                        false,
                        "it runs, but the text would begin twice",
                    )
                } else if prompt.contains("Hello") {
                    check("chat template", true, "runs on a test conversation")
                } else {
                    check(
                        "chat template",
                        false,
                        "it runs, but loses what the person says",
                    )
                }
            }
            // A base model: fine for scoring and reading, not for writing.
            Err(LlmError::NoTemplate) => check(
                "chat template",
                false,
                "none: good for scoring and reading, not for writing",
            ),
            Err(error) => check("chat template", false, &error.to_string()),
        });
    }
}

/// Whether the sentence embedder finds two like sentences more alike than two unlike ones.
fn embeds(folder: &Path, cancel: &Cancel) -> (String, bool, String) {
    let texts = [
        "The cat sat on the mat.",
        "A cat was sitting on a mat.",
        "Interest rates rose again in March.",
    ];
    let vectors = MiniLm::load(folder).and_then(|model| model.embed(&texts, cancel));
    match vectors.as_deref() {
        Ok([a, b, c]) => {
            let alike = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
            if alike(a, b) > alike(a, c) {
                check("embedding", true, "like sentences come out alike")
            } else {
                check("embedding", false, "like sentences do not come out alike")
            }
        }
        Ok(_) => check("embedding", false, "it does not give one result a text"),
        Err(error) => check("embedding", false, &error.to_string()),
    }
}

fn check(name: &str, passed: bool, words: &str) -> (String, bool, String) {
    (name.to_owned(), passed, words.to_owned())
}

fn report(checks: Vec<(String, bool, String)>) -> DoctorReport {
    let failed: Vec<&str> = checks
        .iter()
        .filter(|c| !c.1)
        .map(|c| c.0.as_str())
        .collect();
    let verdict = match failed.as_slice() {
        [] => "This model can be used for everything.".to_owned(),
        ["chat template"] => "This model can score and read, but not write drafts.".to_owned(),
        [first, ..] => format!("This model cannot be used: its {first} failed the check."),
    };
    DoctorReport {
        usable: failed.iter().all(|name| *name == "chat template"),
        verdict,
        checks,
    }
}
