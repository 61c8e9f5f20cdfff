// Writing a Program. Texts are described from their end: every function takes the position that
// follows and gives the position to begin at.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/program.h"

namespace evo::grammar {

/// The set of the bytes from `first` to `last`.
[[nodiscard]] ByteSet byte_range(uint8_t first, uint8_t last);
/// The set of the bytes of `text`.
[[nodiscard]] ByteSet bytes_of(std::string_view text);

/// How many strings from sorted[0] on have the same byte at `offset` as that one.
[[nodiscard]] size_t same_byte(std::span<const std::string> sorted, size_t offset);

class ProgramBuilder {
 public:
  /// An Error says that a schema needs more than that many instructions.
  static constexpr size_t kMostInstructions = 200'000;

  ProgramBuilder();

  Position bytes(const ByteSet& set, Position next);
  Position literal(std::string_view text, Position next);
  /// Any of the texts: sorted, different, and longer than `offset`, up to where they are the same;
  /// what they share is read once.
  Position literals(std::span<const std::string> sorted, size_t offset, Position next);
  Position split(std::span<const Position> targets);
  Position split(std::initializer_list<Position> targets);
  /// `nests`: the rule's text is one level deeper (kMaxDepth).
  Position call(RuleId rule, Position next, bool nests = false);
  /// The rule's text must not be empty. low <= high.
  Position repeat(RuleId rule, uint32_t low, uint32_t high, Position next);

  /// A rule can be called before it is defined.
  RuleId declare();
  void define(RuleId rule, Position start) { program_.starts[rule] = start; }
  RuleId rule(Position start);

  [[nodiscard]] Program build(RuleId root) &&;

 private:
  struct LessSet {
    bool operator()(const ByteSet& a, const ByteSet& b) const;
  };
  Position add(const Instruction& instruction);

  Program program_;
  std::map<ByteSet, uint32_t, LessSet> known_sets_;
};

}  // namespace evo::grammar
