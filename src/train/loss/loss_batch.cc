// What a training pass starts from.
#include "train/loss/loss.h"

namespace evo::train {
namespace {

template <class Value>
void keep_rows(std::vector<Value>& column, int64_t first, int64_t count) {
  if (column.empty()) return;
  column = std::vector<Value>(column.begin() + first, column.begin() + first + count);
}

}  // namespace

LossReport& LossReport::operator+=(const LossReport& share) {
  total += share.total;
  ar_nll += share.ar_nll;
  flow += share.flow;
  inner += share.inner;
  ahead += share.ahead;
  maturity += share.maturity;
  elbo += share.elbo;
  elbo_rows += share.elbo_rows;
  return *this;
}

std::vector<comm::IndexRange> micro_batches(int64_t sequences, int64_t most) {
  const int64_t count = most == 0 ? 1 : (sequences + most - 1) / most;
  std::vector<comm::IndexRange> parts;
  for (int64_t i = 0; i < count; ++i) {
    parts.push_back({sequences * i / count, sequences * (i + 1) / count});
  }
  return parts;
}

bool TrainingBatch::learns(size_t row) const {
  return learn.empty() || learn[row] != 0;
}

bool TrainingBatch::has_uniform_time(size_t row) const {
  return !plan.times.empty() && plan.uniform_time[row] != 0 && learns(row);
}

RowCounts TrainingBatch::own_row_counts() const {
  RowCounts count;
  for (size_t r = 0; r < targets.size(); ++r) {
    count.learnt += learns(r) ? 1 : 0;
    count.elbo += has_uniform_time(r) ? 1 : 0;
    const bool first = plan.starts.empty() || plan.starts[r] != 0;
    count.not_first += learns(r) && !first ? 1 : 0;
  }
  return count;
}

RowCounts TrainingBatch::row_counts() const {
  return whole ? *whole : own_row_counts();
}

EvolvingRows TrainingBatch::evolving_rows() const {
  EvolvingRows evolving;
  const auto rows = static_cast<int32_t>(plan.times.size());
  bool learnt = false;  // something, of the block at hand
  for (int32_t r = 0; r < rows; ++r) {
    const auto i = static_cast<size_t>(r);
    const auto sequence = static_cast<int32_t>(r - r % length);  // its first row
    const int32_t begin = sequence + plan.begin[i], end = sequence + plan.end[i];
    if (plan.starts[i] != 0) {
      learnt = false;
      for (int32_t other = begin; other < end; ++other)
        learnt |= learns(static_cast<size_t>(other));
    }
    if (!learnt) continue;
    evolving.rows.push_back(r);
    evolving.learn.push_back(learns(i) ? 1 : 0);
    // Evolving row r is the token after that of mature row r, so a block that begins at row s has
    // the mature rows up to s before it.
    const auto block = static_cast<int32_t>(evolving.size()) - 1 - (r - begin);
    evolving.sees.push_back({sequence, begin + 1, block, block + end - begin});
  }
  evolving.targets = evolving.of(targets);
  evolving.previous = evolving.of(ids);
  evolving.times = evolving.of(plan.times);
  evolving.starts = evolving.of(plan.starts);
  return evolving;
}

TrainingBatch TrainingBatch::share(int64_t first, int64_t count) const {
  EVO_CHECK(first >= 0 && count >= 1 && first + count <= sequences);
  TrainingBatch part = *this;
  if (count == sequences) return part;
  part.sequences = count;
  part.whole = row_counts();
  part.first_row = first_row + first * length;
  const int64_t begin = first * length, rows = count * length;
  for (auto* column :
       {&part.ids, &part.targets, &part.positions, &part.plan.begin, &part.plan.end}) {
    keep_rows(*column, begin, rows);
  }
  for (auto* column : {&part.learn, &part.plan.starts, &part.plan.uniform_time}) {
    keep_rows(*column, begin, rows);
  }
  keep_rows(part.plan.times, begin, rows);
  return part;
}

TrainingBatch TrainingBatch::from_texts(std::span<const int32_t> texts, int64_t sequences) {
  TrainingBatch batch;
  batch.sequences = sequences;
  batch.length = static_cast<int64_t>(texts.size()) / sequences - 1;
  for (int64_t s = 0; s < sequences; ++s) {
    const auto text = texts.subspan(s * (batch.length + 1), batch.length + 1);
    batch.ids.insert(batch.ids.end(), text.begin(), text.end() - 1);
    batch.targets.insert(batch.targets.end(), text.begin() + 1, text.end());
    for (int64_t i = 0; i < batch.length; ++i) batch.positions.push_back(static_cast<int32_t>(i));
  }
  return batch;
}

TrainingBatch TrainingBatch::from_loader(const data::SequenceLoader& loader, int64_t first,
                                         int64_t sequences) {
  const auto window = static_cast<size_t>(loader.length() + 1);
  std::vector<int32_t> texts(static_cast<size_t>(sequences) * window);
  for (int64_t s = 0; s < sequences; ++s) {
    loader.fill(first + s, std::span(texts).subspan(static_cast<size_t>(s) * window, window));
  }
  TrainingBatch batch = from_texts(texts, sequences);
  if (!loader.has_unlearnt()) return batch;
  std::vector<uint8_t> learnt(window);
  for (int64_t s = 0; s < sequences; ++s) {
    loader.fill_learnt(first + s, learnt);
    batch.learn.insert(batch.learn.end(), learnt.begin() + 1, learnt.end());
  }
  return batch;
}

}  // namespace evo::train
