//! Who wrote it? Kernel ridge on character 2-4-grams, word and punctuation 1-2-grams and the counted features, learned
//! on the spot from the candidates' own texts.
//! Character n-grams mix topic with style, so results on texts of one topic say more. Delta lives in `delta`.

use rustc_hash::FxHashMap;

use crate::features::measure;
use crate::segment::{TokenKind, normal_word, tokens};
use crate::sparse::{Sparse, Vocabulary, dot, solve_positive};

/// What the texts are compared by, and how strongly the fit is held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Weight of the character n-gram kernel.
    pub characters: f64,
    /// Weight of the word and punctuation n-gram kernel.
    pub words: f64,
    /// Weight of the counted features' kernel.
    pub features: f64,
    pub ridge: f64,
}

impl Recipe {
    /// The best of our runs on few texts an author.
    pub const FUSION: Self = Self {
        characters: 0.5,
        words: 0.5,
        features: 0.2,
        ridge: 0.2,
    };
    pub const CHARACTERS: Self = Self {
        characters: 1.0,
        words: 0.0,
        features: 0.0,
        ridge: 0.2,
    };
    pub const WORDS: Self = Self {
        characters: 0.0,
        words: 1.0,
        features: 0.0,
        ridge: 0.2,
    };
    pub const FEATURES: Self = Self {
        characters: 0.0,
        words: 0.0,
        features: 1.0,
        ridge: 0.2,
    };
}

/// N-grams kept, most frequent first.
const CHARACTER_GRAMS: usize = 40_000;
const WORD_GRAMS: usize = 30_000;

/// A trained attributor over authors `0..authors`.
pub struct Attributor {
    recipe: Recipe,
    authors: usize,
    characters: Vocabulary<u128>,
    words: Vocabulary<String>,
    standard: Standard,
    /// Row-major `authors × dimensions`, with each author's offset.
    weights: Vec<f32>,
    offsets: Vec<f64>,
    dimensions: usize,
}

impl Attributor {
    /// Learns from (author, text) with [`Recipe::FUSION`].
    #[must_use]
    pub fn train(texts: &[(usize, &str)]) -> Self {
        Self::train_with(texts, Recipe::FUSION)
    }

    /// Time and memory grow with the square of the number of texts: 1,000 texts take seconds.
    #[must_use]
    pub fn train_with(texts: &[(usize, &str)], recipe: Recipe) -> Self {
        let authors = texts.iter().map(|(a, _)| a + 1).max().unwrap_or(0);
        let character_counts: Vec<_> = texts
            .iter()
            .map(|(_, t)| {
                if recipe.characters > 0.0 {
                    character_grams(t)
                } else {
                    FxHashMap::default()
                }
            })
            .collect();
        let word_counts: Vec<_> = texts
            .iter()
            .map(|(_, t)| {
                if recipe.words > 0.0 {
                    word_grams(t)
                } else {
                    FxHashMap::default()
                }
            })
            .collect();
        let features: Vec<Vec<f64>> = texts
            .iter()
            .map(|(_, t)| {
                if recipe.features > 0.0 {
                    measure(t).transformed()
                } else {
                    Vec::new()
                }
            })
            .collect();
        let mut model = Self {
            recipe,
            authors,
            characters: Vocabulary::learn(&character_counts, CHARACTER_GRAMS),
            words: Vocabulary::learn(&word_counts, WORD_GRAMS),
            standard: Standard::learn(&features),
            weights: Vec::new(),
            offsets: vec![0.0; authors],
            dimensions: 0,
        };
        model.dimensions = model.characters.len() + model.words.len() + model.standard.len();
        let rows: Vec<Sparse> = character_counts
            .iter()
            .zip(&word_counts)
            .zip(&features)
            .map(|((c, w), f)| model.row(c, w, f))
            .collect();
        let owners: Vec<usize> = texts.iter().map(|(a, _)| *a).collect();
        model.fit(&rows, &owners);
        model
    }

    #[must_use]
    pub const fn authors(&self) -> usize {
        self.authors
    }

    /// One score an author; the highest is the likeliest. Trained texts of the author score near 1, of others near −1/(authors − 1).
    #[must_use]
    pub fn scores(&self, text: &str) -> Vec<f64> {
        let characters = if self.recipe.characters > 0.0 {
            character_grams(text)
        } else {
            FxHashMap::default()
        };
        let words = if self.recipe.words > 0.0 {
            word_grams(text)
        } else {
            FxHashMap::default()
        };
        let features = if self.recipe.features > 0.0 {
            measure(text).transformed()
        } else {
            Vec::new()
        };
        let row = self.row(&characters, &words, &features);
        (0..self.authors)
            .map(|a| {
                let weights = &self.weights[a * self.dimensions..(a + 1) * self.dimensions];
                row.iter()
                    .map(|&(i, v)| f64::from(v) * f64::from(weights[i as usize]))
                    .sum::<f64>()
                    + self.offsets[a]
            })
            .collect()
    }

    /// Authors, likeliest first.
    #[must_use]
    pub fn rank(&self, text: &str) -> Vec<usize> {
        let scores = self.scores(text);
        let mut order: Vec<usize> = (0..self.authors).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order
    }

    /// The three blocks side by side, each scaled by the root of its kernel's weight, so that one dot product is the
    /// weighted sum of kernels.
    fn row(
        &self,
        characters: &FxHashMap<u128, u32>,
        words: &FxHashMap<String, u32>,
        features: &[f64],
    ) -> Sparse {
        let mut row = self
            .characters
            .tf_idf(characters, self.recipe.characters.sqrt(), 0);
        let offset = self.characters.len();
        row.extend(self.words.tf_idf(words, self.recipe.words.sqrt(), offset));
        let offset = offset + self.words.len();
        row.extend(
            self.standard
                .row(features, self.recipe.features.sqrt(), offset),
        );
        row
    }

    /// Dual ridge on the centred kernel: S = K_test (K + λI)⁻¹ Y, Y = 1 for the author and −1/(A − 1) for the rest;
    /// kept as one weight vector an author, which scores a text by a sparse dot product.
    fn fit(&mut self, rows: &[Sparse], owners: &[usize]) {
        let n = rows.len();
        self.weights = vec![0.0; self.authors * self.dimensions];
        if n == 0 || self.authors < 2 {
            return;
        }
        let mut kernel = vec![0.0f64; n * n];
        let mut dense = vec![0.0f32; self.dimensions];
        for i in 0..n {
            rows[i].iter().for_each(|&(d, v)| dense[d as usize] = v);
            for j in 0..=i {
                let k = dot(&rows[j], &dense);
                kernel[i * n + j] = k;
                kernel[j * n + i] = k;
            }
            rows[i].iter().for_each(|&(d, _)| dense[d as usize] = 0.0);
        }
        let means: Vec<f64> = kernel
            .chunks(n)
            .map(|r| r.iter().sum::<f64>() / n as f64)
            .collect();
        let grand = means.iter().sum::<f64>() / n as f64;
        for i in 0..n {
            for j in 0..n {
                kernel[i * n + j] += grand - means[i] - means[j];
            }
            kernel[i * n + i] += self.recipe.ridge;
        }
        let rest = -1.0 / (self.authors - 1) as f64;
        let targets: Vec<Vec<f64>> = (0..self.authors)
            .map(|a| {
                owners
                    .iter()
                    .map(|o| if *o == a { 1.0 } else { rest })
                    .collect()
            })
            .collect();
        let duals = solve_positive(&mut kernel, n, targets);
        for (a, dual) in duals.iter().enumerate() {
            // w = Σ αᵢ (xᵢ − m) = Σ (αᵢ − ᾱ) xᵢ, and the offset −m·w by the same sums.
            let average = dual.iter().sum::<f64>() / n as f64;
            let weights = &mut self.weights[a * self.dimensions..(a + 1) * self.dimensions];
            for (row, alpha) in rows.iter().zip(dual) {
                let alpha = (alpha - average) as f32;
                row.iter()
                    .for_each(|&(d, v)| weights[d as usize] += alpha * v);
            }
            self.offsets[a] = -rows.iter().map(|r| dot(r, weights)).sum::<f64>() / n as f64;
        }
    }
}

/// Features standardised over the trained texts, clipped at ±3, of unit length.
struct Standard {
    means: Vec<f64>,
    sds: Vec<f64>,
}

impl Standard {
    fn learn(rows: &[Vec<f64>]) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        let column = |f: usize| rows.iter().map(|r| r[f]).collect::<Vec<f64>>();
        Self {
            means: (0..width).map(|f| crate::stats::mean(&column(f))).collect(),
            sds: (0..width)
                .map(|f| crate::stats::variance(&column(f)).sqrt())
                .collect(),
        }
    }

    fn len(&self) -> usize {
        self.means.len()
    }

    fn row(&self, values: &[f64], scale: f64, offset: usize) -> Sparse {
        let z: Vec<f64> = values
            .iter()
            .zip(self.means.iter().zip(&self.sds))
            .map(|(v, (m, s))| {
                if *s > 0.0 {
                    ((v - m) / s).clamp(-3.0, 3.0)
                } else {
                    0.0
                }
            })
            .collect();
        let norm = z.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Vec::new();
        }
        z.iter()
            .enumerate()
            .map(|(i, v)| ((offset + i) as u32, (v / norm * scale) as f32))
            .collect()
    }
}

/// Counts of character 2-, 3- and 4-grams, case and white space kept; four 21-bit characters a key.
fn character_grams(text: &str) -> FxHashMap<u128, u32> {
    let mut counts = FxHashMap::default();
    let mut window: u128 = 0;
    for (n, c) in text.chars().enumerate() {
        window = ((window << 21) | u128::from(u32::from(c) + 1)) & ((1 << 84) - 1);
        for length in 2..=4u32 {
            if n + 1 >= length as usize {
                *counts
                    .entry(window & ((1 << (21 * length)) - 1))
                    .or_insert(0) += 1;
            }
        }
    }
    counts
}

/// Counts of single word, number and punctuation tokens and of neighbouring pairs, in lower case.
fn word_grams(text: &str) -> FxHashMap<String, u32> {
    let mut counts = FxHashMap::default();
    let mut previous: Option<String> = None;
    for token in tokens(text) {
        let quote = token.span.quote(text);
        let word = if token.kind == TokenKind::Word {
            normal_word(quote)
        } else {
            quote.to_owned()
        };
        if let Some(before) = previous {
            *counts.entry(format!("{before} {word}")).or_insert(0) += 1;
        }
        *counts.entry(word.clone()).or_insert(0) += 1;
        previous = Some(word);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [(usize, &str); 6] = [
        (
            0,
            "Well, I really think we should go! It's late, isn't it? Let's go!",
        ),
        (
            0,
            "Oh well! I think it's fine, really. Don't you? Let's see!",
        ),
        (0, "I don't know, really! Well... let's ask them, okay?"),
        (
            1,
            "The committee has considered the matter; it finds no ground for delay.",
        ),
        (
            1,
            "It is the view of the board that the report, as submitted, is complete; nothing is to be added.",
        ),
        (
            1,
            "The matter was considered by the members; the view of the majority is recorded.",
        ),
    ];

    #[test]
    fn authors_are_told_apart_by_every_recipe() {
        for recipe in [
            Recipe::FUSION,
            Recipe::CHARACTERS,
            Recipe::WORDS,
            Recipe::FEATURES,
        ] {
            let model = Attributor::train_with(&TEXTS, recipe);
            assert_eq!(
                model.rank("Really? Well, I think it's okay! Let's go!")[0],
                0,
                "{recipe:?}"
            );
            assert_eq!(
                model.rank("The report was considered by the board; it is complete.")[0],
                1,
                "{recipe:?}"
            );
        }
    }

    #[test]
    fn scores_equal_the_textbook_dual_form() {
        // The slow form: S = k(x)ᶜ (Kᶜ + λI)⁻¹ Y with dense rows.
        let recipe = Recipe {
            features: 0.0,
            ..Recipe::FUSION
        };
        let model = Attributor::train_with(&TEXTS, recipe);
        let dense = |text: &str| {
            let mut out = vec![0.0f64; model.dimensions];
            for (d, v) in model.row(&character_grams(text), &word_grams(text), &[]) {
                out[d as usize] = f64::from(v);
            }
            out
        };
        let mut rows: Vec<Vec<f64>> = TEXTS.iter().map(|(_, t)| dense(t)).collect();
        let n = rows.len();
        let centre: Vec<f64> = (0..model.dimensions)
            .map(|d| rows.iter().map(|r| r[d]).sum::<f64>() / n as f64)
            .collect();
        let centred = |r: &[f64]| {
            r.iter()
                .zip(&centre)
                .map(|(v, c)| v - c)
                .collect::<Vec<f64>>()
        };
        rows = rows.iter().map(|r| centred(r)).collect();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let mut kernel: Vec<f64> = (0..n * n)
            .map(|k| product(&rows[k / n], &rows[k % n]))
            .collect();
        (0..n).for_each(|i| kernel[i * n + i] += recipe.ridge);
        let targets = vec![
            TEXTS
                .iter()
                .map(|(a, _)| if *a == 0 { 1.0 } else { -1.0 })
                .collect(),
        ];
        let dual = solve_positive(&mut kernel, n, targets);
        let text = "Well, the board thinks it's late.";
        let x = centred(&dense(text));
        let want: f64 = rows
            .iter()
            .zip(&dual[0])
            .map(|(r, a)| a * product(r, &x))
            .sum();
        let got = model.scores(text)[0];
        assert!((got - want).abs() < 1e-5, "primal {got}, dual {want}");
    }

    #[test]
    fn character_grams_are_exact() {
        let counts = character_grams("abab");
        let total: u32 = counts.values().sum();
        assert_eq!((counts.len(), total), (5, 6), "ab ba (2), aba bab, abab");
    }

    #[test]
    fn nothing_to_learn_from_gives_no_scores() {
        assert!(Attributor::train(&[]).scores("text").is_empty());
        assert_eq!(
            Attributor::train(&[(0, "only one author")]).scores("text"),
            [0.0]
        );
    }
}
