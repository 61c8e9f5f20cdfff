#include "flow/path.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace evo::flow {
namespace {

TEST(Path, ReadsWhatItWrites) {
  for (const char* const text : {"ar", "diagonal", "block:1", "block:8", "block:1024"}) {
    EXPECT_EQ(to_string(parse_path(text)), text);
  }
  EXPECT_EQ(parse_path("block:8"), (Path{Path::Kind::kBlock, 8}));
}

TEST(Path, RefusesEverythingElseAndSaysWhatIsAllowed) {
  for (const char* const text : {"", "AR", "ar ", "diagonal:2", "block", "block:", "block:0",
                                 "block:-1", "block:8x", "block: 8", "block:99999999999"}) {
    SCOPED_TRACE(text);
    try {
      (void)parse_path(text);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("\"ar\", \"diagonal\" or \"block:N\""),
                std::string::npos)
          << error.what();
    }
  }
}

TEST(Path, KnowsHowManyTokensMatureTogether) {
  EXPECT_EQ(tokens_together(parse_path("ar"), 100), 1);
  EXPECT_EQ(tokens_together(parse_path("block:8"), 100), 8);
  EXPECT_EQ(tokens_together(parse_path("diagonal"), 100), 100);
}

}  // namespace
}  // namespace evo::flow
