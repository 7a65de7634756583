//! Text to tokens and back, from a GGUF file's own metadata.
//!
//! Two families: byte-level BPE (`gpt2`) on the `tokenizers` crate, and SentencePiece by score (`llama`), written here.
//! Special tokens are found before either of them runs, and only in prompts: a person's text can spell
//! `<|im_end|>` without ending a turn.

mod bpe;
mod sentencepiece;

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use idiolect_llm::{LlmError, Result, Token, guard};

use crate::gguf::{Gguf, corrupt};

/// `tokenizer.ggml.token_type` values that matter here (llama.cpp, `llama_token_type`).
mod kind {
    pub const CONTROL: i64 = 3;
    pub const USER_DEFINED: i64 = 4;
    pub const UNUSED: i64 = 5;
    pub const BYTE: i64 = 6;
}

/// A model's tokenizer.
pub struct Tokenizer {
    algorithm: Algorithm,
    /// Bytes that a token stands for; empty for control tokens.
    spelled: Vec<Vec<u8>>,
    /// Tokens honoured in prompts.
    prompt_specials: Specials,
    /// Those of them that a message must not be able to spell.
    guarded: Specials,
    /// Tokens honoured in every text: ones the model's makers added as plain text, like runs of spaces.
    text_specials: Specials,
    bos: Option<Token>,
    adds_bos: bool,
    ends: Vec<Token>,
    end_of_turn: Token,
    names: Names,
}

/// Spellings of the tokens that templates mention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Spelling of the beginning-of-sequence token, empty without one.
    pub bos: String,
    /// Spelling of the end-of-sequence token, empty without one.
    pub eos: String,
}

enum Algorithm {
    Bpe(Box<bpe::Bpe>),
    SentencePiece(sentencepiece::SentencePiece),
}

/// What of the vocabulary both families need.
struct Vocabulary<'a> {
    tokens: &'a [String],
    kinds: Vec<i64>,
}

/// Tokens that are found by their spelling, longest first.
struct Specials {
    finder: Option<AhoCorasick>,
    tokens: Vec<Token>,
}

impl Specials {
    fn new(tokens: Vec<Token>, spelling: &[String]) -> Result<Self> {
        let patterns = tokens.iter().map(|&t| spelling[t as usize].as_str());
        let finder = match tokens.is_empty() {
            true => None,
            false => Some(
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(patterns)
                    .map_err(|e| corrupt(format!("its special tokens: {e}")))?,
            ),
        };
        Ok(Self { finder, tokens })
    }

    /// Where the first of them begins.
    fn first(&self, text: &str) -> Option<usize> {
        Some(self.finder.as_ref()?.find(text)?.start())
    }

    /// Splits `text` at the special tokens and calls `plain` for what lies between.
    fn split(
        &self,
        text: &str,
        out: &mut Vec<Token>,
        plain: &mut dyn FnMut(&str, &mut Vec<Token>) -> Result<()>,
    ) -> Result<()> {
        let mut at = 0;
        for found in self.finder.iter().flat_map(|f| f.find_iter(text)) {
            if found.start() > at {
                plain(&text[at..found.start()], out)?;
            }
            out.push(self.tokens[found.pattern().as_usize()]);
            at = found.end();
        }
        if at < text.len() {
            plain(&text[at..], out)
        } else {
            Ok(())
        }
    }
}

impl Tokenizer {
    /// Builds the tokenizer of a file whose embedding table has `rows` rows.
    ///
    /// # Errors
    /// [`LlmError::Unsupported`] for families and pre-tokenizers that are not known, [`LlmError::Corrupt`] for tables
    /// that do not fit together.
    pub fn from_gguf(gguf: &Gguf, rows: usize) -> Result<Self> {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let model = gguf
            .text(&key("model"))?
            .ok_or_else(|| corrupt("it carries no tokenizer"))?;
        let tokens = gguf
            .texts(&key("tokens"))?
            .ok_or_else(|| corrupt("it carries no vocabulary"))?;
        if tokens.is_empty() || tokens.len() > rows {
            return Err(corrupt(format!(
                "its vocabulary of {} does not fit its embedding table of {rows} rows",
                tokens.len()
            )));
        }
        let kinds = match gguf.numbers(&key("token_type"))? {
            Some(kinds) if kinds.len() == tokens.len() => kinds.iter().map(|&k| k as i64).collect(),
            Some(kinds) => {
                return Err(corrupt(format!(
                    "{} token types for {} tokens",
                    kinds.len(),
                    tokens.len()
                )));
            }
            None => vec![1; tokens.len()],
        };
        let vocabulary = Vocabulary { tokens, kinds };
        let id = |name: &str| -> Result<Option<Token>> {
            match gguf.count(&key(name))? {
                Some(id) if id < tokens.len() => Ok(Some(id as Token)),
                // Some converters write -1 as an unsigned number for "none".
                Some(id) if id == u32::MAX as usize => Ok(None),
                Some(id) => Err(corrupt(format!(
                    "{} is {id}, beyond the vocabulary",
                    key(name)
                ))),
                None => Ok(None),
            }
        };
        let (bos, eos) = (id("bos_token_id")?, id("eos_token_id")?);
        let algorithm = match model {
            "gpt2" => Algorithm::Bpe(Box::new(bpe::Bpe::new(gguf, &vocabulary)?)),
            "llama" => {
                Algorithm::SentencePiece(sentencepiece::SentencePiece::new(gguf, &vocabulary)?)
            }
            other => {
                return Err(LlmError::Unsupported(format!(
                    "its tokenizer is of the kind “{}”; gpt2 and llama are read",
                    other.chars().take(40).collect::<String>()
                )));
            }
        };
        let spelled = (0..tokens.len())
            .map(|i| match vocabulary.kinds[i] {
                kind::CONTROL | kind::UNUSED => Vec::new(),
                kind::USER_DEFINED => tokens[i].clone().into_bytes(),
                k => match &algorithm {
                    Algorithm::Bpe(_) => bpe::spelled(&tokens[i]),
                    Algorithm::SentencePiece(_) => {
                        sentencepiece::spelled(&tokens[i], k == kind::BYTE)
                    }
                },
            })
            .collect();
        let of_kind = |wanted: &dyn Fn(usize) -> bool| -> Vec<Token> {
            (0..tokens.len())
                .filter(|&i| !tokens[i].is_empty() && wanted(i))
                .map(|i| i as Token)
                .collect()
        };
        let user_defined = |i: usize| vocabulary.kinds[i] == kind::USER_DEFINED;
        // Converters mark some control tokens as user-defined; a text must not be able to spell those either.
        let in_text = |i: usize| user_defined(i) && !looks_like_control(&tokens[i]);
        // One letter cannot be guarded, and would be taken from every text of a prompt.
        let in_prompts_only = |i: usize| {
            (vocabulary.kinds[i] == kind::CONTROL || user_defined(i))
                && !in_text(i)
                && tokens[i].chars().nth(1).is_some()
        };
        let text_specials = of_kind(&in_text);
        let guarded = of_kind(&in_prompts_only);
        let prompt_specials = of_kind(&|i| in_text(i) || in_prompts_only(i));
        let ends = end_tokens(
            &vocabulary,
            &[eos, id("eot_token_id")?, id("eom_token_id")?],
        );
        let end_of_turn = id("eot_token_id")?
            .or_else(|| {
                ends.iter()
                    .copied()
                    .find(|&t| Some(t) != eos && is_turn_end(&tokens[t as usize]))
            })
            .or(eos)
            .or_else(|| ends.first().copied())
            .ok_or_else(|| corrupt("it names no token that ends a text"))?;
        let spelling =
            |token: Option<Token>| token.map_or(String::new(), |t| tokens[t as usize].clone());
        let adds_bos = match (gguf.flag(&key("add_bos_token"))?, &algorithm) {
            (Some(flag), _) => flag,
            // As llama.cpp: SentencePiece models begin with BOS unless the file says otherwise.
            (None, Algorithm::SentencePiece(_)) => true,
            (None, Algorithm::Bpe(bpe)) => bpe.adds_bos_by_default(),
        };
        Ok(Self {
            spelled,
            prompt_specials: Specials::new(prompt_specials, tokens)?,
            guarded: Specials::new(guarded, tokens)?,
            text_specials: Specials::new(text_specials, tokens)?,
            adds_bos: adds_bos && bos.is_some(),
            bos,
            ends,
            end_of_turn,
            names: Names {
                bos: spelling(bos),
                eos: spelling(eos),
            },
            algorithm,
        })
    }

    /// Plain text to tokens; control tokens in it are taken as the letters they are written with.
    ///
    /// # Errors
    /// When the BPE library fails.
    pub fn encode(&self, text: &str) -> Result<Vec<Token>> {
        let mut out = Vec::new();
        let mut first = true;
        self.text_specials
            .split(text, &mut out, &mut |piece, out| {
                let start = std::mem::replace(&mut first, false);
                self.plain(piece, start, out)
            })?;
        Ok(out)
    }

    /// What a message says, made safe to be rendered into a prompt ([`guard`]).
    pub fn guarded(&self, content: &str) -> String {
        guard::guarded(content, &|text| self.guarded.first(text))
    }

    /// A prompt to tokens: control tokens are honoured, BOS is put in front where the model wants it and it is not there.
    ///
    /// # Errors
    /// When the BPE library fails.
    pub fn encode_prompt(&self, prompt: &str) -> Result<Vec<Token>> {
        let mut out = Vec::new();
        let mut first = true;
        self.prompt_specials
            .split(prompt, &mut out, &mut |piece, out| {
                let start = std::mem::replace(&mut first, false)
                    || out.last().is_some_and(|&t| self.is_control(t));
                self.plain(&guard::shown(piece), start, out)
            })?;
        if let Some(bos) = self.bos()
            && out.first() != Some(&bos)
        {
            out.insert(0, bos);
        }
        Ok(out)
    }

    fn is_control(&self, token: Token) -> bool {
        self.spelled[token as usize].is_empty()
    }

    /// `start`: nothing or a control token stands before, so SentencePiece puts its space there.
    fn plain(&self, text: &str, start: bool, out: &mut Vec<Token>) -> Result<()> {
        match &self.algorithm {
            Algorithm::Bpe(bpe) => bpe.encode(text, out),
            Algorithm::SentencePiece(sp) => {
                sp.encode(text, start, out);
                Ok(())
            }
        }
    }

    /// The bytes that a token stands for: none for control tokens and for ids beyond the vocabulary.
    pub fn bytes(&self, token: Token) -> &[u8] {
        self.spelled.get(token as usize).map_or(&[], Vec::as_slice)
    }

    /// Entries of the vocabulary; an embedding table may have more rows.
    pub fn vocabulary(&self) -> usize {
        self.spelled.len()
    }

    /// Tokens to text, control tokens left out; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|&t| self.bytes(t))
            .copied()
            .collect();
        let text = String::from_utf8_lossy(&bytes);
        match &self.algorithm {
            Algorithm::SentencePiece(sp) if sp.adds_space() => {
                text.strip_prefix(' ').unwrap_or(&text).to_owned()
            }
            _ => text.into_owned(),
        }
    }

    /// Whether the first space of a text is the tokenizer's own and no part of it.
    pub fn adds_space(&self) -> bool {
        matches!(&self.algorithm, Algorithm::SentencePiece(sp) if sp.adds_space())
    }

    /// The token that begins every text, if the model wants one.
    pub fn bos(&self) -> Option<Token> {
        self.bos.filter(|_| self.adds_bos)
    }

    /// The token that ends an assistant's turn.
    pub fn end_of_turn(&self) -> Token {
        self.end_of_turn
    }

    /// Whether generation ends at this token.
    pub fn is_end(&self, token: Token) -> bool {
        self.ends.contains(&token)
    }

    /// Spellings for templates.
    pub fn names(&self) -> &Names {
        &self.names
    }
}

fn looks_like_control(spelling: &str) -> bool {
    (spelling.starts_with("<|") && spelling.ends_with("|>"))
        || (spelling.len() > 2 && spelling.starts_with('<') && spelling.ends_with('>'))
}

/// The tokens that metadata name, and control tokens by which well-known templates end a turn.
fn end_tokens(vocabulary: &Vocabulary<'_>, named: &[Option<Token>]) -> Vec<Token> {
    let mut ends: Vec<Token> = named.iter().flatten().copied().collect();
    let by_name: HashMap<&str, usize> = vocabulary
        .tokens
        .iter()
        .enumerate()
        .filter(|(i, _)| matches!(vocabulary.kinds[*i], kind::CONTROL | kind::USER_DEFINED))
        .map(|(i, t)| (t.as_str(), i))
        .collect();
    for name in TURN_ENDS
        .iter()
        .chain(&["<|endoftext|>", "<|end_of_text|>"])
    {
        ends.extend(by_name.get(name).map(|&i| i as Token));
    }
    ends.sort_unstable();
    ends.dedup();
    ends
}

const TURN_ENDS: [&str; 5] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|eom_id|>",
];

fn is_turn_end(spelling: &str) -> bool {
    TURN_ENDS.contains(&spelling)
}
