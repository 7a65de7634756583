//! Integer products of weights that lie sixteen rows side by side (`packed`), with AVX2: eight rows a register.

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi16,
    _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps,
    _mm256_cvtepu8_epi32, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8,
    _mm256_slli_epi16, _mm256_srli_epi16, _mm256_storeu_ps, _mm256_xor_si256,
};

use crate::QuantType;
use crate::matmul::int8::{Block, Panel};
use crate::packed::GROUP_ROWS;
use crate::x86::kind;

/// Rows of a register.
pub(super) const LANES: usize = 8;

/// [`crate::primitives::PackedDot`], for up to four rows of activations.
///
/// # Panics
/// When the lengths disagree, or the type cannot be packed.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dot(ty: QuantType, groups: &[u8], x: Panel<'_>, out: &mut [f32]) {
    kind::dispatch!(ty, by_count, groups, x, out)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn by_count<const KIND: u8>(groups: &[u8], x: Panel<'_>, out: &mut [f32]) {
    match x.rows {
        1 => by_group::<KIND, 1>(groups, x, out),
        2 => by_group::<KIND, 2>(groups, x, out),
        3 => by_group::<KIND, 3>(groups, x, out),
        4 => by_group::<KIND, 4>(groups, x, out),
        _ => unreachable!("one to four rows of activations at a time"),
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn by_group<const KIND: u8, const R: usize>(groups: &[u8], x: Panel<'_>, out: &mut [f32]) {
    let (layout, units) = (kind::layout(KIND), x.blocks.len() / R);
    let group = layout.group_bytes(units);
    if group == 0 || groups.is_empty() {
        return;
    }
    let rows = groups.len() / group * GROUP_ROWS;
    assert_eq!(x.blocks.len(), units * R, "the activations are whole rows");
    assert_eq!(units % layout.stretch, 0, "whole blocks");
    assert_eq!(groups.len() % group, 0, "whole groups");
    assert_eq!(out.len(), rows * R, "the results are whole rows");
    for (i, weights) in groups.chunks_exact(group).enumerate() {
        // SAFETY: a group is `units` units, and there are R activation blocks for each, as just checked.
        let sums: [[__m256; 2]; R] = unsafe { group_of::<KIND, R>(units, weights, x.blocks) };
        for (r, sums) in sums.into_iter().enumerate() {
            let to = &mut out[r * rows + i * GROUP_ROWS..][..GROUP_ROWS];
            for (sums, to) in sums.into_iter().zip(to.as_chunks_mut::<LANES>().0) {
                // SAFETY: eight floats.
                unsafe { _mm256_storeu_ps(to.as_mut_ptr(), sums) };
            }
        }
    }
}

/// # Safety
/// `weights` holds `units` units; `x` holds R blocks for each.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn group_of<const KIND: u8, const R: usize>(
    units: usize,
    weights: &[u8],
    x: &[Block],
) -> [[__m256; 2]; R] {
    let layout = kind::layout(KIND);
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    let mut stretch = weights.as_ptr();
    // SAFETY: each read lies within the group, whose layout `packed` describes, or within the R blocks of a unit.
    unsafe {
        let mut integers = stretch.add(layout.integers_at(units));
        let mut x = x.as_ptr();
        for _ in 0..units / layout.stretch {
            let mut scales = stretch.add(layout.scale_bytes - 32 * layout.stretch);
            for _ in 0..layout.stretch {
                let products = products::<KIND, R>(integers, x);
                for half in 0..2 {
                    let (factor, second) = factors::<KIND>(stretch, scales, half);
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let (x, [low, high]) = (&*x.add(r), products[r][half]);
                        let (sums, scale) = (&mut sums[half], _mm256_set1_ps(x.scale));
                        if kind::bits(KIND) == 6 {
                            let of = |products, offset| {
                                let offset = _mm256_set1_epi32(offset);
                                _mm256_cvtepi32_ps(_mm256_add_epi32(products, offset))
                            };
                            let low = _mm256_mul_ps(of(low, x.offsets[0]), factor);
                            let both = _mm256_fmadd_ps(of(high, x.offsets[1]), second, low);
                            *sums = _mm256_fmadd_ps(both, scale, *sums);
                        } else {
                            let all = _mm256_mul_ps(_mm256_cvtepi32_ps(low), factor);
                            *sums = _mm256_fmadd_ps(all, scale, *sums);
                            if kind::bits(KIND) != 8 {
                                let minimum = _mm256_set1_ps(x.scaled_sum);
                                *sums = _mm256_fmadd_ps(second, minimum, *sums);
                            }
                        }
                    }
                }
                x = x.add(R);
                scales = scales.add(32);
                integers = integers.add(layout.integer_bytes);
            }
            stretch = stretch.add(layout.scale_bytes);
        }
    }
    sums
}

/// Sums of products of a unit, by row of activations, half of the rows of weights and, for six bits, half of the columns;
/// else the first is all there is. Sixteen-bit sums are widened before they can overflow: eight products of pairs of
/// four bits (8 · 2 · 15 · 127), four of five bits, two of six and one of eight are below 2^15.
///
/// # Safety
/// `at` is where the integers of a unit begin; `x` holds R blocks.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn products<const KIND: u8, const R: usize>(
    at: *const u8,
    x: *const Block,
) -> [[[__m256i; 2]; 2]; R] {
    let ones = _mm256_set1_epi16(1);
    let none = _mm256_setzero_si256();
    let mut narrow = [[none; 2]; R];
    let mut wide = [[[none; 2]; 2]; R];
    /// Sixteen-bit sums of so many products are widened together.
    const fn run(bits: u8) -> usize {
        match bits {
            4 => 8,
            5 => 4,
            6 => 2,
            _ => 1,
        }
    }
    let bits = kind::bits(KIND);
    macro_rules! step {
        ($c:literal) => {
            // SAFETY: the caller's promise.
            let w = unsafe { [weights::<KIND, $c>(at, 0), weights::<KIND, $c>(at, 1)] };
            for r in 0..R {
                // SAFETY: the caller's promise; a block has eight words.
                let word = unsafe {
                    (*x.add(r))
                        .q
                        .as_ptr()
                        .cast::<i32>()
                        .add($c)
                        .read_unaligned()
                };
                let word = _mm256_set1_epi32(word);
                for half in 0..2 {
                    let pairs = if bits == 8 {
                        // The sign moves to the activation, which is never -128.
                        let w = _mm256_xor_si256(w[half], _mm256_set1_epi8(-128));
                        _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(word, w))
                    } else {
                        _mm256_maddubs_epi16(w[half], word)
                    };
                    narrow[r][half] = if $c % run(bits) == 0 {
                        pairs
                    } else {
                        _mm256_add_epi16(narrow[r][half], pairs)
                    };
                    if $c % run(bits) == run(bits) - 1 {
                        let part = if bits == 6 { $c / 4 } else { 0 };
                        let sums = _mm256_madd_epi16(narrow[r][half], ones);
                        let wide = &mut wide[r][half][part];
                        *wide = _mm256_add_epi32(*wide, sums);
                    }
                }
            }
        };
    }
    step!(0);
    step!(1);
    step!(2);
    step!(3);
    step!(4);
    step!(5);
    step!(6);
    step!(7);
    wide
}

/// The integers of columns 4 C onwards of eight rows as bytes.
///
/// # Safety
/// `at` is where the integers of a unit begin.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn weights<const KIND: u8, const C: usize>(
    at: *const u8,
    half: usize,
) -> __m256i {
    // SAFETY: the caller's promise and the layout.
    unsafe {
        let vector = |i: usize| _mm256_loadu_si256(at.add(64 * i + 32 * half).cast());
        if kind::bits(KIND) == 8 {
            return vector(C);
        }
        let both = vector(C % 4);
        let moved = if C < 4 {
            both
        } else {
            _mm256_srli_epi16::<4>(both)
        };
        let low = _mm256_and_si256(moved, _mm256_set1_epi8(15));
        match kind::bits(KIND) {
            5 => {
                let top = vector(4);
                let moved = match C {
                    0 => _mm256_slli_epi16::<4>(top),
                    1 => _mm256_slli_epi16::<3>(top),
                    2 => _mm256_slli_epi16::<2>(top),
                    3 => _mm256_slli_epi16::<1>(top),
                    4 => top,
                    5 => _mm256_srli_epi16::<1>(top),
                    6 => _mm256_srli_epi16::<2>(top),
                    _ => _mm256_srli_epi16::<3>(top),
                };
                _mm256_or_si256(low, _mm256_and_si256(moved, _mm256_set1_epi8(16)))
            }
            6 => {
                let top = vector(4 + C / 4);
                let moved = match C % 4 {
                    0 => _mm256_slli_epi16::<4>(top),
                    1 => _mm256_slli_epi16::<2>(top),
                    2 => top,
                    _ => _mm256_srli_epi16::<2>(top),
                };
                _mm256_or_si256(low, _mm256_and_si256(moved, _mm256_set1_epi8(0x30)))
            }
            _ => low,
        }
    }
}

/// What the sums of a unit are multiplied by, and what is added for each activation; for six bits, what the sums of either
/// half are multiplied by. For rows `8 half..`.
///
/// # Safety
/// `stretch` is where the scales of a stretch begin, `scales` where those of the unit do.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn factors<const KIND: u8>(
    stretch: *const u8,
    scales: *const u8,
    half: usize,
) -> (__m256, __m256) {
    // SAFETY: the caller's promise and the layout.
    unsafe {
        let halves =
            |at: usize| _mm256_cvtph_ps(_mm_loadu_si128(stretch.add(32 * at + 16 * half).cast()));
        let bytes = |at: usize| _mm_loadl_epi64(scales.add(GROUP_ROWS * at + LANES * half).cast());
        match KIND {
            kind::Q4K | kind::Q5K => {
                let of = |at: usize| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes(at)));
                (
                    _mm256_mul_ps(halves(0), of(0)),
                    _mm256_mul_ps(halves(1), of(1)),
                )
            }
            kind::Q6K => {
                let scale = halves(0);
                let of = |at: usize| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes(at)));
                (_mm256_mul_ps(scale, of(0)), _mm256_mul_ps(scale, of(1)))
            }
            kind::Q4_1 | kind::Q5_1 => (halves(0), halves(1)),
            _ => {
                let scale = halves(0);
                let offset = _mm256_set1_ps(-kind::centre(KIND));
                (scale, _mm256_mul_ps(scale, offset))
            }
        }
    }
}
