#include <algorithm>
#include <numeric>

#include "base/closest.h"
#include "decode/session.h"

namespace evo {

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

Prompt Prompt::of_text(std::vector<int32_t> tokens) {
  Prompt prompt;
  prompt.positions.resize(tokens.size());
  std::iota(prompt.positions.begin(), prompt.positions.end(), 0);
  prompt.tokens = std::move(tokens);
  return prompt;
}

Prompt Prompt::of_gap(std::vector<int32_t> prefix, std::span<const int32_t> suffix, int64_t room) {
  EVO_CHECK(!prefix.empty());
  if (suffix.empty()) return of_text(std::move(prefix));
  const int32_t edge = prefix.back();
  Prompt prompt = of_text(std::move(prefix));
  const auto before = static_cast<int32_t>(prompt.tokens.size());
  for (int32_t i = 0; i < static_cast<int32_t>(suffix.size()); ++i) {
    prompt.tokens.push_back(suffix[static_cast<size_t>(i)]);
    prompt.positions.push_back(before + static_cast<int32_t>(room) + i);
  }
  // The last token of the prefix comes again, now with the suffix before its eyes.
  prompt.tokens.push_back(edge);
  prompt.positions.push_back(before - 1);
  prompt.room = room;
  return prompt;
}

Decoder::Decoder(const Model& model, bool measure)
    : model_(model),
      measure_(measure),
      exact_policy_(measure ? DraftPolicy(times_, model.config().drafts_ahead())
                            : DraftPolicy(nominal_, 1, model.config().drafts_ahead())) {
  Tape tape(Tape::Mode::kInference);
  if (model.config().flow) codes_ = model.codes(tape);
}

void Decoder::learn(const PassRun& run, int64_t sessions, int64_t accepted) const {
  EVO_CHECK(measure_ && sessions > 0);
  times_.learn(run);
  const PassCost& cost = times_.cost();
  const auto count = static_cast<double>(sessions);
  const double plain = cost.pass(count, count);
  double multiple = 1;
  if (run.drafts() || run.rows > count) {
    constexpr double kDisturbed = 2;  // by other programs, who cannot be charged to drafts
    const double expected = cost.pass(run.rows, run.heads) +
                            run.window_steps * cost.draft(DraftSource::kWindow) +
                            run.ahead_steps * cost.draft(DraftSource::kAhead);
    multiple = std::min(run.total_seconds(), kDisturbed * expected) / plain;
  }
  exact_policy_.settle(multiple, 1 + static_cast<double>(accepted) / count);
}

}  // namespace evo
