//! Weights laid out anew: sixteen rows side by side, so that a register holds the same columns of all of them and no sum is ever taken across a register. They lie in memory of their own, in large pages where the
//! system has them: reading the weights is what a drawn token waits for.
//!
//! A group of 16 rows is first its scales and then, from a multiple of 64 bytes on, its integers. Scales are those that are
//! stored, so nothing is rounded: by 32 columns 16 half floats (and 16 minima, for types that have them); for the types in
//! blocks of 256 columns 16 half floats (and 16 negated ones for the minima) and then, by 32 columns, two bytes a row: scale
//! and minimum (Q4_K, Q5_K), or the scales of either 16 columns (Q6_K).
//!
//! The integers of 32 columns are vectors of 64 bytes, where byte 4 i + t of vector c is row i, column 4 c + t. Eight bits are
//! eight vectors. Of fewer bits the lower four are four vectors, vector j having c = j in its low halves and c = 4 + j in the
//! high ones. A fifth bit is one more vector whose bit c belongs to vector c; a fifth and sixth are two more, whose bits
//! 2 j and 2 j + 1 belong to c = j and to c = 4 + j.
//!
//! Float types have no scales; their numbers stand by columns and then by rows.

use std::{ops::Range, sync::Arc};

use crate::quant::scale_and_min;
use crate::slices::SharedSlice;
use crate::{Level, QMatrix, QuantType, team};

/// Rows side by side.
pub(crate) const GROUP_ROWS: usize = 16;
/// Columns that share a scale of activations.
pub(crate) const UNIT: usize = 32;
/// Bytes that every matrix and the integers of every group begin at a multiple of.
const ALIGNMENT: usize = 64;

/// Bytes that are laid out before the memory of the stored ones is given back, so that both forms of a model are never in
/// memory together.
const SLAB_BYTES: usize = 8 << 20;

/// What happens to the stored blocks of matrices that were laid out anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// They stay in memory, for training.
    Keep,
    /// The memory of a mapped file's is given back; who reads them all the same waits for the system to fetch them again.
    Release,
}

/// A matrix's part of the memory that holds all of a model's.
#[derive(Clone)]
pub(crate) struct Packed {
    pages: Arc<memmap2::Mmap>,
    range: Range<usize>,
}

impl Packed {
    pub(crate) fn bytes(&self) -> &[u8] {
        // `pack` made the range from the length.
        self.pages.get(self.range.clone()).unwrap_or_default()
    }

    /// Group `i` of a matrix of so many rows.
    pub(crate) fn group(&self, i: usize, rows: usize) -> &[u8] {
        let group = self.range.len() / rows.div_ceil(GROUP_ROWS).max(1);
        &self.bytes()[i * group..][..group]
    }
}

/// How a type is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Units whose scales stand together.
    pub stretch: usize,
    /// Bytes of those scales.
    pub scale_bytes: usize,
    /// Bytes of a unit's integers.
    pub integer_bytes: usize,
}

impl Layout {
    /// How a type is laid out; its rows have to be whole units.
    pub(crate) const fn of(ty: QuantType) -> Self {
        let (stretch, scale_bytes, integer_bytes) = match ty {
            QuantType::Q4_0 => (1, 32, 256),
            QuantType::Q4_1 => (1, 64, 256),
            QuantType::Q5_0 => (1, 32, 320),
            QuantType::Q5_1 => (1, 64, 320),
            QuantType::Q8_0 => (1, 32, 512),
            QuantType::Q4K => (8, 64 + 8 * 32, 256),
            QuantType::Q5K => (8, 64 + 8 * 32, 320),
            QuantType::Q6K => (8, 32 + 8 * 32, 384),
            QuantType::F32 => (1, 0, 4 * UNIT * GROUP_ROWS),
            QuantType::F16 | QuantType::BF16 => (1, 0, 2 * UNIT * GROUP_ROWS),
        };
        Self {
            stretch,
            scale_bytes,
            integer_bytes,
        }
    }

    /// Where the integers of a group of `units` begin.
    pub(crate) const fn integers_at(&self, units: usize) -> usize {
        (units / self.stretch * self.scale_bytes).next_multiple_of(ALIGNMENT)
    }

    /// Bytes of a group of `units`.
    pub(crate) const fn group_bytes(&self, units: usize) -> usize {
        self.integers_at(units) + units * self.integer_bytes
    }
}

/// Bytes that [`pack`] takes for a matrix of this type and shape; none where it leaves such a one as it is stored.
pub fn packed_bytes(ty: QuantType, rows: usize, cols: usize, level: Level) -> Option<usize> {
    let group = Layout::of(ty).group_bytes(cols / UNIT);
    let bytes = rows.div_ceil(GROUP_ROWS).saturating_mul(group);
    let packs = level.primitives().is_some() && bytes > 0 && cols.is_multiple_of(UNIT);
    packs.then_some(bytes)
}

/// Lays matrices out for the products of `level`, where it has fast ones and rows are whole units of 32 columns.
///
/// # Errors
/// When there is no memory.
pub fn pack(matrices: &mut [&mut QMatrix], level: Level, sources: Sources) -> std::io::Result<()> {
    if level.primitives().is_none() {
        return Ok(());
    }
    let mut ranges = Vec::with_capacity(matrices.len());
    let mut end = 0_usize;
    for w in matrices.iter() {
        let bytes = packed_bytes(w.quant_type(), w.rows(), w.cols(), level);
        let range = bytes.map(|bytes| end..end + bytes);
        end = range
            .as_ref()
            .map_or(end, |r| r.end.next_multiple_of(ALIGNMENT));
        ranges.push(range);
    }
    if end == 0 {
        return Ok(());
    }
    let mut pages = memmap2::MmapMut::map_anon(end)?;
    // A wish: without large pages it is slower and no less right.
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::HugePage);
    let shared = SharedSlice::new(&mut pages);
    for (w, range) in matrices.iter().zip(&ranges) {
        let (Some(range), layout) = (range, Layout::of(w.quant_type())) else {
            continue;
        };
        let group = layout.group_bytes(w.cols() / UNIT);
        let groups = w.rows().div_ceil(GROUP_ROWS);
        let slab = (SLAB_BYTES / group).max(1);
        for from in (0..groups).step_by(slab) {
            let count = slab.min(groups - from);
            team::for_each(count, |i| {
                let i = from + i;
                // SAFETY: groups do not overlap.
                let to = unsafe { shared.part(range.start + i * group, group) };
                pack_group(w, i * GROUP_ROWS, to);
            });
            if sources == Sources::Release {
                let end = ((from + count) * GROUP_ROWS).min(w.rows());
                w.release_rows(from * GROUP_ROWS..end);
            }
        }
    }
    let pages = Arc::new(pages.make_read_only()?);
    for (w, range) in matrices.iter_mut().zip(ranges) {
        w.set_packed(range.map(|range| Packed {
            pages: Arc::clone(&pages),
            range,
        }));
    }
    Ok(())
}

/// Rows from `first` on; rows that are not there stay zero and are never read back.
fn pack_group(w: &QMatrix, first: usize, to: &mut [u8]) {
    /// One loop a type.
    macro_rules! by_type {
        ($($ty:ident $vectors:literal $words:expr),*) => {
            match w.quant_type() {
                $(QuantType::$ty => pack_rows::<$vectors, { QuantType::$ty.block_bytes() }>(
                    QuantType::$ty, w, first, to, $words
                ),)*
                QuantType::F32 => pack_floats::<4>(w, first, to),
                QuantType::F16 | QuantType::BF16 => pack_floats::<2>(w, first, to),
            }
        };
    }
    // Columns 0-15 and 16-31 of a stored block share bytes, which is how vectors hold them too.
    by_type!(
        Q4_0 4 |block, _| words(&block[2..]),
        Q4_1 4 |block, _| words(&block[4..]),
        Q5_0 5 |block, _| with_fifth(words(&block[6..]), words(&block[2..])),
        Q5_1 5 |block, _| with_fifth(words(&block[8..]), words(&block[4..])),
        // Unsigned, counted from -128 on.
        Q8_0 8 |block, _| words::<8>(&block[2..]).map(|word| word ^ 0x8080_8080),
        Q4K 4 |block, unit| halved(words(&block[16 + unit / 2 * 32..]), unit % 2 * 4),
        Q5K 5 |block, unit| {
            let [a, b, c, d] = halved(words(&block[48 + unit / 2 * 32..]), unit % 2 * 4);
            let fifth = words::<8>(&block[16..]);
            let bits = |c: usize| (fifth[c] >> unit & 0x0101_0101) << c;
            [a, b, c, d, (0..8).fold(0, |top, c| top | bits(c))]
        },
        Q6K 6 |block, unit| {
            let (half, quarter) = (unit / 4, unit % 4);
            let low = words(&block[half * 64 + quarter % 2 * 32..]);
            let [a, b, c, d] = halved(low, quarter / 2 * 4);
            let top = words::<8>(&block[128 + half * 32..]);
            let bits = |c: usize| (top[c] >> (2 * quarter) & 0x0303_0303) << (c % 4 * 2);
            let four = |from: usize| (from..from + 4).fold(0, |top, c| top | bits(c));
            [a, b, c, d, four(0), four(4)]
        }
    );
}

/// Puts a row's scales and integers into its places, block by block of so many bytes. `words` gives the row's four bytes of
/// each vector of a unit.
#[inline(always)]
fn pack_rows<const VECTORS: usize, const BYTES: usize>(
    ty: QuantType,
    w: &QMatrix,
    first: usize,
    to: &mut [u8],
    words: impl Fn(&[u8; BYTES], usize) -> [u32; VECTORS],
) {
    let layout = Layout::of(ty);
    let (scales, integers) = to.split_at_mut(layout.integers_at(w.cols() / UNIT));
    for i in 0..GROUP_ROWS.min(w.rows() - first) {
        let blocks = w.row(first + i).as_chunks::<BYTES>().0;
        let scales = scales.chunks_exact_mut(layout.scale_bytes);
        let units = integers.chunks_exact_mut(layout.stretch * 64 * VECTORS);
        for ((block, scales), units) in blocks.iter().zip(scales).zip(units) {
            pack_scales(ty, block, i, scales);
            for (unit, to) in units.chunks_exact_mut(64 * VECTORS).enumerate() {
                let to = to.as_chunks_mut::<4>().0;
                for (vector, word) in words(block, unit).into_iter().enumerate() {
                    to[GROUP_ROWS * vector + i] = word.to_le_bytes();
                }
            }
        }
    }
}

#[inline(always)]
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    std::array::from_fn(|i| u32::from_le_bytes(bytes.as_chunks().0[i]))
}

/// Four bits of each byte, `shift` from the bottom: those of the first sixteen in the low halves, of the rest in the high ones.
#[inline(always)]
fn halved(words: [u32; 8], shift: usize) -> [u32; 4] {
    const LOW: u32 = 0x0f0f_0f0f;
    std::array::from_fn(|j| (words[j] >> shift & LOW) | (words[4 + j] >> shift & LOW) << 4)
}

/// A fifth vector whose byte t has column 4 c + t's bit at c; `high` has it at 4 c + t.
#[inline(always)]
fn with_fifth([a, b, c, d]: [u32; 4], [high]: [u32; 1]) -> [u32; 5] {
    let of = |t: u32| {
        let x = high >> t & 0x1111_1111;
        let x = (x | x >> 3) & 0x0303_0303;
        let x = (x | x >> 6) & 0x000f_000f;
        ((x | x >> 12) & 0xff) << (8 * t)
    };
    [a, b, c, d, of(0) | of(1) | of(2) | of(3)]
}

/// Numbers of so many bytes, by columns and then by rows.
fn pack_floats<const BYTES: usize>(w: &QMatrix, first: usize, to: &mut [u8]) {
    let columns = to.as_chunks_mut::<BYTES>().0;
    for i in 0..GROUP_ROWS.min(w.rows() - first) {
        let row = w.row(first + i).as_chunks::<BYTES>().0;
        for (value, column) in row.iter().zip(columns.chunks_exact_mut(GROUP_ROWS)) {
            column[i] = *value;
        }
    }
}

/// The scales of row `i` into their places.
#[inline(always)]
fn pack_scales(ty: QuantType, block: &[u8], i: usize, to: &mut [u8]) {
    let halves = |at: usize| 2 * (GROUP_ROWS * at + i);
    match ty {
        QuantType::Q4_0 | QuantType::Q5_0 | QuantType::Q8_0 => {
            to[halves(0)..][..2].copy_from_slice(&block[..2]);
        }
        QuantType::Q4_1 | QuantType::Q5_1 => {
            to[halves(0)..][..2].copy_from_slice(&block[..2]);
            to[halves(1)..][..2].copy_from_slice(&block[2..4]);
        }
        QuantType::Q4K | QuantType::Q5K => {
            to[halves(0)..][..2].copy_from_slice(&block[..2]);
            // Minima are taken off; negated, they are added as those of the other types.
            to[halves(1)..][..2].copy_from_slice(&[block[2], block[3] ^ 0x80]);
            for (unit, to) in to[64..].chunks_exact_mut(2 * GROUP_ROWS).enumerate() {
                (to[i], to[GROUP_ROWS + i]) = scale_and_min(&block[4..16], unit);
            }
        }
        QuantType::Q6K => {
            to[halves(0)..][..2].copy_from_slice(&block[208..210]);
            for (unit, to) in to[32..].chunks_exact_mut(2 * GROUP_ROWS).enumerate() {
                (to[i], to[GROUP_ROWS + i]) = (block[192 + 2 * unit], block[193 + 2 * unit]);
            }
        }
        QuantType::F32 | QuantType::F16 | QuantType::BF16 => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::integers;

    /// The layout as this file's beginning describes it, column by column.
    #[test]
    fn every_integer_lies_where_the_layout_says() {
        let mut state = 1_u64;
        let mut byte = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        };
        for (ty, bits) in [
            (QuantType::Q4_0, 4),
            (QuantType::Q4_1, 4),
            (QuantType::Q5_0, 5),
            (QuantType::Q5_1, 5),
            (QuantType::Q8_0, 8),
            (QuantType::Q4K, 4),
            (QuantType::Q5K, 5),
            (QuantType::Q6K, 6),
        ] {
            // Two groups, the second of three rows; two blocks a row.
            let (rows, cols) = (19, 2 * ty.block_size());
            let bytes = (0..rows * 2 * ty.block_bytes()).map(|_| byte()).collect();
            let w = QMatrix::from_bytes(ty, rows, cols, bytes).unwrap();
            let layout = Layout::of(ty);
            let mut group = vec![0; layout.group_bytes(cols / UNIT)];
            for first in [0, GROUP_ROWS] {
                pack_group(&w, first, &mut group);
                let packed = &group[layout.integers_at(cols / UNIT)..];
                for row in first..rows.min(first + GROUP_ROWS) {
                    for column in 0..cols {
                        let units = ty.block_size() / UNIT;
                        let unit = column / UNIT;
                        let block = &w.row(row)[unit / units * ty.block_bytes()..];
                        let wanted = integers(ty, block, unit % units)[column % UNIT];
                        let (c, t) = (column % UNIT / 4, column % 4);
                        let at = |vector: usize| {
                            let unit = unit * layout.integer_bytes;
                            u32::from(packed[unit + 64 * vector + 4 * (row - first) + t])
                        };
                        let low = || at(c % 4) >> (c / 4 * 4) & 15;
                        let found = match bits {
                            4 => low(),
                            5 => low() | (at(4) >> c & 1) << 4,
                            6 => low() | (at(4 + c / 4) >> (c % 4 * 2) & 3) << 4,
                            _ => at(c),
                        };
                        assert_eq!(
                            found,
                            u32::from(wanted),
                            "{ty:?}, row {row}, column {column}"
                        );
                    }
                }
            }
        }
    }
}
