// `evo generate` and `evo eval likelihood`: results as other programs read them, and bad input.
#include <cmath>
#include <nlohmann/json.hpp>

#include "program.h"

namespace evo::testing {
namespace {

using Json = nlohmann::json;

class Generate : public ProgramTest {
 protected:
  [[nodiscard]] static std::string generate(const std::string& more) {
    return "generate " + model() + " --temperature 0 " + more;
  }
  [[nodiscard]] static std::string ar_only() { return model("ar-only", "--set flow=false"); }
};

TEST_F(Generate, ReportsEveryNumber) {
  for (const char* mode : {"ar", "exact", "evo", "diffusion"}) {
    const Json json = result(generate("--max-tokens 12 --prompt The --mode " + std::string(mode)));
    EXPECT_EQ(json.at("mode"), mode);
    EXPECT_TRUE(json.at("text").is_string());
    const auto tokens = json.at("tokens").get<int64_t>(), passes = json.at("passes").get<int64_t>();
    ASSERT_GT(tokens, 0) << mode;
    EXPECT_LE(tokens, 12);
    ASSERT_GT(passes, 0);
    EXPECT_EQ(json.at("tokens_per_forward").get<double>(),
              static_cast<double>(tokens) / static_cast<double>(passes));
    EXPECT_GT(json.at("tokens_per_second").get<double>(), 0);
    EXPECT_GT(json.at("ar_nats_per_token").get<double>(), 0);
  }
}

/// 60 tokens, or 780 and more than the context holds.
TEST_F(Generate, SpecialTokensInThePromptAreTokens) {
  std::string prompt;
  for (int i = 0; i < 60; ++i) prompt += "<|endoftext|>";
  EXPECT_EQ(run(generate("--max-tokens 2 --prompt '" + prompt + "'")).code, 0);
  const Outcome refused = run(generate("--no-special --prompt '" + prompt + "'"));
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("the prompt has"), std::string::npos) << refused.err;
}

TEST_F(Generate, ShowsPromptAndText) {
  const std::string text = result(generate("--prompt The")).at("text");
  const Outcome shown = run(generate("--prompt The"));
  EXPECT_EQ(shown.out, "The" + text + "\n");
  EXPECT_NE(shown.err.find("tokens/s"), std::string::npos) << shown.err;
}

/// What passes take is learnt for the next process; whatever becomes of that, the text is the same.
TEST_F(Generate, KeepsWhatItLearntOfPasses) {
  const auto generate = [&](const std::string& environment, const std::string& mode) {
    const Outcome outcome = run_shell("env " + environment + " $EVO generate " + model() +
                                      " --prompt 'The cat' --max-tokens 24 --mode " + mode);
    EXPECT_EQ(outcome.code, 0) << environment << outcome.err;
    EXPECT_EQ(outcome.err.find("evo:"), std::string::npos) << outcome.err;
    return outcome.out;
  };
  const std::string text = generate("XDG_CACHE_HOME=" + path("none"), "ar");
  EXPECT_TRUE(is_empty_or_absent(path("none")));
  const fs::path folder = path("cache") + "/evo";
  EXPECT_EQ(generate("XDG_CACHE_HOME=" + path("cache"), "exact"), text);
  ASSERT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
  const fs::path file = fs::directory_iterator(folder)->path();
  EXPECT_EQ(generate("XDG_CACHE_HOME=" + path("cache"), "exact"), text);
  for (const char* damaged : {"", "{", "{\"format\": 1}"}) {
    write_bytes(file, damaged);
    EXPECT_EQ(generate("XDG_CACHE_HOME=" + path("cache"), "exact"), text);
    EXPECT_GT(fs::file_size(file), 500) << damaged;  // written anew
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
  EXPECT_EQ(generate("-u XDG_CACHE_HOME HOME=" + path("home"), "exact"), text);
  EXPECT_TRUE(fs::is_directory(path("home") + "/.cache/evo"));
  EXPECT_EQ(generate("XDG_CACHE_HOME=/dev/null", "exact"), text);
  EXPECT_EQ(generate("-u HOME XDG_CACHE_HOME=relative-cache", "exact"), text);
  EXPECT_FALSE(fs::exists("relative-cache"));
}

/// One line end at the end is the editor's, not the prompt's; others belong to it.
TEST_F(Generate, PromptsComeFromFilesAndStandardInput) {
  const std::string text = result(generate("--prompt 'The\ncat'")).at("text");
  const std::string shown = "The\ncat" + text + "\n";
  const auto from_input = [&](const std::string& bytes, const std::string& option) {
    return run_shell("printf '" + bytes + "' | $EVO " + generate(option)).out;
  };
  for (const char* bytes : {"The\\ncat", "The\\ncat\\n", "The\\ncat\\r\\n"}) {
    EXPECT_EQ(from_input(bytes, "--prompt -"), shown) << bytes;
    EXPECT_EQ(from_input(bytes, "--prefix -"), shown) << bytes;
    EXPECT_EQ(from_input(bytes, "--prompt-file -"), shown) << bytes;
  }
  write_bytes(path("prompt"), "The\ncat\n");
  EXPECT_EQ(run(generate("--prompt-file " + path("prompt"))).out, shown);
  const std::string two = run(generate("--prompt 'The\ncat\n'")).out;
  EXPECT_NE(two, shown);
  EXPECT_EQ(from_input("The\\ncat\\n\\n", "--prompt -"), two);
  EXPECT_EQ(run_shell("$EVO " + generate("--prompt - </dev/null")).out, run(generate("")).out);
  expect_refusal(generate("--prompt a --prompt-file b"), 2, {"--prompt-file", "one of them"});
  expect_refusal(generate("--prompt-file a --prefix b"), 2, {"--prefix", "one of them"});
  expect_refusal(generate("--prompt-file " + path("none")), 1, {"none", "No such file"});
}

TEST_F(Generate, TakesAnyPromptThatFits) {
  const Json none = result(generate("--prompt ''"));
  EXPECT_EQ(none.at("text"), result(generate("")).at("text"));
  EXPECT_TRUE(result(generate("--prompt \"$(printf 'caf\\303 \\377\\376 \\355\\240\\200')\""))
                  .at("text")
                  .is_string());
  const Json nothing = result(generate("--prompt The --max-tokens 0"));
  EXPECT_EQ(nothing.at("text"), "");
  EXPECT_EQ(nothing.at("tokens"), 0);
  EXPECT_TRUE(nothing.at("ar_nats_per_token").is_null());
  // The context ends the text: 64 tokens with the prompt and the token that begins every document.
  const Json full = result(generate("--prompt 'The cat sat on the mat' --max-tokens 100000"));
  EXPECT_LT(full.at("tokens").get<int64_t>(), 64);
}

TEST_F(Generate, RefusesBadRequests) {
  expect_refusal(generate("--prompt \"$(yes word | head -300)\""), 1, {"context is 64", "shorten"});
  expect_refusal(generate("--frobnicate 3"), 2, {"--frobnicate"});
  for (const char* balance : {"-0.5", "1.5", "nan", "inf"}) {
    expect_refusal(generate("--balance " + std::string(balance)), 2,
                   {"--balance", balance, "from 0 to 1"});
  }
  expect_refusal(generate("--balance much"), 2, {"--balance", "much"});
  expect_refusal(generate("--balance 0.5 --mode ar"), 2, {"--mode ar", "contradict", "mode evo"});
  expect_refusal(generate("--mode fast"), 2, {"fast", "expected ar, exact, evo or diffusion"});
  expect_refusal(generate("--max-tokens -1"), 2, {"--max-tokens"});
  expect_refusal(generate("--temperature -1"), 2, {"temperature"});
  expect_refusal(generate("--top-p 1.5"), 2, {"top-p"});
  expect_refusal(generate("--window -1"), 2, {"--window"});
  expect_refusal(generate("--window 1025"), 2, {"--window"});
  expect_refusal(generate("--stop ''"), 2, {"--stop"});
}

/// JSON that was cut is none, and does not pass for it.
TEST_F(Generate, JsonThatIsCutIsAFailure) {
  write_bytes(path("list.json"), R"({"type": "array", "minItems": 40, "items": {"const": "cat"}})");
  write_bytes(path("true.json"), R"({"enum": [true]})");
  const Outcome cut = run(generate("--json --max-tokens 9 --json-schema " + path("list.json")));
  EXPECT_EQ(cut.code, 1);
  EXPECT_EQ(Json::parse(cut.out).at("finish"), "length");
  EXPECT_NE(cut.err.find("--max-tokens"), std::string::npos) << cut.err;
  const Outcome stopped =
      run(generate("--json --max-tokens 40 --stop at --json-schema " + path("list.json")));
  EXPECT_EQ(stopped.code, 1);
  EXPECT_NE(stopped.err.find("--stop"), std::string::npos) << stopped.err;
  const Json whole = result(generate("--max-tokens 40 --json-schema " + path("true.json")));
  EXPECT_EQ(Json::parse(std::string(whole.at("text"))), true);
}

/// What there is stays on standard output.
TEST_F(Generate, AnInterruptLeavesWhatThereIs) {
  const std::string out = path("begun"), err = path("messages");
  // Four windows of 4,096 passes each: after the first there is a text, and much to do.
  Background program(
      generate("--prompt The --mode diffusion --window 12 --steps 4096 "
               "--max-tokens 48 >" +
               out + " 2>" + err));
  ASSERT_TRUE(wait_until([&] { return !is_empty_or_absent(out); }));
  program.interrupt();
  EXPECT_EQ(program.wait(), 130);
  EXPECT_TRUE(read_bytes(out).starts_with("The")) << read_bytes(out);
  const std::string messages = read_bytes(err);
  EXPECT_NE(messages.find("evo: interrupted after "), std::string::npos) << messages;
  EXPECT_NE(messages.find("not complete"), std::string::npos) << messages;
}

TEST_F(Generate, BalancePicksTheMode) {
  for (const auto& [balance, mode] :
       {std::pair("0", "exact"), std::pair("0.5", "evo"), std::pair("1", "diffusion")}) {
    EXPECT_EQ(result(generate("--balance " + std::string(balance))).at("mode"), mode);
  }
}

TEST_F(Generate, ModelWithoutFlow) {
  const std::string generate_ar = "generate " + ar_only() + " --max-tokens 4";
  EXPECT_EQ(result(generate_ar).at("mode"), "ar");
  EXPECT_EQ(result(generate_ar + " --mode ar").at("mode"), "ar");
  for (const char* wish : {"--mode exact", "--mode diffusion", "--balance 0.5"}) {
    const Outcome outcome = run(generate_ar + " --json " + wish);
    EXPECT_EQ(outcome.code, 1) << wish;
    EXPECT_NE(outcome.err.find("use --mode ar"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("flow=true"), std::string::npos) << outcome.err;
  }
}

TEST_F(Generate, WindowZeroIsThePolicysChoice) {
  for (const char* mode : {"ar", "exact", "evo", "diffusion"}) {
    const std::string more = "--prompt The --max-tokens 6 --mode " + std::string(mode);
    const Json json = result(generate(more + " --window 0"));
    EXPECT_EQ(json.at("text"), result(generate(more)).at("text")) << mode;
  }
}

/// JSON holds no byte that is not UTF-8, which an untrained model may well generate.
std::string ascii_of(std::string text) {
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  return text;
}

class Infill : public Generate {};

TEST_F(Infill, TextLiesBetween) {
  for (const char* mode : {"ar", "exact", "evo", "diffusion"}) {
    const std::string command = generate(
        "--prefix 'The cat' --suffix ' the mat' --max-tokens 6 "
        "--mode " +
        std::string(mode));
    const Json json = result(command);
    EXPECT_LE(json.at("tokens"), 6);
    EXPECT_EQ(ascii_of(run(command).out), "The cat" + ascii_of(json.at("text")) + " the mat\n")
        << mode;
  }
}

TEST_F(Infill, PrefixAloneIsAPrompt) {
  const std::string text = result(generate("--prompt 'The cat'")).at("text");
  EXPECT_EQ(result(generate("--prefix 'The cat'")).at("text"), text);
  EXPECT_EQ(result(generate("--prefix 'The cat' --suffix ''")).at("text"), text);
  EXPECT_TRUE(result(generate("--suffix ' the mat' --max-tokens 4")).at("text").is_string());
}

TEST_F(Infill, TraceKnowsBothSides) {
  const std::string trace = path("trace.jsonl");
  result(generate("--prefix The --suffix ' mat' --max-tokens 6 --mode diffusion --trace " + trace));
  const Json header = Json::parse(read_bytes(trace).substr(0, read_bytes(trace).find('\n')));
  EXPECT_EQ(header.at("prompt"), "The");
  EXPECT_EQ(header.at("suffix"), " mat");
  // Behind the prefix, not behind the suffix: <|endoftext|> and at most three letters.
  EXPECT_GE(header.at("first_position"), 2);
  EXPECT_LE(header.at("first_position"), 4);
}

TEST_F(Infill, RefusesBadRequests) {
  expect_refusal(generate("--prompt a --prefix b"), 2, {"--prompt", "--prefix", "one of them"});
  expect_refusal(generate("--prompt a --edit 0:1 --suffix b"), 2, {"--edit", "--suffix"});
  const std::string words = "\"$(yes word | head -300)\"";
  expect_refusal(generate("--prefix " + words + " --suffix b --max-tokens 4"), 1,
                 {"context is 64", "shorten"});
  expect_refusal(generate("--prefix a --suffix " + words + " --max-tokens 4"), 1,
                 {"context is 64", "shorten"});
  // The suffix must fit behind the longest middle.
  expect_refusal(generate("--prefix a --suffix b --max-tokens 70"), 1, {"context is 64"});
}

/// Words of the text that the model is trained on, so that each is one token or few.
class Edit : public Generate {
 protected:
  static constexpr const char* kText = "The cat sat on the mat";

  [[nodiscard]] static std::string edit(const std::string& text, const std::string& more) {
    return generate("--prompt '" + text + "' " + more);
  }
};

TEST_F(Edit, OnlyTheSpanChanges) {
  for (const char* time : {"0.2", "0.6", "1"}) {
    const std::string command =
        edit(kText, "--seed 5 --edit 4:11 --edit-time " + std::string(time));
    const Json json = result(command);
    EXPECT_EQ(json.at("mode"), "diffusion");
    EXPECT_EQ(ascii_of(run(command).out), "The " + ascii_of(json.at("text")) + " on the mat\n");
  }
}

TEST_F(Edit, NearZeroTheOldTextStays) {
  for (const char* span : {"0:3", "4:7", "8:22", "0:22"}) {
    const std::string more = "--edit-time 0.001 --edit " + std::string(span);
    EXPECT_EQ(run(edit(kText, more)).out, std::string(kText) + "\n") << span;
  }
}

TEST_F(Edit, SpansCountCharactersNotBytes) {
  const std::string text = "\u00E9\u20AC\U0001F98A cat";  // of two, three and four bytes
  for (const auto& [span, middle] : {std::pair("0:1", "\u00E9"), std::pair("1:2", "\u20AC"),
                                     std::pair("1:3", "\u20AC\U0001F98A"),
                                     std::pair("2:4", "\U0001F98A "), std::pair("3:7", " cat")}) {
    EXPECT_EQ(result(edit(text, "--edit-time 0.001 --edit " + std::string(span))).at("text"),
              middle)
        << span;
  }
  expect_refusal(edit(text, "--edit 0:8"), 2, {"--edit 0:8", "only 7 characters"});
}

TEST_F(Edit, RefusesBadRequests) {
  for (const char* span : {"x", "3", "3:", ":3", "5:3", "3:3", "-1:3", "1:2:3", "1:2x", "''",
                           "' 1:2'", "1:99999999999999999999"}) {
    expect_refusal(edit(kText, "--edit " + std::string(span)), 2, {"--edit", "START:END", "10:25"});
  }
  expect_refusal(edit(kText, "--edit 0:23"), 2, {"--edit 0:23", "only 22 characters"});
  expect_refusal(generate("--edit 0:1"), 2, {"--edit 0:1", "only 0 characters"});
  for (const char* other : {"--mode exact", "--mode evo", "--balance 0.5", "--balance 0"}) {
    expect_refusal(edit(kText, "--edit 4:7 " + std::string(other)), 2,
                   {"--edit needs --mode diffusion"});
  }
  for (const char* time : {"0", "-0.5", "1.01", "nan"}) {
    expect_refusal(edit(kText, "--edit 4:7 --edit-time " + std::string(time)), 2,
                   {"--edit-time", time, "above 0, at most 1"});
  }
  EXPECT_EQ(run(edit(kText, "--edit 4:7 --balance 1 --mode diffusion")).code, 0);
  expect_refusal("generate " + ar_only() + " --prompt abc --edit 0:1", 1, {"flow=true"});
}

/// The trained model of the repository: the same text from both modes, in fewer passes.
TEST_F(Generate, TheShippedModel) {
  const std::string common = std::string("generate ") + EVO_SOURCE_DIR +
                             "/assets/evo-7m --prompt 'Once upon a time' --max-tokens 64 --mode ";
  const Json ar = result(common + "ar"), exact = result(common + "exact --window 8");
  EXPECT_EQ(ar.at("text"), exact.at("text"));
  EXPECT_LT(exact.at("passes").get<int>(), ar.at("passes").get<int>() * 9 / 10);
  // Whatever it says is no worse than 3 nats per token to itself; a random model is at log 4096.
  EXPECT_LT(ar.at("ar_nats_per_token").get<double>(), 3);
}

class Likelihood : public ProgramTest {
 protected:
  [[nodiscard]] static std::string score(const std::string& data, const std::string& more) {
    return "eval likelihood " + model() + " --data " + data + " --limit 100 " + more;
  }
};

TEST_F(Likelihood, ReportsEveryNumber) {
  for (const std::string way : {"ar", "diagonal", "block:8", "block:1000000"}) {
    const Json json = result(score(shared("text.txt"), "--path " + way));
    EXPECT_EQ(json.at("path"), way);
    EXPECT_EQ(json.at("bound"), way != "ar");
    EXPECT_EQ(json.at("tokens"), 100);
    const double nats = json.at("nats_per_token");
    EXPECT_GT(nats, 0);
    EXPECT_DOUBLE_EQ(json.at("perplexity").get<double>(), std::exp(nats));
    EXPECT_GT(json.at("bits_per_byte").get<double>(), 0);
    EXPECT_GE(json.at("stderr").get<double>(), 0);
  }
}

TEST_F(Likelihood, RefusesBadRequests) {
  write_bytes(path("empty.txt"), "");
  write_bytes(path("blank.txt"), "\n<|endoftext|>\n");
  expect_refusal(score(path("none.txt"), ""), 1, {"none.txt", "No such file"});
  expect_refusal(score(path("empty.txt"), ""), 1, {"empty.txt is empty", "expected a text"});
  expect_refusal(score(path("blank.txt"), ""), 1, {"no text", "--data"});
  for (const char* way : {"block", "block:", "block:0", "block:-1", "block:x", "block:99999999999",
                          "AR", "''", "diagonal:4"}) {
    expect_refusal(score(shared("text.txt"), "--path " + std::string(way)), 2,
                   {"--path", "\"ar\", \"diagonal\" or \"block:N\""});
  }
  expect_refusal(score(shared("text.txt"), "--limit -1"), 2, {"--limit"});
  expect_refusal(score(shared("text.txt"), "--context 0"), 2, {"--context"});
  expect_refusal(score(shared("text.txt"), "--samples 0"), 2, {"--samples"});
  expect_refusal("eval likelihood " + path("none") + " --data " + shared("text.txt"), 1,
                 {"none", "model folder"});
  expect_refusal("eval likelihood " + model(), 2, {"--data", "required"});
}

/// The shortest text there is: one token between the two that enclose a document.
TEST_F(Likelihood, ScoresASingleByte) {
  write_bytes(path("a.txt"), "x");
  const Json json = result(score(path("a.txt"), ""));
  EXPECT_EQ(json.at("tokens"), 2);
  EXPECT_GT(json.at("nats_per_token").get<double>(), 0);
}

TEST_F(Likelihood, ModelWithoutFlowHasOnePath) {
  const std::string eval = "eval likelihood " + model("ar-only", "--set flow=false") + " --data " +
                           shared("text.txt") + " --limit 100";
  EXPECT_EQ(result(eval).at("bound"), false);
  expect_refusal(eval + " --path diagonal", 1, {"no evolving stream", "the path ar"});
}

}  // namespace
}  // namespace evo::testing
