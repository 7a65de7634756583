//! Integer products of weights that lie sixteen rows side by side (`packed`), with AVX-512 and VNNI.

use std::arch::x86_64::{
    __m512, __m512i, _mm_loadu_si128, _mm256_loadu_si256, _mm512_add_epi32, _mm512_and_si512,
    _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtph_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi16,
    _mm512_srli_epi16, _mm512_storeu_ps, _mm512_ternarylogic_epi32,
};

use crate::QuantType;
use crate::matmul::int8::{Block, Panel};
use crate::packed::GROUP_ROWS;
use crate::x86::kind;

/// [`crate::primitives::PackedDot`], for up to eight rows of activations.
///
/// # Panics
/// When the lengths disagree, or the type cannot be packed.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
pub(super) fn dot(ty: QuantType, groups: &[u8], x: Panel<'_>, out: &mut [f32]) {
    kind::dispatch!(ty, by_count, groups, x, out)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
fn by_count<const KIND: u8>(groups: &[u8], x: Panel<'_>, out: &mut [f32]) {
    match x.rows {
        1 => by_group::<KIND, 1>(groups, x, out),
        2 => by_group::<KIND, 2>(groups, x, out),
        3 => by_group::<KIND, 3>(groups, x, out),
        4 => by_group::<KIND, 4>(groups, x, out),
        8 => by_group::<KIND, 8>(groups, x, out),
        _ => unreachable!("one to four or eight rows of activations at a time"),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
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
        let sums: [__m512; R] = unsafe { group_of::<KIND, R>(units, weights, x.blocks) };
        for (r, sums) in sums.into_iter().enumerate() {
            let to = &mut out[r * rows + i * GROUP_ROWS..][..GROUP_ROWS];
            // SAFETY: sixteen floats.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), sums) };
        }
    }
}

/// # Safety
/// `weights` holds `units` units; `x` holds R blocks for each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
unsafe fn group_of<const KIND: u8, const R: usize>(
    units: usize,
    weights: &[u8],
    x: &[Block],
) -> [__m512; R] {
    let layout = kind::layout(KIND);
    let mut sums = [_mm512_setzero_ps(); R];
    let mut stretch = weights.as_ptr();
    // SAFETY: each read lies within the group, whose layout `packed` describes, or within the R blocks of a unit.
    unsafe {
        let mut integers = stretch.add(layout.integers_at(units));
        let mut x = x.as_ptr();
        for _ in 0..units / layout.stretch {
            let mut scales = stretch.add(layout.scale_bytes - 32 * layout.stretch);
            for _ in 0..layout.stretch {
                let (factor, second) = factors::<KIND>(stretch, scales);
                let w = vectors::<KIND>(integers);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = &*x.add(r);
                    let words = x.q.as_ptr().cast::<i32>();
                    let word = |c: usize| _mm512_set1_epi32(words.add(c).read_unaligned());
                    let six = kind::bits(KIND) == 6;
                    // With few rows two sums, so that products need not wait for one another.
                    let apart = six || R < 4;
                    let mut halves = [_mm512_setzero_si512(); 2];
                    if six {
                        halves = x.offsets.map(|offset| _mm512_set1_epi32(offset));
                    }
                    for (c, w) in w.into_iter().enumerate() {
                        let sums = &mut halves[if apart { c / 4 } else { 0 }];
                        *sums = _mm512_dpbusd_epi32(*sums, w, word(c));
                    }
                    let (scale, [low, high]) = (_mm512_set1_ps(x.scale), halves);
                    if six {
                        let low = _mm512_mul_ps(_mm512_cvtepi32_ps(low), factor);
                        let both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), second, low);
                        *sums = _mm512_fmadd_ps(both, scale, *sums);
                    } else {
                        let all = if apart {
                            _mm512_add_epi32(low, high)
                        } else {
                            low
                        };
                        let all = _mm512_cvtepi32_ps(all);
                        *sums = _mm512_fmadd_ps(_mm512_mul_ps(all, factor), scale, *sums);
                        *sums = _mm512_fmadd_ps(second, _mm512_set1_ps(x.scaled_sum), *sums);
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

/// What the sums of a unit are multiplied by, and what is added for each activation; for six bits, what the sums of either
/// half are multiplied by.
///
/// # Safety
/// `stretch` is where the scales of a stretch begin, `scales` where those of the unit do.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
pub(super) unsafe fn factors<const KIND: u8>(
    stretch: *const u8,
    scales: *const u8,
) -> (__m512, __m512) {
    // SAFETY: the caller's promise and the layout.
    unsafe {
        let halves = |at: usize| _mm512_cvtph_ps(_mm256_loadu_si256(stretch.add(32 * at).cast()));
        let bytes = |at: usize| _mm_loadu_si128(scales.add(GROUP_ROWS * at).cast());
        match KIND {
            kind::Q4K | kind::Q5K => {
                let of = |at: usize| _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes(at)));
                (
                    _mm512_mul_ps(halves(0), of(0)),
                    _mm512_mul_ps(halves(1), of(1)),
                )
            }
            kind::Q6K => {
                let scale = halves(0);
                let of = |at: usize| _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes(at)));
                (_mm512_mul_ps(scale, of(0)), _mm512_mul_ps(scale, of(1)))
            }
            kind::Q4_1 | kind::Q5_1 => (halves(0), halves(1)),
            _ => {
                let scale = halves(0);
                let offset = _mm512_set1_ps(-kind::centre(KIND));
                (scale, _mm512_mul_ps(scale, offset))
            }
        }
    }
}

/// The integers of a unit as bytes.
///
/// # Safety
/// `at` is where they begin.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,f16c")]
pub(super) unsafe fn vectors<const KIND: u8>(at: *const u8) -> [__m512i; 8] {
    // SAFETY: the caller's promise and the layout.
    unsafe {
        let vector = |i: usize| _mm512_loadu_si512(at.add(64 * i).cast());
        if kind::bits(KIND) == 8 {
            return std::array::from_fn(vector);
        }
        let mut w = [_mm512_setzero_si512(); 8];
        let low = _mm512_set1_epi8(15);
        for j in 0..4 {
            let both = vector(j);
            w[j] = _mm512_and_si512(both, low);
            w[4 + j] = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
        }
        /// (moved & mask) | w
        const AND_OR: i32 = 0xea;
        if kind::bits(KIND) == 5 {
            let top = vector(4);
            let mask = _mm512_set1_epi8(16);
            let moved = [
                _mm512_slli_epi16::<4>(top),
                _mm512_slli_epi16::<3>(top),
                _mm512_slli_epi16::<2>(top),
                _mm512_slli_epi16::<1>(top),
                top,
                _mm512_srli_epi16::<1>(top),
                _mm512_srli_epi16::<2>(top),
                _mm512_srli_epi16::<3>(top),
            ];
            for (w, moved) in w.iter_mut().zip(moved) {
                *w = _mm512_ternarylogic_epi32::<AND_OR>(moved, mask, *w);
            }
        }
        if kind::bits(KIND) == 6 {
            let mask = _mm512_set1_epi8(0x30);
            for (w, top) in w.chunks_exact_mut(4).zip([vector(4), vector(5)]) {
                let moved = [
                    _mm512_slli_epi16::<4>(top),
                    _mm512_slli_epi16::<2>(top),
                    top,
                    _mm512_srli_epi16::<2>(top),
                ];
                for (w, moved) in w.iter_mut().zip(moved) {
                    *w = _mm512_ternarylogic_epi32::<AND_OR>(moved, mask, *w);
                }
            }
        }
        w
    }
}
