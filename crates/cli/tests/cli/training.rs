//! Training, trained voices, drawings.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use idiolect_core::{ErrorCode, training::TrainSettings};
use idiolect_studio::{
    Options, Studio,
    api::{Event, Request, Response},
};
use serde_json::Value;

use crate::support::{Home, Used, has_keys, list};

/// Many short steps: something to interrupt.
const LONG: [&str; 12] = [
    "align",
    "sft",
    "--epochs",
    "100",
    "--rank",
    "2",
    "--targets",
    "q",
    "--max-length",
    "64",
    "--trial-drafts",
    "0",
];

#[test]
fn preflight_says_what_would_be_learned_from() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let said = home.json(&["align", "preflight"]);
    has_keys(
        &said,
        "samples words train_chunks held_out_chunks held_out_samples tokens duplicates votes retests edits thumbs_up thumbs_down preferences briefs_written briefs_missing needed_bytes free_bytes seconds measured ready too_little advice settings_in_words ladder",
    );
    assert_eq!(said["samples"], 4);
    assert_eq!(said["ready"], true);
    assert_eq!(said["measured"], true, "a voice was trained here before");
    assert!(said["held_out_chunks"].as_u64().unwrap() > 0);
    let held_out = list(&said["held_out_samples"]);
    assert_eq!(held_out.len(), 1, "one of four samples only measures");
    home.json(&["sample", "show", held_out[0].as_str().unwrap()]);
    let ladder = list(&said["ladder"]);
    let needed = |rung: &Value| rung["needed_bytes"].as_u64().unwrap();
    assert!(ladder.windows(2).all(|w| needed(&w[1]) < needed(&w[0])));
    assert_eq!(needed(&ladder[0]), said["needed_bytes"].as_u64().unwrap());
    let other = ["--held-out", "0", "--no-early-stop", "--chunk-words", "40"];
    let all = home.json(&[&["align", "preflight"][..], &other].concat());
    let chunks = |p: &Value| p["train_chunks"].as_u64().unwrap();
    assert!(chunks(&all) > chunks(&said), "shorter passages are more");
    assert!(
        all["settings_in_words"]
            .to_string()
            .contains("Runs to the end")
    );
}

#[test]
fn a_training_answers_as_documented_and_is_listed() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    has_keys(&used.trained, "run adapter");
    let run = &used.trained["run"];
    has_keys(
        run,
        "id status curve tokens_per_second peak_bytes seconds samples settings",
    );
    has_keys(&run["curve"][0], "step loss held_out style copied");
    // What it wrote on its way, from before the first step on.
    let trials = list(&run["trials"]);
    has_keys(&trials[0], "step brief text copied_words copied");
    let at = |step: &Value| trials.iter().filter(|t| &t["step"] == step).count();
    for point in list(&run["curve"]) {
        let wanted = if point["held_out"].is_f64() { 2 } else { 0 };
        assert_eq!(at(&point["step"]), wanted, "{point}");
    }
    assert_ne!(trials[0]["brief"], trials[1]["brief"]);
    assert!(list(&run["curve"]).len() > 2);
    assert_eq!(run["status"], "finished");
    assert_eq!(
        list(&home.json(&["align", "runs"])),
        std::slice::from_ref(run)
    );

    let id = used.adapter();
    let adapter = home.json(&["adapter", "show", id]);
    has_keys(
        &adapter,
        "id name model rank alpha base_held_out own_held_out bytes samples samples_gone",
    );
    assert_eq!(adapter, used.trained["adapter"]);
    // Measured by itself after the training, on the text that was held out.
    let report = &adapter["report"];
    has_keys(
        report,
        "texts tokens bits_base bits_excerpts bits_own bits_wrong_author wrong_author style_base style_own win_rate win_rate_interval win_rate_n notes measured_at",
    );
    assert_eq!(
        (&report["texts"], &report["win_rate_n"]),
        (&1.into(), &8.into())
    );
    for bits in [
        "bits_base",
        "bits_excerpts",
        "bits_own",
        "bits_wrong_author",
    ] {
        let bits = report[bits].as_f64().unwrap();
        assert!((0.5..17.0).contains(&bits), "{report}");
    }
    assert!(
        report["own_minus_base"].is_null(),
        "one text gives no margin"
    );
    assert!(report["notes"].to_string().contains("Not enough evidence"));
    assert_eq!(
        list(&home.json(&["adapter", "list"])),
        std::slice::from_ref(&adapter)
    );
    home.json(&["adapter", "rename", id, "Evenings"]);
    // Measured again, with the other author's voice at hand: the same figures.
    let again = home.json(&["adapter", "measure", id]);
    for figure in ["bits_own", "bits_wrong_author", "style_own", "win_rate"] {
        assert_eq!(again["report"][figure], report[figure], "{figure}");
    }
    assert!(home.words(&["adapter", "list"]).contains("Evenings"));
    let sample = adapter["samples"][0].as_str().unwrap();
    let gone = home.json(&["sample", "remove", sample]);
    assert!(gone["derived"].to_string().contains("trained voice"));
    assert_eq!(home.json(&["adapter", "show", id])["samples_gone"], 1);
    let refused = home.fails(&["adapter", "measure", id]);
    assert_eq!(
        refused.0, 1,
        "which text was held out cannot be told any more"
    );

    home.json(&["adapter", "delete", id]);
    assert_eq!(home.json(&["adapter", "list"]), serde_json::json!([]));
    assert!(!home.path().join("home/adapters").join(id).exists());
    assert_eq!(home.fails(&["adapter", "show", id]).0, 1);
}

/// Each form carries its licence and a card without a word of the person, and comes back as the same voice.
#[test]
fn a_voice_goes_out_in_every_form_and_comes_back() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let id = used.adapter();
    let place = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    for (form, file) in [
        ("peft", "adapter_model.safetensors"),
        ("gguf-lora", "adapter.gguf"),
        ("merged-gguf", "model.gguf"),
    ] {
        let folder = place(form);
        let said = home.json(&["adapter", "export", id, "--format", form, "--out", &folder]);
        has_keys(&said, "written form difference tokens storage bytes");
        assert!(said["difference"].as_f64().unwrap() <= 1e-3, "{said}");
        assert!(said["tokens"].as_u64().unwrap() > 50);
        let read = |name: &str| std::fs::read_to_string(home.path().join(form).join(name)).unwrap();
        assert!(home.path().join(form).join(file).exists());
        assert!(read("LICENCE.txt").contains("END OF TERMS AND CONDITIONS"));
        if form == "peft" {
            let base = "\"HuggingFaceTB/SmolLM2-135M-Instruct\"";
            assert!(read("adapter_config.json").contains(base));
        }
        let card = read("README.md");
        assert!(card.contains("SmolLM2"), "{card}");
        let sample = used.trained["adapter"]["samples"][0].as_str().unwrap();
        let text = home.json(&["sample", "show", sample])["text"].to_string();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(!card.contains(&words[3..7].join(" ")), "no text of theirs");
    }
    let again = home.fails(&["adapter", "export", id, "--out", &place("peft")]);
    assert_eq!(again.0, 2, "never over something that is there");

    home.json(&["adapter", "measure", id]);
    let bits = |id: &str| {
        let measured = home.json(&["adapter", "measure", id]);
        measured["report"]["bits_own"].as_f64().unwrap()
    };
    // A voice without lineage is measured on every text; so is the original once it is brought in.
    let mut back = Vec::new();
    for from in [
        place("peft"),
        format!("{}/adapter.gguf", place("gguf-lora")),
    ] {
        let voice = home.json(&["adapter", "import", &from, "--name", "Back"]);
        assert!(voice["imported"].as_str().unwrap().contains("not known"));
        assert_eq!(voice["samples"], serde_json::json!([]));
        back.push(voice["id"].as_str().unwrap().to_owned());
    }
    let (peft, gguf) = (bits(&back[0]), bits(&back[1]));
    assert!((peft - gguf).abs() < 2e-3, "{peft} and {gguf}");

    // Half of it twice is all of it; lineage leads back to the parts.
    let halves = [format!("{id}=0.5"), format!("{}=0.5", back[0])];
    let mixed = home.json(&["adapter", "stack", &halves[0], &halves[1], "--name", "Both"]);
    assert_eq!(list(&mixed["parents"]).len(), 2);
    assert!(mixed["imported"].as_str().unwrap().contains("50 % of"));
    let mixed = mixed["id"].as_str().unwrap();
    assert!((bits(mixed) - peft).abs() < 2e-3);
    assert_eq!(home.fails(&["adapter", "stack", &format!("{id}=x")]).0, 2);
    assert_eq!(home.fails(&["adapter", "stack", &format!("{id}=0")]).0, 2);
    let both = home.words(&["adapter", "compare", id, mixed]);
    assert!(
        both.contains("Mixed from 50 % of") && both.contains("learned from"),
        "{both}"
    );

    for wrong in ["nowhere", "LICENCE"] {
        let path = place(wrong);
        if wrong == "LICENCE" {
            std::fs::write(&path, "No voice.").unwrap();
        }
        assert_eq!(home.fails(&["adapter", "import", &path]).0, 1, "{wrong}");
    }
    let none = std::fs::read_dir(home.path().join("home/adapters")).unwrap();
    assert_eq!(none.count(), 4, "nothing is left of what was refused");
}

#[test]
fn a_first_ctrl_c_keeps_the_best_so_far() {
    let Some(used) = Used::copy() else {
        return;
    };
    let training = begin(&used.home);
    let interrupt = Command::new("kill")
        .args(["-INT", &training.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let ended = training.wait_with_output().unwrap();
    assert!(ended.status.success(), "what was learned is kept");
    let answer: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(answer["run"]["status"], "stopped");
    let id = answer["adapter"]["id"].as_str().unwrap();
    used.home.json(&["adapter", "show", id]);
}

#[test]
fn what_was_cut_short_is_said_until_it_was_read() {
    let Some(used) = Used::copy() else {
        return;
    };
    let mut training = begin(&used.home);
    training.kill().unwrap();
    training.wait().unwrap();
    let status = used.home.json(&["status"]);
    has_keys(
        &status,
        "version home models model model_id model_ready device device_why jobs cut_short shared_home revision dimensions",
    );
    assert_eq!(list(&status["cut_short"]).len(), 1);
    has_keys(&status["cut_short"][0], "what lost");
    assert!(used.home.words(&["status"]).contains("status --seen"));
    let seen = used.home.json(&["status", "--seen"]);
    assert_eq!(seen["cut_short"], serde_json::json!([]));
    assert_eq!(used.home.json(&["status"])["cut_short"], seen["cut_short"]);
    let runs = used.home.json(&["align", "runs"]);
    assert_eq!(runs[0]["status"], "cut_short");
}

/// A long training that has learned something; standard error is read on, so that it never blocks.
fn begin(home: &Home) -> Child {
    begin_with(home, &[&LONG[..], &["--no-early-stop"]].concat())
}

fn begin_with(home: &Home, train: &[&str]) -> Child {
    let mut training = home
        .command(&[&["--json"], train].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(training.stderr.take().unwrap()).lines();
    let begun = lines.any(|line| line.unwrap().starts_with("step 1 "));
    assert!(begun, "it never began to train");
    std::thread::spawn(move || lines.count());
    training
}

#[test]
fn a_retest_waits_for_votes() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let shown = home.json(&["retest", "--show", "--adapter", used.adapter()]);
    has_keys(&shown, "adapter against waiting tally");
    assert_eq!(shown["waiting"], serde_json::json!([]));
    assert_eq!(shown["tally"]["n"], 0);
    assert_eq!(home.fails(&["retest", "--pairs", "0"]).0, 2);
    let (code, error) = home.fails(&["retest", "--against", used.adapter()]);
    assert_eq!(code, 2);
    assert!(error.contains("with itself"), "{error}");
}

#[test]
fn drawings_are_svg_or_png_as_their_name_says() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    home.json(&["dimension", "set", "order", "0.5"]);
    let draw = |what: &str, name: &str| {
        let out = home.path().join(name);
        home.json(&["plot", what, "--out", &out.display().to_string()]);
        std::fs::read(out).unwrap()
    };
    for what in ["loss", "dimensions"] {
        let svg = String::from_utf8(draw(what, &format!("{what}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<text"), "{what}");
        let png = draw(what, &format!("{what}.png"));
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
        assert_eq!(width, 960);
        // White alone packs into a few thousand bytes.
        assert!(png.len() > BLANK, "{what}: {} bytes", png.len());
    }
    let run = used.trained["run"]["id"].as_str().unwrap();
    let named = home.path().join("named.svg").display().to_string();
    home.json(&["plot", "loss", "--run", run, "--out", &named]);
    let (code, error) = home.fails(&["plot", "loss", "--out", "loss.jpeg"]);
    assert_eq!(code, 2);
    assert!(error.contains(".svg or .png"), "{error}");
}

const BLANK: usize = 10_000;

#[test]
fn a_damaged_voice_is_a_failure_and_not_wrong_usage() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let text = home.file("text.txt", b"The lamp broke again last night.");
    let folder = home.path().join("home/adapters").join(used.adapter());
    let score = ["score", &text, "--adapter", used.adapter()];
    home.json(&score);
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        let whole = std::fs::read(folder.join(file)).unwrap();
        std::fs::write(folder.join(file), &whole[..whole.len() / 2]).unwrap();
        let (code, error) = home.fails(&score);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains("damaged"), "{error}");
        std::fs::write(folder.join(file), whole).unwrap();
    }
    home.json(&score);
}

const QUICK: [&str; 11] = [
    "--no-report",
    "--epochs",
    "1",
    "--rank",
    "2",
    "--targets",
    "q",
    "--max-length",
    "128",
    "--trial-drafts",
    "0",
];

#[test]
fn what_is_preferred_is_found_and_learned_from() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let [base, excerpts] = used.drafts();
    let nothing = home.json(&["align", "preflight", "--objective", "dpo"]);
    assert_eq!(nothing["ready"], false);
    let refused = home.fails(&["--anyway", "align", "dpo"]);
    assert!(refused.1.contains("Vote"), "{}", refused.1);

    let pair = home.json(&["vote", "--left", &base, "--right", &excerpts]);
    let pair = pair["id"].as_str().unwrap();
    home.json(&["vote", "--pair", pair, "--choice", "left"]);
    home.json(&[
        "drafts",
        "edit",
        &excerpts,
        "The lamp is broken, so bring a new one.",
    ]);
    home.json(&["drafts", "thumb", &base, "up"]);
    home.json(&["drafts", "thumb", &excerpts, "down"]);
    let found = home.json(&["align", "preflight", "--objective", "dpo"]);
    for (what, count) in [
        ("votes", 1),
        ("edits", 1),
        ("thumbs_up", 1),
        ("thumbs_down", 1),
        ("preferences", 3),
    ] {
        assert_eq!(found[what], count, "{what}: {found}");
    }
    let edits = [
        "align",
        "preflight",
        "--objective",
        "dpo",
        "--preferences",
        "edits",
    ];
    assert_eq!(home.json(&edits)["train_chunks"], 1);

    assert!(
        found["too_little"]
            .as_str()
            .unwrap()
            .contains("3 preferences")
    );
    let refused = home.fails(&[&["align", "dpo"][..], &QUICK].concat());
    assert!(refused.1.contains("--anyway"), "{}", refused.1);
    for objective in ["dpo", "orpo", "kto"] {
        let trained = home.json(&[&["--anyway", "align", objective][..], &QUICK].concat());
        assert_eq!(trained["run"]["objective"], objective);
        let adapter = &trained["adapter"];
        // Single texts were judged by their thumbs, which say more than the vote between them.
        let votes = if objective == "kto" {
            vec![]
        } else {
            vec![pair]
        };
        assert_eq!(adapter["votes"], serde_json::json!(votes), "{objective}");
        assert_eq!(list(&adapter["drafts"]).len(), 2);
        assert_eq!(adapter["samples"], serde_json::json!([]));
        let last = list(&trained["run"]["curve"]).last().unwrap();
        assert!(last["accuracy"].is_f64(), "{last}");
    }
    let gone = home.json(&["drafts", "delete", &base]);
    assert!(
        gone["derived"].to_string().contains("3 trained voices"),
        "{gone}"
    );
}

#[test]
fn little_text_is_learned_from_when_one_insists_and_steps_are_measured() {
    let Some(home) = Home::with_model() else {
        return;
    };
    home.json(&["profile", "new", "Harrow"]);
    home.add_samples(1);
    let train = [&["align", "sft", "--chunk-words", "60"][..], &QUICK].concat();
    let said = home.json(&["align", "preflight"]);
    assert_eq!(
        (&said["ready"], &said["measured"]),
        (&false.into(), &false.into())
    );
    assert!(
        said["too_little"]
            .as_str()
            .unwrap()
            .contains("words say little")
    );
    assert!(home.fails(&train).1.contains("--anyway"));
    let measured = [&["align", "preflight", "--measure"][..], &QUICK].concat();
    assert_eq!(home.json(&measured)["measured"], true);
    assert_eq!(
        home.json(&["align", "runs"]),
        serde_json::json!([]),
        "a measurement is no training"
    );
    let trained = home.json(&[&["--anyway"][..], &train, &["--method", "excerpts"]].concat());
    assert_eq!(trained["adapter"]["method"], "excerpts");
    let id = trained["adapter"]["id"].as_str().unwrap();
    let brief = crate::support::BRIEF;
    let draft = home.json(&[&["write", "--adapter", id][..], &brief].concat());
    assert_eq!(draft["method"], "excerpts", "written as it was trained");
}

#[test]
fn few_texts_are_learned_over_the_model_s_own_drafts() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let ditto = [
        &[
            "align",
            "ditto",
            "--batch",
            "1",
            "--no-early-stop",
            "--chunk-words",
            "60",
        ][..],
        &QUICK,
    ]
    .concat();
    let trained = home.json(&ditto);
    let (run, adapter) = (&trained["run"], &trained["adapter"]);
    assert_eq!(
        (&run["objective"], &run["status"]),
        (&"ditto".into(), &"finished".into())
    );
    let curve = list(&run["curve"]);
    // Texts first, in nats a token; then pairs, which begin at ln 2: the model it starts from is the reference.
    let pairs: Vec<f64> = curve[curve.len() - 40..]
        .iter()
        .map(|point| point["loss"].as_f64().unwrap())
        .collect();
    assert!(
        (pairs[0] - std::f64::consts::LN_2).abs() < 1e-3,
        "{pairs:?}"
    );
    assert!(
        curve.len() > 41 && curve[1]["loss"].as_f64().unwrap() > 1.0,
        "{curve:?}"
    );
    assert!(adapter["own_held_out"].is_f64());
    assert_eq!(list(&adapter["samples"]).len(), 4);
    let id = run["id"].as_str().unwrap();
    assert!(
        !home.path().join("home/runs").join(id).exists(),
        "its drafts are gone"
    );
    let said = home.json(&["align", "preflight", "--objective", "ditto"]);
    assert!(
        said["settings_in_words"]
            .to_string()
            .contains("its own drafts")
    );
}

#[test]
fn a_training_that_was_killed_goes_on_to_the_curve_it_would_have_had() {
    let (Some(whole), Some(cut)) = (Used::copy(), Used::copy()) else {
        return;
    };
    let mut train = [&LONG[..], &["--no-early-stop"]].concat();
    // With drafts on its way, whose style is part of the curve.
    (train[3], train[11]) = ("4", "2");
    let curve = |answer: &Value| answer["run"]["curve"].clone();
    let texts = |answer: &Value| answer["run"]["trials"].clone();
    let expected = whole.home.json(&train);
    assert!(curve(&expected).to_string().contains("\"style\":0."));

    let mut training = begin_with(&cut.home, &train);
    let runs = cut.home.path().join("home/runs");
    let written = |folder: &std::path::Path| {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.any(|name| name.starts_with("step-"))
    };
    let since = std::time::Instant::now();
    while !std::fs::read_dir(&runs)
        .into_iter()
        .flatten()
        .flatten()
        .any(|run| written(&run.path()))
    {
        assert!(since.elapsed().as_secs() < 120, "no checkpoint came");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    training.kill().unwrap();
    training.wait().unwrap();
    let runs = cut.home.json(&["align", "runs"]);
    assert_eq!(runs[0]["status"], "cut_short");
    assert_eq!(runs[0]["resumable"], true);
    let id = runs[0]["id"].as_str().unwrap();
    let folder = cut.home.path().join("home/runs").join(id);
    assert!(folder.exists());
    // Texts that came later are not part of it.
    let later =
        "Some words that came later, after the training had begun and was cut short. ".repeat(4);
    let file = cut.home.file("later.txt", later.as_bytes());
    cut.home.json(&["sample", "add", &file]);
    let resumed = cut.home.json(&["align", "resume"]);
    assert_eq!(resumed["run"]["id"], runs[0]["id"]);
    assert_eq!(resumed["run"]["status"], "finished");
    assert_eq!(curve(&resumed), curve(&expected), "to the bit");
    assert_eq!(texts(&resumed), texts(&expected));
    assert!(!folder.exists(), "nothing is left to take up");
    assert_eq!(cut.home.fails(&["align", "resume"]).0, 1);
}

#[test]
fn a_training_that_ends_with_the_window_can_be_taken_up() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = used.home.path().join("home");
    let studio = Studio::open(Options {
        home: Some(home.clone()),
        models: std::env::var_os("IDIOLECT_MODELS").map(Into::into),
        offline: true,
    })
    .unwrap();
    let Ok(Response::Profiles { profiles }) = studio.run(Request::ProfileList, &mut |_| {}) else {
        panic!("the profiles")
    };
    let settings = TrainSettings {
        rank: 2,
        epochs: 2,
        max_length: 128,
        ..TrainSettings::default()
    };
    let request = Request::AlignSft {
        profile: profiles[0].id.clone(),
        settings,
        model: None,
        name: None,
        anyway: true,
    };
    let ended = studio.run(request, &mut |event| {
        // As when the window closes.
        if let Event::Loss { .. } = event {
            studio.stop_all();
        }
    });
    assert_eq!(ended.unwrap_err().code, ErrorCode::Cancelled);
    drop(studio);
    let runs = used.home.json(&["align", "runs"]);
    assert_eq!(runs[0]["status"], "cut_short");
    assert_eq!(runs[0]["resumable"], true);
    let resumed = used.home.json(&["align", "resume"]);
    assert_eq!(resumed["run"]["status"], "finished");
    assert_eq!(resumed["run"]["id"], runs[0]["id"]);
}

#[test]
fn a_training_that_was_cut_short_can_be_given_up() {
    let Some(used) = Used::copy() else {
        return;
    };
    let mut training = begin(&used.home);
    training.kill().unwrap();
    training.wait().unwrap();
    let given_up = used.home.json(&["align", "discard"]);
    assert_eq!(given_up["run"]["status"], "cancelled");
    assert_eq!(given_up["run"]["resumable"], false);
    let id = given_up["run"]["id"].as_str().unwrap();
    assert!(!used.home.path().join("home/runs").join(id).exists());
    assert_eq!(used.home.fails(&["align", "resume", id]).0, 2);
}

#[test]
fn a_deleted_sample_names_its_voices_and_they_are_retired_or_trained_anew() {
    let Some(used) = Used::copy() else {
        return;
    };
    let home = &used.home;
    let old = used.adapter();
    let sample = used.trained["adapter"]["samples"][0].as_str().unwrap();
    let gone = home.json(&["sample", "remove", sample]);
    assert_eq!(gone["voices"], serde_json::json!([old]));

    assert!(home.json(&["adapter", "retire", old])["retired_at"].is_string());
    let (_, error) = home.fails(&["retest", "--show"]);
    assert!(
        error.contains("no trained voice"),
        "none is proposed: {error}"
    );
    assert!(home.json(&["adapter", "unretire", old])["retired_at"].is_null());

    let anew = home.json(&["--anyway", "adapter", "retrain", old]);
    let samples = anew["adapter"]["samples"].as_array().unwrap();
    assert!(
        !samples.iter().any(|id| id == sample),
        "without what was deleted"
    );
    assert_eq!(
        anew["run"]["settings"], used.trained["run"]["settings"],
        "with the settings of the first"
    );
    let gone = home.json(&["sample", "remove", samples[0].as_str().unwrap()]);
    assert_eq!(
        gone["voices"].as_array().unwrap().len(),
        2,
        "both learned from it"
    );

    let write = |contrast: &str| {
        let brief = "Tell Tom that the lamp is broken.";
        home.json(&[
            "write",
            "--brief",
            brief,
            "--max-tokens",
            "12",
            "--adapter",
            old,
            "--adapter-contrast",
            contrast,
        ])
    };
    let draft = write("1.5");
    assert_eq!(draft["adapter"]["contrast"], 1.5);
    let args = [
        "write",
        "--brief",
        "b",
        "--adapter",
        old,
        "--adapter-contrast",
        "3",
    ];
    assert!(home.fails(&args).1.contains("between 0 and 2"));
}
