// Settings are declared once, in a `visit` function of their struct:
//
//   struct ModelConfig {
//     int64_t hidden_size = 512;
//     bool tied = true;
//     template <class V>
//     void visit(V& v) {
//       v("hidden_size", hidden_size, "width of the model, D");
//       v("tied", tied, "input and output embeddings are one matrix");
//     }
//   };
//
// and from that come the file format, `--set key=value`, the help text and unknown-key errors.
// Members may be bool, int32_t, int64_t, float, double, std::string, std::vector<int64_t> and
// std::vector<double>.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json/record.h"

namespace evo::json {
namespace fields {

template <class T>
concept FieldType = std::same_as<T, bool> || std::same_as<T, int32_t> || std::same_as<T, int64_t> ||
    std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::string> ||
    std::same_as<T, std::vector<int64_t>> || std::same_as<T, std::vector<double>>;

// Defined in fields.cc for every FieldType.
template <FieldType T>
void read_value(const json::Record& record, const char* name, T& value);
template <FieldType T>
void write_value(json::Record& record, const char* name, const T& value);
/// Parses the right side of key=value; throws UsageError.
template <FieldType T>
void parse_value(std::string_view name, std::string_view text, T& value);
template <FieldType T>
std::string format_value(const T& value);

/// Throws Error naming the first key of `record` that is not in `known`, and the one that was
/// probably meant, or all.
void check_known_keys(const json::Record& record, const std::vector<std::string>& known);
/// A UsageError for `--set name=...` that lists `known`.
[[noreturn]] void fail_unknown_assignment(std::string_view name,
                                          const std::vector<std::string>& known);
/// Splits "key=value"; throws UsageError if there is no '=' or no key.
void split_assignment(std::string_view assignment, std::string& name, std::string& value);
/// "  name=value   help", the help starting in a fixed column.
std::string help_line(std::string_view name, std::string_view value, std::string_view help);

class Reader {
 public:
  Reader(const json::Record& record, bool null_is_missing)
      : record_(record), null_is_missing_(null_is_missing) {}

  template <FieldType T>
  void operator()(const char* name, T& value, const char* /*help*/) {
    known_.emplace_back(name);
    if (!record_.has(name) || (null_is_missing_ && record_.is_null(name))) return;
    read_value(record_, name, value);
  }
  [[nodiscard]] const std::vector<std::string>& known() const { return known_; }

 private:
  const json::Record& record_;
  bool null_is_missing_;
  std::vector<std::string> known_;
};

class Writer {
 public:
  explicit Writer(json::Record& record) : record_(record) {}
  template <FieldType T>
  void operator()(const char* name, T& value, const char* /*help*/) {
    write_value(record_, name, value);
  }

 private:
  json::Record& record_;
};

class Assigner {
 public:
  explicit Assigner(std::string_view assignment) { split_assignment(assignment, name_, text_); }

  template <FieldType T>
  void operator()(const char* name, T& value, const char* /*help*/) {
    known_.emplace_back(name);
    if (name_ != name) return;
    parse_value(name_, text_, value);
    found_ = true;
  }
  void finish() const {
    if (!found_) fail_unknown_assignment(name_, known_);
  }

 private:
  std::string name_, text_;
  bool found_ = false;
  std::vector<std::string> known_;
};

class Describer {
 public:
  template <FieldType T>
  void operator()(const char* name, T& value, const char* help) {
    text_ += help_line(name, format_value(value), help) + "\n";
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class Lister {
 public:
  template <FieldType T>
  void operator()(const char* name, T& value, const char* /*help*/) {
    list_.emplace_back(name, format_value(value));
  }
  /// Name and value of each setting.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& list() const {
    return list_;
  }

 private:
  std::vector<std::pair<std::string, std::string>> list_;
};

}  // namespace fields

/// Reads settings from a record. A missing key keeps the value that `settings` has; an unknown key,
/// a wrong type, a fraction for a whole number or a number out of range is an Error, and then
/// `settings` is unchanged. `where` names the record in messages (empty: the record's own source).
/// `allow_unknown` is for files of other programs: unknown keys are skipped, and null is missing.
template <class Settings>
void read_fields(const json::Record& record, Settings& settings, std::string_view where = {},
                 bool allow_unknown = false) {
  json::Record named = record;
  if (!where.empty()) named.set_source(where);
  Settings result = settings;
  fields::Reader reader(named, allow_unknown);
  result.visit(reader);
  if (!allow_unknown) fields::check_known_keys(named, reader.known());
  settings = std::move(result);
}

/// Adds every setting to `record`.
template <class Settings>
void write_fields(const Settings& settings, json::Record& record) {
  Settings copy = settings;  // visit() is not const
  fields::Writer writer(record);
  copy.visit(writer);
}

/// For `--set key=value`. Arrays are "1,2,3". Throws UsageError; then `settings` is unchanged.
template <class Settings>
void assign_field(Settings& settings, std::string_view assignment) {
  fields::Assigner assigner(assignment);
  settings.visit(assigner);
  assigner.finish();
}

/// Help: one line "  key=default   help" per setting, each ending in a newline.
template <class Settings>
[[nodiscard]] std::string describe_fields(const Settings& settings) {
  Settings copy = settings;  // visit() is not const
  fields::Describer describer;
  copy.visit(describer);
  return describer.text();
}

struct FieldDifference {
  std::string name, first, second;  ///< the values as `--set` takes them
};

/// The settings that are not the same in both.
template <class Settings>
[[nodiscard]] std::vector<json::FieldDifference> different_fields(Settings first, Settings second) {
  fields::Lister a, b;
  first.visit(a);
  second.visit(b);
  std::vector<json::FieldDifference> differences;
  for (size_t i = 0; i < a.list().size(); ++i) {
    const auto& [name, value] = a.list()[i];
    if (value != b.list()[i].second) differences.push_back({name, value, b.list()[i].second});
  }
  return differences;
}

}  // namespace evo::json
