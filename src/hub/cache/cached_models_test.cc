#include "hub/cache/cached_models.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include "base/process/descriptor.h"
#include "base/testing.h"
#include "hub/testing.h"

namespace evo::hub {
namespace {

namespace fs = std::filesystem;

using evo::testing::expect_error;
using evo::testing::TemporaryFolder;
using evo::testing::write_bytes;

const std::string kFirst(40, '1'), kSecond(40, '2');

class CachedModels : public ::testing::Test {
 protected:
  /// A file as a client of the hub puts it there.
  void add(const std::string& repository, const std::string& commit, const std::string& path,
           const std::string& content) {
    const std::string digest = testing::digest_of(content, DigestKind::kSha256);
    const fs::path blob = cache_.blob(repository, digest);
    const fs::path link = cache_.snapshot(repository, commit) / path;
    fs::create_directories(blob.parent_path());
    fs::create_directories(link.parent_path());
    write_bytes(blob, content);
    fs::create_symlink(fs::relative(blob, link.parent_path()), link);
  }
  void name(const std::string& repository, const std::string& revision, const std::string& commit) {
    const fs::path ref = cache_.model_folder(repository) / "refs" / revision;
    fs::create_directories(ref.parent_path());
    write_bytes(ref, commit);
  }
  void add_folder(const std::string& repository) {
    add(repository, kFirst, "config.json", "{}");
    add(repository, kFirst, "model.safetensors", std::string(1000, 'w'));
    name(repository, "main", kFirst);
  }
  [[nodiscard]] fs::path find(const std::string& text) const {
    return find_model(cache_, parse_model_name(text));
  }
  int64_t remove(const std::string& text) const {
    return remove_model(cache_, parse_model_name(text));
  }
  [[nodiscard]] std::vector<std::string> blobs(const std::string& repository) const {
    return file_paths(cache_.model_folder(repository) / "blobs");
  }

  TemporaryFolder folder_;
  Cache cache_{folder_.path()};
};

TEST_F(CachedModels, AreListed) {
  add_folder("a/b");
  add("a/b", kFirst, "sub/same.json", "{}");
  add("a/b", kSecond, "config.json", "{ }");
  add("c/d-GGUF", kFirst, "x-Q8_0.gguf", "12345");
  add("c/d-GGUF", kFirst, "x-Q4_K_M.gguf", "123");
  write_bytes(cache_.blob("c/d-GGUF", "abc.incomplete"), "1234567");
  add("gpt2", kFirst, "pytorch_model.bin", "1");
  fs::create_directories(folder_ / "datasets--x--y");
  fs::create_directories(folder_ / "models--..--x");
  const std::vector<CachedModel> models = cached_models(cache_);
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0].repository, "a/b");
  EXPECT_EQ(models[0].bytes, 1005);
  EXPECT_EQ(models[0].format, "safetensors");
  EXPECT_EQ(models[0].revisions, (std::vector<std::string>{"main", kSecond}));
  EXPECT_EQ(models[1].format, "GGUF Q4_K_M, Q8_0");
  EXPECT_EQ(models[1].bytes, 15);
  EXPECT_EQ(models[1].unfinished, 7);
  EXPECT_EQ(models[2].repository, "gpt2");
  EXPECT_EQ(models[2].format, "");
  const auto age = std::chrono::system_clock::now() - models[0].used;
  EXPECT_LT(age, std::chrono::hours(1));
  EXPECT_GT(age, -std::chrono::hours(1));
}

TEST_F(CachedModels, NothingThereIsNoError) {
  EXPECT_TRUE(cached_models(Cache(folder_ / "missing")).empty());
}

TEST_F(CachedModels, AreFound) {
  add_folder("a/b");
  add("a/b", kSecond, "sub/x-Q8_0.gguf", "12345");
  name("a/b", "refs/pr/1", kSecond);
  EXPECT_EQ(find("a/b"), cache_.snapshot("a/b", kFirst));
  EXPECT_EQ(find("a/b@" + kFirst), cache_.snapshot("a/b", kFirst));
  EXPECT_EQ(find("a/b:config.json"), cache_.snapshot("a/b", kFirst) / "config.json");
  EXPECT_EQ(find("a/b@refs/pr/1"), cache_.snapshot("a/b", kSecond) / "sub/x-Q8_0.gguf");
  EXPECT_EQ(find("a/b@refs/pr/1:q8_0"), cache_.snapshot("a/b", kSecond) / "sub/x-Q8_0.gguf");
}

TEST_F(CachedModels, WhatIsNotThereSaysHowToGetIt) {
  expect_error<NotInCache>([&] { (void)find("a/b"); },
                           {"a/b: neither", folder_.path().string(), "evo pull a/b gets it"});
  add_folder("a/b");
  expect_error<NotInCache>([&] { (void)find("a/b@v2"); },
                           {"@" + kFirst + " only", "evo pull a/b@v2"});
  expect_error<NotInCache>([&] { (void)find("a/b:Q8_0"); }, {"of that name", "evo pull a/b:Q8_0"});
  fs::remove(cache_.snapshot("a/b", kFirst) / "model.safetensors");
  expect_error<NotInCache>([&] { (void)find("a/b"); },
                           {"neither model.safetensors", "evo pull a/b"});
  add("c/d", kFirst, "x-Q8_0.gguf", "12345");
  add("c/d", kFirst, "x-Q4_0.gguf", "12345");
  name("c/d", "main", kFirst);
  expect_error([&] { (void)find("c/d"); }, {"2 GGUF files", "c/d:Q8_0", "c/d:Q4_0"});
  name("c/d", "main", "../../../x");
  expect_error([&] { (void)find("c/d"); }, {"refs/main", "40 hexadecimal digits"});
}

TEST_F(CachedModels, ABrokenLinkIsNoFile) {
  add_folder("a/b");
  fs::remove(cache_.blob("a/b", testing::digest_of(std::string(1000, 'w'), DigestKind::kSha256)));
  expect_error<NotInCache>([&] { (void)find("a/b"); }, {"evo pull a/b"});
}

TEST_F(CachedModels, AreRemoved) {
  add_folder("a/b");
  add_folder("a/c");
  write_bytes(cache_.blob("a/b", "abc.incomplete"), "1234567");
  fs::create_directories(cache_.lock_folder("a/b"));
  write_bytes(cache_.lock_folder("a/b") / "abc.lock", "");
  EXPECT_EQ(remove("a/b"), 1049);  // the name of a revision among them
  EXPECT_FALSE(fs::exists(cache_.model_folder("a/b")));
  EXPECT_FALSE(fs::exists(cache_.lock_folder("a/b")));
  EXPECT_EQ(find("a/c"), cache_.snapshot("a/c", kFirst));
  expect_error([&] { (void)remove("a/b"); }, {"a/b: not in the cache", "evo list"});
}

TEST_F(CachedModels, ARevisionIsRemovedWithWhatItAloneHas) {
  add_folder("a/b");
  add("a/b", kSecond, "config.json", "{ }");
  add("a/b", kSecond, "model.safetensors", std::string(1000, 'w'));
  name("a/b", "other", kSecond);
  EXPECT_EQ(remove("a/b@other"), 3);
  EXPECT_FALSE(fs::exists(cache_.model_folder("a/b") / "refs" / "other"));
  EXPECT_EQ(blobs("a/b").size(), 2u);
  EXPECT_EQ(find("a/b"), cache_.snapshot("a/b", kFirst));
  expect_error([&] { (void)remove("a/b@other"); }, {"a/b@other: not in the cache"});
  EXPECT_EQ(remove("a/b@main"), 1002);
  EXPECT_FALSE(fs::exists(cache_.model_folder("a/b")));
}

TEST_F(CachedModels, AFileIsRemovedWithItsFolder) {
  add("c/d", kFirst, "sub/x-Q8_0-00001-of-00002.gguf", "12345");
  add("c/d", kFirst, "sub/x-Q8_0-00002-of-00002.gguf", "123");
  add("c/d", kFirst, "x-Q4_0.gguf", "12");
  name("c/d", "main", kFirst);
  expect_error([&] { (void)remove("c/d:Q5_0"); }, {"c/d:Q5_0: not in the cache"});
  EXPECT_EQ(remove("c/d:Q8_0"), 8);
  EXPECT_FALSE(fs::exists(cache_.snapshot("c/d", kFirst) / "sub"));
  EXPECT_EQ(find("c/d"), cache_.snapshot("c/d", kFirst) / "x-Q4_0.gguf");
  EXPECT_EQ(remove("c/d:x-Q4_0.gguf"), 2);
  EXPECT_FALSE(fs::exists(cache_.model_folder("c/d")));
}

TEST_F(CachedModels, WhatIsBeingDownloadedIsNotRemoved) {
  add_folder("a/b");
  fs::create_directories(cache_.lock_folder("a/b"));
  const Descriptor held(
      open((cache_.lock_folder("a/b") / "abc.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  ASSERT_EQ(flock(held.get(), LOCK_EX), 0);
  expect_error([&] { (void)remove("a/b"); }, {"being downloaded", "nothing was removed"});
  EXPECT_EQ(find("a/b"), cache_.snapshot("a/b", kFirst));
}

TEST_F(CachedModels, LinksOutOfTheCacheAreNotFollowed) {
  const fs::path outside = folder_ / "outside";
  fs::create_directories(outside);
  write_bytes(outside / "mine", "mine");
  add_folder("a/b");
  fs::create_directory_symlink(outside, cache_.snapshot("a/b", kFirst) / "sub");
  fs::create_symlink(outside / "mine", cache_.snapshot("a/b", kFirst) / "mine");
  EXPECT_EQ(remove("a/b"), 1042);
  EXPECT_TRUE(fs::exists(outside / "mine"));
  fs::create_directory_symlink(outside, cache_.model_folder("a/b"));
  expect_error([&] { (void)remove("a/b"); }, {"not in the cache"});
  EXPECT_TRUE(fs::exists(outside / "mine"));
}

}  // namespace
}  // namespace evo::hub
