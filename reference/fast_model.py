"""The model and objective of evo_model.py as one would write them to be fast in PyTorch.

Texts are the batch axis; q, k, v are one product, gate and up another, and the Gaussian term is
part of the head's, [h | kappa z] [U | c]^T; mature queries see only mature keys, so that no mask
ever covers the empty quarter of the square. No QK-norm; codes are trained by the cross-entropy;
blocks of one length.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from evo_config import Objective

OBJECTIVE = Objective("ce", flow_weight=0.5, inner_weight=0.5, maturity_weight=0.1,
                      squared_weight=0.0)


def rms_norm(x, weight, eps):
    if hasattr(F, "rms_norm"):  # PyTorch 2.4 and later
        return F.rms_norm(x, (x.shape[-1],), weight, eps)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def wide(logits):
    """Losses are computed in f32 where products are in bf16."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits


def scale_evolving(x, scale):
    """x [B, T, D]: its last rows times scale [B, T - n, D]; its first n, the mature ones, as is."""
    if scale is None:
        return x
    mature = x.shape[1] - scale.shape[1]
    return torch.cat((x[:, :mature], x[:, mature:] * scale), 1)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


class Block(nn.Module):
    def __init__(self, c, sdpa):
        super().__init__()
        self.heads, self.key_heads = c.num_attention_heads, c.num_key_value_heads
        self.head_dim, self.eps, self.sdpa = c.head_dim, c.rms_norm_eps, sdpa
        D, queries, keys = c.hidden_size, self.heads * c.head_dim, self.key_heads * c.head_dim
        self.split = (queries, keys, keys)
        self.norm1, self.norm2 = nn.Parameter(torch.ones(D)), nn.Parameter(torch.ones(D))
        self.qkv = nn.Linear(D, queries + 2 * keys, bias=False)
        self.out = nn.Linear(queries, D, bias=False)
        self.gate_up = nn.Linear(D, 2 * c.intermediate_size, bias=False)
        self.down = nn.Linear(c.intermediate_size, D, bias=False)
        self.modulation = nn.Linear(c.time_features, 4 * D, bias=False)

    def attend(self, q, k, v, bias):
        """q [B, H, Tq, e], k and v [B, H, Tk, e], bias [Tq, Tk]: 0, or -inf where q must not see k;
        is_causal says the same as the mature rows' bias, faster."""
        if self.sdpa:
            causal = q.shape[2] == k.shape[2]
            return F.scaled_dot_product_attention(q, k, v, None if causal else bias.to(q.dtype),
                                                  is_causal=causal)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias.to(q.dtype)
        return scores.softmax(-1).to(v.dtype) @ v

    def attention(self, x, rope, mature, biases):
        B, T, _ = x.shape
        q, k, v = (part.view(B, T, -1, self.head_dim).transpose(1, 2)
                   for part in self.qkv(x).split(self.split, -1))
        q, k = rotate(q, *rope), rotate(k, *rope)
        if self.heads != self.key_heads:
            k, v = (t.repeat_interleave(self.heads // self.key_heads, 1) for t in (k, v))
        y = self.attend(q[:, :, :mature], k[:, :, :mature], v[:, :, :mature], biases[0])
        if T > mature:
            y = torch.cat((y, self.attend(q[:, :, mature:], k, v, biases[1])), 2)
        return self.out(y.transpose(1, 2).reshape(B, T, -1))

    def forward(self, x, rope, mature, biases, phi):
        s1 = g1 = s2 = g2 = None
        if phi is not None:
            s1, g1, s2, g2 = (1 + self.modulation(phi)).chunk(4, -1)
        n = scale_evolving(rms_norm(x, self.norm1, self.eps), s1)
        x = x + scale_evolving(self.attention(n, rope, mature, biases), g1)
        n = scale_evolving(rms_norm(x, self.norm2, self.eps), s2)
        gate, up = self.gate_up(n).chunk(2, -1)
        return x + scale_evolving(self.down(F.silu(gate) * up), g2)


class Trainee(nn.Module):
    """The objective as a function of tokens and noise: B texts, n tokens, blocks of `block`."""

    def __init__(self, c, seq, block, sdpa, ar_only):
        super().__init__()
        self.c, self.seq, self.block, self.ar_only = c, seq, block, ar_only
        D, R = c.hidden_size, c.inner_size
        self.embed = nn.Embedding(c.vocab_size, D)
        self.head = self.embed if c.tie_word_embeddings else nn.Linear(D, c.vocab_size, bias=False)
        self.blocks = nn.ModuleList(Block(c, sdpa) for _ in range(c.num_hidden_layers))
        self.norm = nn.Parameter(torch.ones(D))
        if ar_only:
            for layer in self.blocks:
                del layer.modulation
        else:
            self.codes = nn.Parameter(torch.empty(c.vocab_size, c.code_size))
            self.evolve_in = nn.Linear(2 * c.code_size + c.time_features, D, bias=False)
            self.inner_in = nn.Linear(2 * D, 2 * R, bias=False)
            self.inner_out = nn.Linear(R, D, bias=False)
            self.maturity = nn.Parameter(torch.zeros(D + 3))
        self.add_tables()
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def add_tables(self):
        """Rotations and masks: the mature rows' causal one, the evolving rows' over all keys."""
        half, row = self.c.head_dim // 2, torch.arange(self.seq)
        position = row if self.ar_only else torch.cat((row, row + 1))
        angle = torch.outer(position, self.c.rope_theta ** (-torch.arange(half) / half))
        # Evolving row s is at position s + 1: a block that starts there sees mature rows 0 .. s.
        start = row // self.block * self.block  # the first evolving row of each row's block
        seen = torch.cat((row <= start[:, None], start == start[:, None]), 1)
        bias = lambda visible: torch.zeros(visible.shape).masked_fill(~visible, -math.inf)
        tables = {"cos": angle.cos(), "sin": angle.sin(), "causal": bias(row <= row[:, None]),
                  "evolving": bias(seen)}
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def backbone(self, x, phi):
        for layer in self.blocks:
            x = layer(x, (self.cos, self.sin), self.seq, (self.causal, self.evolving), phi)
        return rms_norm(x, self.norm, self.c.rms_norm_eps)

    def inner_states(self, h, previous):
        """h and `previous`, E of the token before, [B, n, D] -> s [B, n, R], all blocks at once."""
        u, y = self.inner_in(torch.cat((h, previous), -1)).chunk(2, -1)
        gate = u.sigmoid()
        per_block = (h.shape[0], -1, self.block, self.c.inner_size)
        keep, added = (1 - gate).view(per_block), (gate * y.tanh()).view(per_block)
        states = [added[:, :, 0]]
        for i in range(1, self.block):
            states.append(keep[:, :, i] * states[-1] + added[:, :, i])
        return torch.stack(states, 2).flatten(1, 2)

    def maturity_loss(self, o, log_p, targets):
        log_p_max, drafted = log_p.max(-1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        w = self.maturity
        logit = wide(o @ w[:-3]) + w[-3] * log_p_max + w[-2] * entropy + w[-1]
        return F.binary_cross_entropy_with_logits(logit, (drafted == targets).to(logit.dtype))

    def forward(self, tokens, time, signal, noise, x_prev):
        """tokens [B, n + 1]; time, signal [B, n, 1]; noise (e), x_prev [B, n, d]."""
        c, embedded, targets = self.c, self.embed(tokens[:, :-1]), tokens[:, 1:].flatten()
        if self.ar_only:
            logits = F.linear(self.backbone(embedded, None).flatten(0, 1), self.head.weight)
            return F.cross_entropy(wide(logits), targets)
        codes = F.normalize(self.codes, dim=-1) * math.sqrt(c.code_size)
        z = signal.sqrt() * F.embedding(tokens[:, 1:], codes) + (1 - signal).sqrt() * noise
        angle = time * torch.arange(1, c.time_features // 2) * (math.pi / 2)
        phi = torch.cat((torch.ones_like(time), time, angle.sin(), angle.cos()), -1)
        evolving = self.evolve_in(torch.cat((z, x_prev, phi), -1)).to(embedded.dtype)
        h = self.backbone(torch.cat((embedded, evolving), 1), phi)

        logits = F.linear(h[:, : self.seq].flatten(0, 1), self.head.weight)
        ar = F.cross_entropy(wide(logits), targets)
        kappa_z = z * (signal.sqrt() / (1 - signal))
        unembedding = torch.cat((self.head.weight, codes), -1)  # [V, D + d]
        h = h[:, self.seq:]
        logits = F.linear(torch.cat((h, kappa_z), -1).flatten(0, 1), unembedding)
        flow = F.cross_entropy(wide(logits), targets)
        h = h.detach()
        o = h + self.inner_out(self.inner_states(h, embedded.detach()))
        logits = F.linear(torch.cat((o, kappa_z.detach()), -1).flatten(0, 1), unembedding.detach())
        log_p = wide(logits).log_softmax(-1)
        inner = F.nll_loss(log_p, targets)
        maturity = self.maturity_loss(o.detach().flatten(0, 1), log_p.detach(), targets)
        return (ar + OBJECTIVE.flow_weight * flow + OBJECTIVE.inner_weight * inner
                + OBJECTIVE.maturity_weight * maturity)


def random_inputs(c, batch, seq):
    time, normal = torch.rand(batch, seq, 1), torch.randn(2, batch, seq, c.code_size)
    signal = torch.cos(time * math.pi / 2).square() * 0.99
    tokens = torch.randint(c.vocab_size, (batch, seq + 1))
    return tokens, time, signal, normal[0], normal[1] * 0.5
