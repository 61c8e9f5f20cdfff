#!/usr/bin/env python3
"""Prints what src/weights/gguf/block_formats_test.cc expects of every block format of GGUF, computed
by the package gguf (pip install gguf): a hash of the weights that its dequantize() makes of pseudo-random
blocks, and of the bytes that its quantize() makes of pseudo-random weights.
"""
import numpy as np
from gguf.quants import dequantize, quantize
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type

BLOCKS = 64
# Format: where its f16 scales are in a block.
FORMATS = {"F64": [], "F32": [], "F16": [], "BF16": [], "Q8_0": [0], "Q6_K": [208], "Q5_1": [0, 2],
           "Q5_0": [0], "Q5_K": [0, 2], "Q4_1": [0, 2], "Q4_0": [0], "Q4_K": [0, 2], "IQ4_NL": [0],
           "IQ4_XS": [0], "MXFP4": [], "Q3_K": [108], "Q2_K": [80, 82]}


def random_bytes(count, seed):
    """The same as in the test: a linear congruential generator's upper bytes."""
    state, out = seed, bytearray()
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(state >> 56)
    return out


def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


def blocks_of(name):
    size = GGML_QUANT_SIZES[Type[name]][1]
    blocks = np.frombuffer(bytes(random_bytes(BLOCKS * size, int(Type[name]) + 1)), np.uint8)
    blocks = blocks.reshape(BLOCKS, size).copy()
    for place in FORMATS[name]:
        blocks[:, place + 1] &= 0xBF  # f16 below 2, so finite
    if name in ("F16", "BF16", "F32", "F64"):
        blocks[:, -1] &= 0xBF
    if name == "MXFP4":
        blocks[:, 0] = 100 + blocks[:, 0] % 50
    return blocks


def main():
    for name in FORMATS:
        blocks = blocks_of(name)
        if name == "F64":
            weights = blocks.view(np.float64).astype(np.float32)
        else:
            weights = dequantize(blocks, Type[name])
        weights = np.ascontiguousarray(weights, np.float32)
        print(f'    {{"{name}", 0x{fnv(weights.tobytes()):016x}}},')
    raw = np.frombuffer(bytes(random_bytes(4096 * 2, 1)), np.int16).astype(np.float32) / np.float32(8192)
    for name in ("F16", "BF16", "Q8_0"):
        print(f'    {{"{name}", 0x{fnv(quantize(raw.reshape(8, -1), Type[name]).tobytes()):016x}}},')


if __name__ == "__main__":
    main()
