"""A real GGUF file computed by transformers in float32: log-probabilities of 512 tokens and the best five at some places.

Writes tests/fixtures/NAME_teacher_forced_f32.json.
"""

import argparse
import hashlib
import json
import pathlib

import gguf
import numpy as np
import torch
import transformers

from weights import checkpoint

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
TOKENS = 512


def configuration(architecture, key, tensors):
    """The configuration of a checkpoint from the metadata."""
    heads = key("attention.head_count")
    hidden = key("embedding_length")
    shared = dict(
        vocab_size=tensors["token_embd.weight"].shape[0], hidden_size=hidden, num_attention_heads=heads,
        intermediate_size=key("feed_forward_length"), num_hidden_layers=key("block_count"),
        num_key_value_heads=key("attention.head_count_kv"), head_dim=key("attention.key_length", hidden // heads),
        rms_norm_eps=key("attention.layer_norm_rms_epsilon"), max_position_embeddings=key("context_length"),
        tie_word_embeddings="output.weight" not in tensors,
    )
    rope = {"rope_type": "default", "rope_theta": key("rope.freq_base")}
    if architecture == "gemma3":
        return transformers.Gemma3TextConfig(
            sliding_window=key("attention.sliding_window"), query_pre_attn_scalar=shared["head_dim"],
            rope_parameters={
                "full_attention": rope,
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            }, **shared)
    kinds = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config, "qwen3": transformers.Qwen3Config}
    return kinds[architecture](rope_parameters=rope, **shared)


def spelled(reader, text):
    """The text in tokens, by the file's own byte-level BPE; the pattern is that of Qwen2's tokenizer.json."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    texts = lambda key: [bytes(reader.fields[key].parts[i]).decode() for i in reader.fields[key].data]
    merges = [tuple(m.split(" ")) for m in texts("tokenizer.ggml.merges")]
    vocabulary = {}
    for i, token in enumerate(texts("tokenizer.ggml.tokens")):
        vocabulary.setdefault(token, i)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    return tokenizer.encode(text, add_special_tokens=False).ids


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("file", type=pathlib.Path)
    arguments.add_argument("name")
    arguments = arguments.parse_args()
    reader = gguf.GGUFReader(arguments.file)
    architecture = reader.fields["general.architecture"].contents()

    def key(name, default=None):
        field = reader.fields.get(f"{architecture}.{name}")
        return field.contents() if field else default

    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    state = checkpoint(architecture, tensors, key("attention.head_count"), key("attention.head_count_kv"))
    model = transformers.AutoModelForCausalLM.from_config(
        configuration(architecture, key, tensors), attn_implementation="eager", dtype=torch.float32
    ).eval()
    result = model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    assert not result.unexpected_keys, result.unexpected_keys
    assert all("rotary" in k for k in result.missing_keys), result.missing_keys

    text = (FIXTURES / "perplexity_text.txt").read_text(encoding="utf-8")
    whole = spelled(reader, text)
    tokens = whole[:TOKENS]
    with torch.no_grad():
        log_probs = model(torch.tensor([tokens]), use_cache=False).logits[0].double().log_softmax(-1)
    following = [log_probs[i, t].item() for i, t in enumerate(tokens[1:])]
    with open(arguments.file, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    best = []
    for at in (0, 1, 100, TOKENS - 1):
        top = log_probs[at].topk(5)
        best.append({"at": at, "ids": top.indices.tolist(), "log_probs": [round(p, 6) for p in top.values.tolist()]})
    (FIXTURES / f"{arguments.name}_teacher_forced_f32.json").write_text(json.dumps({
        "model": arguments.file.name,
        "sha256": digest,
        "engine": f"transformers {transformers.__version__} f32 (GGUF dequantized)",
        "n_tokens_full_text": len(whole),
        "tokens": tokens,
        "logprob_next": [round(p, 6) for p in following],
        "argmax": log_probs.argmax(-1).tolist(),
        "best": best,
    }) + "\n")
    print(f"mean log-probability {np.mean(following):.4f}")


main()
