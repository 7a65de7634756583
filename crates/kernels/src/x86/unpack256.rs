//! Decoding of weights that lie sixteen rows side by side (`packed`), with AVX2.

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cvtepi32_ps,
    _mm256_cvtepu16_epi32, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_ps,
};

use crate::QuantType;
use crate::packed::{GROUP_ROWS, Layout, UNIT};
use crate::x86::kind;
use crate::x86::packed256::{LANES, factors, weights};

/// [`crate::primitives::Unpack`].
///
/// # Panics
/// When the lengths disagree, or the type cannot be packed.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn unpack(ty: QuantType, group: &[u8], units: usize, from: usize, to: &mut [f32]) {
    let layout = Layout::of(ty);
    assert_eq!(group.len(), layout.group_bytes(units), "one group");
    let wanted = to.len() / (UNIT * GROUP_ROWS);
    assert_eq!(to.len(), wanted * UNIT * GROUP_ROWS, "whole units");
    assert!(
        from + wanted <= units && units.is_multiple_of(layout.stretch),
        "the units exist"
    );
    if ty.block_size() == 1 {
        let bytes = layout.integer_bytes;
        return floats(ty, &group[from * bytes..][..wanted * bytes], to);
    }
    kind::dispatch!(ty, integers, group, units, from, to)
}

/// [`crate::quant::dequantize`] of what is not in blocks, eight at a time.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn floats(ty: QuantType, from: &[u8], to: &mut [f32]) {
    let to = to.as_chunks_mut::<LANES>().0;
    let (halves, singles) = (from.as_chunks::<16>().0, from.as_chunks::<32>().0);
    // SAFETY, of each: as many bytes as are read, and eight floats.
    match ty {
        QuantType::F32 => to.iter_mut().zip(singles).for_each(|(to, from)| unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), _mm256_loadu_ps(from.as_ptr().cast()));
        }),
        QuantType::F16 => to.iter_mut().zip(halves).for_each(|(to, from)| unsafe {
            let values = _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast()));
            _mm256_storeu_ps(to.as_mut_ptr(), values);
        }),
        _ => to.iter_mut().zip(halves).for_each(|(to, from)| unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().cast()));
            let values = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits));
            _mm256_storeu_ps(to.as_mut_ptr(), values);
        }),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn integers<const KIND: u8>(group: &[u8], units: usize, from: usize, to: &mut [f32]) {
    let layout = kind::layout(KIND);
    let integers = layout.integers_at(units);
    for (i, to) in to.chunks_exact_mut(UNIT * GROUP_ROWS).enumerate() {
        let unit = from + i;
        let (stretch, within) = (unit / layout.stretch, unit % layout.stretch);
        // SAFETY: within the group, as `unpack` checked; 32 columns of sixteen floats are written.
        unsafe {
            let stretch = group.as_ptr().add(stretch * layout.scale_bytes);
            let scales = stretch.add(layout.scale_bytes - 32 * (layout.stretch - within));
            let at = group.as_ptr().add(integers + unit * layout.integer_bytes);
            for half in 0..2 {
                let (factor, second) = factors::<KIND>(stretch, scales, half);
                let to = to.as_mut_ptr().add(LANES * half);
                let low = (factor, second);
                let (low, high) = if kind::bits(KIND) == 6 {
                    let centre = _mm256_set1_ps(-kind::centre(KIND));
                    (
                        (factor, _mm256_mul_ps(factor, centre)),
                        (second, _mm256_mul_ps(second, centre)),
                    )
                } else {
                    (low, low)
                };
                macro_rules! columns {
                    ($($c:literal)*) => {
                        $(let (factor, second) = if $c < 4 { low } else { high };
                        values(weights::<KIND, $c>(at, half), factor, second, to.add(4 * $c * GROUP_ROWS));)*
                    };
                }
                columns!(0 1 2 3 4 5 6 7);
            }
        }
    }
}

/// Four columns of eight rows: integer times factor, and the second.
///
/// # Safety
/// Four times eight floats, sixteen apart, can be written.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn values(w: __m256i, factor: __m256, second: __m256, to: *mut f32) {
    let byte = _mm256_set1_epi32(255);
    let columns = [
        _mm256_and_si256(w, byte),
        _mm256_and_si256(_mm256_srli_epi32::<8>(w), byte),
        _mm256_and_si256(_mm256_srli_epi32::<16>(w), byte),
        _mm256_srli_epi32::<24>(w),
    ];
    for (t, column) in columns.into_iter().enumerate() {
        let value = _mm256_fmadd_ps(_mm256_cvtepi32_ps(column), factor, second);
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(to.add(t * GROUP_ROWS), value) };
    }
}
