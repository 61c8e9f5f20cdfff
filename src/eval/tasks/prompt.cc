#include "eval/tasks/prompt.h"

#include <vector>

namespace evo::eval {
namespace {

constexpr std::string_view kBetweenShots = "\n\n";

}  // namespace

std::string PromptWriter::text(std::span<const Shot> shots, std::string_view question) const {
  std::string text;
  for (const Shot& shot : shots) {
    text.append(shot.question).append(delimiter_).append(shot.answer).append(kBetweenShots);
  }
  return text.append(question);
}

std::string PromptWriter::write(std::span<const Shot> shots, std::string_view question) const {
  if (!options_.chat) return description_ + text(shots, question);
  std::vector<text::ChatMessage> messages;
  if (!description_.empty()) messages.push_back({"system", description_});
  if (options_.shots_are_turns) {
    for (const Shot& shot : shots) {
      messages.push_back({"user", shot.question});
      messages.push_back({"assistant", shot.answer});
    }
    messages.push_back({"user", std::string(question)});
  } else {
    messages.push_back({"user", text(shots, question)});
  }
  return options_.chat(messages);
}

}  // namespace evo::eval
