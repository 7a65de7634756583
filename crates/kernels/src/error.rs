//! The one error type of this crate.

use crate::QuantType;

/// What can be wrong with a matrix or with the choice of instructions.
///
/// Slice lengths that contradict a shape are programming errors and panic instead, as indexing does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// `IDIOLECT_CPU` names something that is not an instruction level.
    #[error("IDIOLECT_CPU is \"{value}\", which is no instruction level; choose one of: {choices}")]
    UnknownLevel { value: String, choices: String },
    /// `IDIOLECT_CPU` names a level that this processor lacks.
    #[error(
        "IDIOLECT_CPU asks for {level}, which this processor does not have; choose one of: {choices}"
    )]
    UnsupportedLevel {
        level: &'static str,
        choices: String,
    },
    /// A row must be a whole number of blocks.
    #[error("a {ty} row of {cols} values is not a whole number of blocks of {block}", ty = .ty.name(), block = .ty.block_size())]
    PartialBlock { ty: QuantType, cols: usize },
    /// The shape overflows the address space.
    #[error("a {ty} matrix of {rows} x {cols} is too large for this machine", ty = .ty.name())]
    TooLarge {
        ty: QuantType,
        rows: usize,
        cols: usize,
    },
    /// The bytes given are not exactly those the shape needs.
    #[error("a {ty} matrix of {rows} x {cols} takes {expected} bytes, but {actual} were given", ty = .ty.name())]
    WrongLength {
        ty: QuantType,
        rows: usize,
        cols: usize,
        expected: usize,
        actual: usize,
    },
    /// The matrix would reach past the end of the mapped file.
    #[error(
        "a matrix of {length} bytes at offset {offset} reaches past the end of the file ({file} bytes); the file is cut short or damaged"
    )]
    PastEndOfFile {
        offset: usize,
        length: usize,
        file: usize,
    },
    /// This crate reads the type but does not write it.
    #[error("writing {ty} is not supported; use F32, F16, BF16, Q8_0, Q4_0 or Q4_1", ty = .0.name())]
    CannotQuantize(QuantType),
}
