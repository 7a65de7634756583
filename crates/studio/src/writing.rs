//! Drafts: prompts from the profile, columns side by side, meters, comparison.

use idiolect_core::{
    ErrorCode, UserError,
    draft::{AdapterUse, Draft, Meters, Method, Thumb},
    ids::{DraftId, ProfileId, SampleId},
    profile::Intent,
    sample::Sample,
};
use idiolect_llm::{AdapterSource, Against, GenerateRequest, Generation, TextModel, guard};
use idiolect_persona::{Passage, hypotheses, prompts};
use idiolect_text::{
    diff::{self, Change},
    features,
    fingerprint::mean_vector,
    leakage,
    meters::style_match,
};

use crate::{
    api::{Column, DiffPart, Event, Gone, ProfileView, Response},
    context::{Ctx, Pace},
    errors::{Told, usage},
    inference::build_view,
    models::Writer,
    profiles::words,
};

/// Contrast chooses among words at least this likely against the likeliest (Li et al. 2023, "Contrastive decoding").
const PLAUSIBLE: f32 = 0.1;
/// Columns written at once.
const MOST_COLUMNS: usize = 8;
/// A shorter run of common words is chance.
const COPIED_WORDS: usize = 5;

/// A column ready to be written.
pub(crate) struct Planned {
    pub(crate) column: Column,
    /// The exact text for the model.
    pub(crate) prompt: String,
    /// Samples quoted in it.
    pub(crate) samples: Vec<SampleId>,
    /// What had to be left out of it, in words.
    notes: Vec<String>,
    pub(crate) request: GenerateRequest,
}

/// Who and what drafts are written for.
pub(crate) struct Assignment<'a> {
    pub(crate) profile: &'a ProfileId,
    pub(crate) intent: Intent,
    pub(crate) brief: &'a str,
    /// About how many words, where that is said apart from the brief.
    pub(crate) words: Option<u32>,
}

pub(crate) fn preview(
    ctx: &mut Ctx,
    assignment: &Assignment,
    columns: &[Column],
    model: Option<&str>,
) -> Result<Response, UserError> {
    let writer = ctx.studio.models.writer(ctx, model)?;
    let subject = Subject::of(ctx, assignment.profile)?;
    let planned = plan(ctx, &writer, &subject, assignment, columns)?;
    let (prompts, notes) = planned.into_iter().map(|p| (p.prompt, p.notes)).unzip();
    Ok(Response::Prompts { prompts, notes })
}

pub(crate) fn write(
    ctx: &mut Ctx,
    assignment: &Assignment,
    columns: &[Column],
    model: Option<&str>,
) -> Result<Response, UserError> {
    ctx.start_job("Writing", false);
    let writer = ctx.studio.models.writer(ctx, model)?;
    let subject = Subject::of(ctx, assignment.profile)?;
    let planned = plan(ctx, &writer, &subject, assignment, columns)?;
    let drafts = generate(ctx, &writer, &subject, assignment, planned)?;
    Ok(Response::Drafts { drafts })
}

/// A person's profile and texts, read once for all columns.
pub(crate) struct Subject {
    pub(crate) view: ProfileView,
    pub(crate) samples: Vec<Sample>,
}

impl Subject {
    pub(crate) fn of(ctx: &Ctx, profile: &ProfileId) -> Result<Self, UserError> {
        Ok(Self {
            view: build_view(ctx, profile)?,
            samples: ctx.studio.store.samples(profile).told()?,
        })
    }
}

/// What prompts are built from; `quoted` are the texts that may be quoted.
pub(crate) fn material<'a>(
    view: &'a ProfileView,
    quoted: &'a [Passage<'a>],
) -> prompts::Material<'a> {
    prompts::Material {
        readings: &view.dimensions,
        hypotheses: &view.hypotheses,
        summary: &view.profile.summary,
        self_description: &view.profile.self_description,
        samples: quoted,
    }
}

/// Builds each column's prompt.
pub(crate) fn plan(
    ctx: &Ctx,
    writer: &Writer,
    subject: &Subject,
    assignment: &Assignment,
    columns: &[Column],
) -> Result<Vec<Planned>, UserError> {
    if assignment.brief.trim().is_empty() {
        return Err(UserError::new(
            ErrorCode::Empty,
            "The brief is empty.",
            "Say in a sentence what the draft should be.",
        ));
    }
    if columns.is_empty() || columns.len() > MOST_COLUMNS {
        return Err(usage(
            format!("Between 1 and {MOST_COLUMNS} columns can be written at once."),
            "Add a column, or take some away.",
        ));
    }
    let passages: Vec<Passage> = subject.samples.iter().map(Passage::from).collect();
    let material = material(&subject.view, &passages);
    columns
        .iter()
        .map(|column| {
            check(column)?;
            let task = prompts::Task {
                intent: assignment.intent,
                method: &column.method,
                brief: assignment.brief.trim(),
                words: assignment.words,
            };
            let answer = column.sampling.max_tokens as usize;
            let prompt = prompts::build(&task, &material, &*writer.model, answer).told()?;
            let text = writer.model.render(&prompt.messages).told()?;
            let tokens = writer.model.encode_prompt(&text).told()?;
            let contrast = column.adapter.as_ref().map_or(0.0, |used| used.contrast);
            let request = GenerateRequest {
                // The same prompt without the voice: what the voice adds is what is stressed.
                against: (contrast > 0.0).then(|| Against {
                    prompt: tokens.clone(),
                    strength: contrast as f32,
                    plausible: PLAUSIBLE,
                    ..Against::default()
                }),
                prompt: tokens,
                sampling: column.sampling.clone(),
                adapters: column
                    .adapter
                    .iter()
                    .map(|a| adapter_source(ctx, writer, a))
                    .collect::<Result<_, _>>()?,
                ..GenerateRequest::default()
            };
            Ok(Planned {
                column: column.clone(),
                prompt: guard::shown(&text).into_owned(),
                samples: prompt.samples,
                notes: prompt.notes,
                request,
            })
        })
        .collect()
}

/// Writes all columns together and stores every draft.
pub(crate) fn generate(
    ctx: &mut Ctx,
    writer: &Writer,
    subject: &Subject,
    assignment: &Assignment,
    planned: Vec<Planned>,
) -> Result<Vec<Draft>, UserError> {
    for (column, planned) in planned.iter().enumerate() {
        for text in &planned.notes {
            ctx.emit(Event::ColumnNote {
                column: column as u32,
                text: text.clone(),
            });
        }
    }
    let generations = written(ctx, writer, &planned)?;
    let studio = ctx.studio;
    let meter = Meter::of(subject);
    planned
        .into_iter()
        .zip(generations)
        .map(|(planned, generation)| {
            let draft = to_draft(writer, assignment, &planned, &generation, &meter);
            studio.store.insert_draft(&draft, &planned.samples).told()
        })
        .collect()
}

/// Writes all columns together and keeps nothing: their texts, for measuring.
pub(crate) fn unstored(
    ctx: &mut Ctx,
    writer: &Writer,
    planned: &[Planned],
) -> Result<Vec<String>, UserError> {
    let requests: Vec<GenerateRequest> = planned.iter().map(|p| p.request.clone()).collect();
    let cancel = ctx.cancel().clone();
    let _turn = crate::lock(&ctx.studio.jobs.model_turn);
    let generations = writer
        .model
        .generate(&requests, &cancel, &mut |_, _| {})
        .told()?;
    Ok(generations.into_iter().map(|g| g.text).collect())
}

/// Writes all columns together, said as it goes.
fn written(
    ctx: &mut Ctx,
    writer: &Writer,
    planned: &[Planned],
) -> Result<Vec<Generation>, UserError> {
    let requests: Vec<GenerateRequest> = planned.iter().map(|p| p.request.clone()).collect();
    let cancel = ctx.cancel().clone();
    let studio = ctx.studio;
    let most: u64 = requests
        .iter()
        .map(|r| u64::from(r.sampling.max_tokens))
        .sum();
    let _turn = crate::lock(&studio.jobs.model_turn);
    let pace = Pace::new(most, "tokens");
    let mut pieces = 0;
    writer
        .model
        .generate(&requests, &cancel, &mut |column, text| {
            pieces += 1;
            ctx.emit(Event::ColumnText {
                column: column as u32,
                text: text.to_owned(),
            });
            if pieces % 16 == 0 {
                ctx.emit(pace.at(pieces.min(most), "Writing"));
            }
        })
        .told()
}

fn to_draft(
    writer: &Writer,
    assignment: &Assignment,
    planned: &Planned,
    generation: &Generation,
    meter: &Meter,
) -> Draft {
    let tokens = generation.tokens.len();
    Draft {
        id: DraftId(String::new()),
        profile: assignment.profile.clone(),
        intent: assignment.intent,
        method: planned.column.method.clone(),
        brief: assignment.brief.trim().to_owned(),
        prompt: planned.prompt.clone(),
        text: generation.text.clone(),
        tokens: tokens as u32,
        prompt_tokens: planned.request.prompt.len() as u32,
        seconds: generation.prompt_seconds + generation.seconds,
        tokens_per_second: if generation.seconds > 0.0 {
            tokens as f64 / generation.seconds
        } else {
            0.0
        },
        sampling: planned.column.sampling.clone(),
        model: writer.file.id.clone(),
        adapter: planned.column.adapter.clone(),
        other_adapters: Vec::new(),
        ended: generation.ended.as_str().to_owned(),
        meters: meter.read(&generation.text),
        kept: false,
        edited: None,
        thumb: None,
        created_at: String::new(),
    }
}

/// Compares drafts with a person's texts.
pub(crate) struct Meter<'a> {
    subject: &'a Subject,
    own: Option<features::FeatureVector>,
}

impl<'a> Meter<'a> {
    pub(crate) fn of(subject: &'a Subject) -> Self {
        let vectors: Vec<_> = subject
            .samples
            .iter()
            .filter(|s| s.language == "en")
            .map(|s| features::measure(&s.text))
            .collect();
        Self {
            subject,
            own: mean_vector(&vectors),
        }
    }

    pub(crate) fn read(&self, text: &str) -> Meters {
        let style_match = self
            .own
            .as_ref()
            .and_then(|own| style_match(&features::measure(text), own));
        let texts: Vec<&str> = self
            .subject
            .samples
            .iter()
            .map(|s| s.text.as_str())
            .collect();
        let run = leakage::longest_common_run(text, &texts);
        let (met, checked) = hypotheses::follows(&self.subject.view.hypotheses, text);
        Meters {
            style_match,
            longest_copied_words: run.map_or(0, |r| r.words as u32),
            copied: run
                .filter(|r| r.words >= COPIED_WORDS)
                .map_or_else(String::new, |r| r.span.quote(text).to_owned()),
            hypotheses_met: met,
            hypotheses_checked: checked,
        }
    }
}

/// Where an adapter's files lie, if it was trained on this very model.
pub(crate) fn adapter_source(
    ctx: &Ctx,
    writer: &Writer,
    used: &AdapterUse,
) -> Result<AdapterSource, UserError> {
    let adapter = ctx.studio.store.adapter(&used.id).told()?;
    if adapter.model_sha256 != writer.file.sha256 {
        return Err(usage(
            format!(
                "This trained voice was made on {}, not on {}.",
                adapter.model, writer.file.id
            ),
            format!("Use it with {} or train one on this model.", adapter.model),
        ));
    }
    if !(0.0..=2.0).contains(&used.scale) {
        return Err(usage(
            "The strength of a trained voice lies between 0 and 2.",
            "1 is as trained.",
        ));
    }
    if !(0.0..=2.0).contains(&used.contrast) {
        return Err(usage(
            "The contrast of a trained voice lies between 0 and 2.",
            "0 is without.",
        ));
    }
    Ok(AdapterSource {
        dir: ctx.studio.adapter_dir(&used.id),
        scale: used.scale as f32,
    })
}

fn check(column: &Column) -> Result<(), UserError> {
    let s = &column.sampling;
    let fits = (0.0..=5.0).contains(&s.temperature)
        && s.top_p > 0.0
        && s.top_p <= 1.0
        && (0.0..1.0).contains(&s.min_p)
        && (1.0..=3.0).contains(&s.repetition_penalty)
        && (1..=8192).contains(&s.max_tokens);
    if fits {
        return Ok(());
    }
    Err(usage(
        "A sampling setting is out of range.",
        "Temperature 0-5, top-p above 0 up to 1, min-p 0 up to 1, repetition penalty 1-3, tokens 1-8192.",
    ))
}

pub(crate) fn list(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    Ok(Response::Drafts {
        drafts: ctx.studio.store.drafts(profile).told()?,
    })
}

pub(crate) fn keep(ctx: &mut Ctx, draft: &DraftId, keep: bool) -> Result<Response, UserError> {
    let store = &ctx.studio.store;
    let draft = if keep {
        store.keep_draft(draft)
    } else {
        store.let_draft_go(draft)
    }
    .told()?;
    Ok(Response::Draft { draft })
}

/// The longest correction, in bytes; a draft has a few thousand at most.
const LONGEST_EDIT: usize = 100_000;

pub(crate) fn edit(
    ctx: &mut Ctx,
    draft: &DraftId,
    text: Option<&str>,
) -> Result<Response, UserError> {
    let store = &ctx.studio.store;
    let found = store.draft(draft).told()?;
    // Text that says what the draft says is no correction.
    let edited = text
        .map(str::trim)
        .filter(|text| *text != found.text.trim());
    if edited.is_some_and(str::is_empty) {
        return Err(usage(
            "A draft that is corrected to nothing teaches nothing.",
            "Type how you would have put it, or give it a thumb down instead.",
        ));
    }
    if edited.is_some_and(|text| text.len() > LONGEST_EDIT) {
        return Err(usage(
            "This is too long to be a correction of a draft.",
            "Add it as a sample instead.",
        ));
    }
    Ok(Response::Draft {
        draft: store.set_edited(draft, edited).told()?,
    })
}

pub(crate) fn thumb(
    ctx: &mut Ctx,
    draft: &DraftId,
    thumb: Option<Thumb>,
) -> Result<Response, UserError> {
    Ok(Response::Draft {
        draft: ctx.studio.store.set_thumb(draft, thumb).told()?,
    })
}

pub(crate) fn delete(ctx: &mut Ctx, draft: &DraftId) -> Result<Response, UserError> {
    let derived = ctx.studio.store.delete_draft(draft).told()?;
    Ok(Response::Gone {
        gone: Gone {
            what: "The draft is deleted.".to_owned(),
            derived: words(&derived),
            voices: derived.adapters,
            ..Gone::default()
        },
    })
}

pub(crate) fn diff(ctx: &mut Ctx, left: &DraftId, right: &DraftId) -> Result<Response, UserError> {
    let (left, right) = (
        ctx.studio.store.draft(left).told()?,
        ctx.studio.store.draft(right).told()?,
    );
    let parts = diff::diff(&left.text, &right.text)
        .into_iter()
        .map(|piece| DiffPart {
            side: match piece.change {
                Change::Kept => "same",
                Change::Removed => "left",
                Change::Added => "right",
            }
            .to_owned(),
            text: piece.text,
        })
        .collect();
    Ok(Response::Diff { parts })
}

/// A column with these tokens and seed.
pub(crate) fn column(
    method: Method,
    max_tokens: u32,
    seed: u64,
    adapter: Option<AdapterUse>,
) -> Column {
    Column {
        method,
        adapter,
        sampling: idiolect_core::draft::Sampling {
            max_tokens,
            seed,
            ..Default::default()
        },
    }
}
