//! Blind votes: shuffled pairs, picks, running results with intervals.

use std::collections::BTreeMap;

use idiolect_core::{
    ErrorCode, Interval, UserError,
    draft::Draft,
    ids::{DraftId, PairId, ProfileId},
    vote::{Choice, Tally, Voter},
};
use idiolect_store::{Pair, VotedPair};

use crate::{
    api::{Response, Voted},
    context::Ctx,
    errors::{Told, usage},
};

/// Below this many votes no share is worth saying.
const FEW: u32 = 5;

pub(crate) fn blind_pair(
    ctx: &mut Ctx,
    left: &DraftId,
    right: &DraftId,
) -> Result<Response, UserError> {
    let (a, b) = (
        ctx.studio.store.draft(left).told()?,
        ctx.studio.store.draft(right).told()?,
    );
    if a.id == b.id {
        return Err(usage(
            "A draft cannot be compared with itself.",
            "Pick two different drafts.",
        ));
    }
    if a.profile != b.profile {
        return Err(usage(
            "The drafts belong to different profiles.",
            "Pick two drafts of one profile.",
        ));
    }
    let seed = rand::random::<u64>();
    let pair = shuffled(&a, &b, seed);
    let pair = ctx.studio.store.insert_pair(&pair).told()?;
    Ok(Response::Pair {
        pair: ctx.studio.store.blind_pair(&pair.id).told()?,
    })
}

/// A pair in an order that `seed` decides and that says nothing of what is what.
pub(crate) fn shuffled(a: &Draft, b: &Draft, seed: u64) -> Pair {
    // One mixed bit of the seed (splitmix64's finaliser), so that small seeds alternate without a pattern.
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let (left, right) = if (z >> 40) & 1 == 0 { (a, b) } else { (b, a) };
    Pair {
        id: PairId(String::new()),
        profile: a.profile.clone(),
        left: left.id.clone(),
        right: right.id.clone(),
        seed,
        number: 1,
        of: 1,
        adapter: None,
        created_at: String::new(),
    }
}

pub(crate) fn cast(
    ctx: &mut Ctx,
    pair: &PairId,
    choice: Choice,
    voter: Voter,
) -> Result<Response, UserError> {
    let voted = ctx.studio.store.cast_vote(pair, choice, &voter).told()?;
    let same_kind: Vec<VotedPair> = match &voted.adapter {
        Some(adapter) => ctx.studio.store.retest_votes(adapter).told()?,
        None => {
            let key = comparison(&voted);
            let all = ctx.studio.store.votes(&voted.vote.profile).told()?;
            all.into_iter()
                .filter(|v| v.adapter.is_none() && comparison(v) == key)
                .collect()
        }
    };
    let tally = tally(&same_kind, &voter);
    Ok(Response::Voted {
        voted: Voted {
            vote: voted.vote,
            left: voted.left,
            right: voted.right,
            tally,
        },
    })
}

pub(crate) fn tallies(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    let votes = ctx.studio.store.votes(profile).told()?;
    // A person's votes are never mixed with a rule's.
    let mut groups: BTreeMap<(String, (String, String)), Vec<VotedPair>> = BTreeMap::new();
    for vote in votes {
        groups
            .entry((voter_name(&vote.vote.voter), comparison(&vote)))
            .or_default()
            .push(vote);
    }
    let tallies = groups
        .into_values()
        .map(|votes| {
            let voter = votes[0].vote.voter.clone();
            tally(&votes, &voter)
        })
        .collect();
    Ok(Response::Tallies { tallies })
}

fn voter_name(voter: &Voter) -> String {
    match voter {
        Voter::Person => String::new(),
        Voter::Simulated { rule } => rule.clone(),
    }
}

/// What a draft is, in words, for comparing kinds of draft: method and trained voice, not seed or brief.
pub(crate) fn kind_of(draft: &Draft) -> String {
    match &draft.adapter {
        Some(adapter) => format!(
            "{} + trained voice {} at {}",
            draft.method, adapter.id, adapter.scale
        ),
        None => draft.method.to_string(),
    }
}

/// Both kinds in an order that does not depend on the side they were shown on: the more personal one first.
fn comparison(vote: &VotedPair) -> (String, String) {
    let (a, b) = (kind_of(&vote.left), kind_of(&vote.right));
    let personal = |kind: &str| {
        (
            kind.contains("trained voice"),
            kind != "base",
            kind.to_owned(),
        )
    };
    if personal(&a) >= personal(&b) {
        (a, b)
    } else {
        (b, a)
    }
}

/// The running result of votes on one comparison by one voter.
pub(crate) fn tally(votes: &[VotedPair], voter: &Voter) -> Tally {
    let counted: Vec<&VotedPair> = votes.iter().filter(|v| v.vote.voter == *voter).collect();
    let (challenger, against) = counted.first().map_or_else(
        || ("challenger".to_owned(), "base".to_owned()),
        |v| comparison(v),
    );
    let mut wins = 0.0;
    let mut n = 0;
    for vote in counted {
        let challenger_left = kind_of(&vote.left) == challenger;
        let won = match vote.vote.choice {
            Choice::Skip => continue,
            Choice::Tie => 0.5,
            Choice::Left => f64::from(u8::from(challenger_left)),
            Choice::Right => f64::from(u8::from(!challenger_left)),
        };
        wins += won;
        n += 1;
    }
    tally_of(challenger, against, wins, n)
}

/// A result from its counts.
pub(crate) fn tally_of(challenger: String, against: String, wins: f64, n: u32) -> Tally {
    let interval = Interval::wilson(wins, f64::from(n));
    let share = (n > 0).then(|| wins / f64::from(n));
    let conclusive = n >= FEW && !interval.contains(0.5);
    let words = match share {
        None => "no votes yet".to_owned(),
        Some(_) if n < FEW => format!("{wins} of {n} won: not enough votes yet"),
        Some(share) => format!(
            "{:.0} % won [{:.0}-{:.0}], n = {n}{}",
            share * 100.0,
            interval.low * 100.0,
            interval.high * 100.0,
            if conclusive {
                ""
            } else {
                ": not enough votes yet to tell them apart"
            }
        ),
    };
    Tally {
        challenger,
        against,
        wins,
        n,
        share,
        interval,
        conclusive,
        words,
    }
}

/// Two drafts were asked for and another number came: a bug.
pub(crate) fn internal() -> UserError {
    UserError::new(
        ErrorCode::Internal,
        "A pair of drafts was not a pair.",
        "Please report this.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_votes_say_nothing_and_many_say_how_sure() {
        assert_eq!(
            tally_of("a".into(), "b".into(), 0.0, 0).words,
            "no votes yet"
        );
        let few = tally_of("a".into(), "b".into(), 3.0, 3);
        assert!(!few.conclusive && few.words.contains("not enough votes yet"));
        let clear = tally_of("a".into(), "b".into(), 28.0, 41);
        assert_eq!(clear.words, "68 % won [53-80], n = 41");
        assert!(clear.conclusive);
        let even = tally_of("a".into(), "b".into(), 10.5, 20);
        assert!(!even.conclusive && even.words.contains("not enough votes yet to tell"));
    }
}
