// The weights of a model folder: one safetensors file, or several with an index.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weights/array_source.h"
#include "weights/safetensors.h"

namespace evo::weights {

/// model.safetensors, or else the files that model.safetensors.index.json lists. The constructor
/// maps and checks all of them. What arrays there are the files say, and not the index, as for
/// `transformers`; it says which is meant where one is in two files.
class WeightFolder : public ArraySource {
 public:
  explicit WeightFolder(const std::filesystem::path& folder);

  /// The one file, or the index.
  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }
  [[nodiscard]] std::span<const SafetensorsFile> files() const { return files_; }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override;
  void for_each(const std::function<void(const TensorInfo&)>& visit) const override;
  void read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                std::span<float> out) const override;
  void read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                 std::span<uint16_t> out) const override;

 private:
  [[nodiscard]] const SafetensorsFile& file_with(std::string_view name,
                                                 const std::vector<int64_t>& expected_shape) const;
  void open_shards(const std::filesystem::path& folder);
  void require_one_place(const std::unordered_map<std::string, size_t>& index);

  std::filesystem::path path_;
  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string_view, size_t> file_of_;  // by array; the names are the files'
};

}  // namespace evo::weights
