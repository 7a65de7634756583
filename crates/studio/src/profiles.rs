//! Profiles: begin, rename, describe, export, delete; the summary a model is given.

use idiolect_core::{ErrorCode, UserError, ids::ProfileId, profile::Profile};
use idiolect_persona::{Passage, prompts, summary};
use idiolect_store::{Derived, ProfileEdit};
use idiolect_text::wishes::Wishes;
use serde_json::json;

use crate::{
    api::{Gone, Response, StatedWish, VoiceFile},
    context::Ctx,
    errors::{Told, not_enough, usage},
    inference::build_view,
};

/// A name's longest length, letters.
const NAME: usize = 80;
/// A summary's or self-description's longest length, bytes.
const LONG_TEXT: usize = 20_000;

pub(crate) fn list(ctx: &mut Ctx) -> Result<Response, UserError> {
    Ok(Response::Profiles {
        profiles: ctx.studio.store.profiles().told()?,
    })
}

pub(crate) fn new(ctx: &mut Ctx, name: &str) -> Result<Response, UserError> {
    answer(ctx.studio.store.new_profile(&checked_name(name)?).told()?)
}

pub(crate) fn rename(
    ctx: &mut Ctx,
    profile: &ProfileId,
    name: &str,
) -> Result<Response, UserError> {
    edit(ctx, profile, &ProfileEdit::Rename(checked_name(name)?))
}

pub(crate) fn sensitive(
    ctx: &mut Ctx,
    profile: &ProfileId,
    on: bool,
) -> Result<Response, UserError> {
    edit(ctx, profile, &ProfileEdit::Sensitive(on))
}

pub(crate) fn describe(
    ctx: &mut Ctx,
    profile: &ProfileId,
    text: &str,
) -> Result<Response, UserError> {
    edit(ctx, profile, &ProfileEdit::Describe(checked_text(text)?))
}

/// What the self-description says they want, in the order it was said.
pub(crate) fn wishes(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    let text = ctx.studio.store.profile(profile).told()?.self_description;
    let mut wishes = Vec::new();
    for (sentence, found) in Wishes::said_in(&text) {
        for (wanted, things) in [(true, found.wanted), (false, found.unwanted)] {
            wishes.extend(things.into_iter().map(|thing| StatedWish {
                wanted,
                thing,
                sentence: sentence.quote(&text).to_owned(),
            }));
        }
    }
    Ok(Response::Wishes { wishes })
}

/// The person's own words; empty = let it be generated again.
pub(crate) fn summary_set(
    ctx: &mut Ctx,
    profile: &ProfileId,
    text: &str,
) -> Result<Response, UserError> {
    let text = checked_text(text)?;
    let change = if text.is_empty() {
        ProfileEdit::ForgetSummary
    } else {
        ProfileEdit::Summary(text)
    };
    edit(ctx, profile, &change)
}

pub(crate) fn summary_generate(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    let view = build_view(ctx, profile)?;
    let text = summary::summarise(&view.dimensions);
    if text.is_empty() {
        return Err(not_enough(
            "No dimension leans either way yet, so there is nothing to summarise.",
            "Add samples and infer, set a dimension yourself, or write the summary in your own words.",
        ));
    }
    let stored = ctx
        .studio
        .store
        .store_generated_summary(profile, &text)
        .told()?;
    Ok(Response::Summary { text, stored })
}

pub(crate) fn export(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    let view = build_view(ctx, profile)?;
    let samples = ctx.studio.store.samples(profile).told()?;
    let passages: Vec<Passage> = samples.iter().map(Passage::from).collect();
    let material = crate::writing::material(&view, &passages);
    let leaning: Vec<_> = view
        .dimensions
        .iter()
        .filter(|d| d.effective_score() != 0.0)
        .collect();
    let usable: Vec<_> = view
        .hypotheses
        .iter()
        .filter(|h| h.status.usable())
        .collect();
    let data = json!({
        "format": "idiolect-voice",
        "version": 1,
        "name": view.profile.name,
        "summary": view.profile.summary,
        // Samples stay at home: evidence quotes are left out of what is handed to others.
        "dimensions": leaning.iter().map(|d| json!({
            "id": d.id, "subject": d.subject, "score": d.effective_score(), "set_by_person": d.override_score.is_some(),
        })).collect::<Vec<_>>(),
        "hypotheses": usable.iter().map(|h| json!({
            "category": h.category, "statement": h.statement, "instruction": h.instruction, "status": h.status,
        })).collect::<Vec<_>>(),
    });
    Ok(Response::Exported {
        voice: VoiceFile {
            system_prompt: prompts::system_prompt(&view.profile.name, &material),
            style_guide: prompts::style_guide(&view.profile.name, &material),
            json: serde_json::to_string_pretty(&data).unwrap_or_default(),
        },
    })
}

pub(crate) fn delete(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    let found = ctx.studio.store.profile(profile).told()?;
    let derived = ctx.studio.store.delete_profile(profile).told()?;
    for adapter in &derived.adapters {
        crate::align::remove_files(ctx.studio, adapter);
    }
    for run in &derived.runs {
        crate::align::remove_checkpoints(ctx.studio, run);
    }
    Ok(Response::Gone {
        gone: Gone {
            what: format!("The profile “{}” is deleted.", found.name),
            derived: words(&derived),
            voices: Vec::new(),
            copies: crate::samples::copies(ctx),
        },
    })
}

/// What went with something, or depends on it, one line each.
pub(crate) fn words(derived: &Derived) -> Vec<String> {
    let counted = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    [
        counted(derived.samples.len(), "sample", "samples"),
        counted(
            derived.drafts.len(),
            "draft written with it",
            "drafts written with it",
        ),
        counted(
            derived.runs.len(),
            "training that learned from it",
            "trainings that learned from it",
        ),
        counted(
            derived.adapters.len(),
            "trained voice that learned from it",
            "trained voices that learned from it",
        ),
        counted(
            derived.readings.len(),
            "dimension quoted it",
            "dimensions quoted it",
        ),
        counted(
            derived.hypotheses.len(),
            "hypothesis quoted it",
            "hypotheses quoted it",
        ),
        counted(derived.votes as usize, "vote", "votes"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn edit(ctx: &Ctx, profile: &ProfileId, change: &ProfileEdit) -> Result<Response, UserError> {
    answer(ctx.studio.store.edit_profile(profile, change).told()?)
}

fn answer(profile: Profile) -> Result<Response, UserError> {
    Ok(Response::Profile { profile })
}

fn checked_name(name: &str) -> Result<String, UserError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(usage(
            "A profile needs a name.",
            "Type one, such as “My letters”.",
        ));
    }
    if name.chars().count() > NAME || name.chars().any(char::is_control) {
        return Err(usage(
            format!("A profile's name has at most {NAME} letters, on one line."),
            "Choose a shorter one.",
        ));
    }
    Ok(name.to_owned())
}

fn checked_text(text: &str) -> Result<String, UserError> {
    let text = text.trim();
    if text.len() > LONG_TEXT {
        return Err(UserError::new(
            ErrorCode::TooLarge,
            "That text is too long to be put before every draft.",
            "Shorten it to a page or two.",
        ));
    }
    Ok(text.to_owned())
}
