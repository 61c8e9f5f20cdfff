#include "eval/tasks/shots.h"

#include "base/error.h"

namespace evo::eval {
namespace {

constexpr uint32_t kSeed = 1234;  // of lm_eval's option --seed for shots, if it is not given

}  // namespace

ShotSampler::ShotSampler(std::vector<Document> pool, Draw draw, int64_t shots,
                         std::string_view source)
    : pool_(std::move(pool)),
      draw_(draw),
      shots_(static_cast<size_t>(shots)),
      source_(source),
      random_(kSeed) {
  const size_t draws = shots_ > 0 && draw == Draw::kRandomOther ? shots_ + 1 : shots_;
  if (pool_.size() < draws) {
    fail(
        "{}: expected at least {} rows to take worked examples from, found {}; --shots sets how "
        "many stand before a question",
        source, draws, pool_.size());
  }
}

std::vector<Shot> ShotSampler::drawn(const std::vector<size_t>& indexes,
                                     std::string_view left_out) const {
  std::vector<Shot> shots;
  for (const size_t index : indexes) {
    const bool other = draw_ != Draw::kRandomOther || pool_[index].key != left_out;
    if (other && shots.size() < shots_) shots.push_back(pool_[index].shot);
  }
  return shots;
}

/// Where the question was drawn more than once, so that too few are left.
std::vector<Shot> ShotSampler::drawn_of_others(std::string_view key) {
  std::vector<size_t> others;
  for (size_t i = 0; i < pool_.size(); ++i) {
    if (pool_[i].key != key) others.push_back(i);
  }
  if (others.size() < shots_) {
    fail("{}: expected at least {} rows that are not the question itself, found {}", source_,
         shots_, others.size());
  }
  std::vector<Shot> shots;
  for (const size_t index : random_.sample(others.size(), shots_)) {
    shots.push_back(pool_[others[index]].shot);
  }
  return shots;
}

std::vector<Shot> ShotSampler::next(std::string_view key) {
  if (shots_ == 0) return {};
  const size_t draws = draw_ == Draw::kRandomOther ? shots_ + 1 : shots_;
  std::vector<Shot> shots = drawn(random_.sample(pool_.size(), draws), key);
  return shots.size() < shots_ ? drawn_of_others(key) : shots;
}

ShotSampler random_shots(int64_t shots, const std::optional<DataFile>& pool, ShotSampler::Draw draw,
                         const DataFile& evaluated, const ShotParser& parse) {
  if (shots == 0) return {{}, draw, 0, evaluated.name};
  if (pool) return {parse(*pool), draw, shots, pool->name};
  return {parse(evaluated), ShotSampler::Draw::kRandomOther, shots, evaluated.name};
}

std::vector<Shot> first_shots(const Task& task, const TaskOptions& options,
                              std::vector<Shot> shots) {
  const auto count = static_cast<size_t>(task.shots(options));
  if (count > shots.size()) {
    fail("{} comes with {} worked examples, of which {} were asked for with --shots",
         task.info().name, shots.size(), count);
  }
  shots.resize(count);
  return shots;
}

}  // namespace evo::eval
