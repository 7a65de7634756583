//! How likely a text is as the answer to a prompt: what adapters, excerpts and profiles are compared by.

use idiolect_llm::{AdapterSource, Cancel, Message, ScoreRequest, TextModel};

use crate::Result;

/// Sum of natural-log probabilities.
pub fn total(log_probs: &[f32]) -> f64 {
    log_probs.iter().map(|&lp| f64::from(lp)).sum()
}

/// Log-probability of `text` in nats and its tokens, as the assistant's answer to `messages`.
///
/// # Errors
/// The model's.
pub fn of_answer(
    model: &dyn TextModel,
    messages: &[Message],
    text: &str,
    adapter: Option<&AdapterSource>,
    cancel: &Cancel,
) -> Result<(f64, usize)> {
    let request = ScoreRequest {
        prefix: model.encode_prompt(&model.render(messages)?)?,
        continuations: vec![model.encode(text)?],
        adapters: adapter.cloned().into_iter().collect(),
        ..ScoreRequest::default()
    };
    let rows = model.score(&[request], cancel)?;
    Ok((total(&rows[0][0]), rows[0][0].len()))
}

/// Bits per token over several (messages, text) pairs: −Σ log₂ P / Σ tokens. Lower is better.
///
/// # Errors
/// The model's; no tokens at all.
pub fn bits_per_token(
    model: &dyn TextModel,
    answers: &[(Vec<Message>, &str)],
    adapter: Option<&AdapterSource>,
    cancel: &Cancel,
) -> Result<f64> {
    let (mut nats, mut tokens) = (0.0, 0);
    for (messages, text) in answers {
        let (lp, n) = of_answer(model, messages, text, adapter, cancel)?;
        nats -= lp;
        tokens += n;
    }
    if tokens == 0 {
        return Err(crate::PersonaError::Data(
            "there is no text to measure".to_owned(),
        ));
    }
    Ok(nats / tokens as f64 / std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use idiolect_llm::{Role, testing::FakeModel};

    #[test]
    fn bits_are_nats_over_tokens_and_fall_after_a_prompt_of_the_same_kind() {
        let model = FakeModel::new();
        let cancel = Cancel::new();
        let text = "the other weather is rather there than here";
        let ask = |content: &str| vec![Message::new(Role::User, content)];
        let (lp, n) = of_answer(&model, &ask("zzzz"), text, None, &cancel).unwrap();
        let bits = bits_per_token(&model, &[(ask("zzzz"), text)], None, &cancel).unwrap();
        assert!((bits + lp / n as f64 / std::f64::consts::LN_2).abs() < 1e-9);
        let alike = bits_per_token(&model, &[(ask(text), text)], None, &cancel).unwrap();
        assert!(alike < bits, "after itself {alike}, after zzzz {bits}");
        assert!(bits_per_token(&model, &[], None, &cancel).is_err());
    }
}
