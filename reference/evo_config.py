"""config.json of a model folder, the shapes that follow from it, and what training weighs."""
import json
import pathlib
from dataclasses import asdict, dataclass, fields

EVO_KEYS = ("code_size", "time_features", "inner_size", "ahead_size", "window_places",
            "adapter_rank")


@dataclass
class Config:
    """config.json: Hugging Face's keys, and those of EVO_KEYS in a nested object "evo"."""
    model_type: str  # llama, qwen2 or qwen3
    qk_norm: bool  # our keys; a Hugging Face file has both by its model_type
    qkv_bias: bool
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool
    max_position_embeddings: int
    code_size: int  # d
    time_features: int  # K, even
    inner_size: int  # R
    ahead_size: int  # width of the field that drafts ahead; 0: none
    window_places: int  # P; 0: an evolving token is not told its place
    adapter_rank: int  # r; 0: no adapters

    @staticmethod
    def load(path):
        """path: a model folder, or the file itself."""
        path = pathlib.Path(path)
        raw = json.loads((path / "config.json" if path.is_dir() else path).read_text())
        if raw["model_type"] not in ("llama", "qwen2", "qwen3"):
            raise ValueError(f"model_type {raw['model_type']}: expected llama, qwen2 or qwen3")
        if "evo" not in raw:
            raise ValueError(f"{path}: no object \"evo\" in config.json: not one of our models")
        raw.setdefault("head_dim", raw["hidden_size"] // raw["num_attention_heads"])
        raw.setdefault("qk_norm", raw["model_type"] == "qwen3")
        raw.setdefault("qkv_bias", raw["model_type"] == "qwen2")
        known = {"adapter_rank": 0, "ahead_size": 0, "window_places": 0, **raw, **raw["evo"]}
        return Config(**{f.name: known[f.name] for f in fields(Config)})

    def save(self, folder):
        raw = asdict(self)
        raw["evo"] = {key: raw.pop(key) for key in EVO_KEYS}
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(raw, indent=2) + "\n")

    def shapes(self):
        """Name -> shape of every trained tensor of model.safetensors."""
        D, V, d, K, R = (self.hidden_size, self.vocab_size, self.code_size, self.time_features,
                         self.inner_size)
        inner, queries = self.intermediate_size, self.num_attention_heads * self.head_dim
        keys = self.num_key_value_heads * self.head_dim
        shapes = {"model.embed_tokens": (V, D), "model.norm": (D,), "evo.evolve_in": (D, 2 * d + K),
                  "evo.inner.in": (2 * R, 2 * D), "evo.inner.out": (D, R), "evo.maturity": (D + 3,)}
        if self.ahead_size:
            A, states = self.ahead_size, self.ahead_size // 4
            shapes |= {"evo.ahead.in": (2 * states, 2 * D), "evo.ahead.out": (D, states + 2 * D),
                       "evo.ahead.query": (queries, D), "evo.ahead.attention_out": (D, queries),
                       "evo.ahead.gate_up": (2 * A, D), "evo.ahead.down": (D, A),
                       "evo.ahead.attention_norm": (D,), "evo.ahead.feed_forward_norm": (D,),
                       "evo.ahead.norm": (D,), "evo.ahead.maturity": (D + 3,)}
        if self.window_places:
            shapes["evo.places"] = (self.window_places, D)
        if not self.tie_word_embeddings:
            shapes["lm_head"] = (V, D)
        for i in range(self.num_hidden_layers):
            layer = f"model.layers.{i}."
            shapes[f"evo.layers.{i}.modulation"] = (4 * D, K)
            shapes[layer + "input_layernorm"] = shapes[layer + "post_attention_layernorm"] = (D,)
            shapes[layer + "self_attn.q_proj"] = (queries, D)
            shapes[layer + "self_attn.k_proj"] = shapes[layer + "self_attn.v_proj"] = (keys, D)
            shapes[layer + "self_attn.o_proj"] = (D, queries)
            if self.qk_norm:
                shapes[layer + "self_attn.q_norm"] = (self.head_dim,)
                shapes[layer + "self_attn.k_norm"] = (self.head_dim,)
            shapes[layer + "mlp.gate_proj"] = shapes[layer + "mlp.up_proj"] = (inner, D)
            shapes[layer + "mlp.down_proj"] = (D, inner)
            if self.adapter_rank:
                for matrix, (out, size) in {"qkv": (queries + 2 * keys, D), "attention_out": (D, queries),
                                            "gate_up": (2 * inner, D), "down": (D, inner)}.items():
                    adapter = f"evo.layers.{i}.adapters.{matrix}."
                    shapes[adapter + "down"] = (self.adapter_rank, size)
                    shapes[adapter + "up"] = (out, self.adapter_rank)
        biases = {}
        if self.qkv_bias:
            for i in range(self.num_hidden_layers):
                for part, size in (("q", queries), ("k", keys), ("v", keys)):
                    biases[f"model.layers.{i}.self_attn.{part}_proj.bias"] = (size,)
        weights = {name + ".weight": shape for name, shape in shapes.items()}
        return {"evo.codes": (V, d), **biases, **weights}


@dataclass
class Objective:
    """What the terms of the loss weigh (the autoregressive one: 1), and what trains the codes."""
    code_gradient: str  # "ce": the flow's cross-entropy; "mse": squared errors; "pca": nothing
    flow_weight: float  # beta
    inner_weight: float  # beta_inner
    maturity_weight: float  # mu
    squared_weight: float  # of the squared errors, which are there only if code_gradient is "mse"

    def __post_init__(self):
        if self.code_gradient not in ("ce", "mse", "pca"):
            raise ValueError(f"code_gradient {self.code_gradient!r}: expected ce, mse or pca")

    @staticmethod
    def pick(raw):
        """From a JSON object that may hold other keys too."""
        return Objective(**{f.name: raw[f.name] for f in fields(Objective)})

    def weights(self):
        return {"ar": 1.0, "flow": self.flow_weight, "inner": self.inner_weight,
                "ahead": self.inner_weight, "maturity": self.maturity_weight,
                "ahead_maturity": self.maturity_weight, "squared": self.squared_weight}
