// The text of a file as a stream: plain, or decompressed if its content is in .xz, .zst or .gz
// format, so that a corpus larger than memory can be read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "files/files.h"

namespace evo::files {

class TextReader {
 public:
  /// Throws Error if the file is missing or if its name promises a format that its content is not
  /// in. What is no regular file, a pipe, is read into memory first.
  explicit TextReader(const std::filesystem::path& path);
  ~TextReader();
  TextReader(TextReader&&) noexcept;
  TextReader& operator=(TextReader&&) noexcept;

  /// Fills `room`, not empty, from its beginning; returns how many bytes, 0 at the end. Throws
  /// Error if the file is damaged or cut short.
  size_t read(std::span<char> room);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// What there is to read, as it is stored, and how much of that was read: for progress.
  [[nodiscard]] std::string_view stored() const;
  [[nodiscard]] size_t stored_bytes_read() const;

  class Decoder;

 private:
  std::filesystem::path path_;
  std::optional<MappedFile> file_;
  std::unique_ptr<const std::string> copy_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace evo::files
