#include "tokenizer/steps/character_map.h"

#include <cstring>

#include "text/testing.h"

namespace evo::tokenizer {
namespace {

// A table is a trie that only SentencePiece's trainer makes: tokenizers with one are in
// golden_cases_test.cc. Here: whatever the bytes are, the outcome is a text or an Error.
TEST(CharacterMap, DamagedTablesAreTextsOrErrors) {
  Random random(7);
  int tables = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::string table = testing::random_bytes(random, 4 + random.below(200));
    if (random.below(4) != 0) {  // a size that fits
      const uint32_t size = static_cast<uint32_t>((table.size() - 4) / 4) * 4;
      std::memcpy(table.data(), &size, sizeof(size));
    }
    try {
      const CharacterMap map(table);
      std::string out;
      map.append_longest("aé東b\xF0\x9F\x91\x8D", out);
      map.append_graphemes("ae\u0301東b\xF0\x9F\x91\x8D", out);
      EXPECT_LT(out.size(), 20 * table.size() + 40);
      ++tables;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(tables, 1000);
}

TEST(CharacterMap, SizesThatDoNotFitAreErrors) {
  for (const std::string& table :
       {std::string(), std::string("abc"), std::string(4, '\0'), std::string("\4\0\0\0abc", 7),
        std::string("\xFF\xFF\xFF\xFF", 4) + std::string(100, 'x'),
        std::string("\3\0\0\0abc", 7)}) {
    EXPECT_NE(testing::error_of([&] { CharacterMap map{table}; }).find("damaged"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace evo::tokenizer
