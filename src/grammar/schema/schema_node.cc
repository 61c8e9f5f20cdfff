#include "grammar/schema/schema_node.h"

#include <algorithm>
#include <set>

#include "text/utf8.h"

namespace evo::grammar {
namespace {

/// Keywords that say nothing of what is valid.
constexpr std::string_view kAnnotations[] = {"title",     "description",  "default",    "example",
                                             "examples",  "format",       "$schema",    "$comment",
                                             "$defs",     "definitions",  "deprecated", "readOnly",
                                             "writeOnly", "discriminator"};

bool is_annotation(std::string_view keyword) {
  return keyword.starts_with("x-") || std::find(std::begin(kAnnotations), std::end(kAnnotations),
                                                keyword) != std::end(kAnnotations);
}

/// Cut to what fits a message, between characters.
std::string shortened(std::string text, size_t most) {
  if (text.size() <= most) return text;
  text.resize(most);
  text.resize(text::valid_utf8_prefix(text));
  return text + "...";
}

/// As a JSON pointer has it.
std::string escaped(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c == '~' || c == '/') {
      text += c == '~' ? "~0" : "~1";
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace

std::string Place::pointer() const {
  constexpr size_t kMostShown = 80;  // bytes of each name
  const std::string part = shortened(name, kMostShown);
  return parent == nullptr ? part : parent->pointer() + "/" + escaped(part);
}

std::string shown(const Json& value) {
  return shortened(value.dump(), 200);
}

const Json* SchemaNode::find(const char* keyword) const {
  const auto found = json_.find(keyword);
  return found == json_.end() ? nullptr : &*found;
}

bool SchemaNode::has_any(std::initializer_list<const char*> keywords) const {
  return std::any_of(keywords.begin(), keywords.end(), [&](const char* name) { return has(name); });
}

void SchemaNode::refuse_value(const char* keyword, const char* expected) const {
  refuse("'{}' must be {}, found {}", keyword, expected, shown(*find(keyword)));
}

uint32_t SchemaNode::count(const char* keyword, uint32_t otherwise) const {
  constexpr uint64_t kMost = 1'000'000'000;
  const Json* value = find(keyword);
  if (value == nullptr) return otherwise;
  if (!value->is_number_unsigned() || value->get<uint64_t>() > kMost) {
    refuse_value(keyword, "a whole number from 0 to 1000000000");
  }
  return value->get<uint32_t>();
}

void SchemaNode::check_order(const char* low, const char* high, uint32_t low_count,
                             uint32_t high_count) const {
  if (low_count > high_count) {
    refuse("nothing is valid: '{}' is {}, but '{}' only {}", low, low_count, high, high_count);
  }
}

const Json& SchemaNode::list(const char* keyword) const {
  const Json& value = *find(keyword);
  if (!value.is_array() || value.empty()) refuse_value(keyword, "a list that is not empty");
  return value;
}

const Json& SchemaNode::object(const char* keyword) const {
  const Json& value = *find(keyword);
  if (!value.is_object()) refuse_value(keyword, "an object");
  return value;
}

std::vector<std::string> SchemaNode::texts(const char* keyword) const {
  const Json& value = *find(keyword);
  if (!value.is_array()) refuse_value(keyword, "a list of texts");
  std::vector<std::string> result;
  std::set<std::string> known;
  for (const Json& item : value) {
    if (!item.is_string()) refuse_value(keyword, "a list of texts");
    if (known.insert(item.get<std::string>()).second) result.push_back(item.get<std::string>());
  }
  return result;
}

void SchemaNode::expect_only(std::initializer_list<const char*> known) const {
  for (const auto& item : json_.items()) {
    const std::string& keyword = item.key();
    const auto is_it = [&](const char* name) { return keyword == name; };
    if (is_annotation(keyword) || std::any_of(known.begin(), known.end(), is_it)) continue;
    refuse("the keyword {} is not supported here; besides annotations only {} are", shown(keyword),
           fmt::join(known, ", "));
  }
}

}  // namespace evo::grammar
