"""Random tiny models and batches in check.py's dump format, and the test of check.py itself."""
import json
import pathlib
import tempfile

import torch

import check
from evo_config import Config
from evo_model import TABLES, Model, losses
from tensor_file import read_tensors, write_tensors

OPTIMIZER = {"steps": 10, "lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1,
             "clip_norm": 1.0}
WEIGHTS = {"flow_weight": 0.7, "inner_weight": 0.6, "maturity_weight": 0.3, "squared_weight": 0.4}


def tiny_config(tied, qk_norm, qkv_bias=False, adapter_rank=0, ahead_size=0,
                window_places=0):
    """Sizes that all differ, so that no two axes can be confused; two query heads to a key head."""
    return Config(
        model_type="qwen3" if qk_norm else "qwen2" if qkv_bias else "llama", qk_norm=qk_norm,
        qkv_bias=qkv_bias, vocab_size=53, hidden_size=24, intermediate_size=40,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=10,
        rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=tied,
        max_position_embeddings=64, code_size=6, time_features=8, inner_size=12,
        ahead_size=ahead_size, window_places=window_places, adapter_rank=adapter_rank)


def random_model(config, generator):
    """Also what training starts at 0 or 1 is random here: a zero would hide a mistake behind it."""
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    parameters = {}
    for name, shape in config.shapes().items():
        if name.endswith("norm.weight"):
            parameters[name] = 1 + 0.2 * normal(*shape)
        elif name == "evo.codes":
            parameters[name] = normal(*shape)
        else:  # keeps a unit input at unit size, but for the time modulation, which is a correction
            scale = 0.3 if "modulation" in name else 1.0
            parameters[name] = scale * shape[-1] ** -0.5 * normal(*shape)
    log_snr, time = torch.linspace(-6, 6, 17), torch.linspace(0.99, 0.01, 17)
    tables = log_snr, time, normal(config.vocab_size).softmax(0)
    return Model(config, parameters, dict(zip(TABLES, tables)))


def mature_rows(tokens):
    """One text w_0 .. w_n as its n mature rows, in lists named as Batch's fields."""
    n = len(tokens) - 1
    return {"ids": tokens[:-1], "positions": list(range(n)), "context_begin": [0] * n,
            "context_end": list(range(1, n + 1)), "self_begin": [0] * n, "self_end": [0] * n,
            "targets": tokens[1:]}


def evolving_rows(tokens, block_lengths, first_row):
    """The same text's n evolving rows, cut into blocks; first_row: the number of the first one."""
    rows = {name: [] for name in check.INTEGERS}
    start = 1
    for length in block_lengths:
        for position in range(start, start + length):
            row = {"ids": tokens[position], "positions": position, "context_begin": 0,
                   "context_end": start, "self_begin": first_row + start - 1,
                   "self_end": first_row + start - 1 + length, "targets": tokens[position],
                   "previous": tokens[position - 1]}
            for name, value in row.items():
                rows[name].append(value)
        start += length
    return rows


def two_texts(vocab, code_gradient, generator):
    """batch.json of two texts in one pass; a context of the second starts at its own first row. One
    row of each kind has no target, and one carries another token's code: a wrong hypothesis."""
    texts = [torch.randint(vocab, (n + 1,), generator=generator).tolist() for n in (11, 8)]
    mature = [mature_rows(tokens) for tokens in texts]
    count = len(mature[0]["ids"]) + len(mature[1]["ids"])
    evolving = [evolving_rows(texts[0], (4, 1, 6), count),
                evolving_rows(texts[1], (8,), count + 11)]
    for part in (mature[1], evolving[1]):
        for name in ("context_begin", "context_end"):
            part[name] = [11 + row for row in part[name]]
    parts = (*mature, *evolving)
    raw = {name: sum((part.get(name, []) for part in parts), []) for name in check.INTEGERS}
    raw["targets"][3] = raw["targets"][count + 5] = -1
    raw["ids"][count + 2] = (raw["ids"][count + 2] + 1) % vocab
    return {"mature_rows": count, **raw, "optimizer": OPTIMIZER,
            "objective": {"code_gradient": code_gradient, **WEIGHTS}}


def random_floats(evolving, code_size, generator):
    """batch.safetensors: any decreasing signal(t) will do; the first row is pure noise, t = 1."""
    time = torch.rand(evolving, generator=generator)
    time[0] = 1.0
    signal = torch.cos(time * torch.pi / 2).square() * 0.99
    signal[0] = 0.0
    normal = torch.randn(2, evolving, code_size, generator=generator)
    return {"time": time, "signal": signal, "kappa": signal.sqrt() / (1 - signal),
            "noise": (1 - signal).sqrt()[:, None] * normal[0], "x_prev": 0.5 * normal[1],
            "squared_weights": torch.rand(evolving, generator=generator) / evolving}


def write_dump(folder, tied=False, qk_norm=False, code_gradient="ce", seed=1, qkv_bias=False,
               adapter_rank=0, ahead_size=0, window_places=0):
    """Everything but expected.safetensors."""
    folder, generator = pathlib.Path(folder), torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(tied, qk_norm, qkv_bias, adapter_rank, ahead_size, window_places)
    random_model(config, generator).save(folder)
    raw = two_texts(config.vocab_size, code_gradient, generator)
    (folder / "batch.json").write_text(json.dumps(raw) + "\n")
    floats = random_floats(len(raw["previous"]), config.code_size, generator)
    write_tensors(folder / "batch.safetensors", floats)


def write_expected(folder):
    """What a correct program would write: here, PyTorch in single precision."""
    results, _ = check.run(pathlib.Path(folder), torch.float32)
    write_tensors(pathlib.Path(folder) / "expected.safetensors",
                  {name: tensor.float() for name, tensor in results.items()})


def trained_by(folder, term):
    """The names of the parameters that a term of the objective has a gradient for."""
    model = Model.load(folder, torch.float64)
    batch, objective, _ = check.read_batch(pathlib.Path(folder), torch.float64)
    losses(model, batch, objective)[2][term].backward()
    return {n for n, p in model.parameters.items() if p.grad is not None and p.grad.any()}


def gradients_go_where_they_should(folder, code_gradient):
    """The heads learn from the backbone without shaping it, and the codes as the config says."""
    inner = {"evo.inner.in.weight", "evo.inner.out.weight"}
    codes_by_ce = {"evo.codes"} & trained_by(folder, "flow")
    right = [trained_by(folder, "inner") == inner,
             trained_by(folder, "maturity") == {"evo.maturity.weight"},
             not any(name.startswith("evo.") for name in trained_by(folder, "ar")),
             "evo.evolve_in.weight" in trained_by(folder, "flow"),
             codes_by_ce == ({"evo.codes"} if code_gradient == "ce" else set())]
    if code_gradient == "mse":
        right.append(trained_by(folder, "squared") == {"evo.codes"})
    print(f"  who trains what: {right.count(True)} passed, {right.count(False)} failed")
    return all(right)


def self_test():
    """True if right dumps pass and each wrong one fails, in what is wrong in it."""
    ok = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for tied, qk_norm, gradient in ((0, 0, "ce"), (1, 1, "ce"), (1, 0, "mse"), (0, 1, "pca")):
            write_dump(folder, bool(tied), bool(qk_norm), gradient)
            write_expected(folder)
            print(f"a right dump, tied {tied}, QK-norm {qk_norm}, codes by {gradient}: ", end="")
            ok = not check.check(folder, verbose=False) and ok
            ok = gradients_go_where_they_should(folder, gradient) and ok
            ok = all([fails(folder, *mistake) for mistake in mistakes()]) and ok
    print("self-test passed" if ok else "self-test FAILED")
    return ok


def mistakes():
    """(what, the quantity that must fail, the file it is in, function that makes the mistake)."""
    def add(name, amount):
        def apply(tensors):
            tensors[name].view(-1)[7 % tensors[name].numel()] += amount
        return apply

    def longer_context(raw):
        row = raw["mature_rows"] + 6  # in the second text's block or the first's: one key too many
        raw["context_end"][row] += 1

    def decay_less(raw):
        raw["optimizer"]["weight_decay"] *= 0.9

    expected, batch = "expected.safetensors", "batch.json"
    gradient = "grad.model.layers.1.self_attn.k_proj.weight"
    return (
        ("one element of a gradient", gradient, expected, add(gradient, 1e-3)),
        ("one logit", "inner_logits", expected, add("inner_logits", 1e-3)),
        ("a NaN", "hidden", expected, add("hidden", float("nan"))),
        ("a gradient left out", gradient, expected, lambda tensors: tensors.pop(gradient)),
        ("a quantity nobody knows", "typo", expected, lambda t: t.update(typo=torch.zeros(1))),
        ("a row that sees one row too many", "hidden", batch, longer_context),
        ("a weight decay of 0.09 instead of 0.1", "step_losses", batch, decay_less),
    )


def fails(folder, what, quantity, file, apply):
    """Makes one mistake, sees whether check.py finds it where it is, and repairs it."""
    path = folder / file
    kept = path.read_bytes()
    if file.endswith(".json"):
        raw = json.loads(kept)
        apply(raw)
        path.write_text(json.dumps(raw))
    else:
        tensors = read_tensors(path)
        apply(tensors)
        write_tensors(path, tensors)
    print(f"  {what}: ", end="")
    wrong = check.check(folder, verbose=False)
    path.write_bytes(kept)
    if quantity not in wrong:
        print(f"  NOT NOTICED in {quantity}")
    return quantity in wrong
