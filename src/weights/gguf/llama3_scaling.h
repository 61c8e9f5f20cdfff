// The rotary embedding of Llama 3.1 and later, which GGUF has as one divisor of the frequency for
// each rotary pair, and config.json as four numbers that make them.
#pragma once

#include <cstdint>
#include <vector>

#include "json/record.h"

namespace evo::weights {

/// The names and meanings are Hugging Face's.
struct Llama3Scaling {
  double factor = 8, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_position_embeddings = 8192;
};

[[nodiscard]] Llama3Scaling llama3_of(const json::Record& rope_scaling);
[[nodiscard]] json::Record llama3_record(const Llama3Scaling& scaling);

/// [pairs] what the frequency theta^(-i / pairs) is divided by.
[[nodiscard]] std::vector<double> llama3_divisors(double theta, int64_t pairs,
                                                  const Llama3Scaling& scaling);

/// The other way round. The factor is the largest divisor; the other numbers are those of every
/// published model. Throws Error beginning with `where` if they do not make these divisors.
[[nodiscard]] Llama3Scaling find_llama3_scaling(double theta, const std::vector<double>& divisors,
                                                std::string_view where);

}  // namespace evo::weights
