#include "grammar/automaton.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace evo::grammar {
namespace {

using Kind = Instruction::Kind;

size_t mix(size_t hash, size_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 29);
}

}  // namespace

size_t Automaton::HashFrame::operator()(const Frame& frame) const {
  const size_t high = mix(frame.position, frame.count);
  return mix(mix(high, static_cast<size_t>(frame.below)), static_cast<size_t>(frame.depth));
}

size_t Automaton::HashReadings::operator()(const std::vector<FrameId>& readings) const {
  size_t hash = readings.size();
  for (const FrameId id : readings) hash = mix(hash, static_cast<size_t>(id));
  return hash;
}

Automaton::Automaton(const Program& program) : program_(program) {
  ++round_;
  gather(frame_id({.position = program_.starts[program_.root]}));
  EVO_CHECK(gathered_state() == start());
}

Automaton::State Automaton::step(State state, uint8_t byte) {
  const size_t classes = program_.representatives.size();
  const uint8_t byte_class = program_.class_of[byte];
  const size_t place = static_cast<size_t>(state) * classes + byte_class;
  if (transitions_[place] != kUnknown) return transitions_[place];

  ++round_;
  for (const FrameId id : *readings_[state]) {
    if (id == kEmpty) continue;
    const Frame frame = frames_[id];
    const Instruction& instruction = program_.code[frame.position];
    if (!program_.sets[instruction.what][byte]) continue;
    gather(frame_id({instruction.next, 0, frame.below, frame.depth}));
  }
  const State next = gathered_state();
  return transitions_[place] = next;
}

bool Automaton::complete(State state) const {
  const std::vector<FrameId>& readings = *readings_[state];
  return std::find(readings.begin(), readings.end(), kEmpty) != readings.end();
}

bool Automaton::final(State state) const {
  const auto is_empty = [](FrameId id) { return id == kEmpty; };
  return std::all_of(readings_[state]->begin(), readings_[state]->end(), is_empty);
}

Automaton::State Automaton::adopt(const Automaton& other, State state) {
  EVO_CHECK(&program_ == &other.program_);
  for (const FrameId id : *other.readings_[state]) gathered_.push_back(copy_frame(other, id));
  return gathered_state();
}

/// Makes a frame with all that lie below it, the lowest first.
Automaton::FrameId Automaton::copy_frame(const Automaton& other, FrameId id) {
  std::vector<Frame> stack;
  for (; id != kEmpty; id = other.frames_[id].below) stack.push_back(other.frames_[id]);
  FrameId copy = kEmpty;
  for (; !stack.empty(); stack.pop_back()) {
    stack.back().below = copy;
    copy = frame_id(stack.back());
  }
  return copy;
}

Automaton::FrameId Automaton::frame_id(const Frame& frame) {
  const auto [known, is_new] = frame_ids_.try_emplace(frame, static_cast<FrameId>(frames_.size()));
  if (is_new) {
    frames_.push_back(frame);
    seen_.push_back(0);
    // With the table's node: as many numbers again.
    memory_ += 4 * sizeof(Frame) / sizeof(State);
  }
  return known->second;
}

/// Follows what takes no byte from a frame on; adds to gathered_, in the grammar's order, the
/// frames that wait for a byte. It comes to an end since no rule calls itself before it reads a
/// byte except as its own last step, which leaves no frame.
void Automaton::gather(FrameId id) {
  std::vector<FrameId> pending = {id};
  while (!pending.empty() && gathered_.size() < kMostReadings) {
    id = pending.back();
    pending.pop_back();
    if (id == kEmpty) {
      gathered_.push_back(kEmpty);
      continue;
    }
    if (std::exchange(seen_[id], round_) == round_) continue;
    const Frame frame = frames_[id];
    if (frame.depth + program_.depth_needed[frame.position] > kMaxDepth) continue;
    if (program_.code[frame.position].kind == Kind::kBytes) {
      gathered_.push_back(id);
    } else {
      follow(frame, pending);
    }
  }
}

/// Adds the frames that follow one, the first at the end.
void Automaton::follow(const Frame& frame, std::vector<FrameId>& pending) {
  const Instruction& instruction = program_.code[frame.position];
  switch (instruction.kind) {
    case Kind::kBytes:
      break;
    case Kind::kReturn:
      pending.push_back(frame.below);
      break;
    case Kind::kSplit: {
      const auto targets = program_.targets_of(instruction);
      for (auto target = targets.rbegin(); target != targets.rend(); ++target) {
        pending.push_back(frame_id({*target, 0, frame.below, frame.depth}));
      }
      break;
    }
    case Kind::kCall: {
      const bool is_last = instruction.next == kReturn;
      const FrameId below =
          is_last ? frame.below : frame_id({instruction.next, 0, frame.below, frame.depth});
      const int32_t depth = frame.depth + (instruction.nests ? 1 : 0);
      pending.push_back(frame_id({program_.starts[instruction.what], 0, below, depth}));
      break;
    }
    case Kind::kRepeat:
      follow_repeat(frame, pending);
      break;
  }
}

/// Counts only as far as it matters, so that an endless text does not need endless states.
void Automaton::follow_repeat(const Frame& frame, std::vector<FrameId>& pending) {
  const Instruction& instruction = program_.code[frame.position];
  if (frame.count >= instruction.low) {
    pending.push_back(frame_id({instruction.next, 0, frame.below, frame.depth}));
  }
  if (frame.count == instruction.high) return;
  const uint32_t last = instruction.high == kUnbounded ? instruction.low : instruction.high;
  const FrameId again =
      frame_id({frame.position, std::min(frame.count + 1, last), frame.below, frame.depth});
  pending.push_back(frame_id({program_.starts[instruction.what], 0, again, frame.depth}));
}

/// The state of gathered_, which is empty afterwards.
Automaton::State Automaton::gathered_state() {
  if (gathered_.empty()) return kDead;
  const auto [known, is_new] = states_.try_emplace(gathered_, static_cast<State>(readings_.size()));
  if (is_new) {
    readings_.push_back(&known->first);
    transitions_.resize(transitions_.size() + program_.representatives.size(), kUnknown);
    memory_ += program_.representatives.size() + gathered_.size();
  }
  gathered_.clear();
  return known->second;
}

}  // namespace evo::grammar
