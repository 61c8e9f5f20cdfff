#!/usr/bin/env python3
"""Checks the C++ program's logits for Hugging Face checkpoints against hf_model.py.

    hf_check.py --generate FOLDER   writes a random tiny checkpoint of every kind below FOLDER
    hf_check.py FOLDER...           compares each; exit status 1 if any is off
    hf_check.py --transformers FOLDER...   compares hf_model.py with `transformers`, if it is there

A checkpoint is a folder as Hugging Face has them, with text.json besides ({"ids": [n], "prompt": p,
"continuation": m}), to which evo_hf_parity adds expected.safetensors: "logits" [n, V] in one pass,
"cached_logits" [n, V] where the text came in pieces through the KV cache, and "continuation" [m],
the ids that its decoder chooses greedily after the first p. How close is close enough is as in
check.py: the truth is in double, and the largest error of a row may be a few times that of PyTorch
in single precision. Each chosen id must be the truth's, given those before it, unless their logits
are so close that both may be off by that much and change places: a tie.
"""
import argparse
import json
import pathlib
import sys

import torch

from check import kFactor, kUlps
from hf_cases import CASES, make_config
from hf_model import HfModel
from hf_quantized import quantized
from hf_shapes import shapes
from tensor_file import read_tensors, write_tensors

TEXT_LENGTH = 50  # longer than the windows, and than what yarn takes for the training's texts
PROMPT_LENGTH, CONTINUATION = 40, 16  # together as long as the shortest context at most


def random_tensor(name, shape, generator, gemma):
    values = torch.randn(*shape, generator=generator)
    if len(shape) == 1:
        one = name.endswith(".weight") and not gemma  # norms; Gemma keeps theirs less 1
        return int(one) + 0.2 * values
    if any(part in name for part in ("q_proj", "k_proj", "qkv", "query_key_value", "c_attn")):
        return 2 * shape[-1] ** -0.5 * values  # sharp attention: positions matter
    return shape[-1] ** -0.5 * values


def random_tensors(config, changes, generator):
    found = dict(shapes(config))
    if changes.get("other_head"):
        found["lm_head.weight"] = found["model.embed_tokens.weight"]
    gemma = config["model_type"].startswith("gemma")
    tensors = {name: random_tensor(name, shape, generator, gemma) for name, shape in found.items()}
    if changes.get("no_prefix"):
        tensors = {name.removeprefix("model."): t for name, t in tensors.items()}
    return tensors


def write_shards(folder, tensors, count):
    names, size = sorted(tensors), -(-len(tensors) // count)
    weight_map = {}
    for i in range(count):
        shard = f"model-{i + 1:05}-of-{count:05}.safetensors"
        part = names[i * size: (i + 1) * size]
        write_tensors(folder / shard, {name: tensors[name] for name in part})
        weight_map.update({name: shard for name in part})
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def generate(parent):
    for seed, (name, (model_type, changes, shards, dtype)) in enumerate(CASES.items()):
        folder, generator = pathlib.Path(parent) / name, torch.Generator().manual_seed(seed)
        folder.mkdir(parents=True, exist_ok=True)
        config = make_config(model_type, changes)
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        tensors = {name: t.to(dtype)
                   for name, t in random_tensors(config, changes, generator).items()}
        tensors = quantized(tensors, config, generator)
        if shards > 1:
            write_shards(folder, tensors, shards)
        else:
            write_tensors(folder / "model.safetensors", tensors)
        ids = torch.randint(config["vocab_size"], (TEXT_LENGTH,), generator=generator).tolist()
        (folder / "text.json").write_text(json.dumps(
            {"ids": ids, "prompt": PROMPT_LENGTH, "continuation": CONTINUATION}))


def truth_and_tolerance(folder, ids):
    """Logits [n, V] in double, and how far off they may be, [n, 1]: a key that a window leaves out by
    one row changes that row alone, so that each has its own bound."""
    truth = HfModel(folder, torch.float64).logits(ids)
    single = HfModel(folder, torch.float32).logits(ids).double()
    size, error = truth.abs().amax(-1, keepdim=True), (single - truth).abs().amax(-1, keepdim=True)
    error = torch.maximum(error, error.mean())  # a row in which PyTorch was lucky is one like others
    return truth, kFactor * error + kUlps * torch.finfo(torch.float32).eps * size


def check_logits(folder, text, expected):
    """The names of those that are off."""
    truth, allowed = truth_and_tolerance(folder, torch.tensor(text["ids"]))
    wrong = []
    for name in ("logits", "cached_logits"):
        got = expected[name].double()
        found = (got - truth).abs()
        right = got.shape == truth.shape and bool((found <= allowed).all())
        print(f"{folder.name:28} {name:14} worst error {found.max().item():9.2e}, allowed there at "
              f"least {allowed.min().item():9.2e}{'' if right else '   FAILED'}")
        wrong += [] if right else [name]
    return wrong


def check_continuation(folder, text, expected):
    chosen, prompt = expected["continuation"].long(), text["prompt"]
    ids = torch.cat((torch.tensor(text["ids"][:prompt]), chosen))
    truth, allowed = (t[prompt - 1: -1] for t in truth_and_tolerance(folder, ids))
    best, of_chosen = truth.max(-1).values, truth.gather(1, chosen[:, None])[:, 0]
    ties = (chosen != truth.argmax(-1)) & (best - of_chosen <= 2 * allowed[:, 0])
    same = (chosen == truth.argmax(-1)) | ties
    # Where most are ties nothing was compared.
    right = len(chosen) == text["continuation"] and bool(same.all()) and 4 * ties.sum() <= len(ties)
    print(f"{folder.name:28} continuation   {int(same.sum())} of {text['continuation']} ids, "
          f"{int(ties.sum())} ties{'' if right else '   FAILED'}")
    return [] if right else ["continuation"]


def check(folder):
    """The names of the quantities that are off."""
    text = json.loads((folder / "text.json").read_text())
    expected = read_tensors(folder / "expected.safetensors")
    return check_logits(folder, text, expected) + check_continuation(folder, text, expected)


def check_with_transformers(folder):
    """hf_model.py itself, against the library that the models are written in, in single precision."""
    from transformers import AutoModelForCausalLM
    ids = torch.tensor(json.loads((folder / "text.json").read_text())["ids"])
    truth = HfModel(folder, torch.float64).logits(ids)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                 attn_implementation="eager")
    with torch.no_grad():
        found = (model(input_ids=ids[None], use_cache=False).logits[0] - truth).abs().max().item()
    right = found <= 1e-4 * truth.abs().max().item()
    print(f"{folder.name:28} transformers   worst error {found:9.2e}{'' if right else '   FAILED'}")
    return [] if right else [folder]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--generate", metavar="FOLDER")
    parser.add_argument("--transformers", action="store_true")
    a = parser.parse_args()
    if not (a.folders or a.generate):
        parser.error("nothing to do: name folders, or --generate")
    if a.generate:
        generate(a.generate)
    compare = check_with_transformers if a.transformers else check
    sys.exit(1 if [wrong for folder in a.folders for wrong in compare(folder)] else 0)


if __name__ == "__main__":
    main()
