"""From the tensors of a GGUF file to those of a checkpoint: what the converter did, undone.

The converter is llama.cpp's (conversion/llama.py, gemma.py, phi.py and gguf-py/gguf/tensor_mapping.py).
"""

import numpy as np

# Names within a layer.
LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_qkv.weight": "self_attn.qkv_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
GEMMA = {
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}
PHI = {"ffn_up.weight": "mlp.gate_up_proj.weight"}
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output.weight": "lm_head.weight",
    "output_norm.weight": "model.norm.weight",
}
PERMUTED = ("llama", "smollm3")


def permute(rows, heads):
    """What the converter does to the rows of q and k for the rotation of neighbours."""
    split = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)


def checkpoint(architecture, tensors, heads, kv_heads):
    """State dict of a checkpoint from GGUF tensors by name, as numpy arrays `[outputs, inputs]`."""
    names = {**LAYER, **(GEMMA if architecture == "gemma3" else PHI if architecture == "phi3" else {})}
    state = {}
    for name, value in tensors.items():
        if name.startswith("rope_"):
            continue
        if name in OUTSIDE:
            target = OUTSIDE[name]
        else:
            _, layer, rest = name.split(".", 2)
            target = f"model.layers.{layer}.{names[rest]}"
            of = {"attn_q": heads, "attn_k": kv_heads}.get(rest.split(".")[0])
            if of and architecture in PERMUTED:
                order = permute(np.arange(value.shape[0]), of)
                undone = np.empty_like(value)
                undone[order] = value
                value = undone
        if architecture == "gemma3" and name.endswith("norm.weight"):
            value = value - np.float32(1)
        state[target] = value
    if "lm_head.weight" not in state:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    return state
