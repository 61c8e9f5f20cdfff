// Matrices of numbers of 8 bits or fewer. Element (o, i) of the network's matrix [out, in] is
// scale (number - zero); both are those of its block.
//
//   X.weight [out, in]            the numbers, F8_E4M3 or I8
//
//   X.weight_packed [out, words]  or I32 with n numbers of neighbouring inputs in each word, lowest
//   X.weight_shape [2]            bits first, as codes: number + half of what there are; out and in
//
//   scales                        one, one for each output, or [blocks of outputs, of inputs]
//
//   X.weight_zero_point           as many, I8; or, where numbers are packed and each output has its
//                                 own, I32 [words, blocks] with n neighbouring outputs in each word
//
//   X.weight_g_idx [in]           the group of each input, I32
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weights/array_source.h"
#include "weights/quantized/quantization.h"

namespace evo::weights {

class ScaledMatrix {
 public:
  /// `stem`: "X", of which there is X.weight_packed or else X.weight. Throws Error if an array is
  /// missing or has another shape or type than the rest ask for. `source` must outlive the matrix.
  ScaledMatrix(const ArraySource& source, const std::string& stem, const Quantization& how);

  [[nodiscard]] const std::vector<int64_t>& shape() const { return shape_; }
  /// "F8_E4M3", "I8", or "I4" if there are 8 of them in a word.
  [[nodiscard]] std::string dtype() const;
  /// [out, in]. A group's number must be one of those that there are, or this throws Error.
  void read(std::span<float> values) const;

 private:
  /// Neighbouring inputs of one block.
  struct Run {
    int64_t block, first, count;
  };
  void find_numbers(const std::string& stem);
  void find_scales(const std::string& stem);
  void find_zeros(const std::string& stem);
  [[nodiscard]] std::array<int64_t, 2> block_of(const TensorInfo& scales) const;
  [[nodiscard]] std::vector<float> zeros() const;  ///< one for each scale
  [[nodiscard]] std::vector<Run> runs() const;
  void read_numbers(int64_t output, std::span<float> numbers) const;

  const ArraySource& source_;
  Quantization how_;
  std::vector<int64_t> shape_;
  std::array<int64_t, 2> block_ = {}, grid_ = {};  // a block's sizes, and how many there are
  std::array<float, 256> of_code_ = {};
  const TensorInfo* numbers_ = nullptr;
  const TensorInfo* scales_ = nullptr;
  const TensorInfo* zeros_ = nullptr;  // nullptr: all are 0
  const TensorInfo* order_ = nullptr;  // nullptr: inputs of a block are neighbours
};

}  // namespace evo::weights
