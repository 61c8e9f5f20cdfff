"""The Hugging Face families that `evo` reads, in plain PyTorch: Llama, Mistral, Qwen2, Qwen3.

Reads config.json and the safetensors as those models' own folders have them and returns the logits
of every token of a text. Written from the published formulas and not from the C++ program, which is
tested against it (hf_check.py). H query heads, G key heads, e head size.
"""
import json
import math
import pathlib

import torch
import torch.nn.functional as F

from tensor_file import read_tensors

# What `transformers` assumes where config.json is silent.
DEFAULTS = {
    "llama": {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 2048},
    "mistral": {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 131072,
                "num_key_value_heads": 8, "sliding_window": 4096},
    "qwen2": {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 32768,
              "num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28},
    "qwen3": {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 32768,
              "num_key_value_heads": 32, "head_dim": 128, "sliding_window": 4096,
              "max_window_layers": 28},
}


def load_config(folder):
    raw = json.loads((pathlib.Path(folder) / "config.json").read_text())
    config = {**DEFAULTS[raw["model_type"]], **raw}
    config.setdefault("num_key_value_heads", config["num_attention_heads"])
    if not config.get("head_dim"):
        config["head_dim"] = config["hidden_size"] // config["num_attention_heads"]
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    config["rope"] = {"rope_type": rope.get("type", "default"), **rope}
    config["rope_theta"] = rope.get("rope_theta", config["rope_theta"])
    return config


def load_tensors(folder):
    folder = pathlib.Path(folder)
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return read_tensors(folder / "model.safetensors")
    shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    return {name: t for shard in shards for name, t in read_tensors(folder / shard).items()}


def llama3_frequencies(frequency, rope):
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    old_length, factor = rope["original_max_position_embeddings"], rope["factor"]
    changed = []
    for f in frequency.tolist():
        wavelength = 2 * math.pi / f
        if wavelength < old_length / high:
            changed.append(f)
        elif wavelength > old_length / low:
            changed.append(f / factor)
        else:
            smooth = (old_length / wavelength - low) / (high - low)
            changed.append((1 - smooth) * f / factor + smooth * f)
    return torch.tensor(changed, dtype=torch.float64)


def yarn_frequencies(frequency, rope, config):
    e, theta = config["head_dim"], config["rope_theta"]
    old_length = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
    place = lambda turns: e * math.log(old_length / (turns * 2 * math.pi)) / (2 * math.log(theta))
    low, high = place(rope.get("beta_fast") or 32), place(rope.get("beta_slow") or 1)
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, e - 1)
    if low == high:
        high += 0.001
    ramp = ((torch.arange(e // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    return frequency / rope["factor"] * ramp + frequency * (1 - ramp)


def yarn_attention_factor(rope):
    if rope.get("attention_factor"):
        return rope["attention_factor"]
    scale = lambda m: 0.1 * m * math.log(rope["factor"]) + 1.0 if rope["factor"] > 1 else 1.0
    if rope.get("mscale") and rope.get("mscale_all_dim"):
        return scale(rope["mscale"]) / scale(rope["mscale_all_dim"])
    return scale(1)


def frequencies(config):
    """([e/2] radians per position, in double; factor of rotated queries and keys)."""
    e, rope = config["head_dim"], config["rope"]
    plain = config["rope_theta"] ** (-torch.arange(0, e, 2, dtype=torch.float64) / e)
    kind = rope["rope_type"]
    if kind in ("default", "dynamic"):  # dynamic scaling begins behind max_position_embeddings
        return plain, 1.0
    if kind == "linear":
        return plain / rope["factor"], 1.0
    if kind == "llama3":
        return llama3_frequencies(plain, rope), 1.0
    if kind == "yarn":
        return yarn_frequencies(plain, rope, config), yarn_attention_factor(rope)
    raise ValueError(f"rope_type {kind}")


def window_of(config, layer):
    """Keys that a query sees, its own included; None: all before it."""
    if config["model_type"] == "mistral":
        return config["sliding_window"]
    if not config.get("use_sliding_window"):
        return None
    types = config.get("layer_types")
    slides = types[layer] == "sliding_attention" if types else layer >= config["max_window_layers"]
    return config["sliding_window"] if slides else None


class HfModel:
    def __init__(self, folder, dtype):
        self.config = load_config(folder)
        self.tensors = {name: t.to(dtype) for name, t in load_tensors(folder).items()}
        self.dtype = dtype

    def linear(self, x, name):
        y = x @ self.tensors[name + ".weight"].T
        return y + self.tensors[name + ".bias"] if name + ".bias" in self.tensors else y

    def norm(self, x, name):
        eps = self.config["rms_norm_eps"]
        return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * self.tensors[name + ".weight"]

    def rotate(self, x, positions):
        """x [H, n, e]."""
        frequency, factor = frequencies(self.config)
        angle = positions[:, None].double() * frequency  # [n, e/2]
        cos, sin = ((factor * f(torch.cat((angle, angle), -1))).to(self.dtype)
                    for f in (torch.cos, torch.sin))
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat((-b, a), -1) * sin

    def attention(self, x, layer):
        c, name, n = self.config, f"model.layers.{layer}.self_attn.", len(x)
        split = lambda t, heads: t.view(n, heads, c["head_dim"]).transpose(0, 1)
        H, G = c["num_attention_heads"], c["num_key_value_heads"]
        q = split(self.linear(x, name + "q_proj"), H)
        k, v = (split(self.linear(x, name + p), G) for p in ("k_proj", "v_proj"))
        if c["model_type"] == "qwen3":
            q, k = self.norm(q, name + "q_norm"), self.norm(k, name + "k_norm")
        at = torch.arange(n)
        q, k = self.rotate(q, at), self.rotate(k, at)
        k, v = (t.repeat_interleave(H // G, 0) for t in (k, v))
        distance = at[:, None] - at
        visible, window = distance >= 0, window_of(c, layer)
        if window is not None:
            visible = visible & (distance < window)
        scores = q @ k.transpose(-1, -2) / math.sqrt(c["head_dim"])
        mixed = scores.masked_fill(~visible, -math.inf).softmax(-1) @ v
        return self.linear(mixed.transpose(0, 1).reshape(n, -1), name + "o_proj")

    def logits(self, ids):
        """[n] token ids -> [n, V]."""
        embedding = self.tensors["model.embed_tokens.weight"]
        x = embedding[ids]
        for layer in range(self.config["num_hidden_layers"]):
            name = f"model.layers.{layer}."
            x = x + self.attention(self.norm(x, name + "input_layernorm"), layer)
            n = self.norm(x, name + "post_attention_layernorm")
            gate, up = (self.linear(n, f"{name}mlp.{part}_proj") for part in ("gate", "up"))
            gated = F.silu(gate) * up
            x = x + self.linear(gated, name + "mlp.down_proj")
        tied = self.config.get("tie_word_embeddings", False)
        head = embedding if tied else self.tensors["lm_head.weight"]
        return self.norm(x, "model.norm") @ head.T
