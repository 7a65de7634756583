//! Rounding of activations, and decoding of stored blocks of 32.

use std::arch::x86_64::{
    __m128, __m128i, __m256, __m256i, _mm_cvtph_ps, _mm_cvtsi128_si32, _mm_cvtss_f32,
    _mm_loadl_epi64, _mm_loadu_si128, _mm_max_ps, _mm_max_ss, _mm_movehl_ps, _mm_mul_ps,
    _mm_set_ps, _mm_shuffle_ps, _mm_srli_si128, _mm256_add_epi32, _mm256_and_si256,
    _mm256_andnot_ps, _mm256_broadcastsi128_si256, _mm256_broadcastss_ps, _mm256_castps256_ps128,
    _mm256_castsi256_si128, _mm256_cmpeq_epi8, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps,
    _mm256_cvtepu8_epi32, _mm256_cvtps_epi32, _mm256_extractf128_ps, _mm256_extracti128_si256,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_max_ps, _mm256_mul_ps, _mm256_or_si256, _mm256_packs_epi16, _mm256_packs_epi32,
    _mm256_permutevar8x32_epi32, _mm256_set_epi64x, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setr_epi32, _mm256_shuffle_epi8,
    _mm256_shuffle_epi32, _mm256_srlv_epi64, _mm256_storeu_ps, _mm256_storeu_si256,
};

use crate::QuantType;
use crate::matmul::int8::{ACTIVATION_BLOCK, Block, round_panel};

/// [`round_panel`] with AVX2, to the same bits for finite numbers.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn round(x: &[f32], cols: usize, to: &mut [Block]) {
    round_panel(x, cols, to, |x| round_block(x));
}

/// [`Block::round`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn round_block(x: &[f32; ACTIVATION_BLOCK]) -> Block {
    // SAFETY: four times eight floats.
    let x: [__m256; 4] = std::array::from_fn(|i| unsafe { _mm256_loadu_ps(x.as_ptr().add(8 * i)) });
    let sizes = x.map(|x| _mm256_andnot_ps(_mm256_set1_ps(-0.0), x));
    let largest = _mm256_max_ps(
        _mm256_max_ps(sizes[0], sizes[1]),
        _mm256_max_ps(sizes[2], sizes[3]),
    );
    let four = _mm_max_ps(
        _mm256_castps256_ps128(largest),
        _mm256_extractf128_ps::<1>(largest),
    );
    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    let scale = _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two))) / 127.0;
    let inverse = _mm256_set1_ps(if scale == 0.0 { 0.0 } else { scale.recip() });
    // The default rounding: to nearest, ties to even.
    let q = x.map(|x| _mm256_cvtps_epi32(_mm256_mul_ps(x, inverse)));
    // Packing works within halves of registers: words 0, 4, 1, 5, … come out.
    let bytes = _mm256_packs_epi16(
        _mm256_packs_epi32(q[0], q[1]),
        _mm256_packs_epi32(q[2], q[3]),
    );
    let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    let mut block = Block::EMPTY;
    // SAFETY: 32 bytes.
    unsafe { _mm256_storeu_si256(block.q.as_mut_ptr().cast(), bytes) };
    let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    let eights = _mm256_add_epi32(fours, _mm256_shuffle_epi32::<0b10_11_00_01>(fours));
    let halves = _mm256_add_epi32(eights, _mm256_shuffle_epi32::<0b01_00_11_10>(eights));
    block.finish(
        scale,
        [
            _mm_cvtsi128_si32(_mm256_castsi256_si128(halves)),
            _mm_cvtsi128_si32(_mm256_extracti128_si256::<1>(halves)),
        ],
    );
    block
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_the_plain_one_to_the_bit() {
        if !crate::Level::Avx2.is_available() {
            return;
        }
        let mut state = 5_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        for scale in [0.0, 1e-30, 0.01, 1.0, 1e10] {
            for _ in 0..50 {
                let x: [f32; ACTIVATION_BLOCK] = std::array::from_fn(|_| next() * scale);
                // SAFETY: the level is available.
                let fast = unsafe { round_block(&x) };
                assert_eq!(fast, Block::round(&x), "{x:?}");
            }
        }
        // Halves are ties: of 127, the largest, and of what is next to it.
        let ties: [f32; ACTIVATION_BLOCK] =
            std::array::from_fn(|i| if i == 0 { 127.0 } else { i as f32 - 16.5 });
        // SAFETY: only reached where the level is available.
        assert_eq!(unsafe { round_block(&ties) }, Block::round(&ties));
    }
}
