//! The blind re-test: a trained voice against the base model or against another voice, on briefs that neither learned from,
//! pairs shuffled, votes counted.

use std::collections::HashSet;

use idiolect_core::{
    UserError,
    adapter::Adapter,
    draft::AdapterUse,
    ids::{AdapterId, DraftId},
    profile::Intent,
    vote::{Retest, Tally, Voter},
};
use idiolect_persona::briefs;
use idiolect_store::Pair;

use crate::{
    api::Response,
    context::{Ctx, Pace},
    errors::{Told, usage},
    models::Writer,
    votes::{said_of, shuffled, tally, tally_of},
    writing::{Assignment, Subject, column, generate, plan},
};

/// Tokens a re-test draft may have: about 120 words.
const TOKENS: u32 = 160;

pub(crate) fn start(
    ctx: &mut Ctx,
    adapter: &AdapterId,
    against: Option<&AdapterId>,
    pairs: u32,
    seed: u64,
) -> Result<Response, UserError> {
    if !(1..=24).contains(&pairs) {
        return Err(usage(
            "A round has between 1 and 24 pairs.",
            "Eight take a few minutes to read.",
        ));
    }
    ctx.start_job("Writing pairs for the blind test", false);
    let found = ctx.studio.store.adapter(adapter).told()?;
    let sides = Sides {
        against: against.map(|id| rival(ctx, &found, id)).transpose()?,
        tested: found,
    };
    let found = &sides.tested;
    let writer = ctx.studio.models.writer(ctx, Some(&found.model))?;
    let subject = Subject::of(ctx, &found.profile)?;
    let round = write_pairs(ctx, &writer, &subject, &sides, pairs, seed)?;
    // A round that was not finished makes way once the new one is there; its votes stay.
    ctx.studio
        .store
        .new_round(adapter, against, &round)
        .told()?;
    show(ctx, adapter, against)
}

/// What a round compares.
struct Sides {
    tested: Adapter,
    /// None: the base model.
    against: Option<Adapter>,
}

/// The other voice, if the two can be held against each other.
fn rival(ctx: &Ctx, tested: &Adapter, against: &AdapterId) -> Result<Adapter, UserError> {
    let rival = ctx.studio.store.adapter(against).told()?;
    if rival.id == tested.id {
        return Err(usage(
            "A trained voice cannot be compared with itself.",
            "Pick another one, or the base model.",
        ));
    }
    if rival.profile != tested.profile {
        return Err(usage(
            "The two trained voices belong to different profiles.",
            "Pick two of one profile.",
        ));
    }
    if rival.model_sha256 != tested.model_sha256 {
        return Err(usage(
            format!(
                "“{}” was made on {}, “{}” on {}.",
                tested.name, tested.model, rival.name, rival.model
            ),
            "Only voices on one model can be compared blindly; compare each with its base model.",
        ));
    }
    Ok(rival)
}

/// Briefs of the shelf that none of these voices learned an answer to, nor any voice they were made from. What was learned
/// from a draft that is deleted by now cannot be told any more.
pub(crate) fn unlearned(ctx: &Ctx, voices: &[&Adapter]) -> Result<Vec<&'static str>, UserError> {
    let mut learned = Vec::new();
    let mut seen = HashSet::new();
    let mut open: Vec<Adapter> = voices.iter().map(|voice| (*voice).clone()).collect();
    while let Some(voice) = open.pop() {
        if !seen.insert(voice.id.clone()) {
            continue;
        }
        // A parent that was deleted took its lineage along.
        open.extend((voice.parents.iter()).filter_map(|id| ctx.studio.store.adapter(id).ok()));
        learned.extend(voice.drafts);
    }
    Ok(unanswered(ctx, &learned))
}

/// Briefs of the shelf that none of these drafts answers.
pub(crate) fn unanswered(ctx: &Ctx, drafts: &[DraftId]) -> Vec<&'static str> {
    let answered: HashSet<String> = drafts
        .iter()
        .filter_map(|id| ctx.studio.store.draft(id).ok())
        .map(|draft| draft.brief.trim().to_owned())
        .collect();
    let shelf = briefs::fresh().iter().map(String::as_str);
    shelf.filter(|brief| !answered.contains(*brief)).collect()
}

/// Writes both drafts of each pair on briefs that follow the seed; the shuffled pairs of one round.
fn write_pairs(
    ctx: &mut Ctx,
    writer: &Writer,
    subject: &Subject,
    sides: &Sides,
    pairs: u32,
    seed: u64,
) -> Result<Vec<Pair>, UserError> {
    let (tested, against) = (&sides.tested, sides.against.as_ref());
    let voices: Vec<&Adapter> = std::iter::once(tested).chain(against).collect();
    let fresh = unlearned(ctx, &voices)?;
    if fresh.len() < pairs as usize {
        return Err(usage(
            format!(
                "Only {} briefs are left that these voices did not learn an answer to.",
                fresh.len()
            ),
            "Ask for fewer pairs, or train without the votes of blind tests.",
        ));
    }
    // Prompts as it was trained under, on both sides: what differs is the voice. Another voice speaks as it was trained, too.
    let (method, other) = (
        &tested.method,
        against.map_or(&tested.method, |a| &a.method),
    );
    let pace = Pace::new(u64::from(pairs), "pairs");
    let profile = subject.view.profile.id.clone();
    let mut written = Vec::new();
    for n in 0..pairs {
        ctx.check()?;
        let number = u64::from(n);
        let brief = fresh[(seed.wrapping_add(number) % fresh.len() as u64) as usize];
        let assignment = Assignment {
            profile: &profile,
            intent: Intent::AsMe,
            brief,
            words: None,
        };
        let used = |voice: &Adapter| AdapterUse::new(voice.id.clone(), 1.0);
        let seed = seed.wrapping_add(number);
        // The same seed on both sides: what differs is the voice.
        let columns = [
            column(other.clone(), TOKENS, seed, against.map(used)),
            column(method.clone(), TOKENS, seed, Some(used(tested))),
        ];
        let planned = plan(ctx, writer, subject, &assignment, &columns)?;
        let drafts = generate(ctx, writer, subject, &assignment, planned)?;
        let [base, own] = drafts.try_into().map_err(|_| crate::votes::internal())?;
        written.push(Pair {
            number: n + 1,
            of: pairs,
            adapter: Some(tested.id.clone()),
            against: against.map(|a| a.id.clone()),
            ..shuffled(&base, &own, rand::random())
        });
        ctx.emit(pace.at(number + 1, "Writing pairs"));
    }
    Ok(written)
}

pub(crate) fn show(
    ctx: &mut Ctx,
    adapter: &AdapterId,
    against: Option<&AdapterId>,
) -> Result<Response, UserError> {
    Ok(Response::Retest {
        retest: retest(ctx, adapter, against, &Voter::Person)?,
    })
}

/// Pairs waiting, and what this voter's votes say so far.
fn retest(
    ctx: &Ctx,
    adapter: &AdapterId,
    against: Option<&AdapterId>,
    voter: &Voter,
) -> Result<Retest, UserError> {
    let tally = tally_of_rounds(ctx, adapter, against, voter)?;
    let store = &ctx.studio.store;
    Ok(Retest {
        adapter: adapter.clone(),
        against: against.cloned(),
        waiting: store.waiting_pairs(adapter, against).told()?,
        tally,
    })
}

/// What this voter's votes say of a voice against one other, or against the base model.
pub(crate) fn tally_of_rounds(
    ctx: &Ctx,
    adapter: &AdapterId,
    against: Option<&AdapterId>,
    voter: &Voter,
) -> Result<Tally, UserError> {
    let store = &ctx.studio.store;
    let name = store.adapter(adapter).told()?.name;
    let mut votes = store.retest_votes(adapter).told()?;
    votes.retain(|v| v.against.as_ref() == against && v.vote.voter == *voter);
    let tally = if votes.is_empty() {
        let other = match against {
            Some(id) => format!("trained voice “{}”", store.adapter(id).told()?.name),
            None => "base".to_owned(),
        };
        tally_of(format!("trained voice “{name}”"), other, 0.0, 0)
    } else {
        tally(&votes, voter)
    };
    Ok(said_of(&format!("“{name}”"), tally))
}

#[cfg(test)]
mod tests {
    use idiolect_core::{
        draft::{Draft, Method},
        ids::ProfileId,
        vote::Choice,
    };

    use super::*;
    use crate::{Options, Studio, fixtures};

    fn voice(profile: &ProfileId, name: &str, model: &str) -> Adapter {
        Adapter {
            id: AdapterId(String::new()),
            profile: profile.clone(),
            name: name.into(),
            model: model.into(),
            model_sha256: model.into(),
            run: None,
            objective: None,
            method: Method::base(),
            samples: vec![],
            samples_gone: 0,
            votes: vec![],
            votes_gone: 0,
            drafts: vec![],
            drafts_gone: 0,
            parents: vec![],
            imported: None,
            retired_at: None,
            report: None,
            rank: 2,
            alpha: 4.0,
            base_held_out: None,
            own_held_out: None,
            bytes: 0,
            created_at: String::new(),
        }
    }

    fn draft(profile: &ProfileId, brief: &str, voice: Option<&AdapterId>) -> Draft {
        Draft {
            profile: profile.clone(),
            brief: brief.into(),
            adapter: voice.map(|id| AdapterUse::new(id.clone(), 1.0)),
            ..fixtures::draft()
        }
    }

    #[test]
    fn rounds_leave_out_what_was_learned_and_count_each_comparison_apart() {
        let folder = tempfile::tempdir().unwrap();
        let studio = Studio::open(Options {
            home: Some(folder.path().join("home")),
            models: Some(folder.path().join("models")),
            offline: true,
        })
        .unwrap();
        let mut emit = |_| {};
        let ctx = Ctx::new(&studio.inner, &mut emit);
        let store = &studio.inner.store;
        let profile = store.new_profile("p").unwrap().id;
        let add = |voice| store.insert_adapter(&voice).unwrap();
        let write = |brief: &str, voice: Option<&AdapterId>| {
            store
                .insert_draft(&draft(&profile, brief, voice), &[])
                .unwrap()
        };

        // A voice that learned two answers to briefs of the shelf, and one that was made from it.
        let (third, fifth) = (&briefs::fresh()[2], &briefs::fresh()[4]);
        let learned = [third, fifth].map(|brief| write(brief, None).id);
        let old = add(voice(&profile, "Old", "m"));
        let taught = add(Adapter {
            drafts: learned.to_vec(),
            ..voice(&profile, "Taught", "m")
        });
        let new = add(Adapter {
            parents: vec![taught.id.clone()],
            ..voice(&profile, "New", "m")
        });
        let all = briefs::fresh().len();
        assert_eq!(unlearned(&ctx, &[&old]).unwrap().len(), all);
        for voices in [[&old, &taught], [&new, &old]] {
            let left = unlearned(&ctx, &voices).unwrap();
            assert_eq!(left.len(), all - 2);
            assert!(!left.contains(&third.as_str()) && !left.contains(&fifth.as_str()));
        }

        let elsewhere = add(voice(&profile, "Elsewhere", "n"));
        assert!(rival(&ctx, &new, &new.id).is_err(), "with itself");
        let refused = rival(&ctx, &new, &elsewhere.id).unwrap_err();
        assert!(
            refused.message.contains("“Elsewhere” on n"),
            "{}",
            refused.message
        );
        assert_eq!(rival(&ctx, &new, &old.id).unwrap().id, old.id);

        // Five rounds won against the old voice, and one lost against the base model.
        let vote = |against: Option<&AdapterId>, choice| {
            let pair = Pair {
                adapter: Some(new.id.clone()),
                against: against.cloned(),
                left: write("b", Some(&new.id)).id,
                right: write("b", against).id,
                ..shuffled(&write("b", None), &write("b", None), 1)
            };
            let pair = store.insert_pair(&pair).unwrap();
            store.cast_vote(&pair.id, choice, &Voter::Person).unwrap();
        };
        (0..5).for_each(|_| vote(Some(&old.id), Choice::Left));
        vote(None, Choice::Right);
        let said = |against| {
            let tally = tally_of_rounds(&ctx, &new.id, against, &Voter::Person).unwrap();
            (tally.wins, tally.n, tally.words)
        };
        let (wins, n, words) = said(Some(&old.id));
        assert_eq!((wins, n), (5.0, 5));
        assert_eq!(words, "“New” wins 100 % [57-100], n = 5");
        assert_eq!(
            said(None),
            (0.0, 1, "“New” wins 0 of 1: not enough votes yet".into())
        );
        assert_eq!(said(Some(&taught.id)).2, "no votes yet");
    }
}
