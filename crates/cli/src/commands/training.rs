//! Training, trained voices and their blind re-tests.

use std::path::PathBuf;

use idiolect_core::{
    ErrorCode, UserError,
    draft::AdapterUse,
    ids::{ProfileId, RunId},
    training::{BriefSource, Objective, PreferenceSource, Schedule, TrainPrecision, TrainSettings},
};
use idiolect_studio::api::{ExportForm, Request, Response};
use serde_json::json;

use super::{Session, profiles::gone, unexpected, writing::cast};
use crate::{
    args::{
        Adapters, Align, BriefsWord, FormatWord, ObjectiveWord, PrecisionWord, RetestArgs,
        ScheduleWord, SourceWord, TrainArgs,
    },
    print,
};

pub fn align(s: &Session, command: Align) -> Result<(), UserError> {
    let profile = s.profile()?;
    let (objective, args) = match command {
        Align::Preflight {
            objective,
            measure,
            train,
        } => {
            let objective = match objective {
                ObjectiveWord::Sft => Objective::Sft,
                ObjectiveWord::Dpo => Objective::Dpo,
                ObjectiveWord::Orpo => Objective::Orpo,
                ObjectiveWord::Kto => Objective::Kto,
                ObjectiveWord::Ditto => Objective::Ditto,
            };
            let settings = settings(&train, objective);
            let model = s.model.clone();
            let request = if measure {
                Request::AlignMeasure {
                    profile,
                    settings,
                    model,
                }
            } else {
                Request::AlignPreflight {
                    profile,
                    settings,
                    model,
                }
            };
            let Response::Preflight { preflight } = s.ask(request)? else {
                return Err(unexpected());
            };
            s.show(&preflight, || print::preflight(&preflight));
            return Ok(());
        }
        Align::Runs => {
            let Response::Runs { runs } = s.ask(Request::RunList { profile })? else {
                return Err(unexpected());
            };
            s.show(&runs, || {
                runs.iter()
                    .map(|run| print::run(run, None))
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            return Ok(());
        }
        Align::Resume {
            run,
            name,
            no_report,
        } => {
            let request = Request::RunResume {
                run: resumable(s, profile, run.as_deref())?,
                name,
                anyway: s.anyway,
            };
            return trained(s, request, !no_report);
        }
        Align::Discard { run } => {
            let run = resumable(s, profile, run.as_deref())?;
            return trained(s, Request::RunDiscard { run }, false);
        }
        Align::Sft(args) => (Objective::Sft, args),
        Align::Dpo(args) => (Objective::Dpo, args),
        Align::Orpo(args) => (Objective::Orpo, args),
        Align::Kto(args) => (Objective::Kto, args),
        Align::Ditto(args) => (Objective::Ditto, args),
    };
    let report = !args.no_report;
    let request = Request::AlignSft {
        profile,
        settings: settings(&args, objective),
        model: s.model.clone(),
        name: args.name,
        anyway: s.anyway,
    };
    trained(s, request, report)
}

/// The run that was named, or the newest that can be taken up.
fn resumable(s: &Session, profile: ProfileId, named: Option<&str>) -> Result<RunId, UserError> {
    let Response::Runs { runs } = s.ask(Request::RunList { profile })? else {
        return Err(unexpected());
    };
    let found = runs.iter().find(|run| match named {
        Some(named) => run.id.as_str().starts_with(named),
        None => run.resumable,
    });
    found.map(|run| run.id.clone()).ok_or_else(|| {
        UserError::new(
            ErrorCode::NotFound,
            "There is no such training to take up.",
            "`idiolect align runs` shows them.",
        )
    })
}

/// Trains, then measures the new voice unless told not to.
fn trained(s: &Session, request: Request, report: bool) -> Result<(), UserError> {
    let Response::Run { run, mut adapter } = s.ask(request)? else {
        return Err(unexpected());
    };
    // The voice is made: that it could not be measured is said beside it.
    let mut unmeasured = None;
    if let Some(made) = adapter.as_mut().filter(|_| report) {
        let request = Request::AdapterMeasure {
            adapter: made.id.clone(),
        };
        match s.ask(request) {
            Ok(Response::Adapter { adapter }) => *made = adapter,
            Ok(_) => return Err(unexpected()),
            Err(error) => unmeasured = Some(error),
        }
    }
    let said = json!({"run": run, "adapter": adapter, "not_measured": unmeasured});
    s.show(&said, || {
        let mut words = print::run(&run, adapter.as_ref());
        if let Some(adapter) = adapter.as_ref().filter(|a| a.report.is_some()) {
            words = format!("{words}\n{}", print::measured(adapter));
        }
        if let Some(why) = &unmeasured {
            words = format!("{words}\nNot measured: {} {}", why.message, why.hint);
        }
        words
    });
    Ok(())
}

fn settings(args: &TrainArgs, objective: Objective) -> TrainSettings {
    let base = TrainSettings::default();
    TrainSettings {
        objective,
        rank: args.rank.unwrap_or(base.rank),
        alpha: args.alpha.unwrap_or(base.alpha),
        rank_stabilized: args.rank_stabilized,
        dropout: args.dropout.unwrap_or(base.dropout),
        targets: if args.targets.is_empty() {
            base.targets.clone()
        } else {
            args.targets.clone()
        },
        learning_rate: args.learning_rate.unwrap_or(base.learning_rate),
        warm_up: args.warm_up.unwrap_or(base.warm_up),
        schedule: match args.schedule {
            None | Some(ScheduleWord::Linear) => Schedule::Linear,
            Some(ScheduleWord::Cosine) => Schedule::Cosine,
            Some(ScheduleWord::Constant) => Schedule::Constant,
        },
        epochs: args.epochs.unwrap_or(base.epochs),
        batch: args.batch.unwrap_or(base.batch),
        accumulate: args.accumulate.unwrap_or(base.accumulate),
        max_length: args.max_length.unwrap_or(base.max_length),
        chunk_words: args.chunk_words.unwrap_or(base.chunk_words),
        held_out: args.held_out.unwrap_or(base.held_out),
        method: args.method.clone().unwrap_or(base.method),
        briefs: match args.briefs {
            None | Some(BriefsWord::Counted) => BriefSource::Counted,
            Some(BriefsWord::Model) => BriefSource::Model,
        },
        preferences: if args.preferences.is_empty() {
            base.preferences
        } else {
            let sources = args.preferences.iter().map(|source| match source {
                SourceWord::Votes => PreferenceSource::Votes,
                SourceWord::Edits => PreferenceSource::Edits,
                SourceWord::Thumbs => PreferenceSource::Thumbs,
                SourceWord::Retests => PreferenceSource::Retests,
            });
            sources.collect()
        },
        beta: args.beta.unwrap_or(base.beta),
        label_smoothing: args.label_smoothing.unwrap_or(base.label_smoothing),
        length_normalised: args.length_normalised,
        precision: match args.precision {
            None => base.precision,
            Some(PrecisionWord::F32) => TrainPrecision::F32,
            Some(PrecisionWord::Bf16) => TrainPrecision::Bf16,
        },
        recompute: args.recompute,
        trial_drafts: args.trial_drafts.unwrap_or(base.trial_drafts),
        seed: args.seed.unwrap_or(base.seed),
        early_stop: !args.no_early_stop,
        ..base
    }
}

pub fn retest(s: &Session, args: RetestArgs) -> Result<(), UserError> {
    let adapter = s.adapter(args.adapter.as_deref())?;
    let against = match &args.against {
        Some(id) => Some(s.studio.adapter_id(id)?),
        None => None,
    };
    let request = if args.show {
        Request::RetestShow { adapter, against }
    } else {
        Request::RetestStart {
            adapter,
            against,
            pairs: args.pairs,
            seed: args.seed,
        }
    };
    let Response::Retest { retest } = s.ask(request)? else {
        return Err(unexpected());
    };
    if s.json {
        print::json(&retest);
        return Ok(());
    }
    for pair in &retest.waiting {
        print::words(&print::pair(pair));
        match print::ask_choice() {
            Some(choice) => cast(s, pair, choice)?,
            None => break,
        }
    }
    let Response::Retest { retest } = s.ask(Request::RetestShow {
        adapter: retest.adapter,
        against: retest.against,
    })?
    else {
        return Err(unexpected());
    };
    print::words(&print::retest(&retest));
    Ok(())
}

pub fn adapter(s: &Session, command: Adapters) -> Result<(), UserError> {
    let request = match command {
        Adapters::List => {
            let profile = s.profile()?;
            let Response::Adapters { adapters } = s.ask(Request::AdapterList { profile })? else {
                return Err(unexpected());
            };
            s.show(&adapters, || {
                adapters
                    .iter()
                    .map(print::adapter)
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            return Ok(());
        }
        Adapters::Delete { id } => {
            return gone(
                s,
                Request::AdapterDelete {
                    adapter: s.studio.adapter_id(&id)?,
                },
            );
        }
        Adapters::Retrain {
            id,
            name,
            no_report,
        } => {
            let request = Request::AdapterRetrain {
                adapter: s.studio.adapter_id(&id)?,
                name,
                anyway: s.anyway,
            };
            return trained(s, request, !no_report);
        }
        Adapters::Retire { id } => Request::AdapterRetire {
            adapter: s.studio.adapter_id(&id)?,
            retired: true,
        },
        Adapters::Unretire { id } => Request::AdapterRetire {
            adapter: s.studio.adapter_id(&id)?,
            retired: false,
        },
        Adapters::Export { id, format, out } => return export(s, &id, format, out),
        Adapters::Import { file, name } => Request::AdapterImport {
            profile: s.profile()?,
            file: s.studio.ticket(file),
            model: s.model.clone(),
            name,
        },
        Adapters::Stack { parts, name } => Request::AdapterStack {
            parts: parts
                .iter()
                .map(|part| mixed(s, part))
                .collect::<Result<_, _>>()?,
            name,
        },
        Adapters::Compare { first, second } => return compare(s, &first, &second),
        Adapters::Measure { id } => {
            let adapter = s.studio.adapter_id(&id)?;
            let Response::Adapter { adapter } = s.ask(Request::AdapterMeasure { adapter })? else {
                return Err(unexpected());
            };
            s.show(&adapter, || print::measured(&adapter));
            return Ok(());
        }
        Adapters::Show { id } => Request::AdapterShow {
            adapter: s.studio.adapter_id(&id)?,
        },
        Adapters::Rename { id, name } => Request::AdapterRename {
            adapter: s.studio.adapter_id(&id)?,
            name,
        },
    };
    let Response::Adapter { adapter } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&adapter, || print::adapter(&adapter));
    Ok(())
}

fn export(s: &Session, id: &str, format: FormatWord, out: PathBuf) -> Result<(), UserError> {
    let request = Request::AdapterExport {
        adapter: s.studio.adapter_id(id)?,
        form: match format {
            FormatWord::Peft => ExportForm::Peft,
            FormatWord::GgufLora => ExportForm::Gguf,
            FormatWord::MergedGguf => ExportForm::Merged,
        },
        to: s.studio.ticket(out),
    };
    let Response::AdapterExported { report } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&report, || print::exported(&report));
    Ok(())
}

/// `ID` or `ID=STRENGTH`.
fn mixed(s: &Session, part: &str) -> Result<AdapterUse, UserError> {
    let (id, scale) = part.split_once('=').unwrap_or((part, "1"));
    let scale = scale.parse().map_err(|_| {
        UserError::new(
            ErrorCode::Usage,
            format!("“{scale}” is no strength."),
            "Name voices as ID=STRENGTH, with a strength between 0 and 2.",
        )
    })?;
    Ok(AdapterUse::new(s.studio.adapter_id(id)?, scale))
}

fn compare(s: &Session, first: &str, second: &str) -> Result<(), UserError> {
    let mut both = Vec::new();
    for id in [first, second] {
        let adapter = s.studio.adapter_id(id)?;
        let Response::Adapter { adapter } = s.ask(Request::AdapterShow { adapter })? else {
            return Err(unexpected());
        };
        both.push(adapter);
    }
    s.show(&both, || print::compared(&both[0], &both[1]));
    Ok(())
}
