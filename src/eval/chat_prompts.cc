#include "eval/chat_prompts.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace evo::eval {

decltype(TaskOptions::chat) chat_prompts(chat::ChatTemplate chat_template) {
  return [chat_template = std::move(chat_template),
          warned = false](std::span<const text::ChatMessage> messages) mutable {
    const bool with_system = !messages.empty() && messages.front().role == "system";
    if (!with_system) return chat_template.render(messages, true);
    try {
      return chat_template.render(messages, true);
    } catch (const Error& error) {
      std::string text = chat_template.render(messages.subspan(1), true);
      if (!warned) log_warning("descriptions of tasks are left out: {}", error.what());
      warned = true;
      return text;
    }
  };
}

}  // namespace evo::eval
