// Unigram models, as T5, XLM-RoBERTa and SentencePiece's default have them: of all ways to cut a
// text into tokens, the likeliest.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace evo::tokenizer {

struct UnigramPiece {
  std::string_view text;
  int32_t id = 0;
  double score = 0;  ///< logarithm of its probability
};

/// Shared by threads.
class UnigramTable {
 public:
  /// The texts must outlive the table; of equal ones the last counts. Characters that no piece has
  /// are `unknown`, whose score is 10 below the lowest of `scores`.
  UnigramTable(std::span<const UnigramPiece> pieces, double lowest_score, int32_t unknown);

  /// A stretch of a text, in bytes, and its id.
  struct Part {
    size_t begin = 0, end = 0;
    int32_t id = 0;
  };

  /// The likeliest parts of `text`, in order; of equally likely ones those that Hugging Face's
  /// library chooses. Neighbouring unknown characters are one part. O(n) in the bytes of the text
  /// times those of the longest piece.
  [[nodiscard]] std::vector<Part> cut(std::string_view text) const;

 private:
  // Calls found(length, piece) for every piece that `text` begins with, the shortest first.
  template <class Fn>
  void for_each_beginning(std::string_view text, const Fn& found) const;

  std::vector<UnigramPiece> pieces_;  // sorted by text
  size_t first_[257] = {};  // first place whose text begins with this byte or a higher one
  double unknown_score_;
  int32_t unknown_;
};

}  // namespace evo::tokenizer
