#include "flow/path.h"

#include <charconv>

#include "base/closest.h"
#include "base/error.h"

namespace evo::flow {

Path parse_path(std::string_view text) {
  constexpr std::string_view kBlockPrefix = "block:";
  if (text == "ar") return {Path::Kind::kAutoregressive};
  if (text == "diagonal") return {Path::Kind::kDiagonal};
  if (text.starts_with(kBlockPrefix)) {
    const std::string_view digits = text.substr(kBlockPrefix.size());
    const char* const end = digits.data() + digits.size();
    int block = 0;
    const auto [stop, status] = std::from_chars(digits.data(), end, block);
    if (status == std::errc() && stop == end && block >= 1) return {Path::Kind::kBlock, block};
  }
  fail(
      "unknown path \"{}\": use \"ar\", \"diagonal\" or \"block:N\" with N >= 1 tokens per block{}",
      text, did_you_mean(text, {"ar", "diagonal", "block:N"}));
}

std::string to_string(const Path& path) {
  switch (path.kind) {
    case Path::Kind::kAutoregressive:
      return "ar";
    case Path::Kind::kDiagonal:
      return "diagonal";
    case Path::Kind::kBlock:
      return fmt::format("block:{}", path.block);
  }
  EVO_CHECK(false);
}

int tokens_together(const Path& path, int length) {
  switch (path.kind) {
    case Path::Kind::kAutoregressive:
      return 1;
    case Path::Kind::kDiagonal:
      return length;
    case Path::Kind::kBlock:
      return path.block;
  }
  EVO_CHECK(false);
}

}  // namespace evo::flow
