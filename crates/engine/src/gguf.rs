//! GGUF files. They are hostile input: every count is compared with what the file could hold before anything is
//! allocated, every offset with the file's length. No model is known here, only the container; `parse` reads it, `write` writes it.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian.

mod parse;
mod write;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    path::Path,
    sync::Arc,
};

use idiolect_kernels::{MappedFile, QMatrix, QuantType};
use idiolect_llm::{LlmError, Result};

pub(crate) use parse::refused_type;
pub(crate) use write::{Content, Metadata, NewTensor, Staged, write};

/// An opened file: its metadata and where its tensors lie. The tensors themselves stay on disk.
#[derive(Debug)]
pub struct Gguf {
    /// None where only a header was read.
    file: Option<Arc<MappedFile>>,
    bytes: usize,
    metadata: HashMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
    layout: Layout,
}

/// Where the metadata stand, for files that take them over.
#[derive(Debug, Clone)]
struct Layout {
    version: u32,
    entries: u64,
    metadata: Range<usize>,
    alignment: u64,
}

/// A metadata value; integers are widened, nested arrays refused.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

/// Where a tensor lies and how it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Dimensions as the file writes them: the contiguous one (inputs) first.
    pub dimensions: Vec<usize>,
    /// How its blocks are stored.
    pub ty: QuantType,
    /// Byte offset in the file.
    pub offset: usize,
    /// Bytes it takes.
    pub bytes: usize,
}

impl TensorInfo {
    /// Values it holds.
    pub fn values(&self) -> usize {
        self.dimensions.iter().product()
    }
}

pub(crate) fn corrupt(what: impl Into<String>) -> LlmError {
    LlmError::Corrupt(what.into())
}

/// A name from a file as messages may hold it: short, and without letters that do something to a terminal.
pub(crate) fn shown(name: &str) -> String {
    const LONGEST: usize = 60;
    let letters = name
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = letters.take(LONGEST).collect();
    if name.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// A file looked at part by part: what is sound of it, and what is not.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The metadata and those tensors that are sound.
    pub(crate) gguf: Gguf,
    /// Version of the format.
    pub(crate) version: u32,
    /// Tensors that the header names.
    pub(crate) tensors: usize,
    /// Bytes after the last tensor.
    pub(crate) unused: usize,
    /// Names of tensors whose storage type is not read here, with its number.
    pub(crate) unknown_types: Vec<(String, u32)>,
    /// What is wrong with the table or a tensor in it.
    pub(crate) damage: Vec<LlmError>,
}

impl Gguf {
    /// Opens, maps and checks the file at `path`.
    ///
    /// # Errors
    /// [`LlmError::Io`] when it cannot be read, [`LlmError::Corrupt`] when it is not a whole GGUF file,
    /// [`LlmError::Unsupported`] for versions or tensor types that are not read here.
    pub fn open(path: &Path) -> Result<Self> {
        let file = map(path)?;
        let bytes = file.bytes(0..file.len()).unwrap_or_default();
        let gguf = Self::from_bytes(bytes)?;
        Ok(Self {
            file: Some(file),
            ..gguf
        })
    }

    /// Reads a file that lies in memory: everything but its tensors can be asked for.
    ///
    /// # Errors
    /// As [`Gguf::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (metadata, tensors, layout) = parse::parse(bytes)?;
        Ok(Self {
            file: None,
            bytes: bytes.len(),
            metadata,
            tensors,
            layout,
        })
    }

    /// Looks at a file part by part and goes on where [`Gguf::open`] would refuse it.
    ///
    /// # Errors
    /// As [`Gguf::open`], for what makes reading on senseless: everything up to the tensor table.
    pub(crate) fn survey(path: &Path) -> Result<Survey> {
        let file = map(path)?;
        let survey = parse::survey(file.bytes(0..file.len()).unwrap_or_default())?;
        Ok(Survey {
            gguf: Self {
                file: Some(file),
                ..survey.gguf
            },
            ..survey
        })
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> usize {
        self.bytes
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// A text, if there is one.
    ///
    /// # Errors
    /// When the value is not a text.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(corrupt(format!("{key} is not a text"))),
        }
    }

    /// A whole number that is not negative, if there is one.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Integer(n)) => usize::try_from(*n)
                .map(Some)
                .map_err(|_| corrupt(format!("{key} is {n}"))),
            Some(_) => Err(corrupt(format!("{key} is not a whole number"))),
        }
    }

    /// A number, if there is one.
    ///
    /// # Errors
    /// When the value is not a finite number.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Integer(n)) => Ok(Some(*n as f64)),
            Some(Value::Float(x)) if x.is_finite() => Ok(Some(*x)),
            Some(_) => Err(corrupt(format!("{key} is not a finite number"))),
        }
    }

    /// A yes or no, if there is one.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Bool(b)) => Ok(Some(*b)),
            Some(_) => Err(corrupt(format!("{key} is neither true nor false"))),
        }
    }

    /// A list of texts, if there is one.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Texts(texts)) => Ok(Some(texts)),
            Some(_) => Err(corrupt(format!("{key} is not a list of texts"))),
        }
    }

    /// A list of numbers, if there is one.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn numbers(&self, key: &str) -> Result<Option<&[f64]>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Numbers(numbers)) => Ok(Some(numbers)),
            Some(_) => Err(corrupt(format!("{key} is not a list of numbers"))),
        }
    }

    /// The matrix `name`, which must be `[rows, cols]`. Its blocks stay in the mapped file.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<QMatrix> {
        let info = self.expect(name, &[cols, rows])?;
        QMatrix::from_mapped(info.ty, rows, cols, self.mapped()?, info.offset)
            .map_err(|e| corrupt(format!("{name}: {e}")))
    }

    /// The stored bytes of a tensor.
    ///
    /// # Errors
    /// When only the header was read.
    pub(crate) fn bytes_of(&self, info: &TensorInfo) -> Result<&[u8]> {
        let file = self.file.as_ref().ok_or_else(only_header)?;
        // Checked when the file was opened.
        Ok(file
            .bytes(info.offset..info.offset + info.bytes)
            .unwrap_or_default())
    }

    /// The vector `name` as f32.
    ///
    /// # Errors
    /// When it is missing or has another length.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        let info = self.expect(name, &[length])?;
        QMatrix::from_mapped(info.ty, 1, length, self.mapped()?, info.offset)
            .map(|m| m.dequantize())
            .map_err(|e| corrupt(format!("{name}: {e}")))
    }

    fn mapped(&self) -> Result<Arc<MappedFile>> {
        self.file.clone().ok_or_else(only_header)
    }

    fn expect(&self, name: &str, dimensions: &[usize]) -> Result<&TensorInfo> {
        let info = self
            .tensors
            .get(name)
            .ok_or_else(|| corrupt(format!("the tensor {name} is missing")))?;
        if info.dimensions != dimensions {
            return Err(corrupt(format!(
                "the tensor {name} is {:?}, but the metadata make it {dimensions:?}",
                info.dimensions
            )));
        }
        Ok(info)
    }
}

fn only_header() -> LlmError {
    LlmError::Failed("only the header was read".into())
}

fn map(path: &Path) -> Result<Arc<MappedFile>> {
    if std::fs::metadata(path)?.len() == 0 {
        return Err(corrupt("the file is empty"));
    }
    Ok(MappedFile::open(path)?)
}
