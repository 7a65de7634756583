//! How a trained voice does on texts that it did not learn from, beside what it has to beat: the plain model, the person's
//! excerpts in the prompt, another author's voice. Counted here; whether the person likes it, only the blind test says.

use std::collections::{BTreeMap, BTreeSet};

use idiolect_core::{
    Interval, UserError,
    adapter::{Adapter, AdapterReport},
    draft::{AdapterUse, Method},
    ids::{AdapterId, SampleId},
    profile::Intent,
    training::TrainSettings,
    vote::Choice,
};
use idiolect_llm::{AdapterSource, TextModel};
use idiolect_persona::{
    Passage,
    briefs::Briefs,
    likelihood::of_answer,
    prompts::{self, Task},
    simulated::StyleVoter,
};
use idiolect_text::meters::{CountedMeters, Meters};

use super::{
    control::{Control, control, somebody_else},
    lessons::{Chunks, kind_of, lessons_of_run, subject_of},
    playback::Chunk,
    run::steps,
};
use crate::{
    api::Response,
    context::{Ctx, Pace},
    errors::{Told, not_enough},
    eval::bootstrap,
    models::Writer,
    retest::unlearned,
    writing::{Assignment, Subject, adapter_source, column, material, plan, unstored},
};

/// Passages measured at most: each is read under four conditions.
const MOST_PASSAGES: usize = 24;
/// Fewer texts give no margin worth showing.
const FEWEST_FOR_A_MARGIN: usize = 4;
/// Briefs that both write on.
pub(super) const BRIEFS: usize = 8;
/// Briefs written on together.
const TOGETHER: usize = 2;
/// Tokens of such a draft: about 75 words.
const DRAFT_TOKENS: u32 = 100;
/// The same drafts every time.
const SEED: u64 = 1;

/// Measures a trained voice and keeps what was found with it.
pub(crate) fn measure(ctx: &mut Ctx, adapter: &AdapterId) -> Result<Response, UserError> {
    let voice = ctx.studio.store.adapter(adapter).told()?;
    ctx.start_job(&format!("Testing “{}”", voice.name), false);
    let writer = ctx.studio.models.writer(ctx, Some(&voice.model))?;
    let own = adapter_source(ctx, &writer, &AdapterUse::new(voice.id.clone(), 1.0))?;
    let subject = Subject::of(ctx, &voice.profile)?;
    let learned = Learned::of(ctx, &writer, &voice)?;
    let chunks = Chunks::of(&subject.samples, &learned.settings);
    let mut unseen: Vec<&Chunk> = (chunks.all.iter())
        .filter(|chunk| learned.may_measure(&chunk.sample.id))
        .collect();
    if unseen.is_empty() {
        return Err(not_enough(
            format!(
                "“{}” learned from every text you gave: there is none left to test it on.",
                voice.name
            ),
            "Add one or two more texts and test it again.",
        ));
    }
    let mut report = AdapterReport::default();
    if unseen
        .iter()
        .any(|c| learned.held_out.contains(&c.sample.id))
    {
        report.notes.push("Some of these texts were held out of the training and told it when to stop, which flatters the voice a little. Texts that you add from now on do not.".into());
    }
    if unseen.len() > MOST_PASSAGES {
        report.notes.push(format!(
            "{MOST_PASSAGES} of {} passages were measured.",
            unseen.len()
        ));
        unseen.truncate(MOST_PASSAGES);
    }
    let other = match somebody_else(&subject.samples) {
        _ if !learned_texts(&voice) => {
            report.notes.push(
                "Another author's voice was not compared: this voice did not learn from texts."
                    .into(),
            );
            None
        }
        None => None,
        Some(author) => Some(control(
            ctx,
            &writer,
            author,
            &learned.settings,
            learned.tokens,
        )?),
    };
    let reading = Reading {
        writer: &writer,
        subject: &subject,
        learned: &learned,
        method: &voice.method,
    };
    reading.bits(ctx, &unseen, own, other.as_ref(), &mut report)?;
    if let Some(other) = &other {
        report.wrong_author = format!(
            "{}, an invented author, learned alike from {} tokens a pass (yours from {})",
            other.author.name, other.tokens, learned.tokens
        );
    }
    judge(ctx, &writer, &subject, &voice, &unseen, &mut report)?;
    Ok(Response::Adapter {
        adapter: ctx
            .studio
            .store
            .set_adapter_report(adapter, &report)
            .told()?,
    })
}

/// Whether it learned to write the person's texts, rather than to prefer or from elsewhere.
fn learned_texts(voice: &Adapter) -> bool {
    voice.objective.is_some_and(|o| !o.uses_preferences())
}

/// What a voice learned from.
struct Learned {
    settings: TrainSettings,
    samples: BTreeSet<SampleId>,
    /// Those of them that were held out.
    held_out: BTreeSet<SampleId>,
    /// Tokens of a pass over them.
    tokens: u64,
}

impl Learned {
    fn of(ctx: &mut Ctx, writer: &Writer, voice: &Adapter) -> Result<Self, UserError> {
        let mut learned = Self {
            settings: TrainSettings::default(),
            samples: voice.samples.iter().cloned().collect(),
            held_out: BTreeSet::new(),
            tokens: 0,
        };
        let Some(run) = &voice.run else {
            return Ok(learned);
        };
        let run = ctx.studio.store.run(run).told()?;
        learned.settings = run.settings.clone();
        if learned_texts(voice) {
            let lessons = lessons_of_run(ctx, writer, &run)?;
            learned.tokens = lessons.tokens();
            // Somebody else's voice learns for as long as this one did, wherever that was stopped.
            let planned = steps(&run.settings, &lessons.train)?;
            let taken = run.curve.last().map_or(planned, |point| point.step);
            let share = f64::from(taken) / f64::from(planned.max(1));
            let epochs = (f64::from(run.settings.epochs) * share).ceil();
            learned.settings.epochs = (epochs as u32).clamp(1, run.settings.epochs);
            // The split follows what was there: with a text gone, which ones were held out cannot be told any more.
            if voice.samples_gone == 0 {
                learned.held_out = lessons.held_out_samples.into_iter().collect();
            }
        }
        Ok(learned)
    }

    fn may_measure(&self, sample: &SampleId) -> bool {
        !self.samples.contains(sample) || self.held_out.contains(sample)
    }

    /// Whether a text may be quoted while another is measured: those that were learned from, or any other where none were.
    fn may_quote(&self, quoted: &SampleId, measured: &SampleId) -> bool {
        quoted != measured && (self.samples.is_empty() || !self.may_measure(quoted))
    }
}

/// Reads texts under prompts of one profile.
struct Reading<'a> {
    writer: &'a Writer,
    subject: &'a Subject,
    learned: &'a Learned,
    method: &'a Method,
}

/// Nats and tokens of a text.
type Nats = (f64, usize);

impl Reading<'_> {
    /// Bits a token of every passage as the answer to its counted brief.
    fn bits(
        &self,
        ctx: &mut Ctx,
        unseen: &[&Chunk],
        own: AdapterSource,
        other: Option<&Control>,
        report: &mut AdapterReport,
    ) -> Result<(), UserError> {
        let excerpts: Method = "excerpts".parse().expect("a shipped method");
        let other = other.map(|other| AdapterSource {
            dir: other.dir.clone(),
            scale: 1.0,
        });
        let texts: Vec<&str> = unseen.iter().map(|chunk| chunk.text).collect();
        let briefs = Briefs::new(&texts);
        let pace = Pace::new(unseen.len() as u64, "passages");
        let (mut base, mut quoted, mut voiced, mut wrong) = (vec![], vec![], vec![], vec![]);
        for (n, chunk) in unseen.iter().enumerate() {
            ctx.check()?;
            let brief = briefs.of_kind(kind_of(chunk.sample), chunk.text, subject_of(chunk.sample));
            let read = |method: &Method, voice: Option<&AdapterSource>| {
                self.read(ctx, chunk, &brief, method, voice)
            };
            base.push(read(self.method, None)?);
            quoted.push(read(&excerpts, None)?);
            voiced.push(read(self.method, Some(&own))?);
            if let Some(other) = &other {
                wrong.push(read(self.method, Some(other))?);
            }
            ctx.emit(pace.at(n as u64 + 1, "Reading texts that it did not learn from"));
        }
        let units: Vec<&SampleId> = unseen.iter().map(|chunk| &chunk.sample.id).collect();
        let of = |nats: &[Nats]| per_token(nats.iter());
        report.texts = units.iter().collect::<BTreeSet<_>>().len() as u32;
        report.tokens = base.iter().map(|(_, tokens)| *tokens as u64).sum();
        report.bits_base = of(&base).unwrap_or_default();
        report.bits_excerpts = of(&quoted);
        report.bits_own = of(&voiced).unwrap_or_default();
        report.bits_wrong_author = of(&wrong);
        report.own_minus_base = margin(&voiced, &base, &units);
        if report.own_minus_base.is_none() {
            report.notes.push(format!(
                "Not enough evidence yet for a margin: it takes {FEWEST_FOR_A_MARGIN} texts that it did not learn from."
            ));
        }
        Ok(())
    }

    fn read(
        &self,
        ctx: &Ctx,
        chunk: &Chunk,
        brief: &str,
        method: &Method,
        voice: Option<&AdapterSource>,
    ) -> Result<Nats, UserError> {
        let model = &*self.writer.model;
        let passages: Vec<Passage> = (self.subject.samples.iter())
            .filter(|s| self.learned.may_quote(&s.id, &chunk.sample.id))
            .map(Passage::from)
            .collect();
        let material = material(&self.subject.view, &passages);
        let task = Task {
            intent: Intent::AsMe,
            method,
            brief,
            words: None,
        };
        let room = model.encode(chunk.text).told()?.len() + 1;
        let prompt = prompts::build(&task, &material, model, room).told()?;
        let (log_prob, tokens) =
            of_answer(model, &prompt.messages, chunk.text, voice, ctx.cancel()).told()?;
        Ok((-log_prob, tokens))
    }
}

/// Bits a token over texts; none where there are none.
fn per_token<'a>(texts: impl Iterator<Item = &'a Nats>) -> Option<f64> {
    let (nats, tokens) = texts.fold((0.0, 0), |(nats, tokens), (n, t)| (nats + n, tokens + t));
    (tokens > 0).then(|| nats / tokens as f64 / std::f64::consts::LN_2)
}

/// 95 % of the difference in bits a token; passages of one text are drawn together.
fn margin(own: &[Nats], base: &[Nats], units: &[&SampleId]) -> Option<Interval> {
    let mut by_text: BTreeMap<&SampleId, (f64, usize)> = BTreeMap::new();
    for ((own, base), unit) in own.iter().zip(base).zip(units) {
        let text = by_text.entry(unit).or_default();
        text.0 += own.0 - base.0;
        text.1 += own.1;
    }
    let texts: Vec<(f64, usize)> = by_text.into_values().collect();
    if texts.len() < FEWEST_FOR_A_MARGIN {
        return None;
    }
    bootstrap(texts.len(), SEED, |drawn| {
        per_token(drawn.iter().map(|&index| &texts[index]))
    })
}

/// Drafts on fresh briefs with the voice and without it: how close each comes to the unseen texts, and which of the two a
/// rule that counts habits takes for the person's.
fn judge(
    ctx: &mut Ctx,
    writer: &Writer,
    subject: &Subject,
    voice: &Adapter,
    unseen: &[&Chunk],
    report: &mut AdapterReport,
) -> Result<(), UserError> {
    let fresh = unlearned(ctx, &[voice])?;
    // From the far end of the shelf: blind tests begin at the near one.
    let briefs: Vec<&str> = fresh.into_iter().rev().take(BRIEFS).collect();
    let (mut plain, mut voiced) = (Vec::new(), Vec::new());
    let pace = Pace::new(briefs.len() as u64, "briefs");
    for (round, several) in briefs.chunks(TOGETHER).enumerate() {
        let mut planned = Vec::new();
        for brief in several {
            let assignment = Assignment {
                profile: &voice.profile,
                intent: Intent::AsMe,
                brief,
                words: None,
            };
            let columns = [None, Some(AdapterUse::new(voice.id.clone(), 1.0))]
                .map(|used| column(voice.method.clone(), DRAFT_TOKENS, SEED, used));
            planned.extend(plan(ctx, writer, subject, &assignment, &columns)?);
        }
        for pair in unstored(ctx, writer, &planned)?.chunks(2) {
            let [base, own] = pair else { continue };
            plain.push(base.clone());
            voiced.push(own.clone());
        }
        let done = (round * TOGETHER + several.len()) as u64;
        ctx.emit(pace.at(done, "Writing drafts with the voice and without it"));
    }
    let held_out: Vec<&str> = unseen.iter().map(|chunk| chunk.text).collect();
    let meters = CountedMeters::new(&held_out, &[]);
    let style = |drafts: &[String]| {
        let drafts: Vec<&str> = drafts.iter().map(String::as_str).collect();
        meters.measure_all(&drafts).all.style
    };
    report.style_base = style(&plain);
    report.style_own = style(&voiced);
    let others: Vec<&str> = somebody_else(&subject.samples)
        .into_iter()
        .flat_map(|author| author.texts.iter().map(|t| t.text.as_str()))
        .collect();
    let voter = StyleVoter::new(&held_out, &others);
    let wins: f64 = (plain.iter().zip(&voiced))
        .map(|(base, own)| match voter.choose(base, own) {
            Choice::Right => 1.0,
            Choice::Left => 0.0,
            _ => 0.5,
        })
        .sum();
    report.win_rate_n = plain.len() as u32;
    if !plain.is_empty() {
        let n = plain.len() as f64;
        report.win_rate = Some(wins / n);
        report.win_rate_interval = Some(Interval::wilson(wins, n));
    }
    report.notes.push(
        "The judge counts habits and does not read. Whether you like the drafts more, only the blind test says."
            .into(),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_draws_texts_and_not_passages() {
        let ids: Vec<SampleId> = (0..6).map(|n| SampleId(format!("s-{n}"))).collect();
        let base: Vec<Nats> = vec![(40.0, 10); 12];
        let own: Vec<Nats> = (0..12).map(|n| (40.0 - f64::from(n / 2 + 1), 10)).collect();
        let each: Vec<&SampleId> = (0..12).map(|n| &ids[n / 2]).collect();
        let found = margin(&own, &base, &each).unwrap();
        let mean = -0.35 / std::f64::consts::LN_2;
        assert!(
            found.low < mean && mean < found.high && found.high < 0.0,
            "{found:?}"
        );
        let two: Vec<&SampleId> = (0..12).map(|n| &ids[n / 6]).collect();
        assert_eq!(
            margin(&own, &base, &two),
            None,
            "twelve passages of two texts"
        );
        assert_eq!(per_token([].iter()), None);
        let bits = per_token(base.iter()).unwrap();
        assert!((bits - 4.0 / std::f64::consts::LN_2).abs() < 1e-12);
    }

    #[test]
    fn what_was_learned_is_quoted_and_the_rest_is_measured() {
        let ids: Vec<SampleId> = (0..4).map(|n| SampleId(format!("s-{n}"))).collect();
        let mut learned = Learned {
            settings: TrainSettings::default(),
            samples: ids[..3].iter().cloned().collect(),
            held_out: ids[2..3].iter().cloned().collect(),
            tokens: 0,
        };
        let measured: Vec<bool> = ids.iter().map(|id| learned.may_measure(id)).collect();
        assert_eq!(measured, [false, false, true, true]);
        assert!(learned.may_quote(&ids[0], &ids[3]));
        assert!(!learned.may_quote(&ids[2], &ids[3]), "held out");
        learned.samples.clear();
        assert!(
            learned.may_quote(&ids[0], &ids[3]),
            "a voice of votes learned from no text"
        );
        assert!(!learned.may_quote(&ids[3], &ids[3]), "never itself");
    }
}
