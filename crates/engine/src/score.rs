//! Log-probabilities of continuations: prefixes run once, continuations packed behind them as trees, so that what several
//! begin with is run once too, logits a few rows at a time.

use candle_core::Tensor;
use idiolect_kernels::Precision;
use idiolect_llm::{Cancel, LlmError, Result, ScoreRequest, Token};

use crate::{
    decoder::{Branch, Sequence},
    kv::KvCache,
    model::LoadedModel,
    prefixes::{Prefix, PrefixRequest},
    values::failed,
};

/// Rows run in one packed batch: enough to share the decoding of the weights, few enough to stay in the caches.
pub(crate) const ROWS: usize = 512;
/// Bytes of key/value caches held at once; requests beyond wait.
const CACHE_BYTES: usize = 512 << 20;

impl LoadedModel {
    /// [`idiolect_llm::TextModel::score`] with a choice of precision.
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
                    let longest = r.continuations.iter().map(Vec::len).max().unwrap_or(0);
                    tokens += r.prefix.len() + ROWS.min(longest);
                    tokens * per_token <= CACHE_BYTES
                })
                .count()
                .max(1);
            let (now, later) = rest.split_at(fitting);
            let wanted: Vec<PrefixRequest<'_>> = now
                .iter()
                .map(|r| PrefixRequest {
                    tokens: &r.prefix,
                    adapters: &r.adapters,
                    steer: &r.steer,
                    ahead: r.continuations.iter().map(Vec::len).max().unwrap_or(0),
                })
                .collect();
            let rows = || {
                now.iter()
                    .enumerate()
                    .flat_map(|(i, r)| r.continuations.iter().map(move |c| (i, c)))
            };
            // What cannot be scored is refused before anything is run.
            for (i, continuation) in rows() {
                self.context_full(now[i].prefix.len() + continuation.len())?;
                self.known_tokens(continuation)?;
            }
            let prefixes = self.prefixes(&wanted, precision, cancel)?;
            let rows: Vec<(&Prefix, &[Token])> =
                rows().map(|(i, c)| (&prefixes[i], c.as_slice())).collect();
            let mut scores = self.score_under(&rows, cancel)?.into_iter();
            results.extend(
                now.iter()
                    .map(|r| scores.by_ref().take(r.continuations.len()).collect()),
            );
            rest = later;
        }
        Ok(results)
    }

    /// Natural-log probabilities of every token of many continuations, each behind its own prefix: `out[row][position]`.
    /// Behind a prefix without tokens, a continuation's first token has nothing before it and is left out. Continuations of
    /// any lengths behind any prefixes are packed into the same batches; a row's result does not depend on the others.
    ///
    /// # Errors
    /// Cancelled, context full, prefixes of another model or of several precisions, a text so much longer than was planned
    /// ([`PrefixRequest::ahead`]) that the model would rotate it in another way, device.
    pub fn score_under(
        &self,
        rows: &[(&Prefix, &[Token])],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        for (prefix, tokens) in rows {
            self.context_full(prefix.len() + tokens.len())?;
            self.known_tokens(tokens)?;
        }
        self.with_team(|| Scoring::new(self, rows)?.run(cancel))
    }
}

/// A token whose log-probability is wanted.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Row of hidden states it is predicted from.
    from: usize,
    token: Token,
    /// Where the figure goes: row of the call, position in its result.
    to: (usize, usize),
}

/// A call of [`LoadedModel::score_under`].
struct Scoring<'a> {
    model: &'a LoadedModel,
    rows: &'a [(&'a Prefix, &'a [Token])],
    /// Each prefix once, by its place in memory: every call locks them in this order.
    prefixes: Vec<&'a Prefix>,
    precision: Precision,
    results: Vec<Vec<f32>>,
    /// Logits of some rows.
    logits: Vec<f32>,
}

impl<'a> Scoring<'a> {
    fn new(model: &'a LoadedModel, rows: &'a [(&'a Prefix, &'a [Token])]) -> Result<Self> {
        let mut prefixes: Vec<&Prefix> = rows.iter().map(|(prefix, _)| *prefix).collect();
        prefixes.sort_by_key(|p| p.place());
        prefixes.dedup_by_key(|p| p.place());
        let precision = prefixes
            .first()
            .map_or(Precision::F32, |p| p.kept().precision);
        if prefixes.iter().any(|p| p.kept().precision != precision) {
            return Err(LlmError::Failed(
                "prefixes of several precisions in one call".into(),
            ));
        }
        let results = rows.iter().map(|(prefix, tokens)| {
            let unpredicted = usize::from(prefix.is_empty()).min(tokens.len());
            vec![f32::NAN; tokens.len() - unpredicted]
        });
        Ok(Self {
            model,
            rows,
            prefixes,
            precision,
            results: results.collect(),
            logits: Vec::new(),
        })
    }

    fn run(mut self, cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
        let prefixes = self.prefixes.clone();
        let mut caches: Vec<_> = prefixes.iter().map(|p| p.kept().cache()).collect();
        if caches.iter().any(|c| !c.fits(self.model.config())) {
            return Err(LlmError::Failed("a prefix of another model".into()));
        }
        let config = self.model.config();
        if self.rows.iter().any(|(prefix, tokens)| {
            let place = prefixes.partition_point(|p| p.place() < prefix.place());
            let planned = caches[place].planned();
            !config.rotates_alike(planned, prefix.len() + tokens.len())
        }) {
            return Err(LlmError::Failed(
                "a text is longer than its prefix was planned for".into(),
            ));
        }
        // A walk through the tree of what stands behind each prefix: texts that begin alike are neighbours.
        let mut order: Vec<(usize, usize)> = (0..self.rows.len())
            .map(|i| {
                let place = self.rows[i].0.place();
                (prefixes.partition_point(|p| p.place() < place), i)
            })
            .collect();
        order.sort_by(|a, b| (a.0, self.rows[a.1].1).cmp(&(b.0, self.rows[b.1].1)));
        self.first_tokens(&order, cancel)?;
        let mut batch = Batch::default();
        for (prefix, row) in order {
            // The last token has nothing after it that would be scored.
            let Some((_, run)) = self.rows[row].1.split_last().filter(|(_, r)| !r.is_empty())
            else {
                continue;
            };
            if run.len() > ROWS {
                self.long(prefix, row, &mut caches[prefix], cancel)?;
                continue;
            }
            if batch.rows + run.len() - batch.shared(prefix, run) > ROWS {
                self.run_batch(std::mem::take(&mut batch), &mut caches, cancel)?;
            }
            batch.add(prefix, run);
            let unpredicted = usize::from(self.rows[row].0.is_empty());
            let path = batch.path.iter().zip(&self.rows[row].1[1..]);
            let asked = path.enumerate().map(|(i, (&(_, from), &token))| Asked {
                from,
                token,
                to: (row, i + 1 - unpredicted),
            });
            batch.asked.extend(asked);
        }
        self.run_batch(batch, &mut caches, cancel)?;
        Ok(self.results)
    }

    /// The first token of every continuation is predicted from its prefix's last one.
    fn first_tokens(&mut self, order: &[(usize, usize)], cancel: &Cancel) -> Result<()> {
        let mut asked = Vec::new();
        let mut ends: Vec<(usize, &Tensor)> = Vec::new();
        for &(prefix, row) in order {
            let (Some(last), Some(&token)) =
                (&self.prefixes[prefix].kept().last, self.rows[row].1.first())
            else {
                continue;
            };
            if ends.last().is_none_or(|(p, _)| *p != prefix) {
                ends.push((prefix, last));
            }
            asked.push(Asked {
                from: ends.len() - 1,
                token,
                to: (row, 0),
            });
        }
        if asked.is_empty() {
            return Ok(());
        }
        let ends: Vec<&Tensor> = ends.into_iter().map(|(_, last)| last).collect();
        let hidden = Tensor::cat(&ends, 0).map_err(failed)?;
        self.answer(&hidden, asked, cancel)
    }

    fn run_batch(
        &mut self,
        batch: Batch,
        caches: &mut [impl std::ops::DerefMut<Target = KvCache>],
        cancel: &Cancel,
    ) -> Result<()> {
        if batch.trees.is_empty() {
            return Ok(());
        }
        cancel.check()?;
        let mut caches = caches.iter_mut().enumerate();
        let mut sequences = Vec::with_capacity(batch.trees.len());
        for tree in &batch.trees {
            // Trees stand in the order of their prefixes, so each cache is found behind the last.
            if let Some((prefix, cache)) = caches.find(|(prefix, _)| *prefix == tree.prefix) {
                let kept = self.prefixes[prefix].kept();
                sequences.push(Sequence {
                    branches: Some(&tree.branches),
                    adapters: &kept.adapters,
                    steer: &kept.steer,
                    ..Sequence::new(cache, &tree.tokens)
                });
            }
        }
        let decoder = self.model.decoder();
        let hidden = decoder
            .forward(&mut sequences, self.precision, None)
            .map_err(failed)?;
        drop(sequences);
        self.answer(&hidden, batch.asked, cancel)
    }

    /// A continuation too long for one batch runs alone, piece by piece; then the cache forgets it.
    fn long(
        &mut self,
        prefix: usize,
        row: usize,
        cache: &mut KvCache,
        cancel: &Cancel,
    ) -> Result<()> {
        let (_, tokens) = self.rows[row];
        let kept = self.prefixes[prefix].kept();
        let before = cache.len();
        let unpredicted = usize::from(before == 0);
        for start in (0..tokens.len() - 1).step_by(ROWS) {
            cancel.check()?;
            let end = (start + ROWS).min(tokens.len() - 1);
            let sequence = Sequence {
                adapters: &kept.adapters,
                steer: &kept.steer,
                ..Sequence::new(cache, &tokens[start..end])
            };
            let decoder = self.model.decoder();
            let hidden = decoder
                .forward(&mut [sequence], self.precision, None)
                .map_err(failed)?;
            let asked = (start..end).map(|i| Asked {
                from: i - start,
                token: tokens[i + 1],
                to: (row, i + 1 - unpredicted),
            });
            self.answer(&hidden, asked.collect(), cancel)?;
        }
        cache.truncate(before);
        Ok(())
    }

    /// Writes down the log-probabilities of what was asked of some rows.
    fn answer(&mut self, hidden: &Tensor, mut asked: Vec<Asked>, cancel: &Cancel) -> Result<()> {
        cancel.check()?;
        asked.sort_unstable_by_key(|a| a.from);
        let pairs: Vec<(usize, Token)> = asked.iter().map(|a| (a.from, a.token)).collect();
        let decoder = self.model.decoder();
        let scores = decoder
            .log_probs_in(&mut self.logits, hidden, &pairs, self.precision)
            .map_err(failed)?;
        for (asked, score) in asked.iter().zip(scores) {
            self.results[asked.to.0][asked.to.1] = score;
        }
        Ok(())
    }
}

/// What stands behind one prefix in a batch.
struct Tree {
    prefix: usize,
    tokens: Vec<Token>,
    branches: Vec<Branch>,
}

/// Trees packed for one pass.
#[derive(Default)]
struct Batch {
    trees: Vec<Tree>,
    rows: usize,
    asked: Vec<Asked>,
    /// From the last tree's root to the token added last: each token with its row.
    path: Vec<(Token, usize)>,
}

impl Batch {
    /// How many tokens at the beginning of `run` are in the batch, behind the same prefix.
    fn shared(&self, prefix: usize, run: &[Token]) -> usize {
        if self.trees.last().is_none_or(|tree| tree.prefix != prefix) {
            return 0;
        }
        let path = self.path.iter().zip(run);
        path.take_while(|((token, _), other)| token == *other)
            .count()
    }

    /// Adds the tokens of `run` that are not there yet. Runs come in the order of a walk through the tree.
    fn add(&mut self, prefix: usize, run: &[Token]) {
        let shared = self.shared(prefix, run);
        if self.trees.last().is_none_or(|tree| tree.prefix != prefix) {
            self.trees.push(Tree {
                prefix,
                tokens: Vec::new(),
                branches: Vec::new(),
            });
            self.path.clear();
        }
        let Some(tree) = self.trees.last_mut() else {
            return;
        };
        let goes_on = shared > 0 && shared == self.path.len();
        self.path.truncate(shared);
        let new = &run[shared..];
        self.path
            .extend(new.iter().enumerate().map(|(i, &t)| (t, self.rows + i)));
        tree.tokens.extend(new);
        match tree.branches.last_mut() {
            // Nothing stands between them: one longer branch.
            Some(last) if goes_on && last.after + last.length == shared => last.length += new.len(),
            _ if new.is_empty() => {}
            _ => tree.branches.push(Branch {
                after: shared,
                length: new.len(),
            }),
        }
        self.rows += new.len();
    }
}
