//! Language models on this machine.

use idiolect_llm::testing::TinyGguf;
use serde_json::Value;

use crate::support::{Home, has_keys, list};

/// A tiny model that the doctor has nothing to say against.
fn sound() -> TinyGguf {
    TinyGguf {
        context: 2048,
        ..TinyGguf::default()
    }
}

fn said<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn finding<'a>(report: &'a Value, name: &str) -> &'a Value {
    let found = list(&report["findings"]).iter().find(|f| f["name"] == name);
    found.unwrap_or_else(|| panic!("no “{name}” in {report}"))
}

/// The report of a command that ends with 1 or 0, and which of them.
fn doctor(home: &Home, file: &str) -> (Value, i32) {
    let output = home.run(&["--json", "models", "doctor", file]);
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (report, output.status.code().unwrap())
}

#[test]
fn the_doctor_says_of_any_file_what_is_wrong_and_what_to_do() {
    let home = Home::new();
    let mut file = sound().file();
    let bytes = file.to_bytes();
    let (report, code) = doctor(&home, &home.file("sound.gguf", &bytes));
    assert_eq!(
        (code, &report["usable"]),
        (0, &Value::from(true)),
        "{report}"
    );
    assert_eq!(finding(&report, "forward pass")["verdict"], "ok");
    assert!(
        said(finding(&report, "memory"), "found").contains("are free"),
        "{report}"
    );

    let (report, code) = doctor(&home, &home.file("cut.gguf", &bytes[..bytes.len() - 40]));
    assert_eq!((code, &report["usable"]), (1, &Value::from(false)));
    let tensors = finding(&report, "tensors");
    assert_eq!(tensors["verdict"], "broken");
    assert!(!said(tensors, "means").is_empty() && !said(tensors, "next").is_empty());
    assert_eq!(
        finding(&report, "tokenizer")["verdict"],
        "ok",
        "the rest is looked at"
    );

    file.tensor("blk.1.attn_q.weight").ggml_type = 23;
    let odd = home.file("odd.gguf", &file.to_bytes());
    let (report, code) = doctor(&home, &odd);
    assert_eq!(code, 1);
    assert!(said(finding(&report, "quantization"), "found").contains("blk.1.attn_q.weight"));
    let words = home.run(&["models", "doctor", &odd]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.contains("broken   quantization") && words.contains("Q4_K_M"),
        "{words}"
    );

    let bare = TinyGguf {
        template: None,
        ..sound()
    };
    let bare = home.file("bare.gguf", &bare.file().to_bytes());
    let (report, code) = doctor(&home, &bare);
    assert_eq!(code, 0, "a base model reads and scores: {report}");
    let template = finding(&report, "chat template");
    assert_eq!(template["verdict"], "warning");
    assert!(
        said(template, "means").contains("refused"),
        "what writing does is said: {template}"
    );
    // And that is what writing does.
    home.json(&["profile", "new", "Ada"]);
    let write = ["--model", &bare, "write", "--brief", "A note."];
    let (code, error) = home.fails(&write);
    assert!(code == 1 && error.contains("no chat template"), "{error}");
}

#[test]
fn a_file_stays_where_it_is_and_is_missed_when_it_moves_or_changes() {
    let home = Home::new();
    let file = home.file("mine.gguf", &sound().file().to_bytes());
    // By another name for it, as people keep models on other disks.
    let link = home.path().join("link.gguf").display().to_string();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&file, &link).unwrap();
    #[cfg(not(unix))]
    std::fs::copy(&file, &link).unwrap();
    let imported = home.json(&["models", "import", &link]);
    assert_eq!(imported["id"], "link");
    assert!(!home.models.exists(), "nothing was copied");
    let text = home.file("text.txt", b"A few plain words to score.");
    let score = ["--model", "link", "score", text.as_str()];
    home.json(&score);

    let elsewhere = home.path().join("elsewhere.gguf");
    std::fs::rename(&file, &elsewhere).unwrap();
    let (_, error) = home.fails(&score);
    assert!(
        error.contains("no longer where it was") && error.contains("Move it back"),
        "{error}"
    );
    let shown = home.json(&["models", "show", "link"]);
    assert_eq!(shown["state"], "broken", "{shown}");
    std::fs::rename(&elsewhere, &file).unwrap();
    home.json(&score);

    let mut other = sound();
    other.seed = 2;
    other.layers = 3;
    home.file("mine.gguf", &other.file().to_bytes());
    let (_, error) = home.fails(&score);
    assert!(error.contains("changed since it was imported"), "{error}");
    home.json(&["models", "import", &link]);
    home.json(&score);
}

#[test]
fn a_load_that_does_not_fit_is_refused_with_numbers_and_can_be_insisted_on() {
    let home = Home::new();
    let file = home.file("tiny.gguf", &sound().file().to_bytes());
    let text = home.file("text.txt", b"A few plain words to score.");
    let score = ["--json", "--model", file.as_str(), "score", text.as_str()];
    let short = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("IDIOLECT_MEMORY", "1M").output().unwrap()
    };
    let refused = short(&score);
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8(refused.stderr).unwrap();
    let error: Value = serde_json::from_str(words.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "memory_short", "{words}");
    for part in ["weights", "tokens of context", "1 MB are free", "--anyway"] {
        assert!(words.contains(part), "no “{part}” in {words}");
    }
    let insisted = short(&[&score[..], &["--anyway"]].concat());
    assert!(insisted.status.success());
    let checked = short(&["--json", "models", "doctor", &file]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(finding(&report, "memory")["verdict"], "warning", "{report}");
    assert!(
        !list(&report["findings"])
            .iter()
            .any(|f| f["name"] == "forward pass"),
        "nothing is loaded that does not fit"
    );
    let checked = short(&["--json", "--anyway", "models", "doctor", &file]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(
        finding(&report, "forward pass")["verdict"],
        "ok",
        "{report}"
    );
}

/// A pipe without a writer: whoever opens one to read waits for ever, so whoever does not wait did not open it.
#[cfg(unix)]
#[test]
fn no_model_is_opened_that_is_not_used() {
    use std::{
        process::{Command, Stdio},
        time::{Duration, Instant},
    };

    let home = Home::new();
    let file = home.file("mine.gguf", &sound().file().to_bytes());
    home.json(&["models", "import", &file]);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(&home.models).unwrap();
    let default = home.models.join("smollm2-135m-instruct.gguf");
    for pipe in [file.as_ref(), default.as_path()] {
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    // What the window asks for when it starts.
    for arguments in [
        &["status"][..],
        &["models", "list"],
        &["profile", "list"],
        &["settings", "show"],
    ] {
        let mut command = home.command(arguments);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if started.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(
            ended.is_some_and(|s| s.success()),
            "{arguments:?} opened a model file"
        );
    }
}

#[test]
fn models_are_listed_shown_imported_in_place_used_and_forgotten() {
    let Some(home) = Home::with_model() else {
        return;
    };
    let models = home.json(&["models", "list"]);
    let default = list(&models)
        .iter()
        .find(|m| m["id"] == "smollm2-135m-instruct")
        .unwrap();
    has_keys(
        default,
        "id name role about bytes parameters licence licence_gate state in_use sha256 details note",
    );
    assert_eq!(default["state"], "ready");
    assert_eq!(default["in_use"], true);
    let shown = home.json(&["models", "show", "smollm2-135m-instruct"]);
    let status = home.json(&["status"]);
    for (key, value) in default.as_object().unwrap() {
        match key.as_str() {
            // Only looking at one reads its file.
            "memory" => assert!(said(&shown, key).contains("weights"), "{shown}"),
            "device" => assert_eq!(
                said(&shown, key),
                format!(
                    "{}: {}",
                    said(&status, "device"),
                    said(&status, "device_why")
                ),
                "the same sentence everywhere"
            ),
            _ => assert_eq!(&shown[key], value, "{key}"),
        }
    }
    assert!(home.words(&["models", "list"]).contains("in use"));

    let file = home.models.join("smollm2-135m-instruct.gguf");
    let imported = home.json(&["models", "import", &file.display().to_string()]);
    assert_eq!(imported["state"], "imported");
    assert_eq!(imported["sha256"], default["sha256"]);
    let id = imported["id"].as_str().unwrap();
    assert_eq!(home.json(&["models", "use", id])["in_use"], true);
    assert_eq!(home.json(&["status"])["model_id"], id);
    let report = home.json(&["models", "doctor", id]);
    has_keys(&report, "usable verdict checks findings");
    assert_eq!(report["usable"], true, "{report}");
    for finding in list(&report["findings"]) {
        has_keys(finding, "name verdict found means next");
        assert_eq!(finding["verdict"], "ok", "{finding}");
    }
    let device = finding(&report, "device");
    assert_eq!(device["found"], shown["device"], "the same sentence again");
    let embedder = home.json(&["models", "doctor", "all-minilm-l6-v2"]);
    assert_eq!(embedder["usable"], true, "{embedder}");
    assert_eq!(home.fails(&["models", "doctor", "nobody"]).0, 1);
    let folder = home.models.display().to_string();
    let (code, error) = home.fails(&["models", "import", &folder]);
    assert!(code == 2 && error.contains("a folder"), "{code}: {error}");
    home.json(&["models", "use", "smollm2-135m-instruct"]);
    home.json(&["models", "remove", id]);
    assert!(file.exists(), "an imported file is only forgotten");
    assert_eq!(home.fails(&["models", "show", id]).0, 1);
}

#[test]
fn a_models_licence_can_be_read_before_it_is_fetched() {
    let home = Home::new();
    let text = home.words(&["models", "show", "gemma-3-1b-it"]);
    assert!(
        text.contains("https://ai.google.dev/gemma/terms") && text.contains("--accept-licence"),
        "{text}"
    );
    let model = home.json(&["models", "show", "smollm2-1.7b-instruct"]);
    assert_eq!(
        model["licence_url"],
        "https://www.apache.org/licenses/LICENSE-2.0"
    );
}

/// What is said before a load, against what the process really takes at the end of a prompt as long as the estimate expects.
#[test]
fn what_a_load_is_said_to_take_is_about_what_it_takes() {
    /// Too little would end in a killed program, so nearly all of it must have been announced; too much only annoys.
    const MOST: f64 = 1.1;
    const LEAST: f64 = 0.5;
    let Some(home) = Home::with_model() else {
        return;
    };
    let shown = home.json(&["models", "show", "smollm2-135m-instruct"]);
    let words = said(&shown, "memory");
    let megabytes = words.strip_prefix("It takes about ").unwrap();
    let announced: f64 = megabytes.split(' ').next().unwrap().parse().unwrap();
    let bench = home.json(&["bench", "--prompts", "4095", "--decode", "1"]);
    assert_eq!(bench["device_why"], home.json(&["status"])["device_why"]);
    let taken = bench["peak_bytes"].as_f64().unwrap() / 1e6;
    // Unknown where the system does not say.
    assert!(
        taken == 0.0 || (LEAST * announced..MOST * announced).contains(&taken),
        "{taken:.0} MB were taken; {words}"
    );
}
