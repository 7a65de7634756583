//! Models on disk: the catalog, fetching, importing, checking, loading.
//!
//! `catalog` what can be fetched · `hub` the model hub's metadata · `transfer` one verified file over
//! HTTP with resume, on top of `wire` (requests that can be stopped) and `part` (the file so far) ·
//! `package` files carried by a Python package · `verify` hashes and their records ·
//! `registry` what is here and whether it may run · `pull` fetching into it, under a `lock` ·
//! `doctor` a file in words · `load` loaded models.

mod catalog;
mod doctor;
mod hub;
mod load;
mod lock;
mod package;
#[cfg(all(test, unix))]
mod package_tests;
mod part;
mod pull;
#[cfg(test)]
mod pull_tests;
mod registry;
#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod test_hub;
#[cfg(all(test, unix))]
mod test_index;
mod transfer;
#[cfg(test)]
mod transfer_tests;
mod verify;
mod wire;

pub(crate) use load::{Writer, in_use, marked};
pub(crate) use registry::Registry;
pub(crate) use verify::{hex, sha256_of};

use std::path::PathBuf;

/// `IDIOLECT_MODELS`, else the platform's data folder; `None` where the system names none.
pub fn default_models_dir() -> Option<PathBuf> {
    std::env::var_os("IDIOLECT_MODELS")
        .map(PathBuf::from)
        .or_else(|| dirs::data_dir().map(|dir| dir.join("idiolect-models")))
}

/// The name by which transformers loads the model with this id: the catalog's, else the id itself.
pub(crate) fn name_for_transformers(id: &str) -> &str {
    catalog::find(id)
        .and_then(|model| model.transformers.as_deref())
        .unwrap_or(id)
}

/// Ids of the models that come with the studio: a writer and the sentence embedder.
pub fn default_model_ids() -> [&'static str; 2] {
    [catalog::Role::Writer, catalog::Role::Embedder]
        .map(|role| catalog::default_of(role).id.as_str())
}
