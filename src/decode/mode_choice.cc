#include "decode/mode_choice.h"

#include "base/error.h"

namespace evo::decode {

void ModeChoice::apply(DecodeOptions& options) const {
  if (balance) {
    if (!(*balance >= 0 && *balance <= 1))
      throw UsageError(fmt::format("--balance {}: expected 0 to 1", *balance));
    options.balance = *balance;
    options.mode = *balance == 0 ? Mode::kExact : *balance == 1 ? Mode::kDiffusion : Mode::kEvo;
  }
  if (!mode || (balance && *mode == Mode::kEvo)) return;
  if (balance && *mode != options.mode) {
    throw UsageError(
        fmt::format("--mode {} and --balance {} contradict each other: that balance is mode {}",
                    mode_name(*mode), *balance, mode_name(options.mode)));
  }
  options.mode = *mode;
}

void ModeChoice::suit(const model::ModelConfig& config, DecodeOptions& options) const {
  if (!balance && !mode && !config.flow) options.mode = Mode::kAr;
}

}  // namespace evo::decode
