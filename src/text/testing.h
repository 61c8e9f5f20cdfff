// What the tests of text/ share: data files, random text.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/testing.h"

namespace evo::testing {

/// A file of the shared data folder: $EVO_SHARED_DATA, or else ../shared/data beside the source
/// tree, which is found from this file (src/text/testing.h).
inline std::filesystem::path shared_data(const std::string& name) {
  if (const char* folder = std::getenv("EVO_SHARED_DATA")) {
    return std::filesystem::path(folder) / name;
  }
  const std::filesystem::path here(__FILE__);
  return here.parent_path() / "../../../shared/data" / name;
}

inline std::vector<std::string> split_text(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (size_t end; (end = text.find(separator)) != std::string_view::npos;) {
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end + separator.size());
  }
  parts.emplace_back(text);
  return parts;
}

/// `length` draws from `alphabet`.
inline std::string random_text(Random& random, size_t length, std::string_view alphabet) {
  std::string text;
  for (size_t i = 0; i < length; ++i) text += alphabet[random.below(alphabet.size())];
  return text;
}

inline std::string random_bytes(Random& random, size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i) text += static_cast<char>(random.below(256));
  return text;
}

/// The message of the Error that `fn` throws; a test failure if it throws none.
template <class Fn>
std::string error_of(const Fn& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error";
  return {};
}

}  // namespace evo::testing

#define EVO_REQUIRE_SHARED_DATA(path)                                               \
  if (!std::filesystem::exists(path)) {                                             \
    GTEST_SKIP() << (path) << " is absent: set EVO_SHARED_DATA to the data folder"; \
  }
