// `evo chat`: turns through a pipe, its commands, what reaches the model, and Ctrl-C.
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

class Chat : public ProgramTest {
 protected:
  /// A copy of a model, with this chat template.
  [[nodiscard]] std::string with_template(const std::string& source,
                                          const std::string& of = model()) {
    const std::string folder = path("chat-model-" + std::to_string(++copies_));
    fs::copy(of, folder, fs::copy_options::recursive);
    write_bytes(fs::path(folder) / "chat_template.jinja", source);
    return folder;
  }

  /// What `turns` are answered, as JSON.
  static std::vector<Json> answers(const std::string& folder, const std::string& turns,
                                   const std::string& more = "",
                                   const std::string& temperature = "0") {
    const Outcome outcome = chat(folder, turns, "--json " + more, temperature);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::vector<Json> result;
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) result.push_back(Json::parse(line));
    return result;
  }

  static Outcome chat(const std::string& folder, const std::string& turns,
                      const std::string& more = "", const std::string& temperature = "0") {
    return run_shell("printf '" + turns + "' | $EVO chat " + folder + " --max-tokens 8 " +
                     "--temperature " + temperature + " " + more);
  }

  /// What the model says after this text.
  static std::string continuation(const std::string& text, const std::string& more = "") {
    return result("generate " + model() + " --temperature 0 --max-tokens 8 --prompt '" + text +
                  "' " + more)
        .at("text");
  }

  /// Shows everything that reaches the template.
  static constexpr const char* kPlain =
      "<|endoftext|>{% for m in messages if m.role != 'assistant' %}{{ m.role[0] }}{{ m.content }} "
      "{% endfor %}{{ messages | length }}";

 private:
  int copies_ = 0;
};

TEST_F(Chat, EveryTurnIsAnsweredAfterAllBefore) {
  const std::vector<Json> list = answers(with_template(kPlain), "cat\\ndog");
  ASSERT_EQ(list.size(), 2);
  EXPECT_EQ(list[0].at("role"), "assistant");
  EXPECT_EQ(list[0].at("content"), continuation("ucat 1"));
  EXPECT_EQ(list[1].at("content"), continuation("ucat udog 3"));
  EXPECT_GT(list[0].at("tokens"), 0);
  EXPECT_GT(list[0].at("tokens_per_second"), 0);
  EXPECT_GT(list[0].at("tokens_per_forward"), 0);
}

TEST_F(Chat, TextIsShownAsItComes) {
  const Outcome outcome = chat(with_template(kPlain), "cat\\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, run("generate " + model() +
                             " --temperature 0 --max-tokens 8 --prompt "
                             "'ucat 1'")
                             .out.substr(6));
  EXPECT_NE(outcome.err.find("tokens/s"), std::string::npos) << outcome.err;
}

TEST_F(Chat, CommandsChangeTheConversation) {
  const std::string folder = with_template(kPlain), saved = path("saved.json");
  const auto list =
      answers(folder, "cat\\n/clear\\ndog\\n/system be\\nrat\\n/system\\nhat\\n", "--system so");
  ASSERT_EQ(list.size(), 4);
  EXPECT_EQ(list[0].at("content"), continuation("sso ucat 2"));
  EXPECT_EQ(list[1].at("content"), continuation("sso udog 2"));
  EXPECT_EQ(list[2].at("content"), continuation("sbe udog urat 4"));
  EXPECT_EQ(list[3].at("content"), continuation("udog urat uhat 5"));
}

TEST_F(Chat, RetryReplacesTheAnswer) {
  const std::string folder = with_template(kPlain), saved = path("saved.json");
  const auto list =
      answers(folder, "cat\\n/retry\\n/save " + saved + "\\n/exit\\nno", "--system so", "2");
  ASSERT_EQ(list.size(), 2);
  EXPECT_NE(list[0].at("content"), list[1].at("content"));
  const Json messages = Json::parse(read_bytes(saved)).at("messages");
  ASSERT_EQ(messages.size(), 3);
  EXPECT_EQ(messages[0], Json({{"role", "system"}, {"content", "so"}}));
  EXPECT_EQ(messages[1], Json({{"role", "user"}, {"content", "cat"}}));
  EXPECT_EQ(messages[2].at("content"), list[1].at("content"));
}

TEST_F(Chat, LinesThatGoOnAndLinesThatAreNoTurns) {
  const std::string folder = with_template(kPlain);
  const auto list = answers(folder, "cat\\\\\\ndog\\n\\n /clear\\n/frobnicate\\nlast\\\\");
  ASSERT_EQ(list.size(), 3);
  EXPECT_EQ(list[0].at("content"), continuation("ucat\ndog 1"));
  EXPECT_EQ(list[1].at("content"), continuation("ucat\ndog u /clear 3"));
  EXPECT_NE(
      chat(folder, "/frobnicate\\n").err.find("unknown command /frobnicate; there are /clear"),
      std::string::npos);
  EXPECT_NE(chat(folder, "/exti\\n").err.find("did you mean '/exit'?"), std::string::npos);
}

TEST_F(Chat, LinesMayEndAsOnWindows) {
  const auto list =
      answers(with_template(kPlain), "cat\\r\\n/frobnicate\\r\\ndog\\\\\\r\\nrat\\r\\n");
  ASSERT_EQ(list.size(), 2);
  EXPECT_EQ(list[0].at("content"), continuation("ucat 1"));
  EXPECT_EQ(list[1].at("content"), continuation("ucat udog\nrat 3"));
}

TEST_F(Chat, SystemPromptFromAFile) {
  write_bytes(path("system"), "so\r\n");
  const auto list = answers(with_template(kPlain), "cat\\n", "--system-file " + path("system"));
  ASSERT_EQ(list.size(), 1);
  EXPECT_EQ(list[0].at("content"), continuation("sso ucat 2"));
  expect_refusal("chat m --system a --system-file b", 2, {"--system-file", "one of them"});
  expect_refusal("chat m --system-file -", 2, {"standard input has the turns"});
  expect_refusal("chat m --system-file " + path("none"), 1, {"none", "No such file"});
}

TEST_F(Chat, FullContextDropsTheOldestTurns) {
  std::string turns;
  for (int i = 0; i < 12; ++i) turns += "the cat sat" + std::to_string(i) + "\\n";
  const std::string folder = with_template(kPlain);
  const Outcome outcome = chat(folder, turns, "--json --system so");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 12);
  EXPECT_NE(outcome.err.find("[the context of 64 tokens is full: the oldest 2 messages are left"),
            std::string::npos)
      << outcome.err;
  const Outcome too_long = chat(folder, std::string(400, 'x') + "\\n");
  EXPECT_EQ(too_long.code, 1);
  EXPECT_NE(too_long.err.find("context is 64"), std::string::npos) << too_long.err;
}

/// What the system prompt says is never dropped.
TEST_F(Chat, FullContextKeepsTheSystemPrompt) {
  const std::string folder = with_template(
      "{% if messages[0].role != 'system' %}{{ raise_exception('lost') }}{% endif %}" +
      std::string(kPlain));
  std::string turns;
  for (int i = 0; i < 12; ++i) turns += "the cat sat\\n";
  EXPECT_EQ(answers(folder, turns, "--system so").size(), 12);
}

TEST_F(Chat, EndOfTurnStopsTheAnswer) {
  const std::string whole = continuation("ucat 1");
  ASSERT_GE(whole.size(), 4);
  const std::string end = whole.substr(2, 1);
  ASSERT_EQ(end.find_first_of("'{}\\ \n"), std::string::npos) << whole;
  const std::string folder = with_template(
      "<|endoftext|>{% for m in messages %}{% if m.role == 'user' %}u{{ m.content }}{% else %}"
      "{{ m.content }}" +
      end + "{% endif %} {% endfor %}{{ messages | length }}");
  EXPECT_EQ(answers(folder, "cat\\n")[0].at("content"), whole.substr(0, whole.find(end)));
}

/// With the model's own settings, which are shown, unless they are not wanted.
TEST_F(Chat, SamplesAsTheModelAsks) {
  const std::string folder = with_template(kPlain);
  Json config = Json::parse(read_bytes(folder + "/generation_config.json"));
  config.update({{"do_sample", false}, {"repetition_penalty", 1.3}});
  write_bytes(folder + "/generation_config.json", config.dump());
  const auto chat = [&](const std::string& more) {
    return run_shell("printf cat | $EVO chat " + folder + " --max-tokens 8 --json " + more);
  };
  const Outcome own = chat("");
  EXPECT_NE(own.err.find("temperature 0, repetition_penalty 1.3 (--no-defaults"), std::string::npos)
      << own.err;
  EXPECT_EQ(Json::parse(own.out).at("content"), continuation("ucat 1", "--repetition-penalty 1.3"));
  const Outcome plain = chat("--no-defaults --temperature 0");
  EXPECT_EQ(plain.err.find("no-defaults"), std::string::npos) << plain.err;
  EXPECT_EQ(Json::parse(plain.out).at("content"), continuation("ucat 1"));
  const Outcome chosen = chat("--repetition-penalty 1");
  EXPECT_NE(chosen.err.find("for it: temperature 0 ("), std::string::npos) << chosen.err;
  EXPECT_EQ(Json::parse(chosen.out).at("content"), continuation("ucat 1"));
  config["temperature"] = -1;
  write_bytes(folder + "/generation_config.json", config.dump());
  expect_refusal("chat " + folder + " </dev/null", 1, {"generation_config.json", "temperature"});
}

TEST_F(Chat, VariablesReachTheTemplate) {
  const std::string folder =
      with_template("<|endoftext|>{{ 'u' if short else 'long' }}{{ messages[0].content }} 1");
  const auto list = answers(folder, "cat", "--chat-template-kwargs '{\"short\": true}'");
  EXPECT_EQ(list[0].at("content"), continuation("ucat 1"));
  expect_refusal("chat " + folder + " --chat-template-kwargs [1]", 2,
                 {"--chat-template-kwargs", "an object"});
}

/// `generate --chat` asks one question; without it a model with a template is only continued, and
/// says so.
TEST_F(Chat, GenerateAsksOneQuestion) {
  const std::string folder = with_template(kPlain);
  const std::string command =
      "generate " + folder + " --temperature 0 --max-tokens 8 --prompt cat ";
  const Outcome asked = run(command + "--chat --system so");
  EXPECT_EQ(asked.out, continuation("sso ucat 2") + "\n");
  EXPECT_EQ(asked.err.find("chat template"), std::string::npos) << asked.err;
  const Outcome continued = run(command);
  EXPECT_EQ(continued.out, "cat" + continuation("cat") + "\n");
  EXPECT_NE(continued.err.find("--chat asks it"), std::string::npos) << continued.err;
  EXPECT_EQ(run("generate " + model() + " --max-tokens 1 --prompt a").err.find("--chat"),
            std::string::npos);
  expect_refusal(command + "--chat --suffix x", 2, {"--suffix"});
  expect_refusal(command + "--system x", 2, {"--chat only"});
  expect_refusal("generate " + folder + " --chat", 2, {"--prompt"});
}

TEST_F(Chat, TemplatesRefuseInTheirOwnWords) {
  const Outcome outcome =
      chat(with_template("{{ raise_exception('not with me') }}"), "cat\\n", "--json");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("not with me"), std::string::npos) << outcome.err;
  const Outcome broken = chat(with_template("{% if %}"), "cat\\n");
  EXPECT_EQ(broken.code, 1);
  EXPECT_NE(broken.err.find("chat_template.jinja, line 1, column 7"), std::string::npos)
      << broken.err;
}

TEST_F(Chat, RefusesBadRequests) {
  expect_refusal("chat", 2, {"model", "required"});
  expect_refusal("chat " + model() + " --mode fast", 2, {"fast", "expected ar, exact"});
  expect_refusal("chat " + model() + " --balance 2", 2, {"--balance", "'2'", "from 0 to 1"});
  expect_refusal("chat " + model() + " --balance 0.5 --mode ar", 2, {"contradict"});
  expect_refusal("chat " + model() + " --max-tokens 0", 2, {"--max-tokens"});
  expect_refusal("chat " + model() + " --temperature -1", 2, {"temperature"});
  expect_refusal("chat " + path("none"), 1, {"none"});
}

/// A program with a pipe as its input, which stays open.
class ChatWithPerson : public Chat {
 protected:
  void start(const std::string& arguments) {
    ASSERT_EQ(mkfifo(path("in").c_str(), 0600), 0);
    program_.emplace("chat " + arguments + " <" + path("in") + " >" + path("out") + " 2>" +
                     path("err"));
    input_ = open(path("in").c_str(), O_WRONLY);
    ASSERT_GE(input_, 0);
  }
  void say(const std::string& line) const {
    ASSERT_EQ(write(input_, line.data(), line.size()), std::ssize(line));
  }
  [[nodiscard]] std::string seen(std::string_view stream) const {
    return fs::exists(path(stream)) ? read_bytes(path(stream)) : "";
  }
  [[nodiscard]] bool wait_for(std::string_view stream, std::string_view text) const {
    return wait_until([&] { return seen(stream).find(text) != std::string::npos; });
  }
  int end() {
    close(input_);
    return program_->wait();
  }

  std::optional<Background> program_;
  int input_ = -1;
};

TEST_F(ChatWithPerson, CtrlCAtThePromptEndsAtTheSecondTime) {
  start(with_template(kPlain) + " --max-tokens 4 --json");
  say("cat\n");
  ASSERT_TRUE(wait_for("out", "assistant"));
  program_->interrupt();
  ASSERT_TRUE(wait_for("err", "Ctrl-C again")) << seen("err");
  say("dog\n");
  ASSERT_TRUE(wait_until([&] { return std::ranges::count(seen("out"), '\n') == 2; }));
  program_->interrupt();
  ASSERT_TRUE(wait_until([&] { return seen("err").rfind("again") > seen("err").find("again"); }));
  program_->interrupt();
  EXPECT_EQ(program_->wait(), 0);
}

TEST_F(ChatWithPerson, CtrlCStopsTheAnswerAndNotTheProgram) {
  constexpr int kContext = 20'000;
  const std::string slow =
      model("long", "--set max_position_embeddings=" + std::to_string(kContext));
  start(with_template("{{ messages | length }}", slow) +
        " --mode ar --temperature 0 --max-tokens " + std::to_string(kContext));
  say("cat\n");
  ASSERT_TRUE(wait_until([&] { return !seen("out").empty(); })) << seen("err");
  program_->interrupt();
  ASSERT_TRUE(wait_for("err", "[ar: ")) << seen("err");
  const std::string report = seen("err").substr(seen("err").find("[ar: ") + 5);
  EXPECT_LT(std::stoi(report), kContext - 100) << report;
  say("/save " + path("saved") + "\n/exit\n");
  EXPECT_EQ(end(), 0);
  const Json messages = Json::parse(read_bytes(path("saved"))).at("messages");
  ASSERT_EQ(messages.size(), 2);
  EXPECT_NE(messages[1].at("content"), "");
}

}  // namespace
}  // namespace evo::testing
