"""The checkpoints that hf_check.py writes: of every family and option that `evo` reads."""
import torch

# Sizes all differ, so that no two axes can be confused.
SHAPE = {"vocab_size": 53, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 10, "rms_norm_eps": 1e-5,
         "hidden_act": "silu", "rope_theta": 10000.0, "max_position_embeddings": 128}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}

WINDOW = {"sliding_window": 7}
SLIDING, FULL = "sliding_attention", "full_attention"
GEMMA = {"head_dim": 10, "tie_word_embeddings": True, "query_pre_attn_scalar": 24, **WINDOW}
GPT = {"head_dim": None, "num_key_value_heads": None, "rms_norm_eps": None, "rope_theta": None}
GPT2 = {**GPT, "hidden_size": None, "intermediate_size": None, "num_hidden_layers": None,
        "num_attention_heads": None, "max_position_embeddings": None, "hidden_act": None,
        "n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 64}
# Where the text is longer than the training's, frequencies would be others.
LONGROPE = {"type": "longrope", "short_factor": [1, 1.1, 1.3, 2.0], "long_factor": [2, 2, 2, 2]}
EXPERTS = {"num_experts_per_tok": 2, "num_experts": 5, "moe_intermediate_size": 12}

# In fewer bits. The heads' sizes make all outputs multiples of 8.
EVEN = {"head_dim": 12}


def fp8(block, scheme="dynamic"):
    return {"quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": block,
                                    "activation_scheme": scheme}}


def compressed(form, kind, strategy, **more):
    weights = {"num_bits": 8, "type": kind, "strategy": strategy, "symmetric": True, **more}
    return {"quantization_config": {
        "quant_method": "compressed-tensors", "format": form, "ignore": ["lm_head"],
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}}


def in_words(bits, group_size, **more):
    """Outputs are 20 here and there: no multiple of what a word holds."""
    return compressed("pack-quantized", "int", "group" if group_size else "channel",
                      num_bits=bits, group_size=group_size, **more)


def gptq(bits, group_size, sym, **more):
    return {**EVEN, "quantization_config": {"quant_method": "gptq", "bits": bits, "sym": sym,
                                            "group_size": group_size, **more}}


def awq(group_size, zero_point):
    return {**EVEN, "quantization_config": {"quant_method": "awq", "bits": 4, "version": "gemm",
                                            "group_size": group_size, "zero_point": zero_point}}


#        name: (model_type, what differs from SHAPE (None: left out), shards, number format)
CASES = {
    "llama": ("llama", {}, 1, torch.float32),
    "llama-one-head-per-group": ("llama", {"num_key_value_heads": None, "head_dim": None}, 1,
                                 torch.float32),
    "llama-tied-bf16": ("llama", {"tie_word_embeddings": True}, 1, torch.bfloat16),
    "llama-f16": ("llama", {}, 1, torch.float16),
    "llama-sharded": ("llama", {}, 3, torch.bfloat16),
    "llama-linear": ("llama", {"rope_scaling": {"type": "linear", "factor": 3.0}}, 1,
                     torch.float32),
    "llama-dynamic": ("llama", {"rope_scaling": {"type": "dynamic", "factor": 3.0}}, 1,
                      torch.float32),
    "llama-llama3": ("llama", {"rope_scaling": LLAMA3}, 1, torch.float32),
    "llama-llama3-parameters": (
        "llama", {"rope_parameters": {**LLAMA3, "rope_theta": 500.0}, "rope_theta": None}, 1,
        torch.float32),
    "mistral": ("mistral", {"sliding_window": None}, 1, torch.float32),
    "mistral-window": ("mistral", {"sliding_window": 7}, 1, torch.float32),
    "qwen2": ("qwen2", {"head_dim": None}, 1, torch.float32),
    "qwen2-tied-sharded": ("qwen2", {"tie_word_embeddings": True}, 2, torch.bfloat16),
    "qwen2-window": ("qwen2", {"use_sliding_window": True, "sliding_window": 5,
                               "max_window_layers": 1}, 1, torch.float32),
    "qwen2-yarn": ("qwen2", {"rope_scaling": YARN}, 1, torch.float32),
    "qwen3": ("qwen3", {}, 1, torch.float32),
    "qwen3-default-head": ("qwen3", {"head_dim": None}, 1, torch.float32),
    "qwen3-tied": ("qwen3", {"tie_word_embeddings": True}, 1, torch.bfloat16),
    "qwen3-yarn-exact-bounds": ("qwen3", {"rope_scaling": {**YARN, "truncate": False}}, 1,
                                torch.float32),
    "qwen3-yarn-mscale": (
        "qwen3", {"rope_scaling": {**YARN, "mscale": 0.7, "mscale_all_dim": 1.4}}, 1,
        torch.float32),
    "qwen3-yarn-attention": ("qwen3", {"rope_scaling": {**YARN, "attention_factor": 1.3}}, 1,
                             torch.float32),
    "llama-biases": ("llama", {"attention_bias": True, "mlp_bias": True}, 1, torch.float32),
    "llama-gelu": ("llama", {"hidden_act": "gelu"}, 1, torch.float32),
    "llama-other-head": ("llama", {"tie_word_embeddings": True, "other_head": True}, 1,
                         torch.float32),
    "llama-no-prefix": ("llama", {"tie_word_embeddings": True, "no_prefix": True}, 1,
                        torch.bfloat16),
    "mistral-layer-types": ("mistral", {**WINDOW, "layer_types": [FULL, SLIDING, FULL]}, 1,
                            torch.float32),
    "ministral": ("ministral", {**WINDOW, "layer_types": [SLIDING, SLIDING, FULL]}, 1,
                  torch.float32),
    "qwen3-biases": ("qwen3", {"attention_bias": True}, 1, torch.float32),
    "qwen3-layer-types": ("qwen3", {**WINDOW, "use_sliding_window": True,
                                    "layer_types": [SLIDING, FULL, SLIDING]}, 1, torch.float32),
    "smollm3": ("smollm3", {"no_rope_layer_interval": 2}, 1, torch.float32),
    "smollm3-window": ("smollm3", {**WINDOW, "use_sliding_window": True, "mlp_bias": True,
                                   "no_rope_layers": [1, 0, 1], "tie_word_embeddings": True}, 1,
                       torch.bfloat16),
    "olmo2": ("olmo2", {"head_dim": None}, 1, torch.float32),
    "olmo3": ("olmo3", {**WINDOW, "head_dim": None, "num_hidden_layers": 4, "rope_scaling": YARN},
              1, torch.float32),
    "granite": ("granite", {"embedding_multiplier": 12.0, "residual_multiplier": 0.22,
                            "attention_multiplier": 0.2, "logits_scaling": 8.0}, 1, torch.float32),
    "phi3": ("phi3", {**WINDOW, "head_dim": None}, 1, torch.bfloat16),
    "phi3-longrope": ("phi3", {"head_dim": None, "hidden_size": 40, "rope_scaling": LONGROPE,
                               "partial_rotary_factor": 0.8, "max_position_embeddings": 512,
                               "original_max_position_embeddings": 64}, 2, torch.float32),
    "gemma": ("gemma", {"head_dim": 10, "hidden_act": "gelu_pytorch_tanh",
                        "tie_word_embeddings": True}, 1, torch.bfloat16),
    "gemma2": ("gemma2", {**GEMMA, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
               1, torch.float32),
    "gemma3": ("gemma3_text", {**GEMMA, "num_hidden_layers": 4, "rope_theta": None,
                               "sliding_window_pattern": 2,
                               "rope_scaling": {"rope_type": "linear", "factor": 3.0}}, 1,
               torch.bfloat16),
    "gpt2": ("gpt2", GPT2, 1, torch.float32),
    "gpt2-inner": ("gpt2", {**GPT2, "n_inner": 40, "activation_function": "gelu"}, 1,
                   torch.bfloat16),
    "gpt-neox": ("gpt_neox", {**GPT, "hidden_size": 48, "hidden_act": "gelu", "rotary_pct": 0.5},
                 1, torch.bfloat16),
    "gpt-neox-in-turn": ("gpt_neox", {**GPT, "hidden_size": 48, "hidden_act": "gelu",
                                      "use_parallel_residual": False, "rotary_pct": 1.0}, 1,
                         torch.float32),
    "qwen3-moe": ("qwen3_moe", {**EXPERTS, "norm_topk_prob": True}, 1, torch.bfloat16),
    "qwen3-moe-mixed": ("qwen3_moe", {**EXPERTS, "decoder_sparse_step": 2, "num_hidden_layers": 4,
                                      "mlp_only_layers": [3]}, 1, torch.float32),
    "olmoe": ("olmoe", {"num_experts": 5, "num_experts_per_tok": 3, "head_dim": None}, 1,
              torch.float32),
    "mixtral": ("mixtral", {**WINDOW, "num_local_experts": 4}, 1, torch.float32),
    "llama-fp8": ("llama", fp8([4, 8]), 1, torch.bfloat16),
    "llama-fp8-whole": ("llama", fp8(None, "static"), 1, torch.bfloat16),
    # The last blocks are smaller, which transformers itself does not dequantise.
    "qwen3-moe-fp8-uneven": ("qwen3_moe", {**EXPERTS, **fp8([16, 16])}, 2, torch.bfloat16),
    "llama-compressed": ("llama", compressed("float-quantized", "float", "channel"), 1,
                         torch.bfloat16),
    "llama-compressed-whole": ("llama", compressed("naive-quantized", "float", "tensor"), 1,
                               torch.bfloat16),
    "llama-compressed-int8": ("llama", compressed("int-quantized", "int", "channel"), 1,
                              torch.bfloat16),
    "llama-gptq": ("llama", gptq(4, 8, True, desc_act=False), 1, torch.float16),
    "qwen2-gptq-ordered": ("qwen2", gptq(4, 16, False, desc_act=True), 2, torch.float16),
    "llama-gptq-v2-8-bits": ("llama", gptq(8, -1, False, checkpoint_format="gptq_v2"), 1,
                             torch.float16),
    "phi3-gptq": ("phi3", {**WINDOW, **gptq(4, 8, False), "head_dim": None,
                           "num_key_value_heads": 4}, 1, torch.float16),
    "llama-awq": ("llama", awq(8, True), 1, torch.float16),
    "mistral-awq-symmetric": ("mistral", {"sliding_window": None, **awq(-1, False)}, 1,
                              torch.float16),
    "llama-compressed-int8-groups": (
        "llama", compressed("int-quantized", "int", "group", group_size=8, symmetric=False), 1,
        torch.bfloat16),
    "llama-words": ("llama", in_words(4, 8), 1, torch.bfloat16),
    "qwen2-words-zeros": ("qwen2", {**in_words(4, 8, symmetric=False), "head_dim": None,
                                    "hidden_size": 40}, 2, torch.bfloat16),
    "qwen3-moe-words-rows": ("qwen3_moe", {**EXPERTS, **in_words(4, None, symmetric=False)}, 1,
                             torch.bfloat16),
    "llama-words-8-bits-ordered": ("llama", in_words(8, 8, symmetric=False, actorder="group"), 1,
                                   torch.bfloat16),
}
ARCHITECTURES = {
    "llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM", "ministral": "MinistralForCausalLM",
    "smollm3": "SmolLM3ForCausalLM", "olmo2": "Olmo2ForCausalLM", "olmo3": "Olmo3ForCausalLM",
    "granite": "GraniteForCausalLM", "phi3": "Phi3ForCausalLM", "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM", "gemma3_text": "Gemma3ForCausalLM", "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM", "qwen3_moe": "Qwen3MoeForCausalLM",
    "olmoe": "OlmoeForCausalLM", "mixtral": "MixtralForCausalLM"}

# Not settings, but what a file may have: another head than the embedding although they should be
# tied; names without the prefix that says whose network it is.
OF_THE_FILE = ("other_head", "no_prefix")


def make_config(model_type, changes):
    config = {"architectures": [ARCHITECTURES[model_type]], "model_type": model_type,
              "transformers_version": "4.51.0", "attention_dropout": 0.0, "bos_token_id": 1,
              "eos_token_id": [2, 3], "pad_token_id": 0, "use_cache": True, **SHAPE, **changes}
    if model_type.startswith("gemma"):
        config["hidden_activation"] = config["hidden_act"] = "gelu_pytorch_tanh"
    # The window's null has a meaning, all others are left out.
    return {key: value for key, value in config.items()
            if (value is not None or key == "sliding_window") and key not in OF_THE_FILE}
