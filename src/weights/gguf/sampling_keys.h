// What GGUF calls the settings of sampling in generation_config.json.
#pragma once

#include <array>
#include <string_view>

namespace evo::weights {

struct SamplingKey {
  std::string_view gguf, field;
  bool whole = false;  ///< a whole number
};
inline constexpr std::array kSamplingKeys = {
    SamplingKey{"general.sampling.temp", "temperature"},
    SamplingKey{"general.sampling.top_k", "top_k", true},
    SamplingKey{"general.sampling.top_p", "top_p"},
    SamplingKey{"general.sampling.min_p", "min_p"},
    SamplingKey{"general.sampling.penalty_repeat", "repetition_penalty"},
};

}  // namespace evo::weights
