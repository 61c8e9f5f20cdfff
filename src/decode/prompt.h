// What a text is generated after.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace evo::decode {

/// What a text is generated after, in the order in which the network sees it.
struct Prompt {
  std::vector<int32_t> tokens, positions;
  /// Positions for generated tokens, behind that of the last token.
  int64_t room = std::numeric_limits<int32_t>::max();

  [[nodiscard]] bool is_gap() const { return room < std::numeric_limits<int32_t>::max(); }

  /// The places from 0 on; what is generated continues the text.
  static Prompt of_text(std::vector<int32_t> tokens);
  /// What is generated lies between `prefix`, not empty, and `suffix`, which begins `room`
  /// positions further on: at the longest, the middle has that many tokens.
  static Prompt of_gap(std::vector<int32_t> prefix, std::span<const int32_t> suffix, int64_t room);
};

}  // namespace evo::decode
