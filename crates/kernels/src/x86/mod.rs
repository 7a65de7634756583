//! Kernels for x86-64 with AVX2, FMA and F16C. Every function here has a plain counterpart elsewhere that it is tested
//! against. Callers ask `Level::is_available` first; that is what makes calling these sound.

pub(crate) mod amx;
mod int8;
pub(crate) mod kind;
mod packed256;
mod planes512;
mod rows;
mod tile;
mod tile512;
mod unpack256;
mod vnni;

use crate::primitives::{MatrixUnit, Primitives};
use crate::{QuantType, quant};

/// AVX2, FMA and F16C. Given out by `Level::primitives`, which asks for them first.
// SAFETY, of every call in the table: the processor has what the functions need wherever the table is used.
pub(crate) static AVX2: Primitives = Primitives {
    dequantize: |ty, bytes, out| unsafe { dequantize(ty, bytes, out) },
    tile: |rows, depth, a, b, c| unsafe { tile::tile(rows, depth, a, b, c) },
    wide_tile: |rows, depth, a, b, ahead, c| unsafe { tile::wide(rows, depth, a, b, ahead, c) },
    wide_add: None,
    pair_tile: None,
    transpose: |rows, depth, from, to| unsafe { tile::transpose(rows, depth, from, to) },
    matrix: None,
    round: |x, cols, to| unsafe { int8::round(x, cols, to) },
    packed: |ty, groups, x, out| unsafe { packed256::dot(ty, groups, x, out) },
    panel_rows: 4,
    unpack: |ty, group, units, from, to| unsafe { unpack256::unpack(ty, group, units, from, to) },
    rms_norm: |x, weight, eps, y| unsafe { rows::avx2::rms_norm(x, weight, eps, y) },
    rms_norm_backward: |x, weight, eps, dy, dx| unsafe {
        rows::avx2::rms_norm_backward(x, weight, eps, dy, dx)
    },
    gated: |activation, gate, up, y| unsafe { rows::avx2::gated(activation, gate, up, y) },
    gated_backward: |activation, gate, up, dy, dgate, dup| unsafe {
        rows::avx2::gated_backward(activation, gate, up, dy, dgate, dup)
    },
    log_sum_exp: |x| unsafe { rows::avx2::log_sum_exp(x) },
    scaled_exp: |x, shift, scale| unsafe { rows::avx2::scaled_exp(x, shift, scale) },
    max: |x| unsafe { rows::avx2::max(x) },
    sum: |x| unsafe { rows::avx2::sum(x) },
    exp_each: |x, shifts| unsafe { rows::avx2::exp_each(x, shifts) },
};

/// The same with the tile of AVX-512.
static AVX512: Primitives =
    // SAFETY: AVX-512F, BW and VL are there wherever the table is used.
    Primitives {
        tile: |rows, depth, a, b, c| unsafe { tile512::tile(rows, depth, a, b, c) },
        wide_tile: |rows, depth, a, b, ahead, c| unsafe {
            tile512::wide(rows, depth, a, b, ahead, c)
        },
        rms_norm: |x, weight, eps, y| unsafe { rows::avx512::rms_norm(x, weight, eps, y) },
        rms_norm_backward: |x, weight, eps, dy, dx| unsafe {
            rows::avx512::rms_norm_backward(x, weight, eps, dy, dx)
        },
        gated: |activation, gate, up, y| unsafe { rows::avx512::gated(activation, gate, up, y) },
        gated_backward: |activation, gate, up, dy, dgate, dup| unsafe {
            rows::avx512::gated_backward(activation, gate, up, dy, dgate, dup)
        },
        log_sum_exp: |x| unsafe { rows::avx512::log_sum_exp(x) },
        scaled_exp: |x, shift, scale| unsafe { rows::avx512::scaled_exp(x, shift, scale) },
        max: |x| unsafe { rows::avx512::max(x) },
        sum: |x| unsafe { rows::avx512::sum(x) },
        exp_each: |x, shifts| unsafe { rows::avx512::exp_each(x, shifts) },
        wide_add: Some(|rows, depth, a, b, c, stride| unsafe {
            tile512::wide_add(rows, depth, a, b, c, stride)
        }),
        pair_tile: Some(|rows, depth, a, b, c| unsafe { tile512::pair(rows, depth, a, b, c) }),
        ..AVX2
    };

/// The same with the integer products of VNNI.
static AVX512_VNNI: Primitives =
    // SAFETY: AVX-512 and VNNI are there wherever the table is used.
    Primitives {
        packed: |ty, groups, x, out| unsafe { vnni::dot(ty, groups, x, out) },
        panel_rows: 8,
        ..AVX512
    };

/// The table for AVX-512 on this processor, which may lack VNNI (before Cascade Lake).
pub(crate) fn avx512() -> &'static Primitives {
    if std::arch::is_x86_feature_detected!("avx512vnni") {
        &AVX512_VNNI
    } else {
        &AVX512
    }
}

/// The same with the matrix unit.
pub(crate) static AMX: Primitives =
    // SAFETY: the unit and AVX-512 are there wherever the table is used.
    Primitives {
        matrix: Some(&MatrixUnit {
            pack_rows: |x, rows, cols, to, rest| unsafe { amx::pack_rows(x, rows, cols, to, rest) },
            pack_transposed: |w, stride, to, rest| unsafe {
                amx::pack_transposed(w, stride, to, rest)
            },
            pack_group: |ty, group, to, rest| unsafe { planes512::pack_group(ty, group, to, rest) },
            pack_columns: |low, high, to, rest| unsafe { amx::pack_columns(low, high, to, rest) },
            pack_interleaved: |w, stride, to, rest| unsafe {
                amx::pack_interleaved(w, stride, to, rest)
            },
            with_tiles: |work| unsafe { amx::with_tiles(work) },
            multiply: amx::multiply,
        }),
        ..AVX512_VNNI
    };

/// [`quant::dequantize`] compiled for AVX2.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) fn dequantize(ty: QuantType, bytes: &[u8], out: &mut [f32]) {
    if !int8::dequantize(ty, bytes, out) {
        quant::dequantize(ty, bytes, out);
    }
}
