//! Real models against recorded figures. The default model and the embedder run where `IDIOLECT_MODELS` names their folder; other
//! models only with `--ignored`, and fail where that folder lacks them.

use std::{path::PathBuf, sync::OnceLock};

use idiolect_core::draft::Sampling;
use idiolect_engine::{Engine, LoadedModel, MiniLm, Precision};
use idiolect_llm::{
    Cancel, DeviceWish, Embedder, Ended, GenerateRequest, Message, Role, ScoreRequest, TextModel,
    Token,
};

use crate::{fixture, forms};

/// Largest difference of a log-probability from the recorded f32 run.
const F32_TOLERANCE: f32 = 1e-3;
/// Mean difference with rounded activations, nats.
const INT8_MEAN_TOLERANCE: f32 = 0.08;
/// Difference of the best five with rounded activations, nats.
const INT8_BEST_TOLERANCE: f64 = 0.3;
/// Perplexity with rounded activations against f32.
const INT8_PERPLEXITY_TOLERANCE: f64 = 0.01;

/// The models' folder, or `None` where nobody named one. Where one is named, the model must be there: a
/// test that silently did nothing would be no test.
fn model(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("IDIOLECT_MODELS") else {
        eprintln!("skipped: IDIOLECT_MODELS is not set");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    assert!(
        path.exists(),
        "IDIOLECT_MODELS has no {name}: fetch the default models with `cargo xtask test --only models`"
    );
    Some(path)
}

pub(crate) fn smollm2() -> Option<&'static LoadedModel> {
    static MODEL: OnceLock<Option<LoadedModel>> = OnceLock::new();
    MODEL
        .get_or_init(|| {
            let path = model("smollm2-135m-instruct.gguf")?;
            Some(
                Engine::load(&path, "smollm2-135m-instruct", DeviceWish::Cpu)
                    .expect("the default model loads"),
            )
        })
        .as_ref()
}

/// A model that no test fetches: whoever asks for its tests has it.
fn other(file: &str) -> LoadedModel {
    let folder = std::env::var_os("IDIOLECT_MODELS").expect("IDIOLECT_MODELS names a folder");
    let path = PathBuf::from(folder).join(file);
    Engine::load(&path, "other", DeviceWish::Cpu)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn gemma() -> LoadedModel {
    other("gemma-3-270m-q4_k_m.gguf")
}

fn qwen() -> LoadedModel {
    other("qwen2.5-coder-0.5b-instruct.gguf")
}

fn recorded(name: &str) -> serde_json::Value {
    serde_json::from_str(&fixture(&format!("{name}.json"))).expect("the fixture parses")
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|x| x.as_f64().expect("a number"))
        .collect()
}

fn score(model: &LoadedModel, tokens: &[Token], precision: Precision) -> Vec<f32> {
    let request = ScoreRequest {
        prefix: vec![],
        continuations: vec![tokens.to_vec()],
        ..ScoreRequest::default()
    };
    model
        .with_team(|| model.score_at(&[request], precision, &Cancel::new()))
        .expect("it scores")
        .remove(0)
        .remove(0)
}

#[test]
fn tokens_are_those_of_the_reference() {
    let Some(model) = smollm2() else { return };
    let recorded = recorded("smollm2_teacher_forced_f32");
    let tokens = model.encode(&fixture("perplexity_text.txt")).unwrap();
    assert_eq!(
        tokens.len() as u64,
        recorded["n_tokens_full_text"].as_u64().unwrap(),
        "as many tokens"
    );
    let expected: Vec<Token> = numbers(&recorded["tokens"])
        .iter()
        .map(|&t| t as Token)
        .collect();
    assert_eq!(tokens[..512], expected[..], "the same ones");
    assert_eq!(
        model.decode(&tokens),
        fixture("perplexity_text.txt"),
        "and back"
    );
    let prompt = model
        .render(&[Message::new(Role::User, "What is the capital of France?")])
        .unwrap();
    assert!(
        prompt.starts_with("<|im_start|>system\n") && prompt.ends_with("<|im_start|>assistant\n"),
        "{prompt}"
    );
    let items: serde_json::Value = serde_json::from_str(&fixture("smollm2_f32.json")).unwrap();
    for item in items["items"].as_array().unwrap() {
        let ids: Vec<Token> = numbers(&item["prompt_tokens"])
            .iter()
            .map(|&t| t as Token)
            .collect();
        // The recorded prompts are rendered chats: spelled out and read again they give the same ids.
        let text: String = ids
            .iter()
            .map(|&t| match t {
                1 => "<|im_start|>".to_owned(),
                2 => "<|im_end|>".to_owned(),
                t => model.decode(&[t]),
            })
            .collect();
        assert_eq!(model.encode_prompt(&text).unwrap(), ids, "a rendered chat");
    }
}

#[test]
fn log_probs_are_those_of_the_reference() {
    let Some(model) = smollm2() else { return };
    log_probs_agree(model, &recorded("smollm2_teacher_forced_f32"));
}

fn log_probs_agree(model: &LoadedModel, recorded: &serde_json::Value) {
    let tokens: Vec<Token> = numbers(&recorded["tokens"])
        .iter()
        .map(|&t| t as Token)
        .collect();
    let expected = numbers(&recorded["logprob_next"]);
    let differences = |precision| -> Vec<f32> {
        let ours = score(model, &tokens, precision);
        assert_eq!(ours.len(), expected.len());
        ours.iter()
            .zip(&expected)
            .map(|(a, b)| (f64::from(*a) - b).abs() as f32)
            .collect()
    };
    let mean = |d: &[f32]| d.iter().sum::<f32>() / d.len() as f32;
    let largest = |d: &[f32]| d.iter().copied().fold(0.0, f32::max);
    let exact = differences(Precision::F32);
    println!(
        "f32: largest {:.6}, mean {:.6}",
        largest(&exact),
        mean(&exact)
    );
    assert!(
        largest(&exact) <= F32_TOLERANCE,
        "largest difference {}",
        largest(&exact)
    );
    for precision in [Precision::Int8, Precision::Bf16] {
        let rounded = differences(precision);
        println!(
            "{precision:?}: largest {:.4}, mean {:.4}",
            largest(&rounded),
            mean(&rounded)
        );
        assert!(
            mean(&rounded) <= INT8_MEAN_TOLERANCE,
            "{precision:?}: mean difference {}",
            mean(&rounded)
        );
    }
}

#[test]
fn rounded_activations_keep_the_perplexity() {
    let Some(model) = smollm2() else { return };
    perplexity_is_kept(model);
}

fn perplexity_is_kept(model: &LoadedModel) {
    let text = fixture("perplexity_text.txt");
    let tokens: Vec<Token> = model
        .bos()
        .into_iter()
        .chain(model.encode(&text).unwrap())
        .collect();
    let perplexity = |precision| {
        let scores = score(model, &tokens, precision);
        (-scores.iter().map(|&s| f64::from(s)).sum::<f64>() / scores.len() as f64).exp()
    };
    let exact = perplexity(Precision::F32);
    for precision in [Precision::Int8, Precision::Bf16] {
        let rounded = perplexity(precision);
        println!("perplexity: f32 {exact:.4}, {precision:?} {rounded:.4}");
        assert!(
            (rounded / exact - 1.0).abs() < INT8_PERPLEXITY_TOLERANCE,
            "{precision:?}: f32 {exact}, rounded {rounded}"
        );
    }
}

#[test]
#[ignore = "needs gemma-3-270m-q4_k_m.gguf in IDIOLECT_MODELS"]
fn gemma_agrees_with_the_reference() {
    let (model, recorded) = (gemma(), recorded("gemma3_270m_base_teacher_forced_f32"));
    tokens_agree(&model, &recorded);
    log_probs_agree(&model, &recorded);
    perplexity_is_kept(&model);
    // Recorded along greedy continuations of prompts.
    let items: serde_json::Value =
        serde_json::from_str(&fixture("gemma3_270m_base_f32.json")).unwrap();
    for item in items["items"].as_array().unwrap() {
        let mut tokens = ids(&item["prompt_tokens"]);
        let first = tokens.len() - 1;
        tokens.extend(ids(&item["gen_tokens"]));
        let places = item["first3"].as_array().unwrap().iter().enumerate();
        for (i, place) in places {
            let best = place["top5"].as_array().unwrap().iter().map(|b| {
                let id = b["id"].as_u64().unwrap() as Token;
                (id, b["logprob"].as_f64().unwrap())
            });
            best_agree(&model, &tokens[..=first + i], best);
        }
    }
}

#[test]
#[ignore = "needs qwen2.5-coder-0.5b-instruct.gguf in IDIOLECT_MODELS"]
fn qwen_agrees_with_the_reference() {
    let (model, recorded) = (qwen(), recorded("qwen25_coder_05b_teacher_forced_f32"));
    tokens_agree(&model, &recorded);
    log_probs_agree(&model, &recorded);
    perplexity_is_kept(&model);
    let tokens = ids(&recorded["tokens"]);
    for place in recorded["best"].as_array().unwrap() {
        let best = ids(&place["ids"])
            .into_iter()
            .zip(numbers(&place["log_probs"]));
        best_agree(
            &model,
            &tokens[..=place["at"].as_u64().unwrap() as usize],
            best,
        );
    }
    let prompt = model
        .render(&[Message::new(Role::User, "Say yes.")])
        .unwrap();
    assert!(
        prompt.contains("<|im_start|>user\nSay yes.<|im_end|>\n")
            && prompt.ends_with("<|im_start|>assistant\n"),
        "{prompt}"
    );
    assert_eq!(
        model
            .decode(&model.encode_prompt(&prompt).unwrap())
            .matches("im_")
            .count(),
        0,
        "control tokens are read as such"
    );
}

fn ids(value: &serde_json::Value) -> Vec<Token> {
    numbers(value).iter().map(|&t| t as Token).collect()
}

fn tokens_agree(model: &LoadedModel, recorded: &serde_json::Value) {
    let text = fixture("perplexity_text.txt");
    let tokens = model.encode_prompt(&text).unwrap();
    assert_eq!(
        tokens[..512],
        ids(&recorded["tokens"])[..],
        "the same tokens"
    );
    assert_eq!(
        tokens.len() as u64,
        recorded["n_tokens_full_text"].as_u64().unwrap(),
        "as many of them"
    );
    assert_eq!(model.decode(&tokens), text, "and back");
}

/// Compares log-probabilities of what may follow `tokens`.
fn best_agree(model: &LoadedModel, tokens: &[Token], best: impl Iterator<Item = (Token, f64)>) {
    for (token, expected) in best {
        for (precision, tolerance) in [
            (Precision::F32, f64::from(F32_TOLERANCE)),
            (Precision::Int8, INT8_BEST_TOLERANCE),
        ] {
            let request = ScoreRequest {
                prefix: tokens.to_vec(),
                continuations: vec![vec![token]],
                adapters: vec![],
                steer: Vec::new(),
            };
            let ours = model
                .with_team(|| model.score_at(&[request], precision, &Cancel::new()))
                .unwrap()[0][0][0];
            assert!(
                (f64::from(ours) - expected).abs() <= tolerance,
                "{precision:?}: token {token} after {} is {ours}, not {expected}",
                tokens.len()
            );
        }
    }
}

#[test]
fn it_answers_a_question_and_ends_its_turn() {
    let Some(model) = smollm2() else { return };
    let items: serde_json::Value = serde_json::from_str(&fixture("smollm2_f32.json")).unwrap();
    let item = &items["items"][0];
    let prompt = numbers(&item["prompt_tokens"])
        .iter()
        .map(|&t| t as Token)
        .collect();
    let sampling = Sampling {
        temperature: 0.0,
        repetition_penalty: 1.0,
        max_tokens: 24,
        ..Sampling::default()
    };
    let answer = model
        .generate(
            &[GenerateRequest {
                prompt,
                sampling,
                ..GenerateRequest::default()
            }],
            &Cancel::new(),
            &mut |_, _| {},
        )
        .unwrap()
        .remove(0);
    assert!(answer.text.contains("Paris"), "{}", answer.text);
    assert_eq!(answer.ended, Ended::Stop, "it ends its turn");
}

#[test]
fn a_nonsense_prompt_still_yields_json_of_the_schema() {
    let Some(model) = smollm2() else { return };
    for seed in 0..3 {
        let generation = forms::written(model, "))) purple 77 %%% the", forms::bounded(), seed);
        forms::assert_bounded(&generation.unwrap());
    }
}

#[test]
fn the_embedder_finds_likeness() {
    let Some(dir) = model("all-minilm-l6-v2") else {
        return;
    };
    let embedder = MiniLm::load(&dir).unwrap();
    let texts = [
        "A cat sleeps on the mat.",
        "A kitten naps on the rug.",
        "Interest rates rose again in March.",
        "",
    ];
    let vectors = embedder.embed(&texts, &Cancel::new()).unwrap();
    assert!(vectors.iter().all(|v| v.len() == 384), "384 dimensions");
    let dot = |a: usize, b: usize| {
        vectors[a]
            .iter()
            .zip(&vectors[b])
            .map(|(x, y)| x * y)
            .sum::<f32>()
    };
    assert!((dot(0, 0) - 1.0).abs() < 1e-4, "unit length");
    assert!(
        dot(0, 1) > 0.5 && dot(0, 2) < 0.2,
        "like texts lie close: {} {}",
        dot(0, 1),
        dot(0, 2)
    );
    let alone = embedder.embed(&texts[..1], &Cancel::new()).unwrap();
    let gap = alone[0]
        .iter()
        .zip(&vectors[0])
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(gap < 1e-4, "padding changes nothing that matters: {gap}");
}

#[test]
fn tokens_have_vectors_of_their_own_that_make_up_their_text_s() {
    let Some(dir) = model("all-minilm-l6-v2") else {
        return;
    };
    let embedder = MiniLm::load(&dir).unwrap();
    let cancel = Cancel::new();
    let texts = [
        "A quiet café",
        "Rates rose again in March, and nobody minded.",
        "",
    ];
    let all = embedder.embed_tokens(&texts, &cancel).unwrap();
    let words: Vec<&str> = all[0].iter().map(|t| &texts[0][t.bytes.clone()]).collect();
    assert_eq!(
        words,
        ["A", "quiet", "café"],
        "bytes of the text, without the marks at its ends"
    );
    assert!(all[2].is_empty());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let pooled = embedder.embed(&texts, &cancel).unwrap();
    for (tokens, pooled) in all.iter().zip(&pooled).take(2) {
        let mut sum = vec![0.0; 384];
        for token in tokens {
            assert!(
                (dot(&token.vector, &token.vector) - 1.0).abs() < 1e-4,
                "unit length"
            );
            sum.iter_mut().zip(&token.vector).for_each(|(s, v)| *s += v);
        }
        // The text's vector is the mean of the states before they are scaled, marks at its ends included.
        let cosine = dot(&sum, pooled) / dot(&sum, &sum).sqrt();
        assert!(cosine > 0.9, "{cosine}");
    }
    let alone = embedder.embed_tokens(&texts[..1], &cancel).unwrap();
    let gap = alone[0]
        .iter()
        .zip(&all[0])
        .map(|(a, b)| 1.0 - dot(&a.vector, &b.vector));
    assert!(
        gap.fold(0.0, f32::max) < 1e-4,
        "what else is in the batch changes nothing that matters"
    );
}

/// The estimate may be above the measured peak by this factor (it is an upper one), and below it by this one.
const ESTIMATE_ABOVE: f64 = 1.6;
const ESTIMATE_BELOW: f64 = 0.95;
/// Set for the process that [`the_estimate_is_about_what_a_model_takes_at_every_level`] measures.
const MEASURED: &str = "IDIOLECT_TEST_MEASURED_PEAK";

/// A level's peak is that of a process of its own: this test, started again.
#[cfg(target_os = "linux")]
#[test]
fn the_estimate_is_about_what_a_model_takes_at_every_level() {
    const TOKENS: usize = 1024;
    let Some(path) = model("smollm2-135m-instruct.gguf") else {
        return;
    };
    if std::env::var_os(MEASURED).is_some() {
        let estimate = Engine::estimate(&path).unwrap().generation(TOKENS);
        let model = Engine::load(&path, "smollm2-135m-instruct", DeviceWish::Cpu).unwrap();
        let ids: Vec<Token> = (0..TOKENS as Token).map(|i| 1000 + i % 997).collect();
        model.time(&ids, &[], &Cancel::new()).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.unwrap().trim().split(' ').next().unwrap();
        let peak = 1024.0 * kilobytes.parse::<f64>().unwrap();
        println!("measured {}", estimate as f64 / peak);
        return;
    }
    for level in idiolect_engine::Level::available() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("real_model::the_estimate_is_about_what_a_model_takes_at_every_level")
            .env(MEASURED, "1")
            .env("IDIOLECT_CPU", level.name())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let ratio = said
            .lines()
            .find_map(|line| line.split_once("measured "))
            .unwrap_or_else(|| panic!("{}: {said}", level.name()))
            .1
            .parse::<f64>()
            .unwrap();
        assert!(
            (ESTIMATE_BELOW..ESTIMATE_ABOVE).contains(&ratio),
            "{}: the estimate is {ratio:.2} times the peak",
            level.name()
        );
        eprintln!("{}: {ratio:.2}", level.name());
    }
}
