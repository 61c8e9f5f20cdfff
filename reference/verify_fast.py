"""Has fast_model.py the loss and the gradients of evo_model.py?  train_bench.py --verify"""
import torch
import torch.nn as nn

from check import INTEGERS
from evo_model import Batch, Model, losses
from example import evolving_rows, mature_rows, tiny_config
from fast_model import OBJECTIVE, Trainee, random_inputs


def reference_batch(inputs, block):
    """The one text of random_inputs as evo_model's rows."""
    tokens, time, signal, noise, x_prev = inputs
    text, seq = tokens[0].tolist(), tokens.shape[1] - 1
    parts = mature_rows(text), evolving_rows(text, [block] * (seq // block), seq)
    rows = {name: torch.tensor(sum((part.get(name, []) for part in parts), []))
            for name in INTEGERS}
    t, a = time[0, :, 0], signal[0, :, 0]
    return Batch(**rows, time=t, signal=a, kappa=a.sqrt() / (1 - a), x_prev=x_prev[0],
                 noise=(1 - signal[0]).sqrt() * noise[0], squared_weights=torch.zeros_like(t))


def reference_parameters(model, c):
    """Name in model.safetensors -> the part of the Trainee's parameters that it is."""
    heads = [part * c.head_dim for part in (c.num_attention_heads,) + (c.num_key_value_heads,) * 2]
    parts = {"model.embed_tokens.weight": model.embed.weight, "model.norm.weight": model.norm,
             "evo.codes": model.codes, "evo.evolve_in.weight": model.evolve_in.weight,
             "evo.inner.in.weight": model.inner_in.weight, "evo.maturity.weight": model.maturity,
             "evo.inner.out.weight": model.inner_out.weight}
    for i, block in enumerate(model.blocks):
        layer = f"model.layers.{i}."
        q, k, v = block.qkv.weight.split(heads)
        gate, up = block.gate_up.weight.chunk(2)
        parts.update({layer + name + ".weight": weight for name, weight in {
            "input_layernorm": block.norm1, "post_attention_layernorm": block.norm2,
            "self_attn.q_proj": q, "self_attn.k_proj": k, "self_attn.v_proj": v,
            "self_attn.o_proj": block.out.weight, "mlp.gate_proj": gate, "mlp.up_proj": up,
            "mlp.down_proj": block.down.weight}.items()})
        parts[f"evo.layers.{i}.modulation.weight"] = block.modulation.weight
    if not c.tie_word_embeddings:
        parts["lm_head.weight"] = model.head.weight
    return parts


def verify(sdpa):
    """Are the loss and every gradient, in double, as evo_model.py has them?"""
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    c = tiny_config(tied=False, qk_norm=False)
    model = Trainee(c, 12, 4, sdpa, ar_only=False)
    for p in model.parameters():
        nn.init.normal_(p, std=0.3)
    inputs = random_inputs(c, 1, 12)
    ours = model(*inputs)
    ours.backward()
    parts = reference_parameters(model, c)
    reference = Model(c, {name: p.detach().clone().requires_grad_() for name, p in parts.items()})
    theirs = losses(reference, reference_batch(inputs, 4), OBJECTIVE)[3]
    theirs.backward()
    for p in model.parameters():
        p.data = p.grad  # so that the same cut gives the gradients of the fused matrices' parts
    differences = [abs(ours - theirs)]
    for name, gradient in reference_parameters(model, c).items():
        differences.append((gradient - reference.parameters[name].grad).abs().max())
    print(f"the loss and {len(differences) - 1} gradients differ by at most {max(differences):.1e}")
    return all(difference < 1e-10 for difference in differences)  # not so for a NaN
