//! Generation: every request steps together, one packed forward pass a token, each with its own adapter and randomness.

use std::time::Instant;

use candle_core::Tensor;
use idiolect_llm::{
    Cancel, Ended, GenerateRequest, Generation, LlmError, Result, Token, sampling::Sampler,
};

use crate::{
    decoder::{Sequence, Wanted},
    kv::KvCache,
    lora::Adapter,
    model::{GENERATE_PRECISION, LoadedModel, PROMPT_PRECISION},
    values::failed,
};

/// Rows of a prompt run in one batch.
pub(crate) const PROMPT_ROWS: usize = 512;
/// Shortest common beginning that is worth copying rather than computing.
const SHARED_TOKENS: usize = 16;

/// A text in the making.
struct Row {
    cache: KvCache,
    adapter: Option<(Adapter, f32)>,
    sampler: Sampler,
    /// Prompt and answer.
    history: Vec<Token>,
    log_probs: Vec<f32>,
    text: Stream,
    prompt_seconds: f64,
    seconds: f64,
    ended: Option<Ended>,
}

impl LoadedModel {
    pub(crate) fn generate_all(
        &self,
        requests: &[GenerateRequest],
        cancel: &Cancel,
        on_text: &mut dyn FnMut(usize, &str),
    ) -> Result<Vec<Generation>> {
        let mut rows: Vec<Row> = Vec::with_capacity(requests.len());
        let mut logits: Vec<Option<Vec<f32>>> = Vec::with_capacity(requests.len());
        for request in requests {
            if request.prompt.is_empty() {
                return Err(LlmError::Failed("an empty prompt".into()));
            }
            self.context_full(request.prompt.len() + 1)?;
            self.known_tokens(&request.prompt)?;
        }
        for (i, request) in requests.iter().enumerate() {
            let started = Instant::now();
            let adapter = self.adapter(request.adapter.as_ref())?;
            let cache = self.with_team(|| shared_cache(self, &requests[..i], &rows, request))?;
            let mut row = Row {
                cache,
                adapter,
                sampler: Sampler::new(&request.sampling),
                history: request.prompt.clone(),
                log_probs: Vec::new(),
                text: Stream::new(&self.tokenizer_settings(), &request.sampling.stop),
                prompt_seconds: 0.0,
                seconds: 0.0,
                ended: (request.sampling.max_tokens == 0).then_some(Ended::Length),
            };
            logits.push(self.with_team(|| self.prefill(&mut row, &request.prompt, cancel))?);
            row.prompt_seconds = started.elapsed().as_secs_f64();
            rows.push(row);
        }
        self.decode_rows(requests, &mut rows, logits, cancel, on_text)?;
        Ok(rows
            .into_iter()
            .zip(requests)
            .enumerate()
            .map(|(i, (mut row, request))| {
                let rest = row.text.finish();
                if !rest.is_empty() {
                    on_text(i, &rest);
                }
                Generation {
                    text: row.text.told,
                    tokens: row.history.split_off(request.prompt.len()),
                    log_probs: row.log_probs,
                    ended: row.ended.unwrap_or(Ended::Length),
                    prompt_seconds: row.prompt_seconds,
                    seconds: row.seconds,
                }
            })
            .collect())
    }

    fn tokenizer_settings(&self) -> Leading {
        if self.tokenizer().adds_space() {
            Leading::DropSpace
        } else {
            Leading::Keep
        }
    }

    /// Runs what of the prompt is not in the cache yet; the logits after it, or none when cancelled.
    fn prefill(
        &self,
        row: &mut Row,
        prompt: &[Token],
        cancel: &Cancel,
    ) -> Result<Option<Vec<f32>>> {
        while row.cache.len() < prompt.len() {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            let start = row.cache.len();
            let end = (start + PROMPT_ROWS).min(prompt.len());
            let wanted = if end == prompt.len() {
                Wanted::Last
            } else {
                Wanted::Nothing
            };
            let mut sequence = [Sequence {
                cache: &mut row.cache,
                tokens: &prompt[start..end],
                branches: None,
                adapter: row.adapter.as_ref().map(|(a, s)| (a, *s)),
                wanted,
            }];
            if wanted == Wanted::Last {
                let logits = self.step(&mut sequence, PROMPT_PRECISION)?;
                return Ok(to_rows(&logits)?.pop());
            }
            self.decoder()
                .forward(&mut sequence, PROMPT_PRECISION, None)
                .map_err(failed)?;
        }
        Ok(None)
    }

    fn decode_rows(
        &self,
        requests: &[GenerateRequest],
        rows: &mut [Row],
        mut logits: Vec<Option<Vec<f32>>>,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(usize, &str),
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            for (i, row) in rows
                .iter_mut()
                .enumerate()
                .filter(|(_, r)| r.ended.is_none())
            {
                match logits[i].take() {
                    Some(logits) if !cancel.is_cancelled() => {
                        self.take_token(row, &requests[i], &logits, &mut |text| on_text(i, text))?;
                    }
                    _ => row.ended = Some(Ended::Cancelled),
                }
                row.seconds = started.elapsed().as_secs_f64();
            }
            let active: Vec<usize> = (0..rows.len())
                .filter(|&i| rows[i].ended.is_none())
                .collect();
            if active.is_empty() {
                return Ok(());
            }
            let stepped = self.with_team(|| -> Result<Vec<Vec<f32>>> {
                let mut sequences: Vec<Sequence<'_>> = rows
                    .iter_mut()
                    .filter(|r| r.ended.is_none())
                    .map(|row| Sequence {
                        tokens: &row.history[row.history.len() - 1..],
                        cache: &mut row.cache,
                        branches: None,
                        adapter: row.adapter.as_ref().map(|(a, s)| (a, *s)),
                        wanted: Wanted::Last,
                    })
                    .collect();
                to_rows(&self.step(&mut sequences, GENERATE_PRECISION)?)
            })?;
            for (i, row) in active.into_iter().zip(stepped) {
                logits[i] = Some(row);
            }
        }
    }

    fn take_token(
        &self,
        row: &mut Row,
        request: &GenerateRequest,
        logits: &[f32],
        on_text: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let drawn = row.sampler.draw(logits, &row.history)?;
        if self.tokenizer().is_end(drawn.token) {
            row.ended = Some(Ended::Stop);
            return Ok(());
        }
        row.history.push(drawn.token);
        row.log_probs.push(drawn.log_prob);
        let new = row.text.push(self.tokenizer().bytes(drawn.token));
        if !new.is_empty() {
            on_text(&new);
        }
        let written = row.history.len() - request.prompt.len();
        if row.text.stopped {
            row.ended = Some(Ended::Stop);
        } else if written >= request.sampling.max_tokens as usize
            || row.history.len() >= self.config().context
        {
            row.ended = Some(Ended::Length);
        }
        Ok(())
    }
}

/// A cache for `request`: a fork of the earlier prompt it shares most of its beginning with, or an empty one.
fn shared_cache(
    model: &LoadedModel,
    earlier: &[GenerateRequest],
    rows: &[Row],
    request: &GenerateRequest,
) -> Result<KvCache> {
    let prompt = &request.prompt;
    let common = |other: &GenerateRequest| -> usize {
        let same = prompt
            .iter()
            .zip(&other.prompt)
            .take_while(|(a, b)| a == b)
            .count();
        // The last token is always run: its logits are needed.
        same.min(prompt.len() - 1)
    };
    let planned = prompt.len() + request.sampling.max_tokens as usize;
    let best = earlier
        .iter()
        .zip(rows)
        .filter(|(other, row)| {
            other.adapter == request.adapter
                && model.config().rotates_alike(planned, row.cache.planned())
        })
        .map(|(other, row)| (common(other).min(row.cache.len()), row))
        .max_by_key(|(shared, _)| *shared)
        .filter(|(shared, _)| *shared >= SHARED_TOKENS);
    let mut cache = match best {
        Some((shared, row)) => row.cache.fork(shared),
        None => model
            .decoder()
            .cache(prompt.len() + request.sampling.max_tokens.min(1024) as usize),
    }
    .map_err(failed)?;
    cache.plan(planned);
    Ok(cache)
}

fn to_rows(logits: &Tensor) -> Result<Vec<Vec<f32>>> {
    logits.to_vec2().map_err(failed)
}

/// What to do with a text's first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leading {
    Keep,
    /// SentencePiece writes the first word's space; it is not part of the text.
    DropSpace,
}

/// Bytes to text: whole characters only, nothing that may still turn out to begin a stop text.
#[derive(Debug)]
struct Stream {
    stops: Vec<String>,
    leading: Leading,
    bytes: Vec<u8>,
    /// Whole characters that are held back.
    held: String,
    /// What was handed out.
    told: String,
    stopped: bool,
}

impl Stream {
    fn new(leading: &Leading, stops: &[String]) -> Self {
        Self {
            stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(),
            leading: *leading,
            bytes: Vec::new(),
            held: String::new(),
            told: String::new(),
            stopped: false,
        }
    }

    /// Takes a token's bytes and gives the text that is certain now.
    fn push(&mut self, bytes: &[u8]) -> String {
        self.bytes.extend_from_slice(bytes);
        let mut rest = self.bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.held.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, broken) = rest.split_at(error.valid_up_to());
                    self.held.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        Some(n) => {
                            self.held.push(char::REPLACEMENT_CHARACTER);
                            rest = &broken[n..];
                        }
                        None => {
                            rest = broken;
                            break;
                        }
                    }
                }
            }
        }
        self.bytes = rest.to_vec();
        if self.leading == Leading::DropSpace && !self.held.is_empty() {
            if self.held.starts_with(' ') {
                self.held.remove(0);
            }
            self.leading = Leading::Keep;
        }
        if let Some(at) = self
            .stops
            .iter()
            .filter_map(|s| self.held.find(s.as_str()))
            .min()
        {
            self.held.truncate(at);
            self.stopped = true;
            return self.tell(self.held.len());
        }
        let safe = self.held.len() - self.may_begin_stop();
        self.tell(safe)
    }

    /// Bytes at the end of the held text that a stop text may begin with.
    fn may_begin_stop(&self) -> usize {
        let begins = |stop: &String| {
            (1..stop.len())
                .rev()
                .filter(|&n| stop.is_char_boundary(n))
                .find(|&n| self.held.ends_with(&stop[..n]))
                .unwrap_or(0)
        };
        self.stops.iter().map(begins).max().unwrap_or(0)
    }

    fn tell(&mut self, length: usize) -> String {
        let rest = self.held.split_off(length);
        let now = std::mem::replace(&mut self.held, rest);
        self.told.push_str(&now);
        now
    }

    /// What was held back, when nothing follows any more. Bytes of an unfinished character are dropped.
    fn finish(&mut self) -> String {
        if self.stopped {
            String::new()
        } else {
            self.tell(self.held.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(stops: &[&str], pieces: &[&[u8]]) -> (Vec<String>, Stream) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut stream = Stream::new(&Leading::Keep, &stops);
        let mut told: Vec<String> = pieces.iter().map(|p| stream.push(p)).collect();
        told.push(stream.finish());
        (told, stream)
    }

    #[test]
    fn only_whole_characters_are_told() {
        let (told, s) = stream(&[], &[b"a\xc3", b"\xa9b", b"\xf0\x9f\x98"]);
        assert_eq!(
            told,
            ["a", "éb", "", ""],
            "halves wait for their other half"
        );
        assert_eq!(s.told, "aéb", "what never became whole is left out");
        assert_eq!(
            stream(&[], &[b"a\xffb"]).1.told,
            "a\u{fffd}b",
            "what can never become whole is marked"
        );
    }

    #[test]
    fn stop_texts_never_show() {
        let (told, s) = stream(&["END", "\n\n"], &[b"one E", b"N", b"D two"]);
        assert_eq!(
            told,
            ["one ", "", "", ""],
            "the beginning of a stop text is held back"
        );
        assert!(s.stopped, "and it stops");
        let (told, s) = stream(&["END"], &[b"E", b"N", b"ough"]);
        assert_eq!(told, ["", "", "ENough", ""], "a false alarm is told");
        assert!(!s.stopped, "and goes on");
        assert_eq!(
            stream(&["END"], &[b"the EN"]).1.told,
            "the EN",
            "held text comes at the end"
        );
    }

    #[test]
    fn the_tokenizers_own_first_space_is_dropped_once() {
        let mut s = Stream::new(&Leading::DropSpace, &[]);
        assert_eq!(s.push(b""), "", "nothing yet");
        assert_eq!(s.push(b"  a"), " a", "one space");
        assert_eq!(s.push(b" b"), " b", "and only at the beginning");
    }
}
