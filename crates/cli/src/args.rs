//! What can be typed: commands and options, with their help. No work is done here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use idiolect_core::{draft::Method, profile::Intent};

/// A local personalization studio: shows what your writing says about you, writes in your voice, and
/// trains on your own machine. Nothing leaves it.
#[derive(Debug, Parser)]
#[command(
    name = "idiolect",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Everything as JSON on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// Where your data lies.
    #[arg(long, global = true, env = "IDIOLECT_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Where models lie.
    #[arg(long, global = true, env = "IDIOLECT_MODELS", value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// The profile, by name or id; not needed while there is only one.
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// The model, by id or path; else the one in use.
    #[arg(long, global = true, value_name = "ID|FILE")]
    pub model: Option<String>,
    /// Refuse every transfer.
    #[arg(long, global = true)]
    pub offline: bool,
    /// Load the model even where free memory looks too short for it.
    #[arg(long, global = true)]
    pub anyway: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What is open, which model, which device, what was cut short.
    Status {
        /// What was cut short is read: do not say it again.
        #[arg(long)]
        seen: bool,
    },
    /// What holds for the window and every command.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Language models on this machine.
    #[command(subcommand)]
    Models(Models),
    /// Profiles: one user's voice each.
    #[command(subcommand)]
    Profile(Profiles),
    /// Texts you wrote.
    #[command(subcommand)]
    Sample(Samples),
    /// Counted habits, without a model.
    Fingerprint,
    /// Read all dimensions with the model and test the hypotheses.
    Infer,
    /// Set a dimension yourself, or forget that.
    #[command(subcommand)]
    Dimension(Dimensions),
    /// Claims about how you write.
    #[command(subcommand)]
    Hypotheses(Hypotheses),
    /// The paragraph a model is given about you.
    #[command(subcommand)]
    Summary(Summary),
    /// Write one draft.
    Write(WriteArgs),
    /// Write one draft a method, side by side.
    Compare(CompareArgs),
    /// Drafts written so far.
    #[command(subcommand)]
    Drafts(Drafts),
    /// Pick blindly between two drafts.
    Vote(VoteArgs),
    /// Train a voice of your own.
    #[command(subcommand)]
    Align(Align),
    /// Test a trained voice blindly against the base model.
    Retest(RetestArgs),
    /// Trained voices.
    #[command(subcommand)]
    Adapter(Adapters),
    /// Draw a loss curve or the dimensions.
    #[command(subcommand)]
    Plot(Plot),
    /// Log-probability of every token of a text file ("-": standard input).
    Score(ScoreArgs),
    /// Speed of a model on this machine.
    Bench(BenchArgs),
    /// An evaluation on a data folder.
    Eval(EvalArgs),
    /// The whole journey with two fictional authors, measured.
    Demo {
        /// Seed of everything random.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Serve the window's interface on loopback, for tests.
    #[cfg(feature = "ui-bridge")]
    Serve {
        /// The only thing that can be served.
        #[arg(long, required = true)]
        ui_bridge: bool,
        /// Folder with the built window.
        #[arg(long, default_value = "ui/dist")]
        ui: PathBuf,
        /// Port; 0 = any free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum SettingsCommand {
    /// All of them.
    Show,
    /// Change one: theme, reduce-motion, device, threads, model. An empty value is the default.
    Set { name: String, value: String },
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Models {
    /// What can be fetched and what is here.
    List,
    /// Fetch a model of the catalog; takes up a transfer that was cut. Without a name: the default ones.
    Pull {
        model_id: Option<String>,
        /// Accept the licence shown.
        #[arg(long)]
        accept_licence: bool,
    },
    /// Use a GGUF file where it lies.
    Import { file: PathBuf },
    /// Everything about one.
    Show { model_id: String },
    /// Check a model file, fetched, imported or any GGUF, and say in words what is wrong with it and what to do.
    #[command(after_help = "Exit code 0: it can be used; 1: something is broken.")]
    Doctor {
        #[arg(value_name = "ID|FILE")]
        model_id: String,
    },
    /// Try a file again that was set aside because loading it ended the program.
    Release { model_id: String },
    /// Use this one where none is named.
    Use { model_id: String },
    /// Remove a fetched file, or forget an imported one.
    Remove { model_id: String },
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Profiles {
    /// Begin one.
    New { name: String },
    /// All of them.
    List,
    /// Everything known about one.
    Show,
    /// Give it another name.
    Rename { name: String },
    /// Describe yourself: the strongest evidence for the reply you want ("-": standard input).
    Describe { text: String },
    /// Turn sensitive dimensions on or off.
    Sensitive { state: Switch },
    /// A portable voice: system prompt, style guide, data.
    Export {
        /// What to print.
        #[arg(long, value_enum, default_value = "system-prompt")]
        format: ExportFormat,
        /// Write to a file.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Delete it with everything derived from it (safety copies of the home still hold it).
    Delete {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Erase the safety copies, too.
        #[arg(long)]
        forget_copies: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "on or off")]
pub enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ExportFormat {
    SystemPrompt,
    StyleGuide,
    Json,
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Samples {
    /// Look at a file and add nothing: its kind, and whose words are in it.
    Scan { file: PathBuf },
    /// Add a text or import a file: .txt .md .html .docx .eml .mbox, chat exports. "-": standard input.
    Add {
        /// Files; "-" is standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// For mail and chats: your own addresses or names, as `sample scan` lists them (say it more than once).
        #[arg(long, value_name = "WHO")]
        mine: Vec<String>,
        /// A title for pasted text.
        #[arg(long)]
        title: Option<String>,
    },
    /// All of them.
    List,
    /// One whole.
    Show { id: String },
    /// Put back what was cleaned away.
    Restore { id: String },
    /// Remove one; says what was derived from it.
    Remove {
        id: String,
        /// Erase the safety copies of the home, which still hold it, too.
        #[arg(long)]
        forget_copies: bool,
    },
    /// Erase every safety copy of the home: what you deleted is still in them.
    ForgetCopies,
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Dimensions {
    /// The 90 dimensions with their poles.
    List,
    /// Set where you stand, −1 … 1.
    Set {
        dimension: String,
        #[arg(allow_negative_numbers = true)]
        score: f64,
    },
    /// Say of what, for dimensions that need it ("spicy food").
    Object { dimension: String, object: String },
    /// Forget what you set.
    Reset { dimension: String },
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Hypotheses {
    /// All of them.
    List,
    /// That's me.
    Accept { id: String },
    /// Not me.
    Reject { id: String },
    /// Put it in your own words.
    Edit { id: String, statement: String },
    /// Back to what the test said.
    Reset { id: String },
    /// Add one of your own.
    Add { statement: String },
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each variant's help says it")]
pub enum Summary {
    /// As it is now.
    Show,
    /// Write it from the dimensions.
    Generate,
    /// Set it to your own words ("-": standard input).
    Set { text: String },
}

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
    /// base, dimensions, hypotheses, excerpts, or several joined by +.
    #[arg(long, value_parser = parse_method, default_value = "base")]
    pub method: Method,
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
    /// Delete one.
    Delete { id: String },
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
    Train {
        #[arg(long)]
        rank: Option<u32>,
        #[arg(long)]
        batch: Option<u32>,
        #[arg(long)]
        length: Option<u32>,
        #[arg(long, value_delimiter = ',')]
        targets: Vec<String>,
    },
}

#[derive(Debug, Args)]
#[allow(missing_docs, reason = "each field's help says it")]
pub struct EvalArgs {
    /// psoups, reliability.
    pub name: String,
    /// Folder with corpora/ and evals/.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Corpus, for evaluations that read one (reliability; cmcc21 when left away).
    #[arg(long)]
    pub corpus: Option<String>,
    /// Rows of an evaluation or authors of a corpus at most: a seeded, stratified sample.
    #[arg(long)]
    pub limit: Option<u32>,
    /// Texts an author at most, for evaluations that read a corpus (8 when left away).
    #[arg(long)]
    pub texts: Option<u32>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Measure every row again.
    #[arg(long)]
    pub fresh: bool,
}

const WHILE_TRAINING: &str = "While it runs: Ctrl+C stops and keeps the best so far; a second Ctrl+C stops and keeps nothing.
Ctrl+Z pauses, `fg` goes on (in the window: Pause and Resume).";

fn parse_intent(text: &str) -> Result<Intent, String> {
    match text {
        "as-me" => Ok(Intent::AsMe),
        "for-me" => Ok(Intent::ForMe),
        other => Err(format!("“{other}” is neither as-me nor for-me")),
    }
}

fn parse_method(text: &str) -> Result<Method, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    const PAGE: &str = include_str!("../../../docs/cli.md");

    #[test]
    fn the_page_names_every_command_and_every_option() {
        let row = |name: &str| {
            let found = PAGE.lines().find(|line| {
                line.strip_prefix("| `")
                    .and_then(|rest| rest.strip_prefix(name))
                    .is_some_and(|rest| rest.starts_with([' ', '`']))
            });
            found.unwrap_or_else(|| panic!("docs/cli.md has no row for `{name}`"))
        };
        for command in Cli::command().get_subcommands() {
            // Tests' own, and left out of releases.
            if command.get_name() == "serve" {
                continue;
            }
            let row = row(command.get_name());
            let words: Vec<&str> = row.split([' ', '`']).collect();
            for sub in command.get_subcommands() {
                let name = sub.get_name();
                assert!(words.contains(&name), "`{name}` is missing in: {row}");
                options_are_named(sub);
            }
            options_are_named(command);
        }
        options_are_named(&Cli::command());
    }

    fn options_are_named(command: &clap::Command) {
        for option in command.get_arguments().filter_map(|a| a.get_long()) {
            let named = PAGE
                .split(|c: char| c.is_whitespace() || "`[](),;|\\".contains(c))
                .any(|word| word == format!("--{option}"));
            assert!(
                named,
                "docs/cli.md does not name --{option} of `{}`",
                command.get_name()
            );
        }
    }

    #[test]
    fn every_argument_is_declared_once() {
        Cli::command().debug_assert();
    }
}
