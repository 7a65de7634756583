//! What an instruction level provides: small operations that the products and row operations are built from.
//!
//! Adding a level means filling in one more table; the reference has none and is written out where it is used.

use crate::matmul::int8::{Block, Panel};
use crate::matmul::planes::{Product, Tile};
use crate::slices::Strided;
use crate::{Activation, Level, QuantType};

/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 12;
/// Columns of a tile.
pub(crate) const TILE_COLS: usize = 16;
/// A finished tile.
pub(crate) type TileBuffer = [[f32; TILE_COLS]; TILE_ROWS];

/// Rows of a wide tile at most.
pub(crate) const WIDE_ROWS: usize = 6;
/// Columns of a wide tile.
pub(crate) const WIDE_COLS: usize = 64;
/// As a tile, for more columns: rows (1 to 6), depth, a, b, how many floats behind those of b others lie that are read soon
/// and may be brought near, c.
pub(crate) type WideTile =
    fn(usize, usize, Strided<'_>, Strided<'_>, usize, &mut [[f32; WIDE_COLS]; WIDE_ROWS]);

/// Safe where c is good for so many rows of 64 floats that nobody else uses.
pub(crate) type WideAdd = unsafe fn(usize, usize, Strided<'_>, Strided<'_>, *mut f32, usize);

/// As two tiles with the same a: rows, depth, a, both b, both c.
pub(crate) type PairTile = fn(usize, usize, Strided<'_>, [Strided<'_>; 2], &mut [TileBuffer; 2]);

/// Type, groups of packed rows, activations, results `[rows of activations, rows of the groups]`. A result does not depend on
/// the rows beside it.
pub(crate) type PackedDot = fn(QuantType, &[u8], Panel<'_>, &mut [f32]);
/// Type, a group of packed rows, its units of 32 columns, the first one wanted, values `[columns, 16]` from there on, to the bits
/// that decoding the stored blocks gives.
pub(crate) type Unpack = fn(QuantType, &[u8], usize, usize, &mut [f32]);
/// Gradient of a row of RMS norm: x, weight, eps, dy, dx.
pub(crate) type RmsNormBackward = fn(&[f32], &[f32], f32, &[f32], &mut [f32]);
/// Gradient of a gated activation: which, gate, up, dy, dgate, dup.
pub(crate) type GatedBackward = fn(Activation, &[f32], &[f32], &[f32], &mut [f32], &mut [f32]);

/// Rows of f32, how many, how many columns, tiles of the first parts and of the second (may be empty).
pub(crate) type PackRows = fn(Strided<'_>, usize, usize, &mut [Tile], &mut [Tile]);

/// A unit that multiplies tiles of bfloat16; `matmul::planes` says what the tiles are.
pub(crate) struct MatrixUnit {
    /// Up to 16 rows as tiles of A. Absent rows keep what is in the tiles.
    pub pack_rows: PackRows,
    /// 16 rows, so many floats apart, as tiles of B with the rows as its columns.
    pub pack_transposed: fn(&[f32], usize, &mut [Tile], &mut [Tile]),
    /// A group of packed rows as tiles of B with the rows as its columns.
    pub pack_group: fn(QuantType, &[u8], &mut [Tile], &mut [Tile]),
    /// 32 rows of 16 columns, so many floats apart, as a tile of B.
    pub pack_interleaved: fn(&[f32], usize, &mut Tile, Option<&mut Tile>),
    /// Twice 16 columns of sixteen rows each, the rows side by side, as a tile of B of those 32 rows.
    pub pack_columns: fn(&[f32], &[f32], &mut Tile, Option<&mut Tile>),
    /// Calls with the unit configured for this thread. The callee must not wait for other tasks.
    pub with_tiles: fn(&mut dyn FnMut()),
    /// # Safety
    /// Called within `with_tiles`; the product's pointers are good for what it says.
    pub multiply: unsafe fn(&Product),
}

/// The table of a level. All functions are safe to call where the level is available, and only there is a table given out.
pub(crate) struct Primitives {
    /// Decodes whole blocks.
    pub dequantize: fn(QuantType, &[u8], &mut [f32]),
    /// `c[r, 0..16] += sum over p of a[r, p] * b[p, 0..16]`: rows (1 to 12), depth, a, b, c. Each sum is in the order of
    /// p with fused multiply-add, so a result does not depend on how a product is cut into tiles.
    pub tile: fn(usize, usize, Strided<'_>, Strided<'_>, &mut TileBuffer),
    /// The same, to the same bits, for 1 to 6 rows and 64 columns at a time: so few sums of a tile would wait for one another,
    /// and memory is read in order.
    pub wide_tile: WideTile,
    /// `c[rows, 0..64] += a · b` where c lies, for 1 to 6 rows: rows, depth, a, b, c and how far its rows are apart.
    pub wide_add: Option<WideAdd>,
    /// Two tiles at once, to the same bits, where registers suffice: a's numbers are then read once for both.
    pub pair_tile: Option<PairTile>,
    /// Writes the transpose of up to sixteen rows, absent ones as zeros: rows, depth, from, to `[depth, 16]`.
    pub transpose: fn(usize, usize, Strided<'_>, &mut [f32]),
    /// The matrix unit, where there is one.
    pub matrix: Option<&'static MatrixUnit>,
    /// Rounds rows of activations that are multiplied together to signed bytes: values, columns, blocks.
    pub round: fn(&[f32], usize, &mut [Block]),
    /// Integer dot products of packed weights.
    pub packed: PackedDot,
    /// How many rows of activations that takes at most.
    pub panel_rows: usize,
    /// Decodes a part of a group of packed rows.
    pub unpack: Unpack,
    /// One row of RMS norm: x, weight, eps, y.
    pub rms_norm: fn(&[f32], &[f32], f32, &mut [f32]),
    /// Its gradient.
    pub rms_norm_backward: RmsNormBackward,
    /// Gated activation: which, gate, up, y.
    pub gated: fn(Activation, &[f32], &[f32], &mut [f32]),
    /// Its gradient.
    pub gated_backward: GatedBackward,
    /// Logarithm of the sum of exponentials of a row.
    pub log_sum_exp: fn(&[f32]) -> f32,
    /// `x = exp(x - shift) * scale` in place.
    pub scaled_exp: fn(&mut [f32], f32, f32),
    /// Largest value of a row, negative infinity for none.
    pub max: fn(&[f32]) -> f32,
    /// Sum of a row.
    pub sum: fn(&[f32]) -> f32,
    /// `x = exp(x - shift)` in place with a shift for each value.
    pub exp_each: fn(&mut [f32], &[f32]),
}

impl Level {
    /// The level's table; none for the reference, nor where the processor lacks the level.
    pub(crate) fn primitives(self) -> Option<&'static Primitives> {
        match self {
            Level::Reference => None,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => self.is_available().then_some(&crate::x86::AVX2),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => self.is_available().then_some(crate::x86::avx512()),
            #[cfg(target_arch = "x86_64")]
            Level::Amx => self.is_available().then_some(&crate::x86::AMX),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 | Level::Amx => None,
        }
    }
}
