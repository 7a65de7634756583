//! Both evaluations on tiny data of our own, with the toy model: what is planted is found, controls do not win, finished
//! rows are used again, the fit is named.

use std::{collections::BTreeMap, io::Write};

use flate2::{Compression, write::GzEncoder};
use idiolect_core::{
    ErrorCode,
    eval::{EvalReport, EvalResult},
    space,
};
use idiolect_llm::testing::CountingModel;
use idiolect_persona::{anchors::anchors, psoups::ConstantsFile};
use serde_json::{Value, json};

mod stated;

use super::*;
use crate::{Options, Studio, api::FileTicket};

/// A home and a data folder that are gone when the test ends.
struct Place {
    dir: tempfile::TempDir,
    studio: Studio,
    data: FileTicket,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let studio = Studio::open(Options {
            home: Some(dir.path().join("home")),
            models: Some(dir.path().join("models")),
            offline: true,
        })
        .unwrap();
        for folder in ["evals", "corpora"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let data = studio.ticket(dir.path().to_owned());
        Self { dir, studio, data }
    }

    fn write(&self, file: &str, rows: &[Value]) {
        let file = std::fs::File::create(self.dir.path().join(file)).unwrap();
        let mut packed = GzEncoder::new(file, Compression::fast());
        for row in rows {
            writeln!(packed, "{row}").unwrap();
        }
        packed.finish().unwrap();
    }

    fn request(&self, name: &str) -> EvalRequest {
        EvalRequest {
            name: name.to_owned(),
            data: self.data.clone(),
            corpus: None,
            limit: None,
            texts: None,
            seed: 1,
            model: None,
            fresh: false,
        }
    }

    fn plan(&self, request: &EvalRequest) -> Result<Plan, UserError> {
        Plan::of(&Ctx::new(&self.studio.inner, &mut |_| {}), request)
    }

    /// Plans and measures with the toy model; `nested` as if the numbers had been fitted on this file.
    fn measure(&self, model: &CountingModel, request: &EvalRequest, nested: bool) -> EvalReport {
        let mut quiet = |_| {};
        let ctx = &mut Ctx::new(&self.studio.inner, &mut quiet);
        let subject = Subject {
            model,
            id: "toy",
            sha256: "toy",
        };
        match Plan::of(ctx, request).unwrap() {
            Plan::Psoups(mut plan) => {
                assert_eq!(
                    plan.fit,
                    Fit::Shipped,
                    "no number was fitted on our own rows"
                );
                if nested {
                    plan.fit = Fit::Nested;
                }
                psoups::run(ctx, &plan, subject, request).unwrap()
            }
            Plan::Adapter(_) | Plan::Preference(_) => {
                unreachable!("it needs a model that can be trained")
            }
            Plan::Prefeval(plan) => prefeval::run(ctx, &plan, None, request).unwrap(),
            Plan::Reliability(plan) => {
                reliability::run(ctx, &plan, subject, None, request).unwrap()
            }
        }
    }

    fn refused(&self, request: &EvalRequest) -> ErrorCode {
        let error = self.plan(request).err().expect("refused");
        assert!(!error.hint.is_empty(), "{error:?}");
        error.code
    }
}

fn result<'a>(report: &'a EvalReport, name: &str) -> &'a EvalResult {
    report
        .results
        .iter()
        .find(|r| r.name == name)
        .unwrap_or_else(|| panic!("{name} is missing"))
}

/// Two users: one likes exclamations and short words, one likes long words.
fn preference_rows() -> Vec<Value> {
    let lively = |i: usize| {
        let thing = ["bird", "boat", "cake", "song", "game", "star"][i % 6];
        format!("Oh wow! Just look at that {thing}! What fun it is! Go on now!")
    };
    let learned = |i: usize| {
        let thing = [
            "institutional",
            "methodological",
            "experimental",
            "constitutional",
            "environmental",
            "computational",
        ][i % 6];
        format!("Considerable {thing} deliberation necessitates comprehensive examination.")
    };
    let pair = |i: usize, persona: &str| {
        let (a, b) = (lively(i), learned(i));
        let (chosen, rejected) = if persona == "lively" { (a, b) } else { (b, a) };
        json!({"prompt": format!("Question {i}?"), "chosen": chosen, "rejected": rejected})
    };
    let mut rows = Vec::new();
    for i in 0..5 {
        for persona in ["lively", "learned"] {
            let mut row = pair(i, persona);
            row["persona"] = json!(persona);
            row["axis"] = json!("tone");
            row["history"] = json!([pair(i + 2, persona), pair(i + 3, persona)]);
            rows.push(row);
        }
    }
    rows
}

#[test]
fn psoups_finds_what_was_planted_and_wrong_users_lose() {
    let place = Place::new();
    place.write("evals/psoups.jsonl.gz", &preference_rows());
    let model = CountingModel::new();
    for nested in [false, true] {
        let report = place.measure(&model, &place.request("psoups"), nested);
        assert_eq!(report.n, 10);
        assert_eq!(report.fit, if nested { "nested" } else { "shipped" });
        for method in ["counted_", "model_", ""] {
            let r = result(&report, &format!("{method}pair_accuracy"));
            assert_eq!(r.value, 1.0, "{r:?}");
            assert!(r.interval.contains(r.value));
            assert_eq!(r.controls["wrong_user"], 0.0, "{r:?}");
            assert_eq!(r.controls["opposite_persona"], 0.0, "{r:?}");
            for control in ["chance", "length_rule", "always_longer"] {
                assert!((0.0..=1.0).contains(&r.controls[control]), "{r:?}");
            }
        }
        assert_eq!(result(&report, "flip_rate").value, 1.0);
        let report = place.measure(&model, &place.request("history"), nested);
        for (pairs, name) in [(1, "pair_accuracy_h1"), (2, "pair_accuracy_h2")] {
            let r = result(&report, name);
            assert_eq!(r.value, 1.0, "{pairs} {r:?}");
            assert_eq!(r.controls["wrong_user"], 0.0, "{r:?}");
            assert_eq!(r.controls["rows"], 10.0);
        }
        assert!(
            !report.results.iter().any(|r| r.name.ends_with("h4")),
            "no history here has four pairs"
        );
    }
}

#[test]
fn finished_rows_are_used_again_for_the_same_run_only() {
    let place = Place::new();
    place.write("evals/psoups.jsonl.gz", &preference_rows());
    let model = CountingModel::new();
    let mut request = place.request("psoups");
    let first = place.measure(&model, &request, false);
    let all = model.requests();
    assert!(all > 0);
    assert_eq!(first, place.measure(&model, &request, false));
    assert_eq!(model.requests() - all, 0, "nothing is asked twice");
    request.fresh = true;
    place.measure(&model, &request, false);
    assert_eq!(model.requests() - all, all, "--fresh asks everything again");
    request.fresh = false;
    request.seed = 2;
    place.measure(&model, &request, false);
    assert!(
        model.requests() - 2 * all > 0,
        "another seed is another run"
    );
}

/// Authors who each keep saying what the phrases of one dimension say, on three topics.
fn author_rows(planted: &[&str], genres: &[&str], split: bool) -> Vec<Value> {
    let mut rows = Vec::new();
    for (a, dimension) in planted.iter().enumerate() {
        let index = usize::from(space::find(dimension).unwrap().index);
        let phrases = &anchors()[index].high_phrases;
        for (t, topic) in ["the harbour", "the kitchen", "the winter"]
            .iter()
            .enumerate()
        {
            for genre in genres {
                let phrase = |i: usize| phrases[(t + i) % phrases.len()].as_str();
                let text = format!(
                    "In this {genre} on {topic} one {}. Whoever sees {topic} {}. My friend {} too.",
                    phrase(0),
                    phrase(1),
                    phrase(0)
                );
                let mut row = json!({"author": format!("A{a}"), "id": format!("{genre}{t}"), "text": text,
                    "words": 30, "genre": genre, "topic": topic});
                if split {
                    row["split"] = json!(if t == 0 { "test" } else { "train" });
                }
                rows.push(row);
            }
        }
    }
    rows
}

const PLANTED: [&str; 4] = ["extraversion", "order", "dominance", "nurturance"];

#[test]
fn reliability_tells_planted_authors_apart_under_every_split_rule() {
    let place = Place::new();
    place.write(
        "corpora/cmcc21.jsonl.gz",
        &author_rows(&PLANTED, &["letter"], false),
    );
    place.write(
        "corpora/own.jsonl.gz",
        &author_rows(&PLANTED, &["letter"], true),
    );
    place.write(
        "corpora/plain.jsonl.gz",
        &author_rows(&PLANTED, &["letter"], false),
    );
    let model = CountingModel::new();
    for (corpus, rule) in [
        ("cmcc21", "one of 3 topics"),
        ("own", "own test split"),
        ("plain", "random half"),
    ] {
        let mut request = place.request("reliability");
        request.corpus = Some(corpus.to_owned());
        let before = model.requests();
        let report = place.measure(&model, &request, false);
        assert_eq!((report.n, report.fit.as_str()), (4, "shipped"));
        assert!(
            report.notes.iter().any(|n| n.contains(rule)),
            "{:?}",
            report.notes
        );
        let margin = result(&report, "own_minus_wrong_author_margin");
        assert!(
            margin.value > 0.0 && margin.interval.low > 0.0,
            "{margin:?}"
        );
        assert!(margin.controls["own"] > margin.controls["wrong_author"]);
        assert!(
            margin.controls["authors_shuffled"] < margin.value,
            "{margin:?}"
        );
        let closest = result(&report, "own_profile_closest");
        assert!(
            closest.value > 0.9 && closest.controls["chance"] == 0.25,
            "{closest:?}"
        );
        let steady = result(&report, "split_half_extraversion");
        assert!(steady.value > 0.8, "{steady:?}");
        assert!(steady.controls["authors_shuffled"] < steady.value);
        let threshold =
            idiolect_persona::calibration::CalibrationFile::shipped().least_reliability();
        assert_eq!(steady.controls["threshold"], threshold);
        let median = result(&report, "split_half_median");
        assert!(median.interval.contains(median.value), "{median:?}");
        assert!(median.controls["authors_shuffled"] < median.value);

        // Reading again costs a second; once is enough.
        if corpus == "cmcc21" {
            let asked = model.requests() - before;
            assert_eq!(report, place.measure(&model, &request, false));
            let again = model.requests() - before - asked;
            assert!(
                again < asked,
                "finished texts are not read again: {again} of {asked}"
            );
        }
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_any_model() {
    let place = Place::new();
    let request = |change: &dyn Fn(&mut EvalRequest), name: &str| {
        let mut request = place.request(name);
        change(&mut request);
        request
    };
    place.write("evals/psoups.jsonl.gz", &preference_rows());
    place.write(
        "corpora/cmcc21.jsonl.gz",
        &author_rows(&PLANTED, &["letter"], false),
    );
    place.write(
        "corpora/alone.jsonl.gz",
        &author_rows(&PLANTED[..1], &["letter"], false),
    );
    type Change<'a> = &'a dyn Fn(&mut EvalRequest);
    let cases: [(&str, Change<'_>, ErrorCode); 9] = [
        ("nonsense", &|_| {}, ErrorCode::Usage),
        ("psoups", &|r| r.limit = Some(0), ErrorCode::Usage),
        ("psoups", &|r| r.limit = Some(1), ErrorCode::NotEnough),
        (
            "psoups",
            &|r| r.corpus = Some("cmcc21".into()),
            ErrorCode::Usage,
        ),
        ("psoups", &|r| r.texts = Some(4), ErrorCode::Usage),
        ("reliability", &|r| r.texts = Some(1), ErrorCode::Usage),
        ("reliability", &|r| r.limit = Some(1), ErrorCode::NotEnough),
        (
            "reliability",
            &|r| r.corpus = Some("alone".into()),
            ErrorCode::NotEnough,
        ),
        (
            "reliability",
            &|r| r.corpus = Some("../cmcc21".into()),
            ErrorCode::DataMissing,
        ),
    ];
    for (name, change, code) in cases {
        assert_eq!(place.refused(&request(change, name)), code, "{name}");
    }
    let lively: Vec<Value> = preference_rows()
        .into_iter()
        .filter(|row| row["persona"] == "lively")
        .collect();
    place.write("evals/psoups.jsonl.gz", &lively);
    assert_eq!(
        place.refused(&place.request("psoups")),
        ErrorCode::NotEnough
    );
    place.write("evals/psoups.jsonl.gz", &[]);
    assert_eq!(
        place.refused(&place.request("psoups")),
        ErrorCode::NotEnough
    );
}

#[test]
fn the_fit_is_nested_on_the_file_the_numbers_came_from_only() {
    let file = ConstantsFile::shipped();
    assert_eq!(Fit::of(&file.fitted_on, &file.fitted_on[0]), Fit::Nested);
    assert_eq!(Fit::of(&file.fitted_on, &"0".repeat(64)), Fit::Shipped);
}

#[test]
fn authors_of_cmcc21_get_the_same_cells_and_no_topic_on_both_sides() {
    let place = Place::new();
    place.write(
        "corpora/cmcc21.jsonl.gz",
        &author_rows(&PLANTED, &["letter", "essay"], false),
    );
    let folder = data::Folder::open(place.dir.path()).unwrap();
    let (authors, _) = folder.corpus("cmcc21").unwrap();
    let cohort = cohort::Cohort::of("cmcc21", authors, None, 4, 7).unwrap();
    let cells = |texts: &[data::CorpusText]| -> Vec<(Option<String>, Option<String>)> {
        texts
            .iter()
            .map(|t| (t.genre.clone(), t.topic.clone()))
            .collect()
    };
    let first = cells(&cohort.texts[0]);
    assert_eq!(first.len(), 4);
    let mut topics: BTreeMap<Option<String>, usize> = BTreeMap::new();
    first
        .iter()
        .for_each(|(_, t)| *topics.entry(t.clone()).or_default() += 1);
    assert_eq!(
        topics.len(),
        3,
        "four cells cover the three topics: {first:?}"
    );
    assert!(cohort.texts.iter().all(|texts| cells(texts) == first));
    for split in cohort.splits(1).iter().chain(&cohort.halvings(1)) {
        for ((profile, unseen), texts) in split.iter().zip(&cohort.texts) {
            assert_eq!(profile.len() + unseen.len(), 4);
            assert!(!profile.is_empty() && !unseen.is_empty());
            for &p in profile {
                assert!(unseen.iter().all(|&u| texts[u].topic != texts[p].topic));
            }
        }
    }
}

#[test]
fn adapters_learn_their_authors_and_finished_rows_are_used_again() {
    let place = Place::new();
    // Each author has syllables of their own; a model of random weights has to learn them all.
    let syllables = [["ka", "lo", "mi"], ["tu", "re", "sa"], ["po", "vi", "ne"]];
    let mut rows = Vec::new();
    for (a, own) in syllables.iter().enumerate() {
        for i in 0..8 {
            let mut state = (a * 8 + i) as u64 + 1;
            let mut word = || -> String {
                (0..4)
                    .map(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        own[(state >> 40) as usize % own.len()]
                    })
                    .collect()
            };
            let sentences: Vec<String> = (0..24)
                .map(|_| {
                    let words: Vec<String> = (0..10).map(|_| word()).collect();
                    format!("A{}.", words.join(" "))
                })
                .collect();
            rows.push(json!({"author": format!("a{a}"), "id": format!("{i}"), "text": sentences.join(" ")}));
        }
    }
    place.write("corpora/toy.jsonl.gz", &rows);
    let model = tiny(&place);
    let request = EvalRequest {
        corpus: Some("toy".to_owned()),
        texts: Some(4),
        ..place.request("adapter")
    };
    let measure = || {
        let trained = std::sync::atomic::AtomicUsize::new(0);
        let mut count = |event| {
            if let crate::api::Event::Progress { message, .. } = event
                && message.starts_with("Trained")
            {
                trained.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        };
        let ctx = &mut Ctx::new(&place.studio.inner, &mut count);
        let Ok(Plan::Adapter(plan)) = Plan::of(ctx, &request) else {
            panic!("the plan of another evaluation");
        };
        let subject = Subject {
            model: &model,
            id: "tiny",
            sha256: "tiny",
        };
        let report = adapter::run(ctx, &plan, &model, subject, &request).unwrap();
        (report, trained.load(std::sync::atomic::Ordering::Relaxed))
    };
    let (report, trained) = measure();
    assert_eq!((trained, report.n), (3, 3), "one training an author");
    let value = |name: &str| result(&report, name).value;
    assert!(
        value("bits_per_token_own") < value("bits_per_token_base"),
        "{report:?}"
    );
    assert!(
        value("bits_per_token_wrong_author").is_finite()
            && value("bits_per_token_excerpts").is_finite()
    );
    let gain = result(&report, "own_minus_base");
    assert!(gain.value < 0.0 && gain.interval.high < 0.0, "{gain:?}");
    assert!((0.0..=1.0).contains(&value("own_beats_wrong_author")));
    let (again, trained) = measure();
    assert_eq!(
        (again, trained),
        (report, 0),
        "rows of a finished run are used again"
    );
    let few = EvalRequest {
        texts: Some(1),
        ..request.clone()
    };
    assert_eq!(place.refused(&few), ErrorCode::Usage);
}

/// A model of random weights that can be trained.
fn tiny(place: &Place) -> idiolect_engine::LoadedModel {
    let path = place.dir.path().join("tiny.gguf");
    let shape = idiolect_llm::testing::TinyGguf {
        context: 16_384,
        ..Default::default()
    };
    std::fs::write(&path, idiolect_llm::testing::tiny_gguf(&shape)).unwrap();
    idiolect_engine::Engine::load(&path, "tiny", idiolect_llm::DeviceWish::Cpu).unwrap()
}

#[test]
fn votes_for_a_planted_taste_are_learned_and_shuffled_ones_are_not() {
    let place = Place::new();
    let answers = |i: usize| {
        json!([
            format!("Zzz zzz {i} zzz zzz."),
            format!("Aaa aaa {i} aaa aaa.")
        ])
    };
    let prompts: Vec<Value> = (0..80)
        .map(|i| json!({"prompt": i, "instruction": format!("Say {i}."), "answers": answers(i)}))
        .collect();
    // Left and right change places, so that no side is the right one.
    let vote = |i: usize, likes: usize| json!([i, i % 2, 1 - i % 2, (likes + i) % 2]);
    let person = |role: &str, likes: usize| {
        let votes = |of: std::ops::Range<usize>| of.map(|i| vote(i, likes)).collect::<Vec<_>>();
        json!({"role": role, "alpha": 0.1, "user": format!("{role}-{likes}"), "votes": votes(0..40), "test": votes(40..60)})
    };
    let people: Vec<Value> = ["new", "population"]
        .iter()
        .flat_map(|role| [person(role, 0), person(role, 1)])
        .collect();
    place.write("evals/taste_answers.jsonl.gz", &prompts);
    place.write("evals/taste_users.jsonl.gz", &people);
    let model = tiny(&place);
    for (role, tests) in [(None, "40 pairs"), (Some("population"), "20 pairs")] {
        let request = EvalRequest {
            corpus: role.map(str::to_owned),
            ..place.request("preference")
        };
        let mut quiet = |_| {};
        let ctx = &mut Ctx::new(&place.studio.inner, &mut quiet);
        let Ok(Plan::Preference(plan)) = Plan::of(ctx, &request) else {
            panic!("the plan of another evaluation");
        };
        let subject = Subject {
            model: &model,
            id: "tiny",
            sha256: "tiny",
        };
        let report = preference::run(ctx, &plan, &model, subject, &request).unwrap();
        let before = result(&report, "pair_accuracy_before");
        assert_eq!(
            before.value, 0.5,
            "two people of opposite tastes: {report:?}"
        );
        let after = result(&report, "pair_accuracy_after");
        assert!(after.value > 0.9, "{after:?}");
        assert_eq!(
            after.controls["always_longer"], 0.5,
            "all are of one length"
        );
        let margin = result(&report, "margin");
        assert!(margin.value > 0.0, "{margin:?}");
        assert!(
            margin.controls["shuffled_votes"] < margin.value,
            "{margin:?}"
        );
        assert!(report.notes[0].starts_with("Simulated people") && report.notes[0].contains(tests));
    }
    let wrong = EvalRequest {
        corpus: Some("real".to_owned()),
        ..place.request("preference")
    };
    assert_eq!(place.refused(&wrong), ErrorCode::Usage);
}
