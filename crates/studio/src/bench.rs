//! Numbers for scripts: log-probabilities of a text.

use idiolect_core::{ErrorCode, UserError, draft::AdapterUse};
use idiolect_llm::{ScoreRequest, TextModel, Token};

use crate::{
    api::{Response, ScoreReport},
    context::Ctx,
    errors::Told,
    writing::adapter_source,
};

pub(crate) fn score(
    ctx: &mut Ctx,
    model: Option<&str>,
    text: &str,
    adapter: Option<AdapterUse>,
) -> Result<Response, UserError> {
    if text.is_empty() {
        return Err(UserError::new(
            ErrorCode::Empty,
            "The text is empty.",
            "Give a text of at least two words.",
        ));
    }
    ctx.start_job("Scoring a text", false);
    let writer = ctx.studio.models.writer(ctx, model)?;
    let mut tokens: Vec<Token> = writer.model.bos().into_iter().collect();
    tokens.extend(writer.model.encode(text).told()?);
    if tokens.len() < 2 {
        return Err(UserError::new(
            ErrorCode::TooShort,
            "The text is one token long: nothing can be predicted.",
            "Give a text of at least two words.",
        ));
    }
    let context = writer.model.info().context;
    if tokens.len() > context {
        return Err(UserError::new(
            ErrorCode::ContextFull,
            format!(
                "The text is {} tokens long, and the model's context holds {context}.",
                tokens.len()
            ),
            "Score a part of it, or use a model with a longer context; a score is of one unbroken context.",
        ));
    }
    let adapters = adapter
        .iter()
        .map(|a| adapter_source(ctx, &writer, a))
        .collect::<Result<_, _>>()?;
    let request = ScoreRequest {
        prefix: Vec::new(),
        continuations: vec![tokens.clone()],
        adapters,
        ..ScoreRequest::default()
    };
    let studio = ctx.studio;
    let scored = {
        let _turn = crate::lock(&studio.jobs.model_turn);
        writer
            .model
            .score(std::slice::from_ref(&request), ctx.cancel())
            .told()?
    };
    let log_probs = scored.into_iter().flatten().next().unwrap_or_default();
    let nll =
        -log_probs.iter().map(|lp| f64::from(*lp)).sum::<f64>() / log_probs.len().max(1) as f64;
    Ok(Response::Score {
        report: ScoreReport {
            model: writer.file.id,
            tokens,
            log_probs,
            nll_per_token: nll,
            perplexity: nll.exp(),
        },
    })
}
