// Reading texts by a Program: what a nondeterministic machine with stacks does, with what it found
// remembered as a deterministic one. A state stands for all readings of the text so far.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "grammar/program.h"

namespace evo::grammar {

/// Grows as it reads. One thread at a time.
class Automaton {
 public:
  using State = int32_t;
  static constexpr State kDead = -1;  ///< no text begins so

  /// Of a text that can be read in more ways than that, only so many are followed: what is allowed
  /// stays right, but is less than the grammar says. It takes alternatives that cannot be told
  /// apart by how they begin, inside each other.
  static constexpr size_t kMostReadings = 512;

  /// `program` must outlive this.
  explicit Automaton(const Program& program);
  Automaton(const Automaton&) = delete;
  Automaton& operator=(const Automaton&) = delete;

  [[nodiscard]] State start() const { return 0; }
  /// `state` after one more byte. From every state some text leads to a complete one.
  [[nodiscard]] State step(State state, uint8_t byte);
  [[nodiscard]] bool complete(State state) const;  ///< the text may end here
  [[nodiscard]] bool final(State state) const;     ///< the text must end here

  /// It remembers so much that it is time for another one to go on from the state at hand.
  [[nodiscard]] bool full() const { return memory_ > kFullAt; }
  /// A state of `other`, which reads by the same program.
  [[nodiscard]] State adopt(const Automaton& other, State state);

 private:
  static constexpr size_t kFullAt = size_t{1} << 21;  // numbers, of 4 bytes

  /// A reading is a stack of frames, known by its uppermost; lower ones are shared. Equal frames
  /// are one.
  using FrameId = int32_t;
  static constexpr FrameId kEmpty = -1;    // the root rule has returned
  static constexpr int32_t kUnknown = -2;  // a transition that was not asked for yet
  struct Frame {
    Position position = 0;
    uint32_t count = 0;  // times that a kRepeat was read
    FrameId below = kEmpty;
    int32_t depth = 0;  // calls that nest, below and here
    bool operator==(const Frame&) const = default;
  };
  struct HashFrame {
    size_t operator()(const Frame& frame) const;
  };
  struct HashReadings {
    size_t operator()(const std::vector<FrameId>& readings) const;
  };

  [[nodiscard]] FrameId frame_id(const Frame& frame);
  [[nodiscard]] FrameId copy_frame(const Automaton& other, FrameId id);
  void gather(FrameId id);
  void follow(const Frame& frame, std::vector<FrameId>& pending);
  void follow_repeat(const Frame& frame, std::vector<FrameId>& pending);
  [[nodiscard]] State gathered_state();

  const Program& program_;
  std::vector<Frame> frames_;
  std::unordered_map<Frame, FrameId, HashFrame> frame_ids_;
  /// Of each state, in the order in which they are found: frames that wait for a byte, or kEmpty.
  std::vector<const std::vector<FrameId>*> readings_;
  std::unordered_map<std::vector<FrameId>, State, HashReadings> states_;
  std::vector<State> transitions_;  // [states, classes]
  size_t memory_ = 0;

  // At work in step():
  std::vector<FrameId> gathered_;
  std::vector<uint32_t> seen_;  // [frames] the last round that met a frame
  uint32_t round_ = 0;
};

}  // namespace evo::grammar
