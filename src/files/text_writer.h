// Writing text that comes piece by piece, compressed if the file's name asks for it.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "files/files.h"

namespace evo::files {

/// A text file that appears under its name on commit() (AtomicFile). If the name ends in .zst it is
/// compressed with zstd, with a checksum; what was written reaches the disk every 32 KB of text, so
/// that a full disk shows while the work goes on. read_text() reads both.
class TextWriter {
 public:
  /// Throws Error if the file cannot be made.
  explicit TextWriter(const std::filesystem::path& path);
  ~TextWriter();
  TextWriter(const TextWriter&) = delete;
  TextWriter& operator=(const TextWriter&) = delete;

  /// Throws Error naming the file and the free space if the disk does not take it.
  void write(std::string_view text);
  void commit();

 private:
  class Compressor;
  AtomicFile file_;
  std::unique_ptr<Compressor> compressor_;  // none: plain text
};

}  // namespace evo::files
