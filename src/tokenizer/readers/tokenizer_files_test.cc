#include "tokenizer/readers/tokenizer_files.h"

#include "text/testing.h"
#include "tokenizer/bpe/merge_table.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/readers/llama2c_tokenizer.h"
#include "tokenizer/readers/sentencepiece.h"
#include "tokenizer/readers/tiktoken.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_samples.h"

namespace evo::tokenizer {
namespace {

using testing::error_of;
using testing::expect_error;
using testing::llama2c_file;
using testing::proto_field;
using testing::proto_number;
using testing::sample_pieces;
using testing::sentencepiece_file;
using Ids = std::vector<int32_t>;

const Tokenizer& sample() {
  static const Tokenizer tokenizer =
      Tokenizer::from_spec(parse_sentencepiece(sentencepiece_file(sample_pieces())));
  return tokenizer;
}

Ids ids_of(std::initializer_list<const char*> names) {
  Ids ids;
  for (const char* name : names) {
    const auto& tokens = sample().spec().tokens;
    ids.push_back(
        static_cast<int32_t>(std::find(tokens.begin(), tokens.end(), name) - tokens.begin()));
  }
  return ids;
}

TEST(TokenizerFiles, SentencePieceEncodes) {
  EXPECT_EQ(sample().encode("the cat"), ids_of({"\u2581the", "\u2581cat"}));
  EXPECT_EQ(sample().encode("thecat"), ids_of({"\u2581the", "cat"}));
  EXPECT_EQ(sample().encode("at  t"), ids_of({"\u2581", "at", "\u2581\u2581", "t"}));
  EXPECT_EQ(sample().encode("\u6771\xFF\n"), ids_of({"\u2581", "\u6771", "<0xFF>", "<0x0A>"}));
  EXPECT_EQ(sample().encode(""), Ids{});
  EXPECT_EQ(sample().encode("t", {.framed = true}),
            (Ids{1, ids_of({"\u2581"})[0], ids_of({"t"})[0]}));
  // Names of control tokens and bytes are text.
  const Ids ids = sample().encode("</s><0x41>");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 0);
  EXPECT_EQ(sample().decode(ids), "</s><0x41>");
  EXPECT_EQ(sample().encode("</s>", {.special = true}), Ids{2});
}

// SentencePiece makes neither bytes nor control tokens of the characters of their names.
TEST(TokenizerFiles, OnlyNormalPiecesAreMerged) {
  std::vector<Piece> pieces = sample_pieces();
  for (const char* text : {"<", "s", ">", "<s", "<0x4", "1>"}) pieces.push_back({text, -50});
  const TokenizerSpec spec = parse_sentencepiece(sentencepiece_file(pieces));
  for (const Merge& merge : spec.merges) {
    for (const int32_t id : {merge.left, merge.right, merge.result}) {
      EXPECT_EQ(pieces[id].kind, Piece::Kind::kNormal) << pieces[id].text;
    }
  }
}

TEST(TokenizerFiles, CharacterModelsRoundTripAnyBytes) {
  Random random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    const std::string text =
        trial % 2 == 0 ? testing::random_bytes(random, random.below(40))
                       : testing::random_text(random, random.below(40), "the cat \n\xE6\x9D\xB1");
    EXPECT_EQ(sample().decode(sample().encode(text)), text);
  }
}

TEST(TokenizerFiles, ATextStreamIsTheDecodedText) {
  Random random(2);
  for (int trial = 0; trial < 500; ++trial) {
    const Ids ids = sample().encode(testing::random_text(random, random.below(12), "  the cat\n"));
    TextStream stream(sample());
    std::string text;
    for (const int32_t id : ids) text += stream.push(id);
    EXPECT_EQ(text, sample().decode(ids));
    // Ids behind others keep their space.
    EXPECT_EQ(sample().decode_more(ids), ids.empty() ? "" : " " + text);
  }
  const Ids framed = sample().encode("the", {.framed = true});
  EXPECT_EQ(sample().decode(framed), "<s> the");
}

// Texts without a pre-tokenizer are one word by definition, and cut before the marks of spaces
// where that changes nothing.
TEST(TokenizerFiles, CuttingAtSpacesChangesNothing) {
  const MergeTable merges(sample().spec().merges);
  Random random(4);
  for (int trial = 0; trial < 500; ++trial) {
    const std::string text = testing::random_text(random, 1 + random.below(60), "  thecat");
    Ids whole = ids_of({"\u2581"});
    for (const char c : text) {
      whole.push_back(ids_of({c == ' ' ? "\u2581" : std::string(1, c).c_str()})[0]);
    }
    merges.apply(whole);
    EXPECT_EQ(sample().encode(text), whole) << text;
  }
}

TEST(TokenizerFiles, WordsAreNotCutWhereAMergeCrossesASpace) {
  TokenizerSpec spec = sample().spec();
  const auto crossing = static_cast<int32_t>(spec.tokens.size());
  spec.tokens.push_back("t\u2581");
  spec.merges.insert(spec.merges.begin(), {ids_of({"t"})[0], ids_of({"\u2581"})[0], crossing});
  const Ids ids = Tokenizer::from_spec(spec).encode("t t");
  EXPECT_EQ(ids, (Ids{ids_of({"\u2581"})[0], crossing, ids_of({"t"})[0]}));
}

TEST(TokenizerFiles, Llama2cIsTheSameVocabulary) {
  const TokenizerSpec spec = parse_llama2c_tokenizer(llama2c_file(sample_pieces()));
  EXPECT_EQ(spec, sample().spec());
}

TEST(TokenizerFiles, AnyFormIsFoundByItsContent) {
  const testing::TemporaryFolder folder;
  const auto load = [&](const char* name, const std::string& content) {
    testing::write_bytes(folder / name, content);
    return Tokenizer::load(folder / name).fingerprint();
  };
  EXPECT_EQ(load("a", sentencepiece_file(sample_pieces())), sample().fingerprint());
  EXPECT_EQ(load("b", llama2c_file(sample_pieces())), sample().fingerprint());
  EXPECT_EQ(load("c", format_tokenizer_json(sample().spec())), sample().fingerprint());
  EXPECT_EQ(parse_tokenizer_json(format_tokenizer_json(sample().spec())), sample().spec());
  expect_error([&] { load("d", "hello"); }, {"/d", "tokenizer.json", "llama2.c"});
  expect_error([&] { load("e", ""); }, {"/e", "empty"});
  testing::write_bytes(folder / "tokenizer.model", sentencepiece_file(sample_pieces()));
  EXPECT_EQ(Tokenizer::load(folder.path()).fingerprint(), sample().fingerprint());
}

TEST(TokenizerFiles, SentencePieceFaultsAreNamed) {
  const auto expect = [](std::string trainer, std::string normalizer, const char* part) {
    expect_error(
        [&] { parse_sentencepiece(sentencepiece_file(sample_pieces(), trainer, normalizer)); },
        {part});
  };
  expect(proto_number(3, 3), "", "word or char");
  expect(proto_number(24, 1), "", "behind words");
  expect("", proto_field(2, "table"), "precompiled_charsmap");
  expect("", proto_number(5, 0), "does not escape");
  const auto expect_piece = [](const auto& damage, const char* part) {
    std::vector<Piece> pieces = sample_pieces();
    damage(pieces.back());
    expect_error([&] { parse_sentencepiece(sentencepiece_file(pieces)); }, {part});
  };
  expect_piece([](Piece& p) { p.kind = Piece::Kind::kUnused; }, "'unused'");
  expect_piece([](Piece& p) { p.kind = static_cast<Piece::Kind>(7); }, "kind 7");
  expect_piece([](Piece& p) { p.text = ""; }, "is empty");
  expect_piece([](Piece& p) { p.text = "\xFF"; }, "not UTF-8");
  expect_piece([](Piece& p) { p.text = "th"; }, "both 'th'");
  expect_piece([](Piece& p) { p.score = std::numeric_limits<float>::quiet_NaN(); }, "nan");
  expect_piece([](Piece& p) { p.text = std::string(10'000, 'a'); }, "at most 512");
}

TEST(TokenizerFiles, Llama2cFaultsAreNamed) {
  const std::string file = llama2c_file(sample_pieces());
  for (const size_t missing : {1, 5}) {
    expect_error([&] { parse_llama2c_tokenizer(file.substr(0, file.size() - missing)); },
                 {"piece 272"});
  }
  std::string longer = file;
  longer[8] = 100;
  expect_error([&] { parse_llama2c_tokenizer(longer); }, {"piece 0", "length 100"});
}

// Whatever bytes change or are missing, the outcome is a tokenizer or an Error.
TEST(TokenizerFiles, DamagedFilesAreTokenizersOrErrors) {
  Random random(3);
  int errors = 0;
  const auto attempt = [&](const auto& parse, std::string file) {
    if (random.below(4) == 0) file.resize(random.below(file.size()));
    for (int change = 0; change < 3 && !file.empty(); ++change) {
      file[random.below(file.size())] = static_cast<char>(random.below(256));
    }
    try {
      const Tokenizer tokenizer = Tokenizer::from_spec(parse(file));
      (void)tokenizer.decode(tokenizer.encode("the cat\xFF"));
    } catch (const Error&) {
      ++errors;
    }
  };
  for (int trial = 0; trial < 1000; ++trial) {
    attempt(parse_sentencepiece, sentencepiece_file(sample_pieces()));
    attempt(parse_llama2c_tokenizer, llama2c_file(sample_pieces()));
    attempt(parse_tiktoken, "YQ== 0\nYg== 1\nYWI= 2\n");
  }
  EXPECT_GT(errors, 1500);
}

TEST(TokenizerFiles, TiktokenFaultsAreNamed) {
  expect_error([] { parse_tiktoken("YQ== 0\nYg== 1\n"); }, {"2 tokens", "128000"});
  expect_error([] { parse_tiktoken("YQ== 0\nYg== 2\n"); }, {"line 2", "rank 2, expected 1"});
  expect_error([] { parse_tiktoken("YQ== 0\nY 1\n"); }, {"line 2", "base64"});
  expect_error([] { parse_tiktoken("YQ== 0\nYg== 1x\n"); }, {"line 2"});
  EXPECT_TRUE(is_tiktoken("YQ== 0\n"));
  EXPECT_FALSE(is_tiktoken("{\"a\": 0}\n"));
  EXPECT_FALSE(is_tiktoken(""));
}

class VocabMerges : public ::testing::Test {
 protected:
  void SetUp() override {
    const Json document = Json::parse(format_tokenizer_json(
        Tokenizer::from_merges(std::vector<std::pair<int32_t, int32_t>>{{'t', 'h'}}).spec()));
    vocab_ = document["model"]["vocab"];
    config_ = {{"tokenizer_class", "GPT2Tokenizer"}};
    added_ = {{"<|endoftext|>", 257}, {"<|im_end|>", 258}};
    merges_ = "#version: 0.2\r\nt h\r\n";
  }

  Tokenizer load() {
    testing::write_bytes(folder_ / "vocab.json", vocab_.dump());
    testing::write_bytes(folder_ / "merges.txt", merges_);
    testing::write_bytes(folder_ / "tokenizer_config.json", config_.dump());
    testing::write_bytes(folder_ / "added_tokens.json", added_.dump());
    return Tokenizer::load(folder_.path());
  }

  testing::TemporaryFolder folder_;
  Json vocab_, config_, added_;
  std::string merges_;
};

TEST_F(VocabMerges, AreReadTogether) {
  EXPECT_EQ(load().encode("th1<|im_end|>", {.special = true}), (Ids{256, '1', 258}));
  config_["tokenizer_class"] = "Qwen2Tokenizer";
  config_["added_tokens_decoder"] = {
      {"258", {{"content", "<|x|>"}, {"special", false}, {"normalized", false}}}};
  EXPECT_EQ(load().encode("e\u0301<|x|>"), (Ids{0xC3, 0xA9, 258}));
}

TEST_F(VocabMerges, FaultsAreNamed) {
  config_["tokenizer_class"] = "LlamaTokenizer";
  expect_error([&] { load(); }, {"LlamaTokenizer"});
  config_ = {{"tokenizer_class", "GPT2Tokenizer"},
             {"added_tokens_decoder", {{"x", Json::object()}}}};
  expect_error([&] { load(); }, {"added_tokens_decoder", "\"x\""});
  config_ = {{"tokenizer_class", "GPT2Tokenizer"}};
  merges_ = "t h e\n";
  expect_error([&] { load(); }, {"merges[0]", "t h e"});
  vocab_ = 3;
  expect_error([&] { load(); }, {"vocab.json", "expected an object"});
}

}  // namespace
}  // namespace evo::tokenizer
