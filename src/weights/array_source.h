// Named arrays wherever they lie: a folder of safetensors, a GGUF file. Model code asks for an
// array by the name that Hugging Face's folders give it and gets numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/group_format.h"
#include "weights/tensor_info.h"

namespace evo::weights {

/// May be read by several threads at a time.
class ArraySource {
 public:
  virtual ~ArraySource() = default;

  /// What to name in messages.
  [[nodiscard]] virtual const std::filesystem::path& path() const = 0;
  /// nullptr if there is none of that name. `dtype` says how its numbers are stored ("Q4_K"); where
  /// read_f32() has more to do than to convert them, `bytes` are empty.
  [[nodiscard]] virtual const TensorInfo* find(std::string_view name) const = 0;
  virtual void for_each(const std::function<void(const TensorInfo&)>& visit) const = 0;

  /// The whole array as f32. Throws Error if it is missing, has another shape, or is in a format
  /// that is not read. `out` has as many elements as `expected_shape`.
  virtual void read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                        std::span<float> out) const = 0;
  /// An array whose dtype is "BF16", as it is; Errors likewise.
  virtual void read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                         std::span<uint16_t> out) const = 0;

  /// The rows of a matrix whose weights are in groups, as they are; none if they are in none, or
  /// are no rows of the file. What reads them must not outlive this. Errors as of read_f32().
  [[nodiscard]] virtual std::optional<GroupedRows> grouped(
      std::string_view /*name*/, const std::vector<int64_t>& /*expected_shape*/) const {
    return std::nullopt;
  }

 protected:
  /// find(), or an Error that says what is wrong with the name or the shape.
  [[nodiscard]] const TensorInfo& checked(std::string_view name,
                                          const std::vector<int64_t>& expected_shape) const;
  /// The same of one that must be BF16.
  const TensorInfo& checked_bf16(std::string_view name,
                                 const std::vector<int64_t>& expected_shape) const;
};

/// Of a model folder or a GGUF file.
[[nodiscard]] std::unique_ptr<const ArraySource> open_arrays(const std::filesystem::path& model);

}  // namespace evo::weights
