//! A tiny sound model with parts of it bent: whatever the doctor finds, it ends, and what it lets pass computes.
//!
//! The bytes choose what is bent — metadata of every type, tensors' names, shapes, types and offsets, tokens, merges, the
//! template — so that most inputs reach the tokenizer, the template and the decoder, where random bytes never get to.
#![no_main]

use std::{io::Write as _, sync::OnceLock};

use arbitrary::{Result, Unstructured};
use idiolect_engine::{ARCHITECTURES, LoadOptions, Verdict, examine, try_out};
use idiolect_llm::{
    Cancel, DeviceWish,
    testing::{GgufFile, Meta, TinyGguf},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = run(&mut Unstructured::new(bytes));
});

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut file = sound().clone();
    for _ in 0..input.int_in_range(1..=6)? {
        bend(input, &mut file)?;
    }
    let mut bytes = file.to_bytes();
    if input.ratio(1, 8)? {
        let at = input.int_in_range(0..=bytes.len() - 1)?;
        bytes[at] = input.arbitrary()?;
    }
    if input.ratio(1, 8)? {
        bytes.truncate(input.int_in_range(0..=bytes.len())?);
    }
    let mut on_disk = tempfile::NamedTempFile::new().expect("a temporary file");
    on_disk.write_all(&bytes).expect("the file is written");
    let Ok(examination) = examine(on_disk.path()) else {
        return Ok(());
    };
    for check in &examination.checks {
        let words = check.found.len() + check.means.len() + check.next.len();
        assert!(words < 2000, "{words} bytes of {}", check.name);
        let sound = check.verdict == Verdict::Ok;
        assert!(sound == check.means.is_empty(), "{check:?}");
    }
    let small = examination
        .estimate
        .as_ref()
        .is_some_and(|e| e.generation(64) < 64 << 20);
    if examination.may_be_run() && small {
        let options = LoadOptions {
            device: DeviceWish::Cpu,
            threads: Some(1),
        };
        let _ = try_out(on_disk.path(), &options, &Cancel::new());
    }
    Ok(())
}

fn sound() -> &'static GgufFile {
    static SOUND: OnceLock<GgufFile> = OnceLock::new();
    SOUND.get_or_init(|| {
        let tiny = TinyGguf {
            layers: 1,
            ..TinyGguf::default()
        };
        tiny.file()
    })
}

const KEYS: &[&str] = &[
    "general.architecture",
    "general.alignment",
    "general.name",
    "llama.block_count",
    "llama.context_length",
    "llama.embedding_length",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.rope.freq_base",
    "llama.rope.dimension_count",
    "llama.rope.scaling.type",
    "llama.rope.scaling.factor",
    "llama.rope.scaling.original_context_length",
    "llama.vocab_size",
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.add_space_prefix",
    "tokenizer.chat_template",
];

const TEXTS: &[&str] = &[
    "llama",
    "gpt2",
    "gemma3",
    "qwen2",
    "qwen3",
    "phi3",
    "smollm3",
    "smollm",
    "llama-bpe",
    "default",
    "linear",
    "yarn",
    "none",
    "",
    "▁",
    "▁hi",
    "<0x41>",
    "<s>",
    "</s>",
    "<|im_end|>",
    "a",
    "Ġ",
    "Ġt",
    "é",
    "a b",
    "Ġ t",
    "t h",
    "<|im_start|>",
    "\u{0}",
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}",
    "{{ raise_exception('no') }}",
    "{% for %}",
    "{{ messages }}",
    "{{ messages[1].content }}{{ messages[1].content }}",
];

fn bend(input: &mut Unstructured<'_>, file: &mut GgufFile) -> Result<()> {
    match input.int_in_range(0..=10)? {
        0..=2 => {
            let key = *input.choose(KEYS)?;
            let value = value(input)?;
            file.set(key, value);
        }
        3 => {
            let key = *input.choose(KEYS)?;
            file.remove(key);
        }
        4 => {
            // As SentencePiece means it: scores instead of merges.
            file.set("tokenizer.ggml.model", Meta::Text("llama".into()));
            let n = tokens(file).len();
            file.set(
                "tokenizer.ggml.scores",
                Meta::F32s((0..n).map(|i| -(i as f32)).collect()),
            );
        }
        5 => {
            let at = input.int_in_range(0..=300)?;
            let text = (*input.choose(TEXTS)?).to_owned();
            let mut tokens = tokens(file);
            if let Some(token) = tokens.get_mut(at) {
                *token = text;
            }
            file.set("tokenizer.ggml.tokens", Meta::Texts(tokens));
        }
        6 => {
            let at = input.int_in_range(0..=300)?;
            let kind = input.int_in_range(-1..=7)?;
            if let Some((_, Meta::I32s(kinds))) = file
                .metadata
                .iter_mut()
                .find(|(k, _)| k == "tokenizer.ggml.token_type")
                && let Some(entry) = kinds.get_mut(at)
            {
                *entry = kind;
            }
        }
        7 => {
            let at = input.choose_index(file.tensors.len())?;
            let tensor = &mut file.tensors[at];
            match input.int_in_range(0..=5)? {
                0 => tensor.ggml_type = input.int_in_range(0..=40)?,
                1 => tensor.claimed_offset = Some(u64::from(input.arbitrary::<u16>()?) * 32),
                2 => tensor.claimed_offset = Some(input.arbitrary()?),
                3 => tensor.dimensions = input.arbitrary()?,
                4 => tensor.dimensions.reverse(),
                _ => tensor.name = format!("blk.{}.attn_q.weight", input.int_in_range(0..=2)?),
            }
        }
        8 => {
            let at = input.choose_index(file.tensors.len())?;
            let byte = input.choose_index(file.tensors[at].data.len().max(1))?;
            let new = input.arbitrary()?;
            if let Some(old) = file.tensors[at].data.get_mut(byte) {
                *old = new;
            }
        }
        9 => {
            // The same shape under another architecture's name.
            let name = input.choose(ARCHITECTURES)?.name;
            file.set("general.architecture", Meta::Text(name.into()));
            for (key, _) in &mut file.metadata {
                if let Some(rest) = key.strip_prefix("llama.") {
                    *key = format!("{name}.{rest}");
                }
            }
        }
        _ => {
            let at = input.choose_index(file.tensors.len())?;
            if input.arbitrary()? {
                file.tensors.remove(at);
            } else {
                let mut copy = file.tensors[at].clone();
                copy.name = (*input.choose(&[
                    "output.weight",
                    "rope_freqs.weight",
                    "x",
                    "blk.0.attn_q.bias",
                    "blk.0.attn_q_norm.weight",
                    "blk.0.post_ffw_norm.weight",
                ])?)
                .to_owned();
                file.tensors.push(copy);
            }
        }
    }
    Ok(())
}

fn tokens(file: &GgufFile) -> Vec<String> {
    file.metadata
        .iter()
        .find_map(|(key, value)| match value {
            Meta::Texts(tokens) if key == "tokenizer.ggml.tokens" => Some(tokens.clone()),
            _ => None,
        })
        .unwrap_or_default()
}

fn value(input: &mut Unstructured<'_>) -> Result<Meta> {
    Ok(match input.int_in_range(0..=7)? {
        0 => Meta::U32(input.arbitrary()?),
        1 => Meta::U32(*input.choose(&[
            0,
            1,
            2,
            3,
            4,
            16,
            31,
            32,
            64,
            96,
            128,
            256,
            1 << 16,
            u32::MAX,
        ])?),
        2 => Meta::F32(*input.choose(&[
            0.0,
            1e-5,
            1.0,
            10_000.0,
            -1.0,
            f32::NAN,
            f32::INFINITY,
            1e-38,
        ])?),
        3 => Meta::Bool(input.arbitrary()?),
        4 | 5 => Meta::Text((*input.choose(TEXTS)?).to_owned()),
        6 => Meta::Texts(
            (0..input.int_in_range(0..=300)?)
                .map(|_| Ok((*input.choose(TEXTS)?).to_owned()))
                .collect::<Result<_>>()?,
        ),
        _ => Meta::I32s(input.arbitrary()?),
    })
}
