// What lm-evaluation-harness does to texts from WikiHow, and to those of GPQA too.
#pragma once

#include <string>
#include <string_view>

namespace evo::eval {

/// `preprocess` of lm_eval/tasks/hellaswag/utils.py and lm_eval/tasks/gpqa/n_shot/utils.py: "
/// [title]" becomes ". ", what stands in brackets goes, two spaces become one (once, from the
/// left).
[[nodiscard]] std::string without_markup(std::string_view text);

}  // namespace evo::eval
