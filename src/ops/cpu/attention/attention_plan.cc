#include "ops/cpu/attention/attention_plan.h"

#include <numeric>

namespace evo::ops {
namespace {

/// Disjoint sets of rows.
class RowSets {
 public:
  explicit RowSets(size_t rows) : parent_(rows) { std::iota(parent_.begin(), parent_.end(), 0); }

  int32_t find(int32_t row) {
    while (parent_[row] != row) row = parent_[row] = parent_[parent_[row]];
    return row;
  }
  void unite(int32_t a, int32_t b) { parent_[find(b)] = find(a); }

 private:
  std::vector<int32_t> parent_;
};

bool sees_context(const KeyRange& range) {
  return range.context_end > range.context_begin;
}
bool sees_self(const KeyRange& range) {
  return range.self_end > range.self_begin;
}

int32_t first_key(const KeyRange& range) {
  return sees_context(range) ? range.context_begin : range.self_begin;
}

/// Unites rows that stand side by side in some range: linear in the number of rows, however long
/// the ranges.
void unite_ranges(std::span<const KeyRange> ranges, RowSets& sets) {
  std::vector<int32_t> change(ranges.size() + 1);  // of the number of ranges that hold i and i + 1
  const auto count_links = [&](int32_t begin, int32_t end) {
    if (end <= begin) return;
    ++change[begin];
    --change[end - 1];
  };
  for (const KeyRange& range : ranges) {
    count_links(range.context_begin, range.context_end);
    count_links(range.self_begin, range.self_end);
    if (sees_context(range) && sees_self(range)) sets.unite(range.context_begin, range.self_begin);
  }
  int32_t holding = 0;
  for (size_t i = 0; i + 1 < ranges.size(); ++i) {
    holding += change[i];
    if (holding > 0) sets.unite(static_cast<int32_t>(i), static_cast<int32_t>(i) + 1);
  }
}

}  // namespace

std::vector<QueryTile> query_tiles(std::span<const KeyRange> ranges, int group, int width) {
  std::vector<QueryTile> tiles;
  const auto rows = static_cast<int64_t>(ranges.size());
  for (int64_t begin = 0, end = 0; begin < rows; begin = end) {
    while (end < rows && ranges[end].context_begin == ranges[begin].context_begin) ++end;
    for (int64_t first = begin * group; first < end * group; first += width) {
      tiles.push_back({first, static_cast<int>(std::min<int64_t>(width, end * group - first))});
    }
  }
  return tiles;
}

std::vector<std::vector<QueryTile>> independent_groups(std::span<const KeyRange> ranges, int group,
                                                       const std::vector<QueryTile>& tiles) {
  RowSets sets(ranges.size());
  unite_ranges(ranges, sets);
  for (const QueryTile& tile : tiles) {
    const int64_t first_row = tile.first / group;
    const int64_t last_row = tile.query(tile.count - 1) / group;
    for (int64_t row = first_row + 1; row <= last_row; ++row) {
      sets.unite(first_key(ranges[first_row]), first_key(ranges[row]));
    }
  }

  std::vector<std::vector<QueryTile>> groups;
  std::vector<int64_t> group_of(ranges.size(), -1);
  for (const QueryTile& tile : tiles) {
    int64_t& index = group_of[sets.find(first_key(ranges[tile.first / group]))];
    if (index < 0) {
      index = static_cast<int64_t>(groups.size());
      groups.emplace_back();
    }
    groups[index].push_back(tile);
  }
  return groups;
}

KeyWindows::KeyWindows(const AttentionCall& call, const QueryTile& tile) {
  for (int lane = 0; lane < kMaxTileWidth; ++lane) {
    const KeyRange& range = call.ranges[tile.query(lane) / call.group()];
    context_.begin[lane] = range.context_begin;
    context_.end[lane] = range.context_end;
    self_.begin[lane] = range.self_begin;
    self_.end[lane] = range.self_end;
  }
  group_ = group_from(0);
  begin_ = group_.begin;
}

KeyWindows::Group KeyWindows::group_from(int first) const {
  const int64_t begin = spans().begin[first];
  Group group{first, first + 1, begin, spans().end[first]};
  if (group.end <= begin) return group;
  for (; group.last < kMaxTileWidth; ++group.last) {
    const int64_t lane_begin = spans().begin[group.last];
    const int64_t lane_end = spans().end[group.last];
    if (lane_end <= lane_begin) continue;  // sees nothing, is in nobody's way
    const bool in_first_window = lane_begin >= begin && lane_end <= begin + kWindowKeys;
    if (lane_begin != begin && !in_first_window) break;
    group.end = std::max(group.end, lane_end);
  }
  return group;
}

bool KeyWindows::next(KeyWindow& window) {
  while (begin_ >= group_.end) {
    const bool lanes_left = group_.last < kMaxTileWidth;
    if (!lanes_left && !in_context_) return false;
    if (!lanes_left) in_context_ = false;
    group_ = group_from(lanes_left ? group_.last : 0);
    begin_ = group_.begin;
  }
  window.in_context = in_context_;
  window.begin = begin_;
  window.count = static_cast<int>(std::min<int64_t>(kWindowKeys, group_.end - begin_));
  window.common_begin = 0;
  window.common_end = window.count;
  const auto clamp = [&](int64_t row) {
    return static_cast<int32_t>(std::clamp<int64_t>(row - begin_, 0, window.count));
  };
  for (int lane = 0; lane < kMaxTileWidth; ++lane) {
    const bool inside = lane >= group_.first && lane < group_.last;
    window.seen_begin[lane] = inside ? clamp(spans().begin[lane]) : 0;
    window.seen_end[lane] = inside ? clamp(spans().end[lane]) : 0;
    window.common_begin = std::max(window.common_begin, window.seen_begin[lane]);
    window.common_end = std::min(window.common_end, window.seen_end[lane]);
  }
  window.common_end = std::max(window.common_end, window.common_begin);
  begin_ += window.count;
  return true;
}

}  // namespace evo::ops
