#include "json/json_text.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"

namespace evo::json {
namespace {

using Json = nlohmann::ordered_json;

// Copying and printing values recurse, so that depth has to be bounded where text comes in.
constexpr size_t kMaxDepth = 64;

/// Builds the value in linear time, where the library's own builder searches the object for every
/// key, and refuses duplicate keys, of which the library silently keeps one.
class Builder : public nlohmann::json_sax<Json> {
 public:
  /// `constants`: what the nulls of the text mean, in their order; nothing: null.
  Builder(std::string_view source, JsonDialect rules, std::vector<std::optional<double>> constants)
      : source_(source), rules_(rules), constants_(std::move(constants)) {}
  [[nodiscard]] Json take() { return std::move(root_); }

  bool null() override {
    const bool meant = next_constant_ < constants_.size() && constants_[next_constant_];
    const size_t at = next_constant_++;
    return meant ? add(*constants_[at]) : add(nullptr);
  }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }  // not in JSON text
  bool start_object(size_t /*size*/) override { return open(Json::object()); }
  bool start_array(size_t /*size*/) override { return open(Json::array()); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    key_ = std::move(name);
    return true;
  }

  bool end_object() override {
    std::vector<std::string_view> names;
    for (const auto& member : stack_.back()->get_ref<const Json::object_t&>()) {
      names.push_back(member.first);
    }
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice == names.end()) return close();
    if (rules_ == JsonDialect::kStandard) {
      fail("{}: the key \"{}\" is there twice", source_, *twice);
    }
    keep_last(stack_.back()->get_ref<Json::object_t&>());
    return close();
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    std::string text = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    if (const size_t end = text.find("] "); end != std::string::npos) text.erase(0, end + 2);
    fail("{}: not valid JSON at byte {}: {}", source_, position, shortened(text));
  }

 private:
  template <class Value>
  bool add(Value&& value) {
    place(Json(std::forward<Value>(value)));
    return true;
  }

  bool open(Json container) {
    if (stack_.size() == kMaxDepth) fail("{}: nested more than {} deep", source_, kMaxDepth);
    stack_.push_back(place(std::move(container)));
    return true;
  }

  /// Of members of one name the last value, in the place of the first, as Python's dict has them.
  static void keep_last(Json::object_t& members) {
    std::unordered_map<std::string, size_t> places;
    Json::object_t::Container kept;
    for (auto& member : members) {
      const auto [known, fresh] = places.try_emplace(member.first, kept.size());
      if (fresh) {
        kept.emplace_back(member.first, std::move(member.second));
      } else {
        kept[known->second].second = std::move(member.second);
      }
    }
    members.clear();
    for (auto& [name, value] : kept) {
      members.Json::object_t::Container::emplace_back(name, std::move(value));
    }
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  /// Only the innermost open container grows, so pointers to the outer ones stay valid.
  Json* place(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto& members = parent.get_ref<Json::object_t&>();
    members.Json::object_t::Container::emplace_back(std::move(key_), std::move(value));
    return &members.back().second;
  }

  std::string_view source_;
  JsonDialect rules_;
  std::vector<std::optional<double>> constants_;
  size_t next_constant_ = 0;
  Json root_;
  std::vector<Json*> stack_;
  std::string key_;
};

/// Text in which the constants that only Python knows are nulls, and what all its nulls mean.
struct PlainText {
  std::string text;
  std::vector<std::optional<double>> constants;
};

PlainText without_python_constants(std::string_view text) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::pair<std::string_view, std::optional<double>> known[] = {
      {"null", {}},
      {"NaN", std::numeric_limits<double>::quiet_NaN()},
      {"-Infinity", -kInfinity},
      {"Infinity", kInfinity}};
  PlainText result;
  bool inside = false;  // of a string
  while (!text.empty()) {
    size_t length = 1;
    if (inside && text[0] == '\\') {
      length = std::min<size_t>(2, text.size());
    } else if (text[0] == '"') {
      inside = !inside;
    } else if (!inside) {
      const auto found =
          std::ranges::find_if(known, [&](const auto& one) { return text.starts_with(one.first); });
      if (found != std::end(known)) {
        result.constants.push_back(found->second);
        result.text += "null";
        text.remove_prefix(found->first.size());
        continue;
      }
    }
    result.text += text.substr(0, length);
    text.remove_prefix(length);
  }
  return result;
}

/// Whether the text may hold such a constant.
bool may_hold_python_constant(std::string_view text) {
  return text.find("NaN") != text.npos || text.find("Infinity") != text.npos;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view source, JsonDialect rules) {
  // The library takes a NUL for the end of the text and ignores what follows.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail("{}: not valid JSON at byte {}: a NUL byte", source, nul + 1);
  }
  PlainText plain;
  if (rules == JsonDialect::kPython && may_hold_python_constant(text)) {
    plain = without_python_constants(text);
    text = plain.text;
  }
  Builder builder(source, rules, std::move(plain.constants));
  // Every fault of the text is thrown by the builder.
  EVO_CHECK(Json::sax_parse(text, &builder));
  return builder.take();
}

std::string shortened(std::string text) {
  constexpr size_t kMaxShown = 200;  // characters
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return text;
}

}  // namespace evo::json
