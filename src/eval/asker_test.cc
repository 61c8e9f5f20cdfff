#include "eval/asker.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "decode/testing.h"
#include "eval/chat_prompts.h"

namespace evo::eval {
namespace {

using testing::expect_error;
using testing::tiny_config;

class AskerTest : public ::testing::Test {
 protected:
  /// The log-likelihood of a text after another one.
  double score(const std::string& context, const std::string& text) const {
    Example example;
    example.choices = {{context, text}};
    const Asker asker(model_, tokenizer_, {});
    return asker.ask(std::span(&example, 1), 0).at(0).outcome.log_likelihood.at(0);
  }
  const tokenizer::Tokenizer tokenizer_ = tokenizer::Tokenizer::from_merges({});
  const model::Model model_ = testing::tiny_model(tiny_config(257), 2);
};

TEST_F(AskerTest, WhatTheTextBeginsWithItselfIsNotSaidTwice) {
  EXPECT_EQ(score("<|endoftext|>ab", " c"), score("ab", " c"));
  EXPECT_NE(score("<|endoftext|><|endoftext|>ab", " c"), score("ab", " c"))
      << "names of special tokens are these tokens";
}

TEST_F(AskerTest, WhiteSpaceAtTheEndOfAContextIsTheContinuations) {
  EXPECT_EQ(score("ab \n", "c"), score("ab", " \nc"));
  EXPECT_EQ(score("ab\u3000", "c"), score("ab", "\u3000c")) << "in Unicode's sense, as in Python";
}

std::string asked(const decltype(TaskOptions::chat)& prompts,
                  const std::vector<text::ChatMessage>& messages) {
  return prompts(messages);
}

constexpr std::string_view kTurns =
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}";

TEST(ChatPrompts, EndWhereTheAssistantBegins) {
  const auto prompts = chat_prompts(chat::ChatTemplate("t", kTurns, {}));
  EXPECT_EQ(asked(prompts, {{"system", "About."}, {"user", "q"}}),
            "[system]About.[user]q[assistant]");
}

TEST(ChatPrompts, ARefusedSystemIsLeftOut) {
  const std::string refusing =
      "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" +
      std::string(kTurns);
  const auto prompts = chat_prompts(chat::ChatTemplate("t", refusing, {}));
  EXPECT_EQ(asked(prompts, {{"system", "About."}, {"user", "q"}}), "[user]q[assistant]");
  const auto broken = chat_prompts(chat::ChatTemplate("t", "{{ raise_exception('never') }}", {}));
  expect_error([&] { asked(broken, {{"system", "About."}, {"user", "q"}}); }, {"never"});
  expect_error([&] { asked(broken, {{"user", "q"}}); }, {"never"});
}

}  // namespace
}  // namespace evo::eval
