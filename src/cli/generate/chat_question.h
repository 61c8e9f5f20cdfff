// `evo generate --chat`: one question to a model, and a remark where it is not asked as it should
// be.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "decode/prompt.h"
#include "tokenizer/tokenizer.h"

namespace evo::cli {

struct ChatQuestion {
  std::string text;
  std::optional<std::string> system;
  std::string template_variables;  ///< JSON
};

/// The question as the chat template of the model in `folder` writes it; `stops` gets the texts
/// that end an answer.
[[nodiscard]] decode::Prompt question_prompt(const std::string& folder,
                                             const ChatQuestion& question,
                                             const tokenizer::Tokenizer& tokenizer,
                                             std::vector<std::string>& stops);

/// A model that was trained to answer only continues a text that does not ask as its template does:
/// whoever wants that knows, others are told.
void remark_on_template(const std::string& folder, const decode::Prompt& prompt,
                        const tokenizer::Tokenizer& tokenizer);

}  // namespace evo::cli
