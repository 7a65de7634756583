//! Why inference could not finish.

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum PersonaError {
    /// The model or the embedder failed or was stopped.
    #[error(transparent)]
    Model(#[from] idiolect_llm::LlmError),
    /// The brief alone does not leave room for an answer.
    #[error("the brief takes {needed} tokens and only {available} fit beside the answer")]
    BriefTooLong {
        /// Tokens of the prompt with nothing personal in it.
        needed: usize,
        /// Tokens there are for a prompt.
        available: usize,
    },
    /// A statistic was asked of data that cannot give it.
    #[error("{0}")]
    Data(String),
}

/// Result of a persona call.
pub type Result<T> = std::result::Result<T, PersonaError>;
