//! What stands in for a sentence embedder: words are alike that share letters.

use idiolect_llm::{Cancel, EmbeddedToken, Embedder, Result};
use idiolect_text::segment::{TokenKind, normal_word, tokens};

/// Words as bags of their letter triples, hashed: "walnut" lies close to "walnuts", far from everything else.
#[derive(Debug, Clone, Copy)]
pub struct Spelling;

const DIMENSIONS: usize = 1024;

impl Embedder for Spelling {
    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        let sum = |tokens: Vec<EmbeddedToken>| {
            let mut sum = vec![0.0; DIMENSIONS];
            for token in tokens {
                sum.iter_mut().zip(token.vector).for_each(|(s, v)| *s += v);
            }
            normalised(sum)
        };
        Ok(self
            .embed_tokens(texts, cancel)?
            .into_iter()
            .map(sum)
            .collect())
    }

    fn embed_tokens(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<EmbeddedToken>>> {
        cancel.check()?;
        let of_text = |text: &&str| {
            let words = tokens(text)
                .into_iter()
                .filter(|t| t.kind != TokenKind::Mark);
            words
                .map(|word| EmbeddedToken {
                    bytes: word.span.start..word.span.end,
                    vector: triples(&normal_word(word.span.quote(text))),
                })
                .collect()
        };
        Ok(texts.iter().map(of_text).collect())
    }
}

fn triples(word: &str) -> Vec<f32> {
    let letters: Vec<char> = format!("^{word}$").chars().collect();
    let mut out = vec![0.0; DIMENSIONS];
    for triple in letters.windows(3) {
        // FNV-1a, 32 bits.
        let hash = triple.iter().fold(0x811c_9dc5_u32, |hash, letter| {
            (hash ^ u32::from(*letter)).wrapping_mul(0x0100_0193)
        });
        out[hash as usize % DIMENSIONS] = 1.0;
    }
    normalised(out)
}

/// Scaled to length 1; zeros stay.
fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|v| *v /= norm);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_share_letters_are_alike() {
        let vectors = Spelling
            .embed(&["Walnuts", "walnut", "harbour", "!"], &Cancel::new())
            .unwrap();
        let dot = |a: usize, b: usize| -> f32 {
            vectors[a].iter().zip(&vectors[b]).map(|(x, y)| x * y).sum()
        };
        assert!(
            dot(0, 1) > 0.7 && dot(0, 2) < 0.2,
            "{} {}",
            dot(0, 1),
            dot(0, 2)
        );
        assert!((dot(0, 0) - 1.0).abs() < 1e-6);
        assert_eq!(dot(3, 3), 0.0, "no words, no direction");
        let tokens = &Spelling
            .embed_tokens(&["A walnut"], &Cancel::new())
            .unwrap()[0];
        assert_eq!(tokens[1].bytes, 2..8);
    }
}
