// Planning puzzles: made by the million, and checked by rules, not against one answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace evo::eval {

struct Puzzle {
  std::string prompt, answer;
};

class PuzzleKind {
 public:
  virtual ~PuzzleKind() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;    ///< "sudoku", also of the task
  [[nodiscard]] virtual std::string_view source() const = 0;  ///< the paper that has it so
  [[nodiscard]] virtual Puzzle make(Random& random) const = 0;
  /// Whether `answer` solves the puzzle: any right answer does.
  [[nodiscard]] virtual bool solves(std::string_view prompt, std::string_view answer) const = 0;
  [[nodiscard]] virtual int64_t longest_answer() const = 0;  ///< in characters
};

/// sudoku, countdown3, countdown4, countdown5, path_star.
[[nodiscard]] const std::vector<std::unique_ptr<PuzzleKind>>& puzzle_kinds();
/// Throws UsageError that lists the names.
[[nodiscard]] const PuzzleKind& find_puzzle_kind(std::string_view name);

/// Every puzzle is in one of two parts, by a hash of its prompt: no puzzle of one is ever in the
/// other, whatever the seeds.
enum class PuzzlePart { kTrain, kTest };

/// Number `index` of the part's puzzles: a pure function of the arguments.
[[nodiscard]] Puzzle make_puzzle(const PuzzleKind& kind, PuzzlePart part, uint64_t seed,
                                 uint64_t index);

// The kinds.
[[nodiscard]] std::unique_ptr<PuzzleKind> sudoku();
[[nodiscard]] std::unique_ptr<PuzzleKind> countdown(int numbers);
[[nodiscard]] std::unique_ptr<PuzzleKind> path_star();

}  // namespace evo::eval
