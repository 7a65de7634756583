//! What the person prefers, from everything they did with drafts: blind picks, corrections, thumbs.
//!
//! Only what the person themselves did counts: votes cast by rules, ties and skips are left out. Re-tests judge a training;
//! they feed the next one only where that is asked for, and re-tests of what came of it then leave out their briefs.

use std::collections::{BTreeMap, HashMap, HashSet};

use idiolect_core::{
    draft::{Draft, Thumb},
    ids::{DraftId, PairId},
    profile::Intent,
    training::PreferenceSource,
    vote::{Choice, Voter},
};
use idiolect_store::VotedPair;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// What a draft answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Asked {
    pub(crate) for_me: bool,
    pub(crate) brief: String,
}

impl Asked {
    fn of(draft: &Draft) -> Self {
        Self {
            for_me: draft.intent == Intent::ForMe,
            brief: draft.brief.trim().to_owned(),
        }
    }

    pub(crate) fn intent(&self) -> Intent {
        if self.for_me {
            Intent::ForMe
        } else {
            Intent::AsMe
        }
    }
}

/// One text over another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preference {
    pub(crate) source: PreferenceSource,
    /// The brief of both; none where they answered different ones, and are then compared as texts alone.
    pub(crate) asked: Option<Asked>,
    pub(crate) chosen: String,
    pub(crate) rejected: String,
    /// The vote it comes from.
    pub(crate) pair: Option<PairId>,
    /// The drafts it comes from.
    pub(crate) drafts: Vec<DraftId>,
}

/// A single text that was liked or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opinion {
    pub(crate) asked: Option<Asked>,
    pub(crate) text: String,
    pub(crate) good: bool,
    pub(crate) pair: Option<PairId>,
    pub(crate) drafts: Vec<DraftId>,
}

/// Preferences with how many came from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) preferences: Vec<Preference>,
    pub(crate) votes: u32,
    /// Of blind tests of trained voices.
    pub(crate) retests: u32,
    pub(crate) edits: u32,
    /// Thumbs up, thumbs down.
    pub(crate) thumbs: (u32, u32),
    /// Pairs that a thumb up and a thumb down on one brief make.
    pub(crate) thumb_pairs: u32,
}

/// Everything the person prefers, oldest votes first, then corrections, then thumbs. `drafts` are all of the profile's.
pub(crate) fn find(votes: &[VotedPair], drafts: &[Draft], sources: &[PreferenceSource]) -> Found {
    let mut found = Found::default();
    for source in [PreferenceSource::Votes, PreferenceSource::Retests] {
        if sources.contains(&source) {
            let picks = from_votes(votes, source);
            match source {
                PreferenceSource::Retests => found.retests = picks.len() as u32,
                _ => found.votes = picks.len() as u32,
            }
            found.preferences.extend(picks);
        }
    }
    if sources.contains(&PreferenceSource::Edits) {
        let edits: Vec<_> = drafts.iter().filter_map(from_edit).collect();
        found.edits = edits.len() as u32;
        found.preferences.extend(edits);
    }
    if sources.contains(&PreferenceSource::Thumbs) {
        let count = |thumb| drafts.iter().filter(|d| d.thumb == Some(thumb)).count() as u32;
        found.thumbs = (count(Thumb::Up), count(Thumb::Down));
        let pairs = from_thumbs(drafts);
        found.thumb_pairs = pairs.len() as u32;
        found.preferences.extend(pairs);
    }
    found
}

/// The newest pick between the same two drafts stands; a pick between equal texts says nothing.
fn from_votes(votes: &[VotedPair], source: PreferenceSource) -> Vec<Preference> {
    let of_retests = source == PreferenceSource::Retests;
    let mut newest: BTreeMap<(DraftId, DraftId), (usize, Preference)> = BTreeMap::new();
    for (at, voted) in votes.iter().enumerate() {
        if voted.vote.voter != Voter::Person || voted.adapter.is_some() != of_retests {
            continue;
        }
        let (chosen, rejected) = match voted.vote.choice {
            Choice::Left => (&voted.left, &voted.right),
            Choice::Right => (&voted.right, &voted.left),
            Choice::Tie | Choice::Skip => continue,
        };
        if !differ(&chosen.text, &rejected.text) {
            continue;
        }
        let asked = Asked::of(chosen);
        let mut key = [chosen.id.clone(), rejected.id.clone()];
        key.sort();
        let [first, second] = key;
        let preference = Preference {
            source,
            asked: (asked == Asked::of(rejected)).then_some(asked),
            chosen: chosen.text.trim().to_owned(),
            rejected: rejected.text.trim().to_owned(),
            pair: Some(voted.vote.pair.clone()),
            drafts: vec![chosen.id.clone(), rejected.id.clone()],
        };
        newest.insert((first, second), (at, preference));
    }
    let mut all: Vec<_> = newest.into_values().collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, preference)| preference).collect()
}

fn from_edit(draft: &Draft) -> Option<Preference> {
    let edited = draft.edited.as_deref()?;
    differ(edited, &draft.text).then(|| Preference {
        source: PreferenceSource::Edits,
        asked: Some(Asked::of(draft)),
        chosen: edited.trim().to_owned(),
        rejected: draft.text.trim().to_owned(),
        pair: None,
        drafts: vec![draft.id.clone()],
    })
}

/// Each thumb up over one thumb down of the same brief, while both last: no draft stands in two pairs.
fn from_thumbs(drafts: &[Draft]) -> Vec<Preference> {
    let mut by_brief: BTreeMap<Asked, [Vec<&Draft>; 2]> = BTreeMap::new();
    for draft in drafts {
        if let Some(thumb) = draft.thumb {
            let sides = by_brief.entry(Asked::of(draft)).or_default();
            sides[usize::from(thumb == Thumb::Down)].push(draft);
        }
    }
    let mut pairs = Vec::new();
    for (asked, [up, down]) in by_brief {
        for (chosen, rejected) in up.into_iter().zip(down) {
            if differ(&chosen.text, &rejected.text) {
                pairs.push(Preference {
                    source: PreferenceSource::Thumbs,
                    asked: Some(asked.clone()),
                    chosen: chosen.text.trim().to_owned(),
                    rejected: rejected.text.trim().to_owned(),
                    pair: None,
                    drafts: vec![chosen.id.clone(), rejected.id.clone()],
                });
            }
        }
    }
    pairs
}

/// The same as single texts, for an objective that takes those: both sides of picks and corrections, and every thumb.
/// A text is judged once, by its thumb where it has one.
pub(crate) fn opinions(
    found: &Found,
    drafts: &[Draft],
    sources: &[PreferenceSource],
) -> Vec<Opinion> {
    let mut opinions = Vec::new();
    let mut judged: HashSet<String> = HashSet::new();
    if sources.contains(&PreferenceSource::Thumbs) {
        for draft in drafts {
            if let Some(thumb) = draft.thumb
                && !draft.text.trim().is_empty()
                && judged.insert(draft.text.trim().to_owned())
            {
                opinions.push(Opinion {
                    asked: Some(Asked::of(draft)),
                    text: draft.text.trim().to_owned(),
                    good: thumb == Thumb::Up,
                    pair: None,
                    drafts: vec![draft.id.clone()],
                });
            }
        }
    }
    for preference in &found.preferences {
        if preference.source == PreferenceSource::Thumbs {
            continue;
        }
        for (text, good) in [(&preference.chosen, true), (&preference.rejected, false)] {
            if judged.insert(text.clone()) {
                opinions.push(Opinion {
                    asked: preference.asked.clone(),
                    text: text.clone(),
                    good,
                    pair: preference.pair.clone(),
                    drafts: preference.drafts.clone(),
                });
            }
        }
    }
    opinions
}

/// Holds out about this share, all preferences of a brief on one side: what is learned about one answer to a brief is
/// known of the other.
pub(crate) fn split<T>(
    all: Vec<T>,
    asked: impl Fn(&T) -> Option<&Asked>,
    share: f64,
    seed: u64,
) -> (Vec<T>, Vec<T>) {
    let mut groups: Vec<usize> = Vec::with_capacity(all.len());
    let mut known: HashMap<&Asked, usize> = HashMap::new();
    let mut next = 0;
    for item in &all {
        let group = match asked(item) {
            Some(asked) => *known.entry(asked).or_insert_with(|| {
                next += 1;
                next - 1
            }),
            None => {
                next += 1;
                next - 1
            }
        };
        groups.push(group);
    }
    let wanted = (all.len() as f64 * share.clamp(0.0, 0.5)).round() as usize;
    let mut order: Vec<usize> = (0..next).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut held: HashSet<usize> = HashSet::new();
    let mut so_far = 0;
    for group in order {
        let size = groups.iter().filter(|g| **g == group).count();
        // At least two others stay to train on.
        if so_far >= wanted || so_far + size + 2 > all.len() {
            break;
        }
        held.insert(group);
        so_far += size;
    }
    drop(known);
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for (item, group) in all.into_iter().zip(groups) {
        if held.contains(&group) {
            held_out.push(item);
        } else {
            train.push(item);
        }
    }
    (train, held_out)
}

fn differ(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    !a.is_empty() && !b.is_empty() && a != b
}

#[cfg(test)]
mod tests {
    use idiolect_core::{ids::AdapterId, vote::Vote};

    use super::*;
    use crate::fixtures;

    const ALL: [PreferenceSource; 3] = [
        PreferenceSource::Votes,
        PreferenceSource::Edits,
        PreferenceSource::Thumbs,
    ];

    fn draft(id: &str, brief: &str, text: &str) -> Draft {
        Draft {
            id: id.into(),
            brief: brief.into(),
            text: text.into(),
            ..fixtures::draft()
        }
    }

    fn voted(pair: &str, left: &Draft, right: &Draft, choice: Choice, voter: Voter) -> VotedPair {
        VotedPair {
            vote: Vote {
                pair: pair.into(),
                profile: "p".into(),
                left: left.id.clone(),
                right: right.id.clone(),
                choice,
                voter,
                cast_at: String::new(),
            },
            left: left.clone(),
            right: right.clone(),
            adapter: None,
            against: None,
        }
    }

    #[test]
    fn only_the_persons_own_clear_picks_count_and_the_newest_stands() {
        let (a, b, c) = (
            draft("d-a", "one", "first"),
            draft("d-b", "one", "second"),
            draft("d-c", "two", "third"),
        );
        let rule = Voter::Simulated { rule: "r".into() };
        let mut retest = voted("b-5", &a, &c, Choice::Left, Voter::Person);
        retest.adapter = Some(AdapterId::from("a-1"));
        let twin = draft("d-e", "one", " first ");
        let votes = [
            voted("b-1", &a, &b, Choice::Left, Voter::Person),
            voted("b-2", &a, &b, Choice::Left, rule),
            voted("b-3", &b, &c, Choice::Tie, Voter::Person),
            voted("b-4", &b, &c, Choice::Skip, Voter::Person),
            retest,
            voted("b-6", &a, &c, Choice::Right, Voter::Person),
            voted("b-7", &b, &a, Choice::Left, Voter::Person),
            voted("b-8", &a, &twin, Choice::Left, Voter::Person),
        ];
        let found = find(&votes, &[], &ALL);
        let said: Vec<_> = found
            .preferences
            .iter()
            .map(|p| {
                (
                    p.pair.as_ref().map(PairId::as_str),
                    p.chosen.as_str(),
                    p.asked.as_ref().map(|a| a.brief.as_str()),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                (Some("b-6"), "third", None),
                (Some("b-7"), "second", Some("one"))
            ],
            "texts of two briefs are compared without one; the person changed their mind about a and b"
        );
        assert_eq!((found.votes, found.retests), (2, 0));
        let with_retests = find(
            &votes,
            &[],
            &[PreferenceSource::Votes, PreferenceSource::Retests],
        );
        assert_eq!((with_retests.votes, with_retests.retests), (2, 1));
        assert_eq!(
            with_retests.preferences[2].pair,
            Some(PairId::from("b-5")),
            "a pick of a blind test, where they are asked for"
        );
        assert_eq!(
            find(&votes, &[], &[PreferenceSource::Edits]),
            Found::default(),
            "only what is asked for"
        );
    }

    #[test]
    fn corrections_and_thumbs_become_pairs() {
        let mut corrected = draft("d-a", "one", "as it was");
        corrected.edited = Some("as I put it".into());
        let mut same = draft("d-b", "one", "as it is");
        same.edited = Some("as it is ".into());
        let thumbed = |id: &str, brief: &str, text: &str, thumb| Draft {
            thumb: Some(thumb),
            ..draft(id, brief, text)
        };
        let drafts = [
            corrected,
            same,
            thumbed("d-c", "two", "liked", Thumb::Up),
            thumbed("d-d", "two", "disliked", Thumb::Down),
            thumbed("d-e", "two", "liked too", Thumb::Up),
            thumbed("d-f", "three", "liked alone", Thumb::Up),
        ];
        let found = find(&[], &drafts, &ALL);
        let said: Vec<_> = found
            .preferences
            .iter()
            .map(|p| (p.chosen.as_str(), p.rejected.as_str()))
            .collect();
        assert_eq!(
            said,
            [("as I put it", "as it was"), ("liked", "disliked")],
            "a correction that changes nothing teaches nothing, a thumb with no counterpart makes no pair"
        );
        assert_eq!(
            (found.edits, found.thumbs, found.thumb_pairs),
            (1, (3, 1), 1)
        );
        let opinions = opinions(&found, &drafts, &ALL);
        let good: Vec<_> = opinions.iter().map(|o| (o.text.as_str(), o.good)).collect();
        assert_eq!(
            good,
            [
                ("liked", true),
                ("disliked", false),
                ("liked too", true),
                ("liked alone", true),
                ("as I put it", true),
                ("as it was", false)
            ]
        );
    }

    #[test]
    fn briefs_stay_on_one_side_and_two_preferences_stay_to_train_on() {
        let preference = |brief: Option<&str>, n: usize| Preference {
            source: PreferenceSource::Votes,
            asked: brief.map(|b| Asked {
                for_me: false,
                brief: b.into(),
            }),
            chosen: format!("{n} a"),
            rejected: format!("{n} b"),
            pair: None,
            drafts: vec![],
        };
        let all: Vec<_> = (0..12)
            .map(|n| preference(Some(["one", "two", "three", "four"][n % 4]), n))
            .chain((12..16).map(|n| preference(None, n)))
            .collect();
        for seed in 0..20 {
            let (train, held_out) = split(all.clone(), |p| p.asked.as_ref(), 0.25, seed);
            assert_eq!(train.len() + held_out.len(), 16);
            assert!((4..=6).contains(&held_out.len()), "{}", held_out.len());
            let briefs: HashSet<_> = train.iter().filter_map(|p| p.asked.as_ref()).collect();
            assert!(
                held_out
                    .iter()
                    .filter_map(|p| p.asked.as_ref())
                    .all(|b| !briefs.contains(b)),
                "a brief is on one side only"
            );
            let again = split(all.clone(), |p| p.asked.as_ref(), 0.25, seed);
            assert_eq!(again, (train, held_out), "the same seed, the same split");
        }
        let few = all[..3].to_vec();
        assert_eq!(split(few, |p| p.asked.as_ref(), 0.5, 1).0.len(), 2);
        assert_eq!(split(all, |p| p.asked.as_ref(), 0.0, 1).1.len(), 0);
    }
}
