//! Scores and speed.

use serde_json::Value;

use crate::support::{Home, Used, has_keys, list};

#[test]
fn scores_are_those_of_the_reference_implementation() {
    let Some(home) = Home::with_model() else {
        return;
    };
    let fixture =
        |name: &str| format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let oracle: Value = serde_json::from_str(
        &std::fs::read_to_string(fixture("smollm2_teacher_forced_f32.json")).unwrap(),
    )
    .unwrap();
    let scored = home.json(&["score", &fixture("perplexity_text.txt")]);
    let tokens = oracle["tokens"].as_array().unwrap();
    assert_eq!(
        &scored["tokens"].as_array().unwrap()[..tokens.len()],
        tokens.as_slice(),
        "the same token ids"
    );
    let theirs = oracle["logprob_next"].as_array().unwrap();
    let ours = scored["log_probs"].as_array().unwrap();
    // The named tolerance of the f32 path.
    let worst = theirs
        .iter()
        .zip(ours)
        .map(|(a, b)| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs())
        .fold(0.0, f64::max);
    assert!(
        worst <= 1e-3,
        "log-probabilities differ by up to {worst} nats"
    );
}

#[test]
fn a_score_is_of_the_text_and_of_the_voice() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let text = home.file(
        "text.txt",
        b"The lamp broke again last night, and I sat in the dark.",
    );
    let plain = home.json(&["score", &text]);
    has_keys(&plain, "model tokens log_probs nll_per_token perplexity");
    assert_eq!(plain["model"], "smollm2-135m-instruct");
    let log_probs: Vec<f64> = list(&plain["log_probs"])
        .iter()
        .map(|p| p.as_f64().unwrap())
        .collect();
    assert_eq!(log_probs.len(), list(&plain["tokens"]).len() - 1);
    let mean = -log_probs.iter().sum::<f64>() / log_probs.len() as f64;
    let nll = plain["nll_per_token"].as_f64().unwrap();
    // Log-probabilities are printed as 32-bit numbers.
    assert!((nll - mean).abs() < 1e-5);
    assert!((plain["perplexity"].as_f64().unwrap() / nll.exp() - 1.0).abs() < 1e-9);

    let with = |scale: &str| {
        home.json(&[
            "score",
            &text,
            "--adapter",
            used.adapter(),
            "--adapter-scale",
            scale,
        ])
    };
    assert_eq!(with("0")["log_probs"], plain["log_probs"]);
    assert_ne!(with("1")["log_probs"], plain["log_probs"]);
    // By its path a model is the same model.
    let file = home.models.join("smollm2-135m-instruct.gguf");
    let by_path = home.json(&["score", &text, "--model", &file.display().to_string()]);
    assert_eq!(by_path["log_probs"], plain["log_probs"]);

    let long = home.file("long.txt", "word ".repeat(9_000).as_bytes());
    let (code, error) = home.fails(&["score", &long]);
    assert_eq!(code, 1);
    assert!(
        error.contains("Score a part of it") && !error.contains("brief"),
        "{error}"
    );
}

#[test]
fn speed_is_measured_as_documented() {
    let Some(home) = Home::with_model() else {
        return;
    };
    let bench = [
        "bench",
        "--threads",
        "1",
        "--prompts",
        "8,16",
        "--decode",
        "2",
        "--workload",
        "decode,sentences",
        "--sentences",
        "2",
    ];
    let said = home.json(&bench);
    has_keys(
        &said,
        "model threads device prefill decode load_seconds peak_bytes decodes drafts continuations sentences",
    );
    let after: Vec<_> = list(&said["decodes"]).iter().map(|d| &d["after"]).collect();
    assert_eq!(after, [0, 2000]);
    assert!(said["drafts"].is_null() && said["continuations"].is_null());
    has_keys(
        &said["sentences"],
        "sentences tokens_per_second prompt_tokens_per_second",
    );
    assert_eq!(home.fails(&["bench", "--sentences", "0"]).0, 2);
    assert_eq!(said["threads"], 1);
    let lengths: Vec<_> = list(&said["prefill"])
        .iter()
        .map(|p| &p["tokens"])
        .collect();
    assert_eq!(lengths, [8, 16]);
    for rate in list(&said["prefill"]).iter().chain([&said["decode"]]) {
        has_keys(rate, "tokens tokens_per_second");
        assert!(rate["tokens_per_second"].as_f64().unwrap() > 0.0);
    }
    let small = [
        "--rank",
        "2",
        "--batch",
        "1",
        "--length",
        "16",
        "--targets",
        "q,v",
    ];
    let said = home.json(&[&["bench", "train"][..], &small].concat());
    has_keys(
        &said,
        "objective targets batch length rank precision recompute tokens_per_second peak_bytes seconds_per_step losses",
    );
    assert_eq!(said["targets"], serde_json::json!(["q", "v"]));
    assert_eq!(
        (&said["batch"], &said["length"], &said["rank"]),
        (&1.into(), &16.into(), &2.into())
    );
    assert!(said["peak_bytes"].as_u64().unwrap() > 100_000_000);
    for wrong in [["--rank", "0"], ["--objective", "sgd"], ["--steps", "1"]] {
        assert_eq!(home.fails(&[&["bench", "train"][..], &wrong].concat()).0, 2);
    }
    let record = home.path().join("record");
    let record = record.to_string_lossy().into_owned();
    let pairs = ["--objective", "dpo", "--record", &record, "--steps", "6"];
    let said = home.json(&[&["bench", "train"][..], &small, &pairs].concat());
    let losses = list(&said["losses"]);
    assert_eq!(losses.len(), 6);
    // Before anything is learned neither text of a pair is preferred.
    assert!((losses[0].as_f64().unwrap() - 2f64.ln()).abs() < 1e-4);
    assert!(losses[5].as_f64() < losses[0].as_f64());
    let written = std::fs::read(home.path().join("record/run.json")).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["losses"], said["losses"]);
    let rows = list(&written["examples"][0]["rows"]);
    assert_eq!(
        rows.iter().map(|row| list(row).len()).collect::<Vec<_>>(),
        [17, 17]
    );
    assert!(
        home.path()
            .join("record/initial/adapter_config.json")
            .exists()
    );
}
