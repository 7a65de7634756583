//! A home of one's own, the program, and a home that somebody has used already.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// A home that is gone when the test ends.
pub struct Home {
    dir: tempfile::TempDir,
    pub models: PathBuf,
}

impl Home {
    /// An empty one, with no model.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let models = dir.path().join("models");
        Self { dir, models }
    }

    /// With the default model, or `None` where nobody named a folder of models. Where one is named, the
    /// model must be there: a test that silently did nothing would be no test.
    pub fn with_model() -> Option<Self> {
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

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The program on this home, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_idiolect"));
        command
            .args(["--home".as_ref(), self.path().join("home").as_os_str()])
            .args(["--models".as_ref(), self.models.as_os_str()])
            .arg("--offline")
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The JSON answer of a command that must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        assert!(
            output.status.success(),
            "`{}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The answer in words of a command that must succeed.
    pub fn words(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "`{}` failed", arguments.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code and standard error of a command that must fail.
    pub fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success(),
            "`{}` should have failed",
            arguments.join(" ")
        );
        assert!(
            error.contains("error: ") && error.contains("\nhint: "),
            "no way on was shown: {error}"
        );
        (output.status.code().unwrap(), error)
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }

    pub fn add_samples(&self, count: usize) {
        for (i, text) in texts("harrow").iter().take(count).enumerate() {
            let file = self.file(&format!("text{i}.txt"), text.as_bytes());
            self.json(&["sample", "add", &file]);
        }
    }
}

/// A home somebody has used: four samples, inferred, a small trained voice, two drafts. Each test gets a copy.
pub struct Used {
    pub home: Home,
    /// What `infer` answered.
    pub inferred: Value,
    /// What `align sft` answered.
    pub trained: Value,
}

impl Used {
    /// Prepared once a run; `None` where the default model was not fetched.
    pub fn copy() -> Option<Self> {
        static ORIGINAL: OnceLock<Option<(Value, Value)>> = OnceLock::new();
        // A static is never dropped, so the original lies where the build's own files do.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("used-home");
        let (inferred, trained) = ORIGINAL.get_or_init(|| prepare(&folder)).clone()?;
        let home = Home::with_model()?;
        copy_folder(&folder, &home.path().join("home"));
        Some(Self {
            home,
            inferred,
            trained,
        })
    }

    pub fn adapter(&self) -> &str {
        self.trained["adapter"]["id"].as_str().unwrap()
    }

    /// The ids of both drafts: base, then excerpts.
    pub fn drafts(&self) -> [String; 2] {
        let drafts = self.home.json(&["drafts", "list"]);
        ["base", "excerpts"].map(|method| {
            let found = drafts.as_array().unwrap().iter();
            let draft = found.clone().find(|d| d["method"] == method).unwrap();
            draft["id"].as_str().unwrap().to_owned()
        })
    }
}

fn prepare(folder: &Path) -> Option<(Value, Value)> {
    let home = Home::with_model()?;
    home.json(&["profile", "new", "Harrow"]);
    home.add_samples(4);
    let inferred = home.json(&["infer"]);
    let mut sft = vec!["align", "sft", "--epochs", "1", "--rank", "4"];
    sft.extend(["--max-length", "128", "--name", "Tiny"]);
    let trained = home.json(&sft);
    let mut compare = vec!["compare", "--methods", "base,excerpts"];
    compare.extend(BRIEF);
    home.json(&compare);
    // Of an earlier run, if there was one.
    let _ = std::fs::remove_dir_all(folder);
    copy_folder(&home.path().join("home"), folder);
    Some((inferred, trained))
}

/// A short draft.
pub const BRIEF: [&str; 4] = [
    "--brief",
    "Write a short note about a broken lamp.",
    "--max-tokens",
    "16",
];

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Texts of one of the demo's fictional authors.
pub fn texts(author: &str) -> Vec<String> {
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

/// Every key that docs/cli.md names must be there.
pub fn has_keys(value: &Value, keys: &str) {
    for key in keys.split([',', ' ']).filter(|k| !k.is_empty()) {
        assert!(value.get(key).is_some(), "no “{key}” in {value}");
    }
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}
