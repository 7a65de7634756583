//! One file over HTTP: resumed where it was cut, checked against a promised size and SHA-256, put in place
//! atomically.
//!
//! Nothing here knows the hub; a URL, a size and a hash come in.

use std::{path::Path, time::Duration};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;

use super::{
    part::{Part, Promise, mismatch, partial_path, refuse_full_disk},
    wire::{Client, Stop, unreachable},
};
use crate::{context::cancelled, errors::from_io};

/// How many times a cut connection is taken up again before the person is asked.
const ATTEMPTS: u32 = 4;

/// Fetches `url` to `target`, which appears only when size and hash are right.
///
/// # Errors
/// `source_unreachable`, `checksum_mismatch` (the partial file is dropped), `disk_full` and `cancelled`
/// (it is kept for the next attempt).
pub(crate) fn fetch(
    client: &Client,
    url: &str,
    promise: &Promise,
    target: &Path,
    cancel: &Cancel,
    mut progress: impl FnMut(u64),
) -> Result<(), UserError> {
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| from_io("Preparing the models folder", &e))?;
    let mut part = Part::open(&partial_path(target), promise, cancel)?;
    refuse_full_disk(folder, promise.bytes.saturating_sub(part.len))?;
    let mut furthest = part.len;
    let mut attempt = 0;
    while part.len < promise.bytes {
        match pull(client, url, promise, &mut part, &mut progress) {
            Ok(()) => {}
            Err(Stop::Final(error)) => {
                // What came so far is taken up next time.
                part.sync();
                return Err(error);
            }
            Err(Stop::Cut(why)) => {
                // Further than ever: the next cut counts afresh.
                attempt = if part.len > furthest { 1 } else { attempt + 1 };
                furthest = furthest.max(part.len);
                if attempt >= ATTEMPTS {
                    return Err(unreachable(&why));
                }
                pause(attempt, cancel)?;
            }
        }
    }
    part.finish(promise, target)
}

/// A little longer after each cut.
fn pause(attempt: u32, cancel: &Cancel) -> Result<(), UserError> {
    for _ in 0..4 * attempt {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// One request, from where the part ends to the end of the file.
fn pull(
    client: &Client,
    url: &str,
    promise: &Promise,
    part: &mut Part,
    progress: &mut impl FnMut(u64),
) -> Result<(), Stop> {
    let mut headers = Vec::new();
    if part.len > 0 {
        headers.push(("range", format!("bytes={}-", part.len)));
        if let Some(etag) = part.etag() {
            // A file that changed under the same address is sent whole, not spliced.
            headers.push(("if-range", etag.to_owned()));
        }
    }
    let mut answer = client.get(url, &headers)?;
    match answer.status {
        200 => part.restart(promise, answer.header("etag").map(str::to_owned))?,
        206 if answer
            .header("content-range")
            .is_some_and(|range| range.starts_with(&format!("bytes {}-", part.len))) => {}
        206 | 416 => {
            part.restart(promise, None)?;
            return Err(Stop::Cut("it refused to resume".to_owned()));
        }
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
    while let Some(bytes) = answer.next()? {
        if part.len + bytes.len() as u64 > promise.bytes {
            part.discard();
            return Err(Stop::Final(mismatch("more bytes arrived than promised")));
        }
        part.write(&bytes)?;
        progress(part.len);
    }
    if part.len < promise.bytes {
        Err(Stop::Cut("the connection was cut".to_owned()))
    } else {
        Ok(())
    }
}
