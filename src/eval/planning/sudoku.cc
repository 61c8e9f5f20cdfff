// Sudoku 9x9 as in Ye et al. 2024 (arXiv 2410.14157): 81 digits row by row, 0 for an empty cell,
// and the 81 digits of the only solution. Their puzzles have about 34 digits given on average, ours
// 30 to 38 with equal probability.
#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include "base/shuffle.h"
#include "eval/planning/puzzle.h"

namespace evo::eval {
namespace {

constexpr int kCells = 81;
constexpr uint64_t kLeastGiven = 30, kMostGiven = 38;
constexpr uint16_t kAllDigits = 0x1FF;

int row_of(int cell) {
  return cell / 9;
}
int column_of(int cell) {
  return cell % 9;
}
int box_of(int cell) {
  return cell / 27 * 3 + cell % 9 / 3;
}

/// Digits that are still free in every row, column and box, as bits.
class Board {
 public:
  /// False if the rules forbid it, or if the cell has a digit.
  bool place(int cell, int digit) {
    const auto bit = static_cast<uint16_t>(1 << (digit - 1));
    if (digits_[at(cell)] != 0 || (candidates(cell) & bit) == 0) return false;
    digits_[at(cell)] = static_cast<uint8_t>(digit);
    flip(cell, bit);
    ++filled_;
    return true;
  }
  void clear(int cell) {
    flip(cell, static_cast<uint16_t>(1 << (digits_[at(cell)] - 1)));
    digits_[at(cell)] = 0;
    --filled_;
  }
  [[nodiscard]] uint16_t candidates(int cell) const {
    return rows_[at(row_of(cell))] & columns_[at(column_of(cell))] & boxes_[at(box_of(cell))];
  }
  [[nodiscard]] int digit(int cell) const { return digits_[at(cell)]; }
  [[nodiscard]] bool full() const { return filled_ == kCells; }

  /// The empty cell with the fewest candidates.
  [[nodiscard]] int tightest() const {
    int best = -1, fewest = 10;
    for (int cell = 0; cell < kCells && fewest > 1; ++cell) {
      if (digits_[at(cell)] != 0) continue;
      const int count = std::popcount(candidates(cell));
      if (count < fewest) best = cell, fewest = count;
    }
    return best;
  }
  [[nodiscard]] std::string text() const {
    std::string result;
    for (const uint8_t digit : digits_) result += static_cast<char>('0' + digit);
    return result;
  }

 private:
  static size_t at(int index) { return static_cast<size_t>(index); }
  void flip(int cell, uint16_t bit) {
    rows_[at(row_of(cell))] ^= bit;
    columns_[at(column_of(cell))] ^= bit;
    boxes_[at(box_of(cell))] ^= bit;
  }
  static constexpr std::array<uint16_t, 9> all_free() {
    std::array<uint16_t, 9> free{};
    free.fill(kAllDigits);
    return free;
  }

  std::array<uint8_t, kCells> digits_{};
  std::array<uint16_t, 9> rows_ = all_free(), columns_ = all_free(), boxes_ = all_free();
  int filled_ = 0;
};

/// How many ways there are to fill the board, counted up to 2.
int count_solutions(Board& board) {
  if (board.full()) return 1;
  const int cell = board.tightest();
  int count = 0;
  for (uint16_t left = board.candidates(cell); left != 0 && count < 2;
       left = static_cast<uint16_t>(left & (left - 1))) {
    board.place(cell, std::countr_zero(left) + 1);
    count += count_solutions(board);
    board.clear(cell);
  }
  return count;
}

bool fill_at_random(Board& board, Random& random) {
  if (board.full()) return true;
  const int cell = board.tightest();
  std::array<int, 9> digits{1, 2, 3, 4, 5, 6, 7, 8, 9};
  shuffle(digits, random);
  for (const int digit : digits) {
    if (!board.place(cell, digit)) continue;
    if (fill_at_random(board, random)) return true;
    board.clear(cell);
  }
  return false;
}

class Sudoku final : public PuzzleKind {
 public:
  [[nodiscard]] std::string_view name() const override { return "sudoku"; }
  [[nodiscard]] std::string_view source() const override { return "Ye et al. 2024, 2410.14157"; }
  [[nodiscard]] int64_t longest_answer() const override { return kCells; }

  [[nodiscard]] Puzzle make(Random& random) const override {
    Board board;
    fill_at_random(board, random);
    Puzzle puzzle;
    puzzle.answer = board.text();
    const auto given = static_cast<int>(kLeastGiven + random.below(kMostGiven - kLeastGiven + 1));
    std::array<int, kCells> order{};
    std::iota(order.begin(), order.end(), 0);
    shuffle(order, random);
    // A cell whose digit the others do not determine keeps it.
    int left = kCells;
    for (const int cell : order) {
      if (left == given) break;
      const int digit = board.digit(cell);
      board.clear(cell);
      --left;
      if (count_solutions(board) == 1) continue;
      board.place(cell, digit);
      ++left;
    }
    puzzle.prompt = board.text() + "\n";
    return puzzle;
  }

  [[nodiscard]] bool solves(std::string_view prompt, std::string_view answer) const override {
    if (prompt.size() < kCells || answer.size() != kCells) return false;
    Board board;
    for (int cell = 0; cell < kCells; ++cell) {
      const char digit = answer[cell];
      const char given = prompt[cell];
      if (digit < '1' || digit > '9' || (given != '0' && given != digit)) return false;
      if (!board.place(cell, digit - '0')) return false;
    }
    return true;
  }
};

}  // namespace

std::unique_ptr<PuzzleKind> sudoku() {
  return std::make_unique<Sudoku>();
}

}  // namespace evo::eval
