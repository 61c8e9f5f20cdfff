"""Weights in fewer bits as Hugging Face's folders have them: written, for hf_check.py, and read.

    fp8                 W = E4M3 * weight_scale_inv of its block
    compressed-tensors  W = (E4M3 or I8 - weight_zero_point) * weight_scale of its row, block, or of all
        pack-quantized  likewise with q - 2^(bits - 1), n to a word, in weight_packed
    gptq                W[o, i] = scales[g, o] * (q - z), g = g_idx[i]; q, z: n to a word of 32 bits
    awq                 likewise with g = i // group_size, in another order

Written from the descriptions of these formats and not from the C++ program, which is tested against
it. In safetensors files of this folder E4M3 is kept as its codes, torch.uint8: PyTorch 1.13 has no
such type.
"""
import torch

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
PARTS = ("qweight", "qzeros", "scales", "g_idx", "weight_scale_inv", "weight_scale",
         "activation_scale", "weight_zero_point", "weight_packed", "weight_shape", "weight_g_idx")


def e4m3_values():
    """Of the 256 codes."""
    values = []
    for code in range(128):
        exponent, fraction = code >> 3, code & 7
        values.append(fraction * 2.0 ** -9 if exponent == 0
                      else (8 + fraction) * 2.0 ** (exponent - 10))
    values[127] = float("nan")
    return torch.tensor(values + [-value for value in values])


E4M3 = e4m3_values()


def to_e4m3(values):
    """The nearest codes."""
    nearest = (values.abs()[..., None] - E4M3[:127]).abs().argmin(-1)
    return (nearest + 128 * (values < 0)).to(torch.uint8)


def block_scales(values, rows, cols):
    """The largest number of each block, and of each number's block."""
    out, n = values.shape
    grid = torch.stack([torch.stack([values[o: o + rows, i: i + cols].abs().max()
                                     for i in range(0, n, cols)]) for o in range(0, out, rows)])
    return grid, spread(grid, rows, cols, out, n)


def spread(grid, rows, cols, out, n):
    return grid.repeat_interleave(rows, 0)[:out].repeat_interleave(cols, 1)[:, :n]


def scaled(name, weight, how):
    """fp8."""
    out, n = weight.shape
    rows, cols = how["weight_block_size"] or (out, n)
    grid, each = (s / 448 for s in block_scales(weight, rows, cols))
    found = {name + ".weight": to_e4m3(weight / each),
             name + ".weight_scale_inv": grid if how["weight_block_size"] else grid[0, 0]}
    if how["activation_scheme"] == "static":
        found[name + ".activation_scale"] = torch.tensor(0.1)
    return found


def of_weights(how):
    return how["config_groups"]["group_0"]["weights"]


def compressed(name, weight, how, generator):
    """compressed-tensors."""
    kind, (out, n) = of_weights(how), weight.shape
    rows = out if kind["strategy"] == "tensor" else 1
    size, half = kind.get("group_size") or n, 2 ** (kind["num_bits"] - 1)
    group, found = torch.arange(n) // size, {}
    if kind.get("actorder") == "group":
        group = group[torch.randperm(n, generator=generator)]
        found[name + ".weight_g_idx"] = group.to(torch.int32)
    by_group = weight[:, group.argsort(stable=True)]
    largest, _ = block_scales(by_group, rows, size)
    low, high = (-block_scales(-by_group.clamp(max=0), rows, size)[0],
                 block_scales(by_group.clamp(min=0), rows, size)[0])
    zeros = torch.zeros(largest.shape)
    if kind["type"] == "float":
        scales = (largest / 448).to(torch.bfloat16)
    elif kind["symmetric"]:
        scales = (largest / (half - 1)).to(torch.bfloat16)
    else:
        scales = ((high - low) / (2 * half - 1)).to(torch.bfloat16)
        zeros = (-half - low / scales.float()).round().clamp(-half, half - 1)
    each, zero = (spread(t.float(), rows, 1, out, largest.shape[1])[:, group] for t in (scales, zeros))
    codes = (weight / each if kind["type"] == "float"
             else ((weight / each).round() + zero).clamp(-half, half - 1))
    found[name + ".weight_scale"] = scales.reshape(1) if rows == out else scales
    if how["format"] != "pack-quantized":
        if not kind["symmetric"]:
            found[name + ".weight_zero_point"] = zeros.to(torch.int8)
        return {**found, name + ".weight": (to_e4m3(codes) if kind["type"] == "float"
                                            else codes.to(torch.int8))}
    if not kind["symmetric"]:
        found[name + ".weight_zero_point"] = padded_words(zeros.T + half, kind).T.contiguous()
    return {**found, name + ".weight_packed": padded_words(codes + half, kind),
            name + ".weight_shape": torch.tensor([out, n])}


def padded_words(numbers, kind):
    bits = kind["num_bits"]
    padding = torch.zeros(*numbers.shape[:-1], -numbers.shape[-1] % (32 // bits))
    return packed_words(torch.cat((numbers, padding), -1), bits, range(32 // bits))


def packed_words(numbers, bits, order):
    """[..., n] whole numbers, 32 / bits neighbours to a word."""
    count = 32 // bits
    parts = numbers.long().reshape(*numbers.shape[:-1], -1, count)[..., list(order)]
    words = (parts << (bits * torch.arange(count))).sum(-1)
    return torch.where(words >= 2 ** 31, words - 2 ** 32, words).to(torch.int32)


def unpacked(words, bits, order):
    parts = words.long()[..., None] >> (bits * torch.arange(32 // bits)) & (2 ** bits - 1)
    return parts[..., torch.tensor(order).argsort()].flatten(-2)


def orders(how, bits):
    return AWQ_ORDER if how["quant_method"] == "awq" else tuple(range(32 // bits))


def packed(name, weight, how, generator):
    """gptq and awq."""
    bits, (out, n) = how["bits"], weight.shape
    size = n if how["group_size"] == -1 else how["group_size"]
    group = torch.arange(n) // size
    if how.get("desc_act"):
        group = group[torch.randperm(n, generator=generator)]
    count, top = int(group.max()) + 1, 2 ** bits - 1
    low = torch.stack([weight[:, group == g].amin(1) for g in range(count)])
    high = torch.stack([weight[:, group == g].amax(1) for g in range(count)])
    symmetric = how.get("sym", not how.get("zero_point", True))
    size_of = 2 * torch.maximum(-low, high) if symmetric else high - low
    scales = (size_of / top).to(torch.float16)
    zeros = torch.full(scales.shape, 2 ** (bits - 1)) if symmetric else (
        (-low / scales.float()).round().clamp(0, top).long())
    codes = ((weight.T / scales[group].float()).round() + zeros[group]).clamp(0, top)
    order = orders(how, bits)
    if how["quant_method"] == "awq":
        return {name + ".qweight": packed_words(codes, bits, order),
                name + ".qzeros": packed_words(zeros, bits, order), name + ".scales": scales}
    words = packed_words(zeros, bits, order).long()
    if how.get("checkpoint_format", "gptq") == "gptq":  # one less in each number, which may borrow
        words = (words - (2 ** 32 - 1) // top + 2 ** 31) % 2 ** 32 - 2 ** 31
    return {name + ".qweight": packed_words(codes.T, bits, order).T.contiguous(),
            name + ".qzeros": words.to(torch.int32), name + ".scales": scales,
            name + ".g_idx": group.to(torch.int32)}


def quantized(tensors, config, generator):
    """Of all matrices in layers."""
    how = config.get("quantization_config")
    if how is None:
        return tensors
    found = {}
    for name, tensor in tensors.items():
        if ".layers." not in name or tensor.dim() != 2 or ".gate." in name:
            found[name] = tensor
        elif how["quant_method"] in ("gptq", "awq"):
            found.update(packed(name[:-7], tensor.float(), how, generator))
        elif how["quant_method"] == "compressed-tensors":
            found.update(compressed(name[:-7], tensor.float(), how, generator))
        else:
            found.update(scaled(name[:-7], tensor.float(), how))
    return found


def scaled_weight(codes, scales, how):
    """fp8, where codes are torch.uint8."""
    (out, n), scales = codes.shape, scales.float()
    if scales.dim() < 2:
        return E4M3[codes.long()] * scales
    return E4M3[codes.long()] * spread(scales, *how["weight_block_size"], out, n)


def compressed_weight(parts, how):
    kind, bits = of_weights(how), of_weights(how)["num_bits"]
    half, order, zeros = 2 ** (bits - 1), range(32 // bits), parts.get("weight_zero_point")
    if "weight_packed" in parts:
        out, n = parts["weight_shape"].tolist()
        numbers = unpacked(parts["weight_packed"], bits, order)[:, :n] - half
        if zeros is not None:
            zeros = (unpacked(zeros.T, bits, order)[:, :out] - half).T
    else:
        codes = parts["weight"]
        numbers = E4M3[codes.long()] if codes.dtype == torch.uint8 else codes
        n = numbers.shape[1]
    group = parts.get("weight_g_idx", torch.arange(n) // (kind.get("group_size") or n)).long()
    scales, numbers = parts["weight_scale"].float(), numbers.float()
    scales = scales[:, group] if scales.dim() == 2 else scales
    return scales * (numbers if zeros is None else numbers - zeros[:, group])


def packed_weight(parts, how):
    bits, order = how["bits"], orders(how, how["bits"])
    zeros, scales = parts["qzeros"].long(), parts["scales"].float()
    if how["quant_method"] == "awq":
        codes = unpacked(parts["qweight"], bits, order)
    else:
        codes = unpacked(parts["qweight"].T, bits, order).T
        if how.get("checkpoint_format", "gptq") == "gptq":
            zeros = (zeros + (2 ** 32 - 1) // (2 ** bits - 1)) % 2 ** 32
    size = len(codes) if how["group_size"] == -1 else how["group_size"]
    group = parts.get("g_idx", torch.arange(len(codes)) // size).long()
    return (scales[group] * (codes - unpacked(zeros, bits, order)[group])).T.contiguous()


def dequantized(tensors, config):
    """Name -> tensor, of what a folder holds."""
    how = config.get("quantization_config")
    if how is None:
        return tensors
    modules = {}
    for name, tensor in tensors.items():
        stem, _, part = name.rpartition(".")
        modules.setdefault(stem, {})[part] = tensor
    found = {}
    for stem, parts in modules.items():
        if "qweight" in parts:
            parts["weight"] = packed_weight(parts, how)
        if "weight_scale" in parts:
            parts["weight"] = compressed_weight(parts, how)
        if "weight_scale_inv" in parts:
            parts["weight"] = scaled_weight(parts["weight"], parts["weight_scale_inv"], how)
        found.update({f"{stem}.{part}": t for part, t in parts.items() if part not in PARTS})
    return found
