//! Adapters: gradients, files, and their effect at inference.

use candle_core::{Device, Tensor, Var};
use idiolect_engine::{
    Adapter, Decoder, LoadedModel, LoraConfig, LoraWeights, Precision, Sequence, Target,
};
use idiolect_llm::{
    AdapterSource, Cancel, DeviceWish, LlmError, ScoreRequest, TextModel, Token,
    testing::{Storage, TinyGguf},
};

use crate::{
    load,
    recorded::{Recorded, recorded, recorded_as},
    tiny,
};

const TEXT: [Token; 24] = [
    5, 90, 33, 200, 17, 60, 61, 9, 14, 140, 180, 22, 23, 24, 99, 101, 7, 45, 222, 12, 80, 3, 44, 70,
];

pub(crate) fn all_linears() -> LoraConfig {
    LoraConfig {
        rank: 4,
        alpha: 8.0,
        targets: Target::ALL.to_vec(),
    }
}

/// Weights whose B is not zero, as after some training.
pub(crate) fn trained(model: &LoadedModel, config: &LoraConfig, seed: u64) -> LoraWeights {
    weights_for(model.decoder(), config, seed)
}

pub(crate) fn weights_for(decoder: &Decoder, config: &LoraConfig, seed: u64) -> LoraWeights {
    let lora = LoraWeights::new(config, decoder.config(), &Device::Cpu, seed).unwrap();
    for (i, (_, factors)) in lora.factors().enumerate() {
        let b = &factors.b;
        let n = b.elem_count();
        let values: Vec<f32> = (0..n)
            .map(|j| ((i * 31 + j * 17) % 23) as f32 / 230.0 - 0.05)
            .collect();
        b.set(&Tensor::from_vec(values, b.shape(), &Device::Cpu).unwrap())
            .unwrap();
    }
    lora
}

/// Loss of predicting every next token of two texts, some positions left out.
fn loss(model: &LoadedModel, lora: &LoraWeights) -> Tensor {
    let targets: Vec<Option<Token>> = (0..TEXT.len())
        .map(|i| {
            TEXT.get(i + 1)
                .copied()
                .filter(|_| i != 5 && i != 23 && i % 5 != 4)
        })
        .collect();
    let hidden = model
        .decoder()
        .forward_train(&TEXT, &[6, 18], Some(lora))
        .unwrap();
    model
        .decoder()
        .token_nll(&hidden, &targets)
        .unwrap()
        .sum_all()
        .unwrap()
}

#[test]
fn every_trainable_tensor_gets_the_gradient_that_finite_differences_say() {
    gradients_are_the_slopes("quantized llama", &tiny(&TinyGguf::default()));
}

#[test]
fn gradients_are_the_slopes_in_every_architecture() {
    for Recorded { name, file, .. } in recorded() {
        let model = load(&file.to_bytes(), DeviceWish::Cpu).unwrap();
        gradients_are_the_slopes(&name, &model);
    }
}

fn gradients_are_the_slopes(of: &str, model: &LoadedModel) {
    let lora = trained(model, &all_linears(), 3);
    let gradients = loss(model, &lora).backward().unwrap();
    let vars = lora.vars();
    let all = model.config().layers * 7 * 2;
    assert_eq!(vars.len(), all, "layers × linears × factors");
    let mut checked = 0;
    for (name, var) in vars {
        let gradient = gradients
            .get(&var)
            .unwrap_or_else(|| panic!("{of}, {name} has no gradient"));
        let norm = gradient
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .sqrt()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(norm > 1e-4, "{of}, {name}: its gradient is {norm}");
        // Along the gradient itself the slope is its norm; a wrong gradient has another slope.
        let expected = f64::from(norm);
        let step = 0.02 / expected;
        let along = |sign: f64| {
            let before = var.as_tensor().copy().unwrap();
            let moved = (before.clone() + (gradient * (sign * step / expected)).unwrap()).unwrap();
            var.set(&moved).unwrap();
            let value = f64::from(loss(model, &lora).to_scalar::<f32>().unwrap());
            var.set(&before).unwrap();
            value
        };
        let slope = (along(1.0) - along(-1.0)) / (2.0 * step);
        let error = (slope - expected).abs() / expected;
        // The losses are about 100 in f32: their difference of .04 is known to about one part in a hundred.
        assert!(
            error < 0.03,
            "{of}, {name}: slope {slope}, gradient {expected}"
        );
        checked += 1;
    }
    assert_eq!(checked, all, "all of them");
}

#[test]
fn the_loss_is_the_scores_sum() {
    let model = tiny(&TinyGguf::default());
    let hidden = model
        .decoder()
        .forward_train(&TEXT, &[TEXT.len()], None)
        .unwrap();
    let targets: Vec<_> = (0..TEXT.len()).map(|i| TEXT.get(i + 1).copied()).collect();
    let nll: Vec<f32> = model
        .decoder()
        .token_nll(&hidden, &targets)
        .unwrap()
        .to_vec1()
        .unwrap();
    assert_eq!(nll[TEXT.len() - 1], 0.0, "no target, no loss");
    let request = ScoreRequest {
        prefix: vec![],
        continuations: vec![TEXT.to_vec()],
        ..ScoreRequest::default()
    };
    let scores = model.score(&[request], &Cancel::new()).unwrap();
    for (i, (nll, score)) in nll.iter().zip(&scores[0][0]).enumerate() {
        assert!((nll + score).abs() < 1e-4, "token {i}: {nll} and {score}");
    }
    assert!(
        model.decoder().token_nll(&hidden, &[Some(0)]).is_err(),
        "one target a row"
    );
    let beyond = vec![Some(99_999); TEXT.len()];
    assert!(
        model.decoder().token_nll(&hidden, &beyond).is_err(),
        "targets lie in the vocabulary"
    );
}

fn hidden(model: &LoadedModel, adapters: &[(Adapter, f32)]) -> Vec<f32> {
    let mut cache = model.decoder().cache(1).unwrap();
    let sequence = Sequence {
        adapters,
        ..Sequence::new(&mut cache, &TEXT)
    };
    let out = model
        .decoder()
        .forward(&mut [sequence], Precision::F32, None)
        .unwrap();
    out.flatten_all().unwrap().to_vec1().unwrap()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn an_adapter_is_the_weight_with_its_product_added() {
    for targets in [
        vec![Target::Query, Target::Key],
        vec![Target::Value, Target::Output],
        Target::ALL.to_vec(),
    ] {
        let config = TinyGguf {
            storage: Storage::F32,
            ..TinyGguf::default()
        };
        let model = tiny(&config);
        let lora = trained(
            &model,
            &LoraConfig {
                rank: 4,
                alpha: 6.0,
                targets,
            },
            5,
        );
        let mut file = config.file();
        for ((layer, target), f) in lora.factors() {
            let delta = (f.b.matmul(&f.a).unwrap() * (6.0 / 4.0)).unwrap();
            let delta: Vec<f32> = delta.flatten_all().unwrap().to_vec1().unwrap();
            let part = match target {
                Target::Query => "attn_q",
                Target::Key => "attn_k",
                Target::Value => "attn_v",
                Target::Output => "attn_output",
                Target::Gate => "ffn_gate",
                Target::Up => "ffn_up",
                Target::Down => "ffn_down",
            };
            let tensor = file.tensor(&format!("blk.{layer}.{part}.weight"));
            for (bytes, d) in tensor.data.chunks_exact_mut(4).zip(delta) {
                let w = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                bytes.copy_from_slice(&(w + d).to_le_bytes());
            }
        }
        let merged = load(&file.to_bytes(), idiolect_llm::DeviceWish::Cpu).unwrap();
        let adapter = Adapter::new(&lora, &Device::Cpu).unwrap();
        let (live, baked) = (
            hidden(&model, &[(adapter.clone(), 1.0)]),
            hidden(&merged, &[]),
        );
        assert!(
            difference(&live, &baked) < 1e-3,
            "they differ by {}",
            difference(&live, &baked)
        );
        assert!(
            difference(&live, &hidden(&model, &[])) > 0.01,
            "and from the base model"
        );
        let train = model
            .decoder()
            .forward_train(&TEXT, &[TEXT.len()], Some(&lora))
            .unwrap();
        let train: Vec<f32> = train.flatten_all().unwrap().to_vec1().unwrap();
        assert!(
            difference(&live, &train) < 1e-3,
            "training computes the same: {}",
            difference(&live, &train)
        );
    }
}

#[test]
fn adapters_turn_on_off_and_up_by_request() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&TinyGguf::default());
    trained(&model, &all_linears(), 7)
        .save(dir.path(), model.config(), "tiny")
        .unwrap();
    let request = |scale: Option<f32>| ScoreRequest {
        prefix: TEXT[..8].to_vec(),
        continuations: vec![TEXT[8..].to_vec(), TEXT[3..9].to_vec()],
        adapters: scale
            .map(|scale| AdapterSource {
                dir: dir.path().to_owned(),
                scale,
            })
            .into_iter()
            .collect(),
        ..ScoreRequest::default()
    };
    let scales = [None, Some(0.0), Some(1.0), None, Some(0.5), Some(1.0)];
    let requests: Vec<_> = scales.iter().map(|&s| request(s)).collect();
    let scores = model.score(&requests, &Cancel::new()).unwrap();
    assert_eq!(
        scores[0], scores[1],
        "scale 0 is the base model, to the bit"
    );
    assert_eq!(scores[0], scores[3], "whatever else is in the call");
    assert_eq!(scores[2], scores[5], "and so with the adapter on");
    let gap = |i: usize| difference(&scores[0][0], &scores[i][0]);
    assert!(
        gap(2) > gap(4) && gap(4) > 1e-3,
        "half the strength changes less: {} {}",
        gap(4),
        gap(2)
    );
    assert_eq!(
        model.score(&[request(Some(1.0))], &Cancel::new()).unwrap()[0],
        scores[2],
        "alone, the same bits"
    );
}

#[test]
fn weights_in_memory_write_what_their_folder_would_until_they_are_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&TinyGguf::default());
    let weights = trained(&model, &all_linears(), 7);
    weights.save(dir.path(), model.config(), "tiny").unwrap();
    let scored = |source: AdapterSource| {
        let request = ScoreRequest {
            prefix: TEXT[..8].to_vec(),
            continuations: vec![TEXT[8..].to_vec()],
            adapters: vec![source],
            ..ScoreRequest::default()
        };
        model.score(&[request], &Cancel::new())
    };
    let stored = AdapterSource {
        dir: dir.path().to_owned(),
        scale: 1.0,
    };
    let lent = model.lend(&weights).unwrap();
    let source = lent.source();
    assert_eq!(scored(source.clone()).unwrap(), scored(stored).unwrap());
    let other = model.lend(&trained(&model, &all_linears(), 1)).unwrap();
    assert_ne!(other.source().dir, source.dir, "two at once");
    drop(lent);
    assert!(scored(source).is_err(), "given back");
    assert!(scored(other.source()).is_ok());
}

#[test]
fn files_have_pefts_layout_and_row_order_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&TinyGguf::default());
    let lora = trained(&model, &all_linears(), 9);
    lora.save(dir.path(), model.config(), "tiny").unwrap();
    let saved =
        candle_core::safetensors::load(dir.path().join("adapter_model.safetensors"), &Device::Cpu)
            .unwrap();
    let peft = |module: &str| {
        saved[&format!("base_model.model.model.layers.1.{module}.weight")]
            .to_vec2::<f32>()
            .unwrap()
    };
    let ours = |target: Target| {
        let (_, f) = lora.factors().find(|(key, _)| *key == (1, target)).unwrap();
        f.b.to_vec2::<f32>().unwrap()
    };
    // Head 2 of q (16 components): row 2i + j of the file is row 8j + i of the checkpoint.
    let (theirs, mine) = (peft("self_attn.q_proj.lora_B"), ours(Target::Query));
    for i in 0..8 {
        for j in 0..2 {
            assert_eq!(
                theirs[32 + 8 * j + i],
                mine[32 + 2 * i + j],
                "pair {i}, half {j}"
            );
        }
    }
    assert_ne!(theirs, mine, "the order does differ");
    assert_eq!(
        peft("self_attn.v_proj.lora_B"),
        ours(Target::Value),
        "v is not permuted"
    );
    assert_eq!(
        peft("mlp.down_proj.lora_B"),
        ours(Target::Down),
        "nor is the feed-forward part"
    );
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("adapter_config.json")).unwrap())
            .unwrap();
    assert_eq!(
        (&config["peft_type"], &config["r"]),
        (&"LORA".into(), &4.into())
    );
    let back = LoraWeights::load(dir.path(), model.config(), &Device::Cpu).unwrap();
    for ((name, before), (other, after)) in lora.vars().iter().zip(back.vars()) {
        assert_eq!(*name, other);
        assert_eq!(
            before.to_vec2::<f32>().unwrap(),
            after.to_vec2::<f32>().unwrap(),
            "{name}"
        );
    }
}

#[test]
fn adapters_that_do_not_fit_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let model = tiny(&TinyGguf::default());
    let other = tiny(&TinyGguf {
        hidden: 128,
        ..TinyGguf::default()
    });
    trained(&other, &all_linears(), 1)
        .save(dir.path(), other.config(), "other")
        .unwrap();
    let refused = |what: &str| {
        let error = LoraWeights::load(dir.path(), model.config(), &Device::Cpu).unwrap_err();
        assert!(matches!(error, LlmError::Adapter(_)), "{what}: {error:?}");
        error.to_string()
    };
    assert!(refused("another size").contains("this model needs"));
    let deep = tiny(&TinyGguf {
        layers: 3,
        ..TinyGguf::default()
    });
    trained(&deep, &all_linears(), 1)
        .save(dir.path(), deep.config(), "deep")
        .unwrap();
    assert!(refused("more layers").contains("layers.2"));
    trained(&model, &all_linears(), 1)
        .save(dir.path(), model.config(), "tiny")
        .unwrap();
    let path = dir.path().join("adapter_config.json");
    let sound = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"use_dora\": false", "\"use_dora\": true"),
        ("\"r\": 4", "\"r\": 0"),
        ("\"LORA\"", "\"IA3\""),
        ("{", ""),
    ] {
        std::fs::write(&path, sound.replacen(from, to, 1)).unwrap();
        refused(to);
    }
    std::fs::write(&path, sound).unwrap();
    let weights = dir.path().join("adapter_model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    for cut in [0, 7, 8, 100, bytes.len() - 1] {
        std::fs::write(&weights, &bytes[..cut]).unwrap();
        refused(&format!("cut to {cut}"));
    }
    std::fs::remove_file(&weights).unwrap();
    let source = AdapterSource {
        dir: dir.path().to_owned(),
        scale: 1.0,
    };
    assert!(model.adapters(&[source]).is_err(), "no weights file");
}

#[test]
fn fresh_weights_leave_the_model_as_it_is() {
    let model = tiny(&TinyGguf::default());
    let lora = LoraWeights::new(&all_linears(), model.config(), &Device::Cpu, 1).unwrap();
    let adapter = Adapter::new(&lora, &Device::Cpu).unwrap();
    assert_eq!(
        hidden(&model, &[(adapter.clone(), 1.0)]),
        hidden(&model, &[]),
        "B is zero"
    );
    let again = LoraWeights::new(&all_linears(), model.config(), &Device::Cpu, 1).unwrap();
    let values = |v: &Var| v.to_vec2::<f32>().unwrap();
    for ((name, a), (_, b)) in lora.vars().iter().zip(again.vars()) {
        assert_eq!(values(a), values(&b), "{name}: the seed decides");
    }
    let parameters: usize = lora.vars().iter().map(|(_, v)| v.elem_count()).sum();
    assert_eq!(
        parameters,
        all_linears().parameters(model.config()),
        "as announced"
    );
}

/// An adapter of phi3 as PEFT writes it: one pair for q, k and v, one for gate and up.
#[test]
fn pairs_of_fused_modules_are_taken_apart() {
    let file = recorded_as("phi3").file;
    let model = load(&file.to_bytes(), DeviceWish::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let write = |qkv_rows: usize| {
        let values = |n: usize| {
            (0..n)
                .map(|i| (i % 97) as f32 / 97.0 - 0.5)
                .collect::<Vec<_>>()
        };
        let tensor = |rows: usize, cols: usize| {
            Tensor::from_vec(values(rows * cols), (rows, cols), &Device::Cpu).unwrap()
        };
        let mut tensors = std::collections::HashMap::new();
        for (module, rows) in [("self_attn.qkv_proj", qkv_rows), ("mlp.gate_up_proj", 192)] {
            let name = format!("base_model.model.model.layers.1.{module}.lora");
            tensors.insert(format!("{name}_A.weight"), tensor(4, 64));
            tensors.insert(format!("{name}_B.weight"), tensor(rows, 4));
        }
        candle_core::safetensors::save(&tensors, dir.path().join("adapter_model.safetensors"))
            .unwrap();
        let config = r#"{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["qkv_proj", "gate_up_proj"]}"#;
        std::fs::write(dir.path().join("adapter_config.json"), config).unwrap();
        (
            tensors,
            LoraWeights::load(dir.path(), model.config(), &Device::Cpu),
        )
    };
    let (tensors, lora) = write(128);
    let lora = lora.unwrap();
    let rows = |t: &Tensor| t.to_vec2::<f32>().unwrap();
    for (module, parts) in [
        (
            "self_attn.qkv_proj",
            vec![Target::Query, Target::Key, Target::Value],
        ),
        ("mlp.gate_up_proj", vec![Target::Gate, Target::Up]),
    ] {
        let name = format!("base_model.model.model.layers.1.{module}.lora");
        let mut joined = Vec::new();
        for part in parts {
            let (_, f) = lora.factors().find(|(key, _)| *key == (1, part)).unwrap();
            assert_eq!(
                rows(&f.a),
                rows(&tensors[&format!("{name}_A.weight")]),
                "{part:?} has A"
            );
            joined.extend(rows(&f.b));
        }
        assert_eq!(
            joined,
            rows(&tensors[&format!("{name}_B.weight")]),
            "B in parts"
        );
    }
    for wrong in [96, 100, 160] {
        let error = write(wrong).1.unwrap_err().to_string();
        assert!(error.contains("qkv_proj"), "{wrong} rows: {error}");
    }
}
