// A model's parameters out of the arrays that its family keeps them in, and back.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "model/families/family.h"
#include "weights/array_source.h"
#include "weights/safetensors.h"

namespace evo::model {

/// The source's arrays as parameters of a model of `config`, whose family says where they lie.
/// Errors name the array as the file has it.
class FamilyWeights {
 public:
  FamilyWeights(const weights::ArraySource& source, const ModelConfig& config);

  [[nodiscard]] const weights::ArraySource& source() const { return source_; }

  /// Reads a parameter. Throws Error if it is missing, has another shape, or holds what is no
  /// number.
  void read(const Parameter& parameter, std::span<float> out) const;
  /// Its array is BF16, so that read_bf16() gives the very numbers.
  [[nodiscard]] bool is_bf16(const Parameter& parameter) const;
  void read_bf16(const Parameter& parameter, std::span<uint16_t> out) const;
  /// The same where it lies in the file; empty if it does not lie as 16-bit numbers must.
  [[nodiscard]] std::span<const uint16_t> mapped_bf16(const Parameter& parameter) const;

  /// The parameter's rows as the file has them in groups; none if it has not.
  [[nodiscard]] std::optional<GroupedRows> grouped(const Parameter& parameter) const;

  /// Whether an array of that name should be one of the model's, but is not.
  [[nodiscard]] bool leaves_out(const std::string& array) const;

 private:
  [[nodiscard]] const ArrayPlace& place(const Parameter& parameter) const;

  const weights::ArraySource& source_;
  std::map<std::string, ArrayPlace> places_;  // by parameter, named as the file has them
  std::set<std::string> used_;
  std::string_view prefix_;
};

/// What `transformers` makes of a tied model whose file has another head: one that is not tied.
void untie_if_heads_differ(const weights::ArraySource& source, ModelConfig& config);

/// The arrays of a family's file that hold these of ours, one or more to each. `arrays` must
/// outlive what is returned.
[[nodiscard]] std::vector<weights::ArrayToWrite> arrays_of_family(
    const ModelConfig& config, const std::vector<weights::ArrayToWrite>& arrays);

}  // namespace evo::model
