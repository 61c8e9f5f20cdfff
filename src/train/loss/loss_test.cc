#include "train/loss/loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string>

#include "ops/testing/testing.h"
#include "train/testing.h"

namespace evo::train {
namespace {

using testing::noisy_model;
using testing::planned_batch;
using testing::random_batch;
using testing::same_bits;
using testing::tiny_run;
using CodeGradient = ops::HeadLosses::CodeGradient;

constexpr LossWeights kEveryPart{0.5, 0.5, 0.1, CodeGradient::kCrossEntropy};

double largest(std::span<const float> values) {
  double result = 0;
  for (float value : values) result = std::max(result, std::abs(static_cast<double>(value)));
  return result;
}

/// Adds the gradient of the loss to the model's.
LossReport add_gradient(const model::Model& model, const TrainingBatch& batch,
                        const LossWeights& weights, double scale = 1) {
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  const LossReport report = training_loss(tape, model, batch, weights, scale);
  tape.backward();
  return report;
}

std::vector<float> gradient(const model::Model& model, const TrainingBatch& batch,
                            const LossWeights& weights, double scale = 1) {
  model.parameters().zero_gradients();
  add_gradient(model, batch, weights, scale);
  const std::span<const float> gradients = model.parameters().gradients();
  return {gradients.begin(), gradients.end()};
}

std::span<const float> part(const std::vector<float>& all, const model::Parameter& p) {
  return std::span(all).subspan(p.offset, p.numel());
}

/// Entries of two gradients differ by the rounding of sums over `terms` products, in any order:
/// terms 2^-24 relative to the sum of the terms' magnitudes, for which the largest entry of the
/// parameter stands in with a factor of 8 for what cancels. The bias of keys that know no positions
/// moves all scores alike, and so has no gradient but roundings of terms that its matrix has too.
void expect_equal_within_rounding(const model::Model& model, const std::vector<float>& actual,
                                  const std::vector<float>& expected, double terms) {
  for (const model::Parameter& p : model.parameters().list()) {
    double size = largest(part(expected, p));
    if (const std::string_view bias = "k_proj.bias"; p.name.ends_with(bias)) {
      const std::string matrix = p.name.substr(0, p.name.size() - 4) + "weight";
      size = std::max(size, largest(part(expected, model.parameters().find(matrix))));
    }
    const double tolerance = 8 * terms * 0x1p-24 * size;
    double worst = 0;
    for (size_t i = 0; i < part(actual, p).size(); ++i) {
      const double error = static_cast<double>(part(actual, p)[i]) - part(expected, p)[i];
      if (!(std::abs(error) <= worst)) worst = std::abs(error);
    }
    EXPECT_TRUE(worst <= tolerance) << p.name << ": " << worst << " > " << tolerance;
  }
}

class TrainingLoss : public ::testing::Test {
  const testing::ThreadsInTest one_thread_{1};
};

/// The whole network forward and backward, by what operations are compared with. A path through it
/// is some 2,000 roundings long: two layers' products, norms and attention over 48 rows, two ways.
TEST(Backends, TheReferenceAgreesAboutLossAndGradients) {
  for (const char* kind : testing::kBlockKinds) {
    if (kind == testing::kBlockKinds.back()) continue;  // experts are not trained
    SCOPED_TRACE(kind);
    RunConfig config = tiny_run(1);
    static_cast<model::ModelConfig&>(config) = testing::with_blocks(config, kind);
    config.ahead_size = config.hidden_size;
    const model::Model model = noisy_model(config, 4);
    const TrainingBatch batch = planned_batch(config, model, 3, 5);
    model.parameters().zero_gradients();
    const LossReport expected = add_gradient(model, batch, kEveryPart);
    const std::vector<float> by_cpu = gradient(model, batch, kEveryPart);
    const testing::BackendInTest in_use("reference");
    const std::vector<float> by_reference = gradient(model, batch, kEveryPart);
    const LossReport report = add_gradient(model, batch, kEveryPart);
    EXPECT_NEAR(report.elbo, expected.elbo, 2000 * 0x1p-24 * std::abs(expected.elbo));
    EXPECT_GT(largest(by_cpu), 0);
    EXPECT_NE(by_cpu, by_reference);  // else the same code ran twice
    expect_equal_within_rounding(model, by_cpu, by_reference, 2000);
  }
}

/// Along a random direction the loss rises as its gradient says, whatever blocks are made of. The
/// loss is known to some 2^-22 of itself, and its difference is a hundredth of it or more; what its
/// third derivative adds is smaller yet.
TEST_F(TrainingLoss, RisesAlongItsGradientForAllBlocks) {
  for (const char* kind : testing::kBlockKinds) {
    if (kind == testing::kBlockKinds.back()) continue;
    SCOPED_TRACE(kind);
    RunConfig config = tiny_run(1);
    static_cast<model::ModelConfig&>(config) = testing::with_blocks(config, kind);
    const model::Model model = noisy_model(config, 4);
    const TrainingBatch batch = planned_batch(config, model, 3, 5);
    constexpr LossWeights kBothStreams{1, 0, 0, CodeGradient::kCrossEntropy};
    const std::vector<float> slopes = gradient(model, batch, kBothStreams);
    const std::span<float> values = model.parameters().values();
    const std::vector<float> before(values.begin(), values.end());
    // Mostly along the gradient, so that the loss moves.
    Random random(9);
    double expected = 0;
    std::vector<float> direction(slopes.size());
    const double size = largest(slopes);
    for (size_t i = 0; i < slopes.size(); ++i) {
      direction[i] = static_cast<float>(slopes[i] / size) + 0.05f * random.normal();
      expected += static_cast<double>(slopes[i]) * direction[i];
    }
    constexpr float kStep = 2e-3f;
    const auto moved = [&](float step) {
      for (size_t i = 0; i < before.size(); ++i) values[i] = before[i] + step * direction[i];
      tensor::Tape tape(tensor::Tape::Mode::kInference);
      return training_loss(tape, model, batch, kBothStreams).total;
    };
    const double found = (moved(kStep) - moved(-kStep)) / (2 * static_cast<double>(kStep));
    EXPECT_NEAR(found, expected, 0.02 * std::abs(expected));
    EXPECT_GT(expected, 0);
  }
}

TEST(FromTexts, TargetsAreTheNextTokens) {
  const std::vector<int32_t> texts = {1, 2, 3, 4, 5, 6, 7, 8};
  const TrainingBatch batch = TrainingBatch::from_texts(texts, 2);
  EXPECT_EQ(batch.sequences, 2);
  EXPECT_EQ(batch.length, 3);
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{1, 2, 3, 5, 6, 7}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{2, 3, 4, 6, 7, 8}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{0, 1, 2, 0, 1, 2}));
}

/// What a row that does not count should predict changes nothing; where all count, nothing is said.
TEST_F(TrainingLoss, RowsThatDoNotCountHaveNoInfluence) {
  const RunConfig config = tiny_run(12);
  const model::Model model = noisy_model(config, 1);
  const LossWeights ar_only{};
  TrainingBatch batch = random_batch(config, 3, 5);
  const std::vector<float> everywhere = gradient(model, batch, ar_only);
  batch.learn.assign(batch.targets.size(), 1);
  EXPECT_TRUE(same_bits(gradient(model, batch, ar_only), everywhere));

  for (size_t r = 0; r < batch.learn.size(); ++r) batch.learn[r] = r % 3 == 0 ? 0 : 1;
  const std::vector<float> counted = gradient(model, batch, ar_only);
  EXPECT_FALSE(same_bits(counted, everywhere));
  TrainingBatch other = batch;
  for (size_t r = 0; r < other.targets.size(); r += 3) other.targets[r] ^= 1;
  EXPECT_TRUE(same_bits(gradient(model, other, ar_only), counted));
  EXPECT_EQ(add_gradient(model, other, ar_only).total, add_gradient(model, batch, ar_only).total);
}

/// The losses are means over the rows that count: those of a batch in which only one sequence does
/// are those of that sequence alone, but for the noise, which is drawn by row.
TEST_F(TrainingLoss, MeansAreOverTheRowsThatCount) {
  const RunConfig config = tiny_run(12);
  const model::Model model = noisy_model(config, 1);
  TrainingBatch batch = planned_batch(config, model, 3, 6);
  batch.learn.assign(batch.targets.size(), 0);
  std::fill_n(batch.learn.begin(), batch.length, uint8_t{1});
  TrainingBatch first = batch;
  first.sequences = 1;
  const auto rows = static_cast<size_t>(batch.length);
  for (auto* column :
       {&first.ids, &first.targets, &first.positions, &first.plan.begin, &first.plan.end}) {
    column->resize(rows);
  }
  first.plan.starts.resize(rows);
  first.plan.times.resize(rows);
  first.plan.uniform_time.resize(rows);
  first.learn.clear();
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const LossReport expected = training_loss(tape, model, first, kEveryPart);
  const LossReport actual = training_loss(tape, model, batch, kEveryPart);
  EXPECT_FLOAT_EQ(static_cast<float>(actual.ar_nll), static_cast<float>(expected.ar_nll));
  EXPECT_FLOAT_EQ(static_cast<float>(actual.flow), static_cast<float>(expected.flow));
  EXPECT_FLOAT_EQ(static_cast<float>(actual.inner), static_cast<float>(expected.inner));
  EXPECT_FLOAT_EQ(static_cast<float>(actual.maturity), static_cast<float>(expected.maturity));
  EXPECT_EQ(actual.elbo_rows, expected.elbo_rows);
  EXPECT_FLOAT_EQ(static_cast<float>(actual.elbo), static_cast<float>(expected.elbo));
}

TEST(TwoStreamInput, AnEvolvingRowSeesTheTextBeforeItsBlockAndItsBlock) {
  TrainingBatch batch = TrainingBatch::from_texts(std::vector<int32_t>(10, 1), 2);
  Random random(1);
  batch.plan = elbo_blocks(2, 4, 3, 0.1, random);  // blocks of positions 1 2 3 | 4
  const model::ForwardInput input = two_stream_input(batch, {{}, {}, batch.plan.times});
  ASSERT_EQ(input.mature(), 8);
  ASSERT_EQ(input.evolving(), 8);
  EXPECT_EQ(input.positions, (std::vector<int32_t>{0, 1, 2, 3, 0, 1, 2, 3,  //
                                                   1, 2, 3, 4, 1, 2, 3, 4}));
  const int32_t expected[16][4] = {
      {0, 1, 0, 0},   {0, 2, 0, 0},   {0, 3, 0, 0},   {0, 4, 0, 0},    // mature: the past and
      {4, 5, 0, 0},   {4, 6, 0, 0},   {4, 7, 0, 0},   {4, 8, 0, 0},    // themselves
      {0, 1, 8, 11},  {0, 1, 8, 11},  {0, 1, 8, 11},  {0, 4, 11, 12},  // first sequence
      {4, 5, 12, 15}, {4, 5, 12, 15}, {4, 5, 12, 15}, {4, 8, 15, 16}};
  for (size_t r = 0; r < 16; ++r) {
    const ops::KeyRange& range = input.ranges[r];
    EXPECT_EQ(range.context_begin, expected[r][0]) << r;
    EXPECT_EQ(range.context_end, expected[r][1]) << r;
    if (r < 8) {
      EXPECT_EQ(range.self_begin, range.self_end) << r;
      continue;
    }
    EXPECT_EQ(range.self_begin, expected[r][2]) << r;
    EXPECT_EQ(range.self_end, expected[r][3]) << r;
  }
}

// The invariant that the exactness of decoding rests on: evolving rows beside them change no bit of
// the mature rows.
TEST_F(TrainingLoss, MatureRowsDoNotNoticeTheFlow) {
  for (const auto& [sequences, precision] :
       {std::pair(1, tensor::Precision::kF32), std::pair(3, tensor::Precision::kF32),
        std::pair(3, tensor::Precision::kBF16)}) {
    const RunConfig config = tiny_run(1);
    const model::Model model = noisy_model(config, 11);
    TrainingBatch with_flow = planned_batch(config, model, sequences, 12);
    TrainingBatch alone = with_flow;
    alone.plan = {};
    const auto rows = static_cast<int64_t>(alone.ids.size());

    const tensor::Tensor z = tensor::Tensor::empty({rows, config.code_size});
    Random(13).fill_normal(z.values());
    const Latents latents{z, tensor::Tensor::zeros({rows, config.code_size}), with_flow.plan.times};
    tensor::Tape tape(tensor::Tape::Mode::kInference, precision);
    const tensor::Tensor both = model.forward(tape, two_stream_input(with_flow, latents));
    const tensor::Tensor mature = model.forward(tape, two_stream_input(alone, {}));
    ASSERT_EQ(both.rows(), 2 * rows);
    const auto mature_part = both.values().first(mature.numel());
    EXPECT_TRUE(same_bits(mature_part, mature.values()));
    const tensor::Tensor logits_beside =
        ops::head_logits(tape, both, 0, rows, model.unembedding(), nullptr);
    const tensor::Tensor logits_alone =
        ops::head_logits(tape, mature, 0, rows, model.unembedding(), nullptr);
    EXPECT_TRUE(same_bits(logits_beside.values(), logits_alone.values()));

    for (bool self_condition : {false, true}) {
      with_flow.self_condition = self_condition;
      EXPECT_EQ(training_loss(tape, model, with_flow, kEveryPart).ar_nll,
                training_loss(tape, model, alone, kEveryPart).ar_nll);
    }
  }
}

TEST_F(TrainingLoss, FieldsThatDraftAndMaturityDoNotTouchTheBackbone) {
  RunConfig config = tiny_run(1);
  config.ahead_size = 24;
  const model::Model model = noisy_model(config, 21);
  const std::set<std::string> own = {"evo.inner.in.weight", "evo.inner.out.weight",
                                     "evo.maturity.weight"};
  for (bool self_condition : {false, true}) {
    TrainingBatch batch = planned_batch(config, model, 3, 22);
    batch.self_condition = self_condition;
    const auto with = gradient(model, batch, {0.5, 0.7, 0.3, CodeGradient::kCrossEntropy});
    const auto without = gradient(model, batch, {0.5, 0, 0, CodeGradient::kCrossEntropy});
    for (const model::Parameter& p : model.parameters().list()) {
      SCOPED_TRACE(p.name);
      if (own.contains(p.name) || p.name.starts_with("evo.ahead.")) {
        EXPECT_GT(largest(part(with, p)), 0);
        EXPECT_EQ(largest(part(without, p)), 0);
        continue;
      }
      EXPECT_GT(largest(part(with, p)), 0);
      EXPECT_TRUE(same_bits(part(with, p), part(without, p)));
    }
    // Nor does maturity touch the fields.
    const auto immature = gradient(model, batch, {0.5, 0.7, 0, CodeGradient::kCrossEntropy});
    for (const char* name : {"evo.inner.in.weight", "evo.inner.out.weight", "evo.ahead.in.weight",
                             "evo.ahead.out.weight"}) {
      const model::Parameter& p = model.parameters().find(name);
      EXPECT_TRUE(same_bits(part(with, p), part(immature, p))) << name;
    }
  }
}

/// The field ahead knows the mature rows before a block and the tokens drafted since: nothing of
/// the evolving rows, whose noise does not change its loss. What it has to draft is what the mature
/// rows choose, not what the text has.
TEST_F(TrainingLoss, TheFieldAheadSeesNoWindowAndLearnsTheChoiceOfMatureRows) {
  RunConfig config = tiny_run(1);
  config.ahead_size = 24;
  const model::Model model = noisy_model(config, 23);
  TrainingBatch batch = planned_batch(config, model, 4, 24);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const LossReport before = training_loss(tape, model, batch, kEveryPart);
  batch.seed += 1;
  const LossReport after = training_loss(tape, model, batch, kEveryPart);
  EXPECT_NE(before.inner, after.inner);
  EXPECT_EQ(before.ahead, after.ahead);
  for (int32_t& target : batch.targets) target = (target + 1) % 7;
  const LossReport of_another_text = training_loss(tape, model, batch, kEveryPart);
  EXPECT_NE(before.ar_nll, of_another_text.ar_nll);
  EXPECT_EQ(before.ahead, of_another_text.ahead);
  // Its rows are those that are not the first of their block.
  const RowCounts rows = batch.row_counts();
  EXPECT_EQ(rows.not_first, rows.learnt - std::ranges::count(batch.plan.starts, 1));
  EXPECT_GT(rows.not_first, 0);
}

TEST_F(TrainingLoss, OnlyTheChosenLossShapesTheCodes) {
  const RunConfig config = tiny_run(1);
  const model::Model model = noisy_model(config, 31);
  const TrainingBatch batch = planned_batch(config, model, 4, 32);
  ASSERT_GT(std::ranges::count(batch.plan.uniform_time, 1), 0);  // else mse has no row
  const model::Parameter& codes = model.parameters().find("evo.codes");
  const auto of_codes = [&](CodeGradient kind) {
    const auto all = gradient(model, batch, {0.5, 0.5, 0.1, kind});
    const auto found = part(all, codes);
    return std::vector<float>(found.begin(), found.end());
  };
  EXPECT_EQ(largest(of_codes(CodeGradient::kNone)), 0);
  const std::vector<float> ce = of_codes(CodeGradient::kCrossEntropy);
  const std::vector<float> mse = of_codes(CodeGradient::kSquaredError);
  EXPECT_GT(largest(ce), 0);
  EXPECT_GT(largest(mse), 0);
  EXPECT_FALSE(same_bits(ce, mse));
  // What shapes the codes does not change what the network learns.
  const auto none = gradient(model, batch, {0.5, 0.5, 0.1, CodeGradient::kNone});
  const auto with = gradient(model, batch, {0.5, 0.5, 0.1, CodeGradient::kSquaredError});
  const model::Parameter& evolve_in = model.parameters().find("evo.evolve_in.weight");
  EXPECT_TRUE(same_bits(part(none, evolve_in), part(with, evolve_in)));
}

TEST_F(TrainingLoss, ScaleMultipliesEveryPartOfTheGradientExactly) {
  const RunConfig config = tiny_run(1);
  const model::Model model = noisy_model(config, 41);
  for (CodeGradient kind : {CodeGradient::kCrossEntropy, CodeGradient::kSquaredError}) {
    const LossWeights weights{0.5, 0.7, 0.3, kind};
    const TrainingBatch batch = planned_batch(config, model, 6, 42);
    ASSERT_GT(std::ranges::count(batch.plan.uniform_time, 1), 0);  // else mse has no row
    auto halved = gradient(model, batch, weights, 0.5);
    for (float& value : halved) value *= 2;  // exact, like every product with 0.5 before
    EXPECT_TRUE(same_bits(halved, gradient(model, batch, weights)));

    model.parameters().zero_gradients();
    const LossReport whole = add_gradient(model, batch, weights);
    const LossReport scaled = add_gradient(model, batch, weights, 0.25);
    EXPECT_EQ(whole.total, scaled.total);
    EXPECT_EQ(whole.flow, scaled.flow);
    EXPECT_EQ(whole.inner, scaled.inner);
    EXPECT_EQ(whole.maturity, scaled.maturity);
    EXPECT_EQ(whole.elbo, scaled.elbo);
  }
}

TEST_F(TrainingLoss, TwoHalvesMakeAWhole) {
  const RunConfig config = tiny_run(1);
  const model::Model model = noisy_model(config, 51);
  const TrainingBatch whole = random_batch(config, 4, 52);
  const auto expected = gradient(model, whole, {});
  model.parameters().zero_gradients();
  double nll = 0;
  for (int64_t half : {0, 1}) {
    TrainingBatch batch;
    batch.sequences = 2;
    batch.length = whole.length;
    const int64_t rows = 2 * whole.length;
    batch.ids.assign(whole.ids.begin() + half * rows, whole.ids.begin() + (half + 1) * rows);
    batch.targets.assign(whole.targets.begin() + half * rows,
                         whole.targets.begin() + (half + 1) * rows);
    batch.positions.assign(whole.positions.begin(), whole.positions.begin() + rows);
    nll += 0.5 * add_gradient(model, batch, {}, 0.5).ar_nll;
  }
  const std::span<const float> sum = model.parameters().gradients();
  expect_equal_within_rounding(model, {sum.begin(), sum.end()}, expected,
                               static_cast<double>(whole.ids.size()));
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const double once = training_loss(tape, model, whole, {}).ar_nll;
  EXPECT_NEAR(nll, once, 1e-6 * once);  // f32 logits, summed in double
}

// Noise belongs to a row of a batch, so halves of a batch with flow have other noise. But passes
// over one batch add up.
TEST_F(TrainingLoss, PassesAddUp) {
  const RunConfig config = tiny_run(1);
  const model::Model model = noisy_model(config, 61);
  for (bool self_condition : {false, true}) {
    TrainingBatch batch = planned_batch(config, model, 2, 62);
    batch.self_condition = self_condition;
    const auto expected = gradient(model, batch, kEveryPart);
    model.parameters().zero_gradients();
    add_gradient(model, batch, kEveryPart, 0.5);
    add_gradient(model, batch, kEveryPart, 0.5);
    const std::span<const float> sum = model.parameters().gradients();
    expect_equal_within_rounding(model, {sum.begin(), sum.end()}, expected,
                                 static_cast<double>(2 * batch.ids.size()));
  }
}

TEST_F(TrainingLoss, TotalIsTheWeightedSum) {
  const RunConfig config = tiny_run(1);
  const model::Model model = noisy_model(config, 71);
  const TrainingBatch batch = planned_batch(config, model, 3, 72);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const LossReport r = training_loss(tape, model, batch, {0.5, 0.25, 2, CodeGradient::kNone});
  for (double value : {r.ar_nll, r.flow, r.inner, r.maturity, r.elbo}) EXPECT_GT(value, 0);
  EXPECT_DOUBLE_EQ(r.total, r.ar_nll + 0.5 * r.flow + 0.25 * r.inner + 2 * r.maturity);
}

TEST_F(TrainingLoss, NoiseFollowsSeedAndStream) {
  const RunConfig config = tiny_run(1);
  const model::Model model = noisy_model(config, 81);
  TrainingBatch batch = planned_batch(config, model, 3, 82);
  const auto flow = [&](uint64_t seed, uint64_t stream, bool self_condition) {
    batch.seed = seed;
    batch.stream = stream;
    batch.self_condition = self_condition;
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    return training_loss(tape, model, batch, kEveryPart).flow;
  };
  EXPECT_EQ(flow(1, 2, false), flow(1, 2, false));
  EXPECT_EQ(flow(1, 2, true), flow(1, 2, true));
  EXPECT_NE(flow(1, 2, false), flow(1, 3, false));
  EXPECT_NE(flow(1, 2, false), flow(2, 2, false));
  EXPECT_NE(flow(1, 2, false), flow(1, 2, true));
}

}  // namespace
}  // namespace evo::train
