#include "serve/api/own_texts.h"

#include <gtest/gtest.h>

namespace evo::serve {
namespace {

using Tokens = std::vector<int32_t>;

TEST(OwnTexts, KnowTheLongestBeginning) {
  OwnTexts texts;
  EXPECT_EQ(texts.known(Tokens{1, 2}), 0);
  texts.add({1, 2, 3, 4});
  texts.add({1, 2, 9});
  EXPECT_EQ(texts.known(Tokens{1, 2, 3, 7}), 3);
  EXPECT_EQ(texts.known(Tokens{1, 2, 9, 7}), 3);
  EXPECT_EQ(texts.known(Tokens{1}), 1);
  EXPECT_EQ(texts.known(Tokens{2, 3}), 0);
}

TEST(OwnTexts, RememberThoseOfLate) {
  OwnTexts texts(6);
  texts.add({1, 2, 3});
  texts.add({4, 5, 6});
  EXPECT_EQ(texts.known(Tokens{1, 2, 3}), 3);
  texts.add({7});
  EXPECT_EQ(texts.known(Tokens{1, 2, 3}), 0);
  EXPECT_EQ(texts.known(Tokens{4, 5, 6}), 3);
  texts.add(Tokens(7, 1));
  EXPECT_EQ(texts.known(Tokens{7}), 0);
}

}  // namespace
}  // namespace evo::serve
