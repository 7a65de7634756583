//! Corrections, thumbs, briefs, checkpoints, and voices that were retired or imported.

use idiolect_core::{
    adapter::{AdapterReport, LossPoint, RunStatus, TrialDraft},
    draft::Thumb,
    ids::{AdapterId, DraftId, PairId, RunId, SampleId},
    vote::{Choice, Voter},
};
use rusqlite::Connection;

use super::{Make, home_with_profile, letter, open, setup};
use crate::{DATABASE, Pair, Setup, Store, StoreError, StoredBrief, Thing, migrations::MIGRATIONS};

#[test]
fn corrections_and_thumbs_stay_with_their_draft() {
    let (home, store, profile) = home_with_profile();
    let mut draft = Make::new(100).draft(&profile);
    (draft.edited, draft.thumb) = (None, None);
    let id = store.insert_draft(&draft, &[]).unwrap().id;
    let edited = store.set_edited(&id, Some("as I would say it")).unwrap();
    assert_eq!(edited.edited.as_deref(), Some("as I would say it"));
    assert_eq!(edited.text, draft.text, "what was written stays");
    assert_eq!(
        store.set_thumb(&id, Some(Thumb::Down)).unwrap().thumb,
        Some(Thumb::Down)
    );
    drop(store);
    let store = open(home.path(), 2).store;
    let read = store.draft(&id).unwrap();
    assert_eq!(
        (read.edited.as_deref(), read.thumb),
        (Some("as I would say it"), Some(Thumb::Down))
    );
    assert_eq!(store.set_edited(&id, None).unwrap().edited, None);
    assert_eq!(store.set_thumb(&id, None).unwrap().thumb, None);
    let nobody = DraftId::from("d-0");
    for failed in [
        store.set_edited(&nobody, Some("x")),
        store.set_thumb(&nobody, None),
    ] {
        assert!(matches!(
            failed,
            Err(StoreError::NotFound {
                thing: Thing::Draft,
                ..
            })
        ));
    }
}

#[test]
fn briefs_go_with_the_sample_and_when_its_text_changes() {
    let (_home, store, profile) = home_with_profile();
    let mut sample = letter(&profile, "Dear Ann, the boat is mended.");
    sample.removed = vec![idiolect_core::sample::Removal {
        kind: idiolect_core::sample::RemovalKind::NotProse,
        start: 4,
        end: 8,
        text: "cut ".to_owned(),
    }];
    let sample = store.insert_sample(&sample).unwrap().id;
    let other = store
        .insert_sample(&letter(&profile, "Dear Bob"))
        .unwrap()
        .id;
    let brief = |sample: &SampleId, start, end, text: &str| StoredBrief {
        sample: sample.clone(),
        start,
        end,
        brief: text.to_owned(),
    };
    let of_both = [
        brief(&sample, 10, 29, "Say that the boat is mended."),
        brief(&sample, 0, 9, "Greet Ann."),
        brief(&other, 0, 8, "Greet Bob."),
    ];
    store.put_briefs("sha", "1", &of_both).unwrap();
    let read = store.briefs(&sample, "sha", "1").unwrap();
    assert_eq!(
        read,
        [of_both[1].clone(), of_both[0].clone()],
        "in the order of the text"
    );
    for (model, version) in [("other", "1"), ("sha", "2")] {
        assert!(store.briefs(&sample, model, version).unwrap().is_empty());
    }
    store
        .put_briefs("sha", "1", &[brief(&sample, 0, 9, "Say hello to Ann.")])
        .unwrap();
    assert_eq!(
        store.briefs(&sample, "sha", "1").unwrap()[0].brief,
        "Say hello to Ann.",
        "a later one takes its place"
    );
    let gone = brief(&SampleId::from("s-0"), 0, 1, "x");
    store
        .put_briefs("sha", "3", &[of_both[0].clone(), gone])
        .unwrap_err();
    assert!(
        store.briefs(&sample, "sha", "3").unwrap().is_empty(),
        "all or nothing"
    );

    store
        .connection()
        .execute(
            "UPDATE samples SET text = 'Dear Ann, the boat is gone.' WHERE id = ?1",
            [sample.as_str()],
        )
        .unwrap();
    assert!(
        store.briefs(&sample, "sha", "1").unwrap().is_empty(),
        "they spoke of another text"
    );
    assert_eq!(store.briefs(&other, "sha", "1").unwrap().len(), 1);
    store.delete_sample(&other).unwrap();
    assert!(store.briefs(&other, "sha", "1").unwrap().is_empty());
    let rows: u32 = store
        .connection()
        .query_row("SELECT count(*) FROM sample_briefs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn a_run_with_checkpoints_can_be_taken_up_and_its_curve_grows_again_from_there() {
    let (home, store, profile) = home_with_profile();
    let mut run = Make::new(101).run(&profile);
    run.status = RunStatus::CutShort;
    run.curve = (0..6)
        .map(|step| LossPoint {
            step,
            loss: Some(f64::from(step)),
            ..LossPoint::default()
        })
        .collect();
    let run = store.insert_run(&run).unwrap();
    assert!(!run.resumable, "nothing to take up yet");
    assert_eq!(store.checkpoints(&run.id).unwrap(), None);
    let before = store.set_checkpoints(&run.id, Some("runs/x")).unwrap();
    assert_eq!(before, None);
    assert!(store.run(&run.id).unwrap().resumable);
    drop(store);
    let store = open(home.path(), 2).store;
    assert_eq!(
        store.checkpoints(&run.id).unwrap().as_deref(),
        Some("runs/x")
    );
    let taken = store.take_up_run(&run.id).unwrap();
    assert_eq!(taken.status, RunStatus::Running);
    assert!(!taken.resumable, "it runs");
    let trial = |step, text: &str| TrialDraft {
        step,
        brief: "Say hello.".into(),
        text: text.into(),
        copied_words: 1,
        copied: 0.0,
    };
    for text in ["first", "again"] {
        let both = [trial(3, text), trial(3, "beside it")];
        store.append_trials(&run.id, &both).unwrap();
    }
    store.append_trials(&run.id, &[trial(4, "later")]).unwrap();
    let rewound = store.rewind_curve(&run.id, 3).unwrap();
    let texts: Vec<&str> = (rewound.trials.iter().filter(|t| t.step >= 3))
        .map(|t| t.text.as_str())
        .collect();
    assert_eq!(
        texts,
        ["again", "beside it"],
        "not twice, and none after it"
    );
    let steps: Vec<u32> = rewound.curve.iter().map(|p| p.step).collect();
    assert_eq!(steps, [0, 1, 2, 3]);
    drop(store);
    // The opening that took it up has ended: as with any other run, the next one says so.
    let store = open(home.path(), 3).store;
    let read = store.run(&run.id).unwrap();
    assert_eq!(read.status, RunStatus::CutShort);
    assert!(read.resumable, "and it can be taken up once more");
    let adapter = Make::new(102).adapter(&read);
    store.insert_adapter(&adapter).unwrap();
    assert!(
        !store.run(&run.id).unwrap().resumable,
        "it has made its voice"
    );
    let gone = store.set_checkpoints(&run.id, None).unwrap();
    assert_eq!(gone.as_deref(), Some("runs/x"));
    let nobody = RunId::from("r-0");
    assert!(store.set_checkpoints(&nobody, None).is_err());
    assert!(store.checkpoints(&nobody).is_err());
    assert!(store.take_up_run(&nobody).is_err());
    assert!(store.rewind_curve(&nobody, 1).is_err());
}

#[test]
fn voices_without_a_run_are_retired_reported_and_taken_back() {
    let (home, store, profile) = home_with_profile();
    let mut make = Make::new(103);
    let mut nameless = make.run(&profile);
    nameless.id = RunId::from("");
    let mut adapter = make.adapter(&nameless);
    adapter.run = None;
    adapter.retired_at = None;
    let first = store.insert_adapter(&adapter).unwrap();
    let second = store.insert_adapter(&adapter).unwrap();
    assert_eq!((first.run, second.run), (None, None), "any number of them");
    let retired = store.retire_adapter(&first.id, true).unwrap();
    assert!(retired.retired_at.is_some());
    assert_eq!(
        store.retire_adapter(&first.id, true).unwrap().retired_at,
        retired.retired_at,
        "since when stays"
    );
    let report = AdapterReport {
        texts: 3,
        bits_base: 5.0,
        bits_own: 4.5,
        ..AdapterReport::default()
    };
    let measured = store.set_adapter_report(&first.id, &report).unwrap().report;
    let measured = measured.expect("just stored");
    assert!(!measured.measured_at.is_empty());
    assert_eq!(measured.bits_own, report.bits_own);
    drop(store);
    let store = open(home.path(), 2).store;
    let read = store.adapter(&first.id).unwrap();
    assert_eq!(
        (read.report, read.retired_at),
        (Some(measured), retired.retired_at)
    );
    assert_eq!(
        store.retire_adapter(&first.id, false).unwrap().retired_at,
        None
    );
    let broken = AdapterReport {
        bits_own: f64::NAN,
        ..AdapterReport::default()
    };
    assert!(store.set_adapter_report(&first.id, &broken).is_err());
    assert!(store.retire_adapter(&AdapterId::from("a-0"), true).is_err());
}

#[test]
fn lineage_reaches_through_votes_drafts_and_parents() {
    let (_home, store, profile) = home_with_profile();
    let mut make = Make::new(104);
    let sample = store
        .insert_sample(&letter(&profile, "Dear Ann"))
        .unwrap()
        .id;
    let quoting = store
        .insert_draft(&make.draft(&profile), std::slice::from_ref(&sample))
        .unwrap()
        .id;
    let other = store.insert_draft(&make.draft(&profile), &[]).unwrap().id;
    let pair = store
        .insert_pair(&Pair {
            id: PairId::from(""),
            profile: profile.clone(),
            left: quoting.clone(),
            right: other.clone(),
            seed: 1,
            number: 1,
            of: 1,
            adapter: None,
            against: Some(AdapterId::from("a-1")),
            created_at: String::new(),
        })
        .unwrap();
    let vote = store
        .cast_vote(&pair.id, Choice::Left, &Voter::Person)
        .unwrap();
    assert_eq!(vote.against, Some(AdapterId::from("a-1")));
    let mut run = make.run(&profile);
    run.samples.clear();
    run.votes = vec![pair.id.clone()];
    run.drafts = vec![quoting.clone(), other.clone()];
    let run = store.insert_run(&run).unwrap();
    let mut adapter = make.adapter(&run);
    adapter.parents.clear();
    let voted = store.insert_adapter(&adapter).unwrap();
    assert_eq!((voted.votes_gone, voted.drafts_gone), (0, 0));
    adapter = make.adapter(&run);
    (adapter.run, adapter.votes, adapter.drafts) = (None, Vec::new(), Vec::new());
    adapter.parents = vec![voted.id.clone()];
    let child = store.insert_adapter(&adapter).unwrap();
    let mut both = vec![voted.id.clone(), child.id.clone()];
    both.sort();

    assert_eq!(store.derived_from_sample(&sample).unwrap().adapters, both);
    assert_eq!(
        store.derived_from_adapter(&voted.id).unwrap().adapters,
        [child.id]
    );
    let derived = store.delete_draft(&other).unwrap();
    assert_eq!((derived.adapters, derived.runs), (both, vec![run.id]));
    let after = store.adapter(&voted.id).unwrap();
    assert_eq!(
        (after.votes_gone, after.drafts_gone),
        (1, 1),
        "the vote went with its draft, and the voice says so"
    );
    assert_eq!(after.votes, [pair.id]);
}

#[test]
fn a_home_of_the_second_step_keeps_its_voices_and_what_they_learned_from() {
    let home = tempfile::tempdir().unwrap();
    let old = Setup {
        migrations: &MIGRATIONS[..2],
        ..setup(1)
    };
    let store = Store::open_with(home.path(), old).unwrap().store;
    let profile = store.new_profile("My letters").unwrap().id;
    let sample = store
        .insert_sample(&letter(&profile, "Dear Ann"))
        .unwrap()
        .id;
    drop(store);
    let db = Connection::open(home.path().join(DATABASE)).unwrap();
    let settings = r#"{"rank":4,"alpha":8.0,"targets":["q"],"learning_rate":0.001,"epochs":2,"batch":4,"max_length":128,"chunk_words":80,"held_out":0.2,"seed":7,"early_stop":false}"#;
    db.execute_batch(&format!(
        "INSERT INTO runs VALUES (1, 'r-1', '{profile}', 'm', 'sft', '{settings}', 'finished', '', 1.0, 2, 3.0, 't', 'h');
         INSERT INTO run_samples VALUES ('r-1', 0, '{sample}');
         INSERT INTO loss_points VALUES ('r-1', 1, 2.5, NULL);
         INSERT INTO adapters VALUES (7, 'a-1', '{profile}', 'r-1', 'Voice', 'm', 'sha', 4, 8.0, 3.5, 3.0, 99, 't');
         INSERT INTO adapter_samples VALUES ('a-1', 0, '{sample}');"
    ))
    .unwrap();
    drop(db);
    let store = open(home.path(), 2).store;
    let run = store.run(&RunId::from("r-1")).unwrap();
    assert_eq!((run.settings.rank, run.settings.seed), (4, 7));
    assert_eq!(
        (run.curve[0].loss, run.adapter),
        (Some(2.5), Some(AdapterId::from("a-1")))
    );
    let adapter = store.adapter(&AdapterId::from("a-1")).unwrap();
    assert_eq!(adapter.samples, std::slice::from_ref(&sample));
    assert_eq!((adapter.samples_gone, adapter.own_held_out), (0, Some(3.0)));
    assert_eq!(adapter.method.to_string(), "base");
    assert_eq!(
        store.delete_sample(&sample).unwrap().adapters,
        std::slice::from_ref(&adapter.id)
    );
    store.delete_adapter(&adapter.id).unwrap();
    let left: u32 = store
        .connection()
        .query_row("SELECT count(*) FROM adapter_samples", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0, "its lineage goes with it, as before");
}
