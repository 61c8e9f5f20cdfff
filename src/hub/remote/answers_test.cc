#include "hub/remote/answers.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "hub/testing.h"

namespace evo::hub {
namespace {

using evo::testing::expect_error;

const std::string kSha1(40, 'a'), kSha256(64, 'b');

std::string entry(const std::string& members) {
  return "[{\"type\": \"file\", " + members + "}]";
}

TEST(Answers, ListFilesAsTheHubDoes) {
  testing::StandInHub hub;
  hub.files = testing::tiny_model();
  nlohmann::json tree = hub.tree();
  tree.push_back({{"type", "directory"}, {"path", "onnx"}, {"oid", kSha1}, {"size", 0}});
  const std::vector<RemoteFile> files = files_of(tree.dump(), "the list");
  ASSERT_EQ(files.size(), hub.files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(files[i].path, hub.files[i].path);
    EXPECT_EQ(files[i].size, std::ssize(hub.files[i].content));
    EXPECT_EQ(files[i].digest, hub.files[i].digest());
  }
}

TEST(Answers, WithoutLfsIsNullOrMissing) {
  const std::string plain = "\"path\": \"a\", \"size\": 3, \"oid\": \"" + kSha1 + "\"";
  EXPECT_EQ(files_of(entry(plain + ", \"lfs\": null"), "x").size(), 1u);
  EXPECT_EQ(files_of(entry(plain + ", \"extra\": {\"a\": [1]}"), "x").size(), 1u);
}

TEST(Answers, RefuseWhatIsHostile) {
  const auto named = [&](const std::string& path) {
    return entry("\"path\": \"" + path + "\", \"size\": 3, \"oid\": \"" + kSha1 + "\"");
  };
  for (const char* path :
       {"../x", "/etc/x", "a/../../x", "", "a//b", "a\\u0000b", "a\\u001bb", ".."}) {
    expect_error([&] { (void)files_of(named(path), "the list"); },
                 {"the list", "path", "nothing of this repository is taken"});
  }
  for (const std::string& members : {
           std::string("\"size\": 3"),
           std::string("\"path\": 5, \"size\": 3"),
           "\"path\": \"a\", \"oid\": \"" + kSha1 + "\"",
           "\"path\": \"a\", \"size\": -1, \"oid\": \"" + kSha1 + "\"",
           "\"path\": \"a\", \"size\": 1e3, \"oid\": \"" + kSha1 + "\"",
           "\"path\": \"a\", \"size\": 9223372036854775808, \"oid\": \"" + kSha1 + "\"",
           std::string("\"path\": \"a\", \"size\": 3, \"oid\": \"../../x\""),
           "\"path\": \"a\", \"size\": 3, \"oid\": \"" + kSha256 + "\"",
           "\"path\": \"a\", \"size\": 3, \"oid\": \"" + kSha1 + "\", \"lfs\": 1",
           "\"path\": \"a\", \"size\": 3, \"oid\": \"" + kSha1 + "\", \"lfs\": {\"oid\": \"" +
               kSha1 + "\", \"size\": 3}",
       }) {
    expect_error([&] { (void)files_of(entry(members), "the list"); }, {"the list", ": "});
  }
  for (const char* text : {"", "{}", "[1]", "[{}]", "[[]]", "null", "[", "\xFF"})
    expect_error([&] { (void)files_of(text, "the list"); }, {"the list"});
}

TEST(Answers, ACommitIsOne) {
  EXPECT_EQ(commit_of("{\"sha\": \"" + kSha1 + "\", \"siblings\": []}", "x"), kSha1);
  for (const char* text :
       {"[]", "{}", "{\"sha\": null}", "{\"sha\": \"../../../x\"}", "{\"sha\": \"main\"}"})
    expect_error([&] { (void)commit_of(text, "the revision"); }, {"the revision", "expected"});
}

TEST(Answers, PagesGoOn) {
  EXPECT_EQ(next_page(""), "");
  EXPECT_EQ(next_page("<https://a.example/x?cursor=1>; rel=\"next\""),
            "https://a.example/x?cursor=1");
  EXPECT_EQ(next_page("<https://a.example/1>; rel=\"first\", </2>; rel=\"next\""), "/2");
  EXPECT_EQ(next_page("<https://a.example/1>; rel=\"prev\""), "");
  EXPECT_EQ(next_page("<https://a.example/1"), "");
}

}  // namespace
}  // namespace evo::hub
