// The texts beside a model's weights (config.json and its like), wherever they lie: files of a
// folder, or what a GGUF file says instead.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "json/record.h"

namespace evo::weights {

class ModelDocuments {
 public:
  /// `model`: a folder, which need not exist, or a GGUF file, which is checked here.
  explicit ModelDocuments(const std::filesystem::path& model);

  [[nodiscard]] bool has(std::string_view name) const;
  /// "config.json"; nothing if there is none. Throws Error if it is longer than `max_bytes`.
  [[nodiscard]] std::optional<std::string> read(std::string_view name, int64_t max_bytes) const;
  /// What messages call it.
  [[nodiscard]] std::string label(std::string_view name) const;
  /// A file that holds a JSON object; nothing if there is none, or an empty one.
  [[nodiscard]] std::optional<json::Record> record(std::string_view name) const;
  /// The same of one that must be there, or an Error that names it.
  [[nodiscard]] json::Record required_record(std::string_view name) const;
  /// Writes to a folder what a GGUF file says instead of files, but for `except`.
  void write_made(const std::filesystem::path& to, std::span<const char* const> except) const;

 private:
  std::filesystem::path model_;
  bool is_folder_;
  std::map<std::string, std::string, std::less<>> made_;
};

}  // namespace evo::weights
