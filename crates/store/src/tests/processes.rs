//! Other processes: this test binary again, writing, and killed without warning.
//!
//! A kill shows what survives a crash of the program; that a power cut is survived too rests on
//! SQLite's `synchronous=FULL`, which no test here can show.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use idiolect_core::{
    adapter::{LossPoint, RunStatus},
    ids::{ProfileId, RunId},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Make, letter, open};
use crate::{FileStamp, LeaseWords, Store};

const HOME: &str = "IDIOLECT_STORE_TEST_HOME";
const PROFILE: &str = "IDIOLECT_STORE_TEST_PROFILE";
const WHO: &str = "IDIOLECT_STORE_TEST_WHO";
const HOW_MANY: &str = "IDIOLECT_STORE_TEST_HOW_MANY";
/// What a child prints once a write returned.
const CONFIRMED: &str = "confirmed ";

/// Kills in a row on one home.
const KILLS: usize = 8;

fn model_file() -> FileStamp {
    FileStamp {
        path: "/models/bad.gguf".to_owned(),
        bytes: 5,
        modified: "1".to_owned(),
    }
}

fn spawn(role: &str, home: &Path, profile: &ProfileId, who: &str, how_many: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("tests::processes::{role}"),
            "--ignored",
            "--nocapture",
        ])
        .env(HOME, home)
        .env(PROFILE, profile.as_str())
        .env(WHO, who)
        .env(HOW_MANY, how_many.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What follows "confirmed " in a line of a child's output, which the test harness writes into too.
fn confirmation(line: &str) -> Option<&str> {
    line.split_once(CONFIRMED).map(|(_, what)| what.trim_end())
}

#[test]
#[ignore = "a child of the tests below, not a test"]
fn writer() {
    let Ok(home) = std::env::var(HOME) else {
        return;
    };
    let var = |name| std::env::var(name).unwrap();
    let store = Store::open(Path::new(&home)).unwrap().store;
    let profile = ProfileId::from(var(PROFILE));
    for i in 0..var(HOW_MANY).parse::<u32>().unwrap() {
        let text = format!("{} wrote letter {i} {}", var(WHO), "and more ".repeat(200));
        let sample = store.insert_sample(&letter(&profile, &text)).unwrap();
        println!("{CONFIRMED}{}", sample.id);
    }
}

#[test]
#[ignore = "a child of the tests below, not a test"]
fn trainer() {
    let Ok(home) = std::env::var(HOME) else {
        return;
    };
    let store = Store::open(Path::new(&home)).unwrap().store;
    let profile = ProfileId::from(std::env::var(PROFILE).unwrap());
    let words = LeaseWords {
        what: "Training of “My letters”".to_owned(),
        lost: "The adapter in training.".to_owned(),
    };
    let _lease = store.lease("train", profile.as_str(), &words).unwrap();
    let mut run = Make::new(1).run(&profile);
    run.status = RunStatus::Running;
    run.curve.clear();
    let run = store.insert_run(&run).unwrap();
    let _never_finished = store.begin_load(&model_file()).unwrap();
    println!("{CONFIRMED}{}", run.id);
    for step in 0.. {
        let point = LossPoint {
            step,
            loss: Some(3.0),
            ..LossPoint::default()
        };
        store.append_loss(&run.id, &point).unwrap();
        println!("{CONFIRMED}{step}");
    }
}

/// Lets a child confirm `enough` writes and `grace` more, kills it, and returns all it confirmed.
fn kill_after(mut child: Child, enough: usize, grace: Duration) -> Vec<String> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut confirmed = Vec::new();
    let mut line = String::new();
    while confirmed.len() < enough && output.read_line(&mut line).unwrap() > 0 {
        confirmed.extend(confirmation(&line).map(str::to_owned));
        line.clear();
    }
    std::thread::sleep(grace);
    // SIGKILL on Unix: no destructor, no flush.
    child.kill().unwrap();
    child.wait().unwrap();
    for line in output.lines() {
        // The last line may be torn; a torn confirmation was never given.
        let Ok(line) = line else { break };
        confirmed.extend(confirmation(&line).map(str::to_owned));
    }
    confirmed
}

#[test]
fn whatever_was_confirmed_survives_kill_nine() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), 1).store;
    let profile = store.new_profile("My letters").unwrap().id;
    drop(store);
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let mut confirmed: BTreeSet<String> = BTreeSet::new();
    for round in 0..KILLS {
        let child = spawn(
            "writer",
            home.path(),
            &profile,
            &round.to_string(),
            u32::MAX,
        );
        let enough = rng.random_range(1..25);
        let grace = Duration::from_micros(rng.random_range(0..20_000));
        let ids = kill_after(child, enough, grace);
        assert!(ids.len() >= enough, "round {round}: the child ended early");
        // A torn last line can only be the beginning of an id.
        confirmed.extend(
            ids.into_iter()
                .filter(|id| id.len() == "s-000000000000".len()),
        );

        let opened = open(home.path(), 100 + round as u64);
        assert!(
            !opened.shared,
            "round {round}: the dead process does not count"
        );
        let stored: BTreeSet<String> = opened
            .store
            .samples(&profile)
            .unwrap()
            .into_iter()
            .map(|sample| sample.id.0)
            .collect();
        let lost: Vec<_> = confirmed.difference(&stored).collect();
        assert!(
            lost.is_empty(),
            "round {round}: confirmed but not there: {lost:?}"
        );
        let found = opened
            .store
            .search_samples(&profile, &format!("{round} wrote"), 1000)
            .unwrap();
        assert!(
            found.len() >= enough,
            "round {round}: the search index was left behind"
        );
    }
}

#[test]
fn a_killed_training_is_listed_as_cut_short() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), 1).store;
    let profile = store.new_profile("My letters").unwrap().id;
    let trainer = spawn("trainer", home.path(), &profile, "t", 0);
    let confirmed = kill_after(trainer, 4, Duration::ZERO);
    let run = RunId::from(confirmed[0].as_str());

    // This opening was here all along: what was cut short is listed here too, and the job may be taken over.
    let listed = store.cut_short().expect("listed");
    assert!(
        listed.iter().any(|c| c.what == "Training of “My letters”"),
        "got {listed:?}"
    );
    let words = LeaseWords {
        what: "Again".to_owned(),
        lost: String::new(),
    };
    drop(
        store
            .lease("train", profile.as_str(), &words)
            .expect("its holder is gone"),
    );
    drop(store);
    let opened = open(home.path(), 2);
    let whats: Vec<_> = opened.cut_short.iter().map(|c| c.what.as_str()).collect();
    assert!(whats.contains(&"Training of “My letters”"), "got {whats:?}");
    assert!(
        whats.contains(&"Loading the model file “bad.gguf”"),
        "got {whats:?}"
    );
    let run = opened.store.run(&run).unwrap();
    assert_eq!(run.status, RunStatus::CutShort);
    assert!(
        run.curve.len() >= 3,
        "the curve up to the kill is kept: {:?}",
        run.curve
    );
    assert_eq!(
        opened.store.quarantined(&model_file()).unwrap(),
        None,
        "one crash may be chance"
    );
    assert_eq!(opened.store.acknowledge_cut_short().unwrap(), whats.len());
    drop(opened);

    let trainer = spawn("trainer", home.path(), &profile, "t", 0);
    kill_after(trainer, 4, Duration::ZERO);
    let opened = open(home.path(), 3);
    let whats: Vec<_> = opened.cut_short.iter().map(|c| c.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "Training of “My letters”",
            "Loading the model file “bad.gguf”"
        ],
        "lease and run are one entry, and what was acknowledged is gone"
    );
    let bad = opened.store.quarantined(&model_file()).unwrap();
    assert_eq!(
        bad.map(|q| q.crashes),
        Some(2),
        "the second crash in a row is no chance"
    );
    let replaced = FileStamp {
        bytes: 6,
        ..model_file()
    };
    assert_eq!(
        opened.store.quarantined(&replaced).unwrap(),
        None,
        "another file is another file"
    );
    assert!(opened.store.lift_quarantine(&model_file().path).unwrap());
    assert!(opened.store.quarantine().unwrap().is_empty());
    drop(opened);
    assert_eq!(
        open(home.path(), 4).cut_short.len(),
        2,
        "kept until acknowledged"
    );
}

#[test]
fn two_processes_and_this_one_lose_nothing() {
    const EACH: u32 = 40;
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), 1).store;
    let profile = store.new_profile("My letters").unwrap().id;
    let before = store.revision().unwrap();
    let children = ["first", "second"].map(|who| spawn("writer", home.path(), &profile, who, EACH));
    for i in 0..EACH {
        store
            .insert_sample(&letter(&profile, &format!("here {i}")))
            .unwrap();
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "a child failed");
        let text = String::from_utf8(output.stdout).unwrap();
        let confirmed = text.lines().filter_map(confirmation).count();
        assert_eq!(confirmed as u32, EACH, "a child confirmed fewer");
    }
    assert_eq!(store.samples(&profile).unwrap().len() as u32, 3 * EACH);
    assert_eq!(
        store.revision().unwrap() - before,
        u64::from(3 * EACH),
        "each write moved the revision by one"
    );
}
