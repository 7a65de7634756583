//! One pass over a text: its tokens, words in normal form, sentences, paragraphs and lines, which all counted
//! features look at. No feature is defined here; those are rows of `catalog`.

use crate::readability;
use crate::segment::{self, Span, Token, TokenKind};

/// A text with everything counted features need. Offsets are bytes of `text`.
#[derive(Debug)]
pub struct Analysis<'a> {
    pub text: &'a str,
    pub tokens: Vec<Token>,
    /// One entry a word token, in order.
    pub words: Vec<Word>,
    /// For each token the place of its word, if it is one.
    word_of_token: Vec<Option<u32>>,
    pub sentences: Vec<Sentence>,
    pub paragraphs: Vec<Span>,
    /// Lines that are not blank.
    pub lines: Vec<Span>,
}

#[derive(Debug)]
pub struct Word {
    /// Lower case, straight apostrophe.
    pub normal: String,
    pub span: Span,
    /// Its place among the tokens.
    pub token: usize,
    /// Letters, apostrophes not counted.
    pub letters: usize,
    pub syllables: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct Sentence {
    pub span: Span,
    /// Its words are `words[first_word..first_word + words]`.
    pub first_word: usize,
    pub words: usize,
}

impl<'a> Analysis<'a> {
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let tokens = segment::tokens(text);
        let words: Vec<Word> = tokens
            .iter()
            .enumerate()
            .filter(|(_, t)| t.kind == TokenKind::Word)
            .map(|(token, t)| {
                let quote = t.span.quote(text);
                let letters = quote.chars().filter(|c| c.is_alphabetic()).count();
                {
                    let normal = segment::normal_word(quote);
                    let syllables = readability::syllables(&normal);
                    Word {
                        normal,
                        span: t.span,
                        token,
                        letters,
                        syllables,
                    }
                }
            })
            .collect();
        let mut word_of_token = vec![None; tokens.len()];
        for (place, word) in words.iter().enumerate() {
            word_of_token[word.token] = u32::try_from(place).ok();
        }
        let mut sentences = Vec::new();
        let mut at = 0;
        for span in segment::sentences(text) {
            let first_word = at + words[at..].partition_point(|w| w.span.start < span.start);
            let after =
                first_word + words[first_word..].partition_point(|w| w.span.start < span.end);
            if after > first_word {
                sentences.push(Sentence {
                    span,
                    first_word,
                    words: after - first_word,
                });
            }
            at = after;
        }
        let lines = segment::lines(text)
            .into_iter()
            .map(|l| segment::trimmed(text, l))
            .filter(|l| l.start < l.end)
            .collect();
        Self {
            text,
            tokens,
            words,
            word_of_token,
            sentences,
            paragraphs: segment::paragraphs(text),
            lines,
        }
    }

    #[must_use]
    pub fn quote(&self, span: Span) -> &'a str {
        span.quote(self.text)
    }

    /// The words of a sentence.
    #[must_use]
    pub fn words_of(&self, sentence: &Sentence) -> &[Word] {
        &self.words[sentence.first_word..sentence.first_word + sentence.words]
    }

    /// The word at token `i`, if it is one.
    #[must_use]
    pub fn word_at(&self, i: usize) -> Option<&Word> {
        self.words.get((*self.word_of_token.get(i)?)? as usize)
    }

    /// The mark at token `i`, if it is one.
    #[must_use]
    pub fn mark(&self, i: usize) -> Option<char> {
        let token = self.tokens.get(i)?;
        if token.kind != TokenKind::Mark {
            return None;
        }
        self.quote(token.span).chars().next()
    }

    /// Whether tokens `i` and `i + 1` touch.
    #[must_use]
    pub fn touches_next(&self, i: usize) -> bool {
        matches!((self.tokens.get(i), self.tokens.get(i + 1)), (Some(a), Some(b)) if a.span.end == b.span.start)
    }

    /// Whether token `i` touches the one before it.
    #[must_use]
    pub fn touches_previous(&self, i: usize) -> bool {
        i > 0 && self.touches_next(i - 1)
    }

    /// The run of equal or listed marks that starts at token `i`; `None` when `i` is inside such a run.
    #[must_use]
    pub fn mark_run(&self, i: usize, marks: &[char]) -> Option<(Span, usize)> {
        let is = |j: usize| self.mark(j).is_some_and(|c| marks.contains(&c));
        if !is(i) || (i > 0 && is(i - 1) && self.touches_previous(i)) {
            return None;
        }
        let mut last = i;
        while self.touches_next(last) && is(last + 1) {
            last += 1;
        }
        Some((
            Span::new(self.tokens[i].span.start, self.tokens[last].span.end),
            last - i + 1,
        ))
    }

    /// Sentence lengths in words.
    #[must_use]
    pub fn sentence_lengths(&self) -> Vec<f64> {
        self.sentences.iter().map(|s| s.words as f64).collect()
    }

    /// Normal forms of all words.
    #[must_use]
    pub fn normal_words(&self) -> Vec<&str> {
        self.words.iter().map(|w| w.normal.as_str()).collect()
    }
}
