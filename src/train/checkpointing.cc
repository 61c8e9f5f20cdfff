#include "train/checkpointing.h"

namespace evo {
namespace {

std::vector<double> read_table(const SafetensorsFile& file, const char* name) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr) fail("{}: expected a tensor '{}'", file.path().string(), name);
  std::vector<float> values(info->bytes.size() / sizeof(float));
  file.read_f32(name, info->shape, values);
  return {values.begin(), values.end()};
}

Record to_record(const RunState& state) {
  Record record;
  record.set("next_sequence", state.next_sequence).set("seconds", state.seconds);
  record.set("loss_mean", state.watch.mean).set("loss_deviation", state.watch.deviation);
  record.set("spikes", state.watch.spikes).set("recoveries", state.recoveries);
  record.set("since_line", state.since_line.to_record());
  return record;
}

RunState from_record(int64_t step, const Record& record) {
  return {step,
          record.get_int("next_sequence"),
          record.get_double("seconds"),
          {record.get_double("loss_mean"), record.get_double("loss_deviation"),
           record.get_int("spikes")},
          record.get_int("recoveries"),
          LossMean::from_record(record.get_record("since_line"))};
}

}  // namespace

TrainedArrays::TrainedArrays(const RunConfig& config)
    : model(config, true),
      average(config, false),
      first_moment(Tensor::zeros({static_cast<int64_t>(model.parameters().values().size())})),
      second_moment(Tensor::zeros(first_moment.shape())) {
  if (config.freeze_backbone) model.freeze_backbone();
}

void save_run(CheckpointFolder& folder, const TrainedArrays& arrays, const RunState& state) {
  const int64_t size = arrays.first_moment.numel();
  const EntropicTime& time = arrays.model.time();
  const std::vector<float> log_snr(time.log_snr().begin(), time.log_snr().end());
  const std::vector<float> values(time.time_values().begin(), time.time_values().end());
  const std::vector<ArrayToWrite> list = {
      {"weights", {size}, arrays.model.parameters().values()},
      {"average", {size}, arrays.average.parameters().values()},
      {"first_moment", {size}, arrays.first_moment.values()},
      {"second_moment", {size}, arrays.second_moment.values()},
      {"time.log_snr", {static_cast<int64_t>(log_snr.size())}, log_snr},
      {"time.value", {static_cast<int64_t>(values.size())}, values}};
  folder.save(state.step, list, to_record(state));
}

RunState restore_run(const Checkpoint& checkpoint, TrainedArrays& arrays) {
  const std::vector<int64_t> shape = arrays.first_moment.shape();
  const SafetensorsFile& file = checkpoint.arrays;
  file.read_f32("weights", shape, arrays.model.parameters().values());
  file.read_f32("average", shape, arrays.average.parameters().values());
  file.read_f32("first_moment", shape, arrays.first_moment.values());
  file.read_f32("second_moment", shape, arrays.second_moment.values());
  arrays.model.set_time(
      EntropicTime(read_table(file, "time.log_snr"), read_table(file, "time.value")));
  arrays.average.set_time(arrays.model.time());
  return from_record(checkpoint.step, checkpoint.state);
}

}  // namespace evo
