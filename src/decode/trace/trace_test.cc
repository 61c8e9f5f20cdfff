#include "decode/trace/trace.h"

#include <cmath>
#include <numeric>

#include "base/testing.h"
#include "decode/generate.h"
#include "decode/session/session_testing.h"
#include "decode/trace/trace_testing.h"
#include "files/text_writer.h"
#include "json/record.h"

namespace evo::decode {
namespace {

using testing::expect_error;
using testing::small_trace;
using testing::TemporaryFolder;
using testing::write_bytes;

std::string lines_of(const Trace& trace) {
  std::string text = trace_line(trace.header);
  for (const TracePass& pass : trace.passes) text += trace_line(pass);
  return text;
}

TEST(Trace, WhatIsReadIsWhatWasWritten) {
  const TemporaryFolder folder;
  const Trace trace = small_trace();
  for (const char* name : {"trace.jsonl", "trace.jsonl.zst"}) {
    files::TextWriter writer(folder / name);
    writer.write(lines_of(trace));
    writer.commit();
    const Trace read = read_trace(folder / name);
    EXPECT_EQ(lines_of(read), lines_of(trace));
    EXPECT_EQ(read.header.seed, "18446744073709551615");
    EXPECT_EQ(read.header.axis_y, trace.header.axis_y);
    ASSERT_EQ(read.passes.size(), 2u);
    const TracePass& pass = read.passes[1];
    EXPECT_EQ(pass.committed, (std::vector<int64_t>{11, 19}));
    EXPECT_EQ(pass.committed_texts, (std::vector<std::string>{" cat", "\nand"}));
    ASSERT_EQ(pass.tokens.size(), 1u);
    EXPECT_EQ(pass.tokens[0].maturity, 0.5);
    EXPECT_EQ(pass.tokens[0].top_texts, (std::vector<std::string>{"<\"d\">", " e"}));
    EXPECT_EQ(pass.tokens[0].z2, (std::vector<double>{-0.25, 1.5}));
  }
}

TEST(Trace, HasTheKeysOfItsFormat) {
  const Trace trace = small_trace();
  const json::Record header = json::Record::parse(trace_line(trace.header), "header");
  EXPECT_EQ(header.keys(), (std::vector<std::string>{"format", "version", "mode", "balance", "seed",
                                                     "prompt", "suffix", "first_position",
                                                     "code_size", "center", "axis_x", "axis_y"}));
  const json::Record pass = json::Record::parse(trace_line(trace.passes[1]), "pass");
  EXPECT_EQ(pass.keys(), (std::vector<std::string>{"pass", "text", "committed", "committed_texts",
                                                   "drafted", "accepted", "rows", "tokens"}));
  EXPECT_EQ(pass.get_records("tokens").at(0).keys(),
            (std::vector<std::string>{"position", "token", "text", "t", "entropy", "maturity",
                                      "top", "top_texts", "z2"}));
}

/// At the end of a line a shorter trace ends; anywhere else it is an error.
TEST(Trace, CutShortAnywhere) {
  const TemporaryFolder folder;
  const auto file = folder / "cut.jsonl";
  const std::string text = lines_of(small_trace());
  for (size_t length = 0; length < text.size(); ++length) {
    write_bytes(file, text.substr(0, length));
    if (length > 0 && text[length - 1] == '\n') {
      EXPECT_LT(read_trace(file).passes.size(), 2u);
    } else {
      expect_error([&] { (void)read_trace(file); }, {file.string()});
    }
  }
}

TEST(Trace, NamesTheFault) {
  const TemporaryFolder folder;
  const auto file = folder / "a.jsonl";
  const std::string header = trace_line(small_trace().header);
  const auto expect_fault = [&](const std::string& text,
                                std::initializer_list<std::string_view> parts) {
    write_bytes(file, text);
    expect_error([&] { (void)read_trace(file); }, {file.string()});
    expect_error([&] { (void)read_trace(file); }, parts);
  };
  const auto changed = [](std::string text, std::string_view from, std::string_view to) {
    return text.replace(text.find(from), from.size(), to);
  };
  expect_fault("", {"is empty"});
  expect_fault("{\"pass\":0}\n", {"line 1", "not a trace"});
  expect_fault("not JSON\n", {"line 1", "not valid JSON"});
  expect_fault(changed(header, "\"version\":1", "\"version\":2"), {"version 2", "reads version 1"});
  expect_fault(changed(header, "\"seed\"", "\"sead\""), {"line 1", "\"seed\" is missing"});
  expect_fault(changed(header, "\"first_position\":3", "\"first_position\":-3"),
               {"first_position", "-3"});
  const std::string pass = trace_line(small_trace().passes[1]);
  expect_fault(header + changed(pass, "[11,19]", "[11]"), {"line 2", "1 tokens", "has 2"});
  expect_fault(header + pass + changed(pass, "0.5", "\"0.5\""), {"line 3", "\"maturity\""});
  expect_fault(header + changed(pass, "\"top\":[20,21]", "\"top\":[]"), {"line 2", "top_texts"});
  expect_error([&] { (void)read_trace(folder / "none"); }, {"none", "No such file"});
}

TEST(Trace, CountsTokensPerForward) {
  const Trace trace = small_trace();
  EXPECT_EQ(committed_tokens(trace.passes), 3);
  EXPECT_EQ(tokens_per_forward(trace.passes), 1.5);
  EXPECT_EQ(tokens_per_forward({}), 0);
}

TEST(Trace, UncommittedTokens) {
  Trace trace = small_trace();
  EXPECT_EQ(uncommitted(trace.header, trace.passes[0]).size(), 2u);
  trace.header.mode = "diffusion";  // whose first token is then the one that was committed
  const auto left = uncommitted(trace.header, trace.passes[0]);
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].position, 5);
  EXPECT_EQ(uncommitted(trace.header, trace.passes[1]).size(), 0u);
}

/// A generation with its trace and what the session itself said.
struct Traced {
  Trace trace;
  std::vector<PassTrace> passes;
  Generation result;
};

Traced traced(const model::Model& model, const tokenizer::Tokenizer& tokenizer, Mode mode,
              std::string_view text, int64_t max_tokens) {
  GenerateOptions options;
  options.decode = testing::options_of(mode, max_tokens);
  options.decode.trace = true;
  const Decoder decoder(model);
  const Prompt prompt = text_prompt(tokenizer, text);
  const Tracer tracer(decoder, tokenizer, options.decode, prompt, text, "");
  Traced all;
  all.trace.header = tracer.header();
  all.result = generate(decoder, tokenizer, prompt, options,
                        [&](std::string_view piece, const PassTrace& pass) {
                          all.passes.push_back(pass);
                          all.trace.passes.push_back(tracer.record(piece, pass));
                        });
  return all;
}

TEST(Tracer, TextIsWholeThoughTokensAreNot) {
  const tokenizer::Tokenizer bytes = tokenizer::Tokenizer::from_merges({});
  const model::Model model = testing::reciting_model(bytes, ">x\u20ACy");
  const Traced all = traced(model, bytes, Mode::kAr, ">", 100);
  std::string text, tokens;
  for (const TracePass& pass : all.trace.passes) {
    text += pass.text;
    for (const std::string& token : pass.committed_texts) tokens += token;
  }
  EXPECT_EQ(text, "x\u20ACy");
  EXPECT_EQ(tokens, "x\uFFFD\uFFFD\uFFFDy");  // each byte of the euro sign is a token
  EXPECT_EQ(all.trace.header.prompt, ">");
  EXPECT_EQ(all.trace.header.first_position, 2);  // behind <|endoftext|> and >
}

/// Random weights; tokens are bytes.
const model::Model& byte_model() {
  static const model::Model model = testing::tiny_model(testing::tiny_config(257), 4);
  return model;
}

TEST(Tracer, TextsAreUtf8) {
  const tokenizer::Tokenizer bytes = tokenizer::Tokenizer::from_merges({});
  const Decoder decoder(byte_model());
  const Prompt prompt = text_prompt(bytes, "a");
  const Tracer tracer(decoder, bytes, {}, prompt, "a\xFFz", "\xE2\x82");
  EXPECT_EQ(tracer.header().prompt, "a\uFFFDz");
  EXPECT_EQ(tracer.header().suffix, "\uFFFD");
  EXPECT_EQ(tracer.record("\x80\u20AC\xF0\x9F", {}).text, "\uFFFD\u20AC\uFFFD");
}

TEST(Tracer, RecordsWhatTheSessionSaid) {
  const tokenizer::Tokenizer bytes = tokenizer::Tokenizer::from_merges({});
  for (const Mode mode : testing::kModes) {
    SCOPED_TRACE(mode_name(mode));
    const Traced all = traced(byte_model(), bytes, mode, "ab", 30);
    const Trace& trace = all.trace;
    EXPECT_EQ(trace.header.mode, mode_name(mode));
    ASSERT_EQ(trace.passes.size(), static_cast<size_t>(all.result.passes));
    EXPECT_EQ(committed_tokens(trace.passes), std::ssize(all.result.tokens));
    EXPECT_EQ(tokens_per_forward(trace.passes), all.result.tokens_per_forward());
    size_t tokens = 0;
    for (size_t p = 0; p < trace.passes.size(); ++p) {
      const TracePass& pass = trace.passes[p];
      EXPECT_EQ(pass.pass, static_cast<int64_t>(p));
      EXPECT_EQ(pass.rows, all.passes[p].rows);
      ASSERT_EQ(pass.tokens.size(), all.passes[p].tokens.size());
      tokens += pass.tokens.size();
      for (size_t i = 0; i < pass.tokens.size(); ++i) {
        const TraceToken& token = pass.tokens[i];
        const TokenTrace& said = all.passes[p].tokens[i];
        EXPECT_EQ(token.position, said.position);
        // Half of the last digit that is kept, and the rounding of the sum.
        EXPECT_NEAR(token.maturity, said.maturity, 0.5001e-4);
        EXPECT_NEAR(token.time, said.time, 0.5001e-4);
        EXPECT_EQ(token.top.size(), 5u);
        EXPECT_EQ(token.top.front(), said.token);  // greedy
        EXPECT_EQ(token.top_texts.size(), 5u);
      }
    }
    EXPECT_EQ(tokens > 0, mode != Mode::kAr);
  }
}

TEST(Tracer, ProjectsOnThePlaneOfTheCodes) {
  const tokenizer::Tokenizer bytes = tokenizer::Tokenizer::from_merges({});
  const Traced all = traced(byte_model(), bytes, Mode::kDiffusion, "ab", 10);
  const TraceHeader& header = all.trace.header;
  ASSERT_EQ(header.code_size, 8);
  ASSERT_EQ(header.center.size(), 8u);
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  // Eight products of numbers below 1, each rounded to 1e-16.
  EXPECT_NEAR(dot(header.axis_x, header.axis_x), 1, 1e-14);
  EXPECT_NEAR(dot(header.axis_y, header.axis_y), 1, 1e-14);
  EXPECT_NEAR(dot(header.axis_x, header.axis_y), 0, 1e-14);
  for (size_t p = 0; p < all.passes.size(); ++p) {
    for (size_t i = 0; i < all.passes[p].tokens.size(); ++i) {
      const std::vector<float>& z = all.passes[p].tokens[i].latent;
      std::vector<double> offset(z.begin(), z.end());
      for (size_t k = 0; k < offset.size(); ++k) offset[k] -= header.center[k];
      const std::vector<double>& z2 = all.trace.passes[p].tokens[i].z2;
      ASSERT_EQ(z2.size(), 2u);
      EXPECT_NEAR(z2[0], dot(header.axis_x, offset), 0.5001e-4);
      EXPECT_NEAR(z2[1], dot(header.axis_y, offset), 0.5001e-4);
    }
  }
}

TEST(Tracer, ModelWithoutEvolvingStream) {
  model::ModelConfig config = testing::tiny_config(257);
  config.flow = false;
  const Traced all = traced(testing::tiny_model(config, 2), tokenizer::Tokenizer::from_merges({}),
                            Mode::kAr, "a", 5);
  EXPECT_EQ(all.trace.header.code_size, 0);
  EXPECT_TRUE(all.trace.header.center.empty());
  EXPECT_GT(committed_tokens(all.trace.passes), 0);
}

}  // namespace
}  // namespace evo::decode
