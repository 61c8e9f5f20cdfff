// Matrices whose numbers share the words of I32 arrays, as GPTQ and AWQ write them. Element (o, i)
// of the network's matrix [out, in] is scale (code - zero); both are those of i's group.
//
//   GPTQ  X.qweight [in / n, out]: n codes of neighbouring inputs in each word, lowest bits first
//
//   AWQ   X.qweight [in, out / n]: n codes of neighbouring outputs, in the order 0 2 4 6 1 3 5 7
//
//   both  X.qzeros [groups, out / n], outputs together as above; X.scales [groups, out]
//
//   GPTQ  X.g_idx [in]: the group of each input
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weights/array_source.h"
#include "weights/quantized/quantization.h"

namespace evo::weights {

class PackedMatrix {
 public:
  /// `stem`: "X". Throws Error if an array is missing or has another shape or type than the rest
  /// ask for. `source` must outlive the matrix.
  PackedMatrix(const ArraySource& source, const std::string& stem, const Quantization& how);

  [[nodiscard]] std::vector<int64_t> shape() const { return {out_, in_}; }
  /// [out, in]. A group's number must be one of those that there are, or this throws Error.
  void read(std::span<float> values) const;

 private:
  /// Codes [rows, out] of words [rows, out / n].
  [[nodiscard]] std::vector<uint8_t> codes_along_outputs(const TensorInfo& words, int64_t rows,
                                                         uint32_t added) const;
  [[nodiscard]] std::vector<uint8_t> codes() const;   ///< [in, out]
  [[nodiscard]] std::vector<int64_t> groups() const;  ///< [in]

  const ArraySource& source_;
  std::string stem_;
  Quantization how_;
  int64_t per_word_;
  int64_t in_ = 0, out_ = 0, group_size_ = 0, group_count_ = 0;
  const TensorInfo* codes_ = nullptr;
  const TensorInfo* zeros_ = nullptr;
  const TensorInfo* order_ = nullptr;  // nullptr: inputs of a group are neighbours
};

}  // namespace evo::weights
