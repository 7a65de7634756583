//! Training, trained voices and their blind re-tests.

use clap::{Args, Subcommand};

const WHILE_TRAINING: &str = "While it runs: Ctrl+C stops and keeps the best so far; a second Ctrl+C stops and keeps nothing.
Ctrl+Z pauses, `fg` goes on (in the window: Pause and Resume).";

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Align {
    /// What would be learned from, and whether this machine can do it.
    Preflight(SftArgs),
    /// Train on your samples.
    #[command(after_help = WHILE_TRAINING)]
    Sft(SftArgs),
    /// Trainings so far.
    Runs,
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct SftArgs {
    /// Passes over the texts.
    #[arg(long)]
    pub epochs: Option<u32>,
    /// LoRA rank.
    #[arg(long)]
    pub rank: Option<u32>,
    /// LoRA alpha.
    #[arg(long)]
    pub alpha: Option<f64>,
    /// Peak learning rate.
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Linears: any of q,k,v,o,gate,up,down.
    #[arg(long, value_delimiter = ',')]
    pub targets: Vec<String>,
    /// Rows a step.
    #[arg(long)]
    pub batch: Option<u32>,
    /// Longest row, in tokens.
    #[arg(long)]
    pub max_length: Option<u32>,
    /// Words a passage: texts are cut into passages of about this length.
    #[arg(long)]
    pub chunk_words: Option<u32>,
    /// Share of the passages held out to measure on, 0 to 0.5.
    #[arg(long, value_name = "SHARE")]
    pub held_out: Option<f64>,
    /// Run to the end even when the held-out loss rises; the best is kept either way.
    #[arg(long)]
    pub no_early_stop: bool,
    /// Seed of everything random.
    #[arg(long)]
    pub seed: Option<u64>,
    /// A name for the trained voice.
    #[arg(long)]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct RetestArgs {
    /// The trained voice; not needed while there is only one.
    #[arg(long, value_name = "ID")]
    pub adapter: Option<String>,
    /// Pairs to write for a new round.
    #[arg(long, default_value_t = 8)]
    pub pairs: u32,
    /// Seed of the round.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only show the pairs waiting and the result so far.
    #[arg(long)]
    pub show: bool,
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Adapters {
    /// All of the profile's.
    List,
    /// One whole, with its lineage.
    Show { id: String },
    /// Give it another name.
    Rename { id: String, name: String },
    /// Delete it.
    Delete { id: String },
}
