//! Transfers against a local server that speaks the hub's API: ranges, a file that changes, a wrong hash,
//! a cut connection, a source that falls silent, a stop, a full disk, a gate.

use std::{net::TcpListener, path::Path, sync::mpsc, time::Duration};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;

use super::{
    hub,
    part::{Promise, partial_path, refuse_full_disk},
    test_hub::{Hub, Mood},
    transfer::fetch,
    verify::Verified,
    wire::{Client, Patience},
};

/// Longer than any test waits: what ends sooner was not ended by a time limit.
const FOREVER: Duration = Duration::from_secs(3600);

fn take(hub: &Hub, target: &Path, promise: &Promise) -> Result<(), UserError> {
    take_with(
        hub,
        target,
        promise,
        Patience::default(),
        &Cancel::new(),
        |_| {},
    )
}

fn take_with(
    hub: &Hub,
    target: &Path,
    promise: &Promise,
    patience: Patience,
    cancel: &Cancel,
    progress: impl FnMut(u64),
) -> Result<(), UserError> {
    let client = Client::with(patience, cancel);
    fetch(&client, &hub.url(), promise, target, cancel, progress)
}

#[test]
fn a_cut_transfer_goes_on_where_it_was() {
    let hub = Hub::start(&[Mood::Cut(100_000), Mood::Cut(50_000)]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    take(&hub, &target, &hub.promise(0)).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), hub.file(0));
    assert_eq!(
        hub.ranges(),
        [
            None,
            Some("bytes=100000-".to_owned()),
            Some("bytes=150000-".to_owned())
        ],
        "it asked for the rest only"
    );
    assert!(Verified::of(&target).is_some(), "the check is recorded");
    assert!(!partial_path(&target).exists(), "nothing is left beside it");
}

#[test]
fn a_source_that_falls_silent_counts_as_cut() {
    let hub = Hub::start(&[Mood::Stall(100_000), Mood::Mute, Mood::Stall(50_000)]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    let patience = Patience {
        answer: Duration::from_millis(700),
        silence: Duration::from_millis(700),
        ..Patience::default()
    };
    let none = Cancel::new();
    take_with(&hub, &target, &hub.promise(0), patience, &none, |_| {}).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), hub.file(0));
    assert_eq!(
        hub.ranges()[1..],
        [
            Some("bytes=100000-".to_owned()),
            Some("bytes=100000-".to_owned()),
            Some("bytes=150000-".to_owned())
        ]
    );

    hub.set_moods(&[Mood::Stall(0); 4]);
    let other = dir.path().join("other.gguf");
    let error = take_with(&hub, &other, &hub.promise(0), patience, &none, |_| {}).unwrap_err();
    assert_eq!(error.code, ErrorCode::SourceUnreachable);
    assert!(error.message.contains("silent"), "{}", error.message);
}

/// The source never says another word and no time limit would end the wait: only the stop does.
#[test]
fn a_stop_ends_a_transfer_that_waits() {
    for mood in [Mood::Stall(100_000), Mood::Mute] {
        let hub = Hub::start(&[mood]);
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model.gguf");
        let patience = Patience {
            connect: FOREVER,
            answer: FOREVER,
            silence: FOREVER,
        };
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let promise = hub.promise(0);
        let (ended, end) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let result = take_with(&hub, &target, &promise, patience, &cancel, |_| {});
                ended.send(result.unwrap_err().code).unwrap();
            });
            // Until it waits: everything that will come has come.
            let sent = if mood == Mood::Mute { 0 } else { 100_000 };
            let here = || std::fs::metadata(partial_path(&target)).map_or(0, |m| m.len());
            while hub.ranges().is_empty() || here() < sent {
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.cancel();
            assert_eq!(
                end.recv_timeout(Duration::from_secs(20)),
                Ok(ErrorCode::Cancelled)
            );
        });
        let kept = std::fs::metadata(partial_path(&target)).unwrap().len();
        take(&hub, &target, &promise).unwrap();
        let asked = (kept > 0).then(|| format!("bytes={kept}-"));
        assert_eq!(hub.ranges()[1], asked, "what came before the stop is kept");
    }
}

#[test]
fn a_transfer_survives_the_end_of_the_program() {
    let hub = Hub::start(&[
        Mood::Cut(120_000),
        Mood::Status(503),
        Mood::Status(503),
        Mood::Status(503),
        Mood::Status(503),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    let error = take(&hub, &target, &hub.promise(0)).unwrap_err();
    assert_eq!(error.code, ErrorCode::SourceUnreachable);
    assert!(
        !target.exists(),
        "an unfinished file never has the model's name"
    );
    let kept = std::fs::metadata(partial_path(&target)).unwrap().len();
    assert_eq!(kept, 120_000, "what arrived is kept");
    hub.set_moods(&[]);
    take(&hub, &target, &hub.promise(0)).unwrap();
    assert_eq!(
        hub.ranges().last().unwrap().as_deref(),
        Some("bytes=120000-")
    );
    assert_eq!(std::fs::read(&target).unwrap(), hub.file(0));
}

#[test]
fn a_file_that_changed_under_its_address_is_fetched_whole() {
    let hub = Hub::start(&[Mood::Cut(100_000), Mood::Changed]);
    assert_ne!(hub.file(0)[..100_000], hub.file(1)[..100_000]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    // The second version was promised, the first was still served at the start.
    take(&hub, &target, &hub.promise(1)).unwrap();
    assert_eq!(
        std::fs::read(&target).unwrap(),
        hub.file(1),
        "no splice of two files"
    );
    assert_eq!(
        hub.ranges(),
        [None, Some("bytes=100000-".to_owned())],
        "one request was enough: the answer to it was the whole file"
    );
}

#[test]
fn an_answer_with_another_range_is_not_built_upon() {
    let hub = Hub::start(&[Mood::Cut(100_000), Mood::WrongRange]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    take(&hub, &target, &hub.promise(0)).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), hub.file(0));
    assert_eq!(hub.ranges()[2], None, "it began anew");
}

#[test]
fn a_wrong_hash_is_thrown_away() {
    let hub = Hub::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    for promise in [
        // Another hash; more bytes than promised.
        Promise {
            sha256: "0".repeat(64),
            ..hub.promise(0)
        },
        Promise {
            bytes: hub.promise(0).bytes - 5,
            ..hub.promise(0)
        },
    ] {
        let error = take(&hub, &target, &promise).unwrap_err();
        assert_eq!(error.code, ErrorCode::ChecksumMismatch);
        assert!(
            !target.exists() && !partial_path(&target).exists(),
            "nothing unverified stays"
        );
    }
}

#[test]
fn another_promise_starts_over() {
    let hub = Hub::start(&[Mood::Cut(100_000), Mood::Status(404)]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    let old = Promise {
        sha256: "1".repeat(64),
        ..hub.promise(0)
    };
    assert_eq!(
        take(&hub, &target, &old).unwrap_err().code,
        ErrorCode::SourceUnreachable
    );
    assert!(partial_path(&target).exists(), "something was kept");
    take(&hub, &target, &hub.promise(0)).unwrap();
    assert_eq!(
        *hub.ranges().last().unwrap(),
        None,
        "bytes of another file are not built upon"
    );
    assert_eq!(std::fs::read(&target).unwrap(), hub.file(0));
}

#[test]
fn a_gate_a_silent_host_and_a_stop_are_told_apart() {
    let hub = Hub::start(&[Mood::Status(403)]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    assert_eq!(
        take(&hub, &target, &hub.promise(0)).unwrap_err().code,
        ErrorCode::LicenceRequired
    );

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/x", silent.local_addr().unwrap());
    drop(silent);
    let none = Cancel::new();
    let client = Client::new(&none);
    let error = fetch(&client, &nobody, &hub.promise(0), &target, &none, |_| {}).unwrap_err();
    assert_eq!(error.code, ErrorCode::SourceUnreachable);
    assert!(error.hint.contains("import"), "it says what to do instead");

    let stopped = Cancel::new();
    stopped.cancel();
    let patience = Patience::default();
    let error = take_with(&hub, &target, &hub.promise(0), patience, &stopped, |_| {}).unwrap_err();
    assert_eq!(error.code, ErrorCode::Cancelled);
    assert_eq!(hub.ranges().len(), 1, "nothing was asked after the stop");
}

/// Writing to /dev/full fails as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_the_model_does_not_appear() {
    let hub = Hub::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    std::os::unix::fs::symlink("/dev/full", partial_path(&target)).unwrap();
    let error = take(&hub, &target, &hub.promise(0)).unwrap_err();
    assert_eq!(error.code, ErrorCode::DiskFull, "{error:?}");
    assert!(!target.exists());
}

#[test]
fn a_disk_too_small_is_said_before_a_byte_is_asked_for() {
    let hub = Hub::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model.gguf");
    let promise = Promise {
        bytes: u64::MAX,
        ..hub.promise(0)
    };
    let error = take(&hub, &target, &promise).unwrap_err();
    assert_eq!(error.code, ErrorCode::DiskFull, "{error:?}");
    assert!(hub.ranges().is_empty());
    refuse_full_disk(dir.path(), 1).unwrap();
}

#[test]
fn the_hub_s_own_metadata_name_the_file_its_size_and_its_hash() {
    let hub = Hub::start(&[]);
    let client = Client::new(&Cancel::new());
    let file = hub::resolve(&client, &hub.endpoint, "maker/model-GGUF", "Q4_K_M").unwrap();
    assert_eq!(file.promise, hub.promise(0));
    assert_eq!(
        file.url,
        hub.url(),
        "pinned to the commit, and not the IQ4 file"
    );
    assert_eq!(file.licence.as_deref(), Some("apache-2.0"));
    let missing = hub::resolve(&client, &hub.endpoint, "maker/model-GGUF", "Q2_K").unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);
    let gated = hub::resolve(&client, &hub.endpoint, "maker/gated-GGUF", "Q4_K_M").unwrap_err();
    assert_eq!(gated.code, ErrorCode::LicenceRequired);
}
