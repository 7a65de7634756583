//! Models, measuring, drawing, evaluating.

use std::path::Path;

use idiolect_core::{ErrorCode, UserError, draft::AdapterUse};
use idiolect_studio::api::{
    BenchTrainRequest, EvalRequest, FindingVerdict, PlotFormat, PlotSubject, Request, Response,
    Settings, Workload,
};
use serde_json::{Value, json};

use super::{Session, profiles::gone, text_argument, unexpected, write_file};
use crate::{
    args::{
        BenchArgs, BenchWhat, BenchWorkload, EvalArgs, Models, Plot, ScoreArgs, SettingsCommand,
    },
    print,
};

pub fn status(s: &Session, seen: bool) -> Result<(), UserError> {
    if seen {
        s.ask(Request::CutShortSeen)?;
    }
    let Response::Status { status } = s.ask(Request::Status)? else {
        return Err(unexpected());
    };
    s.show(&status, || print::status(&status));
    Ok(())
}

pub fn settings(s: &Session, command: SettingsCommand) -> Result<(), UserError> {
    let Response::Settings { settings } = s.ask(Request::SettingsShow)? else {
        return Err(unexpected());
    };
    let request = match command {
        SettingsCommand::Show => Request::SettingsShow,
        SettingsCommand::Set { name, value } => Request::SettingsSet {
            settings: changed(&settings, &name, &value)?,
        },
    };
    let Response::Settings { settings } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&settings, || print::settings(&settings));
    Ok(())
}

/// The settings with one of them changed, by its name in JSON; `-` is as good as `_`.
fn changed(settings: &Settings, name: &str, value: &str) -> Result<Settings, UserError> {
    let mut all = serde_json::to_value(settings).unwrap_or_default();
    let names: Vec<String> = print::setting_names(settings);
    let Some(field) = all.get_mut(name.replace('-', "_")) else {
        return Err(UserError::new(
            ErrorCode::Usage,
            format!("No setting is called “{name}”."),
            format!("There are {}.", names.join(", ")),
        ));
    };
    let unusable = |why: String| {
        UserError::new(
            ErrorCode::Usage,
            format!("“{value}” is no value for {name}: {why}."),
            "`idiolect settings show` shows what is set now; an empty value is the default.",
        )
    };
    *field = match (&*field, value) {
        (_, "") => serde_json::to_value(Settings::default()).unwrap_or_default()
            [name.replace('-', "_")]
        .clone(),
        (Value::Bool(_), "on" | "true") => true.into(),
        (Value::Bool(_), "off" | "false") => false.into(),
        (Value::Bool(_), _) => return Err(unusable("say on or off".to_owned())),
        (Value::Number(_), typed) => typed
            .parse::<u32>()
            .map_err(|_| unusable("say a whole number".to_owned()))?
            .into(),
        (_, typed) => typed.into(),
    };
    serde_json::from_value(all).map_err(|e| unusable(e.to_string()))
}

pub fn models(s: &Session, command: Models) -> Result<(), UserError> {
    let request = match command {
        Models::List => {
            let Response::Models { models } = s.ask(Request::ModelList)? else {
                return Err(unexpected());
            };
            s.show(&models, || {
                models
                    .iter()
                    .map(print::model)
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            return Ok(());
        }
        Models::Doctor { model_id } => {
            let Response::Doctor { report } = s.ask(Request::ModelDoctor { model: model_id })?
            else {
                return Err(unexpected());
            };
            // The report is the answer, whatever it says; the exit code says it once more.
            s.show(&report, || print::doctor(&report));
            if report.usable {
                return Ok(());
            }
            let broken = report
                .findings
                .iter()
                .find(|f| f.verdict == FindingVerdict::Broken && !f.next.is_empty());
            return Err(UserError::new(
                ErrorCode::ModelCorrupt,
                report.verdict,
                broken.map_or_else(
                    || "Choose another model: `idiolect models list`.".to_owned(),
                    |f| f.next.clone(),
                ),
            ));
        }
        Models::Remove { model_id } => return gone(s, Request::ModelRemove { model: model_id }),
        Models::Pull { model_id: None, .. } => {
            let mut pulled = Vec::new();
            for id in idiolect_studio::default_model_ids() {
                let request = Request::ModelPull {
                    model: id.to_owned(),
                    accept_licence: true,
                };
                let Response::Model { model } = s.ask(request)? else {
                    return Err(unexpected());
                };
                pulled.push(model);
            }
            s.show(&pulled, || {
                pulled
                    .iter()
                    .map(print::model)
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            return Ok(());
        }
        Models::Pull {
            model_id: Some(model),
            accept_licence,
        } => Request::ModelPull {
            model,
            accept_licence,
        },
        Models::Import { file } => Request::ModelImport {
            file: s.studio.ticket(file),
        },
        Models::Show { model_id } => {
            let Response::Model { model } = s.ask(Request::ModelShow { model: model_id })? else {
                return Err(unexpected());
            };
            s.show(&model, || print::model_in_full(&model));
            return Ok(());
        }
        Models::Use { model_id } => Request::ModelUse { model: model_id },
        Models::Release { model_id } => Request::ModelRelease { model: model_id },
    };
    let Response::Model { model } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&model, || print::model(&model));
    Ok(())
}

pub fn plot(s: &Session, command: Plot) -> Result<(), UserError> {
    let (what, out) = match command {
        Plot::Loss { run, out } => {
            let profile = s.profile()?;
            let Response::Runs { runs } = s.ask(Request::RunList { profile })? else {
                return Err(unexpected());
            };
            let found = match &run {
                Some(named) => runs
                    .iter()
                    .find(|r| r.id.as_str().starts_with(named.as_str())),
                None => runs.first(),
            };
            let Some(found) = found else {
                return Err(UserError::new(
                    ErrorCode::NotFound,
                    "There is no such training to draw.",
                    "`idiolect align runs` shows them.",
                ));
            };
            (
                PlotSubject::Loss {
                    run: found.id.clone(),
                },
                out,
            )
        }
        Plot::Dimensions { out } => (
            PlotSubject::Dimensions {
                profile: s.profile()?,
            },
            out,
        ),
    };
    let format = match out.extension().and_then(|e| e.to_str()) {
        Some("svg") => PlotFormat::Svg,
        Some("png") => PlotFormat::Png,
        _ => {
            return Err(UserError::new(
                ErrorCode::Usage,
                "The file's ending says neither svg nor png.",
                "Give --out a name ending in .svg or .png.",
            ));
        }
    };
    let Response::Plot { bytes, .. } = s.ask(Request::Plot { what, format })? else {
        return Err(unexpected());
    };
    write_file(&out, &bytes)?;
    s.show(&json!({"written": out, "bytes": bytes.len()}), || {
        "Drawn.".to_owned()
    });
    Ok(())
}

pub fn score(s: &Session, args: ScoreArgs) -> Result<(), UserError> {
    let text = if args.file == Path::new("-") {
        text_argument("-")?
    } else {
        std::fs::read_to_string(&args.file).map_err(|e| {
            UserError::new(
                if e.kind() == std::io::ErrorKind::InvalidData {
                    ErrorCode::NotText
                } else {
                    ErrorCode::NotFound
                },
                format!("The file could not be read as UTF-8 text: {e}."),
                "Check the name and the encoding.",
            )
        })?
    };
    let adapter = match &args.adapter {
        Some(named) => Some(AdapterUse::new(
            s.studio.adapter_id(named)?,
            args.adapter_scale,
        )),
        None => None,
    };
    let Response::Score { report } = s.ask(Request::Score {
        model: s.model.clone(),
        text,
        adapter,
    })?
    else {
        return Err(unexpected());
    };
    s.show(&report, || {
        format!(
            "{} tokens · {:.4} nats per token · perplexity {:.3} (lower is better)",
            report.tokens.len(),
            report.nll_per_token,
            report.perplexity
        )
    });
    Ok(())
}

pub fn bench(s: &Session, args: BenchArgs) -> Result<(), UserError> {
    match args.what {
        None => {
            let request = Request::Bench {
                model: s.model.clone(),
                threads: args.threads,
                prompts: args.prompts,
                decode: args.decode,
                workloads: args.workload.into_iter().map(workload).collect(),
                sentences: args.sentences,
            };
            let Response::Bench { report } = s.ask(request)? else {
                return Err(unexpected());
            };
            s.show(&report, || print::bench(&report));
        }
        Some(BenchWhat::Train(args)) => {
            let request = Request::BenchTrain(BenchTrainRequest {
                model: s.model.clone(),
                objective: args.objective,
                rank: args.rank,
                batch: args.batch,
                length: args.length,
                targets: args.targets,
                steps: args.steps,
                bf16: args.bf16,
                recompute: args.recompute,
                record: args.record.map(|folder| s.studio.ticket(folder)),
            });
            let Response::BenchTrain { report } = s.ask(request)? else {
                return Err(unexpected());
            };
            s.show(&report, || print::bench_train(&report));
        }
    }
    Ok(())
}

fn workload(named: BenchWorkload) -> Workload {
    match named {
        BenchWorkload::Decode => Workload::Decode,
        BenchWorkload::Drafts => Workload::Drafts,
        BenchWorkload::Continuations => Workload::Continuations,
        BenchWorkload::Sentences => Workload::Sentences,
    }
}

pub fn eval(s: &Session, args: EvalArgs) -> Result<(), UserError> {
    let request = Request::Eval(EvalRequest {
        name: args.name,
        data: s.studio.ticket(args.data),
        corpus: args.corpus,
        limit: args.limit,
        texts: args.texts,
        seed: args.seed,
        model: s.model.clone(),
        fresh: args.fresh,
    });
    let Response::Eval { report } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&report, || print::eval(&report));
    Ok(())
}

pub fn demo(s: &Session, seed: u64) -> Result<(), UserError> {
    let Response::Demo { report } = s.ask(Request::Demo { seed })? else {
        return Err(unexpected());
    };
    s.show(&report, || print::demo(&report));
    Ok(())
}
