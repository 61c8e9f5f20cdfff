#include "weights/gguf/gguf_export.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "weights/gguf/llama3_scaling.h"
#include "weights/gguf/rotary_rows.h"
#include "weights/gguf/sampling_keys.h"

namespace evo::weights {
namespace {

bool given(const json::Record& config, std::string_view field) {
  return config.has(field) && !config.is_null(field);
}

/// Writers below put them behind the architecture's name.
class NetworkKeys {
 public:
  NetworkKeys(const GgufArchitecture& architecture, GgufWriter& writer)
      : prefix_(fmt::format("{}.", architecture.name)), writer_(writer) {}

  template <class Value>
  void set(std::string_view key, Value value) {
    writer_.set(fmt::format("{}{}", prefix_, key), value);
  }

 private:
  std::string prefix_;
  GgufWriter& writer_;
};

void export_rope(const json::Record& config, NetworkKeys& keys, GgufWriter& writer) {
  if (!given(config, "rope_scaling")) return;
  const json::Record scaling = config.get_record("rope_scaling");
  const std::string type = scaling.get_string("rope_type");
  if (type == "llama3") {
    const std::vector<double> divisors = llama3_divisors(
        config.get_double("rope_theta"), config.get_int("head_dim") / 2, llama3_of(scaling));
    writer.add_values(
        "rope_freqs.weight", {std::ssize(divisors)}, *find_block_format("F32"),
        [divisors](std::span<float> out) { std::ranges::copy(divisors, out.begin()); });
    return;
  }
  if (type != "linear" && type != "yarn") {
    fail("{}: rope_scaling is of type {}, for which evo does not know GGUF's settings",
         config.source(), type);
  }
  keys.set("rope.scaling.type", type);
  keys.set("rope.scaling.factor", scaling.get_double("factor"));
  if (type == "linear") return;
  keys.set("rope.scaling.original_context_length",
           scaling.get_int("original_max_position_embeddings"));
  if (given(scaling, "attention_factor"))
    keys.set("rope.scaling.attn_factor", scaling.get_double("attention_factor"));
}

constexpr std::string_view kOfExperts = ".experts.";

/// ".experts.3." -> ".experts.*."
std::string with_star(std::string name) {
  const size_t at = name.find(kOfExperts);
  if (at == std::string::npos) return name;
  const size_t number = at + kOfExperts.size();
  return name.replace(number, name.find('.', number) - number, "*");
}

std::string gguf_name(const json::Record& config, const GgufArchitecture& architecture,
                      const std::string& name) {
  const std::optional<std::string> found = gguf_name_of(architecture, with_star(name));
  const bool has_place = found && (architecture.biases || !name.ends_with(".bias"));
  if (has_place) return *found;
  fail("{}: GGUF has no name for the array {} of a {}", config.source(), name, architecture.name);
}

/// `format`, or the best that a matrix can be in: tables of tokens of 4 bits would lose as much as
/// those of all layers do, and blocks may not reach over the end of a row.
const BlockFormat& format_of(const std::string& name, const std::vector<int64_t>& shape,
                             const BlockFormat& format) {
  const bool is_table = name == "token_embd.weight" || name == "output.weight";
  if (format.groups.bits == 4 && is_table) return *find_block_format("Q8_0");
  const bool fits = shape.back() % format.weights == 0;
  return fits || format.weights <= kGroupInputs ? format : *find_block_format("Q4_1");
}

void export_one(const json::Record& config, const GgufArchitecture& architecture,
                const std::string& name, const ArrayToWrite& array, const BlockFormat& format,
                GgufWriter& writer) {
  const bool queries = name.find(".attn_q.") != std::string::npos;
  const bool is_key = name.find(".attn_k.") != std::string::npos;
  const bool pairs = architecture.pairs_are_neighbours && (queries || is_key);
  const int64_t half = pairs ? config.get_int("head_dim") / 2 : 0;
  const float added = architecture.norms_hold_one && name.ends_with("norm.weight") ? 1 : 0;
  const auto make = [make = array.make, half, added, rows = array.shape[0]](std::span<float> out) {
    make(out);
    if (half > 0) put_pairs_together(out, rows, half);
    if (added != 0) {
      for (float& value : out) value += added;
    }
  };
  // Routers are small and decide which experts there are at all: llama.cpp has them in F32.
  const bool whole = array.shape.size() == 1 || name.find(".ffn_gate_inp.") != std::string::npos;
  writer.add_values(name, array.shape,
                    whole ? *find_block_format("F32") : format_of(name, array.shape, format), make);
}

/// One array of all experts' [rows, cols], which are in order.
void export_experts(const std::string& name, std::vector<ArrayToWrite> experts,
                    const BlockFormat& format, GgufWriter& writer) {
  std::vector<int64_t> shape = experts[0].shape;
  const auto one = static_cast<size_t>(element_count(shape, name));
  shape.insert(shape.begin(), std::ssize(experts));
  const auto make = [experts = std::move(experts), one](std::span<float> out) {
    for (size_t i = 0; i < experts.size(); ++i) experts[i].make(out.subspan(i * one, one));
  };
  writer.add_values(name, shape, format_of(name, shape, format), make);
}

}  // namespace

const GgufArchitecture& export_config(const json::Record& config, GgufWriter& writer) {
  const std::string type = config.get_string("model_type");
  const GgufArchitecture* const architecture = gguf_architecture_of(type);
  if (architecture == nullptr) {
    fail("{}: model_type is {}, which GGUF has no name for that evo knows; expected one of {}",
         config.source(), type, gguf_architecture_names());
  }
  const bool windows = given(config, "sliding_window") && config.get_int("sliding_window") > 0;
  if (windows && !architecture->windows) {
    fail("{}: sliding_window is {}, but in GGUF a {} sees all tokens", config.source(),
         config.get_int("sliding_window"), architecture->name);
  }
  writer.set("general.architecture", architecture->name);
  NetworkKeys keys(*architecture, writer);
  for (const GgufSetting& setting : gguf_settings()) {
    if (!given(config, setting.field) || (setting.field == "sliding_window" && !windows)) continue;
    if (setting.whole) {
      keys.set(setting.key, config.get_int(setting.field));
    } else {
      keys.set(setting.key, config.get_double(setting.field));
    }
  }
  const int64_t head = config.get_int("head_dim");
  keys.set("attention.value_length", head);
  keys.set("rope.dimension_count", head);
  export_rope(config, keys, writer);
  return *architecture;
}

void export_generation_config(const json::Record& config, GgufWriter& writer) {
  for (const SamplingKey& key : kSamplingKeys) {
    if (!given(config, key.field)) continue;
    if (key.whole) {
      writer.set(key.gguf, config.get_int(key.field));
    } else {
      writer.set(key.gguf, config.get_double(key.field));
    }
  }
}

void export_arrays(const json::Record& config, const GgufArchitecture& architecture,
                   const std::vector<ArrayToWrite>& arrays, const BlockFormat& format,
                   GgufWriter& writer) {
  std::map<std::string, std::vector<ArrayToWrite>> experts;  // by GGUF's name
  std::vector<std::string> order;
  for (const ArrayToWrite& array : arrays) {
    const std::string name = gguf_name(config, architecture, array.name);
    if (array.name.find(kOfExperts) == std::string::npos) {
      export_one(config, architecture, name, array, format, writer);
      continue;
    }
    if (!experts.contains(name)) order.push_back(name);
    experts[name].push_back(array);
  }
  for (const std::string& name : order) export_experts(name, experts[name], format, writer);
}

}  // namespace evo::weights
