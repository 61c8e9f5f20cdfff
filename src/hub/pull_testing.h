// A model to be pulled from the stand-in for a hub, and what must then be in the cache.
#pragma once

#include <gtest/gtest.h>

#include "base/testing.h"
#include "hub/pull.h"
#include "hub/testing.h"

namespace evo::hub::testing {

namespace fs = std::filesystem;

using evo::testing::expect_error;
using evo::testing::read_bytes;
using evo::testing::TemporaryFolder;

class PullTest : public ::testing::Test {
 protected:
  PullTest() { hub_.files = tiny_model(); }

  [[nodiscard]] PullRequest request(const std::string& name = StandInHub::kRepository) const {
    PullRequest result;
    result.name = parse_model_name(name);
    result.endpoint = hub_.url();
    result.agent = "evo/test";
    result.patience = {.attempts = 3, .first_wait = 0.01, .longest_wait = 5};
    return result;
  }
  PullResult pull(const std::string& name = StandInHub::kRepository) {
    return hub::pull(cache_, request(name));
  }
  void expect_refusal(const PullRequest& asked, std::initializer_list<std::string_view> parts) {
    expect_error([&] { (void)hub::pull(cache_, asked); }, parts);
    EXPECT_TRUE(links().empty());
  }

  [[nodiscard]] const StoredFile& weights() const {
    return *std::ranges::find(hub_.files, "model.safetensors", &StoredFile::path);
  }
  [[nodiscard]] fs::path model() const { return cache_.model_folder(StandInHub::kRepository); }
  [[nodiscard]] fs::path blob(const StoredFile& file) const {
    return cache_.blob(StandInHub::kRepository, file.digest());
  }
  [[nodiscard]] fs::path partial() const { return blob(weights()).string() + ".incomplete"; }
  [[nodiscard]] fs::path snapshot() const {
    return cache_.snapshot(StandInHub::kRepository, StandInHub::kCommit);
  }
  /// Files of the snapshot.
  [[nodiscard]] std::vector<std::string> links() const { return file_paths(snapshot()); }
  [[nodiscard]] std::vector<std::string> blobs() const { return file_paths(model() / "blobs"); }
  void expect_whole_model() const {
    EXPECT_EQ(links(), (std::vector<std::string>{"chat_template.jinja", "config.json",
                                                 "generation_config.json", "model.safetensors",
                                                 "tokenizer.json", "tokenizer_config.json"}));
    for (const StoredFile& file : hub_.files) {
      const fs::path path = snapshot() / file.path;
      if (!fs::exists(path)) continue;
      EXPECT_EQ(read_bytes(path), file.content) << file.path;
      EXPECT_TRUE(fs::read_symlink(path).is_relative());
    }
    EXPECT_EQ(read_bytes(model() / "refs" / "main"), StandInHub::kCommit);
    for (const std::string& name : blobs()) EXPECT_FALSE(name.ends_with(".incomplete")) << name;
  }
  /// The reply to a request for the weights' content, cut after so many bytes of its body.
  [[nodiscard]] std::string cut_reply(const HttpRequest& asked, size_t bytes) const {
    const std::string whole = hub_.reply(asked);
    return whole.substr(0, whole.find("\r\n\r\n") + 4 + bytes);
  }
  [[nodiscard]] static bool is_content(const HttpRequest& asked) {
    return asked.path.starts_with("/content/");
  }

  TemporaryFolder folder_;
  Cache cache_{folder_ / "hub"};
  StandInHub hub_;
};

}  // namespace evo::hub::testing
