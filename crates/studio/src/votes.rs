//! Blind votes: shuffled pairs, picks, running results with intervals.

use std::collections::BTreeMap;

use idiolect_core::{
    ErrorCode, Interval, UserError,
    draft::Draft,
    ids::{DraftId, PairId, ProfileId},
    profile::Intent,
    vote::{Choice, Tally, Voter},
};
use idiolect_store::{Pair, VotedPair};

use crate::{
    api::{Response, Voted},
    context::Ctx,
    errors::{Told, usage},
    retest,
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
        against: None,
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
    let tally = match &voted.adapter {
        Some(adapter) => retest::tally_of_rounds(ctx, adapter, voted.against.as_ref(), &voter)?,
        None => {
            let key = Comparison::of(&voted);
            let all = ctx.studio.store.votes(&voted.vote.profile).told()?;
            let same_kind: Vec<VotedPair> = all
                .into_iter()
                .filter(|v| v.adapter.is_none() && Comparison::of(v) == key)
                .collect();
            tally(&same_kind, &voter)
        }
    };
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
    let mut groups: BTreeMap<(String, Comparison), Vec<VotedPair>> = BTreeMap::new();
    for vote in votes {
        let comparison = Comparison::of(&vote);
        // Two drafts of one kind differ by luck alone: such a vote says nothing about kinds.
        if comparison.challenger != comparison.against {
            groups
                .entry((voter_name(&vote.vote.voter), comparison))
                .or_default()
                .push(vote);
        }
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
        Some(adapter) => {
            let contrast = if adapter.contrast == 0.0 {
                String::new()
            } else {
                format!(" with contrast {}", adapter.contrast)
            };
            format!(
                "{} + trained voice {} at {}{contrast}",
                draft.method, adapter.id, adapter.scale
            )
        }
        None => draft.method.to_string(),
    }
}

/// What a vote compares. Votes on other models and for the other intent are other questions, and counted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Comparison {
    /// The voice under test, or else the more personal kind, whichever side it was shown on.
    challenger: String,
    against: String,
    /// Empty where it differs; the kinds name it then.
    model: String,
    /// `None` where it differs; the kinds name it then.
    intent: Option<Intent>,
}

impl Comparison {
    fn of(vote: &VotedPair) -> Self {
        let (left, right) = Self::sides(vote);
        let personal = |kind: &str| {
            (
                kind.contains("trained voice"),
                !kind.starts_with("base"),
                kind.to_owned(),
            )
        };
        // Of two trained voices, the one under test.
        let tested = |draft: &Draft| {
            vote.adapter.is_some()
                && draft.adapter.as_ref().map(|used| &used.id) == vote.adapter.as_ref()
        };
        let left_challenges = match (tested(&vote.left), tested(&vote.right)) {
            (true, false) => true,
            (false, true) => false,
            _ => personal(&left) >= personal(&right),
        };
        let (challenger, against) = if left_challenges {
            (left, right)
        } else {
            (right, left)
        };
        let (left, right) = (&vote.left, &vote.right);
        Self {
            challenger,
            against,
            model: if left.model == right.model {
                left.model.clone()
            } else {
                String::new()
            },
            intent: (left.intent == right.intent).then_some(left.intent),
        }
    }

    /// Both kinds as they were shown, with what else differs between them.
    fn sides(vote: &VotedPair) -> (String, String) {
        let name = |draft: &Draft| {
            let mut name = kind_of(draft);
            if vote.left.model != vote.right.model {
                name.push_str(&format!(", on {}", draft.model));
            }
            if vote.left.intent != vote.right.intent {
                name.push_str(match draft.intent {
                    Intent::AsMe => ", as me",
                    Intent::ForMe => ", for me",
                });
            }
            name
        };
        (name(&vote.left), name(&vote.right))
    }
}

/// The running result of votes on one comparison by one voter.
pub(crate) fn tally(votes: &[VotedPair], voter: &Voter) -> Tally {
    let counted: Vec<&VotedPair> = votes.iter().filter(|v| v.vote.voter == *voter).collect();
    let Some(comparison) = counted.first().map(|v| Comparison::of(v)) else {
        return tally_of("challenger".to_owned(), "base".to_owned(), 0.0, 0);
    };
    let mut wins = 0.0;
    let mut n = 0;
    for vote in counted {
        let (left, right) = Comparison::sides(vote);
        let won = match vote.vote.choice {
            Choice::Skip => continue,
            _ if left == right => continue,
            Choice::Tie => 0.5,
            Choice::Left => f64::from(u8::from(left == comparison.challenger)),
            Choice::Right => f64::from(u8::from(right == comparison.challenger)),
        };
        wins += won;
        n += 1;
    }
    let mut tally = tally_of(comparison.challenger, comparison.against, wins, n);
    if tally.challenger == tally.against {
        tally.words = "both drafts are of one kind, so this vote compares no kinds".to_owned();
    }
    Tally {
        model: comparison.model,
        intent: comparison.intent,
        ..tally
    }
}

/// A result from its counts.
pub(crate) fn tally_of(challenger: String, against: String, wins: f64, n: u32) -> Tally {
    let interval = Interval::wilson(wins, f64::from(n));
    let share = (n > 0).then(|| wins / f64::from(n));
    let conclusive = n >= FEW && !interval.contains(0.5);
    let mut tally = Tally {
        challenger,
        against,
        model: String::new(),
        intent: None,
        wins,
        n,
        share,
        interval,
        conclusive,
        words: String::new(),
    };
    tally.words = words_of(&tally, None);
    tally
}

/// The same result with the challenger's name in its words: “Letters 2” wins 68 % [55-79], n = 41.
pub(crate) fn said_of(name: &str, tally: Tally) -> Tally {
    Tally {
        words: words_of(&tally, Some(name)),
        ..tally
    }
}

fn words_of(tally: &Tally, name: Option<&str>) -> String {
    let Tally {
        wins, n, interval, ..
    } = tally;
    match tally.share {
        None => "no votes yet".to_owned(),
        Some(_) if *n < FEW => match name {
            Some(name) => format!("{name} wins {wins} of {n}: not enough votes yet"),
            None => format!("{wins} of {n} won: not enough votes yet"),
        },
        Some(share) => format!(
            "{} [{:.0}-{:.0}], n = {n}{}",
            match name {
                Some(name) => format!("{name} wins {:.0} %", share * 100.0),
                None => format!("{:.0} % won", share * 100.0),
            },
            interval.low * 100.0,
            interval.high * 100.0,
            if tally.conclusive {
                ""
            } else {
                ": not enough votes yet to tell them apart"
            }
        ),
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
    use crate::fixtures;

    fn draft(method: &str, model: &str, intent: Intent) -> Draft {
        Draft {
            id: DraftId(format!("{method} {model}")),
            intent,
            method: method.parse().unwrap(),
            model: model.into(),
            ..fixtures::draft()
        }
    }

    fn voted(left: Draft, right: Draft, choice: Choice) -> VotedPair {
        VotedPair {
            vote: idiolect_core::vote::Vote {
                pair: PairId("pair".into()),
                profile: left.profile.clone(),
                left: left.id.clone(),
                right: right.id.clone(),
                choice,
                voter: Voter::Person,
                cast_at: String::new(),
            },
            left,
            right,
            adapter: None,
            against: None,
        }
    }

    #[test]
    fn votes_are_counted_apart_by_model_and_intent_and_like_against_like_not_at_all() {
        let of = |method, model| draft(method, model, Intent::AsMe);
        let one = voted(of("base", "m"), of("excerpts", "m"), Choice::Right);
        let turned = voted(of("excerpts", "m"), of("base", "m"), Choice::Left);
        let other = voted(of("base", "n"), of("excerpts", "n"), Choice::Right);
        assert_eq!(Comparison::of(&one), Comparison::of(&turned));
        assert_ne!(Comparison::of(&one), Comparison::of(&other));
        let both = tally(&[one, turned], &Voter::Person);
        assert_eq!((both.wins, both.n, both.model.as_str()), (2.0, 2, "m"));
        assert_eq!(both.intent, Some(Intent::AsMe));

        let models = voted(of("base", "m"), of("base", "n"), Choice::Right);
        let between = tally(&[models], &Voter::Person);
        assert_eq!(
            (
                between.challenger.as_str(),
                between.against.as_str(),
                between.wins
            ),
            ("base, on n", "base, on m", 1.0)
        );
        assert_eq!(between.model, "");
        let intents = voted(
            of("base", "m"),
            draft("base", "m", Intent::ForMe),
            Choice::Left,
        );
        assert_eq!(tally(&[intents], &Voter::Person).intent, None);

        let alike = voted(of("base", "m"), of("base", "m"), Choice::Right);
        let nothing = tally(&[alike], &Voter::Person);
        assert_eq!((nothing.n, nothing.share), (0, None));
        assert!(nothing.words.contains("of one kind"), "{}", nothing.words);
    }

    #[test]
    fn of_two_voices_the_one_under_test_is_counted_whichever_side_it_stood_on() {
        let of = |id: &str| Draft {
            adapter: Some(idiolect_core::draft::AdapterUse::new(id.into(), 1.0)),
            ..draft("base", "m", Intent::AsMe)
        };
        for (new, old) in [("a-1", "a-2"), ("a-2", "a-1")] {
            let round = |left, right, choice| VotedPair {
                adapter: Some(new.into()),
                against: Some(old.into()),
                ..voted(of(left), of(right), choice)
            };
            let votes = [
                round(new, old, Choice::Left),
                round(old, new, Choice::Right),
                round(old, new, Choice::Left),
            ];
            let result = tally(&votes, &Voter::Person);
            assert!(result.challenger.contains(new) && result.against.contains(old));
            assert_eq!((result.wins, result.n), (2.0, 3), "{new} against {old}");
        }
    }

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
        let named = said_of("“Letters 2”", clear);
        assert_eq!(named.words, "“Letters 2” wins 68 % [53-80], n = 41");
        let even = tally_of("a".into(), "b".into(), 10.5, 20);
        assert!(!even.conclusive && even.words.contains("not enough votes yet to tell"));
    }
}
