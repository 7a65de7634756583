//! What the doctor says of sound and damaged files.

use std::path::PathBuf;

use idiolect_engine::{Check, Examination, LoadOptions, Verdict, examine, try_out};
use idiolect_llm::{
    Cancel, DeviceWish,
    testing::{GgufFile, Meta, TinyGguf, hostile_ggufs},
};

/// A sound file that the doctor has nothing to say against.
fn sound() -> GgufFile {
    let tiny = TinyGguf {
        context: 2048,
        ..TinyGguf::default()
    };
    tiny.file()
}

fn on_disk(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn examined(bytes: &[u8]) -> Examination {
    examine(&on_disk(bytes).1).unwrap()
}

fn bent(bend: impl FnOnce(&mut GgufFile)) -> Examination {
    let mut file = sound();
    bend(&mut file);
    examined(&file.to_bytes())
}

fn check<'a>(examination: &'a Examination, name: &str) -> &'a Check {
    let found = examination.checks.iter().find(|c| c.name == name);
    found.unwrap_or_else(|| panic!("no check “{name}” in {:?}", examination.checks))
}

/// The check ended so, its words hold these, and whoever reads it learns what it means and what to do.
fn says(examination: &Examination, name: &str, verdict: Verdict, words: &str) {
    let check = check(examination, name);
    assert_eq!(check.verdict, verdict, "{check:?}");
    let all = format!("{} {} {}", check.found, check.means, check.next);
    assert!(all.contains(words), "no “{words}” in {all}");
    if verdict != Verdict::Ok {
        assert!(
            !check.means.is_empty() && !check.next.is_empty(),
            "{check:?}"
        );
    }
}

fn worst(examination: &Examination) -> Verdict {
    examination.checks.iter().map(|c| c.verdict).max().unwrap()
}

fn run(file: &GgufFile) -> Check {
    let (_dir, path) = on_disk(&file.to_bytes());
    let options = LoadOptions {
        device: DeviceWish::Cpu,
        threads: None,
    };
    try_out(&path, &options, &Cancel::new()).unwrap().0
}

#[test]
fn a_sound_file_passes_every_check() {
    let examination = bent(|_| {});
    let names: Vec<_> = examination.checks.iter().map(|c| c.name).collect();
    assert_eq!(
        names,
        [
            "header",
            "tensors",
            "quantization",
            "architecture",
            "context",
            "tokenizer",
            "end of text",
            "beginning of text",
            "chat template"
        ]
    );
    assert_eq!(worst(&examination), Verdict::Ok, "{:?}", examination.checks);
    assert!(examination.may_be_run() && examination.estimate.is_some());
    says(
        &examination,
        "chat template",
        Verdict::Ok,
        "<|im_start|>assistant",
    );
    let ran = run(&sound());
    assert_eq!(ran.verdict, Verdict::Ok, "{ran:?}");
}

#[test]
fn damage_is_named_and_the_rest_is_looked_at_all_the_same() {
    let bytes = sound().to_bytes();
    let cut = examined(&bytes[..bytes.len() - 1]);
    says(&cut, "tensors", Verdict::Broken, "past the end of the file");
    says(&cut, "tokenizer", Verdict::Ok, "come back");
    says(&cut, "chat template", Verdict::Ok, "in order");
    assert!(!cut.may_be_run());
    let many = examined(&bytes[..bytes.len() / 2]);
    says(&many, "tensors", Verdict::Broken, "more are wrong, too");

    let name = "blk.1.attn_q.weight";
    let overlapping = bent(|f| f.tensor(name).claimed_offset = Some(0));
    says(&overlapping, "tensors", Verdict::Broken, "overlap");
    says(&overlapping, "tensors", Verdict::Broken, name);
    let shifted = bent(|f| f.tensor(name).claimed_offset = Some(33));
    says(&shifted, "tensors", Verdict::Broken, "off its alignment");

    let unknown = bent(|f| f.tensor(name).ggml_type = 23);
    says(&unknown, "quantization", Verdict::Broken, name);
    says(&unknown, "quantization", Verdict::Broken, "IQ4_XS");
    says(&unknown, "tensors", Verdict::Ok, "");
    let unknown = bent(|f| f.tensor(name).ggml_type = 99);
    says(&unknown, "quantization", Verdict::Broken, "unknown type 99");
    assert!(!unknown.may_be_run());

    let longer = [bytes.clone(), vec![0; 1 << 20]].concat();
    says(
        &examined(&longer),
        "tensors",
        Verdict::Warning,
        "belong to nothing",
    );
    says(
        &examined(b"just some words in a file, no model"),
        "header",
        Verdict::Broken,
        "not a GGUF",
    );
    let old = bent(|f| f.version = 1);
    says(&old, "header", Verdict::Broken, "version 1");
    assert_eq!(old.checks.len(), 1, "nothing else can be said");
    says(
        &bent(|f| f.tensors.clear()),
        "tensors",
        Verdict::Broken,
        "holds no tensors",
    );
}

#[test]
fn what_cannot_be_run_is_told_from_what_is_damaged() {
    let mystery = bent(|f| {
        f.set("general.architecture", Meta::Text("mystery".into()));
    });
    says(&mystery, "architecture", Verdict::Broken, "mystery");
    says(&mystery, "tokenizer", Verdict::Ok, "come back");
    let torn = bent(|f| {
        f.remove("llama.block_count");
    });
    says(&torn, "architecture", Verdict::Broken, "block_count");
    let short = bent(|f| {
        f.set("llama.context_length", Meta::U32(256));
    });
    says(&short, "context", Verdict::Warning, "256 tokens");
    let turned = bent(|f| {
        f.set("llama.rope.freq_base", Meta::F32(2.0));
    });
    says(&turned, "context", Verdict::Warning, "base 2");
    let missing = {
        let mut file = sound();
        file.tensors.retain(|t| t.name != "blk.1.ffn_down.weight");
        run(&file)
    };
    assert_eq!(missing.verdict, Verdict::Broken);
    assert!(
        missing.found.contains("blk.1.ffn_down.weight"),
        "{missing:?}"
    );
}

#[test]
fn tokenizers_that_change_or_end_nothing_are_found() {
    let lossy = bent(|f| {
        // The two bytes of “é” and its relatives begin with this one.
        let Some((_, Meta::Texts(tokens))) = f
            .metadata
            .iter_mut()
            .find(|(k, _)| k == "tokenizer.ggml.tokens")
        else {
            panic!("no tokens");
        };
        *tokens.iter_mut().find(|t| *t == "Ã").unwrap() = "mislaid".into();
    });
    says(&lossy, "tokenizer", Verdict::Warning, "accents");
    let unknown = bent(|f| {
        f.set("tokenizer.ggml.pre", Meta::Text("mystery".into()));
    });
    says(&unknown, "tokenizer", Verdict::Broken, "mystery");
    // “<|im_end|>” is known by its name, so taking the number away is no more than odd.
    let unnamed = bent(|f| {
        f.remove("tokenizer.ggml.eos_token_id");
    });
    says(&unnamed, "end of text", Verdict::Warning, "<|im_end|>");
    let endless = bent(|f| {
        f.remove("tokenizer.ggml.eos_token_id");
        rename(f, &["<|im_end|>", "<|endoftext|>"]);
    });
    says(
        &endless,
        "end of text",
        Verdict::Broken,
        "never know when to stop",
    );
    assert!(!endless.may_be_run());
}

/// Gives tokens names that mean nothing.
fn rename(f: &mut GgufFile, names: &[&str]) {
    let Some((_, Meta::Texts(tokens))) = f
        .metadata
        .iter_mut()
        .find(|(k, _)| k == "tokenizer.ggml.tokens")
    else {
        panic!("no tokens");
    };
    for name in names {
        *tokens.iter_mut().find(|t| t == name).unwrap() = format!("<|reserved{}|>", name.len());
    }
}

#[test]
fn the_beginning_of_a_text_is_counted() {
    let template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let double = bent(|f| {
        f.set("tokenizer.ggml.add_bos_token", Meta::Bool(true))
            .set("tokenizer.chat_template", Meta::Text(template.into()));
    });
    says(
        &double,
        "beginning of text",
        Verdict::Warning,
        "stands there once",
    );
    let twice = bent(|f| {
        let twice = format!("{{{{ bos_token }}}}{template}");
        f.set("tokenizer.chat_template", Meta::Text(twice));
    });
    says(&twice, "beginning of text", Verdict::Warning, "2 times");
    let nameless = bent(|f| {
        f.set("tokenizer.ggml.add_bos_token", Meta::Bool(true))
            .remove("tokenizer.ggml.bos_token_id");
    });
    says(
        &nameless,
        "beginning of text",
        Verdict::Warning,
        "does not say which",
    );
}

#[test]
fn templates_are_tried_on_a_conversation() {
    let none = bent(|f| {
        f.remove("tokenizer.chat_template");
    });
    says(
        &none,
        "chat template",
        Verdict::Warning,
        "refused with a message",
    );
    assert!(none.may_be_run(), "it still reads and scores");
    let open = "{% if add_generation_prompt %}[assistant]{% endif %}";
    let turns = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|im_end|>{% endfor %}";
    for (template, verdict, words) in [
        ("{% for %}".to_owned(), Verdict::Broken, "does not run"),
        (
            format!(
                "{{% for x in range(99999) %}}{{% for y in range(99999) %}}{{% endfor %}}{{% endfor %}}{turns}"
            ),
            Verdict::Broken,
            "does not run",
        ),
        (
            format!(
                "{{% if messages[0].role == 'system' %}}{{{{ raise_exception('no system') }}}}{{% endif %}}{turns}{open}"
            ),
            Verdict::Broken,
            "refuses standing instructions",
        ),
        (
            format!("{turns}{{{{ messages[1].content }}}}{open}"),
            Verdict::Broken,
            "user 2 times",
        ),
        (
            format!(
                "{{% for m in messages[1:] %}}[{{{{ m.role }}}}]{{{{ m.content }}}}<|im_end|>{{% endfor %}}{open}"
            ),
            Verdict::Broken,
            "loses a message of the system",
        ),
        (
            format!("{{% for m in messages %}}<|im_end|>{{{{ m.content }}}}{{% endfor %}}{open}"),
            Verdict::Broken,
            "alike",
        ),
        (
            format!(
                "{{% for m in messages|reverse %}}[{{{{ m.role }}}}]{{{{ m.content }}}}<|im_end|>{{% endfor %}}{open}"
            ),
            Verdict::Broken,
            "order",
        ),
        (turns.to_owned(), Verdict::Warning, "opens no turn"),
        (
            format!(
                "{{% for m in messages %}}[{{{{ m.role }}}}]{{{{ m.content }}}}[over]{{% endfor %}}{open}"
            ),
            Verdict::Warning,
            "[over]",
        ),
        (format!("{turns}{open}"), Verdict::Ok, "[assistant]"),
    ] {
        let examination = bent(|f| {
            f.set("tokenizer.chat_template", Meta::Text(template));
        });
        says(&examination, "chat template", verdict, words);
        assert!(
            examination.may_be_run(),
            "the template is no reason not to compute"
        );
    }
}

#[test]
fn weights_that_are_no_numbers_are_found_by_computing() {
    let mut file = sound();
    let norm = file.tensor("blk.0.attn_norm.weight");
    norm.data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let ran = run(&file);
    assert_eq!(ran.verdict, Verdict::Broken, "{ran:?}");
    assert!(!ran.means.is_empty() && !ran.next.is_empty(), "{ran:?}");
    let mut file = sound();
    let norm = file.tensor("output_norm.weight");
    for value in norm.data.chunks_exact_mut(4) {
        value.copy_from_slice(&100.0_f32.to_le_bytes());
    }
    let ran = run(&file);
    assert_eq!(ran.verdict, Verdict::Warning, "{ran:?}");
}

#[test]
fn hostile_files_are_examined_without_harm() {
    for (what, bytes) in hostile_ggufs() {
        if bytes.is_empty() {
            continue;
        }
        let examination = examined(&bytes);
        let loads = examination.may_be_run();
        // What only a load finds: tensors that are missing, misshapen or unknown.
        let only_by_loading = [
            "tensor",
            "dimensions",
            "no ",
            "norm",
            "block_count",
            "embedding",
        ];
        assert!(
            worst(&examination) == Verdict::Broken
                || (loads && only_by_loading.iter().any(|w| what.contains(w))),
            "{what}: {:?}",
            examination.checks
        );
        for check in &examination.checks {
            assert!(check.found.len() < 500, "{what}: {check:?}");
        }
    }
}
