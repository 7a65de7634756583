"""The peer of `cargo xtask bench`: measures what `idiolect bench --json` measures, with llama.cpp, and prints the same JSON.

It drives llama.cpp's own C interface through the bindings of the package llama-cpp-python; `LLAMA_CPP_LIB_PATH` names the
build to load. Nothing here favours us: time is taken around `llama_decode` and a look at the first logit, so that the
peer's time holds no drawing of tokens and no softmax; weights lie where llama.cpp puts them by default (laid out anew
for the matrix unit where it has one); flash attention is left to llama.cpp (`auto`) or switched off, which on a processor
is often faster where tokens are written, so that both are measured.
"""

import argparse
import contextlib
import ctypes
import json
import os
import sys
import sysconfig
import time
import types


def bindings():
    """The C interface alone: the package's own first module would load numpy and more, which the memory figure would show."""
    package = types.ModuleType("llama_cpp")
    package.__path__ = [os.path.join(sysconfig.get_paths()["purelib"], "llama_cpp")]
    sys.modules["llama_cpp"] = package
    import llama_cpp.llama_cpp

    return llama_cpp.llama_cpp


def token_ids(seed, count, vocabulary):
    """The same ids as `token_ids` in crates/studio/src/bench.rs: a linear congruence, its upper bits."""
    state, ids = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((state >> 33) % vocabulary)
    return ids


class Model:
    """A loaded model and the contexts that figures are measured in."""

    def __init__(self, lib, path, threads, flash):
        self.lib, self.threads = lib, threads
        self.flash = {"auto": lib.LLAMA_FLASH_ATTN_TYPE_AUTO, "off": lib.LLAMA_FLASH_ATTN_TYPE_DISABLED}[flash]
        lib.llama_backend_init()
        parameters = lib.llama_model_default_params()
        started = time.perf_counter()
        self.model = lib.llama_model_load_from_file(path.encode(), parameters)
        self.load_seconds = time.perf_counter() - started
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        self.vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))

    @contextlib.contextmanager
    def context(self, tokens, sequences=1):
        """A context for `tokens` cells that all sequences share, freed at the end."""
        lib = self.lib
        p = lib.llama_context_default_params()
        p.n_ctx, p.n_batch, p.n_ubatch, p.n_seq_max = tokens, 512, 512, sequences
        p.n_threads = p.n_threads_batch = self.threads
        p.flash_attn_type = self.flash
        p.kv_unified, p.no_perf = True, True
        pointer = lib.llama_init_from_model(self.model, p)
        if not pointer:
            sys.exit("llama.cpp cannot make a context")
        context = Context(lib, pointer)
        try:
            yield context
        finally:
            lib.llama_batch_free(context.batch)
            lib.llama_free(pointer)


class Context:
    """A context, and one batch that is filled again and again."""

    def __init__(self, lib, pointer):
        self.lib, self.pointer = lib, pointer
        self.memory = lib.llama_get_memory(pointer)
        self.batch = lib.llama_batch_init(512, 0, 1)

    def run(self, rows):
        """Runs (token, position, sequence, whether its logits are wanted) in one batch."""
        batch = self.batch
        batch.n_tokens = len(rows)
        wanted = False
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, logits
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            wanted = wanted or logits
        code = self.lib.llama_decode(self.pointer, batch)
        if code != 0:
            sys.exit(f"llama_decode says {code}")
        self.lib.llama_synchronize(self.pointer)
        if wanted:
            self.lib.llama_get_logits(self.pointer)[0]

    def prompt(self, tokens, sequence=0, logits="last"):
        """Runs a prompt from position 0, 512 tokens at a time; logits of the last position, of all or of none."""
        for start in range(0, len(tokens), 512):
            piece = tokens[start : start + 512]
            last = len(tokens) - 1
            self.run(
                [
                    (t, start + i, sequence, logits == "all" or (logits == "last" and start + i == last))
                    for i, t in enumerate(piece)
                ]
            )

    def forget(self):
        """Empties the cache."""
        self.lib.llama_memory_clear(self.memory, False)

    def copy(self, source, target):
        """Another sequence that begins with all of `source`; cells are shared, not copied."""
        self.lib.llama_memory_seq_cp(self.memory, source, target, -1, -1)

    def drop(self, sequence):
        """Forgets a sequence."""
        self.lib.llama_memory_seq_rm(self.memory, sequence, -1, -1)


def seconds(work):
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def prompt_rate(model, tokens, logits="last"):
    """Tokens a second of a prompt, after running it once to warm up."""
    with model.context(len(tokens) + 64) as context:
        context.prompt(tokens[-64:], logits=logits)
        context.forget()
        return len(tokens) / seconds(lambda: context.prompt(tokens, logits=logits))


def decode_rate(model, prompt, steps, drafts=1):
    """Tokens a second of all drafts together, one step a token of each, after a prompt they share."""
    with model.context(len(prompt) + drafts * (len(steps) + 8) + 64, drafts) as context:
        # Eight steps warm up and are forgotten again.
        for measured in ([row[:] for row in steps[:8]], steps):
            context.forget()
            if prompt:
                context.prompt(prompt)
                for draft in range(1, drafts):
                    context.copy(0, draft)
            at = len(prompt)

            def write():
                for i, row in enumerate(measured):
                    context.run([(token, at + i, draft, True) for draft, token in enumerate(row)])

            took = seconds(write)
        return len(steps) * drafts / took


def continuations(model, prefix, all_tokens, calls):
    """Seconds of a prefix and what follows it in shared batches; seconds of one call that computes both, mean of `calls`."""
    with model.context(len(prefix) + sum(map(len, all_tokens)) + 64, len(all_tokens) + 1) as context:

        def packed():
            context.prompt(prefix)
            pack(context, 0, len(prefix), all_tokens)

        context.prompt(prefix[:64])
        context.forget()
        together = seconds(packed)
        alone = 0.0
        for tokens in all_tokens[:calls]:
            context.forget()
            alone += seconds(lambda: (context.prompt(prefix), pack(context, 0, len(prefix), [tokens])))
    return together, alone / calls


def pack(context, source, position, all_tokens):
    """Scores texts behind a cached prefix, packed 512 rows a batch, logits of every row. A text's last token is not run:
    nothing follows it."""
    rows, used, sequence = [], [], source

    def run():
        context.run(rows)
        for number in used:
            context.drop(number)
        rows.clear()
        used.clear()

    for tokens in all_tokens:
        tokens = tokens[:-1]
        if len(rows) + len(tokens) > 512 or len(used) == 200:
            run()
            sequence = source
        sequence += 1
        context.copy(source, sequence)
        used.append(sequence)
        rows.extend((t, position + i, sequence, True) for i, t in enumerate(tokens))
    if rows:
        run()


def sentences(model, prefixes, groups):
    """Rows a second, each prefix run once and the sentences of its group packed behind it."""
    longest = max(map(len, prefixes))
    rows = sum(map(len, prefixes)) + sum(len(t) - 1 for group in groups for t in group)
    with model.context(longest + 512 + 64, 202) as context:

        def all_of_them(count):
            for prefix, group in list(zip(prefixes, groups))[:count]:
                context.forget()
                context.prompt(prefix)
                pack(context, 0, len(prefix), group)

        all_of_them(1)
        return rows / seconds(lambda: all_of_them(len(groups)))


def resident(name):
    """A size from the kernel's record of this process, bytes."""
    with open("/proc/self/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def main():
    parser = argparse.ArgumentParser(description="Measures llama.cpp as `idiolect bench` measures Idiolect.")
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--workload", default="", help="any of decode,drafts,continuations,sentences, beside the basic figures")
    parser.add_argument("--prompts", default="128,512")
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--flash", choices=["auto", "off"], default="auto")
    wanted = parser.parse_args()
    lib = bindings()
    silent = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    model = Model(lib, wanted.model, wanted.threads, wanted.flash)

    def ids(seed, count):
        return token_ids(seed, count, model.vocabulary)

    def steps(drafts):
        return [ids(1000 + i, drafts) for i in range(wanted.decode)]

    def decode(after):
        return decode_rate(model, ids(after, after), steps(1))

    workloads = wanted.workload.split(",")
    lengths = [int(n) for n in wanted.prompts.split(",")]
    longest = max(lengths)
    prompt_rate(model, ids(1, longest))
    said = {
        "device": lib.llama_print_system_info().decode().strip(),
        "threads": wanted.threads,
        "load_seconds": model.load_seconds,
        "prefill": [{"tokens": n, "tokens_per_second": prompt_rate(model, ids(n, n))} for n in lengths],
        "decode": {"tokens": wanted.decode, "tokens_per_second": decode(longest)},
        "peak_bytes": resident("VmHWM:"),
    }
    if "decode" in workloads:
        said["decodes"] = [
            {"after": n, "tokens": wanted.decode, "tokens_per_second": decode(n)} for n in (0, 2000)
        ]
    if "drafts" in workloads:
        said["drafts"] = {
            "drafts": 4,
            "after": 512,
            "tokens": wanted.decode,
            "alone_tokens_per_second": decode_rate(model, ids(512, 512), steps(1)),
            "tokens_per_second": decode_rate(model, ids(512, 512), steps(4), 4),
        }
    if "continuations" in workloads:
        texts = [ids(2000 + i, 6 + i % 5) for i in range(90)]
        packed, separate = continuations(model, ids(1500, 1500), texts, 2)
        said["continuations"] = {
            "continuations": len(texts),
            "after": 1500,
            "packed_seconds": packed,
            "separate_seconds": separate * len(texts),
            "separate_measured": 2,
        }
    if "sentences" in workloads:
        # Two prefixes a pair of poles, some 22 sentences behind each.
        pairs = max(1, wanted.sentences // 22)
        prefixes = [ids(3000 + i, 40) for i in range(2 * pairs)]
        texts = [ids(5000 + i, 12 + i % 17) for i in range(wanted.sentences)]
        groups = [texts[i // 2 :: pairs] for i in range(2 * pairs)]
        said["sentences"] = {
            "sentences": wanted.sentences,
            "tokens_per_second": sentences(model, prefixes, groups),
            "prompt_tokens_per_second": prompt_rate(model, ids(512, 512), "all"),
        }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
