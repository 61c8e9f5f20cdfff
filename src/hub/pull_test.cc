#include "hub/pull.h"

#include <atomic>
#include <optional>

#include "base/process/watcher.h"
#include "hub/pull_testing.h"

namespace evo::hub::testing {
namespace {

/// Sees how far the weights are, in MB, and may want an end there.
class TestWatcher : public Watcher {
 public:
  double begin = -1, total = -1, first = -1, last = -1;
  double end_at = 1e9;

  [[nodiscard]] bool wants_end() const override { return last >= end_at; }
  [[nodiscard]] std::unique_ptr<ProgressView> view(const ProgressState& state) override {
    begin = state.begin;
    total = state.total;
    return std::make_unique<View>(*this);
  }

 private:
  class View : public ProgressView {
   public:
    explicit View(TestWatcher& watcher) : watcher_(watcher) {}
    void update(double done, const std::string& note) override {
      EXPECT_LE(done, watcher_.total);
      if (note != "model.safetensors") return;
      if (watcher_.first < 0) watcher_.first = done;
      watcher_.last = done;
    }

   private:
    TestWatcher& watcher_;
  };
};

using evo::testing::write_bytes;

const std::string kToken = "hf_secret";

TEST_F(PullTest, BringsAModelAndNothingElse) {
  const PullResult result = pull();
  expect_whole_model();
  EXPECT_EQ(result.path, snapshot());
  EXPECT_EQ(result.commit, StandInHub::kCommit);
  EXPECT_EQ(result.files, 6u);
  EXPECT_EQ(result.downloaded, result.bytes - 2);  // two files have the same two bytes
  EXPECT_EQ(hub_.asked("/content/"), 1);
  const std::vector<HttpRequest> requests = hub_.requests();
  for (const HttpRequest& asked : requests) {
    EXPECT_EQ(asked.method, "GET");
    EXPECT_EQ(asked.header("user-agent"), "evo/test");
    EXPECT_EQ(asked.header("authorization"), "");
  }
}

TEST_F(PullTest, WhatIsThereIsNotDownloadedAgain) {
  (void)pull();
  const size_t before = hub_.requests().size();
  EXPECT_EQ(pull().downloaded, 0);
  EXPECT_EQ(hub_.requests().size(), before + 2);  // which commit, which files
  fs::remove_all(snapshot());
  EXPECT_EQ(pull().downloaded, 0);
  expect_whole_model();
}

TEST_F(PullTest, ADamagedBlobOfAnotherSizeIsReplaced) {
  (void)pull();
  write_bytes(blob(weights()), "short");
  EXPECT_EQ(pull().downloaded, std::ssize(weights().content));
  expect_whole_model();
}

TEST_F(PullTest, TheTokenGoesToTheHubAlone) {
  PullRequest asked = request();
  asked.token = kToken;
  (void)hub::pull(cache_, asked);
  int64_t with_token = 0;
  for (const HttpRequest& each : hub_.requests()) {
    const bool sent = !each.header("authorization").empty();
    EXPECT_NE(sent, is_content(each)) << each.path;
    EXPECT_EQ(each.header("authorization"), sent ? "Bearer " + kToken : "");
    with_token += sent ? 1 : 0;
  }
  EXPECT_EQ(with_token, 6);  // two questions, three small files, a redirect
}

TEST_F(PullTest, AnotherRevisionKeepsItsName) {
  (void)pull(std::string(StandInHub::kRepository) + "@" + StandInHub::kCommit);
  EXPECT_FALSE(fs::exists(model() / "refs"));
  EXPECT_EQ(links().size(), 6u);
  expect_error([&] { (void)pull("owner/tiny-model@refs/pr/1"); }, {"HTTP 404"});
}

TEST_F(PullTest, OneFileOfARepository) {
  hub_.files.push_back({"deep/er/tiny-Q8_0.gguf", "GGUF content", true});
  const PullResult result = pull("owner/tiny-model:Q8_0");
  EXPECT_EQ(result.path, snapshot() / "deep/er/tiny-Q8_0.gguf");
  EXPECT_EQ(read_bytes(result.path), "GGUF content");
  EXPECT_EQ(fs::read_symlink(result.path).string().find("../../../../blobs/"), 0u);
  EXPECT_EQ(links().size(), 1u);
}

TEST_F(PullTest, ShardsOfAnIndex) {
  std::erase_if(hub_.files,
                [](const StoredFile& file) { return file.path == "model.safetensors"; });
  hub_.files.push_back({"model-1.safetensors", "one", true});
  hub_.files.push_back({"model-2.safetensors", "two", true});
  hub_.files.push_back({"other.safetensors", "other", true});
  hub_.files.push_back(
      {"model.safetensors.index.json",
       R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})"});
  EXPECT_EQ(pull().files, 8u);
  EXPECT_EQ(read_bytes(snapshot() / "model-2.safetensors"), "two");
  EXPECT_FALSE(fs::exists(snapshot() / "other.safetensors"));
}

TEST_F(PullTest, AListInPages) {
  const std::string first = "/api/models/owner/tiny-model/tree/";
  std::atomic<int> pages = 0;
  std::string next = hub_.url() + "/api/next?cursor=x";
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    nlohmann::json tree = hub_.tree();
    const bool second = asked.path == "/api/next";
    if (!second && !asked.path.starts_with(first)) return {};
    ++pages;
    nlohmann::json part = nlohmann::json::array();
    for (size_t i = second ? 4 : 0; i < (second ? tree.size() : 4); ++i) part.push_back(tree[i]);
    return http_reply(200, second ? "" : "Link: <" + next + ">; rel=\"next\"\r\n", part.dump());
  };
  (void)pull();
  expect_whole_model();
  EXPECT_EQ(pages, 2);
  next = hub_.other_url() + "/api/next?cursor=x";
  expect_error([&] { (void)pull(); }, {"another host"});
}

TEST_F(PullTest, ATransferThatBreaksOffGoesOn) {
  std::atomic<int> times = 0;
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (!is_content(asked) || ++times > 4) return {};  // more often than patience has attempts
    return cut_reply(asked, 50'000);
  };
  const PullResult result = pull();
  expect_whole_model();
  EXPECT_EQ(result.downloaded, result.bytes - 2);
  EXPECT_EQ(times, 5);
  EXPECT_EQ(hub_.requests().back().header("range"), "bytes=200000-");
}

TEST_F(PullTest, PatienceEndsAndWhatCameIsKept) {
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (!is_content(asked)) return {};
    return cut_reply(asked, asked.header("range").empty() ? 100'000 : 0);
  };
  expect_refusal(request(), {"3 attempts", "the same command goes on"});
  EXPECT_EQ(fs::file_size(partial()), 100'000u);
  hub_.fault = {};
  TestWatcher watcher;
  const WatchScope scope(watcher);
  EXPECT_EQ(pull().downloaded, 200'000);
  EXPECT_DOUBLE_EQ(watcher.begin, 0.1);
  EXPECT_DOUBLE_EQ(watcher.first, 0.1);
  EXPECT_DOUBLE_EQ(watcher.last, watcher.total);
  expect_whole_model();
}

TEST_F(PullTest, AServerWithoutRangesSendsAllAgain) {
  (void)fs::create_directories(model() / "blobs");
  write_bytes(partial(), weights().content.substr(0, 1000));
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (!is_content(asked)) return {};
    return http_reply(200, "", weights().content);
  };
  (void)pull();
  expect_whole_model();
}

TEST_F(PullTest, FollowsRedirectsOfARenamedRepository) {
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (asked.path.find("/old/name") == std::string::npos) return {};
    std::string path = asked.path;
    path.replace(path.find("old/name"), 8, StandInHub::kRepository);
    return http_reply(
        307, "Location: " + path + (asked.query.empty() ? "" : "?" + asked.query) + "\r\n", "");
  };
  EXPECT_EQ(pull("old/name").files, 6u);
  EXPECT_TRUE(fs::exists(cache_.model_folder("old/name") / "refs" / "main"));
}

TEST_F(PullTest, AStopKeepsWhatCame) {
  TestWatcher watcher;
  watcher.end_at = 0.001;
  std::optional<WatchScope> scope(std::in_place, watcher);
  // The rest never comes: a stop is heard of while nothing does.
  hub_.fault = [&](const HttpRequest& each) -> std::optional<std::string> {
    if (!is_content(each)) return {};
    hub_.hold = true;
    return cut_reply(each, 200'000);
  };
  const auto start = std::chrono::steady_clock::now();
  expect_error<Interrupted>([&] { (void)pull(); }, {"interrupted", "is kept"});
  scope.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  EXPECT_GT(fs::file_size(partial()), 1000u);
  EXPECT_TRUE(links().empty());
  hub_.hold = false;
  hub_.fault = {};
  EXPECT_LT(pull().downloaded, 300'000);
  expect_whole_model();
}

TEST_F(PullTest, TwoAtOnceDownloadOnce) {
  std::thread other([&] { (void)pull(); });
  (void)pull();
  other.join();
  expect_whole_model();
  EXPECT_EQ(hub_.asked("/content/"), 1);
}

}  // namespace
}  // namespace evo::hub::testing
