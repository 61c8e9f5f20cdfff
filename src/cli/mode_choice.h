// How text is chosen: --mode and --balance, which say the same thing, and sampling.
#pragma once

#include <optional>
#include <string>

#include "chat/chat_template.h"
#include "decode/mode_choice.h"
#include "decode/sampling/generation_defaults.h"

namespace CLI {
class App;
}

namespace evo::cli {

/// What the options say; an empty `mode` says nothing. Throws UsageError for a mode that there is
/// not.
[[nodiscard]] decode::ModeChoice mode_choice(const std::string& mode,
                                             const std::optional<double>& balance);

/// --temperature, --top-k, --top-p and --seed.
void add_sampling_options(CLI::App& command, decode::DecodeOptions& decode);

/// How a conversation is sampled: as the command line says, else as the model does, else as
/// `usual`.
struct ChatSampling {
  decode::SamplerOptions usual = {};
  decode::GenerationDefaults chosen = {};
  bool no_defaults = false;

  /// What the model in `folder` says and the command line does not.
  [[nodiscard]] decode::GenerationDefaults defaults(const std::string& folder) const;
  void apply(const decode::GenerationDefaults& defaults, decode::DecodeOptions& decode) const;
};

/// The same options where a model's defaults count, --repetition-penalty and --no-defaults.
void add_chat_sampling_options(CLI::App& command, ChatSampling& sampling,
                               decode::DecodeOptions& decode);
/// --no-defaults alone.
void add_no_defaults(CLI::App& command, bool& no_defaults);

/// --repetition-penalty.
void add_repetition_penalty(CLI::App& command, double& penalty);

/// --chat-template-kwargs, as JSON.
void add_template_variables(CLI::App& command, std::string& json);
/// Of that option; none if it is empty. Throws UsageError.
[[nodiscard]] jinja::Variables template_variables_of(const std::string& json);

}  // namespace evo::cli
