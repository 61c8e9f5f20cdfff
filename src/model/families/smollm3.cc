// SmolLM3: a Llama some of whose layers know no positions, by default every fourth.
#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model::families {
namespace {

void read_smollm3(const json::Record& record, ModelConfig& config) {
  read_backbone(
      record, {.max_positions = 32768, .kv_heads = 4, .rope_theta = 2000000, .tied = true}, config);
  read_biases(record, config);
  read_rope(record, {}, config);
  const int64_t layers = config.num_hidden_layers;
  std::vector<bool> turned =
      all_but_every(value_or<int64_t>(record, "no_rope_layer_interval", 4), layers);
  if (given(record, "no_rope_layers")) {  // 1 where there are positions
    const std::vector<int64_t> marks = record.get_ints("no_rope_layers");
    if (std::cmp_not_equal(marks.size(), layers)) {
      refuse(record, "no_rope_layers", fmt::format("a list of {}", marks.size()),
             fmt::format("one for each of {} layers", layers));
    }
    turned.assign(marks.begin(), marks.end());
  }
  std::vector<bool> slides = read_layer_types(record, layers);
  if (slides.empty()) {
    slides = turned;
    slides.flip();
  }
  const bool windows = value_or(record, "use_sliding_window", false);
  set_windows(slides, windows ? value_or<int64_t>(record, "sliding_window", 0) : 0, config);
  for (size_t i = 0; i < turned.size(); ++i) {
    config.layers[i].rotation = turned[i] ? Rotation::kGlobal : Rotation::kNone;
  }
}

}  // namespace

extern const Family kSmolLm3 = {"smollm3", "SmolLM3ForCausalLM", read_smollm3};

}  // namespace evo::model::families
