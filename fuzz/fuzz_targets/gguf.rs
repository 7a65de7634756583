//! Any bytes as a GGUF file: header, metadata and tensor table are read or refused.
//!
//! What the strict reader takes, the lenient one must take too, and the metadata that decide about a model must be
//! answered without a panic.
#![no_main]

use idiolect_engine::{Config, Gguf, Tokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(gguf) = Gguf::from_bytes(bytes) else {
        return;
    };
    let length = bytes.len();
    for tensor in gguf.tensors().values() {
        assert!(
            tensor.offset + tensor.bytes <= length,
            "a tensor beyond the file"
        );
        let _ = tensor.values();
    }
    let config = Config::from_gguf(&gguf);
    let rows = config.map_or(usize::MAX, |c| c.vocabulary);
    let _ = Tokenizer::from_gguf(&gguf, rows);
});
