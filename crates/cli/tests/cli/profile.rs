//! Profiles: what is inferred, what the person says of it, what is handed out and deleted; settings.

use serde_json::Value;

use crate::support::{BRIEF, Home, Used, has_keys, list};

#[test]
fn infer_answers_as_documented() {
    let Some(used) = Used::copy() else {
        return;
    };
    let view = &used.inferred;
    has_keys(view, "profile model dimensions hypotheses");
    assert_eq!(view["profile"], "Harrow");
    assert_eq!(list(&view["dimensions"]).len(), 90);
    let text_of = |sample: &Value| {
        let shown = used
            .home
            .json(&["sample", "show", sample.as_str().unwrap()]);
        shown["text"].as_str().unwrap().to_owned()
    };
    for dimension in list(&view["dimensions"]) {
        has_keys(
            dimension,
            "id index subject status score interval effective_evidence direction override object note evidence",
        );
        let [low, high] = [0, 1].map(|i| dimension["interval"][i].as_f64().unwrap());
        let score = dimension["score"].as_f64().unwrap();
        assert!(
            -1.0 <= low && low <= score && score <= high && high <= 1.0,
            "{dimension}"
        );
    }
    let hypothesis = &view["hypotheses"][0];
    has_keys(
        hypothesis,
        "id category statement instruction evidence status support",
    );
    has_keys(
        &hypothesis["support"],
        "feature direction value others unit share texts auc auc_interval held_out",
    );
    let quote = &hypothesis["evidence"][0];
    has_keys(quote, "sample start end text");
    verbatim(quote, "text", &text_of(&quote["sample"]));
}

/// `start` and `end` are bytes of the sample's text.
fn verbatim(quote: &Value, key: &str, text: &str) {
    let [start, end] = ["start", "end"].map(|k| quote[k].as_u64().unwrap() as usize);
    assert_eq!(&text[start..end], quote[key].as_str().unwrap());
}

#[test]
fn hypotheses_are_accepted_edited_rejected_and_reset() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let id = used.inferred["hypotheses"][0]["id"].as_str().unwrap();
    let before = &used.inferred["hypotheses"][0];
    let now = || {
        let all = home.json(&["hypotheses", "list"]);
        list(&all).iter().find(|h| h["id"] == id).unwrap().clone()
    };
    home.json(&["hypotheses", "accept", id]);
    assert_eq!(now()["status"], "accepted");
    home.json(&["hypotheses", "edit", id, "Says I a lot."]);
    assert_eq!(
        (&now()["status"], &now()["statement"]),
        (&"edited".into(), &"Says I a lot.".into())
    );
    let prompt = |method: &str| {
        let write = ["write", "--method", method, "--prompt-only"];
        home.json(&[&write[..], &BRIEF].concat())["prompt"].to_string()
    };
    assert!(prompt("hypotheses").contains("Says I a lot."));
    home.json(&["hypotheses", "reject", id]);
    assert_eq!(now()["status"], "rejected");
    assert!(!prompt("hypotheses").contains("Says I a lot."));
    home.json(&["hypotheses", "reset", id]);
    assert_eq!(now()["status"], before["status"]);
    assert!(home.words(&["hypotheses", "list"]).contains(id));
}

#[test]
fn before_the_first_inference_the_lists_say_how_to_begin() {
    let home = Home::new();
    home.json(&["profile", "new", "p"]);
    home.add_samples(1);
    assert_eq!(home.json(&["hypotheses", "list"]), serde_json::json!([]));
    for typed in [&["hypotheses", "list"], &["profile", "show"]] {
        let said = home.words(typed);
        assert!(said.contains("`idiolect infer`"), "{said}");
        assert!(!said.contains("stands out:"), "{said}");
    }
    assert!(home.words(&["summary", "show"]).contains("No summary yet"));
}

#[test]
fn dimensions_are_set_given_an_object_and_reset() {
    let home = Home::new();
    home.json(&["profile", "new", "p"]);
    assert_eq!(list(&home.json(&["dimension", "list"])).len(), 90);
    let set = home.json(&["dimension", "set", "communication_style", "-0.8"]);
    assert_eq!(set["override"], -0.8);
    let object = home.json(&["dimension", "object", "food_preference", "spicy food"]);
    assert_eq!(object["object"], "spicy food");
    assert!(
        home.words(&["profile", "show"]).contains("you set -0.80"),
        "what was set is shown as set"
    );
    let plot = home.path().join("own.svg").display().to_string();
    home.json(&["plot", "dimensions", "--out", &plot]);
    home.json(&["summary", "generate"]);
    let written = home.json(&["summary", "show"]);
    assert_eq!(written["own_words"], false);
    assert!(!written["text"].as_str().unwrap().is_empty());
    home.json(&["summary", "set", "Likes it spelled out."]);
    assert_eq!(
        home.json(&["summary", "show"]),
        serde_json::json!({"text": "Likes it spelled out.", "own_words": true})
    );
    let reset = home.json(&["dimension", "reset", "communication_style"]);
    assert_eq!(reset["override"], Value::Null);
    assert_eq!(home.fails(&["dimension", "set", "order", "1.5"]).0, 2);
}

#[test]
fn a_profile_is_described_exported_and_deleted() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    home.json(&["profile", "rename", "Letters"]);
    home.json(&["profile", "sensitive", "on"]);
    home.json(&["profile", "describe", "I like short answers."]);
    let shown = home.json(&["profile", "show"]);
    assert_eq!(shown["profile"], "Letters");
    assert_eq!(shown["sensitive"], true);
    assert_eq!(shown["self_description"], "I like short answers.");

    assert_eq!(
        home.json(&["profile", "wishes"]),
        serde_json::json!([{"wanted": true, "thing": "short answers", "sentence": "I like short answers."}])
    );
    home.json(&["profile", "describe", "I live by the sea."]);
    assert_eq!(home.json(&["profile", "wishes"]), serde_json::json!([]));

    let accepted = used.inferred["hypotheses"][0]["id"].as_str().unwrap();
    let statement = home.json(&["hypotheses", "accept", accepted])["statement"].clone();
    let voice = home.json(&["profile", "export"]);
    has_keys(&voice, "system_prompt style_guide json");
    let data: Value = serde_json::from_str(voice["json"].as_str().unwrap()).unwrap();
    has_keys(&data, "format version name summary dimensions hypotheses");
    let handed_out = list(&data["hypotheses"]);
    assert!(handed_out.iter().any(|h| h["statement"] == statement));
    let out = home.path().join("guide.md");
    let path = out.display().to_string();
    let export = ["profile", "export", "--format", "style-guide", "--out"];
    home.json(&[&export[..], &[&path]].concat());
    assert_eq!(voice["style_guide"], std::fs::read_to_string(out).unwrap());

    let (code, error) = home.fails(&["profile", "delete"]);
    assert_eq!(code, 1, "nobody was there to say yes: {error}");
    let gone = home.json(&["profile", "delete", "--yes"]);
    has_keys(&gone, "what derived");
    assert!(gone["derived"].to_string().contains("trained voice"));
    assert_eq!(home.json(&["profile", "list"]), serde_json::json!([]));
    let adapters = home.path().join("home/adapters");
    assert_eq!(
        std::fs::read_dir(adapters).unwrap().count(),
        0,
        "the voice's files are gone too"
    );
}

#[test]
fn settings_are_shown_and_changed_one_at_a_time() {
    let home = Home::new();
    let before = home.json(&["settings", "show"]);
    has_keys(&before, "theme reduce_motion device threads model");
    home.json(&["settings", "set", "theme", "dark"]);
    home.json(&["settings", "set", "reduce-motion", "on"]);
    home.json(&["settings", "set", "threads", "1"]);
    let now = home.json(&["settings", "set", "device", "cpu"]);
    assert_eq!(
        (
            &now["theme"],
            &now["reduce_motion"],
            &now["threads"],
            &now["device"]
        ),
        (&"dark".into(), &true.into(), &1.into(), &"cpu".into())
    );
    assert_eq!(home.json(&["settings", "show"]), now);
    assert!(
        home.words(&["settings", "show"])
            .contains("reduce-motion  on")
    );
    for (name, value) in [
        ("device", "abacus"),
        ("threads", "-1"),
        ("reduce-motion", "maybe"),
    ] {
        assert_eq!(home.fails(&["settings", "set", name, value]).0, 2);
    }
    let default = home.json(&["settings", "set", "theme", ""]);
    assert_eq!(default["theme"], before["theme"]);
}
