#include "flow/code_posterior.h"

#include "flow/testing.h"

namespace evo::flow {
namespace {

TEST(CodePosterior, EntropiesAgreeWithDoublePrecision) {
  constexpr int kVocabulary = 37, kWidth = 5;  // 37: the last block is padded
  const std::vector<double> codes = testing::random_codes(kVocabulary, kWidth, 0.5, 4);
  const std::vector<double> prior = testing::random_distribution(kVocabulary, 1.5, 4);
  const CodePosterior posterior(testing::to_float(codes), kWidth, testing::to_float(prior), 0);
  EXPECT_NEAR(posterior.entropy(), testing::entropy(prior), 1e-6);
  std::vector<float> normal(kWidth);
  Random(4).fill_normal(normal);
  const std::vector<double> log_snr = {-6, -2, 0, 1, 2, 3};
  std::vector<double> found(log_snr.size());
  constexpr size_t kToken = 11;
  posterior.entropies(kToken, normal, log_snr, found);
  for (size_t level = 0; level < log_snr.size(); ++level) {
    const double g = std::exp(log_snr[level]);
    double expected = 0;
    for (const double sign : {1.0, -1.0}) {
      std::vector<double> p(kVocabulary);
      for (size_t v = 0; v < p.size(); ++v) {
        p[v] = std::log(prior[v]);
        for (size_t k = 0; k < kWidth; ++k) {
          p[v] += codes[v * kWidth + k] * (g * codes[kToken * kWidth + k] +
                                           sign * std::sqrt(g) * static_cast<double>(normal[k]));
        }
      }
      testing::normalise_logits(p);
      expected += 0.5 * testing::entropy(p);
    }
    // f32 logits of up to g * 2 d = 200, ten roundings of 6e-8 each, move p by 1e-4 at most.
    EXPECT_NEAR(found[level], expected, 1e-4) << g;
  }
}

TEST(CodePosterior, DrawsTokensByQuantile) {
  const std::vector<float> codes = {1, 1, 1, -1, -1, 1, -1, -1};
  const CodePosterior posterior(codes, 2, std::vector<float>{0.25f, 0.5f, 0.0f, 0.25f}, 0);
  EXPECT_EQ(posterior.token_at(0.0), 0);
  EXPECT_EQ(posterior.token_at(0.2), 0);
  EXPECT_EQ(posterior.token_at(0.3), 1);
  EXPECT_EQ(posterior.token_at(0.74), 1);
  EXPECT_EQ(posterior.token_at(0.76), 2);  // the unused token takes no index
  EXPECT_EQ(posterior.token_at(0.9999999), 2);
}

}  // namespace
}  // namespace evo::flow
