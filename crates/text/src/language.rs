//! Which language a text is in, and whether that is sure enough to act on. The guess is whatlang's trigram model
//! with a vote of English function words, since trigrams alone err on short mail.

use serde::Serialize;

use crate::lexicons::FUNCTION_WORDS;
use crate::segment;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// ISO 639-1 code where there is one, else 639-3; `und` where the text is too short or unclear to tell.
    pub code: String,
    /// English name, "unknown" for `und`.
    pub name: String,
    /// 0-1.
    pub confidence: f64,
}

/// The code for "cannot tell" (ISO 639-2).
pub const UNKNOWN: &str = "und";

/// Fewer words than this, and no function words to go by, give `und`.
const MIN_WORDS: usize = 8;

/// Bytes looked at: a few pages tell.
const LOOKED_AT: usize = 20_000;

#[must_use]
pub fn guess(text: &str) -> Guess {
    let end = (0..=text.len().min(LOOKED_AT))
        .rev()
        .find(|n| text.is_char_boundary(*n))
        .unwrap_or(0);
    let text = &text[..end];
    let words = segment::words(text);
    let unknown = || Guess {
        code: UNKNOWN.into(),
        name: "unknown".into(),
        confidence: 0.0,
    };
    let info = whatlang::detect(text);
    // Scripts other than Latin tell by themselves, even without blanks between words.
    if let Some(info) = info.as_ref().filter(|i| {
        i.script() != whatlang::Script::Latin
            && text.chars().filter(|c| c.is_alphabetic()).count() >= MIN_WORDS
    }) {
        return Guess {
            code: short_code(info.lang()).into(),
            name: info.lang().eng_name().into(),
            confidence: info.confidence(),
        };
    }
    if words.len() < 3 {
        return unknown();
    }
    let grammar = words
        .iter()
        .filter(|w| FUNCTION_WORDS.contains(&segment::normal_word(w.quote(text)).as_str()))
        .count();
    let english = grammar as f64 / words.len() as f64;
    // English prose has 40-55 % of these words, other languages below 15 % (shared spellings such as "in", "a", "me").
    if english >= 0.28 && (words.len() >= MIN_WORDS || english >= 0.5) {
        return Guess {
            code: "en".into(),
            name: "English".into(),
            confidence: (english / 0.4).min(1.0),
        };
    }
    match info {
        Some(info)
            if words.len() >= MIN_WORDS && (info.is_reliable() || info.confidence() > 0.5) =>
        {
            if info.lang() == whatlang::Lang::Eng && english < 0.1 {
                return unknown(); // word lists, code, names
            }
            Guess {
                code: short_code(info.lang()).into(),
                name: info.lang().eng_name().into(),
                confidence: info.confidence(),
            }
        }
        _ => unknown(),
    }
}

/// Whether English-only features may be shown: English, or too little text to say otherwise.
#[must_use]
pub fn counts_as_english(guess: &Guess) -> bool {
    guess.code == "en" || guess.code == UNKNOWN
}

fn short_code(lang: whatlang::Lang) -> &'static str {
    match lang.code() {
        "eng" => "en",
        "deu" => "de",
        "fra" => "fr",
        "spa" => "es",
        "ita" => "it",
        "por" => "pt",
        "nld" => "nl",
        "rus" => "ru",
        "ukr" => "uk",
        "pol" => "pl",
        "ces" => "cs",
        "slk" => "sk",
        "slv" => "sl",
        "hrv" => "hr",
        "srp" => "sr",
        "bul" => "bg",
        "ron" => "ro",
        "hun" => "hu",
        "fin" => "fi",
        "est" => "et",
        "lav" => "lv",
        "lit" => "lt",
        "swe" => "sv",
        "dan" => "da",
        "nob" => "nb",
        "tur" => "tr",
        "ell" => "el",
        "heb" => "he",
        "ara" => "ar",
        "pes" => "fa",
        "hin" => "hi",
        "ben" => "bn",
        "cmn" => "zh",
        "jpn" => "ja",
        "kor" => "ko",
        "vie" => "vi",
        "ind" => "id",
        "tha" => "th",
        "cat" => "ca",
        "epo" => "eo",
        "afr" => "af",
        "lat" => "la",
        "urd" => "ur",
        "tam" => "ta",
        "tgl" => "tl",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_texts_are_named() {
        let cases = [
            (
                "I was not sure whether you wanted the blue one or the other, so I left both of them on the table.",
                "en",
            ),
            (
                "thanks for this, i will be there at six with the others",
                "en",
            ),
            (
                "Ich wollte dir nur kurz schreiben, dass wir morgen leider nicht kommen können, weil die Kinder krank sind.",
                "de",
            ),
            (
                "Je voulais simplement te dire que nous ne pourrons pas venir demain parce que les enfants sont malades.",
                "fr",
            ),
            (
                "Quería decirte que mañana no podremos ir porque los niños están enfermos y no hay nadie que los cuide.",
                "es",
            ),
            ("Я хотел сказать, что завтра мы не сможем прийти.", "ru"),
            ("明日は子供が病気なので行けません。", "ja"),
        ];
        for (text, code) in cases {
            assert_eq!(guess(text).code, code, "language of {text:?}");
        }
    }

    #[test]
    fn short_or_wordless_texts_are_unknown_and_not_refused() {
        for text in ["", "ok", "See PDF", "42 + 17 = 59", "🙂"] {
            let guess = guess(text);
            assert_eq!(guess.code, UNKNOWN, "too little to tell: {text:?}");
            assert!(
                counts_as_english(&guess),
                "a short text must not be locked out"
            );
        }
    }
}
