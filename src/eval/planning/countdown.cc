// Countdown as in Ye et al. 2024 (arXiv 2410.14157) and Gandhi et al. 2024 ("Stream of Search"):
// reach a target from given numbers, each used once, with + - * and exact division.
//
//   44,19,35,98\n  ->  44+19=63,98-35=63 ...      the last number of the prompt is the target
#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "eval/planning/puzzle.h"

namespace evo::eval {
namespace {

constexpr int64_t kLargestNumber = 99, kLeastTarget = 10, kMostTarget = 100;
constexpr int64_t kLargestResult = 9999;  // of a step: four digits

std::optional<int64_t> apply(int64_t a, char operation, int64_t b) {
  switch (operation) {
    case '+':
      return a + b;
    case '-':
      return a >= b ? std::optional(a - b) : std::nullopt;
    case '*':
      return a * b;
    case '/':
      return b != 0 && a % b == 0 ? std::optional(a / b) : std::nullopt;
    default:
      return std::nullopt;
  }
}

/// Reads from the front of `text` and takes it off.
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || text.front() == '-') return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

/// "12,3,45\n" or without the line end; empty if it is something else.
std::vector<int64_t> numbers_of(std::string_view prompt) {
  std::vector<int64_t> numbers;
  do {
    if (prompt.empty()) return {};
    const std::optional<int64_t> number = take_number(prompt);
    if (!number) return {};
    numbers.push_back(*number);
  } while (take(prompt, ','));
  take(prompt, '\n');
  return prompt.empty() ? numbers : std::vector<int64_t>{};
}

/// Takes one occurrence off `numbers`; false if there is none.
bool use(std::vector<int64_t>& numbers, int64_t number) {
  const auto found = std::ranges::find(numbers, number);
  if (found == numbers.end()) return false;
  numbers.erase(found);
  return true;
}

class Countdown final : public PuzzleKind {
 public:
  explicit Countdown(int numbers) : numbers_(numbers), name_(fmt::format("countdown{}", numbers)) {}

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] std::string_view source() const override { return "Ye et al. 2024, 2410.14157"; }
  [[nodiscard]] int64_t longest_answer() const override { return 16 * (numbers_ - 1); }

  [[nodiscard]] Puzzle make(Random& random) const override {
    while (true) {
      std::vector<int64_t> given;
      for (int i = 0; i < numbers_; ++i) {
        given.push_back(1 + static_cast<int64_t>(random.below(kLargestNumber)));
      }
      std::vector<int64_t> left = given;
      const std::optional<std::string> steps = random_steps(left, random);
      if (!steps || left[0] < kLeastTarget || left[0] > kMostTarget) continue;
      return {fmt::format("{},{}\n", fmt::join(given, ","), left[0]), *steps};
    }
  }

  [[nodiscard]] bool solves(std::string_view prompt, std::string_view answer) const override {
    std::vector<int64_t> numbers = numbers_of(prompt);
    if (numbers.size() < 2) return false;
    const int64_t target = numbers.back();
    numbers.pop_back();
    do {
      const std::optional<int64_t> a = answer.empty() ? std::nullopt : take_number(answer);
      if (!a || answer.empty()) return false;
      const char operation = answer.front();
      answer.remove_prefix(1);
      const std::optional<int64_t> b = answer.empty() ? std::nullopt : take_number(answer);
      if (!b || !take(answer, '=') || answer.empty()) return false;
      const std::optional<int64_t> result = take_number(answer);
      if (!result || !use(numbers, *a) || !use(numbers, *b)) return false;
      if (apply(*a, operation, *b) != result) return false;
      numbers.push_back(*result);
    } while (take(answer, ','));
    return answer.empty() && numbers.size() == 1 && numbers[0] == target;
  }

 private:
  /// Joins two of the numbers at a time until one is left; nothing if that goes astray.
  static std::optional<std::string> random_steps(std::vector<int64_t>& left, Random& random) {
    std::string steps;
    while (left.size() > 1) {
      const auto draw = [&] {
        const size_t i = random.below(left.size());
        const int64_t number = left[i];
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
        return number;
      };
      int64_t a = draw(), b = draw();
      const char operation = "+-*/"[random.below(4)];
      if (operation == '-' || operation == '/') std::tie(b, a) = std::minmax({a, b});
      const std::optional<int64_t> result = apply(a, operation, b);
      if (!result || *result > kLargestResult || *result == 0) return std::nullopt;
      steps += fmt::format("{}{}{}{}={}", steps.empty() ? "" : ",", a, operation, b, *result);
      left.push_back(*result);
    }
    return steps;
  }

  int numbers_;
  std::string name_;
};

}  // namespace

std::unique_ptr<PuzzleKind> countdown(int numbers) {
  return std::make_unique<Countdown>(numbers);
}

}  // namespace evo::eval
