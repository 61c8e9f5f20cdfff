// Decoding speed by mode, against this machine's limits and against plain autoregressive decoding.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "decode/session/session.h"
#include "json/record.h"

namespace evo::cli {

struct DecodeBenchPrompt {
  std::string kind;  ///< results are also given per kind, if there are several
  std::vector<int32_t> tokens;
};

/// A way to decode.
struct DecodeWay {
  decode::Mode mode = decode::Mode::kAr;
  double balance = 0;
  int64_t batch = 1;  ///< sequences per pass
  [[nodiscard]] std::string name() const;
};

struct DecodeBenchOptions {
  int64_t max_tokens = 96;
  double temperature = 0;
  uint64_t seed = 1;
  int64_t window = 0;  ///< as in DecodeOptions
  int32_t end = -1;    ///< token that ends a text; -1: none, every text has max_tokens
};

/// What one way did with the prompts of one kind.
struct DecodeTally {
  int64_t tokens = 0, passes = 0, rows = 0, accepted = 0, drafting_passes = 0;
  int64_t texts = 0, equal_texts = 0;  ///< equal to the autoregressive model's
  double nats = 0;                     ///< -log p of all tokens under the autoregressive model
  std::map<int32_t, int64_t> counts;   ///< of every token that was generated
  double seconds = 0;                  ///< without reading the prompts
  double least_seconds = 0;            ///< by the machine's limits, for as many passes and rows
  DecodeTally& operator+=(const DecodeTally& other);
  [[nodiscard]] double tokens_per_second() const;
  /// Entropy of the tokens' frequencies, in nats: low for texts that repeat themselves, which a
  /// good likelihood hides.
  [[nodiscard]] double token_entropy() const;
};

struct DecodeBenchRow {
  std::string kind;
  DecodeWay way;
  DecodeTally tally;
  double ratio_to_ar = 0;
};

/// Limits of this machine for passes of one model, measured.
struct DecodeLimits {
  double bytes_per_second = 0;  ///< reading as much memory as the weights take, again and again
  double flops = 0;             ///< of a large matrix product in this precision
  double weight_bytes = 0, flops_per_row = 0;
  [[nodiscard]] double pass_seconds(double rows) const;
};
DecodeLimits measure_decode_limits(const model::Model& model, tensor::Precision precision);

/// Every prompt in every way, in turns, so that a machine that slows down slows all. The ratio is
/// to `ar` with the same number of sequences per pass, which must be among the ways.
std::vector<DecodeBenchRow> bench_decode(const decode::Decoder& decoder, const DecodeLimits& limits,
                                         std::vector<DecodeBenchPrompt> prompts,
                                         const std::vector<DecodeWay>& ways,
                                         const DecodeBenchOptions& options);

}  // namespace evo::cli
