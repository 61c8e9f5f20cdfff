#include "decode/options.h"

#include <vector>

#include "base/closest.h"
#include "base/error.h"

namespace evo::decode {

Mode parse_mode(const std::string& name) {
  std::vector<std::string> known;
  for (Mode mode : {Mode::kAr, Mode::kExact, Mode::kEvo, Mode::kDiffusion}) {
    if (name == mode_name(mode)) return mode;
    known.emplace_back(mode_name(mode));
  }
  throw UsageError(fmt::format("--mode '{}': expected ar, exact, evo or diffusion{}", name,
                               did_you_mean(name, known)));
}

const char* mode_name(Mode mode) {
  switch (mode) {
    case Mode::kAr:
      return "ar";
    case Mode::kExact:
      return "exact";
    case Mode::kEvo:
      return "evo";
    case Mode::kDiffusion:
      return "diffusion";
  }
  return "?";
}

}  // namespace evo::decode
