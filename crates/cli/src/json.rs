//! The JSON shapes of docs/cli.md where they differ from the studio's own types.

use idiolect_core::draft::Draft;
use idiolect_studio::api::ProfileView;
use serde_json::{Value, json};

/// `infer` and `profile show`.
pub fn reading(view: &ProfileView) -> Value {
    json!({
        "profile": view.profile.name,
        "model": view.model,
        "dimensions": view.dimensions.iter().map(|d| {
            let mut value = serde_json::to_value(d).unwrap_or_default();
            // Evidence flat, as scripts read it.
            value["evidence"] = d.evidence.iter().map(|e| json!({
                "sample": e.span.sample,
                "span": e.span.text,
                "start": e.span.start,
                "end": e.span.end,
                "weight": e.weight,
            })).collect();
            value
        }).collect::<Vec<_>>(),
        "hypotheses": view.hypotheses,
    })
}

/// `write`, and each draft of `compare`.
pub fn draft(draft: &Draft) -> Value {
    json!({
        "id": draft.id,
        "intent": draft.intent,
        "method": draft.method,
        "brief": draft.brief,
        "prompt": draft.prompt,
        "text": draft.text,
        "tokens": draft.tokens,
        "seconds": draft.seconds,
        "tokens_per_second": draft.tokens_per_second,
        "seed": draft.sampling.seed,
        "model": draft.model,
        "adapter": draft.adapter,
        "ended": draft.ended,
        "meters": draft.meters,
    })
}
