//! Generation: every request steps together, one packed forward pass a token, each with its own adapters, directions,
//! randomness and form. A request that is steered away from a second stream has two sequences in the pass.

use std::time::Instant;

use candle_core::Tensor;
use idiolect_kernels::log_normalisers;
use idiolect_llm::{
    AdapterSource, Cancel, Ended, GenerateRequest, Generation, LlmError, Result, Steering, Token,
    sampling::{Sampler, away_from},
};

use crate::{
    decoder::{Sequence, Wanted},
    grammar::Form,
    kv::KvCache,
    lora::Adapter,
    model::{GENERATE_PRECISION, LoadedModel, PROMPT_PRECISION},
    stream::{Leading, Stream},
    values::{failed, read},
};

/// Rows of a prompt run in one batch.
pub(crate) const PROMPT_ROWS: usize = 512;
/// Shortest common beginning that is worth copying rather than computing.
const SHARED_TOKENS: usize = 16;

/// One prompt and what is written after it, as the model sees it.
struct Voice<'r> {
    prompt: &'r [Token],
    sources: &'r [AdapterSource],
    adapters: Vec<(Adapter, f32)>,
    steer: &'r [Steering],
    cache: KvCache,
    /// After the newest token.
    logits: Vec<f32>,
}

/// A text in the making.
struct Row<'r> {
    request: &'r GenerateRequest,
    own: Voice<'r>,
    /// What it is steered away from.
    other: Option<Voice<'r>>,
    form: Option<Form>,
    sampler: Sampler,
    /// Prompt and answer.
    history: Vec<Token>,
    log_probs: Vec<f32>,
    text: Stream,
    prompt_seconds: f64,
    seconds: f64,
    ended: Option<Ended>,
}

impl Row<'_> {
    fn voices(&self) -> impl Iterator<Item = &Voice<'_>> {
        std::iter::once(&self.own).chain(&self.other)
    }
}

impl LoadedModel {
    pub(crate) fn generate_all(
        &self,
        requests: &[GenerateRequest],
        cancel: &Cancel,
        on_text: &mut dyn FnMut(usize, &str),
    ) -> Result<Vec<Generation>> {
        for request in requests {
            for prompt in [
                Some(&request.prompt),
                request.against.as_ref().map(|a| &a.prompt),
            ]
            .into_iter()
            .flatten()
            {
                if prompt.is_empty() {
                    return Err(LlmError::Failed("an empty prompt".into()));
                }
                self.context_full(prompt.len() + 1)?;
                self.known_tokens(prompt)?;
            }
        }
        // Before any prompt is run: a schema that cannot be used is told at once.
        let forms = requests
            .iter()
            .map(|r| r.constraint.as_ref().map(|c| self.form(c)).transpose())
            .collect::<Result<Vec<_>>>()?;
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(requests.len());
        for (request, form) in requests.iter().zip(forms) {
            let row = self.with_team(|| self.row(request, form, &rows, cancel))?;
            rows.push(row);
        }
        self.decode_rows(&mut rows, cancel, on_text)?;
        Ok(rows
            .into_iter()
            .enumerate()
            .map(|(i, mut row)| {
                let rest = row.text.finish();
                if !rest.is_empty() {
                    on_text(i, &rest);
                }
                Generation {
                    text: row.text.told,
                    tokens: row.history.split_off(row.request.prompt.len()),
                    log_probs: row.log_probs,
                    ended: row.ended.unwrap_or(Ended::Length),
                    prompt_seconds: row.prompt_seconds,
                    seconds: row.seconds,
                }
            })
            .collect())
    }

    /// A text with its prompts run.
    fn row<'r>(
        &self,
        request: &'r GenerateRequest,
        form: Option<Form>,
        earlier: &[Row<'r>],
        cancel: &Cancel,
    ) -> Result<Row<'r>> {
        let started = Instant::now();
        let leading = if self.tokenizer().adds_space() {
            Leading::DropSpace
        } else {
            Leading::Keep
        };
        let mut row = Row {
            own: self.voice(
                (&request.prompt, &request.adapters, &request.steer),
                request,
                &mut earlier.iter().flat_map(Row::voices),
            )?,
            other: None,
            form,
            sampler: Sampler::new(&request.sampling),
            history: request.prompt.clone(),
            log_probs: Vec::new(),
            text: Stream::new(leading, &request.sampling.stop),
            prompt_seconds: 0.0,
            seconds: 0.0,
            ended: (request.sampling.max_tokens == 0).then_some(Ended::Length),
            request,
        };
        let mut whole = self.prefill(&mut row.own, cancel)?;
        if let Some(against) = &request.against {
            let mut other = self.voice(
                (&against.prompt, &against.adapters, &against.steer),
                request,
                &mut earlier.iter().chain([&row]).flat_map(Row::voices),
            )?;
            whole &= self.prefill(&mut other, cancel)?;
            row.other = Some(other);
        }
        if !whole {
            row.ended = Some(Ended::Cancelled);
        }
        row.prompt_seconds = started.elapsed().as_secs_f64();
        Ok(row)
    }

    /// A voice with an empty cache, or with a copy of what an earlier one has of the same beginning.
    fn voice<'r>(
        &self,
        (prompt, sources, steer): (&'r [Token], &'r [AdapterSource], &'r [Steering]),
        request: &GenerateRequest,
        earlier: &mut dyn Iterator<Item = &Voice<'_>>,
    ) -> Result<Voice<'r>> {
        // The last token is always run: its logits are needed.
        let common = |other: &Voice<'_>| -> usize {
            let same = prompt.iter().zip(other.prompt);
            let same = same.take_while(|(a, b)| a == b).count();
            same.min(prompt.len() - 1).min(other.cache.len())
        };
        let planned = prompt.len() + request.sampling.max_tokens as usize;
        let best = earlier
            .filter(|other| {
                other.sources == sources
                    && other.steer == steer
                    && self.config().rotates_alike(planned, other.cache.planned())
            })
            .map(|other| (common(other), other))
            .max_by_key(|(shared, _)| *shared)
            .filter(|(shared, _)| *shared >= SHARED_TOKENS);
        let mut cache = match best {
            Some((shared, other)) => other.cache.fork(shared),
            None => {
                let room = prompt.len() + request.sampling.max_tokens.min(1024) as usize;
                self.decoder().cache(room)
            }
        }
        .map_err(failed)?;
        cache.plan(planned);
        Ok(Voice {
            prompt,
            sources,
            adapters: self.adapters(sources)?,
            steer,
            cache,
            logits: Vec::new(),
        })
    }

    /// Runs what of a voice's prompt is not in its cache yet; false when cancelled.
    fn prefill(&self, voice: &mut Voice<'_>, cancel: &Cancel) -> Result<bool> {
        let logits = self.run_prompt(
            &mut voice.cache,
            voice.prompt,
            (&voice.adapters, voice.steer),
            cancel,
        )?;
        let Some(logits) = logits else {
            return Ok(false);
        };
        voice.logits = logits
            .flatten_all()
            .and_then(|l| l.to_vec1())
            .map_err(failed)?;
        Ok(true)
    }

    /// Runs what of a prompt is not in the cache yet, a batch at a time. The logits after it, `[1, vocabulary]`; none when
    /// cancelled, or when there was nothing to run.
    pub(crate) fn run_prompt(
        &self,
        cache: &mut KvCache,
        prompt: &[Token],
        (adapters, steer): (&[(Adapter, f32)], &[Steering]),
        cancel: &Cancel,
    ) -> Result<Option<Tensor>> {
        while cache.len() < prompt.len() {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            let start = cache.len();
            let end = (start + PROMPT_ROWS).min(prompt.len());
            let last = end == prompt.len();
            let mut sequence = [Sequence {
                adapters,
                steer,
                wanted: if last { Wanted::Last } else { Wanted::Nothing },
                ..Sequence::new(cache, &prompt[start..end])
            }];
            if last {
                return self.step(&mut sequence, PROMPT_PRECISION).map(Some);
            }
            self.decoder()
                .forward(&mut sequence, PROMPT_PRECISION, None)
                .map_err(failed)?;
        }
        Ok(None)
    }

    fn decode_rows(
        &self,
        rows: &mut [Row<'_>],
        cancel: &Cancel,
        on_text: &mut dyn FnMut(usize, &str),
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            for (i, row) in rows.iter_mut().enumerate() {
                if row.ended.is_some() {
                    continue;
                }
                if cancel.is_cancelled() {
                    row.ended = Some(Ended::Cancelled);
                } else {
                    self.take_token(row, &mut |text| on_text(i, text))?;
                }
                row.seconds = started.elapsed().as_secs_f64();
            }
            if rows.iter().all(|r| r.ended.is_some()) {
                return Ok(());
            }
            self.with_team(|| self.step_rows(rows))?;
        }
    }

    /// Runs the newest token of every text that goes on, in all its voices.
    fn step_rows(&self, rows: &mut [Row<'_>]) -> Result<()> {
        let vocabulary = self.config().vocabulary;
        let mut sequences = Vec::new();
        let mut logits = Vec::new();
        for row in rows.iter_mut().filter(|r| r.ended.is_none()) {
            let newest = &row.history[row.history.len() - 1..];
            for voice in std::iter::once(&mut row.own).chain(&mut row.other) {
                sequences.push(Sequence {
                    adapters: &voice.adapters,
                    steer: voice.steer,
                    ..Sequence::new(&mut voice.cache, newest)
                });
                logits.push(&mut voice.logits);
            }
        }
        let stepped = self.step(&mut sequences, GENERATE_PRECISION)?;
        read(&stepped, |all| {
            for (to, row) in logits.into_iter().zip(all.chunks_exact(vocabulary)) {
                to.copy_from_slice(row);
            }
        })
        .map_err(failed)
    }

    fn take_token(&self, row: &mut Row<'_>, on_text: &mut dyn FnMut(&str)) -> Result<()> {
        let mut normaliser = [0.0];
        let own = &row.own.logits;
        log_normalisers(own, own.len(), &mut normaliser, self.decoder().level());
        let mut logits = match (&row.other, &row.request.against) {
            (Some(other), Some(against)) => {
                away_from(own, &other.logits, against.strength, against.plausible)
            }
            _ => own.clone(),
        };
        if let Some(form) = &mut row.form {
            form.cut(&mut logits)?;
        }
        let token = row.sampler.choose(&mut logits, &row.history)?;
        if self.tokenizer().is_end(token) {
            row.ended = Some(Ended::Stop);
            return Ok(());
        }
        let log_prob = own[token as usize] - normaliser[0];
        row.history.push(token);
        row.log_probs.push(log_prob);
        let new = row.text.push(self.tokenizer().bytes(token));
        if !new.is_empty() {
            on_text(&new);
        }
        let whole = match &mut row.form {
            Some(form) => form.take(token)?,
            None => false,
        };
        let written = row.history.len() - row.request.prompt.len();
        let longest = row.voices().map(|v| v.prompt.len()).max().unwrap_or(0);
        if row.text.stopped || whole {
            row.ended = Some(Ended::Stop);
        } else if written >= row.request.sampling.max_tokens as usize
            || longest + written >= self.config().context
        {
            row.ended = Some(Ended::Length);
        }
        Ok(())
    }
}
