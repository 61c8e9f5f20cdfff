#include "model/sources/family_weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "model/layout.h"
#include "model/sources/weight_source.h"

namespace evo::model {
namespace {

/// Rows and columns of a parameter; a vector's numbers are rows.
struct Extents {
  explicit Extents(const std::vector<int64_t>& shape)
      : rows(shape[0]), cols(shape.size() == 2 ? shape[1] : 1) {}
  int64_t rows, cols;
};

/// Where row `row` of a parameter is among the rows of its array.
int64_t row_in_array(const ArrayPlace& place, int64_t row) {
  if (place.group_rows == 0) return place.first_row + row;
  return place.first_row + row / place.group_rows * place.group_stride + row % place.group_rows;
}

/// Calls fn(ours, theirs) for every number: its index in the parameter and in the array.
template <class Fn>
void for_each_number(const ArrayPlace& place, const std::vector<int64_t>& shape, const Fn& fn) {
  const auto [rows, cols] = Extents(shape);
  // Of a transposed array [cols, all rows] columns are what are rows to us.
  const int64_t all_rows = place.transposed ? place.shape[1] : 0;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = row_in_array(place, r);
    for (int64_t c = 0; c < cols; ++c) {
      fn(r * cols + c, place.transposed ? c * all_rows + row : row * cols + c);
    }
  }
}

/// In files of models with vision the language model's names begin otherwise, and in those of a
/// network without its head they lack the prefix.
std::vector<std::string> possible_names(const std::string& array, std::string_view prefix) {
  std::vector<std::string> names = {array, "language_model." + array};
  if (!array.starts_with(prefix)) return names;
  const std::string rest = array.substr(prefix.size());
  names.push_back(rest);
  names.push_back("model.language_model." + rest);
  return names;
}

/// Beside its own prefix; a family's arrays without it are of layers.
constexpr std::array<std::string_view, 6> kOurPrefixes = {"lm_head.",        "embed_out.", "evo.",
                                                          "language_model.", "layers.",    "h."};

constexpr const char* kEmbedding = "model.embed_tokens.weight";

/// As the file has it.
std::string name_in_file(const weights::ArraySource& source, const Family& family,
                         const std::string& array) {
  for (std::string& name : possible_names(array, family.prefix)) {
    if (source.find(name) != nullptr) return std::move(name);
  }
  return array;
}

ArrayPlace head_place(const Family& family, const ModelConfig& config) {
  return place_of(family, config,
                  {.name = "lm_head.weight", .shape = {config.vocab_size, config.hidden_size}});
}

/// Whether two arrays hold the same numbers.
bool are_equal(const weights::ArraySource& source, const weights::TensorInfo& a,
               const weights::TensorInfo& b) {
  if (a.shape != b.shape) return false;
  if (a.dtype == b.dtype && !a.bytes.empty()) return std::ranges::equal(a.bytes, b.bytes);
  const auto count = static_cast<size_t>(weights::element_count(a.shape, a.name));
  std::vector<float> of_a(count), of_b(count);
  source.read_f32(a.name, a.shape, of_a);
  source.read_f32(b.name, b.shape, of_b);
  return of_a == of_b;
}

/// A parameter on its way into an array of the family.
struct WrittenPart {
  weights::ArrayToWrite from;
  ArrayPlace place;

  void write(std::span<float> out) const {
    std::vector<float> made;
    std::span<const float> values = from.values;
    if (from.make != nullptr) {
      made.resize(weights::element_count(from.shape, from.name));
      from.make(made);
      values = made;
    }
    for_each_number(place, from.shape, [&](int64_t ours, int64_t theirs) {
      out[theirs] = values[ours] - place.added;
    });
  }
};

/// Tables that old files repeat, masks, and what sees pictures.
bool says_nothing(std::string_view array) {
  for (const char* part : {"vision_tower.", "multi_modal_projector."}) {
    if (array.find(part) != std::string_view::npos) return true;
  }
  return array.ends_with("rotary_emb.inv_freq") || array.ends_with(".attn.bias") ||
         array.ends_with(".attn.masked_bias") || array.ends_with(".attention.bias") ||
         array.ends_with(".attention.masked_bias");
}

}  // namespace

FamilyWeights::FamilyWeights(const weights::ArraySource& source, const ModelConfig& config)
    : source_(source), prefix_(family_of(config).prefix) {
  const Family& family = family_of(config);
  ParameterStore parameters;
  declare_parameters(config, parameters);
  const std::string head = name_in_file(source, family, head_place(family, config).array);
  for (const Parameter& p : parameters.list()) {
    ArrayPlace at = place_of(family, config, p);
    at.array = name_in_file(source, family, at.array);
    // Where they are tied either may stand for both.
    if (p.name == kEmbedding && config.tie_word_embeddings && source.find(at.array) == nullptr) {
      at.array = head;
    }
    used_.insert(at.array);
    places_.emplace(p.name, std::move(at));
  }
  if (config.tie_word_embeddings) used_.insert(head);
  if (config.flow) used_.insert({kTimeLogSnr, kTimeValue, kUnigram});
}

const ArrayPlace& FamilyWeights::place(const Parameter& parameter) const {
  return places_.at(parameter.name);
}

void FamilyWeights::read(const Parameter& parameter, std::span<float> out) const {
  const ArrayPlace& at = place(parameter);
  if (!at.is_part() && !at.transposed) {
    read_parameter(source_, at.array, parameter.shape, out);
  } else {
    std::vector<float> all(weights::element_count(at.shape, at.array));
    read_parameter(source_, at.array, at.shape, all);
    for_each_number(at, parameter.shape,
                    [&](int64_t ours, int64_t theirs) { out[ours] = all[theirs]; });
  }
  if (at.added == 0) return;
  for (float& value : out) value += at.added;
}

bool FamilyWeights::is_bf16(const Parameter& parameter) const {
  const ArrayPlace& at = place(parameter);
  const weights::TensorInfo* const info = source_.find(at.array);
  return info != nullptr && info->dtype == "BF16" && at.added == 0;
}

void FamilyWeights::read_bf16(const Parameter& parameter, std::span<uint16_t> out) const {
  const ArrayPlace& at = place(parameter);
  if (at.is_plain()) return read_bf16_parameter(source_, at.array, parameter.shape, out);
  std::span<const uint16_t> all = mapped_bf16_parameter(source_, at.array, at.shape);
  std::vector<uint16_t> copied;
  if (all.empty()) {
    copied.resize(weights::element_count(at.shape, at.array));
    read_bf16_parameter(source_, at.array, at.shape, copied);
    all = copied;
  }
  for_each_number(at, parameter.shape,
                  [&](int64_t ours, int64_t theirs) { out[ours] = all[theirs]; });
}

std::span<const uint16_t> FamilyWeights::mapped_bf16(const Parameter& parameter) const {
  const ArrayPlace& at = place(parameter);
  if (!at.is_plain()) return {};
  return mapped_bf16_parameter(source_, at.array, parameter.shape);
}

std::optional<GroupedRows> FamilyWeights::grouped(const Parameter& parameter) const {
  const ArrayPlace& at = place(parameter);
  if (at.transposed || at.added != 0) return std::nullopt;
  if (!at.is_part()) return source_.grouped(at.array, parameter.shape);
  std::optional<GroupedRows> all = source_.grouped(at.array, at.shape);
  if (!all) return std::nullopt;
  return GroupedRows{all->format, parameter.shape[0],
                     [at, read = all->read](int64_t row, std::span<WeightGroup> groups) {
                       read(row_in_array(at, row), groups);
                     }};
}

bool FamilyWeights::leaves_out(const std::string& array) const {
  if (says_nothing(array) || used_.contains(array)) return false;
  const auto begins = [&](std::string_view with) { return array.starts_with(with); };
  return begins(prefix_) || std::ranges::any_of(kOurPrefixes, begins);
}

void untie_if_heads_differ(const weights::ArraySource& source, ModelConfig& config) {
  if (!config.tie_word_embeddings) return;
  const Family& family = family_of(config);
  const Parameter embedding{.name = kEmbedding, .shape = {config.vocab_size, config.hidden_size}};
  const weights::TensorInfo* const head =
      source.find(name_in_file(source, family, head_place(family, config).array));
  const weights::TensorInfo* const table =
      source.find(name_in_file(source, family, place_of(family, config, embedding).array));
  if (head == nullptr || table == nullptr) return;
  config.tie_word_embeddings = are_equal(source, *head, *table);
}

std::vector<weights::ArrayToWrite> arrays_of_family(
    const ModelConfig& config, const std::vector<weights::ArrayToWrite>& arrays) {
  const Family& family = saved_family_of(config);
  std::vector<weights::ArrayToWrite> written;
  std::map<std::string, std::shared_ptr<std::vector<WrittenPart>>> parts;  // by array
  for (const weights::ArrayToWrite& array : arrays) {
    const ArrayPlace at = place_of(family, config, {.name = array.name, .shape = array.shape});
    if (at.is_plain()) {
      written.push_back(array);
      written.back().name = at.array;
      continue;
    }
    auto& of_array = parts[at.array];
    if (of_array == nullptr) {
      of_array = std::make_shared<std::vector<WrittenPart>>();
      const auto make = [all = of_array](std::span<float> out) {
        for (const WrittenPart& part : *all) part.write(out);
      };
      written.push_back({at.array, at.shape, {}, array.dtype, make});
    }
    of_array->push_back({array, at});
  }
  return written;
}

}  // namespace evo::model
