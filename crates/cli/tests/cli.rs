//! The command line as a person or a script uses it: the real program, a home of its own, the real model
//! where it is there (`IDIOLECT_MODELS`, as `cargo xtask test` sets it).

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// A home that is gone when the test ends.
struct Home {
    dir: tempfile::TempDir,
    models: PathBuf,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        Self { dir, models }
    }

    /// With the default model, or `None` where nobody named a folder of models. Where one is named, the
    /// model must be there: a test that silently did nothing would be no test.
    fn with_model() -> Option<Self> {
        let Some(models) = std::env::var_os("IDIOLECT_MODELS").map(PathBuf::from) else {
            eprintln!("skipped: IDIOLECT_MODELS is not set");
            return None;
        };
        assert!(
            models.join("smollm2-135m-instruct.gguf").exists(),
            "IDIOLECT_MODELS lacks the default model: fetch it with `cargo xtask test --only models`"
        );
        Some(Self {
            models,
            ..Self::new()
        })
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_idiolect"))
            .args(["--home".as_ref(), self.path().join("home").as_os_str()])
            .args(["--models".as_ref(), self.models.as_os_str()])
            .arg("--offline")
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    }

    /// The JSON answer of a command that must succeed.
    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let output = self.run(&all);
        assert!(
            output.status.success(),
            "`{}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Exit code and standard error of a command that must fail.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success(),
            "`{}` should have failed",
            arguments.join(" ")
        );
        assert!(
            error.contains("hint: ") || error.contains("--help"),
            "no way on was shown: {error}"
        );
        (output.status.code().unwrap(), error)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }
}

/// Texts of one of the demo's fictional authors.
fn texts(author: &str) -> Vec<String> {
    let path = format!(
        "{}/../../assets/demo/{author}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["text"].as_str().unwrap().to_owned())
        .collect()
}

fn add_samples(home: &Home, count: usize) {
    for (i, text) in texts("harrow").iter().take(count).enumerate() {
        let file = home.file(&format!("text{i}.txt"), text.as_bytes());
        home.json(&["sample", "add", &file]);
    }
}

#[test]
fn wrong_usage_is_2_and_a_failure_is_1_each_with_a_way_on() {
    let home = Home::new();
    assert_eq!(home.fails(&["no-such-command"]).0, 2);
    assert_eq!(
        home.fails(&["write", "--brief", "x", "--method", "nonsense"])
            .0,
        2
    );
    let (code, error) = home.fails(&["fingerprint"]);
    assert_eq!(code, 1);
    assert!(error.contains("There is no profile yet."), "{error}");
    let (code, error) = home.fails(&["models", "pull", "smollm2-135m-instruct"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("--offline"),
        "a forbidden transfer says what forbids it: {error}"
    );
}

#[test]
fn paste_to_profile_without_a_model() {
    let home = Home::new();
    home.json(&["profile", "new", "My letters"]);
    add_samples(&home, 6);
    assert_eq!(home.json(&["sample", "list"]).as_array().unwrap().len(), 6);
    let fingerprint = home.json(&["fingerprint"]);
    assert!(fingerprint["words"].as_u64().unwrap() > 500);
    let dashes = fingerprint["features"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["id"] == "punct.dash")
        .unwrap();
    assert!(
        dashes["value"].as_f64().unwrap() > dashes["reference"]["high"].as_f64().unwrap(),
        "this author's dashes stand out: {dashes}"
    );
    let quote = &dashes["evidence"][0];
    let sample = home.json(&["sample", "show", quote["sample"].as_str().unwrap()]);
    let (start, end) = (
        quote["start"].as_u64().unwrap() as usize,
        quote["end"].as_u64().unwrap() as usize,
    );
    assert_eq!(
        &sample["text"].as_str().unwrap()[start..end],
        quote["text"].as_str().unwrap(),
        "a quote is verbatim"
    );

    let reading = home.json(&["dimension", "set", "communication_style", "0.8"]);
    assert_eq!(reading["override"], 0.8);
    assert_eq!(
        home.json(&["dimension", "reset", "communication_style"])["override"],
        Value::Null
    );
    let added = home.json(&["hypotheses", "add", "Never uses exclamation marks."]);
    home.json(&["hypotheses", "reject", added["id"].as_str().unwrap()]);
    let voice = home.json(&["profile", "export"]);
    assert!(!voice["system_prompt"].as_str().unwrap().is_empty());

    let gone = home.json(&["sample", "remove", sample["id"].as_str().unwrap()]);
    assert!(gone["what"].as_str().unwrap().contains("removed"));
    assert_eq!(home.json(&["sample", "list"]).as_array().unwrap().len(), 5);
    home.json(&["profile", "delete", "--yes"]);
    assert_eq!(home.json(&["profile", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn bad_files_are_named_and_nothing_is_lost() {
    let home = Home::new();
    home.json(&["profile", "new", "p"]);
    add_samples(&home, 1);
    let said = |name: &str, bytes: &[u8]| home.fails(&["sample", "add", &home.file(name, bytes)]).1;
    assert!(said("empty.txt", b"").contains("no text"));
    assert!(said("noise.txt", &[0u8, 159, 146, 150, 0, 1, 2, 3].repeat(200)).contains("binary"));
    assert!(said("large.txt", &vec![b'a'; 50 << 20]).contains("at most"));
    // A Word document with a password is an OLE container with a stream of this name.
    let stream: Vec<u8> = "EncryptedPackage"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let ole = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
    let protected = [&ole[..], &[0; 1016], &stream, &[0; 992]].concat();
    assert!(said("letter.docx", &protected).contains("password"));
    let again = home.json(&[
        "sample",
        "add",
        &home.file("again.txt", texts("harrow")[0].as_bytes()),
    ]);
    assert_eq!(
        again["counts"][0]["duplicates"], 1,
        "the same text twice is kept once"
    );
    let (_, error) = home.fails(&[
        "models",
        "import",
        &home.file("cut.gguf", b"GGUF\x03\0\0\0"),
    ]);
    assert!(error.to_lowercase().contains("damaged"), "{error}");

    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(texts("finch")[0].encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let added = home.json(&["sample", "add", &home.file("utf16.txt", &utf16)]);
    assert_eq!(
        added["samples"].as_array().unwrap().len(),
        1,
        "UTF-16 is text"
    );
    assert_eq!(
        home.json(&["sample", "list"]).as_array().unwrap().len(),
        2,
        "and the first one is still there"
    );
}

#[test]
fn mail_keeps_one_s_own_words_only() {
    let home = Home::new();
    home.json(&["profile", "new", "p"]);
    let own = "I wrote this long reply myself, slowly, on a wet afternoon, because your question about the garden wall deserved a proper answer and not a line scribbled between two meetings.";
    let mail = format!(
        "From: Me <me@example.org>\nTo: you@example.org\nSubject: The wall\nContent-Type: text/plain; charset=utf-8\n\n{own}\n\n> What about the wall, they asked\n\n-- \nMe, Director of Walls\n"
    );
    let file = home.file("wall.eml", mail.as_bytes());
    let (_, error) = home.fails(&["sample", "add", &file]);
    assert!(
        error.contains("hint"),
        "somebody has to say whose words these are: {error}"
    );
    let added = home.json(&["sample", "add", &file, "--mine", "me@example.org"]);
    let text = added["samples"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("garden wall") && !text.contains("they asked") && !text.contains("Director"),
        "{text}"
    );
    assert!(
        !added.to_string().contains("they asked"),
        "other people's words are stored nowhere"
    );
}

#[test]
fn a_newer_database_is_refused_and_left_as_it_is() {
    let home = Home::new();
    home.json(&["profile", "new", "p"]);
    let database = std::fs::read_dir(home.path().join("home"))
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .find(|p| {
            p.extension()
                .is_some_and(|e| e == "db" || e == "sqlite" || e == "sqlite3")
        })
        .expect("the home holds its database");
    let mut bytes = std::fs::read(&database).unwrap();
    // user_version, big-endian, stands at offset 60 of an SQLite file.
    bytes[60..64].copy_from_slice(&9_999u32.to_be_bytes());
    std::fs::write(&database, &bytes).unwrap();
    let (code, error) = home.fails(&["profile", "list"]);
    assert_eq!(code, 1);
    assert!(error.to_lowercase().contains("newer"), "{error}");
    assert_eq!(
        std::fs::read(&database).unwrap(),
        bytes,
        "it was not touched"
    );
}

#[test]
fn a_models_licence_can_be_read_before_it_is_fetched() {
    let home = Home::new();
    let shown = home.run(&["models", "show", "gemma-3-1b-it"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
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

#[test]
fn the_whole_journey_with_the_model() {
    let Some(home) = Home::with_model() else {
        return;
    };
    home.json(&["profile", "new", "Harrow"]);
    add_samples(&home, 4);

    let view = home.json(&["infer"]);
    assert_eq!(view["dimensions"].as_array().unwrap().len(), 90);
    for dimension in view["dimensions"].as_array().unwrap() {
        let (low, high) = (
            dimension["interval"][0].as_f64().unwrap(),
            dimension["interval"][1].as_f64().unwrap(),
        );
        let score = dimension["score"].as_f64().unwrap();
        assert!(
            -1.0 <= low && low <= score && score <= high && high <= 1.0,
            "{dimension}"
        );
    }

    let brief = [
        "--brief",
        "Write a short note about a broken lamp.",
        "--max-tokens",
        "24",
    ];
    let write = |more: &[&str]| home.json(&[&["write"][..], &brief, more].concat());
    let first = write(&["--seed", "7"]);
    assert!(
        first["tokens"].as_u64().unwrap() > 0
            && first["prompt"].as_str().unwrap().contains("broken lamp")
    );
    assert_eq!(
        first["text"],
        write(&["--seed", "7"])["text"],
        "same seed, same draft"
    );
    let compared = home.json(
        &[
            &["compare", "--methods", "base,hypotheses+excerpts"][..],
            &brief,
        ]
        .concat(),
    );
    let drafts = compared["drafts"].as_array().unwrap();
    assert_ne!(drafts[0]["prompt"], drafts[1]["prompt"]);

    let pair = home.json(&[
        "vote",
        "--left",
        drafts[0]["id"].as_str().unwrap(),
        "--right",
        drafts[1]["id"].as_str().unwrap(),
    ]);
    assert!(
        pair.get("method").is_none(),
        "a blind pair says nothing of what is what"
    );
    let voted = home.json(&[
        "vote",
        "--pair",
        pair["id"].as_str().unwrap(),
        "--choice",
        "left",
    ]);
    assert_eq!(voted["tally"]["n"], 1);
    assert!(
        voted["tally"]["words"]
            .as_str()
            .unwrap()
            .contains("not enough votes yet")
    );

    let trained = home.json(&[
        "align",
        "sft",
        "--epochs",
        "1",
        "--rank",
        "4",
        "--max-length",
        "128",
    ]);
    let adapter = trained["adapter"]["id"].as_str().unwrap().to_owned();
    assert!(trained["run"]["curve"].as_array().unwrap().len() > 2);
    assert!(
        trained["adapter"]["own_held_out"].as_f64().unwrap()
            < trained["adapter"]["base_held_out"].as_f64().unwrap()
    );
    let off = write(&["--seed", "7", "--adapter", &adapter, "--adapter-scale", "0"]);
    assert_eq!(
        off["text"], first["text"],
        "a trained voice at strength 0 changes nothing"
    );
    let retest = home.json(&["retest", "--pairs", "1"]);
    let waiting = retest["waiting"][0]["id"].as_str().unwrap().to_owned();
    home.json(&["vote", "--pair", &waiting, "--choice", "tie"]);
    assert_eq!(
        home.json(&["retest", "--show"])["tally"]["wins"],
        0.5,
        "a tie is half a win"
    );

    let curve = home.path().join("loss.svg");
    home.json(&["plot", "loss", "--out", &curve.to_string_lossy()]);
    assert!(std::fs::read_to_string(curve).unwrap().contains("<svg"));
}

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
