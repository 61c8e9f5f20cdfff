// How likely a model finds texts after others: along the autoregressive path, exactly, or by the
// ELBO.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flow/path.h"
#include "model/model.h"

namespace evo::eval {

/// Both in tokens, neither empty.
struct ScoreRequest {
  std::span<const int32_t> context, continuation;
};

struct TokenScores {
  std::vector<double> nats;  ///< -log p of each token of the continuation; along other paths than
                             ///< the autoregressive one, its share of the bound
  bool greedy = false;       ///< every token is the likeliest one; autoregressive path only

  [[nodiscard]] double total() const;
};

struct ScoreOptions {
  flow::Path path;
  int64_t time_samples = 4;    ///< ELBO: passes with times and noise of their own
  bool self_condition = true;  ///< ELBO: x of a first pass is fed to a second one
  uint64_t seed = 1;
};

class Scorer {
 public:
  /// `model` must outlive the scorer. Throws Error if the path needs an evolving stream and the
  /// model has none.
  Scorer(const model::Model& model, const ScoreOptions& options);

  /// All of the requests in one pass. What many texts begin with is computed once. `stream` numbers
  /// the pass: bounds draw other times and noise in each.
  [[nodiscard]] std::vector<TokenScores> score(std::span<const ScoreRequest> requests,
                                               uint64_t stream) const;

  [[nodiscard]] bool is_bound() const {
    return options_.path.kind != flow::Path::Kind::kAutoregressive;
  }

 private:
  [[nodiscard]] std::vector<TokenScores> exact(std::span<const ScoreRequest> requests) const;
  [[nodiscard]] std::vector<TokenScores> bound(std::span<const ScoreRequest> requests,
                                               uint64_t stream) const;

  const model::Model& model_;
  ScoreOptions options_;
};

/// The rows of texts in one pass, laid out such that what neighbours begin with comes once.
class SharedRows {
 public:
  /// Every row sees the rows of its text before it. `share` false: each text has rows of its own.
  SharedRows(std::span<const std::vector<int32_t>> texts, bool share);

  [[nodiscard]] const model::ForwardInput& input() const { return input_; }
  /// Row of token `index` of text `text`.
  [[nodiscard]] int64_t row(size_t text, int64_t index) const;

 private:
  struct Place {
    int64_t shared_begin, shared;  ///< first row of what is shared, and how many rows that are
    int64_t own_begin;             ///< row of the first token behind it
  };
  void add_group(std::span<const std::vector<int32_t>> texts, int64_t shared);
  void add_row(int32_t token, int64_t position, const ops::KeyRange& range);

  model::ForwardInput input_;
  std::vector<Place> places_;
};

}  // namespace evo::eval
