//! The decoder: packing, sharing and forking never change a row; training and inference are one computation.

use candle_core::{Device, Tensor};
use idiolect_engine::{Branch, KvCache, LoadedModel, Precision, Sequence, Wanted};
use idiolect_llm::{
    Cancel, LlmError, TextModel, Token,
    testing::{Storage, TinyGguf, tiny_gguf},
};

use crate::{devices, load, tiny};

/// Hidden states of `tokens` alone, in one go.
fn alone(model: &LoadedModel, tokens: &[Token], precision: Precision) -> Vec<Vec<f32>> {
    let mut cache = model.decoder().cache(1).unwrap();
    run(model, &mut [Sequence::new(&mut cache, tokens)], precision)
}

fn run(model: &LoadedModel, sequences: &mut [Sequence<'_>], precision: Precision) -> Vec<Vec<f32>> {
    model
        .decoder()
        .forward(sequences, precision, None)
        .unwrap()
        .to_vec2()
        .unwrap()
}

fn some_tokens(n: usize, seed: u32) -> Vec<Token> {
    (0..n as u32)
        .map(|i| (i * 37 + seed * 101 + i * i * 7) % 266)
        .collect()
}

#[test]
fn rows_do_not_depend_on_what_else_is_in_the_batch() {
    let model = tiny(&TinyGguf::default());
    for precision in [Precision::Int8, Precision::F32] {
        let texts: Vec<Vec<Token>> = [1, 7, 30, 2, 13]
            .iter()
            .map(|&n| some_tokens(n, n as u32))
            .collect();
        let mut caches: Vec<_> = texts
            .iter()
            .map(|_| model.decoder().cache(1).unwrap())
            .collect();
        let mut sequences: Vec<_> = texts
            .iter()
            .zip(&mut caches)
            .map(|(tokens, cache)| Sequence::new(cache, tokens))
            .collect();
        let packed = run(&model, &mut sequences, precision);
        let separate: Vec<_> = texts
            .iter()
            .flat_map(|t| alone(&model, t, precision))
            .collect();
        assert_eq!(packed, separate, "bit for bit at {precision:?}");
    }
}

#[test]
fn forks_that_share_a_long_prompt_write_what_they_would_alone() {
    let model = tiny(&TinyGguf {
        context: 1024,
        ..TinyGguf::default()
    });
    let precision = Precision::Int8;
    // Longer than a page and no whole number of them: the last page is the forks' own as soon as one writes to it.
    let prompt = some_tokens(600, 3);
    let mut first = model.decoder().cache(1).unwrap();
    run(&model, &mut [Sequence::new(&mut first, &prompt)], precision);
    let mut caches = vec![first.fork(600).unwrap(), first.fork(512).unwrap()];
    caches.push(first.fork(300).unwrap());
    caches.push(first);
    let texts: Vec<Vec<Token>> = (10..14).map(|seed| some_tokens(5, seed)).collect();
    let kept: Vec<usize> = caches.iter().map(KvCache::len).collect();
    assert_eq!(kept, [600, 512, 300, 600]);
    let mut written = vec![Vec::new(); 4];
    for step in 0..5 {
        let mut sequences: Vec<_> = caches
            .iter_mut()
            .zip(&texts)
            .map(|(cache, text)| Sequence::new(cache, &text[step..=step]))
            .collect();
        let rows = run(&model, &mut sequences, precision);
        written
            .iter_mut()
            .zip(rows)
            .for_each(|(all, row)| all.push(row));
    }
    for ((written, text), kept) in written.into_iter().zip(&texts).zip(kept) {
        let whole: Vec<Token> = prompt[..kept].iter().chain(text).copied().collect();
        assert_eq!(
            written,
            alone(&model, &whole, precision)[kept..],
            "after {kept}"
        );
    }
}

#[test]
fn pieces_forks_and_branches_compute_the_same() {
    let model = tiny(&TinyGguf::default());
    let precision = Precision::Int8;
    let text = some_tokens(90, 3);
    let whole = alone(&model, &text, precision);
    let mut cache = model.decoder().cache(1).unwrap();
    let mut pieces = Vec::new();
    for part in [&text[..1], &text[1..50], &text[50..]] {
        let sequence = Sequence::new(&mut cache, part);
        pieces.extend(run(&model, &mut [sequence], precision));
    }
    assert_eq!(pieces, whole, "in three pieces, the cache growing");
    assert_eq!(cache.len(), 90);

    let mut fork = cache.fork(60).unwrap();
    let sequence = Sequence {
        wanted: Wanted::Last,
        ..Sequence::new(&mut fork, &text[60..])
    };
    assert_eq!(
        run(&model, &mut [sequence], precision),
        whole[89..],
        "after a fork at 60"
    );

    cache.truncate(60);
    let (a, b) = (some_tokens(4, 8), some_tokens(9, 9));
    let both: Vec<Token> = a.iter().chain(&b).copied().collect();
    let sequence = Sequence {
        branches: Some(&[
            Branch {
                after: 0,
                length: 4,
            },
            Branch {
                after: 0,
                length: 9,
            },
        ]),
        ..Sequence::new(&mut cache, &both)
    };
    let branched = run(&model, &mut [sequence], precision);
    assert_eq!(cache.len(), 60, "branches leave the cache as it was");
    for (range, branch) in [(0..4, &a), (4..13, &b)] {
        let full: Vec<Token> = text[..60].iter().chain(branch).copied().collect();
        assert_eq!(
            branched[range],
            alone(&model, &full, precision)[60..],
            "a branch sees the prefix and itself"
        );
    }
}

#[test]
fn training_and_inference_agree() {
    for tied in [true, false] {
        let model = tiny(&TinyGguf {
            tied,
            ..TinyGguf::default()
        });
        let (a, b) = (some_tokens(20, 1), some_tokens(33, 2));
        let both: Vec<Token> = a.iter().chain(&b).copied().collect();
        let trained: Vec<Vec<f32>> = model
            .decoder()
            .forward_train(&both, &[20, 33], None)
            .unwrap()
            .to_vec2()
            .unwrap();
        let inferred: Vec<Vec<f32>> = [&a, &b]
            .iter()
            .flat_map(|t| alone(&model, t, Precision::F32))
            .collect();
        let difference = largest_difference(&trained, &inferred);
        // The two attention kernels sum in another order.
        assert!(difference < 1e-4, "hidden states differ by {difference}");
    }
}

#[test]
fn hooks_see_every_layer() {
    let model = tiny(&TinyGguf::default());
    let mut cache = model.decoder().cache(1).unwrap();
    let tokens = some_tokens(5, 5);
    let mut seen = Vec::new();
    let mut hook = |layer: usize, x: &Tensor| seen.push((layer, x.dims().to_vec()));
    let sequence = Sequence {
        wanted: Wanted::Nothing,
        ..Sequence::new(&mut cache, &tokens)
    };
    model
        .decoder()
        .forward(&mut [sequence], Precision::F32, Some(&mut hook))
        .unwrap();
    assert_eq!(seen, [(0, vec![5, 64]), (1, vec![5, 64])]);
}

#[test]
fn tokens_beyond_the_vocabulary_are_errors() {
    let model = tiny(&TinyGguf::default());
    assert!(
        model
            .decoder()
            .forward_train(&[1, 266], &[2], None)
            .is_err(),
        "in training"
    );
    assert!(
        model.decoder().forward_train(&[1, 2], &[3], None).is_err(),
        "and lengths that do not add up"
    );
}

/// candle's own llama as a second opinion. It rounds activations for the head, hence the tolerance.
#[test]
fn candles_own_llama_agrees() {
    let config = TinyGguf {
        storage: Storage::F32,
        ..TinyGguf::default()
    };
    let bytes = tiny_gguf(&config);
    let model = tiny(&config);
    let tokens = some_tokens(40, 6);
    let mut reader = std::io::Cursor::new(&bytes);
    let content = candle_core::quantized::gguf_file::Content::read(&mut reader).unwrap();
    let mut other = candle_transformers::models::quantized_llama::ModelWeights::from_gguf(
        content,
        &mut reader,
        &Device::Cpu,
    )
    .unwrap();
    let theirs = other
        .forward(
            &Tensor::new(&tokens[..], &Device::Cpu)
                .unwrap()
                .unsqueeze(0)
                .unwrap(),
            0,
        )
        .unwrap();
    let theirs: Vec<f32> = theirs.flatten_all().unwrap().to_vec1().unwrap();
    let hidden = model
        .decoder()
        .forward_train(&tokens, &[40], None)
        .unwrap()
        .narrow(0, 39, 1)
        .unwrap();
    let ours: Vec<f32> = model
        .decoder()
        .logits(&hidden, Precision::F32)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let spread = ours.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    let difference = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        difference < 0.02 * spread,
        "logits up to {spread} differ by {difference}"
    );
}

/// The same body on every device there is, against the processor.
#[test]
fn every_device_computes_what_the_processor_does() {
    let bytes = tiny_gguf(&TinyGguf::default());
    let tokens = some_tokens(50, 4);
    let reference = alone(&tiny(&TinyGguf::default()), &tokens, Precision::F32);
    for wish in devices() {
        let model = load(&bytes, wish).unwrap();
        let difference = largest_difference(&alone(&model, &tokens, Precision::F32), &reference);
        assert!(difference < 1e-3, "{wish:?} differs by {difference}");
        let trained = model
            .decoder()
            .forward_train(&tokens, &[50], None)
            .unwrap()
            .to_vec2()
            .unwrap();
        let difference = largest_difference(&trained, &reference);
        assert!(
            difference < 1e-3,
            "{wish:?} in training differs by {difference}"
        );
    }
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len(), "as many rows");
    a.iter()
        .flatten()
        .zip(b.iter().flatten())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn timing_runs_every_step_whatever_token_comes() {
    let model = tiny(&TinyGguf::default());
    let prompt = some_tokens(9, 1);
    let steps = |n: usize| vec![vec![3, 4, 5, 3]; n];
    let cancel = Cancel::new();
    let timing = model.time(&prompt, &steps(4), &cancel).unwrap();
    assert!(timing.prompt_seconds > 0.0 && timing.step_seconds > 0.0);
    let beyond = model.info().context;
    assert!(
        matches!(
            model.time(&prompt, &steps(beyond), &cancel),
            Err(LlmError::ContextFull { .. })
        ),
        "what does not fit is not measured"
    );
    assert!(
        model.time(&[], &steps(1), &cancel).is_ok(),
        "a text may begin from nothing"
    );
    assert!(
        model
            .time(&prompt, &[vec![1, 2], vec![1]], &cancel)
            .is_err(),
        "a draft has a token at every step"
    );
    cancel.cancel();
    assert!(matches!(
        model.time(&prompt, &steps(4), &cancel),
        Err(LlmError::Cancelled)
    ));
}
