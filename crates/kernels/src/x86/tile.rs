//! The f32 microkernel: a small tile of a matrix product held in registers, and the transposition that feeds it.

use std::arch::x86_64::{
    __m256, _MM_HINT_T1, _mm_prefetch, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_storeu_ps,
    _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use crate::primitives::{TILE_COLS, TileBuffer, WIDE_COLS, WIDE_ROWS};
use crate::slices::Strided;

/// [`crate::primitives::Primitives::tile`] in two halves of six rows: twelve registers of sums each.
///
/// # Panics
/// When `a` is not `[>= rows, >= depth]` or `b` is not `[>= depth, >= 16]`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn tile(rows: usize, depth: usize, a: Strided<'_>, b: Strided<'_>, c: &mut TileBuffer) {
    a.assert_holds(rows, depth);
    b.assert_holds(depth, TILE_COLS);
    let (upper, lower) = c.split_at_mut(HALF_ROWS);
    // SAFETY: the shapes were just checked against the slices.
    unsafe {
        half_tile(rows.min(HALF_ROWS), depth, a, b, upper);
        if rows > HALF_ROWS {
            half_tile(
                rows - HALF_ROWS,
                depth,
                a.from(HALF_ROWS * a.stride),
                b,
                lower,
            );
        }
    }
}

/// Rows of sums that fit in the sixteen registers, beside the factors.
const HALF_ROWS: usize = 6;

/// # Safety
/// `a` holds `[rows, depth]` and `b` holds `[depth, 16]`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn half_tile(
    rows: usize,
    depth: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    c: &mut [[f32; TILE_COLS]],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match rows {
            0 => {}
            1 => sized::<1>(depth, a, b, c),
            2 => sized::<2>(depth, a, b, c),
            3 => sized::<3>(depth, a, b, c),
            4 => sized::<4>(depth, a, b, c),
            5 => sized::<5>(depth, a, b, c),
            _ => sized::<6>(depth, a, b, c),
        }
    }
}

/// # Safety
/// `a` holds `[R, depth]` and `b` holds `[depth, 16]`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn sized<const R: usize>(
    depth: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    c: &mut [[f32; TILE_COLS]],
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (row, sum) in c.iter().zip(&mut sums) {
        // SAFETY: a row of the buffer is sixteen floats.
        *sum = unsafe {
            [
                _mm256_loadu_ps(row.as_ptr()),
                _mm256_loadu_ps(row.as_ptr().add(8)),
            ]
        };
    }
    let (a_start, b_start) = (a.values.as_ptr(), b.values.as_ptr());
    for p in 0..depth {
        // SAFETY: p < depth, r < R and the caller's promise.
        unsafe {
            let b0 = _mm256_loadu_ps(b_start.add(p * b.stride));
            let b1 = _mm256_loadu_ps(b_start.add(p * b.stride + 8));
            for (r, sum) in sums.iter_mut().enumerate() {
                let factor = _mm256_broadcast_ss(&*a_start.add(r * a.stride + p));
                sum[0] = _mm256_fmadd_ps(factor, b0, sum[0]);
                sum[1] = _mm256_fmadd_ps(factor, b1, sum[1]);
            }
        }
    }
    for (row, sum) in c.iter_mut().zip(sums) {
        // SAFETY: a row of the buffer is sixteen floats.
        unsafe {
            _mm256_storeu_ps(row.as_mut_ptr(), sum[0]);
            _mm256_storeu_ps(row.as_mut_ptr().add(8), sum[1]);
        }
    }
}

/// [`crate::primitives::Primitives::wide_tile`] in quarters of three rows and 32 columns: twelve registers of sums each.
///
/// # Panics
/// When `a` is not `[>= rows, >= depth]` or `b` is not `[>= depth, >= 64]`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn wide(
    rows: usize,
    depth: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    ahead: usize,
    c: &mut [[f32; WIDE_COLS]; WIDE_ROWS],
) {
    a.assert_holds(rows, depth);
    b.assert_holds(depth, WIDE_COLS);
    for first in (0..rows.min(WIDE_ROWS)).step_by(3) {
        let (a, c) = (a.from(first * a.stride), &mut c[first..]);
        for col in [0, WIDE_COLS / 2] {
            // SAFETY: the shapes were just checked against the slices.
            unsafe {
                match rows - first {
                    1 => wide_of::<1>(depth, a, b.from(col), ahead, c, col),
                    2 => wide_of::<2>(depth, a, b.from(col), ahead, c, col),
                    _ => wide_of::<3>(depth, a, b.from(col), ahead, c, col),
                }
            }
        }
    }
}

/// # Safety
/// `a` holds `[R, depth]`, `b` holds `[depth, 32]`, and `c` has R rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn wide_of<const R: usize>(
    depth: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    ahead: usize,
    c: &mut [[f32; WIDE_COLS]],
    col: usize,
) {
    let mut sums = [[_mm256_setzero_ps(); 4]; R];
    for (row, sums) in c.iter().zip(&mut sums) {
        for (part, sum) in sums.iter_mut().enumerate() {
            // SAFETY: a row of the buffer is 64 floats, and `col` is 0 or 32.
            *sum = unsafe { _mm256_loadu_ps(row.as_ptr().add(col + 8 * part)) };
        }
    }
    let (a_start, b_start) = (a.values.as_ptr(), b.values.as_ptr());
    for p in 0..depth {
        // SAFETY: p < depth, r < R and the caller's promise.
        unsafe {
            let from = b_start.add(p * b.stride);
            // Hints, which read nothing; a line of the cache is sixteen floats.
            for part in 0..2 {
                _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(ahead + 16 * part).cast());
            }
            for part in 0..4 {
                let columns = _mm256_loadu_ps(from.add(8 * part));
                for (r, sums) in sums.iter_mut().enumerate() {
                    let factor = _mm256_broadcast_ss(&*a_start.add(r * a.stride + p));
                    sums[part] = _mm256_fmadd_ps(factor, columns, sums[part]);
                }
            }
        }
    }
    for (row, sums) in c.iter_mut().zip(sums) {
        for (part, sum) in sums.into_iter().enumerate() {
            // SAFETY: a row of the buffer is 64 floats, and `col` is 0 or 32.
            unsafe { _mm256_storeu_ps(row.as_mut_ptr().add(col + 8 * part), sum) };
        }
    }
}

/// Writes the transpose of `from[rows <= 16, depth]` as `to[depth, 16]`, absent rows as zeros.
///
/// # Panics
/// When `from` does not hold `[rows, depth]` or `to` is shorter than `depth * 16`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn transpose(rows: usize, depth: usize, from: Strided<'_>, to: &mut [f32]) {
    from.assert_holds(rows, depth);
    assert!(
        to.len() >= depth * TILE_COLS,
        "the transpose is [depth, 16]"
    );
    let whole = depth / 8 * 8;
    for first in [0, 8] {
        for p in (0..whole).step_by(8) {
            // SAFETY: rows below `rows` and columns p..p + 8 <= depth lie in `from`; rows p..p + 8 of `to` exist.
            unsafe {
                let row = |r: usize| {
                    if first + r < rows {
                        _mm256_loadu_ps(from.values.as_ptr().add((first + r) * from.stride + p))
                    } else {
                        _mm256_setzero_ps()
                    }
                };
                let block = [
                    row(0),
                    row(1),
                    row(2),
                    row(3),
                    row(4),
                    row(5),
                    row(6),
                    row(7),
                ];
                for (i, column) in transpose_8x8(block).into_iter().enumerate() {
                    _mm256_storeu_ps(to.as_mut_ptr().add((p + i) * TILE_COLS + first), column);
                }
            }
        }
    }
    for p in whole..depth {
        for r in 0..TILE_COLS {
            to[p * TILE_COLS + r] = if r < rows {
                from.values[r * from.stride + p]
            } else {
                0.0
            };
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn transpose_8x8(r: [__m256; 8]) -> [__m256; 8] {
    let pair = |i: usize| {
        (
            _mm256_unpacklo_ps(r[i], r[i + 1]),
            _mm256_unpackhi_ps(r[i], r[i + 1]),
        )
    };
    let ((a0, a1), (b0, b1), (c0, c1), (d0, d1)) = (pair(0), pair(2), pair(4), pair(6));
    let low = [
        _mm256_shuffle_ps::<0x44>(a0, b0),
        _mm256_shuffle_ps::<0xee>(a0, b0),
        _mm256_shuffle_ps::<0x44>(a1, b1),
        _mm256_shuffle_ps::<0xee>(a1, b1),
    ];
    let high = [
        _mm256_shuffle_ps::<0x44>(c0, d0),
        _mm256_shuffle_ps::<0xee>(c0, d0),
        _mm256_shuffle_ps::<0x44>(c1, d1),
        _mm256_shuffle_ps::<0xee>(c1, d1),
    ];
    let mut columns = [_mm256_setzero_ps(); 8];
    for i in 0..4 {
        columns[i] = _mm256_permute2f128_ps::<0x20>(low[i], high[i]);
        columns[i + 4] = _mm256_permute2f128_ps::<0x31>(low[i], high[i]);
    }
    columns
}
