//! The table of counted features: for each a stable id, a plain name, a category, a unit, and either a finder, which
//! gives the spans that are counted (and later quoted as evidence), or a figure of the whole text.
//! Measuring a text against the table is `features`' work.

use std::collections::HashMap;
use std::sync::OnceLock;

use idiolect_core::hypothesis::Category;
use serde::{Deserialize, Serialize};

use crate::analysis::{Analysis, Sentence};
use crate::lexicons as lex;
use crate::segment::Span;
use crate::{detect, figures};

/// What a value counts and by what it is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    PerThousandWords,
    ShareOfWords,
    ShareOfSentences,
    ShareOfParagraphs,
    ShareOfLines,
    /// 1 in a text that has it, 0 in one that has not; over several texts their share.
    ShareOfTexts,
    Words,
    Letters,
    Sentences,
    /// A figure without a natural unit (readability, diversity).
    Score,
}

impl Unit {
    /// In plain words, for the window.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::PerThousandWords => "per 1,000 words",
            Self::ShareOfWords => "share of words",
            Self::ShareOfSentences => "share of sentences",
            Self::ShareOfParagraphs => "share of paragraphs",
            Self::ShareOfLines => "share of lines",
            Self::ShareOfTexts => "share of texts",
            Self::Words => "words",
            Self::Letters => "letters",
            Self::Sentences => "sentences",
            Self::Score => "score",
        }
    }
}

/// How a feature is found.
#[derive(Clone, Copy)]
pub enum Finder {
    /// Words and phrases of a list.
    Words(&'static [&'static str]),
    /// Sentences that begin with this word.
    Opener(&'static str),
    /// Spans that begin at a token.
    Token(fn(&Analysis<'_>, usize) -> Option<Span>),
    /// Sentences that have a property.
    Sentence(fn(&Analysis<'_>, &Sentence) -> bool),
    /// Paragraphs or lines that have a property.
    Block(fn(&Analysis<'_>, Span) -> bool),
    /// At most one span a text.
    Text(fn(&Analysis<'_>) -> Option<Span>),
    /// A figure of the whole text, with nothing to quote.
    Figure(fn(&Analysis<'_>) -> f64),
}

pub struct Feature {
    /// Stable: `punct.dash`.
    pub id: String,
    /// In plain words: "Dashes".
    pub name: String,
    pub category: Category,
    pub unit: Unit,
    pub finder: Finder,
}

impl Feature {
    /// Rates and shares are compared by their square root, which evens out their spread; figures as they are.
    #[must_use]
    pub fn transform(&self, value: f64) -> f64 {
        if matches!(self.finder, Finder::Figure(_)) {
            value
        } else {
            value.max(0.0).sqrt()
        }
    }
}

/// All features in their fixed order.
#[must_use]
pub fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(Catalog::build)
}

pub struct Catalog {
    features: Vec<Feature>,
    index: HashMap<String, usize>,
    /// First word → (rest of the phrase, feature).
    phrases: HashMap<&'static str, Vec<Phrase>>,
}

pub(crate) struct Phrase {
    pub rest: Vec<&'static str>,
    pub feature: usize,
}

impl Catalog {
    fn build() -> Self {
        let mut features = Vec::new();
        let mut push = |id: String, name: String, category, unit, finder| {
            features.push(Feature {
                id,
                name,
                category,
                unit,
                finder,
            });
        };
        for word in &lex::FUNCTION_WORDS {
            let list = std::slice::from_ref(word);
            push(
                format!("word.{word}"),
                format!("The word “{word}”"),
                Category::Style,
                Unit::PerThousandWords,
                Finder::Words(list),
            );
        }
        for word in lex::OPENERS {
            let name = format!("Sentences that begin with “{}”", capitalised(word));
            push(
                format!("opener.{word}"),
                name,
                Category::Communication,
                Unit::ShareOfSentences,
                Finder::Opener(word),
            );
        }
        for (id, name, category, unit, finder) in rows() {
            push(id.to_owned(), name.to_owned(), category, unit, finder);
        }
        let index = features
            .iter()
            .enumerate()
            .map(|(i, f)| (f.id.clone(), i))
            .collect();
        let mut phrases: HashMap<&'static str, Vec<Phrase>> = HashMap::new();
        for (feature, row) in features.iter().enumerate() {
            if let Finder::Words(list) = row.finder {
                for entry in list {
                    let mut parts = entry.split(' ');
                    if let Some(first) = parts.next() {
                        phrases.entry(first).or_default().push(Phrase {
                            rest: parts.collect(),
                            feature,
                        });
                    }
                }
            }
        }
        Self {
            features,
            index,
            phrases,
        }
    }

    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The place of a feature in every [`crate::features::FeatureVector`].
    #[must_use]
    pub fn position(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    pub(crate) fn phrases_from(&self, word: &str) -> &[Phrase] {
        self.phrases.get(word).map_or(&[], Vec::as_slice)
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

type Row = (&'static str, &'static str, Category, Unit, Finder);

#[rustfmt::skip] // a table: one feature a line
fn rows() -> Vec<Row> {
    use Category::{Communication as C, Personality as P, Style as S};
    use Finder::{Block, Figure, Sentence as Sent, Text, Token, Words};
    use Unit::{
        Letters, PerThousandWords as K, Score, Sentences, ShareOfLines, ShareOfParagraphs,
        ShareOfSentences as OfS, ShareOfTexts, ShareOfWords as OfW, Words as W,
    };
    vec![
        ("lex.hedge", "Hedges (“perhaps”, “I think”, “sort of”)", C, K, Words(lex::HEDGES)),
        ("lex.booster", "Boosters (“really”, “definitely”)", C, K, Words(lex::BOOSTERS)),
        ("lex.modal_possibility", "“Can”, “could”, “may”, “might”", C, K, Words(lex::MODALS_POSSIBILITY)),
        ("lex.modal_obligation", "“Must”, “should”, “have to”", C, K, Words(lex::MODALS_OBLIGATION)),
        ("lex.modal_prediction", "“Will”, “would”, “going to”", C, K, Words(lex::MODALS_PREDICTION)),
        ("lex.first_singular", "“I”, “me”, “my”", P, K, Words(lex::FIRST_SINGULAR)),
        ("lex.first_plural", "“We”, “us”, “our”", P, K, Words(lex::FIRST_PLURAL)),
        ("lex.second_person", "“You”, “your”", C, K, Words(lex::SECOND_PERSON)),
        ("lex.third_singular", "“He”, “she”, “his”, “her”", S, K, Words(lex::THIRD_SINGULAR)),
        ("lex.third_plural", "“They”, “them”, “their”", S, K, Words(lex::THIRD_PLURAL)),
        ("lex.impersonal", "“One”, “people”, “everyone”", P, K, Words(lex::IMPERSONAL)),
        ("lex.connective_formal", "Formal connectives (“however”, “therefore”)", C, K, Words(lex::CONNECTIVES_FORMAL)),
        ("lex.connective_informal", "Informal connectives (“anyway”, “plus”)", C, K, Words(lex::CONNECTIVES_INFORMAL)),
        ("lex.cause", "Reasons (“because”, “due to”)", C, K, Words(lex::CAUSE)),
        ("lex.contrast", "Contrast (“but”, “although”)", C, K, Words(lex::CONTRAST)),
        ("lex.condition", "Conditions (“if”, “unless”)", C, K, Words(lex::CONDITION)),
        ("lex.example", "Announced examples (“for example”, “such as”)", C, K, Words(lex::EXAMPLES)),
        ("lex.ordering", "Ordering words (“first”, “then”, “finally”)", C, K, Words(lex::ORDERING)),
        ("lex.negation", "Negation (“not”, “never”, “don't”)", P, K, Words(lex::NEGATION)),
        ("lex.saying", "Verbs of saying (“said”, “asked”)", C, K, Words(lex::SAYING)),
        ("lex.thinking", "Verbs of thinking (“think”, “know”, “feel”)", P, K, Words(lex::THINKING)),
        ("lex.positive", "Warm words (“great”, “love”, “enjoy”)", P, K, Words(lex::POSITIVE)),
        ("lex.negative", "Dark words (“bad”, “problem”, “sorry”)", P, K, Words(lex::NEGATIVE)),
        ("lex.polite", "Politeness (“please”, “thank you”)", C, K, Words(lex::POLITE)),
        ("lex.informal", "Informal words (“okay”, “stuff”, “a lot”)", S, K, Words(lex::INFORMAL)),
        ("lex.vague", "Vague words (“thing”, “something”)", S, K, Words(lex::VAGUE)),
        ("lex.quantity", "Words of quantity (“many”, “several”)", S, K, Words(lex::QUANTITY)),
        ("lex.time", "Words of time (“now”, “already”, “soon”)", S, K, Words(lex::TIME)),
        ("lex.number_words", "Numbers written as words", S, K, Words(lex::NUMBER_WORDS)),
        ("lex.wh", "“Who”, “which”, “how”, “why”", S, K, Words(lex::WH_WORDS)),
        ("lex.relative_formal", "“Which”, “whose”, “upon”", S, K, Words(lex::RELATIVE_FORMAL)),
        ("lex.be", "Forms of “be”", S, K, Words(lex::BE_FORMS)),
        ("lex.british", "British spellings", S, K, Words(lex::BRITISH)),
        ("lex.american", "American spellings", S, K, Words(lex::AMERICAN)),
        ("lex.uncontracted", "Written out: “do not”, “it is”", S, K, Words(lex::UNCONTRACTED)),
        ("contraction.any", "Contractions", S, K, Token(detect::contraction)),
        ("contraction.negative", "Contractions with “n't”", S, K, Token(detect::negative_contraction)),
        ("contraction.missing_apostrophe", "Contractions without the apostrophe (“dont”)", S, K, Token(detect::missing_apostrophe)),
        ("punct.comma", "Commas", S, K, Token(|a, i| detect::mark(a, i, &[',']))),
        ("punct.period", "Full stops", S, K, Token(detect::full_stop)),
        ("punct.semicolon", "Semicolons", S, K, Token(|a, i| detect::mark(a, i, &[';']))),
        ("punct.colon", "Colons", S, K, Token(detect::colon)),
        ("punct.dash", "Dashes", S, K, Token(detect::dash)),
        ("punct.em_dash", "Long dashes (—)", S, K, Token(|a, i| detect::mark(a, i, &['—']))),
        ("punct.double_hyphen", "Dashes typed as --", S, K, Token(detect::double_hyphen)),
        ("punct.hyphen", "Hyphenated words", S, K, Token(detect::hyphen)),
        ("punct.exclamation", "Exclamation marks", P, K, Token(|a, i| detect::mark(a, i, &['!']))),
        ("punct.question", "Question marks", C, K, Token(|a, i| detect::mark(a, i, &['?']))),
        ("punct.repeated", "Marks in a row (“!!”, “?!”)", P, K, Token(detect::repeated_marks)),
        ("punct.ellipsis", "Ellipses", S, K, Token(detect::ellipsis)),
        ("punct.parenthesis", "Brackets", S, K, Token(|a, i| detect::mark(a, i, &['(', '[']))), ("punct.double_quote", "Quotation marks", S, K, Token(|a, i| detect::mark(a, i, &['"', '“', '”', '«', '»']))), ("punct.single_quote", "Single quotation marks", S, K, Token(|a, i| detect::mark(a, i, &['\'', '‘', '’']))), ("punct.slash", "Slashes", S, K, Token(|a, i| detect::mark(a, i, &['/']))), ("punct.ampersand", "“&” for “and”", S, K, Token(|a, i| detect::mark(a, i, &['&']))), ("punct.asterisk", "Asterisks and underscores", S, K, Token(|a, i| detect::mark(a, i, &['*', '_']))), ("punct.money_percent", "Money and percent signs", S, K, Token(|a, i| detect::mark(a, i, &['$', '€', '£', '%']))), ("punct.other", "Other symbols", S, K, Token(detect::other_mark)), ("punct.serial_comma", "Comma before “and” in a list", S, K, Token(detect::serial_comma)), ("punct.comma_and", "Comma before “and” or “but”", S, K, Token(detect::comma_conjunction)), ("punct.double_space", "Two spaces after a sentence", S, K, Token(detect::double_space)), ("punct.space_before", "Space before a mark", S, K, Token(detect::space_before_mark)), ("emoji.any", "Emoji", P, K, Token(detect::emoji)), ("emoji.typed", "Typed smileys", P, K, Token(detect::emoticon)), ("case.all_caps", "Words in capitals", S, K, Token(detect::all_caps)), ("case.mid_capital", "Capitalised words inside sentences", S, K, Token(detect::mid_capital)), ("case.lower_i", "“i” in lower case", S, K, Token(detect::lower_i)), ("case.lower_start", "Sentences that begin in lower case", S, OfS, Sent(detect::lower_start)), ("digits.any", "Numbers in digits", S, K, Token(detect::number)), ("digits.year", "Years", S, K, Token(detect::year)), ("link.any", "Links and addresses", S, K, Token(detect::link)), ("suffix.ly", "Words in -ly", S, K, Token(|a, i| detect::suffix(a, i, &["ly"], 4))), ("suffix.ing", "Words in -ing", S, K, Token(|a, i| detect::suffix(a, i, &["ing"], 5))), ("suffix.ed", "Words in -ed", S, K, Token(|a, i| detect::suffix(a, i, &["ed"], 4))), ("suffix.tion", "Words in -tion, -sion", S, K, Token(|a, i| detect::suffix(a, i, &["tion", "sion", "tions", "sions"], 6))), ("suffix.noun", "Words in -ness, -ity, -ment", S, K, Token(|a, i| detect::suffix(a, i, &["ness", "ity", "ment"], 6))), ("suffix.adjective", "Words in -ful, -ous, -ive, -able", S, K, Token(|a, i| detect::suffix(a, i, &["ful", "ous", "ive", "able"], 5))), ("suffix.ize", "Words in -ize, -ise", S, K, Token(|a, i| detect::suffix(a, i, &["ize", "ise", "izes", "ises", "ized", "ised"], 6))), ("suffix.superlative", "Words in -est", S, K, Token(|a, i| detect::suffix(a, i, &["est"], 6))), ("grammar.passive", "Likely passives (“was made”)", S, K, Token(detect::passive)), ("grammar.progressive", "“Is doing” forms", S, K, Token(detect::progressive)), ("grammar.perfect", "“Have done” forms", S, K, Token(detect::perfect)), ("grammar.there_is", "“There is”, “there are”", S, K, Token(detect::there_is)), ("grammar.to_verb", "“To” before a word in lower case", S, K, Token(detect::to_word)), ("grammar.repeated_word", "A word twice in a row", S, K, Token(detect::repeated_word)), ("sentence.mean", "Average sentence length", S, W, Figure(figures::sentence_mean)), ("sentence.sd", "Spread of sentence length", S, W, Figure(figures::sentence_sd)), ("sentence.median", "Median sentence length", S, W, Figure(figures::sentence_median)), ("sentence.short", "Sentences under 8 words", S, OfS, Sent(|_, s| s.words < 8)), ("sentence.long", "Sentences over 30 words", S, OfS, Sent(|_, s| s.words > 30)), ("sentence.question", "Sentences that ask", C, OfS, Sent(|a, s| detect::ends_with(a, s, '?'))), ("sentence.exclamation", "Sentences that end in “!”", P, OfS, Sent(|a, s| detect::ends_with(a, s, '!'))), ("sentence.unmarked", "Sentences without a closing mark", S, OfS, Sent(detect::unmarked_end)), ("sentence.conjunction", "Sentences that begin with “and”, “but”, “so”", C, OfS, Sent(detect::conjunction_start)), ("sentence.wh_start", "Sentences that begin with a question word", C, OfS, Sent(detect::wh_start)), ("sentence.ing_start", "Sentences that begin with an -ing word", C, OfS, Sent(detect::ing_start)), ("sentence.ly_start", "Sentences that begin with an -ly word", C, OfS, Sent(detect::ly_start)), ("sentence.no_comma", "Sentences without a comma", S, OfS, Sent(detect::no_comma)), ("sentence.many_commas", "Sentences with three commas or more", S, OfS, Sent(detect::many_commas)), ("sentence.imperative", "Sentences that begin with a request (“let me”, “please”)", C, OfS, Sent(detect::request_start)), ("sentence.first_person", "Sentences with “I”", P, OfS, Sent(detect::first_person)), ("paragraph.words", "Average paragraph length", S, W, Figure(figures::paragraph_words)), ("paragraph.sentences", "Sentences in a paragraph", S, Sentences, Figure(figures::paragraph_sentences)), ("paragraph.short", "Paragraphs under 25 words", S, ShareOfParagraphs, Block(detect::short_block)), ("line.list", "Lines that are list items", C, ShareOfLines, Block(detect::list_line)), ("line.heading", "Lines that look like headings", C, ShareOfLines, Block(detect::heading_line)), ("text.greeting", "Texts that open with a greeting", C, ShareOfTexts, Text(detect::greeting)), ("text.sign_off", "Texts that close with a sign-off", C, ShareOfTexts, Text(detect::sign_off)), ("text.question_end", "Texts whose last sentence asks", C, ShareOfTexts, Text(detect::question_end)), ("length.1", "Words of 1 letter", S, OfW, Token(|a, i| detect::letters(a, i, 1, 1))), ("length.2", "Words of 2 letters", S, OfW, Token(|a, i| detect::letters(a, i, 2, 2))), ("length.3", "Words of 3 letters", S, OfW, Token(|a, i| detect::letters(a, i, 3, 3))), ("length.4", "Words of 4 letters", S, OfW, Token(|a, i| detect::letters(a, i, 4, 4))), ("length.5", "Words of 5 letters", S, OfW, Token(|a, i| detect::letters(a, i, 5, 5))), ("length.6", "Words of 6 letters", S, OfW, Token(|a, i| detect::letters(a, i, 6, 6))), ("length.7", "Words of 7 letters", S, OfW, Token(|a, i| detect::letters(a, i, 7, 7))), ("length.8", "Words of 8 letters", S, OfW, Token(|a, i| detect::letters(a, i, 8, 8))), ("length.9", "Words of 9 letters", S, OfW, Token(|a, i| detect::letters(a, i, 9, 9))), ("length.10", "Words of 10 letters or more", S, OfW, Token(|a, i| detect::letters(a, i, 10, usize::MAX))), ("length.mean", "Average word length", S, Letters, Figure(figures::word_length)), ("vocabulary.mattr50", "Word variety (MATTR-50)", S, Score, Figure(figures::mattr50)), ("vocabulary.mtld", "Word variety over length (MTLD)", S, Score, Figure(figures::mtld)), ("vocabulary.yule_k", "Word repetition (Yule's K)", S, Score, Figure(figures::yule_k)), ("vocabulary.hapax", "Words used once in 100", S, Score, Figure(figures::hapax)), ("readability.flesch", "Reading ease (Flesch)", S, Score, Figure(figures::flesch)), ("readability.grade", "School grade (Flesch-Kincaid)", S, Score, Figure(figures::grade)), ("readability.syllables", "Syllables a word", S, Score, Figure(figures::syllables_per_word)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_found_again() {
        let catalog = catalog();
        assert!(
            catalog.len() >= 212,
            "the catalog shrank to {}",
            catalog.len()
        );
        for (i, feature) in catalog.features().iter().enumerate() {
            assert_eq!(
                catalog.position(&feature.id),
                Some(i),
                "{} stands twice in the table",
                feature.id
            );
        }
    }
}
