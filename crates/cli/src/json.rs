//! The JSON shapes of docs/cli.md where they differ from the studio's own types.

use idiolect_core::{draft::Draft, reading::Reading};
use idiolect_studio::api::ProfileView;
use serde_json::{Value, json};

/// `infer` and `profile show`.
pub fn reading(view: &ProfileView) -> Value {
    json!({
        "profile": view.profile.name,
        "id": view.profile.id,
        "model": view.model,
        "stale": view.stale,
        "samples": view.profile.samples,
        "words": view.profile.words,
        "sensitive": view.profile.sensitive,
        "self_description": view.profile.self_description,
        "summary": view.profile.summary,
        "dimensions": view.dimensions.iter().map(dimension).collect::<Vec<_>>(),
        "hypotheses": view.hypotheses,
    })
}

/// A reading with its evidence flat, as scripts read it.
pub fn dimension(reading: &Reading) -> Value {
    let mut value = serde_json::to_value(reading).unwrap_or_default();
    value["evidence"] = reading
        .evidence
        .iter()
        .map(|e| {
            json!({
                "sample": e.span.sample,
                "span": e.span.text,
                "start": e.span.start,
                "end": e.span.end,
                "weight": e.weight,
            })
        })
        .collect();
    value
}

/// `write`, and each draft of `compare` and `drafts`.
pub fn draft(draft: &Draft) -> Value {
    json!({
        "id": draft.id,
        "intent": draft.intent,
        "method": draft.method,
        "brief": draft.brief,
        "prompt": draft.prompt,
        "prompt_tokens": draft.prompt_tokens,
        "text": draft.text,
        "tokens": draft.tokens,
        "seconds": draft.seconds,
        "tokens_per_second": draft.tokens_per_second,
        "seed": draft.sampling.seed,
        "sampling": draft.sampling,
        "model": draft.model,
        "adapter": draft.adapter,
        "ended": draft.ended,
        "meters": draft.meters,
        "kept": draft.kept,
        "edited": draft.edited,
        "thumb": draft.thumb,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_flat_and_nothing_else_changes() {
        let stored = json!({
            "id": "order", "index": 23, "subject": "person", "status": "known", "score": 0.4,
            "interval": [0.1, 0.7], "effective_evidence": 9.0, "direction": 1, "override": null,
            "object": null, "note": "",
            "evidence": [{"span": {"sample": "s-1", "start": 4, "end": 9, "text": "tidy "}, "weight": 0.2}],
        });
        let reading: Reading = serde_json::from_value(stored.clone()).unwrap();
        let mut shown = dimension(&reading);
        assert_eq!(
            shown["evidence"],
            json!([{"sample": "s-1", "span": "tidy ", "start": 4, "end": 9, "weight": 0.2}])
        );
        shown["evidence"] = stored["evidence"].clone();
        assert_eq!(shown, stored);
    }
}
