//! Stated preferences on rows of our own, where only the sentence tells the answers apart.

use std::sync::atomic::{AtomicUsize, Ordering};

use idiolect_llm::{Cancel, EmbeddedToken, Embedder};
use idiolect_persona::stated::Spelling;

use super::*;

/// Letters for meanings, counted.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Embedder for Counted {
    fn dimensions(&self) -> usize {
        Spelling.dimensions()
    }

    fn embed(&self, texts: &[&str], cancel: &Cancel) -> idiolect_llm::Result<Vec<Vec<f32>>> {
        self.0.fetch_add(texts.len(), Ordering::Relaxed);
        Spelling.embed(texts, cancel)
    }

    fn embed_tokens(
        &self,
        texts: &[&str],
        cancel: &Cancel,
    ) -> idiolect_llm::Result<Vec<Vec<EmbeddedToken>>> {
        self.0.fetch_add(texts.len(), Ordering::Relaxed);
        Spelling.embed_tokens(texts, cancel)
    }
}

/// Two topics of four people, each of whom wants another of the same four things.
fn rows() -> Vec<Value> {
    let topics = [
        ("food", ["lentils", "raisins", "pumpkin", "oysters"]),
        ("hobby", ["pottery", "archery", "karaoke", "gliding"]),
    ];
    let mut rows = Vec::new();
    for (topic, things) in topics {
        for (right, thing) in things.iter().enumerate() {
            let answers = |before: &str| things.map(|t| format!("{before} {t}")).to_vec();
            let again = answers("Rather some");
            rows.push(json!({
                "topic": topic, "question": "What shall it be?", "preference": format!("I love {thing}."),
                "options": answers("A whole evening of"), "follows": right,
                "implicit": {"options": again, "aligned_op": again[right]},
            }));
        }
    }
    rows
}

#[test]
fn stated_preferences_are_respected_and_other_people_s_are_not() {
    let place = Place::new();
    place.write("evals/prefeval.jsonl.gz", &rows());
    let request = place.request("prefeval");
    let embedder = Counted::default();
    let mut quiet = |_| {};
    let ctx = &mut Ctx::new(&place.studio.inner, &mut quiet);
    let Ok(Plan::Prefeval(plan)) = Plan::of(ctx, &request) else {
        panic!("the plan of another evaluation");
    };
    let asked = Some((&embedder as &dyn Embedder, "letters"));
    let report = prefeval::run(ctx, &plan, asked, &request).unwrap();
    assert_eq!((report.n, report.fit.as_str()), (8, "nested"));
    for name in [
        "accuracy",
        "accuracy_stated",
        "accuracy_fitted",
        "accuracy_other_answers",
        "accuracy_no_embedder",
    ] {
        let found = result(&report, name);
        assert_eq!(found.value, 1.0, "{found:?}");
        assert_eq!(found.controls["wrong_person"], 0.0, "{found:?}");
        assert_eq!(found.controls["chance"], 0.25, "{found:?}");
        assert!(found.controls["longest_option"] < 1.0, "{found:?}");
    }
    let controls = &result(&report, "accuracy").controls;
    assert_eq!(
        controls["no_preference"], 0.25,
        "nothing said, nothing known"
    );
    assert!(
        controls["odd_one_out"] < 1.0 && controls["artefacts_fitted"] < 1.0,
        "{controls:?}"
    );

    let before = embedder.0.load(Ordering::Relaxed);
    assert_eq!(prefeval::run(ctx, &plan, asked, &request).unwrap(), report);
    assert_eq!(
        embedder.0.load(Ordering::Relaxed),
        before,
        "finished rows are used again"
    );
    let bare = prefeval::run(ctx, &plan, None, &request).unwrap();
    assert_eq!(bare.results.len(), 1, "{bare:?}");
    assert_eq!(result(&bare, "accuracy_no_embedder").value, 1.0);
}

#[test]
fn stated_preferences_need_other_people_and_no_language_model() {
    let place = Place::new();
    place.write("evals/prefeval.jsonl.gz", &rows());
    let mut request = place.request("prefeval");
    let asks = place.plan(&request).map(|plan| plan.asks()).ok().unwrap();
    assert!(asks.embedder && !asks.writer, "{asks:?}");
    request.limit = Some(2);
    assert_eq!(place.refused(&request), ErrorCode::NotEnough);
    request.limit = None;
    request.model = Some("any".to_owned());
    assert_eq!(place.refused(&request), ErrorCode::Usage);
    let one_topic = &rows()[..4];
    place.write("evals/prefeval.jsonl.gz", one_topic);
    assert_eq!(
        place.refused(&place.request("prefeval")),
        ErrorCode::NotEnough
    );
}
