//! What can be typed: commands and options, with their help. No work is done here.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

mod measuring;
mod training;
mod writing;

pub use measuring::{BenchArgs, BenchWhat, BenchWorkload, EvalArgs, Plot, ScoreArgs};
pub use training::{
    Adapters, Align, BriefsWord, FormatWord, ObjectiveWord, PrecisionWord, RetestArgs,
    ScheduleWord, SourceWord, TrainArgs,
};
pub use writing::{CompareArgs, DraftArgs, Drafts, Pick, ThumbWord, VoteArgs, WriteArgs};

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
    /// Load the model even where free memory looks too short for it, and train however little there is to learn from.
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
    /// What that description was understood to want and to avoid.
    Wishes,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/cli.md");

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
