// A message of a conversation.
#pragma once

#include <string>

namespace evo {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant", as chat templates know them
  std::string content;
};

}  // namespace evo
