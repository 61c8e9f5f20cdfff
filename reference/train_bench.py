#!/usr/bin/env python3
"""Times training steps of the model in PyTorch and prints one line of JSON.

    train_bench.py --preset 7m                     both streams, eager, f32
    train_bench.py --preset 7m --ar-only --compile
    train_bench.py --config FOLDER/config.json --batch 8 --seq 256
    train_bench.py --verify                        the loss and gradients here against evo_model.py
    train_bench.py --probe                         {"peer": "PyTorch VERSION"}

`evo bench train` runs this as its peer, in every variant. Each step is reported on standard error.

A step is forward, loss, backward, clipping of the gradients' norm and AdamW (fused where PyTorch
has that), on --batch texts of --seq tokens, of the model in fast_model.py; the evolving stream
starts from given latents, there is no first pass of self-conditioning.
--attention matmul is two products around a softmax, sdpa PyTorch's scaled_dot_product_attention
(causal for mature rows, a mask for evolving ones). Which is faster depends on the build: try both.

tokens_per_second counts text tokens, --batch x --seq per step, by the median step. other_cores is
what other processes used meanwhile: a figure with more than 0.1 there is too low.
"""
import argparse
import ctypes
import json
import os
import resource
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from evo_config import Config
from fast_model import Trainee, random_inputs

#          hidden layers heads key_heads ffn vocabulary tied
PRESETS = {"demo": (128, 4, 4, 4, 352, 1024, True),
           "7m": (256, 7, 4, 4, 704, 4096, True),
           "30m": (512, 8, 8, 8, 1408, 8192, True),
           "124m": (768, 12, 12, 12, 2048, 50304, True),
           "1b": (2048, 22, 32, 4, 5632, 32000, False),
           "8b": (4096, 32, 32, 8, 14336, 128256, False)}  # as in src/model/config.cc


def preset(name):
    hidden, layers, heads, key_heads, ffn, vocab, tied = PRESETS[name]
    return Config(
        model_type="llama", qk_norm=False, qkv_bias=False, vocab_size=vocab, hidden_size=hidden,
        intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=key_heads, head_dim=hidden // heads, rms_norm_eps=1e-5,
        rope_theta=10000.0, tie_word_embeddings=tied,
        max_position_embeddings=1024, code_size=16, time_features=16, inner_size=hidden, ahead_size=0,
        window_places=0, adapter_rank=0)


def make_optimizer(model):
    settings = {"lr": 3e-4, "betas": (0.9, 0.95)}
    groups = [{"params": [p for p in model.parameters() if p.dim() == 2], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() != 2], "weight_decay": 0.0}]
    try:
        return torch.optim.AdamW(groups, fused=True, **settings), True
    except (RuntimeError, TypeError):  # PyTorch before 2.4 has it for GPUs only
        return torch.optim.AdamW(groups, **settings), False


def prepare_compile():
    """Stops where torch.compile is missing or makes slow code.

    Debian keeps SLEEF in a library of its own, which compiled code does not name: unless it is
    there already, the compiler's check of vector instructions fails and it makes scalar code,
    silently."""
    if not hasattr(torch, "compile"):
        raise SystemExit(f"PyTorch {torch.__version__} has no torch.compile (2.0 and later have)")
    os.environ["LD_PRELOAD"] = "libsleef.so.3"
    try:
        ctypes.CDLL("libsleef.so.3", ctypes.RTLD_GLOBAL)
    except OSError:
        del os.environ["LD_PRELOAD"]  # PyTorch's own wheels have it inside
    from torch._inductor.cpu_vec_isa import pick_vec_isa
    if not pick_vec_isa():
        raise SystemExit("torch.compile found no vector instructions: its figures would mislead")


def busy_seconds():
    """CPU time that the whole machine has spent, and this process."""
    with open("/proc/stat") as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # less idle and iowait
    return total, own.ru_utime + own.ru_stime


def measure(a, c):
    # A large kappa makes most probabilities denormal: without this the products with the logits'
    # gradient take several times as long. Before any thread is made, since threads inherit it.
    flushed = torch.set_flush_denormal(True)
    if a.threads:
        torch.set_num_threads(a.threads)
    if a.compile:
        prepare_compile()
    if a.attention == "sdpa" and not hasattr(F, "scaled_dot_product_attention"):
        raise SystemExit(f"PyTorch {torch.__version__} has no scaled_dot_product_attention "
                         "(2.0 and later have)")
    torch.manual_seed(1)
    model = Trainee(c, a.seq, a.block, a.attention == "sdpa", a.ar_only)
    optimizer, fused = make_optimizer(model)
    run = torch.compile(model) if a.compile else model
    inputs = random_inputs(c, a.batch, a.seq)

    def step(number):
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
            loss = run(*inputs)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds, loss = time.perf_counter() - begin, loss.item()
        print(f"step {number} of {a.warm_up + a.steps}", file=sys.stderr, flush=True)
        return seconds, loss

    warm_up = [step(1 + i) for i in range(a.warm_up)]
    begin, (total, own) = time.perf_counter(), busy_seconds()
    steps = [step(1 + a.warm_up + i) for i in range(a.steps)]
    wall, (total_after, own_after) = time.perf_counter() - begin, busy_seconds()
    seconds = [s for s, _ in steps]
    return {
        "tokens_per_second": round(a.batch * a.seq / statistics.median(seconds), 1),
        "best_tokens_per_second": round(a.batch * a.seq / min(seconds), 1),
        "median_step_seconds": round(statistics.median(seconds), 4),
        "first_step_seconds": round(warm_up[0][0] if warm_up else seconds[0], 2),
        "other_cores": round(max(0.0, (total_after - total - own_after + own) / wall), 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "first_loss": (warm_up + steps)[0][1], "loss": steps[-1][1],
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__, "fused_adamw": fused, "denormals_flushed": flushed,
        "threads": torch.get_num_threads()}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="7m")
    parser.add_argument("--config", metavar="FILE", help="a config.json, instead of a preset")
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                 "head_dim", "intermediate_size", "vocab_size", "code_size", "time_features",
                 "inner_size"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, help="instead of the preset's")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--block", type=int, default=16, help="tokens of a block; divides --seq")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--attention", choices=("matmul", "sdpa"), default="matmul")
    parser.add_argument("--ar-only", action="store_true", help="the mature stream alone: a Llama")
    parser.add_argument("--bf16", action="store_true", help="matrix products in bf16, by autocast")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--probe", action="store_true")
    a = parser.parse_args()
    if a.probe:
        print(json.dumps({"peer": f"PyTorch {torch.__version__}"}))
        return
    if a.verify:
        from verify_fast import verify
        raise SystemExit(0 if verify(a.attention == "sdpa") else 1)
    if a.seq % a.block:
        parser.error(f"--block {a.block} does not divide --seq {a.seq}")
    c = Config.load(a.config) if a.config else preset(a.preset)
    given = {name: value for name, value in vars(a).items() if value and hasattr(c, name)}
    for name, value in given.items():
        setattr(c, name, value)
    if "hidden_size" in given or "num_attention_heads" in given:  # sizes that follow from these
        c.head_dim = a.head_dim or c.hidden_size // c.num_attention_heads
        c.inner_size = a.inner_size or c.hidden_size
    shape = [c.hidden_size, c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads,
             c.intermediate_size, c.vocab_size]
    settings = {"shape": shape, "stream": "ar" if a.ar_only else "two", "batch": a.batch,
                "seq": a.seq, "block": a.block, "attention": a.attention, "compile": a.compile,
                "precision": "bf16" if a.bf16 else "f32", "steps": a.steps}
    print(json.dumps({**measure(a, c), **settings}), flush=True)


if __name__ == "__main__":
    main()
