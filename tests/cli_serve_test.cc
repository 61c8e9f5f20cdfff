// `evo serve`, end to end: its endpoints, several clients at once, and clients that misbehave.
#include <fstream>

#include "served.h"

namespace evo::testing {
namespace {

class Serve : public ProgramTest {
 protected:
  static void SetUpTestSuite() {
    ProgramTest::SetUpTestSuite();
    served_ = new Served(model());
  }
  static void TearDownTestSuite() {
    delete served_;
    ProgramTest::TearDownTestSuite();
  }

  static const Served& served() { return *served_; }

  static std::string generated(const std::string& prompt, const std::string& more = "") {
    return result("generate " + model() + " --max-tokens 12 --prompt '" + prompt + "' " + more)
        .at("text");
  }
  static Json request(const std::string& prompt) {
    return {{"prompt", prompt}, {"max_tokens", 12}, {"temperature", 0}};
  }

 private:
  static inline Served* served_ = nullptr;
};

TEST_F(Serve, CompletesWhatGenerateDoes) {
  const Json reply = served().ask("/v1/completions", request("The cat"));
  EXPECT_EQ(reply.at("choices").at(0).at("text"), generated("The cat"));
  EXPECT_EQ(reply.at("model"), "cat");
  EXPECT_EQ(reply.at("usage").at("completion_tokens"), 12);
  EXPECT_GT(reply.at("usage").at("evo").at("passes"), 0);
  Json sampled = request("The dog");
  sampled.update({{"temperature", 0.8}, {"seed", 3}, {"mode", "ar"}, {"stop", "a"}});
  EXPECT_EQ(served().ask("/v1/completions", sampled).at("choices").at(0).at("text"),
            generated("The dog", "--temperature 0.8 --seed 3 --mode ar --stop a"));
}

TEST_F(Serve, EightClientsGetTheirOwnTexts) {
  std::vector<std::string> prompts, texts(8);
  for (int i = 0; i < 8; ++i)
    prompts.push_back(std::string("The cat sat on the").substr(0, 3 + 2 * i));
  std::vector<std::thread> clients;
  for (size_t i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      Json streamed = request(prompts[i]);
      streamed["stream"] = true;
      const httplib::Result result = served().post("/v1/completions", streamed);
      ASSERT_TRUE(result);
      for (const Json& event : events_of(result->body)) {
        texts[i] += event.at("choices").at(0).at("text");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  for (size_t i = 0; i < 8; i += 3) EXPECT_EQ(texts[i], generated(prompts[i])) << prompts[i];
  for (const std::string& text : texts) EXPECT_FALSE(text.empty());
}

TEST_F(Serve, SeveralTextsOfSeveralPrompts) {
  Json asked = request("");
  asked.update({{"prompt", {"cat", "dog"}}, {"n", 2}, {"temperature", 0.9}, {"seed", 4}});
  const Json choices = served().ask("/v1/completions", asked).at("choices");
  ASSERT_EQ(choices.size(), 4u);
  EXPECT_EQ(choices[0].at("text"), generated("cat", "--temperature 0.9 --seed 4"));
  EXPECT_EQ(choices[3].at("text"), generated("dog", "--temperature 0.9 --seed 7"));
  EXPECT_EQ(choices[3].at("index"), 3);
}

TEST_F(Serve, AConversationIsStreamed) {
  const Json body = {{"messages", {{{"role", "user"}, {"content", "The cat"}}}},
                     {"max_tokens", 6},
                     {"temperature", 0},
                     {"stream", true},
                     {"stream_options", {{"include_usage", true}}}};
  const httplib::Result result = served().post("/v1/chat/completions", body);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200) << result->body;
  EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream");
  const std::vector<Json> events = events_of(result->body);
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events[0].at("choices").at(0).at("delta").at("role"), "assistant");
  std::string text;
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    text += events[i].at("choices").at(0).at("delta").value("content", "");
  }
  EXPECT_EQ(events.back().at("usage").at("completion_tokens"), 6);
  const Outcome chat = run_shell("printf 'The cat\\n' | $EVO chat " + model() +
                                 " --max-tokens 6 --temperature 0 --json");
  EXPECT_EQ(text, Json::parse(chat.out).at("content"));
}

TEST_F(Serve, TracesComeWithTheirPasses) {
  Json asked = request("The");
  asked.update({{"stream", true}, {"trace", true}});
  const httplib::Result result = served().post("/v1/completions", asked);
  ASSERT_TRUE(result);
  const std::vector<Json> events = events_of(result->body);
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(events[0].at("evo").at("format"), "evo-trace");
  size_t committed = 0;
  for (size_t i = 1; i < events.size(); ++i) {
    EXPECT_EQ(events[i].at("evo").at("pass"), i - 1);
    committed += events[i].at("evo").at("committed").size();
  }
  EXPECT_EQ(committed, 12u);
}

TEST_F(Serve, FillsAGap) {
  const Json asked = {{"input_prefix", "The cat"},
                      {"input_suffix", " mat"},
                      {"max_tokens", 12},
                      {"temperature", 0}};
  EXPECT_EQ(served().ask("/v1/infill", asked).at("choices").at(0).at("text"),
            generated("The cat", "--suffix ' mat'"));
}

TEST_F(Serve, TellsAboutItself) {
  EXPECT_EQ(Json::parse(served().client().Get("/v1/models")->body).at("data").at(0).at("id"),
            "cat");
  EXPECT_EQ(served().client().Get("/health")->status, 200);
  const Json tokens = served().ask("/tokenize", {{"content", "The cat"}}).at("tokens");
  EXPECT_EQ(served().ask("/detokenize", {{"tokens", tokens}}).at("content"), "The cat");
  (void)served().ask("/v1/completions", request("x"));
  std::string metrics;
  const auto counted = [&] {  // which a request is when its reply is out
    metrics = served().client().Get("/metrics")->body;
    return metrics.find("evo_requests_total{endpoint=\"/v1/completions\",status=\"200\"} ") !=
           std::string::npos;
  };
  EXPECT_TRUE(wait_until(counted)) << metrics;
  for (const char* part : {"evo_queue_length ", "evo_active_sequences ", "evo_tokens_per_pass ",
                           "evo_time_to_first_token_seconds_count "}) {
    EXPECT_NE(metrics.find(part), std::string::npos) << part << "\n" << metrics;
  }
}

TEST_F(Serve, TellsHowTheModelAsksToBeSampled) {
  const auto first = [](const Served& server) {
    return Json::parse(server.client().Get("/v1/models")->body).at("data").at(0);
  };
  EXPECT_FALSE(first(served()).contains("sampling"));
  const fs::path folder = path("sampled");
  fs::copy(model(), folder, fs::copy_options::recursive);
  Json config = Json::parse(read_bytes(folder / "generation_config.json"));
  config.update({{"temperature", 0.25}, {"top_k", 7}});
  write_bytes(folder / "generation_config.json", config.dump());
  EXPECT_EQ(first(Served(folder.string())).at("sampling"),
            Json({{"temperature", 0.25}, {"top_k", 7}}));
  EXPECT_FALSE(first(Served(folder.string(), "--no-defaults")).contains("sampling"));
}

TEST_F(Serve, HasAPage) {
  const auto get = [](const char* path) { return served().client().Get(path); };
  const httplib::Result page = get("/");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 200);
  EXPECT_TRUE(page->body.starts_with("<!doctype html>"));
  const std::string policy = page->get_header_value("Content-Security-Policy");
  EXPECT_TRUE(policy.starts_with("default-src 'none'; script-src 'self';")) << policy;
  EXPECT_EQ(page->get_header_value("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(page->get_header_value("Cache-Control"), "no-cache");
  const auto type = [&](const char* path) { return get(path)->get_header_value("Content-Type"); };
  EXPECT_EQ(type("/"), "text/html; charset=utf-8");
  EXPECT_EQ(type("/web/style.css"), "text/css; charset=utf-8");
  EXPECT_EQ(type("/web/main.mjs"), "text/javascript; charset=utf-8");
  EXPECT_EQ(type("/web/icon.svg"), "image/svg+xml");
  EXPECT_EQ(served().client().Head("/")->status, 200);
  for (const char* path : {"/web/", "/web/nothing.mjs", "/web/../web/main.mjs", "/web/a/b"}) {
    EXPECT_EQ(get(path)->status, 404) << path;
  }
}

TEST_F(Serve, ThePageHasAllItsFilesAndIsSmall) {
  constexpr size_t kMostBytes = 300'000;
  size_t bytes = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(EVO_SOURCE_DIR) / "web")) {
    const std::string name = entry.path().filename();
    const httplib::Result file = served().client().Get(name == "index.html" ? "/" : "/web/" + name);
    ASSERT_TRUE(file);
    EXPECT_EQ(file->status, 200) << name;
    std::ifstream stream(entry.path(), std::ios::binary);
    const std::string expected{std::istreambuf_iterator<char>(stream), {}};
    EXPECT_TRUE(file->body == expected) << name;
    bytes += file->body.size();
  }
  EXPECT_GT(bytes, 0u);
  EXPECT_LT(bytes, kMostBytes);
}

TEST_F(Serve, RefusesWithAReason) {
  const auto error = [&](const std::string& path, const Json& body, int status) {
    return served().ask(path, body, status).at("error");
  };
  EXPECT_EQ(error("/v1/completions", {{"prompt", 1}}, 400).at("param"), "prompt");
  EXPECT_EQ(error("/v1/completions", {{"prompt", "x"}, {"model", "gpt"}}, 404).at("code"),
            "model_not_found");
  EXPECT_EQ(error("/v1/completions", {{"prompt", {5000}}}, 400).at("param"), "prompt");
  const std::string text(2000, 'x');
  EXPECT_EQ(error("/v1/completions", {{"prompt", text}}, 400).at("code"),
            "context_length_exceeded");
  EXPECT_EQ(error("/detokenize", {{"tokens", {5000}}}, 400).at("param"), "tokens");
  EXPECT_EQ(error("/nothing", Json::object(), 404).at("type"), "invalid_request_error");
  EXPECT_EQ(error("/", Json::object(), 405).at("type"), "invalid_request_error");
  EXPECT_EQ(served().client().Get("/v1/completions")->status, 405);
  EXPECT_EQ(served().client().Get("/../../etc/passwd")->status, 404);
  Json odd = request("x");
  odd["odd\r\nX-Evil: 1"] = 1;
  const httplib::Result warned = served().post("/v1/completions", odd);
  EXPECT_EQ(warned->status, 200);
  EXPECT_NE(warned->get_header_value("X-Evo-Warning").find("odd"), std::string::npos);
  EXPECT_FALSE(warned->has_header("X-Evil"));
}

TEST_F(Serve, SurvivesBadClients) {
  const std::string huge = R"({"prompt": ")" + std::string(2 << 20, 'x') + "\"}";
  httplib::Client client = served().client();
  const httplib::Result large = client.Post("/v1/completions", huge, "application/json");
  // The connection may have been cut while it was sent.
  EXPECT_TRUE(!large || large->status == 413);
  for (const char* body : {"", "{", "[]", "\xFF", "{\"prompt\": \"x\", \"n\": {}}"}) {
    EXPECT_EQ(served().client().Post("/v1/completions", body, "application/json")->status, 400);
  }
  const std::vector<std::string> garbage = {
      "\r\n\r\n",
      "GET",
      "POST /v1/completions HTTP/1.1\r\nContent-Length: 99999\r\n\r\n{",
      "POST /v1/completions HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      std::string(20'000, 'A') + "\r\n\r\n",
      "POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
  std::vector<int> sockets;
  for (const std::string& text : garbage) {
    sockets.push_back(served().connect());
    (void)!send(sockets.back(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  sockets.push_back(served().connect());  // says nothing
  EXPECT_EQ(served().ask("/v1/completions", request("The cat")).at("choices").size(), 1u);
  for (const int socket : sockets) close(socket);
  EXPECT_EQ(served().client().Get("/health")->status, 200);
}

TEST_F(Serve, AClientThatLeavesEndsItsText) {
  const Served slow(model(), "--active 1");
  for (const bool stream : {true, false}) {
    const Json body = {{"prompt", "x"},       {"max_tokens", 60}, {"temperature", 1},
                       {"mode", "diffusion"}, {"window", 1},      {"steps", 4000},
                       {"stream", stream}};
    const std::string text = body.dump();
    const int socket = slow.connect();
    const std::string request =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
        std::to_string(text.size()) + "\r\n\r\n" + text;
    ASSERT_EQ(send(socket, request.data(), request.size(), 0), std::ssize(request));
    const auto active = [&](const char* count) {
      const std::string metrics = slow.client().Get("/metrics")->body;
      return metrics.find(std::string("\nevo_active_sequences ") + count) != std::string::npos;
    };
    EXPECT_TRUE(wait_until([&] { return active("1"); }));
    close(socket);
    EXPECT_TRUE(wait_until([&] { return active("0"); }));
  }
}

TEST_F(Serve, TheKeyIsAskedFor) {
  const Served locked(model(), "--api-key secret");
  httplib::Client client = locked.client();
  EXPECT_EQ(client.Get("/v1/models")->status, 401);
  EXPECT_EQ(client.Get("/health")->status, 200);
  // The page has no secret, and must be seen to ask for the key.
  EXPECT_EQ(client.Get("/")->status, 200);
  EXPECT_EQ(client.Get("/web/main.mjs")->status, 200);
  EXPECT_EQ(client.Get("/webs")->status, 401);
  EXPECT_EQ(client.Post("/", "{}", "application/json")->status, 405);
  EXPECT_EQ(client.Get("/v1/models", {{"Authorization", "Bearer secrets"}})->status, 401);
  EXPECT_EQ(client.Get("/v1/models", {{"Authorization", "Bearer secret"}})->status, 200);
}

TEST_F(Serve, ASignalLetsRequestsFinish) {
  Served ending(model());
  Json asked = request("The cat");
  asked.update({{"mode", "diffusion"}, {"window", 1}, {"steps", 100}});
  std::thread client(
      [&] { EXPECT_EQ(ending.ask("/v1/completions", asked).at("choices").size(), 1u); });
  EXPECT_TRUE(wait_until([&] {
    return ending.client().Get("/metrics")->body.find("evo_active_sequences 1") !=
           std::string::npos;
  }));
  kill(ending.program().id(), SIGTERM);
  client.join();
  EXPECT_EQ(ending.program().wait(), 0);
}

TEST_F(Serve, SaysAtStartWhatItServesAndWhatMemoryItMayTake) {
  const auto started = [&](const std::string& more, const std::string& last_word) {
    const std::string out = path("started");
    fs::remove(out);  // what the server before this one said
    Background program("serve " + model() +
                       " --name cat --port 0 --precision int8 --threads 1 --cache-tokens 1000 " +
                       more + " >" + out);
    const auto said = [&] { return fs::exists(out) ? read_bytes(out) : ""; };
    EXPECT_TRUE(wait_until([&] {
      const std::string text = said();
      return text.find(last_word) != std::string::npos && text.ends_with('\n');
    })) << said();
    kill(program.id(), SIGTERM);
    EXPECT_EQ(program.wait(), 0);
    return said();
  };
  const std::string plain = started("", "cache-tokens");
  for (const char* part : {"cat is served at http://127.0.0.1:", "int8, 1 threads",
                           "keys and values of 1024 tokens at most, 256.0 KB in f32"}) {
    EXPECT_NE(plain.find(part), std::string::npos) << part << " in\n" << plain;
  }
  const Json json = Json::parse(started("--json", "cache_bytes"));
  EXPECT_EQ(json.at("model"), "cat");
  EXPECT_EQ(json.at("precision"), "int8");
  EXPECT_EQ(json.at("threads"), 1);
  EXPECT_EQ(json.at("cache_tokens"), 1024);
  EXPECT_EQ(json.at("cache_bytes"), 1024 * 2 * 32 * 4);  // keys and values of one layer, f32
  EXPECT_EQ(json.at("kv_cache"), "f32");
  const Json half = Json::parse(started("--json --kv-cache bf16", "cache_bytes"));
  EXPECT_EQ(half.at("kv_cache"), "bf16");
  EXPECT_EQ(half.at("cache_bytes"), 1024 * 2 * 32 * 2);
}

TEST_F(Serve, WrongUsageIsRefused) {
  expect_refusal("serve", 2, {"model"});
  expect_refusal("serve " + model() + " --port 99999", 2, {"--port"});
  expect_refusal("serve " + model() + " --kv-cache q9", 2, {"--kv-cache 'q9'", "f32, bf16 or q8"});
  expect_refusal("serve " + path("nothing"), 1, {"nothing"});
  expect_refusal("serve " + model() + " --host 203.0.113.1 --port 0", 1, {"cannot listen"});
}

}  // namespace
}  // namespace evo::testing
