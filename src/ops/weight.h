// A weight matrix as products read it: its values, or what a backend packed of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "base/group_format.h"
#include "ops/largest_input.h"
#include "tensor/tape.h"

namespace evo::ops {

/// A weight [out, in] in the layout and number format of a backend, for inference. Made by
/// pack_weight(); what the format is, only the backend knows.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  PackedWeight(const PackedWeight&) = delete;
  PackedWeight& operator=(const PackedWeight&) = delete;

  /// y [rows, out] = x [rows, in] W^T, x rounded to the weight's precision. The bits of a row of y
  /// depend on that row of x alone, not on how many rows share the call nor on which: a decoder
  /// that verifies a batch of tokens gets exactly the numbers that it would get token by token.
  void multiply(const float* x, int64_t rows, float* y) const {
    if (rows > 0) multiply_rows(x, rows, y);
  }

  /// Row `index` of the matrix, [in], rounded as it is stored.
  void row(int64_t index, float* values) const {
    EVO_CHECK(0 <= index && index < out_);
    read_row(index, values);
  }

  [[nodiscard]] int64_t out() const { return out_; }
  [[nodiscard]] int64_t in() const { return in_; }
  [[nodiscard]] virtual size_t bytes() const = 0;  ///< memory that it takes

 protected:
  PackedWeight(int64_t out, int64_t in) : out_(out), in_(in) { EVO_CHECK(out > 0 && in > 0); }

 private:
  virtual void multiply_rows(const float* x, int64_t rows, float* y) const = 0;
  virtual void read_row(int64_t index, float* values) const = 0;

  int64_t out_, in_;
};

/// Packs `weight` [out, in] for products of `precision`.
std::shared_ptr<const PackedWeight> pack_weight(const float* weight, int64_t out, int64_t in,
                                                tensor::Precision precision);

/// From bf16 to any but kF32: what the numbers as f32 give, without the memory for them.
std::shared_ptr<const PackedWeight> pack_bf16_weight(const uint16_t* weight, int64_t out,
                                                     int64_t in, tensor::Precision precision);

/// Packs rows in groups, one part below the other, with `in` weights in each: products have these
/// very weights, and x rounded with a scale for every 32 of a row (largest_input()).
std::shared_ptr<const PackedWeight> pack_groups(std::span<const GroupedRows> parts, int64_t in);

struct Weight {
  tensor::Tensor value;  ///< [out, in]
  std::shared_ptr<const PackedWeight>
      packed;  ///< the same numbers, for inference only; may be null
};

}  // namespace evo::ops
