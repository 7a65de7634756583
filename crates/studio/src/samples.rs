//! Samples: paste, import, list, put back, remove. Other people's words are dropped before storage.

use std::ops::ControlFlow;

use idiolect_core::{
    ErrorCode, UserError,
    ids::{ProfileId, SampleId},
    sample::{Removal, RemovalKind, Sample, SampleKind},
};
use idiolect_files::{Choice, FileKind, Limits, Passage};
use idiolect_text::{clean, features, language};

use crate::{
    api::{FileTicket, Gone, ImportCounts, ImportScan, Participant, Response},
    context::{Ctx, Pace, cancelled},
    errors::{Told, not_enough},
    profiles::words,
};

/// Below this a sample says little by itself.
const SHORT_WORDS: u32 = 75;

pub(crate) fn add(
    ctx: &mut Ctx,
    profile: &ProfileId,
    text: &str,
    title: Option<String>,
) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    let passage = idiolect_files::from_pasted(text, &Limits::default()).told()?;
    let sample = to_sample(
        profile,
        Passage {
            title: title.or(passage.title.clone()),
            ..passage
        },
        SampleKind::Pasted,
    );
    let added = ctx
        .studio
        .store
        .insert_samples(std::slice::from_ref(&sample))
        .told()?;
    match added.samples.into_iter().next() {
        Some(sample) => Ok(Response::Sample { sample }),
        None => Err(UserError::new(
            ErrorCode::Duplicate,
            "This text is already among the samples.",
            "Nothing needs to be done; add another text.",
        )),
    }
}

pub(crate) fn scan(ctx: &mut Ctx, file: &FileTicket) -> Result<Response, UserError> {
    let path = ctx.studio.path_of(file)?;
    ctx.start_job("Looking at the file", false);
    let (cancel, mut pace) = (ctx.cancel().clone(), None);
    let scan = idiolect_files::scan(&path, &Limits::default(), &mut |done, total| {
        let pace = pace.get_or_insert_with(|| Pace::new(total, "bytes"));
        ctx.emit(pace.at(done, "Reading"));
        if cancel.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .told()?;
    Ok(Response::ImportScan {
        scan: ImportScan {
            file_name: path
                .file_name()
                .map_or_else(String::new, |n| n.to_string_lossy().into_owned()),
            kind: kind_in_words(scan.kind).to_owned(),
            bytes: scan.bytes,
            passages: count(scan.passages),
            participants: scan
                .participants
                .into_iter()
                .map(|p| Participant {
                    key: p.key,
                    display: p.display,
                    messages: count(p.messages),
                    words: count(p.words),
                })
                .collect(),
        },
    })
}

pub(crate) fn import(
    ctx: &mut Ctx,
    profile: &ProfileId,
    file: &FileTicket,
    mine: Vec<String>,
) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    let path = ctx.studio.path_of(file)?;
    ctx.start_job("Importing texts", false);
    let (cancel, mut pace) = (ctx.cancel().clone(), None);
    let mut samples = Vec::new();
    let mut foreign = 0;
    let read = {
        let samples = &mut samples;
        let foreign = &mut foreign;
        idiolect_files::read(
            &path,
            &Choice { mine },
            &Limits::default(),
            &mut |done, total| {
                let pace = pace.get_or_insert_with(|| Pace::new(total, "bytes"));
                ctx.emit(pace.at(done, "Reading"));
                if cancel.is_cancelled() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
            &mut |passage| {
                let kind = passage.kind.sample_kind();
                let sample = to_sample(profile, passage, kind);
                if sample.language != "en" && sample.language != "und" {
                    *foreign += 1;
                }
                samples.push(sample);
                ControlFlow::Continue(())
            },
        )
        .told()?
    };
    if ctx.cancel().is_cancelled() {
        // Nothing was stored yet: all of the file or none of it.
        return Err(cancelled());
    }
    if samples.is_empty() {
        return Err(not_enough(
            "The file holds no text of yours that is long enough to keep.",
            "For mail and chats, check which person you said you are; else choose a file with longer texts.",
        ));
    }
    let added = ctx.studio.store.insert_samples(&samples).told()?;
    Ok(Response::Imported {
        counts: ImportCounts {
            kept: count(added.samples.len()),
            other_people: count(read.other_people),
            quoted_replies: count(read.quoted_replies),
            signatures: count(read.signatures),
            boilerplate: count(read.boilerplate),
            duplicates: count(read.duplicates) + added.duplicates,
            too_short: count(read.too_short + read.empty),
            other_language: foreign,
            attachments: count(read.attachments),
        },
        samples: added.samples,
    })
}

pub(crate) fn list(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    Ok(Response::Samples {
        samples: ctx.studio.store.samples(profile).told()?,
    })
}

pub(crate) fn show(ctx: &mut Ctx, sample: &SampleId) -> Result<Response, UserError> {
    Ok(Response::Sample {
        sample: ctx.studio.store.sample(sample).told()?,
    })
}

/// Puts back everything of the person's own that was cleaned away.
pub(crate) fn restore(ctx: &mut Ctx, sample: &SampleId) -> Result<Response, UserError> {
    let mut sample = ctx.studio.store.sample(sample).told()?;
    if !sample.removed.is_empty() && sample.removed.iter().all(|r| r.text.is_empty()) {
        return Err(UserError::new(
            ErrorCode::NotFound,
            "What was cut from mail and chats is never stored, so it cannot be put back.",
            "If some of it is yours, paste it as a text of its own.",
        ));
    }
    sample.text = clean::put_back(&clean::Cleaned {
        text: sample.text,
        removed: std::mem::take(&mut sample.removed),
    });
    annotate(&mut sample);
    Ok(Response::Sample {
        sample: ctx.studio.store.update_sample(&sample).told()?,
    })
}

pub(crate) fn remove(ctx: &mut Ctx, sample: &SampleId) -> Result<Response, UserError> {
    let derived = ctx.studio.store.delete_sample(sample).told()?;
    Ok(Response::Gone {
        gone: Gone {
            what: "The sample is removed.".to_owned(),
            derived: words(&derived),
        },
    })
}

fn to_sample(profile: &ProfileId, passage: Passage, kind: SampleKind) -> Sample {
    let title = passage
        .title
        .filter(|t| !t.trim().is_empty())
        .unwrap_or_else(|| first_words(&passage.text));
    let mut sample = Sample {
        id: SampleId(String::new()),
        profile: profile.clone(),
        kind,
        title,
        removed: match kind {
            SampleKind::Email | SampleKind::Chat => without_words(passage.removed),
            _ => own_removals(passage.removed),
        },
        text: passage.text,
        // Whoever asked did not agree to be kept: only the person's own words are stored.
        prompt: None,
        words: 0,
        language: String::new(),
        written_at: passage.date,
        added_at: String::new(),
        note: String::new(),
    };
    annotate(&mut sample);
    sample
}

/// Counts words, guesses the language and notes what to know about the text as it is now.
fn annotate(sample: &mut Sample) {
    sample.words = count(features::measure(&sample.text).words);
    let guess = language::guess(&sample.text);
    sample.language = guess.code.to_owned();
    sample.note = if !language::counts_as_english(&guess) {
        "Not in English: kept, but what is counted for English does not count it.".to_owned()
    } else if sample.words < SHORT_WORDS {
        format!(
            "Short: about {} more words would say more.",
            SHORT_WORDS - sample.words
        )
    } else {
        String::new()
    };
}

/// What was cut from mail and chats is nobody's to keep: its kind, place and length stay, no word of it does.
fn without_words(removed: Vec<Removal>) -> Vec<Removal> {
    let wordless = |removal| Removal {
        text: String::new(),
        ..removal
    };
    removed.into_iter().map(wordless).collect()
}

/// What was cut of the person's own; other people's words are dropped for good, and the places of the rest
/// are those in the text without them.
fn own_removals(removed: Vec<Removal>) -> Vec<Removal> {
    let mut gone = 0;
    let mut own = Vec::new();
    for mut removal in removed {
        match removal.kind {
            RemovalKind::QuotedReply | RemovalKind::Forwarded => {
                gone += removal.end - removal.start
            }
            RemovalKind::Signature | RemovalKind::Boilerplate | RemovalKind::NotProse => {
                removal.start -= gone;
                removal.end -= gone;
                own.push(removal);
            }
        }
    }
    own
}

fn first_words(text: &str) -> String {
    let line = text
        .lines()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("")
        .trim();
    let mut title: String = line.chars().take(70).collect();
    if line.chars().count() > 70 {
        title.push('…');
    }
    title
}

fn kind_in_words(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Pasted => "Pasted text",
        FileKind::PlainText => "Text file",
        FileKind::Markdown => "Markdown file",
        FileKind::Html => "Web page",
        FileKind::Docx => "Word document",
        FileKind::Eml => "Mail message",
        FileKind::Mbox => "Mailbox",
        FileKind::ChatJson | FileKind::ChatJsonLines | FileKind::ChatLog => "Chat export",
    }
}

/// Counts that no file of ours reaches are shown as the largest number.
fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_people_s_words_are_not_stored_and_one_s_own_still_go_back() {
        let text = "Hello.\n> their words\nBye.\n-- \nMe";
        let cut = |kind, start: usize, end: usize| Removal {
            kind,
            start,
            end,
            text: text[start..end].to_owned(),
        };
        let kept = own_removals(vec![
            cut(RemovalKind::QuotedReply, 7, 21),
            cut(RemovalKind::Signature, 26, 32),
        ]);
        assert_eq!(kept.len(), 1, "the quoted reply is dropped");
        assert_eq!(
            (kept[0].start, kept[0].end),
            (12, 18),
            "its length no longer counts"
        );
        let cleaned = clean::Cleaned {
            text: "Hello.\nBye.\n".to_owned(),
            removed: kept,
        };
        assert_eq!(clean::put_back(&cleaned), "Hello.\nBye.\n-- \nMe");
    }
}
