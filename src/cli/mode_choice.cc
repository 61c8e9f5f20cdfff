#include "cli/mode_choice.h"
#include "cli/number_range.h"

#include <CLI/CLI.hpp>

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

void add_sampling_options(CLI::App& command, DecodeOptions& decode) {
  command.add_option("--temperature", decode.sampler.temperature, "0: greedy")
      ->check(number(0.0, kMaxTemperature))
      ->capture_default_str();
  command.add_option("--top-k", decode.sampler.top_k, "keep the k likeliest tokens; 0: all")
      ->check(number(int64_t{0}, kLargestCount))
      ->capture_default_str();
  command.add_option("--top-p", decode.sampler.top_p, "keep the likeliest tokens of this mass")
      ->check(number_above(0, 1))
      ->capture_default_str();
  command.add_option("--seed", decode.seed, "seed of everything random")
      ->check(any_seed<uint64_t>())
      ->capture_default_str();
}

}  // namespace evo
