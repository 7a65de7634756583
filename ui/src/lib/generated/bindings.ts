// Generated from the Rust types by `cargo xtask codegen`; a test fails when this file is stale.

export type Adapter = { 
/**
 * Its id.
 */
id: AdapterId, 
/**
 * Whose profile.
 */
profile: ProfileId, 
/**
 * A name the person can change.
 */
name: string, 
/**
 * Base model id.
 */
model: string, 
/**
 * SHA-256 of the base model file.
 */
model_sha256: string, 
/**
 * The run that made it; absent where it was imported or stacked.
 */
run: RunId | null, 
/**
 * What it learned; absent where that is not known.
 */
objective: Objective | null, 
/**
 * What stood in the prompts it was trained on; writing with it uses the same form.
 */
method: Method, 
/**
 * Samples it learned from (lineage).
 */
samples: Array<SampleId>, 
/**
 * Samples of those that were deleted since.
 */
samples_gone: number, 
/**
 * Votes it learned from, by their pairs (lineage).
 */
votes: Array<PairId>, 
/**
 * Votes of those that were deleted since.
 */
votes_gone: number, 
/**
 * Drafts it learned from: voted on, corrected or judged (lineage).
 */
drafts: Array<DraftId>, 
/**
 * Drafts of those that were deleted since.
 */
drafts_gone: number, 
/**
 * Trained voices it was made from: gone on from, or stacked (lineage).
 */
parents: Array<AdapterId>, 
/**
 * Where it came from, in words, if not from a training here.
 */
imported: string | null, 
/**
 * Since when the person does not use it any more, RFC 3339, UTC; it is kept and is not proposed.
 */
retired_at: string | null, 
/**
 * How it did on held-out texts, once measured.
 */
report: AdapterReport | null, 
/**
 * LoRA rank.
 */
rank: number, 
/**
 * LoRA alpha.
 */
alpha: number, 
/**
 * Held-out loss of the base model, nats per token.
 */
base_held_out: number | null, 
/**
 * Held-out loss with the adapter, nats per token.
 */
own_held_out: number | null, 
/**
 * Size on disk, bytes.
 */
bytes: number, 
/**
 * RFC 3339, UTC.
 */
created_at: string, };

export type AdapterId = string;

export type AdapterReport = { 
/**
 * Texts it was measured on.
 */
texts: number, 
/**
 * Tokens in them.
 */
tokens: number, 
/**
 * Bits per token of the base model.
 */
bits_base: number, 
/**
 * Bits per token of the base model with the person's excerpts in the prompt.
 */
bits_excerpts: number | null, 
/**
 * Bits per token with this voice.
 */
bits_own: number, 
/**
 * Bits per token with another author's voice.
 */
bits_wrong_author: number | null, 
/**
 * Whose voice that is, in words.
 */
wrong_author: string, 
/**
 * Own minus base, 95 %, over texts.
 */
own_minus_base: Interval | null, 
/**
 * How close drafts of the base model are to held-out texts in style, 0-1.
 */
style_base: number | null, 
/**
 * How close drafts of this voice are.
 */
style_own: number | null, 
/**
 * Share of fresh briefs where a judge that knows the person's counted habits takes this voice's draft for theirs
 * rather than the base model's, 0-1.
 */
win_rate: number | null, 
/**
 * Wilson 95 %.
 */
win_rate_interval: Interval | null, 
/**
 * Briefs it was judged on.
 */
win_rate_n: number, 
/**
 * What a reader must know, in words.
 */
notes: Array<string>, 
/**
 * RFC 3339, UTC.
 */
measured_at: string, };

export type AdapterUse = { 
/**
 * Which adapter.
 */
id: AdapterId, 
/**
 * 0 = off, 1 = as trained; up to 2.
 */
scale: number, 
/**
 * How far tokens are moved on from what the base model alone would write, 0 = not at all; up to 2.
 */
contrast: number, };

export type BenchReport = { 
/**
 * Model id.
 */
model: string, 
/**
 * Threads used.
 */
threads: number, 
/**
 * Device and instruction level in words.
 */
device: string, 
/**
 * Why this device, and why not a better one.
 */
device_why: string, 
/**
 * One a prompt length.
 */
prefill: Array<PrefillRate>, 
/**
 * Decoding after the longest prompt.
 */
decode: DecodeRate, 
/**
 * Seconds to load.
 */
load_seconds: number, 
/**
 * Peak resident set of the process, bytes, before any further workload.
 */
peak_bytes: number, 
/**
 * [`Workload::Decode`]; empty where not asked for.
 */
decodes: Array<DecodeAfter>, 
/**
 * [`Workload::Drafts`].
 */
drafts: DraftRates | null, 
/**
 * [`Workload::Continuations`].
 */
continuations: ContinuationTimes | null, 
/**
 * [`Workload::Sentences`].
 */
sentences: SentenceRates | null, };

export type BenchTrainReport = { 
/**
 * `sft`, `dpo`, `orpo` or `kto`.
 */
objective: string, 
/**
 * Linears trained.
 */
targets: Array<string>, 
/**
 * Rows a step.
 */
batch: number, 
/**
 * Tokens a row.
 */
length: number, 
/**
 * LoRA rank.
 */
rank: number, 
/**
 * `f32` or `bf16`.
 */
precision: string, 
/**
 * Whether activations were computed twice to save memory.
 */
recompute: boolean, 
/**
 * Training tokens per second; of pairs those of both texts.
 */
tokens_per_second: number, 
/**
 * Peak resident set of the process, bytes.
 */
peak_bytes: number, 
/**
 * Wall seconds a step.
 */
seconds_per_step: number, 
/**
 * The loss of each step.
 */
losses: Array<number>, };

export type BenchTrainRequest = { 
/**
 * Model id.
 */
model: string | null, 
/**
 * `sft`, `dpo`, `orpo` or `kto`.
 */
objective: string | null, 
/**
 * LoRA rank.
 */
rank: number | null, 
/**
 * Texts, pairs or thumbs a step.
 */
batch: number | null, 
/**
 * Tokens a row.
 */
length: number | null, 
/**
 * Linears trained.
 */
targets: Array<string>, 
/**
 * Steps, the first of which is not timed.
 */
steps: number | null, 
/**
 * 16-bit products with frozen weights, where the processor has a matrix unit for them.
 */
bf16: boolean, 
/**
 * Less memory for more time.
 */
recompute: boolean, 
/**
 * Folder to write what another program needs to take the same steps.
 */
record: FileTicket | null, };

export type BlindPair = { 
/**
 * Its id.
 */
id: PairId, 
/**
 * What both were asked to be.
 */
brief: string, 
/**
 * Shown first.
 */
left: string, 
/**
 * Shown second.
 */
right: string, 
/**
 * Position in the round, from 1.
 */
number: number, 
/**
 * Pairs in the round.
 */
of: number, };

export type BriefSource = "counted" | "model";

export type Category = "communication" | "personality" | "style";

export type Choice = "left" | "right" | "tie" | "skip";

export type Column = { 
/**
 * Joined with `+`.
 */
method: Method, 
/**
 * A trained voice, if on.
 */
adapter: AdapterUse | null, 
/**
 * How tokens are drawn.
 */
sampling: Sampling, };

export type ContinuationTimes = { 
/**
 * How many, of 6 to 10 tokens.
 */
continuations: number, 
/**
 * Tokens of the prefix.
 */
after: number, 
/**
 * All of them in one call, the prefix included.
 */
packed_seconds: number, 
/**
 * A call each: the mean of those measured, times all.
 */
separate_seconds: number, 
/**
 * Calls that were measured for that.
 */
separate_measured: number, };

export type CutShort = { 
/**
 * "Training of “My letters”".
 */
what: string, 
/**
 * What is safe and what was lost, in words.
 */
lost: string, };

export type Decision = { "kind": "accept" } | { "kind": "reject" } | { "kind": "edit", 
/**
 * The statement as the person puts it.
 */
statement: string, } | { "kind": "reset" };

export type DecodeAfter = { 
/**
 * Tokens of the context.
 */
after: number, 
/**
 * Tokens decoded.
 */
tokens: number, 
/**
 * Per second.
 */
tokens_per_second: number, };

export type DecodeRate = { 
/**
 * Tokens decoded after the longest prompt.
 */
tokens: number, 
/**
 * Per second.
 */
tokens_per_second: number, };

export type DemoAuthor = { 
/**
 * Fictional name.
 */
name: string, 
/**
 * Held-out bits per token.
 */
bits_per_token: DemoBits, };

export type DemoBits = { 
/**
 * The bare model.
 */
base: number, 
/**
 * With own excerpts in the context.
 */
excerpts: number, 
/**
 * With the author's own adapter.
 */
own: number, 
/**
 * With the other author's adapter: the control.
 */
other: number, };

export type DemoReport = { 
/**
 * Wall time, transfers not counted.
 */
seconds: number, 
/**
 * Both authors.
 */
authors: Array<DemoAuthor>, 
/**
 * The blind re-test by a simulated voter.
 */
retest: DemoRetest, };

export type DemoRetest = { 
/**
 * Wins of the adapter, ties one half.
 */
wins: number, 
/**
 * Votes.
 */
n: number, 
/**
 * 95 % of the share won.
 */
interval: Interval, 
/**
 * The simulated voter's rule, named as such.
 */
rule: string, 
/**
 * In full.
 */
tally: Tally, };

export type DiffPart = { 
/**
 * `same`, `left` (only there) or `right`.
 */
side: string, 
/**
 * Words and spaces.
 */
text: string, };

export type Dimension = { 
/**
 * Position, 0-89.
 */
index: number, 
/**
 * Stable id, `extraversion`.
 */
id: string, 
/**
 * Name on screen.
 */
name: string, 
/**
 * One of the paper's five branches.
 */
group: string, 
/**
 * What it means.
 */
definition: string, 
/**
 * The + pole in words.
 */
high: string, 
/**
 * The − pole in words.
 */
low: string, 
/**
 * What no leaning means.
 */
neutral: string, 
/**
 * Off until the person turns sensitive dimensions on.
 */
sensitive: boolean, 
/**
 * Names "a certain X": useless until the person fills the object in (7, 8, 20-22).
 */
needs_object: boolean, 
/**
 * Whose attribute it is.
 */
subject: Subject, };

export type DoctorReport = { 
/**
 * Whether it can be used.
 */
usable: boolean, 
/**
 * One sentence.
 */
verdict: string, 
/**
 * Each check: name, passed, words. A warning has not passed.
 */
checks: Array<[string, boolean, string]>, 
/**
 * The same, with what each means and what to do next.
 */
findings: Array<Finding>, };

export type Draft = { 
/**
 * Its id.
 */
id: DraftId, 
/**
 * Whose profile it was written with.
 */
profile: ProfileId, 
/**
 * As me or for me.
 */
intent: Intent, 
/**
 * What went into the prompt.
 */
method: Method, 
/**
 * What it was asked to be.
 */
brief: string, 
/**
 * The exact text the model saw, template included.
 */
prompt: string, 
/**
 * The draft.
 */
text: string, 
/**
 * Tokens generated.
 */
tokens: number, 
/**
 * Tokens in the prompt.
 */
prompt_tokens: number, 
/**
 * Wall time of the generation, seconds.
 */
seconds: number, 
/**
 * Generated tokens per second.
 */
tokens_per_second: number, 
/**
 * How tokens were drawn, seed included.
 */
sampling: Sampling, 
/**
 * Model id.
 */
model: string, 
/**
 * The adapter, if one was on.
 */
adapter: AdapterUse | null, 
/**
 * Further trained voices that were on beside it.
 */
other_adapters: Array<AdapterUse>, 
/**
 * Why it ended: `stop`, `length`, `cancelled`.
 */
ended: string, 
/**
 * How it compares with the person's texts.
 */
meters: Meters, 
/**
 * The person keeps it.
 */
kept: boolean, 
/**
 * The draft as the person corrected it.
 */
edited: string | null, 
/**
 * What the person thinks of it.
 */
thumb: Thumb | null, 
/**
 * RFC 3339, UTC.
 */
created_at: string, };

export type DraftId = string;

export type DraftRates = { 
/**
 * How many.
 */
drafts: number, 
/**
 * Tokens of the prompt.
 */
after: number, 
/**
 * Tokens of each.
 */
tokens: number, 
/**
 * Tokens of one draft per second when it is written alone.
 */
alone_tokens_per_second: number, 
/**
 * Tokens of all drafts together per second.
 */
tokens_per_second: number, };

export type Enough = { "level": "too_little", 
/**
 * About how many more words are needed.
 */
need_words: number, } | { "level": "wide" } | { "level": "good" };

export type ErrorCode = "usage" | "not_found" | "ambiguous" | "empty" | "too_short" | "too_large" | "duplicate" | "not_text" | "password_protected" | "corrupt" | "unsupported_file" | "choose_author" | "model_missing" | "model_corrupt" | "model_unsupported" | "no_template" | "context_full" | "source_unreachable" | "checksum_mismatch" | "licence_required" | "offline" | "disk_full" | "read_only_home" | "newer_database" | "database_corrupt" | "busy" | "out_of_memory" | "memory_short" | "not_enough" | "cancelled" | "data_missing" | "io" | "internal";

export type EvalReport = { 
/**
 * Its name.
 */
eval: string, 
/**
 * Model id.
 */
model: string, 
/**
 * Rows, people or authors it was measured on.
 */
n: number, 
/**
 * `shipped` coefficients, `nested` cross-validation on the very file they were fitted on, or `trained` in the run itself.
 */
fit: string, 
/**
 * The figures.
 */
results: Array<EvalResult>, 
/**
 * What a reader must know, in words.
 */
notes: Array<string>, };

export type EvalRequest = { 
/**
 * `psoups`, `reliability`, `adapter`, `preference`.
 */
name: string, 
/**
 * Data folder laid out with `corpora/` and `evals/`.
 */
data: FileTicket, 
/**
 * Corpus name where the eval takes one.
 */
corpus: string | null, 
/**
 * Rows or authors at most, a seeded stratified sample.
 */
limit: number | null, 
/**
 * Texts an author at most, where the eval reads texts.
 */
texts: number | null, 
/**
 * Seed of everything random.
 */
seed: number, 
/**
 * Model id.
 */
model: string | null, 
/**
 * Recompute rows that a finished run left behind.
 */
fresh: boolean, };

export type EvalResult = { 
/**
 * What was measured.
 */
name: string, 
/**
 * The figure; shares and accuracies are fractions 0-1.
 */
value: number, 
/**
 * 95 %, bootstrap over the unit the eval names.
 */
interval: Interval, 
/**
 * Unit of `value`.
 */
unit: string, 
/**
 * Chance, floors, ceilings, wrong-user figures.
 */
controls: { [key in string]: number }, };

export type Event = { "type": "started", 
/**
 * Its number.
 */
job: number, 
/**
 * What it does, for the strip at the bottom: "Reading 90 dimensions".
 */
label: string, 
/**
 * Whether pause and resume work.
 */
can_pause: boolean, } | { "type": "progress", 
/**
 * Units done.
 */
done: number, 
/**
 * Units in all; 0 where unknown.
 */
total: number, 
/**
 * What a unit is: "samples", "bytes", "steps".
 */
unit: string, 
/**
 * What is happening now.
 */
message: string, 
/**
 * Seconds left, once that can be said.
 */
seconds_left: number | null, } | { "type": "column_text", 
/**
 * Column number, from 0.
 */
column: number, 
/**
 * What to append.
 */
text: string, } | { "type": "column_note", 
/**
 * Column number, from 0.
 */
column: number, 
/**
 * One sentence.
 */
text: string, } | { "type": "run_started", 
/**
 * The run.
 */
run: Run, 
/**
 * Optimizer steps in all.
 */
steps: number, } | { "type": "loss", 
/**
 * The run.
 */
run: RunId, 
/**
 * The point.
 */
point: LossPoint, 
/**
 * Optimizer steps in all.
 */
steps: number, 
/**
 * Training tokens per second.
 */
tokens_per_second: number, 
/**
 * Peak resident bytes so far.
 */
peak_bytes: number, 
/**
 * Seconds left.
 */
seconds_left: number, } | { "type": "trials", 
/**
 * The run.
 */
run: RunId, 
/**
 * They.
 */
drafts: Array<TrialDraft>, } | { "type": "stage", 
/**
 * Short heading.
 */
name: string, 
/**
 * In words.
 */
text: string, } | { "type": "done", 
/**
 * The answer.
 */
response: Response, } | { "type": "failed", 
/**
 * What, why, what next.
 */
error: UserError, };

export type Evidence = { 
/**
 * Where it stands.
 */
span: Span, 
/**
 * Signed share of the movement: + pulled towards the high pole.
 */
weight: number, };

export type ExportForm = "peft" | "gguf" | "merged";

export type ExportReport = { 
/**
 * The folder.
 */
written: string, 
/**
 * For whom.
 */
form: ExportForm, 
/**
 * Mean difference of a token's log-probability after reading it again, nats.
 */
difference: number, 
/**
 * Tokens compared.
 */
tokens: number, 
/**
 * How tensors that the voice changes are stored; empty where the model is not part of it.
 */
storage: string, 
/**
 * Bytes of the folder.
 */
bytes: number, };

export type FileTicket = string;

export type Finding = { 
/**
 * What was looked at: "tensors", "chat template".
 */
name: string, 
/**
 * How it ended.
 */
verdict: FindingVerdict, 
/**
 * What was found.
 */
found: string, 
/**
 * What that means for reading and writing with it; empty when all is well.
 */
means: string, 
/**
 * What to do next; empty where there is nothing to do.
 */
next: string, };

export type FindingVerdict = "ok" | "warning" | "broken";

export type Fingerprint = { 
/**
 * Words counted (English samples only).
 */
words: number, 
/**
 * Sentences counted.
 */
sentences: number, 
/**
 * Samples counted.
 */
samples: number, 
/**
 * Samples in another language, kept but not counted.
 */
other_language: number, 
/**
 * Whether that is enough.
 */
enough: Enough, 
/**
 * All features, most unusual first.
 */
features: Array<FingerprintFeature>, };

export type FingerprintFeature = { 
/**
 * Stable id, `punct.dash`.
 */
id: string, 
/**
 * In plain words, "Dashes".
 */
name: string, 
/**
 * Which side of a person it speaks of.
 */
category: Category, 
/**
 * "per 1,000 words", "words", "share of sentences", …
 */
unit: string, 
/**
 * The estimate.
 */
value: number, 
/**
 * 95 %.
 */
interval: Interval, 
/**
 * Reference writers, where known.
 */
reference: Reference | null, 
/**
 * Standard deviations from the reference mean, where known.
 */
standing: number | null, 
/**
 * A few verbatim examples.
 */
evidence: Array<Span>, };

export type Gone = { 
/**
 * What was deleted, in words.
 */
what: string, 
/**
 * What was derived from it and is marked or gone now, in words, one a line.
 */
derived: Array<string>, 
/**
 * Trained voices that learned from it and still hold what they learned: retire them, or train them anew.
 */
voices: Array<AdapterId>, 
/**
 * Safety copies of the home, made before deletions and upgrades, that may still hold it; `copies_forget` erases
 * them.
 */
copies: number, };

export type Hypothesis = { 
/**
 * Its id.
 */
id: HypothesisId, 
/**
 * One of the three categories.
 */
category: Category, 
/**
 * One sentence in plain words, with its number against others.
 */
statement: string, 
/**
 * The same as an instruction to a writer, for prompts ("Use dashes where others use commas.").
 */
instruction: string, 
/**
 * Verbatim spans.
 */
evidence: Array<Span>, 
/**
 * Where it stands.
 */
status: HypothesisStatus, 
/**
 * The test behind it; absent for claims the person added.
 */
support: Support | null, };

export type HypothesisId = string;

export type HypothesisStatus = "proposed" | "supported" | "refuted" | "accepted" | "rejected" | "edited";

export type ImportCounts = { 
/**
 * Samples added.
 */
kept: number, 
/**
 * Words in them.
 */
words: number, 
/**
 * Texts so long that each became several samples.
 */
split: number, 
/**
 * Messages by other people.
 */
other_people: number, 
/**
 * Quoted replies cut.
 */
quoted_replies: number, 
/**
 * Signatures cut.
 */
signatures: number, 
/**
 * Boilerplate passages cut.
 */
boilerplate: number, 
/**
 * Texts that were already there.
 */
duplicates: number, 
/**
 * Texts too short to keep.
 */
too_short: number, 
/**
 * Texts in another language: kept and labelled.
 */
other_language: number, 
/**
 * Attachments ignored.
 */
attachments: number, 
/**
 * Mails without plain text, taken from their HTML.
 */
html_only: number, 
/**
 * Whether the file holds more texts than are taken from one file; those after the limit were not read.
 */
stopped_at_limit: boolean, };

export type ImportScan = { 
/**
 * Name without folders.
 */
file_name: string, 
/**
 * "Mailbox", "Word document", …
 */
kind: string, 
/**
 * Size in bytes.
 */
bytes: number, 
/**
 * Passages found.
 */
passages: number, 
/**
 * People; empty for documents, where nobody has to be picked.
 */
participants: Array<Participant>, };

export type Intent = "as-me" | "for-me";

export type Interval = [number, number];

export type JobSummary = { 
/**
 * Its number.
 */
job: number, 
/**
 * What it does.
 */
label: string, 
/**
 * Whether it is paused.
 */
paused: boolean, 
/**
 * Whether pause and resume work.
 */
can_pause: boolean, };

export type LossPoint = { 
/**
 * Optimizer step, from 1 (0 = before training).
 */
step: number, 
/**
 * Training loss of the step, nats per token; absent at step 0.
 */
loss: number | null, 
/**
 * Held-out loss, nats per token, where it was measured at this step.
 */
held_out: number | null, 
/**
 * How close drafts written at this step are to held-out texts in style, 0-1.
 */
style: number | null, 
/**
 * Share of the 8-word runs of those drafts that stand in a text it learns from, 0-1.
 */
copied: number | null, 
/**
 * Mean difference of the rewards of picked and unpicked, where preferences are learned.
 */
margin: number | null, 
/**
 * Share of held-out preferences it agrees with, 0-1; of the step's where none are held out.
 */
accuracy: number | null, };

export type Meters = { 
/**
 * 0-1: how close its counted habits are to the person's (1 = as close as their own texts); absent with too little text.
 */
style_match: number | null, 
/**
 * Longest run of words copied from a sample.
 */
longest_copied_words: number, 
/**
 * The copied words themselves, empty below 5.
 */
copied: string, 
/**
 * Claims the draft follows, of those it could be checked against.
 */
hypotheses_met: number, 
/**
 * Claims it could be checked against.
 */
hypotheses_checked: number, };

export type Method = string;

export type ModelEntry = { 
/**
 * Id for `--model`.
 */
id: string, 
/**
 * Name.
 */
name: string, 
/**
 * "writer" for language models, "embedder" for the sentence embedder.
 */
role: string, 
/**
 * What it is good for, in words.
 */
about: string, 
/**
 * Size in bytes, where known.
 */
bytes: number | null, 
/**
 * Parameters in words: "135 million".
 */
parameters: string, 
/**
 * Licence name.
 */
licence: string, 
/**
 * Where the licence's text stands; empty for files of the person's own.
 */
licence_url: string, 
/**
 * Whether the licence has to be accepted before fetching.
 */
licence_gate: boolean, 
/**
 * Where it comes from: an address to read more at, or a package.
 */
source: string, 
/**
 * Whether this version can run it; it is not fetched otherwise.
 */
supported: boolean, 
/**
 * Whether it can be used.
 */
state: ModelState, 
/**
 * Whether it is the one used where none is named.
 */
in_use: boolean, 
/**
 * SHA-256 of the file, where known.
 */
sha256: string | null, 
/**
 * Quantization and context in words, once the file is there.
 */
details: string, 
/**
 * Something to know, in words; empty when all is well.
 */
note: string, 
/**
 * Set aside because loading it ended the studio; `model_release` lets it be tried again.
 */
set_aside: boolean, 
/**
 * What it takes of the free memory, in words; `model_show` says it, lists leave it empty.
 */
memory: string, 
/**
 * Where it would run and why, a sentence; as `memory`.
 */
device: string, };

export type ModelState = "available" | "partial" | "ready" | "imported" | "broken";

export type Objective = "sft" | "dpo" | "orpo" | "kto" | "ditto";

export type PairId = string;

export type Participant = { 
/**
 * What to hand back in `mine`.
 */
key: string, 
/**
 * As shown.
 */
display: string, 
/**
 * Messages of theirs.
 */
messages: number, 
/**
 * Words of theirs.
 */
words: number, };

export type PlotFormat = "svg" | "png";

export type PlotSubject = { "kind": "loss", 
/**
 * Which run.
 */
run: RunId, } | { "kind": "dimensions", 
/**
 * Whose.
 */
profile: ProfileId, };

export type PreferenceSource = "votes" | "edits" | "thumbs" | "retests";

export type PrefillRate = { 
/**
 * Prompt tokens.
 */
tokens: number, 
/**
 * Per second.
 */
tokens_per_second: number, };

export type Preflight = { 
/**
 * Samples it learns from.
 */
samples: number, 
/**
 * Words in what it learns from.
 */
words: number, 
/**
 * Chunks (or preferences) to train on.
 */
train_chunks: number, 
/**
 * Chunks (or preferences) held out.
 */
held_out_chunks: number, 
/**
 * Samples held out whole: they only measure.
 */
held_out_samples: Array<SampleId>, 
/**
 * Tokens an epoch.
 */
tokens: number, 
/**
 * Near-duplicates left out.
 */
duplicates: number, 
/**
 * Picks of the person's between two drafts, whatever is trained on.
 */
votes: number, 
/**
 * Picks of the person's in blind tests of trained voices, where those are learned from.
 */
retests: number, 
/**
 * Drafts that the person corrected.
 */
edits: number, 
/**
 * Thumbs up.
 */
thumbs_up: number, 
/**
 * Thumbs down.
 */
thumbs_down: number, 
/**
 * Pairs of one text over another that all of these make.
 */
preferences: number, 
/**
 * Texts that answer a brief which the model wrote.
 */
briefs_written: number, 
/**
 * Texts whose brief the model writes first.
 */
briefs_missing: number, 
/**
 * Memory needed beside the model, which is loaded, bytes.
 */
needed_bytes: number, 
/**
 * Memory free now, bytes.
 */
free_bytes: number, 
/**
 * Expected wall time, seconds; from steps done on this machine where `measured`.
 */
seconds: number, 
/**
 * Whether `seconds` was measured here.
 */
measured: boolean, 
/**
 * Whether it can start.
 */
ready: boolean, 
/**
 * Why the person has to insist, where there is too little to learn from; empty otherwise.
 */
too_little: string, 
/**
 * In words: what is missing, what to change.
 */
advice: Array<string>, 
/**
 * The settings in plain words, one a line.
 */
settings_in_words: Array<string>, 
/**
 * These settings, then ones that need less and less memory.
 */
ladder: Array<Rung>, };

export type Profile = { 
/**
 * Its id.
 */
id: ProfileId, 
/**
 * The name the person gave it; unique in a home.
 */
name: string, 
/**
 * RFC 3339, UTC.
 */
created_at: string, 
/**
 * Sensitive dimensions are inferred and shown only when this is on.
 */
sensitive: boolean, 
/**
 * A self-description the person wrote (AlignX's DEMO), empty when none.
 */
self_description: string, 
/**
 * The summary paragraph a model is given; empty until generated or written.
 */
summary: string, 
/**
 * Whether the person edited the summary, so that regenerating never overwrites it silently.
 */
summary_edited: boolean, 
/**
 * How many samples it has.
 */
samples: number, 
/**
 * Words in them.
 */
words: number, };

export type ProfileId = string;

export type ProfileView = { 
/**
 * The profile.
 */
profile: Profile, 
/**
 * Model id the readings were made with; empty before the first reading.
 */
model: string, 
/**
 * Whether samples changed since the readings were made.
 */
stale: boolean, 
/**
 * All 90 in order.
 */
dimensions: Array<Reading>, 
/**
 * Best first.
 */
hypotheses: Array<Hypothesis>, 
/**
 * Counted habits.
 */
fingerprint: Fingerprint, };

export type Reading = { 
/**
 * Dimension id.
 */
id: string, 
/**
 * Dimension index, 0-89.
 */
index: number, 
/**
 * Whose attribute it is.
 */
subject: Subject, 
/**
 * What can be said.
 */
status: ReadingStatus, 
/**
 * Inferred score, −1 (low pole) … +1 (high pole); 0 where nothing is known.
 */
score: number, 
/**
 * 95 %, within −1…1.
 */
interval: Interval, 
/**
 * How many independent texts' worth of evidence bear on it.
 */
effective_evidence: number, 
/**
 * −1, 0 or +1: 0 unless the interval clears zero and the status is known; the override's sign where set.
 */
direction: number, 
/**
 * What the person set, kept apart from inference.
 */
override: number | null, 
/**
 * The object the person filled in, where the dimension needs one.
 */
object: string | null, 
/**
 * Spans that moved it, strongest first.
 */
evidence: Array<Evidence>, 
/**
 * Why the status is what it is, in plain words.
 */
note: string, };

export type ReadingStatus = "known" | "not_enough_evidence" | "off" | "needs_object";

export type Reference = { 
/**
 * Mean of the writers' means.
 */
mean: number, 
/**
 * Standard deviation between writers.
 */
sd: number, 
/**
 * 10th percentile of writers.
 */
low: number, 
/**
 * 90th percentile of writers.
 */
high: number, };

export type Removal = { 
/**
 * Why it was cut.
 */
kind: RemovalKind, 
/**
 * Byte offset in the text as it was given.
 */
start: number, 
/**
 * Byte offset of its end, exclusive.
 */
end: number, 
/**
 * The text that was cut; empty for mail and chats, of which nothing that was cut is kept.
 */
text: string, };

export type RemovalKind = "quoted_reply" | "signature" | "forwarded" | "boilerplate" | "not_prose";

export type Request = { "type": "status" } | { "type": "cut_short_seen" } | { "type": "settings_show" } | { "type": "settings_set", settings: Settings, } | { "type": "profile_list" } | { "type": "profile_new", name: string, } | { "type": "profile_show", profile: ProfileId, } | { "type": "profile_rename", profile: ProfileId, name: string, } | { "type": "profile_sensitive", profile: ProfileId, on: boolean, } | { "type": "profile_describe", profile: ProfileId, text: string, } | { "type": "profile_wishes", profile: ProfileId, } | { "type": "profile_export", profile: ProfileId, } | { "type": "profile_delete", profile: ProfileId, } | { "type": "summary_set", profile: ProfileId, text: string, } | { "type": "summary_generate", profile: ProfileId, } | { "type": "sample_add", profile: ProfileId, text: string, title: string | null, } | { "type": "import_scan", file: FileTicket, } | { "type": "import_run", profile: ProfileId, file: FileTicket, mine: Array<string>, } | { "type": "sample_list", profile: ProfileId, } | { "type": "sample_show", sample: SampleId, } | { "type": "sample_restore", sample: SampleId, } | { "type": "sample_remove", sample: SampleId, } | { "type": "copies_forget" } | { "type": "fingerprint_show", profile: ProfileId, } | { "type": "infer", profile: ProfileId, model: string | null, } | { "type": "dimension_set", profile: ProfileId, dimension: string, score: number, } | { "type": "dimension_reset", profile: ProfileId, dimension: string, } | { "type": "dimension_object", profile: ProfileId, dimension: string, object: string, } | { "type": "hypothesis_list", profile: ProfileId, } | { "type": "hypothesis_decide", hypothesis: HypothesisId, decision: Decision, } | { "type": "hypothesis_add", profile: ProfileId, statement: string, } | { "type": "prompt_preview", profile: ProfileId, intent: Intent, brief: string, 
/**
 * About how many words; none = the brief says, or the model's own.
 */
words: number | null, columns: Array<Column>, model: string | null, } | { "type": "write", profile: ProfileId, intent: Intent, brief: string, 
/**
 * About how many words; none = the brief says, or the model's own.
 */
words: number | null, columns: Array<Column>, model: string | null, } | { "type": "draft_list", profile: ProfileId, } | { "type": "draft_keep", draft: DraftId, keep: boolean, } | { "type": "draft_edit", draft: DraftId, text: string | null, } | { "type": "draft_thumb", draft: DraftId, thumb: Thumb | null, } | { "type": "draft_delete", draft: DraftId, } | { "type": "draft_diff", left: DraftId, right: DraftId, } | { "type": "blind_pair", left: DraftId, right: DraftId, } | { "type": "vote_cast", pair: PairId, choice: Choice, voter: Voter, } | { "type": "vote_tally", profile: ProfileId, } | { "type": "align_preflight", profile: ProfileId, settings: TrainSettings, model: string | null, } | { "type": "align_measure", profile: ProfileId, settings: TrainSettings, model: string | null, } | { "type": "align_sft", profile: ProfileId, settings: TrainSettings, model: string | null, name: string | null, 
/**
 * The person insists, however little there is to learn from.
 */
anyway: boolean, } | { "type": "run_resume", run: RunId, name: string | null, anyway: boolean, } | { "type": "run_discard", run: RunId, } | { "type": "run_list", profile: ProfileId, } | { "type": "adapter_list", profile: ProfileId, } | { "type": "adapter_show", adapter: AdapterId, } | { "type": "adapter_rename", adapter: AdapterId, name: string, } | { "type": "adapter_retire", adapter: AdapterId, retired: boolean, } | { "type": "adapter_retrain", adapter: AdapterId, name: string | null, anyway: boolean, } | { "type": "adapter_measure", adapter: AdapterId, } | { "type": "adapter_export", adapter: AdapterId, form: ExportForm, to: FileTicket, } | { "type": "adapter_import", profile: ProfileId, file: FileTicket, model: string | null, name: string | null, } | { "type": "adapter_stack", parts: Array<AdapterUse>, name: string | null, } | { "type": "adapter_delete", adapter: AdapterId, } | { "type": "retest_start", adapter: AdapterId, against: AdapterId | null, pairs: number, seed: number, } | { "type": "retest_show", adapter: AdapterId, against: AdapterId | null, } | { "type": "model_list" } | { "type": "model_show", model: string, } | { "type": "model_pull", model: string, accept_licence: boolean, } | { "type": "model_import", file: FileTicket, } | { "type": "model_doctor", model: string, } | { "type": "model_release", model: string, } | { "type": "model_anyway", model: string | null, } | { "type": "model_remove", model: string, } | { "type": "model_use", model: string, } | { "type": "score", model: string | null, text: string, adapter: AdapterUse | null, } | { "type": "bench", model: string | null, threads: number | null, prompts: Array<number>, decode: number | null, workloads: Array<Workload>, sentences: number | null, } | { "type": "bench_train" } & BenchTrainRequest | { "type": "eval" } & EvalRequest | { "type": "demo", seed: number, } | { "type": "plot", what: PlotSubject, format: PlotFormat, } | { "type": "job_cancel", job: number, } | { "type": "job_keep_best", job: number, } | { "type": "job_pause", job: number, } | { "type": "job_resume", job: number, };

export type Response = { "type": "ok" } | { "type": "status", status: Status, } | { "type": "settings", settings: Settings, } | { "type": "profiles", profiles: Array<Profile>, } | { "type": "profile", profile: Profile, } | { "type": "profile_view", view: ProfileView, } | { "type": "wishes", wishes: Array<StatedWish>, } | { "type": "exported", voice: VoiceFile, } | { "type": "gone", gone: Gone, } | { "type": "summary", text: string, stored: boolean, } | { "type": "samples", samples: Array<Sample>, } | { "type": "sample", sample: Sample, 
/**
 * Of a text that was just added: how many samples it became, of which this is the first.
 */
counts: ImportCounts | null, } | { "type": "import_scan", scan: ImportScan, } | { "type": "imported", 
/**
 * The first few of them; `counts` speaks of all.
 */
samples: Array<Sample>, counts: ImportCounts, } | { "type": "fingerprint", fingerprint: Fingerprint, } | { "type": "reading", reading: Reading, } | { "type": "hypotheses", hypotheses: Array<Hypothesis>, } | { "type": "hypothesis", hypothesis: Hypothesis, } | { "type": "prompts", prompts: Array<string>, 
/**
 * What each prompt had to leave out or does without, in words.
 */
notes: Array<Array<string>>, } | { "type": "drafts", drafts: Array<Draft>, } | { "type": "draft", draft: Draft, } | { "type": "diff", parts: Array<DiffPart>, } | { "type": "pair", pair: BlindPair, } | { "type": "voted", voted: Voted, } | { "type": "tallies", tallies: Array<Tally>, } | { "type": "preflight", preflight: Preflight, } | { "type": "run", run: Run, adapter: Adapter | null, } | { "type": "runs", runs: Array<Run>, } | { "type": "adapters", adapters: Array<Adapter>, } | { "type": "adapter", adapter: Adapter, } | { "type": "adapter_exported", report: ExportReport, } | { "type": "retest", retest: Retest, } | { "type": "models", models: Array<ModelEntry>, } | { "type": "model", model: ModelEntry, } | { "type": "doctor", report: DoctorReport, } | { "type": "score", report: ScoreReport, } | { "type": "bench", report: BenchReport, } | { "type": "bench_train", report: BenchTrainReport, } | { "type": "eval", report: EvalReport, } | { "type": "demo", report: DemoReport, } | { "type": "plot", format: PlotFormat, bytes: Array<number>, };

export type Retest = { 
/**
 * The adapter under test.
 */
adapter: AdapterId, 
/**
 * The adapter it is held against, where that is not the base model.
 */
against: AdapterId | null, 
/**
 * Pairs waiting for a vote.
 */
waiting: Array<BlindPair>, 
/**
 * The result so far.
 */
tally: Tally, };

export type Run = { 
/**
 * Its id.
 */
id: RunId, 
/**
 * Whose profile.
 */
profile: ProfileId, 
/**
 * Base model id.
 */
model: string, 
/**
 * What it learns.
 */
objective: Objective, 
/**
 * Settings.
 */
settings: TrainSettings, 
/**
 * Samples it learned from.
 */
samples: Array<SampleId>, 
/**
 * Votes it learned from, by their pairs.
 */
votes: Array<PairId>, 
/**
 * Drafts it learned from: voted on, corrected or judged.
 */
drafts: Array<DraftId>, 
/**
 * The trained voice it goes on from, where it does not begin at the base model.
 */
parent: AdapterId | null, 
/**
 * How it stands.
 */
status: RunStatus, 
/**
 * In words, where something is to be said.
 */
message: string, 
/**
 * Loss curve.
 */
curve: Array<LossPoint>, 
/**
 * Drafts it wrote on its way, by step.
 */
trials: Array<TrialDraft>, 
/**
 * Training tokens per second.
 */
tokens_per_second: number, 
/**
 * Peak resident memory of the process, bytes.
 */
peak_bytes: number, 
/**
 * Wall time, seconds.
 */
seconds: number, 
/**
 * What it made.
 */
adapter: AdapterId | null, 
/**
 * Whether it ended before its time and can be taken up from a checkpoint.
 */
resumable: boolean, 
/**
 * RFC 3339, UTC.
 */
started_at: string, };

export type RunId = string;

export type RunStatus = "running" | "paused" | "finished" | "stopped" | "cancelled" | "cut_short" | "failed";

export type Rung = { 
/**
 * The settings whole.
 */
settings: TrainSettings, 
/**
 * What is different from the rung above, and what that costs.
 */
words: string, 
/**
 * Memory needed beside the model, bytes.
 */
needed_bytes: number, 
/**
 * Expected wall time, seconds.
 */
seconds: number, 
/**
 * Whether that much is free now.
 */
fits: boolean, };

export type Sample = { 
/**
 * Its id.
 */
id: SampleId, 
/**
 * The profile it belongs to.
 */
profile: ProfileId, 
/**
 * Where it came from.
 */
kind: SampleKind, 
/**
 * Subject, heading or file name; the first line where there is none.
 */
title: string, 
/**
 * The person's words, cleaned.
 */
text: string, 
/**
 * The message it answers, when known.
 */
prompt: string | null, 
/**
 * Words in `text`.
 */
words: number, 
/**
 * ISO 639-1 code, or `und` where the text is too short to tell.
 */
language: string, 
/**
 * When it was written, RFC 3339, if the source says.
 */
written_at: string | null, 
/**
 * When it was added, RFC 3339, UTC.
 */
added_at: string, 
/**
 * What was cut, in order.
 */
removed: Array<Removal>, 
/**
 * A caution in words ("too short to say much"), empty when all is well.
 */
note: string, };

export type SampleId = string;

export type SampleKind = "pasted" | "document" | "email" | "chat" | "edited";

export type Sampling = { 
/**
 * 0 = always the likeliest.
 */
temperature: number, 
/**
 * Nucleus mass, 1 = off.
 */
top_p: number, 
/**
 * 0 = off.
 */
top_k: number, 
/**
 * Share of the likeliest token's probability a token must have, 0 = off.
 */
min_p: number, 
/**
 * Repetition penalty over the last 64 tokens (divides odds by this), 1 = off.
 */
repetition_penalty: number, 
/**
 * Same seed, same draft.
 */
seed: number, 
/**
 * At most this many tokens.
 */
max_tokens: number, 
/**
 * Stop when the text contains one of these.
 */
stop: Array<string>, };

export type Schedule = "linear" | "cosine" | "constant";

export type ScoreReport = { 
/**
 * Model id.
 */
model: string, 
/**
 * Token ids.
 */
tokens: Array<number>, 
/**
 * `log_probs[i]`, natural log, is of token i+1 given 0..i.
 */
log_probs: Array<number>, 
/**
 * Mean negative log-probability, nats per token.
 */
nll_per_token: number, 
/**
 * exp of that.
 */
perplexity: number, };

export type SentenceRates = { 
/**
 * How many, of 12 to 28 tokens.
 */
sentences: number, 
/**
 * Tokens run per second, those of the prefixes included.
 */
tokens_per_second: number, 
/**
 * The same for one text of 512 tokens, all of its logits wanted.
 */
prompt_tokens_per_second: number, };

export type Settings = { 
/**
 * How the window looks.
 */
theme: Theme, 
/**
 * Fewer moving things than the system asks for already.
 */
reduce_motion: boolean, 
/**
 * `auto`, `cpu`, `cuda`, `metal`.
 */
device: string, 
/**
 * Threads; 0 = all physical cores.
 */
threads: number, 
/**
 * Model id used where none is named; empty = the default.
 */
model: string, };

export type Span = { 
/**
 * The sample it stands in.
 */
sample: SampleId, 
/**
 * Byte offset of its start in the sample's text.
 */
start: number, 
/**
 * Byte offset of its end, exclusive.
 */
end: number, 
/**
 * The words themselves.
 */
text: string, };

export type StatedWish = { 
/**
 * False: to be avoided.
 */
wanted: boolean, 
/**
 * What it is about, lower case.
 */
thing: string, 
/**
 * The sentence it was read in.
 */
sentence: string, };

export type Status = { 
/**
 * Version of the studio.
 */
version: string, 
/**
 * Where the person's data lies (for Settings; never sent anywhere).
 */
home: string, 
/**
 * Where models lie.
 */
models: string, 
/**
 * Model in use, in words: "SmolLM2 135M".
 */
model: string, 
/**
 * Id of the model in use.
 */
model_id: string, 
/**
 * Whether its file is there.
 */
model_ready: boolean, 
/**
 * "CPU (2 threads, AVX2)".
 */
device: string, 
/**
 * Why this device.
 */
device_why: string, 
/**
 * Jobs running in this process.
 */
jobs: Array<JobSummary>, 
/**
 * What was cut short before this start.
 */
cut_short: Array<CutShort>, 
/**
 * Another window or command has this home open; changes show up on refresh.
 */
shared_home: boolean, 
/**
 * A number that changes whenever anything is stored, by whichever process.
 */
revision: number, 
/**
 * The 90 dimensions.
 */
dimensions: Array<Dimension>, };

export type Subject = "person" | "reply";

export type Support = { 
/**
 * Feature id of the predicate.
 */
feature: string, 
/**
 * `+1` more than others, `-1` less.
 */
direction: number, 
/**
 * The person's mean, in `unit`.
 */
value: number, 
/**
 * Reference writers' mean, in `unit`.
 */
others: number, 
/**
 * Unit of both.
 */
unit: string, 
/**
 * Share of the person's texts on the claimed side of the reference median, 0-1.
 */
share: number, 
/**
 * Texts that share was counted on.
 */
texts: number, 
/**
 * Area under the ROC curve against reference writers on unseen texts; predicted where there are too few.
 */
auc: number, 
/**
 * 95 % of `auc`.
 */
auc_interval: Interval, 
/**
 * Whether `auc` was measured on held-out texts (else predicted from the texts seen).
 */
held_out: boolean, };

export type Tally = { 
/**
 * What `wins` counts, in words: "hypotheses", "adapter a-… at 1.0".
 */
challenger: string, 
/**
 * Against what.
 */
against: string, 
/**
 * The model that wrote both sides; empty where two models did, which the sides then name.
 */
model: string, 
/**
 * What both sides were written for; absent where that differs, which the sides then name.
 */
intent: Intent | null, 
/**
 * Wins of the challenger; a tie counts one half.
 */
wins: number, 
/**
 * Votes counted (skips are not).
 */
n: number, 
/**
 * Share won, 0-1; absent without votes.
 */
share: number | null, 
/**
 * Wilson 95 %.
 */
interval: Interval, 
/**
 * Whether that says anything: the interval clears one half.
 */
conclusive: boolean, 
/**
 * "68 % [55-79], n = 41" or "not enough votes yet".
 */
words: string, };

export type Theme = "system" | "light" | "dark" | "contrast";

export type Thumb = "up" | "down";

export type TrainPrecision = "f32" | "bf16";

export type TrainSettings = { 
/**
 * What is learned.
 */
objective: Objective, 
/**
 * LoRA rank.
 */
rank: number, 
/**
 * LoRA alpha; the delta is scaled by alpha / rank.
 */
alpha: number, 
/**
 * Rank-stabilized LoRA: the delta is scaled by alpha / √rank instead.
 */
rank_stabilized: boolean, 
/**
 * Share of the inputs of LoRA that a step leaves out, 0 up to below 1.
 */
dropout: number, 
/**
 * Which linears: any of q, k, v, o, gate, up, down.
 */
targets: Array<string>, 
/**
 * Peak learning rate.
 */
learning_rate: number, 
/**
 * Steps until the learning rate is at its peak.
 */
warm_up: number, 
/**
 * How it falls from there.
 */
schedule: Schedule, 
/**
 * Longest gradient, Euclidean; longer ones are shortened to it.
 */
clip: number, 
/**
 * Decoupled weight decay.
 */
weight_decay: number, 
/**
 * Passes over the training chunks (or preferences).
 */
epochs: number, 
/**
 * Rows (or pairs) a pass through the model.
 */
batch: number, 
/**
 * Passes through the model an optimizer step; `batch` × `accumulate` rows a step.
 */
accumulate: number, 
/**
 * Longest row in tokens.
 */
max_length: number, 
/**
 * Words a chunk.
 */
chunk_words: number, 
/**
 * Share of chunks (or preferences) held out, 0-0.5.
 */
held_out: number, 
/**
 * What else stands in the prompts it is trained on: its excerpts, hypotheses, dimensions.
 */
method: Method, 
/**
 * Who writes the briefs.
 */
briefs: BriefSource, 
/**
 * Which preferences are learned from, where the objective takes any.
 */
preferences: Array<PreferenceSource>, 
/**
 * How strongly preferences hold on to the model they start from.
 */
beta: number, 
/**
 * Share of preferences taken to be mistaken, 0 up to below 0.5.
 */
label_smoothing: number, 
/**
 * Log-probabilities a token instead of a text, so that length alone wins nothing.
 */
length_normalised: boolean, 
/**
 * Precision of the products. Settings that do not say are of a time when there was one.
 */
precision: TrainPrecision, 
/**
 * Compute activations again in the backward pass instead of keeping them: less memory, more time.
 */
recompute: boolean, 
/**
 * Drafts it writes at each measurement, to show what it has learned and to stop where it copies. Settings that do not
 * say are of a time when there were none.
 */
trial_drafts: number, 
/**
 * Seed of everything random in the run.
 */
seed: number, 
/**
 * Stop when the held-out loss has risen twice and keep the best.
 */
early_stop: boolean, };

export type TrialDraft = { 
/**
 * After this optimizer step; 0: before training.
 */
step: number, 
/**
 * What it was asked for.
 */
brief: string, 
/**
 * What it wrote.
 */
text: string, 
/**
 * Longest run of words that stands in a text it learns from.
 */
copied_words: number, 
/**
 * Share of its 8-word runs that stand in a text it learns from, 0-1.
 */
copied: number, };

export type UserError = { 
/**
 * For the front to branch on.
 */
code: ErrorCode, 
/**
 * What failed and why, for a person.
 */
message: string, 
/**
 * What to do next.
 */
hint: string, };

export type VoiceFile = { 
/**
 * For any assistant's system prompt.
 */
system_prompt: string, 
/**
 * A style guide in Markdown.
 */
style_guide: string, 
/**
 * The same as data, pretty-printed JSON.
 */
json: string, };

export type Vote = { 
/**
 * The pair it was cast on.
 */
pair: PairId, 
/**
 * Whose profile.
 */
profile: ProfileId, 
/**
 * Draft shown left.
 */
left: DraftId, 
/**
 * Draft shown right.
 */
right: DraftId, 
/**
 * What was picked.
 */
choice: Choice, 
/**
 * By whom.
 */
voter: Voter, 
/**
 * RFC 3339, UTC.
 */
cast_at: string, };

export type Voted = { 
/**
 * As stored.
 */
vote: Vote, 
/**
 * The draft that was shown left.
 */
left: Draft, 
/**
 * The draft that was shown right.
 */
right: Draft, 
/**
 * The running result of this comparison.
 */
tally: Tally, };

export type Voter = { "kind": "person" } | { "kind": "simulated", 
/**
 * Which rule.
 */
rule: string, };

export type Workload = "decode" | "drafts" | "continuations" | "sentences";
