#include "chat/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "json/json_text.h"
#include "template/json.h"
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
  OrderedJson json = json::parse_json(*text, documents.label(name), json::JsonDialect::kPython);
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
    : template_(std::move(name), source), constants_(std::move(constants)) {
  find_ends();
}

ChatTemplate ChatTemplate::with_variables(const jinja::Variables& variables) const {
  ChatTemplate result = *this;
  for (const auto& [name, value] : variables) {
    std::erase_if(result.constants_, [&name = name](const auto& one) { return one.first == name; });
    result.constants_.emplace_back(name, value);
  }
  return result;
}

std::string ChatTemplate::render(std::span<const text::ChatMessage> messages,
                                 bool add_generation_prompt) const {
  std::vector<jinja::Value> list;
  for (const text::ChatMessage& message : messages) list.push_back(message_value(message));
  jinja::Variables variables = constants_;
  variables.emplace_back("messages", jinja::Value::list(std::move(list)));
  variables.emplace_back("add_generation_prompt", jinja::Value(add_generation_prompt));
  variables.emplace_back("tools", jinja::Value());
  variables.emplace_back("documents", jinja::Value());
  return template_.render(variables);
}

namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string first_word(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_first_of(kSpace, begin) - begin));
}

size_t common_suffix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend()).first -
                             a.rbegin());
}

}  // namespace

/// Found by rendering a conversation that the texts tell the parts of. Some templates write the
/// generation prompt behind every answer, whether it is asked for or not: then the end of the turn
/// is what they also write where a question follows, less what every question begins with.
void ChatTemplate::find_ends() {
  const std::string question = "a question that no template holds",
                    answer = "an answer that no template holds", next = "another question";
  const text::ChatMessage turns[] = {{"user", question}, {"assistant", answer}, {"user", next}};
  const std::span<const text::ChatMessage> all(turns), two = all.first(2);
  std::string ended, prompted, followed;
  try {
    ended = render(two, false);
    prompted = render(two, true);
    followed = render(all, false);
  } catch (const Error&) {  // a template that wants other messages says so when those come
  }
  const auto behind = [&](const std::string& text) {
    const size_t at = text.rfind(answer);
    return at == std::string::npos ? std::string_view()
                                   : std::string_view(text).substr(at + answer.size());
  };
  end_of_turn_ = first_word(behind(ended));
  const std::string_view rest = behind(followed);
  between_turns_ = rest.substr(0, rest.find(next));
  const bool always_prompts = ended == prompted && !between_turns_.empty();
  if (!always_prompts || first_word(between_turns_).starts_with(end_of_turn_)) return;
  const std::string before = followed.substr(0, followed.find(question));
  size_t opening = between_turns_.size() - common_suffix(between_turns_, before);
  // Two marks may end alike: it begins behind a whole one.
  const auto ends_mark = [](char c) {
    return c == '>' || c == ']' || kSpace.find(c) != std::string_view::npos;
  };
  while (opening > 0 && opening < between_turns_.size() && !ends_mark(between_turns_[opening - 1]))
    ++opening;
  const std::string end = first_word(between_turns_.substr(0, opening));
  if (!end.empty() && end_of_turn_.starts_with(end)) end_of_turn_ = end;
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

bool has_chat_template(const fs::path& folder) {
  try {
    const weights::ModelDocuments documents(folder);
    return find_source(documents, load_object(documents, kShared)).has_value();
  } catch (const Error&) {
    return false;
  }
}

jinja::Variables template_variables(std::string_view json, std::string_view source) {
  const OrderedJson object = json::parse_json(json, source);
  if (!object.is_object()) {
    fail("{}: expected an object with variables of the chat template, found {}", source,
         json::shortened(object.dump()));
  }
  jinja::Variables variables;
  for (const auto& [name, value] : object.items()) {
    for (const char* own : {"messages", "tools", "documents", "add_generation_prompt"}) {
      if (name == own) fail("{}: '{}' is no variable that can be set", source, name);
    }
    variables.emplace_back(name, jinja::from_json(value));
  }
  return variables;
}

}  // namespace evo::chat
