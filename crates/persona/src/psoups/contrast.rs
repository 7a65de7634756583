//! What the model itself says of a pair after a user's history.

use idiolect_llm::{Cancel, Message, Role, ScoreRequest, TextModel, Token};

use super::Pair;
use crate::{Result, likelihood};

/// The model's personal signal: for each target the summed log-prob margin of chosen over rejected after chat turns with
/// the preferred answers of `history`, minus the same after turns with the rejected ones. Odd in the history. What the
/// targets' prompts share, the history, is computed once.
///
/// # Errors
/// The model's.
pub fn contrasts(
    model: &dyn TextModel,
    history: &[Pair],
    targets: &[&Pair],
    cancel: &Cancel,
) -> Result<Vec<f64>> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let turns = |answer: fn(&Pair) -> &str, prompt: &str| -> Result<Vec<Token>> {
        let mut messages = Vec::new();
        for pair in history {
            messages.push(Message::new(Role::User, pair.prompt.as_str()));
            messages.push(Message::new(Role::Assistant, answer(pair)));
        }
        messages.push(Message::new(Role::User, prompt));
        Ok(model.encode_prompt(&model.render(&messages)?)?)
    };
    let mut margins = vec![0.0; targets.len()];
    let preferred: fn(&Pair) -> &str = |p| &p.chosen;
    for (sign, answer) in [(1.0, preferred), (-1.0, |p| &p.rejected)] {
        let prompts: Vec<Vec<Token>> = targets
            .iter()
            .map(|target| turns(answer, &target.prompt))
            .collect::<Result<_>>()?;
        let shared = shared_prefix(&prompts);
        let mut request = ScoreRequest {
            prefix: prompts.first().map_or(&[][..], |p| &p[..shared]).to_vec(),
            ..ScoreRequest::default()
        };
        for (prompt, target) in prompts.iter().zip(targets) {
            for text in [&target.chosen, &target.rejected] {
                let mut tokens = prompt[shared..].to_vec();
                tokens.extend(model.encode(text)?);
                request.continuations.push(tokens);
            }
        }
        let rows = model.score(&[request], cancel)?;
        for ((margin, prompt), pair) in margins.iter_mut().zip(&prompts).zip(rows[0].chunks(2)) {
            let answer = |row: &[f32]| likelihood::total(&row[prompt.len() - shared..]);
            *margin += sign * (answer(&pair[0]) - answer(&pair[1]));
        }
    }
    Ok(margins)
}

/// Tokens that all of them begin with.
fn shared_prefix(prompts: &[Vec<Token>]) -> usize {
    let Some((first, others)) = prompts.split_first() else {
        return 0;
    };
    others.iter().fold(first.len(), |shared, other| {
        first[..shared]
            .iter()
            .zip(other)
            .take_while(|(a, b)| a == b)
            .count()
    })
}

#[cfg(test)]
mod tests {
    use idiolect_llm::testing::FakeModel;

    use super::{
        super::tests::{pair, rows},
        *,
    };

    #[test]
    fn the_contrast_is_odd_in_the_history_and_the_same_in_company() {
        let model = FakeModel::new();
        let cancel = Cancel::new();
        let row = rows().remove(0);
        let other = pair(
            "Tell me a story.",
            "There was a king!",
            "Once a considerable king.",
        );
        let alone = |history: &[Pair], target: &Pair| {
            contrasts(&model, history, &[target], &cancel).unwrap()[0]
        };
        let forward = alone(&row.history, &row.target);
        let mut turned = row.clone();
        for p in &mut turned.history {
            std::mem::swap(&mut p.chosen, &mut p.rejected);
        }
        let back = alone(&turned.history, &row.target);
        assert!(forward != 0.0, "the history has an effect");
        assert!(
            (forward + back).abs() < 1e-3 * forward.abs(),
            "{forward} {back}"
        );
        let both = contrasts(&model, &row.history, &[&row.target, &other], &cancel).unwrap();
        let apart = [forward, alone(&row.history, &other)];
        for (a, b) in both.iter().zip(apart) {
            assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{a} {b}");
        }
        assert_eq!(
            contrasts(&model, &row.history, &[], &cancel).unwrap(),
            [0.0; 0]
        );
    }
}
