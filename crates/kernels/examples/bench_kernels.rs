//! Prints the speed of the products by shape: gigabytes of weights read a second for few rows, GFLOP/s for many.
//!
//! `cargo run --release -p idiolect-kernels --example bench_kernels -- [WORD...]` prints the lines that contain all the words
//! (a model, a layer, a type, a shape, `m=4`, a path). Wall-clock figures are the fastest of several runs,
//! since a busy machine only ever makes a run slower. The last column divides by processor time instead (Linux), one
//! thread's worth: on a busy machine it says more. `IDIOLECT_CPU` and `RAYON_NUM_THREADS` are obeyed.

use std::time::Instant;

use idiolect_kernels::{
    AttentionShape, AttentionTrace, CachedRows, Level, PAGE, Page, Precision, QMatrix, QuantType,
    Sources, Team, attention_backward, attention_over_caches, attention_train, pack,
    softmax_cross_entropy_with_gradient,
};

/// (model, layer, type, outputs, inputs)
const SHAPES: [(&str, &str, QuantType, usize, usize); 18] = [
    ("smollm2", "q,output", QuantType::Q4_1, 576, 576),
    ("smollm2", "k,v", QuantType::Q4_1, 192, 576),
    ("smollm2", "gate,up", QuantType::Q4_1, 1536, 576),
    ("smollm2", "down", QuantType::Q4_1, 576, 1536),
    ("smollm2", "head", QuantType::Q8_0, 49152, 576),
    ("gemma3", "q", QuantType::Q5_0, 1024, 640),
    ("gemma3", "gate,up", QuantType::Q5_0, 2048, 640),
    ("gemma3", "down", QuantType::Q6K, 640, 2048),
    ("gemma3", "head", QuantType::Q8_0, 262_144, 640),
    ("qwen2", "k,v", QuantType::Q8_0, 128, 896),
    ("qwen2", "gate,up", QuantType::Q5_0, 4864, 896),
    ("qwen2", "down", QuantType::Q6K, 896, 4864),
    ("large", "any", QuantType::Q4_0, 4096, 2048),
    ("large", "any", QuantType::Q5_1, 4096, 2048),
    ("large", "any", QuantType::Q4K, 4096, 2048),
    ("large", "any", QuantType::Q5K, 4096, 2048),
    ("large", "any", QuantType::Q6K, 4096, 2048),
    ("large", "any", QuantType::BF16, 4096, 2048),
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

/// Weights of any values: what they are does not matter here, as long as no scale is infinite.
fn matrix(ty: QuantType, rows: usize, cols: usize) -> QMatrix {
    if ty.block_size() == 1 {
        return QMatrix::from_f32_quantized(ty, rows, cols, &values(rows * cols))
            .expect("the shapes agree");
    }
    let bytes = rows * cols / ty.block_size() * ty.block_bytes();
    // As half floats below 2, in any place.
    let bytes = (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 & 0xbf);
    QMatrix::from_bytes(ty, rows, cols, bytes.collect()).expect("the shapes are whole blocks")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // On a team, as the engine runs.
    let threads = rayon::current_num_threads();
    Team::new(threads)?.install(|| bench(threads, &words))
}

fn bench(threads: usize, words: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let level = Level::detect()?;
    println!("level {}, {threads} threads", level.name());
    println!(
        "{:<8} {:<8} {:>5} {:>11} {:>5} {:>8} {:>8} {:>8} {:>16}",
        "model", "layer", "type", "shape", "m", "path", "GB/s", "GFLOP/s", "of one processor"
    );
    for (model, layer, ty, rows, cols) in SHAPES {
        let mut packed = None;
        for m in [1, 2, 4, 8, 16, 64, 512] {
            for path in ["int8", "f32", "bf16", "backward"] {
                let label = format!(
                    "{model:<8} {layer:<8} {:>5} {:>11} {:>5} {path:>8}",
                    ty.name(),
                    format!("{rows}x{cols}"),
                    format!("m={m}")
                );
                let all: Vec<&str> = label.split_whitespace().collect();
                if !words.iter().all(|word| all.contains(&word.as_str())) {
                    continue;
                }
                if packed.is_none() {
                    let mut w = matrix(ty, rows, cols);
                    pack(&mut [&mut w], level, Sources::Keep)?;
                    packed = Some(w);
                }
                let w = packed.as_ref().expect("packed just now");
                let (x, dy) = (values(m * cols), values(m * rows));
                let (mut y, mut dx) = (vec![0.0; m * rows], vec![0.0; m * cols]);
                let (seconds, processor) = measure(|| match path {
                    "int8" => w.forward(&x, m, &mut y, Precision::Int8, level),
                    "f32" => w.forward(&x, m, &mut y, Precision::F32, level),
                    "bf16" => w.forward(&x, m, &mut y, Precision::Bf16, level),
                    _ => w.backward_input(&dy, m, &mut dx, Precision::F32, level),
                });
                let giga_bytes = (w.row_bytes() * rows) as f64 / 1e9;
                let giga_flops = 2e-9 * (m * rows * cols) as f64;
                println!(
                    "{label} {:>8.2} {:>8.1} {:>7.2} {:>8.1}",
                    giga_bytes / seconds,
                    giga_flops / seconds,
                    processor.map_or(f64::NAN, |s| giga_bytes / s),
                    processor.map_or(f64::NAN, |s| giga_flops / s),
                );
            }
        }
    }
    if words.is_empty() {
        row_operations(level);
    }
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
        let pages: Vec<_> = k
            .chunks(PAGE * kv_width)
            .zip(v.chunks(PAGE * kv_width))
            .map(|(keys, values)| Page {
                keys,
                values,
                capacity: PAGE,
            })
            .collect();
        let piece = CachedRows {
            rows: 0..rows,
            pages: &pages,
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
