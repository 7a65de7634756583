//! Packed weights cut into tiles of bfloat16 for the matrix unit.

use std::arch::x86_64::{
    __m512, __m512i, _mm256_loadu_si256, _mm512_and_si512, _mm512_castsi512_ps, _mm512_cvtepi32_ps,
    _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mul_ps, _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_slli_epi32,
    _mm512_srli_epi32, _mm512_storeu_si512,
};

use crate::QuantType;
use crate::matmul::planes::{DEPTH, SIDE, Tile};
use crate::packed::{GROUP_ROWS, Layout, UNIT};
use crate::x86::{amx::cut, kind, vnni};

/// A tile is as wide as a group and as deep as a unit.
const _: () = assert!(SIDE == GROUP_ROWS && DEPTH == UNIT);

/// [`crate::primitives::MatrixUnit::pack_group`].
///
/// # Panics
/// When the lengths disagree, or the type cannot be packed.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16,f16c")]
pub(super) fn pack_group(ty: QuantType, group: &[u8], to: &mut [Tile], rest: &mut [Tile]) {
    let order = order();
    if ty.block_size() > 1 {
        return kind::dispatch!(ty, pack, order, group, to, rest);
    }
    let unit_bytes = Layout::of(ty).integer_bytes;
    assert_eq!(group.len(), to.len() * unit_bytes, "one group");
    assert!(rest.is_empty() || rest.len() == to.len());
    for (unit, (to, group)) in to
        .iter_mut()
        .zip(group.chunks_exact(unit_bytes))
        .enumerate()
    {
        let mut rest = rest.get_mut(unit);
        let column = |column: usize| {
            let at = group[column * unit_bytes / UNIT..][..unit_bytes / UNIT].as_ptr();
            // SAFETY: sixteen numbers.
            unsafe {
                match ty {
                    QuantType::F32 => _mm512_loadu_ps(at.cast()),
                    QuantType::F16 => _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())),
                    _ => {
                        let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
                        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
                    }
                }
            }
        };
        for pair in 0..SIDE {
            put(
                order,
                pair,
                [column(2 * pair), column(2 * pair + 1)],
                to,
                &mut rest,
            );
        }
    }
}

/// 0, 16, 1, 17, …: bfloat16 of the even column are in the lower half, of the odd one in the upper.
#[inline]
#[target_feature(enable = "avx512f")]
fn order() -> __m512i {
    let order: [u16; DEPTH] = std::array::from_fn(|i| (i / 2 + i % 2 * SIDE) as u16);
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(order.as_ptr().cast()) }
}

/// Two columns of sixteen rows into row `pair` of the tiles.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn put(
    order: __m512i,
    pair: usize,
    [even, odd]: [__m512; 2],
    to: &mut Tile,
    rest: &mut Option<&mut Tile>,
) {
    let store = |tile: &mut Tile, row: __m512i| {
        let row = _mm512_permutexvar_epi16(order, row);
        let to = &mut tile.0[pair * DEPTH..][..DEPTH];
        // SAFETY: 64 bytes.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), row) };
    };
    let (first, [even, odd]) = cut(even, odd);
    store(to, first);
    if let Some(rest) = rest {
        store(rest, cut(even, odd).0);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16,f16c")]
fn pack<const KIND: u8>(order: __m512i, group: &[u8], to: &mut [Tile], rest: &mut [Tile]) {
    let (layout, units) = (kind::layout(KIND), to.len());
    assert_eq!(units % layout.stretch, 0, "whole blocks");
    assert_eq!(group.len(), layout.group_bytes(units), "one group");
    assert!(rest.is_empty() || rest.len() == units);
    let integers = layout.integers_at(units);
    for (unit, to) in to.iter_mut().enumerate() {
        let (stretch, within) = (unit / layout.stretch, unit % layout.stretch);
        // SAFETY: within the group, as just checked.
        let (w, low, high) = unsafe {
            let stretch = group.as_ptr().add(stretch * layout.scale_bytes);
            let scales = stretch.add(layout.scale_bytes - 32 * (layout.stretch - within));
            let at = group.as_ptr().add(integers + unit * layout.integer_bytes);
            let (factor, second) = vnni::factors::<KIND>(stretch, scales);
            let w = vnni::vectors::<KIND>(at);
            if kind::bits(KIND) == 6 {
                let centre = _mm512_set1_ps(-kind::centre(KIND));
                let with_centre = |factor| (factor, _mm512_mul_ps(factor, centre));
                (w, with_centre(factor), with_centre(second))
            } else {
                (w, (factor, second), (factor, second))
            }
        };
        let mut rest = rest.get_mut(unit);
        for (c, w) in w.into_iter().enumerate() {
            let columns = values(w, if c < 4 { low } else { high });
            for (pair, columns) in columns.into_iter().enumerate() {
                put(order, 2 * c + pair, columns, to, &mut rest);
            }
        }
    }
}

/// Four columns of sixteen rows, in pairs: integer times factor, and the second.
#[inline]
#[target_feature(enable = "avx512f")]
fn values(w: __m512i, (factor, second): (__m512, __m512)) -> [[__m512; 2]; 2] {
    let byte = _mm512_set1_epi32(255);
    let value = |w| _mm512_fmadd_ps(_mm512_cvtepi32_ps(w), factor, second);
    [
        [
            value(_mm512_and_si512(w, byte)),
            value(_mm512_and_si512(_mm512_srli_epi32::<8>(w), byte)),
        ],
        [
            value(_mm512_and_si512(_mm512_srli_epi32::<16>(w), byte)),
            value(_mm512_srli_epi32::<24>(w)),
        ],
    ]
}
