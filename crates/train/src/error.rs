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
    /// The model or the adapter's files.
    #[error(transparent)]
    Model(#[from] idiolect_llm::LlmError),
    /// The device.
    #[error("the device failed: {0}")]
    Device(#[from] candle_core::Error),
}
