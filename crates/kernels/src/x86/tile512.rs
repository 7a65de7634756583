//! The f32 microkernel with AVX-512: a row of a tile is one register.

use std::arch::x86_64::{
    _MM_HINT_T1, _mm_prefetch, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use crate::primitives::{TILE_COLS, TileBuffer, WIDE_COLS, WIDE_ROWS};
use crate::slices::Strided;

/// [`crate::primitives::Primitives::tile`], to the same bits as with AVX2.
///
/// # Panics
/// When `a` is not `[>= rows, >= depth]` or `b` is not `[>= depth, >= 16]`.
#[target_feature(enable = "avx512f")]
pub(crate) fn tile(rows: usize, depth: usize, a: Strided<'_>, b: Strided<'_>, c: &mut TileBuffer) {
    a.assert_holds(rows, depth);
    b.assert_holds(depth, TILE_COLS);
    // SAFETY: the shapes were just checked against the slices.
    unsafe {
        match rows {
            0 => {}
            1 => sized::<1>(depth, a, b, c),
            2 => sized::<2>(depth, a, b, c),
            3 => sized::<3>(depth, a, b, c),
            4 => sized::<4>(depth, a, b, c),
            5 => sized::<5>(depth, a, b, c),
            6 => sized::<6>(depth, a, b, c),
            7 => sized::<7>(depth, a, b, c),
            8 => sized::<8>(depth, a, b, c),
            9 => sized::<9>(depth, a, b, c),
            10 => sized::<10>(depth, a, b, c),
            11 => sized::<11>(depth, a, b, c),
            _ => sized::<12>(depth, a, b, c),
        }
    }
}

/// # Safety
/// `a` holds `[R, depth]` and `b` holds `[depth, 16]`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn sized<const R: usize>(depth: usize, a: Strided<'_>, b: Strided<'_>, c: &mut TileBuffer) {
    let mut sums = [_mm512_setzero_ps(); R];
    for (row, sum) in c.iter().zip(&mut sums) {
        // SAFETY: a row of the buffer is sixteen floats.
        *sum = unsafe { _mm512_loadu_ps(row.as_ptr()) };
    }
    let (a_start, b_start) = (a.values.as_ptr(), b.values.as_ptr());
    let whole = depth / UNROLL * UNROLL;
    for p in (0..whole).step_by(UNROLL) {
        // SAFETY: p + UNROLL <= depth, r < R and the caller's promise.
        unsafe {
            let mut columns = [_mm512_setzero_ps(); UNROLL];
            for (i, columns) in columns.iter_mut().enumerate() {
                *columns = _mm512_loadu_ps(b_start.add((p + i) * b.stride));
            }
            for (r, sum) in sums.iter_mut().enumerate() {
                let factors = a_start.add(r * a.stride + p);
                for (i, columns) in columns.into_iter().enumerate() {
                    *sum = _mm512_fmadd_ps(_mm512_set1_ps(*factors.add(i)), columns, *sum);
                }
            }
        }
    }
    for p in whole..depth {
        // SAFETY: p < depth, r < R and the caller's promise.
        unsafe {
            let columns = _mm512_loadu_ps(b_start.add(p * b.stride));
            for (r, sum) in sums.iter_mut().enumerate() {
                *sum = _mm512_fmadd_ps(
                    _mm512_set1_ps(*a_start.add(r * a.stride + p)),
                    columns,
                    *sum,
                );
            }
        }
    }
    for (row, sum) in c.iter_mut().zip(sums) {
        // SAFETY: a row of the buffer is sixteen floats.
        unsafe { _mm512_storeu_ps(row.as_mut_ptr(), sum) };
    }
}

/// [`crate::primitives::PairTile`], to the bits of two tiles.
///
/// # Panics
/// When `a` is not `[>= rows, >= depth]` or a `b` is not `[>= depth, >= 16]`.
#[target_feature(enable = "avx512f")]
pub(crate) fn pair(
    rows: usize,
    depth: usize,
    a: Strided<'_>,
    b: [Strided<'_>; 2],
    c: &mut [TileBuffer; 2],
) {
    a.assert_holds(rows, depth);
    b.iter().for_each(|b| b.assert_holds(depth, TILE_COLS));
    // SAFETY: the shapes were just checked against the slices.
    unsafe {
        match rows {
            0 => {}
            1 => pair_of::<1>(depth, a, b, c),
            2 => pair_of::<2>(depth, a, b, c),
            3 => pair_of::<3>(depth, a, b, c),
            4 => pair_of::<4>(depth, a, b, c),
            5 => pair_of::<5>(depth, a, b, c),
            6 => pair_of::<6>(depth, a, b, c),
            7 => pair_of::<7>(depth, a, b, c),
            8 => pair_of::<8>(depth, a, b, c),
            9 => pair_of::<9>(depth, a, b, c),
            10 => pair_of::<10>(depth, a, b, c),
            11 => pair_of::<11>(depth, a, b, c),
            _ => pair_of::<12>(depth, a, b, c),
        }
    }
}

/// # Safety
/// `a` holds `[R, depth]` and each `b` holds `[depth, 16]`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn pair_of<const R: usize>(
    depth: usize,
    a: Strided<'_>,
    b: [Strided<'_>; 2],
    c: &mut [TileBuffer; 2],
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (half, c) in c.iter().enumerate() {
        for (row, sums) in c.iter().zip(&mut sums) {
            // SAFETY: a row of the buffer is sixteen floats.
            sums[half] = unsafe { _mm512_loadu_ps(row.as_ptr()) };
        }
    }
    let (a_start, starts) = (a.values.as_ptr(), b.map(|b| b.values.as_ptr()));
    for p in 0..depth {
        // SAFETY: p < depth, r < R and the caller's promise.
        unsafe {
            let columns: [_; 2] =
                std::array::from_fn(|i| _mm512_loadu_ps(starts[i].add(p * b[i].stride)));
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = _mm512_set1_ps(*a_start.add(r * a.stride + p));
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = _mm512_fmadd_ps(factor, columns, *sum);
                }
            }
        }
    }
    for (half, c) in c.iter_mut().enumerate() {
        for (row, sums) in c.iter_mut().zip(sums) {
            // SAFETY: a row of the buffer is sixteen floats.
            unsafe { _mm512_storeu_ps(row.as_mut_ptr(), sums[half]) };
        }
    }
}

/// Steps of depth taken together: the address of a row is then computed once for all of them.
const UNROLL: usize = 4;

/// [`crate::primitives::Primitives::wide_tile`].
///
/// # Panics
/// When `a` is not `[>= rows, >= depth]` or `b` is not `[>= depth, >= 64]`.
#[target_feature(enable = "avx512f")]
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
    // SAFETY: the shapes were just checked against the slices.
    unsafe {
        match rows {
            0 => {}
            1 => wide_of::<1>(depth, a, b, ahead, c),
            2 => wide_of::<2>(depth, a, b, ahead, c),
            3 => wide_of::<3>(depth, a, b, ahead, c),
            4 => wide_of::<4>(depth, a, b, ahead, c),
            5 => wide_of::<5>(depth, a, b, ahead, c),
            _ => wide_of::<6>(depth, a, b, ahead, c),
        }
    }
}

/// # Safety
/// `a` holds `[R, depth]` and `b` holds `[depth, 64]`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn wide_of<const R: usize>(
    depth: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    ahead: usize,
    c: &mut [[f32; WIDE_COLS]; WIDE_ROWS],
) {
    let mut sums = [[_mm512_setzero_ps(); 4]; R];
    for (row, sums) in c.iter().zip(&mut sums) {
        for (part, sum) in sums.iter_mut().enumerate() {
            // SAFETY: a row of the buffer is 64 floats.
            *sum = unsafe { _mm512_loadu_ps(row.as_ptr().add(16 * part)) };
        }
    }
    let (a_start, b_start) = (a.values.as_ptr(), b.values.as_ptr());
    for p in 0..depth {
        // SAFETY: p < depth, r < R and the caller's promise.
        unsafe {
            let from = b_start.add(p * b.stride);
            // Hints, which read nothing; a line of the cache is sixteen floats.
            for part in 0..4 {
                _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(ahead + 16 * part).cast());
            }
            let columns: [_; 4] = std::array::from_fn(|part| _mm512_loadu_ps(from.add(16 * part)));
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = _mm512_set1_ps(*a_start.add(r * a.stride + p));
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = _mm512_fmadd_ps(factor, columns, *sum);
                }
            }
        }
    }
    for (row, sums) in c.iter_mut().zip(sums) {
        for (part, sum) in sums.into_iter().enumerate() {
            // SAFETY: a row of the buffer is 64 floats.
            unsafe { _mm512_storeu_ps(row.as_mut_ptr().add(16 * part), sum) };
        }
    }
}

/// [`crate::primitives::Primitives::wide_add`].
///
/// # Panics
/// When `a` is not `[>= rows, >= depth]` or `b` is not `[>= depth, >= 64]`.
///
/// # Safety
/// `c` is good for `rows` rows of 64 floats, `stride` apart, that nobody else uses.
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn wide_add(
    rows: usize,
    depth: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    c: *mut f32,
    stride: usize,
) {
    a.assert_holds(rows, depth);
    b.assert_holds(depth, WIDE_COLS);
    // SAFETY: the shapes were just checked against the slices; the caller's promise for c.
    unsafe {
        match rows {
            0 => {}
            1 => wide_add_of::<1>(depth, a, b, c, stride),
            2 => wide_add_of::<2>(depth, a, b, c, stride),
            3 => wide_add_of::<3>(depth, a, b, c, stride),
            4 => wide_add_of::<4>(depth, a, b, c, stride),
            5 => wide_add_of::<5>(depth, a, b, c, stride),
            _ => wide_add_of::<6>(depth, a, b, c, stride),
        }
    }
}

/// # Safety
/// As [`wide_add`], `a` holds `[R, depth]` and `b` holds `[depth, 64]`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn wide_add_of<const R: usize>(
    depth: usize,
    a: Strided<'_>,
    b: Strided<'_>,
    c: *mut f32,
    stride: usize,
) {
    let mut sums = [[_mm512_setzero_ps(); 4]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        for (part, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *sum = unsafe { _mm512_loadu_ps(c.add(r * stride + 16 * part)) };
        }
    }
    let (a_start, b_start) = (a.values.as_ptr(), b.values.as_ptr());
    for p in 0..depth {
        // SAFETY: p < depth, r < R and the caller's promise.
        unsafe {
            let from = b_start.add(p * b.stride);
            let columns: [_; 4] = std::array::from_fn(|part| _mm512_loadu_ps(from.add(16 * part)));
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = _mm512_set1_ps(*a_start.add(r * a.stride + p));
                for (sum, columns) in sums.iter_mut().zip(columns) {
                    *sum = _mm512_fmadd_ps(factor, columns, *sum);
                }
            }
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        for (part, sum) in sums.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_ps(c.add(r * stride + 16 * part), sum) };
        }
    }
}
