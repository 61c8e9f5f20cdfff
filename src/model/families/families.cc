#include <algorithm>
#include <array>

#include "model/families/family.h"
#include "model/families/reading.h"

namespace evo::model {
namespace families {

extern const Family kLlama, kMistral, kMinistral, kQwen2, kQwen3, kQwen3Moe, kSmolLm3, kOlmo2,
    kOlmo3, kOlmoe, kGranite, kPhi3, kGemma, kGemma2, kGemma3, kGemma3WithVision, kGpt2, kGptNeox,
    kMixtral;

}  // namespace families

namespace {

constexpr std::array kFamilies = {
    &families::kLlama, &families::kMistral,  &families::kMinistral, &families::kQwen2,
    &families::kQwen3, &families::kQwen3Moe, &families::kSmolLm3,   &families::kOlmo2,
    &families::kOlmo3, &families::kOlmoe,    &families::kGranite,   &families::kPhi3,
    &families::kGemma, &families::kGemma2,   &families::kGemma3,    &families::kGemma3WithVision,
    &families::kGpt2,  &families::kGptNeox,  &families::kMixtral};

const Family& known_family(std::string_view model_type) {
  const auto found = std::ranges::find_if(
      kFamilies, [&](const Family* family) { return family->model_type == model_type; });
  EVO_CHECK(found != kFamilies.end());
  return **found;
}

/// The language model, or what it has without a head: its file may hold one nevertheless, or need
/// none.
bool has_network(const Family& family, std::string_view architecture) {
  if (architecture == family.architecture) return true;
  std::string base(family.architecture);
  for (const std::string_view head : {"ForCausalLM", "LMHeadModel"}) {
    if (base.ends_with(head)) base.replace(base.size() - head.size(), head.size(), "Model");
  }
  return architecture == base;
}

}  // namespace

const Family& named_family(const json::Record& record) {
  const auto type = value_or<std::string>(record, "model_type", "");
  std::vector<std::string> architectures;
  if (given(record, "architectures")) architectures = record.get_strings("architectures");
  for (const Family* family : kFamilies) {
    const auto own = std::ranges::find_if(
        architectures, [&](const std::string& name) { return has_network(*family, name); });
    if (type.empty() ? own == architectures.end() : type != family->model_type) continue;
    // The same network under another head: what the file holds is no language model.
    if (!architectures.empty() && own == architectures.end()) {
      refuse(record, "architectures", architectures[0], std::string(family->architecture));
    }
    return *family;
  }
  // Our first files said neither.
  if (type.empty() && architectures.empty()) return families::kLlama;
  std::vector<std::string_view> known;
  for (const Family* family : kFamilies) known.push_back(family->model_type);
  if (!type.empty()) {
    refuse(record, "model_type", type, fmt::format("one of {}", fmt::join(known, ", ")));
  }
  refuse(record, "architectures", architectures[0],
         fmt::format("the language model of one of {}", fmt::join(known, ", ")));
}

const Family& family_of(const ModelConfig& config) {
  return known_family(config.family());
}

const Family& saved_family_of(const ModelConfig& config) {
  return known_family(config.saved_family());
}

ArrayPlace place_of(const Family& family, const ModelConfig& config, const Parameter& parameter) {
  // What only evolving tokens use is ours.
  if (family.place == nullptr || is_flow_parameter(parameter.name)) {
    return {.array = parameter.name, .shape = parameter.shape};
  }
  return family.place(config, parameter);
}

}  // namespace evo::model
