// A message of a conversation.
#pragma once

#include <string>

namespace evo::text {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant", as chat templates know them
  std::string content;
};

}  // namespace evo::text
