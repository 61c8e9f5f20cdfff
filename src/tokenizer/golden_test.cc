// Against vocabularies and ids published by others.
#include <sstream>

#include "files/files.h"
#include "text/testing.h"
#include "tokenizer/bpe/train_bpe.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/steps/split_pattern.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {
namespace {

using testing::read_bytes;
using testing::shared_data;
using testing::split_text;

void expect_vectors(const Tokenizer& tokenizer, const std::string& name) {
  const std::string base = "tokenizers/gguf-vocab/ggml-vocab-" + name + ".gguf";
  std::vector<std::string> texts =
      split_text(read_bytes(shared_data(base + ".inp")), "\n__ggml_vocab_test__\n");
  const std::vector<std::string> lines = split_text(read_bytes(shared_data(base + ".out")), "\n");
  texts.pop_back();  // a separator ends the file
  ASSERT_EQ(texts.size(), 46u);
  ASSERT_GE(lines.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    std::istringstream line(lines[i]);
    const std::vector<int32_t> expected(std::istream_iterator<int32_t>(line), {});
    EXPECT_EQ(tokenizer.encode(texts[i]), expected) << texts[i];
    EXPECT_EQ(tokenizer.decode(expected), texts[i]);
  }
}

TEST(Golden, Gpt2FileGivesThePublishedIds) {
  const auto path = shared_data("tokenizers/gpt2/tokenizer.json.xz");
  EVO_REQUIRE_SHARED_DATA(path);
  const testing::TemporaryFolder folder;
  testing::write_bytes(folder / "tokenizer.json", files::read_text_corpus(path));
  const Tokenizer tokenizer = Tokenizer::load(folder / "tokenizer.json");
  EXPECT_EQ(tokenizer.vocab_size(), 50257);
  EXPECT_EQ(tokenizer.end_of_text(), 50256);
  EXPECT_EQ(tokenizer.token_bytes(262), " the");
  expect_vectors(tokenizer, "gpt-2");

  tokenizer.save(folder / "again.json");
  const Tokenizer again = Tokenizer::load(folder / "again.json");
  EXPECT_EQ(again.spec(), tokenizer.spec());
  EXPECT_EQ(again.fingerprint(), tokenizer.fingerprint());
  EXPECT_EQ(tokenizer.fingerprint(), 17245659388746053007u);  // stored in files: must not change
}

// The counts of README.md beside the data: made with another implementation.
TEST(Golden, Gpt2CountsTheTokensOfABook) {
  const auto path = shared_data("tokenizers/gpt2/tokenizer.json.xz");
  EVO_REQUIRE_SHARED_DATA(path);
  const Tokenizer tokenizer =
      Tokenizer::from_spec(parse_tokenizer_json(files::read_text_corpus(path)));
  const auto count = [&](const std::string& name) {
    const std::string text = files::read_text_corpus(shared_data(name));
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(ids), text);
    return ids.size();
  };
  EXPECT_EQ(count("corpora/tinyshakespeare/input.txt.xz"), 338025u);
  EXPECT_EQ(count("corpora/wikitext-2/valid.txt.xz"), 258659u);
}

// Saved as tokenizer.json, every form is the same tokenizer.
void expect_same_after_saving(const Tokenizer& tokenizer) {
  const testing::TemporaryFolder folder;
  tokenizer.save(folder / "tokenizer.json");
  const Tokenizer again = Tokenizer::load(folder.path());
  EXPECT_EQ(again.spec(), tokenizer.spec());
  EXPECT_EQ(again.fingerprint(), tokenizer.fingerprint());
}

TEST(Golden, QwenFolderGivesThePublishedIds) {
  const auto source = shared_data("tokenizers/qwen");
  EVO_REQUIRE_SHARED_DATA(source);
  const testing::TemporaryFolder folder;
  for (const char* name : {"vocab.json", "merges.txt"}) {
    testing::write_bytes(folder / name,
                         files::read_text_corpus(source / (std::string(name) + ".xz")));
  }
  for (const char* name : {"tokenizer_config.json", "added_tokens.json"}) {
    testing::write_bytes(folder / name, read_bytes(source / name));
  }
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.vocab_size(), 151670);
  EXPECT_EQ(tokenizer.end_of_text(), 151643);
  EXPECT_EQ(tokenizer.token_bytes(151669), "<|MASK|>");  // tokenizer_config.json's name for it
  expect_vectors(tokenizer, "qwen2");
  EXPECT_EQ(tokenizer.encode("<|im_start|>a<|im_end|>", {.special = true}),
            (std::vector<int32_t>{151644, 64, 151645}));
  EXPECT_EQ(tokenizer.encode("e\u0301"), tokenizer.encode("\u00E9"));  // NFC
  expect_same_after_saving(tokenizer);
}

TEST(Golden, Llama3TiktokenFileGivesThePublishedIds) {
  const auto source = shared_data("tokenizers/llama3/tokenizer.model.xz");
  EVO_REQUIRE_SHARED_DATA(source);
  const testing::TemporaryFolder folder;
  testing::write_bytes(folder / "tokenizer.model", files::read_text_corpus(source));
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.vocab_size(), 128256);
  EXPECT_EQ(tokenizer.token_bytes(128255), "<|reserved_special_token_247|>");
  EXPECT_EQ(tokenizer.end_of_text(), 128001);
  EXPECT_EQ(tokenizer.added_token("<|eot_id|>"), 128009);
  expect_vectors(tokenizer, "llama-bpe");
  const std::vector<int32_t> framed = tokenizer.encode("x", {.framed = true});
  EXPECT_EQ(framed, (std::vector<int32_t>{128000, 87}));
  expect_same_after_saving(tokenizer);
}

TEST(Golden, Llama2FilesGiveThePublishedIds) {
  const auto source = shared_data("tokenizers/llama2");
  EVO_REQUIRE_SHARED_DATA(source);
  const Tokenizer tokenizer = Tokenizer::load((source / "tokenizer.model").string());
  EXPECT_EQ(tokenizer.vocab_size(), 32000);
  EXPECT_EQ(tokenizer.end_of_text(), 2);
  EXPECT_EQ(tokenizer.prefix().front(), 1);
  expect_vectors(tokenizer, "llama-spm");
  expect_same_after_saving(tokenizer);
  const Tokenizer llama2c = Tokenizer::load((source / "tokenizer.bin").string());
  EXPECT_EQ(llama2c.spec(), tokenizer.spec());
}

// The first tokens of the reference text that the checkpoint beside the vocabulary generates.
TEST(Golden, Stories260kTokenizerRoundTrips) {
  const auto path = shared_data("weights/stories260K/tok512.bin");
  EVO_REQUIRE_SHARED_DATA(path);
  const Tokenizer tokenizer = Tokenizer::load(path.string());
  EXPECT_EQ(tokenizer.vocab_size(), 512);
  const std::string text = "Once upon a time, there was a little girl named Lily.";
  const std::vector<int32_t> ids = tokenizer.encode(text);
  EXPECT_EQ(ids.front(), 403);  // " Once"
  EXPECT_EQ(ids[1], 407);       // " upon"
  EXPECT_EQ(tokenizer.decode(ids), text);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("\xFF \u6771")), "\xFF \u6771");
  expect_same_after_saving(tokenizer);
}

// The reference breaks ties as we do: the greatest pair of byte strings.
TEST(Golden, TrainingGivesTheReferenceMerges) {
  const auto corpus = shared_data("tokenizers/bpe-fixtures/corpus.en");
  EVO_REQUIRE_SHARED_DATA(corpus);
  const std::string text = read_bytes(corpus);
  const std::string_view texts[] = {text};
  const Tokenizer tokenizer = train_bpe(texts, {.vocab_size = 500, .quiet = true});
  EXPECT_EQ(tokenizer.vocab_size(), 500);
  const Json merges = Json::parse(format_tokenizer_json(tokenizer.spec())).at("model").at("merges");
  std::string lines;
  for (const Json& merge : merges) lines += merge.get<std::string>() + "\n";
  EXPECT_EQ(lines,
            read_bytes(shared_data("tokenizers/bpe-fixtures/train-bpe-reference-merges.txt")));
}

// Its names are the bytes themselves, not GPT-2's letters for them: of a space no token is left.
TEST(Golden, AVocabularyWithoutSpacesLosesThemAsElsewhere) {
  const auto path = shared_data("tokenizers/tiny-hf/tokenizer.json");
  EVO_REQUIRE_SHARED_DATA(path);
  const Tokenizer tokenizer = Tokenizer::load(path.string());
  EXPECT_EQ(tokenizer.vocab_size(), 2020);
  EXPECT_EQ(tokenizer.end_of_text(), 2004);
  const std::string kept = "Thequickbrownfox,42dogs.";
  const std::vector<int32_t> ids = tokenizer.encode("The quick brown fox, 42 dogs.\n\u6771");
  EXPECT_EQ(ids, std::vector<int32_t>(kept.begin(), kept.end()));
  EXPECT_EQ(tokenizer.decode(ids), kept);
}

}  // namespace
}  // namespace evo::tokenizer
