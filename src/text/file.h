// Whole small files, read and written at once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace evo {

/// Error if the file cannot be read or is longer than `max_size` bytes.
std::string read_small_file(const std::string& path, size_t max_size);

/// Writes under a temporary name in the same folder, flushes to the disk and renames: after a
/// crash the path holds the old content or the new one, never a part.
void replace_file(const std::string& path, std::string_view content);

}  // namespace evo
