// Servers, networks and disks that do not do what they should.
#include <atomic>

#include "hub/pull.h"
#include "hub/pull_testing.h"

namespace evo::hub::testing {
namespace {

using evo::testing::write_bytes;

const std::string kSecretToken = "hf_secret";

TEST_F(PullTest, AnotherRangeThanAskedForIsRefused) {
  (void)fs::create_directories(model() / "blobs");
  write_bytes(partial(), weights().content.substr(0, 1000));
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (!is_content(asked)) return {};
    return http_reply(206, "Content-Range: bytes 900-299999/300000\r\n",
                      weights().content.substr(900));
  };
  expect_refusal(request(), {"asked for bytes from 1000", "900"});
}

TEST_F(PullTest, DamageOfAnEarlierAttemptIsDownloadedAgain) {
  (void)fs::create_directories(model() / "blobs");
  for (const std::string& left :
       {std::string(1000, 'x'), std::string(300'000, 'x'), std::string(400'000, 'x')}) {
    fs::remove_all(model() / "snapshots");
    fs::remove(blob(weights()));
    write_bytes(partial(), left);
    (void)pull();
    expect_whole_model();
  }
}

TEST_F(PullTest, WrongContentIsThrownAway) {
  std::string wrong = weights().content;
  wrong[150'000] = static_cast<char>(wrong[150'000] ^ 1);
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (!is_content(asked)) return {};
    return http_reply(200, "", wrong);
  };
  expect_refusal(request(),
                 {"model.safetensors", "not the one that the hub lists", weights().digest()});
  EXPECT_FALSE(fs::exists(partial()));
  EXPECT_FALSE(fs::exists(blob(weights())));
  hub_.fault = {};
  (void)pull();
  expect_whole_model();
}

TEST_F(PullTest, SmallFilesAreCheckedAsWell) {
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (!asked.path.ends_with("/config.json")) return {};
    return http_reply(200, "", R"({"model_type": "lLama"})");
  };
  expect_refusal(request(), {"config.json", "not the one that the hub lists"});
}

TEST_F(PullTest, OtherSizesAreRefused) {
  for (const std::string& body : {weights().content + "x", weights().content.substr(1)}) {
    hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
      if (!is_content(asked)) return {};
      return http_reply(200, "", body);
    };
    expect_refusal(request(), {"expected 300000 bytes", std::to_string(body.size())});
  }
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (!is_content(asked)) return {};
    return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + weights().content +
           "x";  // until it closes
  };
  expect_refusal(request(), {"more than the 300000 bytes"});
}

TEST_F(PullTest, SaysWhatARefusalMeans) {
  struct Case {
    int status;
    std::string code, token;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases = {
      {401,
       "RepoNotFound",
       "",
       {"HTTP 401: \\.[2J sorry", "does not exist there", "private", "HF_TOKEN"}},
      {401, "", kSecretToken, {"does not accept the token"}},
      {401, "GatedRepo", "", {"is gated", "accept its terms", "HF_TOKEN"}},
      {403, "GatedRepo", kSecretToken, {"is gated", "has no access"}},
      {403, "", kSecretToken, {"the token has no access"}},
      {404, "RevisionNotFound", "", {"no revision 'main'"}},
      {404, "RepoNotFound", "", {"does not exist there"}},
      {400, "", "", {"HTTP 400", "is the endpoint right?"}},
  };
  for (const Case& each : cases) {
    for (const char* where : {"/api/", "/owner/"}) {
      hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
        if (!asked.path.starts_with(where)) return {};
        return http_reply(each.status,
                          "X-Error-Code: " + each.code + "\r\nX-Error-Message: \\\x1b[2J sorry\r\n",
                          "");
      };
      PullRequest asked = request();
      asked.token = each.token;
      for (const std::string& part : each.parts) expect_refusal(asked, {part, hub_.url()});
      expect_error([&] { (void)hub::pull(cache_, asked); }, {"127.0.0.1"});
    }
  }
}

TEST_F(PullTest, ATokenIsInNoMessage) {
  hub_.fault = [](const HttpRequest&) { return http_reply(401, "", ""); };
  PullRequest asked = request();
  asked.token = kSecretToken;
  try {
    (void)hub::pull(cache_, asked);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find(kSecretToken), std::string::npos);
  }
}

TEST_F(PullTest, AskedToWaitItWaitsOrSaysSo) {
  std::atomic<int> times = 0;
  std::string head = "Retry-After: 1\r\n";
  hub_.fault = [&](const HttpRequest&) -> std::optional<std::string> {
    if (++times > 1) return {};
    return http_reply(429, head, "");
  };
  const auto start = std::chrono::steady_clock::now();
  (void)pull();
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  expect_whole_model();
  times = 0;
  head = "Retry-After: 3600\r\n";
  expect_error([&] { (void)pull(); }, {"HTTP 429", "asks to wait 1:00:00"});
  for (const int status : {500, 503}) {
    hub_.fault = [&](const HttpRequest&) { return http_reply(status, "", ""); };
    expect_error([&] { (void)pull(); }, {std::to_string(status), "3 attempts"});
  }
}

TEST_F(PullTest, RedirectsEnd) {
  for (const std::string& to :
       {hub_.url() + "/again", std::string("file:///etc/passwd"), std::string("ftp://a/"),
        std::string("gopher://a/"), std::string("http://"),
        std::string("//no-such-host.invalid/redirect")}) {
    hub_.fault = [&](const HttpRequest&) {
      return http_reply(302, "Location: " + to + "\r\n", "");
    };
    expect_error([&] { (void)pull(); }, {"redirect"});
  }
  EXPECT_LE(hub_.asked("/again"), 11);
}

TEST_F(PullTest, HostileAnswersLeaveNothing) {
  const auto list_with = [&](const std::string& path) {
    nlohmann::json tree = hub_.tree();
    tree[0]["path"] = path;
    hub_.fault = [text = tree.dump()](const HttpRequest& asked) -> std::optional<std::string> {
      if (asked.path.find("/tree/") == std::string::npos) return {};
      return http_reply(200, "", text);
    };
  };
  for (const char* path : {"../../../escaped", "/escaped", "a/../../escaped", ".."}) {
    list_with(path);
    expect_refusal(request(), {"nothing of this repository is taken"});
  }
  for (const char* commit : {"../../x", "main", ""}) {
    hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
      if (asked.path.find("/revision/") == std::string::npos) return {};
      return http_reply(200, "", nlohmann::json{{"sha", commit}}.dump());
    };
    expect_refusal(request(), {"40 hexadecimal digits"});
  }
  EXPECT_EQ(folder_.names(), std::vector<std::string>{});
}

TEST_F(PullTest, LinksInTheCacheAreNotWrittenThrough) {
  const fs::path outside = folder_ / "outside";
  write_bytes(outside, "mine");
  fs::create_directories(model() / "blobs");
  fs::create_symlink(outside, partial());
  expect_refusal(request(), {partial().string()});
  EXPECT_EQ(read_bytes(outside), "mine");
  fs::remove(partial());
  hub_.files.push_back({"deep/tiny-Q8_0.gguf", "GGUF content", true});
  fs::create_directories(folder_ / "elsewhere");
  fs::create_directories(snapshot());
  fs::create_directory_symlink(folder_ / "elsewhere", snapshot() / "deep");
  expect_error([&] { (void)pull("owner/tiny-model:Q8_0"); }, {"expected a folder, found a link"});
  EXPECT_TRUE(fs::is_empty(folder_ / "elsewhere"));
}

TEST_F(PullTest, AFullDiskIsSaidBefore) {
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (asked.path.find("/tree/") == std::string::npos) return {};
    nlohmann::json tree = hub_.tree();
    tree[4]["lfs"]["size"] = int64_t{1} << 60;
    return http_reply(200, "", tree.dump());
  };
  expect_refusal(request(), {"are to come", "are free", "HF_HUB_CACHE"});
  EXPECT_EQ(hub_.asked("/content/"), 0);
}

TEST_F(PullTest, AFileThatCannotGrowIsSaidAndKept) {
  {
    const evo::testing::FileSizeLimit limit(100'000);
    expect_refusal(request(), {"cannot write", "free on that disk"});
  }
  EXPECT_EQ(fs::file_size(partial()), 100'000u);
  (void)pull();
  expect_whole_model();
}

TEST_F(PullTest, NobodyThere) {
  PullRequest asked = request();
  asked.endpoint = "http://127.0.0.1:1";
  expect_refusal(asked, {"127.0.0.1:1"});
  asked.endpoint = "ftp://127.0.0.1";
  expect_refusal(asked, {"endpoint", "another protocol"});
  hub_.fault = [](const HttpRequest&) { return "no HTTP at all\r\n\r\n"; };
  expect_refusal(request(), {hub_.url()});
}

}  // namespace
}  // namespace evo::hub::testing
