//! A run that was set down at any step and taken up again is the run it would have been, to the bit.

mod common;

use std::{path::Path, time::Duration};

use common::{DPO, KTO, pairs, rows, settings, task, texts, thumbs, values};
use idiolect_engine::{Engine, Level, LoadedModel, LoraWeights};
use idiolect_train::{
    Checkpoints, Control, Ditto, Drafts, Ending, Example, Objective, Observer, Packing, Resume,
    Resumed, RoundDrafts, Row, Settings, Task, TrainError, Trained, Update, checkpoint, ditto,
    stop::Reading,
};

fn checkpoints(folder: &Path, resume: Resume) -> Checkpoints {
    Checkpoints {
        folder: folder.to_owned(),
        model: "the tiny one".to_owned(),
        every: Duration::ZERO,
        resume,
    }
}

/// Notes what it hears, answers with `control` at one step, and reads something off the weights.
struct Notes {
    updates: Vec<Update>,
    resumed: Option<Resumed>,
    at: Option<(u32, Control)>,
    waits: u32,
}

impl Notes {
    fn answering(at: Option<(u32, Control)>) -> Self {
        Self {
            updates: Vec::new(),
            resumed: None,
            at,
            waits: 0,
        }
    }

    /// Everything but the clock.
    fn curve(&self) -> Vec<Update> {
        let timeless = |u: &Update| Update { seconds: 0.0, ..*u };
        self.updates.iter().map(timeless).collect()
    }
}

impl Observer for Notes {
    fn update(&mut self, update: Update) -> Control {
        self.updates.push(update);
        match self.at {
            Some((step, control)) if step == update.point.step => control,
            _ => Control::Continue,
        }
    }

    fn sample(&mut self, _: u32, weights: &LoraWeights) -> Result<Option<Reading>, TrainError> {
        let numbers = weights.parameters()?;
        let sum: f64 = numbers.iter().map(|v| f64::from(*v).abs()).sum();
        Ok(Some(Reading {
            style: sum / numbers.len() as f64,
            copied: 0.0,
        }))
    }

    fn wait(&mut self) -> Control {
        self.waits += 1;
        if self.waits < 3 {
            Control::Pause
        } else {
            Control::Continue
        }
    }

    fn resumed(&mut self, from: &Resumed) {
        self.resumed = Some(from.clone());
    }
}

/// Dropout, two passes a step, an odd one at the end of an epoch.
fn hard(objective: Objective) -> Settings {
    let mut settings = settings(objective);
    settings.epochs = 3;
    settings.dropout = 0.2;
    settings.packing = Packing {
        batch: 1,
        tokens: Some(40),
        accumulate: 2,
    };
    settings.early_stop = true;
    settings
}

fn run_in(
    model: &LoadedModel,
    examples: &[Example],
    settings: &Settings,
    checkpoints: Checkpoints,
    notes: &mut Notes,
) -> Result<Trained, TrainError> {
    let task = Task {
        checkpoints: Some(checkpoints),
        held_out: &examples[3..],
        ..task(model, &examples[..5], settings)
    };
    idiolect_train::run(task, notes)
}

/// Set down in every way at every step, and taken up.
fn every_step_can_be_the_last(objective: Objective, examples: &[Example]) {
    let (dir, model) = common::tiny();
    let settings = hard(objective);
    let at = |name: &str| dir.path().join(name);
    let mut whole = Notes::answering(None);
    let unbroken = run_in(
        &model,
        examples,
        &settings,
        checkpoints(&at("whole"), Resume::No),
        &mut whole,
    )
    .unwrap();
    let steps = unbroken.steps;
    assert!(steps >= 5, "{steps}");
    // Cancelling leaves what a kill after this step and before its checkpoint would leave.
    for (how, answer) in [("left", Control::Leave), ("killed", Control::Cancel)] {
        for step in 1..=steps {
            let folder = at(&format!("{how}-{step}"));
            let mut before = Notes::answering(Some((step, answer)));
            let set_down = run_in(
                &model,
                examples,
                &settings,
                checkpoints(&folder, Resume::Exact),
                &mut before,
            )
            .unwrap();
            assert!(set_down.weights.is_none());
            let mut after = Notes::answering(None);
            let resumed = run_in(
                &model,
                examples,
                &settings,
                checkpoints(&folder, Resume::Exact),
                &mut after,
            )
            .unwrap();
            let name = format!("{} {how} at {step}", objective.name());
            assert_eq!(values(&unbroken), values(&resumed), "{name}");
            assert_eq!(unbroken.own_held_out, resumed.own_held_out, "{name}");
            assert_eq!(unbroken.base_held_out, resumed.base_held_out, "{name}");
            assert_eq!(unbroken.ended_early, resumed.ended_early, "{name}");
            // What was said again replaces what was said before.
            let from = after.updates.first().map_or(u32::MAX, |u| u.point.step);
            let mut curve = before.curve();
            curve.retain(|u| u.point.step < from);
            curve.extend(after.curve());
            assert_eq!(whole.curve(), curve, "{name}");
            let kept = if answer == Control::Leave {
                step
            } else {
                step - 1
            };
            let said = after.resumed.as_ref().map_or(0, |r| r.step);
            assert_eq!(said, kept, "{name}");
        }
    }
}

#[test]
fn texts_resume_exactly_after_any_step() {
    every_step_can_be_the_last(Objective::Sft, &texts());
}

#[test]
fn pairs_resume_exactly_after_any_step() {
    every_step_can_be_the_last(DPO, &pairs());
}

#[test]
fn thumbs_resume_exactly_after_any_step() {
    every_step_can_be_the_last(KTO, &thumbs());
}

#[test]
fn pausing_changes_nothing_and_leaves_a_checkpoint() {
    let (dir, model) = common::tiny();
    let (examples, settings) = (texts(), hard(Objective::Sft));
    let run = |name: &str, at| {
        let mut notes = Notes::answering(at);
        let mut checkpoints = checkpoints(&dir.path().join(name), Resume::No);
        // Never by the clock.
        checkpoints.every = Duration::from_secs(3600);
        let trained = run_in(&model, &examples, &settings, checkpoints, &mut notes).unwrap();
        (values(&trained), notes)
    };
    let (plain, _) = run("plain", None);
    let (paused, notes) = run("paused", Some((1, Control::Pause)));
    assert_eq!((plain, notes.waits), (paused, 3));
}

fn newest(folder: &Path) -> std::path::PathBuf {
    let step = |path: &std::path::PathBuf| -> u32 {
        let name = path.file_name().unwrap().to_str().unwrap();
        name["step-".len()..].parse().unwrap()
    };
    let paths = std::fs::read_dir(folder).unwrap();
    let paths: Vec<_> = paths.map(|e| e.unwrap().path()).collect();
    paths.into_iter().max_by_key(step).unwrap()
}

#[test]
fn a_damaged_checkpoint_is_said_and_the_one_before_it_is_used() {
    let (dir, model) = common::tiny();
    let (examples, settings) = (texts(), hard(Objective::Sft));
    let run = |folder: &Path, at| {
        let mut notes = Notes::answering(at);
        let checkpoints = checkpoints(folder, Resume::Exact);
        run_in(&model, &examples, &settings, checkpoints, &mut notes).map(|t| (t, notes))
    };
    let unbroken = run(&dir.path().join("whole"), None).unwrap().0;
    let folder = dir.path().join("damaged");
    run(&folder, Some((4, Control::Leave))).unwrap();
    let damage = |folder: &Path| {
        let path = newest(folder).join("state.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(path, bytes).unwrap();
    };
    damage(&folder);
    let (resumed, notes) = run(&folder, None).unwrap();
    let said = notes.resumed.unwrap();
    assert_eq!((said.step, said.damaged[0].0, said.exact), (3, 4, true));
    assert_eq!(values(&unbroken), values(&resumed));

    let folder = dir.path().join("both");
    run(&folder, Some((1, Control::Leave))).unwrap();
    damage(&folder);
    let refused = run(&folder, None).map(|_| ());
    assert!(matches!(refused, Err(TrainError::Checkpoint(_))));
}

#[test]
fn a_checkpoint_of_another_run_is_refused_in_words() {
    let (dir, model) = common::tiny();
    let (examples, own) = (texts(), hard(Objective::Sft));
    let folder = dir.path().join("run");
    let run = |examples: &[Example], settings: &Settings, id: &str, resume| {
        let mut checkpoints = checkpoints(&folder, resume);
        checkpoints.model = id.to_owned();
        let mut notes = Notes::answering(Some((2, Control::Leave)));
        run_in(&model, examples, settings, checkpoints, &mut notes).map(|_| ())
    };
    run(&examples, &own, "a", Resume::No).unwrap();
    let mut other = own.clone();
    other.seed = 2;
    let mut fewer = examples.clone();
    fewer[0] = fewer[1].clone();
    let refusals = [
        run(&examples, &own, "b", Resume::Exact),
        run(&examples, &other, "a", Resume::Exact),
        run(&fewer, &own, "a", Resume::Anyway),
    ];
    let words: Vec<String> = refusals.map(|r| r.unwrap_err().to_string()).to_vec();
    assert!(words[0].contains("base model"), "{words:?}");
    assert!(words[1].contains("settings"), "{words:?}");
    assert!(words[2].contains("changed"), "{words:?}");
    // Recomputation changes no bit, so it may change on the way.
    let mut leaner = own.clone();
    leaner.recompute = true;
    run(&examples, &leaner, "a", Resume::Exact).unwrap();
    // Starting anew removes what lies there.
    run(&examples, &other, "b", Resume::No).unwrap();
    run(&examples, &other, "b", Resume::Exact).unwrap();
}

#[test]
fn another_instruction_level_goes_on_only_when_told_to() {
    let (dir, _) = common::tiny();
    let levels = Level::available();
    let [first, .., last] = levels[..] else {
        return; // one level only: nothing to tell apart
    };
    let (examples, settings) = (texts(), hard(Objective::Sft));
    let path = dir.path().join("tiny.gguf");
    let folder = dir.path().join("run");
    let run = |level, resume, at| {
        let model = Engine::load_at_level(&path, "tiny", level).unwrap();
        let mut notes = Notes::answering(at);
        let checkpoints = checkpoints(&folder, resume);
        run_in(&model, &examples, &settings, checkpoints, &mut notes).map(|t| (t, notes))
    };
    run(first, Resume::No, Some((2, Control::Leave))).unwrap();
    let refused = run(last, Resume::Exact, None).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains(last.name()), "{refused}");
    let (trained, notes) = run(last, Resume::Anyway, None).unwrap();
    assert_eq!(trained.ending, Ending::Done);
    assert!(!notes.resumed.unwrap().exact);
}

#[test]
fn checkpoints_hold_no_text_and_no_tokens() {
    let (dir, model) = common::tiny();
    let (examples, settings) = (texts(), hard(Objective::Sft));
    let folder = dir.path().join("run");
    let mut notes = Notes::answering(None);
    let anew = checkpoints(&folder, Resume::No);
    run_in(&model, &examples, &settings, anew, &mut notes).unwrap();
    let found = checkpoint::find(&folder).unwrap().checkpoint.unwrap();
    let parameters = found.state.weights.len();
    // Nothing but the four lists of numbers of an adapter, and a manifest of this many bytes whatever was learned from.
    let state = std::fs::metadata(newest(&folder).join("state.safetensors")).unwrap();
    assert!(state.len() < 4 * 4 * parameters as u64 + 1024);
    let manifest = std::fs::read_to_string(newest(&folder).join("manifest.json")).unwrap();
    let tokens: Vec<String> = examples
        .iter()
        .flat_map(|e| {
            e.rows()
                .flat_map(|row| row.tokens.windows(2))
                .collect::<Vec<_>>()
        })
        .map(|two| format!("{}, {}", two[0], two[1]))
        .collect();
    let flat = manifest.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(tokens.iter().all(|two| !flat.contains(two)), "{manifest}");
}

/// Drafts that depend on the weights, kept as a studio keeps them.
#[derive(Default)]
struct Kept(Vec<RoundDrafts>);

impl Drafts for Kept {
    fn draft(
        &mut self,
        round: u32,
        weights: Option<&LoraWeights>,
    ) -> Result<RoundDrafts, TrainError> {
        let kept = self.0.get(round as usize).cloned();
        let Some(weights) = weights else {
            return kept.ok_or_else(|| TrainError::Drafts("none are kept".to_owned()));
        };
        let seed = u64::from(weights.parameters()?[7].to_bits());
        let draft = |row: Row| {
            let mut draft = rows(seed + row.tokens.len() as u64, &[(8, row.prompt)]).remove(0);
            draft.tokens[..row.prompt].copy_from_slice(&row.tokens[..row.prompt]);
            vec![draft]
        };
        let drafts: RoundDrafts = texts_of().into_iter().map(draft).collect();
        self.0.truncate(round as usize);
        self.0.push(drafts.clone());
        Ok(drafts)
    }
}

fn texts_of() -> Vec<Row> {
    rows(5, &[(9, 3), (14, 2), (7, 1)])
}

#[test]
fn the_recipe_for_few_texts_runs_both_parts_and_resumes_exactly() {
    let (dir, model) = common::tiny();
    let (texts, held_out) = (texts_of(), rows(11, &[(9, 2)]));
    let mut first = settings(Objective::Sft);
    (first.epochs, first.stop_below) = (6, Some(5.0));
    let mut second = settings(DPO);
    second.schedule.peak = 5e-3;
    let run = |name: &str, resume, drafts: &mut Kept, at| {
        let task = Ditto {
            model: &model,
            texts: &texts,
            held_out: &held_out,
            first: &first,
            second: &second,
            rounds: 3,
            pairs_a_round: 4,
            checkpoints: Some(checkpoints(&dir.path().join(name), resume)),
        };
        let mut notes = Notes::answering(at);
        ditto(&task, drafts, &mut notes).map(|trained| (trained, notes))
    };
    let mut drafts = Kept::default();
    let (unbroken, whole) = run("whole", Resume::No, &mut drafts, None).unwrap();
    assert_eq!(drafts.0.len(), 3, "three rounds");
    assert_ne!(
        drafts.0[0], drafts.0[1],
        "each under the weights of its time"
    );
    let texts_part = unbroken.steps - 6;
    assert!(
        (2..12).contains(&texts_part),
        "stopped by its bound: {texts_part}"
    );
    let steps: Vec<u32> = whole.updates.iter().map(|u| u.point.step).collect();
    assert_eq!(steps, (0..=unbroken.steps).collect::<Vec<_>>(), "one curve");
    assert!(whole.updates.last().unwrap().preference.unwrap().accuracy > 0.5);

    for step in 1..=unbroken.steps {
        let name = format!("left-{step}");
        let mut kept = Kept::default();
        let at = Some((step, Control::Leave));
        let (left, before) = run(&name, Resume::No, &mut kept, at).unwrap();
        assert_eq!(left.ending, Ending::Left);
        let (resumed, after) = run(&name, Resume::Exact, &mut kept, None).unwrap();
        assert_eq!(values(&unbroken), values(&resumed), "left at {step}");
        assert_eq!(kept.0, drafts.0, "left at {step}");
        let mut curve = before.curve();
        curve.extend(after.curve());
        assert_eq!(whole.curve(), curve, "left at {step}");
    }

    // In the middle of the last round, and the drafts are not what they were.
    let mut kept = Kept::default();
    let at = Some((unbroken.steps - 1, Control::Leave));
    run("changed", Resume::No, &mut kept, at).unwrap();
    kept.0[2][0][0].tokens[5] ^= 1;
    kept.0[2][1][0].tokens[5] ^= 1;
    kept.0[2][2][0].tokens[5] ^= 1;
    let refused = run("changed", Resume::Exact, &mut kept, None).map(|_| ());
    assert!(matches!(refused, Err(TrainError::Checkpoint(_))));
    let stopped = Some((1, Control::KeepBest));
    let (kept_best, _) = run("stopped", Resume::No, &mut Kept::default(), stopped).unwrap();
    assert_eq!((kept_best.ending, kept_best.steps), (Ending::Stopped, 1));
}

/// Steps enough that a kill meets a run wherever it may be.
fn long() -> Settings {
    let mut settings = hard(Objective::Sft);
    (settings.epochs, settings.early_stop) = (40, false);
    settings
}

/// The other half of the next test, in a process that is killed.
#[test]
#[ignore = "started by the test of killed processes"]
fn a_run_in_a_process_of_its_own() {
    let Ok(folder) = std::env::var("IDIOLECT_TEST_RUN") else {
        return;
    };
    let folder = Path::new(&folder);
    let (_dir, model) = common::tiny();
    let mut notes = Notes::answering(None);
    let checkpoints = checkpoints(&folder.join("checkpoints"), Resume::Exact);
    let trained = run_in(&model, &texts(), &long(), checkpoints, &mut notes).unwrap();
    let bytes: Vec<u8> = values(&trained)
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    std::fs::write(folder.join("done"), bytes).unwrap();
}

fn process(folder: &Path) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_run_in_a_process_of_its_own", "--ignored"])
        .env("IDIOLECT_TEST_RUN", folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_process_killed_at_twenty_moments_ends_where_an_unbroken_one_does() {
    let (dir, model) = common::tiny();
    let mut notes = Notes::answering(None);
    let anew = checkpoints(&dir.path().join("whole"), Resume::No);
    let unbroken = run_in(&model, &texts(), &long(), anew, &mut notes).unwrap();
    let whole: Vec<u8> = values(&unbroken)
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let mut kills = 0;
    let mut random: u64 = 7;
    for run in 0.. {
        let folder = dir.path().join(format!("killed-{run}"));
        std::fs::create_dir(&folder).unwrap();
        while !folder.join("done").exists() {
            let mut child = process(&folder);
            // At any moment of a start, a step or a write.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            std::thread::sleep(Duration::from_millis(20 + (random >> 33) % 150));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
            child.wait().unwrap();
            if kills >= 20 {
                // The last one may end.
                assert!(process(&folder).wait().unwrap().success());
            }
        }
        assert_eq!(
            std::fs::read(folder.join("done")).unwrap(),
            whole,
            "run {run}"
        );
        if kills >= 20 {
            break;
        }
    }
}

/// The tiny model's matrices are too small for some of the kernels that a real one is trained with.
#[test]
#[ignore = "takes half a minute and needs the default model: set IDIOLECT_MODELS"]
fn the_default_model_resumes_exactly_too() {
    let folder = std::env::var_os("IDIOLECT_MODELS").expect("the folder of models");
    let path = Path::new(&folder).join("smollm2-135m-instruct.gguf");
    let model = Engine::load(&path, "default", idiolect_llm::DeviceWish::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (chosen, rejected) = (rows(1, &[(70, 9); 5]), rows(2, &[(60, 9); 5]));
    let both = chosen.into_iter().zip(rejected);
    let examples: Vec<Example> = both
        .map(|(chosen, rejected)| Example::Pair { chosen, rejected })
        .collect();
    let settings = hard(DPO);
    let run = |name: &str, at| {
        let mut notes = Notes::answering(at);
        let checkpoints = checkpoints(&dir.path().join(name), Resume::Exact);
        let trained = run_in(&model, &examples, &settings, checkpoints, &mut notes).unwrap();
        (trained, notes.curve())
    };
    let (unbroken, whole) = run("whole", None);
    let (_, mut curve) = run("left", Some((2, Control::Leave)));
    let (resumed, after) = run("left", None);
    curve.extend(after);
    assert_eq!(whole, curve);
    assert_eq!(values(&unbroken), values(&resumed));
}
