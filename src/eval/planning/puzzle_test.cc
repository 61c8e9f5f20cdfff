#include "eval/planning/puzzle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace evo::eval {
namespace {

class EveryKind : public ::testing::TestWithParam<const char*> {
 protected:
  const PuzzleKind& kind_ = find_puzzle_kind(GetParam());
  [[nodiscard]] Puzzle puzzle(uint64_t index, PuzzlePart part = PuzzlePart::kTrain) const {
    return make_puzzle(kind_, part, 1, index);
  }
};

TEST_P(EveryKind, AnswersSolveAndHaveRoom) {
  for (uint64_t i = 0; i < 300; ++i) {
    const Puzzle made = puzzle(i);
    EXPECT_TRUE(kind_.solves(made.prompt, made.answer)) << made.prompt << made.answer;
    EXPECT_LE(std::ssize(made.answer), kind_.longest_answer());
  }
}

TEST_P(EveryKind, OneWrongCharacterIsNoSolution) {
  for (uint64_t i = 0; i < 20; ++i) {
    const Puzzle made = puzzle(i);
    for (size_t at = 0; at < made.answer.size(); ++at) {
      std::string wrong = made.answer;
      wrong[at] = wrong[at] == '7' ? '8' : '7';  // another character
      EXPECT_FALSE(kind_.solves(made.prompt, wrong)) << wrong;
    }
    EXPECT_FALSE(kind_.solves(made.prompt, ""));
    EXPECT_FALSE(kind_.solves(made.prompt, made.answer + "1"));
    EXPECT_FALSE(kind_.solves(made.prompt, made.answer.substr(0, made.answer.size() - 1)));
    EXPECT_FALSE(kind_.solves(puzzle(i + 1000).prompt, made.answer));
    EXPECT_FALSE(kind_.solves("", made.answer));
  }
}

TEST_P(EveryKind, PartsHaveNoPuzzleInCommon) {
  std::set<std::string> train;
  for (uint64_t i = 0; i < 2000; ++i) train.insert(puzzle(i).prompt);
  for (uint64_t i = 0; i < 200; ++i) {
    EXPECT_FALSE(train.contains(puzzle(i, PuzzlePart::kTest).prompt));
  }
  // Another seed gives other puzzles, the same one the same.
  EXPECT_EQ(puzzle(5).prompt, puzzle(5).prompt);
  EXPECT_NE(make_puzzle(kind_, PuzzlePart::kTrain, 2, 5).prompt, puzzle(5).prompt);
}

INSTANTIATE_TEST_SUITE_P(Puzzles, EveryKind,
                         ::testing::Values("sudoku", "countdown3", "countdown4", "countdown5",
                                           "path_star"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST(Sudoku, GivesThirtyToThirtyEightDigits) {
  std::set<int64_t> seen;
  for (uint64_t i = 0; i < 300; ++i) {
    const std::string prompt =
        make_puzzle(find_puzzle_kind("sudoku"), PuzzlePart::kTrain, 1, i).prompt;
    ASSERT_EQ(prompt.size(), 82u);
    seen.insert(81 - std::ranges::count(prompt, '0'));
  }
  EXPECT_EQ(*seen.begin(), 30);
  EXPECT_EQ(*seen.rbegin(), 38);
}

TEST(Countdown, AcceptsEverySolution) {
  const PuzzleKind& kind = find_puzzle_kind("countdown3");
  EXPECT_TRUE(kind.solves("3,4,5,17\n", "3*4=12,12+5=17"));
  EXPECT_TRUE(kind.solves("3,4,5,17\n", "4*3=12,5+12=17"));
  EXPECT_FALSE(kind.solves("3,4,5,17\n", "3*4=12,12+4=16"));  // 4 twice
  EXPECT_FALSE(kind.solves("3,4,5,12\n", "3*4=12"));          // 5 is left
  EXPECT_FALSE(kind.solves("3,4,5,17\n", "3*4=13,13+4=17"));  // wrong product
  EXPECT_FALSE(kind.solves("3,4,5,17\n", "3*4=12,12+5=17,"));
  EXPECT_FALSE(kind.solves("9,4,5,7\n", "9/4=2,2+5=7"));  // not exact
  EXPECT_FALSE(kind.solves("9,0,5,7\n", "9/0=2,2+5=7"));
  EXPECT_FALSE(kind.solves("3,4,5,17\n", "99999999999999999999*1=1"));
}

TEST(PathStar, AcceptsOnlyThePathAlongEdges) {
  const PuzzleKind& kind = find_puzzle_kind("path_star");
  EXPECT_TRUE(kind.solves("1,2|2,13|1,4|4,3/1,13=", "1,2,13"));
  EXPECT_FALSE(kind.solves("1,2|2,13|1,4|4,3/1,13=", "1,4,13"));
  EXPECT_FALSE(kind.solves("1,2|2,13|1,4|4,3/1,13=", "1,2,3"));  // "2,13" is not "2,3"
  EXPECT_FALSE(kind.solves("1,2|2,13|1,4|4,3/1,13=", "2,13"));
  EXPECT_FALSE(kind.solves("1,2|2,13|1,4|4,3/1,13=", "1,4,3"));
}

TEST(PuzzleKinds, UnknownNamesListTheKnownOnes) {
  try {
    (void)find_puzzle_kind("chess");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("countdown4, countdown5"), std::string::npos);
  }
}

}  // namespace
}  // namespace evo::eval
