// A grammar over bytes as instructions: a regular expression machine (Thompson's) that can also
// call rules, so that it reads nested texts, and count.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace evo::grammar {

using ByteSet = std::bitset<256>;
using Position = uint32_t;  ///< of an instruction
using RuleId = uint32_t;

inline constexpr uint32_t kUnbounded = std::numeric_limits<uint32_t>::max();

/// Calls that nest, at most so many inside each other: a value in more containers is not written.
/// A container in so many is the 64th, and stays empty.
inline constexpr int kMaxDepth = 63;
/// Depth that no text within the limit reaches the end of a rule with.
inline constexpr uint8_t kNever = kMaxDepth + 1;

struct Instruction {
  enum class Kind : uint8_t {
    kReturn,  ///< the rule has ended
    kBytes,   ///< a byte of set `what`, then `next`
    kCall,    ///< rule `what`, then `next`
    kRepeat,  ///< rule `what` between `low` and `high` times, then `next`
    kSplit,   ///< any of the `low` positions from targets[what] on
  };
  Kind kind = Kind::kReturn;
  bool nests = false;  ///< kCall: the rule is one level deeper
  Position next = 0;
  uint32_t what = 0;
  uint32_t low = 0, high = 0;
};

inline constexpr Position kReturn = 0;  ///< the one instruction that returns

/// Immutable; made by ProgramBuilder.
struct Program {
  std::vector<Instruction> code;
  std::vector<Position> targets;  ///< of all splits
  std::vector<Position> starts;   ///< of each rule
  std::vector<ByteSet> sets;
  RuleId root = 0;

  /// Bytes that no set tells apart are of one class; a byte stands for each.
  std::array<uint8_t, 256> class_of{};
  std::vector<uint8_t> representatives;
  /// [code] how many levels deeper one must go, at least, to return from here.
  std::vector<uint8_t> depth_needed;

  [[nodiscard]] std::span<const Position> targets_of(const Instruction& split) const {
    return {targets.data() + split.what, split.low};
  }
};

/// Fill what follows from the rest of a program.
void find_byte_classes(Program& program);
void find_depth_needed(Program& program);

/// From a position that needs kNever: positions that need it, each because of the next one, to the
/// one where that begins or that is in the list already.
[[nodiscard]] std::vector<Position> way_to_dead_end(const Program& program, Position start);

}  // namespace evo::grammar
