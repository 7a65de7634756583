//! The part of a text that is read: whole sentences up to about 200 tokens.

use idiolect_llm::TextModel;
use idiolect_text::segment;

use crate::Result;

/// Tokens of a text that are read.
pub const WINDOW_TOKENS: usize = 200;

/// The first sentences that fit; at least one, cut in the middle only when it alone is longer.
pub fn first_sentences<'a>(model: &dyn TextModel, text: &'a str) -> Result<&'a str> {
    let text = text.trim();
    let mut used = 0;
    let mut end = 0;
    for span in segment::sentences(text) {
        let tokens = model.encode(span.quote(text))?.len();
        if used + tokens > WINDOW_TOKENS {
            break;
        }
        used += tokens;
        end = span.end;
    }
    if end > 0 {
        return Ok(text[..end].trim_end());
    }
    // One endless sentence: words up to the window.
    for span in segment::words(text) {
        let tokens = model.encode(&text[end..span.end])?.len();
        if used + tokens > WINDOW_TOKENS {
            break;
        }
        used += tokens;
        end = span.end;
    }
    Ok(&text[..end])
}

/// How much of a window a text fills, 0-1.
pub fn fullness(model: &dyn TextModel, text: &str) -> Result<f64> {
    let tokens = model.encode(first_sentences(model, text)?)?.len();
    // Sentences rarely end exactly at the window's edge: three quarters count as full.
    Ok((tokens as f64 / (0.75 * WINDOW_TOKENS as f64)).min(1.0))
}
