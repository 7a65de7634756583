//! A row's result does not depend on what else is in the call: scores and texts alone and beside three others, with and
//! without adapters, directions, a second stream and a form, at every instruction level of this machine.

use std::{path::Path, sync::Arc};

use idiolect_core::draft::Sampling;
use idiolect_engine::{Level, LoadedModel};
use idiolect_llm::{
    AdapterSource, Against, Cancel, Constraint, GenerateRequest, Generation, ScoreRequest,
    Steering, TextModel, Token, testing::TinyGguf,
};

use crate::{
    lora::{all_linears, trained},
    tiny_at,
};

fn tokens(n: usize, seed: u32) -> Vec<Token> {
    (0..n as u32)
        .map(|i| 3 + (i * 41 + seed * 53 + i * i * 3) % 263)
        .collect()
}

fn direction(layer: usize, seed: usize, scale: f32) -> Steering {
    let vector: Arc<[f32]> = (0..64)
        .map(|i| ((i * 29 + seed * 13) % 17) as f32 / 17.0 - 0.5)
        .collect();
    Steering {
        layer,
        vector,
        scale,
    }
}

fn adapter(dir: &Path, scale: f32) -> Vec<AdapterSource> {
    vec![AdapterSource {
        dir: dir.to_owned(),
        scale,
    }]
}

/// Both at once.
fn both(dirs: &[tempfile::TempDir; 2], first: f32, second: f32) -> Vec<AdapterSource> {
    [
        adapter(dirs[0].path(), first),
        adapter(dirs[1].path(), second),
    ]
    .concat()
}

/// Two folders with different adapters of the model.
fn adapters(model: &LoadedModel) -> [tempfile::TempDir; 2] {
    [7, 8].map(|seed| {
        let dir = tempfile::tempdir().unwrap();
        trained(model, &all_linears(), seed)
            .save(dir.path(), model.config(), "tiny")
            .unwrap();
        dir
    })
}

fn levels(check: impl Fn(&LoadedModel)) {
    for level in Level::available() {
        println!("{}", level.name());
        check(&tiny_at(
            &TinyGguf {
                context: 1024,
                ..TinyGguf::default()
            },
            level,
        ));
    }
}

#[test]
fn scores_alone_and_beside_others_are_the_same_bits() {
    levels(|model| {
        let dirs = adapters(model);
        let texts = [
            tokens(5, 1),
            tokens(20, 2),
            tokens(1, 3),
            tokens(20, 2)[..9].to_vec(),
        ];
        let request = |prefix: usize, seed| ScoreRequest {
            prefix: tokens(prefix, seed),
            continuations: texts.to_vec(),
            ..ScoreRequest::default()
        };
        let requests = [
            request(40, 1),
            ScoreRequest {
                adapters: adapter(dirs[0].path(), 1.0),
                ..request(3, 2)
            },
            ScoreRequest {
                steer: vec![direction(0, 1, 0.7), direction(1, 2, -1.5)],
                ..request(65, 3)
            },
            ScoreRequest {
                adapters: adapter(dirs[1].path(), 0.5),
                steer: vec![direction(0, 3, 2.0)],
                ..request(40, 1)
            },
            ScoreRequest {
                adapters: both(&dirs, 0.7, 0.4),
                ..request(40, 1)
            },
            ScoreRequest {
                adapters: both(&dirs, 0.7, 0.4),
                ..request(12, 5)
            },
            ScoreRequest {
                adapters: both(&dirs, 0.4, 0.7).into_iter().rev().collect(),
                ..request(40, 1)
            },
        ];
        let together = model.score(&requests, &Cancel::new()).unwrap();
        for (request, together) in requests.iter().zip(&together) {
            for (text, together) in request.continuations.iter().zip(together) {
                let alone = ScoreRequest {
                    continuations: vec![text.clone()],
                    ..request.clone()
                };
                let alone = model.score(&[alone], &Cancel::new()).unwrap();
                assert_eq!(&alone[0][0], together);
            }
        }
        assert_ne!(
            together[0][0], together[3][0],
            "adapter and direction count"
        );
    });
}

fn written(model: &LoadedModel, requests: &[GenerateRequest]) -> Vec<Generation> {
    model
        .generate(requests, &Cancel::new(), &mut |_, _| {})
        .unwrap()
}

#[test]
fn texts_alone_and_beside_others_are_the_same_bits() {
    levels(|model| {
        let dirs = adapters(model);
        let request = |n: usize, seed: u64, temperature: f64| GenerateRequest {
            prompt: tokens(n, 1),
            sampling: Sampling {
                temperature,
                seed,
                max_tokens: 24,
                min_p: 0.0,
                ..Sampling::default()
            },
            ..GenerateRequest::default()
        };
        let schema = r#"{"type":"object","properties":{"a":{"type":"string","maxLength":6},"b":{"type":"boolean"}},
            "required":["a","b"],"additionalProperties":false}"#;
        let requests = [
            request(30, 1, 0.0),
            request(30, 2, 0.8),
            request(21, 3, 1.3),
            request(90, 1, 0.8),
            GenerateRequest {
                adapters: adapter(dirs[0].path(), 1.0),
                ..request(30, 1, 0.8)
            },
            GenerateRequest {
                adapters: adapter(dirs[1].path(), 1.5),
                steer: vec![direction(1, 4, 1.0)],
                ..request(30, 1, 0.0)
            },
            GenerateRequest {
                adapters: both(&dirs, 0.5, 1.0),
                ..request(30, 1, 0.8)
            },
            GenerateRequest {
                steer: vec![direction(0, 5, 0.5)],
                ..request(30, 1, 0.8)
            },
            GenerateRequest {
                against: Some(Against {
                    prompt: tokens(17, 6),
                    adapters: adapter(dirs[0].path(), 1.0),
                    strength: 0.6,
                    plausible: 0.05,
                    ..Against::default()
                }),
                ..request(30, 1, 0.8)
            },
            GenerateRequest {
                constraint: Some(Constraint::JsonSchema(schema.into())),
                ..request(30, 9, 0.8)
            },
        ];
        let alone: Vec<Generation> = requests
            .iter()
            .map(|r| written(model, std::slice::from_ref(r)).remove(0))
            .collect();
        for (batch, alone) in [
            (&requests[..4], &alone[..4]),
            (&requests[4..9], &alone[4..9]),
            (&requests[..], &alone[..]),
        ] {
            for (together, alone) in written(model, batch).iter().zip(alone) {
                assert_eq!(together.tokens, alone.tokens, "the same tokens");
                assert_eq!(together.log_probs, alone.log_probs, "to the bit");
                assert_eq!(together.text, alone.text);
                assert_eq!(together.ended, alone.ended);
            }
        }
        for other in [2, 4, 6, 7, 8] {
            assert_ne!(
                alone[other].tokens, alone[1].tokens,
                "what sets request {other} apart counts"
            );
        }
    });
}
