#include "api/learnt_costs.h"

#include <fstream>

#include "base/threads/parallel.h"
#include "decode/loaded_model.h"

namespace evo {
namespace {

/// As Linux calls it; empty where it does not.
std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name") || line.starts_with("CPU part")) return line;
  }
  return "";
}

}  // namespace

LearntCosts::LearntCosts(const decode::Decoder& decoder, tensor::Precision precision,
                         const std::filesystem::path& folder)
    : decoder_(decoder),
      store_(folder, decoder.model(),
             fmt::format("{}, {} threads, {}, keys and values {}", cpu_name(), threads(),
                         decode::precision_name(precision),
                         decode::cache_format_name(decoder.model().cache_format()))) {
  store_.recall(decoder);
}

}  // namespace evo
