//! Integer products of weights that lie sixteen rows side by side (`packed`), with AVX-512 and VNNI.

use std::arch::x86_64::{
    __m256i, __m512, __m512i, _mm256_loadu_si256, _mm512_and_si512, _mm512_cvtepi32_ps,
    _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_si512,
    _mm512_mask_add_epi8, _mm512_mul_ps, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_srli_epi16, _mm512_storeu_ps,
};

use crate::QuantType;
use crate::matmul::int8::{ACTIVATION_BLOCK, Activations};
use crate::packed::{GROUP_ROWS, unit_bytes};

/// [`crate::primitives::PackedDot`].
///
/// # Panics
/// When the lengths disagree, or the type cannot be packed.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
pub(super) fn dot(ty: QuantType, groups: &[u8], x: &Activations, first: usize, out: &mut [f32]) {
    match ty {
        QuantType::Q4_0 => by_count::<4, false>(ty, groups, x, first, out),
        QuantType::Q4_1 => by_count::<4, true>(ty, groups, x, first, out),
        QuantType::Q5_0 => by_count::<5, false>(ty, groups, x, first, out),
        QuantType::Q5_1 => by_count::<5, true>(ty, groups, x, first, out),
        QuantType::Q8_0 => by_count::<8, false>(ty, groups, x, first, out),
        QuantType::F32
        | QuantType::F16
        | QuantType::BF16
        | QuantType::Q4K
        | QuantType::Q5K
        | QuantType::Q6K => unreachable!("{} is not packed", ty.name()),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
fn by_count<const BITS: u8, const MINIMUM: bool>(
    ty: QuantType,
    groups: &[u8],
    x: &Activations,
    first: usize,
    out: &mut [f32],
) {
    let blocks = x.blocks_a_row;
    let group = unit_bytes(ty).unwrap_or(0) * blocks;
    if group == 0 || groups.is_empty() {
        return;
    }
    let rows = groups.len() / group * GROUP_ROWS;
    let count = out.len() / rows;
    assert_eq!(groups.len() % group, 0, "whole groups");
    assert_eq!(out.len(), rows * count, "the results are whole rows");
    assert!(
        (first + count) * blocks <= x.scales.len() && x.sums.len() == x.scales.len(),
        "the rows of activations exist"
    );
    assert_eq!(
        x.q.len(),
        x.scales.len() * ACTIVATION_BLOCK,
        "a block has 32 activations"
    );
    for (i, weights) in groups.chunks_exact(group).enumerate() {
        // SAFETY: a group is `blocks` units, and the rows of activations were just checked.
        unsafe {
            let mut put = |r: usize, sums: __m512| {
                let to = &mut out[r * rows + i * GROUP_ROWS..][..GROUP_ROWS];
                _mm512_storeu_ps(to.as_mut_ptr(), sums);
            };
            match count {
                1 => group_of::<BITS, MINIMUM, 1>(blocks, weights, x, first, &mut put),
                2 => group_of::<BITS, MINIMUM, 2>(blocks, weights, x, first, &mut put),
                3 => group_of::<BITS, MINIMUM, 3>(blocks, weights, x, first, &mut put),
                4 => group_of::<BITS, MINIMUM, 4>(blocks, weights, x, first, &mut put),
                _ => unreachable!("one to four rows of activations at a time"),
            }
        }
    }
}

/// What is taken off every integer: types without a minimum are centred.
const fn offset(bits: u8, minimum: bool) -> i32 {
    match (bits, minimum) {
        (_, true) => 0,
        (4, _) => 8,
        (5, _) => 16,
        _ => 128,
    }
}

/// # Safety
/// `weights` holds `blocks` units; `x` holds rows up to `first + R` of as many blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
unsafe fn group_of<const BITS: u8, const MINIMUM: bool, const R: usize>(
    blocks: usize,
    weights: &[u8],
    x: &Activations,
    first: usize,
    put: &mut impl FnMut(usize, __m512),
) {
    let mut sums = [_mm512_setzero_ps(); R];
    let mut unit = weights.as_ptr();
    let low = _mm512_set1_epi8(15);
    for block in 0..blocks {
        // SAFETY: each read lies within the unit, whose layout `packed` describes; block < blocks and r < R.
        unsafe {
            let scales = halves(unit);
            let mut at = unit.add(2 * GROUP_ROWS);
            let minima = if MINIMUM {
                at = at.add(2 * GROUP_ROWS);
                halves(unit.add(2 * GROUP_ROWS))
            } else {
                scales
            };
            let place = |r: usize| (first + r) * blocks + block;
            let mut products: [__m512i; R] = std::array::from_fn(|r| {
                let sum = *x.sums.get_unchecked(place(r));
                _mm512_set1_epi32(-offset(BITS, MINIMUM) * sum)
            });
            let four = |r: usize, columns: usize| {
                let from = x.q.as_ptr().add(place(r) * ACTIVATION_BLOCK + 4 * columns);
                _mm512_set1_epi32(from.cast::<i32>().read_unaligned())
            };
            if BITS == 8 {
                for j in 0..8 {
                    let w = _mm512_loadu_si512(at.add(64 * j).cast());
                    for (r, products) in products.iter_mut().enumerate() {
                        *products = _mm512_dpbusd_epi32(*products, w, four(r, j));
                    }
                }
                at = at.add(512);
            } else {
                let masks = at.add(256).cast::<u64>();
                for j in 0..4 {
                    let both = _mm512_loadu_si512(at.add(64 * j).cast());
                    let mut w = _mm512_and_si512(both, low);
                    let mut v = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
                    if BITS == 5 {
                        let fifth = _mm512_set1_epi8(16);
                        w = _mm512_mask_add_epi8(w, masks.add(j).read_unaligned(), w, fifth);
                        v = _mm512_mask_add_epi8(v, masks.add(4 + j).read_unaligned(), v, fifth);
                    }
                    for (r, products) in products.iter_mut().enumerate() {
                        *products = _mm512_dpbusd_epi32(*products, w, four(r, j));
                        *products = _mm512_dpbusd_epi32(*products, v, four(r, 4 + j));
                    }
                }
                at = at.add(if BITS == 5 { 320 } else { 256 });
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let [scale, scaled_sum] = *x.scales.get_unchecked(place(r));
                let factor = _mm512_mul_ps(scales, _mm512_set1_ps(scale));
                *sums = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products[r]), factor, *sums);
                if MINIMUM {
                    *sums = _mm512_fmadd_ps(minima, _mm512_set1_ps(scaled_sum), *sums);
                }
            }
            unit = at;
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        put(r, sums);
    }
}

/// Sixteen half floats.
///
/// # Safety
/// 32 bytes can be read.
#[inline]
#[target_feature(enable = "avx512f,f16c")]
unsafe fn halves(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    let bits: __m256i = unsafe { _mm256_loadu_si256(at.cast()) };
    _mm512_cvtph_ps(bits)
}
