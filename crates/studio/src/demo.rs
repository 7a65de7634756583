//! The whole journey with two fictional authors of our own, every figure measured here and now: paste,
//! profile, drafts, training, held-out bits per token under four conditions, votes of a counted rule, re-test.

use std::time::Instant;

use idiolect_core::{
    UserError, adapter::Adapter, draft::Draft, ids::ProfileId, profile::Intent,
    training::TrainSettings, vote::Choice,
};
use idiolect_llm::{AdapterSource, Message};
use idiolect_persona::{
    Passage,
    briefs::Briefs,
    demo::{DemoAuthor, authors},
    likelihood::bits_per_token,
    prompts::{self, Material, Task},
    simulated::StyleVoter,
};

use crate::{
    Inner, Options, Studio,
    api::{
        Column, DemoAuthor as AuthorReport, DemoBits, DemoReport, DemoRetest, Event, Request,
        Response,
    },
    context::Ctx,
    errors::{Told, not_enough},
    models::Writer,
};

/// Pairs an author in the re-test.
const PAIRS: u32 = 6;

/// What an author's part of the demo left behind.
struct Made {
    profile: ProfileId,
    adapter: Adapter,
}

pub(crate) fn run(ctx: &mut Ctx, seed: u64) -> Result<Response, UserError> {
    ctx.start_job("The demo", false);
    ctx.studio.models.ensure_defaults(ctx)?;
    // A home of its own: nothing of the demo mixes with the person's data.
    let folder = tempfile::tempdir()
        .map_err(|e| crate::errors::from_io("Making a folder for the demo", &e))?;
    let studio = Studio::open(Options {
        home: Some(folder.path().join("home")),
        models: Some(ctx.studio.models.folder().to_owned()),
        offline: true,
    })?;
    let started = Instant::now();
    let mut made = Vec::new();
    for author in authors() {
        made.push(journey(ctx, &studio, author, seed)?);
    }
    let inner = &studio.inner;
    let writer = inner.models.writer(ctx, None)?;
    let mut reports = Vec::new();
    for (index, author) in authors().iter().enumerate() {
        let bits = measure(ctx, inner, &writer, author, &made[index], &made[1 - index])?;
        ctx.stage(
            "measure",
            format!(
                "{}, held-out bits per token (lower is better): base {:.3}, own excerpts {:.3}, own voice {:.3}, the other's voice {:.3}",
                author.name, bits.base, bits.excerpts, bits.own, bits.other
            ),
        );
        reports.push(AuthorReport {
            name: author.name.clone(),
            bits_per_token: bits,
        });
    }
    let retest = vote_all(ctx, &studio, &made, seed)?;
    Ok(Response::Demo {
        report: DemoReport {
            seconds: started.elapsed().as_secs_f64(),
            authors: reports,
            retest,
        },
    })
}

/// Paste, profile, draft, train: as the window and the command line do it, through the same requests.
fn journey(
    ctx: &mut Ctx,
    studio: &Studio,
    author: &DemoAuthor,
    seed: u64,
) -> Result<Made, UserError> {
    let Response::Profile { profile } = ask(
        ctx,
        studio,
        Request::ProfileNew {
            name: author.name.clone(),
        },
    )?
    else {
        return Err(odd());
    };
    let profile = profile.id;
    for text in author.seen() {
        let request = Request::SampleAdd {
            profile: profile.clone(),
            text: text.text.clone(),
            title: Some(text.title.clone()),
        };
        ask(ctx, studio, request)?;
    }
    ctx.stage(
        "paste",
        format!(
            "{}: {} texts, {} held out for measuring. {}",
            author.name,
            author.seen().count(),
            author.held_out().count(),
            author.about
        ),
    );

    let Response::Fingerprint { fingerprint } = ask(
        ctx,
        studio,
        Request::FingerprintShow {
            profile: profile.clone(),
        },
    )?
    else {
        return Err(odd());
    };
    if let Some(most) = fingerprint.features.first() {
        ctx.stage(
            "fingerprint",
            format!(
                "{} words; most unusual: {} at {:.1} {}",
                fingerprint.words, most.name, most.value, most.unit
            ),
        );
    }
    let Response::ProfileView { view } = ask(
        ctx,
        studio,
        Request::Infer {
            profile: profile.clone(),
            model: None,
        },
    )?
    else {
        return Err(odd());
    };
    let known = view.dimensions.iter().filter(|d| d.direction != 0).count();
    ctx.stage(
        "profile",
        format!("{known} of 90 dimensions lean; the others: no leaning, or not enough evidence"),
    );
    for hypothesis in view.hypotheses.iter().take(3) {
        ctx.stage("hypothesis", hypothesis.statement.clone());
    }

    let columns: Vec<Column> = ["base", "hypotheses"]
        .iter()
        .filter_map(|method| method.parse().ok())
        .map(|method| Column {
            method,
            adapter: None,
            sampling: idiolect_core::draft::Sampling {
                seed,
                max_tokens: 60,
                ..Default::default()
            },
        })
        .collect();
    let request = Request::Write {
        profile: profile.clone(),
        intent: Intent::AsMe,
        brief: "Write a short note to a neighbour about a parcel.".to_owned(),
        words: None,
        columns,
        model: None,
    };
    let Response::Drafts { drafts } = ask(ctx, studio, request)? else {
        return Err(odd());
    };
    for draft in &drafts {
        ctx.stage(
            "draft",
            format!(
                "{}: {} ({:.0} tokens/s)",
                draft.method,
                one_line(&draft.text),
                draft.tokens_per_second
            ),
        );
    }

    let request = Request::AlignSft {
        profile: profile.clone(),
        settings: TrainSettings {
            seed,
            // The demo shows what it has learned at its end.
            trial_drafts: 0,
            ..TrainSettings::default()
        },
        model: None,
        name: Some(format!("{}'s voice", author.name)),
        anyway: false,
    };
    let Response::Run {
        run,
        adapter: Some(adapter),
    } = ask(ctx, studio, request)?
    else {
        return Err(odd());
    };
    ctx.stage(
        "train",
        format!(
            "{:.0} s at {:.0} tokens/s, peak memory {:.0} MB; held-out loss {:.3} → {:.3} nats per token",
            run.seconds,
            run.tokens_per_second,
            run.peak_bytes as f64 / 1e6,
            adapter.base_held_out.unwrap_or(f64::NAN),
            adapter.own_held_out.unwrap_or(f64::NAN)
        ),
    );
    Ok(Made { profile, adapter })
}

/// Bits per token of texts that no profile and no training saw, each as the answer to its neutral brief.
fn measure(
    ctx: &mut Ctx,
    studio: &Inner,
    writer: &Writer,
    author: &DemoAuthor,
    own: &Made,
    other: &Made,
) -> Result<DemoBits, UserError> {
    let texts: Vec<&str> = author.held_out().map(|t| t.text.as_str()).collect();
    let briefs = Briefs::new(&texts);
    let bare: Vec<(Vec<Message>, &str)> = texts
        .iter()
        .map(|text| (prompts::bare(&briefs.of(text, None), None), *text))
        .collect();
    let samples = studio.store.samples(&own.profile).told()?;
    let passages: Vec<Passage> = samples.iter().map(Passage::from).collect();
    let material = Material {
        samples: &passages,
        ..Material::default()
    };
    let method = "excerpts".parse().map_err(|_| odd())?;
    let mut quoted = Vec::new();
    for text in &texts {
        let brief = briefs.of(text, None);
        let task = Task {
            intent: Intent::AsMe,
            method: &method,
            brief: &brief,
            words: None,
        };
        let prompt = prompts::build(&task, &material, &*writer.model, 256).told()?;
        quoted.push((prompt.messages, *text));
    }
    let voice = |adapter: &Adapter| AdapterSource {
        dir: studio.adapter_dir(&adapter.id),
        scale: 1.0,
    };
    let cancel = ctx.cancel().clone();
    let bits = |answers: &[(Vec<Message>, &str)], adapter: Option<AdapterSource>| {
        bits_per_token(&*writer.model, answers, adapter.as_ref(), &cancel).told()
    };
    Ok(DemoBits {
        base: bits(&bare, None)?,
        excerpts: bits(&quoted, None)?,
        own: bits(&bare, Some(voice(&own.adapter)))?,
        other: bits(&bare, Some(voice(&other.adapter)))?,
    })
}

/// The blind re-test of both voices by a rule that saw only the held-out texts.
fn vote_all(
    ctx: &mut Ctx,
    studio: &Studio,
    made: &[Made],
    seed: u64,
) -> Result<DemoRetest, UserError> {
    let all: Vec<Vec<&str>> = authors()
        .iter()
        .map(|a| a.held_out().map(|t| t.text.as_str()).collect())
        .collect();
    let (mut wins, mut n) = (0.0, 0);
    for (index, author) in made.iter().enumerate() {
        let voter = StyleVoter::new(&all[index], &all[1 - index]);
        let request = Request::RetestStart {
            adapter: author.adapter.id.clone(),
            against: None,
            pairs: PAIRS,
            seed,
        };
        let Response::Retest { retest } = ask(ctx, studio, request)? else {
            return Err(odd());
        };
        let mut tally = retest.tally;
        for pair in &retest.waiting {
            let choice: Choice = voter.choose(&pair.left, &pair.right);
            let request = Request::VoteCast {
                pair: pair.id.clone(),
                choice,
                voter: StyleVoter::voter(),
            };
            let Response::Voted { voted } = ask(ctx, studio, request)? else {
                return Err(odd());
            };
            if n == 0 {
                for draft in [&voted.left, &voted.right] {
                    ctx.stage(
                        "vote",
                        format!("{}: {}", side(draft), one_line(&draft.text)),
                    );
                }
            }
            n += 1;
            tally = voted.tally;
        }
        ctx.stage(
            "retest",
            format!(
                "{}: trained voice against base, {}",
                authors()[index].name,
                tally.words
            ),
        );
        wins += tally.wins;
    }
    if n == 0 {
        return Err(not_enough("No pair was voted on.", "Run the demo again."));
    }
    let tally = crate::votes::tally_of("trained voices".to_owned(), "base".to_owned(), wins, n);
    Ok(DemoRetest {
        wins,
        n,
        interval: tally.interval,
        rule: StyleVoter::RULE.to_owned(),
        tally,
    })
}

fn side(draft: &Draft) -> &'static str {
    if draft.adapter.is_some() {
        "trained voice"
    } else {
        "base"
    }
}

/// A request to the demo's own studio: progress goes to whoever runs the demo, and their stop reaches it.
fn ask(ctx: &mut Ctx, studio: &Studio, request: Request) -> Result<Response, UserError> {
    ctx.check()?;
    let cancel = ctx.cancel().clone();
    let inner = std::sync::Arc::clone(&studio.inner);
    studio.run(request, &mut |event| {
        if cancel.is_cancelled() {
            inner.jobs.close();
        }
        if matches!(event, Event::Progress { .. } | Event::Loss { .. }) {
            ctx.emit(event);
        }
    })
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut cut: String = line.chars().take(160).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

fn odd() -> UserError {
    UserError::new(
        idiolect_core::ErrorCode::Internal,
        "The demo got an answer it did not ask for.",
        "Please report this.",
    )
}
