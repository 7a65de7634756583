//! Models as the fronts see them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Whether a model can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// In the catalog, not fetched.
    Available,
    /// Fetched in part; a pull resumes.
    Partial,
    /// Verified and ready.
    Ready,
    /// Imported in place, verified when it was added.
    Imported,
    /// The file is gone, changed or crashed the loader; see `note`.
    Broken,
}

/// A model the studio knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ModelEntry {
    /// Id for `--model`.
    pub id: String,
    /// Name.
    pub name: String,
    /// "writer" for language models, "embedder" for the sentence embedder.
    pub role: String,
    /// What it is good for, in words.
    pub about: String,
    /// Size in bytes, where known.
    pub bytes: Option<u64>,
    /// Parameters in words: "135 million".
    pub parameters: String,
    /// Licence name.
    pub licence: String,
    /// Where the licence's text stands; empty for files of the person's own.
    pub licence_url: String,
    /// Whether the licence has to be accepted before fetching.
    pub licence_gate: bool,
    /// Where it comes from: an address to read more at, or a package.
    pub source: String,
    /// Whether this version can run it; it is not fetched otherwise.
    pub supported: bool,
    /// Whether it can be used.
    pub state: ModelState,
    /// Whether it is the one used where none is named.
    pub in_use: bool,
    /// SHA-256 of the file, where known.
    pub sha256: Option<String>,
    /// Quantization and context in words, once the file is there.
    pub details: String,
    /// Something to know, in words; empty when all is well.
    pub note: String,
    /// Set aside because loading it ended the studio; `model_release` lets it be tried again.
    pub set_aside: bool,
    /// What it takes of the free memory, in words; `model_show` says it, lists leave it empty.
    pub memory: String,
    /// Where it would run and why, a sentence; as `memory`.
    pub device: String,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FindingVerdict {
    /// As it should be.
    Ok,
    /// It works, but not everything will, or not as well.
    Warning,
    /// It cannot be used as it is.
    Broken,
}

/// One check of a model file in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Finding {
    /// What was looked at: "tensors", "chat template".
    pub name: String,
    /// How it ended.
    pub verdict: FindingVerdict,
    /// What was found.
    pub found: String,
    /// What that means for reading and writing with it; empty when all is well.
    pub means: String,
    /// What to do next; empty where there is nothing to do.
    pub next: String,
}

/// What checking a model file found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct DoctorReport {
    /// Whether it can be used.
    pub usable: bool,
    /// One sentence.
    pub verdict: String,
    /// Each check: name, passed, words. A warning has not passed.
    pub checks: Vec<(String, bool, String)>,
    /// The same, with what each means and what to do next.
    pub findings: Vec<Finding>,
}
