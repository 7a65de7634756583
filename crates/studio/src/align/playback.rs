//! Briefs that the model writes for the person's texts, once a text; stored with the sample they speak of.

use std::collections::HashMap;

use idiolect_core::{UserError, draft::Sampling, ids::SampleId, sample::Sample};
use idiolect_llm::{Cancel, GenerateRequest, TextModel};
use idiolect_persona::playback;
use idiolect_store::StoredBrief;
use idiolect_text::segment::Span;

use crate::{
    context::{Ctx, Pace},
    errors::Told,
    models::Writer,
};

/// Briefs written side by side, and stored together.
const AT_ONCE: usize = 8;

/// A stretch of a sample that one brief is for.
pub(super) struct Chunk<'a> {
    pub(super) sample: &'a Sample,
    pub(super) span: Span,
    pub(super) text: &'a str,
}

impl Chunk<'_> {
    fn key(&self) -> (SampleId, u32, u32) {
        let Span { start, end } = self.span;
        (self.sample.id.clone(), start as u32, end as u32)
    }
}

/// Briefs by stretch. An empty one: the model had nothing usable to say, and need not be asked again.
#[derive(Default)]
pub(super) struct Playback {
    briefs: HashMap<(SampleId, u32, u32), String>,
    /// Stretches the model was not asked about yet.
    pub(super) missing: u32,
}

impl Playback {
    /// Those stored; the others are written first where `write` says so. A model too small for the task is not asked.
    pub(super) fn of(
        ctx: &mut Ctx,
        writer: &Writer,
        chunks: &[Chunk<'_>],
        write: bool,
    ) -> Result<Self, UserError> {
        if !can_write(&*writer.model) {
            return Ok(Self::default());
        }
        let mut playback = Self::default();
        let store = &ctx.studio.store;
        let sha = &writer.file.sha256;
        let mut seen: Vec<&SampleId> = Vec::new();
        for chunk in chunks {
            if seen.last() != Some(&&chunk.sample.id) {
                seen.push(&chunk.sample.id);
                let stored = store
                    .briefs(&chunk.sample.id, sha, playback::VERSION)
                    .told()?;
                for brief in stored {
                    let key = (brief.sample, brief.start, brief.end);
                    playback.briefs.insert(key, brief.brief);
                }
            }
        }
        let missing: Vec<&Chunk> = chunks
            .iter()
            .filter(|chunk| !playback.briefs.contains_key(&chunk.key()))
            .collect();
        playback.missing = missing.len() as u32;
        if !write {
            return Ok(playback);
        }
        let pace = Pace::new(missing.len() as u64, "texts");
        let cancel = ctx.cancel().clone();
        for (done, group) in missing.chunks(AT_ONCE).enumerate() {
            ctx.check()?;
            ctx.emit(pace.at((done * AT_ONCE) as u64, "Writing a brief for each text"));
            let texts: Vec<&str> = group.iter().map(|chunk| chunk.text).collect();
            let written = {
                let _turn = crate::lock(&ctx.studio.jobs.model_turn);
                written(&*writer.model, &texts, &cancel)?
            };
            ctx.check()?;
            let briefs: Vec<StoredBrief> = group
                .iter()
                .zip(written)
                .map(|(chunk, brief)| {
                    let (sample, start, end) = chunk.key();
                    let brief = brief.unwrap_or_default();
                    StoredBrief {
                        sample,
                        start,
                        end,
                        brief,
                    }
                })
                .collect();
            ctx.studio
                .store
                .put_briefs(sha, playback::VERSION, &briefs)
                .told()?;
            for brief in briefs {
                let key = (brief.sample, brief.start, brief.end);
                playback.briefs.insert(key, brief.brief);
            }
        }
        playback.missing = 0;
        Ok(playback)
    }

    /// The brief that the model wrote for a stretch, if it had something usable to say.
    pub(super) fn brief(&self, chunk: &Chunk<'_>) -> Option<&str> {
        self.briefs
            .get(&chunk.key())
            .map(String::as_str)
            .filter(|brief| !brief.is_empty())
    }
}

/// Whether a model is large enough for its briefs to say more than counted ones.
pub(super) fn can_write(model: &dyn TextModel) -> bool {
    model.info().parameters >= playback::SMALLEST_MODEL
}

/// A brief for each text, where the model's answer is one. Always the likeliest words: the same texts, the same briefs.
fn written(
    model: &dyn TextModel,
    texts: &[&str],
    cancel: &Cancel,
) -> Result<Vec<Option<String>>, UserError> {
    let requests = texts
        .iter()
        .map(|text| {
            let prompt = model.render(&playback::ask(text)).told()?;
            Ok(GenerateRequest {
                prompt: model.encode_prompt(&prompt).told()?,
                sampling: Sampling {
                    temperature: 0.0,
                    max_tokens: playback::BRIEF_TOKENS,
                    ..Sampling::default()
                },
                ..GenerateRequest::default()
            })
        })
        .collect::<Result<Vec<_>, UserError>>()?;
    let answers = model.generate(&requests, cancel, &mut |_, _| {}).told()?;
    Ok(answers
        .iter()
        .zip(texts)
        .map(|(answer, text)| playback::brief_of(&answer.text, text))
        .collect())
}

#[cfg(test)]
mod tests {
    use idiolect_llm::testing::FakeModel;

    use super::*;

    #[test]
    fn a_toy_is_asked_for_nothing_and_what_it_says_is_no_brief() {
        let model = FakeModel::new();
        assert!(!can_write(&model), "it has no parameters");
        let texts = ["A text of a few words.", "Another text of a few words."];
        let cancel = Cancel::default();
        let first = written(&model, &texts, &cancel).unwrap();
        assert_eq!(first.len(), 2, "an answer for each text");
        assert_eq!(first, written(&model, &texts, &cancel).unwrap());
    }
}
