// A model folder as it is used: weights packed for decoding, and the tokenizer that fits them.
#pragma once

#include <optional>
#include <string>

#include "json/record.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace evo::decode {

[[nodiscard]] const char* precision_name(tensor::Precision precision);
[[nodiscard]] const char* cache_format_name(ops::CacheFormat format);

/// generation_config.json of a model that is used with `tokenizer`: what `parent` says, a record of
/// the model that it comes from, with the tokenizer's fingerprint, by which load_model() notices
/// another one. Where neither that record nor `config` names what begins or ends a text, it is the
/// end of the tokenizer's documents.
[[nodiscard]] json::Record generation_config(const tokenizer::Tokenizer& tokenizer,
                                             const model::ModelConfig& config,
                                             std::optional<json::Record> parent);

struct LoadedModel {
  model::Model model;
  tokenizer::Tokenizer tokenizer;
};
/// Throws Error for anything missing or wrong, and if the two do not fit. What the weights are
/// packed in at last, Model::precision() tells.
[[nodiscard]] LoadedModel load_model(const std::string& folder, tensor::Precision precision,
                                     ops::CacheFormat cache_format = ops::CacheFormat::kF32);

}  // namespace evo::decode
