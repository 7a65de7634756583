//! Row operations: gradients against finite differences of the reference, fast levels against the reference.

mod common;

use idiolect_kernels::{
    Activation, AttentionShape, AttentionTrace, CachedRows, KEY_BLOCK, Level, PAGE, Page,
    RopeStyle, RopeTable, Team, attention_backward, attention_over_caches, attention_train, gated,
    gated_backward, log_normalisers, log_softmax, rms_norm, rms_norm_backward, rope, rope_backward,
    softmax_cross_entropy, softmax_cross_entropy_with_gradient, store_in_page,
};

use common::values;

/// Central differences in f32: absolute and relative to the slope.
const FINITE_DIFFERENCE_TOLERANCE: f64 = 4e-3;
/// Fast levels against the reference, for values of size one.
const LEVEL_TOLERANCE: f32 = 2e-6;
/// The same where sums of a few hundred products and exponentials come in between.
const ATTENTION_TOLERANCE: f32 = 1e-5;
/// Log-probabilities: their size is about ten, so one unit in the last place is 1e-6.
const LOG_TOLERANCE: f32 = 1e-5;

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

fn assert_close(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: as many values as expected");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs();
        assert!(
            error <= tolerance * want.abs().max(1.0),
            "{what}: value {i} is {got}, not {want}"
        );
    }
}

/// Checks `gradient` of `loss` at `x` against central differences at every `step`-th value.
fn check_gradient(
    x: &[f32],
    gradient: &[f32],
    step: usize,
    what: &str,
    mut loss: impl FnMut(&[f32]) -> f64,
) {
    const H: f32 = 1.0 / 128.0;
    assert!(
        gradient.iter().any(|g| g.abs() > 1e-3),
        "{what}: a gradient of nothing but zeros tests nothing"
    );
    for i in (0..x.len()).step_by(step) {
        let (mut plus, mut minus) = (x.to_vec(), x.to_vec());
        plus[i] += H;
        minus[i] -= H;
        let slope = (loss(&plus) - loss(&minus)) / (f64::from(plus[i]) - f64::from(minus[i]));
        let error = (slope - f64::from(gradient[i])).abs();
        let allowed = FINITE_DIFFERENCE_TOLERANCE * slope.abs().max(1.0);
        assert!(
            error <= allowed,
            "{what}: gradient {i} is {}, differences say {slope}",
            gradient[i]
        );
    }
}

#[test]
fn rms_norm_has_its_gradient_at_every_level() {
    let (m, h, eps) = (3, 45, 1e-3);
    let (x, weight, dy) = (values(m * h, 1), values(h, 2), values(m * h, 3));
    let mut plain = vec![0.0; m * h];
    rms_norm(&x, &weight, eps, &mut plain, Level::Reference);
    let square = x[..h].iter().map(|v| v * v).sum::<f32>() / h as f32;
    assert_close(
        &plain[..1],
        &[x[0] / (square + eps).sqrt() * weight[0]],
        LEVEL_TOLERANCE,
        "the formula",
    );
    for level in Level::available() {
        let run = |x: &[f32]| {
            let mut y = vec![f32::NAN; m * h];
            rms_norm(x, &weight, eps, &mut y, level);
            y
        };
        assert_close(&run(&x), &plain, LEVEL_TOLERANCE, level.name());
        let mut dx = vec![f32::NAN; m * h];
        rms_norm_backward(&x, &weight, eps, &dy, &mut dx, level);
        check_gradient(&x, &dx, 1, &format!("rms_norm {}", level.name()), |x| {
            dot(&run(x), &dy)
        });
    }
}

#[test]
fn gated_activations_have_their_gradients_at_every_level() {
    for activation in [Activation::Silu, Activation::GeluTanh] {
        gated_activation_has_its_gradients(activation);
    }
}

fn gated_activation_has_its_gradients(activation: Activation) {
    let n = 77;
    let mut gate = values(n, 1);
    gate[..4].copy_from_slice(&[30.0, -30.0, 200.0, -200.0]); // where exp overflows or vanishes
    let (up, dy) = (values(n, 2), values(n, 3));
    let mut plain = vec![0.0; n];
    gated(&gate, &up, &mut plain, activation, Level::Reference);
    assert_close(
        &plain[..4],
        &[30.0 * up[0], 0.0, 200.0 * up[2], 0.0],
        LEVEL_TOLERANCE,
        "saturated gates",
    );
    for level in Level::available() {
        let run = |gate: &[f32], up: &[f32]| {
            let mut y = vec![f32::NAN; n];
            gated(gate, up, &mut y, activation, level);
            y
        };
        assert_close(&run(&gate, &up), &plain, LEVEL_TOLERANCE, level.name());
        let (mut dgate, mut dup) = (vec![f32::NAN; n], vec![f32::NAN; n]);
        gated_backward(&gate, &up, &dy, &mut dgate, &mut dup, activation, level);
        check_gradient(
            &gate,
            &dgate,
            1,
            &format!("gate {}", level.name()),
            |gate| dot(&run(gate, &up), &dy),
        );
        check_gradient(&up, &dup, 1, &format!("up {}", level.name()), |up| {
            dot(&run(&gate, up), &dy)
        });
    }
}

#[test]
fn gelu_is_the_formula_with_tanh() {
    let gate: Vec<f32> = (-60..=60).map(|i| i as f32 / 10.0).collect();
    let ones = vec![1.0; gate.len()];
    let formula: Vec<f32> = gate
        .iter()
        .map(|&g| {
            let g = f64::from(g);
            let z = (2.0 / std::f64::consts::PI).sqrt() * (g + 0.044715 * g * g * g);
            (0.5 * g * (1.0 + z.tanh())) as f32
        })
        .collect();
    for level in Level::available() {
        let mut y = vec![f32::NAN; gate.len()];
        gated(&gate, &ones, &mut y, Activation::GeluTanh, level);
        assert_close(&y, &formula, LEVEL_TOLERANCE, level.name());
    }
}

#[test]
fn rope_rotates_the_right_pairs_and_back() {
    let (heads, head_dim) = (2, 6);
    // Two pairs rotate, the last two components pass; position 3 at frequencies 1 and 0.1.
    let table = RopeTable::new(&[1.0, 0.1], &[0, 3]);
    let x = values(2 * heads * head_dim, 1);
    for (style, pairs) in [
        (RopeStyle::Interleaved, [(0, 1), (2, 3)]),
        (RopeStyle::HalfSplit, [(0, 2), (1, 3)]),
    ] {
        let mut y = x.clone();
        rope(&mut y, heads, head_dim, &table, style);
        assert_eq!(
            y[..heads * head_dim],
            x[..heads * head_dim],
            "{style:?}: position 0 turns nothing"
        );
        let (from, to) = (&x[heads * head_dim..], &y[heads * head_dim..]);
        for head in [0, head_dim] {
            for ((a, b), angle) in pairs.into_iter().zip([3.0_f32, 0.3]) {
                let (a, b) = (head + a, head + b);
                let want = [
                    from[a] * angle.cos() - from[b] * angle.sin(),
                    from[a] * angle.sin() + from[b] * angle.cos(),
                ];
                assert_close(
                    &[to[a], to[b]],
                    &want,
                    LEVEL_TOLERANCE,
                    &format!("{style:?}"),
                );
            }
            assert_eq!(
                to[head + 4..head + 6],
                from[head + 4..head + 6],
                "{style:?}: the rest of the head passes"
            );
        }
        let dy = values(x.len(), 2);
        let mut dx = dy.clone();
        rope_backward(&mut dx, heads, head_dim, &table, style);
        check_gradient(&x, &dx, 1, &format!("{style:?}"), |x| {
            let mut y = x.to_vec();
            rope(&mut y, heads, head_dim, &table, style);
            dot(&y, &dy)
        });
    }
}

#[test]
fn cross_entropy_has_its_gradient_at_every_level() {
    let (m, vocab) = (3, 41);
    let logits: Vec<f32> = values(m * vocab, 1).iter().map(|v| v * 4.0).collect();
    let (targets, weights) = ([5, 40, 0], [0.5, 0.0, 2.0]);
    let plain = softmax_cross_entropy(&logits, vocab, &targets, Level::Reference);
    for level in Level::available() {
        let loss = |logits: &[f32]| -> f64 {
            dot(
                &softmax_cross_entropy(logits, vocab, &targets, level),
                &weights,
            )
        };
        let mut gradient = logits.clone();
        let nll =
            softmax_cross_entropy_with_gradient(&mut gradient, vocab, &targets, &weights, level);
        assert_close(&nll, &plain, LOG_TOLERANCE, level.name());
        assert_close(
            &softmax_cross_entropy(&logits, vocab, &targets, level),
            &plain,
            LOG_TOLERANCE,
            level.name(),
        );
        assert!(
            gradient[vocab..2 * vocab].iter().all(|&g| g == 0.0),
            "weight 0 gives no gradient"
        );
        check_gradient(
            &logits,
            &gradient,
            1,
            &format!("cross-entropy {}", level.name()),
            loss,
        );
    }
}

#[test]
fn log_softmax_is_normalised_and_gathers() {
    let (m, vocab) = (2, 1003);
    // Far from zero: only with the maximum taken out does this not overflow.
    let logits: Vec<f32> = values(m * vocab, 1)
        .iter()
        .map(|v| v * 10.0 + 500.0)
        .collect();
    let mut plain = logits.clone();
    log_softmax(&mut plain, vocab, Level::Reference);
    for row in plain.chunks(vocab) {
        let sum: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
        assert!(
            (sum - 1.0).abs() < 1e-4,
            "probabilities sum to one, not {sum}"
        );
    }
    for level in Level::available() {
        let mut all = logits.clone();
        log_softmax(&mut all, vocab, level);
        assert_close(&all, &plain, LOG_TOLERANCE, level.name());
        let mut normalisers = vec![f32::NAN; logits.len() / vocab];
        log_normalisers(&logits, vocab, &mut normalisers, level);
        let less: Vec<f32> = logits
            .iter()
            .enumerate()
            .map(|(i, l)| l - normalisers[i / vocab])
            .collect();
        assert_close(&all, &less, LOG_TOLERANCE, level.name());
    }
}

fn shape(heads: usize, kv_heads: usize, head_dim: usize, window: Option<usize>) -> AttentionShape {
    AttentionShape {
        heads,
        kv_heads,
        head_dim,
        scale: 1.5 / (head_dim as f32).sqrt(),
        window,
    }
}

/// Shapes: grouped heads, one head each, a head that no tile fits, more query heads than a block, a window.
fn shapes() -> Vec<AttentionShape> {
    vec![
        shape(9, 3, 64, None),
        shape(2, 2, 32, Some(70)),
        shape(4, 2, 20, Some(5)),
        shape(56, 1, 16, None),
        shape(4, 2, 48, Some(1)),
    ]
}

/// The pages of a cache.
struct Cache(Vec<([Vec<f32>; 2], usize)>);

impl Cache {
    /// With keys and values `[t, kv_heads, head_dim]` from position 0 on; what is not written is not a number.
    fn of(shape: &AttentionShape, k: &[f32], v: &[f32]) -> Self {
        let width = shape.kv_heads * shape.head_dim;
        let page = |(k, v): (&[f32], &[f32])| {
            let capacity = (k.len() / width).next_multiple_of(KEY_BLOCK);
            let mut page = [(); 2].map(|()| vec![f32::NAN; capacity * width]);
            let [keys, values] = &mut page;
            // In two pieces, as a prompt and what follows it.
            let cut = k.len() / width / 3 * width;
            let (first, second) = ((&k[..cut], &v[..cut]), (&k[cut..], &v[cut..]));
            store_in_page(shape, first, 0, capacity, keys, values);
            store_in_page(shape, second, cut / width, capacity, keys, values);
            (page, capacity)
        };
        let pages = k.chunks(PAGE * width).zip(v.chunks(PAGE * width));
        Self(pages.map(page).collect())
    }

    fn pages(&self) -> Vec<Page<'_>> {
        self.0
            .iter()
            .map(|cache| {
                let ([keys, values], capacity) = cache;
                Page {
                    keys,
                    values,
                    capacity: *capacity,
                }
            })
            .collect()
    }
}

/// A piece whose rows lie in the cache.
fn cached<'a>(
    rows: std::ops::Range<usize>,
    pages: &'a [Page<'a>],
    before: usize,
) -> CachedRows<'a> {
    CachedRows {
        rows,
        pages,
        before,
        own: None,
    }
}

#[test]
fn attention_over_a_cache_is_the_softmax_average_of_values() {
    // One head, three positions, worked by hand: scores 0, ln 3, and one out of sight.
    let shape = AttentionShape {
        heads: 1,
        kv_heads: 1,
        head_dim: 2,
        scale: 0.5,
        window: None,
    };
    let k = [0.0, 9.0, 2.0 * 3.0_f32.ln(), 1.0, 100.0, 100.0];
    let v = [1.0, 0.0, 0.0, 1.0, 50.0, 50.0];
    let cache = Cache::of(&shape, &k, &v);
    let mut out = [0.0; 2];
    let pages = cache.pages();
    let piece = cached(0..1, &pages, 1);
    attention_over_caches(&shape, &[1.0, 0.0], &[piece], &mut out, Level::Reference);
    assert_close(&out, &[0.25, 0.75], LEVEL_TOLERANCE, "weights 1/4 and 3/4");
}

#[test]
fn attention_over_caches_agrees_between_levels_and_batches() {
    for shape in shapes() {
        let width = shape.heads * shape.head_dim;
        let kv_width = shape.kv_heads * shape.head_dim;
        // Rows and what comes before them: a prompt from position 0, short pieces far apart, and one late row alone, over
        // more keys than are summed up at once.
        for pieces in [
            vec![(80, 0)],
            vec![(1, 199), (3, 2), (2, 64), (1, 63)],
            vec![(1, 600)],
            // Drafts of one prompt and a branch of several rows: whole pages in common, then keys of each one's own.
            vec![(1, 520), (1, 540), (2, 512), (1, 256), (1, 90)],
        ] {
            let m = pieces.iter().map(|(rows, _)| rows).sum::<usize>();
            let q = values(m * width, 1);
            // What lies beyond every visible position was never written, and must not be read.
            let most = pieces
                .iter()
                .map(|(rows, before)| rows + before)
                .max()
                .unwrap();
            let (k, v) = (values(most * kv_width, 2), values(most * kv_width, 3));
            let cache = Cache::of(&shape, &k, &v);
            let pages = cache.pages();
            let mut start = 0;
            let pieces: Vec<_> = pieces
                .iter()
                .map(|&(rows, before)| {
                    start += rows;
                    cached(start - rows..start, &pages, before)
                })
                .collect();
            let mut plain = vec![0.0; q.len()];
            attention_over_caches(&shape, &q, &pieces, &mut plain, Level::Reference);
            for level in Level::available() {
                let what = format!("{shape:?} {}", level.name());
                let run = |q: &[f32], pieces: &[CachedRows<'_>]| {
                    let mut out = vec![f32::NAN; q.len()];
                    Team::new(3).unwrap().install(|| {
                        attention_over_caches(&shape, q, pieces, &mut out, level);
                    });
                    out
                };
                let out = run(&q, &pieces);
                assert_close(&out, &plain, ATTENTION_TOLERANCE, &what);
                for piece in &pieces {
                    for row in piece.rows.clone() {
                        let here = row * width..(row + 1) * width;
                        let before = piece.before + row - piece.rows.start;
                        let alone = cached(0..1, &pages, before);
                        assert!(
                            run(&q[here.clone()], &[alone]) == out[here],
                            "{what}: row {row} has other bits alone"
                        );
                    }
                }
                // The same rows with their keys beside the cache.
                let own: Vec<_> = pieces
                    .iter()
                    .map(|piece| {
                        let end = piece.before + piece.rows.len();
                        let here = piece.before * kv_width..end * kv_width;
                        CachedRows {
                            own: Some((&k[here.clone()], &v[here])),
                            ..piece.clone()
                        }
                    })
                    .collect();
                assert!(
                    run(&q, &own) == out,
                    "{what}: other bits with the rows' keys beside the cache"
                );
                // And with keys of some positions before them, as a branch of a branch has.
                let further: Vec<_> = pieces
                    .iter()
                    .map(|piece| {
                        let end = piece.before + piece.rows.len();
                        let here = (piece.before - piece.before.min(5)) * kv_width..end * kv_width;
                        CachedRows {
                            own: Some((&k[here.clone()], &v[here])),
                            ..piece.clone()
                        }
                    })
                    .collect();
                assert!(
                    run(&q, &further) == out,
                    "{what}: other bits with earlier keys beside the cache"
                );
            }
        }
    }
}

#[test]
fn training_attention_agrees_with_the_cache_form() {
    for shape in shapes() {
        let lengths = [70, 1, 0, 30];
        let t: usize = lengths.iter().sum();
        let (width, kv_width) = (
            shape.heads * shape.head_dim,
            shape.kv_heads * shape.head_dim,
        );
        let (q, k, v) = (
            values(t * width, 1),
            values(t * kv_width, 2),
            values(t * kv_width, 3),
        );
        let mut want = Vec::new();
        let mut start = 0;
        for length in lengths {
            let new = start * kv_width..(start + length) * kv_width;
            let cache = Cache::of(&shape, &k[new.clone()], &v[new]);
            let pages = cache.pages();
            let mut out = vec![0.0; length * width];
            let q = &q[start * width..(start + length) * width];
            let pieces = (length > 0).then(|| cached(0..length, &pages, 0));
            attention_over_caches(&shape, q, pieces.as_slice(), &mut out, Level::Reference);
            want.extend(out);
            start += length;
        }
        let mut plain = vec![0.0; q.len()];
        let plain_logs =
            attention_train(&shape, &lengths, &q, &k, &v, &mut plain, Level::Reference);
        for level in Level::available() {
            let mut out = vec![f32::NAN; q.len()];
            let logs = attention_train(&shape, &lengths, &q, &k, &v, &mut out, level);
            let what = format!("{shape:?} {}", level.name());
            assert_close(&out, &want, ATTENTION_TOLERANCE, &what);
            assert_close(&logs, &plain_logs, ATTENTION_TOLERANCE, &what);
        }
    }
}

struct Gradients {
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

fn attention_gradients(
    shape: &AttentionShape,
    lengths: &[usize],
    [q, k, v, dout]: [&[f32]; 4],
    level: Level,
) -> Gradients {
    let mut out = vec![0.0; q.len()];
    let logs = attention_train(shape, lengths, q, k, v, &mut out, level);
    let trace = AttentionTrace {
        q,
        k,
        v,
        out: &out,
        log_sum_exp: &logs,
    };
    let (mut dq, mut dk, mut dv) = (
        vec![f32::NAN; q.len()],
        vec![f32::NAN; k.len()],
        vec![f32::NAN; k.len()],
    );
    attention_backward(
        shape, lengths, &trace, dout, &mut dq, &mut dk, &mut dv, level,
    );
    Gradients { dq, dk, dv }
}

#[test]
fn attention_has_its_gradients() {
    for shape in [shape(4, 2, 16, None), shape(3, 1, 6, Some(3))] {
        let lengths = [5, 7];
        let (width, kv_width) = (
            shape.heads * shape.head_dim,
            shape.kv_heads * shape.head_dim,
        );
        let (q, k, v) = (
            values(12 * width, 1),
            values(12 * kv_width, 2),
            values(12 * kv_width, 3),
        );
        let dout = values(12 * width, 4);
        for level in Level::available() {
            let loss = |q: &[f32], k: &[f32], v: &[f32]| {
                let mut out = vec![0.0; q.len()];
                attention_train(&shape, &lengths, q, k, v, &mut out, level);
                dot(&out, &dout)
            };
            let g = attention_gradients(&shape, &lengths, [&q, &k, &v, &dout], level);
            let what = format!("{shape:?} {}", level.name());
            check_gradient(&q, &g.dq, 7, &format!("dq {what}"), |q| loss(q, &k, &v));
            check_gradient(&k, &g.dk, 5, &format!("dk {what}"), |k| loss(&q, k, &v));
            check_gradient(&v, &g.dv, 5, &format!("dv {what}"), |v| loss(&q, &k, v));
        }
    }
}

#[test]
fn attention_gradients_agree_between_levels() {
    for shape in shapes() {
        let lengths = [130, 1, 0, 30];
        let t: usize = lengths.iter().sum();
        let (width, kv_width) = (
            shape.heads * shape.head_dim,
            shape.kv_heads * shape.head_dim,
        );
        let (q, k, v) = (
            values(t * width, 1),
            values(t * kv_width, 2),
            values(t * kv_width, 3),
        );
        let inputs = [&q[..], &k, &v, &values(t * width, 4)];
        let plain = attention_gradients(&shape, &lengths, inputs, Level::Reference);
        for level in Level::available() {
            let got = attention_gradients(&shape, &lengths, inputs, level);
            let what = format!("{shape:?} {}", level.name());
            assert_close(
                &got.dq,
                &plain.dq,
                ATTENTION_TOLERANCE,
                &format!("dq {what}"),
            );
            assert_close(
                &got.dk,
                &plain.dk,
                ATTENTION_TOLERANCE,
                &format!("dk {what}"),
            );
            assert_close(
                &got.dv,
                &plain.dv,
                ATTENTION_TOLERANCE,
                &format!("dv {what}"),
            );
        }
    }
}
