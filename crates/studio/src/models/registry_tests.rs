//! Files that are set aside, and memory before a load.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use idiolect_core::ErrorCode;
use idiolect_llm::{
    Cancel,
    testing::{TinyGguf, tiny_gguf},
};
use idiolect_store::{ImportedModel, Store};
use serde_json::json;

use super::registry::{ReadyModel, Registry, stamp};
use crate::api::ModelState;

fn home() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.gguf");
    std::fs::write(&file, tiny_gguf(&TinyGguf::default())).unwrap();
    (dir, file)
}

/// A load that never came back: the program crashed in it, or hung and was killed.
fn end_while_loading(home: &Path, file: &Path) {
    let store = Store::open(home).unwrap().store;
    let _never_finished = store.begin_load(&stamp(file).unwrap()).unwrap();
}

#[test]
fn a_file_that_takes_the_program_down_is_set_aside_until_the_person_releases_it() {
    let (dir, file) = home();
    let named = file.display().to_string();
    let registry = Registry::open(dir.path().join("models"));
    let run = |store: &Store| registry.ready(store, &named, &Cancel::new());

    let store = Store::open(dir.path()).unwrap().store;
    let model = ImportedModel {
        id: "bad".to_owned(),
        name: "Bad".to_owned(),
        file: stamp(&file).unwrap(),
        sha256: String::new(),
        details: json!({}),
        added_at: String::new(),
    };
    store.import_model(&model).unwrap();
    drop(store);
    end_while_loading(dir.path(), &file);
    let store = Store::open(dir.path()).unwrap().store;
    assert!(run(&store).is_ok(), "once may be chance");
    drop(store);
    end_while_loading(dir.path(), &file);

    let opened = Store::open(dir.path()).unwrap();
    assert!(
        opened
            .cut_short
            .iter()
            .any(|c| c.lost.contains("under Models")),
        "the next start says so"
    );
    let store = opened.store;
    let error = run(&store).unwrap_err();
    assert!(error.message.contains("set aside"), "{}", error.message);
    assert!(error.hint.contains("models release"), "{}", error.hint);
    let entry = registry.entry(&store, "bad", "").unwrap();
    assert!(
        entry.set_aside && entry.state == ModelState::Broken,
        "{entry:?}"
    );
    registry.release(&store, "bad").unwrap();
    assert!(run(&store).is_ok(), "tried once more");
    assert!(!registry.entry(&store, "bad", "").unwrap().set_aside);
}

#[test]
fn memory_is_asked_before_a_load_and_the_person_may_insist() {
    let (dir, file) = home();
    let mut registry = Registry::open(dir.path().join("models"));
    registry.free_memory = || Some(1_000_000);
    let ready = ReadyModel {
        id: "tiny".to_owned(),
        path: file,
        sha256: String::new(),
    };
    let error = registry.opened(&ready).unwrap_err();
    assert_eq!(error.code, ErrorCode::MemoryShort);
    registry.insist(Some("another".to_owned()));
    assert!(registry.opened(&ready).is_err(), "of that one only");
    registry.insist(Some("tiny".to_owned()));
    assert!(registry.opened(&ready).is_ok());
    registry.free_memory = || Some(u64::MAX);
    registry.insisted = Mutex::default();
    assert!(registry.opened(&ready).is_ok());
}
