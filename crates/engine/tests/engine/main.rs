//! The engine on tiny random models, on hostile files, and — where `IDIOLECT_MODELS` names a folder with it — on the
//! default model against recorded figures of other engines.

mod architectures;
mod decoder;
mod doctor;
mod exports;
mod files;
mod forms;
mod lora;
mod real_model;
mod recorded;
mod rows;
mod steering;
mod text_model;
mod train;

use std::path::PathBuf;

use idiolect_engine::{Engine, Level, LoadedModel};
use idiolect_llm::{
    DeviceWish,
    testing::{TinyGguf, tiny_gguf},
};

/// A tiny model on the processor.
fn tiny(config: &TinyGguf) -> LoadedModel {
    load(&tiny_gguf(config), DeviceWish::Cpu).expect("a sound file loads")
}

/// The same with instructions of one level.
fn tiny_at(config: &TinyGguf, level: Level) -> LoadedModel {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, tiny_gguf(config)).expect("the file is written");
    Engine::load_at_level(&path, "tiny", level).expect("a sound file loads")
}

fn load(bytes: &[u8], wish: DeviceWish) -> idiolect_llm::Result<LoadedModel> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("the file is written");
    // The mapping outlives the folder: the system keeps a removed file while it is mapped.
    Engine::load(&path, "tiny", wish)
}

/// Devices to run a test body on: the processor, and a GPU where this build and machine have one.
fn devices() -> Vec<DeviceWish> {
    let mut devices = vec![DeviceWish::Cpu];
    for (built, wish) in [
        (cfg!(feature = "cuda"), DeviceWish::Cuda),
        (cfg!(feature = "metal"), DeviceWish::Metal),
    ] {
        if built && load(&tiny_gguf(&TinyGguf::default()), wish).is_ok() {
            devices.push(wish);
        } else if built {
            println!("skipped on {wish:?}: no such device here");
        }
    }
    devices
}

/// A file of tests/fixtures at the top of the repository.
fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
