//! SHA-256 of files, with progress and cancellation, and records of what was verified.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use idiolect_core::UserError;
use idiolect_llm::Cancel;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{context::cancelled, errors::from_io};

/// Hex SHA-256 of a file.
///
/// # Errors
/// Reading, or the person's stop.
pub(crate) fn sha256_of(
    path: &Path,
    cancel: &Cancel,
    mut progress: impl FnMut(u64),
) -> Result<String, UserError> {
    let mut file = File::open(path).map_err(|e| from_io("Checking the file", &e))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        let n = file
            .read(&mut buffer)
            .map_err(|e| from_io("Checking the file", &e))?;
        if n == 0 {
            return Ok(hex(hasher));
        }
        hasher.update(&buffer[..n]);
        done += n as u64;
        progress(done);
    }
}

pub(crate) fn hex(hasher: Sha256) -> String {
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Written beside a file once its hash was checked, so that it is not hashed at every start. Size and
/// time of change must still be those; a file that was touched since is checked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verified {
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    changed_nanos: u128,
}

impl Verified {
    /// A record for a file as it is now.
    pub(crate) fn now(path: &Path, sha256: String) -> std::io::Result<Self> {
        let (bytes, changed_nanos) = facts(path)?;
        Ok(Self {
            sha256,
            bytes,
            changed_nanos,
        })
    }

    /// Whether the file is still the one that was checked.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        facts(path).is_ok_and(|found| found == (self.bytes, self.changed_nanos))
    }

    /// The record of a file, if there is one and it still holds.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Self::stored(path).filter(|record| record.holds(path))
    }

    /// The record beside a file, whether or not it still holds.
    pub(crate) fn stored(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(record_path(path)).ok()?).ok()
    }

    /// Stores the record beside the file.
    pub(crate) fn store(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string(self).map_err(std::io::Error::other)?;
        let record = record_path(path);
        let temporary = record.with_extension("tmp");
        std::fs::write(&temporary, text)?;
        std::fs::rename(temporary, record)
    }
}

/// `x.gguf` → `x.gguf.verified`.
pub(crate) fn record_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".verified");
    PathBuf::from(name)
}

fn facts(path: &Path) -> std::io::Result<(u64, u128)> {
    let meta = std::fs::metadata(path)?;
    let changed = meta
        .modified()?
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    Ok((meta.len(), changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_file_is_not_verified_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gguf");
        std::fs::write(&path, b"abc").unwrap();
        let hash = sha256_of(&path, &Cancel::new(), |_| {}).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            hash,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        Verified::now(&path, hash).unwrap().store(&path).unwrap();
        assert!(Verified::of(&path).is_some());
        std::fs::write(&path, b"abcd").unwrap();
        assert!(
            Verified::of(&path).is_none(),
            "a changed file must be checked again"
        );
    }
}
