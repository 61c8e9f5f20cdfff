#include "serve/api/request.h"

#include <gtest/gtest.h>

#include "serve/api/request_error.h"

namespace evo::serve {
namespace {

GenerationRequest completion(const std::string& members) {
  return parse_generation(Endpoint::kCompletion, R"({"prompt": "x")" + members + "}");
}

GenerationRequest chat(const std::string& members) {
  return parse_generation(Endpoint::kChat,
                          R"({"messages": [{"role": "user", "content": "x"}])" + members + "}");
}

/// The field that a request is refused for; "" for none, "?" if it is not refused.
std::string refused(Endpoint endpoint, const std::string& body) {
  try {
    (void)parse_generation(endpoint, body);
  } catch (const RequestError& error) {
    EXPECT_EQ(error.status(), kBadRequest) << body;
    EXPECT_NE(std::string(error.what()).find(error.param()), std::string::npos) << error.what();
    return error.param();
  }
  return "?";
}

void expect_refused(const std::string& field, const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    const std::string body = R"({"prompt": "x", ")" + field + "\": " + value + "}";
    EXPECT_EQ(refused(Endpoint::kCompletion, body), field) << body;
  }
}

TEST(Request, DefaultsAreOpenAis) {
  const GenerationRequest request = completion("");
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.sampler.temperature, 1);
  EXPECT_EQ(request.sampler.top_p, 1);
  EXPECT_EQ(request.sampler.top_k, 0);
  EXPECT_FALSE(request.seed || request.max_tokens || request.mode);
  EXPECT_FALSE(request.stream || request.include_usage || request.trace);
  EXPECT_LT(request.logprobs, 0);
  EXPECT_TRUE(request.unknown.empty());
}

TEST(Request, PromptsHaveFourForms) {
  const auto prompts = [](const std::string& prompt) {
    return parse_generation(Endpoint::kCompletion, R"({"prompt": )" + prompt + "}").prompts;
  };
  EXPECT_EQ(prompts(R"("a b")").at(0).text, "a b");
  EXPECT_EQ(prompts(R"("")").size(), 1u);
  EXPECT_EQ(prompts(R"(["a", "b"])").at(1).text, "b");
  EXPECT_EQ(prompts("[1, 2]").at(0).tokens, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(prompts("[[1], [2, 3]]").at(1).tokens, (std::vector<int32_t>{2, 3}));
  expect_refused("n", {"17", "0"});
  for (const char* bad : {"1", "{}", "[]", "[[]]", "[1.5]", "[-1]", "[99999999999]",
                          "[18446744073709551615]", "[true]", "[1, \"a\"]", "null"}) {
    EXPECT_EQ(refused(Endpoint::kCompletion, std::string(R"({"prompt": )") + bad + "}"), "prompt")
        << bad;
  }
  EXPECT_EQ(refused(Endpoint::kCompletion, R"({"prompt": ["a", "b"], "n": 9})"), "prompt");
  EXPECT_EQ(refused(Endpoint::kCompletion, "{}"), "prompt");
}

TEST(Request, FieldsAreRead) {
  const GenerationRequest request = completion(
      R"(, "n": 2, "stream": true, "stop": ["a", "b"], "seed": 5, "max_tokens": 7,
      "temperature": 0.5, "top_p": 0.9, "top_k": 4, "logprobs": 3, "mode": "evo", "balance": 0.25,
      "window": 6, "steps": 2, "trace": true, "stream_options": {"include_usage": true},
      "model": "m", "user": "u", "echo": false, "suffix": null, "logit_bias": {},
      "presence_penalty": 0, "response_format": {"type": "text"}, "best_of": 1)");
  EXPECT_EQ(request.n, 2);
  EXPECT_TRUE(request.stream && request.include_usage && request.trace);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.seed, 5u);
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_EQ(request.sampler.temperature, 0.5);
  EXPECT_EQ(request.sampler.top_p, 0.9);
  EXPECT_EQ(request.sampler.top_k, 4);
  EXPECT_EQ(request.logprobs, 3);
  EXPECT_EQ(request.mode, decode::Mode::kEvo);
  EXPECT_EQ(request.balance, 0.25);
  EXPECT_EQ(request.window, 6);
  EXPECT_EQ(request.steps, 2);
  EXPECT_EQ(request.model, "m");
  EXPECT_TRUE(request.unknown.empty()) << request.unknown[0];
}

TEST(Request, WrongTypesAndValuesAreRefusedByName) {
  expect_refused("n", {"\"2\"", "1.5", "-1", "true", "[]"});
  expect_refused("stream", {"1", "\"true\""});
  expect_refused("stop",
                 {"1", "[1]", "\"\"", "[\"\"]", "{}",
                  R"(["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"])"});
  expect_refused("seed", {"-2", "1.5", "\"1\"", "18446744073709551615", "1e300"});
  expect_refused("max_tokens", {"0", "-5", "\"9\"", "2147483648"});
  expect_refused("temperature", {"-0.1", "101", "\"1\""});
  expect_refused("top_p", {"-0.5", "1.1", "-1", "true"});
  expect_refused("top_k", {"-2", "0.5"});
  expect_refused("logprobs", {"21", "-1", "true"});
  expect_refused("frequency_penalty", {"2.5", "\"x\""});
  expect_refused("presence_penalty", {"-3", "[]"});
  expect_refused("repetition_penalty", {"0", "-1", "101", "\"1\""});
  expect_refused("logit_bias",
                 {"[[5, 1]]", "1", R"({"5": 101})", R"({"5": "1"})", R"({"x": 1})", R"({"": 1})",
                  R"({"-1": 1})", R"({"5 ": 1})", R"({"9999999999": 1})"});
  expect_refused("mode", {"\"fast\"", "1", "\"\""});
  expect_refused("balance", {"-0.1", "1.5", "\"0\""});
  expect_refused("window", {"-1", "1025"});
  expect_refused("steps", {"0", "5000"});
  expect_refused("trace", {"true", "1"});  // without a stream
  expect_refused("stream_options", {"{}", "1"});
  expect_refused("model", {"1"});
  expect_refused("user", {"1"});
}

TEST(Request, WhatIsNotSupportedIsSaid) {
  expect_refused("echo", {"true"});
  expect_refused("suffix", {"\"end\""});
  expect_refused("best_of", {"2"});
  expect_refused("tools", {R"([{"type": "function"}])"});
  EXPECT_EQ(refused(Endpoint::kCompletion,
                    R"({"prompt": "x", "response_format": {"type": "json_object"}, "balance": 1})"),
            "response_format");
  EXPECT_EQ(refused(Endpoint::kCompletion, R"({"prompt": "x", "logprobs": 1, "balance": 1})"),
            "logprobs");
}

/// What other servers would honour must not be taken as if it were.
TEST(Request, FieldsThatWouldChangeTheTextAreRefused) {
  const std::pair<const char*, std::vector<std::string>> fields[] = {
      {"grammar", {R"("root ::= x")"}},
      {"json_schema", {R"({"type": "object"})"}},
      {"guided_json", {R"({"type": "object"})", R"("{}")"}},
      {"guided_regex", {R"("a+")"}},
      {"guided_choice", {R"(["a", "b"])"}},
      {"guided_grammar", {R"("x")"}},
      {"structured_outputs", {R"({"regex": "a+"})"}},
      {"min_p", {"0.05", "\"x\"", "true"}},
      {"repeat_penalty", {"1.1"}},
      {"typical_p", {"0.9"}},
      {"mirostat", {"2"}},
      {"dry_multiplier", {"0.8"}},
      {"xtc_probability", {"0.5"}},
      {"stop_token_ids", {"[2]"}},
      {"ignore_eos", {"true"}},
      {"min_tokens", {"5"}},
      {"n_probs", {"3"}},
      {"chat_template_kwargs", {R"({"enable_thinking": false})"}},  // of a completion
      {"chat_template", {R"("{{ x }}")"}},
      {"reasoning_effort", {R"("low")"}},
      {"tool_choice", {R"("auto")", R"({"type": "function"})"}},
      {"functions", {R"([{"name": "f"}])"}},
      {"continue_final_message", {"true"}},
      {"use_beam_search", {"true"}},
      {"max_new_tokens", {"10"}},
      {"skip_special_tokens", {"false"}},
  };
  for (const auto& [name, values] : fields) expect_refused(name, values);
  for (const char* endpoint : {"tool_calls", "function_call"}) {
    EXPECT_EQ(refused(Endpoint::kChat,
                      fmt::format(R"({{"messages": [{{"role": "assistant", "content": "x",
                                                     "{}": [1]}}]}})",
                                  endpoint)),
              fmt::format("messages[0].{}", endpoint));
  }
}

/// What changes nothing is sent by many clients.
TEST(Request, NeutralValuesAreTaken) {
  const GenerationRequest request = completion(
      R"(, "min_p": 0, "repetition_penalty": 1.0, "repeat_penalty": 1, "tools": [],
      "tool_choice": "none", "functions": null, "typical_p": 1.0, "mirostat": 0, "grammar": "",
      "stop_token_ids": [], "ignore_eos": false, "min_tokens": 0, "n_probs": 0, "best_of": null,
      "chat_template_kwargs": {}, "guided_json": null, "skip_special_tokens": true,
      "logit_bias": [], "suffix": "", "reasoning_effort": null, "temperature": null)");
  EXPECT_TRUE(request.unknown.empty()) << request.unknown[0];
  EXPECT_EQ(request.sampler.temperature, 1);
}

TEST(Request, OtherServersWordsForTheDefault) {
  const GenerationRequest request =
      completion(R"(, "max_tokens": -1, "seed": -1, "top_k": -1, "top_p": 0)");
  EXPECT_FALSE(request.max_tokens || request.seed);
  EXPECT_EQ(request.sampler.top_k, 0);
  EXPECT_EQ(request.sampler.top_p, 1);
  EXPECT_EQ(completion(R"(, "top_k": 0, "n_predict": -1)").sampler.top_k, 0);
  EXPECT_EQ(completion(R"(, "max_completion_tokens": 5, "max_tokens": -1)").max_tokens, 5);
}

TEST(Request, TheModelsDefaultsCountWhereNothingElseIsSaid) {
  const decode::GenerationDefaults defaults{
      .temperature = 0.6, .top_k = 20, .top_p = 0.9, .repetition_penalty = 1.1};
  const GenerationRequest silent =
      parse_generation(Endpoint::kCompletion, R"({"prompt": "x", "top_p": 0})", defaults);
  EXPECT_EQ(silent.sampler.temperature, 0.6);
  EXPECT_EQ(silent.sampler.top_k, 20);
  EXPECT_EQ(silent.sampler.top_p, 0.9);
  EXPECT_EQ(silent.shape.repetition_penalty, 1.1);
  const GenerationRequest said = parse_generation(
      Endpoint::kCompletion,
      R"({"prompt": "x", "temperature": 0, "top_k": -1, "top_p": 1, "repetition_penalty": 1})",
      defaults);
  EXPECT_EQ(said.sampler.temperature, 0);
  EXPECT_EQ(said.sampler.top_k, 0);
  EXPECT_EQ(said.sampler.top_p, 1);
  EXPECT_EQ(said.shape.repetition_penalty, 1);
}

TEST(Request, ChatsHaveVariablesOfTheirTemplate) {
  const auto chat = [](const char* variables) {
    return parse_generation(Endpoint::kChat,
                            fmt::format(R"({{"messages": [{{"role": "user", "content": "x"}}],
                        "chat_template_kwargs": {}}})",
                                        variables));
  };
  EXPECT_EQ(chat(R"({"enable_thinking": false})").template_kwargs, R"({"enable_thinking":false})");
  EXPECT_EQ(chat("null").template_kwargs, "");
  EXPECT_THROW((void)chat("[1]"), RequestError);
}

TEST(Request, BiasesAndPenalties) {
  const decode::ShapeOptions shape =
      completion(R"(, "presence_penalty": 0.5, "frequency_penalty": -1.5,
      "logit_bias": {"7": -100, "0": 2.5})")
          .shape;
  EXPECT_EQ(shape.presence_penalty, 0.5);
  EXPECT_EQ(shape.frequency_penalty, -1.5);
  EXPECT_EQ(shape.bias, (std::vector<std::pair<int32_t, float>>{{7, -100.0f}, {0, 2.5f}}));
  EXPECT_TRUE(decode::Shaper(completion("").shape).is_idle());
}

TEST(Request, FormatsOfBothWorlds) {
  EXPECT_FALSE(completion(R"(, "response_format": {"type": "text"})").json);
  const GenerationRequest any = completion(R"(, "response_format": {"type": "json_object"})");
  EXPECT_TRUE(any.json && any.schema.empty());
  const GenerationRequest theirs =
      completion(R"(, "response_format": {"type": "json_object", "schema": {"type": "integer"}})");
  EXPECT_TRUE(theirs.json);
  EXPECT_EQ(theirs.schema, R"({"type":"integer"})");
  EXPECT_EQ(chat(R"(, "response_format": {"type": "json_schema", "json_schema": {"name": "n",
      "strict": true, "schema": {"b": 1, "a": 2}}})")
                .schema,
            R"({"b":1,"a":2})");
  const auto refused_format = [](const std::string& format) {
    return refused(Endpoint::kCompletion, R"({"prompt": "x", "response_format": )" + format + "}");
  };
  EXPECT_EQ(refused_format("1"), "response_format");
  EXPECT_EQ(refused_format("{}"), "response_format.type");
  EXPECT_EQ(refused_format(R"({"type": "xml"})"), "response_format.type");
  EXPECT_EQ(refused_format(R"({"type": "json_schema"})"), "response_format.json_schema");
  EXPECT_EQ(refused_format(R"({"type": "json_schema", "json_schema": {}})"),
            "response_format.json_schema.schema");
}

TEST(Request, BalanceAndModeAgree) {
  EXPECT_EQ(completion(R"(, "balance": 0)").mode, decode::Mode::kExact);
  EXPECT_EQ(completion(R"(, "balance": 1)").mode, decode::Mode::kDiffusion);
  EXPECT_EQ(completion(R"(, "balance": 0.5)").mode, decode::Mode::kEvo);
  EXPECT_EQ(completion(R"(, "mode": "ar")").mode, decode::Mode::kAr);
  EXPECT_EQ(refused(Endpoint::kCompletion, R"({"prompt": "x", "balance": 0.5, "mode": "ar"})"),
            "mode");
}

TEST(Request, MessagesAreTextsOfKnownSpeakers) {
  const GenerationRequest request =
      parse_generation(Endpoint::kChat,
                       R"({"messages": [{"role": "developer", "content": "a", "name": "n"},
          {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]}],
          "max_completion_tokens": 3, "logprobs": true, "top_logprobs": 2})");
  ASSERT_EQ(request.messages.size(), 2u);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[1].content, "bc");
  EXPECT_EQ(request.max_tokens, 3);
  EXPECT_EQ(request.logprobs, 2);
  EXPECT_EQ(chat(R"(, "logprobs": true)").logprobs, 0);
  EXPECT_LT(chat("").logprobs, 0);
  const auto refused_messages = [](const std::string& messages) {
    return refused(Endpoint::kChat, R"({"messages": )" + messages + "}");
  };
  EXPECT_EQ(refused_messages("[]"), "messages");
  EXPECT_EQ(refused_messages("\"x\""), "messages");
  EXPECT_EQ(refused_messages("[1]"), "messages[0]");
  EXPECT_EQ(refused_messages(R"([{"role": "user"}])"), "messages[0].content");
  EXPECT_EQ(refused_messages(R"([{"content": "x"}])"), "messages[0].role");
  EXPECT_EQ(refused_messages(R"([{"role": "tool", "content": "x"}])"), "messages[0].role");
  EXPECT_EQ(refused_messages(R"([{"role": "user", "content": [{"type": "image_url"}]}])"),
            "messages[0].content");
  EXPECT_EQ(refused(Endpoint::kChat,
                    R"({"messages": [{"role": "user", "content": "x"}], "top_logprobs": 2})"),
            "top_logprobs");
}

TEST(Request, AGapHasNamesOfBothWorlds) {
  const GenerationRequest ours =
      parse_generation(Endpoint::kInfill, R"({"prefix": "a", "suffix": "b", "n_predict": 4})");
  EXPECT_EQ(ours.prefix + "|" + ours.suffix, "a|b");
  EXPECT_EQ(ours.max_tokens, 4);
  const GenerationRequest theirs =
      parse_generation(Endpoint::kInfill, R"({"input_prefix": "a", "input_suffix": "b"})");
  EXPECT_EQ(theirs.prefix + "|" + theirs.suffix, "a|b");
  EXPECT_EQ(refused(Endpoint::kInfill, R"({"prefix": "a", "input_prefix": "a"})"), "input_prefix");
  EXPECT_EQ(refused(Endpoint::kInfill, R"({"prefix": 1})"), "prefix");
}

TEST(Request, UnknownFieldsAreNamed) {
  EXPECT_EQ(completion(R"(, "bar": 0.1, "foo": null)").unknown,
            (std::vector<std::string>{"bar", "foo"}));
  const GenerationRequest chat = parse_generation(
      Endpoint::kChat, R"({"messages": [{"role": "user", "content": "x", "name": "Ada"}]})");
  EXPECT_EQ(chat.unknown, (std::vector<std::string>{"messages[0].name"}));
}

TEST(Request, WhatIsNoJsonObjectIsRefused) {
  for (const char* body : {"", "{", "[]", "1", "{\"prompt\": \"\xFF\"}", "{\"a\": 1, \"a\": 2}"}) {
    EXPECT_EQ(refused(Endpoint::kCompletion, body), "") << body;
  }
  EXPECT_EQ(refused(Endpoint::kCompletion, R"({"prompt": )" + std::string(100'000, '[')), "");
}

TEST(Request, TokenizeAndDetokenize) {
  EXPECT_EQ(parse_tokenize(R"({"content": "hi"})").text, "hi");
  EXPECT_TRUE(parse_tokenize(R"({"content": "hi", "add_special": true})").framed);
  EXPECT_THROW((void)parse_tokenize(R"({"content": 1})"), RequestError);
  EXPECT_THROW((void)parse_tokenize("{}"), RequestError);
  EXPECT_EQ(parse_detokenize(R"({"tokens": [1, 2]})"), (std::vector<int32_t>{1, 2}));
  EXPECT_TRUE(parse_detokenize(R"({"tokens": []})").empty());
  for (const char* bad :
       {R"({"tokens": "x"})", R"({"tokens": [1.5]})", R"({"tokens": [-1]})", "{}"}) {
    EXPECT_THROW((void)parse_detokenize(bad), RequestError) << bad;
  }
}

}  // namespace
}  // namespace evo::serve
