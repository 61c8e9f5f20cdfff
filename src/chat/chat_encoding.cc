// What chat_template.h says of tokens: a conversation as tokens, and where an answer ends.
#include <algorithm>
#include <set>

#include "base/error.h"
#include "chat/chat_template.h"
#include "tokenizer/encoder.h"

namespace evo::chat {
namespace {

/// The longest name of an added token that `text`, less white space before it, begins with.
std::string leading_token(std::string_view text, const tokenizer::Tokenizer& tokenizer) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  std::string_view longest;
  for (const tokenizer::AddedToken& added : tokenizer.spec().added) {
    const std::string& name = tokenizer.spec().tokens[static_cast<size_t>(added.id)];
    if (name.size() > longest.size() && text.starts_with(name)) longest = name;
  }
  return std::string(longest);
}

}  // namespace

std::vector<std::string> chat_stops(const ChatTemplate& chat_template,
                                    const tokenizer::Tokenizer& tokenizer) {
  const std::string& end = chat_template.end_of_turn();
  // Where the template writes nothing behind an answer, what marks the next turn ends it, if that
  // is more than words.
  std::string token = leading_token(end.empty() ? chat_template.between_turns() : end, tokenizer);
  if (token.empty()) token = end;
  if (token.empty()) return {};
  return {token};
}

namespace {

/// A conversation as text, in which `guard` stands before names of tokens that are none.
struct GuardedText {
  std::string text, guard;
};

/// A character that nobody uses: the first one of Unicode's private planes that is not in the
/// texts.
std::string unused_character(std::span<const text::ChatMessage> messages,
                             std::string_view rendered) {
  constexpr uint32_t kFirst = 0xF0000, kEnd = 0x10FFFE;
  constexpr size_t kBytes = 4;
  std::set<std::string_view> used;
  const auto look_at = [&](std::string_view text) {
    for (size_t at = 0; (at = text.find_first_of("\xF3\xF4", at)) != text.npos; ++at) {
      used.insert(text.substr(at, kBytes));
    }
  };
  look_at(rendered);
  for (const text::ChatMessage& message : messages) look_at(message.content);
  for (uint32_t code = kFirst; code < kEnd; ++code) {
    const auto byte = [&](uint32_t lead, uint32_t shift, uint32_t mask) {
      return static_cast<char>(lead | ((code >> shift) & mask));
    };
    std::string character{byte(0xF0, 18, 0x07), byte(0x80, 12, 0x3F), byte(0x80, 6, 0x3F),
                          byte(0x80, 0, 0x3F)};
    if (!used.contains(character)) return character;
  }
  fail("the messages use every character of Unicode's private planes");
}

/// What a template does with a text may depend on names in it (it may look for the end of a
/// thought, say). So the text must be the same with and without guards. Where it is not, only names
/// of special tokens are guarded, which no template looks for in what is said.
GuardedText render_guarded(const ChatTemplate& chat_template, const tokenizer::Tokenizer& tokenizer,
                           std::span<const text::ChatMessage> messages) {
  std::string plain = chat_template.render(messages, true);
  const std::string guard = unused_character(messages, plain);
  GuardedText result;
  for (const bool only_special : {false, true}) {
    std::vector<text::ChatMessage> marked(messages.begin(), messages.end());
    for (text::ChatMessage& message : marked) {
      const bool own_words = message.role == "assistant";
      message.content = tokenizer.guarded(message.content, guard, only_special || own_words);
    }
    const auto same = [](const text::ChatMessage& a, const text::ChatMessage& b) {
      return a.content == b.content;
    };
    if (std::ranges::equal(marked, messages, same)) return {std::move(plain), ""};
    result = {chat_template.render(marked, true), guard};
    if (tokenizer::without_guards(result.text, guard) == plain) return result;
  }
  return result;
}

}  // namespace

std::vector<int32_t> single_tokens(const std::vector<std::string>& texts,
                                   const tokenizer::Tokenizer& tokenizer) {
  std::vector<int32_t> singles;
  for (const std::string& text : texts) {
    const std::vector<int32_t> tokens = tokenizer.encode(text, {.special = true});
    if (tokens.size() == 1) singles.push_back(tokens.front());
  }
  return singles;
}

std::vector<int32_t> encode_chat(const ChatTemplate& chat_template,
                                 const tokenizer::Tokenizer& tokenizer,
                                 std::span<const text::ChatMessage> messages) {
  std::vector<int32_t> tokens;
  // A model without a template of its own was trained on documents, which begin with this.
  if (chat_template.is_fallback()) tokens.push_back(tokenizer.end_of_text());
  const GuardedText chat = render_guarded(chat_template, tokenizer, messages);
  tokenizer.encode_append(chat.text, tokens, {.special = true, .guard = chat.guard});
  return tokens;
}

}  // namespace evo::chat
