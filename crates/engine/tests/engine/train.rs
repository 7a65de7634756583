//! Training passes against the reference in tensors, against finite differences, and against themselves.

use idiolect_engine::{
    Decoder, Dropout, Gradients, Level, LoraConfig, LoraWeights, Precision, Target, Texts, Trace,
    TrainOptions,
};
use idiolect_llm::{TextModel as _, Token, testing::TinyGguf};

use crate::{
    architectures::decoder,
    fixture,
    lora::{all_linears, weights_for},
    real_model::smollm2,
    recorded::recorded,
};

fn best() -> Level {
    Level::detect().unwrap()
}

fn tiny_at(level: Level) -> Decoder {
    decoder(&TinyGguf::default().file(), level)
}

const LENGTHS: [usize; 3] = [7, 1, 22];

fn tokens() -> Vec<Token> {
    (0..30).map(|i| (i * 37 + i * i * 11) % 220).collect()
}

/// The next tokens, some left out; the last of each text has none.
fn targets() -> Vec<Option<Token>> {
    let tokens = tokens();
    (0..tokens.len())
        .map(|i| {
            tokens
                .get(i + 1)
                .copied()
                .filter(|_| ![6, 7, 29].contains(&i) && i % 6 != 4)
        })
        .collect()
}

/// Weights of both signs, as preferences have.
fn weights() -> Vec<f32> {
    (0..30).map(|i| ((i * 7) % 11) as f32 / 5.0 - 0.8).collect()
}

fn with_texts<R>(run: impl FnOnce(&Texts<'_>) -> R) -> R {
    let (tokens, targets) = (tokens(), targets());
    run(&Texts {
        tokens: &tokens,
        lengths: &LENGTHS,
        targets: &targets,
    })
}

fn pass(decoder: &Decoder, lora: &LoraWeights, options: &TrainOptions) -> (Vec<f32>, Gradients) {
    let mut trace = Trace::new();
    let nll = with_texts(|texts| decoder.train_forward(texts, lora, options, &mut trace)).unwrap();
    let mut gradients = Gradients::zeros(lora);
    decoder
        .train_backward(&mut trace, &weights(), lora, &mut gradients)
        .unwrap();
    (nll, gradients)
}

/// Losses and gradients of the reference, which candle differentiates.
fn reference(decoder: &Decoder, lora: &LoraWeights) -> (Vec<f32>, Vec<Vec<f32>>) {
    let hidden = decoder
        .forward_train(&tokens(), &LENGTHS, Some(lora))
        .unwrap();
    let nll = decoder.token_nll(&hidden, &targets()).unwrap();
    let weights = candle_core::Tensor::new(weights(), nll.device()).unwrap();
    let gradients = (&nll * weights)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let gradients = lora
        .vars()
        .iter()
        .map(|(name, var)| {
            let gradient = gradients.get(var).unwrap_or_else(|| panic!("{name}"));
            gradient.flatten_all().unwrap().to_vec1().unwrap()
        })
        .collect();
    (nll.detach().to_vec1().unwrap(), gradients)
}

/// Length of the difference as a share of the expected's length.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let mut differences = found
        .iter()
        .zip(expected)
        .map(|(a, b)| f64::from(*a) - f64::from(*b));
    let length = squares(&mut expected.iter().map(|v| f64::from(*v)));
    squares(&mut differences) / length.max(1e-9)
}

/// Losses (absolute) and gradients (relative, tensor by tensor) against the reference: f32 sums in another order, over a few
/// layers.
const TOLERANCE: f64 = 1e-4;

fn agrees_with_the_reference(of: &str, decoder: &Decoder) {
    let lora = weights_for(decoder, &all_linears(), 3);
    let (expected, slopes) = reference(decoder, &lora);
    let (nll, gradients) = pass(decoder, &lora, &TrainOptions::default());
    for (found, expected) in nll.iter().zip(&expected) {
        assert!(
            f64::from((found - expected).abs()) < TOLERANCE,
            "{of}: {found} for {expected}"
        );
    }
    let found = lora.vars().into_iter().zip(gradients.tensors());
    for (((name, _), found), expected) in found.zip(&slopes) {
        let distance = distance(found, expected);
        assert!(distance < TOLERANCE, "{of}, {name}: off by {distance}");
    }
}

#[test]
fn passes_agree_with_the_reference_at_every_level() {
    for level in Level::available() {
        agrees_with_the_reference(&format!("{level:?}"), &tiny_at(level));
    }
}

#[test]
fn passes_agree_with_the_reference_in_every_architecture() {
    for model in recorded() {
        agrees_with_the_reference(&model.name, &decoder(&model.file, best()));
    }
}

fn dropped(pass: u64) -> TrainOptions {
    TrainOptions {
        dropout: Some(Dropout {
            probability: 0.2,
            seed: 4,
            pass,
        }),
        ..TrainOptions::default()
    }
}

#[test]
fn what_is_computed_again_has_the_same_bits() {
    for model in recorded() {
        for level in Level::available() {
            let decoder = decoder(&model.file, level);
            let lora = weights_for(&decoder, &all_linears(), 3);
            for options in [TrainOptions::default(), dropped(1)] {
                let again = TrainOptions {
                    recompute: true,
                    ..options
                };
                assert_eq!(
                    pass(&decoder, &lora, &again),
                    pass(&decoder, &lora, &options),
                    "{} at {level:?}",
                    model.name
                );
            }
        }
    }
}

#[test]
fn passes_have_the_same_bits_on_any_number_of_threads_and_in_used_memory() {
    for level in Level::available()
        .into_iter()
        .filter(|l| *l != Level::Reference)
    {
        let decoder = tiny_at(level);
        let lora = weights_for(&decoder, &all_linears(), 3);
        let run = |threads: usize| {
            let team = idiolect_kernels::Team::new(threads).unwrap();
            team.install(|| pass(&decoder, &lora, &dropped(1)))
        };
        let alone = run(1);
        for threads in [2, 3] {
            assert_eq!(run(threads), alone, "{threads} threads at {level:?}");
        }
        // After a longer pass and one that keeps other things, its memory holds their numbers.
        let mut trace = Trace::new();
        let longer: Vec<Token> = (0..90).map(|i| i * 7 % 220).collect();
        let texts = Texts {
            tokens: &longer,
            lengths: &[90],
            targets: &[Some(3); 90],
        };
        decoder
            .train_forward(&texts, &lora, &TrainOptions::default(), &mut trace)
            .unwrap();
        with_texts(|t| decoder.train_score(t, None, Precision::F32, &mut trace)).unwrap();
        let nll = with_texts(|t| decoder.train_forward(t, &lora, &dropped(1), &mut trace)).unwrap();
        let mut gradients = Gradients::zeros(&lora);
        decoder
            .train_backward(&mut trace, &weights(), &lora, &mut gradients)
            .unwrap();
        assert_eq!((nll, gradients), alone);
    }
}

/// Bfloat16 keeps 8 bits of each factor: losses (absolute) and gradients (relative to a tensor's length) of tiny models.
const BF16_TOLERANCE: f64 = 0.06;

#[test]
fn bfloat16_comes_close() {
    for level in Level::available() {
        let decoder = tiny_at(level);
        let lora = weights_for(&decoder, &all_linears(), 3);
        let (expected, slopes) = pass(&decoder, &lora, &TrainOptions::default());
        let options = TrainOptions {
            precision: Precision::Bf16,
            ..TrainOptions::default()
        };
        let (nll, gradients) = pass(&decoder, &lora, &options);
        for (found, expected) in nll.iter().zip(&expected) {
            let difference = f64::from((found - expected).abs());
            assert!(difference < BF16_TOLERANCE, "{found} for {expected}");
        }
        let pairs = gradients.tensors().zip(slopes.tensors());
        for ((found, expected), (name, _)) in pairs.zip(lora.vars()) {
            let distance = distance(found, expected);
            assert!(distance < BF16_TOLERANCE, "{level:?}, {name}: {distance}");
        }
        assert_eq!(
            nll != expected,
            level == Level::Amx,
            "only a matrix unit rounds"
        );
    }
}

#[test]
fn only_what_is_trained_gets_a_gradient_and_the_same_one() {
    let decoder = tiny_at(best());
    let all = weights_for(&decoder, &all_linears(), 3);
    // B of all others is zero in both, so that the models are one.
    let some = LoraConfig {
        targets: vec![Target::Query, Target::Value],
        ..all_linears()
    };
    let few = weights_for(&decoder, &some, 3);
    let mut parameters = Vec::new();
    for ((linear, factors), (_, fresh)) in all.factors().zip(all.factors()) {
        let twin = few.factors().find(|(other, _)| *other == linear);
        match twin {
            Some((_, twin)) => {
                for var in [&twin.a, &twin.b] {
                    parameters.extend(var.flatten_all().unwrap().to_vec1::<f32>().unwrap());
                }
            }
            None => {
                let a = fresh.a.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                parameters.extend(a);
                parameters.extend(std::iter::repeat_n(0.0, factors.b.elem_count()));
            }
        }
    }
    all.set_parameters(&parameters).unwrap();
    let options = TrainOptions::default();
    let (nll, gradients) = pass(&decoder, &few, &options);
    let (expected, slopes) = pass(&decoder, &all, &options);
    assert_eq!(nll, expected);
    let names: Vec<String> = all.vars().into_iter().map(|(name, _)| name).collect();
    for ((name, _), found) in few.vars().into_iter().zip(gradients.tensors()) {
        let at = names.iter().position(|other| *other == name).unwrap();
        let expected = slopes.tensors().nth(at).unwrap();
        assert!(distance(found, expected) < 1e-5, "{name}");
    }
}

#[test]
fn the_rank_stabilised_factor_is_alpha_by_the_root_of_the_rank() {
    let config = LoraConfig::rank_stabilised(16, 8.0, vec![Target::Query]);
    assert!((config.scale() - 2.0).abs() < 1e-6);
}

#[test]
fn gradients_are_added_to_what_is_there() {
    let decoder = tiny_at(best());
    let lora = weights_for(&decoder, &all_linears(), 3);
    let options = TrainOptions::default();
    let (_, once) = pass(&decoder, &lora, &options);
    let (mut twice, mut trace) = (Gradients::zeros(&lora), Trace::new());
    for _ in 0..2 {
        with_texts(|texts| decoder.train_forward(texts, &lora, &options, &mut trace)).unwrap();
        decoder
            .train_backward(&mut trace, &weights(), &lora, &mut twice)
            .unwrap();
    }
    for (once, twice) in once.values().iter().zip(twice.values()) {
        assert!((2.0 * once - twice).abs() <= 1e-6 * (1.0 + twice.abs()));
    }
    twice.clear();
    assert!(twice.values().iter().all(|g| *g == 0.0));
}

#[test]
fn scores_are_the_losses_without_dropout() {
    let decoder = tiny_at(best());
    let lora = weights_for(&decoder, &all_linears(), 3);
    let (nll, _) = pass(&decoder, &lora, &TrainOptions::default());
    let mut trace = Trace::new();
    let mut score = |lora| {
        with_texts(|texts| decoder.train_score(texts, lora, Precision::F32, &mut trace)).unwrap()
    };
    assert_eq!(score(Some(&lora)), nll);
    assert_ne!(score(None), nll);
}

#[test]
fn dropout_repeats_and_its_gradient_is_the_slope() {
    let decoder = tiny_at(best());
    let lora = weights_for(&decoder, &all_linears(), 3);
    let (nll, gradients) = pass(&decoder, &lora, &dropped(1));
    let again = pass(&decoder, &lora, &dropped(1));
    assert_eq!((&nll, &gradients), (&again.0, &again.1));
    assert_ne!(nll, pass(&decoder, &lora, &dropped(2)).0);
    assert_ne!(nll, pass(&decoder, &lora, &TrainOptions::default()).0);
    slopes_are_the_gradients("dropout", &decoder, &lora, &dropped(1), &gradients);
}

#[test]
fn gradients_are_the_slopes_in_every_architecture() {
    for model in recorded() {
        let decoder = decoder(&model.file, best());
        let lora = weights_for(&decoder, &all_linears(), 3);
        let options = TrainOptions::default();
        let (_, gradients) = pass(&decoder, &lora, &options);
        slopes_are_the_gradients(&model.name, &decoder, &lora, &options, &gradients);
    }
}

/// Central differences of losses of some tens in f32.
const SLOPE_TOLERANCE: f64 = 0.03;

/// Along each tensor's gradient the slope is its length; a wrong gradient has another.
fn slopes_are_the_gradients(
    of: &str,
    decoder: &Decoder,
    lora: &LoraWeights,
    options: &TrainOptions,
    gradients: &Gradients,
) {
    let before = lora.parameters().unwrap();
    let mut start = 0;
    let mut trace = Trace::new();
    for ((name, _), gradient) in lora.vars().into_iter().zip(gradients.tensors()) {
        let length = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!(length > 1e-4, "{of}, {name}: a gradient of {length}");
        let step = 0.02 / length;
        let mut along = |sign: f64| {
            let mut moved = before.clone();
            for (value, slope) in moved[start..].iter_mut().zip(gradient) {
                *value += (sign * step / length) as f32 * slope;
            }
            lora.set_parameters(&moved).unwrap();
            let nll = with_texts(|t| decoder.train_forward(t, lora, options, &mut trace)).unwrap();
            let terms = nll.iter().zip(weights());
            terms
                .map(|(n, w)| f64::from(*n) * f64::from(w))
                .sum::<f64>()
        };
        let slope = (along(1.0) - along(-1.0)) / (2.0 * step);
        let error = (slope - length).abs() / length;
        assert!(
            error < SLOPE_TOLERANCE,
            "{of}, {name}: slope {slope}, gradient {length}"
        );
        start += gradient.len();
    }
    lora.set_parameters(&before).unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let decoder = tiny_at(best());
    let lora = weights_for(&decoder, &all_linears(), 3);
    let options = TrainOptions::default();
    let (mut trace, mut into) = (Trace::new(), Gradients::zeros(&lora));
    let mut backward = |trace: &mut Trace, weights: &[f32]| {
        decoder.train_backward(trace, weights, &lora, &mut into)
    };
    assert!(backward(&mut trace, &weights()).is_err(), "no forward pass");
    let forward = |trace: &mut Trace| {
        with_texts(|texts| decoder.train_forward(texts, &lora, &options, trace)).unwrap()
    };
    forward(&mut trace);
    assert!(backward(&mut trace, &[1.0]).is_err(), "one weight");
    forward(&mut trace);
    backward(&mut trace, &weights()).unwrap();
    assert!(backward(&mut trace, &weights()).is_err(), "a second time");
    for (tokens, lengths, targets) in [
        (vec![1, 2], vec![3], vec![None; 2]),
        (vec![1, 2], vec![2], vec![None; 3]),
        (vec![1, 60_000], vec![2], vec![None; 2]),
        (vec![1, 2], vec![2], vec![Some(60_000); 2]),
    ] {
        let texts = Texts {
            tokens: &tokens,
            lengths: &lengths,
            targets: &targets,
        };
        let result = decoder.train_forward(&texts, &lora, &options, &mut trace);
        assert!(result.is_err(), "{texts:?}");
    }
    let nothing = Texts {
        tokens: &[],
        lengths: &[],
        targets: &[],
    };
    let nll = decoder.train_score(&nothing, None, Precision::F32, &mut trace);
    assert!(nll.unwrap().is_empty());
}

/// Losses of the default model along a short run, nats a token: the two runs' weights drift apart a little.
const CURVE_TOLERANCE: f64 = 0.02;

/// A run in bfloat16 takes the same course as one in f32: what is rounded there are the factors of products with frozen weights,
/// not what is trained.
#[test]
fn a_run_in_bfloat16_takes_the_course_of_one_in_f32() {
    let Some(model) = smollm2() else {
        return;
    };
    let decoder = model.decoder();
    let tokens = model.encode(&fixture("perplexity_text.txt")).unwrap();
    let lengths = [96, 96];
    let tokens = &tokens[..lengths.iter().sum()];
    let following = tokens.iter().copied().enumerate();
    let targets: Vec<Option<Token>> = following
        .map(|(i, _)| tokens.get(i + 1).copied().filter(|_| i % 96 != 95))
        .collect();
    let texts = Texts {
        tokens,
        lengths: &lengths,
        targets: &targets,
    };
    let count = targets.iter().flatten().count() as f64;
    let curve = |precision: Precision| -> Vec<f64> {
        let lora = LoraWeights::new(&all_linears(), model.config(), decoder.device(), 1).unwrap();
        let options = TrainOptions {
            precision,
            ..TrainOptions::default()
        };
        let (mut trace, mut gradients) = (Trace::new(), Gradients::zeros(&lora));
        let weights = vec![1.0 / count as f32; tokens.len()];
        let mut parameters = lora.parameters().unwrap();
        let mut moments = vec![[0.0_f32; 2]; parameters.len()];
        model.with_team(|| {
            let steps = 1..=8;
            let step = |step: i32| {
                gradients.clear();
                let nll = decoder.train_forward(&texts, &lora, &options, &mut trace);
                decoder
                    .train_backward(&mut trace, &weights, &lora, &mut gradients)
                    .unwrap();
                // Adam (Kingma & Ba 2015).
                let slopes = moments.iter_mut().zip(gradients.values());
                for (value, ([first, second], g)) in parameters.iter_mut().zip(slopes) {
                    *first = 0.9 * *first + 0.1 * g;
                    *second = 0.99 * *second + 0.01 * g * g;
                    let unbiased = [
                        *first / (1.0 - 0.9_f32.powi(step)),
                        *second / (1.0 - 0.99_f32.powi(step)),
                    ];
                    *value -= 1e-3 * unbiased[0] / (unbiased[1].sqrt() + 1e-8);
                }
                lora.set_parameters(&parameters).unwrap();
                nll.unwrap().iter().map(|n| f64::from(*n)).sum::<f64>() / count
            };
            steps.map(step).collect()
        })
    };
    let (exact, rounded) = (curve(Precision::F32), curve(Precision::Bf16));
    println!("f32 {exact:.4?}\nbf16 {rounded:.4?}");
    assert!(exact[7] < exact[0] - 0.3, "it learns: {exact:?}");
    for (exact, rounded) in exact.iter().zip(&rounded) {
        assert!(
            (exact - rounded).abs() < CURVE_TOLERANCE,
            "{exact} {rounded}"
        );
    }
}
