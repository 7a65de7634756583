//! Drawings, scores, speed and evaluations.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Plot {
    /// A training's loss; the newest one when no run is named.
    Loss {
        #[arg(long)]
        run: Option<String>,
        #[arg(long)]
        out: PathBuf,
    },
    /// Where you stand, with intervals.
    Dimensions {
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct ScoreArgs {
    /// A text file; "-" is standard input.
    pub file: PathBuf,
    /// A trained voice.
    #[arg(long, value_name = "ID")]
    pub adapter: Option<String>,
    /// Its strength.
    #[arg(long, default_value_t = 1.0, requires = "adapter")]
    pub adapter_scale: f64,
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct BenchArgs {
    /// `train` measures training instead.
    #[command(subcommand)]
    pub what: Option<BenchWhat>,
    /// Threads; all physical cores when left away.
    #[arg(long)]
    pub threads: Option<u32>,
    /// Prompt lengths in tokens.
    #[arg(long, value_delimiter = ',')]
    pub prompts: Vec<u32>,
    /// Tokens to decode after the longest prompt.
    #[arg(long)]
    pub decode: Option<u32>,
    /// Measure these too.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub workload: Vec<BenchWorkload>,
    /// Sentences of that workload.
    #[arg(long)]
    pub sentences: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchWorkload {
    /// Writing from an empty context and after 2,000 tokens.
    Decode,
    /// Four drafts side by side.
    Drafts,
    /// 90 short texts behind one long prefix.
    Continuations,
    /// Many sentences under two prefixes each.
    Sentences,
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum BenchWhat {
    /// Speed of LoRA training.
    Train(BenchTrainArgs),
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct BenchTrainArgs {
    /// sft, dpo, orpo or kto; sft when left away.
    #[arg(long)]
    pub objective: Option<String>,
    /// LoRA rank; 8 when left away.
    #[arg(long)]
    pub rank: Option<u32>,
    /// Texts, pairs or thumbs a step; 4 when left away.
    #[arg(long)]
    pub batch: Option<u32>,
    /// Tokens a row; 256 when left away.
    #[arg(long)]
    pub length: Option<u32>,
    /// Any of q, k, v, o, gate, up, down; all of them when left away.
    #[arg(long, value_delimiter = ',')]
    pub targets: Vec<String>,
    /// Steps, the first of which is not timed; 4 when left away.
    #[arg(long)]
    pub steps: Option<u32>,
    /// 16-bit products with frozen weights, where the processor has a matrix unit for them.
    #[arg(long)]
    pub bf16: bool,
    /// Less memory for more time.
    #[arg(long)]
    pub recompute: bool,
    /// Write into this folder what another program needs to take the same steps.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct EvalArgs {
    /// psoups, history, prefeval, reliability, adapter, preference.
    pub name: String,
    /// Folder with corpora/ and evals/.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Corpus, for evaluations that read one (reliability, adapter; cmcc21 when left away).
    #[arg(long)]
    pub corpus: Option<String>,
    /// Rows of an evaluation or authors of a corpus at most: a seeded, stratified sample.
    #[arg(long)]
    pub limit: Option<u32>,
    /// Texts an author at most, for evaluations that read a corpus (8 when left away); held-out
    /// passages an author for adapter (12 when left away).
    #[arg(long)]
    pub texts: Option<u32>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Measure every row again.
    #[arg(long)]
    pub fresh: bool,
}
