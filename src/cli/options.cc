#include "cli/options.h"

#include <filesystem>

#include "base/parallel.h"

namespace evo {

void use_threads(int threads) {
  if (threads < 0 || threads > 4096)
    throw UsageError(fmt::format("--threads {}: expected 1 to 4096", threads));
  if (threads > 0) set_threads(threads);
}

Precision parse_precision(const std::string& name) {
  if (name == "auto") return best_precision();
  if (name == "f32") return Precision::kF32;
  if (name == "bf16") return Precision::kBF16;
  throw UsageError(fmt::format("--precision '{}': expected auto, f32 or bf16", name));
}

const char* precision_name(Precision precision) {
  return precision == Precision::kBF16 ? "bf16" : "f32";
}

LoadedModel load_model(const std::string& folder, Precision precision) {
  Model model = Model::load(folder);
  const std::string path = (std::filesystem::path(folder) / "tokenizer.json").string();
  Tokenizer tokenizer = Tokenizer::load(path);
  if (tokenizer.vocab_size() > model.config().vocab_size) {
    fail("{}: the tokenizer has {} tokens, the model {}: they do not belong together", path,
         tokenizer.vocab_size(), model.config().vocab_size);
  }
  model.pack(precision);
  return {std::move(model), std::move(tokenizer)};
}

}  // namespace evo
