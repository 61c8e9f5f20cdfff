// A model folder as it is used: weights packed for decoding, and the tokenizer that fits them.
#pragma once

#include <string>

#include "json/record.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace evo {

[[nodiscard]] const char* precision_name(Precision precision);

/// generation_config.json of a model folder that is used with `tokenizer`: its special tokens, and
/// its fingerprint, by which load_model() notices another tokenizer.
[[nodiscard]] Record generation_config(const Tokenizer& tokenizer);

struct LoadedModel {
  Model model;
  Tokenizer tokenizer;
};
/// Throws Error for anything missing or wrong, and if the two do not fit.
[[nodiscard]] LoadedModel load_model(const std::string& folder, Precision precision);

}  // namespace evo
