// Prompts of tasks as conversations.
#pragma once

#include "chat/chat_template.h"
#include "eval/task.h"

namespace evo::eval {

/// For TaskOptions::chat. As lm-evaluation-harness does (models/huggingface.py,
/// apply_chat_template()): what the system says is left out, with a warning, where the template
/// refuses it.
[[nodiscard]] decltype(TaskOptions::chat) chat_prompts(chat::ChatTemplate chat_template);

}  // namespace evo::eval
