// Any bytes are a possible config.json or an Error; a possible one survives being written and read.
#include "base/error.h"
#include "memory_file.h"
#include "model/config.h"
#include "model/layout.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const evo::fuzzing::MemoryFile memory(data, size);
  evo::model::ModelConfig config;
  try {
    config = evo::model::ModelConfig::load(memory.path());
    (void)evo::model::model_cost(config, config.max_position_embeddings);
  } catch (const evo::Error&) {
    return 0;
  }
  static const std::string copy =
      std::filesystem::temp_directory_path() / ("evo-fuzz-" + std::to_string(getpid()) + ".json");
  config.save(copy);
  const evo::model::ModelConfig again = evo::model::ModelConfig::load(copy);
  std::filesystem::remove(copy);
  if (again.family() != config.family() || again.head_dim != config.head_dim ||
      again.rope_scaling.rope_type != config.rope_scaling.rope_type) {
    abort();
  }
  return 0;
}
