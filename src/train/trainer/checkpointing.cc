#include "train/trainer/checkpointing.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "weights/checkpoint_writer.h"

namespace evo::train {
namespace {

std::vector<double> read_table(const weights::SafetensorsFile& file, const char* name) {
  const weights::TensorInfo* info = file.find(name);
  if (info == nullptr) fail("{}: expected a tensor '{}'", file.path().string(), name);
  std::vector<float> values(info->bytes.size() / sizeof(float));
  file.read_f32(name, info->shape, values);
  return {values.begin(), values.end()};
}

json::Record to_record(const RunState& state) {
  json::Record record;
  record.set("next_sequence", state.next_sequence).set("seconds", state.seconds);
  record.set("loss_mean", state.watch.mean).set("loss_deviation", state.watch.deviation);
  record.set("spikes", state.watch.spikes).set("recoveries", state.recoveries);
  record.set("since_line", state.since_line.to_record()).set("arithmetic", state.arithmetic);
  return record;
}

RunState from_record(int64_t step, const json::Record& record) {
  return {step,
          record.get_int("next_sequence"),
          record.get_double("seconds"),
          {record.get_double("loss_mean"), record.get_double("loss_deviation"),
           record.get_int("spikes")},
          record.get_int("recoveries"),
          LossMean::from_record(record.get_record("since_line")),
          // Checkpoints of before that was recorded have none.
          record.has("arithmetic") ? record.get_string("arithmetic") : ""};
}

// Arrays of a checkpoint, in the order of the file. The first four are flat, one number per weight.
enum Array : size_t { kWeights, kAverage, kFirstMoment, kSecondMoment, kLogSnr, kTime };
constexpr const char* kNames[] = {"weights",       "average",      "first_moment",
                                  "second_moment", "time.log_snr", "time.value"};

std::vector<float> rounded(const std::vector<double>& knots) {
  return {knots.begin(), knots.end()};
}

/// The sum of the ranks' shares; numbers of 32 bits are whole in a double.
uint64_t sum_of_checksums(uint64_t own, comm::Communicator& ranks) {
  const double halves[] = {static_cast<double>(own >> 32), static_cast<double>(own & 0xFFFFFFFFu)};
  const comm::RankTable all(ranks, halves);
  uint64_t sum = 0;
  for (int rank = 0; rank < all.ranks(); ++rank) {
    sum +=
        (static_cast<uint64_t>(all.row(rank)[0]) << 32) + static_cast<uint64_t>(all.row(rank)[1]);
  }
  return sum;
}

void write_own(weights::CheckpointWriter& writer, const TrainedArrays& arrays) {
  for (const Bucket& bucket : arrays.partition.buckets()) {
    writer.write(kWeights, bucket.own_begin, arrays.own_weights(bucket));
    const auto write = [&](Array array, std::span<const float> own, comm::IndexRange part) {
      if (part.size() > 0)
        writer.write(array, bucket.own_begin + part.begin, comm::part_of(own, part));
    };
    int64_t behind = 0;  // the trained parts so far
    for (const comm::IndexRange part : arrays.trained_parts(bucket)) {
      write(kAverage, arrays.own_weights(bucket), {behind, part.begin});
      write(kAverage, arrays.own_part(arrays.average, bucket), part);
      write(kFirstMoment, arrays.own_part(arrays.first_moment, bucket), part);
      write(kSecondMoment, arrays.own_part(arrays.second_moment, bucket), part);
      behind = part.end;
    }
    write(kAverage, arrays.own_weights(bucket), {behind, bucket.own_size()});
  }
}

/// Floats of the whole pages that so many floats lie in.
size_t page_floats(int64_t floats) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE)) / sizeof(float);
  return (static_cast<size_t>(floats) + page - 1) / page * page;
}

/// Zeros, of which only the pages that are written take memory.
std::shared_ptr<void> zero_pages(size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return {memory, [bytes](void* at) { munmap(at, bytes); }};
}

}  // namespace

bool is_trained(const RunConfig& config, const model::Parameter& parameter) {
  if (config.code_gradient == "pca" && parameter.name == "evo.codes") return false;
  return has_gradient(config, parameter.name);
}

bool has_gradient(const RunConfig& config, std::string_view name) {
  if (config.freeze_flow) return model::is_draft_parameter(name);
  return !config.freeze_backbone || model::is_flow_parameter(name);
}

TrainedArrays::TrainedArrays(const RunConfig& config, int rank, int ranks)
    : model(config, true),
      partition(
          model.parameters().list(),
          [&](const model::Parameter& p) { return is_trained(config, p); }, rank, ranks),
      trains([config](const model::Parameter& p) { return is_trained(config, p); }),
      pages(zero_pages(3 * page_floats(partition.own_size()) * sizeof(float))),
      average(own_array(0)),
      first_moment(own_array(1)),
      second_moment(own_array(2)) {
  if (config.freeze_flow) {
    model.train_only(model::is_draft_parameter);
  } else if (config.freeze_backbone) {
    model.train_only(model::is_flow_parameter);
  }
}

tensor::Tensor TrainedArrays::own_array(size_t place) const {
  const size_t floats = page_floats(partition.own_size());
  return tensor::Tensor::view(static_cast<float*>(pages.get()) + place * floats,
                              {partition.own_size()});
}

std::span<float> TrainedArrays::own_weights(const Bucket& bucket) const {
  return model.parameters().values().subspan(bucket.own_begin, bucket.own_size());
}

std::span<float> TrainedArrays::own_gradients(const Bucket& bucket) const {
  return model.parameters().gradients().subspan(bucket.own_begin, bucket.own_size());
}

std::span<float> TrainedArrays::own_part(const tensor::Tensor& array, const Bucket& bucket) {
  return array.values().subspan(bucket.own_at, bucket.own_size());
}

std::vector<comm::IndexRange> TrainedArrays::trained_parts(const Bucket& bucket) const {
  std::vector<comm::IndexRange> parts;
  Partition::for_each_owned(
      bucket, model.parameters().list(), [&](const model::Parameter& p, comm::IndexRange part) {
        if (!trains(p)) return;
        const bool adjacent = !parts.empty() && parts.back().end == part.begin;
        if (adjacent) {
          parts.back().end = part.end;
        } else {
          parts.push_back(part);
        }
      });
  return parts;
}

void TrainedArrays::start_average() const {
  for (const Bucket& bucket : partition.buckets()) {
    for (const comm::IndexRange part : trained_parts(bucket)) {
      std::ranges::copy(comm::part_of(own_weights(bucket), part),
                        comm::part_of(own_part(average, bucket), part).begin());
    }
  }
}

size_t TrainedArrays::written_bytes() const {
  int64_t gradients = 0, own = 0;
  for (const model::Parameter& p : model.parameters().list())
    gradients += trains(p) ? p.numel() : 0;
  for (const Bucket& bucket : partition.buckets()) {
    for (const comm::IndexRange part : trained_parts(bucket)) own += part.size();
  }
  return static_cast<size_t>(gradients + 3 * own) * sizeof(float);
}

void save_run(const weights::CheckpointFolder& folder, const TrainedArrays& arrays,
              const RunState& state, comm::Communicator& ranks) {
  const auto size = std::ssize(arrays.model.parameters().values());
  const std::vector<float> log_snr = rounded(arrays.model.time().log_snr());
  const std::vector<float> time = rounded(arrays.model.time().time_values());
  std::vector<weights::ArrayToWrite> shapes;
  for (const Array array : {kWeights, kAverage, kFirstMoment, kSecondMoment}) {
    shapes.push_back({kNames[array], {size}, {}});
  }
  shapes.push_back({kNames[kLogSnr], {std::ssize(log_snr)}, {}});
  shapes.push_back({kNames[kTime], {std::ssize(time)}, {}});

  weights::CheckpointWriter writer(folder, state.step, shapes);
  if (ranks.is_first()) writer.create();
  ranks.barrier();
  write_own(writer, arrays);
  if (ranks.is_first()) {
    writer.write(kLogSnr, 0, log_snr);
    writer.write(kTime, 0, time);
  }
  writer.sync();
  ranks.barrier();
  const uint64_t checksum = sum_of_checksums(writer.checksum(ranks.rank(), ranks.size()), ranks);
  if (ranks.is_first()) writer.commit(to_record(state), checksum);
  ranks.barrier();
}

RunState restore_run(const weights::Checkpoint& checkpoint, TrainedArrays& arrays) {
  const std::span<float> weights = arrays.model.parameters().values();
  const std::vector<int64_t> shape = {std::ssize(weights)};
  const weights::SafetensorsFile& file = checkpoint.arrays;
  file.read_f32(kNames[kWeights], shape, weights);
  for (const Bucket& bucket : arrays.partition.buckets()) {
    const auto read = [&](Array array, const tensor::Tensor& to) {
      for (const comm::IndexRange part : arrays.trained_parts(bucket)) {
        file.read_f32_part(kNames[array], shape, bucket.own_begin + part.begin,
                           comm::part_of(arrays.own_part(to, bucket), part));
      }
    };
    read(kAverage, arrays.average);
    read(kFirstMoment, arrays.first_moment);
    read(kSecondMoment, arrays.second_moment);
  }
  arrays.model.set_time(
      flow::EntropicTime(read_table(file, kNames[kLogSnr]), read_table(file, kNames[kTime])));
  return from_record(checkpoint.step, checkpoint.state);
}

std::optional<weights::Checkpoint> latest_good(const weights::CheckpointFolder& folder,
                                               comm::Communicator& ranks) {
  std::optional<weights::Checkpoint> checkpoint;
  if (ranks.is_first()) checkpoint = folder.load_latest_good();
  const comm::RankTable steps(ranks, checkpoint ? static_cast<double>(checkpoint->step) : -1);
  const auto found = static_cast<int64_t>(steps.row(0)[0]);
  if (!ranks.is_first() && found >= 0) checkpoint = folder.load_unchecked(found);
  return checkpoint;
}

}  // namespace evo::train
