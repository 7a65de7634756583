//! Log-probabilities of continuations: prefixes computed once, continuations packed behind them, logits a few rows at a time.

use candle_core::{D, Tensor};
use idiolect_kernels::{Precision, log_softmax_gather};
use idiolect_llm::{Cancel, Result, ScoreRequest, Token};

use crate::{
    decoder::{Sequence, Wanted},
    kv::KvCache,
    lora::Adapter,
    loss::rows_at_a_time,
    model::LoadedModel,
    values::{failed, values},
};

/// Rows run in one packed batch: enough to share the decoding of the weights, few enough to stay in the caches.
pub(crate) const ROWS: usize = 512;
/// Bytes of key/value caches held at once; requests beyond wait.
const CACHE_BYTES: usize = 512 << 20;

/// A request in work.
struct Work<'a> {
    request: &'a ScoreRequest,
    adapter: Option<(Adapter, f32)>,
    cache: KvCache,
    results: Vec<Vec<f32>>,
}

impl LoadedModel {
    /// [`idiolect_llm::TextModel::score`] with a choice of precision; call it on the model's threads ([`LoadedModel::install`]).
    ///
    /// # Errors
    /// As `score`.
    pub fn score_at(
        &self,
        requests: &[ScoreRequest],
        precision: Precision,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<Vec<f32>>>> {
        let per_token = self.config().cache_bytes_per_token().max(1);
        let mut results = Vec::with_capacity(requests.len());
        let mut rest = requests;
        while !rest.is_empty() {
            let mut tokens = 0;
            let fitting = rest
                .iter()
                .take_while(|r| {
                    tokens += r.prefix.len() + ROWS.min(longest(r));
                    tokens * per_token <= CACHE_BYTES
                })
                .count()
                .max(1);
            let (now, later) = rest.split_at(fitting);
            results.extend(self.score_group(now, precision, cancel)?);
            rest = later;
        }
        Ok(results)
    }

    fn score_group(
        &self,
        requests: &[ScoreRequest],
        precision: Precision,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<Vec<f32>>>> {
        let mut works = Vec::with_capacity(requests.len());
        for request in requests {
            self.context_full(request.prefix.len() + longest(request))?;
            self.known_tokens(&request.prefix)?;
            request
                .continuations
                .iter()
                .try_for_each(|c| self.known_tokens(c))?;
            let mut cache = self
                .decoder()
                .cache(request.prefix.len() + 1)
                .map_err(failed)?;
            cache.plan(request.prefix.len() + longest(request));
            works.push(Work {
                request,
                adapter: self.adapter(request.adapter.as_ref())?,
                cache,
                results: request
                    .continuations
                    .iter()
                    .map(|c| Vec::with_capacity(c.len()))
                    .collect(),
            });
        }
        self.prefixes(&mut works, precision, cancel)?;
        self.continuations(&mut works, precision, cancel)?;
        Ok(works.into_iter().map(|w| w.results).collect())
    }

    /// Fills the caches with the prefixes and scores the first token of every continuation.
    fn prefixes(
        &self,
        works: &mut [Work<'_>],
        precision: Precision,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut done = vec![0; works.len()];
        loop {
            cancel.check()?;
            let mut room = ROWS;
            let (mut batch, mut finished) = (Vec::new(), Vec::new());
            for (i, work) in works.iter_mut().enumerate() {
                let left = &work.request.prefix[done[i]..];
                if left.is_empty() || room == 0 {
                    continue;
                }
                let n = left.len().min(room);
                room -= n;
                done[i] += n;
                let wanted = if n == left.len() {
                    finished.push(i);
                    Wanted::Last
                } else {
                    Wanted::Nothing
                };
                let adapter = work.adapter.as_ref().map(|(a, s)| (a, *s));
                batch.push(Sequence {
                    cache: &mut work.cache,
                    tokens: &left[..n],
                    branches: None,
                    adapter,
                    wanted,
                });
            }
            if batch.is_empty() {
                return Ok(());
            }
            let hidden = self
                .decoder()
                .forward(&mut batch, precision, None)
                .map_err(failed)?;
            drop(batch);
            for (row, &i) in finished.iter().enumerate() {
                let work = &mut works[i];
                let hidden = hidden.narrow(0, row, 1).map_err(failed)?;
                let first: Vec<(usize, Token)> = work
                    .request
                    .continuations
                    .iter()
                    .enumerate()
                    .filter_map(|(c, tokens)| tokens.first().map(|&t| (c, t)))
                    .collect();
                let ids: Vec<Token> = first.iter().map(|&(_, t)| t).collect();
                if ids.is_empty() {
                    continue;
                }
                let scores = self.gather(&hidden, &ids, precision)?;
                for ((c, _), score) in first.into_iter().zip(scores) {
                    work.results[c].push(score);
                }
            }
        }
    }

    /// Scores the tokens after the first of every continuation.
    fn continuations(
        &self,
        works: &mut [Work<'_>],
        precision: Precision,
        cancel: &Cancel,
    ) -> Result<()> {
        // What is packed into one batch: for each request, its continuations by number.
        let mut batch: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut rows = 0;
        for i in 0..works.len() {
            for c in 0..works[i].request.continuations.len() {
                // The last token has nothing after it that would be scored.
                let n = works[i].request.continuations[c].len().saturating_sub(1);
                if n == 0 {
                    continue;
                }
                if n > ROWS {
                    self.long_continuation(&mut works[i], c, precision, cancel)?;
                    continue;
                }
                if rows + n > ROWS {
                    self.run_batch(works, &std::mem::take(&mut batch), precision, cancel)?;
                    rows = 0;
                }
                rows += n;
                match batch.last_mut() {
                    Some((last, numbers)) if *last == i => numbers.push(c),
                    _ => batch.push((i, vec![c])),
                }
            }
        }
        self.run_batch(works, &batch, precision, cancel)
    }

    fn run_batch(
        &self,
        works: &mut [Work<'_>],
        batch: &[(usize, Vec<usize>)],
        precision: Precision,
        cancel: &Cancel,
    ) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        cancel.check()?;
        let packed: Vec<(Vec<Token>, Vec<usize>)> = batch
            .iter()
            .map(|(i, numbers)| {
                let all = numbers.iter().map(|&c| &works[*i].request.continuations[c]);
                let lengths = all.clone().map(|c| c.len() - 1).collect();
                (
                    all.flat_map(|c| &c[..c.len() - 1]).copied().collect(),
                    lengths,
                )
            })
            .collect();
        let ids: Vec<Token> = batch
            .iter()
            .flat_map(|(i, numbers)| numbers.iter().map(|&c| &works[*i].request.continuations[c]))
            .flat_map(|c| &c[1..])
            .copied()
            .collect();
        let mut sequences = Vec::with_capacity(batch.len());
        let mut slots = works.iter_mut().enumerate();
        for ((i, _), (tokens, lengths)) in batch.iter().zip(&packed) {
            // Requests stand in the batch in order, so each is found behind the last.
            if let Some((_, work)) = slots.find(|(slot, _)| slot == i) {
                let adapter = work.adapter.as_ref().map(|(a, s)| (a, *s));
                let branches = Some(lengths.as_slice());
                sequences.push(Sequence {
                    cache: &mut work.cache,
                    tokens,
                    branches,
                    adapter,
                    wanted: Wanted::All,
                });
            }
        }
        let hidden = self
            .decoder()
            .forward(&mut sequences, precision, None)
            .map_err(failed)?;
        drop(sequences);
        let mut scores = self
            .score_rows(&hidden, &ids, precision, cancel)?
            .into_iter();
        for (i, numbers) in batch {
            for &c in numbers {
                let work = &mut works[*i];
                let n = work.request.continuations[c].len() - 1;
                work.results[c].extend(scores.by_ref().take(n));
            }
        }
        Ok(())
    }

    /// A continuation too long for one batch runs alone, piece by piece; then the cache forgets it.
    fn long_continuation(
        &self,
        work: &mut Work<'_>,
        number: usize,
        precision: Precision,
        cancel: &Cancel,
    ) -> Result<()> {
        let continuation = &work.request.continuations[number];
        let prefix = work.cache.len();
        let last = continuation.len() - 1;
        for start in (0..last).step_by(ROWS) {
            cancel.check()?;
            let end = (start + ROWS).min(last);
            let adapter = work.adapter.clone();
            let mut sequence = [Sequence {
                cache: &mut work.cache,
                tokens: &continuation[start..end],
                branches: None,
                adapter: adapter.as_ref().map(|(a, s)| (a, *s)),
                wanted: Wanted::All,
            }];
            let hidden = self
                .decoder()
                .forward(&mut sequence, precision, None)
                .map_err(failed)?;
            let scores =
                self.score_rows(&hidden, &continuation[start + 1..=end], precision, cancel)?;
            work.results[number].extend(scores);
        }
        work.cache.truncate(prefix);
        Ok(())
    }

    /// `ln p(ids[i])` under row i.
    fn score_rows(
        &self,
        hidden: &Tensor,
        ids: &[Token],
        precision: Precision,
        cancel: &Cancel,
    ) -> Result<Vec<f32>> {
        let most = rows_at_a_time(self.config().vocabulary);
        let mut scores = Vec::with_capacity(ids.len());
        for (i, ids) in ids.chunks(most).enumerate() {
            cancel.check()?;
            let hidden = hidden.narrow(0, i * most, ids.len()).map_err(failed)?;
            scores.extend(self.gather(&hidden, ids, precision)?);
        }
        Ok(scores)
    }

    /// Log-probabilities of `ids`, `[rows, n]`, under the rows of `hidden`.
    fn gather(&self, hidden: &Tensor, ids: &[Token], precision: Precision) -> Result<Vec<f32>> {
        let inner = || -> candle_core::Result<Vec<f32>> {
            let logits = self.decoder().logits(&hidden.contiguous()?, precision)?;
            let (rows, vocabulary) = logits.dims2()?;
            if logits.device().is_cpu() {
                let mut scores = vec![0.0; ids.len()];
                log_softmax_gather(
                    &values(&logits)?,
                    vocabulary,
                    ids,
                    &mut scores,
                    self.decoder().level(),
                );
                return Ok(scores);
            }
            let ids = Tensor::from_slice(ids, (rows, ids.len() / rows), logits.device())?;
            candle_nn::ops::log_softmax(&logits, D::Minus1)?
                .gather(&ids, 1)?
                .flatten_all()?
                .to_vec1()
        };
        inner().map_err(failed)
    }
}

fn longest(request: &ScoreRequest) -> usize {
    request
        .continuations
        .iter()
        .map(Vec::len)
        .max()
        .unwrap_or(0)
}
