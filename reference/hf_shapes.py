"""What the files of every Hugging Face family that `evo` reads hold: names and shapes of arrays."""


def gpt2_shapes(c):
    D, V, F = c["n_embd"], c["vocab_size"], c.get("n_inner") or 4 * c["n_embd"]
    found = {"transformer.wte.weight": (V, D), "transformer.wpe.weight": (c["n_positions"], D)}
    norms = ["transformer.ln_f"]
    for i in range(c["n_layer"]):
        layer = f"transformer.h.{i}."
        norms += [layer + "ln_1", layer + "ln_2"]
        for name, shape in {"attn.c_attn": (D, 3 * D), "attn.c_proj": (D, D), "mlp.c_fc": (D, F),
                            "mlp.c_proj": (F, D)}.items():
            found[f"{layer}{name}.weight"], found[f"{layer}{name}.bias"] = shape, shape[1:]
    return {**found, **{f"{norm}.{kind}": (D,) for norm in norms for kind in ("weight", "bias")}}


def gpt_neox_shapes(c):
    D, V, F = c["hidden_size"], c["vocab_size"], c["intermediate_size"]
    found = {"gpt_neox.embed_in.weight": (V, D), "embed_out.weight": (V, D)}
    norms = ["gpt_neox.final_layer_norm"]
    for i in range(c["num_hidden_layers"]):
        layer = f"gpt_neox.layers.{i}."
        norms += [layer + "input_layernorm", layer + "post_attention_layernorm"]
        for name, shape in {"attention.query_key_value": (3 * D, D), "attention.dense": (D, D),
                            "mlp.dense_h_to_4h": (F, D), "mlp.dense_4h_to_h": (D, F)}.items():
            found[f"{layer}{name}.weight"], found[f"{layer}{name}.bias"] = shape, shape[:1]
    return {**found, **{f"{norm}.{kind}": (D,) for norm in norms for kind in ("weight", "bias")}}


def attention_shapes(c, H, G, e):
    kind, D = c["model_type"], c["hidden_size"]
    found = {"o_proj.weight": (D, H * e)}
    if kind == "phi3":
        return {**found, "qkv_proj.weight": ((H + 2 * G) * e, D)}
    widths = {"q": H * e, "k": G * e, "v": G * e}
    for part, width in widths.items():
        found[f"{part}_proj.weight"] = (width, D)
        if kind == "qwen2" or c.get("attention_bias"):
            found[f"{part}_proj.bias"] = (width,)
        if part == "v":
            continue
        if kind in ("qwen3", "qwen3_moe", "gemma3_text"):
            found[f"{part}_norm.weight"] = (e,)
        elif kind.startswith("olmo"):
            found[f"{part}_norm.weight"] = (width,)
    if c.get("attention_bias"):
        found["o_proj.bias"] = (D,)
    return found


def gated_shapes(prefix, names, F, D):
    gate, up, down = names
    return {f"{prefix}{gate}.weight": (F, D), f"{prefix}{up}.weight": (F, D),
            f"{prefix}{down}.weight": (D, F)}


def feed_forward_shapes(c, layer):
    kind, D, F = c["model_type"], c["hidden_size"], c["intermediate_size"]
    plain = ("gate_proj", "up_proj", "down_proj")
    if kind == "phi3":
        return {"mlp.gate_up_proj.weight": (2 * F, D), "mlp.down_proj.weight": (D, F)}
    dense = layer in c.get("mlp_only_layers", ()) or (layer + 1) % c.get("decoder_sparse_step", 1)
    if kind in ("mixtral", "olmoe") or (kind == "qwen3_moe" and not dense):
        block = "block_sparse_moe." if kind == "mixtral" else "mlp."
        names = ("w1", "w3", "w2") if kind == "mixtral" else plain
        count = c.get("num_local_experts") or c["num_experts"]
        found = {block + "gate.weight": (count, D)}
        for i in range(count):
            found.update(gated_shapes(f"{block}experts.{i}.", names,
                                      c.get("moe_intermediate_size", F), D))
        return found
    found = gated_shapes("mlp.", plain, F, D)
    if c.get("mlp_bias"):
        found.update({name.replace("weight", "bias"): shape[:1] for name, shape in found.items()})
    return found


def shapes(config):
    """Name -> shape, of what such a model's own files hold."""
    kind = config["model_type"]
    if kind == "gpt2":
        return gpt2_shapes(config)
    if kind == "gpt_neox":
        return gpt_neox_shapes(config)
    D, V = config["hidden_size"], config["vocab_size"]
    H = config["num_attention_heads"]
    G = config.get("num_key_value_heads", H)
    e = config.get("head_dim") or (128 if kind == "qwen3" else D // H)
    norms = ["input_layernorm", "post_attention_layernorm"]
    if kind in ("gemma2", "gemma3_text"):
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    if kind in ("olmo2", "olmo3"):
        norms = ["post_attention_layernorm", "post_feedforward_layernorm"]
    found = {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,)}
    if not config.get("tie_word_embeddings"):
        found["lm_head.weight"] = (V, D)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        found.update({f"{layer}{norm}.weight": (D,) for norm in norms})
        found.update({f"{layer}self_attn.{name}": shape
                      for name, shape in attention_shapes(config, H, G, e).items()})
        found.update({layer + name: shape
                      for name, shape in feed_forward_shapes(config, i).items()})
    return found
