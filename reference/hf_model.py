"""The Hugging Face families that `evo` reads, in plain PyTorch: Llama and those that differ from it in
a norm, a factor, a window or a mixture of experts; GPT-2 and GPT-NeoX are in hf_gpt.py.

Reads config.json and the safetensors as those models' own folders have them and returns the logits
of every token of a text. Written from the published formulas and not from the C++ program, which is
tested against it (hf_check.py). H query heads, G key heads, e head size.
"""
import json
import math
import pathlib

import torch
import torch.nn.functional as F

from hf_gpt import GptModel
from hf_quantized import dequantized
from tensor_file import read_tensors

# What `transformers` assumes where config.json is silent.
LLAMA = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 2048}
QWEN = {**LLAMA, "max_position_embeddings": 32768, "num_key_value_heads": 32,
        "sliding_window": 4096, "max_window_layers": 28}
MISTRAL = {**LLAMA, "max_position_embeddings": 131072, "num_key_value_heads": 8,
           "sliding_window": 4096}
OLMO = {**LLAMA, "rms_norm_eps": 1e-5}
GEMMA = {**LLAMA, "max_position_embeddings": 8192, "num_key_value_heads": 4, "head_dim": 256,
         "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": True}
DEFAULTS = {
    "llama": LLAMA,
    "mistral": MISTRAL,
    "ministral": MISTRAL,
    "qwen2": QWEN,
    "qwen3": {**QWEN, "head_dim": 128},
    "qwen3_moe": {**QWEN, "num_key_value_heads": 4, "num_experts": 128, "num_experts_per_tok": 8,
                  "norm_topk_prob": False, "decoder_sparse_step": 1},
    "smollm3": {**LLAMA, "rope_theta": 2e6, "max_position_embeddings": 32768,
                "num_key_value_heads": 4, "tie_word_embeddings": True, "no_rope_layer_interval": 4},
    "olmo2": OLMO,
    "olmo3": {**OLMO, "rope_theta": 5e5, "rope_local_base_freq": 5e5, "sliding_window": 4096},
    "olmoe": {**OLMO, "num_experts": 64, "num_experts_per_tok": 8, "norm_topk_prob": False},
    "granite": LLAMA,
    "phi3": {**LLAMA, "rms_norm_eps": 1e-5, "max_position_embeddings": 4096,
             "original_max_position_embeddings": 4096},
    "gemma": {**GEMMA, "num_key_value_heads": 16},
    "gemma2": {**GEMMA, "query_pre_attn_scalar": 256, "sliding_window": 4096,
               "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0},
    "gemma3_text": {**GEMMA, "max_position_embeddings": 131072, "rope_theta": 1e6,
                    "rope_local_base_freq": 1e4, "query_pre_attn_scalar": 256,
                    "sliding_window": 4096, "sliding_window_pattern": 6},
    "mixtral": {**MISTRAL, "rms_norm_eps": 1e-5, "rope_theta": 1e6, "sliding_window": None,
                "num_local_experts": 8, "num_experts_per_tok": 2, "norm_topk_prob": True},
}
BY_LAYER = ("olmo3", "gemma3_text")  # have rotations for layers with a window and for the others
ACTIVATIONS = {"silu": F.silu, "gelu": F.gelu,
               "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh")}


def load_config(folder):
    raw = json.loads((pathlib.Path(folder) / "config.json").read_text())
    if raw["model_type"] not in DEFAULTS:
        return raw
    config = {**DEFAULTS[raw["model_type"]], **raw}
    config.setdefault("num_key_value_heads", config["num_attention_heads"])
    if not config.get("head_dim"):
        config["head_dim"] = config["hidden_size"] // config["num_attention_heads"]
    config.setdefault("hidden_act", "silu")
    if config["model_type"] in ("gemma2", "gemma3_text"):
        config["hidden_act"] = raw.get("hidden_activation", "gelu_pytorch_tanh")
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if config["model_type"] in BY_LAYER:
        parts = config.get("rope_parameters") or {}
        local = {"rope_theta": config["rope_local_base_freq"],
                 **parts.get("sliding_attention", {})}
        rope = {**parts.get("full_attention", {}), **(config.get("rope_scaling") or {})}
        config["local_rope"] = {"rope_type": "default", **local}
    config["rope"] = {"rope_theta": config["rope_theta"], "rope_type": rope.get("type", "default"),
                      **rope}
    return config


def load_tensors(folder):
    folder = pathlib.Path(folder)
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return read_tensors(folder / "model.safetensors")
    shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    return {name: t for shard in shards for name, t in read_tensors(folder / shard).items()}


def with_prefix(tensors):
    """Names as of the language model, where they are those of its network alone."""
    if any(name.startswith(("model.", "transformer.", "gpt_neox.")) for name in tensors):
        return tensors
    return {name if name.startswith("lm_head.") else "model." + name: t
            for name, t in tensors.items()}


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


def yarn_frequencies(frequency, rope, e, config):
    theta = rope["rope_theta"]
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


def longrope_attention_factor(rope, config):
    if rope.get("attention_factor"):
        return rope["attention_factor"]
    old_length = config["original_max_position_embeddings"]
    factor = rope.get("factor") or config["max_position_embeddings"] / old_length
    return math.sqrt(1 + math.log(factor) / math.log(old_length)) if factor > 1 else 1.0


def frequencies(config, rope):
    """([r/2] radians per position, in double, of the r numbers of a head that are turned; factor of
    rotated queries and keys)."""
    r = int(config["head_dim"] * config.get("partial_rotary_factor", 1))
    kind = rope["rope_type"]
    plain = rope["rope_theta"] ** (-torch.arange(0, r, 2, dtype=torch.float64) / r)
    if kind in ("default", "dynamic"):  # dynamic scaling begins behind max_position_embeddings
        return plain, 1.0
    if kind == "linear":
        return plain / rope["factor"], 1.0
    if kind == "llama3":
        return llama3_frequencies(plain, rope), 1.0
    if kind == "yarn":
        return yarn_frequencies(plain, rope, r, config), yarn_attention_factor(rope)
    if kind in ("longrope", "su"):  # of texts up to the training's length
        divisors = torch.tensor(rope["short_factor"], dtype=torch.float64)
        return plain / divisors, longrope_attention_factor(rope, config)
    raise ValueError(f"rope_type {kind}")


def slides(config, layer):
    """Whether the layer has a window."""
    kind, types = config["model_type"], config.get("layer_types")
    if types:
        return types[layer] == "sliding_attention"
    if kind in ("qwen2", "qwen3"):
        return layer >= config["max_window_layers"]
    if kind == "smollm3":
        return not turns(config, layer)
    if kind in ("gemma2", "gemma3_text", "olmo3"):
        every = {"gemma2": 2, "olmo3": 4}.get(kind) or config["sliding_window_pattern"]
        return (layer + 1) % every != 0
    return kind in ("mistral", "ministral", "mixtral", "phi3", "qwen3_moe")


def window_of(config, layer):
    """Keys that a query sees, its own included; None: all before it."""
    optional = config["model_type"] in ("qwen2", "qwen3", "qwen3_moe", "smollm3")
    if optional and not config.get("use_sliding_window"):
        return None
    return config.get("sliding_window") if slides(config, layer) else None


def turns(config, layer):
    """Whether the layer's queries and keys know their positions."""
    if config["model_type"] != "smollm3":
        return True
    marks = config.get("no_rope_layers")
    return bool(marks[layer]) if marks else (layer + 1) % config["no_rope_layer_interval"] != 0


class HfModel:
    def __init__(self, folder, dtype):
        self.config = load_config(folder)
        tensors = dequantized(with_prefix(load_tensors(folder)), self.config)
        self.tensors = {name: t.to(dtype) for name, t in tensors.items()}
        self.dtype = dtype
        self.kind = self.config["model_type"]

    def linear(self, x, name):
        y = x @ self.tensors[name + ".weight"].T
        return y + self.tensors[name + ".bias"] if name + ".bias" in self.tensors else y

    def norm(self, x, name):
        weight = self.tensors[name + ".weight"]
        if self.kind.startswith("gemma"):
            weight = 1 + weight
        return x / (x.square().mean(-1, keepdim=True) + self.config["rms_norm_eps"]).sqrt() * weight

    def rotate(self, x, positions, rope):
        """x [H, n, e]."""
        frequency, factor = frequencies(self.config, rope)
        angle = positions[:, None].double() * frequency  # [n, r/2]
        cos, sin = ((factor * f(torch.cat((angle, angle), -1))).to(self.dtype)
                    for f in (torch.cos, torch.sin))
        x, rest = x[..., :cos.shape[-1]], x[..., cos.shape[-1]:]
        a, b = x.chunk(2, -1)
        return torch.cat((x * cos + torch.cat((-b, a), -1) * sin, rest), -1)

    def projections(self, x, name):
        """Queries, keys and values, [n, H e] and twice [n, G e]."""
        c = self.config
        H, G = (c[key] * c["head_dim"] for key in ("num_attention_heads", "num_key_value_heads"))
        if self.kind == "phi3":
            return self.linear(x, name + "qkv_proj").split((H, G, G), -1)
        q, k, v = (self.linear(x, name + part) for part in ("q_proj", "k_proj", "v_proj"))
        if self.kind.startswith("olmo"):
            q, k = self.norm(q, name + "q_norm"), self.norm(k, name + "k_norm")
        return q, k, v

    def scale(self):
        c = self.config
        if self.kind == "granite":
            return c.get("attention_multiplier", 1.0)
        return c.get("query_pre_attn_scalar", c["head_dim"]) ** -0.5

    def attention(self, x, layer):
        c, name, n = self.config, f"model.layers.{layer}.self_attn.", len(x)
        H, G = c["num_attention_heads"], c["num_key_value_heads"]
        q, k, v = (t.view(n, -1, c["head_dim"]).transpose(0, 1) for t in self.projections(x, name))
        if self.kind in ("qwen3", "qwen3_moe", "gemma3_text"):
            q, k = self.norm(q, name + "q_norm"), self.norm(k, name + "k_norm")
        at = torch.arange(n)
        window = window_of(c, layer)
        if turns(c, layer):
            rope = c["local_rope"] if window is not None and self.kind in BY_LAYER else c["rope"]
            q, k = self.rotate(q, at, rope), self.rotate(k, at, rope)
        k, v = (t.repeat_interleave(H // G, 0) for t in (k, v))
        distance = at[:, None] - at
        visible = distance >= 0
        if window is not None:
            visible = visible & (distance < window)
        scores = self.cap(q @ k.transpose(-1, -2) * self.scale(), "attn_logit_softcapping")
        mixed = scores.masked_fill(~visible, -math.inf).softmax(-1) @ v
        return self.linear(mixed.transpose(0, 1).reshape(n, -1), name + "o_proj")

    def cap(self, x, key):
        cap = self.config.get(key)
        if not cap or (self.kind, key) == ("gemma3_text", "attn_logit_softcapping"):
            return x
        return cap * torch.tanh(x / cap)

    def gated(self, x, gate, up, down):
        return self.linear(ACTIVATIONS[self.config["hidden_act"]](gate) * up, down)

    def feed_forward(self, x, layer):
        name = f"model.layers.{layer}.mlp."
        if self.kind == "phi3":
            return self.gated(x, *self.linear(x, name + "gate_up_proj").chunk(2, -1),
                              name + "down_proj")
        if self.is_sparse(layer):
            return self.mixture(x, layer)
        return self.gated(x, self.linear(x, name + "gate_proj"), self.linear(x, name + "up_proj"),
                          name + "down_proj")

    def is_sparse(self, layer):
        c = self.config
        if self.kind == "qwen3_moe":
            dense = layer in (c.get("mlp_only_layers") or ())
            return not dense and (layer + 1) % c["decoder_sparse_step"] == 0
        return self.kind in ("olmoe", "mixtral")

    def mixture(self, x, layer):
        c, mixtral = self.config, self.kind == "mixtral"
        name = f"model.layers.{layer}." + ("block_sparse_moe." if mixtral else "mlp.")
        gate, up, down = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
        shares, chosen = self.linear(x, name + "gate").softmax(-1).topk(c["num_experts_per_tok"])
        if c["norm_topk_prob"]:
            shares = shares / shares.sum(-1, keepdim=True)
        rows = []
        for row, of_row, experts in zip(x, shares, chosen.tolist()):
            parts = []
            for expert in experts:
                own = f"{name}experts.{expert}."
                parts.append(self.gated(row, self.linear(row, own + gate), self.linear(row, own + up),
                                        own + down))
            rows.append((of_row[:, None] * torch.stack(parts)).sum(0))
        return torch.stack(rows)

    def layer(self, x, i):
        name, factor = f"model.layers.{i}.", self.config.get("residual_multiplier", 1.0)
        if self.kind in ("olmo2", "olmo3"):
            x = x + self.norm(self.attention(x, i), name + "post_attention_layernorm")
            return x + self.norm(self.feed_forward(x, i), name + "post_feedforward_layernorm")
        mixed = self.attention(self.norm(x, name + "input_layernorm"), i)
        if self.kind in ("gemma2", "gemma3_text"):
            x = x + self.norm(mixed, name + "post_attention_layernorm")
            fed = self.feed_forward(self.norm(x, name + "pre_feedforward_layernorm"), i)
            return x + self.norm(fed, name + "post_feedforward_layernorm")
        x = x + factor * mixed
        return x + factor * self.feed_forward(self.norm(x, name + "post_attention_layernorm"), i)

    def logits(self, ids):
        """[n] token ids -> [n, V]."""
        c = self.config
        if self.kind in ("gpt2", "gpt_neox"):
            return GptModel(c, self.tensors).logits(ids)
        embedding = self.tensors["model.embed_tokens.weight"]
        x = embedding[ids] * c.get("embedding_multiplier", 1.0)
        if self.kind.startswith("gemma"):
            x = x * c["hidden_size"] ** 0.5
        for i in range(c["num_hidden_layers"]):
            x = self.layer(x, i)
        tied = c.get("tie_word_embeddings") and "lm_head.weight" not in self.tensors
        head = embedding if tied else self.tensors["lm_head.weight"]
        logits = self.norm(x, "model.norm") @ head.T / c.get("logits_scaling", 1.0)
        return self.cap(logits, "final_logit_softcapping")
