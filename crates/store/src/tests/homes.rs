//! Opening a home: fresh, older, newer, damaged, unwritable; snapshots.

use std::{
    fs,
    path::{Path, PathBuf},
};

use idiolect_core::sample::{Removal, RemovalKind, Sample, SampleKind};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::{home_with_profile, letter, open, setup};
use crate::{
    DATABASE, SNAPSHOTS_KEPT, Setup, Store, StoreError,
    migrations::{APPLICATION_ID, MIGRATIONS, Migration},
};

/// What each shipped step hashes to. A line is added with a step; no line ever changes.
const SHIPPED: &[&str] = &[
    "9b0cea31d47ea8c41eadf37aec83ba3edc0fc138b9b2bccc01b2fd92af5e48ff",
    "be3a20ca5dc31d5134d1d35d7d5bb155cf93e95b8a36218de2370000437fabc5",
    "1f507b767cc8a7f01a4f13bc7836c24f28c1599df175553374420fca6a2efabd",
    "dac160c0f97ee89187fdb05478bb7dd480000f180e9dda1915cfa921369bf6cd",
];

#[test]
fn shipped_migrations_never_change() {
    let hashes: Vec<String> = MIGRATIONS
        .iter()
        .map(|step| {
            Sha256::digest(step.sql)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect()
        })
        .collect();
    assert_eq!(
        hashes, SHIPPED,
        "migrations are append-only: write a new step instead"
    );
}

static WITH_ONE_MORE: &[Migration] = &[
    MIGRATIONS[0],
    MIGRATIONS[1],
    MIGRATIONS[2],
    MIGRATIONS[3],
    Migration {
        name: "nicknames",
        sql: "ALTER TABLE profiles ADD COLUMN nickname TEXT NOT NULL DEFAULT 'none';",
        in_snapshots: false,
    },
];

static WITH_A_BROKEN_ONE: &[Migration] = &[
    MIGRATIONS[0],
    MIGRATIONS[1],
    MIGRATIONS[2],
    MIGRATIONS[3],
    Migration {
        name: "broken",
        sql: "CREATE TABLE half (a TEXT) STRICT; CREATE TABLE profiles (a TEXT) STRICT;",
        in_snapshots: false,
    },
];

fn with(migrations: &'static [Migration]) -> Setup {
    Setup {
        migrations,
        ..setup(9)
    }
}

fn version_of(path: &Path) -> (u32, i32) {
    let db = Connection::open(path).unwrap();
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get(0)).unwrap();
    (pragma("user_version") as u32, pragma("application_id"))
}

#[test]
fn a_fresh_home_is_private_and_at_the_newest_version() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("deep").join("home");
    let opened = open(&home, 1);
    assert!(!opened.shared && opened.cut_short.is_empty() && opened.upgraded_from.is_none());
    let path = home.join(DATABASE);
    opened.store.new_profile("One").unwrap();
    let snapshot = opened.store.snapshot("try it").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home), 0o700);
        for file in [&path, &home.join(format!("{DATABASE}-wal")), &snapshot] {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
    }
    drop(opened);
    assert_eq!(version_of(&path), (MIGRATIONS.len() as u32, APPLICATION_ID));
    assert!(
        !home.join(format!("{DATABASE}-wal")).exists(),
        "a clean close leaves one file"
    );
}

#[test]
fn an_empty_database_file_is_filled_from_version_0() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(DATABASE), b"").unwrap();
    let store = open(home.path(), 1).store;
    store.new_profile("One").unwrap();
    assert_eq!(store.profiles().unwrap().len(), 1);
}

#[test]
fn an_older_database_is_snapshotted_then_upgraded() {
    let (home, store, profile) = home_with_profile();
    store.insert_sample(&letter(&profile, "kept")).unwrap();
    drop(store);
    let opened = Store::open_with(home.path(), with(WITH_ONE_MORE)).unwrap();
    assert_eq!(opened.store.samples(&profile).unwrap()[0].text, "kept");
    let nickname: String = opened
        .store
        .connection()
        .query_row("SELECT nickname FROM profiles", [], |row| row.get(0))
        .unwrap();
    assert_eq!(nickname, "none");
    let snapshot = opened.upgraded_from.expect("a snapshot was taken");
    drop(opened.store);
    let newest = MIGRATIONS.len() as u32;
    assert_eq!(
        version_of(&snapshot).0,
        newest,
        "the snapshot is from before"
    );
    assert_eq!(version_of(&home.path().join(DATABASE)).0, newest + 1);
    let again = Store::open_with(home.path(), with(WITH_ONE_MORE)).unwrap();
    assert_eq!(
        again.upgraded_from, None,
        "nothing to upgrade the second time"
    );
}

#[test]
fn a_step_that_fails_leaves_the_older_database_whole() {
    let (home, store, profile) = home_with_profile();
    store.insert_sample(&letter(&profile, "kept")).unwrap();
    drop(store);
    let failed = Store::open_with(home.path(), with(WITH_A_BROKEN_ONE));
    assert!(
        matches!(failed, Err(StoreError::Internal { .. })),
        "got {failed:?}"
    );
    let store = open(home.path(), 3).store;
    assert_eq!(store.samples(&profile).unwrap()[0].text, "kept");
    let half: u32 = store
        .connection()
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'half'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(half, 0, "the first statement of the step was rolled back");
    assert_eq!(store.snapshots().unwrap().len(), 1);
}

#[test]
fn a_newer_database_is_refused_and_not_altered() {
    let (home, store, profile) = home_with_profile();
    store.insert_sample(&letter(&profile, "kept")).unwrap();
    drop(store);
    let path = home.path().join(DATABASE);
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();

    // While the newer version has it open, its number may stand in the log only.
    let log = home.path().join(format!("{DATABASE}-wal"));
    let before = (fs::read(&path).unwrap(), fs::read(&log).unwrap());
    let refused = Store::open(home.path());
    assert!(
        matches!(
            refused,
            Err(StoreError::NewerDatabase {
                found: 99,
                known
            }) if known as usize == MIGRATIONS.len()
        ),
        "got {refused:?}"
    );
    assert_eq!((fs::read(&path).unwrap(), fs::read(&log).unwrap()), before);

    drop(newer);
    let before = fs::read(&path).unwrap();
    assert!(matches!(
        Store::open(home.path()),
        Err(StoreError::NewerDatabase { .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), before, "not a byte changed");
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_not_altered() {
    let other_program = {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE notes (a TEXT)")
            .unwrap();
        fs::read(&path).unwrap()
    };
    let cut_off = other_program[..700].to_vec();
    for (what, bytes) in [
        (
            "text",
            b"Dear diary, this is not a database at all.".to_vec(),
        ),
        (
            "noise",
            (0..8192u32).map(|i| (i * 31 % 251) as u8).collect(),
        ),
        ("another program's", other_program),
        ("cut off", cut_off),
    ] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(DATABASE);
        fs::write(&path, &bytes).unwrap();
        let refused = Store::open(home.path());
        let Err(StoreError::DatabaseCorrupt { path: named, .. }) = &refused else {
            panic!("{what}: got {refused:?}");
        };
        assert_eq!(named, &path, "{what}: the message names the file");
        assert_eq!(
            fs::read(&path).unwrap(),
            bytes,
            "{what}: not a byte changed"
        );
    }
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(DATABASE)).unwrap();
    let folder = Store::open(home.path());
    assert!(
        matches!(folder, Err(StoreError::DatabaseCorrupt { .. })),
        "got {folder:?}"
    );
}

#[test]
fn damage_is_noticed_after_an_unclean_end_and_points_to_a_snapshot() {
    let (home, store, profile) = home_with_profile();
    for i in 0..200 {
        store
            .insert_sample(&letter(
                &profile,
                &format!("letter {i} {}", "word ".repeat(100)),
            ))
            .unwrap();
    }
    let snapshot = store.snapshot("before damage").unwrap();
    drop(store);
    let path = home.path().join(DATABASE);
    let mut bytes = fs::read(&path).unwrap();
    // Every page but the first loses its header.
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..64].fill(0xff);
    }
    fs::write(&path, &bytes).unwrap();
    // A note without a lock is what a killed process leaves.
    fs::write(home.path().join("open").join("999-dead"), b"").unwrap();
    let first = Store::open(home.path());
    assert!(first.is_err(), "the damage went unnoticed");
    let refused = Store::open(home.path()).expect_err("noticed the first time only");
    assert!(
        matches!(&refused, StoreError::DatabaseCorrupt { snapshot: Some(s), .. } if *s == snapshot),
        "got {refused:?}"
    );
    assert!(
        refused
            .to_user()
            .hint
            .ends_with(&snapshot.display().to_string())
    );
    assert_eq!(
        fs::read(&path).unwrap(),
        bytes,
        "the damaged file is left for rescue"
    );

    fs::copy(&snapshot, &path).unwrap();
    let store = open(home.path(), 5).store;
    assert_eq!(
        store.samples(&profile).unwrap().len(),
        200,
        "the snapshot is a whole home"
    );
}

#[test]
fn a_home_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    fs::write(&file, b"in the way").unwrap();
    for home in [file.clone(), file.join("below")] {
        let refused = Store::open(&home);
        let Err(StoreError::ReadOnlyHome { path }) = &refused else {
            panic!("{}: got {refused:?}", home.display());
        };
        assert_eq!(path, &home);
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[test]
fn the_last_snapshots_are_kept_and_the_one_before_an_upgrade() {
    let (home, store, _) = home_with_profile();
    drop(store);
    let opened = Store::open_with(home.path(), with(WITH_ONE_MORE)).unwrap();
    let (store, upgrade) = (opened.store, opened.upgraded_from.expect("a snapshot"));
    let taken: Vec<_> = (0..SNAPSHOTS_KEPT + 3)
        .map(|i| store.snapshot(&format!("number {i}")).unwrap())
        .collect();
    let mut expected = vec![upgrade];
    expected.extend_from_slice(&taken[3..]);
    assert_eq!(store.snapshots().unwrap(), expected);
    let files = fs::read_dir(home.path().join("snapshots")).unwrap().count();
    assert_eq!(files, expected.len(), "no side files are left");
    assert_eq!(store.forget_snapshots().unwrap(), SNAPSHOTS_KEPT + 1);
    assert!(store.snapshots().unwrap().is_empty());
}

#[test]
fn snapshots_taken_at_the_same_moment_do_not_overwrite_each_other() {
    let home = tempfile::tempdir().unwrap();
    let noon = "2026-03-04T12:00:00Z".parse().unwrap();
    let setup = Setup {
        clock: Box::new(move || noon),
        ..setup(1)
    };
    let store = Store::open_with(home.path(), setup).unwrap().store;
    let first = store.snapshot("delete profile").unwrap();
    let second = store.snapshot("delete profile").unwrap();
    assert_ne!(first, second);
    let name = first.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(name, "20260304T120000.000Z-delete-profile.db");
    assert!(first.exists() && second.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_home_whose_name_is_not_text_works_whole() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join(std::ffi::OsStr::from_bytes(b"ho\xffme"));
    let store = open(&home, 1).store;
    store.new_profile("One").unwrap();
    let snapshot = store.snapshot("try it").unwrap();
    let db = Connection::open(&snapshot).unwrap();
    let name: String = db
        .query_row("SELECT name FROM profiles", [], |row| row.get(0))
        .unwrap();
    assert_eq!(name, "One", "the snapshot is no empty file");
}

/// The files under a folder that hold these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, bytes));
        } else if fs::read(&path)
            .unwrap()
            .windows(bytes.len())
            .any(|w| w == bytes)
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_deleted_text_is_gone_from_every_file_once_the_copies_are_forgotten() {
    let (home, store, profile) = home_with_profile();
    let told = letter(
        &profile,
        &format!("{} zqxjkvwort", "Some words before it. ".repeat(400)),
    );
    let id = store.insert_sample(&told).unwrap().id;
    store.delete_sample(&id).unwrap();
    let snapshot = store.snapshots().unwrap().remove(0);
    // What a kill in the middle of a snapshot leaves.
    fs::copy(&snapshot, snapshot.with_extension("unfinished")).unwrap();
    assert!(
        holding(home.path(), b"zqxjkvwort").contains(&snapshot),
        "the way back still has it"
    );
    assert_eq!(store.forget_snapshots().unwrap(), 1);
    // The home is still open: its log was emptied, too.
    assert_eq!(
        holding(home.path(), b"zqxjkvwort"),
        [] as [PathBuf; 0],
        "row, search index, log and copies"
    );
}

#[test]
fn what_was_cut_from_mail_leaves_an_old_home_and_its_snapshots() {
    let home = tempfile::tempdir().unwrap();
    let old = Setup {
        migrations: &MIGRATIONS[..1],
        ..setup(1)
    };
    let store = Store::open_with(home.path(), old).unwrap().store;
    let profile = store.new_profile("My letters").unwrap().id;
    let with_cut = |kind, text: &str| Sample {
        kind,
        prompt: Some("zqxjkvsigna asked this".to_owned()),
        removed: vec![
            Removal {
                kind: RemovalKind::Signature,
                start: 3,
                end: 14,
                text: "zqxjkvsigna".to_owned(),
            },
            Removal {
                kind: RemovalKind::Boilerplate,
                start: 20,
                end: 12_020,
                text: format!("zqxjkvsigna{}", "é confidential".repeat(800)),
            },
        ],
        ..letter(&profile, text)
    };
    let mail = store
        .insert_sample(&with_cut(SampleKind::Email, "a mail"))
        .unwrap();
    let chat = store
        .insert_sample(&with_cut(SampleKind::Chat, "a chat"))
        .unwrap();
    let other = store.insert_sample(&letter(&profile, "a letter")).unwrap();
    // As the version of that time deleted a sample; this one asks tables that came later.
    store.snapshot("delete sample").unwrap();
    store
        .connection()
        .execute("DELETE FROM samples WHERE id = ?1", [other.id.as_str()])
        .unwrap();
    // A copy of the log stands in for the one that a kill leaves behind.
    let log = home.path().join(format!("{DATABASE}-wal"));
    let left_behind = fs::read(&log).unwrap();
    drop(store);
    fs::write(&log, left_behind).unwrap();
    assert_eq!(
        holding(home.path(), b"zqxjkvsigna").len(),
        3,
        "database, log and snapshot hold it before"
    );

    let opened = open(home.path(), 2);
    assert!(opened.upgraded_from.is_some());
    assert_eq!(
        holding(home.path(), b"zqxjkvsigna"),
        [] as [PathBuf; 0],
        "while open"
    );
    for id in [&mail.id, &chat.id] {
        let kept = opened.store.sample(id).unwrap();
        let shape: Vec<_> = kept
            .removed
            .iter()
            .map(|r| (r.kind, r.start, r.end, r.text.as_str()))
            .collect();
        assert_eq!(
            shape,
            [
                (RemovalKind::Signature, 3, 14, ""),
                (RemovalKind::Boilerplate, 20, 12_020, ""),
            ],
            "kind and length are still there"
        );
        assert_eq!(kept.prompt, None);
    }
    let snapshots = opened.store.snapshots().unwrap();
    drop(opened);
    assert_eq!(
        snapshots.len(),
        2,
        "before the deletion and before the upgrade"
    );
    for snapshot in snapshots {
        assert_eq!(version_of(&snapshot).0, 1, "still a copy of the old home");
    }
    assert_eq!(
        holding(home.path(), b"zqxjkvsigna"),
        [] as [PathBuf; 0],
        "when closed"
    );
}

#[test]
fn what_was_cut_from_one_s_own_pasted_text_survives_the_upgrade() {
    let home = tempfile::tempdir().unwrap();
    let old = Setup {
        migrations: &MIGRATIONS[..1],
        ..setup(1)
    };
    let store = Store::open_with(home.path(), old).unwrap().store;
    let profile = store.new_profile("My letters").unwrap().id;
    let pasted = Sample {
        removed: vec![Removal {
            kind: RemovalKind::NotProse,
            start: 0,
            end: 4,
            text: "code".to_owned(),
        }],
        ..letter(&profile, "a letter")
    };
    let id = store.insert_sample(&pasted).unwrap().id;
    drop(store);
    let kept = open(home.path(), 2).store.sample(&id).unwrap();
    assert_eq!(kept.removed, pasted.removed);
}

#[test]
fn a_home_that_stays_busy_says_so_instead_of_hanging() {
    let (home, store, _) = home_with_profile();
    let hurried = |seed| Setup {
        patience: std::time::Duration::from_millis(20),
        ..setup(seed)
    };
    let guard = crate::presence::Guard::take(home.path(), std::time::Duration::ZERO).unwrap();
    let opening = Store::open_with(home.path(), hurried(2));
    assert!(
        matches!(opening, Err(StoreError::Busy { .. })),
        "got {opening:?}"
    );
    drop(guard);

    let second = Store::open_with(home.path(), hurried(3)).unwrap().store;
    let db = store.connection();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = second.new_profile("Two");
    assert!(
        matches!(writing, Err(StoreError::Busy { .. })),
        "got {writing:?}"
    );
    assert_eq!(
        second.profiles().unwrap().len(),
        1,
        "reading goes on meanwhile"
    );
    db.execute_batch("ROLLBACK").unwrap();
    second.new_profile("Two").expect("free again");
}
