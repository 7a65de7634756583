//! Why a training could not start or go on.

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Nothing to learn from.
    #[error("there is nothing to train on: every row is empty or has no answer tokens")]
    NoData,
    /// A setting that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The loss is not a number any more.
    #[error("the loss stopped being a number at step {0}; a smaller learning rate helps")]
    Diverged(u32),
    /// A checkpoint that cannot be used, and why.
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(String),
    /// The caller's drafts failed, in its own words.
    #[error("the model's own drafts could not be had: {0}")]
    Drafts(String),
    /// Files of checkpoints.
    #[error("a checkpoint could not be written or read: {0}")]
    Files(#[from] std::io::Error),
    /// The model or the adapter's files.
    #[error(transparent)]
    Model(#[from] idiolect_llm::LlmError),
    /// The device.
    #[error("the device failed: {0}")]
    Device(#[from] candle_core::Error),
}
