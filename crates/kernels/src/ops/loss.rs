//! Log-probabilities and the cross-entropy loss, row by row over `logits[m, vocab]`. Natural logarithms.

use crate::Level;
use crate::slices::SharedSlice;
use crate::team;

/// Replaces each row by its log-softmax.
///
/// # Panics
/// When `logits` is not whole rows.
pub fn log_softmax(logits: &mut [f32], vocab: usize, level: Level) {
    check_rows(logits, vocab);
    team::for_each_piece(logits, vocab, |_, row| {
        let lse = log_sum_exp(row, level);
        row.iter_mut().for_each(|x| *x -= lse);
    });
}

/// The logarithm of the sum of exponentials of each row: what to take from a row's logits to get its log-probabilities.
///
/// # Panics
/// When there is not one place in `out` a row.
pub fn log_normalisers(logits: &[f32], vocab: usize, out: &mut [f32], level: Level) {
    assert_eq!(check_rows(logits, vocab), out.len(), "one value a row");
    team::for_each_piece(out, 1, |row, out| {
        out[0] = log_sum_exp(&logits[row * vocab..][..vocab], level);
    });
}

/// Negative log-likelihood of `targets[i]` under row i, one value a row, unweighted.
///
/// # Panics
/// When there is not one target a row, or one is not below `vocab`.
pub fn softmax_cross_entropy(
    logits: &[f32],
    vocab: usize,
    targets: &[u32],
    level: Level,
) -> Vec<f32> {
    assert_eq!(check_rows(logits, vocab), targets.len(), "one target a row");
    let mut nll = vec![0.0; targets.len()];
    team::for_each_piece(&mut nll, 1, |i, nll| {
        let row = &logits[i * vocab..][..vocab];
        nll[0] = log_sum_exp(row, level) - row[targets[i] as usize];
    });
    nll
}

/// As [`softmax_cross_entropy`], and replaces the logits by the gradient of `sum(weights[i] * nll[i])`:
/// `weights[i] * (softmax(row) - one_hot(target))`. A row of weight 0 gets an exact 0, even where its logits overflow.
///
/// # Panics
/// When there is not one target and one weight a row, or a target is not below `vocab`.
pub fn softmax_cross_entropy_with_gradient(
    logits: &mut [f32],
    vocab: usize,
    targets: &[u32],
    weights: &[f32],
    level: Level,
) -> Vec<f32> {
    let m = check_rows(logits, vocab);
    assert_eq!(m, targets.len(), "one target a row");
    assert_eq!(m, weights.len(), "one weight a row");
    let logits = SharedSlice::new(logits);
    let mut nll = vec![0.0; m];
    team::for_each_piece(&mut nll, 1, |i, nll| {
        // SAFETY: rows do not overlap.
        let row = unsafe { logits.part(i * vocab, vocab) };
        let (target, weight) = (targets[i] as usize, weights[i]);
        let lse = log_sum_exp(row, level);
        nll[0] = lse - row[target];
        if weight == 0.0 {
            row.fill(0.0);
        } else {
            scaled_softmax(row, lse, weight, level);
            row[target] -= weight;
        }
    });
    nll
}

fn check_rows(logits: &[f32], vocab: usize) -> usize {
    assert!(
        vocab > 0 && logits.len().is_multiple_of(vocab),
        "logits is whole rows of {vocab}"
    );
    logits.len() / vocab
}

fn log_sum_exp(row: &[f32], level: Level) -> f32 {
    if let Some(with) = level.primitives() {
        return (with.log_sum_exp)(row);
    }
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from((x - max).exp())).sum();
    max + sum.ln() as f32
}

fn scaled_softmax(row: &mut [f32], lse: f32, scale: f32, level: Level) {
    if let Some(with) = level.primitives() {
        return (with.scaled_exp)(row, lse, scale);
    }
    for x in row {
        *x = (*x - lse).exp() * scale;
    }
}
