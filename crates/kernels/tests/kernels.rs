//! Products of every type at every level this processor has, against hand-made blocks and plain f64 sums.

mod common;

use idiolect_kernels::{
    KernelError, Level, MappedFile, Precision, QMatrix, QuantType, Sources, Team,
    backward_together, forward_together, pack,
};

use common::values;

/// Relative to the sum of magnitudes of the terms: f32 rounding of a sum of a few thousand terms.
const F32_TOLERANCE: f64 = 2e-6;
/// On a matrix unit numbers keep 16 bits: 2^-16 of each factor, and as much for the product of the remainders, which is left
/// out. Sums of many terms stay far below.
const SPLIT_TOLERANCE: f64 = 3.0 / 65536.0;
/// Rounding both factors to 8 bits, relative to the sum of magnitudes of the terms.
const BF16_TOLERANCE: f64 = 8e-3;
/// Between two levels that round activations alike: only the order of f32 additions differs.
const INT8_LEVELS_TOLERANCE: f64 = 2e-6;
/// Rounding activations to 1/127 of a block's largest, relative to the sum of magnitudes of the terms.
const INT8_TOLERANCE: f64 = 6e-3;

fn f32_tolerance(level: Level) -> f64 {
    match level {
        Level::Amx => SPLIT_TOLERANCE,
        Level::Reference | Level::Avx2 | Level::Avx512 => F32_TOLERANCE,
    }
}

/// A matrix of any type: random bytes with the scales replaced by moderate ones.
fn matrix(ty: QuantType, rows: usize, cols: usize) -> QMatrix {
    let scale_offsets: &[usize] = match ty {
        QuantType::F32 | QuantType::F16 | QuantType::BF16 => {
            return QMatrix::from_f32_quantized(ty, rows, cols, &values(rows * cols, 7)).unwrap();
        }
        QuantType::Q4_0 | QuantType::Q5_0 | QuantType::Q8_0 => &[0],
        QuantType::Q4_1 | QuantType::Q5_1 | QuantType::Q4K | QuantType::Q5K => &[0, 2],
        QuantType::Q6K => &[208],
    };
    let blocks = rows * cols / ty.block_size();
    let mut state = 99_u32;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(blocks * ty.block_bytes())
    .collect();
    let scales = values(blocks * scale_offsets.len(), 5);
    for (i, scale) in scales.iter().enumerate() {
        let at =
            i / scale_offsets.len() * ty.block_bytes() + scale_offsets[i % scale_offsets.len()];
        bytes[at..at + 2].copy_from_slice(&half::f16::from_f32(scale * 0.05).to_le_bytes());
    }
    QMatrix::from_bytes(ty, rows, cols, bytes).unwrap()
}

/// `a[m, k] · b[k, n]` in f64 with the sum of magnitudes of each entry's terms.
fn product(
    a: &[f32],
    b: impl Fn(usize, usize) -> f32,
    m: usize,
    k: usize,
    n: usize,
) -> Vec<(f64, f64)> {
    let mut out = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            let terms = (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b(p, j)));
            out.push(terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs())));
        }
    }
    out
}

fn assert_close(got: &[f32], want: &[(f64, f64)], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: as many values as expected");
    for (i, (&got, &(want, size))) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs();
        assert!(
            error <= tolerance * size + 1e-30,
            "{what}: value {i} is {got}, not {want} (terms {size})"
        );
    }
}

/// Shapes that are multiples of nothing but the block, and those of models at hand.
fn shapes(ty: QuantType) -> [(usize, usize); 4] {
    match ty.block_size() {
        1 => [(7, 45), (1, 3), (130, 70), (18, 896)],
        32 => [(7, 96), (1, 32), (37, 576), (18, 896)],
        _ => [(7, 256), (1, 768), (37, 512), (18, 1536)],
    }
}

/// The matrix as it is stored, and as the level lays it out.
fn layouts(w: &QMatrix, level: Level) -> [(&'static str, QMatrix); 2] {
    let mut packed = w.clone();
    pack(&mut [&mut packed], level, Sources::Keep).unwrap();
    [("stored", w.clone()), ("packed", packed)]
}

#[test]
fn forward_agrees_with_plain_sums_for_every_type_and_level() {
    for ty in QuantType::ALL {
        for (rows, cols) in shapes(ty) {
            let w = matrix(ty, rows, cols);
            let dense = w.dequantize();
            let most = 64;
            let x = values(most * cols, 3);
            let want = product(&x, |p, j| dense[j * cols + p], most, cols, rows);
            for level in Level::available() {
                for (layout, w) in layouts(&w, level) {
                    for m in [1, 2, 3, 4, 5, 8, 17, most] {
                        let (x, want) = (&x[..m * cols], &want[..m * rows]);
                        let what = format!(
                            "{} {layout} {rows}x{cols} m {m} {}",
                            ty.name(),
                            level.name()
                        );
                        let mut y = vec![f32::NAN; m * rows];
                        w.forward(x, m, &mut y, Precision::F32, level);
                        assert_close(&y, want, f32_tolerance(level), &what);
                        w.forward(x, m, &mut y, Precision::Bf16, level);
                        assert_close(&y, want, BF16_TOLERANCE, &format!("{what} bf16"));
                        w.forward(x, m, &mut y, Precision::Int8, level);
                        assert_close(&y, want, INT8_TOLERANCE, &format!("{what} int8"));
                    }
                }
            }
        }
    }
}

#[test]
fn int8_agrees_between_levels_up_to_the_order_of_additions() {
    for ty in QuantType::ALL {
        let (rows, cols, m) = (67, 512, 6);
        let w = matrix(ty, rows, cols);
        let dense = w.dequantize();
        let x = values(m * cols, 3);
        let mut want = vec![0.0; m * rows];
        w.forward(&x, m, &mut want, Precision::Int8, Level::Reference);
        let sizes = product(&x, |p, j| dense[j * cols + p], m, cols, rows);
        let want: Vec<_> = want
            .iter()
            .zip(sizes)
            .map(|(&y, (_, size))| (f64::from(y), size))
            .collect();
        // The float types are multiplied as they are.
        let tolerance = |level| match ty.block_size() {
            1 => f32_tolerance(level),
            _ => INT8_LEVELS_TOLERANCE,
        };
        for level in Level::available() {
            for (layout, w) in layouts(&w, level) {
                let mut y = vec![f32::NAN; m * rows];
                w.forward(&x, m, &mut y, Precision::Int8, level);
                let what = format!("{} {layout} {}", ty.name(), level.name());
                assert_close(&y, &want, tolerance(level), &what);
            }
        }
    }
}

#[test]
fn packed_weights_give_the_products_of_the_stored_ones() {
    for ty in QuantType::ALL {
        let cols = ty.block_size().max(32) * 3;
        // Groups of sixteen rows, and a last one that is not full.
        for rows in [1, 16, 37, 130] {
            let stored = matrix(ty, rows, cols);
            let dense = stored.dequantize();
            let m = 15;
            let x = values(m * cols, 3);
            let sizes = product(&x, |p, j| dense[j * cols + p], m, cols, rows);
            for level in Level::available() {
                let mut want = vec![0.0; m * rows];
                stored.forward(&x, m, &mut want, Precision::Int8, level);
                let want: Vec<_> = want
                    .iter()
                    .zip(&sizes)
                    .map(|(&y, &(_, size))| (f64::from(y), size))
                    .collect();
                let mut packed = stored.clone();
                pack(&mut [&mut packed], level, Sources::Keep).unwrap();
                let mut y = vec![f32::NAN; m * rows];
                packed.forward(&x, m, &mut y, Precision::Int8, level);
                let what = format!("{} {rows} rows {}", ty.name(), level.name());
                assert_close(&y, &want, INT8_LEVELS_TOLERANCE, &what);
                for (i, row) in y.chunks_exact(rows).enumerate() {
                    let mut alone = vec![f32::NAN; rows];
                    let x = &x[i * cols..][..cols];
                    packed.forward(x, 1, &mut alone, Precision::Int8, level);
                    assert_eq!(alone, row, "{what}: row {i} alone");
                }
                packed.forward(&x, m, &mut y, Precision::F32, level);
                let mut exact = vec![f32::NAN; m * rows];
                stored.forward(&x, m, &mut exact, Precision::F32, level);
                assert_eq!(y, exact, "{what}: other products are as they were");
            }
        }
    }
}

#[test]
fn matrices_multiplied_together_have_the_bits_they_have_alone() {
    // A mixture as models have it: types that are packed, one that was not, one without integer products.
    let (cols, m) = (512, 5);
    let mut matrices: Vec<_> = [
        (QuantType::Q4_1, 200),
        (QuantType::Q6K, 16),
        (QuantType::F32, 24),
        (QuantType::Q8_0, 33),
        (QuantType::Q4K, 500),
    ]
    .map(|(ty, rows)| matrix(ty, rows, cols))
    .into();
    let x = values(m * cols, 8);
    for level in Level::available() {
        let mut packed: Vec<&mut QMatrix> = matrices.iter_mut().take(4).collect();
        pack(&mut packed, level, Sources::Keep).unwrap();
        for precision in [Precision::F32, Precision::Int8] {
            let outputs = |fill: f32| -> Vec<Vec<f32>> {
                matrices.iter().map(|w| vec![fill; m * w.rows()]).collect()
            };
            let mut alone = outputs(0.0);
            for (w, y) in matrices.iter().zip(&mut alone) {
                w.forward(&x, m, y, precision, level);
            }
            let mut together = outputs(f32::NAN);
            let mut products: Vec<_> = matrices
                .iter()
                .zip(&mut together)
                .map(|(w, y)| (w, &mut y[..]))
                .collect();
            Team::new(3)
                .unwrap()
                .install(|| forward_together(&mut products, &x, m, precision, level));
            assert_eq!(together, alone, "{} at {precision:?}", level.name());
        }
    }
}

#[test]
fn backward_agrees_with_plain_sums_for_every_type_and_level() {
    for ty in QuantType::ALL {
        for (rows, cols) in shapes(ty) {
            let w = matrix(ty, rows, cols);
            let dense = w.dequantize();
            let most = 64;
            let dy = values(most * rows, 4);
            let want = product(&dy, |p, j| dense[p * cols + j], most, rows, cols);
            for level in Level::available() {
                for (layout, w) in layouts(&w, level) {
                    for m in [1, 2, 3, 4, 5, 8, 17, most] {
                        let mut dx = vec![f32::NAN; m * cols];
                        w.backward_input(&dy[..m * rows], m, &mut dx, Precision::F32, level);
                        let what = format!(
                            "{} {layout} {rows}x{cols} m {m} {}",
                            ty.name(),
                            level.name()
                        );
                        assert_close(&dx, &want[..m * cols], f32_tolerance(level), &what);
                        let dy = &dy[..m * rows];
                        w.backward_input(dy, m, &mut dx, Precision::Bf16, level);
                        assert_close(&dx, &want[..m * cols], BF16_TOLERANCE, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn packed_weights_give_the_gradients_of_the_stored_ones() {
    for ty in QuantType::ALL {
        let cols = ty.block_size().max(32) * 3;
        for rows in [1, 16, 37, 130] {
            let stored = matrix(ty, rows, cols);
            let m = 21;
            let dy = values(m * rows, 4);
            for level in Level::available() {
                let mut packed = stored.clone();
                pack(&mut [&mut packed], level, Sources::Keep).unwrap();
                for precision in [Precision::F32, Precision::Bf16] {
                    let dx = |w: &QMatrix| {
                        let mut dx = vec![f32::NAN; m * cols];
                        w.backward_input(&dy, m, &mut dx, precision, level);
                        dx
                    };
                    assert_eq!(
                        dx(&packed),
                        dx(&stored),
                        "{} {rows} rows {}",
                        ty.name(),
                        level.name()
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_of_matrices_multiplied_together_add_up() {
    let (cols, m) = (256, 9);
    let matrices = [
        matrix(QuantType::Q4_1, 48, cols),
        matrix(QuantType::Q8_0, 0, cols),
        matrix(QuantType::F32, 33, cols),
    ];
    let slopes: Vec<Vec<f32>> = matrices.iter().map(|w| values(m * w.rows(), 4)).collect();
    for level in Level::available() {
        let mut together = vec![f32::NAN; m * cols];
        let products: Vec<_> = matrices
            .iter()
            .zip(&slopes)
            .map(|(w, dy)| (w, &dy[..]))
            .collect();
        backward_together(&products, m, &mut together, Precision::F32, level);
        let mut sum = vec![0.0; m * cols];
        for (w, dy) in products {
            let mut dx = vec![f32::NAN; m * cols];
            w.backward_input(dy, m, &mut dx, Precision::F32, level);
            sum.iter_mut().zip(dx).for_each(|(sum, dx)| *sum += dx);
        }
        for (a, b) in together.iter().zip(&sum) {
            assert!(
                (a - b).abs() < 1e-4 * (1.0 + b.abs()),
                "{}: {a}, {b}",
                level.name()
            );
        }
        backward_together(&[], m, &mut together, Precision::F32, level);
        assert!(together.iter().all(|v| *v == 0.0));
    }
}

#[test]
fn backward_splits_large_batches_and_tall_matrices_without_loss() {
    let (rows, cols, m) = (331, 96, 421);
    let w = matrix(QuantType::Q4_1, rows, cols);
    let dense = w.dequantize();
    let dy = values(m * rows, 4);
    let want = product(&dy, |p, j| dense[p * cols + j], m, rows, cols);
    for level in Level::available() {
        let mut dx = vec![f32::NAN; m * cols];
        w.backward_input(&dy, m, &mut dx, Precision::F32, level);
        assert_close(&dx, &want, f32_tolerance(level), level.name());
    }
}

/// The product is linear in x, so a difference quotient is exact up to rounding at any step.
#[test]
fn backward_is_the_gradient_of_forward() {
    /// Of the gradient; the quotient also carries what rounding does to the loss's other terms.
    fn tolerance(level: Level) -> f64 {
        f32_tolerance(level) * 50.0
    }
    for ty in QuantType::ALL {
        let (rows, cols, m) = (37, 256, 3);
        let w = matrix(ty, rows, cols);
        let (x, dy) = (values(m * cols, 3), values(m * rows, 4));
        for level in Level::available() {
            let loss = |x: &[f32]| -> f64 {
                let mut y = vec![0.0; m * rows];
                w.forward(x, m, &mut y, Precision::F32, level);
                y.iter()
                    .zip(&dy)
                    .map(|(y, dy)| f64::from(*y) * f64::from(*dy))
                    .sum()
            };
            let mut dx = vec![0.0; m * cols];
            w.backward_input(&dy, m, &mut dx, Precision::F32, level);
            for i in (0..m * cols).step_by(61) {
                let (mut plus, mut minus) = (x.clone(), x.clone());
                plus[i] += 1.0;
                minus[i] -= 1.0;
                let slope =
                    (loss(&plus) - loss(&minus)) / (f64::from(plus[i]) - f64::from(minus[i]));
                let error = (slope - f64::from(dx[i])).abs();
                assert!(
                    error <= tolerance(level) * slope.abs().max(1.0),
                    "{} {}: dx[{i}] {} against {slope}",
                    ty.name(),
                    level.name(),
                    dx[i]
                );
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_batch() {
    for ty in QuantType::ALL {
        let (rows, cols) = (50, 512);
        let stored = matrix(ty, rows, cols);
        let x = values(33 * cols, 8);
        let all = Level::available();
        for (level, (layout, w)) in all
            .iter()
            .flat_map(|&l| layouts(&stored, l).map(|w| (l, w)))
        {
            for precision in [Precision::Int8, Precision::Bf16, Precision::F32] {
                let mut alone = vec![0.0; rows];
                w.forward(&x[..cols], 1, &mut alone, precision, level);
                for m in (2..=9).chain([16, 33]) {
                    let mut y = vec![0.0; m * rows];
                    w.forward(&x[..m * cols], m, &mut y, precision, level);
                    let same = alone
                        .iter()
                        .zip(&y[..rows])
                        .all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(
                        same,
                        "{} {layout} {precision:?} {}: row 0 changes in a batch of {m}",
                        ty.name(),
                        level.name()
                    );
                    let mut last = vec![0.0; rows];
                    w.forward(&x[(m - 1) * cols..m * cols], 1, &mut last, precision, level);
                    let same = last
                        .iter()
                        .zip(&y[(m - 1) * rows..])
                        .all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(
                        same,
                        "{} {layout} {precision:?} {}: the last row of {m} changes alone",
                        ty.name(),
                        level.name()
                    );
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (rows, cols, m) = (300, 576, 40);
    let stored = matrix(QuantType::Q4_1, rows, cols);
    let (x, dy) = (values(m * cols, 3), values(m * rows, 4));
    let products = |level: Level, w: &QMatrix| {
        let (mut a, mut b, mut d, mut c, mut e) = (
            vec![0.0; m * rows],
            vec![0.0; m * rows],
            vec![0.0; m * rows],
            vec![0.0; m * cols],
            vec![0.0; m * cols],
        );
        w.forward(&x, m, &mut a, Precision::F32, level);
        w.forward(&x, m, &mut b, Precision::Int8, level);
        w.forward(&x, m, &mut d, Precision::Bf16, level);
        w.backward_input(&dy, m, &mut c, Precision::F32, level);
        w.backward_input(&dy, m, &mut e, Precision::Bf16, level);
        [a, b, d, c, e]
            .concat()
            .iter()
            .map(|v| v.to_bits())
            .collect::<Vec<_>>()
    };
    let all = Level::available();
    for (level, (_, w)) in all
        .iter()
        .flat_map(|&l| layouts(&stored, l).map(|w| (l, w)))
    {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| products(level, &w))
        };
        let one = run(1);
        for threads in [2, 3, 5] {
            assert!(
                run(threads) == one,
                "{}: {threads} threads give other bits than one",
                level.name()
            );
            let team = Team::new(threads).unwrap();
            assert!(
                team.install(|| products(level, &w)) == one,
                "{}: a team of {threads} gives other bits than one thread",
                level.name()
            );
        }
    }
}

#[test]
fn no_rows_and_zero_activations_are_fine() {
    for level in Level::available() {
        let w = matrix(QuantType::Q8_0, 5, 64);
        w.forward(&[], 0, &mut [], Precision::Int8, level);
        w.backward_input(&[], 0, &mut [], Precision::F32, level);
        let mut y = vec![f32::NAN; 5];
        for precision in [Precision::Int8, Precision::Bf16, Precision::F32] {
            w.forward(&[0.0; 64], 1, &mut y, precision, level);
            assert!(
                y.iter().all(|&v| v == 0.0),
                "{}: zeros in, zeros out: {y:?}",
                level.name()
            );
        }
    }
}

#[test]
fn rounding_to_a_type_stays_within_half_a_step() {
    let x = values(32 * 6, 11);
    // Of the block's largest magnitude (at most 1), or of its range (at most 2), plus the f16 scale's own rounding.
    for (ty, half_step) in [
        (QuantType::F32, 0.0),
        (QuantType::F16, 0.0005),
        (QuantType::BF16, 0.004),
        (QuantType::Q8_0, 0.5 / 127.0 + 0.0006),
        (QuantType::Q4_1, 1.0 / 15.0 + 0.002),
        (QuantType::Q4_0, 1.0 / 8.0 + 0.002),
    ] {
        let w = QMatrix::from_f32_quantized(ty, 6, 32, &x).unwrap();
        for (value, back) in x.iter().zip(w.dequantize()) {
            assert!(
                (value - back).abs() <= half_step,
                "{}: {value} came back as {back}",
                ty.name()
            );
        }
    }
    assert_eq!(
        QMatrix::from_f32_quantized(QuantType::Q6K, 1, 256, &values(256, 1)).unwrap_err(),
        KernelError::CannotQuantize(QuantType::Q6K),
        "a type that is only read says so"
    );
}

#[test]
fn wrong_sizes_are_refused() {
    let refuse = |ty, rows, cols, bytes: usize| {
        QMatrix::from_bytes(ty, rows, cols, vec![0; bytes]).unwrap_err()
    };
    assert!(
        matches!(
            refuse(QuantType::Q4_1, 2, 40, 40),
            KernelError::PartialBlock { cols: 40, .. }
        ),
        "a part of a block"
    );
    for bytes in [39, 41, 0] {
        let error = refuse(QuantType::Q4_1, 2, 32, bytes);
        assert!(
            matches!(error, KernelError::WrongLength { expected: 40, actual, .. } if actual == bytes),
            "{error}"
        );
    }
    for (rows, cols) in [(usize::MAX, 32), (usize::MAX / 64, 64), (1 << 40, 1 << 40)] {
        let error = refuse(QuantType::Q8_0, rows, cols, 0);
        assert!(
            matches!(error, KernelError::TooLarge { .. }),
            "{rows} x {cols} overflows: {error}"
        );
    }
    let error = QMatrix::from_f32_quantized(QuantType::F32, 2, 2, &[0.0; 3]).unwrap_err();
    assert!(
        matches!(error, KernelError::WrongLength { .. }),
        "three values are not 2 x 2: {error}"
    );
}

#[test]
fn a_mapped_matrix_reads_as_an_owned_one() {
    let ty = QuantType::Q4_1;
    let owned = matrix(ty, 9, 64);
    let path = std::env::temp_dir().join(format!("idiolect-kernels-matrix-{}", std::process::id()));
    // An odd offset: blocks need no alignment.
    std::fs::write(&path, [&[0xaa; 5][..], owned.bytes()].concat()).unwrap();
    let file = MappedFile::open(&path).unwrap();
    let mapped = QMatrix::from_mapped(ty, 9, 64, file.clone(), 5).unwrap();
    assert_eq!(mapped.dequantize(), owned.dequantize(), "the same blocks");
    for offset in [6, usize::MAX - 3] {
        let error = QMatrix::from_mapped(ty, 9, 64, file.clone(), offset).unwrap_err();
        assert!(
            matches!(error, KernelError::PastEndOfFile { .. }),
            "offset {offset} reaches past the end: {error}"
        );
    }
    drop((file, mapped));
    std::fs::remove_file(&path).unwrap();
}
