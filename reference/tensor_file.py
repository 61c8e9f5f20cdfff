"""Reads and writes safetensors files: 8 bytes of header length, a JSON header, the raw data.

It is here because Debian 12 has no package for them. `evo` writes F32 and BF16 and reads F16 too,
and the others in checkpoints of fewer bits (hf_quantized.py).
"""
import json
import struct

import torch

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "I32": torch.int32,
          "I64": torch.int64, "I8": torch.int8, "F8_E4M3": torch.uint8}  # the last as codes
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def read_tensors(path):
    """Name -> tensor, in the number format of the file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected one of {list(DTYPES)}")
        begin, end = entry["data_offsets"]
        dtype = DTYPES[entry["dtype"]]
        tensors[name] = torch.empty(entry["shape"], dtype=dtype)
        if end > begin:
            tensors[name] = torch.frombuffer(data[begin:end], dtype=dtype).reshape(entry["shape"])
    return tensors


def write_tensors(path, tensors):
    """Writes name -> tensor of one of these types."""
    header, blobs, offset = {}, [], 0
    for name, tensor in tensors.items():
        # A view of bytes, since numpy has no bfloat16; a scalar has no last axis to view through.
        blob = tensor.detach().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # readers map the file: keep the data 8-byte aligned
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
