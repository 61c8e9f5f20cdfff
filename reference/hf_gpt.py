"""GPT-2 and GPT-NeoX in plain PyTorch: LayerNorm, biases, and a feed-forward part without a gate."""
import math

import torch
import torch.nn.functional as F

TANH = lambda x: F.gelu(x, approximate="tanh")
ACTIVATIONS = {"gelu": F.gelu, "gelu_new": TANH, "gelu_fast": TANH}


class GptModel:
    """Of a config.json and the tensors of such a model."""

    def __init__(self, config, tensors):
        self.c, self.tensors = config, tensors
        self.neox = config["model_type"] == "gpt_neox"
        self.width = config["hidden_size" if self.neox else "n_embd"]
        self.heads = config["num_attention_heads" if self.neox else "n_head"]
        self.layers = config["num_hidden_layers" if self.neox else "n_layer"]

    def linear(self, x, name):
        weight, bias = self.tensors[name + ".weight"], self.tensors.get(name + ".bias")
        y = x @ (weight.T if self.neox else weight)  # GPT-2 has [in, out]
        return y if bias is None else y + bias

    def norm(self, x, name):
        eps = self.c.get("layer_norm_eps" if self.neox else "layer_norm_epsilon", 1e-5)
        return F.layer_norm(x, (self.width,), self.tensors[name + ".weight"],
                            self.tensors[name + ".bias"], eps)

    def rotate(self, x):
        """x [H, n, e], of which the first rotary_pct are turned."""
        r = int(x.shape[-1] * self.c.get("rotary_pct", 0.25))
        base = self.c.get("rotary_emb_base", 10000.0)
        frequency = base ** (-torch.arange(0, r, 2, dtype=torch.float64) / r)
        angle = torch.arange(x.shape[1])[:, None].double() * frequency
        cos, sin = (f(torch.cat((angle, angle), -1)).to(x.dtype) for f in (torch.cos, torch.sin))
        x, rest = x[..., :r], x[..., r:]
        a, b = x.chunk(2, -1)
        return torch.cat((x * cos + torch.cat((-b, a), -1) * sin, rest), -1)

    def attention(self, x, name):
        n, e = len(x), self.width // self.heads
        if self.neox:  # q, k and v of a head side by side
            all_heads = self.linear(x, name + "attention.query_key_value").view(n, self.heads, 3, e)
            q, k, v = (t.transpose(0, 1) for t in all_heads.unbind(2))
            q, k = self.rotate(q), self.rotate(k)
        else:
            q, k, v = (t.view(n, self.heads, e).transpose(0, 1)
                       for t in self.linear(x, name + "attn.c_attn").chunk(3, -1))
        scale = e ** -0.5 if self.c.get("scale_attn_weights", True) else 1.0
        scores = (q @ k.transpose(-1, -2) * scale).masked_fill(
            torch.ones(n, n, dtype=torch.bool).triu(1), -math.inf)
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(n, -1)
        return self.linear(mixed, name + ("attention.dense" if self.neox else "attn.c_proj"))

    def feed_forward(self, x, name):
        up, down = ("dense_h_to_4h", "dense_4h_to_h") if self.neox else ("c_fc", "c_proj")
        default = "gelu" if self.neox else "gelu_new"
        f = ACTIVATIONS[self.c.get("hidden_act" if self.neox else "activation_function", default)]
        return self.linear(f(self.linear(x, f"{name}mlp.{up}")), f"{name}mlp.{down}")

    def logits(self, ids):
        """[n] token ids -> [n, V]."""
        if self.neox:
            prefix, norms = "gpt_neox.layers.", ("input_layernorm", "post_attention_layernorm")
            x = self.tensors["gpt_neox.embed_in.weight"][ids]
        else:
            prefix, norms = "transformer.h.", ("ln_1", "ln_2")
            x = (self.tensors["transformer.wte.weight"][ids]
                 + self.tensors["transformer.wpe.weight"][:len(ids)])
        for i in range(self.layers):
            name = f"{prefix}{i}."
            mixed = self.attention(self.norm(x, name + norms[0]), name)
            side_by_side = self.neox and self.c.get("use_parallel_residual", True)
            between = x if side_by_side else x + mixed
            fed = self.feed_forward(self.norm(between, name + norms[1]), name)
            x = x + mixed + fed
        if not self.neox:
            return self.norm(x, "transformer.ln_f") @ self.tensors["transformer.wte.weight"].T
        return self.norm(x, "gpt_neox.final_layer_norm") @ self.tensors["embed_out.weight"].T
