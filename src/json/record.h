// Record: a JSON object with ordered keys, for configurations, states, metrics and results. The
// JSON library stays inside record.cc.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace evo::json {

/// Values are bool, int64, double, string, Record and arrays of these; keys keep the order in which
/// they were first set. A double that is not finite is kept and written as null, since JSON has no
/// NaN; reading a null as a number is an Error. Finite doubles survive a round trip bit for bit.
/// Strings that are not UTF-8 are written with U+FFFD in place of the bad bytes.
class Record {
 public:
  Record();
  ~Record();
  Record(const Record& other);
  Record(Record&& other) noexcept;
  Record& operator=(const Record& other);
  Record& operator=(Record&& other) noexcept;

  /// `text` must be one JSON object without duplicate keys, nested at most 64 deep. `source` is
  /// what error messages call it: a file name, "the request".
  static Record parse(std::string_view text, std::string_view source);
  static Record load(const std::filesystem::path& path, int64_t max_bytes = int64_t{64} << 20);
  /// What another program wrote, as Python's json module, which it mostly is, reads it: NaN and
  /// infinities are numbers, and of a key that is there twice the last value counts.
  static Record parse_foreign(std::string_view text, std::string_view source);
  static Record load_foreign(const std::filesystem::path& path);

  template <std::same_as<bool> Bool>
  Record& set(std::string_view key, Bool value) {
    return set_bool(key, value);
  }
  template <std::integral Int>
  requires(!std::same_as<Int, bool>) Record& set(std::string_view key, Int value) {
    EVO_CHECK(std::in_range<int64_t>(value));
    return set_int(key, static_cast<int64_t>(value));
  }
  template <std::floating_point Float>
  Record& set(std::string_view key, Float value) {
    return set_double(key, static_cast<double>(value));
  }
  Record& set(std::string_view key, std::string_view value);
  Record& set(std::string_view key, const Record& value);
  Record& set(std::string_view key, const std::vector<int64_t>& values);
  Record& set(std::string_view key, const std::vector<double>& values);
  Record& set(std::string_view key, const std::vector<std::string>& values);
  Record& set(std::string_view key, const std::vector<Record>& values);
  Record& set(std::string_view key, const std::vector<int32_t>& values) {
    return set(key, std::vector<int64_t>(values.begin(), values.end()));
  }
  Record& set(std::string_view key, const std::vector<float>& values) {
    return set(key, std::vector<double>(values.begin(), values.end()));
  }
  void erase(std::string_view key);  ///< no effect if there is no such key

  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] bool is_null(std::string_view key) const;  ///< there, and null
  [[nodiscard]] std::vector<std::string> keys() const;

  /// Getters throw Error naming source, key, expected and found type. A whole number is a double
  /// too; a double with an integral value of at most 2^53 (1e6) is a whole number too.
  [[nodiscard]] bool get_bool(std::string_view key) const;
  [[nodiscard]] int64_t get_int(std::string_view key) const;
  [[nodiscard]] double get_double(std::string_view key) const;
  [[nodiscard]] std::string get_string(std::string_view key) const;
  [[nodiscard]] Record get_record(std::string_view key) const;
  [[nodiscard]] std::vector<int64_t> get_ints(std::string_view key) const;
  [[nodiscard]] std::vector<double> get_doubles(std::string_view key) const;
  [[nodiscard]] std::vector<std::string> get_strings(std::string_view key) const;
  [[nodiscard]] std::vector<Record> get_records(std::string_view key) const;
  /// Every member in order, each of which must be an object.
  [[nodiscard]] std::vector<std::pair<std::string, Record>> members() const;

  /// One line, or indented by two spaces. No newline at the end.
  [[nodiscard]] std::string dump(bool pretty = false) const;
  /// Indented, atomically, with a newline at the end.
  void save(const std::filesystem::path& path) const;

  [[nodiscard]] const std::string& source() const;
  void set_source(std::string_view source);

 private:
  struct Impl;
  Record& set_bool(std::string_view key, bool value);
  Record& set_int(std::string_view key, int64_t value);
  Record& set_double(std::string_view key, double value);
  std::unique_ptr<Impl> impl_;
};

}  // namespace evo::json
