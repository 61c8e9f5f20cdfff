#include "cli/mode_choice.h"

#include <CLI/CLI.hpp>

#include "cli/number_range.h"

namespace evo::cli {

decode::ModeChoice mode_choice(const std::string& mode, const std::optional<double>& balance) {
  decode::ModeChoice choice;
  if (!mode.empty()) choice.mode = decode::parse_mode(mode);
  choice.balance = balance;
  return choice;
}

void add_sampling_options(CLI::App& command, decode::DecodeOptions& decode) {
  command.add_option("--temperature", decode.sampler.temperature, "0: greedy")
      ->check(number(0.0, decode::kMaxTemperature))
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

}  // namespace evo::cli
