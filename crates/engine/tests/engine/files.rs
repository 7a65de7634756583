//! Sound, odd and hostile files.

use idiolect_engine::Engine;
use idiolect_llm::{
    DeviceWish, LlmError, Message, Role, TextModel, guard,
    testing::{Meta, TinyGguf, hostile_ggufs, tiny_gguf},
};

use crate::{load, tiny};

#[test]
fn a_sound_file_tells_about_itself() {
    let model = tiny(&TinyGguf::default());
    let info = model.info();
    assert_eq!(
        (info.layers, info.hidden, info.context),
        (2, 64, 256),
        "the shape"
    );
    assert_eq!(info.architecture, "llama");
    assert_eq!(
        info.vocabulary, 266,
        "3 control tokens, 256 bytes, 7 merges"
    );
    assert!(
        info.quantization.starts_with("Q4_1") && info.quantization.contains("Q8_0"),
        "{}",
        info.quantization
    );
    assert!(info.has_template && !info.adds_bos, "as the metadata say");
    assert!(
        info.device.label.starts_with("CPU ("),
        "{}",
        info.device.label
    );
}

#[test]
fn a_storage_type_that_is_not_read_is_refused_by_name_with_a_way_on() {
    for (number, called) in [(23, "IQ4_XS"), (99, "the unknown type 99")] {
        let mut file = TinyGguf::default().file();
        file.tensor("blk.1.attn_q.weight").ggml_type = number;
        let error = load(&file.to_bytes(), DeviceWish::Cpu).err();
        let Some(LlmError::Unsupported(message)) = error else {
            panic!("{error:?}");
        };
        for part in ["blk.1.attn_q.weight", called, "Q4_K_M"] {
            assert!(message.contains(part), "{part:?} in {message:?}");
        }
    }
}

#[test]
fn control_tokens_count_in_prompts_only() {
    let model = tiny(&TinyGguf::default());
    let prompt = model
        .render(&[Message::new(Role::User, "the <|im_end|>")])
        .unwrap();
    assert_eq!(
        guard::shown(&prompt),
        "<|im_start|>user\nthe <|im_end|><|im_end|>\n<|im_start|>assistant\n"
    );
    let tokens = model.encode_prompt(&prompt).unwrap();
    assert_eq!(tokens[0], 1, "<|im_start|> is one token in a prompt");
    assert_eq!(
        tokens.iter().filter(|&&t| t == 2).count(),
        1,
        "and so is <|im_end|>, but only where the template says it, not the message"
    );
    let honest: String = model.decode(&tokens);
    assert!(
        honest.contains("the <|im_end|>"),
        "which the model reads letter by letter: {honest}"
    );
    let text = "on the <|im_end|> of it: 1234 é 🙂\n";
    let tokens = model.encode(text).unwrap();
    assert!(
        tokens.iter().all(|&t| t > 2),
        "but letters in a text: {tokens:?}"
    );
    assert_eq!(model.decode(&tokens), text, "byte for byte");
    assert_eq!(model.decode(&[1, 2, 0]), "", "control tokens have no text");
    assert_eq!(model.end_of_turn(), 2);
    let merged = model.encode("in the").unwrap();
    assert_eq!(merged.len(), 2, "merges apply: {merged:?}");
}

#[test]
fn bos_is_added_where_the_metadata_say_so() {
    let mut file = TinyGguf::default().file();
    file.set("tokenizer.ggml.add_bos_token", Meta::Bool(true));
    let model = load(&file.to_bytes(), DeviceWish::Cpu).unwrap();
    assert_eq!(model.bos(), Some(1));
    assert_eq!(
        model.encode_prompt("a").unwrap()[0],
        1,
        "put in front of a prompt"
    );
    assert_eq!(
        model
            .encode_prompt("<|im_start|>a")
            .unwrap()
            .iter()
            .filter(|&&t| t == 1)
            .count(),
        1,
        "but not twice"
    );
    assert_ne!(model.encode("a").unwrap()[0], 1, "never of a text");
}

#[test]
fn a_missing_or_broken_template_is_told() {
    let model = tiny(&TinyGguf {
        template: None,
        ..TinyGguf::default()
    });
    assert!(
        matches!(model.render(&[]), Err(LlmError::NoTemplate)),
        "none is not guessed"
    );
    let model = tiny(&TinyGguf {
        template: Some("{% for %}".into()),
        ..TinyGguf::default()
    });
    assert!(
        matches!(model.render(&[]), Err(LlmError::Template(_))),
        "a broken one says so, the model still loads"
    );
}

/// A tiny model with a SentencePiece vocabulary: 256 bytes and a few pieces.
pub(crate) fn sentencepiece() -> idiolect_engine::LoadedModel {
    let mut file = TinyGguf::default().file();
    let mut tokens: Vec<String> = vec!["<unk>".into(), "<s>".into(), "</s>".into()];
    tokens.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    tokens.extend(["▁", "h", "i", "hi", "▁hi", "▁h", "!"].map(String::from));
    let n = tokens.len();
    let kinds = (0..n)
        .map(|i| match i {
            0 => 2,
            1 | 2 => 3,
            3..=258 => 6,
            _ => 1,
        })
        .collect();
    file.set("tokenizer.ggml.model", Meta::Text("llama".into()))
        .set("tokenizer.ggml.tokens", Meta::Texts(tokens))
        .set("tokenizer.ggml.token_type", Meta::I32s(kinds))
        .set(
            "tokenizer.ggml.scores",
            Meta::F32s((0..n).map(|i| -(i as f32)).collect()),
        )
        .remove("tokenizer.ggml.add_bos_token");
    load(&file.to_bytes(), DeviceWish::Cpu).unwrap()
}

#[test]
fn a_sentencepiece_vocabulary_is_read() {
    let model = sentencepiece();
    assert_eq!(
        model.bos(),
        Some(1),
        "SentencePiece models begin with BOS unless told otherwise"
    );
    let tokens = model.encode("hi é!").unwrap();
    assert_eq!(
        tokens,
        [263, 259, 3 + 0xc3, 3 + 0xa9, 265],
        "a word, a space, two bytes, a mark"
    );
    assert_eq!(
        model.decode(&tokens),
        "hi é!",
        "without the space put in front"
    );
}

#[test]
fn hostile_files_are_errors_and_nothing_worse() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hostile.gguf");
    let files = hostile_ggufs();
    assert!(files.len() > 150, "{} files", files.len());
    for (what, bytes) in files {
        // A new name each time: a mapped file must not be written over.
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, &bytes).unwrap();
        match Engine::load(&path, "hostile", DeviceWish::Cpu) {
            Err(LlmError::Corrupt(why) | LlmError::Unsupported(why)) => {
                assert!(!why.is_empty() && why.len() < 400, "{what}: {why}");
            }
            Err(other) => panic!("{what}: reported as {other:?}"),
            Ok(_) => panic!("{what}: loaded"),
        }
    }
    assert!(matches!(
        Engine::load(&dir.path().join("none.gguf"), "x", DeviceWish::Cpu),
        Err(LlmError::Io(_))
    ));
}

#[test]
fn the_estimate_needs_only_the_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, tiny_gguf(&TinyGguf::default())).unwrap();
    let estimate = Engine::estimate(&path).unwrap();
    assert_eq!(
        estimate.cache_per_token,
        2 * 2 * 32 * 4,
        "layers × (keys, values) × width × f32"
    );
    assert!(
        estimate.generation(200) > estimate.generation(100),
        "more context takes more"
    );
}
