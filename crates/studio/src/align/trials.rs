//! Drafts that a training writes on its way: the person sees what it has learned by then, and the run stops where drafts get
//! closer only by copying.

use idiolect_core::{
    UserError,
    adapter::{Run, TrialDraft},
    profile::Intent,
};
use idiolect_engine::LoraWeights;
use idiolect_llm::{Cancel, GenerateRequest, TextModel};
use idiolect_text::meters::{CountedMeters, MeasuredDrafts, Meters};
use idiolect_train::{Example, Row, TrainError, stop::Reading};

use super::{lessons::Lessons, report::BRIEFS};
use crate::{
    Inner,
    context::Ctx,
    models::Writer,
    retest::unanswered,
    writing::{Assignment, Subject, column, plan},
};

/// Tokens of such a draft: about 60 words, enough for its style to be counted.
const TOKENS: u32 = 80;
/// The same draft at every step but for what was learned.
const SEED: u64 = 1;

/// What a run writes with the weights it has, again and again.
pub(super) struct Trials<'a> {
    studio: &'a Inner,
    writer: &'a Writer,
    briefs: Vec<&'static str>,
    requests: Vec<GenerateRequest>,
    meters: CountedMeters,
    cancel: Cancel,
}

impl<'a> Trials<'a> {
    /// `None` where the run's settings ask for no drafts.
    pub(super) fn of<'c: 'a>(
        ctx: &Ctx<'c>,
        writer: &'a Writer,
        run: &Run,
        lessons: &Lessons,
    ) -> Result<Option<Self>, UserError> {
        let wanted = run.settings.trial_drafts as usize;
        if wanted == 0 {
            return Ok(None);
        }
        // Briefs that it learns an answer to would only show that; those at the far end are for the finished voice.
        let fresh = unanswered(ctx, &run.drafts).into_iter().rev();
        let briefs: Vec<&str> = fresh.skip(BRIEFS).take(wanted).collect();
        let subject = Subject::of(ctx, &run.profile)?;
        let mut requests = Vec::new();
        for &brief in &briefs {
            let assignment = Assignment {
                profile: &run.profile,
                intent: Intent::AsMe,
                brief,
                words: None,
            };
            let column = column(run.settings.method.clone(), TOKENS, SEED, None);
            let planned = plan(ctx, writer, &subject, &assignment, &[column])?;
            requests.extend(planned.into_iter().map(|p| p.request));
        }
        let texts = |examples: &[Example]| -> Vec<String> {
            let rows = examples.iter().filter_map(liked);
            rows.map(|row| writer.model.decode(&row.tokens[row.prompt..]))
                .collect()
        };
        // Whole texts where whole ones are held out: rows may have lost their ends.
        let whole = lessons.samples.iter();
        let mut held_out: Vec<String> = whole
            .filter(|sample| lessons.held_out_samples.contains(&sample.id))
            .map(|sample| sample.text.clone())
            .collect();
        if held_out.is_empty() {
            held_out = texts(&lessons.held_out);
        }
        let learned = texts(&lessons.train);
        Ok(Some(Self {
            studio: ctx.studio,
            writer,
            briefs,
            requests,
            meters: CountedMeters::new(&borrowed(&held_out), &borrowed(&learned)),
            cancel: ctx.cancel().clone(),
        }))
    }

    /// What these weights write, and what it is like, where there is text enough to speak of style: a function of them and
    /// the step alone, so that a resumed run stops where it would have.
    pub(super) fn write(
        &self,
        step: u32,
        weights: &LoraWeights,
    ) -> Result<(Vec<TrialDraft>, Option<Reading>), TrainError> {
        let model = &self.writer.model;
        let lent = model.lend(weights)?;
        let requests: Vec<GenerateRequest> = self
            .requests
            .iter()
            .map(|request| GenerateRequest {
                adapters: vec![lent.source()],
                ..request.clone()
            })
            .collect();
        let generations = {
            let _turn = crate::lock(&self.studio.jobs.model_turn);
            model.generate(&requests, &self.cancel, &mut |_, _| {})?
        };
        let texts: Vec<&str> = generations.iter().map(|g| g.text.as_str()).collect();
        let MeasuredDrafts { each, all } = self.meters.measure_all(&texts);
        let reading = all.style.map(|style| Reading {
            style,
            copied: all.copied_share,
        });
        let drafts = (self.briefs.iter().zip(texts).zip(each))
            .map(|((brief, text), measured)| TrialDraft {
                step,
                brief: (*brief).to_owned(),
                text: text.to_owned(),
                copied_words: measured.copied_words as u32,
                copied: measured.copied_share,
            })
            .collect();
        Ok((drafts, reading))
    }
}

/// The text that an example makes likelier.
fn liked(example: &Example) -> Option<&Row> {
    match example {
        Example::Text(row) | Example::Pair { chosen: row, .. } => Some(row),
        Example::Thumb { row, good } => good.then_some(row),
    }
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_pair_the_chosen_and_of_thumbs_the_good_are_learned() {
        let row = |token| Row {
            tokens: vec![1, token],
            prompt: 1,
        };
        let examples = [
            Example::Text(row(2)),
            Example::Pair {
                chosen: row(3),
                rejected: row(4),
            },
            Example::Thumb {
                row: row(5),
                good: false,
            },
            Example::Thumb {
                row: row(6),
                good: true,
            },
        ];
        let learned: Vec<u32> = examples
            .iter()
            .filter_map(liked)
            .map(|row| row.tokens[1])
            .collect();
        assert_eq!(learned, [2, 3, 6]);
    }
}
