"""Tiny random models of every architecture and what transformers computes with them in float32.

Writes tests/fixtures/architectures.json; with `--gguf FOLDER` also a GGUF file of each model.
"""

import argparse
import json
import math
import pathlib

import numpy as np
import torch
import transformers

from weights import checkpoint

HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, VOCABULARY = 64, 96, 4, 2, 266
EPSILON = 1e-5
MASK = (1 << 64) - 1


def integers(name, count):
    """The generator: SplitMix64 (Steele et al. 2014) over a counter that starts at the name's FNV-1a hash."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def generated(name, shape):
    """Values of a tensor, `[outputs, inputs]`: matrices by their inputs, norms about 1, biases about 0."""
    count = math.prod(shape)
    unit = (integers(name, count) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    if len(shape) == 2:
        value = unit * np.sqrt(np.float32(6) / np.float32(shape[1]))
    elif name.endswith(".bias"):
        value = unit
    else:
        value = np.float32(1) + unit * np.float32(0.25)
    return value.astype(np.float32).reshape(shape)


def tokens(seed, count):
    return [(i * 37 + seed * 101 + i * i * 7) % VOCABULARY for i in range(count)]


class Tiny:
    """A model before it is numbers."""

    def __init__(self, name, architecture, config, layers, head_dim, texts, tied=True, bent=(), **metadata):
        self.name, self.architecture, self.texts, self.bent = name, architecture, texts, list(bent)
        self.config, self.layers, self.head_dim, self.tied = config, layers, head_dim, tied
        prefix = architecture
        self.metadata = {
            "general.architecture": architecture,
            "general.name": f"Tiny random {name}",
            f"{prefix}.block_count": layers,
            f"{prefix}.embedding_length": HIDDEN,
            f"{prefix}.feed_forward_length": FEED_FORWARD,
            f"{prefix}.attention.head_count": HEADS,
            f"{prefix}.attention.head_count_kv": KV_HEADS,
            f"{prefix}.attention.layer_norm_rms_epsilon": EPSILON,
            f"{prefix}.context_length": 256,
        }
        if head_dim != HIDDEN // HEADS:
            self.metadata[f"{prefix}.attention.key_length"] = head_dim
            self.metadata[f"{prefix}.attention.value_length"] = head_dim
        self.metadata.update({f"{prefix}.{key}": value for key, value in metadata.items()})
        self.written = {}

    def tensors(self):
        """Names and shapes as the converter writes them."""
        q, kv = HEADS * self.head_dim, KV_HEADS * self.head_dim
        shapes = {"token_embd.weight": (VOCABULARY, HIDDEN), "output_norm.weight": (HIDDEN,)}
        if not self.tied:
            shapes["output.weight"] = (VOCABULARY, HIDDEN)
        for layer in range(self.layers):
            put = lambda name, *shape: shapes.__setitem__(f"blk.{layer}.{name}", shape)
            put("attn_norm.weight", HIDDEN)
            put("ffn_norm.weight", HIDDEN)
            put("attn_output.weight", HIDDEN, q)
            put("ffn_down.weight", HIDDEN, FEED_FORWARD)
            if self.architecture == "phi3":
                put("attn_qkv.weight", q + 2 * kv, HIDDEN)
                put("ffn_up.weight", 2 * FEED_FORWARD, HIDDEN)
            else:
                put("attn_q.weight", q, HIDDEN)
                put("attn_k.weight", kv, HIDDEN)
                put("attn_v.weight", kv, HIDDEN)
                put("ffn_gate.weight", FEED_FORWARD, HIDDEN)
                put("ffn_up.weight", FEED_FORWARD, HIDDEN)
            if self.architecture == "qwen2":
                put("attn_q.bias", q)
                put("attn_k.bias", kv)
                put("attn_v.bias", kv)
            if self.architecture in ("qwen3", "gemma3"):
                put("attn_q_norm.weight", self.head_dim)
                put("attn_k_norm.weight", self.head_dim)
            if self.architecture == "gemma3":
                put("post_attention_norm.weight", HIDDEN)
                put("post_ffw_norm.weight", HIDDEN)
        return shapes

    def run(self):
        values = {name: generated(name, shape) for name, shape in self.tensors().items()}
        state = checkpoint(self.architecture, values, HEADS, KV_HEADS)
        model = transformers.AutoModelForCausalLM.from_config(
            self.config, attn_implementation="eager", dtype=torch.float32
        ).eval()
        with torch.no_grad():
            result = model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()}, strict=False)
            assert not result.unexpected_keys, result.unexpected_keys
            assert all("rotary" in k for k in result.missing_keys), result.missing_keys
            texts = []
            for seed, count in self.texts:
                text = tokens(seed, count)
                logits = model(torch.tensor([text]), use_cache=False).logits[0].double()
                log_probs = logits.log_softmax(-1)
                following = [log_probs[i, t].item() for i, t in enumerate(text[1:])]
                texts.append({
                    "tokens": text,
                    "log_probs": [round(p, 6) for p in following],
                    "last_log_probs": [round(p, 6) for p in log_probs[-1].tolist()],
                })
        spread = max(max(t["log_probs"]) - min(t["log_probs"]) for t in texts)
        print(f"{self.name}: log-probabilities spread over {spread:.2f} nats")
        return {
            "name": self.name,
            "metadata": self.metadata,
            "tensors": [[name, list(shape)] for name, shape in self.tensors().items()],
            "written": self.written,
            "bent": self.bent,
            "texts": texts,
        }

    def write_gguf(self, path):
        import gguf

        writer = gguf.GGUFWriter(path, self.architecture)
        for key, value in self.metadata.items():
            if key == "general.architecture":
                continue
            if isinstance(value, str):
                writer.add_string(key, value)
            elif isinstance(value, int):
                writer.add_uint32(key, value)
            else:
                writer.add_float32(key, value)
        for name, shape in self.tensors().items():
            writer.add_tensor(name, generated(name, shape))
        for name, value in self.written.items():
            writer.add_tensor(name, np.array(value, dtype=np.float32))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        spelled = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
        moved = iter(range(256, 512))
        spelled += [chr(b) if b in printable else chr(next(moved)) for b in range(256)]
        merges = ["Ġ t", "h e", "Ġt he", "i n", "o n", "e r", "Ġ a"]
        spelled += [m.replace(" ", "") for m in merges]
        writer.add_token_list(spelled)
        writer.add_token_types([3] * 3 + [1] * (len(spelled) - 3))
        writer.add_token_merges(merges)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_add_bos_token(False)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def shared(head_dim=HIDDEN // HEADS, **more):
    return dict(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=FEED_FORWARD, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, head_dim=head_dim, rms_norm_eps=EPSILON, max_position_embeddings=256,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, **more,
    )


def models():
    rope = lambda base, **more: {"rope_type": "default", "rope_theta": base, **more}
    yield Tiny(
        "llama", "llama",
        transformers.LlamaConfig(num_hidden_layers=2, tie_word_embeddings=False, rope_parameters=rope(10000.0), **shared()),
        2, 16, [(1, 48)], tied=False, bent=["llama.rope.freq_base"],
        **{"rope.dimension_count": 16, "rope.freq_base": 10000.0},
    )

    # Llama 3's scaling: the converter writes a factor for every pair (conversion/llama.py, generate_extra_tensors).
    scaling = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=64)
    tiny = Tiny(
        "llama-3", "llama",
        transformers.LlamaConfig(num_hidden_layers=2, tie_word_embeddings=True, rope_parameters=scaling, **shared()),
        2, 16, [(2, 96)], **{"rope.dimension_count": 16, "rope.freq_base": 500.0},
    )
    factors = []
    for i in range(8):
        frequency = 500.0 ** (-2 * i / 16)
        length = 2 * math.pi / frequency
        low, high = 64 / scaling["low_freq_factor"], 64 / scaling["high_freq_factor"]
        if length < high:
            factors.append(1.0)
        elif length > low:
            factors.append(8.0)
        else:
            smooth = (64 / length - 1.0) / (4.0 - 1.0)
            factors.append(1 / ((1 - smooth) / 8.0 + smooth))
    tiny.written["rope_freqs.weight"] = [float(np.float32(f)) for f in factors]
    yield tiny

    # Mistral: heads that are longer than hidden size over heads, as Nemo has them.
    yield Tiny(
        "mistral", "llama",
        transformers.MistralConfig(num_hidden_layers=2, tie_word_embeddings=False, sliding_window=None,
                                   rope_parameters=rope(1e6), **shared(32)),
        2, 32, [(3, 48)], tied=False, **{"rope.dimension_count": 32, "rope.freq_base": 1e6},
    )
    yield Tiny(
        "qwen2", "qwen2",
        transformers.Qwen2Config(num_hidden_layers=2, tie_word_embeddings=True, use_sliding_window=False,
                                 rope_parameters=rope(1e6), **shared()),
        2, 16, [(4, 48)], **{"rope.freq_base": 1e6},
    )
    yield Tiny(
        "qwen3", "qwen3",
        transformers.Qwen3Config(num_hidden_layers=2, tie_word_embeddings=True, attention_bias=False,
                                 rope_parameters=rope(1e6), **shared(32)),
        2, 32, [(5, 48)], **{"rope.freq_base": 1e6},
    )
    # The sixth layer sees everything; the others have a window and rotate by another base.
    yield Tiny(
        "gemma3", "gemma3",
        transformers.Gemma3TextConfig(
            num_hidden_layers=7, tie_word_embeddings=True, sliding_window=8, query_pre_attn_scalar=32,
            rope_parameters={
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                "sliding_attention": rope(10000.0),
            }, **shared(32)),
        7, 32, [(6, 60)], bent=["gemma3.attention.sliding_window", "gemma3.rope.scaling.type"],
        **{"rope.freq_base": 1e6, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0,
           "attention.sliding_window": 8},
    )
    yield Tiny(
        "phi3", "phi3",
        transformers.Phi3Config(num_hidden_layers=2, tie_word_embeddings=False, sliding_window=15,
                                original_max_position_embeddings=256, rope_parameters=rope(10000.0), **shared()),
        2, 16, [(7, 48)], tied=False, bent=["phi3.attention.sliding_window"],
        **{"rope.dimension_count": 16, "rope.freq_base": 10000.0, "attention.sliding_window": 15,
           "rope.scaling.original_context_length": 256},
    )

    # LongRoPE on three quarters of a head: one list of factors up to 32 tokens, another for longer texts.
    short = [1.0, 1.05, 1.1, 1.2, 1.35, 1.5]
    long = [1.0, 1.5, 2.5, 4.0, 6.5, 8.0]
    tiny = Tiny(
        "phi3-longrope", "phi3",
        transformers.Phi3Config(
            num_hidden_layers=2, tie_word_embeddings=True, sliding_window=None, original_max_position_embeddings=32,
            rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": short, "long_factor": long,
                             "partial_rotary_factor": 0.75, "original_max_position_embeddings": 32},
            partial_rotary_factor=0.75, **shared()),
        2, 16, [(8, 32), (9, 72)], bent=["phi3.rope.scaling.attn_factor", "phi3.rope.scaling.original_context_length"],
        **{"rope.dimension_count": 12, "rope.freq_base": 10000.0, "rope.scaling.original_context_length": 32,
           "rope.scaling.type": "longrope", "attention.sliding_window": 0,
           "rope.scaling.attn_factor": math.sqrt(1 + math.log(256 / 32) / math.log(32))},
    )
    tiny.written["rope_factors_long.weight"] = [float(np.float32(f)) for f in long]
    tiny.written["rope_factors_short.weight"] = [float(np.float32(f)) for f in short]
    yield tiny
    yield Tiny(
        "smollm3", "smollm3",
        transformers.SmolLM3Config(num_hidden_layers=5, tie_word_embeddings=True, no_rope_layer_interval=4,
                                   use_sliding_window=False, rope_parameters=rope(5e6),
                                   **{k: v for k, v in shared().items() if k != "head_dim"}),
        5, 16, [(10, 48)], **{"rope.dimension_count": 16, "rope.freq_base": 5e6},
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--gguf", type=pathlib.Path, help="also write the models into this folder")
    arguments = arguments.parse_args()
    torch.set_num_threads(1)
    made = []
    for tiny in models():
        made.append(tiny.run())
        if arguments.gguf:
            arguments.gguf.mkdir(parents=True, exist_ok=True)
            tiny.write_gguf(arguments.gguf / f"{tiny.name}.gguf")
    fixture = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "architectures.json"
    lines = ",\n".join(json.dumps(case) for case in made)
    fixture.write_text(f"[\n{lines}\n]\n")


main()
