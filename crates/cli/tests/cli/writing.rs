//! Drafts, their prompts, votes.

use crate::support::{BRIEF, Used, has_keys, list};

/// What docs/cli.md names of a draft.
const DRAFT: &str = "id intent method brief prompt prompt_tokens text tokens seconds tokens_per_second seed sampling model adapter ended meters kept edited thumb";

#[test]
fn write_answers_as_documented() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let sampling = ["--temperature", "0.5", "--top-p", "0.9", "--top-k", "40"];
    let more = ["--min-p", "0", "--repetition-penalty", "1.1", "--seed", "3"];
    let write = [&["write", "--adapter", used.adapter()][..], &BRIEF].concat();
    let draft = home.json(&[&write[..], &sampling, &more].concat());
    has_keys(&draft, DRAFT);
    has_keys(
        &draft["meters"],
        "style_match longest_copied_words copied hypotheses_met hypotheses_checked",
    );
    has_keys(&draft["adapter"], "id scale");
    assert_eq!(draft["intent"], "as-me");
    assert_eq!(draft["seed"], 3);
    assert_eq!(draft["sampling"]["top_k"], 40);
    assert!(["stop", "length"].contains(&draft["ended"].as_str().unwrap()));
    let words = home.words(&[&["write"][..], &BRIEF].concat());
    assert!(words.contains("tokens/s"), "a number has its unit: {words}");
}

#[test]
fn a_prompt_can_be_seen_first_and_is_the_one_that_is_sent() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let drafts = list(&home.json(&["drafts", "list"])).len();
    let write = [&["write", "--method", "excerpts"][..], &BRIEF].concat();
    let shown = home.json(&[&write[..], &["--prompt-only"]].concat());
    let compare = ["compare", "--prompt-only", "--methods", "base,excerpts"];
    let both = home.json(&[&compare[..], &BRIEF].concat());
    assert_eq!(both["prompts"][1], shown["prompt"]);
    assert_ne!(both["prompts"][0], shown["prompt"]);
    assert_eq!(
        list(&home.json(&["drafts", "list"])).len(),
        drafts,
        "nothing was written"
    );
    assert_eq!(home.json(&write)["prompt"], shown["prompt"]);
}

#[test]
fn for_me_puts_what_one_prefers_into_the_prompt() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    home.json(&["dimension", "set", "communication_style", "1"]);
    home.json(&["summary", "set", "Prefers plain, brief answers."]);
    let for_me = |method: &str| {
        let write = ["write", "--intent", "for-me", "--method", method];
        home.json(&[&write[..], &BRIEF].concat())
    };
    let (base, own) = (for_me("base"), for_me("dimensions"));
    assert_eq!(own["intent"], "for-me");
    assert_eq!(own["method"], "dimensions");
    let prompt = |draft: &serde_json::Value| draft["prompt"].as_str().unwrap().to_owned();
    assert!(prompt(&own).contains("Prefers plain, brief answers."));
    assert!(prompt(&own).len() > prompt(&base).len());
}

#[test]
fn columns_are_methods_with_and_without_a_trained_voice() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let compare = |methods: &'static str| [&["compare", "--methods", methods][..], &BRIEF].concat();
    let voice = ["--adapter", used.adapter(), "--adapter-scale", "1.5"];
    let compared = home.json(
        &[
            &compare("base,excerpts,adapter,excerpts+adapter")[..],
            &voice,
        ]
        .concat(),
    );
    let drafts = list(&compared["drafts"]);
    let facts: Vec<_> = drafts
        .iter()
        .map(|d| {
            (
                d["method"].as_str().unwrap(),
                d["adapter"]["scale"].as_f64(),
            )
        })
        .collect();
    assert_eq!(
        facts,
        [
            ("base", None),
            ("excerpts", None),
            ("base", Some(1.5)),
            ("excerpts", Some(1.5))
        ]
    );
    drafts.iter().for_each(|d| has_keys(d, DRAFT));
    assert_eq!(drafts[0]["prompt"], drafts[2]["prompt"]);
    let (code, error) = home.fails(&[&compare("base,excerpts")[..], &voice].concat());
    assert_eq!(code, 2, "a voice that no column uses: {error}");
    assert!(error.contains("base,adapter"), "{error}");
}

#[test]
fn drafts_are_listed_shown_kept_compared_and_deleted() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let [left, right] = &used.drafts();
    let shown = home.json(&["drafts", "show", left]);
    has_keys(&shown, DRAFT);
    assert!(list(&home.json(&["drafts", "list"])).contains(&shown));
    let text = shown["text"].as_str().unwrap().trim().to_owned();
    assert!(home.words(&["drafts", "show", left]).contains(&text));

    assert_eq!(home.json(&["drafts", "keep", left])["kept"], true);
    assert_eq!(home.json(&["drafts", "show", left])["kept"], true);
    assert_eq!(home.json(&["drafts", "unkeep", left])["kept"], false);

    let parts = home.json(&["drafts", "diff", left, right]);
    let side = |other: &str| -> String {
        let own = list(&parts).iter().filter(|p| p["side"] != other);
        own.map(|p| p["text"].as_str().unwrap()).collect()
    };
    assert_eq!(side("right"), shown["text"], "the left text, whole");
    assert_eq!(side("left"), home.json(&["drafts", "show", right])["text"]);

    home.json(&["drafts", "delete", left]);
    assert_eq!(home.fails(&["drafts", "show", left]).0, 1);
    assert_eq!(list(&home.json(&["drafts", "list"])).len(), 1);
}

#[test]
fn votes_are_blind_until_cast_and_counted() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    assert_eq!(home.json(&["vote", "--results"]), serde_json::json!([]));
    let [left, right] = &used.drafts();
    let pair = home.json(&["vote", "--left", left, "--right", right]);
    has_keys(&pair, "id brief left right number of");
    let shown = pair.to_string();
    assert!(!shown.contains(left) && !shown.contains(right) && !shown.contains("method"));
    let id = pair["id"].as_str().unwrap();
    let voted = home.json(&["vote", "--pair", id, "--choice", "left"]);
    has_keys(&voted, "vote left right tally");
    let results = home.json(&["vote", "--results"]);
    has_keys(
        &results[0],
        "challenger against wins n share interval conclusive words",
    );
    let won = voted["left"]["method"] == results[0]["challenger"];
    assert_eq!(results[0]["wins"], if won { 1.0 } else { 0.0 });
    assert!(
        home.words(&["vote", "--results"])
            .contains("not enough votes yet")
    );
    assert_eq!(
        home.fails(&["vote", "--pair", id, "--choice", "right"]).0,
        1,
        "one vote a pair"
    );
}

#[test]
fn drafts_keep_what_the_person_makes_of_them() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let draft = home.json(&[&["write"][..], &BRIEF].concat());
    let id = draft["id"].as_str().unwrap();
    let edited = home.json(&["drafts", "edit", id, "As I would have put it."]);
    assert_eq!(edited["edited"], "As I would have put it.");
    assert_eq!(edited["text"], draft["text"], "what was written stays");
    let down = home.json(&["drafts", "thumb", id, "down"]);
    assert_eq!(
        (&down["thumb"], &down["edited"]),
        (&"down".into(), &edited["edited"])
    );
    let listed = home.words(&["drafts", "list"]);
    let line = listed.lines().find(|l| l.starts_with(id)).unwrap();
    assert!(line.contains("edited") && line.contains("down"), "{line}");
    assert!(
        home.words(&["drafts", "show", id])
            .contains("As I would have put it.")
    );
    let same = home.json(&["drafts", "edit", id, draft["text"].as_str().unwrap()]);
    assert!(
        same["edited"].is_null(),
        "the draft itself corrects nothing"
    );
    let undone = home.json(&["drafts", "thumb", id, "none"]);
    assert!(undone["thumb"].is_null());
    home.json(&["drafts", "edit", id, "Once more."]);
    let undone = home.json(&["drafts", "edit", id, "--undo"]);
    assert!(undone["edited"].is_null());
    assert_eq!(home.fails(&["drafts", "edit", id, "  "]).0, 2);
    assert_eq!(home.fails(&["drafts", "edit", id]).0, 2);
}
