// The small real checkpoint of the shared data folder: its greedy text is known.
#include <cstdlib>
#include <cstring>

#include "base/testing.h"
#include "files/files.h"
#include "model/model.h"
#include "model/sources/weight_source.h"
#include "model/testing.h"

namespace evo::model {
namespace {

namespace fs = std::filesystem;

constexpr int kTokens = 120;
constexpr int32_t kBegin = 1;  // begins and ends every story

/// $EVO_SHARED_DATA, or else ../shared/data beside the source tree.
fs::path stories_folder() {
  const char* const chosen = std::getenv("EVO_SHARED_DATA");
  const fs::path here(__FILE__);
  const fs::path data =
      chosen != nullptr ? fs::path(chosen) : here.parent_path() / "../../../shared/data";
  return data / "weights/stories260K";
}

/// llama2.c's tokenizer file: longest piece, then score, length and bytes of each.
std::vector<std::string> read_pieces(const fs::path& path, int64_t count) {
  const std::string bytes = testing::read_bytes(path);
  std::vector<std::string> pieces;
  size_t at = sizeof(int32_t);
  while (std::ssize(pieces) < count) {
    int32_t length = 0;
    std::memcpy(&length, bytes.data() + at + sizeof(float), sizeof length);
    pieces.push_back(bytes.substr(at + sizeof(float) + sizeof length, length));
    at += sizeof(float) + sizeof length + static_cast<size_t>(length);
  }
  return pieces;
}

/// What the file says that the checkpoint tells: from the first story on.
std::string expected_story(const fs::path& path) {
  const std::string text = testing::read_bytes(path);
  const size_t begin = text.find("Once upon a time");
  return text.substr(begin, text.find("\n```", begin) - begin);
}

std::vector<int32_t> greedy(const Model& model, int count) {
  KvCache cache(model.config(), count + 1);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  std::vector<int32_t> tokens = {kBegin};
  for (int32_t i = 0; i < count; ++i) {
    ForwardInput input;
    input.ids = {tokens.back()};
    input.positions = {i};
    input.ranges = {{0, i + 1, 0, 0}};
    const tensor::Tensor h = model.forward(tape, input, &cache);
    tokens.push_back(ops::head(tape, h, 0, 1, model.unembedding(), nullptr, nullptr).argmax[0]);
  }
  return tokens;
}

TEST(Stories260K, GreedyTextIsThePublishedOne) {
  const fs::path data = stories_folder();
  if (!fs::exists(data)) GTEST_SKIP() << "no " << data.string() << ": set EVO_SHARED_DATA";
  const testing::TemporaryFolder folder;
  write_model_folder(folder / "model", llama2c_source(data / "stories260K.bin"), "F32");
  const Model model = Model::load_packed(folder / "model", tensor::Precision::kF32);
  const auto pieces = read_pieces(data / "tok512.bin", model.config().vocab_size);
  std::string story;
  const std::vector<int32_t> tokens = greedy(model, kTokens);
  for (size_t i = 1; i < tokens.size(); ++i) {
    const std::string& piece = pieces.at(static_cast<size_t>(tokens[i]));
    story += piece == "<0x0A>" ? "\n" : piece;
  }
  if (story.starts_with(" ")) story.erase(0, 1);  // the piece of a first word begins with a space
  EXPECT_GT(story.size(), 200u);
  EXPECT_EQ(story, expected_story(data / "stories260K.md").substr(0, story.size()));
}

}  // namespace
}  // namespace evo::model
