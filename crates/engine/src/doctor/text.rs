//! The tokenizer on our own strings, and how texts begin and end.

use idiolect_llm::{LlmError, Result, Token};

use super::{Check, REFUSED, chat, sentence};
use crate::{
    gguf::{Gguf, shown},
    tokenizer::Tokenizer,
};

/// Strings that have to come back as they went in, by what they are for.
const STRINGS: &[(&str, &str)] = &[
    (
        "plain letters",
        "The quick brown fox can't jump over 13 lazy dogs, can it?",
    ),
    (
        "punctuation",
        "Wait (no): 3.14 = 22/7? \"Yes\" - it's <b>fine</b> & {done} [1]; #2 @ 50%...",
    ),
    (
        "leading spaces",
        "  two before,   three between, none after",
    ),
    ("line breaks", "one\n\ntwo\n\tindented\nthree\n"),
    (
        "accents",
        "Ça déjà vu, naïve façade, Ærø, žluťoučký kůň, Straße",
    ),
    (
        "typographic marks",
        "“Quotes”, ‘these’ too — and … that’s it",
    ),
    ("emoji", "👍 🙂🏽 👩‍👩‍👧 🇳🇴"),
    (
        "Chinese, Japanese and Korean",
        "你好，世界。こんにちは、カタカナ 안녕하세요",
    ),
    ("other scripts", "Привет мир, Γειά σου, שלום, مرحبا, नमस्ते"),
];

pub(super) fn round_trip(tokenizer: &Result<Tokenizer>) -> Check {
    let name = "tokenizer";
    let tokenizer = match tokenizer {
        Ok(tokenizer) => tokenizer,
        Err(error) => {
            let next = match error {
                LlmError::Unsupported(_) => {
                    "Guessing would give wrong tokens. `idiolect models list` shows models that run."
                }
                _ => {
                    "The file was converted wrongly or damaged: look for another GGUF of the same model."
                }
            };
            return Check::broken(name, sentence(error), REFUSED, next);
        }
    };
    let changed: Vec<&str> = STRINGS
        .iter()
        .filter(|(_, text)| {
            tokenizer
                .encode(text)
                .is_ok_and(|tokens| tokenizer.decode(&tokens) == *text)
                .eq(&false)
        })
        .map(|(what, _)| *what)
        .collect();
    if changed.is_empty() {
        return Check::ok(
            name,
            format!("{} kinds of text come back as they went in.", STRINGS.len()),
        );
    }
    let found = format!(
        "Not the same after encoding and decoding: {}.",
        changed.join(", ")
    );
    if changed.contains(&STRINGS[0].0) {
        return Check::broken(
            name,
            found,
            "The model would read and write something else than what is meant.",
            "The vocabulary is damaged or of another kind: look for another GGUF of the same model.",
        );
    }
    Check::warning(
        name,
        found,
        "The model reads those with letters missing or replaced, and cannot write them; the rest is right.",
        "For texts with such letters use another model.",
    )
}

fn id(gguf: &Gguf, name: &str) -> Option<Token> {
    let id = gguf.count(&format!("tokenizer.ggml.{name}")).ok()??;
    Token::try_from(id).ok().filter(|id| *id != Token::MAX)
}

fn spelling(gguf: &Gguf, token: Token) -> String {
    let tokens = gguf.texts("tokenizer.ggml.tokens").ok().flatten();
    tokens
        .and_then(|tokens| tokens.get(token as usize))
        .map_or_else(|| format!("token {token}"), |t| shown(t))
}

/// How texts begin: BOS wanted, there, and once.
pub(super) fn beginning(gguf: &Gguf, tokenizer: &Tokenizer, template: &chat::Examined) -> Check {
    let name = "beginning of text";
    let asked = gguf.flag("tokenizer.ggml.add_bos_token").ok().flatten() == Some(true);
    let Some(bos) = id(gguf, "bos_token_id") else {
        return if asked
            || template
                .source
                .as_deref()
                .is_some_and(|s| s.contains("bos_token"))
        {
            Check::warning(
                name,
                "A token that begins every text is asked for, but the file does not say which.",
                "Texts begin without it.",
                "If the model behaves oddly, look for another GGUF of it.",
            )
        } else {
            Check::ok(name, "No token of its own begins a text.")
        };
    };
    let word = spelling(gguf, bos);
    let adds = tokenizer.bos().is_some();
    // Before anything is put in front: what the template itself writes.
    let written = template.prompt().map_or(0, |prompt| {
        let spelled = &tokenizer.names().bos;
        if spelled.is_empty() {
            return 0;
        }
        let mut rest = prompt;
        let mut times = 0_usize;
        while let Some(after) = rest.strip_prefix(spelled.as_str()) {
            (rest, times) = (after, times + 1);
        }
        times
    });
    match (written, adds) {
        (2.., _) => Check::warning(
            name,
            format!("The chat template writes “{word}” {written} times in a row."),
            "Every prompt begins more than once, which the model was not trained on.",
            "Look for another GGUF of it, or one whose template was mended.",
        ),
        (1, true) => Check::warning(
            name,
            format!("The chat template writes “{word}”, and the tokenizer is told to add it, too."),
            "Here it stands there once: it is added only where it is missing. Other programs may write it twice.",
            "Nothing has to be done here.",
        ),
        (1, false) => Check::ok(name, format!("“{word}”, written by the chat template.")),
        (0, true) => Check::ok(name, format!("“{word}”, put before every text.")),
        (0, false) => Check::ok(name, format!("Texts begin without “{word}”.")),
    }
}

/// How generation knows that it is done.
pub(super) fn end(gguf: &Gguf, tokenizer: Option<&Tokenizer>) -> Check {
    let name = "end of text";
    let named: Vec<Token> = ["eos_token_id", "eot_token_id", "eom_token_id"]
        .iter()
        .filter_map(|key| id(gguf, key))
        .collect();
    match (named.is_empty(), tokenizer) {
        (true, None) => Check::broken(
            name,
            "No token is named that ends a text or a turn.",
            "Writing would never know when to stop, so the file is refused rather than a token guessed.",
            "Look for another GGUF of the same model.",
        ),
        (true, Some(tokenizer)) => Check::warning(
            name,
            format!(
                "The file names no token that ends a text; “{}” is taken for it, since it is called so.",
                spelling(gguf, tokenizer.end_of_turn())
            ),
            "Writing stops at that token, or at the longest draft you allow.",
            "If drafts run on, look for another GGUF of it.",
        ),
        (false, None) => Check::ok(name, format!("“{}”.", spelling(gguf, named[0]))),
        (false, Some(tokenizer)) => {
            let turn = tokenizer.end_of_turn();
            let text = id(gguf, "eos_token_id").filter(|eos| *eos != turn);
            let text = text.map_or_else(String::new, |eos| {
                format!("; a text with “{}”", spelling(gguf, eos))
            });
            Check::ok(
                name,
                format!("A turn ends with “{}”{text}.", spelling(gguf, turn)),
            )
        }
    }
}
