// A conversation, and the part of it that a model sees.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "decode/session/session.h"
#include "tokenizer/tokenizer.h"

namespace evo::cli {

class ChatHistory {
 public:
  /// The template and the tokenizer must outlive the object.
  ChatHistory(const chat::ChatTemplate& chat_template, const tokenizer::Tokenizer& tokenizer)
      : template_(chat_template), tokenizer_(tokenizer) {}

  void set_system(std::string text) { system_ = std::move(text); }  ///< empty: none
  void add(std::string role, std::string content);
  void clear();  ///< all but the system prompt
  /// Takes back the last message if it is of that role; false if it is not.
  bool drop_last(std::string_view role);

  /// The tokens that the next answer continues. If they leave less room than `room` in a context of
  /// `context` tokens, the oldest turns are left out, from now on, but never the system prompt nor
  /// the last message; dropped() tells how many messages that are.
  [[nodiscard]] decode::Prompt prompt(int64_t context, int64_t room);
  [[nodiscard]] size_t dropped() const { return dropped_; }

  /// Everything that was said, {"messages": [{"role", "content"}, ...]}, as `--data` takes it.
  void save(const std::filesystem::path& path) const;

 private:
  [[nodiscard]] std::vector<text::ChatMessage> seen() const;
  [[nodiscard]] std::vector<int32_t> encode() const;
  void drop_turn();

  const chat::ChatTemplate& template_;
  const tokenizer::Tokenizer& tokenizer_;
  std::string system_;
  std::vector<text::ChatMessage> messages_;  // without the system prompt
  size_t dropped_ = 0;                       // of them, from the beginning
};

}  // namespace evo::cli
