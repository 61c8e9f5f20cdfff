// A model folder as it is used: weights packed for decoding, and the tokenizer that fits them.
#pragma once

#include <string>

#include "json/record.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace evo::decode {

[[nodiscard]] const char* precision_name(tensor::Precision precision);

/// generation_config.json of a model folder that is used with `tokenizer`: its special tokens, and
/// its fingerprint, by which load_model() notices another tokenizer.
[[nodiscard]] json::Record generation_config(const tokenizer::Tokenizer& tokenizer);

struct LoadedModel {
  model::Model model;
  tokenizer::Tokenizer tokenizer;
};
/// Throws Error for anything missing or wrong, and if the two do not fit.
[[nodiscard]] LoadedModel load_model(const std::string& folder, tensor::Precision precision);

}  // namespace evo::decode
