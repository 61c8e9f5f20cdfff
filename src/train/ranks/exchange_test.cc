// Gradients and weights on their way between ranks. Run alone and on 2 and 4 ranks
// (cmake/mpi.cmake).
#include "train/ranks/exchange.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "base/float_formats.h"
#include "comm/testing.h"
#include "train/testing.h"

namespace evo::train {
namespace {

using testing::Ranks;
using testing::same_bits;

/// Passes with infilling and answers, whose rows see each other in many ways.
RunConfig lively_run() {
  RunConfig config = testing::tiny_run(1);
  config.infill_share = 0.5;
  config.answer_block_share = 0.5;
  return config;
}

/// Its gradient on every rank, as each computes it alone: of share `rank` of `ranks` of a batch.
std::vector<float> gradient_of_share(const model::Model& model, const TrainingBatch& batch,
                                     int rank, int ranks) {
  const comm::IndexRange part = comm::part_of(batch.sequences, rank, ranks);
  model.parameters().zero_gradients();
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  training_loss(tape, model, batch.share(part.begin, part.size()), {0.5, 0.5, 0.1});
  tape.backward();
  const std::span<const float> gradients = model.parameters().gradients();
  return {gradients.begin(), gradients.end()};
}

TrainingBatch lively_batch(const RunConfig& config, const model::Model& model) {
  TrainingBatch batch = testing::planned_batch(config, model, 4, 3);
  batch.self_condition = true;
  batch.learn.assign(batch.targets.size(), 1);
  for (size_t r = 0; r < 25; ++r) batch.learn[r] = r % 3 == 0 ? 1 : 0;  // unequal shares
  return batch;
}

Partition small_buckets(const model::ParameterStore& store) {
  const comm::Communicator& all = Ranks::all();
  return {store.list(), [](const model::Parameter&) { return true; }, all.rank(), all.size(), 1000};
}

/// Of this rank's share, in which its own parts are sums over all ranks.
std::span<const float> exchanged_gradients(const model::Model& model, const TrainingBatch& batch,
                                           comm::Wire wire, tensor::Tape::Keep keep) {
  comm::Communicator& all = Ranks::all();
  const model::ParameterStore& store = model.parameters();
  const Partition partition = small_buckets(store);
  Exchange exchange(all, partition, wire);
  const comm::IndexRange part = comm::part_of(batch.sequences, all.rank(), all.size());
  store.zero_gradients();
  exchange.expect(store.gradients());
  tensor::Tape tape(tensor::Tape::Mode::kTraining, tensor::Precision::kF32, keep);
  training_loss(tape, model, batch.share(part.begin, part.size()), {0.5, 0.5, 0.1});
  exchange.backward(tape);
  return store.gradients();
}

/// While the backward pass runs, in buckets that cut parameters, gradients arrive at their owners
/// as the sum of what each rank computes alone, in the order of ranks, bit for bit. Also where
/// layers are computed again.
TEST(RanksExchange, GradientsAddUpBitForBitWhileTheyAreComputed) {
  comm::Communicator& all = Ranks::all();
  const RunConfig config = lively_run();
  const model::Model model = testing::noisy_model(config, 4);
  const model::ParameterStore& store = model.parameters();
  const TrainingBatch batch = lively_batch(config, model);
  const std::vector<Bucket> buckets = small_buckets(store).in_order_of_use();
  for (const comm::Wire wire : {comm::Wire::kF32, comm::Wire::kBF16}) {
    std::vector<float> expected(store.values().size());
    for (int rank = 0; rank < all.size(); ++rank) {
      const std::vector<float> term = gradient_of_share(model, batch, rank, all.size());
      for (size_t i = 0; i < term.size(); ++i) {
        const float value = wire == comm::Wire::kBF16 ? from_bf16(to_bf16(term[i])) : term[i];
        expected[i] = rank == 0 ? value : expected[i] + value;
      }
    }
    for (const tensor::Tape::Keep keep : {tensor::Tape::Keep::kAll, tensor::Tape::Keep::kInputs}) {
      const std::span<const float> found = exchanged_gradients(model, batch, wire, keep);
      for (const Bucket& bucket : buckets) {
        const comm::IndexRange own = {bucket.own_begin, bucket.own_end};
        EXPECT_TRUE(same_bits(comm::part_of(found, own), comm::part_of(std::span(expected), own)))
            << bucket.begin;
      }
    }
  }
}

/// What GradientWatch calls complete has the bits that it has in the end, also in layers that are
/// computed again; and layers become complete one after the other.
TEST(RanksExchange, CompleteGradientsDoNotChangeAnyMore) {
  const RunConfig config = lively_run();
  const model::Model model = testing::noisy_model(config, 4);
  const model::ParameterStore& store = model.parameters();
  const TrainingBatch batch = lively_batch(config, model);
  for (const tensor::Tape::Keep keep : {tensor::Tape::Keep::kAll, tensor::Tape::Keep::kInputs}) {
    store.zero_gradients();
    const tensor::GradientWatch watch(store.gradients());
    tensor::Tape tape(tensor::Tape::Mode::kTraining, tensor::Precision::kF32, keep);
    training_loss(tape, model, batch, {0.5, 0.5, 0.1});
    std::map<std::string, std::vector<float>> complete;
    std::set<size_t> sizes;
    const auto gradient = [&](const model::Parameter& p) {
      return comm::part_of(std::span<const float>(store.gradients()),
                           {p.offset, p.offset + p.numel()});
    };
    tape.backward([&] {
      for (const model::Parameter& p : store.list()) {
        if (complete.contains(p.name) || !watch.complete(p.offset, p.offset + p.numel())) continue;
        complete[p.name] = {gradient(p).begin(), gradient(p).end()};
      }
      sizes.insert(complete.size());
    });
    for (const model::Parameter& p : store.list()) {
      EXPECT_TRUE(same_bits(complete[p.name], gradient(p))) << p.name;
    }
    EXPECT_GT(std::ssize(sizes), config.num_hidden_layers + 1);
  }
}

/// The gradients of shares add up to that of the batch, but for the rounding of sums in another
/// order: a sum of n products in f32 is off by at most n 2^-24 times the sum of their magnitudes,
/// for which the largest entry of the parameter stands in with a factor of 8 for what cancels.
TEST(RanksExchange, SharesAddUpToTheWholeBatch) {
  const RunConfig config = lively_run();
  const model::Model model = testing::noisy_model(config, 4);
  const TrainingBatch batch = lively_batch(config, model);
  const std::vector<float> whole = gradient_of_share(model, batch, 0, 1);
  for (const int ranks : {2, 4}) {
    std::vector<double> sum(whole.size());
    for (int rank = 0; rank < ranks; ++rank) {
      const std::vector<float> term = gradient_of_share(model, batch, rank, ranks);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += term[i];
    }
    for (const model::Parameter& p : model.parameters().list()) {
      double largest = 0, worst = 0;
      for (int64_t i = p.offset; i < p.offset + p.numel(); ++i) {
        const auto at = static_cast<size_t>(i);
        largest = std::max(largest, std::abs(static_cast<double>(whole[at])));
        const double error = std::abs(sum[at] - whole[at]);
        if (!(error <= worst)) worst = error;
      }
      const auto terms = static_cast<double>(2 * batch.targets.size());
      EXPECT_TRUE(worst <= 8 * terms * 0x1p-24 * largest) << p.name << ": " << worst;
    }
  }
}

/// Ranks whose weights take a while to arrive.
class SlowRanks final : public comm::Communicator {
 public:
  [[nodiscard]] int rank() const override { return all_.rank(); }
  [[nodiscard]] int size() const override { return all_.size(); }
  void reduce_scatter(std::span<float> values, comm::Wire wire) override {
    all_.reduce_scatter(values, wire);
  }
  void all_gather(std::span<float> values) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    all_.all_gather(values);
    ++gathered;
  }
  void gather(std::span<const double> own, std::span<double> all) override {
    all_.gather(own, all);
  }
  void set_activity(std::string activity) override { all_.set_activity(std::move(activity)); }
  void set_patience(double seconds) override { all_.set_patience(seconds); }
  [[noreturn]] void end_job(const std::string& message) override {
    all_.end_job(message);
    std::abort();
  }

  std::atomic<int> gathered = 0;

 private:
  comm::Communicator& all_ = Ranks::all();
};

tensor::Tensor hidden_states(const model::Model& model, const TrainingBatch& batch) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  return model.forward(tape, two_stream_input(batch, {}));
}

/// A pass begins while weights are on their way, waits before each layer for that layer's, and
/// reads none too early.
TEST(RanksExchange, APassWaitsForTheWeightsThatItReads) {
  const RunConfig config = lively_run();
  model::Model model = testing::noisy_model(config, 5);
  const TrainingBatch batch = testing::random_batch(config, 2, 6);
  const tensor::Tensor expected = hidden_states(model, batch);
  const std::span<float> weights = model.parameters().values();
  const Partition partition = small_buckets(model.parameters());
  for (const Bucket& bucket : partition.buckets()) {  // the other ranks have them
    std::fill(weights.begin() + bucket.begin, weights.begin() + bucket.own_begin, NAN);
    std::fill(weights.begin() + bucket.own_end, weights.begin() + bucket.end, NAN);
  }
  SlowRanks ranks;
  Exchange exchange(ranks, partition, comm::Wire::kF32);
  std::vector<int> arrived;
  model.set_gate([&](int64_t use) {
    exchange.await(use);
    arrived.push_back(ranks.gathered);
  });
  const std::vector<Bucket> buckets = partition.in_order_of_use();
  for (const Bucket& bucket : buckets) exchange.share(bucket, weights);
  EXPECT_TRUE(same_bits(hidden_states(model, batch).values(), expected.values()));
  ASSERT_EQ(std::ssize(arrived), config.num_hidden_layers + 2);
  for (int64_t use = 0; use < std::ssize(arrived); ++use) {
    const auto needed =
        std::ranges::count_if(buckets, [&](const Bucket& b) { return b.first_use <= use; });
    EXPECT_GE(arrived[use], needed) << use;
  }
  if (ranks.size() > 1) {
    EXPECT_LT(arrived.front(), arrived.back());
  }
  exchange.finish();
  EXPECT_EQ(ranks.gathered, std::ssize(buckets));
}

}  // namespace
}  // namespace evo::train
