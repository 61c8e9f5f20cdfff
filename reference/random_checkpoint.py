#!/usr/bin/env python3
"""random_checkpoint.py FOLDER: a Hugging Face folder of Qwen2.5-0.5B's shape with random weights in
bf16 (0.99 GB), for measuring how fast and in how much memory a checkpoint loads. No tokenizer."""
import json
import pathlib
import sys

import torch

from hf_shapes import shapes
from tensor_file import write_tensors

CONFIG = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu",
          "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
          "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
          "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
          "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_sliding_window": False}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2))
    generator = torch.Generator().manual_seed(1)
    normal = lambda shape: 0.02 * torch.randn(*shape, generator=generator)
    write_tensors(folder / "model.safetensors",
                  {name: (1 + normal(shape) if name.endswith("norm.weight") else normal(shape))
                   .to(torch.bfloat16) for name, shape in shapes(CONFIG).items()})


if __name__ == "__main__":
    main()
