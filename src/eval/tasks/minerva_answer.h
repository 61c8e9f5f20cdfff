// Final answers of the MATH benchmark: where they stand in a text, and their normal form.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace evo::eval {

/// The content of the last \boxed of a reference solution; nothing if there is none.
[[nodiscard]] std::optional<std::string> boxed_answer(std::string_view solution);

/// What stands between "Final Answer: The final answer is" and ". I hope it is correct."; without
/// these, "[invalidanswer]". The end of the generated text may lack the second sentence.
[[nodiscard]] std::string stated_answer(std::string_view text);

/// The normal form of Lewkowycz et al. 2022 ("Solving quantitative reasoning problems with language
/// models", appendix D), as lm-evaluation-harness has it.
[[nodiscard]] std::string normal_answer(std::string_view answer);

}  // namespace evo::eval
