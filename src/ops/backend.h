// Who computes the operations of a network. Each is declared in a header of ops/, which says what
// it computes; a backend has one function of the same type for each of them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/bias.h"
#include "ops/cached_attention.h"
#include "ops/codes.h"
#include "ops/embedding.h"
#include "ops/gated_scan.h"
#include "ops/head.h"
#include "ops/linear.h"
#include "ops/maturity.h"
#include "ops/norm.h"
#include "ops/optimizer.h"
#include "ops/rope.h"
#include "ops/scale.h"
#include "ops/weight.h"

/// fn(name) for every operation of a backend.
#define EVO_FOR_EACH_OP(fn)                                                                  \
  fn(activate) fn(activate_gated) fn(adamw) fn(add_bias) fn(add_gated) fn(add_to_last_rows)  \
      fn(attention) fn(cached_attention) fn(concat_cols) fn(concat_rows) fn(embed)           \
          fn(exponential_average) fn(gated_scan) fn(gated_step) fn(gaussian_bridge) fn(head) \
              fn(head_logits) fn(head_norm) fn(layer_norm) fn(linear) fn(maturity)           \
                  fn(norm_modulate) fn(normalize_codes) fn(pack_bf16_weight) fn(pack_groups) \
                      fn(pack_weight) fn(rope) fn(scaled) fn(slice_rows) fn(sum_of_squares)  \
                          fn(write_keys)

namespace evo::ops {

struct Backend {
  std::string_view name;
#define EVO_OP(op) decltype(::evo::ops::op)* op;
  EVO_FOR_EACH_OP(EVO_OP)
#undef EVO_OP
};

/// The backend in use, "cpu" at first.
const Backend& backend();

/// From now on operations are computed by the backend of that name; Error if there is none. To be
/// chosen before a model is opened, whose weights are packed by it.
void use_backend(std::string_view name);

[[nodiscard]] std::vector<std::string> backend_names();

}  // namespace evo::ops
