//! Products of 16 × 32 by 32 × 16 tiles on the matrix unit of newer Xeons (AMX), on numbers rounded to bfloat16.
//!
//! The compiler has no intrinsics for it yet, so the instructions are inline assembly. Tile registers belong to a thread: a
//! task configures them when it begins and releases them when it ends ([`with_tiles`]).

use std::arch::{
    asm,
    x86_64::{
        __m256i, __m512, __m512bh, __m512i, _mm512_castsi512_ps, _mm512_castsi512_si256,
        _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh, _mm512_extracti64x4_epi64, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_permutexvar_epi16, _mm512_setzero_si512, _mm512_shuffle_i32x4,
        _mm512_slli_epi32, _mm512_storeu_si512, _mm512_sub_ps, _mm512_unpackhi_epi32,
        _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    },
};

use crate::matmul::planes::{DEPTH, Parts, Product, SIDE, Tile};
use crate::slices::Strided;

/// Whether this processor has the unit and this process may use it. Asking Linux for the permission is part of the
/// question: the registers are large, so the kernel hands them out on request only.
pub(crate) fn is_available() -> bool {
    static ANSWER: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ANSWER.get_or_init(|| {
        std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512bf16")
            && std::arch::is_x86_feature_detected!("avx512vnni")
            && has_unit()
            && permitted()
    })
}

/// CPUID leaf 7: EDX bits 22 (bfloat16 products) and 24 (tiles).
fn has_unit() -> bool {
    use std::arch::x86_64::__cpuid_count;
    // Leaf 7 exists where AVX-512 does, which was asked before.
    let found = __cpuid_count(7, 0);
    found.edx & (1 << 22) != 0 && found.edx & (1 << 24) != 0
}

#[cfg(target_os = "linux")]
fn permitted() -> bool {
    /// Linux, `asm/prctl.h`.
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    /// State component of the tile registers (Intel SDM vol. 1, 13.1).
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: this call takes two numbers and changes nothing but what the process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

/// Other systems were not looked at; they use AVX-512.
#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// Palette 1: eight tiles of sixteen rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Runs `work` with this thread's tile registers configured. `work` must not wait for other tasks, which could run here
/// meanwhile and release them.
///
/// # Safety
/// [`is_available`] has said yes.
pub(crate) unsafe fn with_tiles(work: &mut dyn FnMut()) {
    // SAFETY: the unit is there; the configuration is a valid one and lives for ever.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly));
    }
    work();
    // SAFETY: as above.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// [`crate::primitives::MatrixUnit::multiply`].
///
/// # Safety
/// The tile registers are configured; the pointers of `product` are good for what [`Product`] says.
pub(crate) unsafe fn multiply(product: &Product) {
    // SAFETY: the caller's promise. A missing second block repeats the first one: its sums are computed and not stored.
    unsafe {
        if product.add {
            load_sums(product);
        } else {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nostack, nomem)
            );
        }
        match product.parts {
            Parts::First => first_parts(product),
            Parts::Both => both_parts(product),
        }
        store_sums(product);
    }
}

/// # Safety
/// As [`multiply`].
unsafe fn load_sums(product: &Product) {
    let (c, stride) = (product.c, product.c_stride * 4);
    // SAFETY: the caller's promise; blocks that are not there are not read.
    unsafe {
        asm!("tileloadd tmm0, [{c} + {s}*1]", c = in(reg) c, s = in(reg) stride, options(nostack, readonly));
        if product.b_blocks > 1 {
            asm!("tileloadd tmm1, [{c} + {s}*1]", c = in(reg) c.add(SIDE), s = in(reg) stride, options(nostack, readonly));
        }
        if product.a_blocks > 1 {
            let below = c.add(SIDE * product.c_stride);
            asm!("tileloadd tmm2, [{c} + {s}*1]", c = in(reg) below, s = in(reg) stride, options(nostack, readonly));
            if product.b_blocks > 1 {
                asm!("tileloadd tmm3, [{c} + {s}*1]", c = in(reg) below.add(SIDE), s = in(reg) stride, options(nostack, readonly));
            }
        }
    }
}

/// # Safety
/// As [`multiply`].
unsafe fn store_sums(product: &Product) {
    let (c, stride) = (product.c, product.c_stride * 4);
    // SAFETY: the caller's promise; blocks that are not there are not written.
    unsafe {
        asm!("tilestored [{c} + {s}*1], tmm0", c = in(reg) c, s = in(reg) stride, options(nostack));
        if product.b_blocks > 1 {
            asm!("tilestored [{c} + {s}*1], tmm1", c = in(reg) c.add(SIDE), s = in(reg) stride, options(nostack));
        }
        if product.a_blocks > 1 {
            let below = c.add(SIDE * product.c_stride);
            asm!("tilestored [{c} + {s}*1], tmm2", c = in(reg) below, s = in(reg) stride, options(nostack));
            if product.b_blocks > 1 {
                asm!("tilestored [{c} + {s}*1], tmm3", c = in(reg) below.add(SIDE), s = in(reg) stride, options(nostack));
            }
        }
    }
}

/// Sums of (row block i, column block j) are in tile 2 i + j.
///
/// # Safety
/// As [`multiply`].
unsafe fn first_parts(product: &Product) {
    let ([a0, a1], [b0, b1]) = (product.a[0], product.b[0]);
    // SAFETY: each pointer is good for `depth` tiles; nothing that the compiler knows of is changed.
    unsafe {
        asm!(
            "2:",
            "tileloadd tmm4, [{a0} + {s}*1]",
            "tileloadd tmm6, [{b0} + {s}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b1} + {s}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a1} + {s}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a0}, 1024",
            "add {a1}, 1024",
            "add {b0}, 1024",
            "add {b1}, 1024",
            "dec {n}",
            "jnz 2b",
            a0 = inout(reg) a0 => _,
            a1 = inout(reg) a1 => _,
            b0 = inout(reg) b0 => _,
            b1 = inout(reg) b1 => _,
            n = inout(reg) product.depth => _,
            s = in(reg) 64_usize,
            options(nostack, readonly)
        );
    }
}

/// First by first, second by first, first by second, for one pair of tiles after another.
///
/// # Safety
/// As [`multiply`].
unsafe fn both_parts(product: &Product) {
    let ([[a0, a1], [c0, c1]], [[b0, b1], [d0, d1]]) = (product.a, product.b);
    // SAFETY: as in `first_parts`.
    unsafe {
        asm!(
            "2:",
            "tileloadd tmm4, [{a0} + {s}*1]",
            "tileloadd tmm6, [{b0} + {s}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b1} + {s}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{a1} + {s}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm4, [{c0} + {s}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{c1} + {s}*1]",
            "tdpbf16ps tmm2, tmm4, tmm6",
            "tileloadd tmm6, [{d0} + {s}*1]",
            "tdpbf16ps tmm3, tmm4, tmm7",
            "tileloadd tmm4, [{a0} + {s}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{d1} + {s}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a0}, 1024",
            "add {a1}, 1024",
            "add {b0}, 1024",
            "add {b1}, 1024",
            "add {c0}, 1024",
            "add {c1}, 1024",
            "add {d0}, 1024",
            "add {d1}, 1024",
            "dec {n}",
            "jnz 2b",
            a0 = inout(reg) a0 => _,
            a1 = inout(reg) a1 => _,
            b0 = inout(reg) b0 => _,
            b1 = inout(reg) b1 => _,
            c0 = inout(reg) c0 => _,
            c1 = inout(reg) c1 => _,
            d0 = inout(reg) d0 => _,
            d1 = inout(reg) d1 => _,
            n = inout(reg) product.depth => _,
            s = in(reg) 64_usize,
            options(nostack, readonly)
        );
    }
}

/// Two times sixteen numbers as 32 bfloat16, and what rounding left of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn cut(low: __m512, high: __m512) -> (__m512i, [__m512; 2]) {
    // SAFETY: both types are 64 bytes of any content.
    let rounded =
        unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) };
    let back =
        |half: __m256i| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)));
    let rest = [
        _mm512_sub_ps(low, back(_mm512_castsi512_si256(rounded))),
        _mm512_sub_ps(high, back(_mm512_extracti64x4_epi64::<1>(rounded))),
    ];
    (rounded, rest)
}

/// 32 numbers that stand next to each other as bfloat16, and, where wanted, what rounding left of them.
///
/// # Safety
/// 32 floats can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn in_line(x: *const f32, both: bool) -> (__m512i, __m512i) {
    // SAFETY: the caller's promise.
    let (low, high) = unsafe { (_mm512_loadu_ps(x), _mm512_loadu_ps(x.add(16))) };
    let (first, [low, high]) = cut(low, high);
    let second = if both { cut(low, high).0 } else { first };
    (first, second)
}

/// [`crate::primitives::MatrixUnit::pack_rows`].
///
/// # Panics
/// When the slices do not hold that.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) fn pack_rows(
    x: Strided<'_>,
    rows: usize,
    cols: usize,
    to: &mut [Tile],
    rest: &mut [Tile],
) {
    x.assert_holds(rows, cols);
    let depth = cols.div_ceil(DEPTH);
    assert!(rows <= SIDE && to.len() >= depth);
    assert!(rest.is_empty() || rest.len() >= depth);
    let whole = cols / DEPTH;
    for row in 0..rows {
        let x = &x.values[row * x.stride..][..cols];
        for k in 0..depth {
            let mut padded = [0.0; DEPTH];
            let from = if k < whole {
                x[k * DEPTH..].as_ptr()
            } else {
                padded[..cols - k * DEPTH].copy_from_slice(&x[k * DEPTH..]);
                padded.as_ptr()
            };
            // SAFETY: 32 floats lie there; a tile's row is 64 bytes and row < 16.
            unsafe {
                let (first, second) = in_line(from, !rest.is_empty());
                _mm512_storeu_si512(to[k].0[row * DEPTH..].as_mut_ptr().cast(), first);
                if let Some(rest) = rest.get_mut(k) {
                    _mm512_storeu_si512(rest.0[row * DEPTH..].as_mut_ptr().cast(), second);
                }
            }
        }
    }
}

/// [`crate::primitives::MatrixUnit::pack_transposed`].
///
/// # Panics
/// When the slices do not hold that.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) fn pack_transposed(w: &[f32], stride: usize, to: &mut [Tile], rest: &mut [Tile]) {
    let depth = to.len();
    assert!(depth * DEPTH <= stride && (SIDE - 1) * stride + depth * DEPTH <= w.len());
    assert!(rest.is_empty() || rest.len() == depth);
    for (k, to) in to.iter_mut().enumerate() {
        let mut first = [_mm512_setzero_si512(); SIDE];
        let mut second = first;
        for (row, (first, second)) in first.iter_mut().zip(&mut second).enumerate() {
            let at = row * stride + k * DEPTH;
            // SAFETY: 32 floats lie there, as just checked.
            (*first, *second) = unsafe { in_line(w.as_ptr().add(at), !rest.is_empty()) };
        }
        store_all(transpose(first), to);
        if let Some(rest) = rest.get_mut(k) {
            store_all(transpose(second), rest);
        }
    }
}

/// [`crate::primitives::MatrixUnit::pack_columns`].
///
/// # Panics
/// When the slices do not hold that.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) fn pack_columns(low: &[f32], high: &[f32], to: &mut Tile, rest: Option<&mut Tile>) {
    assert!(low.len() == SIDE * SIDE && high.len() == SIDE * SIDE);
    let mut first = [_mm512_setzero_si512(); SIDE];
    let mut second = first;
    for (col, (first, second)) in first.iter_mut().zip(&mut second).enumerate() {
        // SAFETY: sixteen rows of a column lie in either slice, as just checked.
        let (low, high) = unsafe {
            (
                _mm512_loadu_ps(low.as_ptr().add(col * SIDE)),
                _mm512_loadu_ps(high.as_ptr().add(col * SIDE)),
            )
        };
        let (rounded, [low, high]) = cut(low, high);
        *first = rounded;
        if rest.is_some() {
            *second = cut(low, high).0;
        }
    }
    store_all(transpose(first), to);
    if let Some(rest) = rest {
        store_all(transpose(second), rest);
    }
}

/// [`crate::primitives::MatrixUnit::pack_interleaved`].
///
/// # Panics
/// When the slices do not hold that.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) fn pack_interleaved(w: &[f32], stride: usize, to: &mut Tile, rest: Option<&mut Tile>) {
    assert!((DEPTH - 1) * stride + SIDE <= w.len());
    let mut rest = rest;
    // 0, 16, 1, 17, …: bfloat16 of the even row are in the lower half, of the odd one in the upper.
    let mut order = [0_u16; DEPTH];
    for (i, place) in order.iter_mut().enumerate() {
        *place = (i / 2 + i % 2 * SIDE) as u16;
    }
    // SAFETY: 64 bytes.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    for pair in 0..SIDE {
        // SAFETY: rows 2 pair and 2 pair + 1 of sixteen floats lie within the slice, as just checked; a tile's row is 64
        // bytes and pair < 16.
        unsafe {
            let even = _mm512_loadu_ps(w.as_ptr().add(2 * pair * stride));
            let odd = _mm512_loadu_ps(w.as_ptr().add((2 * pair + 1) * stride));
            let (first, [even, odd]) = cut(even, odd);
            let at = pair * DEPTH;
            _mm512_storeu_si512(
                to.0[at..].as_mut_ptr().cast(),
                _mm512_permutexvar_epi16(order, first),
            );
            if let Some(rest) = &mut rest {
                let (second, _) = cut(even, odd);
                _mm512_storeu_si512(
                    rest.0[at..].as_mut_ptr().cast(),
                    _mm512_permutexvar_epi16(order, second),
                );
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_all(rows: [__m512i; SIDE], to: &mut Tile) {
    for (row, to) in rows.into_iter().zip(to.0.as_chunks_mut::<DEPTH>().0) {
        // SAFETY: 64 bytes.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), row) };
    }
}

/// Transposes sixteen rows of sixteen words.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(r: [__m512i; SIDE]) -> [__m512i; SIDE] {
    let mut t = r;
    for i in (0..SIDE).step_by(2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    // u[4 g + c] holds column c of every quarter, for rows 4 g to 4 g + 3.
    let mut u = t;
    for g in (0..SIDE).step_by(4) {
        u[g] = _mm512_unpacklo_epi64(t[g], t[g + 2]);
        u[g + 1] = _mm512_unpackhi_epi64(t[g], t[g + 2]);
        u[g + 2] = _mm512_unpacklo_epi64(t[g + 1], t[g + 3]);
        u[g + 3] = _mm512_unpackhi_epi64(t[g + 1], t[g + 3]);
    }
    let mut out = u;
    for c in 0..4 {
        let even = _mm512_shuffle_i32x4::<0x88>(u[c], u[4 + c]);
        let odd = _mm512_shuffle_i32x4::<0xdd>(u[c], u[4 + c]);
        let even_below = _mm512_shuffle_i32x4::<0x88>(u[8 + c], u[12 + c]);
        let odd_below = _mm512_shuffle_i32x4::<0xdd>(u[8 + c], u[12 + c]);
        out[c] = _mm512_shuffle_i32x4::<0x88>(even, even_below);
        out[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even, even_below);
        out[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd, odd_below);
        out[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd, odd_below);
    }
    out
}
