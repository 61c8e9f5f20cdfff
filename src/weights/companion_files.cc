#include "weights/companion_files.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "files/files.h"
#include "weights/gguf/gguf_file.h"
#include "weights/model_documents.h"

namespace evo::weights {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 15> kWeights = {
    ".safetensors", ".bin",     ".pt",  ".pth",    ".ckpt",      ".gguf", ".onnx", ".h5",
    ".ot",          ".msgpack", ".npz", ".tflite", ".onnx_data", ".part", ".keras"};

// What a run leaves, and how AutoGPTQ and AutoAWQ say in how many bits the weights are.
constexpr std::array kOfOthers = {
    "run.json",         "data.json", "metrics.jsonl", "loss.svg", "quantize_config.json",
    "quant_config.json"};

bool goes_along(const fs::directory_entry& entry, std::span<const char* const> except) {
  const std::string name = entry.path().filename().string();
  const std::string extension = entry.path().extension().string();
  const auto is_name = [&](const char* one) { return name == one; };
  return entry.is_regular_file() && !name.starts_with('.') && name != "config.json" &&
         !name.ends_with(".index.json") &&
         std::ranges::find(kWeights, std::string_view(extension)) == kWeights.end() &&
         std::ranges::none_of(kOfOthers, is_name) && std::ranges::none_of(except, is_name);
}

}  // namespace

void copy_companion_files(const fs::path& from, const fs::path& to,
                          std::span<const char* const> except) {
  if (is_gguf(from)) {
    std::vector<const char*> left(except.begin(), except.end());
    left.push_back("config.json");
    return ModelDocuments(from).write_made(to, left);
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (!goes_along(entry, except)) continue;
    const fs::path copy = to / entry.path().filename();
    if (entry.file_size() == 0) {
      files::write_atomically(copy, std::string_view());
    } else {
      files::write_atomically(copy, files::MappedFile(entry.path()).bytes());
    }
  }
}

}  // namespace evo::weights
