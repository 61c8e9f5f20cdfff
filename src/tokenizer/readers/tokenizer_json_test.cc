#include "tokenizer/readers/tokenizer_json.h"

#include "text/testing.h"
#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/steps/post_processor.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {
namespace {

using testing::error_of;

Tokenizer small_tokenizer() {
  const std::vector<std::pair<int32_t, int32_t>> merges = {{'t', 'h'}, {256, 'e'}, {' ', 257}};
  return Tokenizer::from_merges(merges);
}

Json small_document() {
  return Json::parse(format_tokenizer_json(small_tokenizer().spec()));
}

Tokenizer parse(const Json& document) {
  return Tokenizer::from_spec(parse_tokenizer_json(document.dump()));
}

TEST(TokenizerJson, SavedAndLoadedIsTheSame) {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "tokenizer.json";
  const Tokenizer tokenizer = small_tokenizer();
  tokenizer.save(path);
  const Tokenizer loaded = Tokenizer::load(path);
  EXPECT_EQ(loaded.spec(), tokenizer.spec());
  EXPECT_EQ(loaded.fingerprint(), tokenizer.fingerprint());
  EXPECT_EQ(loaded.encode("the the\xFF"), tokenizer.encode("the the\xFF"));

  loaded.save(folder / "again.json");
  EXPECT_EQ(testing::read_bytes(folder / "again.json"), testing::read_bytes(path));
  // Nothing but the two files: no temporary one is left behind.
  const std::filesystem::directory_iterator files(folder.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 2);
}

TEST(TokenizerJson, HasWhatHuggingFaceReads) {
  const Json document = small_document();
  EXPECT_EQ(document["version"], "1.0");
  EXPECT_EQ(document["pre_tokenizer"]["type"], "ByteLevel");
  EXPECT_EQ(document["pre_tokenizer"]["use_regex"], true);
  EXPECT_EQ(document["pre_tokenizer"]["add_prefix_space"], false);
  EXPECT_EQ(document["decoder"]["type"], "ByteLevel");
  EXPECT_EQ(document["model"]["type"], "BPE");
  EXPECT_EQ(document["model"]["merges"], (Json{"t h", "th e", "\u0120 the"}));
  EXPECT_EQ(document["model"]["vocab"].size(), 260u);
  EXPECT_EQ(document["model"]["vocab"]["\u0120the"], 258);
  EXPECT_EQ(document["model"]["vocab"]["<|endoftext|>"], 259);
  EXPECT_EQ(document["added_tokens"][0]["id"], 259);
  EXPECT_EQ(document["added_tokens"][0]["special"], true);
}

TEST(TokenizerJson, ReadsMergesAsPairs) {
  Json document = small_document();
  document["model"]["merges"] = Json::parse(R"([["t", "h"], ["th", "e"], ["\u0120", "the"]])");
  EXPECT_EQ(parse(document).spec(), small_tokenizer().spec());
}

TEST(TokenizerJson, KeepsAllSections) {
  Json document = small_document();
  document["normalizer"] = {{"type", "NFC"}};
  document["post_processor"] = Json::parse(PostProcessor::json_with_prefix("<|endoftext|>", 259));
  document["added_tokens"].push_back({{"id", 260}, {"content", "<pad me>"}, {"lstrip", true}});
  document["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", R"(\S+|\s+)"}}}, {"behavior", "Isolated"}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  const Tokenizer tokenizer = parse(document);
  EXPECT_EQ(tokenizer.token_bytes(260), "<pad me>");
  EXPECT_EQ(tokenizer.encode("th the", {.framed = true}),
            (std::vector<int32_t>{259, 256, ' ', 257}));  // the space is a word of its own
  EXPECT_TRUE(tokenizer.spec().added[1].lstrip);
  const Json again = Json::parse(format_tokenizer_json(tokenizer.spec()));
  EXPECT_EQ(again["normalizer"], document["normalizer"]);
  EXPECT_EQ(again["post_processor"], document["post_processor"]);
  EXPECT_FALSE(again["model"]["vocab"].contains("<pad me>"));
  EXPECT_EQ(parse(again).spec(), tokenizer.spec());
}

struct Damage {
  const char* name;
  std::function<void(Json&)> apply;
  const char* message;  // part of the Error
};

TEST(TokenizerJson, DamageIsNamed) {
  const auto vocab = [](Json& d) -> Json& { return d["model"]["vocab"]; };
  const Damage all[] = {
      {"no model", [](Json& d) { d.erase("model"); }, "'model' must be an object"},
      {"model is a list", [](Json& d) { d["model"] = {1}; }, "'model' must be an object"},
      {"no vocab", [](Json& d) { d["model"].erase("vocab"); }, "'model.vocab' must be an object"},
      {"empty vocab", [&](Json& d) { vocab(d) = Json::object(); }, "has no token \"t\""},
      {"no merges", [](Json& d) { d["model"].erase("merges"); }, "'model.merges' must be a list"},
      {"Unigram", [](Json& d) { d["model"]["type"] = "Unigram"; }, "'model.type' is \"Unigram\""},
      {"type", [](Json& d) { d["model"]["type"] = "Word"; }, "'model.type' is \"Word\""},
      {"dropout", [](Json& d) { d["model"]["dropout"] = 0.1; }, "'model.dropout' is 0.1"},
      {"suffix", [](Json& d) { d["model"]["end_of_word_suffix"] = "</w>"; }, "end_of_word_suffix"},
      {"byte fallback", [](Json& d) { d["model"]["byte_fallback"] = 3; }, "byte_fallback"},
      {"unknown", [](Json& d) { d["model"]["unk_token"] = "<unk>"; }, "no token \"<unk>\""},
      {"ignore_merges", [](Json& d) { d["model"]["ignore_merges"] = 1; }, "true or false, found 1"},
      {"unknown token", [](Json& d) { d["model"]["merges"][1] = "th x9"; }, "no token \"x9\""},
      {"unknown result", [](Json& d) { d["model"]["merges"][1] = "e e"; }, "no token \"ee\""},
      {"no space", [](Json& d) { d["model"]["merges"][2] = "th"; },
       "'model.merges[2]' must be two"},
      {"two spaces", [](Json& d) { d["model"]["merges"][2] = "t h e"; }, "must be two tokens"},
      {"merge number", [](Json& d) { d["model"]["merges"][0] = 5; }, "found 5"},
      {"merge twice", [](Json& d) { d["model"]["merges"][1] = "t h"; }, "merges 0 and 1 both join"},
      {"far", [&](Json& d) { vocab(d)["th"] = 1 << 22; }, "the id of token \"th\" is 4194304"},
      {"duplicate", [&](Json& d) { vocab(d)["th"] = 257; }, "id 257 is given to token"},
      {"negative", [&](Json& d) { vocab(d)["th"] = -1; }, "the id of token \"th\" is -1"},
      {"huge", [&](Json& d) { vocab(d)["th"] = 18446744073709551615u; }, "18446744073709551615"},
      {"fraction", [&](Json& d) { vocab(d)["th"] = 1.5; }, "the id of token \"th\" is 1.5"},
      {"text id", [&](Json& d) { vocab(d)["th"] = "256"; }, "the id of token \"th\" is \"256\""},
      {"added id", [](Json& d) { d["added_tokens"][0]["id"] = 3; }, "has id 3 in 'added_tokens'"},
      {"added type", [](Json& d) { d["added_tokens"] = 3; }, "'added_tokens' must be a list"},
      {"added entry", [](Json& d) { d["added_tokens"] = {3}; }, "'added_tokens[]' must be"},
      {"added content", [](Json& d) { d["added_tokens"][0]["content"] = 3; }, "must be a string"},
      {"normalizer",
       [](Json& d) {
         d["normalizer"] = {{"type", "Odd"}};
       },
       "\"Odd\""},
      {"no pre-tokenizer", [](Json& d) { d["pre_tokenizer"] = nullptr; }, "'decoder.type'"},
      {"other pre-tokenizer", [](Json& d) { d["pre_tokenizer"]["type"] = "Bert"; }, "\"Bert\""},
      {"prefix", [](Json& d) { d["pre_tokenizer"]["add_prefix_space"] = 1; }, "add_prefix_space"},
      {"decoder", [](Json& d) { d["decoder"] = nullptr; }, "'decoder' must be an object"},
      {"other decoder", [](Json& d) { d["decoder"]["type"] = "WordPiece"; }, "'decoder.type'"},
  };
  for (const Damage& damage : all) {
    Json document = small_document();
    damage.apply(document);
    const std::string message = error_of([&] { parse(document); });
    EXPECT_NE(message.find(damage.message), std::string::npos) << damage.name << ": " << message;
  }
}

TEST(TokenizerJson, PatternsAreChecked) {
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const Json split = {{"type", "Split"}, {"pattern", {{"Regex", "a+"}}}, {"behavior", "Isolated"}};
  const auto message_with = [&](const Json& steps) {
    Json document = small_document();
    document["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
    return error_of([&] { parse(document); });
  };
  const auto changed = [](Json step, const char* key, const Json& value) {
    step[key] = value;
    return step;
  };
  const auto expect_part = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect_part(message_with(Json::array({split})), "'decoder.type'");
  expect_part(message_with(Json::array({byte_level, byte_level})), "after ByteLevel");
  expect_part(message_with(Json::array({changed(split, "type", "Bert"), byte_level})), "\"Bert\"");
  expect_part(message_with(Json::array({changed(split, "behavior", "Odd"), byte_level})),
              "\"Odd\"");
  expect_part(message_with(Json::array({changed(split, "invert", 1), byte_level})), "invert");
  expect_part(message_with(Json::array({changed(split, "pattern", {{"Text", " "}}), byte_level})),
              "'pre_tokenizer.pretokenizers[0].pattern.Regex' must be a string");
  expect_part(message_with(Json::array({changed(split, "pattern", {{"Regex", "(a"}}), byte_level})),
              "(a");
}

TEST(TokenizerJson, FilesThatAreNoJsonAreRefused) {
  const std::string whole = format_tokenizer_json(small_tokenizer().spec());
  for (size_t length = 0; length + 2 < whole.size(); length += 7) {  // the last two are "}\n"
    const std::string message =
        error_of([&] { parse_tokenizer_json(std::string_view(whole).substr(0, length)); });
    ASSERT_NE(message.find("not valid JSON"), std::string::npos) << length << message;
  }
  for (const std::string text : {"[]", "3", "null", "\"x\""}) {
    EXPECT_NE(error_of([&] { parse_tokenizer_json(text); }).find("not a tokenizer.json"),
              std::string::npos);
  }
  const std::string deep(1'000'000, '[');
  EXPECT_NE(error_of([&] { parse_tokenizer_json(deep); }).find("nested more than"),
            std::string::npos);
  std::string unended(1 << 20, 'x');
  unended[0] = '"';
  EXPECT_LT(error_of([&] { parse_tokenizer_json(unended); }).size(), 400u);
}

// Whatever one byte is changed to, the outcome is a tokenizer or an Error, never a crash.
TEST(TokenizerJson, RandomDamageIsATokenizerOrAnError) {
  const std::string whole = format_tokenizer_json(small_tokenizer().spec());
  Random random(1);
  int errors = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::string text = whole;
    text[random.below(text.size())] = static_cast<char>(random.below(256));
    try {
      const Tokenizer tokenizer = Tokenizer::from_spec(parse_tokenizer_json(text));
      (void)tokenizer.decode(tokenizer.encode("the end"));  // less what has lost its token
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 1000);
}

TEST(TokenizerJson, FileFaultsNameTheFile) {
  const testing::TemporaryFolder folder;
  const std::string missing = folder / "none.json";
  EXPECT_NE(error_of([&] { Tokenizer::load(missing); }).find(missing), std::string::npos);
  EXPECT_NE(error_of([&] { Tokenizer::load(folder.path()); }).find("no tokenizer"),
            std::string::npos);
  testing::write_bytes(folder / "bad.json", "{");
  EXPECT_NE(error_of([&] { Tokenizer::load(folder / "bad.json"); }).find("bad.json: not valid"),
            std::string::npos);
  std::filesystem::resize_file(folder / "bad.json", kMaxTokenizerFile + 1);
  EXPECT_NE(error_of([&] { Tokenizer::load(folder / "bad.json"); }).find("is too large"),
            std::string::npos);
  EXPECT_NE(
      error_of([&] { small_tokenizer().save(folder / "no/such/place"); }).find("cannot write"),
      std::string::npos);
}

TEST(TokenizerJson, ASaveThatFailsLeavesTheOldFile) {
  const testing::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "target");  // a file cannot take a folder's name
  EXPECT_NE(error_of([&] { small_tokenizer().save(folder / "target"); }).find("cannot write"),
            std::string::npos);
  const std::filesystem::directory_iterator files(folder.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
  EXPECT_TRUE(std::filesystem::is_directory(folder / "target"));
}

}  // namespace
}  // namespace evo::tokenizer
