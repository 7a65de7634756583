//! Rows and how they are packed: sequences of unequal length follow one another, none is padded.

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// A training text as tokens; the loss is on what follows the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Prompt and answer.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt.
    pub prompt: usize,
}

impl Row {
    /// Tokens the loss is on: those after the prompt that have something before them.
    pub fn answer_tokens(&self) -> usize {
        self.tokens.len().saturating_sub(self.prompt.max(1))
    }

    /// Cut to `max_length` tokens.
    pub fn truncated(mut self, max_length: usize) -> Self {
        self.tokens.truncate(max_length);
        self
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
    /// Packs rows. A row's last token is only a target.
    pub fn pack<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut batch = Self::default();
        for row in rows {
            if row.answer_tokens() == 0 {
                continue;
            }
            let inputs = row.tokens.len() - 1;
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
}

/// The rows of each step of an epoch: shuffled by `seed` and epoch, `size` a step.
pub(crate) fn steps(rows: usize, size: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows).collect();
    // A stream of its own an epoch, so that a resumed run shuffles alike.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::from(epoch) + 1);
    order.shuffle(&mut random);
    order.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_is_masked_and_nothing_is_padded() {
        let rows = [
            Row {
                tokens: vec![1, 2, 3, 4],
                prompt: 2,
            },
            Row {
                tokens: vec![5],
                prompt: 0,
            },
            Row {
                tokens: vec![6, 7],
                prompt: 0,
            },
        ];
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
    }

    #[test]
    fn an_epoch_visits_every_row_once_in_an_order_of_its_own() {
        let first = steps(10, 3, 7, 0);
        let mut all: Vec<usize> = first.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(first, steps(10, 3, 7, 0));
        assert_ne!(first, steps(10, 3, 7, 1));
    }
}
