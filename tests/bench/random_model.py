"""Writes a 4-bit GGUF file of random weights in the shape of a 3B model, to measure what such a model costs.

    python tests/bench/random_model.py MODEL.gguf RANDOM.gguf

Shape: Llama 3.2 3B (28 blocks of 3072, 24 heads over 8, feed-forward 8192, 128,256 tokens, tied). Types as Q4_K_M has most of them:
Q4_K, and Q6_K for the embeddings. The tokenizer is MODEL's, filled up with tokens that no text has. It needs the package gguf.
"""

import pathlib
import sys

import gguf
import numpy as np

BLOCKS, HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, HEAD, VOCABULARY = 28, 3072, 8192, 24, 8, 128, 128256
# A weight's standard deviation, about what trained ones have.
DEVIATION = 0.02
Q4_K, Q6_K = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K


def random_blocks(rng, rows, columns, kind):
    """Quantized blocks of random content whose scales are of a size: `[rows, bytes]`."""
    count = rows * columns // 256
    if kind == Q4_K:
        # d and dmin, 12 bytes of 6-bit scales and minima, 128 of 4-bit numbers: w = d s q - dmin m.
        blocks = rng.integers(0, 256, (count, 144), dtype=np.uint8)
        spread = DEVIATION / 300
        blocks[:, :4] = np.array([spread, spread * 7.5], dtype=np.float16).view(np.uint8)
    else:
        # 192 bytes of 6-bit numbers, 16 of signed scales, d: w = d s (q - 32).
        blocks = rng.integers(0, 256, (count, 210), dtype=np.uint8)
        blocks[:, 208:] = np.array([DEVIATION / 1360], dtype=np.float16).view(np.uint8)
    return blocks.reshape(rows, -1)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source = gguf.GGUFReader(sys.argv[1])
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(pathlib.Path(sys.argv[2]), "llama")
    of = lambda name: source.fields[f"tokenizer.{name}"].contents()
    writer.add_name("Random 3B")
    writer.add_block_count(BLOCKS)
    writer.add_context_length(8192)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_rope_dimension_count(HEAD)
    writer.add_vocab_size(VOCABULARY)
    tokens = of("ggml.tokens")
    more = VOCABULARY - len(tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(of("ggml.pre"))
    writer.add_token_list(tokens + [f"<|unused {i}|>" for i in range(more)])
    writer.add_token_types(of("ggml.token_type") + [gguf.TokenType.UNUSED] * more)
    writer.add_token_merges(of("ggml.merges"))
    writer.add_bos_token_id(of("ggml.bos_token_id"))
    writer.add_eos_token_id(of("ggml.eos_token_id"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(of("chat_template"))
    matrix = lambda name, rows, columns, kind=Q4_K: writer.add_tensor(
        f"{name}.weight", random_blocks(rng, rows, columns, kind), raw_dtype=kind)
    norm = lambda name: writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, dtype=np.float32))
    matrix("token_embd", VOCABULARY, HIDDEN, Q6_K)
    norm("output_norm")
    for block in range(BLOCKS):
        name = f"blk.{block}."
        norm(name + "attn_norm")
        matrix(name + "attn_q", HEADS * HEAD, HIDDEN)
        matrix(name + "attn_k", KV_HEADS * HEAD, HIDDEN)
        matrix(name + "attn_v", KV_HEADS * HEAD, HIDDEN)
        matrix(name + "attn_output", HIDDEN, HEADS * HEAD)
        norm(name + "ffn_norm")
        matrix(name + "ffn_gate", FEED_FORWARD, HIDDEN)
        matrix(name + "ffn_up", FEED_FORWARD, HIDDEN)
        matrix(name + "ffn_down", HIDDEN, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
