// A plan as text of 80 columns and as JSON.
#pragma once

#include <string>

#include "json/record.h"
#include "plan/plan.h"

namespace evo::cli {

/// What the reader has to know beside the plan.
struct PlanNotes {
  std::string model;       ///< how the command line names it: "--preset 8b"
  std::string settings;    ///< what else the user set: " --set sequence_length=1024"
  std::string batch;       ///< where the batch comes from: "chosen: 64 x 32"
  std::string efficiency;  ///< where the efficiency comes from: "as given"
};

[[nodiscard]] std::string plan_table(const plan::Plan& plan, const PlanNotes& notes);
[[nodiscard]] json::Record plan_record(const plan::Plan& plan, const PlanNotes& notes);

/// The command line that the plan describes.
[[nodiscard]] std::string run_command(const plan::Plan& plan, const PlanNotes& notes);

}  // namespace evo::cli
