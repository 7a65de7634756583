//! Texts held to a form: which tokens may come next, asked of the grammar library before each draw.
//!
//! The library (`llguidance`) sees the vocabulary as the bytes that each token stands for, so byte-level BPE and SentencePiece
//! are one thing to it. Control tokens have no bytes and are never allowed, but those that end a text where the form is whole.

use std::sync::{Arc, OnceLock};

use idiolect_llm::{Constraint, LlmError, Result, Token};
use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};
use serde_json::{Value, json};
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use crate::tokenizer::Tokenizer;

/// Longest schema that is read, in bytes.
const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// What all forms of a model share: its vocabulary as a tree of bytes. Made when the first form is asked for.
#[derive(Default)]
pub(crate) struct Grammars(OnceLock<std::result::Result<ParserFactory, String>>);

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grammars(made: {})", self.0.get().is_some())
    }
}

impl Grammars {
    /// A form at its beginning.
    ///
    /// # Errors
    /// [`LlmError::Constraint`], saying what of a schema cannot be used.
    pub(crate) fn form(&self, tokenizer: &Tokenizer, wanted: &Constraint) -> Result<Form> {
        let Constraint::JsonSchema(schema) = wanted;
        let factory = self
            .0
            .get_or_init(|| factory(tokenizer))
            .as_ref()
            .map_err(|e| LlmError::Failed(e.clone()))?;
        let grammar = TopLevelGrammar::from_json_schema(read(schema)?);
        let parser = factory
            .create_parser(grammar)
            .map_err(|e| LlmError::Constraint(first_line(&e)))?;
        Ok(Form(Matcher::new(Ok(parser))))
    }
}

fn factory(tokenizer: &Tokenizer) -> std::result::Result<ParserFactory, String> {
    let failed = |e| format!("the vocabulary does not make a grammar: {e}");
    let words: Vec<Vec<u8>> = (0..tokenizer.vocabulary() as Token)
        .map(|token| tokenizer.bytes(token).to_vec())
        .collect();
    let info = TokRxInfo::new(words.len() as u32, tokenizer.end_of_turn());
    let mut ends = vec![tokenizer.end_of_turn()];
    ends.extend((0..words.len() as Token).filter(|&t| tokenizer.is_end(t)));
    ends.dedup();
    let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
    let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&env).map_err(|e| failed(first_line(&e)))?;
    factory.quiet();
    // Its long errors would repeat what was written so far.
    factory.limits_mut().verbose_errors = false;
    Ok(factory)
}

/// A schema with the one spelling of JSON that has an end: white space between values could go on for ever.
fn read(schema: &str) -> Result<Value> {
    if schema.len() > MAX_SCHEMA_BYTES {
        return Err(LlmError::Constraint(format!(
            "the schema has {} bytes, and at most {MAX_SCHEMA_BYTES} are read",
            schema.len()
        )));
    }
    let mut value: Value = serde_json::from_str(schema)
        .map_err(|e| LlmError::Constraint(format!("the schema is not JSON: {e}")))?;
    match &mut value {
        Value::Object(fields) => {
            fields.insert("x-guidance".into(), json!({ "whitespace_flexible": false }));
        }
        Value::Bool(_) => {}
        _ => {
            return Err(LlmError::Constraint(
                "a JSON schema is an object, true or false".into(),
            ));
        }
    }
    Ok(value)
}

fn first_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect()
}

/// How far a text has got in its form.
pub(crate) struct Form(Matcher);

impl Form {
    /// Makes the logits of tokens that may not come next negative infinity.
    ///
    /// # Errors
    /// [`LlmError::Constraint`] when the form takes more work than is allowed.
    pub(crate) fn cut(&mut self, logits: &mut [f32]) -> Result<()> {
        let mask = self.0.compute_mask().map_err(|e| broken(&e))?;
        let words = mask.as_slice();
        for (i, logit) in logits.iter_mut().enumerate() {
            if words.get(i / 32).is_none_or(|w| w >> (i % 32) & 1 == 0) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    /// Goes on by a token; whether nothing may follow it.
    ///
    /// # Errors
    /// [`LlmError::Constraint`] when the token was not allowed.
    pub(crate) fn take(&mut self, token: Token) -> Result<bool> {
        self.0.consume_token(token).map_err(|e| broken(&e))?;
        Ok(self.0.is_stopped())
    }
}

fn broken(error: &dyn std::fmt::Display) -> LlmError {
    LlmError::Constraint(first_line(error))
}
