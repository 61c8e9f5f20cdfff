// What the tests of sessions share: a tiny model, prompts, and a session run to its end.
#pragma once

#include <algorithm>
#include <vector>

#include "decode/session/session.h"
#include "decode/testing.h"

namespace evo::testing {

inline constexpr int32_t kNoEnd = -1;
inline constexpr decode::Mode kModes[] = {decode::Mode::kAr, decode::Mode::kExact,
                                          decode::Mode::kEvo, decode::Mode::kDiffusion};

inline const model::Model& shared_model() {
  static const model::Model model = tiny_model(tiny_config(64), 4);
  return model;
}

inline const decode::Decoder& shared_decoder() {
  static const decode::Decoder decoder(shared_model());
  return decoder;
}

/// Windows of a fixed size: what the policy does depends on the machine.
inline decode::DecodeOptions options_of(decode::Mode mode, int64_t max_tokens) {
  decode::DecodeOptions options;
  options.mode = mode;
  options.max_tokens = max_tokens;
  options.draft_threshold = 0;  // always draft
  options.window = 4;
  return options;
}

inline std::vector<int32_t> random_prompt(uint64_t seed, size_t length) {
  Random random(seed, 9);
  std::vector<int32_t> prompt(length);
  for (int32_t& token : prompt) token = static_cast<int32_t>(random.below(64));
  return prompt;
}

inline std::vector<int32_t> tokens_of(const decode::Session& session) {
  return {session.generated().begin(), session.generated().end()};
}

/// Steps to the end; returns what the passes did. In diffusion mode a window takes at most `steps`
/// passes, in the others at most one, and the end token one more.
inline std::vector<decode::PassTrace> finish(decode::Session& session,
                                             const decode::DecodeOptions& options) {
  const int64_t limit = (options.mode == decode::Mode::kDiffusion ? options.steps : 1) *
                        (std::min(options.max_tokens, kTinyContext) + 1);
  std::vector<decode::PassTrace> traces;
  while (!session.done()) {
    traces.push_back(session.step());
    if (session.passes() > limit) {
      ADD_FAILURE() << decode::mode_name(options.mode) << " does not end";
      break;
    }
  }
  return traces;
}

inline std::vector<int32_t> generate_tokens(const decode::DecodeOptions& options,
                                            std::span<const int32_t> prompt, int32_t end = kNoEnd,
                                            const model::Model& model = shared_model()) {
  const decode::Decoder decoder(model);
  decode::Session session(decoder, options, decode::Prompt::of_text({prompt.begin(), prompt.end()}),
                          end);
  finish(session, options);
  return tokens_of(session);
}

}  // namespace evo::testing
