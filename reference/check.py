#!/usr/bin/env python3
"""Checks what the C++ program computed for one batch against this reference.

    check.py DUMP...              compares each dump folder; exit status 1 if anything is off
    check.py --self-test          shows that a right dump passes and that wrong ones fail
    check.py --generate DUMP      writes a random tiny model and batch, all but expected.safetensors
                                  (--tied, --qk-norm, --qkv-bias, --seed, --ahead-size,
                                  --window-places, --adapter-rank, --code-gradient ce|mse|pca)

A dump folder holds
  config.json, model.safetensors   a model folder, F32 (see evo_config.py)
  batch.json                       whole numbers; N rows, of which the first Nm mature, Ne evolving:
      "mature_rows": Nm,
      "ids", "positions", "context_begin", "context_end", "self_begin", "self_end", "targets": [N],
      "previous": [Ne]             (all as in evo_model.Batch, which says what each is)
      "objective": {"code_gradient": "ce" | "mse" | "pca", "flow_weight", "inner_weight",
                    "maturity_weight", "squared_weight"}   (or in config.json's "evo")
      "optimizer": {"steps": 10, "lr", "beta1", "beta2", "eps", "weight_decay", "clip_norm"}
  batch.safetensors                F32: "time", "signal", "kappa", "squared_weights" [Ne];
                                   "noise", "x_prev" [Ne, d]
  expected.safetensors             F32, by the program under test:
      "hidden" [N, D], "z" [Ne, d], "x" [Ne, d] (posterior mean), "maturity" [Ne] (m itself),
      "mature_logits" [Nm, V], "evolving_logits" [Ne, V], "inner_logits" [Ne, V],
      "nll.ar" [Nm], "nll.flow", "nll.inner", "nll.maturity" [Ne]: by row, 0 where target is -1,
      "nll.squared" [Ne]: squared_weights |c(target) - x|^2 by row, if code_gradient is "mse",
      "loss.ar", "loss.flow", "loss.inner", "loss.maturity", "loss.squared" (its rows' sum): a
          scalar each (shape [] or [1]), before its weight; "loss": the objective,
      "grad.NAME" of every parameter, before clipping: zero or absent for one that gets no gradient,
      "step_losses" [steps]: the objective after each of the AdamW steps on this same batch.

"loss" is loss.ar + flow_weight loss.flow + inner_weight loss.inner + maturity_weight loss.maturity,
and under "mse" + squared_weight loss.squared; step_losses likewise.

AdamW is PyTorch's: clip all gradients together to clip_norm; p -= lr weight_decay p for matrices
(two dimensions), not for vectors; then p -= lr m' / (sqrt(v') + eps) with bias-corrected m' and v'.
A parameter that gets no gradient (the codes under "pca") stays as it is.

How close is close enough: the reference runs in double, which is the truth, and in single
precision. The largest error of the program under test may be kFactor times that of PyTorch in
single precision, plus kUlps units in the last place of the quantity's largest element. That goes
for a tensor as a whole; for hidden states and logits row by row, since a large kappa makes a few
rows' logits large. The error of a sum over rows, such as a loss, may be kFactor times the sum of
the rows' errors in PyTorch, since PyTorch's error in the sum itself may be 0 by luck.
"""
import argparse
import json
import pathlib
import sys

import torch

from evo_config import Objective
from evo_model import Batch, Model, losses
from tensor_file import read_tensors

kFactor = 8.0  # two sound programs differ by the order of sums and by exp: a few times, never this
kUlps = 8.0
INTEGERS = ("ids", "positions", "context_begin", "context_end", "self_begin", "self_end", "targets",
            "previous")
FLOATS = ("time", "signal", "kappa", "noise", "x_prev", "squared_weights")


def read_batch(folder, dtype):
    """(Batch, Objective, the optimizer's settings)."""
    raw = json.loads((folder / "batch.json").read_text())
    floats = read_tensors(folder / "batch.safetensors")
    batch = Batch(**{name: torch.tensor(raw[name], dtype=torch.int64) for name in INTEGERS},
                  **{name: floats[name].to(dtype) for name in FLOATS})
    if batch.mature_rows != raw["mature_rows"]:
        raise ValueError(f"{folder}: {len(batch.ids)} ids less {len(batch.time)} times is not "
                         f"mature_rows, {raw['mature_rows']}")
    # kappa follows from the signal; 1 - a has lost a / (1 - a) of its digits when a was rounded.
    a, kappa = batch.signal.double(), batch.kappa.double()
    wrong = (kappa * (1 - a) - a.sqrt()).abs() > 1e-6 * (1 + a / (1 - a))
    if wrong.any():
        raise ValueError(f"{folder}: kappa is not sqrt(signal) / (1 - signal) in rows "
                         f"{wrong.nonzero().flatten().tolist()}")
    objective = raw.get("objective") or json.loads((folder / "config.json").read_text())["evo"]
    return batch, Objective.pick(objective), raw["optimizer"]


def contributions(objective, rows, batch):
    """[rows of all terms] that sum to the objective."""
    shares, weights = batch.shares(), objective.weights()
    return torch.cat([weights[name] * shares[name] * loss for name, loss in rows.items()]).detach()


def take_steps(model, batch, objective, settings):
    """Trains on the one batch; the objective after each step [steps], as the contributions to it
    [steps, rows], whose sum it is. The gradient of the first step must be there."""
    matrices = [p for p in model.parameters.values() if p.dim() == 2]
    vectors = [p for p in model.parameters.values() if p.dim() != 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": settings["weight_decay"]},
         {"params": vectors, "weight_decay": 0.0}],
        lr=settings["lr"], betas=(settings["beta1"], settings["beta2"]), eps=settings["eps"])
    after = []
    for _ in range(settings["steps"]):
        torch.nn.utils.clip_grad_norm_(model.parameters.values(), settings["clip_norm"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        _, rows, _, total = losses(model, batch, objective)
        total.backward()
        after.append(contributions(objective, rows, batch))
    return torch.stack(after)


def run(folder, dtype):
    """Everything that expected.safetensors holds; and of the losses, by name, the rows that they
    are the sum of (on the last axis)."""
    model = Model.load(folder, dtype)
    batch, objective, settings = read_batch(folder, dtype)
    out, rows, terms, total = losses(model, batch, objective)
    total.backward()
    results = {name: getattr(out, name) for name in (
        "hidden", "z", "x", "mature_logits", "evolving_logits", "inner_logits")}
    results.update({"maturity": out.maturity_logits.sigmoid(), "loss": total})
    if out.ahead_logits is not None:
        results["ahead_logits"] = out.ahead_logits
    results.update({"nll." + name: loss for name, loss in rows.items()})
    results.update({"loss." + name: term for name, term in terms.items()})
    for name, p in model.parameters.items():
        results["grad." + name] = torch.zeros_like(p) if p.grad is None else p.grad.clone()
    summed = {"loss": contributions(objective, rows, batch)}
    summed.update({"loss." + name: batch.shares()[name] * loss for name, loss in rows.items()})
    summed["step_losses"] = take_steps(model, batch, objective, settings)
    results["step_losses"] = summed["step_losses"].sum(-1)
    detached = lambda tensors: {name: t.detach().double() for name, t in tensors.items()}
    return detached(results), detached(summed)


def allowance(name, truth, single, true_summed, single_summed):
    """How far from the truth an element may be: a number for each element, row or tensor."""
    size, error = truth[name].abs(), (single[name] - truth[name]).abs()
    if name in true_summed:
        error = (single_summed[name] - true_summed[name]).abs().sum(-1)
    elif name == "hidden" or name.endswith("_logits"):
        size, error = size.amax(-1, keepdim=True), error.amax(-1, keepdim=True)
    else:
        size, error = size.max(), error.max()
    return kFactor * error + kUlps * torch.finfo(torch.float32).eps * size


def compare(folder):
    """[(name, worst error, allowed there, right?)] for each quantity of the dump."""
    truth, true_summed = run(folder, torch.float64)
    single, single_summed = run(folder, torch.float32)
    expected = read_tensors(folder / "expected.safetensors")
    report = []
    for name, true in truth.items():
        got = expected.pop(name, None)
        if got is None and name.startswith("grad.") and not true.any():
            got = torch.zeros(true.shape)
        if got is None or got.numel() != true.numel():
            found = "absent" if got is None else list(got.shape)
            print(f"{name}: {found}, expected {list(true.shape)}")
            report.append((name, float("nan"), 0.0, False))
            continue
        error = (got.double().reshape(true.shape) - true).abs()
        allowed = allowance(name, truth, single, true_summed, single_summed).expand(error.shape)
        # The element that is furthest outside; a NaN, never within bounds, counts as infinitely so.
        worst = (error - allowed).nan_to_num(nan=float("inf")).argmax()
        right = bool((error <= allowed).all())
        report.append((name, error.flatten()[worst].item(), allowed.flatten()[worst].item(), right))
    for name in expected:
        print(f"{name}: in expected.safetensors, but nothing here is called so")
        report.append((name, float("nan"), 0.0, False))
    return report


def check(folder, verbose=True):
    """Prints the errors; returns the names of the quantities that are off."""
    report = compare(pathlib.Path(folder))
    if verbose:
        print(f"{folder}\n  {'worst error':>12} {'allowed':>12}")
        for name, error, allowed, right in report:
            print(f"  {error:12.3e} {allowed:12.3e} {name}{'' if right else '   FAILED'}")
    wrong = [name for name, _, _, right in report if not right]
    print(f"{len(report) - len(wrong)} passed, {len(wrong)} failed")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dumps", nargs="*", metavar="DUMP")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--generate", metavar="DUMP")
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--qk-norm", action="store_true")
    parser.add_argument("--qkv-bias", action="store_true")
    parser.add_argument("--adapter-rank", type=int, default=0)
    parser.add_argument("--ahead-size", type=int, default=0)
    parser.add_argument("--window-places", type=int, default=0)
    parser.add_argument("--code-gradient", choices=("ce", "mse", "pca"), default="ce")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="only the count of each dump")
    a = parser.parse_args()
    if not (a.dumps or a.self_test or a.generate):
        parser.error("nothing to do: name a dump folder, or --self-test, or --generate")
    import example  # writes dumps; imports this file
    if a.generate:
        example.write_dump(a.generate, a.tied, a.qk_norm, a.code_gradient, a.seed, a.qkv_bias,
                           a.adapter_rank, a.ahead_size, a.window_places)
    failed = a.self_test and not example.self_test()
    for folder in a.dumps:
        failed = bool(check(folder, not a.quiet)) or failed
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
