//! Texts held to a JSON schema, whatever the model would rather write.

use idiolect_core::draft::Sampling;
use idiolect_engine::LoadedModel;
use idiolect_llm::{
    Cancel, Constraint, Ended, GenerateRequest, Generation, LlmError, TextModel, testing::TinyGguf,
};
use serde_json::Value;

use crate::{files::sentencepiece, tiny};

/// A schema whose values have an end: at most some 60 bytes.
const BOUNDED: &str = r#"{
    "type": "object",
    "properties": {
        "kind": {"enum": ["letter", "note", "Wörterbuch"]},
        "words": {"type": "array", "items": {"type": "string", "maxLength": 5}, "minItems": 1, "maxItems": 3},
        "sure": {"type": "boolean"},
        "count": {"type": "integer", "minimum": 0, "maximum": 99}
    },
    "required": ["kind", "words", "sure", "count"],
    "additionalProperties": false
}"#;

pub(crate) fn written(
    model: &LoadedModel,
    prompt: &str,
    schema: &str,
    seed: u64,
) -> idiolect_llm::Result<Generation> {
    let request = GenerateRequest {
        prompt: model.encode_prompt(prompt)?,
        sampling: Sampling {
            temperature: 1.5,
            min_p: 0.0,
            repetition_penalty: 1.0,
            max_tokens: 150,
            seed,
            ..Sampling::default()
        },
        constraint: Some(Constraint::JsonSchema(schema.into())),
        ..GenerateRequest::default()
    };
    Ok(model
        .generate(&[request], &Cancel::new(), &mut |_, _| {})?
        .remove(0))
}

/// Checks the value against [`BOUNDED`] by hand.
pub(crate) fn assert_bounded(generation: &Generation) {
    let text = &generation.text;
    assert_eq!(generation.ended, Ended::Stop, "it ends by itself: {text}");
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let fields = value.as_object().unwrap();
    assert_eq!(fields.len(), 4, "{text}");
    assert!(
        ["letter", "note", "Wörterbuch"].contains(&fields["kind"].as_str().unwrap()),
        "{text}"
    );
    let words = fields["words"].as_array().unwrap();
    assert!((1..=3).contains(&words.len()), "{text}");
    for word in words {
        assert!(word.as_str().unwrap().chars().count() <= 5, "{text}");
    }
    assert!(fields["sure"].is_boolean(), "{text}");
    assert!(fields["count"].as_u64().unwrap() <= 99, "{text}");
}

pub(crate) fn bounded() -> &'static str {
    BOUNDED
}

#[test]
fn random_models_write_valid_json() {
    for model in [tiny(&TinyGguf::default()), sentencepiece()] {
        for seed in 0..6 {
            let generation = written(&model, "hi", BOUNDED, seed).unwrap();
            assert_bounded(&generation);
        }
    }
}

#[test]
fn schemas_that_cannot_be_used_are_refused_in_words() {
    let model = tiny(&TinyGguf::default());
    for (schema, word) in [
        ("{", "JSON"),
        ("[]", "object"),
        (r#"{"type": "mystery"}"#, "mystery"),
        (r#"{"$ref": "https://example.com/schema"}"#, "ref"),
        (r#"{"type": "string", "pattern": "("}"#, ""),
        ("false", ""),
    ] {
        let refused = written(&model, "hi", schema, 1);
        let Err(LlmError::Constraint(why)) = refused else {
            panic!("{schema}: {refused:?}");
        };
        assert!(why.contains(word) && !why.is_empty(), "{schema}: {why}");
    }
}
