//! The model hub's metadata: which file of a repository, how large, which hash, which licence.

use idiolect_core::{ErrorCode, UserError};
use serde::Deserialize;

use super::{
    part::Promise,
    wire::{Client, Stop, unreachable},
};

/// A file of a repository, pinned to the commit it was looked up at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubFile {
    pub(crate) url: String,
    pub(crate) promise: Promise,
    /// As the hub states it now; shown before fetching.
    pub(crate) licence: Option<String>,
}

/// `HF_ENDPOINT` (the variable the hub's own tools read), else the public hub.
pub(crate) fn endpoint() -> String {
    std::env::var("HF_ENDPOINT")
        .ok()
        .filter(|url| !url.is_empty())
        .unwrap_or_else(|| "https://huggingface.co".to_owned())
        .trim_end_matches('/')
        .to_owned()
}

#[derive(Deserialize)]
struct RepositoryInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(rename = "cardData")]
    card: Option<Card>,
}

#[derive(Deserialize)]
struct Card {
    license: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

/// The repository's single GGUF file of this quantization.
///
/// # Errors
/// `source_unreachable`, `licence_required`, `not_found`.
pub(crate) fn resolve(
    client: &Client,
    endpoint: &str,
    repository: &str,
    quantization: &str,
) -> Result<HubFile, UserError> {
    let url = format!("{endpoint}/api/models/{repository}?blobs=true");
    let mut answer = client.get(&url, &[]).map_err(told)?;
    match answer.status {
        200 => {}
        401 | 403 => {
            return Err(UserError::new(
                ErrorCode::LicenceRequired,
                "The hub shows this model only to accounts that accepted its licence.",
                "Accept it on the model's page, download the file there, then import it: `idiolect models import FILE`.",
            ));
        }
        404 => {
            return Err(UserError::new(
                ErrorCode::NotFound,
                "The hub no longer has this model.",
                "Choose another, or import a file: `idiolect models import FILE`.",
            ));
        }
        status => return Err(unreachable(&format!("it answered with status {status}"))),
    }
    let mut body = Vec::new();
    while let Some(bytes) = answer.next().map_err(told)? {
        body.extend(bytes);
        if body.len() > LARGEST {
            return Err(strange());
        }
    }
    let info: RepositoryInfo = serde_json::from_slice(&body).map_err(|_| strange())?;
    let ending = format!("{quantization}.gguf").to_lowercase();
    let found = info.siblings.iter().find_map(|file| {
        let name = file.rfilename.to_lowercase();
        let whole = name.ends_with(&ending)
            // "-Q4_K_M.gguf", not "-IQ4_K_M.gguf".
            && name[..name.len() - ending.len()].ends_with(['-', '.', '_', '/']);
        whole
            .then_some(file)
            .and_then(|file| file.lfs.as_ref().map(|lfs| (file, lfs)))
    });
    let Some((file, lfs)) = found else {
        return Err(UserError::new(
            ErrorCode::NotFound,
            format!("The hub's repository has no {quantization} file any more."),
            "Choose another model, or import a file: `idiolect models import FILE`.",
        ));
    };
    let licence = info
        .card
        .and_then(|card| card.license)
        .and_then(|value| value.as_str().map(str::to_owned));
    Ok(HubFile {
        url: format!(
            "{endpoint}/{repository}/resolve/{}/{}",
            info.sha, file.rfilename
        ),
        promise: Promise {
            bytes: lfs.size,
            sha256: lfs.sha256.to_lowercase(),
        },
        licence,
    })
}

/// Metadata larger than this are not a model's.
const LARGEST: usize = 16 << 20;

fn strange() -> UserError {
    unreachable("its answer is not what a model hub sends")
}

fn told(stop: Stop) -> UserError {
    match stop {
        Stop::Cut(why) => unreachable(&why),
        Stop::Final(error) => error,
    }
}
