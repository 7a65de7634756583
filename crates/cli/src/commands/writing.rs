//! Drafts and blind votes.

use idiolect_core::{
    ErrorCode, UserError,
    draft::{AdapterUse, Method, Sampling},
    vote::{BlindPair, Choice, Voter},
};
use idiolect_studio::api::{Column, Request, Response};
use serde_json::json;

use super::{Session, text_argument, unexpected};
use crate::{
    args::{CompareArgs, DraftArgs, Drafts, Pick, VoteArgs, WriteArgs},
    json, print,
};

pub fn write(s: &Session, args: WriteArgs) -> Result<(), UserError> {
    let column = column(
        s,
        &args.draft,
        args.method.clone(),
        args.draft.adapter.is_some(),
    )?;
    let profile = s.profile()?;
    let brief = text_argument(&args.draft.brief)?;
    let (intent, columns, model) = (args.draft.intent, vec![column], s.model.clone());
    if args.prompt_only {
        let request = Request::PromptPreview {
            profile,
            intent,
            brief,
            words: None,
            columns,
            model,
        };
        let Response::Prompts { prompts } = s.ask(request)? else {
            return Err(unexpected());
        };
        s.show(&json!({"prompt": prompts[0]}), || prompts[0].clone());
        return Ok(());
    }
    let request = Request::Write {
        profile,
        intent,
        brief,
        words: None,
        columns,
        model,
    };
    let Response::Drafts { drafts } = s.ask(request)? else {
        return Err(unexpected());
    };
    let draft = drafts.first().ok_or_else(unexpected)?;
    s.show(&json::draft(draft), || print::draft(draft));
    Ok(())
}

pub fn compare(s: &Session, args: CompareArgs) -> Result<(), UserError> {
    let mut columns = Vec::new();
    for name in &args.methods {
        // "adapter" alone or joined: the method beside it, with the trained voice on.
        let (method, adapted) = match name.trim() {
            "adapter" => ("base".to_owned(), true),
            joined if joined.split('+').any(|p| p == "adapter") => (
                joined
                    .split('+')
                    .filter(|p| *p != "adapter")
                    .collect::<Vec<_>>()
                    .join("+"),
                true,
            ),
            plain => (plain.to_owned(), false),
        };
        let method: Method = method.parse().map_err(|e: String| {
            UserError::new(ErrorCode::Usage, e, "See `idiolect compare --help`.")
        })?;
        columns.push(column(s, &args.draft, method, adapted)?);
    }
    let request = Request::Write {
        profile: s.profile()?,
        intent: args.draft.intent,
        brief: text_argument(&args.draft.brief)?,
        words: None,
        columns,
        model: s.model.clone(),
    };
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

fn column(
    s: &Session,
    args: &DraftArgs,
    method: Method,
    adapted: bool,
) -> Result<Column, UserError> {
    let adapter = if adapted {
        Some(AdapterUse {
            id: s.adapter(args.adapter.as_deref())?,
            scale: args.adapter_scale,
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
        Drafts::Keep { id } => {
            let request = Request::DraftKeep {
                draft: s.studio.draft_id(&id)?,
                keep: true,
            };
            let Response::Draft { draft } = s.ask(request)? else {
                return Err(unexpected());
            };
            s.show(&json::draft(&draft), || format!("Kept {}.", draft.id));
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
