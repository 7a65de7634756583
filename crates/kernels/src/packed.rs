//! Weights laid out anew for integer products: sixteen rows side by side, so that a register holds the same four columns of
//! all of them and no sum is ever taken across a register. They lie in memory of their own, in large pages where the
//! system has them: reading the weights is what a drawn token waits for.
//!
//! A group of 16 rows and a block of 32 columns is 16 scales, 16 minima where the type has them, and the integers: for 4 bits
//! vector j holds columns 4 j to 4 j + 3 in the low halves and 16 + 4 j onwards in the high ones, the fifth bits follow as eight
//! masks, and 8 bits are eight vectors. Byte 4 i + t of a vector is row i, column 4 j + t.

use std::{ops::Range, sync::Arc};

use crate::slices::SharedBytes;
use crate::{Level, QMatrix, QuantType, team};

/// Rows side by side.
pub(crate) const GROUP_ROWS: usize = 16;
/// Columns that share a scale.
const BLOCK: usize = 32;
/// Bytes that every matrix begins at a multiple of.
const ALIGNMENT: usize = 64;

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
}

/// Bytes of a group of rows and a block of columns; none for types without 32-value integer blocks.
pub(crate) const fn unit_bytes(ty: QuantType) -> Option<usize> {
    match ty {
        QuantType::Q4_0 => Some(32 + 256),
        QuantType::Q4_1 => Some(64 + 256),
        QuantType::Q5_0 => Some(32 + 256 + 64),
        QuantType::Q5_1 => Some(64 + 256 + 64),
        QuantType::Q8_0 => Some(32 + 512),
        QuantType::F32
        | QuantType::F16
        | QuantType::BF16
        | QuantType::Q4K
        | QuantType::Q5K
        | QuantType::Q6K => None,
    }
}

fn packed_bytes(w: &QMatrix) -> Option<usize> {
    let units = w.rows().div_ceil(GROUP_ROWS) * (w.cols() / BLOCK);
    Some(unit_bytes(w.quant_type())? * units).filter(|&bytes| bytes > 0)
}

/// Lays matrices out for the integer products of `level`, where it has such and their types do. What they take is read more
/// than once, so the stored blocks stay where they are.
///
/// # Errors
/// When there is no memory.
pub fn pack(matrices: &mut [&mut QMatrix], level: Level) -> std::io::Result<()> {
    if level.primitives().is_none_or(|with| with.packed.is_none()) {
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
    let shared = SharedBytes::new(&mut pages);
    for (w, range) in matrices.iter().zip(&ranges) {
        let Some((range, unit)) = range.clone().zip(unit_bytes(w.quant_type())) else {
            continue;
        };
        let group = w.cols() / BLOCK * unit;
        team::for_each(w.rows().div_ceil(GROUP_ROWS), |i| {
            // SAFETY: groups do not overlap.
            let to = unsafe { shared.part(range.start + i * group, group) };
            pack_group(w, i * GROUP_ROWS, unit, to);
        });
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
fn pack_group(w: &QMatrix, first: usize, unit: usize, to: &mut [u8]) {
    let ty = w.quant_type();
    for i in 0..GROUP_ROWS.min(w.rows() - first) {
        let blocks = w.row(first + i).chunks_exact(ty.block_bytes());
        for (block, to) in blocks.zip(to.chunks_exact_mut(unit)) {
            pack_block(ty, block, i, to);
        }
    }
}

/// One row's block into its places of a unit.
fn pack_block(ty: QuantType, block: &[u8], i: usize, to: &mut [u8]) {
    let (scale, rest) = block.split_at(2);
    to[2 * i..][..2].copy_from_slice(scale);
    let to = &mut to[2 * GROUP_ROWS..];
    let (to, rest) = if matches!(ty, QuantType::Q4_1 | QuantType::Q5_1) {
        to[2 * i..][..2].copy_from_slice(&rest[..2]);
        (&mut to[2 * GROUP_ROWS..], &rest[2..])
    } else {
        (to, rest)
    };
    let place = |column: usize| column / 4 * 64 + 4 * i + column % 4;
    if ty == QuantType::Q8_0 {
        for (column, value) in rest.iter().enumerate() {
            // Signed to unsigned: 128 more, which the product takes off again.
            to[place(column)] = value ^ 0x80;
        }
        return;
    }
    let five = matches!(ty, QuantType::Q5_0 | QuantType::Q5_1);
    let (bits, nibbles) = rest.split_at(if five { 4 } else { 0 });
    for (column, pair) in nibbles.iter().enumerate() {
        // Stored as columns c and 16 + c in one byte, as it stays.
        to[place(column)] = *pair;
    }
    for (column, fifth) in (0..bits.len() * 8).map(|c| (c, bits[c / 8] >> (c % 8) & 1)) {
        let bit = 4 * i + column % 4;
        to[256 + column / 4 * 8 + bit / 8] |= fifth << (bit % 8);
    }
}
