//! Writing GGUF files: metadata first, then tensor after tensor as their bytes are made, so that a file of any size is never in
//! memory. Metadata taken over from another file are its bytes.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use idiolect_kernels::QuantType;
use idiolect_llm::{LlmError, Result};

use super::{Gguf, parse::DEFAULT_ALIGNMENT};

const VERSION: u32 = 3;
/// Bytes gathered before the system is called.
const BUFFER: usize = 1 << 20;

/// What stands before the tensor table.
pub(crate) struct Metadata {
    version: u32,
    entries: u64,
    bytes: Vec<u8>,
    alignment: u64,
}

impl Metadata {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            version: VERSION,
            entries: 0,
            bytes: Vec::new(),
            alignment: DEFAULT_ALIGNMENT,
        }
    }

    /// Those of another file, byte for byte.
    ///
    /// # Errors
    /// When only the header of that file was read.
    pub(crate) fn of(gguf: &Gguf) -> Result<Self> {
        let layout = &gguf.layout;
        let file = gguf.mapped()?;
        Ok(Self {
            version: layout.version,
            entries: layout.entries,
            bytes: file
                .bytes(layout.metadata.clone())
                .unwrap_or_default()
                .to_vec(),
            alignment: layout.alignment,
        })
    }

    fn key(&mut self, key: &str, ty: u32) {
        self.entries += 1;
        put_text(&mut self.bytes, key);
        self.bytes.extend(ty.to_le_bytes());
    }

    /// Adds a text.
    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key, 8);
        put_text(&mut self.bytes, value);
        self
    }

    /// Adds a number.
    pub(crate) fn float(mut self, key: &str, value: f32) -> Self {
        self.key(key, 6);
        self.bytes.extend(value.to_le_bytes());
        self
    }
}

/// A tensor to write.
pub(crate) struct NewTensor<'a> {
    pub(crate) name: String,
    /// The contiguous one first.
    pub(crate) dimensions: Vec<usize>,
    pub(crate) ty: QuantType,
    pub(crate) content: Content<'a>,
}

/// Writes a tensor's bytes.
type Make<'a> = dyn Fn(&mut dyn Write) -> Result<()> + 'a;

/// Where a tensor's bytes come from.
pub(crate) enum Content<'a> {
    /// They are there.
    Bytes(&'a [u8]),
    /// They are made while the file is written, as many as the type and the dimensions need.
    Made(Box<Make<'a>>),
}

impl NewTensor<'_> {
    fn bytes(&self) -> u64 {
        let values: usize = self.dimensions.iter().product();
        (values / self.ty.block_size() * self.ty.block_bytes()) as u64
    }
}

/// Writes a file and waits until the disk has it.
///
/// # Errors
/// When writing fails, or a tensor's content is not as long as its shape says.
pub(crate) fn write(path: &Path, metadata: &Metadata, tensors: &[NewTensor<'_>]) -> Result<()> {
    let mut head = b"GGUF".to_vec();
    head.extend(metadata.version.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend(metadata.entries.to_le_bytes());
    head.extend(&metadata.bytes);
    let mut offset = 0;
    for tensor in tensors {
        put_text(&mut head, &tensor.name);
        head.extend((tensor.dimensions.len() as u32).to_le_bytes());
        for &n in &tensor.dimensions {
            head.extend((n as u64).to_le_bytes());
        }
        head.extend(number(tensor.ty).to_le_bytes());
        head.extend(u64::to_le_bytes(offset));
        offset = (offset + tensor.bytes()).next_multiple_of(metadata.alignment);
    }
    let mut out = Counted {
        out: BufWriter::with_capacity(BUFFER, File::create(path)?),
        written: 0,
    };
    out.write_all(&head)?;
    for tensor in tensors {
        out.pad_to(metadata.alignment)?;
        let begin = out.written;
        match &tensor.content {
            Content::Bytes(bytes) => out.write_all(bytes)?,
            Content::Made(make) => make(&mut out)?,
        }
        if out.written - begin != tensor.bytes() {
            return Err(LlmError::Failed(format!(
                "the tensor {} was to have {} bytes and got {}",
                tensor.name,
                tensor.bytes(),
                out.written - begin
            )));
        }
    }
    // Readers expect the last tensor to be padded too.
    out.pad_to(metadata.alignment)?;
    out.out.flush()?;
    Ok(out.out.get_ref().sync_all()?)
}

/// A type's number in the tensor table.
fn number(ty: QuantType) -> u32 {
    const BEYOND: u32 = 256;
    (0..BEYOND)
        .find(|&n| QuantType::from_ggml(n) == Some(ty))
        .unwrap_or(BEYOND)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

struct Counted {
    out: BufWriter<File>,
    written: u64,
}

impl Counted {
    fn pad_to(&mut self, alignment: u64) -> Result<()> {
        let padding = self.written.next_multiple_of(alignment) - self.written;
        Ok(self.write_all(&vec![0; padding as usize])?)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// A file or folder under a temporary name beside its own, removed again unless it is kept.
pub(crate) struct Staged {
    path: PathBuf,
    temporary: PathBuf,
    kept: bool,
}

impl Staged {
    /// For what is to be at `path`, whose folder is made if need be. A name that an ended program left is taken over.
    ///
    /// # Errors
    /// When `path` has no name, or its folder cannot be made.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(LlmError::Failed(
                "the place to write to has no name; choose a file name".into(),
            ));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".part");
        let staged = Self {
            path: path.to_owned(),
            temporary: path.with_file_name(hidden),
            kept: false,
        };
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        staged.remove();
        Ok(staged)
    }

    /// Where to write.
    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Gives it its name, in the place of a file of that name.
    ///
    /// # Errors
    /// When renaming fails, as onto a folder that is not empty.
    pub(crate) fn keep(mut self) -> Result<()> {
        fs::rename(&self.temporary, &self.path)?;
        self.kept = true;
        #[cfg(unix)]
        if let Some(parent) = self.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    fn remove(&self) {
        // Whatever is left is of no use; that nothing is there is the usual case.
        let _ = fs::remove_file(&self.temporary);
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            self.remove();
        }
    }
}
