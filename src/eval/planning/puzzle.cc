#include "eval/planning/puzzle.h"

#include <span>

#include "base/closest.h"
#include "base/error.h"
#include "files/files.h"

namespace evo::eval {
namespace {

constexpr uint64_t kPuzzleStream = 0x70757A7A;
constexpr uint64_t kTestShare = 32;  // one puzzle in so many is of the test part

uint64_t hash_of(std::string_view text) {
  return files::checksum64(std::as_bytes(std::span(text)));
}

}  // namespace

const std::vector<std::unique_ptr<PuzzleKind>>& puzzle_kinds() {
  static const std::vector<std::unique_ptr<PuzzleKind>> kinds = [] {
    std::vector<std::unique_ptr<PuzzleKind>> all;
    all.push_back(sudoku());
    for (const int numbers : {3, 4, 5}) all.push_back(countdown(numbers));
    all.push_back(path_star());
    return all;
  }();
  return kinds;
}

const PuzzleKind& find_puzzle_kind(std::string_view name) {
  std::vector<std::string> names;
  for (const auto& kind : puzzle_kinds()) {
    if (kind->name() == name) return *kind;
    names.emplace_back(kind->name());
  }
  throw UsageError(fmt::format("unknown puzzle '{}': expected one of {}{}", name,
                               fmt::join(names, ", "), did_you_mean(name, names)));
}

Puzzle make_puzzle(const PuzzleKind& kind, PuzzlePart part, uint64_t seed, uint64_t index) {
  Random random(seed, stream_id({kPuzzleStream, hash_of(kind.name()), index}));
  while (true) {
    Puzzle puzzle = kind.make(random);
    const bool test = hash_of(puzzle.prompt) % kTestShare == 0;
    if (test == (part == PuzzlePart::kTest)) return puzzle;
  }
}

}  // namespace evo::eval
