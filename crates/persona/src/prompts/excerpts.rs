//! Excerpts of a person's own texts for a brief: found by shared words, cut at sentence ends.

use idiolect_core::ids::SampleId;
use idiolect_text::{retrieve::Bm25, segment};

use super::MOST_EXCERPTS;
use crate::Passage;

/// Words of an excerpt: enough to show a manner, little enough for a small context.
const WORDS: usize = 90;

/// A piece of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Excerpt {
    /// Where it is from.
    pub sample: SampleId,
    /// Its words.
    pub text: String,
}

/// The samples that share most with the brief, then the latest ones; best first.
pub fn find(brief: &str, samples: &[Passage<'_>]) -> Vec<Excerpt> {
    let texts: Vec<&str> = samples.iter().map(|p| p.text).collect();
    let mut order: Vec<usize> = Bm25::new(&texts)
        .search(brief, MOST_EXCERPTS)
        .into_iter()
        .map(|(i, _)| i)
        .collect();
    for i in (0..samples.len()).rev() {
        if order.len() >= MOST_EXCERPTS {
            break;
        }
        if !order.contains(&i) {
            order.push(i);
        }
    }
    order
        .into_iter()
        .map(|i| Excerpt {
            sample: samples[i].id.clone(),
            text: beginning(samples[i].text).to_owned(),
        })
        .filter(|e| !e.text.is_empty())
        .collect()
}

/// Whole sentences up to [`WORDS`] words, at least one.
fn beginning(text: &str) -> &str {
    let text = text.trim();
    let mut end = 0;
    let mut words = 0;
    for span in segment::sentences(text) {
        let more = segment::word_count(span.quote(text));
        if end > 0 && words + more > WORDS {
            break;
        }
        words += more;
        end = span.end;
        if words >= WORDS {
            break;
        }
    }
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brief_decides_and_the_latest_fill_up() {
        let ids: Vec<SampleId> = (1..=5).map(SampleId::from_random).collect();
        let texts = [
            "The boat is blue. It leaks.",
            "A cake needs eggs.",
            "The harbour was full of boats. A boat sank.",
            "Rain all day.",
            "I sold the car.",
        ];
        let samples: Vec<Passage<'_>> = ids
            .iter()
            .zip(texts)
            .map(|(id, text)| Passage { id, text })
            .collect();
        let found: Vec<&str> = find("a boat in the harbour", &samples)
            .iter()
            .map(|e| texts[samples.iter().position(|s| *s.id == e.sample).unwrap()])
            .collect();
        assert_eq!(found, [texts[2], texts[0], texts[4]]);
        assert!(find("anything", &[]).is_empty());
    }

    #[test]
    fn an_excerpt_ends_with_a_sentence() {
        let text = "Here is one more sentence of eight words. ".repeat(30);
        let cut = beginning(&text);
        assert!(
            segment::word_count(cut) <= WORDS && cut.ends_with('.'),
            "{cut}"
        );
        assert_eq!(beginning("One two three"), "One two three");
    }
}
