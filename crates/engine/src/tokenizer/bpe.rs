//! Byte-level BPE: GPT-2's spelling of bytes, a pre-tokenizer by the file's `tokenizer.ggml.pre`, merges by rank.

use std::collections::HashMap;

use idiolect_llm::{LlmError, Result, Token};
use tokenizers::{
    PreTokenizerWrapper, SplitDelimiterBehavior,
    models::bpe::BPE,
    pre_tokenizers::{
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use super::Vocabulary;
use crate::gguf::{Gguf, corrupt};

/// A way to cut text into words before merging.
struct PreTokenizer {
    /// Values of `tokenizer.ggml.pre`.
    names: &'static [&'static str],
    /// Applied one after another; matches stand alone.
    patterns: &'static [&'static str],
    /// A word that is a token as it stands is not merged (Llama 3's tokenizer).
    whole_words_first: bool,
    /// Whether files of this kind want BOS where they do not say.
    adds_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Llama 3's.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The patterns are those that the models were trained with, as their tokenizer.json files state them; the names are
/// llama.cpp's (src/llama-vocab.cpp).
const PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer {
        names: &["gpt-2", "gpt2", "phi-2", "olmo", "jais", "mpt"],
        patterns: &[GPT2],
        whole_words_first: false,
        adds_bos: false,
    },
    PreTokenizer {
        // Every digit stands alone, then as GPT-2.
        names: &["smollm", "starcoder", "refact", "command-r", "codeshell"],
        patterns: &[r"\p{N}", GPT2],
        whole_words_first: false,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3"],
        patterns: &[LLAMA3],
        whole_words_first: true,
        adds_bos: true,
    },
    PreTokenizer {
        // SmolLM3: Llama 3's tokenizer without its BOS, which converters therefore take for Smaug's.
        names: &["smaug-bpe"],
        patterns: &[LLAMA3],
        whole_words_first: true,
        adds_bos: false,
    },
    PreTokenizer {
        // Phi-4 (cl100k).
        names: &["dbrx"],
        patterns: &[LLAMA3],
        whole_words_first: false,
        adds_bos: false,
    },
    PreTokenizer {
        // Phi-4-mini (o200k).
        names: &["gpt-4o"],
        patterns: &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        whole_words_first: false,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["qwen2", "stablelm2", "deepseek-r1-qwen"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        whole_words_first: false,
        adds_bos: false,
    },
    PreTokenizer {
        // Mistral's newer models.
        names: &["tekken"],
        patterns: &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        whole_words_first: true,
        adds_bos: true,
    },
];

impl PreTokenizer {
    fn splits(&self) -> Result<Vec<PreTokenizerWrapper>> {
        let split = |pattern: &&str| {
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map(PreTokenizerWrapper::Split)
                .map_err(|e| LlmError::Failed(format!("a built-in pattern does not compile: {e}")))
        };
        self.patterns.iter().map(split).collect()
    }
}

/// Byte-level BPE.
pub(super) struct Bpe {
    tokenizer: tokenizers::Tokenizer,
    adds_bos: bool,
}

impl Bpe {
    pub(super) fn new(gguf: &Gguf, vocabulary: &Vocabulary<'_>) -> Result<Self> {
        let name = gguf.text("tokenizer.ggml.pre")?.unwrap_or("default");
        let pre = PRE_TOKENIZERS.iter().find(|p| p.names.contains(&name)).ok_or_else(|| {
            LlmError::Unsupported(format!(
                "its text splitting is “{}”, which this version does not know; guessing it would give wrong tokens",
                name.chars().take(40).collect::<String>()
            ))
        })?;
        let merges = gguf
            .texts("tokenizer.ggml.merges")?
            .ok_or_else(|| corrupt("it carries no merges"))?
            .iter()
            .map(|merge| {
                merge
                    .split_once(' ')
                    .map(|(left, right)| (left.to_owned(), right.to_owned()))
                    .ok_or_else(|| corrupt("one of its merges is not a pair"))
            })
            .collect::<Result<Vec<_>>>()?;
        // Where a spelling occurs twice the first wins, as with llama.cpp's map.
        let mut ids = HashMap::with_capacity(vocabulary.tokens.len());
        for (id, token) in vocabulary.tokens.iter().enumerate() {
            ids.entry(token.clone()).or_insert(id as Token);
        }
        // Not every byte: SmolLM2 itself lacks some control characters, which its tokenizer drops.
        for byte in b' '..=b'~' {
            if !ids.contains_key(&letter(byte).to_string()) {
                return Err(corrupt(format!(
                    "its vocabulary lacks the character {byte:#04x}"
                )));
            }
        }
        let bpe = BPE::builder()
            .vocab_and_merges(
                ids.into_iter().collect::<tokenizers::models::bpe::Vocab>(),
                merges,
            )
            .ignore_merges(pre.whole_words_first)
            .build()
            .map_err(|e| corrupt(format!("its merges do not fit its vocabulary: {e}")))?;
        let mut steps = pre.splits()?;
        steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(
            false, false, false,
        )));
        let mut tokenizer = tokenizers::Tokenizer::new(bpe);
        tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
        Ok(Self {
            tokenizer,
            adds_bos: pre.adds_bos,
        })
    }

    pub(super) fn adds_bos_by_default(&self) -> bool {
        self.adds_bos
    }

    pub(super) fn encode(&self, text: &str, out: &mut Vec<Token>) -> Result<()> {
        let encoding = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(|e| LlmError::Failed(format!("the text could not be cut into tokens: {e}")))?;
        out.extend(encoding.get_ids());
        Ok(())
    }
}

/// GPT-2's letter for a byte: printable Latin-1 stands for itself, the rest are moved to U+0100 and up.
fn letter(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        char::from(byte)
    } else {
        let rank = (0..byte).filter(|&b| !printable(b)).count();
        char::from_u32(0x100 + rank as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

/// The bytes that a token is spelled with; letters outside the byte alphabet stand for themselves.
pub(super) fn spelled(token: &str) -> Vec<u8> {
    use std::sync::OnceLock;
    static BYTES: OnceLock<HashMap<char, u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| (0..=255).map(|b| (letter(b), b)).collect());
    let mut out = Vec::with_capacity(token.len());
    for c in token.chars() {
        match bytes.get(&c) {
            Some(&byte) => out.push(byte),
            None => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_distinct_letters_and_come_back() {
        // Not every byte: SmolLM2 itself lacks some control characters, which its tokenizer drops.
        for byte in b' '..=b'~' {
            assert_eq!(spelled(&letter(byte).to_string()), [byte], "byte {byte}");
        }
        assert_eq!(letter(b' '), 'Ġ', "GPT-2's space");
        assert_eq!(letter(b'\n'), 'Ċ', "GPT-2's newline");
    }

    /// The pieces are those of Python's `regex` with the same patterns.
    #[test]
    fn texts_are_split_as_the_models_were_trained() {
        use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};
        let text = "I'LL pay $1234.50  for naïve\n\n  Việt's 日本語 HTTPServer_x\t!?\n";
        for (name, expected) in [
            (
                "gpt-2",
                "I|'|LL| pay| $|1234|.|50| | for| naïve|\n\n | Việt|'s| 日本語| HTTPServer|_|x|\t|!?|\n",
            ),
            (
                "smollm",
                "I|'|LL| pay| $|1|2|3|4|.|5|0| | for| naïve|\n\n | Việt|'s| 日本語| HTTPServer|_|x|\t|!?|\n",
            ),
            (
                "llama-bpe",
                "I|'LL| pay| $|123|4|.|50| | for| naïve|\n\n| | Việt|'s| 日本語| HTTPServer|_x|\t|!?\n",
            ),
            (
                "gpt-4o",
                "I'LL| pay| $|123|4|.|50| | for| naïve|\n\n| | Việt's| 日本語| HTTPServer|_x|\t|!?\n",
            ),
            (
                "qwen2",
                "I|'LL| pay| $|1|2|3|4|.|5|0| | for| naïve|\n\n| | Việt|'s| 日本語| HTTPServer|_x|\t|!?\n",
            ),
            (
                "tekken",
                "I|'LL| pay| $|1|2|3|4|.|5|0| | for| naïve|\n\n| | Việt|'s| 日本語| HTTPServer|_x|\t|!?\n",
            ),
        ] {
            let pre = PRE_TOKENIZERS
                .iter()
                .find(|p| p.names.contains(&name))
                .unwrap();
            let mut split = PreTokenizedString::from(text);
            Sequence::new(pre.splits().unwrap())
                .pre_tokenize(&mut split)
                .unwrap();
            let pieces = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
            let pieces: Vec<&str> = pieces.iter().map(|(piece, ..)| *piece).collect();
            assert_eq!(pieces.join("|"), expected, "{name}");
        }
    }

    #[test]
    fn a_name_belongs_to_one_way_of_splitting() {
        let names: Vec<_> = PRE_TOKENIZERS.iter().flat_map(|p| p.names).collect();
        let mut once = names.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), names.len(), "each name stands once");
    }
}
