//! Profiles, samples and what is inferred from them.

use std::path::{Path, PathBuf};

use idiolect_core::{ErrorCode, UserError, ids::ProfileId, sample::Sample};
use idiolect_studio::api::{Decision, ImportCounts, Request, Response};
use serde_json::json;

use super::{Session, text_argument, unexpected, write_file};
use crate::{
    args::{Dimensions, ExportFormat, Hypotheses, Profiles, Samples, Summary, Switch},
    json, print,
};

pub fn profile(s: &Session, command: Profiles) -> Result<(), UserError> {
    match command {
        Profiles::New { name } => one_profile(s, Request::ProfileNew { name }, "Begun"),
        Profiles::List => {
            let Response::Profiles { profiles } = s.ask(Request::ProfileList)? else {
                return Err(unexpected());
            };
            s.show(&profiles, || print::profiles(&profiles));
            Ok(())
        }
        Profiles::Show => {
            let profile = s.profile()?;
            let Response::ProfileView { view } = s.ask(Request::ProfileShow { profile })? else {
                return Err(unexpected());
            };
            s.show(&json::reading(&view), || print::view(&view));
            Ok(())
        }
        Profiles::Rename { name } => {
            let profile = s.profile()?;
            one_profile(s, Request::ProfileRename { profile, name }, "Renamed")
        }
        Profiles::Describe { text } => {
            let profile = s.profile()?;
            one_profile(
                s,
                Request::ProfileDescribe {
                    profile,
                    text: text_argument(&text)?,
                },
                "Noted for",
            )
        }
        Profiles::Wishes => {
            let profile = s.profile()?;
            let Response::Wishes { wishes } = s.ask(Request::ProfileWishes { profile })? else {
                return Err(unexpected());
            };
            s.show(&wishes, || print::wishes(&wishes));
            Ok(())
        }
        Profiles::Sensitive { state } => {
            let profile = s.profile()?;
            one_profile(
                s,
                Request::ProfileSensitive {
                    profile,
                    on: state == Switch::On,
                },
                "Set for",
            )
        }
        Profiles::Export { format, out } => {
            let profile = s.profile()?;
            let Response::Exported { voice } = s.ask(Request::ProfileExport { profile })? else {
                return Err(unexpected());
            };
            if s.json && out.is_none() {
                print::json(&voice);
                return Ok(());
            }
            let text = match format {
                ExportFormat::SystemPrompt => voice.system_prompt,
                ExportFormat::StyleGuide => voice.style_guide,
                ExportFormat::Json => voice.json,
            };
            match out {
                Some(path) => {
                    write_file(&path, text.as_bytes())?;
                    s.show(&json!({"written": path}), || "Written.".to_owned());
                }
                None => print::words(&text),
            }
            Ok(())
        }
        Profiles::Delete { yes, forget_copies } => {
            let profile = s.profile()?;
            if !yes && !print::confirm("Delete the profile and everything derived from it?") {
                return Err(UserError::new(
                    ErrorCode::Cancelled,
                    "Nothing was deleted.",
                    "Say --yes to delete without being asked.",
                ));
            }
            removed(s, Request::ProfileDelete { profile }, forget_copies)
        }
    }
}

pub fn sample(s: &Session, command: Samples) -> Result<(), UserError> {
    match command {
        Samples::Scan { file } => {
            let file = s.studio.ticket(file);
            let Response::ImportScan { scan } = s.ask(Request::ImportScan { file })? else {
                return Err(unexpected());
            };
            s.show(&scan, || print::scan(&scan));
            Ok(())
        }
        Samples::Add { files, mine, title } => {
            let profile = s.profile()?;
            add(s, &profile, &files, &mine, title.as_deref())
        }
        Samples::List => {
            let profile = s.profile()?;
            let Response::Samples { samples } = s.ask(Request::SampleList { profile })? else {
                return Err(unexpected());
            };
            s.show(&samples, || print::samples(&samples));
            Ok(())
        }
        Samples::Show { id } => one_sample(
            s,
            Request::SampleShow {
                sample: s.studio.sample_id(&id)?,
            },
        ),
        Samples::Restore { id } => one_sample(
            s,
            Request::SampleRestore {
                sample: s.studio.sample_id(&id)?,
            },
        ),
        Samples::Remove { id, forget_copies } => {
            let sample = s.studio.sample_id(&id)?;
            removed(s, Request::SampleRemove { sample }, forget_copies)
        }
        Samples::ForgetCopies => gone(s, Request::CopiesForget),
    }
}

/// Adds every file that can be added; one that cannot is named and does not keep the others out.
fn add(
    s: &Session,
    profile: &ProfileId,
    files: &[PathBuf],
    mine: &[String],
    title: Option<&str>,
) -> Result<(), UserError> {
    let mut added = Vec::new();
    let mut all_counts = Vec::new();
    let mut failed = Vec::new();
    let mut stopped: Option<UserError> = None;
    for file in files {
        // After a stop the rest is not begun.
        let done = match &stopped {
            Some(error) => Err(error.clone()),
            None => add_one(s, profile, file, mine, title),
        };
        match done {
            Ok((samples, counts)) => {
                added.extend(samples);
                all_counts.push(counts);
            }
            Err(error) => {
                if error.code == ErrorCode::Cancelled {
                    stopped = Some(error.clone());
                }
                failed.push((file.to_string_lossy(), error));
            }
        }
    }
    let told: Vec<_> = failed
        .iter()
        .map(
            |(file, e)| json!({"file": file, "code": e.code, "message": e.message, "hint": e.hint}),
        )
        .collect();
    if s.json || !all_counts.is_empty() {
        s.show(
            &json!({"samples": added, "counts": all_counts, "failed": told}),
            || print::imported(&added, &all_counts),
        );
    }
    match failed.len() {
        0 => Ok(()),
        1 if files.len() == 1 => Err(failed.remove(0).1),
        n => {
            for (file, error) in &failed {
                eprintln!("error: {file}: {}\nhint: {}", error.message, error.hint);
            }
            Err(UserError::new(
                failed.remove(0).1.code,
                match n == files.len() {
                    true => format!("None of the {n} files was added."),
                    false => format!("Not all files were added: {n} of {} failed.", files.len()),
                },
                "Put right what is said above and add these files again.",
            ))
        }
    }
}

fn add_one(
    s: &Session,
    profile: &ProfileId,
    file: &Path,
    mine: &[String],
    title: Option<&str>,
) -> Result<(Vec<Sample>, ImportCounts), UserError> {
    let profile = profile.clone();
    if file.as_os_str() == "-" {
        let request = Request::SampleAdd {
            profile,
            text: text_argument("-")?,
            title: title.map(str::to_owned),
        };
        let Response::Sample { sample, counts } = s.ask(request)? else {
            return Err(unexpected());
        };
        return Ok((vec![sample], counts.unwrap_or_default()));
    }
    let request = Request::ImportRun {
        profile,
        file: s.studio.ticket(file.to_owned()),
        mine: mine.to_owned(),
    };
    match s.ask(request)? {
        Response::Imported { samples, counts } => Ok((samples, counts)),
        _ => Err(unexpected()),
    }
}

pub fn fingerprint(s: &Session) -> Result<(), UserError> {
    let profile = s.profile()?;
    let Response::Fingerprint { fingerprint } = s.ask(Request::FingerprintShow { profile })? else {
        return Err(unexpected());
    };
    s.show(&fingerprint, || print::fingerprint(&fingerprint));
    Ok(())
}

pub fn infer(s: &Session) -> Result<(), UserError> {
    let profile = s.profile()?;
    let Response::ProfileView { view } = s.ask(Request::Infer {
        profile,
        model: s.model.clone(),
    })?
    else {
        return Err(unexpected());
    };
    s.show(&json::reading(&view), || print::view(&view));
    Ok(())
}

pub fn dimension(s: &Session, command: Dimensions) -> Result<(), UserError> {
    let request = match command {
        Dimensions::List => {
            let Response::Status { status } = s.ask(Request::Status)? else {
                return Err(unexpected());
            };
            s.show(&status.dimensions, || print::dimensions(&status.dimensions));
            return Ok(());
        }
        Dimensions::Set { dimension, score } => Request::DimensionSet {
            profile: s.profile()?,
            dimension,
            score,
        },
        Dimensions::Object { dimension, object } => Request::DimensionObject {
            profile: s.profile()?,
            dimension,
            object,
        },
        Dimensions::Reset { dimension } => Request::DimensionReset {
            profile: s.profile()?,
            dimension,
        },
    };
    let Response::Reading { reading } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&json::dimension(&reading), || print::reading(&reading));
    Ok(())
}

pub fn hypotheses(s: &Session, command: Hypotheses) -> Result<(), UserError> {
    let decide = |id: &str, decision: Decision| -> Result<Request, UserError> {
        Ok(Request::HypothesisDecide {
            hypothesis: s.studio.hypothesis_id(id)?,
            decision,
        })
    };
    let request = match command {
        Hypotheses::List => {
            let profile = s.profile()?;
            let request = Request::HypothesisList {
                profile: profile.clone(),
            };
            let Response::Hypotheses { hypotheses } = s.ask(request)? else {
                return Err(unexpected());
            };
            // Only an empty list has to say why it is empty.
            let inferred = !hypotheses.is_empty() || inferred(s, profile)?;
            s.show(&hypotheses, || print::hypotheses(&hypotheses, inferred));
            return Ok(());
        }
        Hypotheses::Accept { id } => decide(&id, Decision::Accept)?,
        Hypotheses::Reject { id } => decide(&id, Decision::Reject)?,
        Hypotheses::Edit { id, statement } => decide(&id, Decision::Edit { statement })?,
        Hypotheses::Reset { id } => decide(&id, Decision::Reset)?,
        Hypotheses::Add { statement } => Request::HypothesisAdd {
            profile: s.profile()?,
            statement,
        },
    };
    let Response::Hypothesis { hypothesis } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&hypothesis, || {
        print::hypotheses(std::slice::from_ref(&hypothesis), true)
    });
    Ok(())
}

/// Whether the profile was ever inferred.
fn inferred(s: &Session, profile: ProfileId) -> Result<bool, UserError> {
    let Response::ProfileView { view } = s.ask(Request::ProfileShow { profile })? else {
        return Err(unexpected());
    };
    Ok(!view.model.is_empty())
}

pub fn summary(s: &Session, command: Summary) -> Result<(), UserError> {
    let profile = s.profile()?;
    match command {
        Summary::Show => {
            let Response::Profiles { profiles } = s.ask(Request::ProfileList)? else {
                return Err(unexpected());
            };
            let found = profiles
                .iter()
                .find(|p| p.id == profile)
                .ok_or_else(unexpected)?;
            s.show(
                &json!({"text": found.summary, "own_words": found.summary_edited}),
                || match found.summary.as_str() {
                    "" => "No summary yet: `idiolect summary generate`, or `summary set TEXT`."
                        .to_owned(),
                    text => text.to_owned(),
                },
            );
            Ok(())
        }
        Summary::Generate => {
            let Response::Summary { text, stored } = s.ask(Request::SummaryGenerate { profile })?
            else {
                return Err(unexpected());
            };
            s.show(&json!({"text": text, "stored": stored}), || {
                if stored {
                    text.clone()
                } else {
                    format!("{text}\n\n(Not stored: you wrote your own summary.)")
                }
            });
            Ok(())
        }
        Summary::Set { text } => one_profile(
            s,
            Request::SummarySet {
                profile,
                text: text_argument(&text)?,
            },
            "Summary set for",
        ),
    }
}

fn one_profile(s: &Session, request: Request, done: &str) -> Result<(), UserError> {
    let Response::Profile { profile } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&profile, || {
        format!("{done} “{}” ({}).", profile.name, profile.id)
    });
    Ok(())
}

fn one_sample(s: &Session, request: Request) -> Result<(), UserError> {
    let Response::Sample { sample, .. } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&sample, || print::sample(&sample));
    Ok(())
}

/// A deletion and what it took with it.
pub fn gone(s: &Session, request: Request) -> Result<(), UserError> {
    removed(s, request, false)
}

/// A deletion, and where asked that of the safety copies that still hold what was deleted.
fn removed(s: &Session, request: Request, forget_copies: bool) -> Result<(), UserError> {
    let Response::Gone { mut gone } = s.ask(request)? else {
        return Err(unexpected());
    };
    if forget_copies {
        let Response::Gone { gone: forgotten } = s.ask(Request::CopiesForget)? else {
            return Err(unexpected());
        };
        gone.what = format!("{} {}", gone.what, forgotten.what);
        gone.copies = forgotten.copies;
    }
    s.show(&gone, || print::gone(&gone));
    Ok(())
}
