//! The blind re-test: base against a trained voice on fresh briefs, pairs shuffled, votes counted.

use idiolect_core::{
    UserError,
    adapter::Adapter,
    draft::AdapterUse,
    ids::AdapterId,
    profile::Intent,
    vote::{Retest, Voter},
};
use idiolect_persona::briefs;
use idiolect_store::Pair;

use crate::{
    api::Response,
    context::{Ctx, Pace},
    errors::{Told, usage},
    models::Writer,
    votes::{shuffled, tally, tally_of},
    writing::{Assignment, Subject, column, generate, plan},
};

/// Tokens a re-test draft may have: about 120 words.
const TOKENS: u32 = 160;

pub(crate) fn start(
    ctx: &mut Ctx,
    adapter: &AdapterId,
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
    let writer = ctx.studio.models.writer(ctx, Some(&found.model))?;
    let subject = Subject::of(ctx, &found.profile)?;
    let round = write_pairs(ctx, &writer, &subject, &found, pairs, seed)?;
    // A round that was not finished makes way once the new one is there; its votes stay.
    ctx.studio.store.new_round(adapter, &round).told()?;
    show(ctx, adapter)
}

/// Writes base and adapter drafts on briefs that follow the seed; the shuffled pairs of one round.
fn write_pairs(
    ctx: &mut Ctx,
    writer: &Writer,
    subject: &Subject,
    adapter: &Adapter,
    pairs: u32,
    seed: u64,
) -> Result<Vec<Pair>, UserError> {
    let fresh = briefs::fresh();
    // Prompts as it was trained under, on both sides: what differs is the voice.
    let method = &adapter.method;
    let pace = Pace::new(u64::from(pairs), "pairs");
    let profile = subject.view.profile.id.clone();
    let mut written = Vec::new();
    for n in 0..pairs {
        ctx.check()?;
        let number = u64::from(n);
        let brief = &fresh[((seed + number) % fresh.len() as u64) as usize];
        let assignment = Assignment {
            profile: &profile,
            intent: Intent::AsMe,
            brief,
            words: None,
        };
        let trained = AdapterUse::new(adapter.id.clone(), 1.0);
        // The same seed on both sides: what differs is the voice.
        let columns = [
            column(method.clone(), TOKENS, seed + number, None),
            column(method.clone(), TOKENS, seed + number, Some(trained)),
        ];
        let planned = plan(ctx, writer, subject, &assignment, &columns)?;
        let drafts = generate(ctx, writer, subject, &assignment, planned)?;
        let [base, own] = drafts.try_into().map_err(|_| crate::votes::internal())?;
        written.push(Pair {
            number: n + 1,
            of: pairs,
            adapter: Some(adapter.id.clone()),
            ..shuffled(&base, &own, rand::random())
        });
        ctx.emit(pace.at(number + 1, "Writing pairs"));
    }
    Ok(written)
}

pub(crate) fn show(ctx: &mut Ctx, adapter: &AdapterId) -> Result<Response, UserError> {
    Ok(Response::Retest {
        retest: retest(ctx, adapter, &Voter::Person)?,
    })
}

/// Pairs waiting, and what this voter's votes say so far.
pub(crate) fn retest(ctx: &Ctx, adapter: &AdapterId, voter: &Voter) -> Result<Retest, UserError> {
    let store = &ctx.studio.store;
    let found = store.adapter(adapter).told()?;
    let votes = store.retest_votes(adapter).told()?;
    let tally = if votes.iter().any(|v| v.vote.voter == *voter) {
        tally(&votes, voter)
    } else {
        tally_of(
            format!("trained voice “{}”", found.name),
            "base".to_owned(),
            0.0,
            0,
        )
    };
    Ok(Retest {
        adapter: adapter.clone(),
        waiting: store.waiting_pairs(adapter).told()?,
        tally,
    })
}
