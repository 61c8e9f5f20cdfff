// Which files hold text to learn from, and what others look like.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace evo::data {

/// The extension that says what is in a file, beneath that of a compressed one: ".jsonl" of
/// "a.jsonl.zst".
[[nodiscard]] std::string content_extension(const std::filesystem::path& path);

/// What the beginning of a content, already decompressed, looks like if it is not text or JSON
/// lines, and how to make those of it; empty if it is.
[[nodiscard]] std::string foreign_format(const std::filesystem::path& path, std::string_view head);

/// Whether a file of that name and beginning holds JSON lines.
[[nodiscard]] bool is_json_lines(const std::filesystem::path& path, std::string_view head);

/// Counts what is no UTF-8 text, piece by piece: bytes of broken sequences, and control characters
/// that texts do not have. A little of it is in many texts, and is kept as it is. More means that
/// the file is something else.
class TextCheck {
 public:
  void add(std::string_view piece);
  [[nodiscard]] int64_t bytes() const { return bytes_; }
  [[nodiscard]] int64_t bad() const { return bad_ + (pending_ > 0 ? taken_ : 0); }
  /// More than 1% of what there is, which is the whole file or enough to tell.
  [[nodiscard]] bool refuses(bool whole) const;

 private:
  void add_byte(uint8_t byte);

  int64_t bytes_ = 0, bad_ = 0;
  int pending_ = 0, taken_ = 0;         // bytes of a sequence that are to come, that have come
  uint8_t least_ = 0x80, most_ = 0xBF;  // of the next one
};
/// What is said of a file that TextCheck refuses.
[[nodiscard]] std::string describe_refusal(const std::filesystem::path& path,
                                           const TextCheck& check);

/// The files that `values` name, in their order. A folder stands for the files in it and below, in
/// the order of their names, without hidden ones; what does not look like text is left out there,
/// with a message. A file that is named itself must look like text. Throws Error naming what is
/// missing, is no text, or is a folder without any.
[[nodiscard]] std::vector<std::string> data_files(const std::vector<std::string>& values);

}  // namespace evo::data
