#include "weights/model_documents.h"

#include <algorithm>

#include "files/files.h"
#include "weights/gguf/gguf_model.h"

namespace evo::weights {

ModelDocuments::ModelDocuments(const std::filesystem::path& model)
    : model_(model), is_folder_(!is_gguf(model)) {
  if (!is_folder_) made_ = gguf_documents(GgufModel(model));
}

bool ModelDocuments::has(std::string_view name) const {
  return is_folder_ ? std::filesystem::exists(model_ / name) : made_.contains(name);
}

std::optional<std::string> ModelDocuments::read(std::string_view name, int64_t max_bytes) const {
  if (!has(name)) return {};
  if (is_folder_) return files::read_file(model_ / name, max_bytes);
  return made_.find(name)->second;
}

std::string ModelDocuments::label(std::string_view name) const {
  return is_folder_ ? (model_ / name).string() : fmt::format("{} (as {})", model_.string(), name);
}

std::optional<json::Record> ModelDocuments::record(std::string_view name) const {
  if (!has(name)) return {};
  // An empty file says nothing, to transformers too.
  if (is_folder_ && std::filesystem::file_size(model_ / name) == 0) return {};
  return required_record(name);
}

void ModelDocuments::write_made(const std::filesystem::path& to,
                                std::span<const char* const> except) const {
  for (const auto& [name, text] : made_) {
    if (std::ranges::find(except, std::string_view(name)) == except.end())
      files::write_atomically(to / name, text);
  }
}

json::Record ModelDocuments::required_record(std::string_view name) const {
  if (is_folder_) return json::Record::load_foreign(model_ / name);
  const auto found = made_.find(name);
  if (found == made_.end()) fail("{}: there is no {}", model_.string(), name);
  return json::Record::parse(found->second, label(name));
}

}  // namespace evo::weights
