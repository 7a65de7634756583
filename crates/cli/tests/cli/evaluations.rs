//! Evaluations: refusals before any model, and the shape of a report.

use super::support::Home;

/// A gzip file of stored blocks, so that the tests need no compressor.
fn gzip(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks = bytes.chunks(0xffff).count();
    for (i, block) in bytes.chunks(0xffff).enumerate() {
        let length = block.len() as u16;
        out.push(u8::from(i + 1 == blocks));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let crc = bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            (c >> 1) ^ (0xedb8_8320 * (c & 1))
        })
    });
    out.extend((!crc).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

#[test]
fn evaluations_say_what_they_cannot_measure_before_any_model() {
    let home = Home::new();
    let data = home.path().join("data");
    std::fs::create_dir_all(data.join("evals")).unwrap();
    let data = data.to_string_lossy().into_owned();
    let here = home.path().to_string_lossy().into_owned();
    for (arguments, code, words) in [
        (vec!["nonsense", "--data", &data], 2, "There are: psoups"),
        (
            vec!["psoups", "--data", &data, "--limit", "0"],
            2,
            "--limit 0",
        ),
        (
            vec!["psoups", "--data", &data, "--corpus", "cmcc21"],
            2,
            "no corpus",
        ),
        (
            vec!["prefeval", "--data", &data, "--texts", "2"],
            2,
            "no language model",
        ),
        (
            vec!["reliability", "--data", &data, "--texts", "1"],
            2,
            "at least 2",
        ),
        (
            vec!["psoups", "--data", &here],
            1,
            "neither corpora/ nor evals/",
        ),
        (vec!["psoups", "--data", &data], 1, "evals/psoups.jsonl.gz"),
        (
            vec!["reliability", "--data", &data, "--corpus", "other"],
            1,
            "corpora/other.jsonl.gz",
        ),
    ] {
        let (found, error) = home.fails(&[&["eval"], arguments.as_slice()].concat());
        assert_eq!(found, code, "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(
            !error.contains("--offline"),
            "no model was asked for: {error}"
        );
    }
}

#[test]
fn a_tiny_evaluation_with_the_model_has_the_shape_that_is_promised() {
    let Some(home) = Home::with_model() else {
        return;
    };
    let data = home.path().join("data");
    std::fs::create_dir_all(data.join("evals")).unwrap();
    let lively = ["Oh yes! Go on!", "What fun it is!", "Wow! Look at that!"];
    let learned = [
        "Considerable deliberation is necessary.",
        "Comprehensive examination is indispensable.",
        "Methodological uncertainty is unavoidable.",
    ];
    let mut lines = String::new();
    for i in 0..2 {
        for persona in ["lively", "learned"] {
            let pair = |i: usize| {
                let (a, b) = (lively[i % 3], learned[i % 3]);
                let (chosen, rejected) = if persona == "lively" { (a, b) } else { (b, a) };
                serde_json::json!({"prompt": format!("Question {i}?"), "chosen": chosen, "rejected": rejected})
            };
            let mut row = pair(i);
            row["persona"] = persona.into();
            row["history"] = vec![pair(i + 1), pair(i + 2)].into();
            lines += &format!("{row}\n");
        }
    }
    std::fs::write(data.join("evals/psoups.jsonl.gz"), gzip(&lines)).unwrap();
    let data = data.to_string_lossy().into_owned();
    let report = home.json(&["eval", "psoups", "--data", &data]);
    assert_eq!(
        (
            &report["eval"],
            &report["model"],
            &report["n"],
            &report["fit"]
        ),
        (
            &"psoups".into(),
            &"smollm2-135m-instruct".into(),
            &4.into(),
            &"shipped".into()
        )
    );
    for result in report["results"].as_array().unwrap() {
        let value = result["value"].as_f64().unwrap();
        let [low, high] = [0, 1].map(|i| result["interval"][i].as_f64().unwrap());
        assert!(
            0.0 <= low && low <= value && value <= high && high <= 1.0,
            "{result}"
        );
        // How many turn is no accuracy.
        if result["name"] == "flip_rate" {
            continue;
        }
        for control in ["chance", "length_rule", "always_longer", "wrong_user"] {
            assert!(
                result["controls"][control].is_number(),
                "{control}: {result}"
            );
        }
    }
    let fused = &report["results"][0];
    assert_eq!(fused["name"], "pair_accuracy");
    assert!(
        fused["value"].as_f64() > fused["controls"]["wrong_user"].as_f64(),
        "{fused}"
    );
    assert_eq!(report, home.json(&["eval", "psoups", "--data", &data]));
    let human = home.run(&["eval", "psoups", "--data", &data]);
    let human = String::from_utf8_lossy(&human.stdout).into_owned();
    assert!(human.contains("control wrong_user:"), "{human}");
}
