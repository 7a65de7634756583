//! Deleting: what goes, what stays, and what the answer names.

use idiolect_core::{
    fingerprint::Span,
    ids::{PairId, SampleId},
    reading::Evidence,
    vote::{Choice, Voter},
};

use super::{Make, home_with_profile, letter};
use crate::{Derived, Pair, StoreError, Thing};

fn span(sample: &SampleId) -> Span {
    Span {
        sample: sample.clone(),
        start: 0,
        end: 4,
        text: "Dear".to_owned(),
    }
}

#[test]
fn deleting_a_sample_names_what_came_from_it_and_takes_its_words_out_of_evidence() {
    let (_home, store, profile) = home_with_profile();
    let mut make = Make::new(80);
    let gone = store
        .insert_sample(&letter(&profile, "Dear Ann"))
        .unwrap()
        .id;
    let stays = store
        .insert_sample(&letter(&profile, "Dear Bob"))
        .unwrap()
        .id;
    let quoting = store
        .insert_draft(&make.draft(&profile), &[gone.clone(), stays.clone()])
        .unwrap();
    store
        .insert_draft(&make.draft(&profile), std::slice::from_ref(&stays))
        .unwrap();
    let mut run = make.run(&profile);
    run.samples = vec![gone.clone(), stays.clone()];
    let run = store.insert_run(&run).unwrap();
    let adapter = store.insert_adapter(&make.adapter(&run)).unwrap();
    assert_eq!(adapter.samples_gone, 0);
    let mut readings: Vec<_> = (0..3).map(|i| make.reading(i)).collect();
    for (reading, samples) in readings
        .iter_mut()
        .zip([vec![&gone, &stays], vec![&stays], vec![]])
    {
        reading.evidence = samples
            .into_iter()
            .map(|s| Evidence {
                span: span(s),
                weight: 0.5,
            })
            .collect();
    }
    let revision = store.samples_revision(&profile).unwrap();
    store
        .replace_readings(&profile, "m", revision, &readings)
        .unwrap();
    let support = make.support("punct.dash", 1);
    let mut claim = make.hypothesis(Some(support));
    claim.evidence = vec![span(&gone), span(&stays)];
    let claim = store.insert_hypothesis(&profile, &claim).unwrap();

    let expected = Derived {
        drafts: vec![quoting.id.clone()],
        runs: vec![run.id.clone()],
        adapters: vec![adapter.id.clone()],
        readings: vec![readings[0].id.clone()],
        hypotheses: vec![claim.id.clone()],
        ..Derived::default()
    };
    assert_eq!(store.derived_from_sample(&gone).unwrap(), expected);
    assert_eq!(store.delete_sample(&gone).unwrap(), expected);

    assert!(matches!(
        store.sample(&gone),
        Err(StoreError::NotFound {
            thing: Thing::Sample,
            ..
        })
    ));
    let after = store.adapter(&adapter.id).unwrap();
    assert_eq!(
        (after.samples_gone, after.samples.len()),
        (1, 2),
        "the adapter stays and says so"
    );
    let set = store.readings(&profile).unwrap().expect("readings stay");
    assert!(set.stale);
    let left: Vec<_> = set.readings[0]
        .evidence
        .iter()
        .map(|e| &e.span.sample)
        .collect();
    assert_eq!(left, [&stays], "its words left the evidence");
    assert_eq!(
        store.hypothesis(&claim.id).unwrap().evidence,
        [span(&stays)]
    );
    assert!(store.draft(&quoting.id).is_ok(), "drafts stay");
    assert_eq!(
        store.samples_in_prompt(&quoting.id).unwrap().len(),
        2,
        "and still say what they quoted"
    );
    assert_eq!(store.snapshots().unwrap().len(), 1, "there is a way back");
}

#[test]
fn deleting_a_profile_takes_everything_of_its_own_and_nothing_else() {
    let (_home, store, profile) = home_with_profile();
    let other = store.new_profile("Another voice").unwrap().id;
    let mut make = Make::new(81);
    let mut fill = |profile: &idiolect_core::ids::ProfileId| {
        let sample = store.insert_sample(&letter(profile, "Dear Ann")).unwrap();
        let left = store
            .insert_draft(&make.draft(profile), std::slice::from_ref(&sample.id))
            .unwrap();
        let right = store.insert_draft(&make.draft(profile), &[]).unwrap();
        let run = store.insert_run(&make.run(profile)).unwrap();
        let adapter = store.insert_adapter(&make.adapter(&run)).unwrap();
        let pair = store
            .insert_pair(&Pair {
                id: PairId::from(""),
                profile: profile.clone(),
                left: left.id,
                right: right.id,
                seed: 1,
                number: 1,
                of: 1,
                adapter: Some(adapter.id.clone()),
                against: None,
                created_at: String::new(),
            })
            .unwrap();
        store
            .cast_vote(&pair.id, Choice::Left, &Voter::Person)
            .unwrap();
        store
            .replace_readings(profile, "m", 1, &[make.reading(5)])
            .unwrap();
        store.set_override(profile, "extraversion", 0.5).unwrap();
        store.set_object(profile, "extraversion", "people").unwrap();
        store
            .insert_hypothesis(profile, &make.hypothesis(None))
            .unwrap();
    };
    fill(&profile);
    fill(&other);
    let count = |table: &str| -> u32 {
        let sql = format!("SELECT count(*) FROM {table}");
        store
            .connection()
            .query_row(&sql, [], |row| row.get(0))
            .unwrap()
    };
    let tables = [
        "profiles",
        "samples",
        "reading_sets",
        "readings",
        "overrides",
        "objects",
        "hypotheses",
        "drafts",
        "draft_samples",
        "pairs",
        "votes",
        "runs",
        "adapters",
    ];
    let before: Vec<u32> = tables.iter().map(|t| count(t)).collect();
    let others_view = store.derived_from_profile(&other).unwrap();
    let derived = store.delete_profile(&profile).unwrap();
    assert_eq!(
        (
            derived.samples.len(),
            derived.drafts.len(),
            derived.adapters.len(),
            derived.votes
        ),
        (1, 2, 1, 1)
    );
    for (table, before) in tables.iter().zip(before) {
        assert_eq!(
            count(table) * 2,
            before,
            "half of {table} belonged to the other profile"
        );
    }
    assert_eq!(store.derived_from_profile(&other).unwrap(), others_view);
    assert!(store.delete_profile(&profile).is_err(), "it is gone");
    assert_eq!(
        store.snapshots().unwrap().len(),
        1,
        "no second snapshot for nothing"
    );
}

#[test]
fn deleting_a_draft_counts_its_votes_and_an_adapter_leaves_them() {
    let (_home, store, profile) = home_with_profile();
    let mut make = Make::new(82);
    let run = store.insert_run(&make.run(&profile)).unwrap();
    let adapter = store.insert_adapter(&make.adapter(&run)).unwrap().id;
    let mut with_adapter = make.draft(&profile);
    with_adapter.adapter = Some(idiolect_core::draft::AdapterUse::new(adapter.clone(), 1.0));
    let left = store.insert_draft(&with_adapter, &[]).unwrap().id;
    let mut base = make.draft(&profile);
    base.adapter = None;
    let right = store.insert_draft(&base, &[]).unwrap().id;
    let mut pairs = (1..=2).map(|number| {
        store
            .insert_pair(&Pair {
                id: PairId::from(""),
                profile: profile.clone(),
                left: left.clone(),
                right: right.clone(),
                seed: 1,
                number,
                of: 2,
                adapter: Some(adapter.clone()),
                against: None,
                created_at: String::new(),
            })
            .unwrap()
            .id
    });
    let (voted, _waiting) = (pairs.next().unwrap(), pairs.next().unwrap());
    store
        .cast_vote(&voted, Choice::Right, &Voter::Person)
        .unwrap();

    let derived = store.delete_adapter(&adapter).unwrap();
    assert_eq!(derived.drafts, *std::slice::from_ref(&left));
    assert_eq!((derived.pairs, derived.votes), (2, 1));
    assert!(
        store.waiting_pairs(&adapter, None).unwrap().is_empty(),
        "waiting pairs go with it"
    );
    assert_eq!(store.votes(&profile).unwrap().len(), 1, "the vote stays");
    assert_eq!(store.run(&run.id).unwrap().adapter, None);

    let derived = store.delete_draft(&right).unwrap();
    assert_eq!((derived.pairs, derived.votes), (1, 1));
    assert!(store.votes(&profile).unwrap().is_empty());
    assert!(store.draft(&left).is_ok(), "the other draft stays");
}
