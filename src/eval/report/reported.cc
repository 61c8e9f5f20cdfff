#include "eval/report/reported.h"

#include <algorithm>
#include <array>

namespace evo::eval {
namespace {

/// As the paper's public abstract page lists them. Which accuracy it is, of normalised likelihoods
/// or others, is not said there.
constexpr std::array<ReportedScore, 10> kReported = {
    {{"mmlu", 78.6, "accuracy", "a second row says 76.8"},
     {"bbh", 68.4, "accuracy"},
     {"arc_challenge", 65.6, "accuracy"},
     {"hellaswag", 82.1, "accuracy", "a second row says 86.4"},
     {"winogrande", 76.3, "accuracy"},
     {"piqa", 81.2, "accuracy"},
     {"gpqa_main_n_shot", 39.1, "accuracy", "which of GPQA's sets is not stated"},
     {"gsm8k", {}, "metric not stated"},
     {"humaneval", {}, "metric not stated"},
     {"mbpp", {}, "metric not stated"}}};

}  // namespace

const ReportedScore* reported_score(std::string_view task) {
  const auto* const found = std::ranges::find(kReported, task, &ReportedScore::task);
  return found == kReported.end() ? nullptr : found;
}

}  // namespace evo::eval
