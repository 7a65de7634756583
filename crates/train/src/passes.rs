//! What the loop asks of a model: log-probabilities of whole answers, and gradients of a weighted sum of them.

use idiolect_engine::{Dropout, Gradients, LoadedModel, LoraWeights, Texts, Trace, TrainOptions};

use crate::{
    TrainError,
    data::{Batch, Example, Row},
    objective::{Objective, Scored, Sequence, Term, zero_point},
    observer::Preference,
};

/// Tokens scored in one pass where no gradient is wanted.
const SCORED_TOKENS: usize = 1024;

/// A model at work, with memory that every pass uses again.
pub(crate) struct Passes<'a> {
    model: &'a LoadedModel,
    options: TrainOptions,
    trace: Trace,
}

/// Sums over examples, not yet divided by their weight.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Sum {
    loss: f64,
    weight: f64,
    margin: f64,
    right: f64,
    /// Examples that are on one side or the other.
    judged: f64,
}

impl Sum {
    fn add(&mut self, term: &Term, example: &Example) {
        self.loss += term.loss;
        self.weight += term.weight;
        if !matches!(example, Example::Text(_)) {
            self.margin += term.margin;
            self.right += term.right;
            self.judged += 1.0;
        }
    }

    pub(crate) fn mean(&self) -> f64 {
        self.loss / self.weight
    }

    pub(crate) fn preference(&self) -> Option<Preference> {
        (self.judged > 0.0).then(|| Preference {
            margin: self.margin / self.judged,
            accuracy: self.right / self.judged,
        })
    }
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.loss += other.loss;
        self.weight += other.weight;
        self.margin += other.margin;
        self.right += other.right;
        self.judged += other.judged;
    }
}

/// What every pass of a step has in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    /// What the sums of all passes are divided by.
    pub(crate) weight: f64,
    /// KTO's zero point.
    pub(crate) shift: f64,
}

/// Examples and what the reference says of each.
type Referred<'b> = (&'b [&'b Example], &'b [[f64; 2]]);

impl<'a> Passes<'a> {
    pub(crate) fn new(model: &'a LoadedModel, options: TrainOptions) -> Self {
        Self {
            model,
            options,
            trace: Trace::new(),
        }
    }

    /// Log-probabilities of the rows' answers under base + LoRA, without dropout.
    pub(crate) fn log_probs(
        &mut self,
        rows: &[&Row],
        lora: Option<&LoraWeights>,
    ) -> Result<Vec<f64>, TrainError> {
        let mut sums = Vec::with_capacity(rows.len());
        let (model, trace, precision) = (self.model, &mut self.trace, self.options.precision);
        for rows in by_budget(rows, SCORED_TOKENS) {
            let batch = Batch::pack(rows.iter().copied());
            let nll = model.install(|| {
                let decoder = model.decoder();
                decoder.train_score(&texts(&batch), lora, precision, trace)
            })?;
            sums.extend(batch.sums(&nll).into_iter().map(|nll| -nll));
        }
        Ok(sums)
    }

    /// The same of every example's rows.
    pub(crate) fn scores(
        &mut self,
        examples: &[&Example],
        lora: Option<&LoraWeights>,
    ) -> Result<Vec<[f64; 2]>, TrainError> {
        let rows: Vec<&Row> = examples.iter().flat_map(|e| e.rows()).collect();
        let mut sums = self.log_probs(&rows, lora)?.into_iter();
        Ok(examples.iter().map(|e| two(e, &mut sums)).collect())
    }

    /// An objective over examples, without gradients.
    pub(crate) fn evaluate(
        &mut self,
        objective: &Objective,
        (examples, references): Referred<'_>,
        shift: f64,
        lora: Option<&LoraWeights>,
    ) -> Result<Sum, TrainError> {
        let now = self.scores(examples, lora)?;
        let mut sum = Sum::default();
        for ((example, now), reference) in examples.iter().zip(&now).zip(references) {
            sum.add(&term(objective, example, *now, *reference, shift)?, example);
        }
        Ok(sum)
    }

    /// One pass of a step: adds the gradient of the examples' losses over the step's weight to `into`, and gives their sums.
    pub(crate) fn learn(
        &mut self,
        objective: &Objective,
        (examples, references): Referred<'_>,
        whole: Whole,
        dropout: Option<Dropout>,
        lora: &LoraWeights,
        into: &mut Gradients,
    ) -> Result<Sum, TrainError> {
        let batch = Batch::pack(examples.iter().flat_map(|e| e.rows()));
        let options = TrainOptions {
            dropout,
            ..self.options
        };
        let (model, trace) = (self.model, &mut self.trace);
        let nll = model.install(|| {
            let decoder = model.decoder();
            decoder.train_forward(&texts(&batch), lora, &options, trace)
        })?;
        let mut sums = batch.sums(&nll).into_iter().map(|nll| -nll);
        let mut sum = Sum::default();
        let mut weights = Vec::with_capacity(batch.lengths.len());
        for (example, reference) in examples.iter().zip(references) {
            let now = two(example, &mut sums);
            let term = term(objective, example, now, *reference, whole.shift)?;
            sum.add(&term, example);
            // A log-probability is minus the sum of the tokens' losses.
            let slopes = term.slopes.iter().take(example.rows().count());
            weights.extend(slopes.map(|slope| -slope / whole.weight));
        }
        let weights = batch.spread(&weights);
        model.install(|| {
            let decoder = model.decoder();
            decoder.train_backward(trace, &weights, lora, into)
        })?;
        Ok(sum)
    }

    /// KTO's zero point from mismatched rows; 0 without any.
    pub(crate) fn zero_point(
        &mut self,
        rows: &[&Row],
        references: &[f64],
        lora: Option<&LoraWeights>,
    ) -> Result<f64, TrainError> {
        let now = self.log_probs(rows, lora)?;
        let sequences: Vec<Sequence> = rows
            .iter()
            .zip(now.into_iter().zip(references))
            .map(|(row, (log_prob, reference))| Sequence {
                log_prob,
                tokens: row.answer_tokens(),
                reference: *reference,
            })
            .collect();
        Ok(zero_point(&sequences))
    }
}

pub(crate) fn texts(batch: &Batch) -> Texts<'_> {
    Texts {
        tokens: &batch.tokens,
        lengths: &batch.lengths,
        targets: &batch.targets,
    }
}

/// Rows in their order, so many that each part has at most `most` tokens or one row.
fn by_budget<'r, 'a>(rows: &'r [&'a Row], most: usize) -> Vec<&'r [&'a Row]> {
    let mut parts = Vec::new();
    let (mut first, mut tokens) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        if i > first && tokens + row.tokens.len() > most {
            parts.push(&rows[first..i]);
            (first, tokens) = (i, 0);
        }
        tokens += row.tokens.len();
    }
    if first < rows.len() {
        parts.push(&rows[first..]);
    }
    parts
}

fn two(example: &Example, sums: &mut impl Iterator<Item = f64>) -> [f64; 2] {
    let mut next = || sums.next().unwrap_or(f64::NAN);
    match example {
        Example::Pair { .. } => [next(), next()],
        Example::Text(_) | Example::Thumb { .. } => [next(), 0.0],
    }
}

fn term(
    objective: &Objective,
    example: &Example,
    now: [f64; 2],
    reference: [f64; 2],
    shift: f64,
) -> Result<Term, TrainError> {
    let sequence = |row: &Row, i: usize| Sequence {
        log_prob: now[i],
        tokens: row.answer_tokens(),
        reference: reference[i],
    };
    let scored = match example {
        Example::Text(row) => Scored::Text(sequence(row, 0)),
        Example::Pair { chosen, rejected } => Scored::Pair {
            chosen: sequence(chosen, 0),
            rejected: sequence(rejected, 1),
        },
        Example::Thumb { row, good } => Scored::Thumb {
            text: sequence(row, 0),
            good: *good,
        },
    };
    objective.term(&scored, shift).ok_or_else(|| {
        TrainError::Settings(format!(
            "{} cannot learn from examples of this kind",
            objective.name()
        ))
    })
}
