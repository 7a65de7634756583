"""Exports of adapters, each loaded by the program it is for: PEFT on transformers, and llama.cpp.

    python tests/bench/exports.py --model MODEL.gguf [--llama-python PYTHON --llama-lib FOLDER] [--folder target/exports]

Writes a q,k-only and an all-linear adapter of random weights with `cargo run -p idiolect-engine --example exports`, then prints for each
export the mean |Δ| in nats between the log-probabilities of 512 tokens here and there. torch, transformers, peft and gguf are installed
into an environment in the folder. llama.cpp is what `cargo xtask bench` builds: `--llama-python target/peers/python/bin/python
--llama-lib target/peers/LEVEL/bin`; without the two it is left out.

Limits: 0.02 nats where the program computes in float32 (transformers, with the model's weights dequantized), 0.08 where it rounds
activations to bytes (llama.cpp over quantized weights). What the adapter itself does is printed beside them, and so is the difference
without an adapter, which no export can be better than.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ["torch", "transformers", "peft", "gguf", "numpy"]
LIMITS = {"float": 0.02, "int8": 0.08}


def mean_difference(a, b):
    """Mean |Δ| of two lists of the same length."""
    assert len(a) == len(b), (len(a), len(b))
    return sum(abs(x - y) for x, y in zip(a, b)) / len(a)


def in_peft(model_file, folder):
    """Log-probabilities of the tokens in transformers: without the adapter, and with it on through PEFT."""
    import gguf
    import numpy as np
    import peft
    import torch
    import transformers

    sys.path.insert(0, str(ROOT / "tests" / "references"))
    from weights import checkpoint

    reader = gguf.GGUFReader(model_file)
    architecture = reader.fields["general.architecture"].contents()
    if architecture != "llama":
        sys.exit("the script's configuration is that of a llama")

    def key(name, default=None):
        field = reader.fields.get(f"llama.{name}")
        return field.contents() if field else default

    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    heads, kv_heads = key("attention.head_count"), key("attention.head_count_kv")
    state = checkpoint(architecture, tensors, heads, kv_heads)
    configuration = transformers.LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0], hidden_size=key("embedding_length"), num_attention_heads=heads,
        intermediate_size=key("feed_forward_length"), num_hidden_layers=key("block_count"), num_key_value_heads=kv_heads,
        head_dim=key("attention.key_length", key("embedding_length") // heads),
        rms_norm_eps=key("attention.layer_norm_rms_epsilon"), max_position_embeddings=key("context_length"),
        tie_word_embeddings="output.weight" not in tensors,
        rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base", 10000.0)},
    )
    model = transformers.AutoModelForCausalLM.from_config(configuration, attn_implementation="eager", dtype=torch.float32).eval()
    loaded = model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    assert not loaded.unexpected_keys, loaded.unexpected_keys
    tokens = json.loads((folder / "own.json").read_text())["tokens"]

    def following(model):
        with torch.no_grad():
            log_probs = model(torch.tensor([tokens]), use_cache=False).logits[0].double().log_softmax(-1)
        return [log_probs[i, t].item() for i, t in enumerate(tokens[1:])]

    base = following(model)
    adapted = following(peft.PeftModel.from_pretrained(model, str(folder / "peft")))
    return {"engine": f"peft {peft.__version__}, transformers {transformers.__version__}, float32", "base": base, "peft": adapted}


def in_llama_cpp(model_file, folder):
    """The same in llama.cpp: the model alone, the model with the GGUF adapter, and the merged model."""
    import ctypes

    sys.path.insert(0, str(HERE))
    from llama_cpp import bindings

    lib = bindings()
    silent = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    lib.llama_backend_init()
    tokens = json.loads((folder / "own.json").read_text())["tokens"]

    def following(path, adapter=None):
        model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        if not model:
            sys.exit(f"llama.cpp cannot load {path}")
        vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        p = lib.llama_context_default_params()
        p.n_ctx, p.n_batch, p.n_ubatch = len(tokens) + 64, len(tokens), len(tokens)
        p.n_threads = p.n_threads_batch = os.cpu_count()
        p.type_k = p.type_v = lib.GGML_TYPE_F32
        p.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        context = lib.llama_init_from_model(model, p)
        if adapter is not None:
            lora = lib.llama_adapter_lora_init(model, str(adapter).encode())
            if not lora:
                sys.exit(f"llama.cpp cannot load {adapter}")
            if lib.llama_set_adapters_lora(context, (lib.llama_adapter_lora_p_ctypes * 1)(lora), 1, (ctypes.c_float * 1)(1.0)):
                sys.exit(f"llama.cpp cannot use {adapter}")
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.logits[i] = token, i, True
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        if lib.llama_decode(context, batch):
            sys.exit("llama_decode fails")
        scores = []
        for i, token in enumerate(tokens[1:]):
            row = lib.llama_get_logits_ith(context, i)[:vocabulary]
            top = max(row)
            scores.append(row[token] - top - math.log(sum(math.exp(x - top) for x in row)))
        lib.llama_batch_free(batch)
        lib.llama_free(context)
        lib.llama_model_free(model)
        return scores

    return {
        "engine": "llama.cpp", "base": following(model_file),
        "gguf": following(model_file, folder / "lora.gguf"), "merged": following(folder / "merged.gguf"),
    }


def environment(folder):
    """The Python of an environment with the packages, made if need be."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    if subprocess.run([python, "-c", "import torch, transformers, peft, gguf"], capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "target" / "exports")
    parser.add_argument("--llama-python", type=pathlib.Path)
    parser.add_argument("--llama-lib", type=pathlib.Path)
    parser.add_argument("--as", dest="role", choices=["peft", "llama"], help=argparse.SUPPRESS)
    parser.add_argument("--of", type=pathlib.Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.role:
        print(json.dumps({"peft": in_peft, "llama": in_llama_cpp}[wanted.role](wanted.model, wanted.of)))
        return
    roles = [("peft", environment(wanted.folder), {}, "float")]
    if wanted.llama_python and wanted.llama_lib:
        roles.append(("llama", wanted.llama_python, {"LLAMA_CPP_LIB_PATH": str(wanted.llama_lib.resolve())}, "int8"))
    failed = False
    for targets in ("qk", "all"):
        of = wanted.folder / f"adapter-{targets}"
        if of.exists():
            import shutil

            shutil.rmtree(of)
        cargo = ["cargo", "run", "--quiet", "-p", "idiolect-engine", "--example", "exports", "--"]
        subprocess.run([*cargo, wanted.model.resolve(), of, targets], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        own = json.loads((of / "own.json").read_text())
        effect = mean_difference(own["base"], own["adapted"])
        print(f"{targets}: the adapter moves a token by {effect:.3f} nats; checked here {own['checked']}; merged as {own['storage']}")
        for role, python, extra, kind in roles:
            command = [python, __file__, "--model", wanted.model.resolve(), "--as", role, "--of", of]
            said = json.loads(subprocess.run(command, check=True, env={**os.environ, **extra}, stdout=subprocess.PIPE).stdout)
            engine = said.pop("engine")
            for export, scores in said.items():
                difference = mean_difference(own["base" if export == "base" else "adapted"], scores)
                right = export == "base" or difference <= LIMITS[kind]
                failed |= not right
                print(f"  {export:7} {difference:.5f} nats, limit {LIMITS[kind]} ({engine}){'' if right else '  TOO FAR'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
