#include "hub/digest.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "hub/testing.h"

namespace evo::hub {
namespace {

using evo::testing::expect_error;
using testing::digest_of;

// FIPS 180-2, appendix B, and what `git hash-object` says.
TEST(Digest, AreTheKnownOnes) {
  EXPECT_EQ(digest_of("abc", DigestKind::kSha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_of("", DigestKind::kGitBlob), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(digest_of("what is up, doc?", DigestKind::kGitBlob),
            "bd9dbf5aae1a3862dd1526723246b20206e5fc37");
}

TEST(Digest, PiecesAreTheWhole) {
  Digest digest(DigestKind::kGitBlob, 16);
  digest.add(std::string_view("something else"));
  digest.restart();
  for (const char c : std::string_view("what is up, doc?")) digest.add({&c, 1});
  EXPECT_EQ(digest.finish(), "bd9dbf5aae1a3862dd1526723246b20206e5fc37");
}

TEST(Digest, KindIsItsLength) {
  EXPECT_EQ(digest_kind(std::string(64, 'a'), "x", "y"), DigestKind::kSha256);
  EXPECT_EQ(digest_kind(std::string(40, '0'), "x", "y"), DigestKind::kGitBlob);
  for (const std::string& wrong : {std::string(), std::string(39, 'a'), std::string(40, 'A'),
                                   std::string(64, '/'), "../" + std::string(37, 'a')}) {
    expect_error([&] { (void)digest_kind(wrong, "the list", "x's oid"); },
                 {"the list", "x's oid", "40 or 64"});
  }
}

}  // namespace
}  // namespace evo::hub
