#include "cli/mode_choice.h"

#include "base/error.h"

namespace evo {

void choose_mode(const std::string& mode, const std::optional<double>& balance,
                 DecodeOptions& options) {
  if (balance) {
    if (!(*balance >= 0 && *balance <= 1))
      throw UsageError(fmt::format("--balance {}: expected 0 to 1", *balance));
    options.balance = *balance;
    options.mode = *balance == 0 ? Mode::kExact : *balance == 1 ? Mode::kDiffusion : Mode::kEvo;
  }
  if (mode.empty()) return;
  const Mode named = parse_mode(mode);
  if (balance && named == Mode::kEvo) return;
  if (balance && named != options.mode) {
    throw UsageError(
        fmt::format("--mode {} and --balance {} contradict each other: that balance is mode {}",
                    mode, *balance, mode_name(options.mode)));
  }
  options.mode = named;
}

void suit_model(const std::string& mode, const std::optional<double>& balance,
                const ModelConfig& config, DecodeOptions& options) {
  if (!balance && mode.empty() && !config.flow) options.mode = Mode::kAr;
}

}  // namespace evo
