// A model in GGUF: one file, or several of a split one ("NAME-00001-of-00003.gguf").
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weights/array_source.h"
#include "weights/gguf/architecture.h"
#include "weights/gguf/gguf_file.h"

namespace evo::weights {

/// Cheap to copy; the files stay mapped while a copy lives.
class GgufModel {
 public:
  /// Any file of a split model stands for all of them. Throws Error if one is missing, or of
  /// another model, or the network is one that is not known.
  explicit GgufModel(const std::filesystem::path& path);

  /// What to name in messages.
  [[nodiscard]] const std::filesystem::path& path() const { return head().path(); }
  /// The file with the metadata.
  [[nodiscard]] const GgufFile& head() const { return *files_.front(); }
  [[nodiscard]] const std::vector<std::shared_ptr<const GgufFile>>& files() const { return files_; }
  [[nodiscard]] const GgufArchitecture& architecture() const { return *architecture_; }
  /// nullptr if there is none of that name in any file.
  [[nodiscard]] const GgufArray* find(std::string_view gguf_name) const;

 private:
  void open_split(const std::filesystem::path& path);

  std::vector<std::shared_ptr<const GgufFile>> files_;
  const GgufArchitecture* architecture_ = nullptr;
};

/// Its arrays, under the names and in the order of rows that Hugging Face's folders have.
class GgufArrays : public ArraySource {
 public:
  explicit GgufArrays(GgufModel model);

  [[nodiscard]] const std::filesystem::path& path() const override { return model_.path(); }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override;
  void for_each(const std::function<void(const TensorInfo&)>& visit) const override;
  void read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                std::span<float> out) const override;
  void read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                 std::span<uint16_t> out) const override;
  [[nodiscard]] std::optional<GroupedRows> grouped(
      std::string_view name, const std::vector<int64_t>& expected_shape) const override;

 private:
  struct Entry {
    TensorInfo info;
    const GgufFile* file;
    const BlockFormat* format;
    std::span<const std::byte> bytes;  // of this array, which may be an expert's part of one
    int64_t pairs = 0;       // rotary pairs of a head whose rows lie side by side; 0: they do not
    bool minus_one = false;  // the network adds 1, as the file has done
  };
  void add(const GgufFile& file, const GgufArray& array);
  void add_experts(const GgufFile& file, const GgufArray& array, const std::string& name);
  void add_entry(Entry entry);
  [[nodiscard]] int64_t pairs_of(const GgufArray& array) const;
  /// Row `row` as a model has it, of `row_bytes`.
  [[nodiscard]] static std::span<const std::byte> row_of(const Entry& entry, int64_t row,
                                                         int64_t row_bytes);
  /// Calls `copy` with each row's place in the array, its length and its bytes.
  template <class Copy>
  void for_each_row(const Entry& entry, const Copy& copy) const;

  GgufModel model_;
  std::map<std::string, Entry, std::less<>> entries_;
};

/// The texts that come with the weights, as files of Hugging Face's folders: config.json,
/// generation_config.json, tokenizer_config.json (special tokens) and, if there is a template,
/// chat_template.jinja. The tokenizer is read by tokenizer/.
[[nodiscard]] std::map<std::string, std::string, std::less<>> gguf_documents(
    const GgufModel& model);

}  // namespace evo::weights
