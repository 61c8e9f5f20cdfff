// The safetensors format: 8 bytes header length (little endian), a JSON header, then the arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "files/files.h"
#include "weights/tensor_info.h"

namespace evo::weights {

/// A mapped safetensors file. The constructor checks all of it: whatever the file holds, the
/// result is either a valid list of arrays or an Error that names file, tensor and numbers.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// In the order of their data in the file.
  [[nodiscard]] const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// nullptr if there is none of that name.
  [[nodiscard]] const TensorInfo* find(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
  /// The whole file, header included.
  [[nodiscard]] std::span<const std::byte> bytes() const { return file_.bytes(); }

  /// Converts an F32, BF16, F16 or F64 array to float. Throws Error if it is missing, has another
  /// shape or another type. `out` has as many elements as `expected_shape`.
  void read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                std::span<float> out) const;
  /// Elements [first, first + out.size()) of an F32 array; Errors likewise.
  void read_f32_part(std::string_view name, const std::vector<int64_t>& expected_shape,
                     int64_t first, std::span<float> out) const;
  /// Copies a BF16 array as it is; Errors likewise.
  void read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                 std::span<uint16_t> out) const;

 private:
  [[nodiscard]] const TensorInfo& checked(std::string_view name,
                                          const std::vector<int64_t>& expected_shape) const;

  files::MappedFile file_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, size_t> index_;  // views of the names in tensors_
  std::map<std::string, std::string> metadata_;
};

struct ArrayToWrite {
  std::string name;
  std::vector<int64_t> shape;
  std::span<const float> values;
  std::string_view dtype = "F32";  ///< or "BF16": rounded to nearest even
  /// Instead of `values`: makes them when their turn comes, so that they are never all in memory.
  std::function<void(std::span<float>)> make = {};
};

/// The file that write_safetensors() would write, without its arrays.
struct SafetensorsLayout {
  std::string head;            ///< what the file begins with
  std::vector<int64_t> begin;  ///< where each array's bytes begin in the file
  int64_t file_bytes = 0;
};
/// Of `arrays`, whose values are not looked at.
[[nodiscard]] SafetensorsLayout safetensors_layout(
    const std::vector<ArrayToWrite>& arrays,
    const std::map<std::string, std::string>& metadata = {});

/// Writes atomically; equal inputs give equal bytes.
void write_safetensors(const std::filesystem::path& path, const std::vector<ArrayToWrite>& arrays,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace evo::weights
