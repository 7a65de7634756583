//! Beginnings of texts that are run once and kept, so that many texts can be scored behind them, now or later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::Tensor;
use idiolect_kernels::Precision;
use idiolect_llm::{AdapterSource, Cancel, Result, Steering, Token};

use crate::{
    decoder::{Sequence, Wanted},
    kv::KvCache,
    lora::Adapter,
    model::LoadedModel,
    score::ROWS,
    values::failed,
};

/// A beginning to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct PrefixRequest<'a> {
    /// Its tokens; may be none.
    pub tokens: &'a [Token],
    /// Trained voices, summed, for the prefix and what is scored behind it.
    pub adapters: &'a [AdapterSource],
    /// Directions added to the hidden states, of the prefix and of what is scored behind it.
    pub steer: &'a [Steering],
    /// How many tokens will stand behind it at most: some models rotate long texts in another way throughout.
    pub ahead: usize,
}

/// A beginning that was run: its keys and values at every layer. A clone is a handle to the same; calls that score behind
/// one prefix at the same time take turns.
#[derive(Clone)]
pub struct Prefix(Arc<Kept>);

pub(crate) struct Kept {
    length: usize,
    pub(crate) adapters: Vec<(Adapter, f32)>,
    pub(crate) steer: Vec<Steering>,
    pub(crate) precision: Precision,
    /// The normed hidden state after the last token, `[1, hidden]`; none without tokens.
    pub(crate) last: Option<Tensor>,
    cache: Mutex<KvCache>,
}

impl Prefix {
    /// Its tokens.
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// Whether it has no tokens.
    pub fn is_empty(&self) -> bool {
        self.0.length == 0
    }

    /// Bytes of keys and values it holds in memory.
    pub fn bytes(&self) -> usize {
        self.0.cache().bytes()
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.0
    }

    /// The same for clones of one prefix, different for others that live.
    pub(crate) fn place(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prefix({} tokens)", self.0.length)
    }
}

impl Kept {
    /// The cache, holding exactly the prefix.
    pub(crate) fn cache(&self) -> MutexGuard<'_, KvCache> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // A call that failed half-way may have left tokens behind the prefix; the prefix itself is never overwritten.
        cache.truncate(self.length);
        cache
    }
}

impl LoadedModel {
    /// Runs beginnings, many in one packed batch, and keeps them for [`LoadedModel::score_under`]. One of some 60 tokens takes
    /// 3 MB with the default model ([`Prefix::bytes`]).
    ///
    /// # Errors
    /// Cancelled, context full, adapter, a direction that does not fit, device.
    pub fn prefixes(
        &self,
        requests: &[PrefixRequest<'_>],
        precision: Precision,
        cancel: &Cancel,
    ) -> Result<Vec<Prefix>> {
        self.with_team(|| {
            let mut prefixes = Vec::with_capacity(requests.len());
            for request in requests {
                self.context_full(request.tokens.len())?;
                self.known_tokens(request.tokens)?;
                let length = request.tokens.len();
                let mut cache = self.decoder().cache(length + 1).map_err(failed)?;
                cache.plan(length + request.ahead);
                prefixes.push(Kept {
                    length,
                    adapters: self.adapters(request.adapters)?,
                    steer: request.steer.to_vec(),
                    precision,
                    last: None,
                    cache: Mutex::new(cache),
                });
            }
            self.run_prefixes(requests, &mut prefixes, cancel)?;
            Ok(prefixes.into_iter().map(|k| Prefix(Arc::new(k))).collect())
        })
    }

    /// Fills the caches, as many tokens at a time as a batch holds.
    fn run_prefixes(
        &self,
        requests: &[PrefixRequest<'_>],
        prefixes: &mut [Kept],
        cancel: &Cancel,
    ) -> Result<()> {
        let mut done = vec![0; prefixes.len()];
        loop {
            cancel.check()?;
            let mut room = ROWS;
            let (mut batch, mut finished) = (Vec::new(), Vec::new());
            let mut precision = Precision::F32;
            for (i, kept) in prefixes.iter_mut().enumerate() {
                let left = &requests[i].tokens[done[i]..];
                if left.is_empty() || room == 0 {
                    continue;
                }
                let n = left.len().min(room);
                room -= n;
                done[i] += n;
                precision = kept.precision;
                let ends = n == left.len();
                if ends {
                    finished.push(i);
                }
                let cache = kept.cache.get_mut().unwrap_or_else(PoisonError::into_inner);
                batch.push(Sequence {
                    adapters: &kept.adapters,
                    steer: &kept.steer,
                    wanted: if ends { Wanted::Last } else { Wanted::Nothing },
                    ..Sequence::new(cache, &left[..n])
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
                let last = hidden
                    .narrow(0, row, 1)
                    .and_then(|row| row.force_contiguous());
                prefixes[i].last = Some(last.map_err(failed)?);
            }
        }
    }
}
