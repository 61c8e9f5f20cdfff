// `evo pull`, `evo list`, `evo remove`, and models named as a hub names them, end to end.
#include "hub/testing.h"

#include "program.h"
#include "tls_front.h"

namespace evo::testing {
namespace {

using hub::testing::HttpRequest;
using hub::testing::StandInHub;
using hub::testing::StoredFile;

class Hub : public ProgramTest {
 protected:
  Hub() {
    hub_.files = hub::testing::tiny_model();
    setenv("HF_HOME", path("home").c_str(), 1);
    setenv("HF_ENDPOINT", hub_.url().c_str(), 1);
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH",
                             "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
                             "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) {
      unsetenv(name);
    }
  }

  /// The hub has what `evo train` made.
  void serve_trained_model() {
    hub_.files.clear();
    for (const auto& entry : fs::directory_iterator(model())) {
      if (!entry.is_regular_file()) continue;
      const std::string name = entry.path().filename().string();
      hub_.files.push_back({name, read_bytes(entry.path()), name.ends_with(".safetensors")});
    }
  }
  [[nodiscard]] fs::path cached(const std::string& name) const {
    return fs::path(path("home")) / "hub" / "models--owner--tiny-model" / name;
  }

  StandInHub hub_;
};

TEST_F(Hub, PullListRemove) {
  const nlohmann::json pulled = result("pull owner/tiny-model");
  EXPECT_EQ(pulled.at("commit"), StandInHub::kCommit);
  EXPECT_EQ(pulled.at("path"), (cached("snapshots") / StandInHub::kCommit).string());
  EXPECT_EQ(pulled.at("files"), 6);
  const Outcome again = run("pull owner/tiny-model");
  EXPECT_NE(again.out.find("nothing of it new"), std::string::npos) << again.out;
  const nlohmann::json listed = result("list");
  ASSERT_EQ(listed.at("models").size(), 1u);
  EXPECT_EQ(listed.at("models")[0].at("model"), "owner/tiny-model");
  EXPECT_EQ(listed.at("models")[0].at("format"), "safetensors");
  EXPECT_NE(run("list").out.find("owner/tiny-model"), std::string::npos);
  EXPECT_GT(result("remove owner/tiny-model").at("freed_bytes"), 300'000);
  EXPECT_EQ(result("list").at("models").size(), 0u);
  EXPECT_EQ(run("list").code, 0);
  expect_refusal("remove owner/tiny-model", 1, {"not in the cache"});
}

TEST_F(Hub, WithoutAHubNothingIsAsked) {
  unsetenv("HF_ENDPOINT");
  expect_refusal("pull owner/tiny-model", 2, {"HF_ENDPOINT", "--endpoint"});
  setenv("HF_ENDPOINT", hub_.url().c_str(), 1);
  setenv("HF_HUB_OFFLINE", "1", 1);
  expect_refusal("pull owner/tiny-model", 2, {"HF_HUB_OFFLINE"});
  unsetenv("HF_HUB_OFFLINE");
  expect_refusal("pull ../x", 1, {"OWNER/NAME"});
  setenv("HF_TOKEN", "two words", 1);
  const Outcome outcome = run("pull owner/tiny-model");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("HF_TOKEN"), std::string::npos);
  EXPECT_EQ(outcome.err.find("two words"), std::string::npos);
  EXPECT_TRUE(hub_.requests().empty());
}

TEST_F(Hub, TheTokenIsWhereTheHubsClientHasIt) {
  const auto sent = [&] {
    EXPECT_EQ(run("pull owner/tiny-model").code, 0);
    return hub_.requests().back().header("authorization");
  };
  EXPECT_EQ(sent(), "");
  fs::create_directories(path("home"));
  write_bytes(path("home/token"), "hf_file\n");
  EXPECT_EQ(sent(), "Bearer hf_file");
  write_bytes(path("elsewhere"), " hf_elsewhere ");
  setenv("HF_TOKEN_PATH", path("elsewhere").c_str(), 1);
  EXPECT_EQ(sent(), "Bearer hf_elsewhere");
  setenv("HF_TOKEN", "hf_variable", 1);
  EXPECT_EQ(sent(), "Bearer hf_variable");
  unsetenv("HF_TOKEN");
  unsetenv("HF_TOKEN_PATH");
}

TEST_F(Hub, TheCacheIsWhereTheHubsClientHasIt) {
  setenv("HF_HUB_CACHE", path("direct").c_str(), 1);
  EXPECT_EQ(result("pull owner/tiny-model").at("path"),
            path("direct") + "/models--owner--tiny-model/snapshots/" + StandInHub::kCommit);
  unsetenv("HF_HUB_CACHE");
}

TEST_F(Hub, AnInterruptLeavesWhatCameAndNoModel) {
  std::atomic<bool> hold = true;
  hub_.fault = [&](const HttpRequest& asked) -> std::optional<std::string> {
    if (!asked.path.starts_with("/content/") || !hold) return {};
    return hub_.reply(asked).substr(0, 200'000);
  };
  const std::string part = hub_.files[4].digest() + ".incomplete";
  for (const bool kill : {false, true}) {
    Background program("pull owner/tiny-model");
    ASSERT_TRUE(wait_until([&] {
      std::error_code missing;
      return fs::file_size(cached("blobs") / part, missing) > 100'000 && !missing;
    }));
    if (kill) {
      program.end_at_once();
      EXPECT_EQ(program.wait(), -1);
    } else {
      program.interrupt();
      EXPECT_EQ(program.wait(), 130);
    }
    EXPECT_FALSE(fs::exists(cached("snapshots")));
    EXPECT_NE(run("list").out.find("evo pull owner/tiny-model goes on"), std::string::npos);
  }
  hold = false;
  const nlohmann::json pulled = result("pull owner/tiny-model");
  EXPECT_LT(pulled.at("downloaded_bytes"), 250'000);
  EXPECT_EQ(read_bytes(fs::path(pulled.at("path")) / "model.safetensors"), hub_.files[4].content);
}

TEST_F(Hub, AModelIsNamedAsTheHubNamesIt) {
  const std::string more = " --prompt 'The cat' --max-tokens 8 --temperature 0";
  expect_refusal(
      "generate owner/tiny-model" + more, 1,
      {"owner/tiny-model: neither a file or folder", "evo pull owner/tiny-model gets it"});
  serve_trained_model();
  ASSERT_EQ(run("pull owner/tiny-model").code, 0);
  const size_t before = hub_.requests().size();
  EXPECT_EQ(result("generate owner/tiny-model" + more).at("text"),
            result("generate " + model() + more).at("text"));
  EXPECT_EQ(result("info owner/tiny-model"), result("info " + model()));
  const std::string commit = "owner/tiny-model@" + std::string(StandInHub::kCommit);
  EXPECT_EQ(result("info " + commit), result("info " + model()));
  EXPECT_EQ(run("tokenizer encode owner/tiny-model --text cat").out,
            run("tokenizer encode " + model() + " --text cat").out);
  ASSERT_EQ(run("convert owner/tiny-model --out " + path("converted")).code, 0);
  EXPECT_TRUE(fs::exists(path("converted/model.safetensors")));
  EXPECT_EQ(hub_.requests().size(), before) << "only pull asks a hub";
  // What exists as a path is that.
  fs::create_directories(path("here/owner"));
  fs::copy(path("converted"), path("here/owner/tiny-model"));
  fs::remove(path("here/owner/tiny-model/config.json"));
  const Outcome outcome = run_shell("cd " + path("here") + " && $EVO info owner/tiny-model");
  EXPECT_NE(outcome.err.find("owner/tiny-model/config.json"), std::string::npos) << outcome.err;
}

TEST_F(Hub, AServerCallsAModelAsTheHubDoes) {
  serve_trained_model();
  ASSERT_EQ(run("pull owner/tiny-model").code, 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  {
    const Background server("serve owner/tiny-model --port 0 --json --threads 1", ends[1]);
    close(ends[1]);
    std::string line;
    for (char c = 0; read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
    close(ends[0]);
    ASSERT_FALSE(line.empty());
    EXPECT_EQ(nlohmann::json::parse(line).at("model"), "owner/tiny-model");
  }
}

TEST_F(Hub, OverHttps) {
  const SelfSigned identity;
  const TlsFront front(hub_, identity);
  const std::string pull = "pull owner/tiny-model --endpoint " + front.url();
  expect_refusal(pull, 1, {front.url(), "certificate"});
  identity.save(path("authority.pem"));
  setenv("CURL_CA_BUNDLE", path("authority.pem").c_str(), 1);
  setenv("HF_TOKEN", "hf_secret", 1);
  expect_refusal(pull, 1, {"which is not https"});  // where large files come from
  EXPECT_EQ(hub_.asked("/content/"), 0);
  for (StoredFile& file : hub_.files) file.large = false;
  EXPECT_EQ(result(pull).at("files"), 6);
  EXPECT_EQ(front.token(), "Bearer hf_secret");
  setenv("CURL_CA_BUNDLE", path("missing.pem").c_str(), 1);
  expect_refusal(pull, 1, {front.url(), "missing.pem"});
  unsetenv("CURL_CA_BUNDLE");
  unsetenv("HF_TOKEN");
}

/// The hub's own client, told to use the cache alone, finds what we downloaded, and we what it did.
TEST_F(Hub, SharesItsCacheWithTheHubsClient) {
  const std::string python = "PYTHONPATH=" EVO_SOURCE_DIR
                             "/build/python:$PYTHONPATH PYTHONDONTWRITEBYTECODE=1 python3 -c ";
  if (run_shell(python + "'import huggingface_hub'").code != 0) {
    GTEST_SKIP() << "no huggingface_hub (scripts/install-dependencies --tests installs it): the "
                    "cache is not compared with its own";
  }
  const std::string client = python +
                             "'import sys; from huggingface_hub import snapshot_download as get; "
                             "print(get(\"owner/tiny-model\", **eval(sys.argv[1])))' ";
  const std::string ours = result("pull owner/tiny-model").at("path");
  const std::string layout =
      "cd $HF_HOME/hub && find -name '*--tiny-model' -prune -exec find {} "
      "-not -path '*/trees*' -printf '%p %y %l\\n' ';' | sort";
  const std::string our_layout = run_shell(layout).out;
  EXPECT_NE(our_layout.find("config.json l ../../blobs/"), std::string::npos) << our_layout;
  Outcome found = run_shell(client + "'{\"local_files_only\": True}'");
  EXPECT_EQ(found.out, ours + "\n") << found.err;
  const size_t before = hub_.requests().size();
  found = run_shell(client + "'{\"allow_patterns\": [\"*.json\", \"model.safetensors\"]}'");
  EXPECT_EQ(found.code, 0) << found.err;
  for (size_t i = before; i < hub_.requests().size(); ++i) {
    EXPECT_FALSE(hub_.requests()[i].path.starts_with("/content/")) << "downloaded again";
  }
  EXPECT_EQ(run("remove owner/tiny-model").code, 0);
  found = run_shell(client +
                    "'{\"allow_patterns\": [\"*.json\", \"*.jinja\", \"model.safetensors\"], "
                    "\"ignore_patterns\": [\"onnx/*\"]}'");
  EXPECT_EQ(found.out, ours + "\n") << found.err;
  EXPECT_EQ(run_shell(layout).out, our_layout);
  EXPECT_EQ(result("pull owner/tiny-model").at("downloaded_bytes"), 0);
  EXPECT_EQ(result("list").at("models")[0].at("model"), "owner/tiny-model");
}

}  // namespace
}  // namespace evo::testing
