//! From texts to a blind re-test.

use crate::support::{BRIEF, Used, list};

#[test]
fn the_whole_journey_with_the_model() {
    // Texts, inference and training were done by the same program when the copy was prepared.
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    assert_eq!(list(&home.json(&["sample", "list"])).len(), 4);
    assert_eq!(home.json(&["profile", "show"]), used.inferred);

    let write = |more: &[&str]| home.json(&[&["write"][..], &BRIEF, more].concat());
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
            &BRIEF,
        ]
        .concat(),
    );
    let drafts = list(&compared["drafts"]);
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

    let adapter = used.adapter();
    assert!(
        used.trained["adapter"]["own_held_out"].as_f64().unwrap()
            < used.trained["adapter"]["base_held_out"].as_f64().unwrap()
    );
    let off = write(&["--seed", "7", "--adapter", adapter, "--adapter-scale", "0"]);
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
}
