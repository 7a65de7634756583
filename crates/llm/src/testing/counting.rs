//! The toy model, counting what it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::FakeModel;
use crate::{
    Cancel, GenerateRequest, Generation, Message, ModelInfo, Result, ScoreRequest, TextModel, Token,
};

/// A [`FakeModel`] that counts its scoring.
#[derive(Default)]
pub struct CountingModel {
    inner: FakeModel,
    requests: AtomicUsize,
    continuations: AtomicUsize,
}

impl CountingModel {
    /// One that was asked nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Score requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Continuations in them.
    pub fn continuations(&self) -> usize {
        self.continuations.load(Ordering::Relaxed)
    }
}

impl TextModel for CountingModel {
    fn info(&self) -> &ModelInfo {
        self.inner.info()
    }

    fn encode(&self, text: &str) -> Result<Vec<Token>> {
        self.inner.encode(text)
    }

    fn encode_prompt(&self, prompt: &str) -> Result<Vec<Token>> {
        self.inner.encode_prompt(prompt)
    }

    fn decode(&self, tokens: &[Token]) -> String {
        self.inner.decode(tokens)
    }

    fn bos(&self) -> Option<Token> {
        self.inner.bos()
    }

    fn end_of_turn(&self) -> Token {
        self.inner.end_of_turn()
    }

    fn render(&self, messages: &[Message]) -> Result<String> {
        self.inner.render(messages)
    }

    fn score(&self, requests: &[ScoreRequest], cancel: &Cancel) -> Result<Vec<Vec<Vec<f32>>>> {
        let n = requests.iter().map(|r| r.continuations.len()).sum();
        self.requests.fetch_add(requests.len(), Ordering::Relaxed);
        self.continuations.fetch_add(n, Ordering::Relaxed);
        self.inner.score(requests, cancel)
    }

    fn generate(
        &self,
        requests: &[GenerateRequest],
        cancel: &Cancel,
        on_text: &mut dyn FnMut(usize, &str),
    ) -> Result<Vec<Generation>> {
        self.inner.generate(requests, cancel, on_text)
    }
}
