#include "weights/companion_files.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "base/testing.h"

namespace evo::weights {
namespace {

using testing::TemporaryFolder;
using testing::write_bytes;

std::set<std::string> names_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

TEST(CompanionFiles, AreAllButWeightsAndWhatRunsLeave) {
  const TemporaryFolder from, to;
  for (const char* name :
       {"config.json", "model.safetensors", "model-00001-of-00002.safetensors",
        "model.safetensors.index.json", "pytorch_model.bin", "x.gguf", "run.json", "metrics.jsonl",
        "loss.svg", "data.json", "quantize_config.json", "tokens.bin", ".lock", "tokenizer.json",
        "vocab.json", "chat_template.json", "generation_config.json", "LICENSE", "merges.txt"}) {
    write_bytes(from / name, name);
  }
  write_bytes(from / "empty.txt", "");
  std::filesystem::create_directory(from / "onnx");
  std::filesystem::create_symlink(from / "LICENSE", from / "NOTICE");  // as a hub's cache has them
  constexpr std::array kExcept = {"vocab.json"};
  copy_companion_files(from.path(), to.path(), kExcept);
  EXPECT_EQ(names_in(to.path()),
            (std::set<std::string>{"LICENSE", "NOTICE", "chat_template.json", "empty.txt",
                                   "generation_config.json", "merges.txt", "tokenizer.json"}));
  EXPECT_EQ(testing::read_bytes(to / "NOTICE"), "LICENSE");
}

}  // namespace
}  // namespace evo::weights
