//! Rows, examples and how they are packed: sequences of unequal length follow one another, none is padded.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::TrainError;

/// A text as tokens; the loss is on what follows the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Prompt and answer.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt. 0 where there is none: the first token is then given and not scored.
    pub prompt: usize,
}

impl Row {
    /// A row of at most `longest` tokens that ends with `end`, and how many tokens of the answer were cut off for it. The
    /// end of the turn is never cut, or long texts would teach that texts do not end. `None` where the prompt leaves no room
    /// for an answer, or there is no answer.
    pub fn fitted(prompt: &[u32], answer: &[u32], end: u32, longest: usize) -> Option<(Self, u32)> {
        let room = longest.checked_sub(prompt.len() + 1).filter(|r| *r > 0)?;
        if answer.is_empty() {
            return None;
        }
        let kept = answer.len().min(room);
        let mut tokens = Vec::with_capacity(prompt.len() + kept + 1);
        tokens.extend_from_slice(prompt);
        tokens.extend_from_slice(&answer[..kept]);
        tokens.push(end);
        let row = Self {
            tokens,
            prompt: prompt.len(),
        };
        Some((row, (answer.len() - kept) as u32))
    }

    /// Tokens the loss is on: those after the prompt that have something before them.
    pub fn answer_tokens(&self) -> usize {
        self.tokens.len().saturating_sub(self.prompt.max(1))
    }

    /// Tokens that go through the model: the last one is only predicted.
    fn inputs(&self) -> usize {
        self.tokens.len().saturating_sub(1)
    }

    /// This row's prompt with another row's answer.
    fn with_answer_of(&self, other: &Self) -> Self {
        let prompt = self.prompt.min(self.tokens.len());
        let mut tokens = self.tokens[..prompt].to_vec();
        tokens.extend_from_slice(&other.tokens[other.prompt.min(other.tokens.len())..]);
        Self { tokens, prompt }
    }
}

/// Something to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Example {
    /// A text of the person's.
    Text(Row),
    /// A text that was preferred to another. An edit is one too: after and before.
    Pair {
        /// The one that was chosen, or what the person made of it.
        chosen: Row,
        /// The other, or what it was before.
        rejected: Row,
    },
    /// A text that got a thumb.
    Thumb {
        /// The text.
        row: Row,
        /// Up rather than down.
        good: bool,
    },
}

impl Example {
    /// A text for each row.
    pub fn texts(rows: &[Row]) -> Vec<Self> {
        rows.iter().cloned().map(Self::Text).collect()
    }

    /// Its rows, the one to be preferred first.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let (first, second) = match self {
            Self::Text(row) | Self::Thumb { row, .. } => (row, None),
            Self::Pair { chosen, rejected } => (chosen, Some(rejected)),
        };
        std::iter::once(first).chain(second)
    }

    /// Whether every row of it has an answer to be scored.
    pub fn is_usable(&self) -> bool {
        self.rows().all(|row| row.answer_tokens() > 0)
    }

    /// What a step's loss is divided by is the sum of these: a text's tokens, 1 for a pair or a thumb.
    pub(crate) fn weight(&self) -> f64 {
        match self {
            Self::Text(row) => row.answer_tokens() as f64,
            Self::Pair { .. } | Self::Thumb { .. } => 1.0,
        }
    }

    /// Tokens that go through the model.
    pub fn tokens(&self) -> usize {
        self.rows().map(Row::inputs).sum()
    }
}

/// Rows packed one after another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Tokens a row.
    pub lengths: Vec<usize>,
    /// Inputs, all rows after one another.
    pub tokens: Vec<u32>,
    /// What each input should predict, where the loss is on it.
    pub targets: Vec<Option<u32>>,
}

impl Batch {
    /// Packs rows. A row's last token is only a target. A row with nothing to predict is left out.
    pub fn pack<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut batch = Self::default();
        for row in rows {
            if row.answer_tokens() == 0 {
                continue;
            }
            let inputs = row.inputs();
            batch.lengths.push(inputs);
            batch.tokens.extend(&row.tokens[..inputs]);
            let first = row.prompt.max(1) - 1;
            batch
                .targets
                .extend((0..inputs).map(|i| (i >= first).then(|| row.tokens[i + 1])));
        }
        batch
    }

    /// Tokens the loss is on.
    pub fn answer_tokens(&self) -> usize {
        self.targets.iter().flatten().count()
    }

    /// Sums of `values`, one a token, by row.
    pub(crate) fn sums(&self, values: &[f32]) -> Vec<f64> {
        let mut rest = values;
        let sum = |length: &usize| {
            let (row, after) = rest.split_at(*length);
            rest = after;
            row.iter().map(|v| f64::from(*v)).sum()
        };
        self.lengths.iter().map(sum).collect()
    }

    /// A row's value for each of its tokens that has a target, 0 for the others.
    pub(crate) fn spread(&self, by_row: &[f64]) -> Vec<f32> {
        let rows = self.lengths.iter().zip(by_row);
        rows.flat_map(|(length, value)| std::iter::repeat_n(*value as f32, *length))
            .zip(&self.targets)
            .map(|(value, target)| if target.is_some() { value } else { 0.0 })
            .collect()
    }
}

/// How examples are put into steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// Examples that go through the model together, at most.
    pub batch: usize,
    /// Tokens that do, at most; an example that is longer goes alone. With a budget, examples of like length are put
    /// together, so that steps weigh about the same.
    pub tokens: Option<usize>,
    /// Passes through the model whose gradients make one step.
    pub accumulate: usize,
}

/// Examples of one step by pass: indices into what the run learns from.
pub(crate) type Step = Vec<Vec<usize>>;

/// Windows of so many full passes are sorted by length under a token budget: enough for likeness, little enough that the
/// seed still decides who meets whom.
const SORTED_PASSES: usize = 16;

/// The steps of an epoch, by seed and epoch alone: every example once.
pub(crate) fn steps(lengths: &[usize], packing: Packing, seed: u64, epoch: u32) -> Vec<Step> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    // A stream of its own an epoch, so that a resumed run shuffles alike.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::from(epoch) + 1);
    order.shuffle(&mut random);
    let batch = packing.batch.max(1);
    let mut passes: Vec<Vec<usize>> = Vec::new();
    if let Some(budget) = packing.tokens {
        for window in order.chunks_mut(batch * SORTED_PASSES) {
            window.sort_by_key(|&i| (lengths[i], i));
            let mut pass = Vec::new();
            let mut tokens = 0;
            for &i in window.iter() {
                if !pass.is_empty() && (pass.len() == batch || tokens + lengths[i] > budget) {
                    passes.push(std::mem::take(&mut pass));
                    tokens = 0;
                }
                pass.push(i);
                tokens += lengths[i];
            }
            passes.push(pass);
        }
        passes.shuffle(&mut random);
    } else {
        passes.extend(order.chunks(batch).map(<[usize]>::to_vec));
    }
    passes
        .chunks(packing.accumulate.max(1))
        .map(<[Vec<usize>]>::to_vec)
        .collect()
}

/// What KTO's zero point is estimated from: each thumb's prompt with the next one's answer. None where there is one thumb
/// only, which would be matched with itself.
pub(crate) fn mismatched(examples: &[&Example]) -> Vec<Row> {
    if examples.len() < 2 {
        return Vec::new();
    }
    let next = examples.iter().cycle().skip(1);
    let pairs = examples.iter().zip(next);
    pairs
        .filter_map(|(a, b)| match (a, b) {
            (Example::Thumb { row, .. }, Example::Thumb { row: other, .. }) => {
                Some(row.with_answer_of(other))
            }
            _ => None,
        })
        .collect()
}

/// SHA-256 of examples: what a checkpoint knows of them.
pub(crate) fn fingerprint<'a>(examples: impl IntoIterator<Item = &'a Example>) -> String {
    let mut hash = Sha256::new();
    for example in examples {
        let kind: u8 = match example {
            Example::Text(_) => 0,
            Example::Pair { .. } => 1,
            Example::Thumb { good, .. } => 2 + u8::from(*good),
        };
        hash.update([kind]);
        for row in example.rows() {
            hash.update((row.prompt as u64).to_le_bytes());
            hash.update((row.tokens.len() as u64).to_le_bytes());
            for token in &row.tokens {
                hash.update(token.to_le_bytes());
            }
        }
    }
    hex(&hash.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Those an objective can learn from, and how many have nothing to predict.
pub(crate) fn usable(examples: &[Example]) -> Result<(Vec<&Example>, usize), TrainError> {
    let usable: Vec<&Example> = examples.iter().filter(|e| e.is_usable()).collect();
    if usable.is_empty() {
        return Err(TrainError::NoData);
    }
    let without = examples.len() - usable.len();
    Ok((usable, without))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tokens: &[u32], prompt: usize) -> Row {
        Row {
            tokens: tokens.to_vec(),
            prompt,
        }
    }

    #[test]
    fn the_prompt_is_masked_and_nothing_is_padded() {
        let rows = [row(&[1, 2, 3, 4], 2), row(&[5], 0), row(&[6, 7], 0)];
        let batch = Batch::pack(&rows);
        assert_eq!(
            batch.lengths,
            [3, 1],
            "a row with nothing to predict is left out"
        );
        assert_eq!(batch.tokens, [1, 2, 3, 6]);
        assert_eq!(
            batch.targets,
            [None, Some(3), Some(4), Some(7)],
            "tokens 3 and 4 are the first row's answer"
        );
        assert_eq!(batch.answer_tokens(), 3);
        assert_eq!(batch.sums(&[0.0, 1.0, 2.0, 4.0]), [3.0, 4.0]);
        assert_eq!(batch.spread(&[0.5, -1.0]), [0.0, 0.5, 0.5, -1.0]);
    }

    #[test]
    fn long_texts_keep_their_end_and_prompts_without_room_are_told() {
        let fitted = |longest| Row::fitted(&[1, 2], &[3, 4, 5], 9, longest);
        assert_eq!(fitted(6), Some((row(&[1, 2, 3, 4, 5, 9], 2), 0)));
        assert_eq!(fitted(5), Some((row(&[1, 2, 3, 4, 9], 2), 1)));
        assert_eq!(fitted(4), Some((row(&[1, 2, 3, 9], 2), 2)));
        assert_eq!(fitted(3), None, "only the end of the turn would be learned");
        assert_eq!(fitted(1), None);
        assert_eq!(Row::fitted(&[1, 2], &[], 9, 10), None);
    }

    fn fixed(batch: usize, accumulate: usize) -> Packing {
        Packing {
            batch,
            tokens: None,
            accumulate,
        }
    }

    #[test]
    fn an_epoch_visits_every_example_once_in_an_order_of_its_own() {
        let lengths: Vec<usize> = (0..50).map(|i| 3 + i * i % 29).collect();
        let budget = Packing {
            batch: 4,
            tokens: Some(40),
            accumulate: 2,
        };
        for packing in [fixed(3, 2), budget] {
            let first = steps(&lengths, packing, 7, 0);
            let mut all: Vec<usize> = first.iter().flatten().flatten().copied().collect();
            all.sort_unstable();
            assert_eq!(all, (0..50).collect::<Vec<_>>());
            assert_eq!(first, steps(&lengths, packing, 7, 0));
            assert_ne!(first, steps(&lengths, packing, 7, 1));
            assert_ne!(first, steps(&lengths, packing, 8, 0));
        }
    }

    #[test]
    fn passes_keep_to_their_budget_and_hold_like_lengths() {
        let lengths: Vec<usize> = (0..64).map(|i| 5 + i * 37 % 60).collect();
        let packing = Packing {
            batch: 4,
            tokens: Some(120),
            accumulate: 1,
        };
        let spread = |steps: &[Step]| {
            let one = |pass: &Vec<usize>| {
                let of = pass.iter().map(|&i| lengths[i]);
                of.clone().max().unwrap() - of.min().unwrap()
            };
            steps.iter().flatten().map(one).sum::<usize>()
        };
        let packed = steps(&lengths, packing, 1, 0);
        for pass in packed.iter().flatten() {
            let tokens: usize = pass.iter().map(|&i| lengths[i]).sum();
            assert!(pass.len() <= 4 && (tokens <= 120 || pass.len() == 1));
        }
        assert!(spread(&packed) * 4 < spread(&steps(&lengths, fixed(4, 1), 1, 0)));
    }

    #[test]
    fn mismatched_pairs_take_the_next_answer() {
        let thumb = |tokens: &[u32], prompt| Example::Thumb {
            row: row(tokens, prompt),
            good: true,
        };
        let (a, b) = (thumb(&[1, 2, 3], 1), thumb(&[4, 5, 6], 2));
        assert_eq!(
            mismatched(&[&a, &b]),
            [row(&[1, 6], 1), row(&[4, 5, 2, 3], 2)]
        );
    }

    #[test]
    fn a_fingerprint_knows_order_kind_and_where_the_prompt_ends() {
        let text = |tokens: &[u32], prompt| Example::Text(row(tokens, prompt));
        let one = [text(&[1, 2], 1), text(&[3], 0)];
        let same = fingerprint(&one);
        assert_eq!(same.len(), 64);
        assert_eq!(same, fingerprint(&one.clone()));
        let others = [
            vec![text(&[3], 0), text(&[1, 2], 1)],
            vec![text(&[1, 2], 0), text(&[3], 0)],
            vec![text(&[1], 1), text(&[2, 3], 0)],
            vec![Example::Pair {
                chosen: row(&[1, 2], 1),
                rejected: row(&[3], 0),
            }],
        ];
        for other in others {
            assert_ne!(same, fingerprint(&other));
        }
    }
}
