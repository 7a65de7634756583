//! Writing, drafts and votes.

use clap::{Args, Subcommand, ValueEnum};
use idiolect_core::{draft::Method, profile::Intent};

/// What a draft is for and how it is written.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct DraftArgs {
    /// What the draft should be ("-": standard input).
    #[arg(long)]
    pub brief: String,
    /// as-me: passes for your own; for-me: a reply you would like.
    #[arg(long, value_parser = parse_intent, default_value = "as-me")]
    pub intent: Intent,
    /// Same seed, same draft.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Longest draft, in tokens (a token is about ¾ of a word).
    #[arg(long, default_value_t = 220)]
    pub max_tokens: u32,
    /// 0 = always the likeliest word.
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Keep the likeliest words that make up this share.
    #[arg(long)]
    pub top_p: Option<f64>,
    /// Keep this many of the likeliest words.
    #[arg(long)]
    pub top_k: Option<u32>,
    /// Keep words at least this likely against the likeliest.
    #[arg(long)]
    pub min_p: Option<f64>,
    /// Above 1: repeat less.
    #[arg(long)]
    pub repetition_penalty: Option<f64>,
    /// Stop before this text (say it more than once).
    #[arg(long)]
    pub stop: Vec<String>,
    /// A trained voice.
    #[arg(long, value_name = "ID")]
    pub adapter: Option<String>,
    /// Its strength: 0 off, 1 as trained, up to 2.
    #[arg(long, default_value_t = 1.0, requires = "adapter")]
    pub adapter_scale: f64,
    /// How far words are moved on from what the model alone would write: 0 not at all, up to 2. Takes twice the time.
    #[arg(long, default_value_t = 0.0, requires = "adapter")]
    pub adapter_contrast: f64,
    /// About how many words the draft should have.
    #[arg(long, value_name = "N")]
    pub words: Option<u32>,
    /// Only show the exact prompt, and write nothing.
    #[arg(long)]
    pub prompt_only: bool,
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct WriteArgs {
    #[command(flatten)]
    pub draft: DraftArgs,
    /// base, dimensions, hypotheses, excerpts, or several joined by +; else base, or what a trained voice was trained under.
    #[arg(long, value_parser = parse_method)]
    pub method: Option<Method>,
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct CompareArgs {
    #[command(flatten)]
    pub draft: DraftArgs,
    /// Methods separated by commas; add "adapter" for a column with the trained voice.
    #[arg(long, value_delimiter = ',', required = true)]
    pub methods: Vec<String>,
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Drafts {
    /// Newest first.
    List,
    /// One whole, with its figures.
    Show { id: String },
    /// Difference between two, word by word: [-only left-] {+only right+}.
    Diff { left: String, right: String },
    /// Keep one.
    Keep { id: String },
    /// Keep it no longer (nothing is deleted).
    Unkeep { id: String },
    /// Keep one as you would have put it ("-": standard input), for training to learn the difference.
    Edit {
        id: String,
        #[arg(required_unless_present = "undo")]
        text: Option<String>,
        /// Forget your version.
        #[arg(long, conflicts_with = "text")]
        undo: bool,
    },
    /// Say what you think of one, for training to learn from.
    Thumb { id: String, thumb: ThumbWord },
    /// Delete one.
    Delete { id: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ThumbWord {
    Up,
    Down,
    None,
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct VoteArgs {
    /// One draft; with --right, makes a new blind pair.
    #[arg(long, requires = "right", conflicts_with = "pair")]
    pub left: Option<String>,
    /// The other draft.
    #[arg(long, requires = "left")]
    pub right: Option<String>,
    /// A pair that is waiting.
    #[arg(long)]
    pub pair: Option<String>,
    /// What you pick; asked for when left away.
    #[arg(long, value_enum)]
    pub choice: Option<Pick>,
    /// Only show the running results.
    #[arg(long, conflicts_with_all = ["left", "right", "pair", "choice"])]
    pub results: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Pick {
    Left,
    Right,
    Tie,
    Skip,
}

fn parse_intent(text: &str) -> Result<Intent, String> {
    match text {
        "as-me" => Ok(Intent::AsMe),
        "for-me" => Ok(Intent::ForMe),
        other => Err(format!("“{other}” is neither as-me nor for-me")),
    }
}

pub(super) fn parse_method(text: &str) -> Result<Method, String> {
    text.parse()
}
