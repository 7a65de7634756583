"""LoRA training by PyTorch with peft, step for step as `idiolect bench train --record` went, and both in one run.

    python tests/bench/peft_train.py --install target/peers/peft
    target/peers/peft/bin/python tests/bench/peft_train.py target/debug/idiolect MODEL.gguf

Both sides have the same weights (the GGUF file's, dequantized for PyTorch), the same rows, the same first A and B (read from
our PEFT folder), the same learning rates, AdamW and clipping. They take turns, each in a process of its own, so that
neither warms the machine for the other and peak memory is that of one mode. `reference` is computed before the first step
on both sides and is in neither's time. PyTorch's float32 curve agrees with ours, and our modes with each other, when no step
is further from ours in float32 than the tolerance. Its bfloat16 modes are shown and not judged: their logits have 8 bits, and
a pair's log-probabilities are summed over hundreds of tokens.
"""

import argparse
import ctypes
import gc
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGES = ["torch==2.6.0", "transformers==5.24.0", "peft==0.21.2", "accelerate==1.15.0", "gguf==0.19.0", "numpy"]
# The largest difference of a step's loss from ours in float32, as a share of our largest loss. In float32 two programs sum in
# other orders; with bfloat16 each product keeps 8 bits of its factors, and a pair's loss hangs on sums over its tokens.
FLOAT32 = 1e-3
BFLOAT16 = {"sft": 3e-2, "dpo": 1e-1}
# PyTorch's modes: of the model, and of the adapter. peft keeps adapters in float32 by itself; all in bfloat16 is quicker.
MODES = {
    "float32": ("float32", "float32"),
    "bfloat16": ("bfloat16", "float32"),
    "bfloat16, adapter too": ("bfloat16", "bfloat16"),
}
ALL = "q,k,v,o,gate,up,down"
CASES = [("sft", ALL), ("sft", "q,v"), ("dpo", "q,v"), ("dpo", ALL)]


def load(path, dtype):
    """A GGUF file as a transformers model."""
    sys.path.insert(0, str(ROOT / "tests/references"))
    import gguf
    import numpy as np
    import torch
    import transformers
    from weights import checkpoint

    reader = gguf.GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    if architecture != "llama":
        sys.exit(f"this script builds llama models, and {path} holds a {architecture} one")

    def key(name, default=None):
        field = reader.fields.get(f"{architecture}.{name}")
        return field.contents() if field else default

    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    heads = key("attention.head_count")
    state = checkpoint(architecture, tensors, heads, key("attention.head_count_kv"))
    tied = "output.weight" not in tensors
    configuration = transformers.LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0], hidden_size=key("embedding_length"),
        num_attention_heads=heads, num_key_value_heads=key("attention.head_count_kv"),
        intermediate_size=key("feed_forward_length"), num_hidden_layers=key("block_count"),
        rms_norm_eps=key("attention.layer_norm_rms_epsilon"), max_position_embeddings=key("context_length"),
        tie_word_embeddings=tied, rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base")},
    )
    model = transformers.AutoModelForCausalLM.from_config(configuration, attn_implementation="sdpa", dtype=torch.float32)
    result = model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    assert not result.unexpected_keys, result.unexpected_keys
    if tied:
        model.tie_weights()
    return model.to(dtype)


def held(field):
    """Bytes that the process holds (VmRSS) or held at most since that was last forgotten (VmHWM); Linux counts kilobytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def measure(path, record, mode, threads):
    """Takes the steps of a record and says how they went."""
    import peft
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    record = pathlib.Path(record)
    run = json.loads((record / "run.json").read_text())
    precision, of_adapter = MODES[mode]
    base = load(path, getattr(torch, precision))
    model = peft.PeftModel.from_pretrained(base, record / "initial", is_trainable=True, autocast_adapter_dtype=True)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(getattr(torch, of_adapter))
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # What loading took for a moment is not what training takes: the peak begins anew.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    loaded = held("VmRSS")
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    constants = run["optimizer"]
    optimizer = torch.optim.AdamW(trained, betas=(constants["beta1"], constants["beta2"]), eps=constants["eps"],
                                  weight_decay=constants["weight_decay"])
    rows = [row for example in run["examples"] for row in example["rows"]]
    prompts = [example["prompt"] for example in run["examples"] for _ in example["rows"]]
    tokens = torch.tensor(rows)
    inputs, targets = tokens[:, :-1], tokens[:, 1:].clone()
    for row, prompt in enumerate(prompts):
        targets[row, :max(prompt, 1) - 1] = -100
    objective = run["objective"]
    pairs = isinstance(objective, dict)

    def losses():
        logits = model(input_ids=inputs, use_cache=False).logits.float()
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)

    reference = None
    if pairs:
        beta = objective["dpo"]["beta"]
        with torch.no_grad(), model.disable_adapter():
            reference = -losses().sum(-1)
    found, seconds = [], []
    for rate in run["learning_rates"]:
        started = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate
        nll = losses()
        if pairs:
            gained = -nll.sum(-1) - reference
            loss = -functional.logsigmoid(beta * (gained[0::2] - gained[1::2])).mean()
        else:
            loss = nll.sum() / (targets != -100).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, constants["clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        found.append(loss.item())
        seconds.append(time.perf_counter() - started)
    step = statistics.median(seconds[1:])
    print(json.dumps({"losses": found, "tokens_per_second": inputs.numel() / step, "peak_bytes": held("VmHWM"),
                      "loaded_bytes": loaded}))


def told(command):
    """What a command prints, as JSON."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed")
    return json.loads(done.stdout)


def together(arguments):
    """Every case, both sides in turn; the best of the rounds, as noise only slows."""
    wrong = 0
    cases = [case for case in CASES if not arguments.only or f"{case[0]} {case[1]}" in arguments.only]
    for objective, targets in cases:
        best = {}
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory() as folder:
                ours = [arguments.idiolect, "bench", "train", "--json", "--objective", objective, "--targets", targets,
                        "--steps", str(arguments.steps)]
                turns = {
                    "ours": ours + ["--record", folder],
                    "ours, bf16": ours + ["--bf16"],
                    "ours, recompute": ours + ["--recompute"],
                }
                for mode in MODES:
                    turns[f"PyTorch, {mode}"] = [
                        sys.executable, __file__, "--measure", folder, "--mode", mode, "--threads",
                        str(arguments.threads), str(arguments.idiolect), str(arguments.model)]
                for name, command in turns.items():
                    said = told(command)
                    print(f"{objective} {targets}: {name}: {said['tokens_per_second']:.0f} tokens/s", file=sys.stderr, flush=True)
                    before = best.get(name)
                    if before is None or said["tokens_per_second"] > before["tokens_per_second"]:
                        best[name] = said
        print(f"\n{objective} {targets}\n\n| | tokens/s | peak memory, GB | first and last loss | furthest from ours, f32 |")
        print("|---|---|---|---|---|")
        for name, said in best.items():
            apart = max(abs(a - b) for a, b in zip(said["losses"], best["ours"]["losses"], strict=True))
            apart /= max(best["ours"]["losses"])
            print(f"| {name} | {said['tokens_per_second']:.0f} | {said['peak_bytes'] / 1e9:.2f} "
                  f"| {said['losses'][0]:.4f} → {said['losses'][-1]:.4f} | {apart:.1e} |", flush=True)
            limit = {"ours, recompute": FLOAT32, "ours, bf16": BFLOAT16[objective], "PyTorch, float32": FLOAT32}.get(name)
            if limit is not None and apart > limit:
                print(f"{name}: the loss curve is further from ours than {limit}")
                wrong += 1
    sys.exit(1 if wrong else 0)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("idiolect", nargs="?", help="our program")
    arguments.add_argument("model", nargs="?", help="the GGUF file that it uses")
    arguments.add_argument("--install", metavar="DIR", help="make an environment of its own there, and end")
    arguments.add_argument("--only", action="append", help='a case such as "sft q,v"; all when left away')
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--steps", type=int, default=8)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--measure", metavar="DIR", help=argparse.SUPPRESS)
    arguments.add_argument("--mode", default="float32", choices=MODES, help=argparse.SUPPRESS)
    arguments = arguments.parse_args()
    if arguments.install:
        venv.create(arguments.install, with_pip=True)
        pip = [str(pathlib.Path(arguments.install) / "bin/python"), "-m", "pip", "install", *PACKAGES]
        sys.exit(subprocess.run(pip, check=False).returncode)
    if not arguments.model:
        sys.exit("name our program and the GGUF file, or --install DIR")
    if arguments.measure:
        measure(arguments.model, arguments.measure, arguments.mode, arguments.threads)
    else:
        together(arguments)


main()
