// Training on several ranks against training on one. Run alone and on 2 and 4 ranks
// (cmake/mpi.cmake).
#include <algorithm>
#include <cmath>

#include "comm/testing.h"
#include "train/trainer/trainer_testing.h"

namespace evo::train {
namespace {

namespace fs = std::filesystem;
using testing::arrays_at;
using testing::checkpoints_in;
using testing::first_of;
using testing::metrics_of;
using testing::options_for;
using testing::Ranks;
using testing::state_at;
using testing::tiny_run;

/// A run with everything that is drawn or counted: infilling, self-conditioning, answers, several
/// passes per step, entropic time estimated anew. Four sequences in a pass, for four ranks at most.
RunConfig lively_run(int64_t steps) {
  RunConfig config = tiny_run(steps);
  config.infill_share = 0.5;
  config.self_conditioning = 0.5;
  config.answer_block_share = 0.5;
  config.gradient_accumulation = 2;
  config.time_every = 5;
  config.validate_every = 10;
  return config;
}

class RanksTraining : public ::testing::Test {
 protected:
  RanksTraining() {
    if (Ranks::all().is_first()) write_half_learnt_tokens();
    Ranks::all().barrier();
    tokens_.emplace(folder_ / "tokens");
  }

  /// On all ranks together, in `name` of the shared folder.
  TrainSummary train(const RunConfig& config, const std::string& name, bool resume = false,
                     const std::function<void(TrainOptions&)>& change = {}) const {
    TrainOptions options = options_for(folder_ / name);
    options.ranks = &Ranks::all();
    options.resume = resume;
    if (change) change(options);
    return Trainer(config, *tokens_, std::move(options)).run();
  }
  /// On one rank, which is every rank by itself, in folders of their own.
  TrainSummary train_alone(const RunConfig& config, const std::string& name, bool resume = false,
                           const std::function<void(TrainOptions&)>& change = {}) const {
    TrainOptions options = options_for(alone(name));
    options.resume = resume;
    if (change) change(options);
    return Trainer(config, *tokens_, std::move(options)).run();
  }
  [[nodiscard]] fs::path alone(const std::string& name) const {
    return folder_ / fmt::format("{}-alone-{}", name, Ranks::all().rank());
  }

  const testing::ThreadsInTest one_thread_{1};
  const testing::SharedFolder folder_;
  std::optional<data::TokenFile> tokens_;

 private:
  /// Texts of which only a part is learnt, so that ranks have unequal numbers of targets.
  void write_half_learnt_tokens() const {
    data::TokenWriter writer(folder_ / "tokens", 16);
    for (int32_t document = 0; document < 120; ++document) {
      std::vector<int32_t> prompt, answer;
      for (int32_t i = 0; i < 9; ++i) prompt.push_back((document + 3 * i) % 13);
      for (int32_t i = 0; i < 9 + document % 5; ++i) answer.push_back((document + 5 * i) % 13);
      writer.append(prompt, document % 2 == 0);
      writer.append(answer);
    }
    writer.commit(1, 2);
  }
};

std::vector<double> losses_of(const fs::path& out) {
  std::vector<double> losses;
  for (const json::Record& line : metrics_of(out)) losses.push_back(line.get_double("loss"));
  return losses;
}

/// Changes every weight by up to one unit in its last place.
void perturb(model::Model& model) {
  Random random(9, 9);
  for (float& value : model.parameters().values()) {
    value *= 1 + static_cast<float>(random.uniform() - 0.5) * 0x1p-23f;
  }
}

/// How far rounding alone carries a run off in 100 steps is measured on one rank: by a run whose
/// first weights differ in their last bits. Ranks round in every step, not just in the first, but
/// what grows is mostly the oldest: ten times that deviation, as far as it has come, is allowed.
TEST_F(RanksTraining, LossesAreThoseOfOneRank) {
  const RunConfig config = lively_run(100);
  train(config, "together");
  train_alone(config, "one");
  train_alone(config, "perturbed", false, [](TrainOptions& o) { o.initialize = perturb; });
  if (!Ranks::all().is_first()) return;
  const std::vector<double> together = losses_of(folder_ / "together");
  const std::vector<double> one = losses_of(alone("one")), other = losses_of(alone("perturbed"));
  ASSERT_EQ(together.size(), 100u);
  double allowed = 0, worst = 0;
  for (size_t i = 0; i < one.size(); ++i) {
    allowed = std::max(allowed, 10 * std::abs(other[i] - one[i]));
    worst = std::max(worst, std::abs(together[i] - one[i]));
    EXPECT_TRUE(std::abs(together[i] - one[i]) <= allowed) << i << ": " << together[i] - one[i];
  }
  fmt::print("{} ranks: losses differ by at most {:.1e}; by {:.1e} after a change of last bits\n",
             Ranks::all().size(), worst, allowed / 10);
  EXPECT_LT(allowed, 0.1);  // else this would say nothing
  EXPECT_TRUE(Ranks::all().size() > 1 || worst == 0);
}

/// A rank writes its parts of the arrays; the file is that of one rank, which reads it and, having
/// nothing left to do, writes it again, byte for byte.
TEST_F(RanksTraining, CheckpointsAreThoseOfOneRank) {
  const RunConfig config = lively_run(7);
  train(config, "run");
  fs::create_directories(alone("run"));
  fs::copy(folder_ / "run", alone("run"), fs::copy_options::recursive);
  const std::string before = arrays_at(alone("run"), 7);
  EXPECT_EQ(train_alone(config, "run", true).step, 7);
  EXPECT_TRUE(arrays_at(alone("run"), 7) == before);
  EXPECT_EQ(state_at(alone("run"), 7), state_at(folder_ / "run", 7));
}

TEST_F(RanksTraining, ResumedRunsAreBitIdenticalToStraightOnes) {
  RunConfig config = lively_run(12);
  config.checkpoint_every = 7;
  train(config, "straight");
  int64_t asked = 0;
  train(config, "resumed", false,
        [&](TrainOptions& options) { options.stop = [&] { return ++asked == 1 + 7; }; });
  EXPECT_EQ(train(config, "resumed", true).step, 12);
  EXPECT_TRUE(arrays_at(folder_ / "resumed", 12) == arrays_at(folder_ / "straight", 12));
  EXPECT_EQ(state_at(folder_ / "resumed", 12), state_at(folder_ / "straight", 12));
}

/// From all ranks to one and back: the data go on where they were, and so do the losses, but for
/// rounding (see above; 1e-4 is far more than it makes of 30 steps, and far less than what another
/// sequence in a batch would).
TEST_F(RanksTraining, AnotherNumberOfRanksGoesOn) {
  const RunConfig config = lively_run(30);
  train_alone(config, "straight");
  const auto until = [](int64_t step) {
    return [step](TrainOptions& options) {
      options.stop = [step, asked = int64_t{0}]() mutable { return ++asked == 1 + step; };
    };
  };
  train(config, "mixed", false, until(10));
  if (Ranks::all().is_first()) {
    TrainOptions options = options_for(folder_ / "mixed");
    options.resume = true;
    until(10)(options);
    EXPECT_EQ(Trainer(config, *tokens_, options).run().step, 20);
  }
  Ranks::all().barrier();
  EXPECT_EQ(train(config, "mixed", true).step, 30);
  if (!Ranks::all().is_first()) return;
  const std::vector<double> straight = losses_of(alone("straight"));
  const std::vector<double> mixed = losses_of(folder_ / "mixed");
  ASSERT_EQ(mixed.size(), straight.size());
  for (size_t i = 0; i < mixed.size(); ++i) {
    EXPECT_TRUE(std::abs(mixed[i] - straight[i]) <= 1e-4 * straight[i]) << i << ": " << mixed[i];
  }
  for (const char* key : {"next_sequence", "recoveries", "spikes"}) {
    EXPECT_EQ(checkpoints_in(folder_ / "mixed").load(30).state.get_int(key),
              checkpoints_in(alone("straight")).load(30).state.get_int(key))
        << key;
  }
}

/// One rank is asked to stop, and all stop at the same step.
TEST_F(RanksTraining, AnyRankCanStopTheJob) {
  const int last = Ranks::all().size() - 1;
  const TrainSummary summary = train(lively_run(1000), "run", false, [&](TrainOptions& options) {
    const bool asks = Ranks::all().rank() == last;
    options.stop = [asks, asked = 0]() mutable { return ++asked == 6 && asks; };
  });
  EXPECT_EQ(summary.step, 5);
  EXPECT_TRUE(summary.interrupted);
  EXPECT_EQ(checkpoints_in(folder_ / "run").steps(), std::vector<int64_t>{5});
}

/// A loss that is not a number on one rank sends all back, and the warning names the rank.
TEST_F(RanksTraining, NotANumberOnOneRankSendsAllBack) {
  RunConfig config = testing::bare_run(12);
  config.checkpoint_every = 6;
  config.sample_every = 8;
  bool poisoned = false;
  ::testing::internal::CaptureStderr();
  const TrainSummary summary = train(config, "run", false, [&](TrainOptions& options) {
    options.on_sample = [&](const model::Model& model, int64_t) {
      if (!poisoned) model.parameters().tensor("model.norm.weight").f32()[0] = NAN;
      poisoned = true;
    };
  });
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(summary.step, 12);
  EXPECT_TRUE(std::isfinite(summary.validation.total));
  if (!Ranks::all().is_first()) return;
  EXPECT_NE(log.find("diverged at step 9"), std::string::npos) << log;
  EXPECT_EQ(log.find("on rank 0:") != std::string::npos, Ranks::all().size() > 1) << log;
  EXPECT_NE(log.find("going back to step 6 once"), std::string::npos) << log;
}

/// Layers that are computed again give the very same gradients.
TEST_F(RanksTraining, RecomputedLayersChangeNothing) {
  RunConfig config = lively_run(12);
  train(config, "kept");
  config.recompute = true;
  train(config, "recomputed");
  EXPECT_TRUE(arrays_at(folder_ / "recomputed", 12) == arrays_at(folder_ / "kept", 12));
}

TEST_F(RanksTraining, MetricsTellWhatCommunicationCost) {
  train(lively_run(4), "run");
  if (!Ranks::all().is_first()) return;
  const std::vector<json::Record> lines = metrics_of(folder_ / "run");
  ASSERT_EQ(lines.size(), 4u);
  for (const json::Record& line : lines) {
    const int ranks = Ranks::all().size();
    ASSERT_EQ(line.has("ranks"), ranks > 1);
    if (ranks == 1) continue;
    EXPECT_EQ(line.get_int("ranks"), ranks);
    EXPECT_TRUE(line.get_int("slowest_rank") >= 0 && line.get_int("slowest_rank") < ranks);
    EXPECT_GE(line.get_double("slowest_to_median"), 1);
    EXPECT_GT(line.get_double("communication_seconds"), 0);
    EXPECT_LE(line.get_double("communication_hidden"), 1);
  }
}

/// Gradients in 16 bits: sums of numbers that are off by 2^-9 of themselves, clipped together.
TEST_F(RanksTraining, GradientsOf16BitsTrainAsWell) {
  RunConfig config = lively_run(60);
  const TrainSummary exact = train(config, "f32");
  config.wire = "bf16";
  const TrainSummary rounded = train(config, "bf16");
  EXPECT_NEAR(rounded.validation.ar_nll, exact.validation.ar_nll, 0.02 * exact.validation.ar_nll);
  if (Ranks::all().size() == 1) return;
  EXPECT_NE(rounded.validation.ar_nll, exact.validation.ar_nll);
}

}  // namespace
}  // namespace evo::train
