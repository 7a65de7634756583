//! tf-idf vectors and the one dense solve that attribution and retrieval share.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// (dimension, value), ascending by dimension.
pub(crate) type Sparse = Vec<(u32, f32)>;

pub(crate) fn dot(sparse: &[(u32, f32)], dense: &[f32]) -> f64 {
    // Four sums keep the adder busy; the order is fixed, so results are the same on every run.
    let mut sums = [0.0f32; 4];
    let mut fours = sparse.chunks_exact(4);
    for four in &mut fours {
        for (sum, &(d, v)) in sums.iter_mut().zip(four) {
            *sum += v * dense[d as usize];
        }
    }
    let rest: f32 = fours
        .remainder()
        .iter()
        .map(|&(d, v)| v * dense[d as usize])
        .sum();
    f64::from(sums[0])
        + f64::from(sums[1])
        + f64::from(sums[2])
        + f64::from(sums[3])
        + f64::from(rest)
}

/// Terms with their dimension and inverse document frequency.
pub(crate) struct Vocabulary<K> {
    terms: FxHashMap<K, (u32, f32)>,
}

impl<K: Hash + Eq + Ord + Clone> Vocabulary<K> {
    /// The `limit` most frequent terms of the counted texts; idf = ln((1 + n)/(1 + df)) + 1.
    pub fn learn(texts: &[FxHashMap<K, u32>], limit: usize) -> Self {
        let mut totals: FxHashMap<&K, (u64, u32)> = FxHashMap::default();
        for text in texts {
            for (term, count) in text {
                let entry = totals.entry(term).or_default();
                entry.0 += u64::from(*count);
                entry.1 += 1;
            }
        }
        let mut order: Vec<(&K, (u64, u32))> = totals.into_iter().collect();
        order.sort_unstable_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(b.0)));
        order.truncate(limit);
        let n = texts.len() as f64;
        let terms = order
            .into_iter()
            .enumerate()
            .map(|(d, (term, (_, df)))| {
                (
                    term.clone(),
                    (
                        d as u32,
                        (((1.0 + n) / (1.0 + f64::from(df))).ln() + 1.0) as f32,
                    ),
                )
            })
            .collect();
        Self { terms }
    }

    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// (1 + ln tf) · idf of the known terms, of length `scale`, from dimension `offset` on.
    pub fn tf_idf(&self, counts: &FxHashMap<K, u32>, scale: f64, offset: usize) -> Sparse {
        let mut row: Sparse = counts
            .iter()
            .filter_map(|(term, count)| {
                let (d, idf) = self.terms.get(term)?;
                Some((offset as u32 + d, (1.0 + (*count as f32).ln()) * idf))
            })
            .collect();
        row.sort_unstable_by_key(|(d, _)| *d);
        let norm = row
            .iter()
            .map(|(_, v)| f64::from(*v) * f64::from(*v))
            .sum::<f64>()
            .sqrt();
        if norm > 0.0 {
            row.iter_mut()
                .for_each(|(_, v)| *v = (f64::from(*v) / norm * scale) as f32);
        }
        row
    }
}

/// Eight sums in a fixed order: as fast as the adder allows, and the same on every run.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (eights_a, eights_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = eights_a
        .remainder()
        .iter()
        .zip(eights_b.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in eights_a.zip(eights_b) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Solves A x = b for each right-hand side by Cholesky; `a` is n × n, symmetric positive definite, overwritten.
pub(crate) fn solve_positive(a: &mut [f64], n: usize, mut sides: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for j in 0..n {
        for i in j..n {
            let (head, tail) = a.split_at(i * n);
            let row_i = &tail[..n];
            let row_j = if i == j {
                row_i
            } else {
                &head[j * n..j * n + n]
            };
            let sum = product(&row_i[..j], &row_j[..j]);
            let value = a[i * n + j] - sum;
            // The ridge keeps pivots positive; the floor only guards against rounding.
            a[i * n + j] = if i == j {
                value.max(1e-12).sqrt()
            } else {
                value / a[j * n + j]
            };
        }
    }
    for side in &mut sides {
        for i in 0..n {
            let sum = product(&a[i * n..i * n + i], &side[..i]);
            side[i] = (side[i] - sum) / a[i * n + i];
        }
        for i in (0..n).rev() {
            side[i] /= a[i * n + i];
            let x = side[i];
            for j in 0..i {
                side[j] -= a[i * n + j] * x;
            }
        }
    }
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solve_inverts_a_small_system() {
        let mut a = vec![4.0, 2.0, 0.0, 2.0, 5.0, 1.0, 0.0, 1.0, 3.0];
        let x = solve_positive(&mut a, 3, vec![vec![8.0, 15.0, 11.0]]);
        for (got, want) in x[0].iter().zip([1.0, 2.0, 3.0]) {
            assert!((got - want).abs() < 1e-12, "got {got}, want {want}");
        }
    }

    #[test]
    fn tf_idf_weighs_rare_terms_more_and_has_the_asked_length() {
        let count = |terms: &[&str]| {
            let mut map: FxHashMap<String, u32> = FxHashMap::default();
            terms
                .iter()
                .for_each(|t| *map.entry((*t).to_owned()).or_insert(0) += 1);
            map
        };
        let texts = [count(&["the", "cat"]), count(&["the", "dog"])];
        let vocabulary = Vocabulary::learn(&texts, 10);
        let row = vocabulary.tf_idf(&texts[0], 2.0, 0);
        let norm: f32 = row.iter().map(|(_, v)| v * v).sum::<f32>().sqrt();
        assert!((norm - 2.0).abs() < 1e-6, "length {norm}");
        // "the" is in both texts (idf 1), "cat" in one (idf 1 + ln 1.5).
        let ratio = row[1].1 / row[0].1;
        assert!(
            (f64::from(ratio) - (1.0 + 1.5f64.ln())).abs() < 1e-6,
            "ratio {ratio}"
        );
        assert!(
            vocabulary.tf_idf(&count(&["bird"]), 1.0, 0).is_empty(),
            "unknown terms carry nothing"
        );
    }
}
