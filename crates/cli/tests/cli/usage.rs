//! How it fails: exit codes, two lines, a database of the future.

use serde_json::Value;

use crate::support::Home;

#[test]
fn wrong_usage_is_2_and_a_failure_is_1_each_with_a_way_on() {
    let home = Home::new();
    for typed in [
        &["no-such-command"][..],
        &["write", "--brief", "x", "--method", "nonsense"],
        &["write"],
        &["models"],
        &["vote", "--left", "d-1"],
        &["bench", "--threads", "many"],
        &["compare", "--brief", "x", "--methods", "base+nonsense"],
        &["settings", "set", "colour", "red"],
        &["settings", "set", "theme", "red"],
    ] {
        home.run(&["profile", "new", "p"]);
        assert_eq!(home.fails(typed).0, 2, "{typed:?}");
    }
    let home = Home::new();
    let (code, error) = home.fails(&["fingerprint"]);
    assert_eq!(code, 1);
    assert!(error.contains("There is no profile yet."), "{error}");
    let (code, error) = home.fails(&["models", "pull", "smollm2-135m-instruct"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("--offline"),
        "a forbidden transfer says what forbids it: {error}"
    );
    let (code, error) = home.fails(&["demo"]);
    assert_eq!(code, 1, "starting the demo asks for its model: {error}");
    assert!(error.contains("--offline"), "{error}");
}

#[test]
fn with_json_the_last_line_of_an_error_is_data() {
    let home = Home::new();
    for (typed, code) in [
        (&["--json", "fingerprint"][..], "not_found"),
        (&["--json", "no-such-command"], "usage"),
        (&["--json"], "usage"),
    ] {
        let (_, error) = home.fails(typed);
        let last: Value = serde_json::from_str(error.lines().last().unwrap()).unwrap();
        assert_eq!(last["error"]["code"], code);
        for said in ["message", "hint"] {
            let words = last["error"][said].as_str().unwrap();
            assert!(!words.is_empty() && error.contains(words), "{error}");
        }
        assert!(
            home.run(typed).stdout.is_empty(),
            "what failed answers nothing"
        );
    }
}

#[test]
fn help_and_version_are_answers() {
    let home = Home::new();
    assert!(home.words(&["--help"]).contains("fingerprint"));
    assert!(
        home.words(&["align", "sft", "--help"])
            .contains("keeps the best so far"),
        "Ctrl+C is explained where it matters"
    );
    assert!(home.words(&["--version"]).starts_with("idiolect "));
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

/// Everything a front can do is a request, so the command line must make each of them.
#[test]
fn every_request_is_made_by_some_command() {
    let read = |path: &str| {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let api = read("../studio/src/api/mod.rs");
    let (_, after) = api.split_once("pub enum Request {").unwrap();
    let (requests, _) = after.split_once("\n}").unwrap();
    let made: String = ["mod", "profiles", "tools", "training", "writing"]
        .map(|name| read(&format!("src/commands/{name}.rs")))
        .concat();
    let variants = requests
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.split([' ', ',', '(']).next().unwrap());
    let mut seen = 0;
    for name in variants {
        seen += 1;
        // A command's own job is stopped, kept and paused with Ctrl+C and Ctrl+Z.
        let by_keys = name.starts_with("Job");
        let named = made
            .match_indices(&format!("Request::{name}"))
            .any(|(at, found)| !made[at + found.len()..].starts_with(char::is_alphanumeric));
        assert!(by_keys || named, "no command makes the request {name}");
    }
    assert!(seen > 40, "only {seen} requests were found");
}
