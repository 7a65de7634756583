//! A read-only memory-mapped file, shared by everything that reads weights from it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A whole file mapped read-only. Pages are read from disk on first use and shared between processes.
#[derive(Debug)]
pub struct MappedFile {
    map: memmap2::Mmap,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be opened, is empty or cannot be mapped.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        let file = File::open(path)?;
        // SAFETY: the mapping is private to reads: this crate hands out `&[u8]` only and never writes through it.
        // What Rust cannot rule out is another program changing the file while it is mapped. Every bit pattern is a
        // valid `u8` and every offset was checked against the length at opening, so changed bytes give wrong numbers,
        // not memory errors; a file *truncated* under us ends the process with SIGBUS at the next read. Idiolect never
        // rewrites a model in place (it writes a temporary name and renames, which leaves this mapping on the old
        // file), so only a foreign program that truncates the file can cause it. llama.cpp and safetensors accept the same risk.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Arc::new(Self { map }))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The bytes of `range`, or `None` when it does not lie within the file.
    pub fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        self.map.get(range)
    }

    /// Gives back the memory of `range`. Its bytes can still be read: the system fetches them again. Where that cannot be
    /// asked for, nothing happens.
    pub(crate) fn release(&self, range: Range<usize>) {
        if range.is_empty() || range.end > self.map.len() {
            return;
        }
        #[cfg(unix)]
        // SAFETY: the mapping is of a file and never written to, so a page that is dropped comes back as it was.
        let _ = unsafe {
            self.map.unchecked_advise_range(
                memmap2::UncheckedAdvice::DontNeed,
                range.start,
                range.len(),
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_against_the_file() {
        let path =
            std::env::temp_dir().join(format!("idiolect-kernels-mapped-{}", std::process::id()));
        std::fs::write(&path, b"abcdef").unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert_eq!(file.len(), 6, "the whole file is mapped");
        assert!(!file.is_empty(), "six bytes are not none");
        assert_eq!(file.bytes(2..4), Some(&b"cd"[..]), "a range within");
        assert_eq!(file.bytes(4..7), None, "a range past the end");
        drop(file);
        std::fs::remove_file(&path).unwrap();
        assert!(
            MappedFile::open(&path).is_err(),
            "a missing file is an error"
        );
    }
}
