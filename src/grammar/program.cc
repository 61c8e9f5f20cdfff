#include "grammar/program.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace evo::grammar {
namespace {

using Kind = Instruction::Kind;

/// Positions whose depths an instruction's own follows from. The last way of a split comes first:
/// if all are impossible, that is the one that leaves optional parts out.
template <class Fn>
void for_each_used(const Program& program, Position position, const Fn& fn) {
  const Instruction& instruction = program.code[position];
  switch (instruction.kind) {
    case Kind::kReturn:
      break;
    case Kind::kSplit:
      for (uint32_t i = instruction.low; i-- > 0;) fn(program.targets_of(instruction)[i]);
      break;
    case Kind::kCall:
    case Kind::kRepeat:
      if (instruction.kind == Kind::kCall || instruction.low > 0) {
        fn(program.starts[instruction.what]);
      }
      [[fallthrough]];
    case Kind::kBytes:
      fn(instruction.next);
  }
}

uint8_t depth_of(const Program& program, const Instruction& instruction) {
  const auto at = [&](Position position) { return program.depth_needed[position]; };
  switch (instruction.kind) {
    case Kind::kReturn:
      return 0;
    case Kind::kBytes:
      return at(instruction.next);
    case Kind::kCall: {
      const int called = at(program.starts[instruction.what]) + (instruction.nests ? 1 : 0);
      const auto bounded = static_cast<uint8_t>(std::min<int>(called, kNever));
      return std::max(bounded, at(instruction.next));
    }
    case Kind::kRepeat:
      if (instruction.low == 0) return at(instruction.next);
      return std::max(at(program.starts[instruction.what]), at(instruction.next));
    case Kind::kSplit: {
      uint8_t least = kNever;
      for (const Position target : program.targets_of(instruction)) {
        least = std::min(least, at(target));
      }
      return least;
    }
  }
  return kNever;
}

}  // namespace

void find_byte_classes(Program& program) {
  std::array<int, 256> class_of{};
  int classes = 1;
  for (const ByteSet& set : program.sets) {
    std::unordered_map<int, int> renamed;  // class * 2 + whether in the set -> class
    for (size_t byte = 0; byte < 256; ++byte) {
      const int key = class_of[byte] * 2 + (set[byte] ? 1 : 0);
      class_of[byte] = renamed.emplace(key, static_cast<int>(renamed.size())).first->second;
    }
    classes = static_cast<int>(renamed.size());
  }
  program.representatives.resize(classes);
  for (size_t byte = 0; byte < 256; ++byte) {
    program.class_of[byte] = static_cast<uint8_t>(class_of[byte]);
    program.representatives[class_of[byte]] = static_cast<uint8_t>(byte);
  }
}

/// The least solution of depth = f(depths of others), from above: each value falls at most kNever
/// times, so the work is linear in the program.
void find_depth_needed(Program& program) {
  const auto size = static_cast<Position>(program.code.size());
  program.depth_needed.assign(size, kNever);
  program.depth_needed[kReturn] = 0;
  std::vector<std::vector<Position>> users(size);
  for (Position position = 0; position < size; ++position) {
    for_each_used(program, position, [&](Position used) { users[used].push_back(position); });
  }
  std::vector<Position> changed = {kReturn};
  while (!changed.empty()) {
    const Position used = changed.back();
    changed.pop_back();
    for (const Position user : users[used]) {
      const uint8_t depth = depth_of(program, program.code[user]);
      if (depth >= program.depth_needed[user]) continue;
      program.depth_needed[user] = depth;
      changed.push_back(user);
    }
  }
}

std::vector<Position> way_to_dead_end(const Program& program, Position start) {
  std::vector<Position> way;
  std::unordered_set<Position> seen;
  std::optional<Position> at = start;
  while (at && seen.insert(*at).second) {
    way.push_back(*at);
    std::optional<Position> next;
    for_each_used(program, *at, [&](Position used) {
      if (!next && program.depth_needed[used] == kNever && !seen.contains(used)) next = used;
    });
    at = next;
  }
  return way;
}

}  // namespace evo::grammar
