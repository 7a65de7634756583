//! The bytes of a GGUF file to its metadata and tensor table: strictly, or part by part for a file that may be damaged.

use std::collections::{BTreeMap, HashMap};

use idiolect_kernels::QuantType;
use idiolect_llm::{LlmError, Result};

use super::{Gguf, Layout, Survey, TensorInfo, Value, corrupt, shown};

/// Most metadata values or tensors; the largest models published have about two thousand tensors.
const MAX_ENTRIES: u64 = 65_536;
/// Longest key or tensor name, bytes (the format's own limit on keys).
const MAX_NAME_BYTES: u64 = 65_535;
/// Longest text value, bytes; a chat template has some thousands.
const MAX_TEXT_BYTES: u64 = 4 << 20;
/// Most elements of an array; the largest vocabularies have about 260,000 tokens and 500,000 merges.
const MAX_ELEMENTS: u64 = 4 << 20;
/// Most elements of all arrays together: each is held as eight bytes or as a text.
const MAX_ELEMENTS_IN_ALL: u64 = 4 * MAX_ELEMENTS;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;
/// Alignment of tensors where the file does not say.
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;
/// Largest alignment taken seriously.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// A position in bytes that may end at any moment.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// List elements read so far.
    elements: u64,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            elements: 0,
        }
    }

    /// Where the tensor data begin, once the table is read.
    fn data_start(&self, alignment: u64) -> usize {
        (self.at as u64).next_multiple_of(alignment) as usize
    }

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
        self.elements += n;
        if self.elements > MAX_ELEMENTS_IN_ALL {
            return Err(corrupt("its lists are longer than any model's"));
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

/// Metadata, tensors, and where the metadata stand.
pub(super) type Parsed = (HashMap<String, Value>, BTreeMap<String, TensorInfo>, Layout);

/// What stands before the tensor table.
struct Header {
    tensors: u64,
    metadata: HashMap<String, Value>,
    layout: Layout,
}

/// A row of the tensor table; its offset is relative to the tensor data.
struct TableRow {
    name: String,
    dimensions: Vec<usize>,
    number: u32,
    offset: u64,
}

/// Reads a whole, sound file.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed> {
    let mut cursor = Cursor::new(bytes);
    let header = header(&mut cursor)?;
    let mut tensors = BTreeMap::new();
    for _ in 0..header.tensors {
        let row = table_row(&mut cursor)?;
        let info = tensor_info(&row, header.layout.alignment)?;
        if tensors.contains_key(&row.name) {
            return Err(twice(&row.name));
        }
        tensors.insert(row.name, info);
    }
    match place(
        &mut tensors,
        cursor.data_start(header.layout.alignment),
        bytes.len(),
    )
    .0
    {
        damage if damage.is_empty() => Ok((header.metadata, tensors, header.layout)),
        mut damage => Err(damage.swap_remove(0)),
    }
}

/// Reads what can be read, and says of the rest what is wrong with it.
pub(super) fn survey(bytes: &[u8]) -> Result<Survey> {
    let mut cursor = Cursor::new(bytes);
    let header = header(&mut cursor)?;
    let (mut tensors, mut unknown_types, mut damage) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut whole = true;
    for _ in 0..header.tensors {
        let row = match table_row(&mut cursor) {
            Ok(row) => row,
            Err(error) => {
                // Where the next row begins is not known any more.
                damage.push(error);
                whole = false;
                break;
            }
        };
        match tensor_info(&row, header.layout.alignment) {
            Ok(_) if tensors.contains_key(&row.name) => damage.push(twice(&row.name)),
            Ok(info) => {
                tensors.insert(row.name, info);
            }
            Err(LlmError::Unsupported(_)) => unknown_types.push((row.name, row.number)),
            Err(error) => damage.push(error),
        }
    }
    let mut unused = 0;
    if whole {
        let start = cursor.data_start(header.layout.alignment);
        let (misplaced, end) = place(&mut tensors, start, bytes.len());
        // What lies behind tensors of unknown size is not known.
        if unknown_types.is_empty() && misplaced.is_empty() && damage.is_empty() {
            unused = bytes.len() - end.min(bytes.len());
        }
        damage.extend(misplaced);
    } else {
        // Nobody can say where the data begin.
        tensors.clear();
    }
    Ok(Survey {
        gguf: Gguf {
            file: None,
            bytes: bytes.len(),
            metadata: header.metadata,
            tensors,
            layout: header.layout.clone(),
        },
        version: header.layout.version,
        tensors: header.tensors as usize,
        unused,
        unknown_types,
        damage,
    })
}

fn twice(name: &str) -> LlmError {
    corrupt(format!("the tensor {} stands there twice", shown(name)))
}

fn header(cursor: &mut Cursor<'_>) -> Result<Header> {
    if cursor.remaining() < 24 || cursor.array::<4>()? != *b"GGUF" {
        return Err(corrupt("it is not a GGUF file"));
    }
    let version = match cursor.u32()? {
        version @ (2 | 3) => version,
        version if version.swap_bytes() <= 3 => {
            return Err(LlmError::Unsupported("it is a big-endian GGUF file".into()));
        }
        version => {
            return Err(LlmError::Unsupported(format!(
                "it is GGUF version {version}; versions 2 and 3 are read"
            )));
        }
    };
    let (tensors, metadata_count) = (cursor.u64()?, cursor.u64()?);
    if tensors > MAX_ENTRIES || metadata_count > MAX_ENTRIES {
        return Err(corrupt(format!(
            "it claims {tensors} tensors and {metadata_count} metadata values"
        )));
    }
    let mut metadata = HashMap::new();
    let begin = cursor.at;
    for _ in 0..metadata_count {
        let key = cursor.text(MAX_NAME_BYTES)?;
        let value = cursor.value()?;
        if metadata.contains_key(&key) {
            return Err(corrupt(format!(
                "the metadata value {} stands there twice",
                shown(&key)
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
    Ok(Header {
        tensors,
        metadata,
        layout: Layout {
            version,
            entries: metadata_count,
            metadata: begin..cursor.at,
            alignment,
        },
    })
}

fn table_row(cursor: &mut Cursor<'_>) -> Result<TableRow> {
    let name = cursor.text(MAX_NAME_BYTES)?;
    let rank = cursor.u32()?;
    if rank == 0 || rank > MAX_DIMENSIONS {
        return Err(corrupt(format!(
            "the tensor {} has {rank} dimensions",
            shown(&name)
        )));
    }
    let mut dimensions = Vec::with_capacity(rank as usize);
    for _ in 0..rank {
        let n = usize::try_from(cursor.u64()?).ok().filter(|&n| n > 0);
        dimensions.push(n.ok_or_else(|| {
            corrupt(format!(
                "the tensor {} has an impossible dimension",
                shown(&name)
            ))
        })?);
    }
    Ok(TableRow {
        name,
        dimensions,
        number: cursor.u32()?,
        offset: cursor.u64()?,
    })
}

fn tensor_info(row: &TableRow, alignment: u64) -> Result<TensorInfo> {
    let (name, dimensions) = (shown(&row.name), &row.dimensions);
    let ty = QuantType::from_ggml(row.number).ok_or_else(|| {
        let read: Vec<_> = QuantType::ALL.iter().map(|ty| ty.name()).collect();
        LlmError::Unsupported(format!(
            "the tensor {name} is stored as {}, which is not read here; {} are: look for the same model as Q8_0, Q6_K, \
             Q5_K_M or Q4_K_M",
            refused_type(row.number),
            read.join(", ")
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
    let (Some(bytes), Ok(offset)) = (bytes, usize::try_from(row.offset)) else {
        return Err(corrupt(format!(
            "the tensor {name} is larger than any memory"
        )));
    };
    if !row.offset.is_multiple_of(alignment) {
        return Err(corrupt(format!(
            "the tensor {name} starts at {offset}, off its alignment"
        )));
    }
    Ok(TensorInfo {
        dimensions: dimensions.clone(),
        ty,
        offset,
        bytes,
    })
}

/// Turns relative offsets into offsets in the file and takes out what lies beyond its end. Also what is wrong (tensors past
/// the end, overlaps), and where the last tensor ends.
fn place(
    tensors: &mut BTreeMap<String, TensorInfo>,
    start: usize,
    file: usize,
) -> (Vec<LlmError>, usize) {
    let (mut damage, mut ranges) = (Vec::new(), Vec::with_capacity(tensors.len()));
    tensors.retain(|name, info| {
        let begin = info.offset.checked_add(start);
        let end = begin.and_then(|begin| begin.checked_add(info.bytes));
        let (Some(begin), Some(end)) = (begin, end.filter(|end| *end <= file)) else {
            damage.push(corrupt(format!(
                "the tensor {} reaches past the end of the file ({file} bytes); the download may be incomplete",
                shown(name)
            )));
            return false;
        };
        info.offset = begin;
        ranges.push((begin, end, name.clone()));
        true
    });
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if pair[1].0 < pair[0].1 {
            damage.push(corrupt(format!(
                "the tensors {} and {} overlap",
                shown(&pair[0].2),
                shown(&pair[1].2)
            )));
        }
    }
    (damage, ranges.iter().map(|r| r.1).max().unwrap_or(start))
}

/// What a storage type that is not read here (ggml's `ggml_type`) is called.
pub(crate) fn refused_type(number: u32) -> String {
    type_name(number).map_or_else(|| format!("the unknown type {number}"), String::from)
}

/// Names of storage types that are not read here (ggml's `ggml_type`).
fn type_name(number: u32) -> Option<&'static str> {
    Some(match number {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return None,
    })
}
