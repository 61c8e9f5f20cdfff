// Small tokenizers of every kind, and the ids that their own libraries give: what
// reference/tokenizer_goldens.py has made.

#include "files/files.h"
#include "text/base64.h"
#include "text/testing.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/tokenizer.h"

namespace evo::tokenizer {
namespace {

using Ids = std::vector<int32_t>;

const Json& goldens() {
  static const Json parsed = [] {
    const std::filesystem::path here(__FILE__);
    return Json::parse(files::read_text_corpus(here.parent_path() / "golden/tokenizers.json.xz"));
  }();
  return parsed;
}

Tokenizer tokenizer_of(const Json& golden) {
  const testing::TemporaryFolder folder;
  const Json& content = golden["content"];
  testing::write_bytes(folder / golden["file"].get<std::string>(),
                       content.is_string() ? text::decode_base64(content.get<std::string>()).value()
                                           : content.dump());
  for (const auto& [name, document] : golden["beside"].items()) {
    testing::write_bytes(folder / name, document.dump());
  }
  return Tokenizer::load(folder.path());
}

void expect_ids(const Tokenizer& tokenizer, const Json& golden) {
  const Json& texts = goldens()["texts"];
  for (const char* kind : {"plain", "special"}) {
    const Json& all = golden[kind];
    if (all.is_null()) continue;
    ASSERT_EQ(all.size(), texts.size());
    const EncodeOptions options{.special = kind == std::string_view("special")};
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(tokenizer.encode(texts[i].get<std::string>(), options), all[i].get<Ids>())
          << golden["name"] << ", " << kind << ", text " << i << ": " << texts[i];
    }
  }
  if (!golden["framed"].is_null()) {
    EXPECT_EQ(tokenizer.encode(texts[5].get<std::string>(), {.special = true, .framed = true}),
              golden["framed"].get<Ids>())
        << golden["name"];
  }
}

TEST(GoldenCases, EveryKindOfTokenizerGivesTheIdsOfItsOwnLibrary) {
  ASSERT_GE(goldens()["cases"].size(), 54u);
  for (const Json& golden : goldens()["cases"]) expect_ids(tokenizer_of(golden), golden);
}

TEST(GoldenCases, SavedTheyAreTheSame) {
  for (const Json& golden : goldens()["cases"]) {
    const Tokenizer tokenizer = tokenizer_of(golden);
    const testing::TemporaryFolder folder;
    tokenizer.save(folder / "tokenizer.json");
    const Tokenizer again = Tokenizer::load(folder.path());
    EXPECT_EQ(again.fingerprint(), tokenizer.fingerprint()) << golden["name"];
    expect_ids(again, golden);
  }
}

}  // namespace
}  // namespace evo::tokenizer
