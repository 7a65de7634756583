//! Burrows's Delta and cosine Delta: authors compared by standardised frequencies of the most frequent words.

use std::collections::HashMap;

/// How two profiles of z-scores are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// Mean absolute difference (Burrows 2002).
    Burrows,
    /// One minus the cosine (Smith & Aldridge 2011; Evert et al. 2017).
    Cosine,
}

/// Over what means and standard deviations of word shares are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standardise {
    /// The authors, each with all texts joined.
    Authors,
    /// Single texts.
    Texts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many of the most frequent words are used, 150-2,000.
    pub words: usize,
    pub distance: Distance,
    pub standardise: Standardise,
}

/// Profiles of authors `0..authors`.
pub struct Delta {
    options: Options,
    vocabulary: HashMap<String, usize>,
    means: Vec<f64>,
    sds: Vec<f64>,
    /// z-scores an author.
    profiles: Vec<Vec<f64>>,
}

impl Delta {
    /// Learns from (author, words); which tokens count as words is the caller's choice.
    #[must_use]
    pub fn train(texts: &[(usize, Vec<String>)], options: Options) -> Self {
        Self::train_on_words(texts, options, |_| true)
    }

    /// The same with only some words allowed among the most frequent ones; the rest still count in the total.
    #[must_use]
    pub fn train_on_words(
        texts: &[(usize, Vec<String>)],
        options: Options,
        allowed: impl Fn(&str) -> bool,
    ) -> Self {
        // Word → (count, place of its first use); ties go to the word met first.
        let mut totals: HashMap<&str, (usize, usize)> = HashMap::new();
        for (place, word) in texts
            .iter()
            .flat_map(|(_, words)| words)
            .enumerate()
            .filter(|(_, w)| allowed(w))
        {
            totals.entry(word).or_insert((0, place)).0 += 1;
        }
        let mut order: Vec<(&str, (usize, usize))> = totals.into_iter().collect();
        order.sort_by_key(|&(_, (count, place))| (std::cmp::Reverse(count), place));
        let vocabulary: HashMap<String, usize> = order
            .iter()
            .take(options.words)
            .enumerate()
            .map(|(i, (w, _))| ((*w).to_owned(), i))
            .collect();
        let authors = texts.iter().map(|(a, _)| a + 1).max().unwrap_or(0);
        let joined: Vec<Vec<&String>> = (0..authors)
            .map(|a| {
                texts
                    .iter()
                    .filter(|(o, _)| *o == a)
                    .flat_map(|(_, words)| words)
                    .collect()
            })
            .collect();
        let by_author: Vec<Vec<f64>> = joined
            .iter()
            .map(|words| shares(&vocabulary, words.iter().copied()))
            .collect();
        let by_text: Vec<Vec<f64>>;
        let spread_over = match options.standardise {
            Standardise::Authors => &by_author,
            Standardise::Texts => {
                by_text = texts
                    .iter()
                    .map(|(_, words)| shares(&vocabulary, words.iter()))
                    .collect();
                &by_text
            }
        };
        let column = |i: usize| spread_over.iter().map(|r| r[i]).collect::<Vec<f64>>();
        let means: Vec<f64> = (0..vocabulary.len())
            .map(|i| crate::stats::mean(&column(i)))
            .collect();
        let sds: Vec<f64> = (0..vocabulary.len())
            .map(|i| crate::stats::variance(&column(i)).sqrt())
            .collect();
        let mut model = Self {
            options,
            vocabulary,
            means,
            sds,
            profiles: Vec::new(),
        };
        model.profiles = by_author.iter().map(|s| model.scores_of(s)).collect();
        model
    }

    fn scores_of(&self, shares: &[f64]) -> Vec<f64> {
        shares
            .iter()
            .zip(self.means.iter().zip(&self.sds))
            .map(|(v, (m, s))| if *s > 0.0 { (v - m) / s } else { 0.0 })
            .collect()
    }

    /// The distance of a text to each author; the smallest is the likeliest.
    #[must_use]
    pub fn distances(&self, words: &[String]) -> Vec<f64> {
        let z = self.scores_of(&shares(&self.vocabulary, words.iter()));
        self.profiles
            .iter()
            .map(|p| match self.options.distance {
                Distance::Burrows => {
                    z.iter().zip(p).map(|(a, b)| (a - b).abs()).sum::<f64>() / z.len().max(1) as f64
                }
                Distance::Cosine => 1.0 - cosine(&z, p),
            })
            .collect()
    }
}

fn shares<'a>(
    vocabulary: &HashMap<String, usize>,
    words: impl Iterator<Item = &'a String>,
) -> Vec<f64> {
    let mut out = vec![0.0; vocabulary.len()];
    let mut total = 0.0f64;
    for word in words {
        total += 1.0;
        if let Some(&i) = vocabulary.get(word) {
            out[i] += 1.0;
        }
    }
    out.iter_mut().for_each(|v| *v /= total.max(1.0));
    out
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(p, q)| p * q).sum::<f64>();
    let norm = (product(a, a) * product(b, b)).sqrt();
    if norm > 0.0 {
        product(a, b) / norm
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn burrows_delta_agrees_with_hand_computed_values() {
        // Shares of `a` and `b`: author 0 (.75, .25), author 1 (.25, .75); mean .5, sd .5/√2.
        let texts = [(0, words("a a a b")), (1, words("a b b b"))];
        let options = Options {
            words: 2,
            distance: Distance::Burrows,
            standardise: Standardise::Authors,
        };
        let delta = Delta::train(&texts, options);
        let got = delta.distances(&words("a a b b"));
        let want = 0.25 / (0.5 / 2f64.sqrt());
        assert!(
            got.iter().all(|d| (d - want).abs() < 1e-12),
            "half way: {got:?}, want {want}"
        );
        let cosine = Delta::train(
            &texts,
            Options {
                distance: Distance::Cosine,
                ..options
            },
        );
        assert!(
            (cosine.distances(&words("a a a a b"))[0]).abs() < 1e-12,
            "the same direction as author 0"
        );
        assert!(
            (cosine.distances(&words("a a a a b"))[1] - 2.0).abs() < 1e-12,
            "the opposite direction"
        );
    }
}
