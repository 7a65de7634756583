//! A model file in words: what it is, what was checked, whether it can be used.
//!
//! The checks are the engine's; here they are joined by what only the studio knows: whether the file is the promised one,
//! whether it was set aside, whether it fits into memory, where it would run.

use std::path::{Path, PathBuf};

use idiolect_core::{ErrorCode, UserError};
use idiolect_engine::{Check, Examination, LoadOptions, MiniLm, Verdict, examine, try_out};
use idiolect_llm::{Cancel, DeviceChoice, Embedder, LlmError};

use super::{
    catalog,
    load::marked,
    registry::{Registry, is_quarantined},
};
use crate::{
    api::{DoctorReport, Finding, FindingVerdict},
    context::Ctx,
    errors::Told,
    status,
};

const TEMPLATE: &str = "chat template";

impl Registry {
    /// Checks a model by id or path. What is wrong with the file is in the report; an error means that
    /// it could not even be looked at.
    pub(crate) fn doctor(&self, ctx: &Ctx, named: &str) -> Result<DoctorReport, UserError> {
        let mut findings = Vec::new();
        let (path, may_load) = match self.ready(&ctx.studio.store, named, ctx.cancel()) {
            Ok(ready) => {
                let sha256 = format!("It is there; its SHA-256 is {}.", ready.sha256);
                findings.push(ok("file", sha256));
                (ready.path, true)
            }
            // Nothing of that name: there is no file to say anything about.
            Err(error) if matches!(error.code, ErrorCode::NotFound | ErrorCode::Cancelled) => {
                return Err(error);
            }
            Err(error) => {
                findings.push(Finding {
                    name: "file".to_owned(),
                    verdict: FindingVerdict::Broken,
                    found: error.message,
                    means: "It is not loaded, whatever the other checks say.".to_owned(),
                    next: error.hint,
                });
                let path = self
                    .path_of(&ctx.studio.store, named)
                    .unwrap_or_else(|_| PathBuf::from(named));
                if !path.is_file() {
                    return Ok(report(findings));
                }
                (path, false)
            }
        };
        if catalog::find(named).is_some_and(|model| model.role == catalog::Role::Embedder) {
            if may_load {
                let folder = path.parent().unwrap_or(&path);
                findings.push(embeds(folder, ctx.cancel()));
            }
            return Ok(report(findings));
        }
        // Even reading is watched: a file that ends the program while it is looked at is set aside like any other.
        let aside = is_quarantined(&ctx.studio.store, &path)?;
        let examination = if aside {
            examine(&path)
        } else {
            marked(ctx, &path, || examine(&path))?
        }
        .told()?;
        findings.extend(examination.checks.iter().map(finding));
        if may_load && examination.may_be_run() {
            self.run(ctx, &path, &examination, &mut findings)?;
        }
        Ok(report(findings))
    }

    /// Loads it and computes, where memory allows.
    fn run(
        &self,
        ctx: &Ctx,
        path: &Path,
        examination: &Examination,
        findings: &mut Vec<Finding>,
    ) -> Result<(), UserError> {
        let settings = status::settings(ctx.studio)?;
        let options = LoadOptions {
            device: status::device_wish(&settings)?,
            threads: (settings.threads > 0).then_some(settings.threads as usize),
        };
        let fit = examination
            .estimate
            .as_ref()
            .map(|estimate| self.fit_of(estimate));
        if let Some(fit) = fit {
            let short = !fit.fits();
            findings.push(if short {
                warning(
                    "memory",
                    fit.words,
                    "Loading it is refused with these numbers, unless you insist.",
                    "Close other programs, use a smaller model, or insist: `--anyway`, or Load anyway in the window.",
                )
            } else {
                ok("memory", fit.words)
            });
            if short && !self.insists_on_all() {
                return Ok(());
            }
        }
        let turn = crate::lock(&ctx.studio.jobs.model_turn);
        let tried = marked(ctx, path, || try_out(path, &options, ctx.cancel()))?;
        drop(turn);
        match tried {
            Ok((check, device)) => {
                let device = device.or_else(|| idiolect_engine::choose_device(options.device).ok());
                findings.extend(device.as_ref().map(where_it_runs));
                findings.push(finding(&check));
            }
            Err(error @ LlmError::OutOfMemory(_)) => findings.push(warning(
                "memory",
                format!("It ran out while a few words were computed: {error}."),
                "Drafts would end the same way.",
                "Close other programs or use a smaller model.",
            )),
            Err(error) => return Err(error).told(),
        }
        Ok(())
    }
}

/// Whether the sentence embedder finds two like sentences more alike than two unlike ones.
fn embeds(folder: &Path, cancel: &Cancel) -> Finding {
    let texts = [
        "The cat sat on the mat.",
        "A cat was sitting on a mat.",
        "Interest rates rose again in March.",
    ];
    let vectors = MiniLm::load(folder).and_then(|model| model.embed(&texts, cancel));
    let wrong = match vectors.as_deref() {
        Ok([a, b, c]) => {
            let alike = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
            if alike(a, b) > alike(a, c) {
                return ok("embedding", "Like sentences come out alike.");
            }
            "Like sentences do not come out alike.".to_owned()
        }
        Ok(_) => "It does not give one result a text.".to_owned(),
        Err(error) => format!("It cannot be loaded: {error}."),
    };
    Finding {
        verdict: FindingVerdict::Broken,
        ..warning(
            "embedding",
            wrong,
            "Excerpts near a brief cannot be found, so drafts do without them and say so.",
            "Remove it and fetch it again.",
        )
    }
}

fn ok(name: &str, found: impl Into<String>) -> Finding {
    Finding {
        name: name.to_owned(),
        verdict: FindingVerdict::Ok,
        found: found.into(),
        means: String::new(),
        next: String::new(),
    }
}

fn warning(name: &str, found: impl Into<String>, means: &str, next: &str) -> Finding {
    Finding {
        verdict: FindingVerdict::Warning,
        means: means.to_owned(),
        next: next.to_owned(),
        ..ok(name, found)
    }
}

fn where_it_runs(choice: &DeviceChoice) -> Finding {
    ok("device", format!("{}: {}", choice.label, choice.why))
}

fn finding(check: &Check) -> Finding {
    Finding {
        name: check.name.to_owned(),
        verdict: match check.verdict {
            Verdict::Ok => FindingVerdict::Ok,
            Verdict::Warning => FindingVerdict::Warning,
            Verdict::Broken => FindingVerdict::Broken,
        },
        found: check.found.clone(),
        means: check.means.clone(),
        next: check.next.clone(),
    }
}

fn report(findings: Vec<Finding>) -> DoctorReport {
    let of = |verdict| {
        let matching = findings.iter().filter(move |f| f.verdict == verdict);
        matching.map(|f| f.name.as_str()).collect::<Vec<_>>()
    };
    let (broken, warned) = (of(FindingVerdict::Broken), of(FindingVerdict::Warning));
    let verdict = match (broken.as_slice(), warned.as_slice()) {
        ([], []) => "This model can be used for everything.".to_owned(),
        ([], warned) if warned.contains(&TEMPLATE) && writes_nothing(&findings) => {
            "This model can score and read, but not write drafts.".to_owned()
        }
        ([], [one]) => format!("This model can be used, with one warning: {one}."),
        ([], several) => format!(
            "This model can be used, with warnings: {}.",
            several.join(", ")
        ),
        (broken, _) => format!(
            "This model cannot be used as it is; broken: {}.",
            broken.join(", ")
        ),
    };
    DoctorReport {
        usable: broken.is_empty(),
        verdict,
        checks: findings
            .iter()
            .map(|f| {
                let words = [&f.found, &f.means, &f.next].map(|w| w.as_str());
                let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
                let passed = f.verdict == FindingVerdict::Ok;
                (f.name.clone(), passed, words.join(" "))
            })
            .collect(),
        findings,
    }
}

/// Whether the template's warning is that there is none.
fn writes_nothing(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|f| f.name == TEMPLATE && f.means.starts_with("Writing"))
}
