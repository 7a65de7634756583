//! Samples: paste, list, put back, remove.

use idiolect_core::{
    ErrorCode, UserError,
    ids::{ProfileId, SampleId},
    sample::SampleKind,
};
use idiolect_files::{Limits, Passage};
use idiolect_text::clean;

use crate::{
    api::{Gone, ImportCounts, Response},
    context::Ctx,
    errors::Told,
    prepare::{annotate, count, samples_of},
    profiles::words,
};

/// Stores a pasted text; a very long one becomes several samples, of which the answer holds the first.
pub(crate) fn add(
    ctx: &mut Ctx,
    profile: &ProfileId,
    text: &str,
    title: Option<String>,
) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    if text.trim().is_empty() {
        return Err(UserError::new(
            ErrorCode::Empty,
            "There is nothing to add: the text is empty.",
            "Paste something you wrote, a few sentences at least.",
        ));
    }
    let passage = idiolect_files::from_pasted(text, &Limits::default()).told()?;
    let passage = Passage {
        title: title.or(passage.title.clone()),
        ..passage
    };
    let samples = samples_of(profile, passage, SampleKind::Pasted);
    let added = ctx.studio.store.insert_samples(&samples).told()?;
    let counts = ImportCounts {
        kept: count(added.samples.len()),
        words: added.samples.iter().map(|s| s.words).sum(),
        split: u32::from(samples.len() > 1),
        duplicates: added.duplicates,
        ..ImportCounts::default()
    };
    match added.samples.into_iter().next() {
        Some(sample) => Ok(Response::Sample {
            sample,
            counts: Some(counts),
        }),
        None => Err(UserError::new(
            ErrorCode::Duplicate,
            "This text is already among the samples.",
            "Nothing needs to be done; add another text.",
        )),
    }
}

pub(crate) fn list(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    Ok(Response::Samples {
        samples: ctx.studio.store.samples(profile).told()?,
    })
}

pub(crate) fn show(ctx: &mut Ctx, sample: &SampleId) -> Result<Response, UserError> {
    Ok(Response::Sample {
        sample: ctx.studio.store.sample(sample).told()?,
        counts: None,
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
        counts: None,
    })
}

pub(crate) fn remove(ctx: &mut Ctx, sample: &SampleId) -> Result<Response, UserError> {
    let derived = ctx.studio.store.delete_sample(sample).told()?;
    Ok(Response::Gone {
        gone: Gone {
            what: "The sample is removed.".to_owned(),
            derived: words(&derived),
            voices: derived.adapters,
            copies: copies(ctx),
        },
    })
}

/// Erases every safety copy, so that what was deleted is in none of them.
pub(crate) fn forget_copies(ctx: &mut Ctx) -> Result<Response, UserError> {
    let what = match ctx.studio.store.forget_snapshots().told()? {
        0 => "There is no safety copy of this home.".to_owned(),
        1 => "The safety copy of this home is erased.".to_owned(),
        n => format!("The {n} safety copies of this home are erased."),
    };
    Ok(Response::Gone {
        gone: Gone {
            what,
            ..Gone::default()
        },
    })
}

/// How many safety copies there are. Whether that can be told or not, the deletion before it is done.
pub(crate) fn copies(ctx: &Ctx) -> u32 {
    count(ctx.studio.store.snapshots().unwrap_or_default().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Studio, api::Request};

    #[test]
    fn a_long_pasted_text_becomes_several_samples_and_the_answer_counts_all() {
        let folder = tempfile::tempdir().unwrap();
        let studio = Studio::open(Options {
            home: Some(folder.path().join("home")),
            models: Some(folder.path().join("models")),
            offline: true,
        })
        .unwrap();
        let profile = studio.inner.store.new_profile("p").unwrap().id;
        let text: String = (0..60)
            .map(|i| {
                format!(
                    "Page {i}. {}\n\n",
                    "And so we walked a little further. ".repeat(20)
                )
            })
            .collect();
        let add = || {
            let request = Request::SampleAdd {
                profile: profile.clone(),
                text: text.clone(),
                title: None,
            };
            studio.run(request, &mut |_| {})
        };
        let Ok(Response::Sample {
            sample,
            counts: Some(counts),
        }) = add()
        else {
            panic!("it is added");
        };
        let stored = studio.inner.store.samples(&profile).unwrap();
        assert_eq!((counts.kept, counts.split), (5, 1));
        assert_eq!(stored.len(), 5);
        assert_eq!(stored[0], sample, "the answer holds the first");
        assert_eq!(counts.words, stored.iter().map(|s| s.words).sum::<u32>());
        assert_eq!(add().unwrap_err().code, ErrorCode::Duplicate);
    }
}
