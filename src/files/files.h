// Files: mapped for reading, written so that a crash or a full disk leaves the old file or the new
// one and never half of either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace evo::files {

/// A read-only mapping of a whole regular file. Throws Error if the file is missing, is not a
/// regular file or is empty.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Says that `part` of bytes() was read and takes memory for nothing; it can be read again.
  void forget(std::span<const std::byte> part) const;

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// The whole file, which may be empty. Throws Error if it is longer than `max_bytes`.
[[nodiscard]] std::string read_file(const std::filesystem::path& path, int64_t max_bytes);

/// The text of a file, decompressed if its content is in .xz, .zst or .gz format. Throws Error if
/// it is damaged or cut short, if the name promises such a format and the content is not in it, or
/// if the text is longer than `max_bytes`. See files/text_reader.h for streams,
/// files/text_writer.h.
[[nodiscard]] std::string read_text(const std::filesystem::path& path, int64_t max_bytes);

/// A text to train on: read_text() that throws Error if there is no text in the file.
[[nodiscard]] std::string read_text_corpus(const std::filesystem::path& path);

/// Throws Error: `path` could not be written, why, and the space that is free there.
[[noreturn]] void fail_writing(const std::filesystem::path& path, int error_number);

/// A file under a temporary name beside `path`, which takes that name on commit(). Whatever goes
/// wrong before, `path` is as it was and the temporary file is removed.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws Error naming the file and the free space if not all bytes can be written.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Replaces bytes that were written before.
  void rewrite(int64_t offset, std::span<const std::byte> bytes);
  /// Syncs the file, renames it, syncs the folder.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_atomically(const std::filesystem::path& path, std::string_view text);
void write_atomically(const std::filesystem::path& path,
                      const std::function<void(AtomicFile&)>& writer);

/// Makes a rename or a removal in `folder` durable.
void sync_folder(const std::filesystem::path& folder);

/// Exclusive use of a folder (made if missing) while the object lives; throws Error naming the
/// process that has it. The lock is the kernel's: it goes when the process ends, however it ends.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// A 64-bit checksum for detecting damage (not tampering): a change within any one aligned 8-byte
/// word always changes it.
[[nodiscard]] uint64_t checksum64(std::span<const std::byte> bytes);

}  // namespace evo::files
