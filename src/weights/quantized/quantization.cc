#include "weights/quantized/quantization.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/ascii.h"
#include "weights/tensor_info.h"

namespace evo::weights {
namespace {

using enum Quantization::Method;

constexpr int64_t kUsualGroup = 128;  // of GPTQ and AWQ

bool given(const json::Record& record, std::string_view key) {
  return record.has(key) && !record.is_null(key);
}

/// Of the first key that is given, in lower case.
std::string text_of(const json::Record& record, std::initializer_list<std::string_view> keys,
                    std::string_view otherwise) {
  for (const std::string_view key : keys) {
    if (given(record, key)) return lower_case(record.get_string(key));
  }
  return std::string(otherwise);
}

bool is_true(const json::Record& record, std::string_view key) {
  return given(record, key) && record.get_bool(key);
}

[[noreturn]] void refuse(const json::Record& record, std::string_view key, std::string_view found,
                         std::string_view expected) {
  fail("{}: {} is {}, which is not supported: expected {}", record.source(), key, found, expected);
}

std::array<int64_t, 2> block_of(const json::Record& record, std::string_view key) {
  const std::vector<int64_t> sizes = record.get_ints(key);
  if (sizes.size() != 2 || sizes[0] < 1 || sizes[1] < 1)
    refuse(record, key, shape_text(sizes), "two positive numbers");
  return {sizes[0], sizes[1]};
}

void read_fp8(const json::Record& record, Quantization& found) {
  const std::string format = text_of(record, {"fmt"}, "e4m3");
  if (format != "e4m3") refuse(record, "fmt", format, "e4m3");
  if (given(record, "weight_block_size")) found.block = block_of(record, "weight_block_size");
}

/// Which numbers share a scale.
void read_strategy(const json::Record& weights, Quantization& found) {
  const int64_t size = given(weights, "group_size") ? weights.get_int("group_size") : 0;
  const std::string strategy =
      text_of(weights, {"strategy"}, size > 0 ? "group" : (size < 0 ? "channel" : "tensor"));
  if (strategy == "block") {
    found.block = block_of(weights, "block_structure");
  } else if (strategy == "group") {
    if (size < 1) refuse(weights, "group_size", fmt::to_string(size), "a positive number");
    found.group_size = size;
  } else if (strategy != "tensor" && strategy != "channel") {
    refuse(weights, "strategy", strategy, "tensor, channel, group or block");
  }
}

/// One of "config_groups": how some layers' weights are stored.
void read_weights(const json::Record& weights, Quantization& found) {
  const std::string type = text_of(weights, {"type"}, "int");
  if (type != "int" && (type != "float" || found.packed))
    refuse(weights, "type", type, found.packed ? "int" : "int or float");
  const int64_t bits = weights.get_int("num_bits");
  if (bits != 8 && (bits != 4 || type == "float"))
    refuse(weights, "num_bits", fmt::to_string(bits), type == "float" ? "8" : "4 or 8");
  if (found.packed) found.bits = bits;
  found.symmetric = !given(weights, "symmetric") || weights.get_bool("symmetric");
  if (!found.symmetric && type == "float") refuse(weights, "symmetric", "false", "true");
  read_strategy(weights, found);
  const std::string order = text_of(weights, {"actorder"}, "weight");
  found.ordered = order == "group" || order == "dynamic";
  if (!found.ordered && order != "weight" && order != "static")
    refuse(weights, "actorder", order, "group, weight or null");
  if (found.ordered && found.group_size == 0)
    refuse(weights, "actorder", order, "null where the strategy is not group");
}

void read_groups(const json::Record& groups, Quantization& found) {
  const Quantization before = found;
  bool is_first = true;
  for (const auto& [name, group] : groups.members()) {
    if (!given(group, "weights")) continue;
    Quantization of_group = before;
    read_weights(group.get_record("weights"), of_group);
    if (!is_first && of_group != found)
      refuse(groups, name, "different from those before", "groups that are stored in one way");
    found = of_group;
    is_first = false;
  }
}

void read_compressed(const json::Record& record, Quantization& found) {
  constexpr std::array kFormats = {"float-quantized", "int-quantized", "naive-quantized",
                                   "pack-quantized"};
  const std::string format = text_of(record, {"format"}, "");
  if (std::ranges::find(kFormats, format) == kFormats.end())
    refuse(record, "format", format, fmt::format("one of {}", fmt::join(kFormats, ", ")));
  for (const char* key : {"sparsity_config", "transform_config", "kv_cache_scheme"}) {
    if (given(record, key) && !record.get_record(key).keys().empty())
      refuse(record, key, "set", "none");
  }
  found.packed = format == "pack-quantized";
  read_groups(record.get_record("config_groups"), found);
}

void read_packed(const json::Record& record, Quantization& found) {
  found.bits = given(record, "bits") || found.method == kGptq ? record.get_int("bits") : found.bits;
  const bool known = found.bits == 4 || (found.bits == 8 && found.method == kGptq);
  if (!known)
    refuse(record, "bits", fmt::to_string(found.bits), found.method == kGptq ? "4 or 8" : "4");
  found.group_size = given(record, "group_size") ? record.get_int("group_size") : kUsualGroup;
  if (found.group_size != -1 && found.group_size < 1)
    refuse(record, "group_size", fmt::to_string(found.group_size), "a positive number or -1");
}

void read_gptq(const json::Record& record, Quantization& found) {
  read_packed(record, found);
  const std::string format = text_of(record, {"checkpoint_format", "format"}, "gptq");
  if (format != "gptq" && format != "gptq_v2")
    refuse(record, "checkpoint_format", format, "gptq or gptq_v2");
  if (is_true(record, "is_marlin_format")) refuse(record, "is_marlin_format", "true", "false");
  const std::string words = text_of(record, {"pack_dtype"}, "int32");
  if (words != "int32") refuse(record, "pack_dtype", words, "int32");
  found.zeros_less_one = format == "gptq";
  found.ordered = is_true(record, "desc_act");
}

void read_awq(const json::Record& record, Quantization& found) {
  read_packed(record, found);
  const std::string version = text_of(record, {"version", "format"}, "gemm");
  if (version != "gemm") refuse(record, "version", version, "gemm");
  if (text_of(record, {"backend"}, "") == "llm-awq") refuse(record, "backend", "llm-awq", "auto");
}

struct MethodReader {
  std::string_view name;
  Quantization::Method method;
  void (*read)(const json::Record& record, Quantization& found);
};
constexpr std::array kMethods = {
    MethodReader{"fp8", kFp8, read_fp8},
    MethodReader{"compressed-tensors", kCompressed, read_compressed},
    MethodReader{"gptq", kGptq, read_gptq},
    MethodReader{"awq", kAwq, read_awq},
};

}  // namespace

Quantization read_quantization(const json::Record& record) {
  const std::string name = text_of(record, {"quant_method"}, "nothing");
  for (const MethodReader& method : kMethods) {
    if (method.name != name) continue;
    Quantization found{.method = method.method};
    method.read(record, found);
    return found;
  }
  refuse(record, "quant_method", name,
         "fp8, compressed-tensors, gptq or awq, or weights in F32, BF16 or F16");
}

}  // namespace evo::weights
