#include "tokenizer/readers/companion_files.h"

#include "text/testing.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/tokenizer.h"

namespace evo::tokenizer {
namespace {

using Ids = std::vector<int32_t>;
using Files = std::vector<std::pair<const char*, const char*>>;  // name, content

// Bytes, th, the, <s> as an ordinary token, <|endoftext|>.
Tokenizer tokenizer_with(const Files& files) {
  const std::vector<std::pair<int32_t, int32_t>> merges = {{'t', 'h'}, {256, 'e'}};
  TokenizerSpec spec = Tokenizer::from_merges(merges).spec();
  spec.added[0].id = 259;
  spec.tokens.insert(spec.tokens.begin() + 258, "<s>");
  const testing::TemporaryFolder folder;
  testing::write_bytes(folder / "tokenizer.json", format_tokenizer_json(spec));
  for (const auto& [name, content] : files) testing::write_bytes(folder / name, content);
  return Tokenizer::load(folder.path());
}

Ids ids_of(const Files& files, std::string_view text) {
  return tokenizer_with(files).encode(text, {.special = true});
}

// All expectations are what transformers 5.24 gives for the same folders.
TEST(CompanionFiles, ListedTokensAreAddedByRisingId) {
  const Files files = {{"tokenizer_config.json", R"({"added_tokens_decoder": {
      "300": {"content": "<b>", "special": true},
      "270": {"content": "<a>", "lstrip": true, "special": false},
      "259": {"content": "<|endoftext|>", "rstrip": true, "special": true},
      "258": {"content": "<s>", "special": true}}})"}};
  EXPECT_EQ(ids_of(files, "a <a> the<b> <s>x<|endoftext|> y"),
            (Ids{97, 260, 32, 257, 261, 32, 258, 120, 259, 121}));
  const Tokenizer tokenizer = tokenizer_with(files);
  EXPECT_TRUE(tokenizer.is_special(258));
  EXPECT_FALSE(tokenizer.is_special(260));
  EXPECT_EQ(tokenizer.encode("<a>"), Ids{260});
  EXPECT_EQ(tokenizer.encode("<b>").size(), 3u);
  EXPECT_EQ(tokenizer.decode(Ids{261}), "<b>");
  // They stay where the tokenizer is saved alone.
  const testing::TemporaryFolder folder;
  tokenizer.save(folder / "tokenizer.json");
  EXPECT_EQ(Tokenizer::load(folder.path()).fingerprint(), tokenizer.fingerprint());
}

TEST(CompanionFiles, AddedTokensJsonCountsWithoutADecoder) {
  const std::pair<const char*, const char*> added = {"added_tokens.json",
                                                     R"({"<b>": 300, "<a>": 270})"};
  const std::pair<const char*, const char*> map = {"special_tokens_map.json",
                                                   R"({"pad_token": "<b>"})"};
  EXPECT_EQ(ids_of({added, map}, "a <a><b>"), (Ids{97, 32, 260, 261}));
  EXPECT_FALSE(tokenizer_with({added, map}).is_special(260));
  EXPECT_TRUE(tokenizer_with({added, map}).is_special(261));
  const Files ignored = {{"tokenizer_config.json", R"({"added_tokens_decoder": {}})"}, added};
  EXPECT_EQ(ids_of(ignored, "<b>"), (Ids{'<', 'b', '>'}));
}

TEST(CompanionFiles, TokensWithARoleAreSpecial) {
  const Files roles = {{"tokenizer_config.json", R"({"eos_token": "<s>", "unk_token": null,
      "pad_token": {"content": "<pad>", "lstrip": true, "__type": "AddedToken"},
      "extra_special_tokens": ["<x>"]})"}};
  EXPECT_EQ(ids_of(roles, "a <s>x<|endoftext|> y<x> <pad>"),
            (Ids{97, 32, 258, 120, 259, 32, 121, 261, 260}));
  const Files own = {{"tokenizer_config.json",
                      R"({"extra_special_tokens": {"image_token": "<img>"},
                          "additional_special_tokens": ["<y>"], "boi_token": "<i>",
                          "add_bos_token": true})"}};
  EXPECT_TRUE(tokenizer_with(own).is_special(tokenizer_with(own).added_token("<img>")));
  EXPECT_GE(tokenizer_with(own).added_token("<i>"), 0);
  EXPECT_EQ(tokenizer_with(own).prefix().size(), 0u);
}

TEST(CompanionFiles, TheEndOfTextMayBeNamedThere) {
  TokenizerSpec spec = tokenizer_with({}).spec();
  spec.added.clear();
  const testing::TemporaryFolder folder;
  testing::write_bytes(folder / "tokenizer.json", format_tokenizer_json(spec));
  EXPECT_EQ(Tokenizer::load(folder.path()).end_of_text(), -1);
  testing::write_bytes(folder / "tokenizer_config.json", R"({"eos_token": "the"})");
  EXPECT_EQ(Tokenizer::load(folder.path()).end_of_text(), 257);
}

TEST(CompanionFiles, FaultsNameTheFile) {
  const std::pair<Files, const char*> all[] = {
      {{{"tokenizer_config.json", "[]"}}, "tokenizer_config.json: expected an object"},
      {{{"tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})"}},
       "tokenizer_config.json: 'added_tokens_decoder' has \"x\""},
      {{{"added_tokens.json", R"({"<b>": "300"})"}}, "added_tokens.json: the id of \"<b>\""},
      {{{"special_tokens_map.json", "{"}}, "special_tokens_map.json: not valid JSON"},
  };
  for (const auto& [files, part] : all) {
    const std::string message = testing::error_of([&] { tokenizer_with(files); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace evo::tokenizer
