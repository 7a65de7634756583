//! Language models on this machine.

use crate::support::{Home, has_keys, list};

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
    assert_eq!(
        home.json(&["models", "show", "smollm2-135m-instruct"]),
        *default
    );
    assert!(home.words(&["models", "list"]).contains("in use"));

    let file = home.models.join("smollm2-135m-instruct.gguf");
    let imported = home.json(&["models", "import", &file.display().to_string()]);
    assert_eq!(imported["state"], "imported");
    assert_eq!(imported["sha256"], default["sha256"]);
    let id = imported["id"].as_str().unwrap();
    assert_eq!(home.json(&["models", "use", id])["in_use"], true);
    assert_eq!(home.json(&["status"])["model_id"], id);
    let report = home.json(&["models", "doctor", id]);
    has_keys(&report, "usable verdict checks");
    assert_eq!(report["usable"], true, "{report}");
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
