#include <gtest/gtest.h>

#include <cmath>
#include <evo/error.hpp>
#include <evo/messages.hpp>
#include <evo/model.hpp>
#include <evo/train.hpp>
#include <thread>

#include "api/run_settings.h"
#include "api/testing.h"
#include "api/train_run.h"

namespace evo {
namespace {

using testing::expect_error;
using testing::small_run;

std::string weights_of(const api::RunOptions& run) {
  return testing::read_bytes(run.out / "model.safetensors");
}

TEST(ApiTrain, TellsHowFarItIs) {
  const testing::TemporaryFolder folder;
  std::vector<api::TrainProgress> seen;
  const api::TrainResult result =
      api::train(small_run(folder.path(), 6),
                 [&](const api::TrainProgress& progress) { seen.push_back(progress); });
  ASSERT_EQ(seen.size(), 6u);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].step, static_cast<int64_t>(i) + 1);
    EXPECT_NEAR(seen[i].share, static_cast<double>(i + 1) / 6, 1e-9);
    EXPECT_GT(seen[i].tokens_per_second, 0);
    EXPECT_GT(seen[i].loss, seen[i].ar_loss);
    EXPECT_NEAR(seen[i].remaining_seconds, seen[i].seconds * (1 / seen[i].share - 1),
                0.2 * seen[i].seconds);
  }
  EXPECT_EQ(seen.back().remaining_seconds, 0);
  EXPECT_LT(seen.back().ar_loss, seen.front().ar_loss);
  EXPECT_EQ(result.step, 6);
  EXPECT_EQ(result.tokens, 6 * 4 * 48);
  EXPECT_FALSE(result.interrupted);
  EXPECT_FALSE(std::isnan(result.held_out_ar_loss));
}

TEST(ApiTrain, TheModelIsThatOfTheSameRunBelow) {
  const testing::TemporaryFolder folder, other;
  const api::TrainOptions run = small_run(folder.path(), 3);
  api::train(run);
  TrainRequest request;
  request.config = train::RunConfig::preset("demo");
  RunSettings{run.settings, run.steps, {}, {}}.apply(request.config);
  request.data = run.data;
  request.out = (other / "model").string();
  request.quiet = true;
  run_training(request);
  EXPECT_EQ(weights_of(run), testing::read_bytes(other / "model/model.safetensors"));
}

TEST(ApiTrain, IsStoppedAndGoesOn) {
  const testing::TemporaryFolder folder, other;
  const api::TrainOptions whole = small_run(other.path(), 6);
  api::train(whole);
  api::TrainOptions run = small_run(folder.path(), 6);
  std::stop_source source;
  const auto stop = [&](const api::TrainProgress& progress) {
    if (progress.step == 3) std::thread([&] { source.request_stop(); }).join();
  };
  const api::TrainResult first = api::train(run, stop, source.get_token());
  EXPECT_TRUE(first.interrupted);
  EXPECT_GE(first.step, 3);
  EXPECT_LT(first.step, 6);
  run.resume = true;
  const api::TrainResult second = api::train(run);
  EXPECT_FALSE(second.interrupted);
  EXPECT_EQ(second.step, 6);
  EXPECT_EQ(weights_of(run), weights_of(whole));
}

TEST(ApiTrain, WhatTheCallbackThrowsComesOutOfARunThatCanGoOn) {
  struct Mine {};
  const testing::TemporaryFolder folder;
  api::TrainOptions run = small_run(folder.path(), 5);
  EXPECT_THROW(api::train(run, [](const api::TrainProgress&) { throw Mine(); }), Mine);
  run.resume = true;
  EXPECT_EQ(api::train(run).step, 5);
}

TEST(ApiTrain, StoppedBeforeTheBeginningItLeavesNoModel) {
  const testing::TemporaryFolder folder;
  const api::TrainOptions run = small_run(folder.path(), 5);
  std::stop_source source;
  source.request_stop();
  expect_error<api::Interrupted>([&] { api::train(run, {}, source.get_token()); }, {"interrupted"});
  EXPECT_FALSE(std::filesystem::exists(run.out / "model.safetensors"));
  EXPECT_EQ(api::train(run).step, 5);
}

TEST(ApiTrain, FaultsSayWhatIsWrong) {
  const testing::TemporaryFolder folder;
  const auto with = [&](const std::function<void(api::TrainOptions&)>& change) {
    api::TrainOptions run = small_run(folder.path(), 1);
    change(run);
    return [run] { api::train(run); };
  };
  using Run = api::TrainOptions;
  expect_error<api::UsageError>(with([](Run& run) { run.preset = "9m"; }), {"9m", "7m"});
  expect_error<api::UsageError>(with([](Run& run) { run.data = {}; }), {"data"});
  expect_error<api::UsageError>(with([](Run& run) { run.out = ""; }), {"out"});
  expect_error<api::Error>(with([](Run& run) { run.data = {"no/such/file"}; }), {"no/such/file"});
  expect_error<api::UsageError>(with([](Run& run) { run.settings = {"sise=1"}; }), {"sise"});
  expect_error<api::UsageError>(with([](Run& run) { run.precision = api::Precision::kInt8; }),
                                {"bf16", "decoding"});
  expect_error<api::UsageError>(with([](Run& run) { run.threads = -1; }), {"threads", "-1"});
}

TEST(ApiAdapt, TeachesAModelToEvolve) {
  const testing::TemporaryFolder folder;
  api::TrainOptions parent = small_run(folder.path(), 4);
  parent.settings.emplace_back("flow=false");
  api::train(parent);
  ASSERT_FALSE(api::Model(parent.out).info().evolves);
  api::AdaptOptions options;
  static_cast<api::RunOptions&>(options) = parent;
  options.settings = {"sequence_length=32", "batch_size=2"};
  options.parent = parent.out;
  options.out = folder / "adapted";
  options.steps = 2;
  EXPECT_EQ(api::adapt(options).step, 2);
  const api::Model adapted(options.out), before(parent.out);
  EXPECT_TRUE(adapted.info().evolves);
  EXPECT_EQ(adapted.generate("Die", {.max_tokens = 20}).tokens,
            before.generate("Die", {.max_tokens = 20}).tokens);
  options.parent = options.out;
  options.out = folder / "again";
  expect_error<api::Error>([&] { api::adapt(options); }, {"Evo model already", "drafts"});
}

}  // namespace
}  // namespace evo
