//! Ids as a person types them, and errors as a person reads them.

use std::{io, path::PathBuf, sync::Mutex};

use idiolect_core::ErrorCode;

use super::{home_with_profile, letter, setup};
use crate::{Setup, Store, StoreError, Thing};

#[test]
fn ids_are_found_by_their_beginning() {
    let home = tempfile::tempdir().unwrap();
    // The first number names the opening, the rest become ids; 0xabc… comes twice on purpose.
    let numbers = [
        1,
        0xabcd_0000_0001,
        0xabcd_0000_0001,
        0xabce_0000_0002,
        0x1111,
    ];
    let left = Mutex::new(numbers.into_iter());
    let random = move || Ok(left.lock().unwrap().next().expect("enough numbers"));
    let setup = Setup {
        random: Box::new(random),
        ..setup(1)
    };
    let store = Store::open_with(home.path(), setup).unwrap().store;
    let one = store.new_profile("One").unwrap().id;
    let two = store.new_profile("Two").unwrap().id;
    assert_eq!(one.as_str(), "p-abcd00000001");
    assert_eq!(two.as_str(), "p-abce00000002", "a taken id is drawn again");
    for typed in ["p-abcd", "abcd", " ABCD ", "p-abcd00000001"] {
        assert_eq!(
            store.resolve_profile(typed).unwrap(),
            one,
            "typed {typed:?}"
        );
    }
    let both = store.resolve_profile("abc").unwrap_err();
    assert!(
        matches!(&both, StoreError::Ambiguous { count: 2, matches, .. } if matches.len() == 2),
        "got {both:?}"
    );
    for typed in ["", "p-", "abcdef", "%", "p-abcd000000010"] {
        let none = store.resolve_profile(typed);
        assert!(
            matches!(
                none,
                Err(StoreError::NotFound {
                    thing: Thing::Profile,
                    ..
                })
            ),
            "typed {typed:?}, got {none:?}"
        );
    }
    assert!(
        store.resolve_draft("abcd").is_err(),
        "a profile is no draft"
    );
}

#[test]
fn each_error_has_its_code_a_hint_and_private_text_last() {
    let secret = "zx9-secret";
    let path = PathBuf::from(format!("/nowhere/{secret}"));
    let all = [
        (
            StoreError::NewerDatabase { found: 9, known: 1 },
            ErrorCode::NewerDatabase,
        ),
        (
            StoreError::DatabaseCorrupt {
                detail: "it is not a database".to_owned(),
                path: path.clone(),
                snapshot: Some(path.clone()),
            },
            ErrorCode::DatabaseCorrupt,
        ),
        (StoreError::DiskFull, ErrorCode::DiskFull),
        (StoreError::ReadOnlyHome { path }, ErrorCode::ReadOnlyHome),
        (
            StoreError::Busy {
                what: format!("process 3: Training of {secret}"),
            },
            ErrorCode::Busy,
        ),
        (
            StoreError::not_found(Thing::Sample, secret),
            ErrorCode::NotFound,
        ),
        (
            StoreError::Ambiguous {
                thing: Thing::Draft,
                count: 2,
                prefix: secret.to_owned(),
                matches: vec!["d-1".to_owned(), "d-2".to_owned()],
            },
            ErrorCode::Ambiguous,
        ),
        (
            StoreError::Duplicate {
                thing: Thing::Profile,
            },
            ErrorCode::Duplicate,
        ),
        (
            StoreError::Io {
                doing: "taking a snapshot",
                source: io::Error::other("cable pulled"),
            },
            ErrorCode::Io,
        ),
        (
            StoreError::Internal {
                detail: "no such table".to_owned(),
            },
            ErrorCode::Internal,
        ),
    ];
    for (error, code) in all {
        let user = error.to_user();
        assert_eq!(user.code, code);
        assert!(!user.hint.is_empty(), "{code:?} says what to do next");
        assert!(
            !user.message.starts_with(char::is_lowercase),
            "a sentence: {}",
            user.message
        );
        for text in [&user.message, &user.hint, &error.to_string()] {
            assert!(
                !text.contains(secret) || text.ends_with(secret),
                "private text is not last in {text:?}"
            );
        }
    }
}

#[test]
fn file_system_errors_are_told_apart() {
    let home = PathBuf::from("home");
    let code = |kind: io::ErrorKind| StoreError::io("writing", &home, kind.into()).code();
    assert_eq!(code(io::ErrorKind::StorageFull), ErrorCode::DiskFull);
    assert_eq!(code(io::ErrorKind::QuotaExceeded), ErrorCode::DiskFull);
    assert_eq!(
        code(io::ErrorKind::PermissionDenied),
        ErrorCode::ReadOnlyHome
    );
    assert_eq!(
        code(io::ErrorKind::ReadOnlyFilesystem),
        ErrorCode::ReadOnlyHome
    );
    assert_eq!(code(io::ErrorKind::TimedOut), ErrorCode::Io);
}

#[test]
fn a_full_disk_loses_nothing_and_says_so() {
    let (_home, store, profile) = home_with_profile();
    let kept = store.insert_sample(&letter(&profile, "short")).unwrap();
    let revision = store.revision().unwrap();
    let pages: i64 = {
        let db = store.connection();
        let now: i64 = db
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        db.pragma_update_and_check(None, "max_page_count", now + 4, |_| Ok(()))
            .unwrap();
        now
    };
    let long = letter(&profile, &"a long text ".repeat(50_000));
    let error = store.insert_sample(&long).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull), "got {error:?}");
    let added = store.insert_samples(&[letter(&profile, "fits"), long.clone()]);
    assert!(matches!(added, Err(StoreError::DiskFull)), "got {added:?}");
    assert_eq!(store.samples(&profile).unwrap(), [kept], "all or nothing");
    assert_eq!(store.revision().unwrap(), revision);
    store
        .connection()
        .pragma_update_and_check(None, "max_page_count", pages + 10_000, |_| Ok(()))
        .unwrap();
    store
        .insert_sample(&long)
        .expect("with space again, the same write works");
}
