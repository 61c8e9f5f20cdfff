#include "cli/chat/chat_history.h"

#include <algorithm>

#include "base/error.h"
#include "files/files.h"
#include "json/record.h"

namespace evo::cli {

void ChatHistory::add(std::string role, std::string content) {
  messages_.push_back({std::move(role), std::move(content)});
}

void ChatHistory::clear() {
  messages_.clear();
  dropped_ = 0;
}

bool ChatHistory::drop_last(std::string_view role) {
  if (messages_.empty() || messages_.back().role != role) return false;
  messages_.pop_back();
  dropped_ = std::min(dropped_, messages_.size());
  return true;
}

std::vector<text::ChatMessage> ChatHistory::seen() const {
  std::vector<text::ChatMessage> result;
  if (!system_.empty()) result.push_back({"system", system_});
  result.insert(result.end(), messages_.begin() + static_cast<std::ptrdiff_t>(dropped_),
                messages_.end());
  return result;
}

std::vector<int32_t> ChatHistory::encode() const {
  std::vector<int32_t> tokens = chat::encode_chat(template_, tokenizer_, seen());
  if (tokens.empty()) fail("the chat template makes no text of this conversation");
  return tokens;
}

/// The oldest message, and what would then begin the conversation without a question before it.
void ChatHistory::drop_turn() {
  do {
    ++dropped_;
  } while (dropped_ + 1 < messages_.size() && messages_[dropped_].role != "user");
}

decode::Prompt ChatHistory::prompt(int64_t context, int64_t room) {
  std::vector<int32_t> tokens = encode();
  while (std::ssize(tokens) + room > context && dropped_ + 1 < messages_.size()) {
    drop_turn();
    tokens = encode();
  }
  return decode::Prompt::of_text(std::move(tokens));
}

void ChatHistory::save(const std::filesystem::path& path) const {
  std::vector<json::Record> list;
  const auto add_message = [&](std::string_view role, std::string_view content) {
    list.emplace_back().set("role", role).set("content", content);
  };
  if (!system_.empty()) add_message("system", system_);
  for (const text::ChatMessage& message : messages_) add_message(message.role, message.content);
  json::Record record;
  record.set("messages", list);
  files::write_atomically(path, record.dump() + "\n");
}

}  // namespace evo::cli
