// What a reader must know to read the numbers rightly.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/report/align.h"
#include "eval/report/content.h"

namespace evo::eval {

/// Sentences; only what concerns these runs.
[[nodiscard]] std::vector<std::string> report_notes(std::span<const EvalRun> runs,
                                                    const ReportContent& content,
                                                    std::span<const AlignedTask> tasks);

}  // namespace evo::eval
