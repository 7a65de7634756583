//! Drafts and blind votes.

use std::io::IsTerminal;

use idiolect_core::{
    ErrorCode, UserError,
    draft::{AdapterUse, Method, Sampling, Thumb},
    vote::{BlindPair, Choice, Voter},
};
use idiolect_studio::api::{Column, Request, Response};
use serde_json::json;

use super::{Session, text_argument, unexpected};
use crate::{
    args::{CompareArgs, DraftArgs, Drafts, Pick, ThumbWord, VoteArgs, WriteArgs},
    json, print,
    progress::{self, Stream},
};

pub fn write(s: &Session, args: WriteArgs) -> Result<(), UserError> {
    let adapted = args.draft.adapter.is_some();
    let method = match args.method {
        Some(method) => method,
        None if adapted => trained_under(s, &args.draft)?,
        None => Method::base(),
    };
    let columns = vec![column(s, &args.draft, method, adapted)?];
    let request = asked(s, &args.draft, columns)?;
    if args.draft.prompt_only {
        let (prompts, notes) = prompts(s, request)?;
        let prompt = prompts.first().ok_or_else(unexpected)?;
        let notes = notes.first();
        s.show(&json!({"prompt": prompt, "notes": notes}), || {
            prompt.clone()
        });
        return Ok(());
    }
    let mut stream = Stream::to(std::io::stdout());
    let answer = if !s.json && std::io::stdout().is_terminal() {
        s.watch(request, &mut |event| stream.show(&event))
    } else {
        s.ask(request)
    };
    if stream.begun {
        print::words("");
    }
    let Response::Drafts { drafts } = answer? else {
        return Err(unexpected());
    };
    let draft = drafts.first().ok_or_else(unexpected)?;
    if stream.begun {
        print::words(&print::below_streamed(draft));
    } else {
        s.show(&json::draft(draft), || print::draft(draft));
    }
    Ok(())
}

pub fn compare(s: &Session, args: CompareArgs) -> Result<(), UserError> {
    let mut columns = Vec::new();
    for name in &args.methods {
        // "adapter" alone or joined: the method beside it, with the trained voice on.
        let (voice, method): (Vec<&str>, Vec<&str>) = name
            .split('+')
            .map(str::trim)
            .partition(|p| *p == "adapter");
        let method = if method.is_empty() {
            Method::base()
        } else {
            let joined = method.join("+");
            joined.parse().map_err(|e: String| {
                UserError::new(ErrorCode::Usage, e, "See `idiolect compare --help`.")
            })?
        };
        columns.push(column(s, &args.draft, method, !voice.is_empty())?);
    }
    if args.draft.adapter.is_some() && columns.iter().all(|c| c.adapter.is_none()) {
        return Err(UserError::new(
            ErrorCode::Usage,
            "--adapter names a trained voice, but no column uses one.",
            "Add a column with it: `--methods base,adapter`, or `hypotheses+adapter`.",
        ));
    }
    let request = asked(s, &args.draft, columns)?;
    if args.draft.prompt_only {
        let (prompts, notes) = prompts(s, request)?;
        s.show(&json!({"prompts": prompts, "notes": notes}), || {
            print::prompts(&args.methods, &prompts)
        });
        return Ok(());
    }
    let Response::Drafts { drafts } = s.ask(request)? else {
        return Err(unexpected());
    };
    let values: Vec<_> = drafts.iter().map(json::draft).collect();
    s.show(&json!({"drafts": values}), || {
        drafts
            .iter()
            .map(print::draft)
            .collect::<Vec<_>>()
            .join("\n\n")
    });
    Ok(())
}

/// The request to write these columns, or only to show their prompts.
fn asked(s: &Session, args: &DraftArgs, columns: Vec<Column>) -> Result<Request, UserError> {
    let (profile, brief) = (s.profile()?, text_argument(&args.brief)?);
    let (intent, words, model) = (args.intent, args.words, s.model.clone());
    Ok(if args.prompt_only {
        Request::PromptPreview {
            profile,
            intent,
            brief,
            words,
            columns,
            model,
        }
    } else {
        Request::Write {
            profile,
            intent,
            brief,
            words,
            columns,
            model,
        }
    })
}

/// The prompts, and what each had to leave out.
fn prompts(s: &Session, request: Request) -> Result<(Vec<String>, Vec<Vec<String>>), UserError> {
    let Response::Prompts { prompts, notes } = s.ask(request)? else {
        return Err(unexpected());
    };
    if !s.json {
        for note in notes.iter().flatten() {
            progress::note(&format!("note: {note}"));
        }
    }
    Ok((prompts, notes))
}

/// What stood in the prompts that the trained voice was trained on.
fn trained_under(s: &Session, args: &DraftArgs) -> Result<Method, UserError> {
    let adapter = s.adapter(args.adapter.as_deref())?;
    let Response::Adapter { adapter } = s.ask(Request::AdapterShow { adapter })? else {
        return Err(unexpected());
    };
    Ok(adapter.method)
}

fn column(
    s: &Session,
    args: &DraftArgs,
    method: Method,
    adapted: bool,
) -> Result<Column, UserError> {
    let adapter = if adapted {
        Some(AdapterUse {
            contrast: args.adapter_contrast,
            ..AdapterUse::new(s.adapter(args.adapter.as_deref())?, args.adapter_scale)
        })
    } else {
        None
    };
    let base = Sampling::default();
    Ok(Column {
        method,
        adapter,
        sampling: Sampling {
            temperature: args.temperature.unwrap_or(base.temperature),
            top_p: args.top_p.unwrap_or(base.top_p),
            top_k: args.top_k.unwrap_or(base.top_k),
            min_p: args.min_p.unwrap_or(base.min_p),
            repetition_penalty: args.repetition_penalty.unwrap_or(base.repetition_penalty),
            seed: args.seed,
            max_tokens: args.max_tokens,
            stop: args.stop.clone(),
        },
    })
}

pub fn drafts(s: &Session, command: Drafts) -> Result<(), UserError> {
    match command {
        Drafts::List => {
            let profile = s.profile()?;
            let Response::Drafts { drafts } = s.ask(Request::DraftList { profile })? else {
                return Err(unexpected());
            };
            let values: Vec<_> = drafts.iter().map(json::draft).collect();
            s.show(&values, || print::drafts(&drafts));
        }
        Drafts::Diff { left, right } => {
            let request = Request::DraftDiff {
                left: s.studio.draft_id(&left)?,
                right: s.studio.draft_id(&right)?,
            };
            let Response::Diff { parts } = s.ask(request)? else {
                return Err(unexpected());
            };
            s.show(&parts, || print::diff(&parts));
        }
        Drafts::Show { id } => {
            let draft = s.studio.draft(&id)?;
            s.show(&json::draft(&draft), || {
                format!("Brief: {}\n{}", draft.brief, print::draft(&draft))
            });
        }
        Drafts::Keep { id } => keep(s, &id, true)?,
        Drafts::Unkeep { id } => keep(s, &id, false)?,
        Drafts::Edit { id, text, .. } => {
            let draft = s.studio.draft_id(&id)?;
            let text = text.as_deref().map(text_argument).transpose()?;
            let said = if text.is_some() {
                "Your version is kept with"
            } else {
                "Your version is forgotten:"
            };
            marked(s, Request::DraftEdit { draft, text }, said)?;
        }
        Drafts::Thumb { id, thumb } => {
            let draft = s.studio.draft_id(&id)?;
            let thumb = match thumb {
                ThumbWord::Up => Some(Thumb::Up),
                ThumbWord::Down => Some(Thumb::Down),
                ThumbWord::None => None,
            };
            let said = match thumb {
                Some(Thumb::Up) => "More like",
                Some(Thumb::Down) => "Less like",
                None => "No thumb on",
            };
            marked(s, Request::DraftThumb { draft, thumb }, said)?;
        }
        Drafts::Delete { id } => super::profiles::gone(
            s,
            Request::DraftDelete {
                draft: s.studio.draft_id(&id)?,
            },
        )?,
    }
    Ok(())
}

fn keep(s: &Session, id: &str, keep: bool) -> Result<(), UserError> {
    let draft = s.studio.draft_id(id)?;
    let done = if keep { "Kept" } else { "No longer kept:" };
    marked(s, Request::DraftKeep { draft, keep }, done)
}

/// A mark on a draft, and what is said of it before its id.
fn marked(s: &Session, request: Request, done: &str) -> Result<(), UserError> {
    let Response::Draft { draft } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&json::draft(&draft), || format!("{done} {}.", draft.id));
    Ok(())
}

pub fn vote(s: &Session, args: VoteArgs) -> Result<(), UserError> {
    if args.results || (args.pair.is_none() && args.left.is_none()) {
        let profile = s.profile()?;
        let Response::Tallies { tallies } = s.ask(Request::VoteTally { profile })? else {
            return Err(unexpected());
        };
        s.show(&tallies, || print::tallies(&tallies));
        return Ok(());
    }
    let pair = match (&args.pair, &args.left, &args.right) {
        (Some(pair), _, _) => s.studio.waiting_pair(pair)?,
        (None, Some(left), Some(right)) => {
            let request = Request::BlindPair {
                left: s.studio.draft_id(left)?,
                right: s.studio.draft_id(right)?,
            };
            let Response::Pair { pair } = s.ask(request)? else {
                return Err(unexpected());
            };
            pair
        }
        _ => return Err(unexpected()),
    };
    match args.choice {
        Some(pick) => cast(s, &pair, choice(pick)).map(|_| ()),
        None if s.json => {
            // Scripts see the texts, decide, and vote on the pair by its id.
            print::json(&pair);
            Ok(())
        }
        None => {
            print::words(&print::pair(&pair));
            match print::ask_choice() {
                Some(pick) => cast(s, &pair, pick).map(|_| ()),
                None => Err(UserError::new(
                    ErrorCode::Cancelled,
                    "No vote was cast; the pair is waiting.",
                    format!(
                        "Vote later: `idiolect vote --pair {} --choice left|right|tie|skip`.",
                        pair.id
                    ),
                )),
            }
        }
    }
}

/// Casts a vote and shows what was what.
pub fn cast(s: &Session, pair: &BlindPair, choice: Choice) -> Result<(), UserError> {
    let request = Request::VoteCast {
        pair: pair.id.clone(),
        choice,
        voter: Voter::Person,
    };
    let Response::Voted { voted } = s.ask(request)? else {
        return Err(unexpected());
    };
    s.show(&voted, || print::voted(&voted));
    Ok(())
}

fn choice(pick: Pick) -> Choice {
    match pick {
        Pick::Left => Choice::Left,
        Pick::Right => Choice::Right,
        Pick::Tie => Choice::Tie,
        Pick::Skip => Choice::Skip,
    }
}
