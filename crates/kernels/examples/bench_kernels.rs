//! Prints the speed of the products by shape: gigabytes of weights read a second for few rows, GFLOP/s for many.
//!
//! `cargo run --release -p idiolect-kernels --example bench_kernels`. Wall-clock figures are the fastest of several runs,
//! since a busy machine only ever makes a run slower. The last column divides by processor time instead (Linux), one
//! thread's worth: on a busy machine it says more. `IDIOLECT_CPU` and `RAYON_NUM_THREADS` are obeyed.

use std::time::Instant;

use idiolect_kernels::{
    AttentionShape, AttentionTrace, CachedRows, Level, Precision, QMatrix, QuantType,
    attention_backward, attention_over_caches, attention_train,
    softmax_cross_entropy_with_gradient,
};

/// (what it is in SmolLM2-135M, type, outputs, inputs)
const SHAPES: [(&str, QuantType, usize, usize); 5] = [
    ("q, output", QuantType::Q4_1, 576, 576),
    ("k, v", QuantType::Q4_1, 192, 576),
    ("gate, up", QuantType::Q4_1, 1536, 576),
    ("down", QuantType::Q4_1, 576, 1536),
    ("head", QuantType::Q8_0, 49152, 576),
];

/// Seconds of processor time of all threads so far, as the kernel's scheduler counts them.
fn processor_seconds() -> Option<f64> {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9;
    }
    Some(total)
}

/// Seconds of the fastest run, and processor seconds of the mean run.
fn measure(mut run: impl FnMut()) -> (f64, Option<f64>) {
    run();
    let begin = Instant::now();
    let before = processor_seconds();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || begin.elapsed().as_secs_f64() < 0.1 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    (
        best,
        processor_seconds()
            .zip(before)
            .map(|(after, before)| (after - before) / f64::from(runs)),
    )
}

fn values(n: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Inside the pool, as the engine runs: a call from outside first has to wake a worker.
    Ok(rayon::ThreadPoolBuilder::new().build()?.install(bench)?)
}

fn bench() -> Result<(), idiolect_kernels::KernelError> {
    let level = Level::detect()?;
    println!(
        "level {}, {} threads",
        level.name(),
        rayon::current_num_threads()
    );
    println!(
        "{:<10} {:>5} {:>11} {:>4} {:>9} {:>8} {:>8} {:>16}",
        "layer", "type", "shape", "m", "path", "GB/s", "GFLOP/s", "of one processor"
    );
    for (layer, ty, rows, cols) in SHAPES {
        let w = QMatrix::from_f32_quantized(ty, rows, cols, &values(rows * cols))?;
        for m in [1, 4, 64, 512] {
            let (x, dy) = (values(m * cols), values(m * rows));
            let (mut y, mut dx) = (vec![0.0; m * rows], vec![0.0; m * cols]);
            let show = |path: &str, (seconds, processor): (f64, Option<f64>)| {
                let giga_bytes = (w.row_bytes() * rows) as f64 / 1e9;
                let giga_flops = 2e-9 * (m * rows * cols) as f64;
                println!(
                    "{layer:<10} {:>5} {:>11} {m:>4} {path:>9} {:>8.2} {:>8.1} {:>7.2} {:>8.1}",
                    ty.name(),
                    format!("{rows}x{cols}"),
                    giga_bytes / seconds,
                    giga_flops / seconds,
                    processor.map_or(f64::NAN, |s| giga_bytes / s),
                    processor.map_or(f64::NAN, |s| giga_flops / s),
                );
            };
            show(
                "int8",
                measure(|| w.forward(&x, m, &mut y, Precision::Int8, level)),
            );
            show(
                "f32",
                measure(|| w.forward(&x, m, &mut y, Precision::F32, level)),
            );
            show(
                "bf16",
                measure(|| w.forward(&x, m, &mut y, Precision::Bf16, level)),
            );
            show(
                "backward",
                measure(|| w.backward_input(&dy, m, &mut dx, level)),
            );
        }
    }
    row_operations(level);
    Ok(())
}

/// Attention and loss at the sizes of SmolLM2-135M: milliseconds of the fastest run.
fn row_operations(level: Level) {
    let shape = AttentionShape {
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        scale: 0.125,
        window: None,
    };
    let (width, kv_width) = (9 * 64, 3 * 64);
    let show = |what: &str, (seconds, _): (f64, Option<f64>)| {
        println!("{what:<44} {:>9.3} ms", seconds * 1e3)
    };
    let (k, v) = (values(kv_width * 512), values(kv_width * 512));
    for (what, rows, before) in [
        ("attention, one token after 31", 1, 31),
        ("attention, one token after 511", 1, 511),
        ("attention, a prompt of 512", 512, 0),
    ] {
        let q = values(rows * width);
        let mut out = vec![0.0; q.len()];
        let piece = CachedRows {
            rows: 0..rows,
            keys: &k,
            values: &v,
            capacity: 512,
            before,
            own: None,
        };
        let pieces = [piece];
        show(
            what,
            measure(|| attention_over_caches(&shape, &q, &pieces, &mut out, level)),
        );
    }
    let (lengths, t) = ([256; 4], 1024);
    let (q, k, v, dout) = (
        values(t * width),
        values(t * kv_width),
        values(t * kv_width),
        values(t * width),
    );
    let mut out = vec![0.0; q.len()];
    show(
        "attention, training forward, 4 x 256",
        measure(|| {
            attention_train(&shape, &lengths, &q, &k, &v, &mut out, level);
        }),
    );
    let log_sum_exp = attention_train(&shape, &lengths, &q, &k, &v, &mut out, level);
    let trace = AttentionTrace {
        q: &q,
        k: &k,
        v: &v,
        out: &out,
        log_sum_exp: &log_sum_exp,
    };
    let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
    show(
        "attention, training backward, 4 x 256",
        measure(|| {
            attention_backward(
                &shape, &lengths, &trace, &dout, &mut dq, &mut dk, &mut dv, level,
            );
        }),
    );
    let (m, vocab) = (256, 49152);
    let mut logits = values(m * vocab);
    let (targets, weights) = (vec![7; m], vec![1.0; m]);
    show(
        "cross-entropy and gradient, 256 x 49152",
        measure(|| {
            softmax_cross_entropy_with_gradient(&mut logits, vocab, &targets, &weights, level);
        }),
    );
}
