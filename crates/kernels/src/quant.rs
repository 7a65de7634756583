//! Block formats: how each type stores numbers, read and (for some) written in plain Rust.
//!
//! The layouts are those of GGML files; all multi-byte fields are little-endian. The readers here are the
//! reference that the fast kernels are tested against.

use half::{bf16, f16};

use crate::KernelError;

/// How the numbers of a matrix are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types)] // the format's own names
pub enum QuantType {
    /// 32-bit float.
    F32,
    /// IEEE 16-bit float.
    F16,
    /// bfloat16.
    BF16,
    /// 32 values: f16 scale, 4-bit integers around 8.
    Q4_0,
    /// 32 values: f16 scale and minimum, 4-bit integers.
    Q4_1,
    /// 32 values: f16 scale, 5-bit integers around 16.
    Q5_0,
    /// 32 values: f16 scale and minimum, 5-bit integers.
    Q5_1,
    /// 32 values: f16 scale, signed bytes.
    Q8_0,
    /// 256 values in 8 groups: 6-bit scales and minima, 4-bit integers.
    Q4K,
    /// 256 values in 8 groups: 6-bit scales and minima, 5-bit integers.
    Q5K,
    /// 256 values in 16 groups: 8-bit scales, 6-bit integers around 32.
    Q6K,
}

impl QuantType {
    /// Every type, for tests and tables.
    pub const ALL: [QuantType; 11] = [
        QuantType::F32,
        QuantType::F16,
        QuantType::BF16,
        QuantType::Q4_0,
        QuantType::Q4_1,
        QuantType::Q5_0,
        QuantType::Q5_1,
        QuantType::Q8_0,
        QuantType::Q4K,
        QuantType::Q5K,
        QuantType::Q6K,
    ];

    /// Values in a block.
    pub fn block_size(self) -> usize {
        match self {
            QuantType::F32 | QuantType::F16 | QuantType::BF16 => 1,
            QuantType::Q4_0
            | QuantType::Q4_1
            | QuantType::Q5_0
            | QuantType::Q5_1
            | QuantType::Q8_0 => 32,
            QuantType::Q4K | QuantType::Q5K | QuantType::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            QuantType::F32 => 4,
            QuantType::F16 | QuantType::BF16 => 2,
            QuantType::Q4_0 => 2 + 16,
            QuantType::Q4_1 => 2 + 2 + 16,
            QuantType::Q5_0 => 2 + 4 + 16,
            QuantType::Q5_1 => 2 + 2 + 4 + 16,
            QuantType::Q8_0 => 2 + 32,
            QuantType::Q4K => 2 + 2 + 12 + 128,
            QuantType::Q5K => 2 + 2 + 12 + 32 + 128,
            QuantType::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// The type with this number in a GGUF tensor table, if it is one we read.
    pub fn from_ggml(number: u32) -> Option<Self> {
        Some(match number {
            0 => QuantType::F32,
            1 => QuantType::F16,
            2 => QuantType::Q4_0,
            3 => QuantType::Q4_1,
            6 => QuantType::Q5_0,
            7 => QuantType::Q5_1,
            8 => QuantType::Q8_0,
            12 => QuantType::Q4K,
            13 => QuantType::Q5K,
            14 => QuantType::Q6K,
            30 => QuantType::BF16,
            _ => return None,
        })
    }

    /// The name as GGUF tools print it.
    pub fn name(self) -> &'static str {
        match self {
            QuantType::F32 => "F32",
            QuantType::F16 => "F16",
            QuantType::BF16 => "BF16",
            QuantType::Q4_0 => "Q4_0",
            QuantType::Q4_1 => "Q4_1",
            QuantType::Q5_0 => "Q5_0",
            QuantType::Q5_1 => "Q5_1",
            QuantType::Q8_0 => "Q8_0",
            QuantType::Q4K => "Q4_K",
            QuantType::Q5K => "Q5_K",
            QuantType::Q6K => "Q6_K",
        }
    }
}

/// IEEE 16-bit to 32-bit, exact for every input. Shifting the bits into place and multiplying by 2^112 moves the exponent
/// bias, subnormals included; no branch, so that loops over it vectorise.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    // Infinity and NaN have all exponent bits set, in both formats.
    let special = magnitude | 0x7f80_0000;
    let value = if bits & 0x7c00 == 0x7c00 {
        special
    } else {
        finite
    };
    f32::from_bits(value | u32::from(bits & 0x8000) << 16)
}

#[inline(always)]
fn read_f16(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Decodes whole blocks of `ty` into `out`; `bytes` holds exactly the blocks of `out.len()` values.
///
/// Inlined into one function an instruction level, so that the compiler vectorises the loops for each.
#[inline(always)]
pub(crate) fn dequantize(ty: QuantType, bytes: &[u8], out: &mut [f32]) {
    debug_assert_eq!(bytes.len() / ty.block_bytes(), out.len() / ty.block_size());
    match ty {
        QuantType::F32 => each_block(bytes, out, |b: &[u8; 4], y: &mut [f32; 1]| {
            y[0] = f32::from_le_bytes(*b)
        }),
        QuantType::F16 => each_block(bytes, out, |b: &[u8; 2], y: &mut [f32; 1]| {
            y[0] = read_f16(b, 0)
        }),
        QuantType::BF16 => each_block(bytes, out, |b: &[u8; 2], y: &mut [f32; 1]| {
            y[0] = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
        }),
        QuantType::Q4_0 => each_block(bytes, out, decode_q4_0),
        QuantType::Q4_1 => each_block(bytes, out, decode_q4_1),
        QuantType::Q5_0 => each_block(bytes, out, decode_q5_0),
        QuantType::Q5_1 => each_block(bytes, out, decode_q5_1),
        QuantType::Q8_0 => each_block(bytes, out, decode_q8_0),
        QuantType::Q4K => each_block(bytes, out, decode_q4k),
        QuantType::Q5K => each_block(bytes, out, decode_q5k),
        QuantType::Q6K => each_block(bytes, out, decode_q6k),
    }
}

#[inline(always)]
fn each_block<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) {
    for (block, values) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        decode(block, values);
    }
}

/// `value = scale * (nibble - 8)`; byte j holds value j (low half) and value j + 16 (high half).
#[inline(always)]
fn decode_q4_0(b: &[u8; 18], y: &mut [f32; 32]) {
    let d = read_f16(b, 0);
    for (j, &q) in b[2..18].iter().enumerate() {
        y[j] = (f32::from(q & 15) - 8.0) * d;
        y[j + 16] = (f32::from(q >> 4) - 8.0) * d;
    }
}

/// `value = scale * nibble + minimum`.
#[inline(always)]
fn decode_q4_1(b: &[u8; 20], y: &mut [f32; 32]) {
    let (d, min) = (read_f16(b, 0), read_f16(b, 2));
    for (j, &q) in b[4..20].iter().enumerate() {
        y[j] = f32::from(q & 15) * d + min;
        y[j + 16] = f32::from(q >> 4) * d + min;
    }
}

/// The 5-bit integers of Q5_0 and Q5_1: nibbles as in Q4, bit i of `high` is the fifth bit of value i.
#[inline(always)]
fn five_bits(high: &[u8], nibbles: &[u8], j: usize) -> (u8, u8) {
    let high = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    let bit = |i: usize| (((high >> i) & 1) as u8) << 4;
    ((nibbles[j] & 15) | bit(j), (nibbles[j] >> 4) | bit(j + 16))
}

/// `value = scale * (q - 16)`.
#[inline(always)]
fn decode_q5_0(b: &[u8; 22], y: &mut [f32; 32]) {
    let d = read_f16(b, 0);
    for j in 0..16 {
        let (low, high) = five_bits(&b[2..6], &b[6..22], j);
        y[j] = (f32::from(low) - 16.0) * d;
        y[j + 16] = (f32::from(high) - 16.0) * d;
    }
}

/// `value = scale * q + minimum`.
#[inline(always)]
fn decode_q5_1(b: &[u8; 24], y: &mut [f32; 32]) {
    let (d, min) = (read_f16(b, 0), read_f16(b, 2));
    for j in 0..16 {
        let (low, high) = five_bits(&b[4..8], &b[8..24], j);
        y[j] = f32::from(low) * d + min;
        y[j + 16] = f32::from(high) * d + min;
    }
}

/// `value = scale * q`.
#[inline(always)]
fn decode_q8_0(b: &[u8; 34], y: &mut [f32; 32]) {
    let d = read_f16(b, 0);
    for (value, &q) in y.iter_mut().zip(&b[2..34]) {
        *value = f32::from(q as i8) * d;
    }
}

/// Scale and minimum of group `j` of 8, six bits each, packed in 12 bytes: groups 0-3 use the low six bits of bytes
/// j and j + 4; groups 4-7 take four bits from byte j + 4 and two from the top of the earlier bytes.
#[inline(always)]
pub(crate) fn scale_and_min(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (
            (packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4),
            (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4),
        )
    }
}

/// `value = d * scale * nibble - dmin * min`; every 32 bytes hold two groups, low halves then high halves.
#[inline(always)]
fn decode_q4k(b: &[u8; 144], y: &mut [f32; 256]) {
    let (d, dmin, scales, nibbles) = (read_f16(b, 0), read_f16(b, 2), &b[4..16], &b[16..144]);
    for (group, values) in y.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_min(scales, group);
        let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
        for (l, value) in values.iter_mut().enumerate() {
            let q = (nibbles[group / 2 * 32 + l] >> (group % 2 * 4)) & 15;
            *value = scale * f32::from(q) - min;
        }
    }
}

/// As Q4_K with a fifth bit: bit `group` of byte l of `high`.
#[inline(always)]
fn decode_q5k(b: &[u8; 176], y: &mut [f32; 256]) {
    let (d, dmin, scales, high, nibbles) = (
        read_f16(b, 0),
        read_f16(b, 2),
        &b[4..16],
        &b[16..48],
        &b[48..176],
    );
    for (group, values) in y.chunks_exact_mut(32).enumerate() {
        let (scale, min) = scale_and_min(scales, group);
        let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
        for (l, value) in values.iter_mut().enumerate() {
            let q = (nibbles[group / 2 * 32 + l] >> (group % 2 * 4)) & 15;
            let fifth = ((high[l] >> group) & 1) << 4;
            *value = scale * f32::from(q | fifth) - min;
        }
    }
}

/// `value = d * scale * (q - 32)`; each half of 128 values has 64 bytes of low nibbles and 32 of two high bits.
#[inline(always)]
fn decode_q6k(b: &[u8; 210], y: &mut [f32; 256]) {
    let d = read_f16(b, 208);
    for half in 0..2 {
        let (low, high, scales) = (
            &b[half * 64..][..64],
            &b[128 + half * 32..][..32],
            &b[192 + half * 8..][..8],
        );
        for (i, value) in y[half * 128..][..128].iter_mut().enumerate() {
            let (quarter, l) = (i / 32, i % 32);
            let nibble = (low[quarter % 2 * 32 + l] >> (quarter / 2 * 4)) & 15;
            let q = nibble | (((high[l] >> (quarter * 2)) & 3) << 4);
            *value = d * f32::from(scales[i / 16] as i8) * (f32::from(q) - 32.0);
        }
    }
}

/// The stored integers of columns `32 unit..` of a block, as they are: unsigned, before anything is taken off them.
/// Signed bytes count from -128 on.
///
/// # Panics
/// For the float types, which have none, and when the block is cut short.
#[cfg(test)]
pub(crate) fn integers(ty: QuantType, block: &[u8], unit: usize) -> [u8; 32] {
    let two_halves = |nibbles: &[u8]| -> [u8; 32] {
        std::array::from_fn(|i| (nibbles[i % 16] >> (i / 16 * 4)) & 15)
    };
    let with_fifth = |high: &[u8], nibbles: &[u8]| {
        let mut q = two_halves(nibbles);
        for (i, q) in q.iter_mut().enumerate() {
            *q |= ((high[i / 8] >> (i % 8)) & 1) << 4;
        }
        q
    };
    match ty {
        QuantType::Q4_0 => two_halves(&block[2..18]),
        QuantType::Q4_1 => two_halves(&block[4..20]),
        QuantType::Q5_0 => with_fifth(&block[2..6], &block[6..22]),
        QuantType::Q5_1 => with_fifth(&block[4..8], &block[8..24]),
        QuantType::Q8_0 => {
            let signed = &block[2..34];
            std::array::from_fn(|i| signed[i] ^ 0x80)
        }
        QuantType::Q4K => {
            let nibbles = &block[16 + unit / 2 * 32..][..32];
            std::array::from_fn(|i| (nibbles[i] >> (unit % 2 * 4)) & 15)
        }
        QuantType::Q5K => {
            let (high, nibbles) = (&block[16..48], &block[48 + unit / 2 * 32..][..32]);
            std::array::from_fn(|i| {
                ((nibbles[i] >> (unit % 2 * 4)) & 15) | (((high[i] >> unit) & 1) << 4)
            })
        }
        QuantType::Q6K => {
            let (half, quarter) = (unit / 4, unit % 4);
            let low = &block[half * 64 + quarter % 2 * 32..][..32];
            let high = &block[128 + half * 32..][..32];
            std::array::from_fn(|i| {
                ((low[i] >> (quarter / 2 * 4)) & 15) | (((high[i] >> (quarter * 2)) & 3) << 4)
            })
        }
        QuantType::F32 | QuantType::F16 | QuantType::BF16 => {
            unreachable!("{} has no integers", ty.name())
        }
    }
}

/// Encodes rows of `cols` values, rounding to nearest.
///
/// # Errors
/// [`KernelError::CannotQuantize`] for the types that this crate only reads.
pub(crate) fn quantize(ty: QuantType, values: &[f32]) -> Result<Vec<u8>, KernelError> {
    let mut bytes = Vec::with_capacity(values.len() / ty.block_size() * ty.block_bytes());
    let encode: fn(&[f32], &mut Vec<u8>) = match ty {
        QuantType::F32 => |x, out| out.extend(x[0].to_le_bytes()),
        QuantType::F16 => |x, out| out.extend(f16::from_f32(x[0]).to_le_bytes()),
        QuantType::BF16 => |x, out| out.extend(bf16::from_f32(x[0]).to_le_bytes()),
        QuantType::Q4_0 => encode_q4_0,
        QuantType::Q4_1 => encode_q4_1,
        QuantType::Q8_0 => encode_q8_0,
        QuantType::Q5_0 | QuantType::Q5_1 | QuantType::Q4K | QuantType::Q5K | QuantType::Q6K => {
            return Err(KernelError::CannotQuantize(ty));
        }
    };
    for block in values.chunks_exact(ty.block_size()) {
        encode(block, &mut bytes);
    }
    Ok(bytes)
}

/// `1 / x`, or 0 for a block of equal values.
fn inverse(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.recip() }
}

/// The value of largest magnitude maps to -8, the end with one more step.
fn encode_q4_0(x: &[f32], out: &mut Vec<u8>) {
    let extreme = x
        .iter()
        .copied()
        .fold(0.0_f32, |a, b| if b.abs() > a.abs() { b } else { a });
    let d = extreme / -8.0;
    let inv = inverse(d);
    let q = |v: f32| ((v * inv).round() + 8.0).clamp(0.0, 15.0) as u8;
    out.extend(f16::from_f32(d).to_le_bytes());
    out.extend((0..16).map(|j| q(x[j]) | (q(x[j + 16]) << 4)));
}

fn encode_q4_1(x: &[f32], out: &mut Vec<u8>) {
    let (min, max) = x
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &v| {
            (lo.min(v), hi.max(v))
        });
    let d = (max - min) / 15.0;
    let inv = inverse(d);
    let q = |v: f32| ((v - min) * inv).round().clamp(0.0, 15.0) as u8;
    out.extend(f16::from_f32(d).to_le_bytes());
    out.extend(f16::from_f32(min).to_le_bytes());
    out.extend((0..16).map(|j| q(x[j]) | (q(x[j + 16]) << 4)));
}

fn encode_q8_0(x: &[f32], out: &mut Vec<u8>) {
    let d = x.iter().fold(0.0_f32, |a, v| a.max(v.abs())) / 127.0;
    let inv = inverse(d);
    out.extend(f16::from_f32(d).to_le_bytes());
    out.extend(
        x.iter()
            .map(|v| (v * inv).round().clamp(-127.0, 127.0) as i8 as u8),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes one block at every level and checks that all agree to the bit.
    fn decode(ty: QuantType, bytes: &[u8]) -> Vec<f32> {
        assert_eq!(
            bytes.len(),
            ty.block_bytes(),
            "{}: a block of the right size",
            ty.name()
        );
        let mut out = vec![f32::NAN; ty.block_size()];
        dequantize(ty, bytes, &mut out);
        #[cfg(target_arch = "x86_64")]
        if crate::Level::Avx2.is_available() {
            let mut fast = vec![f32::NAN; ty.block_size()];
            // SAFETY: the level is available.
            unsafe { crate::x86::dequantize(ty, bytes, &mut fast) };
            assert_eq!(out, fast, "{}: both levels decode alike", ty.name());
        }
        out
    }

    const ONE: [u8; 2] = [0x00, 0x3c];
    const TWO: [u8; 2] = [0x00, 0x40];
    const HALF: [u8; 2] = [0x00, 0x38];

    fn block(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn half_floats_convert_exactly() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits), f16::from_bits(bits).to_f32());
            assert!(
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                "{bits:#06x}: {ours} {theirs}"
            );
        }
    }

    #[test]
    fn floats_decode() {
        assert_eq!(
            decode(QuantType::F32, &[0, 0, 0x20, 0xc1]),
            [-10.0],
            "f32, little-endian"
        );
        assert_eq!(decode(QuantType::F16, &HALF), [0.5], "f16");
        assert_eq!(
            decode(QuantType::BF16, &[0x40, 0xc0]),
            [-3.0],
            "the upper half of an f32"
        );
    }

    #[test]
    fn four_bit_blocks_decode() {
        let mut nibbles = [0x88_u8; 16];
        nibbles[0] = 0xf0; // value 0 is 0, value 16 is 15
        nibbles[3] = 0x2b; // value 3 is 11, value 19 is 2
        let y = decode(QuantType::Q4_0, &block(&[&TWO, &nibbles]));
        assert_eq!(
            (y[0], y[16], y[3], y[19], y[1]),
            (-16.0, 14.0, 6.0, -12.0, 0.0),
            "2 * (q - 8)"
        );
        let y = decode(QuantType::Q4_1, &block(&[&TWO, &HALF, &nibbles]));
        assert_eq!(
            (y[0], y[16], y[3], y[19], y[1]),
            (0.5, 30.5, 22.5, 4.5, 16.5),
            "2 * q + 0.5"
        );
    }

    #[test]
    fn five_bit_blocks_decode() {
        let mut nibbles = [0_u8; 16];
        nibbles[2] = 0x71; // value 2 has low bits 1, value 18 has 7
        let high = (1_u32 << 2 | 1 << 31).to_le_bytes(); // values 2 and 31 have the fifth bit
        let y = decode(QuantType::Q5_0, &block(&[&TWO, &high, &nibbles]));
        assert_eq!(
            (y[0], y[2], y[18], y[31]),
            (-32.0, 2.0, -18.0, 0.0),
            "2 * (q - 16)"
        );
        let y = decode(QuantType::Q5_1, &block(&[&TWO, &ONE, &high, &nibbles]));
        assert_eq!(
            (y[0], y[2], y[18], y[31]),
            (1.0, 35.0, 15.0, 33.0),
            "2 * q + 1"
        );
    }

    #[test]
    fn eight_bit_blocks_decode() {
        let mut q = [0_u8; 32];
        (q[0], q[7], q[31]) = (127, 0x80, 0xff);
        let y = decode(QuantType::Q8_0, &block(&[&HALF, &q]));
        assert_eq!(
            (y[0], y[7], y[31], y[1]),
            (63.5, -64.0, -0.5, 0.0),
            "0.5 * signed byte"
        );
    }

    /// Group 1: scale 5, minimum 3. Group 6: scale 2 + 16 * 1 = 18, minimum 4 + 16 * 2 = 36.
    fn packed_scales() -> [u8; 12] {
        let mut packed = [0_u8; 12];
        packed[1] = 5;
        packed[5] = 3;
        packed[10] = 2 | 4 << 4;
        packed[2] = 1 << 6;
        packed[6] = 2 << 6;
        packed
    }

    #[test]
    fn q4_k_decodes() {
        let mut nibbles = [0_u8; 128];
        nibbles[4] = 0x90; // group 1 (high half of the first 32 bytes), value 4: 9
        nibbles[96 + 31] = 0x07; // group 6 (low half of the last 32 bytes), value 31: 7
        let y = decode(
            QuantType::Q4K,
            &block(&[&TWO, &HALF, &packed_scales(), &nibbles]),
        );
        assert_eq!(y[0], 0.0, "group 0 has scale and minimum 0");
        assert_eq!(
            (y[32], y[36]),
            (-1.5, 2.0 * 5.0 * 9.0 - 1.5),
            "group 1: 2 * 5 * q - 0.5 * 3"
        );
        assert_eq!(
            (y[192], y[223]),
            (-18.0, 2.0 * 18.0 * 7.0 - 18.0),
            "group 6: 2 * 18 * q - 0.5 * 36"
        );
    }

    #[test]
    fn q5_k_decodes() {
        let mut nibbles = [0_u8; 128];
        nibbles[4] = 0x90;
        nibbles[96 + 31] = 0x07;
        let mut high = [0_u8; 32];
        high[4] = 1 << 1; // the fifth bit of value 4 of group 1
        high[0] = 1 << 6; // and of value 0 of group 6
        let y = decode(
            QuantType::Q5K,
            &block(&[&TWO, &HALF, &packed_scales(), &high, &nibbles]),
        );
        assert_eq!((y[32], y[36]), (-1.5, 2.0 * 5.0 * 25.0 - 1.5), "group 1");
        assert_eq!(
            (y[192], y[223]),
            (2.0 * 18.0 * 16.0 - 18.0, 2.0 * 18.0 * 7.0 - 18.0),
            "group 6"
        );
    }

    #[test]
    fn q6_k_decodes() {
        let (mut low, mut high, mut scales) = ([0_u8; 128], [0_u8; 64], [0_u8; 16]);
        scales[0] = 3; // values 0-15
        scales[5] = 0xfe; // values 80-95: -2
        scales[14] = 1; // values 224-239
        low[1] = 0x0a; // value 1: low bits 10
        high[1] = 0b10; // value 1: high bits 2
        low[16] = 0x50; // value 80 = quarter 2, l 16: high half of byte 16: 5
        high[16] = 0b11 << 4; // value 80: high bits 3
        low[64 + 32] = 0xf0; // value 224 = second half, quarter 3, l 0: high half of byte 32: 15
        let y = decode(QuantType::Q6K, &block(&[&low, &high, &scales, &TWO]));
        assert_eq!(y[0], 2.0 * 3.0 * -32.0, "all bits 0");
        assert_eq!(y[1], 2.0 * 3.0 * (10.0 + 32.0 - 32.0), "value 1");
        assert_eq!(y[80], 2.0 * -2.0 * (5.0 + 48.0 - 32.0), "value 80");
        assert_eq!(y[224], 2.0 * (15.0 - 32.0), "value 224");
        assert_eq!(y[16], 0.0, "scale 0");
    }

    #[test]
    fn type_numbers_are_those_of_the_format() {
        let known: Vec<_> = (0..40)
            .filter_map(|n| QuantType::from_ggml(n).map(|ty| (n, ty.name())))
            .collect();
        let expected = [
            (0, "F32"),
            (1, "F16"),
            (2, "Q4_0"),
            (3, "Q4_1"),
            (6, "Q5_0"),
            (7, "Q5_1"),
            (8, "Q8_0"),
            (12, "Q4_K"),
            (13, "Q5_K"),
            (14, "Q6_K"),
            (30, "BF16"),
        ];
        assert_eq!(known, expected, "every readable type once");
    }
}
