//! One home, several openings in one process: presence, revision, leases.

use super::{home_with_profile, letter, open};
use crate::{FileStamp, LeaseWords, StoreError};

fn words(what: &str) -> LeaseWords {
    LeaseWords {
        what: what.to_owned(),
        lost: "The last minute.".to_owned(),
    }
}

#[test]
fn a_second_opening_is_noticed_by_both() {
    let (home, store, profile) = home_with_profile();
    assert!(!store.shared().unwrap(), "alone at first");
    let second = open(home.path(), 2);
    assert!(second.shared, "the newcomer sees the first");
    assert!(store.shared().unwrap() && second.store.shared().unwrap());
    let before = store.revision().unwrap();
    second
        .store
        .insert_sample(&letter(&profile, "from the second"))
        .unwrap();
    assert!(
        store.revision().unwrap() > before,
        "the first sees that something was stored"
    );
    assert_eq!(store.samples(&profile).unwrap().len(), 1);
    let quiet = store.revision().unwrap();
    let key = crate::CacheKey {
        kind: "k".into(),
        model: "m".into(),
        version: "1".into(),
        item: "i".into(),
    };
    second.store.cache(&key, b"x").unwrap();
    assert_eq!(
        store.revision().unwrap(),
        quiet,
        "no screen depends on the cache"
    );
    drop(second);
    assert!(!store.shared().unwrap(), "alone again");
}

#[test]
fn a_job_is_done_by_one_at_a_time() {
    let (home, store, profile) = home_with_profile();
    let second = open(home.path(), 2).store;
    let lease = store
        .lease(
            "train",
            profile.as_str(),
            &words("Training of “My letters”"),
        )
        .unwrap();
    for who in [&store, &second] {
        let refused = who.lease("train", profile.as_str(), &words("the same"));
        assert!(
            matches!(&refused, Err(StoreError::Busy { what }) if what.ends_with("Training of “My letters”")),
            "got {refused:?}"
        );
    }
    let other = second.lease("train", "p-other", &words("another")).unwrap();
    let listed = store.leases().unwrap();
    assert_eq!(
        listed.iter().map(|l| l.own).collect::<Vec<_>>(),
        [true, false]
    );
    lease.heartbeat("The last second.").unwrap();
    let beaten = store.leases().unwrap();
    assert!(
        beaten[0].heartbeat_at > listed[0].heartbeat_at,
        "a sign of life was stored"
    );
    drop(lease);
    let taken = second
        .lease("train", profile.as_str(), &words("now mine"))
        .unwrap();
    drop((taken, other));
    assert!(store.leases().unwrap().is_empty());
    assert!(
        store.cut_short().unwrap().is_empty(),
        "nothing was cut short"
    );
}

#[test]
fn a_load_that_ends_leaves_no_record() {
    let (_home, store, _) = home_with_profile();
    let file = FileStamp {
        path: "/models/a.gguf".to_owned(),
        bytes: 10,
        modified: "1".to_owned(),
    };
    let mark = store.begin_load(&file).unwrap();
    assert_eq!(store.quarantined(&file).unwrap(), None);
    store.finish_load(mark).unwrap();
    assert!(store.quarantine().unwrap().is_empty());
    assert!(!store.lift_quarantine(&file.path).unwrap());
}

#[test]
fn a_load_that_ends_leaves_another_opening_s_record_of_the_same_file() {
    let (home, store, _) = home_with_profile();
    let second = open(home.path(), 2).store;
    let file = FileStamp {
        path: "/models/a.gguf".to_owned(),
        bytes: 10,
        modified: "1".to_owned(),
    };
    let first_mark = store.begin_load(&file).unwrap();
    let _never_finished = second.begin_load(&file).unwrap();
    store.finish_load(first_mark).unwrap();
    // The second ends in the middle of its load.
    drop((store, second));
    let opened = open(home.path(), 3);
    let whats: Vec<_> = opened.cut_short.iter().map(|c| c.what.as_str()).collect();
    assert_eq!(whats, ["Loading the model file “a.gguf”"]);
}

#[test]
fn threads_share_one_store() {
    let (_home, store, profile) = home_with_profile();
    std::thread::scope(|scope| {
        for t in 0..4 {
            let (store, profile) = (store.clone(), &profile);
            scope.spawn(move || {
                for i in 0..10 {
                    store
                        .insert_sample(&letter(profile, &format!("{t} {i}")))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(store.samples(&profile).unwrap().len(), 40);
}
