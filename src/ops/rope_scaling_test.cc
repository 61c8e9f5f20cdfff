#include "ops/rope_scaling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"

namespace evo::ops {
namespace {

struct Expected {
  size_t index;
  double frequency;
};

/// The expected numbers are those of Hugging Face's formulas, worked out in Python.
void expect_frequencies(const RopeFrequencies& found, std::initializer_list<Expected> expected) {
  for (const auto& [index, frequency] : expected) {
    EXPECT_NEAR(found.per_position.at(index) / frequency, 1, 1e-12) << index;
  }
}

RopeScaling scaling(const char* type, double factor, int64_t original) {
  RopeScaling made;
  made.rope_type = type;
  made.factor = factor;
  made.original_max_position_embeddings = original;
  return made;
}

TEST(RopeScaling, DefaultAndLinear) {
  const RopeFrequencies plain = rope_frequencies(128, 500000);
  expect_frequencies(plain, {{0, 1.0}, {20, 0.016560440080994446}, {63, 2.455140791131609e-06}});
  EXPECT_EQ(plain.per_position.size(), 64u);
  const RopeFrequencies linear = rope_frequencies(128, 500000, scaling("linear", 4, 0));
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(linear.per_position[i], plain.per_position[i] / 4);
  }
  EXPECT_EQ(linear.attention_factor, 1);
}

TEST(RopeScaling, Llama3) {  // Llama-3.1-8B's
  const RopeFrequencies found = rope_frequencies(128, 500000, scaling("llama3", 8, 8192));
  expect_frequencies(found, {{0, 1.0},
                             {28, 0.003211445994752591},
                             {29, 0.002166570763503359},
                             {32, 0.0005248461609929547},
                             {35, 9.556212353964683e-05},
                             {63, 3.068925988914511e-07}});
  EXPECT_EQ(found.attention_factor, 1);
}

TEST(RopeScaling, Yarn) {  // Qwen2.5's, for heads of 64
  RopeScaling yarn = scaling("yarn", 4, 32768);
  RopeFrequencies found = rope_frequencies(64, 1e6, yarn);
  expect_frequencies(found, {{10, 0.01333521432163324},
                             {15, 0.0010266176840396614},
                             {20, 4.445698525097307e-05},
                             {31, 3.84981631514873e-07}});
  EXPECT_DOUBLE_EQ(found.attention_factor, 0.1 * std::log(4.0) + 1);
  yarn.truncate = false;
  expect_frequencies(rope_frequencies(64, 1e6, yarn),
                     {{10, 0.01333521432163324}, {15, 0.0010792377416765538}});
}

TEST(RopeScaling, AttentionFactorOfYarn) {
  RopeScaling yarn = scaling("yarn", 40, 4096);
  yarn.mscale = 0.7;
  EXPECT_DOUBLE_EQ(rope_frequencies(64, 1e4, yarn).attention_factor, 0.1 * std::log(40.0) + 1);
  yarn.mscale_all_dim = 1.4;
  EXPECT_DOUBLE_EQ(rope_frequencies(64, 1e4, yarn).attention_factor,
                   (0.07 * std::log(40.0) + 1) / (0.14 * std::log(40.0) + 1));
  yarn.attention_factor = 1.25;
  EXPECT_EQ(rope_frequencies(64, 1e4, yarn).attention_factor, 1.25);
}

TEST(RopeScaling, LongRopeDividesEachFrequency) {
  RopeScaling longrope = scaling("longrope", 32, 4096);
  longrope.short_factor = {1, 2, 4};
  const RopeFrequencies plain = rope_frequencies(6, 1e4),
                        found = rope_frequencies(6, 1e4, longrope);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_DOUBLE_EQ(found.per_position[i], plain.per_position[i] / longrope.short_factor[i]);
  }
  EXPECT_DOUBLE_EQ(found.attention_factor, std::sqrt(1 + std::log(32.0) / std::log(4096.0)));
  longrope.attention_factor = 1.5;
  EXPECT_EQ(rope_frequencies(6, 1e4, longrope).attention_factor, 1.5);
  EXPECT_THROW((void)rope_frequencies(8, 1e4, longrope), Error);
}

void expect_rejected(const char* type, const std::function<void(RopeScaling&)>& change) {
  RopeScaling made = scaling(type, 4, 1024);
  ASSERT_NO_THROW(made.validate());
  change(made);
  EXPECT_THROW(made.validate(), Error);
}

TEST(RopeScaling, RejectsTheImpossible) {
  expect_rejected("linear", [](RopeScaling& s) { s.rope_type = "mrope"; });
  expect_rejected("longrope", [](RopeScaling& s) { s.short_factor = {1, 0}; });
  expect_rejected("longrope", [](RopeScaling& s) { s.original_max_position_embeddings = 1; });
  expect_rejected("linear", [](RopeScaling& s) { s.factor = 0; });
  expect_rejected("linear", [](RopeScaling& s) { s.factor = NAN; });
  expect_rejected("llama3", [](RopeScaling& s) { s.original_max_position_embeddings = 0; });
  expect_rejected("llama3", [](RopeScaling& s) { s.low_freq_factor = 0; });
  expect_rejected("llama3", [](RopeScaling& s) { s.high_freq_factor = s.low_freq_factor; });
  expect_rejected("llama3", [](RopeScaling& s) { s.high_freq_factor = NAN; });
  expect_rejected("yarn", [](RopeScaling& s) { s.original_max_position_embeddings = -1; });
  expect_rejected("yarn", [](RopeScaling& s) { s.beta_slow = 64; });
  expect_rejected("yarn", [](RopeScaling& s) { s.beta_fast = NAN; });
  expect_rejected("yarn", [](RopeScaling& s) { s.attention_factor = -1; });
  expect_rejected("yarn", [](RopeScaling& s) { s.mscale = NAN; });
}

}  // namespace
}  // namespace evo::ops
