//! Decoding of every type against what another implementation makes of the same bits (`fixtures/blocks.py`).

use idiolect_kernels::{Level, Precision, QMatrix, QuantType, Sources, pack};

/// A matrix unit keeps 16 bits of a number.
const SPLIT_TOLERANCE: f32 = 1.6e-5;

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

/// Matrices of one row, and their values.
fn fixtures() -> Vec<(QMatrix, Vec<f32>)> {
    let lines = include_str!("fixtures/blocks.txt").lines();
    let read = |line: &str| {
        let parts: Vec<&str> = line.split(' ').collect();
        let ty = QuantType::from_ggml(parts[0].parse().unwrap()).unwrap();
        let values: Vec<f32> = bytes(parts[2])
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        let matrix = QMatrix::from_bytes(ty, 1, values.len(), bytes(parts[1])).unwrap();
        (matrix, values)
    };
    lines.map(read).collect()
}

#[test]
fn every_type_decodes_as_elsewhere() {
    let fixtures = fixtures();
    let types: Vec<QuantType> = fixtures.iter().map(|(w, _)| w.quant_type()).collect();
    for ty in QuantType::ALL {
        assert!(
            types.contains(&ty) || ty == QuantType::F32,
            "{} has a fixture",
            ty.name()
        );
    }
    for (w, want) in fixtures {
        assert_eq!(w.dequantize(), want, "{}", w.quant_type().name());
    }
}

/// The products of the unit vectors are the values, in whatever layout.
#[test]
fn products_decode_as_elsewhere_at_every_level() {
    for (stored, want) in fixtures() {
        let n = want.len();
        let unit_vectors: Vec<f32> = (0..n * n)
            .map(|i| if i % n == i / n { 1.0 } else { 0.0 })
            .collect();
        for level in Level::available() {
            let mut packed = stored.clone();
            pack(&mut [&mut packed], level, Sources::Release).unwrap();
            for (layout, w) in [("stored", &stored), ("packed", &packed)] {
                for precision in [Precision::F32, Precision::Int8] {
                    let mut y = vec![f32::NAN; n];
                    w.forward(&unit_vectors, n, &mut y, precision, level);
                    // A single activation of 1 is 127 times 1/127: exact up to rounding.
                    for (i, (y, want)) in y.iter().zip(&want).enumerate() {
                        assert!(
                            (y - want).abs() <= SPLIT_TOLERANCE * want.abs().max(0.1),
                            "{} {layout} {precision:?} {}: value {i} is {y}, not {want}",
                            w.quant_type().name(),
                            level.name()
                        );
                    }
                }
            }
        }
    }
}
