//! Reading a file with progress, cancellation and a size limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::{ImportError, Progress};

/// A file being read, telling the person how far it has come.
pub(crate) struct Source<'a> {
    file: File,
    done: u64,
    pub(crate) total: u64,
    progress: Progress<'a>,
}

/// Marks the IO error with which a cancelled read ends, on its way through parsers that know only `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("cancelled")]
struct CancelMark;

impl<'a> Source<'a> {
    /// Opens a file at its beginning.
    ///
    /// # Errors
    /// [`ImportError::Io`] for what cannot be opened or is not a regular file, [`ImportError::Empty`] at 0 bytes.
    pub(crate) fn open(path: &Path, progress: Progress<'a>) -> Result<Self, ImportError> {
        // Asked before opening: opening a pipe would wait for its other end for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(ImportError::Io(io::Error::other(
                "it is not a regular file",
            )));
        }
        let file = File::open(path)?;
        let total = file.metadata()?.len();
        match total {
            0 => Err(ImportError::Empty),
            _ => Ok(Self {
                file,
                done: 0,
                total,
                progress,
            }),
        }
    }

    /// The first bytes of the file, at most `most`; reading begins at the start again afterwards.
    pub(crate) fn head(&mut self, most: u64) -> Result<Vec<u8>, ImportError> {
        let mut head = Vec::new();
        (&mut self.file).take(most).read_to_end(&mut head)?;
        io::Seek::rewind(&mut self.file)?;
        Ok(head)
    }

    /// The whole file, unless it is larger than `limit`.
    pub(crate) fn whole(&mut self, limit: u64) -> Result<Vec<u8>, ImportError> {
        self.check_size(limit)?;
        let mut bytes = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let n = self.read(&mut piece)?;
            if n == 0 {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&piece[..n]);
            // The file may have grown since its size was asked.
            if bytes.len() as u64 > limit {
                return Err(ImportError::TooLarge {
                    bytes: bytes.len() as u64,
                    limit,
                });
            }
        }
    }

    /// Refuses a file that is larger than `limit`.
    pub(crate) fn check_size(&self, limit: u64) -> Result<(), ImportError> {
        match self.total > limit {
            true => Err(ImportError::TooLarge {
                bytes: self.total,
                limit,
            }),
            false => Ok(()),
        }
    }
}

/// How much is read between two looks at whether to go on.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if (self.progress)(self.done.min(self.total), self.total).is_break() {
            return Err(io::Error::other(CancelMark));
        }
        let n = self.file.read(into)?;
        self.done += n as u64;
        if n == 0 && (self.progress)(self.total, self.total).is_break() {
            return Err(io::Error::other(CancelMark));
        }
        Ok(n)
    }
}

impl From<io::Error> for ImportError {
    fn from(error: io::Error) -> Self {
        match error
            .get_ref()
            .is_some_and(|inner| inner.is::<CancelMark>())
        {
            true => Self::Cancelled,
            false => Self::Io(error),
        }
    }
}
