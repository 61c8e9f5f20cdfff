#!/usr/bin/env python3
"""Checks the C++ program's logits for Hugging Face checkpoints against hf_model.py.

    hf_check.py --generate FOLDER   writes a random tiny checkpoint of every kind below FOLDER
    hf_check.py FOLDER...           compares each; exit status 1 if any is off

A checkpoint is a folder as Hugging Face has them, with text.json besides ({"ids": [n]}), to which
evo_hf_parity adds expected.safetensors: "logits" [n, V] in one pass, and "cached_logits" [n, V]
where the text came in pieces through the KV cache. How close is close enough is as in check.py: the
truth is in double, and the largest error of a row may be a few times that of PyTorch in single
precision.
"""
import argparse
import json
import pathlib
import sys

import torch

from check import kFactor, kUlps
from hf_model import HfModel
from tensor_file import read_tensors, write_tensors

# Sizes all differ, so that no two axes can be confused.
SHAPE = {"vocab_size": 53, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 10, "rms_norm_eps": 1e-5,
         "hidden_act": "silu", "rope_theta": 10000.0, "max_position_embeddings": 128}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}

#        name: (model_type, what differs from SHAPE (None: left out), shards, number format)
CASES = {
    "llama": ("llama", {}, 1, torch.float32),
    "llama-one-head-per-group": ("llama", {"num_key_value_heads": None, "head_dim": None}, 1,
                                 torch.float32),
    "llama-tied-bf16": ("llama", {"tie_word_embeddings": True}, 1, torch.bfloat16),
    "llama-f16": ("llama", {}, 1, torch.float16),
    "llama-sharded": ("llama", {}, 3, torch.bfloat16),
    "llama-linear": ("llama", {"rope_scaling": {"type": "linear", "factor": 3.0}}, 1,
                     torch.float32),
    "llama-dynamic": ("llama", {"rope_scaling": {"type": "dynamic", "factor": 3.0}}, 1,
                      torch.float32),
    "llama-llama3": ("llama", {"rope_scaling": LLAMA3}, 1, torch.float32),
    "llama-llama3-parameters": (
        "llama", {"rope_parameters": {**LLAMA3, "rope_theta": 500.0}, "rope_theta": None}, 1,
        torch.float32),
    "mistral": ("mistral", {"sliding_window": None}, 1, torch.float32),
    "mistral-window": ("mistral", {"sliding_window": 7}, 1, torch.float32),
    "qwen2": ("qwen2", {"head_dim": None}, 1, torch.float32),
    "qwen2-tied-sharded": ("qwen2", {"tie_word_embeddings": True}, 2, torch.bfloat16),
    "qwen2-window": ("qwen2", {"use_sliding_window": True, "sliding_window": 5,
                               "max_window_layers": 1}, 1, torch.float32),
    "qwen2-yarn": ("qwen2", {"rope_scaling": YARN}, 1, torch.float32),
    "qwen3": ("qwen3", {}, 1, torch.float32),
    "qwen3-default-head": ("qwen3", {"head_dim": None}, 1, torch.float32),
    "qwen3-tied": ("qwen3", {"tie_word_embeddings": True}, 1, torch.bfloat16),
    "qwen3-yarn-exact-bounds": ("qwen3", {"rope_scaling": {**YARN, "truncate": False}}, 1,
                                torch.float32),
    "qwen3-yarn-mscale": (
        "qwen3", {"rope_scaling": {**YARN, "mscale": 0.7, "mscale_all_dim": 1.4}}, 1,
        torch.float32),
    "qwen3-yarn-attention": ("qwen3", {"rope_scaling": {**YARN, "attention_factor": 1.3}}, 1,
                             torch.float32),
}
ARCHITECTURES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM",
                 "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
TEXT_LENGTH = 50  # longer than the windows, and than what yarn takes for the training's texts


def make_config(model_type, changes):
    config = {"architectures": [ARCHITECTURES[model_type]], "model_type": model_type,
              "transformers_version": "4.51.0", "attention_dropout": 0.0, "bos_token_id": 1,
              "eos_token_id": [2, 3], "use_cache": True, **SHAPE, **changes}
    # The window's null has a meaning, all others are left out.
    return {key: value for key, value in config.items()
            if value is not None or key == "sliding_window"}


def shapes(config):
    """Name -> shape, of what such a model's own files hold."""
    D, V, F = config["hidden_size"], config["vocab_size"], config["intermediate_size"]
    H = config["num_attention_heads"]
    e = config.get("head_dim") or (128 if config["model_type"] == "qwen3" else D // H)
    heads = {"q": H * e, "k": config.get("num_key_value_heads", H) * e}
    heads["v"] = heads["k"]
    found = {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,)}
    if not config.get("tie_word_embeddings"):
        found["lm_head.weight"] = (V, D)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found[f"{layer}{norm}.weight"] = (D,)
        for part, width in heads.items():
            found[f"{layer}self_attn.{part}_proj.weight"] = (width, D)
            if config["model_type"] == "qwen2":
                found[f"{layer}self_attn.{part}_proj.bias"] = (width,)
            if config["model_type"] == "qwen3" and part != "v":
                found[f"{layer}self_attn.{part}_norm.weight"] = (e,)
        found[layer + "self_attn.o_proj.weight"] = (D, H * e)
        for part, shape in {"gate": (F, D), "up": (F, D), "down": (D, F)}.items():
            found[f"{layer}mlp.{part}_proj.weight"] = shape
    return found


def random_tensor(name, shape, generator):
    values = torch.randn(*shape, generator=generator)
    if name.endswith("norm.weight"):
        return 1 + 0.2 * values
    if name.endswith("q_proj.weight") or name.endswith("k_proj.weight"):
        return 2 * shape[-1] ** -0.5 * values  # sharp attention: positions matter
    return shape[-1] ** -0.5 * values


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
        tensors = {name: random_tensor(name, shape, generator).to(dtype)
                   for name, shape in shapes(config).items()}
        if shards > 1:
            write_shards(folder, tensors, shards)
        else:
            write_tensors(folder / "model.safetensors", tensors)
        ids = torch.randint(config["vocab_size"], (TEXT_LENGTH,), generator=generator).tolist()
        (folder / "text.json").write_text(json.dumps({"ids": ids}))


def check(folder):
    """The names of the quantities that are off."""
    ids = torch.tensor(json.loads((folder / "text.json").read_text())["ids"])
    truth = HfModel(folder, torch.float64).logits(ids)
    single = HfModel(folder, torch.float32).logits(ids).double()
    expected = read_tensors(folder / "expected.safetensors")
    # A key that a window leaves out by one row changes that row alone: rows have their own bounds.
    size, error = truth.abs().amax(-1, keepdim=True), (single - truth).abs().amax(-1, keepdim=True)
    allowed = kFactor * error + kUlps * torch.finfo(torch.float32).eps * size
    wrong = []
    for name in ("logits", "cached_logits"):
        got = expected[name].double()
        found = (got - truth).abs()
        right = got.shape == truth.shape and bool((found <= allowed).all())
        print(f"{folder.name:28} {name:14} worst error {found.max().item():9.2e}, allowed there at "
              f"least {allowed.min().item():9.2e}{'' if right else '   FAILED'}")
        wrong += [] if right else [name]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--generate", metavar="FOLDER")
    a = parser.parse_args()
    if not (a.folders or a.generate):
        parser.error("nothing to do: name folders, or --generate")
    if a.generate:
        generate(a.generate)
    sys.exit(1 if [wrong for folder in a.folders for wrong in check(folder)] else 0)


if __name__ == "__main__":
    main()
