#include "cli/mode_choice.h"

#include <CLI/CLI.hpp>
#include <array>

#include "cli/number_range.h"

namespace evo::cli {

decode::ModeChoice mode_choice(const std::string& mode, const std::optional<double>& balance) {
  decode::ModeChoice choice;
  if (!mode.empty()) choice.mode = decode::parse_mode(mode);
  choice.balance = balance;
  return choice;
}

namespace {

constexpr const char* kTemperatureHelp = "0: greedy";
constexpr const char* kTopKHelp = "keep the k likeliest tokens; 0: all";
constexpr const char* kTopPHelp = "keep the likeliest tokens of this mass";
constexpr const char* kRepetitionHelp =
    "above 1 makes tokens of the text so far, prompt included, less likely";

/// The numbers may be optional, or have defaults.
template <class Number, class Count>
std::array<CLI::Option*, 3> add_numbers(CLI::App& command, Number& temperature, Count& top_k,
                                        Number& top_p) {
  return {command.add_option("--temperature", temperature, kTemperatureHelp)
              ->check(number(0.0, decode::kMaxTemperature)),
          command.add_option("--top-k", top_k, kTopKHelp)->check(number(int64_t{0}, kLargestCount)),
          command.add_option("--top-p", top_p, kTopPHelp)->check(number_above(0, 1))};
}

void add_seed(CLI::App& command, uint64_t& seed) {
  command.add_option("--seed", seed, "seed of everything random")
      ->check(any_seed<uint64_t>())
      ->capture_default_str();
}

template <class Number>
CLI::Option* add_penalty(CLI::App& command, Number& penalty) {
  return command.add_option("--repetition-penalty", penalty, kRepetitionHelp)
      ->check(number_above(0, decode::kMaxRepetitionPenalty));
}

}  // namespace

void add_sampling_options(CLI::App& command, decode::DecodeOptions& decode) {
  decode::SamplerOptions& sampler = decode.sampler;
  for (CLI::Option* option :
       add_numbers(command, sampler.temperature, sampler.top_k, sampler.top_p)) {
    option->capture_default_str();
  }
  add_seed(command, decode.seed);
}

void add_repetition_penalty(CLI::App& command, double& penalty) {
  add_penalty(command, penalty)->capture_default_str();
}

void add_chat_sampling_options(CLI::App& command, ChatSampling& sampling,
                               decode::DecodeOptions& decode) {
  decode::GenerationDefaults& chosen = sampling.chosen;
  const auto options = add_numbers(command, chosen.temperature, chosen.top_k, chosen.top_p);
  const auto usual = [](CLI::Option* option, const auto& value) {
    option->description(
        fmt::format("{}; default: the model's own, or {}", option->get_description(), value));
  };
  usual(options[0], sampling.usual.temperature);
  usual(options[1], sampling.usual.top_k);
  usual(options[2], sampling.usual.top_p);
  usual(add_penalty(command, chosen.repetition_penalty), 1);
  add_no_defaults(command, sampling.no_defaults);
  add_seed(command, decode.seed);
}

void add_no_defaults(CLI::App& command, bool& no_defaults) {
  command.add_flag("--no-defaults", no_defaults,
                   "leave the sampling that the model's generation_config.json asks for");
}

decode::GenerationDefaults ChatSampling::defaults(const std::string& folder) const {
  if (no_defaults) return {};
  decode::GenerationDefaults own = decode::GenerationDefaults::load(folder);
  if (chosen.temperature) own.temperature.reset();
  if (chosen.top_k) own.top_k.reset();
  if (chosen.top_p) own.top_p.reset();
  if (chosen.repetition_penalty) own.repetition_penalty.reset();
  return own;
}

void ChatSampling::apply(const decode::GenerationDefaults& defaults,
                         decode::DecodeOptions& decode) const {
  decode.sampler = usual;
  defaults.apply(decode.sampler, decode.shape);
  chosen.apply(decode.sampler, decode.shape);
}

void add_template_variables(CLI::App& command, std::string& json) {
  command.add_option(
      "--chat-template-kwargs", json,
      "variables of the chat template as JSON, as in '{\"enable_thinking\": false}'");
}

jinja::Variables template_variables_of(const std::string& json) {
  constexpr const char* kOption = "--chat-template-kwargs";
  if (json.empty()) return {};
  try {
    return chat::template_variables(json, kOption);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

}  // namespace evo::cli
