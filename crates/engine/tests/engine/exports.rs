//! Adapters in the files of other programs: there and back, merged into the model, stacked, and hostile.

use std::{fs, path::Path};

use candle_core::Device;
use idiolect_engine::{
    EXPORT_TOLERANCE, Export, Gguf, LoadedModel, LoraConfig, LoraWeights, Target,
};
use idiolect_llm::{
    AdapterSource, Cancel, DeviceWish, LlmError, ScoreRequest, TextModel, Token,
    testing::{GgufFile, Meta, Storage, TensorSpec, TinyGguf, tiny_gguf},
};

use crate::{
    load,
    lora::{all_linears, trained},
    recorded::recorded_as,
    tiny,
};

fn texts() -> Vec<Vec<Token>> {
    [7, 11]
        .map(|step| (0..40).map(|i| 3 + (i * step + i * i) % 260).collect())
        .to_vec()
}

fn source(path: &Path, scale: f32) -> AdapterSource {
    AdapterSource {
        dir: path.to_owned(),
        scale,
    }
}

fn scores(model: &LoadedModel, adapters: &[AdapterSource]) -> Vec<f32> {
    let request = ScoreRequest {
        continuations: texts(),
        adapters: adapters.to_vec(),
        ..ScoreRequest::default()
    };
    model.score(&[request], &Cancel::new()).unwrap()[0].concat()
}

fn mean_difference(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum();
    sum / a.len() as f64
}

fn saved(model: &LoadedModel, config: &LoraConfig, seed: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    trained(model, config, seed)
        .save(dir.path(), model.config(), "tiny")
        .unwrap();
    dir
}

fn on(targets: &[Target]) -> LoraConfig {
    LoraConfig {
        rank: 4,
        alpha: 6.0,
        targets: targets.to_vec(),
    }
}

fn same_values(a: &LoraWeights, b: &LoraWeights) {
    assert_eq!(a.config(), b.config());
    let (a, b) = (a.vars(), b.vars());
    assert_eq!(a.len(), b.len(), "as many factors");
    for ((name, a), (other, b)) in a.iter().zip(&b) {
        assert_eq!(name, other);
        assert_eq!(
            a.to_vec2::<f32>().unwrap(),
            b.to_vec2::<f32>().unwrap(),
            "{name}"
        );
    }
}

/// Both kinds of adapter files, for a llama (rows of q and k permuted) and a phi3 (joined modules).
#[test]
fn exports_come_back_as_they_were() {
    let llama = tiny(&TinyGguf::default());
    let phi3 = load(&recorded_as("phi3").file.to_bytes(), DeviceWish::Cpu).unwrap();
    let out = tempfile::tempdir().unwrap();
    for (name, model) in [("llama", &llama), ("phi3", &phi3)] {
        for (kind, config) in [
            ("qk", on(&[Target::Query, Target::Key])),
            ("all", all_linears()),
        ] {
            let dir = saved(model, &config, 5);
            let own = LoraWeights::load(dir.path(), model.config(), &Device::Cpu).unwrap();
            let adapters = [source(dir.path(), 1.0)];
            let what = Export {
                adapters: &adapters,
                texts: &texts(),
            };
            let folder = out.path().join(format!("{name}-{kind}"));
            let done = model
                .export_peft(&what, "somebody/tiny", &folder, &Cancel::new())
                .unwrap();
            assert!(done.difference <= EXPORT_TOLERANCE && done.tokens == 78);
            let text = fs::read_to_string(folder.join("adapter_config.json")).unwrap();
            assert!(text.contains("somebody/tiny"), "the model is named");
            assert_eq!(
                text.contains("\"qkv_proj\""),
                name == "phi3",
                "modules of the checkpoint: {text}"
            );
            let back = LoraWeights::load(&folder, model.config(), &Device::Cpu).unwrap();
            let file = out.path().join(format!("{name}-{kind}.gguf"));
            let done = model
                .export_gguf(&what, "A voice", &file, &Cancel::new())
                .unwrap();
            assert!(done.difference <= EXPORT_TOLERANCE && done.storage.is_none());
            let as_gguf = LoraWeights::load_gguf(&file, model.config(), &Device::Cpu).unwrap();
            if name == "llama" {
                same_values(&own, &back);
                same_values(&own, &as_gguf);
            }
            let live = scores(model, &adapters);
            for (way, path) in [("PEFT", &folder), ("GGUF", &file)] {
                let read = scores(model, &[source(path, 1.0)]);
                let d = mean_difference(&live, &read);
                assert!(d < 1e-5, "{name} {kind} as {way} differs by {d}");
            }
            let again = model.export_peft(&what, "x", &folder, &Cancel::new());
            assert!(again.is_err(), "what is there is not overwritten");
        }
    }
    let left: Vec<_> = fs::read_dir(out.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "no temporary names are left: {left:?}");
}

/// What llama.cpp and PEFT look for in the files.
#[test]
fn gguf_adapters_have_the_models_own_names_and_row_order() {
    let model = tiny(&TinyGguf::default());
    let dir = saved(&model, &on(&[Target::Query, Target::Key]), 9);
    let own = LoraWeights::load(dir.path(), model.config(), &Device::Cpu).unwrap();
    let file = dir.path().join("voice.gguf");
    let what = Export {
        adapters: &[source(dir.path(), 1.0)],
        texts: &texts(),
    };
    model
        .export_gguf(&what, "A voice", &file, &Cancel::new())
        .unwrap();
    let gguf = Gguf::open(&file).unwrap();
    for (key, value) in [
        ("general.type", "adapter"),
        ("adapter.type", "lora"),
        ("general.architecture", "llama"),
        ("general.name", "A voice"),
    ] {
        assert_eq!(gguf.text(key).unwrap(), Some(value));
    }
    assert_eq!(gguf.number("adapter.lora.alpha").unwrap(), Some(6.0));
    assert_eq!(gguf.tensors().len(), 2 * 2 * 2, "layers, targets, factors");
    let b = gguf.matrix("blk.1.attn_q.weight.lora_b", 64, 4).unwrap();
    let (_, f) = own
        .factors()
        .find(|(key, _)| *key == (1, Target::Query))
        .unwrap();
    let rows: Vec<f32> = f.b.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(b.dequantize(), rows, "rows as the model's file has them");
    let a = gguf.matrix("blk.1.attn_q.weight.lora_a", 4, 64).unwrap();
    let rows: Vec<f32> = f.a.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(a.dequantize(), rows);
}

#[test]
fn a_merged_model_is_the_adapter_and_everything_else_is_the_same_bytes() {
    let out = tempfile::tempdir().unwrap();
    let files = [
        ("llama", tiny_gguf(&TinyGguf::default())),
        ("phi3", recorded_as("phi3").file.to_bytes()),
    ];
    for (name, bytes) in files {
        let base = out.path().join(format!("{name}.gguf"));
        fs::write(&base, &bytes).unwrap();
        let model = load(&bytes, DeviceWish::Cpu).unwrap();
        let before = Gguf::open(&base).unwrap();
        for (kind, config, touched) in [
            (
                "qk",
                on(&[Target::Query, Target::Key]),
                vec!["attn_q", "attn_k"],
            ),
            (
                "all",
                all_linears(),
                vec![
                    "attn_q",
                    "attn_k",
                    "attn_v",
                    "attn_output",
                    "ffn_gate",
                    "ffn_up",
                    "ffn_down",
                ],
            ),
        ] {
            let dir = saved(&model, &config, 3);
            let adapters = [source(dir.path(), 0.1)];
            let what = Export {
                adapters: &adapters,
                texts: &texts(),
            };
            let to = out.path().join(format!("{name}-{kind}-merged.gguf"));
            let done = model
                .export_merged(&what, &base, &to, &Cancel::new())
                .unwrap_or_else(|e| panic!("{name} {kind}: {e}"));
            assert!(
                done.difference <= EXPORT_TOLERANCE,
                "{name} {kind}: {done:?}"
            );
            let merged = load(&fs::read(&to).unwrap(), DeviceWish::Cpu).unwrap();
            let (live, there) = (scores(&model, &adapters), scores(&merged, &[]));
            assert!(mean_difference(&live, &there) <= EXPORT_TOLERANCE);
            assert!(
                mean_difference(&live, &scores(&model, &[])) > 2.0 * EXPORT_TOLERANCE,
                "the adapter does something"
            );
            let after = Gguf::open(&to).unwrap();
            let written = fs::read(&to).unwrap();
            // Magic, version, counts and metadata, which the name of some tensor follows.
            let table = bytes
                .windows(17)
                .position(|w| w == b"token_embd.weight")
                .unwrap();
            let metadata = 24..table.min(written.len()) - 8;
            assert_eq!(written[..24], bytes[..24], "as many tensors and metadata");
            assert_eq!(
                written[metadata.clone()],
                bytes[metadata],
                "the same metadata"
            );
            for (name, info) in before.tensors() {
                let new = &after.tensors()[name];
                let whose = |i: &idiolect_engine::TensorInfo, of: &[u8]| {
                    of[i.offset..i.offset + i.bytes].to_vec()
                };
                let changes = touched
                    .iter()
                    .any(|t| name.contains(&format!(".{t}.weight")))
                    || (touched.contains(&"attn_q") && name.contains("attn_qkv"));
                if changes {
                    assert_eq!(Some(new.ty.name()), done.storage, "{name}");
                } else {
                    assert_eq!(new.ty, info.ty, "{name} is stored as before");
                    assert_eq!(whose(new, &written), whose(info, &bytes), "{name}");
                }
            }
        }
        let what = Export {
            adapters: &[source(out.path(), 1.0)],
            texts: &texts(),
        };
        let onto = model.export_merged(&what, &base, &base, &Cancel::new());
        assert!(onto.is_err(), "a model is not written over itself");
        assert_eq!(fs::read(&base).unwrap(), bytes);
    }
}

#[test]
fn an_export_that_differs_leaves_nothing() {
    let out = tempfile::tempdir().unwrap();
    let bytes = tiny_gguf(&TinyGguf {
        storage: Storage::F32,
        ..TinyGguf::default()
    });
    let base = out.path().join("base.gguf");
    fs::write(&base, &bytes).unwrap();
    let model = load(&bytes, DeviceWish::Cpu).unwrap();
    // A factor beyond every float: neither side has numbers to compare.
    let strong = LoraConfig {
        alpha: 1e300,
        ..on(&[Target::Query])
    };
    let dir = saved(&model, &strong, 3);
    let what = Export {
        adapters: &[source(dir.path(), 1.0)],
        texts: &texts(),
    };
    let to = out.path().join("merged.gguf");
    let error = model
        .export_merged(&what, &base, &to, &Cancel::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("nats as Q8_0") && error.contains("F16"),
        "{error}"
    );
    let left: Vec<_> = fs::read_dir(out.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the model: {left:?}");
    let nothing = Export {
        adapters: what.adapters,
        texts: &[vec![1]],
    };
    assert!(
        model
            .export_merged(&nothing, &base, &to, &Cancel::new())
            .is_err()
    );
}

#[test]
fn a_stack_as_one_adapter_does_what_the_stack_does() {
    let model = tiny(&TinyGguf::default());
    let first = saved(&model, &all_linears(), 1);
    let second = saved(
        &model,
        &LoraConfig {
            rank: 3,
            alpha: 9.0,
            targets: vec![Target::Value, Target::Down],
        },
        2,
    );
    let stack = [source(first.path(), 0.6), source(second.path(), 0.4)];
    let baked = tempfile::tempdir().unwrap();
    let lora = model.stacked(&stack).unwrap();
    assert_eq!(lora.config().rank, 7, "ranks are joined");
    lora.save(baked.path(), model.config(), "tiny").unwrap();
    let (live, one) = (
        scores(&model, &stack),
        scores(&model, &[source(baked.path(), 1.0)]),
    );
    let d = mean_difference(&live, &one);
    assert!(d < 1e-4, "they differ by {d}");
    assert!(mean_difference(&live, &scores(&model, &stack[..1])) > 1e-3);
    let same = model.stacked(&[source(second.path(), 1.0)]).unwrap();
    let own = LoraWeights::load(second.path(), model.config(), &Device::Cpu).unwrap();
    same_values(&same, &own);
    assert!(model.stacked(&[source(first.path(), 0.0)]).is_err());
}

#[test]
fn peft_folders_with_ranks_of_their_own_and_stabilised_ranks_are_read() {
    let model = tiny(&TinyGguf::default());
    let dir = saved(&model, &on(&[Target::Value, Target::Down]), 4);
    let plain = LoraWeights::load(dir.path(), model.config(), &Device::Cpu).unwrap();
    let path = dir.path().join("adapter_config.json");
    let sound = fs::read_to_string(&path).unwrap();
    let load = |text: &str| {
        fs::write(&path, text).unwrap();
        LoraWeights::load(dir.path(), model.config(), &Device::Cpu)
    };
    let stabilised = load(&sound.replace("\"use_rslora\": false", "\"use_rslora\": true")).unwrap();
    assert_eq!(stabilised.config().alpha, 2.0 * plain.config().alpha, "√4");
    let pattern = sound.replace(
        "\"alpha_pattern\": {}",
        "\"alpha_pattern\": {\"v_proj\": 3}",
    );
    let halved = load(&pattern).unwrap();
    let product = |lora: &LoraWeights, target: Target| -> Vec<f32> {
        let (_, f) = lora.factors().find(|(key, _)| *key == (0, target)).unwrap();
        let product = f.b.matmul(&f.a).unwrap() * f64::from(lora.config().scale());
        product.unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let close = |a: &[f32], b: &[f32], factor: f32| {
        a.iter().zip(b).all(|(a, b)| (a - factor * b).abs() < 1e-6)
    };
    assert!(close(
        &product(&halved, Target::Value),
        &product(&plain, Target::Value),
        0.5
    ));
    assert!(close(
        &product(&halved, Target::Down),
        &product(&plain, Target::Down),
        1.0
    ));
    for (from, to, why) in [
        (
            "\"rank_pattern\": {}",
            "\"rank_pattern\": {\".*v_proj\": 2}",
            "pattern",
        ),
        (
            "\"rank_pattern\": {}",
            "\"rank_pattern\": {\"v_proj\": 2}",
            "v_proj",
        ),
        (
            "\"r\": 4",
            "\"r\": 4, \"init_lora_weights\": \"pissa\"",
            "taking weights out",
        ),
        (
            "\"r\": 4",
            "\"r\": 4, \"alora_invocation_tokens\": [1]",
            "certain tokens",
        ),
    ] {
        let error = load(&sound.replace(from, to)).unwrap_err();
        assert!(matches!(error, LlmError::Adapter(_)), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
    fs::write(&path, &sound).unwrap();
    let weights = dir.path().join("adapter_model.safetensors");
    let whole = candle_core::safetensors::load(&weights, &Device::Cpu).unwrap();
    let b = "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight";
    let mut bent = whole.clone();
    bent.remove(b);
    candle_core::safetensors::save(&bent, &weights).unwrap();
    let error = load(&sound).unwrap_err().to_string();
    assert!(error.contains("not the other"), "{error}");
    let mut bent = whole;
    bent.insert(b.into(), (&bent[b] * f64::NAN).unwrap());
    candle_core::safetensors::save(&bent, &weights).unwrap();
    let error = load(&sound).unwrap_err().to_string();
    assert!(error.contains("no numbers"), "{error}");
}

/// A GGUF adapter of one pair, to be bent.
fn adapter_file() -> GgufFile {
    let tensor = |name: &str, dimensions: [u64; 2]| TensorSpec {
        name: name.into(),
        dimensions: dimensions.to_vec(),
        ggml_type: 0,
        data: (0..dimensions[0] * dimensions[1])
            .flat_map(|i| (i as f32 / 500.0).to_le_bytes())
            .collect(),
        claimed_offset: None,
    };
    let text = |s: &str| Meta::Text(s.into());
    GgufFile {
        magic: *b"GGUF",
        version: 3,
        claimed_tensors: None,
        claimed_metadata: None,
        metadata: vec![
            ("general.architecture".into(), text("llama")),
            ("general.type".into(), text("adapter")),
            ("adapter.type".into(), text("lora")),
            ("adapter.lora.alpha".into(), Meta::F32(8.0)),
        ],
        tensors: vec![
            tensor("blk.0.attn_q.weight.lora_a", [64, 2]),
            tensor("blk.0.attn_q.weight.lora_b", [2, 64]),
        ],
    }
}

#[test]
fn hostile_gguf_adapters_are_refused_with_the_reason() {
    let model = tiny(&TinyGguf::default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapter.gguf");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        LoraWeights::load_gguf(&path, model.config(), &Device::Cpu)
    };
    let sound = read(&adapter_file().to_bytes()).unwrap();
    assert_eq!((sound.config().rank, sound.config().alpha), (2, 8.0));
    let mut unscaled = adapter_file();
    unscaled.remove("adapter.lora.alpha");
    assert_eq!(
        read(&unscaled.to_bytes()).unwrap().config().scale(),
        1.0,
        "llama.cpp's meaning of no alpha"
    );
    type Bend = fn(&mut GgufFile);
    let bends: [(&str, Bend); 10] = [
        ("not an adapter", |f| {
            f.remove("general.type");
        }),
        ("not a LoRA", |f| {
            f.set("adapter.type", Meta::Text("control".into()));
        }),
        ("architecture", |f| {
            f.set("general.architecture", Meta::Text("qwen2\n".into()));
        }),
        ("finite", |f| {
            f.set("adapter.lora.alpha", Meta::F32(f32::NAN));
        }),
        ("certain tokens", |f| {
            f.set("adapter.alora.invocation_tokens", Meta::I32s(vec![1]));
        }),
        ("no linear", |f| {
            f.tensor("blk.0.attn_q.weight.lora_a").name = "blk.7.attn_q.weight.lora_a".into();
            f.tensors.truncate(1);
        }),
        ("not the other", |f| f.tensors.truncate(1)),
        ("this model needs", |f| {
            f.tensor("blk.0.attn_q.weight.lora_a").dimensions = vec![32, 2];
        }),
        ("ranks", |f| {
            f.tensor("blk.0.attn_q.weight.lora_b").dimensions = vec![1, 64];
        }),
        ("no numbers", |f| {
            f.tensor("blk.0.attn_q.weight.lora_b").data[..4]
                .copy_from_slice(&f32::INFINITY.to_le_bytes());
        }),
    ];
    for (why, bend) in bends {
        let mut file = adapter_file();
        bend(&mut file);
        let error = read(&file.to_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    let whole = adapter_file().to_bytes();
    for cut in [0, 3, 24, 100, whole.len() / 2] {
        assert!(read(&whole[..cut]).is_err(), "cut to {cut}");
    }
}
