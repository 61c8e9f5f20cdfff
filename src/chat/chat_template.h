// How a conversation becomes the text that a model was trained to continue: the chat template that
// comes with it, a Jinja program (text/jinja.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "template/jinja.h"
#include "text/chat_message.h"
#include "tokenizer/tokenizer.h"

namespace evo::chat {

/// A part of a text, in bytes.
struct TextSpan {
  size_t begin = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// A conversation as text, and which parts of it the assistant says.
struct ChatText {
  std::string text;
  std::vector<TextSpan> answers;  ///< one per assistant message, its end-of-turn token included
};

/// Immutable, and cheap to copy. May be used by any number of threads at the same time.
class ChatTemplate {
 public:
  /// ChatML, for a model that has no template of its own.
  static ChatTemplate chatml();

  /// The template of a model folder or a GGUF file: chat_template.jinja, else chat_template.json,
  /// else `chat_template` of tokenizer_config.json (a text, or a list of named ones of which
  /// "default" is taken), else ChatML. The template sees the special tokens (bos_token, eos_token
  /// ...) of tokenizer_config.json and special_tokens_map.json. Throws Error for damaged files.
  static ChatTemplate load(const std::filesystem::path& folder);

  /// The text of that template; nothing if a model has none.
  static std::optional<std::string> text_of(const std::filesystem::path& folder);

  /// `name` is what errors call it; `constants` are variables of every rendering.
  ChatTemplate(std::string name, std::string_view source, jinja::Variables constants);

  /// The same, with variables that templates have switches for ("enable_thinking", say): of those
  /// that it has already, these count.
  [[nodiscard]] ChatTemplate with_variables(const jinja::Variables& variables) const;

  /// With `add_generation_prompt` it ends where the assistant begins to speak. Throws Error if the
  /// template fails or refuses these messages.
  [[nodiscard]] std::string render(std::span<const text::ChatMessage> messages,
                                   bool add_generation_prompt) const;

  /// For training on the assistant's turns only. The turns are found by rendering the conversation
  /// up to each of them, without and with it: what the second text has more is the turn. That takes
  /// one rendering per turn, and needs a template that writes a turn in the same way whatever
  /// follows it. Error where it does not: templates of thinking models leave the thoughts of
  /// earlier turns out (Qwen3), others put words into the assistant's mouth that they do not keep
  /// (a generation prompt that ends in "<think>"). Such conversations must be split so that each
  /// ends with the one answer that is trained on.
  [[nodiscard]] ChatText render_answers(std::span<const text::ChatMessage> messages) const;

  /// What follows the content of an assistant's turn, up to white space: "<|im_end|>". Empty if
  /// nothing does.
  [[nodiscard]] const std::string& end_of_turn() const { return end_of_turn_; }
  /// What stands between an answer and the next question.
  [[nodiscard]] const std::string& between_turns() const { return between_turns_; }

  [[nodiscard]] bool is_fallback() const { return fallback_; }  ///< ChatML for want of another

 private:
  void find_ends();

  jinja::Template template_;
  jinja::Variables constants_;
  std::string end_of_turn_, between_turns_;
  bool fallback_ = false;
};

/// Whether the model folder has a template of its own; one that cannot be read is none.
[[nodiscard]] bool has_chat_template(const std::filesystem::path& folder);

/// Variables for with_variables(), from an object as `chat_template_kwargs` has it. Throws Error
/// that calls the text `source`, also for names that a template gets from elsewhere ("messages").
[[nodiscard]] jinja::Variables template_variables(std::string_view json, std::string_view source);

/// Texts that end an answer: what the template writes behind one, of which the first token counts
/// if it is an added one. The tokens that end any text of the model (Decoder::ends()) come on top.
[[nodiscard]] std::vector<std::string> chat_stops(const ChatTemplate& chat_template,
                                                  const tokenizer::Tokenizer& tokenizer);

/// Of texts such as chat_stops(), those that are one token each, which names of special tokens are.
[[nodiscard]] std::vector<int32_t> single_tokens(const std::vector<std::string>& texts,
                                                 const tokenizer::Tokenizer& tokenizer);

/// A conversation up to where the assistant begins to speak; empty if the template makes no text of
/// it. The names of special tokens that the template writes are those tokens: that is how it marks
/// turns. In what somebody says they are ordinary text, so that nobody can end his turn and begin
/// another's; so are, but in the assistant's own words, names of added tokens that are not special.
[[nodiscard]] std::vector<int32_t> encode_chat(const ChatTemplate& chat_template,
                                               const tokenizer::Tokenizer& tokenizer,
                                               std::span<const text::ChatMessage> messages);

}  // namespace evo::chat
