//! Training, trained voices and their blind re-tests.

use idiolect_core::{UserError, training::TrainSettings};
use idiolect_studio::api::{Request, Response};
use serde_json::json;

use super::{Session, profiles::gone, unexpected, writing::cast};
use crate::{
    args::{Adapters, Align, RetestArgs, SftArgs},
    print,
};

pub fn align(s: &Session, command: Align) -> Result<(), UserError> {
    let profile = s.profile()?;
    match command {
        Align::Preflight(args) => {
            let request = Request::AlignPreflight {
                profile,
                settings: settings(&args),
                model: s.model.clone(),
            };
            let Response::Preflight { preflight } = s.ask(request)? else {
                return Err(unexpected());
            };
            s.show(&preflight, || print::preflight(&preflight));
        }
        Align::Sft(args) => {
            let settings = settings(&args);
            let request = Request::AlignSft {
                profile,
                settings,
                model: s.model.clone(),
                name: args.name,
            };
            let Response::Run { run, adapter } = s.ask(request)? else {
                return Err(unexpected());
            };
            s.show(&json!({"run": run, "adapter": adapter}), || {
                print::run(&run, adapter.as_ref())
            });
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
        }
    }
    Ok(())
}

fn settings(args: &SftArgs) -> TrainSettings {
    let base = TrainSettings::default();
    TrainSettings {
        rank: args.rank.unwrap_or(base.rank),
        alpha: args.alpha.unwrap_or(base.alpha),
        targets: if args.targets.is_empty() {
            base.targets.clone()
        } else {
            args.targets.clone()
        },
        learning_rate: args.learning_rate.unwrap_or(base.learning_rate),
        epochs: args.epochs.unwrap_or(base.epochs),
        batch: args.batch.unwrap_or(base.batch),
        max_length: args.max_length.unwrap_or(base.max_length),
        chunk_words: args.chunk_words.unwrap_or(base.chunk_words),
        held_out: args.held_out.unwrap_or(base.held_out),
        seed: args.seed.unwrap_or(base.seed),
        early_stop: !args.no_early_stop,
        ..base
    }
}

pub fn retest(s: &Session, args: RetestArgs) -> Result<(), UserError> {
    let adapter = s.adapter(args.adapter.as_deref())?;
    let request = if args.show {
        Request::RetestShow { adapter }
    } else {
        Request::RetestStart {
            adapter,
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
