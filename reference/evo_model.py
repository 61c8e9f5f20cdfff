"""The model, its heads and its training objective in plain PyTorch: documentation, and the oracle
that the C++ program is tested against (check.py). The specification is docs/design/model.md.

Nothing here is fast: visibility is a dense mask, the inner field a Python loop over rows.

Shapes: N rows of one pass = Nm mature rows, then Ne evolving rows; D hidden, H query heads, G key
heads, e head size, V vocabulary, d code size, K time features, R inner width. Matrices are [out,
in].
"""
import math
import pathlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from evo_config import Config
from tensor_file import read_tensors, write_tensors

# Kept beside the parameters in the file, never trained, not needed here: the caller gives a(t).
TABLES = ("evo.time.log_snr", "evo.time.value", "evo.unigram")


@dataclass
class Batch:
    """The rows of one pass. Token and row numbers are int64, the rest is in the model's format."""
    ids: torch.Tensor  # [N] mature: the input token; evolving: the token whose code is in z
    positions: torch.Tensor  # [N] for RoPE
    context_begin: torch.Tensor  # [N] a row sees the rows [context_begin, context_end) ...
    context_end: torch.Tensor  # [N]
    self_begin: torch.Tensor  # [N] ... and its own block, [self_begin, self_end); all four count
    self_end: torch.Tensor  # [N] the rows of this pass from its first; begin = end: none
    targets: torch.Tensor  # [N] mature: the next token; evolving: the row's own; -1: no loss
    previous: torch.Tensor  # [Ne] the token before each evolving row's (for the inner field)
    time: torch.Tensor  # [Ne] t
    signal: torch.Tensor  # [Ne] a(t)
    kappa: torch.Tensor  # [Ne] sqrt(a) / (1 - a), 0 at t = 1
    noise: torch.Tensor  # [Ne, d] sqrt(1 - a) e, the second term of z
    x_prev: torch.Tensor  # [Ne, d] the previous pass's E[c | z], or 0
    squared_weights: torch.Tensor  # [Ne] of the rows' squared errors; a mean's 1 / Ne is in it

    @property
    def mature_rows(self):
        return len(self.ids) - len(self.time)

    def visible(self):
        """[N, N] of bool: may row r (first axis) see row c?"""
        rows = torch.arange(len(self.ids))
        within = lambda begin, end: (begin[:, None] <= rows) & (rows < end[:, None])
        return within(self.context_begin, self.context_end) | within(self.self_begin, self.self_end)

    def shares(self):
        """What a row's loss counts for in each term, a mean over the rows that have a target."""
        with_target = self.targets >= 0
        mature = 1 / max(1, int(with_target[: self.mature_rows].sum()))
        evolving = 1 / max(1, int(with_target[self.mature_rows:].sum()))
        ahead = 1 / max(1, int((self.ahead_targets() >= 0).sum()))
        return {"ar": mature, "flow": evolving, "inner": evolving, "maturity": evolving,
                "ahead": ahead, "ahead_maturity": ahead, "squared": 1.0}

    def places(self):
        """[Ne] Of a row in its block, from 0."""
        first = self.mature_rows
        return torch.arange(first, len(self.ids)) - self.self_begin[first:]

    def starts_block(self):
        """[Ne] of bool."""
        return self.places() == 0

    def ahead_targets(self):
        """[Ne] The field ahead drafts all tokens of a block but the first; -1: none. (In training it
        learns what the mature rows choose; a check must not depend on who wins a tie.)"""
        return self.targets[self.mature_rows:].masked_fill(self.starts_block(), -1)


@dataclass
class Pass:
    """What one pass yields."""
    hidden: torch.Tensor  # [N, D] h
    mature_logits: torch.Tensor  # [Nm, V] of the next token
    evolving_logits: torch.Tensor  # [Ne, V] marginal posterior of the row's own token
    z: torch.Tensor  # [Ne, d]
    x: torch.Tensor  # [Ne, d] posterior mean E[c | z]
    inner_logits: torch.Tensor  # [Ne, V] of the row's own token, given `previous`
    maturity_logits: torch.Tensor  # [Ne] sigmoid of it is m
    ahead_logits: torch.Tensor = None  # the same two without a window, if the model has that field
    ahead_maturity_logits: torch.Tensor = None


def rms_norm(x, weight, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * weight


def rope(x, positions, theta):
    """x [N, heads, e]: rotates the pairs (i, i + e/2) by position * theta^(-2i/e)."""
    half = x.shape[-1] // 2
    frequency = theta ** (-torch.arange(half, dtype=x.dtype) / half)
    angle = (positions.to(x.dtype)[:, None] * frequency)[:, None, :]  # [N, 1, e/2]
    a, b = x.chunk(2, -1)
    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), -1)


def time_features(t, count):
    """t [Ne] -> [Ne, count]: 1, t, sines, cosines."""
    angle = t[:, None] * torch.arange(1, (count - 2) // 2 + 1, dtype=t.dtype) * (math.pi / 2)
    return torch.cat((torch.ones_like(t)[:, None], t[:, None], angle.sin(), angle.cos()), -1)


class Model:
    """Parameters by their names in model.safetensors, and the forward pass."""

    def __init__(self, config, parameters, tables=None):
        self.config, self.parameters, self.tables = config, parameters, tables or {}

    @staticmethod
    def load(folder, dtype=torch.float32):
        config = Config.load(folder)
        tensors = read_tensors(pathlib.Path(folder) / "model.safetensors")
        tables = {name: tensors.pop(name) for name in TABLES if name in tensors}
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        wrong = set(found.items()) ^ set(config.shapes().items())
        if wrong:
            raise ValueError(f"{folder}: config.json and the tensors differ in {sorted(wrong)}")
        return Model(config, {n: t.to(dtype).requires_grad_() for n, t in tensors.items()}, tables)

    def save(self, folder):
        self.config.save(folder)
        tensors = {**self.parameters, **self.tables}
        write_tensors(pathlib.Path(folder) / "model.safetensors", tensors)

    def weight(self, name):
        return self.parameters[name + ".weight"]

    def linear(self, x, name):
        bias = self.parameters.get(name + ".bias")
        return x @ self.weight(name).T + (0 if bias is None else bias)

    def norm(self, x, name):
        return rms_norm(x, self.weight(name), self.config.rms_norm_eps)

    def unembedding(self):
        """U [V, D]."""
        return self.weight("model.embed_tokens" if self.config.tie_word_embeddings else "lm_head")

    def codes(self):
        """c(w) of all w [V, d]: rows of length sqrt(d), so that a coordinate is about 1 in size."""
        codes = self.parameters["evo.codes"]
        return math.sqrt(self.config.code_size) * codes / codes.norm(dim=-1, keepdim=True)

    def adapted(self, y, x, layer, matrix, batch):
        """y [N, out], a product of x [N, in], and what evolving rows add to it."""
        if self.config.adapter_rank == 0:
            return y
        name, first = f"evo.layers.{layer}.adapters.{matrix}.", batch.mature_rows
        more = self.linear(self.linear(x[first:], name + "down"), name + "up")
        return torch.cat((y[:first], y[first:] + more))

    def attention(self, n, layer, batch, visible):
        """n [N, D] -> [N, D]; and the k and v [N, heads, e] that queries meet."""
        c, name = self.config, f"model.layers.{layer}.self_attn."
        parts = [self.linear(n, f"{name}{part}_proj") for part in "qkv"]
        qkv = self.adapted(torch.cat(parts, -1), n, layer, "qkv", batch)
        q, k, v = (part.unflatten(-1, (-1, c.head_dim))  # [N, heads, e]
                   for part in qkv.split([part.shape[-1] for part in parts], -1))
        if c.qk_norm:
            q, k = self.norm(q, name + "q_norm"), self.norm(k, name + "k_norm")
        q, k = (rope(part, batch.positions, c.rope_theta) for part in (q, k))
        shared = c.num_attention_heads // c.num_key_value_heads  # query heads to a key head
        k, v = (part.repeat_interleave(shared, dim=1) for part in (k, v))
        scores = torch.einsum("qhe,khe->hqk", q, k) / math.sqrt(c.head_dim)
        weights = scores.masked_fill(~visible, -math.inf).softmax(-1)
        seen = torch.einsum("hqk,khe->qhe", weights, v).flatten(1)
        out = self.linear(seen, name + "o_proj")
        return self.adapted(out, seen, layer, "attention_out", batch), (k, v)

    def feed_forward(self, n, layer, batch):
        name = f"model.layers.{layer}.mlp."
        parts = torch.cat((self.linear(n, name + "gate_proj"), self.linear(n, name + "up_proj")), -1)
        gate, up = self.adapted(parts, n, layer, "gate_up", batch).chunk(2, -1)
        gated = F.silu(gate) * up
        return self.adapted(self.linear(gated, name + "down_proj"), gated, layer, "down", batch)

    def hidden(self, batch, z):
        """h [N, D], and what the field ahead sees: k and v [Nm, heads, e] of one layer."""
        # A mature row's phi is 0, so that its scales and gates are 1: the unmodified backbone.
        phi = time_features(batch.time, self.config.time_features)  # [Ne, K]
        all_phi = torch.cat((phi.new_zeros(batch.mature_rows, phi.shape[1]), phi))  # [N, K]
        mature = self.weight("model.embed_tokens")[batch.ids[: batch.mature_rows]]
        evolving = self.linear(torch.cat((z, batch.x_prev, phi), -1), "evo.evolve_in")
        if self.config.window_places:
            evolving = evolving + self.weight("evo.places")[
                batch.places().clamp(max=self.config.window_places - 1)]
        x, visible = torch.cat((mature, evolving)), batch.visible()
        for i in range(self.config.num_hidden_layers):
            s1, g1, s2, g2 = (1 + self.linear(all_phi, f"evo.layers.{i}.modulation")).chunk(4, -1)
            n = self.norm(x, f"model.layers.{i}.input_layernorm") * s1
            attended, keys = self.attention(n, i, batch, visible)
            if i == self.config.num_hidden_layers * 3 // 4:
                ahead_keys = [part[: batch.mature_rows] for part in keys]
            x = x + g1 * attended
            n = self.norm(x, f"model.layers.{i}.post_attention_layernorm") * s2
            x = x + g2 * self.feed_forward(n, i, batch)
        return self.norm(x, "model.norm"), ahead_keys

    def drift(self, h, batch, starts, field):
        """A gated recurrence over h [Ne, D] that begins anew where `starts` says: its states [Ne, R]
        and its inputs [Ne, 2D]. It drafts for the backbone and must not shape it, so everything that
        is the backbone's is detached."""
        embedding = self.weight("model.embed_tokens").detach()[batch.previous]
        inputs = torch.cat((h, embedding), -1)
        u, y = self.linear(inputs, field + ".in").chunk(2, -1)
        gate, candidate, states = u.sigmoid(), y.tanh(), []
        for r in range(len(h)):
            before = torch.zeros_like(gate[r]) if starts[r] else states[-1]
            states.append((1 - gate[r]) * before + gate[r] * candidate[r])
        return torch.stack(states) if states else torch.zeros_like(u[:, :0]), inputs

    def inner_field(self, h, batch):
        """o [Ne, D] from the evolving rows' own hidden states h [Ne, D], along each block."""
        states, _ = self.drift(h.detach(), batch, batch.starts_block(), "evo.inner")
        return h.detach() + self.linear(states, "evo.inner.out")

    def ahead_field(self, h, keys, batch):
        """o [Ne, D] without a window: from h [N, D] of the last mature row before each block, the
        drafts since, and keys, the k and v [Nm, heads, e] that a layer has of the mature rows. Of a
        block's first token that row's own logits tell; the field begins with the second."""
        c, mature = self.config, batch.mature_rows
        before = h.detach()[batch.context_end[mature:] - 1]
        first = batch.starts_block()
        second = torch.cat((first.new_zeros(1), first[:-1]))
        states, inputs = self.drift(before, batch, first | second, "evo.ahead")
        x = self.linear(torch.cat((states, inputs), -1), "evo.ahead.out")
        q = self.linear(self.norm(x, "evo.ahead.attention_norm"), "evo.ahead.query")
        # A row asks from the place of the token before it.
        q = rope(q.unflatten(-1, (-1, c.head_dim)), batch.positions[mature:] - 1, c.rope_theta)
        k, v = (part.detach() for part in keys)
        scores = torch.einsum("qhe,khe->hqk", q, k) / math.sqrt(c.head_dim)
        rows = torch.arange(mature)
        seen = ((batch.context_begin[mature:, None] <= rows)
                & (rows < batch.context_end[mature:, None]))
        weights = scores.masked_fill(~seen, -math.inf).softmax(-1)
        x = x + self.linear(torch.einsum("hqk,khe->qhe", weights, v).flatten(1),
                            "evo.ahead.attention_out")
        gate, up = self.linear(self.norm(x, "evo.ahead.feed_forward_norm"),
                               "evo.ahead.gate_up").chunk(2, -1)
        x = x + self.linear(F.silu(gate) * up, "evo.ahead.down")
        return self.norm(x, "evo.ahead.norm")

    def maturity(self, o, logits, name="evo.maturity"):
        """Logit of the maturity [Ne]; it trains only its own weight."""
        log_p = logits.detach().log_softmax(-1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        ones = torch.ones_like(entropy)
        features = torch.cat((o.detach(), torch.stack((log_p.amax(-1), entropy, ones), -1)), -1)
        return features @ self.weight(name)

    def forward(self, batch, train_codes=False):
        mature, unembedding, codes = batch.mature_rows, self.unembedding(), self.codes()
        if not train_codes:  # then no gradient reaches them through z, x or the Gaussian term
            codes = codes.detach()
        z = batch.signal.sqrt()[:, None] * codes[batch.ids[mature:]] + batch.noise
        gaussian = batch.kappa[:, None] * (z @ codes.T)  # [Ne, V]
        h, keys = self.hidden(batch, z)
        logits = h @ unembedding.T
        evolving = logits[mature:] + gaussian
        o = self.inner_field(h[mature:], batch)
        inner = o @ unembedding.detach().T + gaussian.detach()
        out = Pass(h, logits[:mature], evolving, z, evolving.softmax(-1) @ codes, inner,
                   self.maturity(o, inner))
        if self.config.ahead_size:
            o = self.ahead_field(h, keys, batch)
            out.ahead_logits = o @ unembedding.detach().T
            out.ahead_maturity_logits = self.maturity(o, out.ahead_logits, "evo.ahead.maturity")
        return out

    def squared_errors(self, batch, out):
        """|c(target) - x|^2 [Ne], with a gradient only to the codes: through c(target), and through
        x and the Gaussian term of its posterior; network and z are taken as given."""
        codes, z, target = self.codes(), out.z.detach(), batch.targets[batch.mature_rows:]
        network = out.hidden[batch.mature_rows:].detach() @ self.unembedding().detach().T
        x = (network + batch.kappa[:, None] * (z @ codes.T)).softmax(-1) @ codes
        return (codes[target.clamp(min=0)] - x).square().sum(-1)


def losses(model, batch, objective):
    """Returns the Pass; rows: each term's loss by row, 0 where there is no target; terms: their
    means over the rows that have one; and the objective, a scalar."""
    mature, out = batch.mature_rows, model.forward(batch, objective.code_gradient == "ce")
    next_token, own_token = batch.targets[:mature], batch.targets[mature:]
    nll = lambda logits, t: F.cross_entropy(logits, t, ignore_index=-1, reduction="none")

    def maturity(drafted, guess, targets):
        right = (drafted.argmax(-1) == targets).to(guess.dtype)
        loss = F.binary_cross_entropy_with_logits(guess, right, reduction="none")
        return loss * (targets >= 0)

    rows = {"ar": nll(out.mature_logits, next_token),
            "flow": nll(out.evolving_logits, own_token),
            "inner": nll(out.inner_logits, own_token),
            "maturity": maturity(out.inner_logits, out.maturity_logits, own_token)}
    if out.ahead_logits is not None:
        targets = batch.ahead_targets()
        rows["ahead"] = nll(out.ahead_logits, targets)
        rows["ahead_maturity"] = maturity(out.ahead_logits, out.ahead_maturity_logits, targets)
    if objective.code_gradient == "mse":
        squared = model.squared_errors(batch, out)
        rows["squared"] = batch.squared_weights * squared * (own_token >= 0)
    shares, weights = batch.shares(), objective.weights()
    terms = {name: shares[name] * loss.sum() for name, loss in rows.items()}
    return out, rows, terms, sum(weights[name] * term for name, term in terms.items())
