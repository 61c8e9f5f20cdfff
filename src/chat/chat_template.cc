#include "chat/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "json/json_text.h"
#include "template/json.h"
#include "tokenizer/encoder.h"
#include "weights/model_documents.h"

namespace evo::chat {
namespace {

namespace fs = std::filesystem;
using OrderedJson = nlohmann::ordered_json;

constexpr int64_t kMaxFile = int64_t{16} << 20;
constexpr const char* kKey = "chat_template";
constexpr const char* kShared = "tokenizer_config.json";

constexpr std::string_view kChatMl =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// An object if the file is there, else an empty one.
OrderedJson load_object(const weights::ModelDocuments& documents, std::string_view name) {
  const std::optional<std::string> text = documents.read(name, kMaxFile);
  if (!text) return OrderedJson::object();
  OrderedJson json = json::parse_json(*text, documents.label(name));
  if (!json.is_object()) fail("{}: expected an object, found another value", documents.label(name));
  return json;
}

std::string expect_text(const OrderedJson& value, const std::string& path) {
  if (value.is_string()) return value.get<std::string>();
  fail("{}: expected '{}' to be a text or a list of named ones, found {}", path, kKey,
       json::shortened(value.dump()));
}

/// Of [{"name": ..., "template": ...}, ...] the one named "default", or the only one.
std::string choose_named(const OrderedJson& list, const std::string& path) {
  for (const OrderedJson& one : list) {
    if (!one.is_object() || !one.contains("name") || !one.contains("template")) {
      fail("{}: expected objects with 'name' and 'template' in '{}'", path, kKey);
    }
    if (one["name"] == "default" || list.size() == 1) return expect_text(one["template"], path);
  }
  fail("{}: expected one of the {} templates to be named 'default', found none", path, list.size());
}

struct Source {
  std::string name, text;
};

std::optional<Source> find_source(const weights::ModelDocuments& documents,
                                  const OrderedJson& config) {
  constexpr const char* kJinja = "chat_template.jinja";
  if (auto text = documents.read(kJinja, kMaxFile)) {
    return Source{documents.label(kJinja), std::move(*text)};
  }
  const std::string own = documents.label("chat_template.json"), shared = documents.label(kShared);
  const OrderedJson owned = load_object(documents, "chat_template.json");
  for (const auto& [json, path] : {std::pair(&owned, own), std::pair(&config, shared)}) {
    const auto found = json->find(kKey);
    if (found == json->end() || found->is_null()) continue;
    const std::string name = fmt::format("{} of {}", kKey, path);
    return Source{name, found->is_array() ? choose_named(*found, path) : expect_text(*found, path)};
  }
  return {};
}

/// The text of "eos_token": "</s>" or {"content": "</s>", ...}; nothing for other keys and null.
std::optional<std::string> special_token(const std::string& key, const OrderedJson& value) {
  if (!key.ends_with("_token")) return {};
  const bool object = value.is_object() && value.contains("content");
  const OrderedJson& text = object ? value["content"] : value;
  if (!text.is_string()) return {};
  return text.get<std::string>();
}

/// Where both files name a token, the first one counts.
jinja::Variables special_tokens(const OrderedJson& config, const OrderedJson& map) {
  jinja::Variables tokens;
  for (const OrderedJson* json : {&config, &map}) {
    for (const auto& [key, value] : json->items()) {
      const auto text = special_token(key, value);
      if (!text || (json == &map && config.contains(key))) continue;
      tokens.emplace_back(key, jinja::Value(*text));
    }
  }
  return tokens;
}

jinja::Value message_value(const text::ChatMessage& message) {
  return jinja::Value::dict({{jinja::Value("role"), jinja::Value(message.role)},
                             {jinja::Value("content"), jinja::Value(message.content)}});
}

}  // namespace

ChatTemplate ChatTemplate::chatml() {
  ChatTemplate result("ChatML", kChatMl, {});
  result.fallback_ = true;
  return result;
}

ChatTemplate ChatTemplate::load(const fs::path& folder) {
  const weights::ModelDocuments documents(folder);
  const OrderedJson config = load_object(documents, kShared);
  const std::optional<Source> source = find_source(documents, config);
  if (!source) return chatml();
  return {source->name, source->text,
          special_tokens(config, load_object(documents, "special_tokens_map.json"))};
}

std::optional<std::string> ChatTemplate::text_of(const fs::path& folder) {
  const weights::ModelDocuments documents(folder);
  std::optional<Source> source = find_source(documents, load_object(documents, kShared));
  if (!source) return {};
  return std::move(source->text);
}

ChatTemplate::ChatTemplate(std::string name, std::string_view source, jinja::Variables constants)
    : template_(std::move(name), source),
      constants_(std::move(constants)),
      end_of_turn_(find_end_of_turn()) {}

std::string ChatTemplate::render(std::span<const text::ChatMessage> messages,
                                 bool add_generation_prompt) const {
  std::vector<jinja::Value> list;
  for (const text::ChatMessage& message : messages) list.push_back(message_value(message));
  jinja::Variables variables = constants_;
  variables.emplace_back("messages", jinja::Value::list(std::move(list)));
  variables.emplace_back("add_generation_prompt", jinja::Value(add_generation_prompt));
  variables.emplace_back("tools", jinja::Value());
  return template_.render(variables);
}

std::string ChatTemplate::find_end_of_turn() const {
  constexpr std::string_view kAnswer = "an answer that no template holds";
  constexpr std::string_view kSpace = " \t\r\n";
  const text::ChatMessage turns[] = {{"user", "a question"}, {"assistant", std::string(kAnswer)}};
  std::string text;
  try {
    text = render(turns, false);
  } catch (const Error&) {
    return {};  // a template that wants other messages says so when it gets those that matter
  }
  const size_t answer = text.rfind(kAnswer);
  if (answer == std::string::npos) return {};
  const size_t begin = text.find_first_not_of(kSpace, answer + kAnswer.size());
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_first_of(kSpace, begin) - begin);
}

ChatText ChatTemplate::render_answers(std::span<const text::ChatMessage> messages) const {
  ChatText result{render(messages, false), {}};
  const std::string_view all = result.text;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    const std::string before = render(messages.first(i), true);
    const std::string with = render(messages.first(i + 1), false);
    std::string_view turn = with;
    if (with.starts_with(before)) turn.remove_prefix(before.size());
    const size_t end = end_of_turn_.empty() ? turn.npos : turn.rfind(end_of_turn_);
    if (end != turn.npos) turn = turn.substr(0, end + end_of_turn_.size());
    const bool same = with.starts_with(before) && all.starts_with(before) &&
                      all.substr(before.size()).starts_with(turn);
    if (!same) {
      fail(
          "the chat template writes message {} (counted from 1, of the assistant) in another way "
          "when it is the last one, or does not begin it as its generation prompt does: which part "
          "of the text is the assistant's cannot be told; split the conversation so that it ends "
          "with the answer to train on",
          i + 1);
    }
    result.answers.push_back({before.size(), before.size() + turn.size()});
  }
  return result;
}

std::vector<int32_t> end_tokens(const fs::path& folder) {
  constexpr const char* kEnd = "eos_token_id";
  constexpr const char* kName = "generation_config.json";
  const weights::ModelDocuments documents(folder);
  const OrderedJson config = load_object(documents, kName);
  if (!config.contains(kEnd) || config[kEnd].is_null()) return {};
  const OrderedJson list =
      config[kEnd].is_array() ? config[kEnd] : OrderedJson::array({config[kEnd]});
  std::vector<int32_t> tokens;
  for (const OrderedJson& token : list) {
    const bool fits = token.is_number_integer() && token >= 0 && token <= INT32_MAX;
    if (!fits) {
      fail("{}: expected '{}' to be the number of a token or a list of them, found {}",
           documents.label(kName), kEnd, json::shortened(config[kEnd].dump()));
    }
    tokens.push_back(token.get<int32_t>());
  }
  return tokens;
}

std::vector<std::string> chat_stops(const fs::path& folder, const ChatTemplate& chat_template,
                                    const tokenizer::Tokenizer& tokenizer) {
  std::vector<std::string> stops;
  if (!chat_template.end_of_turn().empty()) stops.push_back(chat_template.end_of_turn());
  for (const int32_t token : end_tokens(folder)) {
    if (token != tokenizer.end_of_text()) stops.emplace_back(tokenizer.token_bytes(token));
  }
  return stops;
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
