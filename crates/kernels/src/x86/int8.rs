//! Integer dot products of weight blocks with activations rounded to signed bytes.

use std::arch::x86_64::{
    __m128, __m128i, __m256i, _mm_add_ps, _mm_castsi128_ps, _mm_cvtph_ps, _mm_cvtss_f32,
    _mm_loadl_epi64, _mm_loadu_si128, _mm_mul_ps, _mm_set_ps, _mm_setzero_ps, _mm_shuffle_ps,
    _mm_srli_si128, _mm256_abs_epi8, _mm256_and_si256, _mm256_broadcastsi128_si256,
    _mm256_broadcastss_ps, _mm256_castsi256_si128, _mm256_cmpeq_epi8, _mm256_cvtepi8_epi32,
    _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32, _mm256_extracti128_si256, _mm256_fmadd_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_or_si256,
    _mm256_set_epi64x, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_setzero_ps, _mm256_shuffle_epi8, _mm256_sign_epi8, _mm256_srlv_epi64, _mm256_storeu_ps,
};

use super::horizontal_sum;
use crate::QuantType;
use crate::matmul::int8::{ACTIVATION_BLOCK, Activations};

/// [`Activations::round`] compiled for AVX2.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn round(x: &[f32], cols: usize) -> Activations {
    Activations::round(x, cols)
}

/// [`crate::primitives::Primitives::dot`].
///
/// # Panics
/// When the lengths disagree, or the type has no integer dot product.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dot(
    ty: QuantType,
    rows: usize,
    blocks: &[u8],
    x: &Activations,
    first: usize,
    out: &mut [f32],
) {
    match ty {
        QuantType::Q4_0 => by_count::<{ kind::Q4_0 }>(rows, blocks, x, first, out),
        QuantType::Q4_1 => by_count::<{ kind::Q4_1 }>(rows, blocks, x, first, out),
        QuantType::Q5_0 => by_count::<{ kind::Q5_0 }>(rows, blocks, x, first, out),
        QuantType::Q5_1 => by_count::<{ kind::Q5_1 }>(rows, blocks, x, first, out),
        QuantType::Q8_0 => by_count::<{ kind::Q8_0 }>(rows, blocks, x, first, out),
        QuantType::F32
        | QuantType::F16
        | QuantType::BF16
        | QuantType::Q4K
        | QuantType::Q5K
        | QuantType::Q6K => {
            unreachable!("{} has no integer dot product", ty.name())
        }
    }
}

/// Decodes whole blocks of 32 to the bits that `quant::dequantize` gives: integer times scale is exact in f32, so adding
/// the minimum rounds once, fused or not. False for the types of other block sizes.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dequantize(ty: QuantType, blocks: &[u8], out: &mut [f32]) -> bool {
    match ty {
        QuantType::Q4_0 => decode::<{ kind::Q4_0 }>(blocks, out),
        QuantType::Q4_1 => decode::<{ kind::Q4_1 }>(blocks, out),
        QuantType::Q5_0 => decode::<{ kind::Q5_0 }>(blocks, out),
        QuantType::Q5_1 => decode::<{ kind::Q5_1 }>(blocks, out),
        QuantType::Q8_0 => decode::<{ kind::Q8_0 }>(blocks, out),
        QuantType::F32
        | QuantType::F16
        | QuantType::BF16
        | QuantType::Q4K
        | QuantType::Q5K
        | QuantType::Q6K => {
            return false;
        }
    }
    true
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn decode<const KIND: u8>(blocks: &[u8], out: &mut [f32]) {
    for (block, out) in blocks
        .chunks_exact(kind::bytes(KIND))
        .zip(out.as_chunks_mut::<ACTIVATION_BLOCK>().0)
    {
        // SAFETY: the chunk is a whole block.
        let (q, scale_and_min) = unsafe { load::<KIND>(block.as_ptr()) };
        let scale = _mm256_broadcastss_ps(scale_and_min);
        let min = _mm256_broadcastss_ps(_mm_shuffle_ps::<1>(scale_and_min, scale_and_min));
        let (low, high) = (_mm256_castsi256_si128(q), _mm256_extracti128_si256::<1>(q));
        let eights = [
            low,
            _mm_srli_si128::<8>(low),
            high,
            _mm_srli_si128::<8>(high),
        ];
        for (eight, out) in eights.into_iter().zip(out.as_chunks_mut::<8>().0) {
            let wide = if KIND == kind::Q8_0 {
                _mm256_cvtepi8_epi32(eight)
            } else {
                _mm256_cvtepu8_epi32(eight)
            };
            let values = _mm256_fmadd_ps(_mm256_cvtepi32_ps(wide), scale, min);
            // SAFETY: eight floats.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), values) };
        }
    }
}

/// The block formats as constants, so that one generic function serves all of them.
mod kind {
    pub const Q4_0: u8 = 0;
    pub const Q4_1: u8 = 1;
    pub const Q5_0: u8 = 2;
    pub const Q5_1: u8 = 3;
    pub const Q8_0: u8 = 4;

    pub const fn bytes(kind: u8) -> usize {
        match kind {
            Q4_0 => 18,
            Q4_1 => 20,
            Q5_0 => 22,
            Q5_1 => 24,
            _ => 34,
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn by_count<const KIND: u8>(
    rows: usize,
    blocks: &[u8],
    x: &Activations,
    first: usize,
    out: &mut [f32],
) {
    if rows == 0 {
        return;
    }
    let n = blocks.len() / rows / kind::bytes(KIND);
    let count = out.len() / rows;
    assert_eq!(
        blocks.len(),
        rows * n * kind::bytes(KIND),
        "the rows are whole blocks"
    );
    assert_eq!(out.len(), rows * count, "the results are whole rows");
    assert!(
        (first + count) * n <= x.scales.len(),
        "the rows of activations exist"
    );
    assert_eq!(
        x.q.len(),
        x.scales.len() * ACTIVATION_BLOCK,
        "a block has 32 activations"
    );
    // Few activations leave registers for several rows of weights, whose sums then need not wait for one another.
    match count {
        1 => by_rows::<KIND, 4, 1>(rows, n, blocks, x, first, out),
        2 => by_rows::<KIND, 2, 2>(rows, n, blocks, x, first, out),
        3 => by_rows::<KIND, 1, 3>(rows, n, blocks, x, first, out),
        4 => by_rows::<KIND, 1, 4>(rows, n, blocks, x, first, out),
        _ => unreachable!("one to four rows of activations at a time"),
    }
}

/// All rows of weights, `W` at a time, times `R` rows of activations.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn by_rows<const KIND: u8, const W: usize, const R: usize>(
    rows: usize,
    n: usize,
    blocks: &[u8],
    x: &Activations,
    first: usize,
    out: &mut [f32],
) {
    let row_bytes = n * kind::bytes(KIND);
    let whole = rows / W * W;
    for row in (0..whole).step_by(W) {
        // SAFETY: `by_count` checked that all rows of weights and activations have `n` blocks.
        let sums: [[f32; R]; W] =
            unsafe { tile::<KIND, W, R>(n, &blocks[row * row_bytes..], x, first) };
        for (w, sums) in sums.into_iter().enumerate() {
            for (r, sum) in sums.into_iter().enumerate() {
                out[r * rows + row + w] = sum;
            }
        }
    }
    for row in whole..rows {
        // SAFETY: as above.
        let [sums] = unsafe { tile::<KIND, 1, R>(n, &blocks[row * row_bytes..], x, first) };
        for (r, sum) in sums.into_iter().enumerate() {
            out[r * rows + row] = sum;
        }
    }
}

/// # Safety
/// `blocks` holds `W` rows of `n` blocks; `x` holds rows up to `first + R` of `n` blocks each.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<const KIND: u8, const W: usize, const R: usize>(
    n: usize,
    blocks: &[u8],
    x: &Activations,
    first: usize,
) -> [[f32; R]; W] {
    let mut sums = [[_mm256_setzero_ps(); R]; W];
    let mut minima = [[_mm_setzero_ps(); R]; W];
    for block in 0..n {
        for w in 0..W {
            // SAFETY: block < n, w < W, r < R and the caller's promise.
            unsafe {
                let start = blocks.as_ptr().add((w * n + block) * kind::bytes(KIND));
                let (q, scale_and_min) = load::<KIND>(start);
                for r in 0..R {
                    let at = (first + r) * n + block;
                    let activations =
                        _mm256_loadu_si256(x.q.as_ptr().add(at * ACTIVATION_BLOCK).cast());
                    let products = _mm256_cvtepi32_ps(multiply::<KIND>(q, activations));
                    // (weight scale * activation scale, weight minimum * scaled sum of activations)
                    let scales =
                        _mm_castsi128_ps(_mm_loadl_epi64(x.scales.as_ptr().add(at).cast()));
                    let factors = _mm_mul_ps(scale_and_min, scales);
                    sums[w][r] =
                        _mm256_fmadd_ps(products, _mm256_broadcastss_ps(factors), sums[w][r]);
                    if KIND != kind::Q8_0 {
                        minima[w][r] = _mm_add_ps(minima[w][r], factors);
                    }
                }
            }
        }
    }
    let mut out = [[0.0; R]; W];
    for w in 0..W {
        for r in 0..R {
            let minimum = _mm_cvtss_f32(_mm_shuffle_ps::<1>(minima[w][r], minima[w][r]));
            out[w][r] = horizontal_sum(sums[w][r]) + minimum;
        }
    }
    out
}

/// Eight partial sums of 32 products. Nibbles are unsigned; for signed bytes the sign moves to the other factor.
/// No 16-bit step can overflow: 2 * 31 * 127 and 2 * 128 * 127 are below 2^15.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply<const KIND: u8>(w: __m256i, x: __m256i) -> __m256i {
    let pairs = if KIND == kind::Q8_0 {
        _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
    } else {
        _mm256_maddubs_epi16(w, x)
    };
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}

/// A block's 32 integers in order, and (scale, minimum) in the low lanes. Formats around 8 or 16 count as having the
/// minimum -8 * scale or -16 * scale.
///
/// # Safety
/// `w` points at a whole block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load<const KIND: u8>(w: *const u8) -> (__m256i, __m128) {
    // SAFETY: each read lies within the block: the caller's promise and the layouts in `quant`.
    unsafe {
        match KIND {
            kind::Q4_0 => (nibbles(w.add(2)), centred(w, -8.0)),
            kind::Q4_1 => (nibbles(w.add(4)), with_minimum(w)),
            kind::Q5_0 => (
                _mm256_or_si256(nibbles(w.add(6)), fifth_bits(w.add(2))),
                centred(w, -16.0),
            ),
            kind::Q5_1 => (
                _mm256_or_si256(nibbles(w.add(8)), fifth_bits(w.add(4))),
                with_minimum(w),
            ),
            _ => (_mm256_loadu_si256(w.add(2).cast()), centred(w, 0.0)),
        }
    }
}

/// # Safety
/// Sixteen bytes can be read.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn nibbles(at: *const u8) -> __m256i {
    // SAFETY: the caller's promise.
    let packed: __m128i = unsafe { _mm_loadu_si128(at.cast()) };
    // Both halves get all sixteen bytes, and the upper half moves its high nibbles down.
    let shifts = _mm256_set_epi64x(4, 4, 0, 0);
    let both = _mm256_srlv_epi64(_mm256_broadcastsi128_si256(packed), shifts);
    _mm256_and_si256(both, _mm256_set1_epi8(15))
}

/// 32 bits as 32 bytes of 0 or 16.
///
/// # Safety
/// Four bytes can be read.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn fifth_bits(at: *const u8) -> __m256i {
    // SAFETY: the caller's promise.
    let bits = unsafe { at.cast::<u32>().read_unaligned() };
    // Byte i of the vector gets byte i / 8 of the bits, then all but bit i % 8 is masked out.
    let spread = _mm256_set_epi64x(
        0x0303_0303_0303_0303,
        0x0202_0202_0202_0202,
        0x0101_0101_0101_0101,
        0x0000_0000_0000_0000,
    );
    let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits.cast_signed()), spread);
    let mask = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, mask), mask);
    _mm256_and_si256(set, _mm256_set1_epi8(16))
}

/// # Safety
/// Eight bytes can be read: scale, minimum and what follows them in the block (two values that nobody looks at).
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_minimum(at: *const u8) -> __m128 {
    // SAFETY: the caller's promise.
    _mm_cvtph_ps(unsafe { _mm_loadl_epi64(at.cast()) })
}

/// # Safety
/// Eight bytes can be read: the scale and what follows it in the block.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn centred(at: *const u8, offset: f32) -> __m128 {
    // SAFETY: the caller's promise.
    let scale = _mm_cvtph_ps(unsafe { _mm_loadl_epi64(at.cast()) });
    _mm_mul_ps(
        _mm_shuffle_ps::<0>(scale, scale),
        _mm_set_ps(0.0, 0.0, offset, 1.0),
    )
}
