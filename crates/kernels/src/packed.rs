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

use crate::quant::{integers, scale_and_min};
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

fn packed_bytes(w: &QMatrix) -> Option<usize> {
    let group = Layout::of(w.quant_type()).group_bytes(w.cols() / UNIT);
    let bytes = w.rows().div_ceil(GROUP_ROWS) * group;
    (bytes > 0 && w.cols().is_multiple_of(UNIT)).then_some(bytes)
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
        let range = packed_bytes(w).map(|bytes| end..end + bytes);
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
                pack_group(w, i * GROUP_ROWS, &layout, to);
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
fn pack_group(w: &QMatrix, first: usize, layout: &Layout, to: &mut [u8]) {
    /// One loop a type.
    macro_rules! by_type {
        ($($ty:ident $bits:literal),*) => {
            match w.quant_type() {
                $(QuantType::$ty => pack_rows::<$bits>(
                    w, first, layout, to, |block, unit| integers(QuantType::$ty, block, unit)
                ),)*
                QuantType::F32 => pack_floats::<4>(w, first, to),
                QuantType::F16 | QuantType::BF16 => pack_floats::<2>(w, first, to),
            }
        };
    }
    by_type!(Q4_0 4, Q4_1 4, Q5_0 5, Q5_1 5, Q8_0 8, Q4K 4, Q5K 5, Q6K 6);
}

fn pack_rows<const BITS: u8>(
    w: &QMatrix,
    first: usize,
    layout: &Layout,
    to: &mut [u8],
    read: impl Fn(&[u8], usize) -> [u8; UNIT],
) {
    let ty = w.quant_type();
    let (scales, integers) = to.split_at_mut(layout.integers_at(w.cols() / UNIT));
    for i in 0..GROUP_ROWS.min(w.rows() - first) {
        let blocks = w.row(first + i).chunks_exact(ty.block_bytes());
        let scales = scales.chunks_exact_mut(layout.scale_bytes);
        let units = integers.chunks_exact_mut(layout.stretch * layout.integer_bytes);
        for ((block, scales), units) in blocks.zip(scales).zip(units) {
            pack_scales(ty, block, i, scales);
            for (unit, to) in units.chunks_exact_mut(layout.integer_bytes).enumerate() {
                pack_integers::<BITS>(&read(block, unit), i, to);
            }
        }
    }
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

/// The integers of row `i` and 32 columns into their places.
#[inline(always)]
fn pack_integers<const BITS: u8>(q: &[u8; UNIT], i: usize, to: &mut [u8]) {
    let words: [u32; 8] = std::array::from_fn(|c| {
        u32::from_le_bytes([q[4 * c], q[4 * c + 1], q[4 * c + 2], q[4 * c + 3]])
    });
    let mut put = |vector: usize, word: u32| {
        to[64 * vector + 4 * i..][..4].copy_from_slice(&word.to_le_bytes());
    };
    if BITS == 8 {
        for (c, word) in words.into_iter().enumerate() {
            put(c, word);
        }
        return;
    }
    const LOW: u32 = 0x0f0f_0f0f;
    for j in 0..4 {
        put(j, (words[j] & LOW) | (words[4 + j] & LOW) << 4);
    }
    let mut top = [0_u32; 2];
    for (c, word) in words.into_iter().enumerate() {
        match BITS {
            5 => top[0] |= (word >> 4 & 0x0101_0101) << c,
            6 => top[c / 4] |= (word >> 4 & 0x0303_0303) << (c % 4 * 2),
            _ => {}
        }
    }
    if BITS > 4 {
        put(4, top[0]);
    }
    if BITS > 5 {
        put(5, top[1]);
    }
}
