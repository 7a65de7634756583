//! What is inferred about a person: fingerprint, readings, hypotheses, and what the person says of them.

use idiolect_core::{
    ErrorCode, UserError,
    hypothesis::{Category, Hypothesis, HypothesisStatus},
    ids::{HypothesisId, ProfileId, SampleId},
    profile::Profile,
    reading::Reading,
    sample::Sample,
    space,
};
use idiolect_persona::{
    Cache, Instruments, Passage,
    dimensions::{self, Person, Setting},
    hypotheses as claims,
};
use idiolect_store::{CacheKey, LeaseWords, ReadingSet, Store};
use idiolect_text::{ReferenceStyle, fingerprint as stylometry};

use crate::{
    api::{Decision, ProfileView, Response},
    context::{Ctx, Pace},
    errors::{Told, not_enough, usage},
};

pub(crate) fn view(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    Ok(Response::ProfileView {
        view: build_view(ctx, profile)?,
    })
}

/// Everything known about a profile; infers nothing.
pub(crate) fn build_view(ctx: &Ctx, profile: &ProfileId) -> Result<ProfileView, UserError> {
    let store = &ctx.studio.store;
    let found = store.profile(profile).told()?;
    let samples = store.samples(profile).told()?;
    let stored = store.readings(profile).told()?;
    let dimensions = present(store, &found, stored.as_ref())?;
    let (model, stale) = stored.map_or_else(Default::default, |set| (set.model, set.stale));
    Ok(ProfileView {
        model,
        stale,
        dimensions,
        hypotheses: store.hypotheses(profile).told()?,
        fingerprint: count(&samples),
        profile: found,
    })
}

/// All 90 readings under what the person set, without counting any text.
fn present(
    store: &Store,
    profile: &Profile,
    stored: Option<&ReadingSet>,
) -> Result<Vec<Reading>, UserError> {
    let settings = settings(store, &profile.id)?;
    let person = person(&profile.sensitive, &profile.self_description, &settings);
    Ok(match stored {
        Some(set) => dimensions::present(&set.readings, &person),
        None => dimensions::unread(&person),
    })
}

pub(crate) fn fingerprint(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    let samples = ctx.studio.store.samples(profile).told()?;
    Ok(Response::Fingerprint {
        fingerprint: count(&samples),
    })
}

fn count(samples: &[Sample]) -> idiolect_core::fingerprint::Fingerprint {
    let texts: Vec<(SampleId, &str)> = samples
        .iter()
        .map(|s| (s.id.clone(), s.text.as_str()))
        .collect();
    stylometry(&texts, ReferenceStyle::shipped())
}

/// Hypotheses first (counted, at once), then the 90 dimensions with the model.
pub(crate) fn infer(
    ctx: &mut Ctx,
    profile: &ProfileId,
    model: Option<&str>,
) -> Result<Response, UserError> {
    let found = ctx.studio.store.profile(profile).told()?;
    let samples = ctx.studio.store.samples(profile).told()?;
    if samples.is_empty() && found.self_description.trim().is_empty() {
        return Err(not_enough(
            "There is nothing to infer from yet.",
            "Add a few texts you wrote (Samples, or `idiolect sample add FILE`).",
        ));
    }
    let _lease = ctx
        .studio
        .store
        .lease(
            "infer",
            profile.as_str(),
            &LeaseWords {
                what: format!("Reading the dimensions of “{}”", found.name),
                lost: "What was read before is kept; texts that were already scored need not be scored again.".to_owned(),
            },
        )
        .told()?;
    ctx.start_job("Reading 90 dimensions", false);
    let revision = ctx.studio.store.samples_revision(profile).told()?;
    retest_hypotheses(ctx, profile, &samples)?;

    let writer = ctx.studio.models.writer(ctx, model)?;
    let embedder = ctx.studio.models.embedder(ctx);
    let settings = settings(&ctx.studio.store, profile)?;
    let person = person(&found.sensitive, &found.self_description, &settings);
    let english: Vec<Passage> = samples
        .iter()
        .filter(|s| s.language == "en" || s.language == "und")
        .map(Passage::from)
        .collect();
    let cache = StoreCache {
        store: &ctx.studio.store,
        model: &writer.file.sha256,
    };
    let cancel = ctx.cancel().clone();
    let with = Instruments {
        model: &*writer.model,
        embedder: embedder.as_deref(),
        cache: &cache,
        cancel: &cancel,
    };
    let studio = ctx.studio;
    let readings = {
        let _turn = crate::lock(&studio.jobs.model_turn);
        let mut pace: Option<(&'static str, Pace)> = None;
        dimensions::read(&with, &english, &person, &mut |p| {
            if pace.as_ref().is_none_or(|(unit, _)| *unit != p.unit) {
                pace = Some((p.unit, Pace::new(p.total as u64, p.unit)));
            }
            if let Some((_, pace)) = &pace {
                ctx.emit(pace.at(p.done as u64, p.message));
            }
        })
        .told()?
    };
    ctx.studio
        .store
        .replace_readings(profile, &writer.file.id, revision, &readings)
        .told()?;
    view(ctx, profile)
}

fn retest_hypotheses(ctx: &Ctx, profile: &ProfileId, samples: &[Sample]) -> Result<(), UserError> {
    let english: Vec<Passage> = samples
        .iter()
        .filter(|s| s.language == "en")
        .map(Passage::from)
        .collect();
    // The store gives ids; claims seen before keep theirs.
    let fresh = claims::test(&english, &mut || HypothesisId(String::new()));
    ctx.studio
        .store
        .replace_hypotheses(profile, &fresh)
        .told()?;
    Ok(())
}

pub(crate) fn dimension_set(
    ctx: &mut Ctx,
    profile: &ProfileId,
    dimension: &str,
    score: f64,
) -> Result<Response, UserError> {
    let dimension = known(dimension)?;
    if !(-1.0..=1.0).contains(&score) {
        return Err(usage(
            "A dimension lies between −1 and 1.",
            "−1 is the low pole, 0 no leaning, 1 the high pole.",
        ));
    }
    ctx.studio
        .store
        .set_override(profile, &dimension.id, score)
        .told()?;
    one_reading(ctx, profile, dimension.index)
}

pub(crate) fn dimension_reset(
    ctx: &mut Ctx,
    profile: &ProfileId,
    dimension: &str,
) -> Result<Response, UserError> {
    let dimension = known(dimension)?;
    ctx.studio
        .store
        .clear_override(profile, &dimension.id)
        .told()?;
    one_reading(ctx, profile, dimension.index)
}

/// An empty object forgets it.
pub(crate) fn dimension_object(
    ctx: &mut Ctx,
    profile: &ProfileId,
    dimension: &str,
    object: &str,
) -> Result<Response, UserError> {
    let dimension = known(dimension)?;
    if !dimension.needs_object {
        return Err(usage(
            format!("“{}” needs no object.", dimension.name),
            "Only food, living environment, knowledge area, learning style and creative expression do.",
        ));
    }
    let object = object.trim();
    if object.chars().count() > 60 || object.chars().any(char::is_control) {
        return Err(usage(
            "The object is too long.",
            "Name it in a few words, such as “spicy food”.",
        ));
    }
    if object.is_empty() {
        ctx.studio
            .store
            .clear_object(profile, &dimension.id)
            .told()?;
    } else {
        ctx.studio
            .store
            .set_object(profile, &dimension.id, object)
            .told()?;
    }
    one_reading(ctx, profile, dimension.index)
}

fn one_reading(ctx: &Ctx, profile: &ProfileId, index: u8) -> Result<Response, UserError> {
    let store = &ctx.studio.store;
    let found = store.profile(profile).told()?;
    let stored = store.readings(profile).told()?;
    let dimensions = present(store, &found, stored.as_ref())?;
    let reading: Option<Reading> = dimensions.into_iter().find(|r| r.index == index);
    reading
        .map(|reading| Response::Reading { reading })
        .ok_or_else(|| {
            UserError::new(
                ErrorCode::Internal,
                "The dimension is missing from the profile.",
                "Please report this.",
            )
        })
}

fn known(dimension: &str) -> Result<&'static space::Dimension, UserError> {
    space::find(dimension).ok_or_else(|| {
        usage(
            format!("No dimension is called “{dimension}”."),
            "`idiolect dimension list` shows the 90 ids; the index 0-89 works too.",
        )
    })
}

pub(crate) fn hypotheses(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    Ok(Response::Hypotheses {
        hypotheses: ctx.studio.store.hypotheses(profile).told()?,
    })
}

pub(crate) fn decide(
    ctx: &mut Ctx,
    id: &HypothesisId,
    decision: Decision,
) -> Result<Response, UserError> {
    let store = &ctx.studio.store;
    let hypothesis = match decision {
        Decision::Accept => store.decide_hypothesis(id, HypothesisStatus::Accepted),
        Decision::Reject => store.decide_hypothesis(id, HypothesisStatus::Rejected),
        Decision::Reset => store.reset_hypothesis(id),
        Decision::Edit { statement } => {
            let statement = checked_statement(&statement)?;
            store.edit_hypothesis(id, &statement, &statement)
        }
    }
    .told()?;
    Ok(Response::Hypothesis { hypothesis })
}

pub(crate) fn add_hypothesis(
    ctx: &mut Ctx,
    profile: &ProfileId,
    statement: &str,
) -> Result<Response, UserError> {
    let statement = checked_statement(statement)?;
    let own = Hypothesis {
        id: HypothesisId(String::new()),
        category: Category::Style,
        instruction: statement.clone(),
        statement,
        evidence: Vec::new(),
        status: HypothesisStatus::Accepted,
        support: None,
    };
    Ok(Response::Hypothesis {
        hypothesis: ctx.studio.store.insert_hypothesis(profile, &own).told()?,
    })
}

fn checked_statement(text: &str) -> Result<String, UserError> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() || text.chars().count() > 300 {
        return Err(usage(
            "A hypothesis is one sentence of at most 300 letters.",
            "Shorten it, or write one.",
        ));
    }
    Ok(text)
}

/// What the person set on dimensions.
pub(crate) fn settings(store: &Store, profile: &ProfileId) -> Result<Vec<Setting>, UserError> {
    let overrides = store.overrides(profile).told()?;
    let objects = store.objects(profile).told()?;
    let mut settings: Vec<Setting> = overrides
        .into_iter()
        .map(|(dimension, score)| Setting {
            object: objects.get(&dimension).cloned(),
            dimension,
            score: Some(score),
        })
        .collect();
    for (dimension, object) in objects {
        if !settings.iter().any(|s| s.dimension == dimension) {
            settings.push(Setting {
                dimension,
                score: None,
                object: Some(object),
            });
        }
    }
    Ok(settings)
}

fn person<'a>(sensitive: &bool, self_description: &'a str, settings: &'a [Setting]) -> Person<'a> {
    Person {
        sensitive: *sensitive,
        self_description,
        settings,
    }
}

/// Finished scores in the home's cache. A score that cannot be read or kept only costs time.
pub(crate) struct StoreCache<'a> {
    pub(crate) store: &'a Store,
    /// SHA-256 of the model file: another file, other scores.
    pub(crate) model: &'a str,
}

impl StoreCache<'_> {
    fn key(&self, key: &str) -> CacheKey {
        CacheKey {
            kind: "scores".to_owned(),
            model: self.model.to_owned(),
            version: "1".to_owned(),
            item: key.to_owned(),
        }
    }
}

impl Cache for StoreCache<'_> {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.store.cached(&self.key(key)).ok().flatten()
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        // A full disk shows where something is confirmed; here it only means scoring again.
        let _ = self.store.cache(&self.key(key), bytes);
    }
}
