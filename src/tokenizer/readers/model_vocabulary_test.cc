#include "tokenizer/readers/model_vocabulary.h"

#include "text/testing.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/tokenizer.h"

namespace evo::tokenizer {
namespace {

using testing::error_of;
using Ids = std::vector<int32_t>;

Json document_of(const char* model, const char* added = "[]") {
  return {{"added_tokens", Json::parse(added)},
          {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
          {"model", Json::parse(model)}};
}

Tokenizer parse(const Json& document) {
  return Tokenizer::from_spec(spec_of_document(document));
}

constexpr const char* kUnigram =
    R"({"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0], ["a", -1.0], ["b", -2.0], ["ab", -2.5],
        ["a", -9.0], ["", -1.0]]})";
constexpr const char* kWordLevel =
    R"({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 5}})";

TEST(ModelVocabulary, OfEqualPiecesTheLastCounts) {
  const Tokenizer tokenizer = parse(document_of(kUnigram));
  EXPECT_EQ(tokenizer.encode("ab"), Ids{3});
  EXPECT_EQ(tokenizer.encode("a ba"), (Ids{4, 2, 4}));
  EXPECT_EQ(tokenizer.decode(Ids{1, 4}), "a a");
  EXPECT_FALSE(tokenizer.has(5));
}

TEST(ModelVocabulary, IdsMayHaveHoles) {
  const Tokenizer tokenizer = parse(document_of(kWordLevel));
  EXPECT_EQ(tokenizer.encode("a b c"), (Ids{1, 5, 0}));
  EXPECT_EQ(tokenizer.vocab_size(), 6);
  EXPECT_FALSE(tokenizer.has(3));
  EXPECT_EQ(tokenizer.decode(Ids{1, 3, 5}), "a b");
}

// Whatever ids the file gives them.
TEST(ModelVocabulary, AddedTokensGetTheNextIds) {
  const char* added = R"([{"id": 77, "content": "<x>"}, {"id": 5, "content": "b"},
      {"id": 99, "content": "<y>", "special": true}, {"id": 1, "content": "<x>", "special": true}])";
  const Tokenizer tokenizer = parse(document_of(kWordLevel, added));
  EXPECT_EQ(tokenizer.encode("<x>a<y>", {.special = true}), (Ids{3, 1, 6}));
  EXPECT_TRUE(tokenizer.is_special(3));  // the later flags
  EXPECT_EQ(tokenizer.vocab_size(), 7);
}

TEST(ModelVocabulary, FaultsAreNamed) {
  const std::tuple<const char*, const char*, const char*> all[] = {
      {R"({"type": "Unigram", "unk_id": 0, "vocab": {"a": 1}})", "[]", "'model.vocab' must be a"},
      {R"({"type": "Unigram", "unk_id": 0, "vocab": [["a"]]})", "[]", "'model.vocab[0]' must be"},
      {R"({"type": "Unigram", "unk_id": 1, "vocab": [["a", 0]]})", "[]", "'model.unk_id' is 1"},
      {R"({"type": "Unigram", "unk_id": null, "vocab": [["a", 0]]})", "[]", "unk_token"},
      {R"({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0]], "hidden": [1]})", "[]", "hidden"},
      {R"({"type": "WordLevel", "unk_token": "?", "vocab": {"a": 1}})", "[]", "no token \"?\""},
      {R"({"type": "WordPiece", "unk_token": "?", "vocab": {"?": 0},
           "continuing_subword_prefix": "##", "max_input_chars_per_word": 1001})",
       "[]", "from 0 to 1000"},
      {R"({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 0}})", "[]", "id 0 is"},
      {kWordLevel, R"([{"id": 1, "content": "b"}])", "has id 1 in 'added_tokens' and 5"},
      // The third id is one that the vocabulary gives away.
      {R"({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 2}})",
       R"([{"id": 9, "content": "<x>"}])", "id 2 is given"},
  };
  for (const auto& [model, added, part] : all) {
    const std::string message = error_of([&] { parse(document_of(model, added)); });
    EXPECT_NE(message.find(part), std::string::npos) << model << ": " << message;
  }
}

TEST(ModelVocabulary, ByteLevelNeedsMerges) {
  Json document = document_of(kWordLevel);
  document["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  EXPECT_NE(error_of([&] { parse(document); }).find("only BPE is"), std::string::npos);
}

}  // namespace
}  // namespace evo::tokenizer
