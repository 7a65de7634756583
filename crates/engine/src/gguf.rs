//! Reading GGUF files, which are hostile input: every count is compared with what the file could hold before anything is
//! allocated, every offset with the file's length. No model is known here, only the container.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use idiolect_kernels::{MappedFile, QMatrix, QuantType};
use idiolect_llm::{LlmError, Result};

/// Most metadata values or tensors; the largest models published have about two thousand tensors.
const MAX_ENTRIES: u64 = 65_536;
/// Longest key or tensor name, bytes (the format's own limit on keys).
const MAX_NAME_BYTES: u64 = 65_535;
/// Longest text value, bytes; a chat template has some thousands.
const MAX_TEXT_BYTES: u64 = 4 << 20;
/// Most elements of an array; the largest vocabularies have about 260,000 tokens and 500,000 merges.
const MAX_ELEMENTS: u64 = 4 << 20;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;
/// Alignment of tensors where the file does not say.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Largest alignment taken seriously.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// An opened file: its metadata and where its tensors lie. The tensors themselves stay on disk.
#[derive(Debug)]
pub struct Gguf {
    file: Arc<MappedFile>,
    metadata: HashMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
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

impl Gguf {
    /// Opens, maps and checks the file at `path`.
    ///
    /// # Errors
    /// [`LlmError::Io`] when it cannot be read, [`LlmError::Corrupt`] when it is not a whole GGUF file,
    /// [`LlmError::Unsupported`] for versions or tensor types that are not read here.
    pub fn open(path: &Path) -> Result<Self> {
        if std::fs::metadata(path)?.len() == 0 {
            return Err(corrupt("the file is empty"));
        }
        let file = MappedFile::open(path)?;
        let bytes = file.bytes(0..file.len()).unwrap_or_default();
        let (metadata, tensors) = parse(bytes)?;
        Ok(Self {
            metadata,
            tensors,
            file,
        })
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> usize {
        self.file.len()
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
        QMatrix::from_mapped(info.ty, rows, cols, self.file.clone(), info.offset)
            .map_err(|e| corrupt(format!("{name}: {e}")))
    }

    /// The vector `name` as f32.
    ///
    /// # Errors
    /// When it is missing or has another length.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        let info = self.expect(name, &[length])?;
        QMatrix::from_mapped(info.ty, 1, length, self.file.clone(), info.offset)
            .map(|m| m.dequantize())
            .map_err(|e| corrupt(format!("{name}: {e}")))
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

/// A position in bytes that may end at any moment.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn remaining(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8]> {
        if n > self.remaining() {
            return Err(corrupt(format!(
                "it ends at byte {}, in the middle of its header; the download may be incomplete",
                self.bytes.len()
            )));
        }
        let taken = &self.bytes[self.at..self.at + n as usize];
        self.at += n as usize;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self, most: u64) -> Result<String> {
        let length = self.u64()?;
        if length > most {
            return Err(corrupt(format!(
                "a text of {length} bytes where {most} are allowed"
            )));
        }
        // A few published files cut names inside a character; nothing here depends on those.
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn scalar(&mut self, ty: u32) -> Result<Value> {
        Ok(match ty {
            0 => Value::Integer(u8::from_le_bytes(self.array()?).into()),
            1 => Value::Integer(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Integer(self.u32()?.into()),
            5 => Value::Integer(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text(MAX_TEXT_BYTES)?),
            10 => Value::Integer(self.u64()?.into()),
            11 => Value::Integer(i64::from_le_bytes(self.array()?).into()),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => {
                return Err(corrupt(format!(
                    "a metadata value has the unknown type {other}"
                )));
            }
        })
    }

    fn value(&mut self) -> Result<Value> {
        const ARRAY: u32 = 9;
        let ty = self.u32()?;
        if ty != ARRAY {
            return self.scalar(ty);
        }
        let (element, n) = (self.u32()?, self.u64()?);
        let smallest = match element {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            other => {
                return Err(corrupt(format!(
                    "a list of the unknown or nested type {other}"
                )));
            }
        };
        if n > MAX_ELEMENTS || n > self.remaining() / smallest {
            return Err(corrupt(format!(
                "a list of {n} elements, which the file cannot hold"
            )));
        }
        if element == 8 {
            let mut texts = Vec::with_capacity(n as usize);
            for _ in 0..n {
                texts.push(self.text(MAX_TEXT_BYTES)?);
            }
            return Ok(Value::Texts(texts));
        }
        let mut numbers = Vec::with_capacity(n as usize);
        for _ in 0..n {
            numbers.push(match self.scalar(element)? {
                Value::Integer(i) => i as f64,
                Value::Float(x) => x,
                Value::Bool(b) => f64::from(u8::from(b)),
                Value::Text(_) | Value::Texts(_) | Value::Numbers(_) => 0.0, // not reached: the element is a number
            });
        }
        Ok(Value::Numbers(numbers))
    }
}

type Parsed = (HashMap<String, Value>, BTreeMap<String, TensorInfo>);

fn parse(bytes: &[u8]) -> Result<Parsed> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.remaining() < 24 || cursor.array::<4>()? != *b"GGUF" {
        return Err(corrupt("it is not a GGUF file"));
    }
    match cursor.u32()? {
        2 | 3 => {}
        version if version.swap_bytes() <= 3 => {
            return Err(LlmError::Unsupported("it is a big-endian GGUF file".into()));
        }
        version => {
            return Err(LlmError::Unsupported(format!(
                "it is GGUF version {version}; versions 2 and 3 are read"
            )));
        }
    }
    let (tensor_count, metadata_count) = (cursor.u64()?, cursor.u64()?);
    if tensor_count > MAX_ENTRIES || metadata_count > MAX_ENTRIES {
        return Err(corrupt(format!(
            "it claims {tensor_count} tensors and {metadata_count} metadata values"
        )));
    }
    let mut metadata = HashMap::new();
    for _ in 0..metadata_count {
        let key = cursor.text(MAX_NAME_BYTES)?;
        let value = cursor.value()?;
        if metadata.contains_key(&key) {
            return Err(corrupt(format!(
                "the metadata value {key} stands there twice"
            )));
        }
        metadata.insert(key, value);
    }
    let alignment = match metadata.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(Value::Integer(n)) => u64::try_from(*n)
            .ok()
            .filter(|n| n.is_power_of_two() && *n <= MAX_ALIGNMENT)
            .ok_or_else(|| corrupt(format!("its alignment is {n}")))?,
        Some(_) => return Err(corrupt("its alignment is not a number")),
    };
    let mut tensors = BTreeMap::new();
    for _ in 0..tensor_count {
        let name = cursor.text(MAX_NAME_BYTES)?;
        let info = tensor_info(&mut cursor, &name, alignment)?;
        if tensors.contains_key(&name) {
            return Err(corrupt(format!("the tensor {name} stands there twice")));
        }
        tensors.insert(name, info);
    }
    let start = (cursor.at as u64).next_multiple_of(alignment) as usize;
    place(&mut tensors, start, bytes.len())?;
    Ok((metadata, tensors))
}

/// Reads one row of the tensor table; the offset is still relative to the tensor data.
fn tensor_info(cursor: &mut Cursor<'_>, name: &str, alignment: u64) -> Result<TensorInfo> {
    let rank = cursor.u32()?;
    if rank == 0 || rank > MAX_DIMENSIONS {
        return Err(corrupt(format!("the tensor {name} has {rank} dimensions")));
    }
    let mut dimensions = Vec::with_capacity(rank as usize);
    for _ in 0..rank {
        let n = usize::try_from(cursor.u64()?).ok().filter(|&n| n > 0);
        dimensions.push(
            n.ok_or_else(|| corrupt(format!("the tensor {name} has an impossible dimension")))?,
        );
    }
    let number = cursor.u32()?;
    let offset = cursor.u64()?;
    let ty = QuantType::from_ggml(number).ok_or_else(|| {
        LlmError::Unsupported(format!(
            "the tensor {name} has the storage type {number}, which is not read here; \
             F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K are"
        ))
    })?;
    if !dimensions[0].is_multiple_of(ty.block_size()) {
        return Err(corrupt(format!(
            "the rows of the tensor {name} are not whole {} blocks",
            ty.name()
        )));
    }
    let bytes = dimensions[1..]
        .iter()
        .try_fold(dimensions[0] / ty.block_size(), |n, &d| n.checked_mul(d))
        .and_then(|blocks| blocks.checked_mul(ty.block_bytes()));
    let (Some(bytes), Ok(offset)) = (bytes, usize::try_from(offset)) else {
        return Err(corrupt(format!(
            "the tensor {name} is larger than any memory"
        )));
    };
    if !(offset as u64).is_multiple_of(alignment) {
        return Err(corrupt(format!(
            "the tensor {name} starts at {offset}, off its alignment"
        )));
    }
    Ok(TensorInfo {
        dimensions,
        ty,
        offset,
        bytes,
    })
}

/// Turns relative offsets into offsets in the file; refuses tensors that overlap or reach past its end.
fn place(tensors: &mut BTreeMap<String, TensorInfo>, start: usize, file: usize) -> Result<()> {
    let mut ranges = Vec::with_capacity(tensors.len());
    for (name, info) in tensors.iter_mut() {
        let end = info
            .offset
            .checked_add(start)
            .and_then(|o| o.checked_add(info.bytes));
        if end.is_none_or(|end| end > file) {
            return Err(corrupt(format!(
                "the tensor {name} reaches past the end of the file ({file} bytes); the download may be incomplete"
            )));
        }
        info.offset += start;
        ranges.push((info.offset, info.offset + info.bytes, name));
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if pair[1].0 < pair[0].1 {
            return Err(corrupt(format!(
                "the tensors {} and {} overlap",
                pair[0].2, pair[1].2
            )));
        }
    }
    Ok(())
}
