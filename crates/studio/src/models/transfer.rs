//! One file over HTTP: resumable, checked against a promised size and SHA-256, put in place atomically.
//!
//! Nothing here knows the hub; a URL, a size and a hash come in. The partial file keeps its name
//! between attempts, with a note beside it of what was promised, so that a changed promise starts over.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::verify::{Verified, hex};
use crate::{context::cancelled, errors::from_io};

/// What the source says a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promise {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// How many times a cut connection is taken up again before the person is asked.
const ATTEMPTS: u32 = 4;

/// An HTTP client that fails fast where nobody answers.
pub(crate) fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_recv_body(None)
        .http_status_as_error(false)
        .user_agent(concat!("idiolect/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// Fetches `url` to `target`, which appears only when size and hash are right.
///
/// # Errors
/// `source_unreachable`, `checksum_mismatch` (the partial file is dropped), `disk_full` and `cancelled`
/// (it is kept for the next attempt).
pub(crate) fn fetch(
    client: &ureq::Agent,
    url: &str,
    promise: &Promise,
    target: &Path,
    cancel: &Cancel,
    mut progress: impl FnMut(u64),
) -> Result<(), UserError> {
    let partial = partial_path(target);
    if let Some(folder) = partial.parent() {
        std::fs::create_dir_all(folder).map_err(|e| from_io("Preparing the models folder", &e))?;
    }
    let mut part = Part::open(&partial, promise)?;
    refuse_full_disk(&partial, promise.bytes.saturating_sub(part.len))?;
    let mut attempt = 0;
    while part.len < promise.bytes {
        let before = part.len;
        match pull(client, url, promise, &mut part, cancel, &mut progress) {
            Ok(()) => {}
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Cut(why)) => {
                // Progress made: the next cut counts afresh.
                attempt = if part.len > before { 1 } else { attempt + 1 };
                if attempt >= ATTEMPTS {
                    return Err(unreachable(&why));
                }
                std::thread::sleep(Duration::from_millis(200 * u64::from(attempt)));
            }
        }
    }
    part.finish(promise, target)
}

/// `x.gguf` → `x.gguf.part`.
pub(crate) fn partial_path(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

enum Stop {
    /// Worth another attempt.
    Cut(String),
    Final(UserError),
}

impl From<UserError> for Stop {
    fn from(error: UserError) -> Self {
        Self::Final(error)
    }
}

fn pull(
    client: &ureq::Agent,
    url: &str,
    promise: &Promise,
    part: &mut Part,
    cancel: &Cancel,
    progress: &mut impl FnMut(u64),
) -> Result<(), Stop> {
    let mut request = client.get(url);
    if part.len > 0 {
        request = request.header("range", format!("bytes={}-", part.len));
        if let Some(etag) = &part.note.etag {
            // A file that changed under the same address is sent whole, not spliced.
            request = request.header("if-range", etag);
        }
    }
    let mut response = request.call().map_err(|e| Stop::Cut(plain(&e)))?;
    let status = response.status().as_u16();
    let etag = response
        .headers()
        .get("etag")
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned);
    match status {
        200 => part.restart(promise, etag)?,
        206 if starts_at(response.headers(), part.len) => {}
        206 | 416 => part.restart(promise, None)?,
        401 | 403 => {
            return Err(Stop::Final(UserError::new(
                ErrorCode::LicenceRequired,
                "The source refuses this file without an account that accepted its licence.",
                "Accept the licence on the model's page, download the file there, then import it: `idiolect models import FILE`.",
            )));
        }
        404 => {
            return Err(Stop::Final(UserError::new(
                ErrorCode::SourceUnreachable,
                "The source no longer has this file.",
                "Download the model elsewhere and import the file: `idiolect models import FILE`.",
            )));
        }
        other => return Err(Stop::Cut(format!("it answered with status {other}"))),
    }
    if status == 416 {
        return Err(Stop::Cut("it refused to resume".to_owned()));
    }
    let mut reader = response.body_mut().as_reader();
    let mut buffer = vec![0; 256 << 10];
    loop {
        if cancel.is_cancelled() {
            part.sync();
            return Err(Stop::Final(cancelled()));
        }
        let n = reader
            .read(&mut buffer)
            .map_err(|e| Stop::Cut(e.to_string()))?;
        if n == 0 {
            break;
        }
        if part.len + n as u64 > promise.bytes {
            part.discard();
            return Err(Stop::Final(mismatch("more bytes arrived than promised")));
        }
        part.write(&buffer[..n])?;
        progress(part.len);
    }
    if part.len < promise.bytes {
        Err(Stop::Cut("the connection was cut".to_owned()))
    } else {
        Ok(())
    }
}

fn starts_at(headers: &ureq::http::HeaderMap, offset: u64) -> bool {
    headers
        .get("content-range")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

/// What is known of a partial file, kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    promise: Promise,
    etag: Option<String>,
}

struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    hasher: Sha256,
    note: Note,
}

impl Part {
    /// Takes up a partial file of the same promise, else begins one.
    fn open(path: &Path, promise: &Promise) -> Result<Self, UserError> {
        let note = std::fs::read_to_string(note_path(path))
            .ok()
            .and_then(|text| serde_json::from_str::<Note>(&text).ok())
            .filter(|note| note.promise == *promise);
        let fresh = note.is_none();
        let note = note.unwrap_or_else(|| Note {
            promise: promise.clone(),
            etag: None,
        });
        let what = "Writing the model";
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(fresh);
        let mut file = options.open(path).map_err(|e| from_io(what, &e))?;
        let mut hasher = Sha256::new();
        let mut len = 0;
        if !fresh {
            let mut buffer = vec![0; 1 << 20];
            loop {
                let n = file.read(&mut buffer).map_err(|e| from_io(what, &e))?;
                if n == 0 {
                    break;
                }
                hasher.update(&buffer[..n]);
                len += n as u64;
            }
        }
        let mut part = Self {
            path: path.to_owned(),
            file,
            len,
            hasher,
            note,
        };
        if part.len > promise.bytes {
            part.restart(promise, None)?;
        }
        part.write_note()?;
        Ok(part)
    }

    fn restart(&mut self, promise: &Promise, etag: Option<String>) -> Result<(), UserError> {
        use std::io::Seek;
        if self.len > 0 {
            self.file
                .set_len(0)
                .map_err(|e| from_io("Writing the model", &e))?;
            self.file
                .rewind()
                .map_err(|e| from_io("Writing the model", &e))?;
            self.hasher = Sha256::new();
            self.len = 0;
        }
        self.note = Note {
            promise: promise.clone(),
            etag,
        };
        self.write_note()
    }

    fn write_note(&self) -> Result<(), UserError> {
        let text = serde_json::to_string(&self.note).unwrap_or_default();
        std::fs::write(note_path(&self.path), text).map_err(|e| from_io("Writing the model", &e))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), UserError> {
        self.file
            .write_all(bytes)
            .map_err(|e| from_io("Writing the model", &e))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Best effort: what is not on disk yet is fetched again.
    fn sync(&self) {
        let _ = self.file.sync_data();
    }

    fn discard(&self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(note_path(&self.path));
    }

    fn finish(self, promise: &Promise, target: &Path) -> Result<(), UserError> {
        let found = hex(self.hasher.clone());
        if found != promise.sha256 {
            self.discard();
            return Err(mismatch("its SHA-256 is another one"));
        }
        self.file
            .sync_all()
            .map_err(|e| from_io("Writing the model", &e))?;
        std::fs::rename(&self.path, target)
            .map_err(|e| from_io("Putting the model in place", &e))?;
        let _ = std::fs::remove_file(note_path(&self.path));
        if let Some(folder) = target.parent()
            && let Ok(folder) = File::open(folder)
        {
            // The rename itself reaches the disk.
            let _ = folder.sync_all();
        }
        Verified::now(target, found)
            .and_then(|record| record.store(target))
            .map_err(|e| from_io("Noting that the model was checked", &e))
    }
}

fn note_path(partial: &Path) -> PathBuf {
    let mut name = partial.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

fn refuse_full_disk(path: &Path, needed: u64) -> Result<(), UserError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // A folder whose free space cannot be read is tried all the same.
    let Ok(free) = fs4::available_space(folder) else {
        return Ok(());
    };
    // A little is left for the database and its journal.
    let margin = 64 << 20;
    if free < needed + margin {
        return Err(UserError::new(
            ErrorCode::DiskFull,
            format!(
                "The disk has {} MB free; this model needs {} MB more.",
                free / 1_000_000,
                (needed + margin) / 1_000_000
            ),
            "Free some space, or keep models elsewhere with --models (or IDIOLECT_MODELS).",
        ));
    }
    Ok(())
}

fn mismatch(why: &str) -> UserError {
    UserError::new(
        ErrorCode::ChecksumMismatch,
        format!("What arrived is not what was promised: {why}. It was thrown away."),
        "Try again; if it comes back, the source or the connection alters files.",
    )
}

/// Nobody answers, or not usefully.
pub(crate) fn unreachable(why: &str) -> UserError {
    UserError::new(
        ErrorCode::SourceUnreachable,
        format!("The model's source cannot be reached: {why}."),
        "Check the connection and try again (it resumes), or get the file another way and import it: `idiolect models import FILE`.",
    )
}

/// An HTTP error without the address (which may name a mirror of the person's).
pub(crate) fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name cannot be looked up".to_owned(),
        ureq::Error::ConnectionFailed => "nobody answers".to_owned(),
        ureq::Error::Timeout(_) => "it takes too long to answer".to_owned(),
        ureq::Error::Io(e) => e.kind().to_string(),
        _ => "the connection failed".to_owned(),
    }
}
