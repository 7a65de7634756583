//! A small sound GGUF adapter with parts of it bent: it is read for the model or refused, and nothing is allocated that the
//! file does not hold.
#![no_main]

use std::{io::Write as _, sync::OnceLock};

use arbitrary::{Result, Unstructured};
use idiolect_engine::{Engine, LoadedModel};
use idiolect_llm::{
    AdapterSource, DeviceWish,
    testing::{GgufFile, Meta, TensorSpec, TinyGguf, tiny_gguf},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = run(&mut Unstructured::new(bytes));
});

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut file = sound();
    for _ in 0..input.int_in_range(0..=4)? {
        bend(input, &mut file)?;
    }
    let mut bytes = file.to_bytes();
    if input.ratio(1, 4)? {
        let at = input.int_in_range(0..=bytes.len() - 1)?;
        bytes[at] = input.arbitrary()?;
    }
    if input.ratio(1, 8)? {
        bytes.truncate(input.int_in_range(0..=bytes.len())?);
    }
    let mut on_disk = tempfile::NamedTempFile::new().expect("a temporary file");
    on_disk.write_all(&bytes).expect("the file is written");
    let source = AdapterSource {
        dir: on_disk.path().to_owned(),
        scale: 1.0,
    };
    let _ = model().adapters(&[source]);
    Ok(())
}

fn bend(input: &mut Unstructured<'_>, file: &mut GgufFile) -> Result<()> {
    let tensor = input.int_in_range(0..=file.tensors.len() - 1)?;
    let tensor = &mut file.tensors[tensor];
    match input.int_in_range(0..=5)? {
        0 => tensor.name = name(input)?,
        1 => tensor.dimensions = input.arbitrary()?,
        2 => tensor.ggml_type = input.int_in_range(0..=40)?,
        3 => tensor.claimed_offset = Some(input.arbitrary()?),
        4 => {
            file.set("adapter.lora.alpha", Meta::F32(input.arbitrary()?));
        }
        _ => file.claimed_tensors = Some(input.arbitrary()?),
    }
    Ok(())
}

fn name(input: &mut Unstructured<'_>) -> Result<String> {
    let layer: u8 = input.int_in_range(0..=2)?;
    let part = input.choose(&["attn_q", "attn_v", "ffn_down", "ffn_norm", ""])?;
    let end = input.choose(&["a", "b", ""])?;
    Ok(format!("blk.{layer}.{part}.weight.lora_{end}"))
}

/// One pair for the first layer's queries.
fn sound() -> GgufFile {
    let tensor = |end: &str, dimensions: [u64; 2]| TensorSpec {
        name: format!("blk.0.attn_q.weight.lora_{end}"),
        dimensions: dimensions.to_vec(),
        ggml_type: 0,
        data: vec![0; 2 * 64 * 4],
        claimed_offset: None,
    };
    let text = |key: &str, value: &str| (key.to_owned(), Meta::Text(value.into()));
    GgufFile {
        magic: *b"GGUF",
        version: 3,
        claimed_tensors: None,
        claimed_metadata: None,
        metadata: vec![
            text("general.architecture", "llama"),
            text("general.type", "adapter"),
            text("adapter.type", "lora"),
        ],
        tensors: vec![tensor("a", [64, 2]), tensor("b", [2, 64])],
    }
}

fn model() -> &'static LoadedModel {
    static MODEL: OnceLock<LoadedModel> = OnceLock::new();
    MODEL.get_or_init(|| {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        let tiny = TinyGguf {
            layers: 1,
            ..TinyGguf::default()
        };
        file.write_all(&tiny_gguf(&tiny)).expect("it is written");
        Engine::load(file.path(), "tiny", DeviceWish::Cpu).expect("a sound file loads")
    })
}
