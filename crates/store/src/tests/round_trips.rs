//! What goes in comes out, to the last bit, through a reopened file: profiles, samples, drafts, votes, training.

use idiolect_core::{
    ids::{DraftId, PairId, RunId, SampleId},
    vote::{Choice, Voter},
};

use super::{Make, home_with_profile, letter, open};
use crate::{Pair, ProfileEdit, StoreError, Thing};

/// Rounds of random values a type.
const ROUNDS: usize = 60;

#[test]
fn samples_come_back_as_they_were() {
    let (home, store, profile) = home_with_profile();
    let mut make = Make::new(10);
    let stored: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let sample = make.sample(&profile);
            let stored = store.insert_sample(&sample).unwrap();
            let mut expected = sample;
            expected.id = stored.id.clone();
            expected.added_at = stored.added_at.clone();
            assert_eq!(stored, expected, "only id and time are filled in");
            stored
        })
        .collect();
    drop(store);
    let store = open(home.path(), 2).store;
    assert_eq!(
        store.samples(&profile).unwrap(),
        stored,
        "in order of adding"
    );
    for sample in &stored {
        assert_eq!(&store.sample(&sample.id).unwrap(), sample);
    }
    let listed = store.profile(&profile).unwrap();
    assert_eq!(listed.samples as usize, ROUNDS, "the profile counts them");
}

#[test]
fn an_updated_sample_keeps_its_place_and_takes_the_rest() {
    let (_home, store, profile) = home_with_profile();
    let mut make = Make::new(11);
    let first = store.insert_sample(&letter(&profile, "one two")).unwrap();
    let mut second = store.insert_sample(&letter(&profile, "three")).unwrap();
    let other = make.sample(&profile);
    second = idiolect_core::sample::Sample {
        id: second.id,
        added_at: second.added_at,
        ..other
    };
    assert_eq!(store.update_sample(&second).unwrap(), second);
    second.text = first.text.clone();
    assert!(
        matches!(
            store.update_sample(&second),
            Err(StoreError::Duplicate {
                thing: Thing::Sample
            })
        ),
        "a text that another sample has is refused"
    );
}

#[test]
fn a_stream_of_texts_is_stored_whole_or_not_at_all() {
    let (_home, store, profile) = home_with_profile();
    store.insert_sample(&letter(&profile, "first")).unwrap();
    let revision = store.samples_revision(&profile).unwrap();
    let texts = || ["second", "first", "third", "second"].map(|text| Ok(letter(&profile, text)));
    let broken = texts().into_iter().chain([Err(StoreError::DiskFull)]);
    let done = store.insert_stream::<StoreError>(&profile, broken, |_| {});
    assert!(matches!(done, Err(StoreError::DiskFull)), "got {done:?}");
    assert_eq!(store.samples(&profile).unwrap().len(), 1);
    assert_eq!(store.samples_revision(&profile).unwrap(), revision);

    let mut stored = Vec::new();
    let duplicates = store
        .insert_stream::<StoreError>(&profile, texts().into_iter(), |sample| {
            stored.push(sample.id);
        })
        .unwrap();
    assert_eq!((stored.len(), duplicates), (2, 2));
    let ids: Vec<_> = store
        .samples(&profile)
        .unwrap()
        .into_iter()
        .skip(1)
        .map(|s| s.id)
        .collect();
    assert_eq!(ids, stored, "in the order they came, with their ids");
    assert!(store.samples_revision(&profile).unwrap() > revision);
}

#[test]
fn the_same_text_is_stored_once_a_profile() {
    let (_home, store, profile) = home_with_profile();
    let other = store.new_profile("Another voice").unwrap().id;
    store.insert_sample(&letter(&profile, "Dear Ann")).unwrap();
    let again = store.insert_sample(&letter(&profile, "Dear Ann"));
    assert!(
        matches!(
            again,
            Err(StoreError::Duplicate {
                thing: Thing::Sample
            })
        ),
        "got {again:?}"
    );
    store
        .insert_sample(&letter(&other, "Dear Ann"))
        .expect("another profile may have the same text");
    let added = store
        .insert_samples(&[
            letter(&profile, "Dear Ann"),
            letter(&profile, "Dear Bob"),
            letter(&profile, "Dear Bob"),
        ])
        .unwrap();
    assert_eq!((added.samples.len(), added.duplicates), (1, 2));
    assert_eq!(store.samples(&profile).unwrap().len(), 2);
}

#[test]
fn search_finds_words_and_survives_anything_typed() {
    let (_home, store, profile) = home_with_profile();
    let other = store.new_profile("Another voice").unwrap().id;
    let garden = store
        .insert_sample(&letter(&profile, "The crème brûlée in the garden"))
        .unwrap();
    store
        .insert_sample(&letter(&profile, "A boat at sea"))
        .unwrap();
    store
        .insert_sample(&letter(&other, "Their garden"))
        .unwrap();
    let ids = |typed: &str| -> Vec<SampleId> {
        let found = store.search_samples(&profile, typed, 10).unwrap();
        found.into_iter().map(|s| s.id).collect()
    };
    let just_garden = std::slice::from_ref(&garden.id);
    assert_eq!(ids("garden"), *just_garden, "only this profile's");
    assert_eq!(
        ids("creme gard"),
        *just_garden,
        "accents and endings do not matter"
    );
    assert!(ids("garden boat").is_empty(), "every word must occur");
    for typed in [
        "",
        "  ",
        "\"",
        "AND OR NOT",
        "col:garden",
        "(",
        "*",
        "-",
        "a\0b",
        "^x NEAR(",
    ] {
        ids(typed);
    }
    let mut moved = store.sample(&garden.id).unwrap();
    moved.text = "A kitchen".to_owned();
    store.update_sample(&moved).unwrap();
    assert!(ids("garden").is_empty(), "the index follows an update");
    assert_eq!(ids("kitchen"), *just_garden);
    store.delete_sample(&garden.id).unwrap();
    assert!(ids("kitchen").is_empty(), "the index follows a deletion");
    let mut make = Make::new(3);
    let mut draft = make.draft(&profile);
    draft.text = "A lighthouse".to_owned();
    let draft = store.insert_draft(&draft, &[]).unwrap();
    let found = store.search_drafts(&profile, "lighth", 10).unwrap();
    assert_eq!(found, [draft]);
}

#[test]
fn drafts_come_back_newest_first() {
    let (home, store, profile) = home_with_profile();
    let mut make = Make::new(40);
    let mut stored = Vec::new();
    for _ in 0..ROUNDS {
        let draft = make.draft(&profile);
        let kept = store
            .insert_draft(&draft, &[SampleId::from("s-1"), SampleId::from("s-1")])
            .unwrap();
        let mut expected = draft;
        expected.id = kept.id.clone();
        expected.created_at = kept.created_at.clone();
        assert_eq!(kept, expected);
        stored.insert(0, kept);
    }
    drop(store);
    let store = open(home.path(), 2).store;
    assert_eq!(store.drafts(&profile).unwrap(), stored);
    let id = &stored[0].id;
    assert_eq!(
        store.samples_in_prompt(id).unwrap(),
        [SampleId::from("s-1")]
    );
    assert!(store.keep_draft(id).unwrap().kept);
    assert!(!store.let_draft_go(id).unwrap().kept);
    let meters = make.draft(&profile).meters;
    assert_eq!(store.set_meters(id, &meters).unwrap().meters, meters);
    let given = store.insert_draft(&stored[0], &[]);
    assert!(
        matches!(
            given,
            Err(StoreError::Duplicate {
                thing: Thing::Draft
            })
        ),
        "a given id is kept, so the same draft clashes: {given:?}"
    );
}

#[test]
fn pairs_are_blind_and_take_one_vote() {
    let (home, store, profile) = home_with_profile();
    let mut make = Make::new(50);
    let left = store.insert_draft(&make.draft(&profile), &[]).unwrap();
    let right = store.insert_draft(&make.draft(&profile), &[]).unwrap();
    let adapter = idiolect_core::ids::AdapterId::from("a-1");
    let pair = |number, adapter| Pair {
        id: PairId::from(""),
        profile: profile.clone(),
        left: left.id.clone(),
        right: right.id.clone(),
        seed: u64::MAX - u64::from(number),
        number,
        of: 3,
        adapter,
        against: None,
        created_at: String::new(),
    };
    let plain = store.insert_pair(&pair(1, None)).unwrap();
    let tested = store.insert_pair(&pair(2, Some(adapter.clone()))).unwrap();
    let waiting = store.insert_pair(&pair(3, Some(adapter.clone()))).unwrap();
    let missing = Pair {
        left: DraftId::from("d-0"),
        ..pair(1, None)
    };
    assert!(matches!(
        store.insert_pair(&missing),
        Err(StoreError::NotFound {
            thing: Thing::Draft,
            ..
        })
    ));
    drop(store);
    let store = open(home.path(), 2).store;
    assert_eq!(
        store.pair(&plain.id).unwrap(),
        plain,
        "the seed comes back whole"
    );
    let blind = store.blind_pair(&plain.id).unwrap();
    assert_eq!(
        (&blind.left, &blind.right),
        (&left.text, &right.text),
        "in shown order"
    );
    assert_eq!(store.waiting_pairs(&adapter, None).unwrap().len(), 2);

    let rule = Voter::Simulated {
        rule: "more dashes".to_owned(),
    };
    let vote = store.cast_vote(&tested.id, Choice::Tie, &rule).unwrap();
    assert_eq!((&vote.left, &vote.right), (&left, &right));
    assert_eq!((vote.vote.choice, &vote.vote.voter), (Choice::Tie, &rule));
    let twice = store.cast_vote(&tested.id, Choice::Left, &Voter::Person);
    assert!(
        matches!(twice, Err(StoreError::Duplicate { thing: Thing::Vote })),
        "got {twice:?}"
    );
    let person = store
        .cast_vote(&plain.id, Choice::Right, &Voter::Person)
        .unwrap();
    assert_eq!(
        store.votes(&profile).unwrap(),
        [vote.clone(), person],
        "the first vote stands"
    );
    assert_eq!(store.retest_votes(&adapter).unwrap(), [vote]);
    let left_over: Vec<_> = store
        .waiting_pairs(&adapter, None)
        .unwrap()
        .into_iter()
        .map(|p| p.id)
        .collect();
    assert_eq!(left_over, std::slice::from_ref(&waiting.id));
    let round = pair(4, Some(adapter.clone()));
    store
        .new_round(&adapter, None, &[round.clone(), missing])
        .unwrap_err();
    assert_eq!(
        store.waiting_pairs(&adapter, None).unwrap()[0].id,
        waiting.id,
        "a round that cannot be stored whole changes nothing"
    );
    store.new_round(&adapter, None, &[round]).unwrap();
    let now = store.waiting_pairs(&adapter, None).unwrap();
    assert!(now.len() == 1 && now[0].id != waiting.id);
    assert_eq!(store.retest_votes(&adapter).unwrap().len(), 1, "votes stay");
}

#[test]
fn runs_and_adapters_come_back_with_curve_and_lineage() {
    let (home, store, profile) = home_with_profile();
    let mut make = Make::new(60);
    let mut runs = Vec::new();
    let mut adapters = Vec::new();
    for _ in 0..ROUNDS {
        let run = make.run(&profile);
        let stored = store.insert_run(&run).unwrap();
        let mut expected = run;
        expected.id = stored.id.clone();
        expected.started_at = stored.started_at.clone();
        assert_eq!(stored, expected);
        let adapter = make.adapter(&stored);
        let made = store.insert_adapter(&adapter).unwrap();
        let mut expected = adapter;
        expected.id = made.id.clone();
        expected.created_at = made.created_at.clone();
        expected.samples_gone = u32::try_from(expected.samples.len()).unwrap();
        expected.votes_gone = u32::try_from(expected.votes.len()).unwrap();
        expected.drafts_gone = u32::try_from(expected.drafts.len()).unwrap();
        assert_eq!(
            made, expected,
            "what it learned from was never stored, so all of it counts as gone"
        );
        runs.insert(0, store.run(&stored.id).unwrap());
        assert_eq!(
            runs[0].adapter,
            Some(made.id.clone()),
            "the run knows what it made"
        );
        adapters.insert(0, made);
    }
    assert_eq!(store.runs(&profile).unwrap(), runs);
    drop(store);
    let store = open(home.path(), 2).store;
    assert_eq!(store.adapters(&profile).unwrap(), adapters);
    let renamed = store
        .rename_adapter(&adapters[0].id, "Evening voice")
        .unwrap();
    assert_eq!(renamed.name, "Evening voice");
    let again = store.insert_adapter(&make.adapter(&runs[0]));
    assert!(
        matches!(
            again,
            Err(StoreError::Duplicate {
                thing: Thing::Adapter
            })
        ),
        "one adapter a run: {again:?}"
    );
}

#[test]
fn a_loss_curve_grows_point_by_point() {
    let (_home, store, profile) = home_with_profile();
    let mut run = Make::new(61).run(&profile);
    run.curve.clear();
    let mut run = store.insert_run(&run).unwrap();
    let point = |step, loss, held_out| idiolect_core::adapter::LossPoint {
        step,
        loss,
        held_out,
        ..idiolect_core::adapter::LossPoint::default()
    };
    store
        .append_loss(&run.id, &point(0, None, Some(3.5)))
        .unwrap();
    store
        .append_loss(&run.id, &point(1, Some(3.25), None))
        .unwrap();
    store
        .append_loss(&run.id, &point(1, None, Some(3.0)))
        .unwrap();
    let curve = store.run(&run.id).unwrap().curve;
    assert_eq!(
        curve,
        [point(0, None, Some(3.5)), point(1, Some(3.25), Some(3.0))],
        "a later held-out loss joins its step"
    );
    run.status = idiolect_core::adapter::RunStatus::Finished;
    run.peak_bytes = 1 << 33;
    run.curve.clear();
    let updated = store.update_run(&run).unwrap();
    assert_eq!(updated.curve, curve, "updating leaves the curve alone");
    assert_eq!((updated.status, updated.peak_bytes), (run.status, 1 << 33));
    let nobody = store.append_loss(&RunId::from("r-0"), &point(1, None, None));
    assert!(matches!(
        nobody,
        Err(StoreError::NotFound {
            thing: Thing::Run,
            ..
        })
    ));
}

#[test]
fn profiles_take_each_edit_and_names_are_unique() {
    let (home, store, profile) = home_with_profile();
    for edit in [
        ProfileEdit::Rename("Briefe an Zoë".to_owned()),
        ProfileEdit::Sensitive(true),
        ProfileEdit::Describe("I garden.".to_owned()),
    ] {
        store.edit_profile(&profile, &edit).unwrap();
    }
    assert!(
        store
            .store_generated_summary(&profile, "generated")
            .unwrap()
    );
    let own = ProfileEdit::Summary("in my words".to_owned());
    store.edit_profile(&profile, &own).unwrap();
    assert!(
        !store
            .store_generated_summary(&profile, "generated again")
            .unwrap(),
        "an edited summary is never overwritten"
    );
    drop(store);
    let store = open(home.path(), 2).store;
    let read = store.profile(&profile).unwrap();
    assert_eq!(read.name, "Briefe an Zoë");
    assert_eq!(read.self_description, "I garden.");
    assert_eq!(read.summary, "in my words");
    assert!(read.sensitive && read.summary_edited);
    assert_eq!(store.profile_named("briefe AN Zoë").unwrap().id, profile);
    assert_eq!(store.profile_named(profile.as_str()).unwrap().id, profile);
    let second = store.new_profile("Second").unwrap();
    for clash in [
        store.new_profile("second").map(|_| ()),
        store
            .edit_profile(&profile, &ProfileEdit::Rename("SECOND".to_owned()))
            .map(|_| ()),
    ] {
        assert!(
            matches!(
                clash,
                Err(StoreError::Duplicate {
                    thing: Thing::Profile
                })
            ),
            "got {clash:?}"
        );
    }
    let all: Vec<_> = store
        .profiles()
        .unwrap()
        .into_iter()
        .map(|p| p.id)
        .collect();
    assert_eq!(all, [profile.clone(), second.id], "oldest first");
    store
        .edit_profile(&profile, &ProfileEdit::ForgetSummary)
        .unwrap();
    assert!(
        store
            .store_generated_summary(&profile, "generated")
            .unwrap()
    );
}
