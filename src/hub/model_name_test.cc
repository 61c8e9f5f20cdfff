#include "hub/model_name.h"

#include <gtest/gtest.h>

#include "base/testing.h"

namespace evo::hub {
namespace {

using evo::testing::expect_error;

TEST(ModelName, HasRepositoryRevisionAndFile) {
  const ModelName name = parse_model_name("owner/tiny-model@refs/pr/1:parts/x.gguf");
  EXPECT_EQ(name.repository, "owner/tiny-model");
  EXPECT_EQ(name.revision, "refs/pr/1");
  EXPECT_EQ(name.file, "parts/x.gguf");
  EXPECT_EQ(name.text(), "owner/tiny-model@refs/pr/1:parts/x.gguf");
  EXPECT_EQ(parse_model_name("owner/name").wanted_revision(), "main");
  EXPECT_EQ(parse_model_name("gpt2").text(), "gpt2");
  EXPECT_EQ(parse_model_name("Qwen/Qwen2.5-0.5B_x").repository, "Qwen/Qwen2.5-0.5B_x");
}

TEST(ModelName, RefusesWhatCouldBeAnotherPath) {
  for (const char* text : {"", "/", "a/b/c", "../b", "a/..", "a/.b", "-a/b", "a--b/c", "a/b.git",
                           "a b/c", "a/b:", "a/b@", "a/b:../x", "a/b:/x", "a/b:x//y", "a/b@../../x",
                           "a\n/b", "a/b:x\x1b[2J", "owner/na\xC3\xAFve"}) {
    EXPECT_FALSE(find_model_name(text)) << text;
  }
  EXPECT_FALSE(find_model_name(std::string(97, 'a') + "/b"));
  EXPECT_TRUE(find_model_name(std::string(96, 'a') + "/b"));
  expect_error([] { (void)parse_model_name("a/\x1b"); }, {"OWNER/NAME", "'a/.'"});
}

TEST(ModelName, APathStaysInItsFolder) {
  for (const char* path : {"config.json", "a/b/c", "..a", "a..", ".gitattributes", "a\\b", "ä"}) {
    EXPECT_FALSE(fault_of_path(path)) << path;
  }
  for (const char* path : {"", "/", "/etc/passwd", "..", ".", "a/..", "../a", "a/../../b", "a//b",
                           "a/", "a/./b", "a\tb", "a\x7F"}) {
    EXPECT_TRUE(fault_of_path(path)) << path;
  }
  EXPECT_TRUE(fault_of_path(std::string_view("a\0b", 3)));
  EXPECT_TRUE(fault_of_path(std::string(256, 'a')));
  EXPECT_FALSE(fault_of_path(std::string(255, 'a')));
  std::string deep = "a";
  while (deep.size() <= 1024) deep += "/a";
  EXPECT_TRUE(fault_of_path(deep));
}

TEST(ModelName, ACommitIsFortyDigits) {
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789abcdef0123456789abcdef0123456"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("../../../../../../../../../../etc/passwd"));
}

}  // namespace
}  // namespace evo::hub
