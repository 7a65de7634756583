//! The products in plain Rust: one dequantized row at a time. What the fast kernels are tested against.

use rayon::prelude::*;

use crate::QMatrix;

pub(crate) fn forward(w: &QMatrix, x: &[f32], m: usize, y: &mut [f32]) {
    if m == 0 {
        return;
    }
    let (rows, cols) = (w.rows(), w.cols());
    // Transposed, so that threads own whole chunks: [rows, m].
    let mut transposed = vec![0.0_f32; rows * m];
    transposed.par_chunks_mut(m).enumerate().for_each_init(
        || vec![0.0; cols],
        |weights, (row, out)| {
            w.dequantize_row(row, weights);
            for (i, value) in out.iter_mut().enumerate() {
                *value = x[i * cols..][..cols]
                    .iter()
                    .zip(&*weights)
                    .map(|(a, b)| a * b)
                    .sum();
            }
        },
    );
    for (i, out) in y.chunks_mut(rows.max(1)).enumerate() {
        for (row, value) in out.iter_mut().enumerate() {
            *value = transposed[row * m + i];
        }
    }
}

pub(crate) fn backward_input(w: &QMatrix, dy: &[f32], m: usize, dx: &mut [f32], add: bool) {
    let (rows, cols) = (w.rows(), w.cols());
    if m == 0 || cols == 0 {
        return;
    }
    let rows_a_task = m.div_ceil(rayon::current_num_threads());
    dx.par_chunks_mut(rows_a_task * cols)
        .enumerate()
        .for_each(|(task, dx)| {
            let mut weights = vec![0.0; cols];
            if !add {
                dx.fill(0.0);
            }
            for row in 0..rows {
                w.dequantize_row(row, &mut weights);
                for (i, dx) in dx.chunks_mut(cols).enumerate() {
                    let dy = dy[(task * rows_a_task + i) * rows + row];
                    for (d, weight) in dx.iter_mut().zip(&weights) {
                        *d += dy * weight;
                    }
                }
            }
        });
}
