//! A weight matrix in its stored form, and what one does with it.

use std::ops::Range;
use std::sync::Arc;

use crate::packed::Packed;
use crate::{KernelError, Level, MappedFile, QuantType, matmul, quant};

/// How activations enter a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit activations: exact up to rounding. For training and for scores that must agree with other engines. On a matrix
    /// unit, activations and weights keep 16 bits each.
    F32,
    /// Activations and weights rounded to bfloat16 (8 bits) where a matrix unit multiplies them, which is several times as
    /// fast for many rows; elsewhere the same as `F32`. For prompts.
    Bf16,
    /// Activations rounded to signed bytes, one scale for each 32, and multiplied as integers: several times as fast, above
    /// all for matrices that [`crate::pack`] laid out anew. The float types multiply in f32 here too.
    Int8,
}

#[derive(Clone)]
enum Storage {
    Owned(Arc<[u8]>),
    Mapped {
        file: Arc<MappedFile>,
        range: Range<usize>,
    },
}

/// A `[rows = outputs, cols = inputs]` matrix of quantized blocks, rows contiguous. Cloning shares the bytes.
#[derive(Clone)]
pub struct QMatrix {
    ty: QuantType,
    rows: usize,
    cols: usize,
    storage: Storage,
    packed: Option<Packed>,
}

impl std::fmt::Debug for QMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "QMatrix({} {} x {})",
            self.ty.name(),
            self.rows,
            self.cols
        )
    }
}

/// Bytes that a matrix takes, with every product checked.
fn byte_length(ty: QuantType, rows: usize, cols: usize) -> Result<usize, KernelError> {
    if !cols.is_multiple_of(ty.block_size()) {
        return Err(KernelError::PartialBlock { ty, cols });
    }
    (cols / ty.block_size())
        .checked_mul(ty.block_bytes())
        .and_then(|row| row.checked_mul(rows))
        .filter(|_| {
            rows.checked_mul(cols)
                .and_then(|n| n.checked_mul(4))
                .is_some_and(|n| n <= isize::MAX as usize)
        })
        .ok_or(KernelError::TooLarge { ty, rows, cols })
}

impl QMatrix {
    /// A matrix over bytes of its own.
    ///
    /// # Errors
    /// When a row is not whole blocks, the shape overflows, or `bytes` has another length than the shape needs.
    pub fn from_bytes(
        ty: QuantType,
        rows: usize,
        cols: usize,
        bytes: Vec<u8>,
    ) -> Result<Self, KernelError> {
        let expected = byte_length(ty, rows, cols)?;
        if bytes.len() != expected {
            return Err(KernelError::WrongLength {
                ty,
                rows,
                cols,
                expected,
                actual: bytes.len(),
            });
        }
        Ok(Self {
            ty,
            rows,
            cols,
            storage: Storage::Owned(bytes.into()),
            packed: None,
        })
    }

    /// A matrix that reads its blocks from a mapped file, starting at byte `offset`.
    ///
    /// # Errors
    /// When a row is not whole blocks, the shape overflows, or the matrix reaches past the end of the file.
    pub fn from_mapped(
        ty: QuantType,
        rows: usize,
        cols: usize,
        file: Arc<MappedFile>,
        offset: usize,
    ) -> Result<Self, KernelError> {
        let length = byte_length(ty, rows, cols)?;
        let range = offset
            .checked_add(length)
            .filter(|&end| end <= file.len())
            .map(|end| offset..end)
            .ok_or(KernelError::PastEndOfFile {
                offset,
                length,
                file: file.len(),
            })?;
        Ok(Self {
            ty,
            rows,
            cols,
            storage: Storage::Mapped { file, range },
            packed: None,
        })
    }

    /// Rounds `values` (`[rows, cols]`) to `ty`, for tests and exports.
    ///
    /// # Errors
    /// As [`QMatrix::from_bytes`], and for the types that this crate only reads.
    pub fn from_f32_quantized(
        ty: QuantType,
        rows: usize,
        cols: usize,
        values: &[f32],
    ) -> Result<Self, KernelError> {
        let expected = byte_length(ty, rows, cols)?;
        if values.len() != rows * cols {
            return Err(KernelError::WrongLength {
                ty,
                rows,
                cols,
                expected,
                actual: values.len() * 4,
            });
        }
        Self::from_bytes(ty, rows, cols, quant::quantize(ty, values)?)
    }

    /// Some of the rows as a matrix of its own: those of a mapped file stay where they are, others are copied.
    ///
    /// # Panics
    /// When there are no such rows.
    pub fn part(&self, rows: Range<usize>) -> Self {
        assert!(
            rows.start <= rows.end && rows.end <= self.rows,
            "rows {rows:?} of {}",
            self.rows
        );
        let bytes = rows.start * self.row_bytes()..rows.end * self.row_bytes();
        Self {
            ty: self.ty,
            rows: rows.len(),
            cols: self.cols,
            storage: match &self.storage {
                Storage::Owned(all) => Storage::Owned(all[bytes].into()),
                Storage::Mapped { file, range } => Storage::Mapped {
                    file: file.clone(),
                    range: range.start + bytes.start..range.start + bytes.end,
                },
            },
            packed: None,
        }
    }

    pub(crate) fn packed(&self) -> Option<&Packed> {
        self.packed.as_ref()
    }

    /// Gives back the memory of stored rows that lie in a mapped file.
    pub(crate) fn release_rows(&self, rows: Range<usize>) {
        if let Storage::Mapped { file, range } = &self.storage {
            let at = |row: usize| range.start + row * self.row_bytes();
            file.release(at(rows.start)..at(rows.end));
        }
    }

    pub(crate) fn set_packed(&mut self, packed: Option<Packed>) {
        self.packed = packed;
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How the blocks are stored.
    pub fn quant_type(&self) -> QuantType {
        self.ty
    }

    /// The stored blocks, row after row.
    pub fn bytes(&self) -> &[u8] {
        match &self.storage {
            Storage::Owned(bytes) => bytes,
            // `from_mapped` checked the range and a mapping never changes its length, so the default is not reached.
            Storage::Mapped { file, range } => file.bytes(range.clone()).unwrap_or_default(),
        }
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.cols / self.ty.block_size() * self.ty.block_bytes()
    }

    /// The stored blocks of one row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &[u8] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &self.bytes()[row * self.row_bytes()..][..self.row_bytes()]
    }

    /// Writes row `row` as f32 (embedding look-up).
    ///
    /// # Panics
    /// When there is no such row or `out` is not `cols` long.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.cols, "a row has {} values", self.cols);
        quant::dequantize(self.ty, self.row(row), out);
    }

    /// The whole matrix as f32, `[rows, cols]`: four bytes a value, so for small matrices and tests.
    pub fn dequantize(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.cols];
        quant::dequantize(self.ty, self.bytes(), &mut out);
        out
    }

    /// `y[m, rows] = x[m, cols] · Wᵀ`. Row i of `y` depends on row i of `x` alone, to the last bit, at either
    /// precision: what else is in the batch never changes it.
    ///
    /// # Panics
    /// When the slices do not have those shapes.
    pub fn forward(&self, x: &[f32], m: usize, y: &mut [f32], precision: Precision, level: Level) {
        assert_eq!(x.len(), m * self.cols, "x is [m, cols]");
        assert_eq!(y.len(), m * self.rows, "y is [m, rows]");
        matmul::forward(&mut [(self, y)], x, m, precision, level);
    }

    /// `dx[m, cols] = dy[m, rows] · W`: the gradient of [`QMatrix::forward`] with respect to its input. The weight is
    /// frozen and gets none. `dx` is overwritten. [`Precision::Int8`] is taken as `F32`.
    ///
    /// # Panics
    /// When the slices do not have those shapes.
    pub fn backward_input(
        &self,
        dy: &[f32],
        m: usize,
        dx: &mut [f32],
        precision: Precision,
        level: Level,
    ) {
        backward_together(&[(self, dy)], m, dx, precision, level);
    }
}

/// The gradient of [`forward_together`] with respect to its one input: the sum of what [`QMatrix::backward_input`] gives for each
/// matrix and its `dy[m, rows]`.
///
/// # Panics
/// When the slices do not have those shapes.
pub fn backward_together(
    products: &[(&QMatrix, &[f32])],
    m: usize,
    dx: &mut [f32],
    precision: Precision,
    level: Level,
) {
    for (w, dy) in products {
        assert_eq!(dy.len(), m * w.rows, "dy is [m, rows]");
        assert_eq!(dx.len(), m * w.cols, "dx is [m, cols]");
    }
    matmul::backward_input(products, m, dx, precision, level);
}

/// Products of one `x[m, cols]` with several matrices, each as [`QMatrix::forward`] gives it to the bit: few rows are then
/// one piece of work for the threads instead of several.
///
/// # Panics
/// When the slices do not have those shapes.
pub fn forward_together(
    products: &mut [(&QMatrix, &mut [f32])],
    x: &[f32],
    m: usize,
    precision: Precision,
    level: Level,
) {
    for (w, y) in products.iter() {
        assert_eq!(x.len(), m * w.cols, "x is [m, cols]");
        assert_eq!(y.len(), m * w.rows, "y is [m, rows]");
    }
    matmul::forward(products, x, m, precision, level);
}
