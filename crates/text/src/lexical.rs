//! How varied a text's words are: type-token measures over a list of words in normal form. Each is a pure function;
//! which words go in is the caller's business.

use std::collections::HashMap;

fn counts<'a>(words: &[&'a str]) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::with_capacity(words.len());
    for word in words {
        *counts.entry(*word).or_insert(0) += 1;
    }
    counts
}

/// Types over tokens; 0 for no words.
#[must_use]
pub fn type_token_ratio(words: &[&str]) -> f64 {
    if words.is_empty() {
        0.0
    } else {
        counts(words).len() as f64 / words.len() as f64
    }
}

/// Moving-average type-token ratio over windows of `window` words (Covington & McFall 2010); the plain ratio when
/// the text is shorter than one window.
#[must_use]
pub fn mattr(words: &[&str], window: usize) -> f64 {
    if window == 0 || words.len() <= window {
        return type_token_ratio(words);
    }
    let mut inside: HashMap<&str, usize> = HashMap::new();
    let mut types_sum = 0usize;
    for (i, word) in words.iter().enumerate() {
        *inside.entry(word).or_insert(0) += 1;
        if i >= window
            && let Some(n) = inside.get_mut(words[i - window])
        {
            *n -= 1;
            if *n == 0 {
                inside.remove(words[i - window]);
            }
        }
        if i + 1 >= window {
            types_sum += inside.len();
        }
    }
    types_sum as f64 / (window * (words.len() - window + 1)) as f64
}

/// Measure of textual lexical diversity (McCarthy & Jarvis 2010): the mean length of stretches that keep a
/// type-token ratio above `.72`, forwards and backwards, with the rest counted as a partial stretch.
#[must_use]
pub fn mtld(words: &[&str]) -> f64 {
    const THRESHOLD: f64 = 0.72;
    fn one_way<'a>(words: impl Iterator<Item = &'a str>) -> f64 {
        let mut seen: HashMap<&str, ()> = HashMap::new();
        let (mut tokens, mut total, mut factors) = (0usize, 0usize, 0.0);
        let mut ratio = 0.0;
        for word in words {
            seen.insert(word, ());
            tokens += 1;
            total += 1;
            ratio = seen.len() as f64 / tokens as f64;
            if ratio <= THRESHOLD {
                factors += 1.0;
                seen.clear();
                tokens = 0;
            }
        }
        if tokens > 0 {
            factors += (1.0 - ratio) / (1.0 - THRESHOLD);
        }
        if factors == 0.0 {
            // No word came twice: one stretch as long as the text is the least that can be said.
            return total as f64;
        }
        total as f64 / factors
    }
    if words.is_empty() {
        return 0.0;
    }
    (one_way(words.iter().copied()) + one_way(words.iter().rev().copied())) / 2.0
}

/// HD-D (McCarthy & Jarvis 2007): the expected type-token ratio of `draws` words drawn without replacement.
/// 0 when the text has fewer words than that.
#[must_use]
pub fn hdd(words: &[&str], draws: usize) -> f64 {
    let n = words.len();
    if draws == 0 || n < draws {
        return 0.0;
    }
    let sum: f64 = sorted_counts(words)
        .into_iter()
        .map(|(count, types)| {
            types as f64 * (1.0 - probability_of_none(n, count, draws)) / draws as f64
        })
        .sum();
    sum
}

/// How many types occur how often, by ascending count, so that sums come out the same on every run.
fn sorted_counts(words: &[&str]) -> Vec<(usize, usize)> {
    let mut spectrum = std::collections::BTreeMap::new();
    for count in counts(words).into_values() {
        *spectrum.entry(count).or_insert(0) += 1;
    }
    spectrum.into_iter().collect()
}

/// Hypergeometric probability that none of `count` marked words out of `n` is among `draws`.
fn probability_of_none(n: usize, count: usize, draws: usize) -> f64 {
    if n - count < draws {
        return 0.0;
    }
    (0..draws)
        .map(|i| (n - count - i) as f64 / (n - i) as f64)
        .product()
}

/// Yule's K (1944): `10^4 (Σ f² − N) / N²` over type counts f. Higher is more repetitive.
#[must_use]
pub fn yule_k(words: &[&str]) -> f64 {
    let n = words.len() as f64;
    if words.is_empty() {
        return 0.0;
    }
    let squares: f64 = counts(words).into_values().map(|f| (f * f) as f64).sum();
    1e4 * (squares - n) / (n * n)
}

/// Share of words that occur once, of all words.
#[must_use]
pub fn hapax_share(words: &[&str]) -> f64 {
    if words.is_empty() {
        return 0.0;
    }
    counts(words).into_values().filter(|f| *f == 1).count() as f64 / words.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 6] = ["a", "b", "a", "c", "a", "b"];

    #[track_caller]
    fn near(got: f64, want: f64, why: &str) {
        assert!((got - want).abs() < 1e-12, "{why}: got {got}, want {want}");
    }

    #[test]
    fn measures_agree_with_hand_computed_values() {
        near(type_token_ratio(&WORDS), 0.5, "3 types of 6 words");
        near(mattr(&WORDS, 2), 1.0, "no two neighbours are equal");
        near(
            mattr(&WORDS, 4),
            (3.0 + 3.0 + 3.0) / 12.0,
            "three windows of four with three types each",
        );
        near(
            yule_k(&WORDS),
            1e4 * (9.0 + 4.0 + 1.0 - 6.0) / 36.0,
            "counts 3, 2, 1",
        );
        near(hapax_share(&WORDS), 1.0 / 6.0, "only c occurs once");
        // P(no a) = 3/6·2/5 = .2, P(no b) = 4/6·3/5 = .4, P(no c) = 5/6·4/5 = 2/3; expected types over draws.
        near(
            hdd(&WORDS, 2),
            (0.8 + 0.6 + 1.0 / 3.0) / 2.0,
            "expected types of two draws",
        );
        // Forwards: a b a (.667) is one stretch, c a b is full: 1 factor of 6 words. Backwards the same by b a c (1), a (.75), b (.6).
        near(mtld(&WORDS), (6.0 + 6.0) / 2.0, "one stretch each way");
    }

    #[test]
    fn short_and_empty_texts_are_defined() {
        let none: [&str; 0] = [];
        for value in [
            type_token_ratio(&none),
            mattr(&none, 50),
            mtld(&none),
            hdd(&none, 42),
            yule_k(&none),
            hapax_share(&none),
        ] {
            near(value, 0.0, "no words");
        }
        near(mtld(&["a", "b", "c"]), 3.0, "all words differ");
        near(
            mattr(&WORDS, 50),
            0.5,
            "shorter than a window: the plain ratio",
        );
    }
}
