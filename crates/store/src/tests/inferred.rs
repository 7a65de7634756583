//! What was inferred and computed comes back, and never overwrites what the person said.

use std::collections::BTreeMap;

use idiolect_core::{
    eval::{EvalReport, EvalResult},
    hypothesis::HypothesisStatus,
    ids::HypothesisId,
};
use rand::Rng;
use serde_json::json;

use super::{Make, home_with_profile, letter, open};
use crate::{CacheKey, EvalKey, FileStamp, ImportedModel, StoreError, Thing};

/// Claims an inference.
const ROUNDS: usize = 60;

#[test]
fn readings_come_back_and_the_persons_settings_lie_over_them() {
    let (home, store, profile) = home_with_profile();
    let mut make = Make::new(20);
    let readings: Vec<_> = (0..90).map(|i| make.reading(i)).collect();
    let revision = store.samples_revision(&profile).unwrap();
    store
        .replace_readings(&profile, "m", revision, &readings)
        .unwrap();
    drop(store);
    let store = open(home.path(), 2).store;
    let set = store.readings(&profile).unwrap().expect("there is a set");
    assert_eq!(set.readings, readings, "without settings, as inferred");
    assert_eq!((set.model.as_str(), set.stale), ("m", false));

    let known = readings
        .iter()
        .find(|r| r.direction == 1)
        .expect("one leans up");
    store.set_override(&profile, &known.id, -0.25).unwrap();
    store.set_object(&profile, &known.id, "spicy food").unwrap();
    let read = |store: &crate::Store| {
        let set = store.readings(&profile).unwrap().expect("there is a set");
        set.readings[known.index as usize].clone()
    };
    let set_by_person = read(&store);
    assert_eq!(set_by_person.override_score, Some(-0.25));
    assert_eq!(
        set_by_person.direction, -1,
        "the override's sign is in force"
    );
    assert_eq!(
        set_by_person.score, known.score,
        "the inferred score is still there"
    );

    // A new inference must not touch them, whatever it hands in.
    let mut again = readings.clone();
    again[known.index as usize].override_score = Some(0.9);
    again[known.index as usize].object = Some("something else".to_owned());
    store
        .replace_readings(&profile, "m2", revision, &again)
        .unwrap();
    assert_eq!(read(&store), set_by_person);
    assert_eq!(
        store.overrides(&profile).unwrap(),
        BTreeMap::from([(known.id.clone(), -0.25)])
    );
    assert!(store.clear_override(&profile, &known.id).unwrap());
    assert!(
        !store.clear_override(&profile, &known.id).unwrap(),
        "nothing left to clear"
    );
    assert_eq!(read(&store).direction, 1, "back to what was inferred");
    assert_eq!(read(&store).object.as_deref(), Some("spicy food"));
    assert!(
        store.set_override(&profile, &known.id, 1.5).is_err(),
        "out of range"
    );

    store.insert_sample(&letter(&profile, "new")).unwrap();
    assert!(
        store.readings(&profile).unwrap().expect("set").stale,
        "a text was added"
    );
    store.clear_readings(&profile).unwrap();
    assert_eq!(store.readings(&profile).unwrap(), None);
    assert_eq!(store.objects(&profile).unwrap().len(), 1, "settings stay");
}

#[test]
fn a_number_that_is_not_finite_is_refused_rather_than_lost() {
    let (_home, store, profile) = home_with_profile();
    let mut make = Make::new(21);
    let before = store.revision().unwrap();
    let mut draft = make.draft(&profile);
    draft.sampling.temperature = f64::NAN;
    assert!(store.insert_draft(&draft, &[]).is_err());
    let mut reading = make.reading(0);
    reading.score = f64::NAN;
    assert!(
        store
            .replace_readings(&profile, "m", 0, &[reading])
            .is_err()
    );
    assert_eq!(store.drafts(&profile).unwrap(), []);
    assert_eq!(
        store.readings(&profile).unwrap(),
        None,
        "nothing half-stored"
    );
    assert_eq!(store.revision().unwrap(), before);
}

#[test]
fn hypotheses_come_back_and_decisions_outlive_inference() {
    let (home, store, profile) = home_with_profile();
    let mut make = Make::new(30);
    let mut inferred = Vec::new();
    for i in 0..ROUNDS {
        let support = make.support(&format!("feature.{i}"), 1);
        inferred.push(make.hypothesis(Some(support)));
    }
    let stored = store.replace_hypotheses(&profile, &inferred).unwrap();
    let without_ids = |all: &[idiolect_core::hypothesis::Hypothesis]| -> Vec<_> {
        let mut all = all.to_vec();
        all.iter_mut().for_each(|h| h.id = HypothesisId::from(""));
        all
    };
    assert_eq!(without_ids(&stored), inferred, "as inferred, best first");
    drop(store);
    let store = open(home.path(), 2).store;
    assert_eq!(store.hypotheses(&profile).unwrap(), stored);
    assert_eq!(store.hypothesis_profile(&stored[0].id).unwrap(), profile);

    let accepted = store
        .decide_hypothesis(&stored[0].id, HypothesisStatus::Accepted)
        .unwrap();
    let rejected = store
        .decide_hypothesis(&stored[1].id, HypothesisStatus::Rejected)
        .unwrap();
    let edited = store
        .edit_hypothesis(&stored[2].id, "I like dashes", "Use dashes.")
        .unwrap();
    assert_eq!(edited.status, HypothesisStatus::Edited);
    let mut own = make.hypothesis(None);
    own.status = HypothesisStatus::Accepted;
    let own = store.insert_hypothesis(&profile, &own).unwrap();

    // Next time: claims 1, 2, 3 again with new figures; the opposite of 4; the rest is not found.
    let mut next = Vec::new();
    for (feature, direction) in [
        ("feature.3", 1),
        ("feature.2", 1),
        ("feature.1", 1),
        ("feature.4", -1),
    ] {
        let support = make.support(feature, direction);
        next.push(make.hypothesis(Some(support)));
    }
    let after = store.replace_hypotheses(&profile, &next).unwrap();
    let ids: Vec<_> = after.iter().map(|h| h.id.clone()).collect();
    assert_eq!(ids[0], stored[3].id, "an undecided claim keeps its id");
    assert_eq!(
        after[0].statement, next[0].statement,
        "and takes the new words"
    );
    assert_eq!(ids[1], edited.id);
    assert_eq!(
        after[1].statement, "I like dashes",
        "an edited claim keeps its words"
    );
    assert_eq!(after[1].support, next[1].support, "on the newest test");
    assert_eq!(
        (&ids[2], after[2].status),
        (&rejected.id, HypothesisStatus::Rejected)
    );
    assert_ne!(
        ids[3], stored[4].id,
        "the opposite direction is another claim"
    );
    assert_eq!(
        &after[4], &accepted,
        "an accepted claim stays when it is not found again"
    );
    assert_eq!(&after[5], &own, "the person's own stays");
    assert_eq!(
        after.len(),
        6,
        "undecided claims that were not found again go"
    );

    let reset = store.reset_hypothesis(&edited.id).unwrap();
    assert_eq!(
        (reset.statement, reset.status),
        (next[1].statement.clone(), next[1].status),
        "back to what the last test said"
    );
    store.delete_hypothesis(&own.id).unwrap();
    assert!(matches!(
        store.hypothesis(&own.id),
        Err(StoreError::NotFound {
            thing: Thing::Hypothesis,
            ..
        })
    ));
}

#[test]
fn settings_cache_and_evaluation_rows_come_back() {
    let (home, store, _) = home_with_profile();
    let mut make = Make::new(70);
    let report = EvalReport {
        eval: "psoups".to_owned(),
        model: make.text(),
        n: 7,
        fit: "shipped".to_owned(),
        results: make.list(|make| EvalResult {
            name: make.text(),
            value: make.number(),
            interval: make.interval(),
            unit: make.text(),
            controls: BTreeMap::from([("chance".to_owned(), make.number())]),
        }),
        notes: make.list(Make::text),
    };
    store.set_setting("last", &report).unwrap();
    let key = |item: &str| CacheKey {
        kind: "poles".to_owned(),
        model: "m".to_owned(),
        version: "1".to_owned(),
        item: item.to_owned(),
    };
    let numbers: Vec<f64> = (0..200).map(|_| make.number()).collect();
    store.cache_json(&key("numbers"), &numbers).unwrap();
    let bytes: Vec<u8> = (0..300).map(|_| make.0.random()).collect();
    store.cache(&key("bytes"), b"old").unwrap();
    store
        .cache_all([(&key("bytes"), &bytes[..]), (&key("more"), &b"x"[..])])
        .unwrap();
    let eval = |seed| EvalKey {
        eval: "psoups".to_owned(),
        build: "b".to_owned(),
        model: "m".to_owned(),
        data_sha256: "d".to_owned(),
        seed,
        flags: "limit=3".to_owned(),
    };
    let row = json!({"value": make.number(), "nested": [1, null, "ä"]});
    store
        .put_eval_row(&eval(u64::MAX), "row 1", &json!(0))
        .unwrap();
    store.put_eval_row(&eval(u64::MAX), "row 1", &row).unwrap();
    drop(store);

    let store = open(home.path(), 2).store;
    assert_eq!(store.setting("last").unwrap(), Some(report));
    assert_eq!(store.setting::<u32>("never").unwrap(), None);
    assert!(
        store.setting::<u32>("last").is_err(),
        "another shape is an error, not a default"
    );
    assert!(store.clear_setting("last").unwrap());
    assert_eq!(store.cached_json(&key("numbers")).unwrap(), Some(numbers));
    assert_eq!(store.cached(&key("bytes")).unwrap(), Some(bytes));
    let newer = CacheKey {
        version: "2".to_owned(),
        ..key("bytes")
    };
    assert_eq!(
        store.cached(&newer).unwrap(),
        None,
        "another prompt version is another result"
    );
    assert_eq!(
        store.eval_rows(&eval(u64::MAX)).unwrap(),
        BTreeMap::from([("row 1".to_owned(), row)])
    );
    assert!(
        store.eval_rows(&eval(1)).unwrap().is_empty(),
        "another seed is another row"
    );
    assert_eq!(store.clear_eval_rows(&eval(u64::MAX)).unwrap(), 1);
    assert_eq!(
        store.shrink_cache(301).unwrap(),
        1,
        "the oldest result goes first"
    );
    assert_eq!(store.cached(&key("numbers")).unwrap(), None);
    assert!(store.cached(&key("bytes")).unwrap().is_some());
    assert_eq!(store.clear_cache(Some("other")).unwrap(), 0);
    assert_eq!(store.clear_cache(None).unwrap(), 2);
}

#[test]
fn imported_models_come_back_and_are_replaced_by_path() {
    let (home, store, _) = home_with_profile();
    let model = |id: &str, path: &str| ImportedModel {
        id: id.to_owned(),
        name: format!("Model {id}"),
        file: FileStamp {
            path: path.to_owned(),
            bytes: u64::MAX,
            modified: "1700000000.123456789".to_owned(),
        },
        sha256: "00".repeat(32),
        details: json!({"context": 8192}),
        added_at: String::new(),
    };
    let first = store.import_model(&model("one", "/models/a.gguf")).unwrap();
    let second = store.import_model(&model("two", "/models/b.gguf")).unwrap();
    drop(store);
    let store = open(home.path(), 2).store;
    assert_eq!(store.imported_models().unwrap(), [first, second.clone()]);
    let again = store.import_model(&model("uno", "/models/a.gguf")).unwrap();
    assert_eq!(
        store.imported_models().unwrap(),
        [second, again],
        "one entry a path"
    );
    store.forget_model("uno").unwrap();
    assert!(matches!(
        store.forget_model("uno"),
        Err(StoreError::NotFound {
            thing: Thing::Model,
            ..
        })
    ));
}
