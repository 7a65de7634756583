//! Negative log-likelihoods of tokens under hidden states, through the vocabulary piece by piece.
//!
//! A row's loss depends on that row alone, so its gradient with respect to the hidden state is worked out while its
//! logits are at hand, and a few rows' logits are all that is ever kept.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use idiolect_kernels::{
    Level, Precision, QMatrix, log_normalisers, softmax_cross_entropy,
    softmax_cross_entropy_with_gradient,
};
use idiolect_llm::Token;

use crate::{
    decoder::{Decoder, quantized},
    values::{result, slice, tensor, values},
};

/// Bytes of logits kept at a time. Large enough that decoding the head's blocks is shared by many rows.
const LOGIT_BYTES: usize = 48 << 20;

/// Rows whose logits are computed at a time.
pub(crate) fn rows_at_a_time(vocabulary: usize) -> usize {
    (LOGIT_BYTES / (vocabulary.max(1) * size_of::<f32>())).clamp(4, 512)
}

impl Decoder {
    /// `-ln p(targets[i])` under row i of the normed hidden states `[rows, hidden]`, 0 where there is no target: `[rows]`,
    /// differentiable with respect to `hidden`.
    ///
    /// # Errors
    /// A target beyond the vocabulary, not one entry a row, a device failure.
    pub fn token_nll(&self, hidden: &Tensor, targets: &[Option<Token>]) -> Result<Tensor> {
        let (rows, vocabulary) = (hidden.dim(0)?, self.config().vocabulary);
        if rows != targets.len() {
            candle_core::bail!("{} targets for {rows} rows", targets.len());
        }
        if targets.iter().flatten().any(|&t| t as usize >= vocabulary) {
            candle_core::bail!("a target is beyond the vocabulary of {vocabulary}");
        }
        match quantized(self.head().weight()) {
            Some(head) => hidden.contiguous()?.apply_op1(TokenNll {
                head: head.clone(),
                targets: targets.to_vec(),
                level: self.level(),
                needs_gradient: hidden.track_op(),
                unit_gradient: Mutex::new(None),
            }),
            None => self.composed_nll(hidden, targets),
        }
    }

    /// `ln p(token)` for pairs of a row of the normed hidden states `[rows, hidden]` and a token, the rows in order.
    ///
    /// # Errors
    /// A token beyond the vocabulary, rows out of order or beyond the last, a device failure.
    pub fn log_probs(
        &self,
        hidden: &Tensor,
        pairs: &[(usize, Token)],
        precision: Precision,
    ) -> Result<Vec<f32>> {
        self.log_probs_in(&mut Vec::new(), hidden, pairs, precision)
    }

    /// The same with the logits in memory that the caller keeps: some tens of megabytes, which the system would have to clear
    /// for every call.
    pub(crate) fn log_probs_in(
        &self,
        memory: &mut Vec<f32>,
        hidden: &Tensor,
        pairs: &[(usize, Token)],
        precision: Precision,
    ) -> Result<Vec<f32>> {
        let (rows, vocabulary) = (hidden.dim(0)?, self.config().vocabulary);
        if pairs.iter().any(|&(_, t)| t as usize >= vocabulary) {
            candle_core::bail!("a token is beyond the vocabulary of {vocabulary}");
        }
        if !pairs.is_sorted_by_key(|p| p.0) || pairs.last().is_some_and(|p| p.0 >= rows) {
            candle_core::bail!("rows out of order, or beyond the {rows} there are");
        }
        let most = rows_at_a_time(vocabulary);
        let mut scores = Vec::with_capacity(pairs.len());
        for pairs in pairs.chunk_by(|a, b| a.0 / most == b.0 / most) {
            let first = pairs[0].0 / most * most;
            let hidden = hidden
                .narrow(0, first, most.min(rows - first))?
                .contiguous()?;
            let place =
                |&(row, token): &(usize, Token)| (row - first) * vocabulary + token as usize;
            if let Some(head) = quantized(self.head().weight()) {
                let m = hidden.dim(0)?;
                memory.resize(memory.len().max(m * vocabulary), 0.0);
                let logits = &mut memory[..m * vocabulary];
                head.forward(&values(&hidden)?, m, logits, precision, self.level());
                let mut normalisers = vec![0.0; m];
                log_normalisers(logits, vocabulary, &mut normalisers, self.level());
                scores.extend(
                    pairs
                        .iter()
                        .map(|pair| logits[place(pair)] - normalisers[pair.0 - first]),
                );
            } else {
                let logits = self.logits(&hidden, precision)?;
                let places: Vec<u32> = pairs.iter().map(|p| place(p) as u32).collect();
                let places = Tensor::from_vec(places, pairs.len(), logits.device())?;
                let log_probs = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
                let chosen = log_probs.flatten_all()?.index_select(&places, 0)?;
                scores.extend(chosen.to_vec1::<f32>()?);
            }
        }
        Ok(scores)
    }

    /// The same from candle's own operations, keeping all logits.
    fn composed_nll(&self, hidden: &Tensor, targets: &[Option<Token>]) -> Result<Tensor> {
        let device = hidden.device();
        let logits = self.head().train(hidden, None)?;
        let ids: Vec<u32> = targets.iter().map(|t| t.unwrap_or(0)).collect();
        let mask: Vec<f32> = targets
            .iter()
            .map(|t| f32::from(u8::from(t.is_some())))
            .collect();
        let ids = Tensor::from_vec(ids, (targets.len(), 1), device)?;
        let log_probs = candle_nn::ops::log_softmax(&logits, D::Minus1)?
            .gather(&ids, 1)?
            .squeeze(1)?;
        log_probs.neg()? * Tensor::from_vec(mask, targets.len(), device)?
    }
}

/// Memory for some rows' logits and what belongs to them, kept from one call to the next.
#[derive(Debug, Default)]
pub(crate) struct HeadMemory {
    logits: Vec<f32>,
    x: Vec<f32>,
    dx: Vec<f32>,
}

impl HeadMemory {
    /// Negative log-likelihoods of targets under rows of normed hidden states, 0 where there is none, and their gradients with
    /// respect to those rows, each for itself, where they are wanted. Rows without a target cost nothing.
    pub(crate) fn nll(
        &mut self,
        head: &QMatrix,
        hidden: &[f32],
        targets: &[Option<Token>],
        mut gradient: Option<&mut [f32]>,
        precision: Precision,
        level: Level,
    ) -> Vec<f32> {
        let (width, vocabulary) = (head.cols(), head.rows());
        let all = targets.iter().enumerate();
        let rows: Vec<(usize, Token)> = all.filter_map(|(i, t)| t.map(|t| (i, t))).collect();
        let mut nll = vec![0.0; targets.len()];
        if let Some(gradient) = gradient.as_deref_mut() {
            let without = targets.iter().zip(gradient.chunks_exact_mut(width));
            for (_, row) in without.filter(|(target, _)| target.is_none()) {
                row.fill(0.0);
            }
        }
        for chunk in rows.chunks(rows_at_a_time(vocabulary)) {
            let n = chunk.len();
            self.x.clear();
            for &(i, _) in chunk {
                self.x
                    .extend_from_slice(&hidden[i * width..(i + 1) * width]);
            }
            let targets: Vec<Token> = chunk.iter().map(|&(_, t)| t).collect();
            self.logits.resize(n * vocabulary, 0.0);
            let logits = &mut self.logits[..];
            head.forward(&self.x, n, logits, precision, level);
            let losses = match gradient.as_deref_mut() {
                Some(gradient) => {
                    let ones = vec![1.0; n];
                    let losses = softmax_cross_entropy_with_gradient(
                        logits, vocabulary, &targets, &ones, level,
                    );
                    self.dx.resize(n * width, 0.0);
                    head.backward_input(logits, n, &mut self.dx, precision, level);
                    for (&(i, _), dx) in chunk.iter().zip(self.dx.chunks_exact(width)) {
                        gradient[i * width..(i + 1) * width].copy_from_slice(dx);
                    }
                    losses
                }
                None => softmax_cross_entropy(logits, vocabulary, &targets, level),
            };
            for (&(i, _), loss) in chunk.iter().zip(losses) {
                nll[i] = loss;
            }
        }
        nll
    }
}

struct TokenNll {
    head: QMatrix,
    targets: Vec<Option<Token>>,
    level: Level,
    needs_gradient: bool,
    /// `[rows, hidden]`: the gradient of each row's loss with respect to its hidden state.
    unit_gradient: Mutex<Option<Vec<f32>>>,
}

impl CustomOp1 for TokenNll {
    fn name(&self) -> &'static str {
        "token-nll"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let hidden = slice(storage, layout)?;
        let mut gradient = vec![0.0; if self.needs_gradient { hidden.len() } else { 0 }];
        let nll = HeadMemory::default().nll(
            &self.head,
            hidden,
            &self.targets,
            self.needs_gradient.then_some(&mut gradient[..]),
            Precision::F32,
            self.level,
        );
        if let (true, Ok(mut kept)) = (self.needs_gradient, self.unit_gradient.lock()) {
            *kept = Some(gradient);
        }
        Ok(result(nll, self.targets.len()))
    }

    fn bwd(&self, hidden: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let kept = self
            .unit_gradient
            .lock()
            .ok()
            .and_then(|mut kept| kept.take());
        let Some(mut gradient) = kept else {
            candle_core::bail!(
                "the gradient of a loss was asked for twice, or of hidden states that track none"
            );
        };
        let dy = dy.contiguous()?;
        let width = self.head.cols();
        for (row, weight) in gradient.chunks_exact_mut(width).zip(values(&dy)?.iter()) {
            row.iter_mut().for_each(|g| *g *= weight);
        }
        Ok(Some(tensor(gradient, hidden.shape())?))
    }
}
