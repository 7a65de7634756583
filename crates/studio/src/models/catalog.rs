//! The shipped catalog, `models/catalog.toml`: which models can be fetched and from where.

use std::sync::OnceLock;

use serde::Deserialize;

/// What a model is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Writer,
    Embedder,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Embedder => "embedder",
        }
    }
}

/// One entry.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CatalogModel {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Fetched with the studio itself.
    #[serde(default)]
    pub(crate) default: bool,
    pub(crate) about: String,
    pub(crate) parameters: String,
    pub(crate) architecture: String,
    /// The hub's name of the same model as transformers loads it.
    pub(crate) transformers: Option<String>,
    /// File or folder name under the models folder.
    pub(crate) file: String,
    /// Of the main file, where known beforehand.
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<String>,
    pub(crate) licence: String,
    /// Where its text stands.
    pub(crate) licence_url: String,
    /// What the hub calls it, for models that come from there.
    pub(crate) licence_tag: Option<String>,
    #[serde(default)]
    pub(crate) licence_gate: bool,
    pub(crate) source: Source,
}

impl CatalogModel {
    /// Bytes of all its files, where known beforehand.
    pub(crate) fn size(&self) -> Option<u64> {
        match &self.source {
            Source::PythonPackage { members, .. } => Some(members.iter().map(|m| m.bytes).sum()),
            Source::Hub { .. } => self.bytes,
        }
    }
}

/// Where it comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Source {
    /// Files inside a Python package's wheel.
    PythonPackage {
        package: String,
        version: String,
        members: Vec<Member>,
    },
    /// A repository on the model hub; the file is the one of this quantization.
    Hub {
        repository: String,
        quantization: String,
    },
}

/// One file of a package, pinned.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Member {
    /// Path inside the wheel.
    pub(crate) path: String,
    /// Path under the models folder.
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

#[derive(Deserialize)]
struct CatalogFile {
    model: Vec<CatalogModel>,
}

/// All entries, in the order they are shown.
pub(crate) fn catalog() -> &'static [CatalogModel] {
    static CATALOG: OnceLock<Vec<CatalogModel>> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let file: CatalogFile = toml::from_str(include_str!("../../../../models/catalog.toml"))
            .expect("the shipped catalog parses (tested)");
        file.model
    })
}

/// The entry with this id.
pub(crate) fn find(id: &str) -> Option<&'static CatalogModel> {
    catalog().iter().find(|model| model.id == id)
}

/// The entry of this role that comes with the studio.
pub(crate) fn default_of(role: Role) -> &'static CatalogModel {
    catalog()
        .iter()
        .find(|model| model.default && model.role == role)
        .expect("the shipped catalog has a default of each role (tested)")
}

/// What is fetched together with a model: the sentence embedder with the default writer.
pub(crate) fn companion(model: &CatalogModel) -> Option<&'static CatalogModel> {
    (model.default && model.role == Role::Writer).then(|| default_of(Role::Embedder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_is_whole() {
        assert_eq!(default_of(Role::Writer).id, "smollm2-135m-instruct");
        assert_eq!(default_of(Role::Embedder).id, "all-minilm-l6-v2");
        let along = companion(default_of(Role::Writer)).map(|model| model.id.as_str());
        assert_eq!(
            along,
            Some("all-minilm-l6-v2"),
            "the default writer brings the embedder along"
        );
        assert!(companion(default_of(Role::Embedder)).is_none());
        for model in catalog() {
            let twins = catalog()
                .iter()
                .filter(|m| m.id == model.id || m.file == model.file)
                .count();
            assert_eq!(twins, 1, "{} shares its id or file with another", model.id);
            assert!(
                model.licence_url.starts_with("https://"),
                "{} does not say where its licence stands",
                model.id
            );
            if matches!(model.source, Source::Hub { .. }) {
                assert!(
                    model.licence_tag.is_some(),
                    "{} cannot be compared with what the hub says",
                    model.id
                );
            }
            if let Source::PythonPackage { members, .. } = &model.source {
                assert_eq!(
                    (Some(&members[0].sha256), Some(members[0].bytes)),
                    (model.sha256.as_ref(), model.bytes),
                    "the first file of {} is not its main one",
                    model.id
                );
                for member in members {
                    assert_eq!(member.sha256.len(), 64, "{} lacks a hash", member.file);
                    assert!(
                        member.file.starts_with(&model.file),
                        "{} lies outside its model",
                        member.file
                    );
                }
                assert!(
                    model.bytes.is_some() && model.sha256.is_some(),
                    "{} is not pinned",
                    model.id
                );
            }
        }
    }
}
