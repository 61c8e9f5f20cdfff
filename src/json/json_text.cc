#include "json/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
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
  explicit Builder(std::string_view source) : source_(source) {}
  [[nodiscard]] Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
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
    if (twice != names.end()) fail("{}: the key \"{}\" is there twice", source_, *twice);
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
  Json root_;
  std::vector<Json*> stack_;
  std::string key_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  // The library takes a NUL for the end of the text and ignores what follows.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail("{}: not valid JSON at byte {}: a NUL byte", source, nul + 1);
  }
  Builder builder(source);
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
