//! Packed weights cut into tiles of bfloat16 for the matrix unit.

use std::arch::x86_64::{
    __m512, __m512i, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_fmadd_ps, _mm512_loadu_si512,
    _mm512_mul_ps, _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_srli_epi32,
    _mm512_storeu_si512,
};

use crate::QuantType;
use crate::matmul::planes::{DEPTH, SIDE, Tile};
use crate::packed::{GROUP_ROWS, UNIT};
use crate::x86::{amx::cut, kind, vnni};

/// A tile is as wide as a group and as deep as a unit.
const _: () = assert!(SIDE == GROUP_ROWS && DEPTH == UNIT);

/// [`crate::primitives::MatrixUnit::pack_group`].
///
/// # Panics
/// When the lengths disagree, or the type cannot be packed.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16,f16c")]
pub(super) fn pack_group(ty: QuantType, group: &[u8], to: &mut [Tile], rest: &mut [Tile]) {
    kind::dispatch!(ty, pack, group, to, rest)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16,f16c")]
fn pack<const KIND: u8>(group: &[u8], to: &mut [Tile], rest: &mut [Tile]) {
    let (layout, units) = (kind::layout(KIND), to.len());
    assert_eq!(units % layout.stretch, 0, "whole blocks");
    assert_eq!(group.len(), layout.group_bytes(units), "one group");
    assert!(rest.is_empty() || rest.len() == units);
    // 0, 16, 1, 17, …: bfloat16 of the even column are in the lower half, of the odd one in the upper.
    let order: [u16; DEPTH] = std::array::from_fn(|i| (i / 2 + i % 2 * SIDE) as u16);
    // SAFETY: 64 bytes.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
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
            for (pair, [even, odd]) in columns.into_iter().enumerate() {
                let (first, [even, odd]) = cut(even, odd);
                let at = (2 * c + pair) * DEPTH;
                let first = _mm512_permutexvar_epi16(order, first);
                // SAFETY: a tile's row is 64 bytes, and 2 c + pair < 16.
                unsafe { _mm512_storeu_si512(to.0[at..].as_mut_ptr().cast(), first) };
                if let Some(rest) = &mut rest {
                    let second = _mm512_permutexvar_epi16(order, cut(even, odd).0);
                    // SAFETY: as above.
                    unsafe { _mm512_storeu_si512(rest.0[at..].as_mut_ptr().cast(), second) };
                }
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
