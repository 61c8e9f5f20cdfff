#include "cli/generate/chat_question.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "base/log.h"
#include "chat/chat_template.h"
#include "cli/mode_choice.h"

namespace evo::cli {

decode::Prompt question_prompt(const std::string& folder, const ChatQuestion& question,
                               const tokenizer::Tokenizer& tokenizer,
                               std::vector<std::string>& stops) {
  const chat::ChatTemplate chat_template = chat::ChatTemplate::load(folder).with_variables(
      template_variables_of(question.template_variables));
  if (chat_template.is_fallback()) log_info("[the model has no chat template: ChatML is used]");
  std::vector<text::ChatMessage> messages;
  if (question.system) messages.push_back({"system", *question.system});
  messages.push_back({"user", question.text});
  std::vector<int32_t> tokens = chat::encode_chat(chat_template, tokenizer, messages);
  if (tokens.empty()) fail("the chat template makes no text of this question");
  std::ranges::copy(chat::chat_stops(chat_template, tokenizer), std::back_inserter(stops));
  return decode::Prompt::of_text(std::move(tokens));
}

void remark_on_template(const std::string& folder, const decode::Prompt& prompt,
                        const tokenizer::Tokenizer& tokenizer) {
  const auto written = std::span(prompt.tokens).subspan(std::min<size_t>(1, prompt.tokens.size()));
  const bool typed_by_hand =
      std::ranges::any_of(written, [&](int32_t token) { return tokenizer.is_special(token); });
  if (prompt.is_gap() || typed_by_hand || !chat::has_chat_template(folder)) return;
  log_info(
      "[this model has a chat template, which this text does not use: it is continued, not "
      "answered; --chat asks it]");
}

}  // namespace evo::cli
