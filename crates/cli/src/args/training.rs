//! Training, trained voices and their blind re-tests.

use clap::{Args, Subcommand, ValueEnum};
use idiolect_core::draft::Method;

const WHILE_TRAINING: &str = "While it runs: Ctrl+C stops and keeps the best so far; a second Ctrl+C stops and keeps nothing.
Ctrl+Z pauses, `fg` goes on (in the window: Pause and Resume).";

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Align {
    /// What would be learned from, whether this machine can do it, and what it could do instead.
    Preflight {
        /// What would be learned.
        #[arg(long, value_enum, default_value = "sft")]
        objective: ObjectiveWord,
        /// Do three real steps first, to say how long it takes.
        #[arg(long)]
        measure: bool,
        #[command(flatten)]
        train: TrainArgs,
    },
    /// Train on your samples.
    #[command(after_help = WHILE_TRAINING)]
    Sft(TrainArgs),
    /// Train on what you preferred (votes, corrected drafts, thumbs), held to the model it starts from.
    #[command(after_help = WHILE_TRAINING)]
    Dpo(TrainArgs),
    /// Train on what you preferred, without such a hold.
    #[command(after_help = WHILE_TRAINING)]
    Orpo(TrainArgs),
    /// Train on single drafts that you liked or did not.
    #[command(after_help = WHILE_TRAINING)]
    Kto(TrainArgs),
    /// Train on few samples: learn them, then prefer them to the model's own drafts (DITTO).
    #[command(after_help = WHILE_TRAINING)]
    Ditto(TrainArgs),
    /// Take up a training that was cut short, from its last checkpoint; the newest one when none is named.
    #[command(after_help = WHILE_TRAINING)]
    Resume {
        run: Option<String>,
        /// Do not measure the voice afterwards on texts that it did not learn from.
        #[arg(long)]
        no_report: bool,
        /// A name for the trained voice.
        #[arg(long)]
        name: Option<String>,
    },
    /// Give up a training that was cut short; its curve stays.
    Discard { run: Option<String> },
    /// Trainings so far.
    Runs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ObjectiveWord {
    Sft,
    Dpo,
    Orpo,
    Kto,
    Ditto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ScheduleWord {
    Linear,
    Cosine,
    Constant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BriefsWord {
    /// Counted from each text's own words.
    Counted,
    /// Written by the model, once a text.
    Model,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum SourceWord {
    Votes,
    Edits,
    Thumbs,
    /// Votes of blind tests of trained voices; left out unless named.
    Retests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum PrecisionWord {
    F32,
    Bf16,
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct TrainArgs {
    /// Do not measure the voice afterwards on texts that it did not learn from.
    #[arg(long)]
    pub no_report: bool,
    /// Passes over what is learned from.
    #[arg(long)]
    pub epochs: Option<u32>,
    /// LoRA rank.
    #[arg(long)]
    pub rank: Option<u32>,
    /// LoRA alpha.
    #[arg(long)]
    pub alpha: Option<f64>,
    /// Scale by alpha / √rank (rsLoRA) instead of alpha / rank.
    #[arg(long)]
    pub rank_stabilized: bool,
    /// Share of what LoRA reads that is left out at random.
    #[arg(long, value_name = "SHARE")]
    pub dropout: Option<f64>,
    /// Peak learning rate.
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Steps until it is reached.
    #[arg(long, value_name = "STEPS")]
    pub warm_up: Option<u32>,
    /// How it falls from there.
    #[arg(long, value_enum)]
    pub schedule: Option<ScheduleWord>,
    /// Linears: any of q,k,v,o,gate,up,down.
    #[arg(long, value_delimiter = ',')]
    pub targets: Vec<String>,
    /// Rows (or pairs) that go through the model together.
    #[arg(long)]
    pub batch: Option<u32>,
    /// How often that happens a step.
    #[arg(long, value_name = "N")]
    pub accumulate: Option<u32>,
    /// Longest row, in tokens.
    #[arg(long)]
    pub max_length: Option<u32>,
    /// Words a passage: texts are cut into passages of about this length.
    #[arg(long)]
    pub chunk_words: Option<u32>,
    /// Share of the passages (or preferences) held out to measure on, 0 to 0.5.
    #[arg(long, value_name = "SHARE")]
    pub held_out: Option<f64>,
    /// What stands in the prompts of training: base, dimensions, hypotheses, excerpts, or several joined by +.
    #[arg(long, value_parser = super::writing::parse_method)]
    pub method: Option<Method>,
    /// Who writes the brief that each text answers.
    #[arg(long, value_enum)]
    pub briefs: Option<BriefsWord>,
    /// Which preferences are learned from: any of votes,edits,thumbs,retests.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub preferences: Vec<SourceWord>,
    /// How strongly preferences hold on to the model they start from.
    #[arg(long)]
    pub beta: Option<f64>,
    /// Share of preferences taken to be mistaken, below 0.5.
    #[arg(long, value_name = "SHARE")]
    pub label_smoothing: Option<f64>,
    /// Compare texts a token, so that length alone wins nothing.
    #[arg(long)]
    pub length_normalised: bool,
    /// Precision of the products.
    #[arg(long, value_enum)]
    pub precision: Option<PrecisionWord>,
    /// Compute part of each pass twice instead of remembering it: less memory, more time.
    #[arg(long)]
    pub recompute: bool,
    /// Drafts that it writes on its way at each measurement, to show what it has learned; 0 for none.
    #[arg(long, value_name = "N")]
    pub trial_drafts: Option<u32>,
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
    /// The trained voice it is compared with, in place of the base model.
    #[arg(long, value_name = "ID")]
    pub against: Option<String>,
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
    /// Measure it on texts that it did not learn from, beside the plain model, excerpts and another author's voice.
    Measure { id: String },
    /// Write it for other programs, as a new folder with its licence and a card.
    Export {
        id: String,
        /// For whom.
        #[arg(long, value_enum, default_value = "peft")]
        format: FormatWord,
        /// The folder to make.
        #[arg(long)]
        out: std::path::PathBuf,
    },
    /// Take in a voice of another program: a PEFT folder or a GGUF adapter.
    Import {
        file: std::path::PathBuf,
        /// A name for it.
        #[arg(long)]
        name: Option<String>,
    },
    /// Mix voices into a new one: `ID=STRENGTH`, 1 where no strength is named.
    Stack {
        #[arg(required = true)]
        parts: Vec<String>,
        /// A name for it.
        #[arg(long)]
        name: Option<String>,
    },
    /// Two of them side by side: what they learned from, how, and how they did.
    Compare { first: String, second: String },
    /// Put it away: it is kept, and not proposed any more.
    Retire { id: String },
    /// Take back one that was put away.
    Unretire { id: String },
    /// Train it anew with its settings on what is there now; the old one stays.
    #[command(after_help = WHILE_TRAINING)]
    Retrain {
        id: String,
        /// Do not measure the voice afterwards on texts that it did not learn from.
        #[arg(long)]
        no_report: bool,
        /// A name for the new one.
        #[arg(long)]
        name: Option<String>,
    },
    /// Delete it.
    Delete { id: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FormatWord {
    /// A folder for PEFT.
    Peft,
    /// A LoRA adapter in GGUF, for llama.cpp.
    GgufLora,
    /// The model with the voice in its weights, in GGUF.
    MergedGguf,
}
