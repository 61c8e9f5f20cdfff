// Path-star graphs (Bachmann and Nagarajan 2024, arXiv 2403.06963): arms of equal length leave one
// node; the edges come in random order, then start and end of one arm. The first step of the path
// is the decision; a model that learns to copy it from the answer so far never learns to look
// ahead.
//
//   31,7|12,31|...|4,9/12,9=  ->  12,31,7,4,9
#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "base/shuffle.h"
#include "eval/planning/puzzle.h"

namespace evo::eval {
namespace {

constexpr size_t kArms = 2, kLength = 5;  // nodes of an arm, the common one among them
constexpr size_t kLabels = 50;            // nodes have distinct labels below this

class PathStar final : public PuzzleKind {
 public:
  [[nodiscard]] std::string_view name() const override { return "path_star"; }
  [[nodiscard]] std::string_view source() const override {
    return "Bachmann and Nagarajan 2024, 2403.06963";
  }
  [[nodiscard]] int64_t longest_answer() const override { return 3 * kLength; }

  [[nodiscard]] Puzzle make(Random& random) const override {
    std::vector<size_t> labels(kLabels);
    std::iota(labels.begin(), labels.end(), size_t{0});
    shuffle(labels, random);
    std::vector<std::vector<size_t>> arms;
    size_t next = 1;  // labels[0] is the common node
    for (size_t a = 0; a < kArms; ++a) {
      arms.push_back({labels[0]});
      for (size_t i = 1; i < kLength; ++i) arms.back().push_back(labels[next++]);
    }
    std::vector<std::string> edges;
    for (const std::vector<size_t>& arm : arms) {
      for (size_t i = 1; i < kLength; ++i)
        edges.push_back(fmt::format("{},{}", arm[i - 1], arm[i]));
    }
    shuffle(edges, random);
    const std::vector<size_t>& path = arms[random.below(kArms)];
    return {fmt::format("{}/{},{}=", fmt::join(edges, "|"), path.front(), path.back()),
            fmt::format("{}", fmt::join(path, ","))};
  }

  /// The answer must go along edges of the graph from start to end.
  [[nodiscard]] bool solves(std::string_view prompt, std::string_view answer) const override {
    const size_t slash = prompt.find('/'), comma = prompt.find(',', slash);
    if (slash == std::string_view::npos || comma == std::string_view::npos) return false;
    const std::string edges = fmt::format("|{}|", prompt.substr(0, slash));
    const std::string_view start = prompt.substr(slash + 1, comma - slash - 1);
    const std::string_view end = prompt.substr(comma + 1, prompt.size() - comma - 2);
    std::string_view from;
    while (true) {
      const size_t cut = answer.find(',');
      const std::string_view to = answer.substr(0, cut);
      if (from.empty() ? to != start
                       : edges.find(fmt::format("|{},{}|", from, to)) == std::string::npos) {
        return false;
      }
      from = to;
      if (cut == std::string_view::npos) return from == end;
      answer.remove_prefix(cut + 1);
    }
  }
};

}  // namespace

std::unique_ptr<PuzzleKind> path_star() {
  return std::make_unique<PathStar>();
}

}  // namespace evo::eval
