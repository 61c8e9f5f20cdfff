#include "grammar/program_builder.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/error.h"

namespace evo::grammar {

using Kind = Instruction::Kind;

ByteSet byte_range(uint8_t first, uint8_t last) {
  ByteSet set;
  for (size_t byte = first; byte <= last; ++byte) set.set(byte);
  return set;
}

ByteSet bytes_of(std::string_view text) {
  ByteSet set;
  for (const char byte : text) set.set(static_cast<uint8_t>(byte));
  return set;
}

size_t same_byte(std::span<const std::string> sorted, size_t offset) {
  const auto differs = [&](const std::string& text) { return text[offset] != sorted[0][offset]; };
  return static_cast<size_t>(std::find_if(sorted.begin(), sorted.end(), differs) - sorted.begin());
}

ProgramBuilder::ProgramBuilder() {
  add({.kind = Kind::kReturn});
}

Position ProgramBuilder::add(const Instruction& instruction) {
  // Targets of splits are memory, too.
  if (program_.code.size() + program_.targets.size() >= kMostInstructions) {
    fail(
        "the schema is too large: what it describes takes more than {} steps to read; use a "
        "smaller one, with shorter lists of values",
        kMostInstructions);
  }
  program_.code.push_back(instruction);
  return static_cast<Position>(program_.code.size() - 1);
}

bool ProgramBuilder::LessSet::operator()(const ByteSet& a, const ByteSet& b) const {
  const ByteSet different = a ^ b;
  const size_t first = different._Find_first();
  return first < different.size() && b[first];
}

Position ProgramBuilder::bytes(const ByteSet& set, Position next) {
  const auto [known, is_new] =
      known_sets_.emplace(set, static_cast<uint32_t>(program_.sets.size()));
  if (is_new) program_.sets.push_back(set);
  return add({.kind = Kind::kBytes, .next = next, .what = known->second});
}

Position ProgramBuilder::literal(std::string_view text, Position next) {
  for (; !text.empty(); text.remove_suffix(1)) {
    next = bytes(bytes_of(text.substr(text.size() - 1)), next);
  }
  return next;
}

Position ProgramBuilder::literals(std::span<const std::string> sorted, size_t offset,
                                  Position next) {
  std::vector<Position> branches;
  while (!sorted.empty()) {
    if (sorted[0].size() == offset) {
      branches.push_back(next);
      sorted = sorted.subspan(1);
      continue;
    }
    const auto group = sorted.first(same_byte(sorted, offset));
    const std::string_view first = group.front(), last = group.back();
    const auto parted = std::mismatch(first.begin(), first.end(), last.begin(), last.end());
    const auto shared = static_cast<size_t>(parted.first - first.begin());
    const Position rest = group.size() == 1 ? next : literals(group, shared, next);
    branches.push_back(literal(first.substr(offset, shared - offset), rest));
    sorted = sorted.subspan(group.size());
  }
  return split(branches);
}

Position ProgramBuilder::split(std::span<const Position> targets) {
  if (targets.size() == 1) return targets[0];
  const auto first = static_cast<uint32_t>(program_.targets.size());
  program_.targets.insert(program_.targets.end(), targets.begin(), targets.end());
  return add({.kind = Kind::kSplit, .what = first, .low = static_cast<uint32_t>(targets.size())});
}

Position ProgramBuilder::split(std::initializer_list<Position> targets) {
  return split(std::span(targets.begin(), targets.size()));
}

Position ProgramBuilder::call(RuleId rule, Position next, bool nests) {
  return add({.kind = Kind::kCall, .nests = nests, .next = next, .what = rule});
}

Position ProgramBuilder::repeat(RuleId rule, uint32_t low, uint32_t high, Position next) {
  EVO_CHECK(low <= high);
  if (high == 0) return next;
  return add({.kind = Kind::kRepeat, .next = next, .what = rule, .low = low, .high = high});
}

RuleId ProgramBuilder::declare() {
  program_.starts.push_back(kReturn);
  return static_cast<RuleId>(program_.starts.size() - 1);
}

RuleId ProgramBuilder::rule(Position start) {
  const RuleId rule = declare();
  define(rule, start);
  return rule;
}

Program ProgramBuilder::build(RuleId root) && {
  program_.root = root;
  find_byte_classes(program_);
  find_depth_needed(program_);
  return std::move(program_);
}

}  // namespace evo::grammar
