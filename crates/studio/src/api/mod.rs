//! The one door: a serde-tagged [`Request`] in, a stream of [`Event`]s out.
//!
//! Every front (window, browser bridge, command line) speaks exactly this; nothing here does work.
//! Each request ends with exactly one `done` or `failed`; before it come any number of others.
//! Shapes are additive: a field or a variant may appear, none changes its meaning.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use idiolect_core::{
    UserError,
    adapter::{Adapter, LossPoint, Run, TrialDraft},
    draft::{AdapterUse, Draft, Method, Sampling, Thumb},
    eval::EvalReport,
    fingerprint::Fingerprint,
    hypothesis::Hypothesis,
    ids::{AdapterId, DraftId, HypothesisId, PairId, ProfileId, RunId, SampleId},
    profile::{Intent, Profile},
    reading::Reading,
    sample::Sample,
    space::Dimension,
    training::TrainSettings,
    vote::{BlindPair, Choice, Retest, Tally, Vote, Voter},
};

mod align;
mod bench;
mod models;
mod samples;
mod stated;
mod status;
mod typescript;

pub use align::{ExportForm, ExportReport, Preflight, Rung};
pub use bench::{
    BenchReport, BenchTrainReport, BenchTrainRequest, ContinuationTimes, DecodeAfter, DecodeRate,
    DemoAuthor, DemoBits, DemoReport, DemoRetest, DraftRates, PrefillRate, ScoreReport,
    SentenceRates, Workload,
};
pub use models::{DoctorReport, Finding, FindingVerdict, ModelEntry, ModelState};
pub use samples::{FileTicket, ImportCounts, ImportScan, Participant};
pub use stated::StatedWish;
pub use status::{CutShort, JobSummary, Settings, Status, Theme};
pub use typescript::typescript;

/// What a front can ask for.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Version, home, device, running jobs, what was cut short, the dimensions. → `status`
    Status,
    /// The person has read what was cut short. → `ok`
    CutShortSeen,
    /// Reads the settings. → `settings`
    SettingsShow,
    /// Replaces the settings. → `settings`
    SettingsSet { settings: Settings },

    /// → `profiles`
    ProfileList,
    /// → `profile`
    ProfileNew { name: String },
    /// Everything known about a profile, inferring nothing. → `profile_view`
    ProfileShow { profile: ProfileId },
    /// → `profile`
    ProfileRename { profile: ProfileId, name: String },
    /// Turns sensitive dimensions on or off. → `profile`
    ProfileSensitive { profile: ProfileId, on: bool },
    /// The person's own description of themselves. → `profile`
    ProfileDescribe { profile: ProfileId, text: String },
    /// What that description says they want and do not. → `wishes`
    ProfileWishes { profile: ProfileId },
    /// A portable voice: system prompt, style guide, dimensions, hypotheses (no samples). → `exported`
    ProfileExport { profile: ProfileId },
    /// Deletes it with everything derived from it, after a snapshot. → `gone`
    ProfileDelete { profile: ProfileId },
    /// Sets the summary to the person's own words. → `profile`
    SummarySet { profile: ProfileId, text: String },
    /// Proposes a summary from the dimensions; stored only if the person had not edited theirs. → `summary`
    SummaryGenerate { profile: ProfileId },

    /// Adds a pasted text; a very long one becomes several samples. → `sample`
    SampleAdd {
        profile: ProfileId,
        text: String,
        #[serde(default)]
        title: Option<String>,
    },
    /// Looks at a file before importing: kind, size, whose words. → `import_scan`
    ImportScan { file: FileTicket },
    /// Imports it; for mail and chat `mine` names the person's own addresses or names. → `imported`
    ImportRun {
        profile: ProfileId,
        file: FileTicket,
        #[serde(default)]
        mine: Vec<String>,
    },
    /// → `samples`
    SampleList { profile: ProfileId },
    /// → `sample`
    SampleShow { sample: SampleId },
    /// Puts back what was cleaned away. → `sample`
    SampleRestore { sample: SampleId },
    /// Removes it, after a snapshot; says what was derived from it. → `gone`
    SampleRemove { sample: SampleId },

    /// Erases every safety copy of the home, so that what was deleted is in none. → `gone`
    CopiesForget,

    /// Counted habits, no model needed. → `fingerprint`
    FingerprintShow { profile: ProfileId },
    /// Reads all dimensions with the model and tests the hypotheses. → `profile_view`
    Infer {
        profile: ProfileId,
        #[serde(default)]
        model: Option<String>,
    },
    /// The person sets a dimension, −1 … +1, kept apart from inference. → `reading`
    DimensionSet {
        profile: ProfileId,
        dimension: String,
        score: f64,
    },
    /// Forgets the person's setting. → `reading`
    DimensionReset {
        profile: ProfileId,
        dimension: String,
    },
    /// Fills in the object of a dimension that needs one ("spicy food"). → `reading`
    DimensionObject {
        profile: ProfileId,
        dimension: String,
        object: String,
    },
    /// → `hypotheses`
    HypothesisList { profile: ProfileId },
    /// Accepts, rejects or edits one; `reset` returns it to what the test said. → `hypothesis`
    HypothesisDecide {
        hypothesis: HypothesisId,
        decision: Decision,
    },
    /// The person adds one of their own. → `hypothesis`
    HypothesisAdd {
        profile: ProfileId,
        statement: String,
    },

    /// The exact prompt each column would send. → `prompts`
    PromptPreview {
        profile: ProfileId,
        intent: Intent,
        brief: String,
        /// About how many words; none = the brief says, or the model's own.
        #[serde(default)]
        words: Option<u32>,
        columns: Vec<Column>,
        #[serde(default)]
        model: Option<String>,
    },
    /// Writes one draft a column, all streaming together. Events `column_text`, then → `drafts`
    Write {
        profile: ProfileId,
        intent: Intent,
        brief: String,
        /// About how many words; none = the brief says, or the model's own.
        #[serde(default)]
        words: Option<u32>,
        columns: Vec<Column>,
        #[serde(default)]
        model: Option<String>,
    },
    /// Newest first. → `drafts`
    DraftList { profile: ProfileId },
    /// Keeps a draft or lets it go. → `draft`
    DraftKeep { draft: DraftId, keep: bool },
    /// Keeps a draft as the person corrected it, for training to learn the difference; none takes that back. → `draft`
    DraftEdit {
        draft: DraftId,
        text: Option<String>,
    },
    /// What the person thinks of a single draft, for training to learn from; none forgets it. → `draft`
    DraftThumb {
        draft: DraftId,
        thumb: Option<Thumb>,
    },
    /// → `gone`
    DraftDelete { draft: DraftId },
    /// Word-level difference between two drafts. → `diff`
    DraftDiff { left: DraftId, right: DraftId },

    /// Shuffles two drafts into a blind pair. → `pair`
    BlindPair { left: DraftId, right: DraftId },
    /// Stores a pick and says what was what. → `voted`
    VoteCast {
        pair: PairId,
        choice: Choice,
        #[serde(default = "person")]
        voter: Voter,
    },
    /// Running results of a profile, one a comparison. → `tallies`
    VoteTally { profile: ProfileId },

    /// What a training would learn from and whether this machine can do it. → `preflight`
    AlignPreflight {
        profile: ProfileId,
        #[serde(default)]
        settings: TrainSettings,
        #[serde(default)]
        model: Option<String>,
    },
    /// The same after three real steps on this machine, which say how long it would take. → `preflight`
    AlignMeasure {
        profile: ProfileId,
        #[serde(default)]
        settings: TrainSettings,
        #[serde(default)]
        model: Option<String>,
    },
    /// Trains a LoRA on the samples or on what the person prefers, as the settings say. Events `run_started`, `loss`, then → `run`
    AlignSft {
        profile: ProfileId,
        #[serde(default)]
        settings: TrainSettings,
        #[serde(default)]
        model: Option<String>,
        #[serde(default)]
        name: Option<String>,
        /// The person insists, however little there is to learn from.
        #[serde(default)]
        anyway: bool,
    },
    /// Takes up a training that was cut short, from its last checkpoint; `anyway`: on another device or version, where its
    /// curve may be a little different. Events as of `align_sft`, then → `run`
    RunResume {
        run: RunId,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        anyway: bool,
    },
    /// Gives it up; its curve stays. → `run`
    RunDiscard { run: RunId },
    /// → `runs`
    RunList { profile: ProfileId },
    /// → `adapters`
    AdapterList { profile: ProfileId },
    /// → `adapter`
    AdapterShow { adapter: AdapterId },
    /// → `adapter`
    AdapterRename { adapter: AdapterId, name: String },
    /// Puts a voice away (`retired`), so that it is not proposed any more, or takes it back. → `adapter`
    AdapterRetire { adapter: AdapterId, retired: bool },
    /// Trains it anew, with its settings, on what is there now; the old one stays. Events as of `align_sft`, then → `run`
    AdapterRetrain {
        adapter: AdapterId,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        anyway: bool,
    },
    /// Measures it on texts that it did not learn from, beside the plain model, excerpts in the prompt and another author's
    /// voice; what was found stays with it. Events `progress`, then → `adapter`
    AdapterMeasure { adapter: AdapterId },
    /// Writes it as a new folder for other programs, with its licence and a card, once what was written is read again and
    /// does the same. `to` names the folder. → `adapter_exported`
    AdapterExport {
        adapter: AdapterId,
        form: ExportForm,
        to: FileTicket,
    },
    /// Takes in a voice of another program: a PEFT folder (or a file in it) or a GGUF adapter. → `adapter`
    AdapterImport {
        profile: ProfileId,
        file: FileTicket,
        #[serde(default)]
        model: Option<String>,
        #[serde(default)]
        name: Option<String>,
    },
    /// Mixes voices of one profile into a new one, each with its scale. → `adapter`
    AdapterStack {
        parts: Vec<AdapterUse>,
        #[serde(default)]
        name: Option<String>,
    },
    /// → `gone`
    AdapterDelete { adapter: AdapterId },
    /// Writes pairs (adapter against base, or against another adapter) for a blind test, on briefs that neither learned
    /// from. Events `column_text`, then → `retest`
    RetestStart {
        adapter: AdapterId,
        #[serde(default)]
        against: Option<AdapterId>,
        #[serde(default = "eight")]
        pairs: u32,
        #[serde(default)]
        seed: u64,
    },
    /// Pairs still waiting and the result so far. → `retest`
    RetestShow {
        adapter: AdapterId,
        #[serde(default)]
        against: Option<AdapterId>,
    },

    /// → `models`
    ModelList,
    /// → `model`
    ModelShow { model: String },
    /// Fetches a catalog model; `accept_licence` says the person accepts the licence shown. → `model`
    ModelPull {
        model: String,
        #[serde(default)]
        accept_licence: bool,
    },
    /// Imports a GGUF, in place (no copy) after checking it. → `model`
    ModelImport { file: FileTicket },
    /// Checks a model file and says in words what it is. → `doctor`
    ModelDoctor { model: String },
    /// Lets a file that was set aside, because loading it ended the studio, be tried again. → `model`
    ModelRelease { model: String },
    /// Until the studio is closed, models are loaded even where free memory looks too short for them: this one, or all.
    /// → `ok`
    ModelAnyway {
        #[serde(default)]
        model: Option<String>,
    },
    /// Removes a fetched model (an imported file is only forgotten). → `gone`
    ModelRemove { model: String },
    /// Makes it the one used where none is named. → `model`
    ModelUse { model: String },

    /// Log-probabilities of a text: no template, BOS only where the metadata says so. → `score`
    Score {
        model: Option<String>,
        text: String,
        #[serde(default)]
        adapter: Option<AdapterUse>,
    },
    /// Speed of a model on this machine. → `bench`
    Bench {
        model: Option<String>,
        #[serde(default)]
        threads: Option<u32>,
        #[serde(default)]
        prompts: Vec<u32>,
        #[serde(default)]
        decode: Option<u32>,
        #[serde(default)]
        workloads: Vec<Workload>,
        #[serde(default)]
        sentences: Option<u32>,
    },
    /// Speed of training on this machine. → `bench_train`
    BenchTrain(BenchTrainRequest),
    /// An evaluation on a data folder. → `eval`
    Eval(EvalRequest),
    /// The whole journey with two fictional authors. Events `stage`, then → `demo`
    Demo {
        #[serde(default)]
        seed: u64,
    },
    /// A loss curve or the dimension chart. → `plot`
    Plot {
        what: PlotSubject,
        format: PlotFormat,
    },

    /// Stops a running job; training keeps nothing. → `ok`
    JobCancel { job: u64 },
    /// Stops a training and keeps the best so far. → `ok`
    JobKeepBest { job: u64 },
    /// Pauses a training. → `ok`
    JobPause { job: u64 },
    /// Goes on. → `ok`
    JobResume { job: u64 },
}

fn person() -> Voter {
    Voter::Person
}

fn eight() -> u32 {
    8
}

/// One column of Compare: what goes into its draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Column {
    /// Joined with `+`.
    pub method: Method,
    /// A trained voice, if on.
    #[serde(default)]
    pub adapter: Option<AdapterUse>,
    /// How tokens are drawn.
    #[serde(default)]
    pub sampling: Sampling,
}

/// What the person says of a hypothesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decision {
    /// That's me.
    Accept,
    /// Not me.
    Reject,
    /// In their own words.
    Edit {
        /// The statement as the person puts it.
        statement: String,
    },
    /// Back to what the test said.
    Reset,
}

/// An evaluation to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct EvalRequest {
    /// `psoups`, `reliability`, `adapter`, `preference`.
    pub name: String,
    /// Data folder laid out with `corpora/` and `evals/`.
    pub data: FileTicket,
    /// Corpus name where the eval takes one.
    #[serde(default)]
    pub corpus: Option<String>,
    /// Rows or authors at most, a seeded stratified sample.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Texts an author at most, where the eval reads texts.
    #[serde(default)]
    pub texts: Option<u32>,
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// Model id.
    #[serde(default)]
    pub model: Option<String>,
    /// Recompute rows that a finished run left behind.
    #[serde(default)]
    pub fresh: bool,
}

/// What to draw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PlotSubject {
    /// Loss and held-out loss of a run.
    Loss {
        /// Which run.
        run: RunId,
    },
    /// Dimensions with evidence, score and interval.
    Dimensions {
        /// Whose.
        profile: ProfileId,
    },
}

/// File format of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum PlotFormat {
    /// Scalable.
    Svg,
    /// Bitmap.
    Png,
}

/// What a request says while it runs and when it ends.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "a few a second at most; boxes would only clutter the types"
)]
pub enum Event {
    /// The request became a job that can be stopped.
    Started {
        /// Its number.
        job: u64,
        /// What it does, for the strip at the bottom: "Reading 90 dimensions".
        label: String,
        /// Whether pause and resume work.
        can_pause: bool,
    },
    /// How far it is.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all; 0 where unknown.
        total: u64,
        /// What a unit is: "samples", "bytes", "steps".
        unit: String,
        /// What is happening now.
        message: String,
        /// Seconds left, once that can be said.
        seconds_left: Option<f64>,
    },
    /// New text of a column's draft.
    ColumnText {
        /// Column number, from 0.
        column: u32,
        /// What to append.
        text: String,
    },
    /// What a column's prompt had to leave out or does without, in words.
    ColumnNote {
        /// Column number, from 0.
        column: u32,
        /// One sentence.
        text: String,
    },
    /// A training run was created.
    RunStarted {
        /// The run.
        run: Run,
        /// Optimizer steps in all.
        steps: u32,
    },
    /// A point of the loss curve.
    Loss {
        /// The run.
        run: RunId,
        /// The point.
        point: LossPoint,
        /// Optimizer steps in all.
        steps: u32,
        /// Training tokens per second.
        tokens_per_second: f64,
        /// Peak resident bytes so far.
        peak_bytes: u64,
        /// Seconds left.
        seconds_left: f64,
    },
    /// Drafts that a training run wrote on its way.
    Trials {
        /// The run.
        run: RunId,
        /// They.
        drafts: Vec<TrialDraft>,
    },
    /// A line of the demo or of an evaluation, as it happens.
    Stage {
        /// Short heading.
        name: String,
        /// In words.
        text: String,
    },
    /// It ended well.
    Done {
        /// The answer.
        response: Response,
    },
    /// It ended badly; nothing confirmed was lost.
    Failed {
        /// What, why, what next.
        error: UserError,
    },
}

/// A profile with everything inferred about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ProfileView {
    /// The profile.
    pub profile: Profile,
    /// Model id the readings were made with; empty before the first reading.
    pub model: String,
    /// Whether samples changed since the readings were made.
    pub stale: bool,
    /// All 90 in order.
    pub dimensions: Vec<Reading>,
    /// Best first.
    pub hypotheses: Vec<Hypothesis>,
    /// Counted habits.
    pub fingerprint: Fingerprint,
}

/// A portable voice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct VoiceFile {
    /// For any assistant's system prompt.
    pub system_prompt: String,
    /// A style guide in Markdown.
    pub style_guide: String,
    /// The same as data, pretty-printed JSON.
    pub json: String,
}

/// What deleting something took with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
pub struct Gone {
    /// What was deleted, in words.
    pub what: String,
    /// What was derived from it and is marked or gone now, in words, one a line.
    pub derived: Vec<String>,
    /// Trained voices that learned from it and still hold what they learned: retire them, or train them anew.
    #[serde(default)]
    pub voices: Vec<AdapterId>,
    /// Safety copies of the home, made before deletions and upgrades, that may still hold it; `copies_forget` erases
    /// them.
    pub copies: u32,
}

/// A stretch of a word-level difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DiffPart {
    /// `same`, `left` (only there) or `right`.
    pub side: String,
    /// Words and spaces.
    pub text: String,
}

/// A vote's answer: what was what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Voted {
    /// As stored.
    pub vote: Vote,
    /// The draft that was shown left.
    pub left: Draft,
    /// The draft that was shown right.
    pub right: Draft,
    /// The running result of this comparison.
    pub tally: Tally,
}

/// Answers, one a request.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is named by the request that it answers")]
#[allow(
    clippy::large_enum_variant,
    reason = "a few a second at most; boxes would only clutter the types"
)]
pub enum Response {
    Ok,
    Status {
        status: Status,
    },
    Settings {
        settings: Settings,
    },
    Profiles {
        profiles: Vec<Profile>,
    },
    Profile {
        profile: Profile,
    },
    ProfileView {
        view: ProfileView,
    },
    Wishes {
        wishes: Vec<StatedWish>,
    },
    Exported {
        voice: VoiceFile,
    },
    Gone {
        gone: Gone,
    },
    Summary {
        text: String,
        stored: bool,
    },
    Samples {
        samples: Vec<Sample>,
    },
    Sample {
        sample: Sample,
        /// Of a text that was just added: how many samples it became, of which this is the first.
        counts: Option<ImportCounts>,
    },
    ImportScan {
        scan: ImportScan,
    },
    Imported {
        /// The first few of them; `counts` speaks of all.
        samples: Vec<Sample>,
        counts: ImportCounts,
    },
    Fingerprint {
        fingerprint: Fingerprint,
    },
    Reading {
        reading: Reading,
    },
    Hypotheses {
        hypotheses: Vec<Hypothesis>,
    },
    Hypothesis {
        hypothesis: Hypothesis,
    },
    Prompts {
        prompts: Vec<String>,
        /// What each prompt had to leave out or does without, in words.
        notes: Vec<Vec<String>>,
    },
    Drafts {
        drafts: Vec<Draft>,
    },
    Draft {
        draft: Draft,
    },
    Diff {
        parts: Vec<DiffPart>,
    },
    Pair {
        pair: BlindPair,
    },
    Voted {
        voted: Voted,
    },
    Tallies {
        tallies: Vec<Tally>,
    },
    Preflight {
        preflight: Preflight,
    },
    Run {
        run: Run,
        adapter: Option<Adapter>,
    },
    Runs {
        runs: Vec<Run>,
    },
    Adapters {
        adapters: Vec<Adapter>,
    },
    Adapter {
        adapter: Adapter,
    },
    AdapterExported {
        report: ExportReport,
    },
    Retest {
        retest: Retest,
    },
    Models {
        models: Vec<ModelEntry>,
    },
    Model {
        model: ModelEntry,
    },
    Doctor {
        report: DoctorReport,
    },
    Score {
        report: ScoreReport,
    },
    Bench {
        report: BenchReport,
    },
    BenchTrain {
        report: BenchTrainReport,
    },
    Eval {
        report: EvalReport,
    },
    Demo {
        report: DemoReport,
    },
    Plot {
        format: PlotFormat,
        bytes: Vec<u8>,
    },
}

/// A dimension as the status lists it (re-exported so that fronts need only this module).
pub type SpaceDimension = Dimension;
